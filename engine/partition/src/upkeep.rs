//! What happens to a partition beside its traffic: retention, deletion of records, other settings, its end.

use std::path::PathBuf;
use std::rc::Rc;

use highwater_log::Log;
use highwater_record::{LeaderEpoch, Offset};
use thiserror::Error as ThisError;

use crate::commit;
use crate::config::Config;
use crate::opening::Error;
use crate::partition::{Core, Inner, Partition, Snapshot};
use crate::plan::FetchRefusal;
use crate::promise::Committed;
use crate::state::Standing;

/// A producer as DescribeProducers shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Its id.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// Sequence of its last record; -1 where none is known.
    pub last_sequence: i32,
    /// Timestamp of its last batch or marker, in milliseconds since 1970.
    pub last_timestamp_ms: i64,
    /// Epoch of the coordinator that wrote its last marker; -1 for none.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction.
    pub transaction_start: Option<Offset>,
}

/// Why records are not deleted.
#[derive(Debug, ThisError)]
pub enum DeleteRefusal {
    /// Beyond the high watermark, or negative and not -1: OFFSET_OUT_OF_RANGE.
    #[error("offset {before} is outside [0, {}]", high_watermark.get())]
    OutOfRange {
        /// What was asked for.
        before: i64,
        /// How far one may delete.
        high_watermark: Offset,
    },
    /// Fenced: KAFKA_STORAGE_ERROR.
    #[error("the log directory is fenced after an i/o failure")]
    Fenced,
    /// Closed or deleted: NOT_LEADER_OR_FOLLOWER.
    #[error("the partition is closed")]
    Closed,
    /// The log's own: KAFKA_STORAGE_ERROR.
    #[error(transparent)]
    Log(#[from] highwater_log::Error),
}

impl Partition {
    /// What is due by time: retention by time and size, rolling by age, forgetting idle producers. To be called every few
    /// seconds or minutes (`log.retention.check.interval.ms`). Returns how many segments were deleted.
    pub fn tick(&self) -> usize {
        let inner = &self.inner;
        let reactor = inner.host.reactor();
        let (now, now_ms) = (reactor.now(), reactor.unix_ms());
        let mut core = inner.core.borrow_mut();
        if core.state.standing() != Standing::Open || inner.host.fence().is_raised() {
            return 0;
        }
        let expiration_ms = core.state.config().producer_id_expiration_ms;
        core.state.producers.expire(now, expiration_ms);
        let done = core.keep_house(now_ms);
        drop(core);
        match done {
            Ok((deleted, snapshot)) => {
                if let Some(snapshot) = snapshot {
                    inner.send_snapshot(snapshot);
                }
                // A segment that was rolled is synced in the background.
                inner.request_sync();
                deleted
            }
            Err(error) if error.is_retryable() => 0,
            Err(error) => {
                inner.failed("upkeep", &error);
                0
            }
        }
    }

    /// Deletes the records before `before`; -1 stands for the high watermark. Returns where the log starts then.
    ///
    /// # Errors
    /// A [`DeleteRefusal`]; nothing was deleted.
    pub fn delete_records(&self, before: i64) -> Result<Offset, DeleteRefusal> {
        let inner = &self.inner;
        let mut core = inner.core.borrow_mut();
        match core.state.standing() {
            Standing::Open if inner.host.fence().is_raised() => return Err(DeleteRefusal::Fenced),
            Standing::Open => {}
            Standing::Fenced => return Err(DeleteRefusal::Fenced),
            Standing::Closing | Standing::Closed => return Err(DeleteRefusal::Closed),
        }
        let high_watermark = core.state.high_watermark();
        let offset = if before == -1 {
            high_watermark
        } else {
            Offset::new(before)
        };
        if offset < Offset::ZERO || offset > high_watermark {
            return Err(DeleteRefusal::OutOfRange {
                before,
                high_watermark,
            });
        }
        if offset > core.state.log_start() {
            let moved = core.log_mut().advance_start(offset);
            let log_start = core.log().start_offset();
            core.state.advance_start(log_start);
            moved?;
        }
        Ok(core.state.log_start())
    }

    /// The producers that are known, by id.
    pub fn active_producers(&self) -> Vec<ActiveProducer> {
        let core = self.inner.core.borrow();
        core.state
            .producers
            .iter()
            .map(|(producer_id, producer)| ActiveProducer {
                producer_id,
                epoch: producer.epoch,
                last_sequence: producer.last_batch().map_or(-1, |kept| kept.last_sequence),
                last_timestamp_ms: producer.last_timestamp_ms,
                coordinator_epoch: producer.coordinator_epoch,
                transaction_start: producer.transaction_first,
            })
            .collect()
    }

