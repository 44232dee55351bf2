//! DescribeProducers: which producers partitions know.

use crate::{Array, Wire};

/// Asks which producers partitions know (KIP-664).
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = DescribeProducers, response = DescribeProducersResponse<'r>, versions = 0..=0, flexible = 0..)]
pub struct DescribeProducersRequest<'a> {
    /// Partitions asked for, by topic.
    pub topics: Array<'a, TopicRequest<'a>>,
}

/// The partitions of one topic that are asked for.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct TopicRequest<'a> {
    /// The topic's name.
    pub name: &'a str,
    /// The partitions asked for.
    pub partition_indexes: Array<'a, i32>,
}

/// The producers.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = DescribeProducers, versions = 0..=0, flexible = 0..)]
pub struct DescribeProducersResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    pub throttle_time_ms: i32,
    /// Producers by topic.
    pub topics: Array<'a, TopicResponse<'a>>,
}

/// The producers of one topic.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct TopicResponse<'a> {
    /// The topic's name.
    pub name: &'a str,
    /// Producers by partition.
    pub partitions: Array<'a, PartitionResponse<'a>>,
}

/// The producers of one partition.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct PartitionResponse<'a> {
    /// The partition's number.
    pub partition_index: i32,
    /// [`ErrorCode`](crate::ErrorCode) of the partition.
    pub error_code: i16,
    /// What went wrong, in words; null when nothing did or the code says it all.
    pub error_message: Option<&'a str>,
    /// Producers whose state the partition holds.
    pub active_producers: Array<'a, ProducerState>,
}

/// What a partition knows of one producer.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct ProducerState {
    /// The producer's id.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i32,
    /// Sequence number of its last record, -1 for none.
    #[wire(default = -1)]
    pub last_sequence: i32,
    /// Timestamp of its last batch in milliseconds since the epoch, -1 for none.
    #[wire(default = -1)]
    pub last_timestamp: i64,
    /// Epoch of the transaction coordinator that last wrote a marker.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins, -1 when none is open.
    #[wire(default = -1)]
    pub current_txn_start_offset: i64,
}
