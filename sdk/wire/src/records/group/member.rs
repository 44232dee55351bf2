//! Members of consumer groups: what they want and what they hold.

use crate::{Array, Wire};
use uuid::Uuid;

/// A member of a consumer group, by what it wants.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0)]
pub struct ConsumerGroupMemberMetadataKey<'a> {
    /// The group's id.
    pub group_id: &'a str,
    /// Id of the member.
    pub member_id: &'a str,
}

/// What a member is and wants.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct ConsumerGroupMemberMetadataValue<'a> {
    /// Instance id of a static member, null for a dynamic one.
    pub instance_id: Option<&'a str>,
    /// The rack the member stands in, null for none.
    pub rack_id: Option<&'a str>,
    /// The client's own name for itself.
    pub client_id: &'a str,
    /// Address the member connected from.
    pub client_host: &'a str,
    /// Topics subscribed to by name; Kafka sorts them.
    pub subscribed_topic_names: Array<'a, &'a str>,
    /// Topics subscribed to by pattern; null or empty for none.
    pub subscribed_topic_regex: Option<&'a str>,
    /// How long the member may take to let go of partitions, in milliseconds.
    #[wire(default = -1)]
    pub rebalance_timeout_ms: i32,
    /// Assignor that the member would like, null for none.
    pub server_assignor: Option<&'a str>,
    /// What a member has that speaks the classic protocol; null for one that speaks the consumer protocol. Null is not
    /// the default, in Kafka neither: it must be said, and is written.
    #[wire(tag = 0, default = Some(ClassicMemberMetadata::default()))]
    pub classic_member_metadata: Option<ClassicMemberMetadata<'a>>,
}

/// What a member has that speaks the classic protocol in a consumer group.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct ClassicMemberMetadata<'a> {
    /// After how long without a heartbeat the member counts as dead, in milliseconds.
    pub session_timeout_ms: i32,
    /// Protocols that the member speaks, the one it likes best first.
    pub supported_protocols: Array<'a, ClassicProtocol<'a>>,
}

/// A protocol that a classic member speaks.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct ClassicProtocol<'a> {
    /// The protocol's name: an assignor.
    pub name: &'a str,
    /// The subscription as the member said it: a
    /// [`ConsumerProtocolSubscription`](crate::consumer_protocol::ConsumerProtocolSubscription).
    pub metadata: &'a [u8],
}

/// A member of a consumer group, by what it holds.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0)]
pub struct ConsumerGroupCurrentMemberAssignmentKey<'a> {
    /// The group's id.
    pub group_id: &'a str,
    /// Id of the member.
    pub member_id: &'a str,
}

/// What a member holds, and how far it is on the way to its target.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct ConsumerGroupCurrentMemberAssignmentValue<'a> {
    /// Epoch of the member: group epoch of the target that it has reached.
    pub member_epoch: i32,
    /// Epoch before that: the member may say this one if it never heard of the other.
    pub previous_member_epoch: i32,
    /// What the member is doing: 0 it has reached its target, 1 it is to let go of partitions, 2 it waits for
    /// partitions that others hold, 127 not known (`MemberState.java`).
    pub state: i8,
    /// Partitions that the member holds.
    pub assigned_partitions: Array<'a, TopicPartitions<'a>>,
    /// Partitions that the member is to let go of.
    pub partitions_pending_revocation: Array<'a, TopicPartitions<'a>>,
}

/// Partitions of one topic that a member holds.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct TopicPartitions<'a> {
    /// The topic's id.
    pub topic_id: Uuid,
    /// Numbers of the partitions.
    pub partitions: Array<'a, i32>,
    /// Member epoch in which each partition was given, in the order of the partitions, against commits of a former
    /// life; null, and empty too, when they are not known.
    #[wire(tag = 0, default = Some(Array::empty()))]
    pub assignment_epochs: Option<Array<'a, i32>>,
}
