//! Which core a shard keeps to. It counts all shards of the process, so that several worlds in one process do not
//! pile up on the same cores.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ::glommio::{GlommioError, LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement};

use super::Options;
use crate::shard::ShardId;
use crate::sys;

/// Shards alive in this process, of all worlds.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

/// glommio's own memory for direct IO, of which we do none: its minimum.
const IO_MEMORY_BYTES: usize = 64 << 10;

/// Entries of glommio's rings. Nothing goes through them, but the first ring of a thread decides how many workers the kernel gives
/// it for all: as many at most.
const RING_ENTRIES: usize = 128;

/// With a shorter one glommio 0.9 can lose a wake-up and strand a shard for good (`docs/decisions/0001-glommio-behind-a-seam.md`).
const PREEMPT_TIMER: Duration = Duration::from_secs(24 * 60 * 60);

/// The cores taken by the shards of one world, until all of them have ended.
#[derive(Debug)]
pub(super) struct Cores {
    shards: usize,
    /// One per shard, or none where they are not pinned.
    pinned: Vec<usize>,
}

impl Cores {
    pub(super) fn take(options: &Options) -> Arc<Self> {
        let shards = usize::from(options.shards);
        let before = ALIVE.fetch_add(shards, Ordering::Relaxed);
        let allowed = sys::allowed_cores().unwrap_or_default();
        let pinned = plan(options, &allowed, before);
        Arc::new(Self { shards, pinned })
    }

    /// The executor for one shard, made on its thread. A core that cannot be had is no reason not to start.
    pub(super) fn executor(&self, shard: ShardId) -> Result<LocalExecutor, GlommioError<()>> {
        if let Some(core) = self.pinned.get(shard.index()) {
            match builder(Placement::Fixed(*core)).make() {
                Ok(executor) => return Ok(executor),
                Err(error) => tracing::warn!(%shard, core, %error, "the shard is not pinned"),
            }
        }
        builder(Placement::Unbound).make()
    }
}

/// glommio's error with the system's number in it, where there is one: its own conversion drops that.
pub(super) fn system_error(error: GlommioError<()>) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::from(error),
    }
}

fn builder(placement: Placement) -> LocalExecutorBuilder {
    LocalExecutorBuilder::new(placement)
        .io_memory(IO_MEMORY_BYTES)
        .ring_depth(RING_ENTRIES)
        .preempt_timer(PREEMPT_TIMER)
        .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
}

/// Which core each shard keeps to (none where they are not pinned), when `before` shards of the process are alive already.
fn plan(options: &Options, allowed: &[usize], before: usize) -> Vec<usize> {
    let shards = usize::from(options.shards);
    if !options.pin {
        return Vec::new();
    }
    if !options.cores.is_empty() {
        return options.cores.iter().copied().cycle().take(shards).collect();
    }
    if before + shards > allowed.len() {
        tracing::debug!(
            shards,
            before,
            cores = allowed.len(),
            "too few cores to pin the shards"
        );
        return Vec::new();
    }
    allowed[before..before + shards].to_vec()
}

impl Drop for Cores {
    fn drop(&mut self) {
        ALIVE.fetch_sub(self.shards, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(shards: u16, cores: &[usize], before: usize) -> Vec<usize> {
        let options = Options {
            shards,
            cores: cores.to_vec(),
            ..Options::default()
        };
        plan(&options, &[2, 3, 5, 7], before)
    }

    #[test]
    fn shards_have_cores_of_their_own_where_there_are_enough() {
        assert_eq!(planned(2, &[], 0), [2, 3]);
        assert_eq!(planned(2, &[], 1), [3, 5]);
        assert_eq!(planned(4, &[], 0), [2, 3, 5, 7]);
    }

    #[test]
    fn shards_are_not_pinned_where_there_are_too_few_cores() {
        assert_eq!(planned(5, &[], 0), [0; 0]);
        assert_eq!(planned(1, &[], 4), [0; 0]);
    }

    #[test]
    fn named_cores_are_used_in_turn() {
        assert_eq!(planned(3, &[7, 2], 0), [7, 2, 7]);
        assert_eq!(planned(1, &[7], 1), [7]);
    }
}
