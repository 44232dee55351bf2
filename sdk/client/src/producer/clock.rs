//! The wall clock to within a millisecond or so, for a load instead of a call: a record carries a
//! time, and asking the system for it costs a fifth of what enqueueing costs.
//!
//! A task keeps it while records are under way and stops when none are; where the task does not get
//! to run, every so many records ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::sleep;

use super::shared::Shared;

const TICK: Duration = Duration::from_millis(1);
/// Ticks without anything under way after which the task stops.
const IDLE_TICKS: u32 = 10;
/// How many records may carry one reading if the task does not come to its turn.
const RECORDS_MAX: u32 = 32;

#[derive(Debug, Default)]
pub(super) struct Clock {
    unix_ms: AtomicI64,
    /// Whether `unix_ms` is kept.
    kept: AtomicBool,
}

impl Clock {
    /// Milliseconds since 1970.
    #[inline]
    pub(super) fn unix_ms(&self) -> i64 {
        if self.kept.load(Ordering::Relaxed) {
            return self.unix_ms.load(Ordering::Relaxed);
        }
        unix_ms()
    }

    /// Record `index` of some batch was given a time.
    #[inline]
    pub(super) fn used(&self, index: u32) {
        if index % RECORDS_MAX == RECORDS_MAX - 1 {
            self.unix_ms.store(unix_ms(), Ordering::Relaxed);
        }
    }

    /// Records are under way: the clock should be kept.
    pub(super) fn keep(shared: &Arc<Shared>) {
        let clock = &shared.clock;
        if clock.kept.load(Ordering::Relaxed) {
            return;
        }
        clock.unix_ms.store(unix_ms(), Ordering::Relaxed);
        if clock.kept.swap(true, Ordering::Relaxed) {
            return;
        }
        let shared = Arc::clone(shared);
        let runtime = shared.runtime.clone();
        runtime.spawn(async move {
            let mut idle = 0;
            while idle < IDLE_TICKS {
                sleep(TICK).await;
                shared.clock.unix_ms.store(unix_ms(), Ordering::Relaxed);
                idle = if shared.memory.is_untouched() {
                    idle + 1
                } else {
                    0
                };
            }
            shared.clock.kept.store(false, Ordering::Relaxed);
        });
    }
}

/// Milliseconds since 1970; a clock before that counts as 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the shell: records carry the wall clock"
)]
fn unix_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
