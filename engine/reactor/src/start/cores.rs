//! Which core a shard keeps to. It counts all shards of the process, so that several worlds in one process do not
//! pile up on the same cores.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ::glommio::{LocalExecutorBuilder, Placement, PoolPlacement};

use super::Options;
use crate::sys;

/// Shards alive in this process, of all worlds.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

/// glommio's own memory for direct IO, of which we do none: its minimum.
const IO_MEMORY_BYTES: usize = 64 << 10;

/// Entries per ring. Only syncs, one poll per shard and timers go through them.
const RING_ENTRIES: usize = 128;

/// With a shorter one glommio 0.9 can lose a wake-up and strand a shard for good (`docs/decisions/0001`).
const PREEMPT_TIMER: Duration = Duration::from_secs(24 * 60 * 60);

/// The cores taken by the shards of one world, until all of them have ended.
#[derive(Debug)]
pub(super) struct Cores {
    shards: usize,
    /// One per shard, or none where they are not pinned.
    pinned: Vec<usize>,
    spin: Duration,
}

impl Cores {
    pub(super) fn take(options: &Options) -> Arc<Self> {
        let shards = usize::from(options.shards);
        let before = ALIVE.fetch_add(shards, Ordering::Relaxed);
        let mut pinned = Vec::new();
        let mut spin = options.spin_before_park;
        if options.pin && !options.cores.is_empty() {
            pinned.extend(options.cores.iter().copied().cycle().take(shards));
            if before + shards > options.cores.len() {
                spin = Duration::ZERO;
            }
        } else if options.pin {
            let cores = sys::allowed_cores().unwrap_or_default();
            pinned.extend(cores.into_iter().skip(before).take(shards));
            if pinned.len() < shards {
                tracing::debug!(
                    shards,
                    before,
                    "fewer cores than shards: they are not pinned"
                );
                pinned.clear();
            }
        }
        Arc::new(Self {
            shards,
            pinned,
            spin,
        })
    }

    /// The executor for one shard. One that shares its core does not spin.
    pub(super) fn executor(&self, shard: u16) -> LocalExecutorBuilder {
        let builder = match self.pinned.get(usize::from(shard)) {
            Some(core) => {
                LocalExecutorBuilder::new(Placement::Fixed(*core)).spin_before_park(self.spin)
            }
            None => LocalExecutorBuilder::new(Placement::Unbound),
        };
        builder
            .io_memory(IO_MEMORY_BYTES)
            .ring_depth(RING_ENTRIES)
            .preempt_timer(PREEMPT_TIMER)
            .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        ALIVE.fetch_sub(self.shards, Ordering::Relaxed);
    }
}
