//! What members of consumer groups are to hold.

use crate::{Array, Wire};
use uuid::Uuid;

/// The target of a consumer group as a whole.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0)]
pub struct ConsumerGroupTargetAssignmentMetadataKey<'a> {
    /// The group's id.
    pub group_id: &'a str,
}

/// A target is complete: its parts, one for each member, came before.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct ConsumerGroupTargetAssignmentMetadataValue {
    /// Group epoch that the target was made for.
    pub assignment_epoch: i32,
    /// When the target was made, in milliseconds since the epoch; 0 when it is not known (KIP-1263).
    #[wire(tag = 0, ignorable)]
    pub assignment_timestamp: i64,
}

/// A member's part of the target.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0)]
pub struct ConsumerGroupTargetAssignmentMemberKey<'a> {
    /// The group's id.
    pub group_id: &'a str,
    /// Id of the member.
    pub member_id: &'a str,
}

/// What a member is to hold in the end.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct ConsumerGroupTargetAssignmentMemberValue<'a> {
    /// The partitions, topic by topic.
    pub topic_partitions: Array<'a, TopicPartition<'a>>,
}

/// Partitions of one topic that a member is to hold.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct TopicPartition<'a> {
    /// The topic's id.
    pub topic_id: Uuid,
    /// Numbers of the partitions.
    pub partitions: Array<'a, i32>,
}
