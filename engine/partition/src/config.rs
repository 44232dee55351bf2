//! What a partition obeys, by Kafka's names: the topic's settings with the broker's defaults already applied.

use highwater_record::{Compression, TimestampType};

/// What `acks=all` promises (`highwater.durability`), and with it what moves the high watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// On stable media: the high watermark follows the durable end, one group commit after another.
    #[default]
    Flushed,
    /// In the page cache: the high watermark is the log's end, write-back follows soon after.
    Written,
}

/// One partition's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Segments, indexes and retention. Where it says `compact`, records without a key are refused, and every batch is
    /// opened to see.
    pub log: highwater_log::Config,
    /// What an acknowledged batch has survived. Default: flushed, because a single node has no replica to lean on.
    pub durability: Durability,
    /// `max.message.bytes`: the largest batch, header included. Default: 1 MiB + 12, Kafka's.
    pub max_message_bytes: u32,
    /// `message.timestamp.type`. Default: create time.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far a record's timestamp may lie behind the broker's clock.
    /// Default: `i64::MAX`, any. A limit makes the broker open every batch.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far it may lie ahead. Default: one hour.
    pub timestamp_after_max_ms: i64,
    /// `compression.type`: `None` is `producer`, the bytes stay as they came; a codec makes the broker recompress the
    /// batches that came in another one, off the hot path. Default: `None`.
    pub compression: Option<Compression>,
    /// `flush.messages`: a sync is forced after that many records. Default: `i64::MAX`, never.
    pub flush_messages: i64,
    /// `flush.ms`: a sync is forced when a record has been unsynced for that long. Default: `i64::MAX`, never.
    pub flush_ms: i64,
    /// `producer.id.expiration.ms`: how long an idle producer is remembered. Default: one day.
    pub producer_id_expiration_ms: u64,
    /// The most producers remembered; beyond it the least recently used are forgotten. Default: 16,384 (about 4 MiB).
    pub producers_max: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            log: highwater_log::Config::default(),
            durability: Durability::Flushed,
            max_message_bytes: 1_048_588,
            timestamp_type: TimestampType::Create,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            compression: None,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            producer_id_expiration_ms: 86_400_000,
            producers_max: 16_384,
        }
    }
}

impl Config {
    /// Whether batches must be opened before they can be admitted, whatever their codec.
    pub(crate) fn needs_records(&self) -> bool {
        self.log.compact
            || (self.timestamp_type == TimestampType::Create
                && self.timestamp_before_max_ms != i64::MAX)
    }
}
