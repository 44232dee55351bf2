//! How much of a log wants cleaning, and up to where it may be.
//!
//! Decisions on plain values; it does not know files. (`LogCleanerManager.cleanableOffsets`, `LogToClean`)
//!
//! ```text
//!   | segment | segment | segment | segment | segment | active |
//!   start               first dirty         upper
//!     clean bytes         dirty bytes         young, not yet safe, or written to
//! ```

use highwater_record::Offset;

/// One finished segment, oldest first in every slice here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) base: Offset,
    /// The offset after its last: the base of the next.
    pub(crate) end: Offset,
    pub(crate) bytes: u64,
}

/// What there is to clean in a log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dirt {
    /// Everything below has been cleaned.
    pub first_dirty: Offset,
    /// The first offset that must not be cleaned: the base of a segment.
    pub upper: Offset,
    /// Bytes of the segments that begin below `first_dirty`.
    pub clean_bytes: u64,
    /// Bytes of those between `first_dirty` and `upper`.
    pub dirty_bytes: u64,
    /// For how long a dirty segment has been older than `max.compaction.lag.ms`; 0 when none is.
    pub overdue_ms: i64,
    /// `min.cleanable.dirty.ratio` of the log.
    pub ratio_min: f64,
    /// Whether a part of it has to wait until the recovery point has been checkpointed: what recovery might still have to
    /// look at is not cleaned.
    pub awaits_checkpoint: bool,
}

impl Dirt {
    /// The dirty share of what may be cleaned, 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share, not a number of bytes")]
    pub fn ratio(&self) -> f64 {
        let total = self.clean_bytes + self.dirty_bytes;
        if total == 0 {
            return 0.0;
        }
        self.dirty_bytes as f64 / total as f64
    }

    /// Whether it is enough to be cleaned now.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.dirty_bytes > 0 && (self.overdue_ms > 0 || self.ratio() > self.ratio_min)
    }
}

/// Where cleaning has come to, held against the log: a place that is not in it is of another one, or of one that was cut.
pub(crate) fn first_dirty(cleaned: Offset, start: Offset, end: Offset) -> Offset {
    if (start..=end).contains(&cleaned) {
        cleaned
    } else {
        start
    }
}

/// The first segment that must not be cleaned: the one that holds `bound`, or the first dirty one that is too young.
/// `newest_ms` is asked for dirty segments only, until one is too young.
///
/// # Errors
/// What `newest_ms` fails with.
pub(crate) fn upper<E>(
    finished: &[Finished],
    first_dirty: Offset,
    bound: Offset,
    lag_ms_min: i64,
    now_ms: i64,
    mut newest_ms: impl FnMut(&Finished) -> Result<i64, E>,
) -> Result<Offset, E> {
    let mut upper = finished.first().map_or(Offset::ZERO, |first| first.base);
    for segment in finished {
        if segment.end > bound {
            break;
        }
        let is_dirty = segment.end > first_dirty;
        if is_dirty && lag_ms_min > 0 && newest_ms(segment)? > now_ms.saturating_sub(lag_ms_min) {
            break;
        }
        upper = segment.end;
    }
    Ok(upper)
}

/// Bytes of the clean and of the dirty segments below `upper`. One that is partly clean counts in both, as in Kafka.
pub(crate) fn weigh(finished: &[Finished], first_dirty: Offset, upper: Offset) -> (u64, u64) {
    let below = finished.iter().take_while(|segment| segment.base < upper);
    let (mut clean, mut dirty) = (0, 0);
    for segment in below {
        if segment.base < first_dirty {
            clean += segment.bytes;
        }
        if segment.end > first_dirty {
            dirty += segment.bytes;
        }
    }
    (clean, dirty)
}

/// The bounds of a segment that a cleaning writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// `segment.bytes`.
    pub(crate) segment_bytes: u64,
    /// Entries that either index takes.
    pub(crate) entries_max: u64,
    /// `index.interval.bytes`.
    pub(crate) index_interval_bytes: u64,
}

/// Segments that one swap replaces: it is one step of the shard, and costs four renames each.
const GROUP_SEGMENTS_MAX: usize = 32;

