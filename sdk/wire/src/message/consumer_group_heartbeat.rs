//! ConsumerGroupHeartbeat: membership of a consumer group, all of it.

use crate::{Array, Wire};
use uuid::Uuid;

/// All that a member of a consumer group says (KIP-848): that it joins, is alive, subscribes, let go of partitions,
/// leaves. As of version 1 it may subscribe by pattern.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = ConsumerGroupHeartbeat, response = ConsumerGroupHeartbeatResponse<'r>, versions = 0..=1, flexible = 0..)]
pub struct ConsumerGroupHeartbeatRequest<'a> {
    /// The group's id.
    pub group_id: &'a str,
    /// Id of the member: drawn by the member once and kept for life (KIP-1082). In version 0 it may be empty the first
    /// time, and the coordinator gives one out.
    pub member_id: &'a str,
    /// Epoch of the member: 0 joins, -1 leaves, -2 leaves for a while and keeps the place of a static member.
    pub member_epoch: i32,
    /// Instance id of a static member; null for a dynamic one, and when it is as before.
    pub instance_id: Option<&'a str>,
    /// The rack the member stands in; null for none, and when it is as before.
    pub rack_id: Option<&'a str>,
    /// How long the member may take to let go of partitions, in milliseconds; -1 when it is as before.
    #[wire(default = -1)]
    pub rebalance_timeout_ms: i32,
    /// Topics subscribed to by name; null when they are as before.
    pub subscribed_topic_names: Option<Array<'a, &'a str>>,
    /// Topics subscribed to by pattern, in the syntax of RE2; null when it is as before, empty to take it back.
    #[wire(versions = 1..)]
    pub subscribed_topic_regex: Option<&'a str>,
    /// Assignor that the member would like; null for none, and when it is as before.
    pub server_assignor: Option<&'a str>,
    /// Partitions that the member holds; null when they are as before. This is how it says that it let go of some.
    pub topic_partitions: Option<Array<'a, TopicPartitions<'a>>>,
}

/// Partitions of one topic.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct TopicPartitions<'a> {
    /// The topic's id.
    pub topic_id: Uuid,
    /// Numbers of the partitions.
    pub partitions: Array<'a, i32>,
}

/// What the coordinator has to say to the member.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = ConsumerGroupHeartbeat, versions = 0..=1, flexible = 0..)]
pub struct ConsumerGroupHeartbeatResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    pub throttle_time_ms: i32,
    /// [`ErrorCode`](crate::ErrorCode) of the whole answer.
    pub error_code: i16,
    /// What went wrong, in words; null when nothing did or the code says it all.
    pub error_message: Option<&'a str>,
    /// Id of the member; null on error.
    pub member_id: Option<&'a str>,
    /// Epoch of the member from now on.
    pub member_epoch: i32,
    /// After how long the next heartbeat is due, in milliseconds.
    pub heartbeat_interval_ms: i32,
    /// Partitions that the member may hold from now on; null when they are as before.
    pub assignment: Option<Assignment<'a>>,
}

/// What a member may hold.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct Assignment<'a> {
    /// The partitions, topic by topic.
    pub topic_partitions: Array<'a, TopicPartitions<'a>>,
}
