//! The topic settings (Kafka's `TopicConfig.java`, `LogConfig.java`), sorted by name.

use crate::config::entry::{Entry, Feature, hours, minutes, same};
use crate::config::kind::{Kind, LONG, int, long};

const THROTTLE: &str = "there is no second replica whose traffic could be throttled";

/// Every topic setting, sorted by name.
pub static TOPICS: &[Entry] = &[
    topic("cleanup.policy", Kind::List(&["compact", "delete"]), "What happens to old segments: `delete` drops them by age and size, `compact` keeps the last record of each key.")
        .default("delete").from(&[same("log.cleanup.policy")]),
    topic("compression.gzip.level", Kind::LevelOrDefault(1, 9), "The level where `compression.type` is gzip.")
        .default("-1").from(&[same("compression.gzip.level")]),
    topic("compression.lz4.level", Kind::Int(1, 17), "The level where `compression.type` is lz4.")
        .default("9").from(&[same("compression.lz4.level")]),
    topic("compression.type", Kind::Choice(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), "The codec batches are stored in; `producer` keeps what came. Any other makes the broker open and pack anew every batch that came otherwise, which costs it CPU.")
        .default("producer").from(&[same("compression.type")]),
    topic("compression.zstd.level", Kind::Int(-131_072, 22), "The level where `compression.type` is zstd.")
        .default("3").from(&[same("compression.zstd.level")]),
    topic("delete.retention.ms", long(0), "How long tombstones of a compacted topic stay readable.")
        .default("86400000").from(&[same("log.cleaner.delete.retention.ms")]),
    topic("file.delete.delay.ms", long(0), "How long the files of a removed segment stay before they leave the disk.")
        .default("60000").from(&[same("log.segment.delete.delay.ms")]),
    topic("flush.messages", long(1), "Flush to the device after this many records, whatever the durability level.")
        .default("9223372036854775807").from(&[same("log.flush.interval.messages")]),
    topic("flush.ms", long(0), "Flush to the device at the latest after this time, whatever the durability level.")
        .default("9223372036854775807").from(&[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")]),
    topic("follower.replication.throttled.replicas", Kind::List(&[]), "The replicas whose fetching is throttled.")
        .default("").idle(THROTTLE),
    topic("highwater.durability", Kind::Choice(&["flushed", "written"]), "What `acks=all` waits for: `flushed` an fdatasync that covers the batch, `written` the page cache, with write-back soon after.")
        .default("flushed").from(&[same("highwater.durability")]),
    topic("index.interval.bytes", int(0), "Bytes of log between two entries of the offset index.")
        .default("4096").from(&[same("log.index.interval.bytes")]),
    topic("leader.replication.throttled.replicas", Kind::List(&[]), "The replicas whose serving is throttled.")
        .default("").idle(THROTTLE),
    topic("local.retention.bytes", long(-2), "The size kept on this node where segments also lie in remote storage; -2 takes `retention.bytes`.")
        .default("-2").from(&[same("log.local.retention.bytes")]).waits(Feature::TieredStorage),
    topic("local.retention.ms", long(-2), "The age kept on this node where segments also lie in remote storage; -2 takes `retention.ms`.")
        .default("-2").from(&[same("log.local.retention.ms")]).waits(Feature::TieredStorage),
    topic("max.compaction.lag.ms", long(1), "The age after which a record must have been compacted.")
        .default("9223372036854775807").from(&[same("log.cleaner.max.compaction.lag.ms")]),
    topic("max.message.bytes", int(0), "The largest batch accepted, in bytes as it lies in the log.")
        .default("1048588").from(&[same("message.max.bytes")]),
    topic("message.timestamp.after.max.ms", long(0), "How far ahead of the broker's clock a record's timestamp may be.")
        .default("3600000").from(&[same("log.message.timestamp.after.max.ms")]),
    topic("message.timestamp.before.max.ms", long(0), "How far behind the broker's clock a record's timestamp may be.")
        .default("9223372036854775807").from(&[same("log.message.timestamp.before.max.ms")]),
    topic("message.timestamp.type", Kind::Choice(&["CreateTime", "LogAppendTime"]), "Whether records keep the producer's time or get the broker's.")
        .default("CreateTime").from(&[same("log.message.timestamp.type")]),
    topic("min.cleanable.dirty.ratio", Kind::Double(0.0, 1.0), "The uncompacted share of a log at which compaction begins.")
        .default("0.5").from(&[same("log.cleaner.min.cleanable.ratio")]),
    topic("min.compaction.lag.ms", long(0), "The age below which a record is left alone by compaction.")
        .default("0").from(&[same("log.cleaner.min.compaction.lag.ms")]),
    topic("min.insync.replicas", int(1), "How many replicas must have a batch before `acks=all` is answered. There is one, so a value above 1 refuses `acks=all` with NOT_ENOUGH_REPLICAS.")
        .default("1").from(&[same("min.insync.replicas")]),
    topic("preallocate", Kind::Boolean, "Whether a new segment takes its space on the device at once. Space is always allocated ahead here; `true` allocates the whole segment.")
        .default("false").from(&[same("log.preallocate")]),
    topic("remote.log.copy.disable", Kind::Boolean, "Whether copying to remote storage stops.")
        .default("false").waits(Feature::TieredStorage),
    topic("remote.log.delete.on.disable", Kind::Boolean, "Whether remote data goes when remote storage is turned off.")
        .default("false").waits(Feature::TieredStorage),
    topic("remote.storage.enable", Kind::Boolean, "Whether segments are also kept in remote storage.")
        .default("false").refused("tiered storage is not built yet"),
    topic("retention.bytes", LONG, "The size of a partition above which its oldest segments are dropped; -1 keeps all.")
        .default("-1").from(&[same("log.retention.bytes")]),
    topic("retention.ms", long(-1), "The age at which segments are dropped; -1 keeps all.")
        .default("604800000").from(&[same("log.retention.ms"), minutes("log.retention.minutes"), hours("log.retention.hours")]),
    topic("segment.bytes", int(1_048_576), "The size at which a new segment begins.")
        .default("1073741824").from(&[same("log.segment.bytes")]),
    topic("segment.index.bytes", int(4), "The largest size of a segment's offset index; a full one begins a new segment.")
        .default("10485760").from(&[same("log.index.size.max.bytes")]),
    topic("segment.jitter.ms", long(0), "At most so much is taken from `segment.ms` at random, so that partitions do not roll together.")
        .default("0").from(&[same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")]),
    topic("segment.ms", long(1), "The age at which a new segment begins even if the old one is not full.")
        .default("604800000").from(&[same("log.roll.ms"), hours("log.roll.hours")]),
    topic("unclean.leader.election.enable", Kind::Boolean, "Whether a replica that is behind may lead when no other is left.")
        .default("false").from(&[same("unclean.leader.election.enable")]).waits(Feature::Replication),
];

const fn topic(name: &'static str, kind: Kind, doc: &'static str) -> Entry {
    Entry::new(name, kind, doc).dynamic()
}

/// A topic setting by its name.
pub fn find(name: &str) -> Option<&'static Entry> {
    TOPICS
        .binary_search_by(|entry| entry.name.cmp(name))
        .ok()
        .and_then(|index| TOPICS.get(index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::brokers;

    #[test]
    fn the_table_is_sorted_and_every_default_fits() {
        for pair in TOPICS.windows(2) {
            assert!(
                pair[0].name < pair[1].name,
                "{} before {}",
                pair[0].name,
                pair[1].name
            );
        }
        for entry in TOPICS {
            let default = entry
                .default
                .unwrap_or_else(|| panic!("{} has no default", entry.name));
            assert_eq!(entry.kind.check(default), Ok(()), "{}", entry.name);
            assert!(find(entry.name).is_some());
        }
    }

    #[test]
    fn every_synonym_is_a_broker_setting() {
        for entry in TOPICS {
            for synonym in entry.synonyms {
                assert!(
                    brokers::find(synonym.name).is_some(),
                    "{} of {}",
                    synonym.name,
                    entry.name
                );
            }
        }
    }
}
