//! What is marked of a consumer's partitions, for who commits it beside the consumer.

use std::sync::Arc;

use super::shared::Shared;
use crate::error::Result;
use crate::group::{self, Offsets};

/// Commits marks when it is told to, from any task.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(super) shared: Arc<Shared>,
    pub(super) group: Arc<group::Shared>,
}

impl Ledger {
    /// Commits what is marked of all partitions that are not being let go, and these offsets in their stead.
    ///
    /// Cancel-safe in that they are committed all the same.
    ///
    /// # Errors
    ///
    /// The coordinator's code, or a time-out.
    pub(crate) async fn commit(&self, instead: Offsets) -> Result<()> {
        let committed = {
            let state = self.shared.lock();
            let marked = state.slots.iter().filter(|slot| slot.assigned);
            let marked = marked.filter_map(|slot| {
                let watermark = slot.track.as_ref()?.watermark()?;
                Some((slot.place.clone(), watermark.into()))
            });
            let mut offsets: Offsets = marked.collect();
            offsets.extend(instead);
            // In line before the lock is given back: a later watermark must not be overtaken.
            self.group.commits.enqueue(offsets)
        };
        committed.await
    }
}
