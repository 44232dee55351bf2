//! Compaction of one partition: how dirty it is, and one cleaning of it.
//!
//! It knows up to where a reader may see, and which batches hold a producer's last sequence. When a partition is cleaned, the
//! keeper of the shard decides; how, the log.

use std::rc::Rc;

use highwater_log::Log;
use highwater_log::compaction::{
    Access, Cleaned, Dirt, LastBatch, LastBatches, Pace, Workshop, clean,
};
use highwater_record::Offset;

use crate::partition::{Core, Inner, Partition};
use crate::state::Standing;

impl Partition {
    /// How dirty the partition is; `None` unless it is compacted, open, and can be cleaned.
    pub fn dirt(&self) -> Option<Dirt> {
        let inner = &self.inner;
        if inner.uncleanable.get() || inner.host.fence().is_raised() {
            return None;
        }
        let core = inner.core.borrow();
        if core.state.standing() != Standing::Open {
            return None;
        }
        let dirt = core
            .log()
            .dirt(inner.host.reactor().unix_ms(), core.cleanable_end());
        drop(core);
        match dirt {
            Ok(dirt) => dirt,
            Err(error) => {
                inner.give_up_cleaning(&error);
                None
            }
        }
    }

    /// Cleans it as far as `dirt` says and the workshop's map has room. `Ok(None)`: there was nothing to do, or the partition
    /// was closed or reconfigured meanwhile. One cleaning at a time. Dropping the future gives the cleaning up.
    ///
    /// # Errors
    /// The log's. After one that another try would not mend the partition is not cleaned any more; its reads and writes go on.
    pub async fn compact(
        &self,
        workshop: &mut Workshop,
        dirt: &Dirt,
        pace: Pace,
    ) -> Result<Option<Cleaned>, highwater_log::Error> {
        let inner = &self.inner;
        let reactor = inner.host.reactor();
        let access = Cleaning(inner);
        let cleaned = clean(reactor, &access, workshop, dirt, pace, reactor.unix_ms()).await;
        if let Err(error) = &cleaned {
            match error {
                highwater_log::Error::Full { .. } => {}
                highwater_log::Error::Failed { .. } | highwater_log::Error::Fenced { .. } => {
                    inner.failed("compact", error);
                }
                highwater_log::Error::Unreadable { .. }
                | highwater_log::Error::Corrupt { .. }
                | highwater_log::Error::TooLarge { .. }
                | highwater_log::Error::TopicId { .. } => inner.give_up_cleaning(error),
            }
        }
        cleaned
    }

    /// Whether a cleaning has failed for good: the partition grows until the broker is started again.
    pub fn is_uncleanable(&self) -> bool {
        self.inner.uncleanable.get()
    }

    /// Everything below has been cleaned: the row of `cleaner-offset-checkpoint`; `None` unless the partition is compacted.
    pub fn cleaned_offset(&self) -> Option<Offset> {
        let core = self.inner.core.borrow();
        let log = core.log_if_there()?;
        log.config().compact.then(|| log.cleaned_offset())
    }

    /// Takes what `cleaner-offset-checkpoint` says of the partition; believed where it fits the log.
    pub fn set_cleaned_offset(&self, cleaned: Offset) {
        let mut core = self.inner.core.borrow_mut();
        if core.log_if_there().is_some() {
            core.log_mut().set_cleaned_offset(cleaned);
        }
    }

    /// The offset below which everything is on stable media, to be checkpointed: [`Partition::checkpoint_written`] says when
    /// it is.
    pub fn offer_recovery_point(&self) -> Offset {
        let mut core = self.inner.core.borrow_mut();
        core.offered = core.state.durable_end();
        core.offered
    }

    /// The recovery point offered last has been written down. What lies below it may be cleaned.
    pub fn checkpoint_written(&self) {
        let mut core = self.inner.core.borrow_mut();
        let offered = core.offered;
        if core.state.standing() == Standing::Open {
            core.log_mut().checkpointed(offered);
        }
    }
}

impl Core {
    /// What lies at or above it may still change its meaning: it is not safe yet, or its transaction is open.
    fn cleanable_end(&self) -> Offset {
        let producers = self.state.producers.iter();
        let open = producers.filter_map(|(_, producer)| producer.transaction_first);
        open.chain([self.state.high_watermark(), self.state.last_stable()])
            .min()
            .unwrap_or(Offset::ZERO)
    }
}

impl Inner {
    fn give_up_cleaning(&self, error: &highwater_log::Error) {
        if !self.uncleanable.replace(true) {
            tracing::error!(%error, dir = %self.dir.display(), "the log cannot be compacted and is left as it is");
        }
    }
}

/// A partition as a cleaning reaches it.
struct Cleaning<'a>(&'a Rc<Inner>);

impl Access for Cleaning<'_> {
    fn with<R>(&self, step: impl FnOnce(&mut Log) -> R) -> Option<R> {
        let Cleaning(inner) = self;
        if inner.host.fence().is_raised() {
            return None;
        }
        let mut core = inner.core.borrow_mut();
        let wanted = core.state.standing() == Standing::Open && core.state.config().log.compact;
        wanted.then(|| step(core.log_mut()))
    }

    fn last_batches(&self) -> LastBatches {
        let core = self.0.core.borrow();
        let producers = core.state.producers.iter();
        producers
            .map(|(producer_id, producer)| {
                let last = LastBatch {
                    data: producer.last_batch().map(|kept| kept.last_offset),
                    epoch: producer.epoch,
                };
                (producer_id, last)
            })
            .collect()
    }
}
