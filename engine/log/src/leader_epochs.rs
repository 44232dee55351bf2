//! Where each leader epoch of a partition began, and what a follower or a consumer that asks for an epoch is told.
//!
//! Plain state with the rules of Kafka's `LeaderEpochFileCache.java`. It does not know its file.

use std::collections::BTreeMap;

use highwater_record::{LeaderEpoch, Offset};

/// First offset by epoch.
///
/// Invariant: epochs and start offsets rise together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaderEpochs {
    starts: BTreeMap<i32, Offset>,
}

impl LeaderEpochs {
    /// Takes rows in file order; a row that contradicts those before it displaces them, as in Kafka.
    #[must_use]
    pub fn from_rows(rows: impl IntoIterator<Item = (i32, Offset)>) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for (epoch, start) in rows {
            epochs.assign(LeaderEpoch::new(epoch), start);
        }
        epochs
    }

    /// Notes that `epoch` writes from `start` on, and says whether that was news. Entries which contradict it (an epoch or
    /// a start not below) are dropped. Negative epochs, which old batches have, say nothing.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        let epoch = epoch.get();
        if epoch < 0 || start < Offset::ZERO {
            return false;
        }
        if let Some((&latest, &latest_start)) = self.starts.last_key_value()
            && latest == epoch
            && start >= latest_start
        {
            return false;
        }
        while let Some(last) = self.starts.last_entry() {
            if *last.key() < epoch && *last.get() < start {
                break;
            }
            last.remove();
        }
        self.starts.insert(epoch, start);
        true
    }

    /// The newest epoch.
    #[must_use]
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.starts
            .last_key_value()
            .map(|(&epoch, _)| LeaderEpoch::new(epoch))
    }

    /// The oldest epoch and where it began.
    #[must_use]
    pub fn earliest(&self) -> Option<(LeaderEpoch, Offset)> {
        self.starts
            .first_key_value()
            .map(|(&epoch, &start)| (LeaderEpoch::new(epoch), start))
    }

    /// The epoch in which `offset` was (or would be) written.
    #[must_use]
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        let (&epoch, _) = self
            .starts
            .iter()
            .rev()
            .find(|(_, start)| **start <= offset)?;
        Some(LeaderEpoch::new(epoch))
    }

    /// The largest epoch not above `requested`, and the offset where it ended: the answer of OffsetForLeaderEpoch.
    ///
    /// The newest epoch ends at `log_end`; an epoch older than all known ones is answered with itself and the start of
    /// the first known; an epoch newer than all known ones with nothing.
    #[must_use]
    pub fn end_offset_for(
        &self,
        requested: LeaderEpoch,
        log_end: Offset,
    ) -> Option<(LeaderEpoch, Offset)> {
        let epoch = requested.get();
        if epoch < 0 {
            return None;
        }
        if self.latest() == Some(requested) {
            return Some((requested, log_end));
        }
        let (_, &end) = self.starts.range(epoch.checked_add(1)?..).next()?;
        let (&floor, _) = self
            .starts
            .range(..=epoch)
            .next_back()
            .unwrap_or((&epoch, &end));
        Some((LeaderEpoch::new(floor), end))
    }

    /// Drops what began at or after `end`, and says whether anything did.
    pub fn truncate_end(&mut self, end: Offset) -> bool {
        let before = self.starts.len();
        self.starts.retain(|_, start| *start < end);
        self.starts.len() != before
    }

    /// Drops what ended at or before `start`; the epoch that holds `start` then begins there. Says whether anything changed.
    pub fn truncate_start(&mut self, start: Offset) -> bool {
        let Some((&floor, &floor_start)) =
            self.starts.iter().rev().find(|(_, begin)| **begin <= start)
        else {
            return false;
        };
        let before = self.starts.len();
        self.starts.retain(|&epoch, _| epoch >= floor);
        self.starts.insert(floor, start);
        self.starts.len() != before || floor_start != start
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.starts.clear();
    }

    /// Number of epochs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether no epoch is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Epoch and start, oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (i32, Offset)> + '_ {
        self.starts.iter().map(|(&epoch, &start)| (epoch, start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn epochs(rows: &[(i32, i64)]) -> LeaderEpochs {
        LeaderEpochs::from_rows(
            rows.iter()
                .map(|&(epoch, start)| (epoch, Offset::new(start))),
        )
    }

    fn rows(epochs: &LeaderEpochs) -> Vec<(i32, i64)> {
        epochs
            .iter()
            .map(|(epoch, start)| (epoch, start.get()))
            .collect()
    }

    fn end_for(epochs: &LeaderEpochs, epoch: i32) -> Option<(i32, i64)> {
        epochs
            .end_offset_for(LeaderEpoch::new(epoch), Offset::new(99))
            .map(|(epoch, end)| (epoch.get(), end.get()))
    }

    #[test]
    fn an_epoch_ends_where_the_next_known_one_begins() {
        let epochs = epochs(&[(2, 10), (4, 20), (7, 30)]);
        assert_eq!(end_for(&epochs, 7), Some((7, 99)));
        assert_eq!(end_for(&epochs, 4), Some((4, 30)));
        assert_eq!(end_for(&epochs, 5), Some((4, 30)));
        assert_eq!(end_for(&epochs, 1), Some((1, 10)));
        assert_eq!(end_for(&epochs, 8), None);
        assert_eq!(end_for(&epochs, -1), None);
        assert_eq!(end_for(&epochs, i32::MAX), None);
    }

    #[test]
    fn an_offset_belongs_to_the_last_epoch_that_began_at_or_before_it() {
        let epochs = epochs(&[(2, 10), (4, 20)]);
        let of = |offset| epochs.epoch_of(Offset::new(offset)).map(LeaderEpoch::get);
        assert_eq!(
            [of(9), of(10), of(19), of(20), of(500)],
            [None, Some(2), Some(2), Some(4), Some(4)]
        );
    }

    #[test]
    fn a_contradicting_entry_displaces_what_it_contradicts() {
        assert_eq!(
            rows(&epochs(&[(1, 0), (2, 10), (3, 20), (2, 15)])),
            [(1, 0), (2, 15)]
        );
        assert_eq!(
            rows(&epochs(&[(1, 0), (2, 10), (3, 10)])),
            [(1, 0), (3, 10)]
        );
        assert_eq!(rows(&epochs(&[(1, 10), (1, 12)])), [(1, 10)]);
        assert_eq!(rows(&epochs(&[(1, 10), (1, 8)])), [(1, 8)]);
    }

    #[test]
    fn truncation_keeps_the_epoch_that_holds_the_start() {
        let mut cut = epochs(&[(1, 0), (2, 10), (3, 20)]);
        assert!(cut.truncate_start(Offset::new(15)));
        assert_eq!(rows(&cut), [(2, 15), (3, 20)]);
        assert!(!cut.truncate_start(Offset::new(15)));
        assert!(cut.truncate_end(Offset::new(20)));
        assert_eq!(rows(&cut), [(2, 15)]);
        assert!(!cut.truncate_end(Offset::new(16)));
    }

    proptest! {
        #[test]
        fn epochs_and_starts_always_rise_together(assigned in prop::collection::vec((0..20i32, 0..50i64), 0..30)) {
            let epochs = epochs(&assigned);
            let rows = rows(&epochs);
            prop_assert!(rows.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1));
            if let Some(&(epoch, start)) = assigned.last() {
                prop_assert_eq!(epochs.latest().map(LeaderEpoch::get), Some(epoch));
                prop_assert!(epochs.epoch_of(Offset::new(start)).map(LeaderEpoch::get) == Some(epoch));
            }
        }
    }
}