/// Puts neighbours together that fit into one segment, so that segments do not shrink away. Returns how many each group
/// has. (`Cleaner.groupSegmentsBySize`)
pub(crate) fn groups(finished: &[Finished], room: Room) -> Vec<usize> {
    let mut groups = Vec::new();
    let mut rest = finished;
    while let Some((first, after)) = rest.split_first() {
        let (mut bytes, mut count) = (first.bytes, 1);
        for next in after {
            let sum = bytes + next.bytes;
            let entries = sum / room.index_interval_bytes.max(61) + 1;
            let span = next.end.get() - 1 - first.base.get();
            let fits = sum <= room.segment_bytes
                && entries <= room.entries_max
                && (next.bytes == 0 || span <= i64::from(i32::MAX));
            if !fits || count == GROUP_SEGMENTS_MAX {
                break;
            }
            (bytes, count) = (sum, count + 1);
        }
        groups.push(count);
        rest = rest.get(count..).unwrap_or_default();
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    fn segments(sizes: &[u64]) -> Vec<Finished> {
        let at = |at: usize| Offset::new(i64::try_from(at).expect("small") * 10);
        let finished = |(index, &bytes)| Finished {
            base: at(index),
            end: at(index + 1),
            bytes,
        };
        sizes.iter().enumerate().map(finished).collect()
    }

    fn upper_of(bound: i64, lag_ms_min: i64, first_dirty: i64) -> i64 {
        let log = segments(&[1, 1, 1, 1]);
        let newest = |segment: &Finished| Ok::<_, Infallible>(segment.base.get() * 100);
        let (first_dirty, bound) = (Offset::new(first_dirty), Offset::new(bound));
        let Ok(upper) = upper(&log, first_dirty, bound, lag_ms_min, 10_000, newest);
        upper.get()
    }

    #[test]
    fn a_segment_is_cleaned_when_all_of_it_is_safe() {
        assert_eq!(
            [9, 10, 19, 40, 1000].map(|bound| upper_of(bound, 0, 0)),
            [0, 10, 10, 40, 40]
        );
    }

    #[test]
    fn a_young_segment_and_those_behind_it_are_left_alone_unless_they_are_clean() {
        assert_eq!(upper_of(40, 8_000, 0), 30);
        assert_eq!(upper_of(40, 9_000, 0), 20);
        assert_eq!(upper_of(40, 9_001, 0), 10);
        assert_eq!(upper_of(40, 20_000, 0), 0);
        assert_eq!(upper_of(40, 9_500, 20), 20);
        assert_eq!(upper_of(40, 1_000, 20), 40);
    }

    #[test]
    fn the_ratio_is_of_dirty_to_all_that_may_be_cleaned() {
        let log = segments(&[100, 100, 50, 7]);
        let weighed = |first, upper| weigh(&log, Offset::new(first), Offset::new(upper));
        assert_eq!(weighed(20, 30), (200, 50));
        assert_eq!(weighed(0, 40), (0, 257));
        assert_eq!(weighed(25, 40), (250, 57));
        assert_eq!(weighed(40, 40), (257, 0));
        assert_eq!(weighed(40, 10), (100, 0));
        let dirt = |clean_bytes, dirty_bytes, overdue_ms| Dirt {
            first_dirty: Offset::ZERO,
            upper: Offset::ZERO,
            clean_bytes,
            dirty_bytes,
            overdue_ms,
            ratio_min: 0.5,
            awaits_checkpoint: false,
        };
        assert!(!dirt(100, 100, 0).is_due(), "more than half, not half");
        assert!(dirt(100, 101, 0).is_due());
        assert!(dirt(1000, 1, 5).is_due());
        assert!(!dirt(1000, 0, 5).is_due());
    }

    #[test]
    fn a_place_that_is_not_in_the_log_is_its_start() {
        let first = |cleaned| first_dirty(Offset::new(cleaned), Offset::new(10), Offset::new(20));
        assert_eq!(
            [9, 10, 15, 20, 21].map(|cleaned| first(cleaned).get()),
            [10, 10, 15, 20, 10]
        );
    }

    proptest! {
        #[test]
        fn groups_fit_into_a_segment_and_leave_none_out(sizes in prop::collection::vec(0u64..700, 0..120)) {
            let log = segments(&sizes);
            let room = Room { segment_bytes: 1000, entries_max: 9, index_interval_bytes: 100 };
            let groups = groups(&log, room);
            prop_assert_eq!(groups.iter().sum::<usize>(), log.len());
            let mut rest = &log[..];
            for count in groups {
                let (group, after) = rest.split_at(count);
                let bytes: u64 = group.iter().map(|segment| segment.bytes).sum();
                prop_assert!(count == 1 || bytes < 900 && count <= GROUP_SEGMENTS_MAX);
                rest = after;
            }
        }
    }
}
