//! DeleteRecords: delete everything before an offset.

use crate::{Array, Wire};

/// Deletes everything before an offset.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = DeleteRecords, response = DeleteRecordsResponse<'r>, versions = 0..=2, flexible = 2..)]
pub struct DeleteRecordsRequest<'a> {
    /// Where to delete, by topic.
    pub topics: Array<'a, DeleteRecordsTopic<'a>>,
    /// How long the broker may take, in milliseconds.
    pub timeout_ms: i32,
}

/// Where to delete in one topic.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct DeleteRecordsTopic<'a> {
    /// The topic's name.
    pub name: &'a str,
    /// Where to delete, by partition.
    pub partitions: Array<'a, DeleteRecordsPartition>,
}

/// Where to delete in one partition.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct DeleteRecordsPartition {
    /// The partition's number.
    pub partition_index: i32,
    /// Offset before which everything goes, -1 for the high watermark.
    pub offset: i64,
}

/// Where the partitions begin now.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = DeleteRecords, versions = 0..=2, flexible = 2..)]
pub struct DeleteRecordsResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    pub throttle_time_ms: i32,
    /// Outcomes by topic.
    pub topics: Array<'a, DeleteRecordsTopicResult<'a>>,
}

/// Where one topic's partitions begin now.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct DeleteRecordsTopicResult<'a> {
    /// The topic's name.
    pub name: &'a str,
    /// Outcomes by partition.
    pub partitions: Array<'a, DeleteRecordsPartitionResult>,
}

/// Where one partition begins now.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct DeleteRecordsPartitionResult {
    /// The partition's number.
    pub partition_index: i32,
    /// First offset that all replicas still hold, -1 on error.
    pub low_watermark: i64,
    /// [`ErrorCode`](crate::ErrorCode) of the partition.
    pub error_code: i16,
}
