//! A topic's settings in force, parsed: what the partitions of the topic obey. It does not know which layer said what.

use crate::config::kind::list;
use crate::config::layers::{Layers, Overrides};
use crate::config::topics::find;

/// The settings of a topic that something obeys, by Kafka's names and units. See the catalog for what each means.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    /// `cleanup.policy`.
    pub cleanup_policy: CleanupPolicy,
    /// `compression.type`.
    pub compression_type: CompressionType,
    /// The level of that codec: `compression.gzip.level`, `compression.lz4.level` or `compression.zstd.level`; `None` for
    /// the codec's own default, and where it has no levels.
    pub compression_level: Option<i32>,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: i64,
    /// `flush.messages`; `i64::MAX` never.
    pub flush_messages: i64,
    /// `flush.ms`; `i64::MAX` never.
    pub flush_ms: i64,
    /// `highwater.durability`.
    pub durability: Durability,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u32,
    /// `max.compaction.lag.ms`; `i64::MAX` never.
    pub max_compaction_lag_ms: i64,
    /// `max.message.bytes`.
    pub max_message_bytes: u32,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `min.cleanable.dirty.ratio`.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: i64,
    /// `min.insync.replicas`.
    pub min_insync_replicas: i32,
    /// `preallocate`.
    pub preallocate: bool,
    /// `retention.bytes`; -1 keeps all.
    pub retention_bytes: i64,
    /// `retention.ms`; -1 keeps all.
    pub retention_ms: i64,
    /// `segment.bytes`.
    pub segment_bytes: u32,
    /// `segment.index.bytes`.
    pub segment_index_bytes: u32,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: i64,
    /// `segment.ms`.
    pub segment_ms: i64,
}

/// `cleanup.policy`: at least one of the two, unless somebody set it empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Old segments are dropped by age and size.
    pub delete: bool,
    /// The last record of each key is kept.
    pub compact: bool,
}

/// `compression.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionType {
    /// Whatever came.
    Producer,
    /// No codec.
    Uncompressed,
    /// gzip.
    Gzip,
    /// snappy.
    Snappy,
    /// lz4.
    Lz4,
    /// zstd.
    Zstd,
}

/// `message.timestamp.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's time.
    CreateTime,
    /// The broker's time.
    LogAppendTime,
}

/// `highwater.durability`: what `acks=all` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// An fdatasync that covers the batch.
    Flushed,
    /// The page cache.
    Written,
}

impl TopicConfig {
    /// The settings in force.
    pub fn resolve(layers: &Layers<'_>) -> TopicConfig {
        let policy = layers.text(find("cleanup.policy"));
        let has = |word| list(&policy).any(|item| item == word);
        let (compression_type, level) = match layers.text(find("compression.type")).as_str() {
            "uncompressed" => (CompressionType::Uncompressed, None),
            "gzip" => (CompressionType::Gzip, find("compression.gzip.level")),
            "snappy" => (CompressionType::Snappy, None),
            "lz4" => (CompressionType::Lz4, find("compression.lz4.level")),
            "zstd" => (CompressionType::Zstd, find("compression.zstd.level")),
            _ => (CompressionType::Producer, None),
        };
        let level = level.map(|entry| layers.number::<i32>(Some(entry)));
        // gzip calls its own default -1; for zstd that is a level like any other.
        let is_default = |level: &i32| compression_type == CompressionType::Gzip && *level == -1;
        TopicConfig {
            compression_level: level.filter(|level| !is_default(level)),
            cleanup_policy: CleanupPolicy {
                delete: has("delete"),
                compact: has("compact"),
            },
            compression_type,
            delete_retention_ms: layers.number(find("delete.retention.ms")),
            file_delete_delay_ms: layers.number(find("file.delete.delay.ms")),
            flush_messages: layers.number(find("flush.messages")),
            flush_ms: layers.number(find("flush.ms")),
            durability: match layers.text(find("highwater.durability")).as_str() {
                "written" => Durability::Written,
                _ => Durability::Flushed,
            },
            index_interval_bytes: layers.number(find("index.interval.bytes")),
            max_compaction_lag_ms: layers.number(find("max.compaction.lag.ms")),
            max_message_bytes: layers.number(find("max.message.bytes")),
            timestamp_after_max_ms: layers.number(find("message.timestamp.after.max.ms")),
            timestamp_before_max_ms: layers.number(find("message.timestamp.before.max.ms")),
            timestamp_type: match layers.text(find("message.timestamp.type")).as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            min_cleanable_dirty_ratio: layers.number(find("min.cleanable.dirty.ratio")),
            min_compaction_lag_ms: layers.number(find("min.compaction.lag.ms")),
            min_insync_replicas: layers.number(find("min.insync.replicas")),
            preallocate: layers.boolean(find("preallocate")),
            retention_bytes: layers.number(find("retention.bytes")),
            retention_ms: layers.number(find("retention.ms")),
            segment_bytes: layers.number(find("segment.bytes")),
            segment_index_bytes: layers.number(find("segment.index.bytes")),
            segment_jitter_ms: layers.number(find("segment.jitter.ms")),
            segment_ms: layers.number(find("segment.ms")),
        }
    }
}

impl Default for TopicConfig {
    /// The catalog's defaults.
    fn default() -> TopicConfig {
        TopicConfig::resolve(&Layers::statics(&Overrides::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_kafkas() {
        let config = TopicConfig::default();
        assert_eq!(config.retention_ms, 7 * 24 * 3_600_000);
        assert_eq!(config.segment_bytes, 1 << 30);
        assert_eq!(config.max_message_bytes, 1_048_588);
        assert_eq!(config.durability, Durability::Flushed);
        assert!(config.cleanup_policy.delete && !config.cleanup_policy.compact);
    }

    #[test]
    fn the_level_is_that_of_the_codec_in_force() {
        let none = Overrides::new();
        let level = |pairs: &[(&str, &str)]| {
            let set: Overrides = pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect();
            let layers = Layers {
                topic: Some(&set),
                ..Layers::statics(&none)
            };
            TopicConfig::resolve(&layers).compression_level
        };
        assert_eq!(level(&[("compression.zstd.level", "9")]), None);
        assert_eq!(level(&[("compression.type", "gzip")]), None);
        assert_eq!(level(&[("compression.type", "zstd")]), Some(3));
        assert_eq!(
            level(&[("compression.type", "lz4"), ("compression.lz4.level", "12")]),
            Some(12)
        );
        assert_eq!(
            level(&[
                ("compression.type", "zstd"),
                ("compression.zstd.level", "-1")
            ]),
            Some(-1)
        );
    }

    #[test]
    fn both_cleanup_policies_can_hold_at_once() {
        let set = Overrides::from([("cleanup.policy".into(), "compact, delete".into())]);
        let layers = Layers {
            topic: Some(&set),
            node: None,
            cluster: None,
            statics: None,
        };
        let policy = TopicConfig::resolve(&layers).cleanup_policy;
        assert!(policy.delete && policy.compact);
    }
}
