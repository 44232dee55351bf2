//! DescribeLogDirs: how much lies where on the broker's disks.

use crate::{Array, Wire};

/// Asks how much lies where on the broker's disks.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = DescribeLogDirs, response = DescribeLogDirsResponse<'r>, versions = 1..=5, flexible = 2..)]
pub struct DescribeLogDirsRequest<'a> {
    /// Partitions asked for, null for all.
    pub topics: Option<Array<'a, DescribableLogDirTopic<'a>>>,
}

/// The partitions of one topic that are asked for.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct DescribableLogDirTopic<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The partitions asked for.
    pub partitions: Array<'a, i32>,
}

/// The log directories and what lies in them.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = DescribeLogDirs, versions = 1..=5, flexible = 2..)]
pub struct DescribeLogDirsResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    pub throttle_time_ms: i32,
    /// [`ErrorCode`](crate::ErrorCode) of the whole answer.
    #[wire(versions = 3.., ignorable)]
    pub error_code: i16,
    /// The log directories.
    pub results: Array<'a, DescribeLogDirsResult<'a>>,
}

/// One log directory.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct DescribeLogDirsResult<'a> {
    /// [`ErrorCode`](crate::ErrorCode) of the directory: 56 when it failed.
    pub error_code: i16,
    /// Its absolute path.
    pub log_dir: &'a str,
    /// What lies in it, by topic.
    pub topics: Array<'a, DescribeLogDirsTopic<'a>>,
    /// Size of its volume in bytes, -1 when it is not known.
    #[wire(versions = 4.., default = -1, ignorable)]
    pub total_bytes: i64,
    /// Bytes of the volume that can still be used, -1 when it is not known.
    #[wire(versions = 4.., default = -1, ignorable)]
    pub usable_bytes: i64,
    /// Whether no new partitions are placed in it (KIP-1066).
    #[wire(versions = 5.., ignorable)]
    pub is_cordoned: bool,
}

/// What one topic has in the directory.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct DescribeLogDirsTopic<'a> {
    /// The topic's name.
    pub name: &'a str,
    /// What lies in it, by partition.
    pub partitions: Array<'a, DescribeLogDirsPartition>,
}

/// What one partition has in the directory.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct DescribeLogDirsPartition {
    /// The partition's number.
    pub partition_index: i32,
    /// Size of the log in bytes.
    pub partition_size: i64,
    /// How many offsets the log is behind: a current log its high watermark, a future log the current one.
    pub offset_lag: i64,
    /// Whether it is a future log, on its way to replace the current one in another directory.
    pub is_future_key: bool,
}
