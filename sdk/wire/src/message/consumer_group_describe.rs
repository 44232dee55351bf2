//! ConsumerGroupDescribe: who is in consumer groups.

use crate::{Array, Wire};
use uuid::Uuid;

/// Asks who is in consumer groups (KIP-848).
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = ConsumerGroupDescribe, response = ConsumerGroupDescribeResponse<'r>, versions = 0..=1, flexible = 0..)]
pub struct ConsumerGroupDescribeRequest<'a> {
    /// Ids of the groups.
    pub group_ids: Array<'a, &'a str>,
    /// Whether to say what is allowed on each group.
    pub include_authorized_operations: bool,
}

/// Who is in them.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = ConsumerGroupDescribe, versions = 0..=1, flexible = 0..)]
pub struct ConsumerGroupDescribeResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    pub throttle_time_ms: i32,
    /// The groups, one for each id.
    pub groups: Array<'a, DescribedGroup<'a>>,
}

/// A group, or why it cannot be described.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct DescribedGroup<'a> {
    /// [`ErrorCode`](crate::ErrorCode) of the group.
    pub error_code: i16,
    /// What went wrong, in words; null when nothing did or the code says it all.
    pub error_message: Option<&'a str>,
    /// The group's id.
    pub group_id: &'a str,
    /// `Empty`, `Assigning`, `Reconciling`, `Stable` or `Dead`.
    pub group_state: &'a str,
    /// Counts the changes of members and subscriptions.
    pub group_epoch: i32,
    /// Group epoch that the target assignment was made for.
    pub assignment_epoch: i32,
    /// Assignor in use.
    pub assignor_name: &'a str,
    /// The members.
    pub members: Array<'a, Member<'a>>,
    /// Bit set of the operations allowed on the group; `i32::MIN` when it was not asked for.
    #[wire(default = i32::MIN)]
    pub authorized_operations: i32,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct Member<'a> {
    /// Id of the member, as the coordinator gave it out.
    pub member_id: &'a str,
    /// Instance id of a static member, null for a dynamic one.
    pub instance_id: Option<&'a str>,
    /// The rack the member stands in, null for none.
    pub rack_id: Option<&'a str>,
    /// Epoch of the member: group epoch of the target assignment that it has reached.
    pub member_epoch: i32,
    /// The client's own name for itself, as its latest request header said.
    pub client_id: &'a str,
    /// Address the member connected from.
    pub client_host: &'a str,
    /// Topics subscribed to by name.
    pub subscribed_topic_names: Array<'a, &'a str>,
    /// Topics subscribed to by pattern, null for none.
    pub subscribed_topic_regex: Option<&'a str>,
    /// Partitions that the member holds.
    pub assignment: Assignment<'a>,
    /// Partitions that the member is to hold.
    pub target_assignment: Assignment<'a>,
    /// 0 speaks the classic protocol, 1 the consumer protocol, -1 is not known (KIP-1099).
    #[wire(versions = 1.., default = -1, ignorable)]
    pub member_type: i8,
}

/// What a member holds, or is to hold.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct Assignment<'a> {
    /// The partitions, topic by topic.
    pub topic_partitions: Array<'a, TopicPartitions<'a>>,
}

/// Partitions of one topic.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct TopicPartitions<'a> {
    /// The topic's id.
    pub topic_id: Uuid,
    /// The topic's name.
    pub topic_name: &'a str,
    /// Numbers of the partitions.
    pub partitions: Array<'a, i32>,
}
