//! DescribeGroups: who is in classic groups.

use crate::{Array, Wire};

/// Asks who is in classic groups.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = DescribeGroups, response = DescribeGroupsResponse<'r>, versions = 0..=6, flexible = 5..)]
pub struct DescribeGroupsRequest<'a> {
    /// Ids of the groups.
    pub groups: Array<'a, &'a str>,
    /// Whether to say what is allowed on each group.
    #[wire(versions = 3..)]
    pub include_authorized_operations: bool,
}

/// Who is in them.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = DescribeGroups, versions = 0..=6, flexible = 5..)]
pub struct DescribeGroupsResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    #[wire(versions = 1.., ignorable)]
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
    #[wire(versions = 6..)]
    pub error_message: Option<&'a str>,
    /// The group's id.
    pub group_id: &'a str,
    /// `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Stable` or `Dead`. Before version 6 a group that does not
    /// exist is `Dead`, from then on error 69 (KIP-1043).
    pub group_state: &'a str,
    /// What kind of group it is: `consumer`, `connect`, ..; empty for a group that only holds offsets.
    pub protocol_type: &'a str,
    /// The protocol that was voted for; empty unless the group is stable.
    pub protocol_data: &'a str,
    /// The members.
    pub members: Array<'a, DescribedGroupMember<'a>>,
    /// Bit set of the operations allowed on the group; `i32::MIN` when it was not asked for.
    #[wire(versions = 3.., default = i32::MIN)]
    pub authorized_operations: i32,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct DescribedGroupMember<'a> {
    /// Id of the member, as the coordinator gave it out.
    pub member_id: &'a str,
    /// Instance id of a static member (KIP-345), null for a dynamic one.
    #[wire(versions = 4.., ignorable)]
    pub group_instance_id: Option<&'a str>,
    /// The client's own name for itself, as its latest request header said.
    pub client_id: &'a str,
    /// Address the member connected from.
    pub client_host: &'a str,
    /// What the member said with that protocol; empty unless the group is stable.
    pub member_metadata: &'a [u8],
    /// What the leader gave the member; empty unless the group is stable.
    pub member_assignment: &'a [u8],
}
