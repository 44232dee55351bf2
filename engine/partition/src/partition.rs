//! One partition on its shard: joins the state, which decides, and the log, which writes.
//!
//! Every decision is one synchronous call under one borrow; whoever was woken by it is told after the borrow has ended.
//! It knows no request and no connection.

mod fresh;

use std::cell::{Cell, RefCell};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use highwater_log::{Log, SyncTicket};
use highwater_reactor::Instant;
use highwater_record::{Batch, LeaderEpoch, Offset};

use crate::admission::{Admission, Origin, Refusal};
use crate::commit::{self, Commit};
use crate::config::Durability;
use crate::host::Host;
use crate::promise::{Committed, Watch};
use crate::snapshot;
use crate::state::{Placement, Promise, Standing, State, Verdict};
use crate::waiters::{Waiters, Woken};

/// How many snapshots of producers are kept: the newest, and two that take over should it not hold.
const SNAPSHOTS_KEPT: usize = 3;

/// A partition; clones share it. Lives on the shard that owns it.
#[derive(Clone)]
pub struct Partition {
    pub(crate) inner: Rc<Inner>,
}

/// What the clones share.
pub(crate) struct Inner {
    pub(crate) host: Host,
    pub(crate) core: RefCell<Core>,
    pub(crate) commit: Commit,
    pub(crate) dir: PathBuf,
    /// Since when there are bytes that no sync has covered.
    unsynced_since: Cell<Option<Instant>>,
    /// Whether the device was full at the last append: said once, and once more when there is room again.
    full: Cell<bool>,
    /// When the last batch was written, or the file could not be left with its batches alone.
    stirred_at: Cell<Instant>,
    /// Bytes written and neither handed to the device nor synced.
    fresh_bytes: Cell<u64>,
    /// Whether it stands in the write-back's list.
    listed: Cell<bool>,
    /// Whether a cleaning has failed for good.
    pub(crate) uncleanable: Cell<bool>,
    /// Whether a snapshot is being written away from the shard, and the newest of those that came meanwhile.
    snapshot_under_way: Cell<bool>,
    snapshot_next: RefCell<Option<Snapshot>>,
}

/// What is borrowed for one decision.
pub(crate) struct Core {
    pub(crate) state: State,
    /// `None` once it was deleted; the state refuses everything then.
    log: Option<Log>,
    pub(crate) promised: Waiters,
    pub(crate) watching: Waiters,
    /// The recovery point that was last given out to be checkpointed.
    pub(crate) offered: Offset,
}

impl Partition {
    pub(crate) fn new(host: Host, state: State, log: Log) -> Partition {
        let dir = log.dir().to_path_buf();
        let opened_at = host.reactor().now();
        let core = Core {
            state,
            log: Some(log),
            promised: Waiters::default(),
            watching: Waiters::default(),
            offered: Offset::ZERO,
        };
        Partition {
            inner: Rc::new(Inner {
                host,
                core: RefCell::new(core),
                commit: Commit::default(),
                dir,
                unsynced_since: Cell::new(None),
                full: Cell::new(false),
                stirred_at: Cell::new(opened_at),
                fresh_bytes: Cell::new(0),
                listed: Cell::new(false),
                uncleanable: Cell::new(false),
                snapshot_under_way: Cell::new(false),
                snapshot_next: RefCell::default(),
            }),
        }
    }

