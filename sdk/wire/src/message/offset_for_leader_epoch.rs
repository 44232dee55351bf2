//! OffsetForLeaderEpoch: where leader epochs end.

use crate::{Array, Wire};

/// Asks where leader epochs end, to find out whether a log was truncated (KIP-320).
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = OffsetForLeaderEpoch, response = OffsetForLeaderEpochResponse<'r>, versions = 2..=4, flexible = 4..)]
pub struct OffsetForLeaderEpochRequest<'a> {
    /// Broker id of the follower, -1 for a consumer, -2 for a consumer of versions that could not say so.
    #[wire(versions = 3.., default = -2, ignorable)]
    pub replica_id: i32,
    /// Epochs to look up, by topic.
    pub topics: Array<'a, OffsetForLeaderTopic<'a>>,
}

/// Epochs to look up in one topic.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct OffsetForLeaderTopic<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// Epochs to look up, by partition.
    pub partitions: Array<'a, OffsetForLeaderPartition>,
}

/// The epoch to look up in one partition.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct OffsetForLeaderPartition {
    /// The partition's number.
    pub partition: i32,
    /// The leader epoch the client believes in; a mismatch fences it (KIP-320). -1 asks for no check.
    #[wire(default = -1)]
    pub current_leader_epoch: i32,
    /// Epoch whose end is asked for.
    pub leader_epoch: i32,
}

/// Where the epochs end.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = OffsetForLeaderEpoch, versions = 2..=4, flexible = 4..)]
pub struct OffsetForLeaderEpochResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    pub throttle_time_ms: i32,
    /// What was found, by topic.
    pub topics: Array<'a, OffsetForLeaderTopicResult<'a>>,
}

/// Where epochs end in one topic.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct OffsetForLeaderTopicResult<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// What was found, by partition.
    pub partitions: Array<'a, EpochEndOffset>,
}

/// Where an epoch ends in one partition.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct EpochEndOffset {
    /// [`ErrorCode`](crate::ErrorCode) of the partition.
    pub error_code: i16,
    /// The partition's number.
    pub partition: i32,
    /// Largest epoch up to the one asked for, -1 when there is none.
    #[wire(default = -1)]
    pub leader_epoch: i32,
    /// Offset after the last of that epoch, -1 when there is none.
    #[wire(default = -1)]
    pub end_offset: i64,
}
