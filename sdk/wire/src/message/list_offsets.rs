//! ListOffsets: find offsets by time, and the ends of a log.

use crate::{Array, Wire};

/// Looks up offsets by timestamp, or the ends of the log. Version 2 brings isolation, 4 the leader epoch, 7 the largest
/// timestamp, 8 to 11 the ends of tiered storage.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = ListOffsets, response = ListOffsetsResponse<'r>, versions = 1..=11, flexible = 6..)]
pub struct ListOffsetsRequest<'a> {
    /// Broker id of the follower that asks, -1 for a consumer.
    pub replica_id: i32,
    /// 0 reads everything, 1 only what no open or aborted transaction wrote (KIP-98).
    #[wire(versions = 2..)]
    pub isolation_level: i8,
    /// Partitions to look in, by topic.
    pub topics: Array<'a, ListOffsetsTopic<'a>>,
    /// How long the look-up may take where it goes to remote storage, in milliseconds.
    #[wire(versions = 10.., ignorable)]
    pub timeout_ms: i32,
}

/// The partitions of one topic to look in.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct ListOffsetsTopic<'a> {
    /// The topic's name.
    pub name: &'a str,
    /// The partitions to look in.
    pub partitions: Array<'a, ListOffsetsPartition>,
}

/// A partition and what to look for.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct ListOffsetsPartition {
    /// The partition's number.
    pub partition_index: i32,
    /// The leader epoch the client believes in; a mismatch fences it (KIP-320). -1 asks for no check.
    #[wire(versions = 4.., default = -1, ignorable)]
    pub current_leader_epoch: i32,
    /// Time to look for, in milliseconds since the epoch; or -1 the end, -2 the start, -3 the largest timestamp, -4 the local
    /// start, -5 the tiered end, -6 the earliest offset not yet tiered.
    pub timestamp: i64,
}

/// The offsets found.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = ListOffsets, versions = 1..=11, flexible = 6..)]
pub struct ListOffsetsResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    #[wire(versions = 2.., ignorable)]
    pub throttle_time_ms: i32,
    /// What was found, by topic.
    pub topics: Array<'a, ListOffsetsTopicResponse<'a>>,
}

/// What was found in one topic.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct ListOffsetsTopicResponse<'a> {
    /// The topic's name.
    pub name: &'a str,
    /// What was found, by partition.
    pub partitions: Array<'a, ListOffsetsPartitionResponse>,
}

/// What was found in one partition.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct ListOffsetsPartitionResponse {
    /// The partition's number.
    pub partition_index: i32,
    /// [`ErrorCode`](crate::ErrorCode) of the partition.
    pub error_code: i16,
    /// Timestamp of the record found, -1 when none was or it does not matter.
    #[wire(default = -1)]
    pub timestamp: i64,
    /// Its offset, -1 when none was found.
    #[wire(default = -1)]
    pub offset: i64,
    /// The leader's epoch, -1 when it is not known.
    #[wire(versions = 4.., default = -1)]
    pub leader_epoch: i32,
}
