//! LeaveGroup: stop being a member of a classic group.

use crate::{Array, Wire};

/// Leaves a classic group. As of version 3 for many members at once, static ones among them.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = LeaveGroup, response = LeaveGroupResponse<'r>, versions = 0..=5, flexible = 4..)]
pub struct LeaveGroupRequest<'a> {
    /// The group's id.
    pub group_id: &'a str,
    /// Id of the member that leaves.
    #[wire(versions = 0..=2)]
    pub member_id: &'a str,
    /// Members that leave (KIP-345).
    #[wire(versions = 3..)]
    pub members: Array<'a, MemberIdentity<'a>>,
}

/// A member that leaves.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct MemberIdentity<'a> {
    /// Id of the member; empty to name a static one by its instance alone.
    pub member_id: &'a str,
    /// Instance id of a static member (KIP-345), null for a dynamic one.
    pub group_instance_id: Option<&'a str>,
    /// Why it leaves, in words, for the log (KIP-800).
    #[wire(versions = 5.., ignorable)]
    pub reason: Option<&'a str>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = LeaveGroup, versions = 0..=5, flexible = 4..)]
pub struct LeaveGroupResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    #[wire(versions = 1.., ignorable)]
    pub throttle_time_ms: i32,
    /// [`ErrorCode`](crate::ErrorCode) of the whole answer.
    pub error_code: i16,
    /// The outcomes, one for each member.
    #[wire(versions = 3..)]
    pub members: Array<'a, MemberResponse<'a>>,
}

/// What became of one member.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct MemberResponse<'a> {
    /// Id of the member, as it was asked.
    pub member_id: &'a str,
    /// Instance id of the member, as it was asked.
    pub group_instance_id: Option<&'a str>,
    /// [`ErrorCode`](crate::ErrorCode) of the member.
    pub error_code: i16,
}
