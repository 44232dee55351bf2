//! Which of the oldest segments are to go: below the log's start, beyond its size, or older than it keeps.
//!
//! Decisions on plain values, after `UnifiedLog.deletableSegments`; it does not know files. The clock it goes by is
//! [`RetentionClock`], because what is deleted on a wrong date does not come back on the right one.

use std::time::Duration;

use highwater_record::Offset;

/// One segment, oldest first in every slice here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its base offset.
    pub base: Offset,
    /// The offset after its last: the next segment's base, or the log's end for the active one.
    pub end: Offset,
    /// Bytes of its `.log`.
    pub bytes: u64,
    /// Whether it is the active one.
    pub is_active: bool,
}

impl Candidate {
    /// The high watermark never falls below the log's start, and an empty active segment has nothing to delete.
    fn may_go(&self, high_watermark: Offset) -> bool {
        self.end <= high_watermark && !(self.is_active && self.bytes == 0)
    }
}

/// How many segments lie wholly below `log_start`.
#[must_use]
pub fn below_start(segments: &[Candidate], log_start: Offset, high_watermark: Offset) -> usize {
    segments
        .iter()
        .take_while(|segment| {
            !segment.is_active && segment.end <= log_start && segment.may_go(high_watermark)
        })
        .count()
}

/// How many segments can go with not less than `retention_bytes` remaining; a negative limit is none.
#[must_use]
pub fn beyond_size(segments: &[Candidate], retention_bytes: i64, high_watermark: Offset) -> usize {
    let Ok(limit) = u64::try_from(retention_bytes) else {
        return 0;
    };
    let total: u64 = segments.iter().map(|segment| segment.bytes).sum();
    let Some(mut excess) = total.checked_sub(limit) else {
        return 0;
    };
    segments
        .iter()
        .take_while(|segment| {
            let goes = segment.may_go(high_watermark) && segment.bytes <= excess;
            if goes {
                excess -= segment.bytes;
            }
            goes
        })
        .count()
}

/// How many segments hold nothing younger than `retention_ms`; a negative limit is none.
///
/// `max_timestamp_ms` is asked for one segment at a time, until one stays: it may have to read a file.
///
/// # Errors
/// What `max_timestamp_ms` fails with.
pub fn beyond_age<E>(
    segments: &[Candidate],
    retention_ms: i64,
    high_watermark: Offset,
    now_ms: i64,
    mut max_timestamp_ms: impl FnMut(&Candidate) -> Result<i64, E>,
) -> Result<usize, E> {
    if retention_ms < 0 {
        return Ok(0);
    }
    for (count, segment) in segments.iter().enumerate() {
        if !segment.may_go(high_watermark)
            || now_ms.saturating_sub(max_timestamp_ms(segment)?) <= retention_ms
        {
            return Ok(count);
        }
    }
    Ok(segments.len())
}

/// How far the wall clock may run ahead of the monotonic one before it is not believed.
const LEAP_MS_MAX: i64 = 10 * 60 * 1000;

/// The time by which records grow old: the wall clock, but never further ahead than the monotonic clock has gone since
/// the log was opened, plus ten minutes. A wall clock that leaps to 2038 deletes nothing; one that is set back deletes
/// nothing either, because all records then lie in its future. A machine that was suspended deletes later by that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionClock {
    opened: Duration,
    opened_unix_ms: i64,
}

impl RetentionClock {
    /// Begins with both clocks as they are: `monotonic` since any fixed point.
    #[must_use]
    pub fn new(monotonic: Duration, unix_ms: i64) -> RetentionClock {
        RetentionClock {
            opened: monotonic,
            opened_unix_ms: unix_ms,
        }
    }

    /// The wall clock when the log was opened.
    #[must_use]
    pub fn opened_ms(&self) -> i64 {
        self.opened_unix_ms
    }

