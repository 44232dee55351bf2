//! When a group is told how far its consumer has come. What is dealt with is for
//! [`Progress`](crate::core::consumer::progress::Progress) to know; asking the coordinator for the group.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::shared::{Shared, State};
use crate::group;

/// When what was handed out counts as dealt with, and when that is committed to the group.
///
/// | | dealt with is | committed |
/// |---|---|---|
/// | `Watermark` | what lies before the first record without a `done()` | every so often |
/// | `Manual` | what [`commit`](crate::Consumer::commit) and [`Group::commit`](crate::Group::commit) say | then |
/// | `OnPoll` | what was handed out before the application asked for more, as in Java | every so often |
/// | `EachBatch` | the same | with each batch |
///
/// All but `Manual` commit once more before a partition is let go and at the
/// [shutdown](crate::Consumer::shutdown). `OnPoll` and `EachBatch` lose records when the application deals with them
/// elsewhere than between two calls: then `Watermark` is the one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// Records are [marked](crate::ConsumerRecord::done) one by one or [by the batch](crate::RecordBatch::done), in any
    /// order and from any task; the lowest offset that is not marked is committed. Without a mark that is the place where
    /// reading began.
    Watermark {
        /// How often.
        every: Duration,
    },
    /// Nothing is committed that the application does not commit.
    Manual,
    /// Java's `enable.auto.commit=true`.
    OnPoll {
        /// How often (`auto.commit.interval.ms`).
        every: Duration,
    },
    /// When the application asks for what comes after a batch, the batch is committed. It does not wait for that: commits that
    /// come meanwhile become one.
    EachBatch,
}

/// Kafka's `auto.commit.interval.ms`.
const EVERY: Duration = Duration::from_secs(5);

impl Default for Commit {
    fn default() -> Self {
        Self::Watermark { every: EVERY }
    }
}

impl Commit {
    /// How often something is to be committed.
    pub(crate) fn every(self) -> Option<Duration> {
        match self {
            Self::Watermark { every } | Self::OnPoll { every } => {
                Some(every.max(Duration::from_millis(1)))
            }
            Self::Manual | Self::EachBatch => None,
        }
    }

    /// The same, `every` so often where it has an interval.
    pub(crate) fn with_interval(self, every: Duration) -> Self {
        match self {
            Self::Watermark { .. } => Self::Watermark { every },
            Self::OnPoll { .. } => Self::OnPoll { every },
            Self::Manual | Self::EachBatch => self,
        }
    }

    /// Java's setting of that name, with the interval set before.
    pub(crate) fn auto(self, enable: bool) -> Self {
        match enable {
            true => Self::OnPoll {
                every: self.every().unwrap_or(EVERY),
            },
            false => Self::Manual,
        }
    }

    pub(crate) fn is_watermark(self) -> bool {
        matches!(self, Self::Watermark { .. })
    }
}

/// Commits watermarks every so often, until the consumer is dropped.
pub(super) async fn watermarks(shared: Weak<Shared>, group: Arc<group::Shared>, commit: Commit) {
    let Some(every) = commit.every() else {
        return;
    };
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut doubt = Doubt::default();
    loop {
        ticks.tick().await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let mut state = shared.lock();
        let offsets = state.moved_watermarks();
        if commit.is_watermark() && doubt.grows(&state) {
            tracing::warn!(
                group = group.id(),
                "no record was marked as done since the consumer began, so only the place where reading began is committed: \
                 call done() on records or batches, or choose another commit strategy"
            );
        }
        if offsets.is_empty() {
            continue;
        }
        // In line before the lock is given back: a later watermark must not be overtaken.
        let outcome = group.commits.enqueue(offsets.clone());
        drop(state);
        let shared = Arc::downgrade(&shared);
        tokio::spawn(async move {
            // What comes to nothing is logged, and goes with the next.
            if outcome.await.is_err()
                && let Some(shared) = shared.upgrade()
            {
                shared.lock().not_committed(&offsets);
            }
        });
    }
}

/// Whether the application knows that it has to mark what it dealt with.
#[derive(Debug, Default)]
struct Doubt {
    is_settled: bool,
    was_outstanding: bool,
}

impl Doubt {
    /// Whether it is time to say something; that is once.
    fn grows(&mut self, state: &State) -> bool {
        if self.is_settled {
            return false;
        }
        let tracks = || state.slots.iter().filter_map(|slot| slot.track.as_ref());
        self.is_settled = tracks().any(|track| track.is_used());
        let is_outstanding = tracks().any(|track| track.is_outstanding());
        let says = !self.is_settled && is_outstanding && self.was_outstanding;
        self.is_settled |= says;
        self.was_outstanding = is_outstanding;
        says
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_properties_mean_javas_strategy_in_any_order() {
        let every = Duration::from_secs(1);
        assert_eq!(
            Commit::default().with_interval(every).auto(true),
            Commit::OnPoll { every }
        );
        assert_eq!(
            Commit::default().auto(true).with_interval(every),
            Commit::OnPoll { every }
        );
        assert_eq!(
            Commit::default().with_interval(every),
            Commit::Watermark { every }
        );
        assert_eq!(
            Commit::default().auto(false).with_interval(every),
            Commit::Manual
        );
    }
}
