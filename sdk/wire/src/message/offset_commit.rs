//! OffsetCommit: remember how far a group has consumed.

use crate::{Array, Wire};
use uuid::Uuid;

/// Commits how far a group has consumed. Version 9 is the first that a consumer group may use (KIP-848); version 10
/// names topics by id.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = OffsetCommit, response = OffsetCommitResponse<'r>, versions = 2..=10, flexible = 8..)]
pub struct OffsetCommitRequest<'a> {
    /// The group's id.
    pub group_id: &'a str,
    /// Generation of a classic group, or the member epoch of a consumer group (KIP-848). -1 commits from outside of any
    /// membership, as long as the group has no members.
    #[wire(default = -1)]
    pub generation_id_or_member_epoch: i32,
    /// Id of the member that commits; empty from outside.
    pub member_id: &'a str,
    /// Instance id of a static member (KIP-345), null for a dynamic one.
    #[wire(versions = 7..)]
    pub group_instance_id: Option<&'a str>,
    /// How long to keep the offsets, in milliseconds; -1 leaves it to the broker.
    #[wire(versions = 0..=4, default = -1, ignorable)]
    pub retention_time_ms: i64,
    /// What to commit.
    pub topics: Array<'a, OffsetCommitRequestTopic<'a>>,
}

/// What to commit in one topic.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct OffsetCommitRequestTopic<'a> {
    /// The topic's name.
    #[wire(versions = 0..=9, ignorable)]
    pub name: &'a str,
    /// The topic's id.
    #[wire(versions = 10.., ignorable)]
    pub topic_id: Uuid,
    /// What to commit in the topic.
    pub partitions: Array<'a, OffsetCommitRequestPartition<'a>>,
}

/// What to commit in one partition.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct OffsetCommitRequestPartition<'a> {
    /// The partition's number.
    pub partition_index: i32,
    /// Offset of the next record to consume.
    pub committed_offset: i64,
    /// Leader epoch of the last record that was consumed, -1 when it is not known (KIP-320).
    #[wire(versions = 6.., default = -1, ignorable)]
    pub committed_leader_epoch: i32,
    /// The client's note on the commit, at most `offset.metadata.max.bytes` long. Null is kept as an empty note.
    #[wire(default = Some(""))]
    pub committed_metadata: Option<&'a str>,
}

/// What became of each commit.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = OffsetCommit, versions = 2..=10, flexible = 8..)]
pub struct OffsetCommitResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    #[wire(versions = 3.., ignorable)]
    pub throttle_time_ms: i32,
    /// The outcomes, topic by topic.
    pub topics: Array<'a, OffsetCommitResponseTopic<'a>>,
}

/// What became of the commits in one topic.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct OffsetCommitResponseTopic<'a> {
    /// The topic's name.
    #[wire(versions = 0..=9, ignorable)]
    pub name: &'a str,
    /// The topic's id.
    #[wire(versions = 10.., ignorable)]
    pub topic_id: Uuid,
    /// The outcomes in the topic.
    pub partitions: Array<'a, OffsetCommitResponsePartition>,
}

/// What became of the commit in one partition.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct OffsetCommitResponsePartition {
    /// The partition's number.
    pub partition_index: i32,
    /// [`ErrorCode`](crate::ErrorCode) of the partition.
    pub error_code: i16,
}
