//! OffsetFetch: how far a group has consumed.

use crate::{Array, Wire};
use uuid::Uuid;

/// Asks how far groups have consumed. As of version 8 for many groups at once (KIP-709), as of version 9 with the
/// member that asks (KIP-848), as of version 10 by topic id.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = OffsetFetch, response = OffsetFetchResponse<'r>, versions = 1..=10, flexible = 6..)]
pub struct OffsetFetchRequest<'a> {
    /// The group's id.
    #[wire(versions = 0..=7)]
    pub group_id: &'a str,
    /// Partitions to look up; null asks for all that have a commit.
    #[wire(versions = 0..=7, nullable = 2..=7, default = Some(Array::empty()))]
    pub topics: Option<Array<'a, OffsetFetchRequestTopic<'a>>>,
    /// Groups to look up.
    #[wire(versions = 8..)]
    pub groups: Array<'a, OffsetFetchRequestGroup<'a>>,
    /// Whether a commit in an open transaction is to be waited for: such a partition is answered with error 88
    /// (KIP-447).
    #[wire(versions = 7..)]
    pub require_stable: bool,
}

/// Partitions of one topic, up to version 7.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct OffsetFetchRequestTopic<'a> {
    /// The topic's name.
    pub name: &'a str,
    /// Numbers of the partitions.
    pub partition_indexes: Array<'a, i32>,
}

/// What to look up in one group.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct OffsetFetchRequestGroup<'a> {
    /// The group's id.
    pub group_id: &'a str,
    /// Id of the member that asks, null from outside of the group.
    #[wire(versions = 9.., ignorable)]
    pub member_id: Option<&'a str>,
    /// Epoch of the member that asks, -1 from outside of the group.
    #[wire(versions = 9.., default = -1, ignorable)]
    pub member_epoch: i32,
    /// Partitions to look up; null asks for all that have a commit.
    #[wire(default = Some(Array::empty()))]
    pub topics: Option<Array<'a, OffsetFetchRequestTopics<'a>>>,
}

/// Partitions of one topic, as of version 8.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct OffsetFetchRequestTopics<'a> {
    /// The topic's name.
    #[wire(versions = 0..=9, ignorable)]
    pub name: &'a str,
    /// The topic's id.
    #[wire(versions = 10.., ignorable)]
    pub topic_id: Uuid,
    /// Numbers of the partitions.
    pub partition_indexes: Array<'a, i32>,
}

/// How far the groups have consumed.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = OffsetFetch, versions = 1..=10, flexible = 6..)]
pub struct OffsetFetchResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    #[wire(versions = 3.., ignorable)]
    pub throttle_time_ms: i32,
    /// The commits, topic by topic.
    #[wire(versions = 0..=7)]
    pub topics: Array<'a, OffsetFetchResponseTopic<'a>>,
    /// [`ErrorCode`](crate::ErrorCode) of the whole answer. In version 1 it is said on each partition.
    #[wire(versions = 2..=7, ignorable)]
    pub error_code: i16,
    /// The commits, group by group.
    #[wire(versions = 8..)]
    pub groups: Array<'a, OffsetFetchResponseGroup<'a>>,
}

/// The commits in one topic, up to version 7.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct OffsetFetchResponseTopic<'a> {
    /// The topic's name.
    pub name: &'a str,
    /// The commits in the topic.
    pub partitions: Array<'a, OffsetFetchResponsePartition<'a>>,
}

/// The commit in one partition, up to version 7.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct OffsetFetchResponsePartition<'a> {
    /// The partition's number.
    pub partition_index: i32,
    /// Offset of the next record to consume, -1 when nothing was committed.
    pub committed_offset: i64,
    /// Leader epoch of the last record that was consumed, -1 when it is not known (KIP-320).
    #[wire(versions = 5.., default = -1, ignorable)]
    pub committed_leader_epoch: i32,
    /// The client's note on the commit; empty when there is none.
    #[wire(default = Some(""))]
    pub metadata: Option<&'a str>,
    /// [`ErrorCode`](crate::ErrorCode) of the partition.
    pub error_code: i16,
}

/// The commits of one group.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct OffsetFetchResponseGroup<'a> {
    /// The group's id.
    pub group_id: &'a str,
    /// The commits, topic by topic.
    pub topics: Array<'a, OffsetFetchResponseTopics<'a>>,
    /// [`ErrorCode`](crate::ErrorCode) of the group.
    pub error_code: i16,
}

/// The commits in one topic, as of version 8.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct OffsetFetchResponseTopics<'a> {
    /// The topic's name.
    #[wire(versions = 0..=9, ignorable)]
    pub name: &'a str,
    /// The topic's id.
    #[wire(versions = 10.., ignorable)]
    pub topic_id: Uuid,
    /// The commits in the topic.
    pub partitions: Array<'a, OffsetFetchResponsePartitions<'a>>,
}

/// The commit in one partition, as of version 8.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct OffsetFetchResponsePartitions<'a> {
    /// The partition's number.
    pub partition_index: i32,
    /// Offset of the next record to consume, -1 when nothing was committed.
    pub committed_offset: i64,
    /// Leader epoch of the last record that was consumed, -1 when it is not known (KIP-320).
    #[wire(default = -1)]
    pub committed_leader_epoch: i32,
    /// The client's note on the commit; empty when there is none.
    #[wire(default = Some(""))]
    pub metadata: Option<&'a str>,
    /// [`ErrorCode`](crate::ErrorCode) of the partition.
    pub error_code: i16,
}
