//! Which core a shard keeps to. It counts all shards of the process, so that several worlds in one process do not
//! pile up on the same cores.

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

/// Entries per ring. Only syncs, one poll per shard and timers go through them.
const RING_ENTRIES: usize = 128;

/// With a shorter one glommio 0.9 can lose a wake-up and strand a shard for good (`docs/decisions/0001-glommio-behind-a-seam.md`).
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
        let allowed = sys::allowed_cores().unwrap_or_default();
        let (pinned, spin) = plan(options, &allowed, before);
        Arc::new(Self {
            shards,
            pinned,
            spin,
        })
    }

    /// How long each shard spins before it sleeps.
    pub(super) fn spin(&self) -> Duration {
        self.spin
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

fn builder(placement: Placement) -> LocalExecutorBuilder {
    LocalExecutorBuilder::new(placement)
        .io_memory(IO_MEMORY_BYTES)
        .ring_depth(RING_ENTRIES)
        .preempt_timer(PREEMPT_TIMER)
        .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
}

/// Which core each shard keeps to (none where they are not pinned), and how long it spins there, when `before` shards
/// of the process are alive already.
fn plan(options: &Options, allowed: &[usize], before: usize) -> (Vec<usize>, Duration) {
    let shards = usize::from(options.shards);
    if !options.pin {
        return (Vec::new(), Duration::ZERO);
    }
    if !options.cores.is_empty() {
        let shared = before + shards > options.cores.len();
        let spin = if shared {
            Duration::ZERO
        } else {
            options.spin_before_park
        };
        return (
            options.cores.iter().copied().cycle().take(shards).collect(),
            spin,
        );
    }
    if before + shards > allowed.len() {
        tracing::debug!(
            shards,
            before,
            cores = allowed.len(),
            "too few cores to pin the shards"
        );
        return (Vec::new(), Duration::ZERO);
    }
    // Where no core is left over, the kernel's workers and whoever is at the other end of the connections run on the
    // shards' own cores, and spinning takes from them.
    let all_taken = before + shards == allowed.len();
    let spin = if all_taken {
        Duration::ZERO
    } else {
        options.spin_before_park
    };
    (allowed[before..before + shards].to_vec(), spin)
}

impl Drop for Cores {
    fn drop(&mut self) {
        ALIVE.fetch_sub(self.shards, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(shards: u16, cores: &[usize], before: usize) -> (Vec<usize>, bool) {
        let options = Options {
            shards,
            cores: cores.to_vec(),
            ..Options::default()
        };
        let (pinned, spin) = plan(&options, &[2, 3, 5, 7], before);
        (pinned, spin > Duration::ZERO)
    }

    #[test]
    fn shards_have_cores_of_their_own_where_there_are_enough() {
        assert_eq!(planned(2, &[], 0), (vec![2, 3], true));
        assert_eq!(planned(2, &[], 1), (vec![3, 5], true));
    }

    #[test]
    fn shards_do_not_spin_where_no_core_is_left_for_others() {
        assert_eq!(planned(4, &[], 0), (vec![2, 3, 5, 7], false));
        assert_eq!(planned(2, &[], 2), (vec![5, 7], false));
    }

    #[test]
    fn shards_are_not_pinned_where_there_are_too_few_cores() {
        assert_eq!(planned(5, &[], 0), (vec![], false));
        assert_eq!(planned(1, &[], 4), (vec![], false));
    }

    #[test]
    fn named_cores_are_used_in_turn_and_without_spinning_when_shared() {
        assert_eq!(planned(3, &[7, 2], 0), (vec![7, 2, 7], false));
        assert_eq!(planned(2, &[7, 2], 0), (vec![7, 2], true));
        assert_eq!(planned(1, &[7], 1), (vec![7], false));
    }
}
