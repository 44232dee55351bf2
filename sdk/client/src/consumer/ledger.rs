//! What is marked of a consumer's partitions, for who says and commits it beside the consumer.

use std::sync::Arc;

use super::membership::Place;
use super::shared::{Shared, State};
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
        let word = Word {
            committed,
            in_any_case,
        };
        self.shared.lock().say(place, word);
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

impl State {
    /// Takes note of what is said of a partition: of one that is about to be assigned, of one that is read, or of one that is
    /// being let go.
    fn say(&mut self, place: &TopicPartition, word: Word) {
        match self.coming.get_mut(place) {
            Some(Some(before)) => return before.follow(word),
            Some(none) => return *none = Some(word),
            None => {}
        }
        let track = self.find(place).and_then(|(_, slot)| slot.track.clone());
        // Of one that was lost nothing is to be said.
        if let Some(track) = track.as_ref().or(self.leaving.get(place)) {
            track.say(word.committed, word.in_any_case);
        }
    }

    /// A partition that was about to be assigned is.
    pub(super) fn arrived(&mut self, place: &TopicPartition) {
        if let Some(Some(word)) = self.coming.remove(place) {
            self.say(place, word);
        }
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

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;

    use super::super::track::Track;
    use super::*;
    use crate::consumer::Start;

    #[test]
    fn what_is_said_while_a_partition_is_being_assigned_counts() {
        let mut state = State::default();
        let place = TopicPartition::new("t", 0);
        let word = |offset| Word {
            committed: Committed::from(offset),
            in_any_case: false,
        };
        state.coming.insert(place.clone(), None);
        let slot = state.assign(&place, Start::Offset(3));
        let track = Track::new(None, Arc::new(Notify::new()));
        state.slots[slot].track = Some(Arc::clone(&track));
        state.say(&place, word(7));
        track.begin(Committed::from(3));
        assert_eq!(track.dealt_with().map(|it| it.offset), Some(3));
        state.arrived(&place);
        assert_eq!(track.dealt_with().map(|it| it.offset), Some(7));
        state.say(&place, word(8));
        track.begin(Committed::from(3));
        assert_eq!(track.dealt_with().map(|it| it.offset), Some(8));
    }
}