    /// Takes other settings, from the next batch on.
    pub fn reconfigure(&self, config: Config) {
        let inner = &self.inner;
        let mut core = inner.core.borrow_mut();
        if core.state.standing() == Standing::Closed {
            return;
        }
        core.log_mut().reconfigure(config.log.clone());
        core.state.reconfigure(config);
        let woken = core.told();
        drop(core);
        woken.wake();
        commit::start(inner);
    }

    /// Moves on to a newer leader epoch, which begins at the log's end.
    ///
    /// # Errors
    /// [`Error::Log`] when the epoch cannot be written down.
    pub fn lead(&self, epoch: LeaderEpoch) -> Result<(), Error> {
        let mut core = self.inner.core.borrow_mut();
        if epoch > core.state.leader_epoch() {
            core.log_mut().assign_epoch(epoch)?;
            core.state.raise_epoch(epoch);
        }
        Ok(())
    }

    /// Takes no batch any more, keeps what was promised, writes the producers' snapshot, and returns the recovery point:
    /// the offset below which nothing needs to be looked at when it is opened again.
    ///
    /// Not to be dropped half-way: the partition would stay closing until it is closed again.
    ///
    /// # Errors
    /// [`Error`] when the last sync fails or the directory is fenced; recovery will then have to look.
    pub async fn close(&self) -> Result<Offset, Error> {
        let inner = &self.inner;
        let closing = inner.core.borrow_mut().state.start_closing();
        if !closing {
            return Err(Error::Fenced);
        }
        commit::start(inner);
        let log_end = inner.core.borrow().state.log_end();
        if Committed::new(Rc::clone(inner), log_end).await.is_err() {
            inner.end();
            return Err(Error::Fenced);
        }
        let closed = inner.finish().await;
        inner.end();
        closed
    }

    /// Ends the partition: everyone who waits is told, and the directory is renamed. Returns its new path, for
    /// `Reactor::remove_large_dir` once `file.delete.delay.ms` is over; `None` when it was deleted before.
    ///
    /// # Errors
    /// [`Error::Log`] when the directory cannot be renamed.
    pub fn delete(&self) -> Result<Option<PathBuf>, Error> {
        let inner = &self.inner;
        inner.end();
        let log = inner.core.borrow_mut().take_log();
        log.map(Log::delete).transpose().map_err(Error::Log)
    }

    /// Checks the epoch a request carries, for who only needs that.
    ///
    /// # Errors
    /// A [`FetchRefusal`] of an epoch that does not fit.
    pub fn check_leader_epoch(&self, believed: Option<LeaderEpoch>) -> Result<(), FetchRefusal> {
        self.inner.core.borrow().state.check_epoch(believed)
    }
}

impl Core {
    /// Returns how many segments were deleted, and a snapshot where one was begun.
    fn keep_house(
        &mut self,
        now_ms: i64,
    ) -> Result<(usize, Option<Snapshot>), highwater_log::Error> {
        let rolled = self.log_mut().roll_if_old(now_ms)?;
        let snapshot = rolled.map(|new_segment| self.snapshot(new_segment));
        let high_watermark = self.state.high_watermark();
        let deleted = self.log_mut().retain(now_ms, high_watermark)?;
        let log_start = self.log().start_offset();
        self.state.advance_start(log_start);
        Ok((deleted.len(), snapshot))
    }
}

impl Inner {
    /// Writes what only a clean end writes.
    async fn finish(&self) -> Result<Offset, Error> {
        // One of them may be about to write the snapshot of the same offset.
        let errands = self.core.borrow().log_if_there().map(Log::end_errands);
        if let Some(errands) = errands {
            errands.await;
        }
        let ticket = {
            let mut core = self.core.borrow_mut();
            if core.log_if_there().is_none() {
                return Err(Error::Fenced);
            }
            let log_end = core.state.log_end();
            let snapshot = core.snapshot(log_end);
            core.write_snapshot(snapshot);
            core.log_mut().close()?
        };
        let outcome = ticket.sync(self.host.reactor()).await;
        self.synced(&ticket, outcome);
        let core = self.core.borrow();
        match core.state.standing() {
            Standing::Closing => Ok(core.state.durable_end()),
            Standing::Open | Standing::Fenced | Standing::Closed => Err(Error::Fenced),
        }
    }

    /// Nobody waits here any more.
    fn end(&self) {
        let mut core = self.core.borrow_mut();
        core.state.close();
        let woken = core.promised.everyone();
        let woken = woken.and(core.watching.everyone());
        drop(core);
        woken.wake();
    }
}
