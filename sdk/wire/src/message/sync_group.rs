//! SyncGroup: hand out the assignment of a generation.

use crate::{Array, Wire};

/// Asks for the assignment; the leader brings it along.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = SyncGroup, response = SyncGroupResponse<'r>, versions = 0..=5, flexible = 4..)]
pub struct SyncGroupRequest<'a> {
    /// The group's id.
    pub group_id: &'a str,
    /// Generation the member believes in; a mismatch fences it.
    pub generation_id: i32,
    /// Id of the member, as the coordinator gave it out.
    pub member_id: &'a str,
    /// Instance id of a static member (KIP-345), null for a dynamic one.
    #[wire(versions = 3..)]
    pub group_instance_id: Option<&'a str>,
    /// What kind of group the member believes in (KIP-559); null leaves it unchecked.
    #[wire(versions = 5.., ignorable)]
    pub protocol_type: Option<&'a str>,
    /// The protocol the member believes was voted for; null leaves it unchecked.
    #[wire(versions = 5.., ignorable)]
    pub protocol_name: Option<&'a str>,
    /// What each member gets, from the leader; empty from everybody else.
    pub assignments: Array<'a, SyncGroupRequestAssignment<'a>>,
}

/// What one member gets.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct SyncGroupRequestAssignment<'a> {
    /// Id of the member, as the coordinator gave it out.
    pub member_id: &'a str,
    /// What the member gets; in a group of consumers a
    /// [`ConsumerProtocolAssignment`](crate::consumer_protocol::ConsumerProtocolAssignment).
    pub assignment: &'a [u8],
}

/// The member's assignment.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = SyncGroup, versions = 0..=5, flexible = 4..)]
pub struct SyncGroupResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    #[wire(versions = 1.., ignorable)]
    pub throttle_time_ms: i32,
    /// [`ErrorCode`](crate::ErrorCode) of the whole answer.
    pub error_code: i16,
    /// What kind of group it is (KIP-559); null on error.
    #[wire(versions = 5.., ignorable)]
    pub protocol_type: Option<&'a str>,
    /// The protocol that was voted for; null on error.
    #[wire(versions = 5.., ignorable)]
    pub protocol_name: Option<&'a str>,
    /// What the member gets, as the leader wrote it; empty on error.
    pub assignment: &'a [u8],
}