    /// The ordering point: takes a place for the batch and writes it, or says what speaks against it. Synchronous; the
    /// promise is kept later, see [`Partition::committed`].
    ///
    /// # Errors
    /// A [`Refusal`]; neither the log nor what is known of the producer has changed.
    pub fn produce(&self, batch: Batch<'_>, origin: Origin) -> Result<Admission, Refusal> {
        let inner = &self.inner;
        let now = inner.host.reactor().now();
        let now_ms = inner.host.reactor().unix_ms();
        let mut core = inner.core.borrow_mut();
        if inner.host.fence().is_raised() {
            drop(core);
            inner.fenced();
            return Err(inner
                .core
                .borrow()
                .state
                .refusal()
                .unwrap_or(Refusal::Fenced));
        }
        let log_start = core.state.log_start();
        let placement = match core.state.admit(now_ms, batch.header(), origin)? {
            Verdict::Place(placement) => placement,
            Verdict::Repeated(kept) => {
                let log_append_time_ms = core.state.stamps_time().then_some(kept.timestamp_ms);
                return Ok(Admission::Repeated {
                    base: kept.first_offset(),
                    end: kept.last_offset.next(),
                    log_append_time_ms,
                    log_start,
                });
            }
        };
        let placed = if placement.opened {
            let mut repacker = inner.host.repacker().borrow_mut();
            match repacker.repack(batch, &core.state, now_ms)? {
                Some(packed) => core.place(&placement, packed, now, now_ms),
                None => core.place(&placement, batch, now, now_ms),
            }
        } else {
            core.place(&placement, batch, now, now_ms)
        };
        drop(core);
        match placed {
            Ok(placed) => {
                placed.woken.wake();
                let rolled = placed.snapshot.is_some();
                inner.appended(now, batch.len() as u64, rolled);
                if let Some(snapshot) = placed.snapshot {
                    inner.send_snapshot(snapshot);
                }
            }
            Err(error) => return Err(inner.append_failed(&error)),
        }
        Ok(Admission::Placed {
            base: placement.base,
            end: placement.end,
            log_append_time_ms: placement.log_append_time_ms,
            log_start,
        })
    }

    /// Resolves when everything below `end` is as safe as the topic promises: group commits run by themselves.
    /// Dropping the future gives up the wait and nothing else.
    pub fn committed(&self, end: Offset) -> Committed {
        Committed::new(Rc::clone(&self.inner), end)
    }

    /// Whether [`Partition::committed`] would resolve at once, and well.
    pub fn is_committed(&self, end: Offset) -> bool {
        self.inner.core.borrow().state.promise(end) == Promise::Kept
    }

    /// Resolves when a record at or above `from` can be read, or the partition is closed. Dropping the future gives up
    /// the wait and nothing else.
    pub fn watch(&self, from: Offset) -> Watch {
        Watch::new(Rc::clone(&self.inner), from)
    }

    /// The offset up to which records may be read.
    pub fn high_watermark(&self) -> Offset {
        self.inner.core.borrow().state.high_watermark()
    }

    /// The offset below which no transaction is open.
    pub fn last_stable(&self) -> Offset {
        self.inner.core.borrow().state.last_stable()
    }

    /// The first offset that may be read.
    pub fn log_start(&self) -> Offset {
        self.inner.core.borrow().state.log_start()
    }

    /// The offset of the next batch.
    pub fn log_end(&self) -> Offset {
        self.inner.core.borrow().state.log_end()
    }

    /// The offset below which everything is on stable media.
    pub fn durable_end(&self) -> Offset {
        self.inner.core.borrow().state.durable_end()
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        self.inner
            .core
            .borrow()
            .log
            .as_ref()
            .map_or(0, Log::size_bytes)
    }

    /// Bytes that no sync has covered yet.
    pub fn unsynced_bytes(&self) -> u64 {
        self.inner.unsynced_bytes()
    }

    /// The current leader epoch.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.inner.core.borrow().state.leader_epoch()
    }

    /// The directory of its files.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// How many futures wait here.
    pub fn waiters(&self) -> usize {
        let core = self.inner.core.borrow();
        core.promised.len() + core.watching.len()
    }

    /// Whether a failed write or sync has ended all acknowledgements.
    pub fn is_fenced(&self) -> bool {
        self.inner.host.fence().is_raised()
            || self.inner.core.borrow().state.standing() == Standing::Fenced
    }
}

