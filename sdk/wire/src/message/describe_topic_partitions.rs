//! DescribeTopicPartitions: who leads what, page by page.

use crate::{Array, Wire};
use uuid::Uuid;

/// Asks for the partitions of topics, page by page (KIP-966).
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = DescribeTopicPartitions, response = DescribeTopicPartitionsResponse<'r>, versions = 0..=0, flexible = 0..)]
pub struct DescribeTopicPartitionsRequest<'a> {
    /// Topics to describe, in order of name.
    pub topics: Array<'a, TopicRequest<'a>>,
    /// How many partitions one answer may have.
    #[wire(default = 2000)]
    pub response_partition_limit: i32,
    /// Where to go on, null to start at the first topic.
    pub cursor: Option<Cursor<'a>>,
}

/// A topic that is asked for.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct TopicRequest<'a> {
    /// The topic's name.
    pub name: &'a str,
}

/// Where one page ends and the next begins.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct Cursor<'a> {
    /// Topic to go on with.
    pub topic_name: &'a str,
    /// Its first partition that is still to come.
    pub partition_index: i32,
}

/// A page of topics.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = DescribeTopicPartitions, versions = 0..=0, flexible = 0..)]
pub struct DescribeTopicPartitionsResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    pub throttle_time_ms: i32,
    /// The topics, or as many as fit.
    pub topics: Array<'a, DescribeTopicPartitionsResponseTopic<'a>>,
    /// Where to go on, null when this was all.
    pub next_cursor: Option<Cursor<'a>>,
}

/// A topic, or why it cannot be described.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct DescribeTopicPartitionsResponseTopic<'a> {
    /// [`ErrorCode`](crate::ErrorCode) of the topic.
    pub error_code: i16,
    /// The topic's name.
    pub name: Option<&'a str>,
    /// The topic's id; nil when it is not known.
    pub topic_id: Uuid,
    /// Whether the topic is one of the system's own.
    pub is_internal: bool,
    /// The topic's partitions.
    pub partitions: Array<'a, DescribeTopicPartitionsResponsePartition<'a>>,
    /// Bit set of the operations allowed on the topic; `i32::MIN` when it was not asked for.
    #[wire(default = i32::MIN)]
    pub topic_authorized_operations: i32,
}

/// A partition and who holds it.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct DescribeTopicPartitionsResponsePartition<'a> {
    /// [`ErrorCode`](crate::ErrorCode) of the partition.
    pub error_code: i16,
    /// The partition's number.
    pub partition_index: i32,
    /// Broker id of the leader, -1 when there is none or it is not known.
    pub leader_id: i32,
    /// The leader's epoch, -1 when it is not known.
    #[wire(default = -1)]
    pub leader_epoch: i32,
    /// Broker ids of all replicas, the preferred leader first.
    pub replica_nodes: Array<'a, i32>,
    /// Broker ids of the replicas in sync.
    pub isr_nodes: Array<'a, i32>,
    /// Broker ids of replicas that are out of sync but hold everything committed (KIP-966), null for none.
    pub eligible_leader_replicas: Option<Array<'a, i32>>,
    /// Broker ids of the last such replicas, null for none.
    pub last_known_elr: Option<Array<'a, i32>>,
    /// Broker ids of the replicas that are offline.
    pub offline_replicas: Array<'a, i32>,
}
