//! Runs a handler: waits for partitions, starts a task for each, and takes care that a partition is let go only when its task
//! and its clean-up are done.
//!
//! ```text
//!  group      assigned                              revoked                                   let go
//!                |                                     |                                         ^
//!  handler     setup ----> consume_claim (a task) ... claim ends ... returns --> cleanup --> commit
//! ```
//!
//! The group's listener is what holds a partition back; so it runs `setup` and `cleanup`.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::claim::{Claim, Home};
use super::pulse::Pulse;
use super::roster::{Roster, Running};
use super::session::Session;
use super::unwind::caught;
use super::{Cleanup, GroupHandler, OnClaimError};
use crate::client::Client;
use crate::consumer::{ConsumerBuilder, PartitionStream, Partitions, Rebalance};
use crate::error::{BoxError, Error, ErrorKind, Result, TopicPartition};
use crate::group::Group;

/// What a run needs to know beside its handler.
pub(super) struct Rules {
    pub(super) on_error: OnClaimError,
    /// How long a claim may take to end once it is revoked.
    pub(super) patience: Duration,
    /// After how long without progress a claim is given up.
    pub(super) stall: Duration,
    pub(super) shutdown_within: Duration,
    pub(super) client: Client,
}

pub(super) struct Driver<H> {
    handler: Arc<H>,
    rules: Arc<Rules>,
    roster: Arc<Roster>,
}

impl<H> Clone for Driver<H> {
    fn clone(&self) -> Self {
        Self {
            handler: Arc::clone(&self.handler),
            rules: Arc::clone(&self.rules),
            roster: Arc::clone(&self.roster),
        }
    }
}

/// How a claim's task came to its end.
enum Outcome {
    /// The claim had ended.
    Over,
    /// It had not, but the handler does not want any more of it.
    Early,
    /// It was revoked, and the handler took too long.
    Overdue,
    Failed(Error),
}

impl<H: GroupHandler> Driver<H> {
    pub(super) fn new(handler: H, rules: Rules) -> Self {
        Self {
            handler: Arc::new(handler),
            rules: Arc::new(rules),
            roster: Roster::new(),
        }
    }

    /// Runs until `shutdown` is ready, or something goes wrong, or a handler is done early.
    pub(super) async fn run(
        self,
        consumer: ConsumerBuilder,
        shutdown: impl Future<Output = ()>,
    ) -> Result<()> {
        let listener = self.clone();
        let told = move |rebalance, group| {
            let listener = listener.clone();
            async move { listener.follow(rebalance, group).await }
        };
        let consumer = consumer.on_rebalance(told).build().await?;
        let mut partitions = consumer.partitions();
        // Nobody has set it before.
        let _ = self.roster.ledger.set(partitions.ledger()?);
        let mut tasks = JoinSet::new();
        let result = self.work(&mut partitions, &mut tasks, shutdown).await;
        let within = self.rules.shutdown_within;
        self.roster.stop(Instant::now() + within / 4 * 3);
        let left = partitions.shutdown(within).await;
        // Those that are not done by now will not be.
        tasks.shutdown().await;
        result.and(left)
    }