/// What the log's taking a batch brought about.
struct Placed {
    woken: Woken,
    /// A segment was finished: it is synced soon, whatever the level. What was known of the producers then.
    snapshot: Option<Snapshot>,
}

/// What was known of the producers as of `offset`, to be written down.
pub(crate) struct Snapshot {
    offset: Offset,
    bytes: Vec<u8>,
}

impl Core {
    /// The log of a partition that was not deleted: whoever calls has looked at the standing.
    pub(crate) fn log(&self) -> &Log {
        self.log
            .as_ref()
            .expect("only a deleted partition has no log, and it refuses before")
    }

    /// The log, unless the partition was deleted.
    pub(crate) fn log_if_there(&self) -> Option<&Log> {
        self.log.as_ref()
    }

    /// The same, to write.
    pub(crate) fn log_mut(&mut self) -> &mut Log {
        self.log
            .as_mut()
            .expect("only a deleted partition has no log, and it refuses before")
    }

    /// Gives the log away, to be deleted.
    pub(crate) fn take_log(&mut self) -> Option<Log> {
        self.log.take()
    }

    /// Writes a batch to its place. After an error nothing has changed.
    fn place(
        &mut self,
        placement: &Placement,
        batch: Batch<'_>,
        now: Instant,
        now_ms: i64,
    ) -> Result<Placed, highwater_log::Error> {
        let epoch = self.state.leader_epoch();
        let stamped = match placement.log_append_time_ms {
            Some(time_ms) => batch.stamp_log_append_time(placement.base, epoch, time_ms),
            None => batch.stamp(placement.base, epoch),
        };
        let appended = self.log_mut().append(now_ms, &stamped)?;
        let snapshot = appended.rolled.map(|offset| self.snapshot(offset));
        self.state.placed(placement, now);
        Ok(Placed {
            woken: self.told(),
            snapshot,
        })
    }

    /// What is known of the producers, as of `offset`.
    pub(crate) fn snapshot(&self, offset: Offset) -> Snapshot {
        Snapshot {
            offset,
            bytes: snapshot::encode(&self.state.producers),
        }
    }

    /// Writes a snapshot at once. Only a help for the next start: a failure is logged, no more.
    pub(crate) fn write_snapshot(&mut self, Snapshot { offset, bytes }: Snapshot) {
        let log = self.log_mut();
        if let Err(error) = log.write_snapshot(offset, &bytes) {
            tracing::warn!(%error, %offset, dir = %log.dir().display(), "producer snapshot not written");
            return;
        }
        let Ok(offsets) = log.snapshots() else { return };
        let surplus = offsets.len().saturating_sub(SNAPSHOTS_KEPT);
        for offset in offsets.into_iter().take(surplus) {
            if let Err(error) = log.remove_snapshot(offset) {
                tracing::warn!(%error, %offset, dir = %log.dir().display(), "producer snapshot not removed");
            }
        }
    }

    /// Takes out all who wait for what is the case now.
    pub(crate) fn told(&mut self) -> Woken {
        let promised = self.promised.reached(self.state.acknowledged_end());
        promised.and(self.watching.reached(self.state.high_watermark()))
    }
}

impl Inner {
    pub(crate) fn wants_sync(&self, requested: bool) -> bool {
        let core = self.core.borrow();
        core.state.wants_sync()
            || (requested
                && core.state.is_writable()
                && core.state.durable_end() < core.state.log_end())
    }

    pub(crate) fn durable_end(&self) -> Offset {
        self.core.borrow().state.durable_end()
    }

    pub(crate) fn sync_ticket(&self) -> Result<SyncTicket, highwater_log::Error> {
        let ticket = self.core.borrow_mut().log_mut().sync_ticket()?;
        self.fresh_bytes.set(0);
        // What is written from here on is younger than this round.
        if self.unsynced_since.get().is_some() {
            self.unsynced_since.set(Some(self.host.reactor().now()));
        }
        Ok(ticket)
    }

