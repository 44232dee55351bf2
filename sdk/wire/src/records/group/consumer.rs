//! Consumer groups (KIP-848) as wholes: epochs, topics, patterns.

use crate::{Array, Wire};
use uuid::Uuid;

/// A consumer group.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0)]
pub struct ConsumerGroupMetadataKey<'a> {
    /// The group's id.
    pub group_id: &'a str,
}

/// How often a consumer group has changed.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct ConsumerGroupMetadataValue {
    /// The group epoch: counts the changes of members and subscriptions.
    pub epoch: i32,
    /// Hash of the topics subscribed to, with their partitions and racks: when it changes there is something to assign
    /// (KIP-1101). 0 when it is not known.
    #[wire(tag = 0)]
    pub metadata_hash: i64,
}

/// What a consumer group knew of its topics. Kafka 4.1 and later only write its tombstones.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0)]
pub struct ConsumerGroupPartitionMetadataKey<'a> {
    /// The group's id.
    pub group_id: &'a str,
}

/// The topics that a consumer group was subscribed to. Replaced by [`ConsumerGroupMetadataValue::metadata_hash`].
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct ConsumerGroupPartitionMetadataValue<'a> {
    /// The topics.
    pub topics: Array<'a, TopicMetadata<'a>>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct TopicMetadata<'a> {
    /// The topic's id.
    pub topic_id: Uuid,
    /// The topic's name.
    pub topic_name: &'a str,
    /// How many partitions it had.
    pub num_partitions: i32,
    /// The racks of its partitions; not used since Kafka 4.0.
    pub partition_metadata: Array<'a, PartitionMetadata<'a>>,
}

/// A partition and its racks.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct PartitionMetadata<'a> {
    /// The partition's number.
    pub partition: i32,
    /// Racks of the replicas.
    pub racks: Array<'a, &'a str>,
}

/// A pattern that members of a consumer group are subscribed to.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0)]
pub struct ConsumerGroupRegularExpressionKey<'a> {
    /// The group's id.
    pub group_id: &'a str,
    /// The pattern, in the syntax of RE2.
    pub regular_expression: &'a str,
}

/// The topics that match the pattern.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct ConsumerGroupRegularExpressionValue<'a> {
    /// Names of the topics that match.
    pub topics: Array<'a, &'a str>,
    /// Offset of the metadata log at which the pattern was resolved.
    pub version: i64,
    /// When the pattern was resolved, in milliseconds since the epoch.
    pub timestamp: i64,
}
