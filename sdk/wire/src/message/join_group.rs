//! JoinGroup: become a member of a classic group, generation by generation.

use crate::{Array, Wire};

/// Joins a classic group, or joins again in a rebalance. The answer waits until all members are there.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = JoinGroup, response = JoinGroupResponse<'r>, versions = 0..=9, flexible = 6..)]
pub struct JoinGroupRequest<'a> {
    /// The group's id.
    pub group_id: &'a str,
    /// After how long without a heartbeat the member counts as dead, in milliseconds.
    pub session_timeout_ms: i32,
    /// How long the group waits for this member to join again in a rebalance, in milliseconds. -1, and version 0, mean
    /// the session time-out.
    #[wire(versions = 1.., default = -1, ignorable)]
    pub rebalance_timeout_ms: i32,
    /// Id of the member; empty the first time. As of version 4 that is answered with error 79 and an id to join with
    /// (KIP-394).
    pub member_id: &'a str,
    /// Instance id of a static member (KIP-345), null for a dynamic one.
    #[wire(versions = 5..)]
    pub group_instance_id: Option<&'a str>,
    /// What kind of group it is: `consumer`, `connect`, ..; all members must say the same.
    pub protocol_type: &'a str,
    /// Protocols that the member speaks, the one it likes best first. The group takes one that all of them speak.
    pub protocols: Array<'a, JoinGroupRequestProtocol<'a>>,
    /// Why the member joins, in words, for the log (KIP-800).
    #[wire(versions = 8.., ignorable)]
    pub reason: Option<&'a str>,
}

/// A protocol that the member speaks.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct JoinGroupRequestProtocol<'a> {
    /// The protocol's name; an assignor, in a group of consumers.
    pub name: &'a str,
    /// What the leader must know about this member; in a group of consumers a
    /// [`ConsumerProtocolSubscription`](crate::consumer_protocol::ConsumerProtocolSubscription).
    pub metadata: &'a [u8],
}

/// A generation begins; who leads it is told who is in it.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = JoinGroup, versions = 0..=9, flexible = 6..)]
pub struct JoinGroupResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    #[wire(versions = 2.., ignorable)]
    pub throttle_time_ms: i32,
    /// [`ErrorCode`](crate::ErrorCode) of the whole answer.
    pub error_code: i16,
    /// The generation that begins, -1 on error.
    #[wire(default = -1)]
    pub generation_id: i32,
    /// What kind of group it is (KIP-559); null on error.
    #[wire(versions = 7.., ignorable)]
    pub protocol_type: Option<&'a str>,
    /// The protocol that the group voted for; empty, and as of version 7 null, on error.
    #[wire(nullable = 7.., default = Some(""))]
    pub protocol_name: Option<&'a str>,
    /// Member id of the leader: who makes the assignment.
    pub leader: &'a str,
    /// Whether the leader must leave the assignment as it is: a static leader came back (KIP-814).
    #[wire(versions = 9..)]
    pub skip_assignment: bool,
    /// Id of the member that asked.
    pub member_id: &'a str,
    /// All members, for the leader; empty for everybody else.
    pub members: Array<'a, JoinGroupResponseMember<'a>>,
}

/// A member, for the leader.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct JoinGroupResponseMember<'a> {
    /// Id of the member.
    pub member_id: &'a str,
    /// Instance id of a static member (KIP-345), null for a dynamic one.
    #[wire(versions = 5.., ignorable)]
    pub group_instance_id: Option<&'a str>,
    /// What the member said with the protocol that was voted for.
    pub metadata: &'a [u8],
}