    /// A round has come home, well or not.
    pub(crate) fn synced(&self, ticket: &SyncTicket, outcome: io::Result<()>) {
        let mut core = self.core.borrow_mut();
        if core.log.is_none() {
            return;
        }
        if let Err(error) = core.log_mut().synced(ticket, outcome) {
            drop(core);
            return self.failed("sync", &error);
        }
        let end = core.log().durable_offset();
        core.state.synced(end);
        if core.state.durable_end() == core.state.log_end() {
            self.unsynced_since.set(None);
        }
        let woken = core.told();
        drop(core);
        woken.wake();
    }

    /// Takes the space that the log will soon need, once those whom the last round has woken had their turn.
    pub(crate) async fn take_space(&self) {
        if self
            .core
            .borrow()
            .log
            .as_ref()
            .is_some_and(Log::wants_space)
        {
            self.host.reactor().yield_now().await;
            if let Some(log) = &mut self.core.borrow_mut().log {
                log.take_space();
            }
        }
    }

    /// The directory is fenced: nobody here is promised anything any more.
    pub(crate) fn fenced(&self) {
        let mut core = self.core.borrow_mut();
        core.state.fence();
        let woken = core.promised.everyone();
        drop(core);
        woken.wake();
    }

    /// A write or sync has failed: fences the whole directory.
    pub(crate) fn failed(&self, operation: &str, error: &dyn std::error::Error) {
        self.host.fence().raise(&format!(
            "cannot {operation} {}: {error}",
            self.dir.display()
        ));
        self.fenced();
    }

    fn append_failed(&self, error: &highwater_log::Error) -> Refusal {
        if error.is_retryable() {
            if !self.full.replace(true) {
                tracing::warn!(%error, dir = %self.dir.display(), "no batch is taken for want of room");
            }
            return Refusal::Full;
        }
        self.failed("write", error);
        Refusal::Fenced
    }

    /// A batch of `bytes` was written.
    fn appended(self: &Rc<Inner>, now: Instant, bytes: u64, rolled: bool) {
        if rolled {
            self.commit.request();
        }
        if self.full.replace(false) {
            tracing::info!(dir = %self.dir.display(), "there is room again");
        }
        if self.unsynced_since.get().is_none() {
            self.unsynced_since.set(Some(now));
        }
        self.stirred_at.set(now);
        if !self.listed.replace(true) {
            self.host.write_back().dirtied(self);
        }
        let flushed = self.core.borrow().state.config().durability == Durability::Flushed;
        if !flushed {
            self.fresh_bytes.set(self.fresh_bytes.get() + bytes);
            self.host.write_back().wrote(bytes);
        }
        commit::start(self);
    }

    /// Has a snapshot written away from the shard. While another one is, the newest waits for its turn; a stop, which writes one
    /// of its own, passes it over.
    pub(crate) fn send_snapshot(self: &Rc<Inner>, snapshot: Snapshot) {
        let core = self.core.borrow();
        if core.state.standing() != Standing::Open {
            return;
        }
        if self.snapshot_under_way.replace(true) {
            self.snapshot_next.replace(Some(snapshot));
            return;
        }
        let Snapshot { offset, bytes } = snapshot;
        let written = core.log().send_snapshot(offset, bytes, SNAPSHOTS_KEPT);
        drop(core);
        let inner = Rc::clone(self);
        let noted = async move {
            let written = written.await;
            inner.snapshot_under_way.set(false);
            if let Some(Err(error)) = written {
                tracing::warn!(%error, %offset, dir = %inner.dir.display(), "producer snapshot not written");
            }
            let next = inner.snapshot_next.take();
            if let Some(next) = next {
                inner.send_snapshot(next);
            }
        };
        self.host.reactor().spawn(noted).detach();
    }

    pub(crate) fn request_sync(self: &Rc<Inner>) {
        self.commit.request();
        commit::start(self);
    }
}
