//! What is marked of a consumer's partitions, for who says and commits it beside the consumer.

use std::sync::Arc;

use super::membership::Place;
use super::shared::Shared;
use crate::error::{Result, TopicPartition};
use crate::group::{self, Committed};

/// Commits marks when it is told to, from any task.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(super) shared: Arc<Shared>,
    pub(super) group: Arc<group::Shared>,
}

impl Ledger {
    /// These are about to be assigned: something may be said of them.
    pub(crate) fn expect(&self, places: &[TopicPartition]) {
        let places = places.iter().map(|place| (place.clone(), None));
        self.shared.lock().coming.extend(places);
    }

    /// Says how far a partition is dealt with, without effect when it is marked further already; or, `in_any_case`, where it is to
    /// be gone on from. Of one that is about to be assigned: where reading begins.
    pub(crate) fn say(&self, place: &TopicPartition, committed: Committed, in_any_case: bool) {
        let mut state = self.shared.lock();
        let track = state.find(place).and_then(|(_, slot)| slot.track.clone());
        if let Some(track) = track.as_ref().or(state.leaving.get(place)) {
            track.say(committed, in_any_case);
            return;
        }
        let word = Word {
            committed,
            in_any_case,
        };
        match state.coming.get_mut(place) {
            Some(Some(before)) => before.follow(word),
            Some(none) => *none = Some(word),
            // It was lost.
            None => {}
        }
    }

    /// Commits what is marked of all partitions, also of those that are being let go.
    ///
    /// Cancel-safe in that it is committed all the same.
    ///
    /// # Errors
    ///
    /// The coordinator's code, or a time-out.
    pub(crate) async fn commit(&self) -> Result<()> {
        let committed = {
            let state = self.shared.lock();
            let ours = state.assigned();
            let ours = ours.filter_map(|(_, slot)| Some((&slot.place, slot.track.as_ref()?)));
            let marked = ours
                .chain(&state.leaving)
                .filter_map(|(place, track)| Some((place.clone(), track.dealt_with()?)));
            // In line before the lock is given back: a later watermark must not be overtaken.
            self.group.commits.enqueue(marked.collect())
        };
        committed.await
    }
}

/// What was said of a partition before it was assigned.
#[derive(Debug)]
pub(super) struct Word {
    committed: Committed,
    in_any_case: bool,
}

impl Word {
    /// Another one comes after it.
    fn follow(&mut self, next: Self) {
        if next.in_any_case || self.committed.offset <= next.committed.offset {
            self.in_any_case |= next.in_any_case;
            self.committed = next.committed;
        }
    }

    /// Where reading begins that would begin elsewhere.
    pub(super) fn instead_of(self, from: Place) -> Place {
        match from {
            Place::Committed(known)
                if !self.in_any_case && self.committed.offset < known.offset =>
            {
                Place::Committed(known)
            }
            Place::Committed(_) | Place::Said(_) | Place::Start(_) | Place::Nowhere => {
                Place::Said(self.committed)
            }
        }
    }
}
