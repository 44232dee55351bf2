//! DeleteGroups.

use crate::{Array, Wire};

/// Deletes groups without members, and their commits.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = DeleteGroups, response = DeleteGroupsResponse<'r>, versions = 0..=2, flexible = 2..)]
pub struct DeleteGroupsRequest<'a> {
    /// Ids of the groups.
    pub groups_names: Array<'a, &'a str>,
}

/// What became of them.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = DeleteGroups, versions = 0..=2, flexible = 2..)]
pub struct DeleteGroupsResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    pub throttle_time_ms: i32,
    /// The outcomes, one for each group.
    pub results: Array<'a, DeletableGroupResult<'a>>,
}

/// What became of one group.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct DeletableGroupResult<'a> {
    /// The group's id.
    pub group_id: &'a str,
    /// [`ErrorCode`](crate::ErrorCode) of the group.
    pub error_code: i16,
}