    /// The time to judge age by.
    #[must_use]
    pub fn now_ms(&self, monotonic: Duration, unix_ms: i64) -> i64 {
        let elapsed = monotonic.saturating_sub(self.opened).as_millis();
        let elapsed_ms = i64::try_from(elapsed).unwrap_or(i64::MAX);
        let ahead_max = self
            .opened_unix_ms
            .saturating_add(elapsed_ms)
            .saturating_add(LEAP_MS_MAX);
        unix_ms.min(ahead_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    fn segments(sizes: &[u64]) -> Vec<Candidate> {
        let mut base = 0;
        let last = sizes.len() - 1;
        sizes
            .iter()
            .enumerate()
            .map(|(at, &bytes)| {
                let end = base + 10;
                let segment = Candidate {
                    base: Offset::new(base),
                    end: Offset::new(end),
                    bytes,
                    is_active: at == last,
                };
                base = end;
                segment
            })
            .collect()
    }

    fn by_age(segments: &[Candidate], retention_ms: i64, watermark: i64, now_ms: i64) -> usize {
        let mut asked = 0;
        let count = beyond_age(
            segments,
            retention_ms,
            Offset::new(watermark),
            now_ms,
            |segment| {
                asked += 1;
                Ok::<_, Infallible>(segment.base.get() * 100)
            },
        );
        let Ok(count) = count;
        assert!(
            asked <= count + 1,
            "one more than goes is looked at, no further"
        );
        count
    }

    #[test]
    fn size_counts_down_from_the_oldest_and_keeps_the_limit() {
        let log = segments(&[100, 100, 100, 50]);
        let count = |limit| beyond_size(&log, limit, Offset::new(40));
        assert_eq!(
            [
                count(351),
                count(350),
                count(250),
                count(249),
                count(50),
                count(0),
                count(-1)
            ],
            [0, 0, 1, 1, 3, 4, 0]
        );
    }

    #[test]
    fn age_goes_by_the_newest_record_of_a_segment() {
        let log = segments(&[1, 1, 1, 1]);
        assert_eq!(by_age(&log, 1000, 40, 2000), 1);
        assert_eq!(by_age(&log, 1000, 40, 2001), 2);
        assert_eq!(by_age(&log, 1000, 40, 1_000_000), 4);
        assert_eq!(by_age(&log, -1, 40, i64::MAX), 0);
    }

    #[test]
    fn nothing_above_the_high_watermark_goes() {
        let log = segments(&[100, 100, 100]);
        assert_eq!(beyond_size(&log, 0, Offset::new(19)), 1);
        assert_eq!(by_age(&log, 0, 20, i64::MAX), 2);
        assert_eq!(below_start(&log, Offset::new(30), Offset::new(10)), 1);
    }

    #[test]
    fn a_start_inside_a_segment_keeps_it_and_the_active_one_stays() {
        let log = segments(&[1, 1, 1]);
        let count = |start| below_start(&log, Offset::new(start), Offset::new(30));
        assert_eq!([count(9), count(10), count(19), count(30)], [0, 1, 1, 2]);
    }

    #[test]
    fn an_empty_active_segment_stays() {
        let log = segments(&[1, 0]);
        assert_eq!(beyond_size(&log, 0, Offset::new(20)), 1);
        assert_eq!(by_age(&log, 0, 20, i64::MAX), 1);
    }

    #[test]
    fn a_clock_that_leaps_makes_nothing_old() {
        let clock = RetentionClock::new(Duration::from_secs(50), 1_000_000);
        let minute = Duration::from_secs(110);
        assert_eq!(clock.now_ms(minute, 1_060_000), 1_060_000);
        assert_eq!(
            clock.now_ms(minute, 2_145_916_800_000),
            1_060_000 + LEAP_MS_MAX
        );
        assert_eq!(clock.now_ms(minute, 0), 0);
        assert_eq!(
            clock.now_ms(Duration::ZERO, i64::MAX),
            1_000_000 + LEAP_MS_MAX
        );
        assert_eq!(
            by_age(&segments(&[1, 1]), 0, 20, clock.now_ms(minute, i64::MIN)),
            0
        );
    }

    proptest! {
        #[test]
        fn size_retention_never_goes_below_its_limit(sizes in prop::collection::vec(0u64..1000, 1..20), limit in 0i64..20_000) {
            let log = segments(&sizes);
            let count = beyond_size(&log, limit, Offset::new(i64::MAX));
            let rest: u64 = log[count..].iter().map(|segment| segment.bytes).sum();
            prop_assert!(count == 0 || rest >= limit.unsigned_abs());
        }
    }
}
