//! The consumer's decisions: what to fetch of which partition, and what of it is seen.

pub(crate) mod aborted;
pub(crate) mod cursor;
pub(crate) mod progress;
pub(crate) mod said;
pub(crate) mod session;