    async fn work(
        &self,
        partitions: &mut Partitions,
        tasks: &mut JoinSet<Outcome>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<()> {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                error = self.roster.failed() => return Err(error),
                () = &mut shutdown => return Ok(()),
                Some(ended) = tasks.join_next() => match ended {
                    Ok(Outcome::Over | Outcome::Overdue) => {}
                    Ok(Outcome::Early) => return Ok(()),
                    Ok(Outcome::Failed(error)) => return Err(error),
                    // Panics are caught in the task.
                    Err(error) => return Err(Error::new(ErrorKind::Handler, error.to_string())),
                },
                next = partitions.next() => match next {
                    Ok(Some(stream)) => self.start(partitions, tasks, stream),
                    Ok(None) => return Ok(()),
                    Err(error) if error.is_retriable() => {
                        tracing::warn!(%error, "the group's partitions are not to be had at the moment");
                    }
                    Err(error) => return Err(error),
                },
            }
        }
    }

    /// Begins to read a partition.
    fn start(
        &self,
        partitions: &Partitions,
        tasks: &mut JoinSet<Outcome>,
        stream: PartitionStream,
    ) {
        let Some(group) = partitions.group().filter(|_| !self.roster.has_failed()) else {
            return;
        };
        let running = self.roster.run(stream.place());
        tasks.spawn(self.clone().consume(stream, group, running));
    }

    /// A claim's task.
    async fn consume(self, stream: PartitionStream, group: Group, running: Running) -> Outcome {
        let place = stream.place().clone();
        let mut ended = stream.ended();
        let patience = self.rules.patience;
        let roster = Arc::clone(&self.roster);
        let overdue = async {
            let _ = ended.wait_for(|ended| *ended).await;
            roster.overdue(Instant::now() + patience).await;
        };
        let outcome = tokio::select! {
            outcome = self.attempts(stream, group) => outcome,
            () = overdue => {
                tracing::warn!(%place, "a claim was given up that did not come to its end in time");
                Outcome::Overdue
            }
        };
        drop(running);
        outcome
    }

    /// Reads a claim, again where that is the rule.
    async fn attempts(&self, mut stream: PartitionStream, group: Group) -> Outcome {
        let place = stream.place().clone();
        let ended = stream.ended();
        let home = Arc::new(Home::default());
        let (mut failures, mut mark) = (0, None);
        loop {
            let pulse = Arc::new(Pulse::new());
            let claims = vec![place.clone()];
            let session = Session::new(
                &self.roster,
                group.clone(),
                claims,
                ended.clone(),
                Some(Arc::clone(&pulse)),
            );
            let claim = Claim::new(stream, Arc::clone(&pulse), Arc::clone(&home));
            let work = caught(async { self.handler.consume_claim(&session, claim).await });
            let error = tokio::select! {
                worked = work => match worked {
                    Ok(Ok(())) if *ended.borrow() => return Outcome::Over,
                    Ok(Ok(())) => return Outcome::Early,
                    Ok(Err(error)) => failed(&place, "consume_claim", error.into()),
                    Err(panicked) => failed(&place, "consume_claim", panicked.into()),
                },
                () = pulse.stalled(self.rules.stall) => {
                    let limit = self.rules.stall;
                    Error::timeout(format!(
                        "claim {place} made no progress within {limit:?} (max.poll.interval.ms)"
                    ))
                    .at(&place.topic, place.partition)
                }
            };
            let OnClaimError::Restart(backoff) = &self.rules.on_error else {
                return Outcome::Failed(error);
            };
            let Some(left) = home.take() else {
                if !*ended.borrow() {
                    // The handler keeps it from being read again.
                    return Outcome::Failed(error);
                }
                tracing::warn!(%error, "a claim failed after its end: what is not marked is left to the next member");
                return Outcome::Over;
            };
            stream = left;
            let marked = stream.watermark();
            failures = if marked > mark { 1 } else { failures + 1 };
            mark = marked;
            tracing::warn!(%error, failures, "a claim is read again from its first record that is not marked");
            let mut over = ended.clone();
            tokio::select! {
                () = sleep(backoff.pause(failures, self.rules.client.shared.random())) => {}
                _ = over.wait_for(|ended| *ended) => return Outcome::Over,
            }
            stream.rewind();
        }
    }

    /// What the group wants.
    async fn follow(&self, rebalance: Rebalance, group: Group) {
        match rebalance {
            Rebalance::Assigned(places) => self.set_up(places, group).await,
            Rebalance::Revoked(positions) => {
                let why = match *self.roster.stopping.borrow() {
                    true => Cleanup::Shutdown,
                    false => Cleanup::Revoked,
                };
                let places: Vec<TopicPartition> = positions.into_keys().collect();
                self.clean_up(&places, group, why).await;
            }
            Rebalance::Lost(places) => self.clean_up(&places, group, Cleanup::Lost).await,
        }
    }

    fn session(&self, group: Group, places: &[TopicPartition]) -> Session {
        let stopping = self.roster.stopping.subscribe();
        Session::new(&self.roster, group, places.to_vec(), stopping, None)
    }

    async fn set_up(&self, mut places: Vec<TopicPartition>, group: Group) {
        if places.is_empty() {
            return;
        }
        places.sort();
        self.roster.enter(&places);
        let session = self.session(group, &places);
        match caught(async { self.handler.setup(&session).await }).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.roster.fail(failed(&places[0], "setup", error.into())),
            Err(panicked) => self
                .roster
                .fail(failed(&places[0], "setup", panicked.into())),
        }
    }

    /// Waits for the tasks of these, and cleans up after them.
    async fn clean_up(&self, places: &[TopicPartition], group: Group, why: Cleanup) {
        // The tasks are over in time, see `consume`.
        self.roster.ended(places).await;
        let left = self.roster.leave(places.iter().cloned());
        if !left.is_empty() {
            self.clean_up_left(&left, group, why).await;
        }
        self.roster.close(places);
    }

    async fn clean_up_left(&self, places: &[TopicPartition], group: Group, why: Cleanup) {
        let session = self.session(group, places);
        match caught(async { self.handler.cleanup(&session, why).await }).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self
                .roster
                .fail(failed(&places[0], "cleanup", error.into())),
            Err(panicked) => self
                .roster
                .fail(failed(&places[0], "cleanup", panicked.into())),
        }
    }
}

fn failed(place: &TopicPartition, what: &str, error: BoxError) -> Error {
    match error.downcast_ref::<Error>() {
        // It says more of itself than could be said here.
        Some(told) if told.kind() == &ErrorKind::Handler => told.clone(),
        Some(_) | None => {
            let message = format!("{what} of {place} failed: {error}");
            Error::new(ErrorKind::Handler, message)
                .at(&place.topic, place.partition)
                .with_source(error)
        }
    }
}
