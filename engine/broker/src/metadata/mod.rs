//! The cluster's metadata: an immutable image, the log of records it is replayed from, and the one place that writes that
//! log. Nothing here serves a partition's data.

pub mod change;
mod codec;
mod controller;
pub mod image;
mod journal;
mod reading;
mod record;
pub(crate) mod topic_name;

pub(crate) use controller::request;
pub use controller::{Birth, CONTROLLER, Control, Controller};
pub use journal::Error;
