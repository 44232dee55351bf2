//! FindCoordinator: who coordinates a group or a transaction.

use crate::{Array, Wire};

/// Asks who coordinates a group, a transaction or a share partition. As of version 4 for many keys at once (KIP-699).
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = FindCoordinator, response = FindCoordinatorResponse<'r>, versions = 0..=6, flexible = 3..)]
pub struct FindCoordinatorRequest<'a> {
    /// Whose coordinator is asked for.
    #[wire(versions = 0..=3)]
    pub key: &'a str,
    /// What the keys are: 0 group, 1 transactional id, 2 share partition (`group:topic id:partition`).
    #[wire(versions = 1..)]
    pub key_type: i8,
    /// Whose coordinators are asked for.
    #[wire(versions = 4..)]
    pub coordinator_keys: Array<'a, &'a str>,
}

/// The coordinators.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = FindCoordinator, versions = 0..=6, flexible = 3..)]
pub struct FindCoordinatorResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    #[wire(versions = 1.., ignorable)]
    pub throttle_time_ms: i32,
    /// [`ErrorCode`](crate::ErrorCode) of the whole answer.
    #[wire(versions = 0..=3)]
    pub error_code: i16,
    /// What went wrong, in words; null when nothing did or the code says it all.
    #[wire(versions = 1..=3, default = Some(""), ignorable)]
    pub error_message: Option<&'a str>,
    /// Broker id of the coordinator, -1 on error.
    #[wire(versions = 0..=3)]
    pub node_id: i32,
    /// Host name or address to connect to.
    #[wire(versions = 0..=3)]
    pub host: &'a str,
    /// Port to connect to.
    #[wire(versions = 0..=3)]
    pub port: i32,
    /// The coordinators, one for each key.
    #[wire(versions = 4..)]
    pub coordinators: Array<'a, Coordinator<'a>>,
}

/// The coordinator for one key, or why there is none.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct Coordinator<'a> {
    /// Whose coordinator this is.
    pub key: &'a str,
    /// Broker id of the coordinator, -1 on error.
    pub node_id: i32,
    /// Host name or address to connect to.
    pub host: &'a str,
    /// Port to connect to.
    pub port: i32,
    /// [`ErrorCode`](crate::ErrorCode) of the key.
    pub error_code: i16,
    /// What went wrong, in words; null when nothing did or the code says it all.
    pub error_message: Option<&'a str>,
}
