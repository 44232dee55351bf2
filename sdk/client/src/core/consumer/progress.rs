//! Which of the records that were handed out of a partition are dealt with, and so how far the
//! group may be told to have come.
//!
//! ```text
//!    all done      handed out, some done          not handed out
//!  ------------|--x-x-xx--|-x--x---|-- ... --|--------------------
//!          watermark   batches              next offset
//! ```
//!
//! Knows neither partition nor seek: what was handed out before a seek belongs to another
//! [`Progress`], so that marks that come late change nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How many batches of a partition are remembered record by record; later ones only count.
const BATCHES_MAX: usize = 4096;

/// How far a partition has come: the offset to go on from, and the leader epoch of what lies before
/// it, -1 when not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
}

/// A batch's records, of which each is dealt with or not. Everybody who holds a record of the batch
/// shares it.
#[derive(Debug)]
pub(crate) struct Marks {
    words: Words,
    /// Records that are not dealt with; 0 whatever the words say, once all of them are.
    left: AtomicU32,
    /// Whether the window was full when the batch was handed out.
    beyond: bool,
}

/// A bit for each record, without memory of their own for the first.
#[derive(Debug)]
struct Words {
    first: AtomicU64,
    others: Box<[AtomicU64]>,
}

impl Words {
    fn get(&self, index: usize) -> Option<&AtomicU64> {
        match index.checked_sub(1) {
            None => Some(&self.first),
            Some(other) => self.others.get(other),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &AtomicU64> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl Marks {
    fn new(records: usize, beyond: bool) -> Self {
        let others = records.div_ceil(64).saturating_sub(1);
        Self {
            words: Words {
                first: AtomicU64::new(0),
                others: (0..others).map(|_| AtomicU64::new(0)).collect(),
            },
            // A batch has at most 2^31 - 1 records.
            left: AtomicU32::new(u32::try_from(records).unwrap_or(u32::MAX)),
            beyond,
        }
    }

    /// Marks record `index` of the batch. Returns whether it was the last one of it.
    pub(crate) fn mark(&self, index: usize) -> bool {
        let Some(word) = self.words.get(index / 64) else {
            return false;
        };
        let bit = 1 << (index % 64);
        if word.fetch_or(bit, Ordering::SeqCst) & bit != 0 {
            return false;
        }
        let less = |left: u32| left.checked_sub(1);
        let before = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        before == Ok(1)
    }

    /// Marks all of them. Returns whether there was one left.
    pub(crate) fn mark_all(&self) -> bool {
        self.left.swap(0, Ordering::SeqCst) > 0
    }

    fn is_finished(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    /// The first record that is not dealt with.
    fn first_left(&self) -> usize {
        let mut index = 0;
        for word in self.words.iter() {
            let ones = word.load(Ordering::SeqCst).trailing_ones();
            index += ones as usize;
            if ones < u64::BITS {
                break;
            }
        }
        index
    }
}

/// A batch as it is handed out.
pub(crate) struct Handout<'a, O> {
    /// Of its first record.
    pub(crate) first_offset: i64,
    /// The offset after the batch.
    pub(crate) next_offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) records: usize,
    /// The offset of each record.
    pub(crate) offsets: &'a O,
}

#[derive(Debug)]
struct Outstanding {
    first_offset: i64,
    next_offset: i64,
    leader_epoch: i32,
    /// Distance of each record to the first, where some offsets between them have no record.
    deltas: Option<Box<[u32]>>,
    marks: Arc<Marks>,
}

impl Outstanding {
    fn offset(&self, index: usize) -> i64 {
        match &self.deltas {
            None => self.first_offset + i64::try_from(index).unwrap_or(0),
            Some(deltas) => match deltas.get(index) {
                Some(delta) => self.first_offset + i64::from(*delta),
                None => self.next_offset,
            },
        }
    }
}

/// One partition's, from one seek to the next.
#[derive(Debug)]
pub(crate) struct Progress {
    /// In order; those in front may be finished. Invariant: at most `BATCHES_MAX`.
    batches: VecDeque<Outstanding>,
    /// Batches that came when there was no room, and are not finished.
    beyond: u64,
    /// Where the first of those began, as long as there are any.
    beyond_from: i64,
    /// After what was handed out or passed over; `None` before anything was.
    next_offset: Option<i64>,
    /// Of the last batch that was handed out.
    leader_epoch: i32,
    /// Of the last batch that was finished with all before it.
    done_epoch: i32,
}

impl Progress {
    /// Begins at `start`, where that is known: all before it is dealt with.
    pub(crate) fn new(start: Option<Place>) -> Self {
        let epoch = start.map_or(-1, |start| start.leader_epoch);
        Self {
            batches: VecDeque::new(),
            beyond: 0,
            beyond_from: 0,
            next_offset: start.map(|start| start.offset),
            leader_epoch: epoch,
            done_epoch: epoch,
        }
    }

    /// After what was handed out or passed over; `None` before anything was.
    pub(crate) fn next_offset(&self) -> Option<i64> {
        self.next_offset
    }

    /// Takes note of a batch with at least one record.
    pub(crate) fn hand_out<O: Fn(usize) -> i64>(&mut self, batch: &Handout<'_, O>) -> Arc<Marks> {
        self.retire();
        let beyond = self.beyond > 0 || self.batches.len() >= BATCHES_MAX;
        let marks = Arc::new(Marks::new(batch.records, beyond));
        if beyond {
            if self.beyond == 0 {
                self.beyond_from = batch.first_offset;
            }
            self.beyond += 1;
        } else {
            let last = batch
                .records
                .checked_sub(1)
                .map_or(batch.first_offset, batch.offsets);
            let span = last - batch.first_offset;
            let is_dense = usize::try_from(span).is_ok_and(|span| span + 1 == batch.records);
            let deltas = (!is_dense).then(|| {
                let delta = |index| (batch.offsets)(index) - batch.first_offset;
                let delta = |index| u32::try_from(delta(index)).unwrap_or(0);
                (0..batch.records).map(delta).collect()
            });
            self.batches.push_back(Outstanding {
                first_offset: batch.first_offset,
                next_offset: batch.next_offset,
                leader_epoch: batch.leader_epoch,
                deltas,
                marks: Arc::clone(&marks),
            });
        }
        self.leader_epoch = batch.leader_epoch;
        self.pass(batch.next_offset);
        marks
    }

    /// What lies before `next_offset` and was not handed out never will be.
    pub(crate) fn pass(&mut self, next_offset: i64) {
        self.next_offset = Some(self.next_offset.unwrap_or(next_offset).max(next_offset));
    }

    /// All records of a batch are dealt with.
    pub(crate) fn finished(&mut self, marks: &Marks) {
        if marks.beyond {
            self.beyond = self.beyond.saturating_sub(1);
        }
        self.retire();
    }

    fn retire(&mut self) {
        while let Some(front) = self.batches.front()
            && front.marks.is_finished()
        {
            self.done_epoch = front.leader_epoch;
            self.batches.pop_front();
        }
        if self.batches.is_empty() && self.beyond == 0 {
            self.done_epoch = self.leader_epoch;
        }
    }

    /// Whether something is handed out and not dealt with.
    pub(crate) fn is_outstanding(&self) -> bool {
        self.beyond > 0 || self.batches.iter().any(|it| !it.marks.is_finished())
    }

    /// The lowest offset that is not dealt with; `None` before anything was handed out.
    pub(crate) fn watermark(&mut self) -> Option<Place> {
        self.retire();
        let next_offset = self.next_offset?;
        let place = match self.batches.front() {
            Some(front) => {
                let index = front.marks.first_left();
                let begun = index > 0;
                Place {
                    offset: front.offset(index),
                    leader_epoch: if begun {
                        front.leader_epoch
                    } else {
                        self.done_epoch
                    },
                }
            }
            None if self.beyond > 0 => Place {
                offset: self.beyond_from,
                leader_epoch: self.done_epoch,
            },
            None => Place {
                offset: next_offset,
                leader_epoch: self.done_epoch,
            },
        };
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn hand_out(progress: &mut Progress, offsets: &[i64], next_offset: i64) -> Arc<Marks> {
        progress.hand_out(&Handout {
            first_offset: offsets[0],
            next_offset,
            leader_epoch: i32::try_from(offsets[0] / 100).unwrap(),
            records: offsets.len(),
            offsets: &|index| offsets[index],
        })
    }

    fn offset(progress: &mut Progress) -> Option<i64> {
        progress.watermark().map(|place| place.offset)
    }

    #[test]
    fn only_what_is_contiguous_and_done_counts() {
        let mut progress = Progress::new(None);
        assert_eq!(progress.watermark(), None);
        let first = hand_out(&mut progress, &[0, 1, 2], 3);
        let second = hand_out(&mut progress, &[103, 105], 110);
        assert_eq!(offset(&mut progress), Some(0));
        assert!(!first.mark(1));
        assert!(!first.mark(1), "a second time is none");
        assert_eq!(offset(&mut progress), Some(0));
        assert!(!first.mark(0));
        let place = Place {
            offset: 2,
            leader_epoch: 0,
        };
        assert_eq!(progress.watermark(), Some(place));
        assert!(second.mark_all());
        progress.finished(&second);
        assert_eq!(offset(&mut progress), Some(2));
        assert!(progress.is_outstanding());
        assert!(first.mark(2));
        progress.finished(&first);
        let place = Place {
            offset: 110,
            leader_epoch: 1,
        };
        assert_eq!(progress.watermark(), Some(place));
        assert!(!progress.is_outstanding());
        progress.pass(120);
        assert_eq!(offset(&mut progress), Some(120), "nobody was to see those");
    }

    #[test]
    fn offsets_without_a_record_are_not_waited_for() {
        let mut progress = Progress::new(None);
        let marks = hand_out(&mut progress, &[10, 500, 4_000_000_000], 4_100_000_000);
        marks.mark(0);
        assert_eq!(offset(&mut progress), Some(500));
        marks.mark(1);
        assert_eq!(offset(&mut progress), Some(4_000_000_000));
    }

    #[test]
    fn past_the_window_nothing_is_committed_too_early_and_all_in_the_end() {
        let mut progress = Progress::new(None);
        let count = i64::try_from(BATCHES_MAX).unwrap() + 10;
        let mut batches = Vec::new();
        for base in 0..count {
            batches.push(hand_out(&mut progress, &[base], base + 1));
        }
        assert_eq!(progress.batches.len(), BATCHES_MAX);
        for marks in batches.iter().rev().skip(1) {
            assert!(marks.mark(0));
            progress.finished(marks);
        }
        assert_eq!(offset(&mut progress), Some(count - 10));
        batches.push(hand_out(&mut progress, &[count], count + 1));
        for at in [batches.len() - 1, batches.len() - 2] {
            batches[at].mark_all();
            progress.finished(&batches[at]);
        }
        assert_eq!(offset(&mut progress), Some(count + 1));
        hand_out(&mut progress, &[count + 1], count + 2);
        assert_eq!(progress.beyond, 0, "there is room again");
    }

    proptest! {
        #[test]
        fn the_watermark_is_the_lowest_offset_that_is_not_done(
            batches in prop::collection::vec((1usize..150, 0i64..3, 0i64..5), 1..8),
            order in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..200),
        ) {
            let (mut progress, mut next) = (Progress::new(None), 0);
            let (mut all, mut records) = (Vec::new(), Vec::new());
            let mut left = BTreeSet::new();
            for (count, gap, tail) in batches {
                let step = gap + 1;
                let count = i64::try_from(count).unwrap();
                let offsets: Vec<i64> = (0..count).map(|at| next + at * step).collect();
                next = offsets[offsets.len() - 1] + 1 + tail;
                all.push((hand_out(&mut progress, &offsets, next), offsets.clone()));
                records.extend((0..offsets.len()).map(|index| (all.len() - 1, index)));
                left.extend(offsets);
            }
            for (which, whole) in order {
                let (batch, index) = records[which.index(records.len())];
                let (marks, offsets) = &all[batch];
                let finished = if whole && index == 0 {
                    offsets.iter().for_each(|offset| { left.remove(offset); });
                    marks.mark_all()
                } else {
                    left.remove(&offsets[index]);
                    marks.mark(index)
                };
                if finished {
                    progress.finished(marks);
                }
                let expected = left.first().copied().unwrap_or(next);
                prop_assert_eq!(offset(&mut progress), Some(expected));
                prop_assert_eq!(progress.is_outstanding(), !left.is_empty());
            }
        }
    }
}
