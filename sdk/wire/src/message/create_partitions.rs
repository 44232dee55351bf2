//! CreatePartitions: give a topic more partitions.

use crate::{Array, Wire};

/// Gives topics more partitions.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = CreatePartitions, response = CreatePartitionsResponse<'r>, versions = 0..=3, flexible = 2..)]
pub struct CreatePartitionsRequest<'a> {
    /// Topics to enlarge.
    pub topics: Array<'a, CreatePartitionsTopic<'a>>,
    /// How long the broker may take, in milliseconds.
    pub timeout_ms: i32,
    /// Whether to check the request and change nothing.
    pub validate_only: bool,
}

/// A topic to enlarge.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct CreatePartitionsTopic<'a> {
    /// The topic's name.
    pub name: &'a str,
    /// How many partitions it is to have in all.
    pub count: i32,
    /// Which brokers hold each new partition, null lets the broker choose.
    pub assignments: Option<Array<'a, CreatePartitionsAssignment<'a>>>,
}

/// Who holds one new partition.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct CreatePartitionsAssignment<'a> {
    /// Broker ids of the replicas, the preferred leader first.
    pub broker_ids: Array<'a, i32>,
}

/// What became of the topics.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = CreatePartitions, versions = 0..=3, flexible = 2..)]
pub struct CreatePartitionsResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    pub throttle_time_ms: i32,
    /// Outcomes by topic.
    pub results: Array<'a, CreatePartitionsTopicResult<'a>>,
}

/// What became of one topic.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct CreatePartitionsTopicResult<'a> {
    /// The topic's name.
    pub name: &'a str,
    /// [`ErrorCode`](crate::ErrorCode) of the topic.
    pub error_code: i16,
    /// What went wrong, in words; null when nothing did or the code says it all.
    pub error_message: Option<&'a str>,
}
