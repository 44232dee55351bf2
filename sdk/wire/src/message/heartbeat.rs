//! Heartbeat: stay a member of a classic group.

use crate::Wire;

/// Says that a member is alive.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = Heartbeat, response = HeartbeatResponse, versions = 0..=4, flexible = 4..)]
pub struct HeartbeatRequest<'a> {
    /// The group's id.
    pub group_id: &'a str,
    /// Generation the member believes in; a mismatch fences it.
    pub generation_id: i32,
    /// Id of the member, as the coordinator gave it out.
    pub member_id: &'a str,
    /// Instance id of a static member (KIP-345), null for a dynamic one.
    #[wire(versions = 3..)]
    pub group_instance_id: Option<&'a str>,
}

/// Whether it still belongs: error 27 asks it to join again.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = Heartbeat, versions = 0..=4, flexible = 4..)]
pub struct HeartbeatResponse {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    #[wire(versions = 1.., ignorable)]
    pub throttle_time_ms: i32,
    /// [`ErrorCode`](crate::ErrorCode) of the whole answer.
    pub error_code: i16,
}
