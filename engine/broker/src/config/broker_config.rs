//! The broker's own settings in force, parsed: what the shards and the controller obey. Defaults of topic settings are not
//! here; a topic's settings come resolved with the topic.

use crate::config::brokers::find;
use crate::config::coordination::{self, OffsetsTopic};
use crate::config::layers::Layers;

/// The broker settings that something obeys, by Kafka's names and units. See the catalog for what each means.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerConfig {
    /// `auto.create.topics.enable`.
    pub auto_create_topics_enable: bool,
    /// The settings of compaction.
    pub cleaner: CleanerConfig,
    /// `connections.max.idle.ms`; negative never.
    pub connections_max_idle_ms: i64,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// `delete.topic.enable`.
    pub delete_topic_enable: bool,
    /// `group.coordinator.rebalance.protocols`: whether members may speak the consumer protocol (KIP-848).
    pub consumer_protocol: bool,
    /// `group.*` and `offset*`: what each coordinator obeys.
    pub groups: highwater_coordinator::Config,
    /// `offsets.topic.*`.
    pub offsets_topic: OffsetsTopic,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: u32,
    /// `log.flush.offset.checkpoint.interval.ms`.
    pub checkpoint_interval_ms: i64,
    /// `log.initial.task.delay.ms`.
    pub initial_task_delay_ms: i64,
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval_ms: i64,
    /// `max.connections`.
    pub connections_max: u32,
    /// `max.connections.per.ip`.
    pub connections_per_ip_max: u32,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_sessions_max: u32,
    /// `max.request.partition.size.limit`.
    pub described_partitions_max: u32,
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
    /// `socket.request.max.bytes`.
    pub request_bytes_max: u32,
}

/// What compaction may spend, by Kafka's names and units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CleanerConfig {
    /// `log.cleaner.enable`.
    pub enable: bool,
    /// `log.cleaner.backoff.ms`.
    pub backoff_ms: i64,
    /// `log.cleaner.dedupe.buffer.size`, of all shards together.
    pub dedupe_buffer_bytes: u64,
    /// `log.cleaner.io.buffer.load.factor`, of a hundred.
    pub load_percent: u8,
    /// `log.cleaner.io.buffer.size`, of each shard.
    pub io_buffer_bytes: u32,
    /// `log.cleaner.io.max.bytes.per.second`, of each shard.
    pub io_bytes_per_second_max: f64,
}

impl CleanerConfig {
    fn resolve(layers: &Layers<'_>) -> CleanerConfig {
        let load_factor: f64 = layers.number(find("log.cleaner.io.buffer.load.factor"));
        let dedupe_buffer: i64 = layers.number(find("log.cleaner.dedupe.buffer.size"));
        CleanerConfig {
            enable: layers.boolean(find("log.cleaner.enable")),
            backoff_ms: layers.number(find("log.cleaner.backoff.ms")),
            dedupe_buffer_bytes: u64::try_from(dedupe_buffer).unwrap_or(0),
            load_percent: percent(load_factor),
            io_buffer_bytes: layers.number(find("log.cleaner.io.buffer.size")),
            io_bytes_per_second_max: layers.number(find("log.cleaner.io.max.bytes.per.second")),
        }
    }
}

/// A share of one as one of a hundred.
fn percent(share: f64) -> u8 {
    let below = |percent: &u8| f64::from(*percent) / 100.0 <= share + 1e-9;
    (0..=100).take_while(below).last().unwrap_or(0)
}

impl BrokerConfig {
    /// The settings in force.
    pub fn resolve(layers: &Layers<'_>) -> BrokerConfig {
        let layers = Layers {
            topic: None,
            ..*layers
        };
        BrokerConfig {
            auto_create_topics_enable: layers.boolean(find("auto.create.topics.enable")),
            cleaner: CleanerConfig::resolve(&layers),
            connections_max_idle_ms: layers.number(find("connections.max.idle.ms")),
            default_replication_factor: layers
                .number::<i32>(find("default.replication.factor"))
                .try_into()
                .unwrap_or(i16::MAX),
            delete_topic_enable: layers.boolean(find("delete.topic.enable")),
            consumer_protocol: coordination::offers_consumer_protocol(&layers),
            groups: coordination::coordinator(&layers),
            offsets_topic: OffsetsTopic::resolve(&layers),
            fetch_max_bytes: layers.number(find("fetch.max.bytes")),
            checkpoint_interval_ms: layers.number(find("log.flush.offset.checkpoint.interval.ms")),
            initial_task_delay_ms: layers.number(find("log.initial.task.delay.ms")),
            retention_check_interval_ms: layers.number(find("log.retention.check.interval.ms")),
            connections_max: layers.number(find("max.connections")),
            connections_per_ip_max: layers.number(find("max.connections.per.ip")),
            fetch_sessions_max: layers.number(find("max.incremental.fetch.session.cache.slots")),
            described_partitions_max: layers.number(find("max.request.partition.size.limit")),
            num_partitions: layers.number(find("num.partitions")),
            producer_id_expiration_ms: layers.number(find("producer.id.expiration.ms")),
            request_bytes_max: layers.number(find("socket.request.max.bytes")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    #[test]
    fn the_defaults_are_kafkas() {
        let config = BrokerConfig::resolve(&Layers::statics(&Overrides::new()));
        assert!(config.auto_create_topics_enable);
        assert_eq!(config.request_bytes_max, 104_857_600);
        assert_eq!(config.num_partitions, 1);
        assert_eq!(config.fetch_max_bytes, 57_671_680);
    }
}
