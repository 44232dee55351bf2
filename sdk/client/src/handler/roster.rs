//! What a run's driver, its claims' tasks and its sessions share: which claims there are, and why the run has to end. What is
//! marked of them lies with the consumer, who alone commits it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::consumer::Ledger;
use crate::error::{Error, Result, TopicPartition};
use crate::group::Committed;

#[derive(Debug)]
pub(super) struct Roster {
    /// Claims that a task is working on.
    running: watch::Sender<BTreeSet<TopicPartition>>,
    /// Claims from before they are set up until after they are cleaned up. Superset of `running`.
    held: Mutex<Held>,
    /// Why the run has to end.
    fault: watch::Sender<Option<Error>>,
    /// Whether the run is stopped.
    pub(super) stopping: watch::Sender<bool>,
    /// When claims have to be done at the latest, once the run is stopped.
    deadline: watch::Sender<Option<Instant>>,
    /// Where offsets are marked and committed; there once the consumer is.
    pub(super) ledger: OnceLock<Ledger>,
}

#[derive(Debug, Default)]
struct Held {
    claims: BTreeMap<TopicPartition, Tenure>,
    /// How many terms have begun.
    terms: u64,
}

#[derive(Debug)]
struct Tenure {
    term: Term,
    /// Whether somebody cleans it up, or has.
    is_left: bool,
}

/// One time that a partition is this member's: what is said of another is too late, or too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Term(u64);

impl Roster {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            running: watch::Sender::default(),
            held: Mutex::default(),
            fault: watch::Sender::default(),
            stopping: watch::Sender::new(false),
            deadline: watch::Sender::default(),
            ledger: OnceLock::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These are about to be set up.
    pub(super) fn enter(&self, places: &[TopicPartition]) {
        if let Some(ledger) = self.ledger.get() {
            ledger.expect(places);
        }
        let mut held = self.lock();
        for place in places {
            held.terms += 1;
            let tenure = Tenure {
                term: Term(held.terms),
                is_left: false,
            };
            held.claims.insert(place.clone(), tenure);
        }
    }

    /// Those of `places` that have to be cleaned up; nobody else is told that.
    pub(super) fn leave(
        &self,
        places: impl IntoIterator<Item = TopicPartition>,
    ) -> Vec<TopicPartition> {
        let mut held = self.lock();
        let mut leave = |place: &TopicPartition| {
            let tenure = held.claims.get_mut(place);
            tenure.is_some_and(|tenure| !std::mem::replace(&mut tenure.is_left, true))
        };
        let mut left: Vec<TopicPartition> = places.into_iter().filter(&mut leave).collect();
        left.sort();
        left
    }

    /// Nothing more can be said of these.
    pub(super) fn close(&self, places: &[TopicPartition]) {
        let mut held = self.lock();
        for place in places {
            held.claims.remove(place);
        }
    }

    /// What is set up and not cleaned up, in order.
    pub(super) fn held(&self) -> Vec<TopicPartition> {
        let held = self.lock();
        let claims = held.claims.iter().filter(|(_, tenure)| !tenure.is_left);
        claims.map(|(place, _)| place.clone()).collect()
    }

    /// Which time this is that the partition is this member's; `None` when it is not.
    pub(super) fn term(&self, place: &TopicPartition) -> Option<Term> {
        Some(self.lock().claims.get(place)?.term)
    }

    /// A task works on this claim until what this returns is dropped.
    pub(super) fn run(self: &Arc<Self>, place: &TopicPartition) -> Running {
        self.running.send_modify(|running| {
            running.insert(place.clone());
        });
        Running {
            roster: Arc::clone(self),
            place: place.clone(),
        }
    }

    /// Waits until no task works on any of these.
    pub(super) async fn ended(&self, places: &[TopicPartition]) {
        let is_over = |running: &BTreeSet<TopicPartition>| {
            !places.iter().any(|place| running.contains(place))
        };
        let mut running = self.running.subscribe();
        // The sender is here: there is no error.
        let _ = running.wait_for(is_over).await;
    }

    /// The run has to end, unless it has to already.
    pub(super) fn fail(&self, error: Error) {
        self.fault.send_if_modified(|fault| {
            let is_first = fault.is_none();
            fault.get_or_insert(error);
            is_first
        });
    }

    pub(super) fn has_failed(&self) -> bool {
        self.fault.borrow().is_some()
    }

    /// Waits until the run has to end.
    pub(super) async fn failed(&self) -> Error {
        let mut fault = self.fault.subscribe();
        loop {
            if let Some(error) = &*fault.borrow_and_update() {
                return error.clone();
            }
            // The sender is here: there is no error.
            let _ = fault.changed().await;
        }
    }

    /// Claims have to be done by then.
    pub(super) fn stop(&self, deadline: Instant) {
        self.stopping.send_replace(true);
        self.deadline.send_replace(Some(deadline));
    }

    /// Waits until `own`, or until claims have to be done.
    pub(super) async fn overdue(&self, own: Instant) {
        let mut deadline = self.deadline.subscribe();
        loop {
            let first = match *deadline.borrow_and_update() {
                Some(deadline) => own.min(deadline),
                None => own,
            };
            tokio::select! {
                () = sleep_until(first) => return,
                _ = deadline.changed() => {}
            }
        }
    }

    /// Takes note of an offset to commit, the highest so far, or this one in any case.
    pub(super) fn say(&self, place: &TopicPartition, committed: Committed, in_any_case: bool) {
        if let Some(ledger) = self.ledger.get() {
            ledger.say(place, committed, in_any_case);
        }
    }

    /// Commits what is marked, by number or record by record, of all partitions.
    pub(super) async fn commit(&self) -> Result<()> {
        match self.ledger.get() {
            Some(ledger) => ledger.commit().await,
            None => Ok(()),
        }
    }
}

/// A task works on a claim as long as this is there.
#[derive(Debug)]
pub(super) struct Running {
    roster: Arc<Roster>,
    place: TopicPartition,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.roster.running.send_modify(|running| {
            running.remove(&self.place);
        });
    }
}
