//! OffsetDelete: forget how far a group has consumed.

use crate::{Array, Wire};

/// Deletes commits of a group for topics it is not subscribed to (KIP-496).
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = OffsetDelete, response = OffsetDeleteResponse<'r>, versions = 0..=0)]
pub struct OffsetDeleteRequest<'a> {
    /// The group's id.
    pub group_id: &'a str,
    /// Partitions whose commits are to go.
    pub topics: Array<'a, OffsetDeleteRequestTopic<'a>>,
}

/// Partitions of one topic.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct OffsetDeleteRequestTopic<'a> {
    /// The topic's name.
    pub name: &'a str,
    /// Partitions of the topic.
    pub partitions: Array<'a, OffsetDeleteRequestPartition>,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct OffsetDeleteRequestPartition {
    /// The partition's number.
    pub partition_index: i32,
}

/// What became of them.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = OffsetDelete, versions = 0..=0)]
pub struct OffsetDeleteResponse<'a> {
    /// [`ErrorCode`](crate::ErrorCode) of the whole answer.
    pub error_code: i16,
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    pub throttle_time_ms: i32,
    /// The outcomes, topic by topic.
    pub topics: Array<'a, OffsetDeleteResponseTopic<'a>>,
}

/// What became of the commits in one topic.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct OffsetDeleteResponseTopic<'a> {
    /// The topic's name.
    pub name: &'a str,
    /// The outcomes in the topic.
    pub partitions: Array<'a, OffsetDeleteResponsePartition>,
}

/// What became of the commit in one partition.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct OffsetDeleteResponsePartition {
    /// The partition's number.
    pub partition_index: i32,
    /// [`ErrorCode`](crate::ErrorCode) of the partition: 86 when the group is subscribed to its topic.
    pub error_code: i16,
}
