//! Keeps the window of unsynced bytes small without making anybody wait: hands fresh bytes to the device every 50 ms or
//! 4 MiB, asks for a sync where bytes have grown old, and puts to rest what nothing comes to. One per shard.
//!
//! It decides when, never what: it knows partitions only as things that can be told to start their write-back. With nothing
//! unsynced and everything at rest it has no timer.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use highwater_log::Fresh;
use highwater_reactor::{Instant, Reactor};

use crate::partition::Inner;

/// How often fresh bytes are handed to the device.
const INTERVAL: Duration = Duration::from_millis(50);

/// How many fresh bytes are handed over without waiting for the interval.
const FRESH_BYTES_MAX: u64 = 4 << 20;

/// What a partition must have fresh to be handed over before the interval is over: less is not worth a call of its own.
const WORTHWHILE_BYTES: u64 = 256 << 10;

/// How many partitions are handed over in one interval, in turn: a thousand small ones must not cost a thousand calls.
const PARTITIONS_PER_INTERVAL: usize = 64;

/// How old unsynced bytes become before a sync is asked for, where `flush.ms` does not say less. Write-back alone makes
/// nothing durable: without the journal's commit a power cut takes the file's new length with it.
const AGE_MAX: Duration = Duration::from_secs(5);

/// How long nothing has come to a partition that is put to rest: its file then holds its batches and nothing else. What comes
/// later has to take space anew, so not after every pause.
const IDLE: Duration = Duration::from_secs(5);

/// A shard's write-back.
#[derive(Clone)]
pub(crate) struct WriteBack {
    shared: Rc<Shared>,
}

struct Shared {
    reactor: Reactor,
    pending: RefCell<Pending>,
    /// Whether a job of the blocking pool is under way.
    starting: Cell<bool>,
}

#[derive(Default)]
struct Pending {
    /// Partitions with unsynced bytes, or not at rest, in the order in which they got them.
    dirty: Vec<Weak<Inner>>,
    fresh_bytes: u64,
    /// Where in the list the next interval begins.
    turn: usize,
    ticking: bool,
}

impl WriteBack {
    pub(crate) fn new(reactor: Reactor) -> WriteBack {
        WriteBack {
            shared: Rc::new(Shared {
                reactor,
                pending: RefCell::default(),
                starting: Cell::new(false),
            }),
        }
    }

    /// A partition was clean and is not any more.
    pub(crate) fn dirtied(&self, partition: &Rc<Inner>) {
        let mut pending = self.shared.pending.borrow_mut();
        pending.dirty.push(Rc::downgrade(partition));
        if !pending.ticking {
            pending.ticking = true;
            self.shared.reactor.spawn(tick(self.clone())).detach();
        }
    }

    /// That many bytes were written by a partition that does not sync them itself.
    pub(crate) fn wrote(&self, bytes: u64) {
        let mut pending = self.shared.pending.borrow_mut();
        pending.fresh_bytes += bytes;
        if pending.fresh_bytes < FRESH_BYTES_MAX {
            return;
        }
        pending.fresh_bytes = 0;
        drop(pending);
        let dirty = self.dirty();
        let worthwhile = |partition: &&Rc<Inner>| partition.fresh_bytes() >= WORTHWHILE_BYTES;
        self.start(dirty.iter().filter(worthwhile));
    }

    /// Bytes that no sync has covered, over all partitions.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.dirty()
            .iter()
            .map(|partition| partition.unsynced_bytes())
            .sum()
    }

    /// Age of the oldest of them.
    pub(crate) fn oldest_unsynced_ms(&self) -> u64 {
        let now = self.shared.reactor.now();
        let age = self
            .dirty()
            .iter()
            .map(|partition| partition.unsynced_age(now))
            .max();
        u64::try_from(age.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
    }

    fn dirty(&self) -> Vec<Rc<Inner>> {
        self.shared
            .pending
            .borrow()
            .dirty
            .iter()
            .filter_map(Weak::upgrade)
            .collect()
    }

    /// Has write-back started for what these have fresh, on the blocking pool: where the device is busy the call takes its
    /// time, and produces would wait for it. One job at a time; what comes meanwhile goes with the next.
    fn start<'p>(&self, partitions: impl Iterator<Item = &'p Rc<Inner>>) {
        if self.shared.starting.get() {
            return;
        }
        let (asked, fresh): (Vec<_>, Vec<_>) = partitions
            .filter_map(|partition| Some((Rc::downgrade(partition), partition.take_fresh()?)))
            .unzip();
        if fresh.is_empty() {
            return;
        }
        self.shared.starting.set(true);
        let shared = Rc::clone(&self.shared);
        let job = async move {
            let start_all = move || fresh.iter().map(Fresh::start_writeback).collect::<Vec<_>>();
            let started = shared.reactor.unblock(start_all).await;
            shared.starting.set(false);
            for (partition, started) in asked.iter().zip(started) {
                if let Some(partition) = partition.upgrade() {
                    partition.wrote_back(started);
                }
            }
        };
        self.shared.reactor.spawn(job).detach();
    }

    /// Starts write-back of what is fresh, of so many partitions.
    fn hand_over(&self) {
        let dirty = self.dirty();
        let turn = {
            let mut pending = self.shared.pending.borrow_mut();
            pending.fresh_bytes = 0;
            let turn = pending.turn % dirty.len().max(1);
            pending.turn = turn + PARTITIONS_PER_INTERVAL.min(dirty.len());
            turn
        };
        let in_turn = dirty[turn..].iter().chain(&dirty[..turn]);
        let in_turn = in_turn.take(PARTITIONS_PER_INTERVAL);
        self.start(in_turn.filter(|partition| partition.fresh_bytes() > 0));
    }

    /// Puts one partition to rest to which nothing comes, forgets the clean, and asks the oldest one that is due for a sync: one
    /// at a time, because the one may wait for the device, and so that a thousand partitions do not all sync at once. Returns
    /// whether anything is left.
    fn look_after(&self, now: Instant) -> bool {
        let mut dirty = self.dirty();
        if let Some(idle) = dirty.iter().find(|one| one.may_rest(now, IDLE)) {
            idle.rest();
        }
        dirty.retain(|partition| partition.stays_listed());
        self.shared.pending.borrow_mut().dirty = dirty.iter().map(Rc::downgrade).collect();
        let due = dirty
            .iter()
            .filter(|partition| partition.is_dirty())
            .map(|partition| (partition.unsynced_age(now), partition))
            .filter(|(age, partition)| *age >= AGE_MAX.min(partition.flush_interval()))
            .max_by_key(|(age, _)| *age);
        if let Some((_, partition)) = due {
            partition.request_sync();
        }
        // Those with a limit of their own do not wait for their turn.
        for partition in &dirty {
            if partition.is_dirty() && partition.unsynced_age(now) >= partition.flush_interval() {
                partition.request_sync();
            }
        }
        !dirty.is_empty()
    }
}

async fn tick(write_back: WriteBack) {
    loop {
        write_back.shared.reactor.sleep(INTERVAL).await;
        write_back.hand_over();
        if !write_back.look_after(write_back.shared.reactor.now()) {
            break;
        }
    }
    write_back.shared.pending.borrow_mut().ticking = false;
}
