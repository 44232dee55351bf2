//! When a segment is full, or old, and the next one begins (`LogSegment.shouldRoll`).
//!
//! A decision on plain values: it does not know files.

use highwater_record::Offset;

use crate::Config;

/// What there is to know of the active segment.
#[derive(Debug, Clone, Copy)]
pub struct Active {
    /// Its base offset.
    pub base: Offset,
    /// Bytes in its `.log` file.
    pub bytes: u64,
    /// The largest timestamp of its first batch; `None` while it is empty, negative when that batch has none.
    pub first_timestamp_ms: Option<i64>,
    /// When it was made, by the wall clock.
    pub created_ms: i64,
    /// What is taken off `segment.ms` for it.
    pub jitter_ms: i64,
    /// Entries in its offset index.
    pub index_entries: u32,
    /// Entries in its time index.
    pub time_index_entries: u32,
}

/// What there is to know of the batch that wants in.
#[derive(Debug, Clone, Copy)]
pub struct Incoming {
    /// Its size.
    pub bytes: u64,
    /// Its last offset.
    pub last: Offset,
    /// Its largest timestamp.
    pub max_timestamp_ms: i64,
}

/// Why a segment rolls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The batch would make it larger than `segment.bytes`.
    Size,
    /// It spans `segment.ms`.
    Age,
    /// One of its indexes has no room.
    IndexFull,
    /// The batch's last offset is more than `i32::MAX` above the base: no index entry can say it.
    OffsetRange,
}

/// Whether the segment rolls before the batch is appended.
#[must_use]
pub fn before(
    active: &Active,
    incoming: &Incoming,
    config: &Config,
    now_ms: i64,
) -> Option<Reason> {
    if active.bytes + incoming.bytes > u64::from(config.segment_bytes) && active.bytes > 0 {
        return Some(Reason::Size);
    }
    let waited_ms = match active.first_timestamp_ms {
        Some(first_ms) if first_ms >= 0 => incoming.max_timestamp_ms.saturating_sub(first_ms),
        _ => now_ms.saturating_sub(active.created_ms),
    };
    if active.bytes > 0 && waited_ms > span_ms_max(config) - active.jitter_ms {
        return Some(Reason::Age);
    }
    if active.bytes > 0
        && (active.index_entries >= index_entries_max(config)
            || active.time_index_entries >= time_index_entries_max(config))
    {
        return Some(Reason::IndexFull);
    }
    let relative = incoming.last.get().checked_sub(active.base.get());
    if !relative.is_some_and(|relative| (0..=i64::from(i32::MAX)).contains(&relative)) {
        return Some(Reason::OffsetRange);
    }
    None
}

/// Whether the segment has waited long enough to be rolled though nothing is appended, so that retention can take it.
#[must_use]
pub fn by_age_alone(active: &Active, config: &Config, now_ms: i64) -> bool {
    let since_ms = active.first_timestamp_ms.filter(|first_ms| *first_ms >= 0);
    let waited_ms = now_ms.saturating_sub(since_ms.unwrap_or(active.created_ms));
    active.bytes > 0 && waited_ms > span_ms_max(config) - active.jitter_ms
}

/// What a segment may span: a compacted log rolls in time for its records to be cleaned when they must be
/// (`LogConfig.maxSegmentMs`).
fn span_ms_max(config: &Config) -> i64 {
    if config.compact && config.max_compaction_lag_ms > 0 {
        config.segment_ms.min(config.max_compaction_lag_ms)
    } else {
        config.segment_ms
    }
}

/// Entries an offset index may have.
#[must_use]
pub fn index_entries_max(config: &Config) -> u32 {
    config.segment_index_bytes / 8
}

