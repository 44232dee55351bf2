//! How far groups have consumed: one record for each group and partition.

use crate::Wire;
use uuid::Uuid;

/// How far a group has consumed a partition.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0)]
pub struct OffsetCommitKey<'a> {
    /// The group's id.
    pub group: &'a str,
    /// The topic's name.
    pub topic: &'a str,
    /// The partition's number.
    pub partition: i32,
}

/// A commit. Kafka 4.3 writes version 4, and version 1 for a commit that says itself when it is to be forgotten.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=4, flexible = 4..)]
pub struct OffsetCommitValue<'a> {
    /// Offset of the next record to consume.
    pub offset: i64,
    /// Leader epoch of the last record that was consumed, -1 when it is not known (KIP-320).
    #[wire(versions = 3.., default = -1, ignorable)]
    pub leader_epoch: i32,
    /// The client's note on the commit.
    pub metadata: &'a str,
    /// When it was committed, in milliseconds since the epoch.
    pub commit_timestamp: i64,
    /// When it is to be forgotten, in milliseconds since the epoch; -1 when it goes with its group.
    #[wire(versions = 1, default = -1, ignorable)]
    pub expire_timestamp: i64,
    /// The topic's id, nil when it was not known: a commit for a topic that was made again under the old name is not
    /// this topic's.
    #[wire(tag = 0, versions = 4.., ignorable)]
    pub topic_id: Uuid,
}
