//! What a run's driver, its claims' tasks and its sessions share: which claims there are, what is to be committed beside the
//! marks, and why the run has to end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::consumer::Ledger;
use crate::error::{Error, Result, TopicPartition};
use crate::group::Committed;

#[derive(Debug)]
pub(super) struct Roster {
    /// Claims that a task is working on.
    running: watch::Sender<BTreeSet<TopicPartition>>,
    /// Claims that were set up and not cleaned up. Superset of `running`, but for claims whose clean-up waits for their task.
    set_up: Mutex<BTreeSet<TopicPartition>>,
    /// Offsets that sessions marked by number.
    marked: Mutex<BTreeMap<TopicPartition, Marked>>,
    /// Why the run has to end.
    fault: watch::Sender<Option<Error>>,
    /// Whether the run is stopped.
    pub(super) stopping: watch::Sender<bool>,
    /// When claims have to be done at the latest, once the run is stopped.
    deadline: watch::Sender<Option<Instant>>,
    /// Where marks are committed; there once the consumer is.
    pub(super) ledger: OnceLock<Ledger>,
}

#[derive(Clone, Debug)]
struct Marked {
    committed: Committed,
    /// Whether the group does not know yet.
    is_new: bool,
}

impl Roster {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            running: watch::Sender::default(),
            set_up: Mutex::default(),
            marked: Mutex::default(),
            fault: watch::Sender::default(),
            stopping: watch::Sender::new(false),
            deadline: watch::Sender::default(),
            ledger: OnceLock::new(),
        })
    }

    fn set_up(&self) -> std::sync::MutexGuard<'_, BTreeSet<TopicPartition>> {
        self.set_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn marked(&self) -> std::sync::MutexGuard<'_, BTreeMap<TopicPartition, Marked>> {
        self.marked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These are about to be set up.
    pub(super) fn enter(&self, places: &[TopicPartition]) {
        self.set_up().extend(places.iter().cloned());
    }

    /// Those of `places` that have to be cleaned up; nobody else is told that.
    pub(super) fn leave(
        &self,
        places: impl IntoIterator<Item = TopicPartition>,
    ) -> Vec<TopicPartition> {
        let mut set_up = self.set_up();
        let mut left: Vec<TopicPartition> = places
            .into_iter()
            .filter(|place| set_up.remove(place))
            .collect();
        left.sort();
        left
    }

    /// What is set up and not cleaned up, in order.
    pub(super) fn held(&self) -> Vec<TopicPartition> {
        self.set_up().iter().cloned().collect()
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
    pub(super) fn mark(&self, place: TopicPartition, committed: Committed, in_any_case: bool) {
        let mut marked = self.marked();
        let before = marked.get(&place).map(|before| before.committed.offset);
        if in_any_case || before.is_none_or(|before| before < committed.offset) {
            let is_new = true;
            marked.insert(place, Marked { committed, is_new });
        }
    }

    /// Commits what is marked, by number or record by record, of all partitions.
    pub(super) async fn commit(&self) -> Result<()> {
        let Some(ledger) = self.ledger.get() else {
            return Ok(());
        };
        let mut offsets = BTreeMap::new();
        for (place, marked) in &mut *self.marked() {
            marked.is_new = false;
            offsets.insert(place.clone(), marked.committed.clone());
        }
        let result = ledger.commit(offsets.clone()).await;
        if result.is_err() {
            for (place, marked) in &mut *self.marked() {
                marked.is_new |= offsets.get(place) == Some(&marked.committed);
            }
        }
        result
    }

    /// Whether an offset was marked by number since the last commit.
    pub(super) fn has_news(&self) -> bool {
        self.marked().values().any(|marked| marked.is_new)
    }

    /// What was marked by number of partitions that are being let go: to be committed once more after whatever else is.
    pub(super) fn last(&self, places: &[TopicPartition]) -> BTreeMap<TopicPartition, Committed> {
        let mut marked = self.marked();
        let last = places.iter();
        last.filter_map(|place| Some((place.clone(), marked.remove(place)?.committed)))
            .collect()
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