/// Entries a time index may have; one more is kept free for the last one, which is written when the segment is left.
#[must_use]
pub fn time_index_entries_max(config: &Config) -> u32 {
    (config.segment_index_bytes / 12).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTIVE: Active = Active {
        base: Offset::new(1000),
        bytes: 900,
        first_timestamp_ms: Some(5_000),
        created_ms: 0,
        jitter_ms: 10,
        index_entries: 0,
        time_index_entries: 0,
    };
    const INCOMING: Incoming = Incoming {
        bytes: 100,
        last: Offset::new(1010),
        max_timestamp_ms: 5_090,
    };

    fn config() -> Config {
        Config {
            segment_bytes: 1000,
            segment_ms: 100,
            segment_index_bytes: 120,
            ..Config::default()
        }
    }

    fn reason(active: Active, incoming: Incoming) -> Option<Reason> {
        before(&active, &incoming, &config(), 1_000_000)
    }

    #[test]
    fn a_segment_may_reach_its_size_and_no_more() {
        assert_eq!(reason(ACTIVE, INCOMING), None);
        assert_eq!(
            reason(
                ACTIVE,
                Incoming {
                    bytes: 101,
                    ..INCOMING
                }
            ),
            Some(Reason::Size)
        );
        assert_eq!(
            reason(
                Active {
                    bytes: 0,
                    first_timestamp_ms: None,
                    created_ms: 1_000_000,
                    ..ACTIVE
                },
                Incoming {
                    bytes: 5000,
                    ..INCOMING
                }
            ),
            None
        );
    }

    #[test]
    fn a_compacted_segment_rolls_before_its_records_must_have_been_cleaned() {
        let compact = Config {
            compact: true,
            max_compaction_lag_ms: 50,
            ..config()
        };
        let late = Incoming {
            max_timestamp_ms: 5_041,
            ..INCOMING
        };
        assert_eq!(before(&ACTIVE, &late, &compact, 0), Some(Reason::Age));
        let delete = Config {
            compact: false,
            ..compact
        };
        assert_eq!(before(&ACTIVE, &late, &delete, 0), None);
    }

    #[test]
    fn age_is_told_by_the_timestamps_of_the_batches_and_not_by_the_clock() {
        assert_eq!(
            reason(
                ACTIVE,
                Incoming {
                    max_timestamp_ms: 5_091,
                    ..INCOMING
                }
            ),
            Some(Reason::Age)
        );
        assert_eq!(
            reason(
                ACTIVE,
                Incoming {
                    max_timestamp_ms: 0,
                    ..INCOMING
                }
            ),
            None
        );
    }

    #[test]
    fn batches_without_timestamps_age_by_the_clock() {
        let active = Active {
            first_timestamp_ms: Some(-1),
            created_ms: 999_910,
            ..ACTIVE
        };
        assert_eq!(reason(active, INCOMING), None);
        assert_eq!(
            reason(
                Active {
                    created_ms: 999_909,
                    ..active
                },
                INCOMING
            ),
            Some(Reason::Age)
        );
    }

    #[test]
    fn a_full_index_rolls() {
        assert_eq!(
            reason(
                Active {
                    index_entries: 14,
                    ..ACTIVE
                },
                INCOMING
            ),
            None
        );
        assert_eq!(
            reason(
                Active {
                    index_entries: 15,
                    ..ACTIVE
                },
                INCOMING
            ),
            Some(Reason::IndexFull)
        );
        assert_eq!(
            reason(
                Active {
                    time_index_entries: 9,
                    ..ACTIVE
                },
                INCOMING
            ),
            Some(Reason::IndexFull)
        );
    }

    #[test]
    fn an_offset_out_of_an_index_entrys_range_rolls() {
        let last = Offset::new(1000 + i64::from(i32::MAX));
        assert_eq!(reason(ACTIVE, Incoming { last, ..INCOMING }), None);
        let last = Offset::new(1001 + i64::from(i32::MAX));
        assert_eq!(
            reason(ACTIVE, Incoming { last, ..INCOMING }),
            Some(Reason::OffsetRange)
        );
    }

    #[test]
    fn an_idle_segment_ages_unless_its_timestamps_lie_in_the_future() {
        assert!(by_age_alone(&ACTIVE, &config(), 5_091));
        assert!(!by_age_alone(&ACTIVE, &config(), 5_090));
        assert!(!by_age_alone(&ACTIVE, &config(), i64::MIN));
        assert!(!by_age_alone(
            &Active { bytes: 0, ..ACTIVE },
            &config(),
            i64::MAX
        ));
    }
}
