//! How far groups have consumed: commits by group, topic and partition.

/// The commits of all groups.
#[derive(Debug, Default)]
pub(crate) struct Offsets {}
