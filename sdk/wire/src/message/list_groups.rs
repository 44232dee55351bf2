//! ListGroups: which groups there are.

use crate::{Array, Wire};

/// Asks which groups a broker coordinates.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = ListGroups, response = ListGroupsResponse<'r>, versions = 0..=5, flexible = 3..)]
pub struct ListGroupsRequest<'a> {
    /// States to list, by name in any case; empty lists all (KIP-518).
    #[wire(versions = 4..)]
    pub states_filter: Array<'a, &'a str>,
    /// Types to list, by name in any case; empty lists all (KIP-848).
    #[wire(versions = 5..)]
    pub types_filter: Array<'a, &'a str>,
}

/// The groups.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = ListGroups, versions = 0..=5, flexible = 3..)]
pub struct ListGroupsResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    #[wire(versions = 1.., ignorable)]
    pub throttle_time_ms: i32,
    /// [`ErrorCode`](crate::ErrorCode) of the whole answer.
    pub error_code: i16,
    /// The groups that this broker coordinates.
    pub groups: Array<'a, ListedGroup<'a>>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct ListedGroup<'a> {
    /// The group's id.
    pub group_id: &'a str,
    /// What kind of group it is: `consumer`, `connect`, ..; empty for a group that only holds offsets.
    pub protocol_type: &'a str,
    /// State of the group, by name.
    #[wire(versions = 4.., ignorable)]
    pub group_state: &'a str,
    /// Type of the group, by name: `classic`, `consumer`, `share`, `streams`.
    #[wire(versions = 5.., ignorable)]
    pub group_type: &'a str,
}
