//! What a member wants to read: topics by name, or by a pattern of names. Knows no cluster.

use std::collections::BTreeSet;
use std::sync::Arc;

/// What a member is subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Topics {
    /// These; never none.
    Named(BTreeSet<Arc<str>>),
    /// Those whose whole name matches this regular expression, now or one day.
    Matching(Arc<str>),
}

impl Topics {
    /// Those that are named.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        match self {
            Self::Named(names) => Some(names),
            Self::Matching(_) => None,
        }
        .into_iter()
        .flatten()
    }
}
