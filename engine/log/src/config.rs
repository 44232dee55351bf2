//! The settings of one partition's log, under Kafka's names and with Kafka's defaults.
//!
//! Values only; what topic or broker setting they come from is the broker's business.

/// How a log rolls, indexes and forgets.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `segment.bytes`: a segment is rolled before a batch would make it larger. At most `i32::MAX`, because index entries
    /// hold positions in 31 bits. Default 1 GiB.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment is rolled when a batch's timestamp is this much after the segment's first. Default 7 days.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: up to this much is taken off `segment_ms`, drawn anew for each segment, so that partitions
    /// which began together do not roll together. Default 0.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: the size an index may reach; a full index rolls the segment. Default 10 MiB.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: log bytes between index entries. Default 4096.
    pub index_interval_bytes: u32,
    /// `retention.ms`: a segment whose newest record is older than this is deleted; -1 keeps for ever. Default 7 days.
    pub retention_ms: i64,
    /// `retention.bytes`: the oldest segments are deleted while what remains is not less than this; -1 has no limit.
    /// Default -1.
    pub retention_bytes: i64,
    /// `file.delete.delay.ms`: how long a deleted segment's files stay under their `.deleted` names. Default 60 s.
    pub file_delete_delay_ms: i64,
    /// `preallocate`: takes the whole `segment_bytes` from the file system when a segment begins, instead of step by step
    /// as it grows. Default false.
    pub preallocate: bool,
    /// Whether `cleanup.policy` holds `delete`: without it neither age nor size deletes anything. Default true.
    pub delete: bool,
    /// Whether `cleanup.policy` holds `compact`: offsets may then have gaps between segments. Default false.
    pub compact: bool,
    /// `min.cleanable.dirty.ratio`: the dirty share above which a compacted log is cleaned. Default 0.5.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`: a segment that holds anything younger is not cleaned. Default 0.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: a dirty segment that is older makes the log be cleaned, whatever its ratio. Default
    /// `i64::MAX`, never.
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`: how long tombstones and markers stay after they were first cleaned around. Default one day.
    pub delete_retention_ms: i64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            segment_bytes: 1 << 30,
            segment_ms: 7 * DAY_MS,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: 7 * DAY_MS,
            retention_bytes: -1,
            file_delete_delay_ms: 60_000,
            preallocate: false,
            delete: true,
            compact: false,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: DAY_MS,
        }
    }
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
