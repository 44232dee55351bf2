//! Records about controllers, and the migration they came from.

use crate::{Array, Wire};
use uuid::Uuid;

/// A controller is there.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct RegisterControllerRecord<'a> {
    /// The controller's node id.
    pub controller_id: i32,
    /// Drawn anew each time the process starts.
    pub incarnation_id: Uuid,
    /// Whether it is ready for the migration from ZooKeeper.
    pub zk_migration_ready: bool,
    /// Where it can be reached.
    pub end_points: Array<'a, ControllerEndpoint<'a>>,
    /// Features it could enable.
    pub features: Array<'a, ControllerFeature<'a>>,
}

/// A listener of a controller.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct ControllerEndpoint<'a> {
    /// Name of the listener.
    pub name: &'a str,
    /// Host name or address to connect to.
    pub host: &'a str,
    /// Port to connect to.
    pub port: u16,
    /// 0 plain, 1 TLS, 2 SASL, 3 SASL over TLS.
    pub security_protocol: i16,
}

/// A feature a controller could enable.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct ControllerFeature<'a> {
    /// Name of the feature.
    pub name: &'a str,
    /// Lowest level that can be enabled.
    pub min_supported_version: i16,
    /// Highest level that can be enabled.
    pub max_supported_version: i16,
}

/// Where the migration from ZooKeeper stands.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct ZkMigrationStateRecord {
    /// Where the migration stands: 0 there is none, 1 not yet, 2 under way, 3 nearly, 4 done.
    pub zk_migration_state: i8,
}
