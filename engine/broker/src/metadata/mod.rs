//! The cluster's metadata: an immutable image, the log of records it is replayed from, and the one place that writes that
//! log. Nothing here serves a partition's data.

pub mod change;
pub mod image;
pub mod record;
pub mod topic_name;
