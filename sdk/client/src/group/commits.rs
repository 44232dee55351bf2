//! Commits of one consumer: one request under way at a time, so that a later offset is never overtaken by an earlier one; what
//! comes meanwhile rides the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use highwater_wire::ErrorCode;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{Committed, Retry, Shared, commit_offsets};
use crate::consumer::Commit;
use crate::error::{Error, Result, TopicPartition};
use crate::telemetry::measure;

/// So many waiters are not worth looking through.
const WAITERS_KEPT: usize = 64;

pub(crate) type Offsets = BTreeMap<TopicPartition, Committed>;

/// What waits to be committed.
#[derive(Debug)]
pub(crate) struct Commits {
    queue: Mutex<Queue>,
    enqueued: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    /// The latest of each partition.
    offsets: Offsets,
    waiters: Vec<Waiter>,
    /// At how many waiters to look for those that nobody waits for.
    purge_at: usize,
    /// Whether there is a next round.
    is_asked: bool,
    closed: bool,
}

#[derive(Debug)]
struct Waiter {
    places: BTreeSet<TopicPartition>,
    done: oneshot::Sender<Result<()>>,
}

impl Commits {
    pub(super) fn new() -> Self {
        Self {
            queue: Mutex::default(),
            enqueued: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts offsets in line. What it returns waits until they, and all before them, are committed; without it being polled they
    /// are committed all the same.
    pub(crate) fn enqueue(
        &self,
        offsets: Offsets,
    ) -> impl Future<Output = Result<()>> + Send + use<> {
        let places = offsets.keys().cloned().collect();
        let (done, committed) = oneshot::channel();
        {
            let mut queue = self.lock();
            if !queue.closed {
                queue.offsets.extend(offsets);
                queue.is_asked = true;
                if queue.waiters.len() >= queue.purge_at {
                    // Those that nobody waits for leave no trace but their offsets.
                    queue.waiters.retain(|waiter| !waiter.done.is_closed());
                    queue.purge_at = (2 * queue.waiters.len()).max(WAITERS_KEPT);
                }
                queue.waiters.push(Waiter { places, done });
            }
        }
        self.enqueued.notify_one();
        async move {
            committed
                .await
                .unwrap_or_else(|_| Err(Error::closed("consumer")))
        }
    }

    /// Nothing comes any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.enqueued.notify_one();
    }

    /// The next round, once there is one; `None` after the last.
    async fn next(&self) -> Option<(Offsets, Vec<Waiter>)> {
        loop {
            {
                let mut queue = self.lock();
                if std::mem::take(&mut queue.is_asked) {
                    return Some((
                        std::mem::take(&mut queue.offsets),
                        std::mem::take(&mut queue.waiters),
                    ));
                }
                if queue.closed {
                    return None;
                }
            }
            self.enqueued.notified().await;
        }
    }
}

/// Commits until the consumer is closed; then the member leaves.
pub(super) async fn run(group: Arc<Shared>) {
    let by_itself = matches!(group.config.commit, Commit::OnPoll { .. }) && group.is_member();
    let every = group
        .config
        .commit
        .every()
        .unwrap_or(Duration::from_secs(3600));
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = tokio::select! {
            next = group.commits.next() => next,
            _ = ticks.tick(), if by_itself => {
                group.commit_now();
                continue;
            }
        };
        let Some((offsets, waiters)) = next else {
            break;
        };
        let mut errors = commit(&group, offsets).await;
        for Waiter { places, done } in waiters {
            let error = places.iter().find_map(|place| errors.get(place));
            let _ = done.send(error.cloned().map_or(Ok(()), Err));
        }
        errors.retain(|_, error| error.code() != Some(ErrorCode::IllegalGeneration));
        if let Some((_, error)) = errors.first_key_value() {
            tracing::warn!(group = &*group.id, partitions = errors.len(), %error, "commit failed");
        }
    }
    if let Some(mut member) = group.member() {
        member.leave();
    }
    group.wake.notify_one();
}

/// Commits one round, again and again while that may help; what did not become of it.
async fn commit(group: &Shared, mut left: Offsets) -> BTreeMap<TopicPartition, Error> {
    let mut errors = BTreeMap::new();
    let mut retry = Retry::within(group.client.shared.config().api_timeout);
    loop {
        let identity = match group.member() {
            None => None,
            Some(member) => {
                // What went to another member is that one's to commit.
                let gone = left.extract_if(.., |place, _| !member.owned().contains(place));
                for (place, _) in gone {
                    let error = Error::broker(
                        ErrorCode::IllegalGeneration,
                        Some("partition is not this member's any more"),
                    );
                    let error = error.at(&place.topic, place.partition);
                    errors.insert(place, error);
                }
                member.identity().cloned()
            }
        };
        if left.is_empty() {
            return errors;
        }
        let instance = group.config.instance_id.as_deref();
        let asked = async {
            let connection = group.coordinator.connection().await?;
            commit_offsets(&connection, &group.id, identity.as_ref(), instance, &left).await
        };
        let span = tracing::debug_span!("commit", group = &*group.id, partitions = left.len());
        let asked = tracing::Instrument::instrument(asked, span).await;
        let is_done = |codes: &BTreeMap<_, ErrorCode>| codes.values().all(|code| !code.is_error());
        measure::committed(asked.as_ref().is_ok_and(is_done));
        let codes = match asked {
            Ok(codes) => codes,
            Err(error) => {
                let failed = |place: &TopicPartition| {
                    (
                        place.clone(),
                        error.clone().at(&place.topic, place.partition),
                    )
                };
                errors.extend(left.keys().map(failed));
                BTreeMap::new()
            }
        };
        for (place, code) in codes {
            if code.is_error() {
                let error = Error::broker(code, None).at(&place.topic, place.partition);
                errors.insert(place, error);
            } else {
                errors.remove(&place);
                left.remove(&place);
            }
        }
        if let Some(identity) = &identity {
            let codes: BTreeSet<i16> = errors
                .values()
                .filter_map(|error| Some(error.code()?.id()))
                .collect();
            codes
                .iter()
                .for_each(|code| group.refused(identity, ErrorCode::from_id(*code)));
        }
        // A generation that passed while the request was under way does not matter to what is still ours.
        let current = group.identity();
        let passed = identity.is_some() && current.is_some() && identity != current;
        left.retain(|place, _| {
            errors
                .get(place)
                .is_some_and(|error| Retry::may_help(error) || (passed && is_stale(error)))
        });
        let Some(error) = left.keys().find_map(|place| errors.get(place)).cloned() else {
            return errors;
        };
        let closed = group.commits.lock().closed;
        if !passed && (closed || retry.after(error, &group.coordinator).await.is_err()) {
            return errors;
        }
        // Only what the next attempt says counts.
        errors.retain(|place, _| !left.contains_key(place));
    }
}

fn is_stale(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(
            ErrorCode::IllegalGeneration | ErrorCode::UnknownMemberId | ErrorCode::StaleMemberEpoch
        )
    )
}
