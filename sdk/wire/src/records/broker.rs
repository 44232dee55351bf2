//! Records about brokers: there, fenced, gone.

use crate::{Array, Wire};
use uuid::Uuid;

/// A broker is there. Its epoch is the offset of this record.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=4, flexible = 0..)]
pub struct RegisterBrokerRecord<'a> {
    /// The broker's id.
    pub broker_id: i32,
    /// Whether the broker is still on its way from ZooKeeper.
    #[wire(versions = 2..)]
    pub is_migrating_zk_broker: bool,
    /// Drawn anew each time the process starts.
    pub incarnation_id: Uuid,
    /// The broker's epoch: the offset of its registration.
    pub broker_epoch: i64,
    /// Where it can be reached.
    pub end_points: Array<'a, BrokerEndpoint<'a>>,
    /// Features it could enable.
    pub features: Array<'a, BrokerFeature<'a>>,
    /// The rack the broker stands in, if it was told.
    pub rack: Option<&'a str>,
    /// Whether it is fenced.
    #[wire(default = true)]
    pub fenced: bool,
    /// Whether it is shutting down in order.
    #[wire(versions = 1..)]
    pub in_controlled_shutdown: bool,
    /// Directory ids that are online.
    #[wire(tag = 0, versions = 3..)]
    pub log_dirs: Array<'a, Uuid>,
    /// Directory ids that take no new partitions, null before the first heartbeat said so.
    #[wire(tag = 1, versions = 4..)]
    pub cordoned_log_dirs: Option<Array<'a, Uuid>>,
}

/// A listener of a broker.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct BrokerEndpoint<'a> {
    /// Name of the listener.
    pub name: &'a str,
    /// Host name or address to connect to.
    pub host: &'a str,
    /// Port to connect to.
    pub port: u16,
    /// 0 plain, 1 TLS, 2 SASL, 3 SASL over TLS.
    pub security_protocol: i16,
}

/// A feature a broker could enable.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct BrokerFeature<'a> {
    /// Name of the feature.
    pub name: &'a str,
    /// Lowest level that can be enabled.
    pub min_supported_version: i16,
    /// Highest level that can be enabled.
    pub max_supported_version: i16,
}

/// A broker is fenced, unfenced, shuts down or loses directories.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=3, flexible = 0..)]
pub struct BrokerRegistrationChangeRecord<'a> {
    /// The broker's id.
    pub broker_id: i32,
    /// The broker's epoch: the offset of its registration.
    pub broker_epoch: i64,
    /// -1 unfences, 0 leaves it, 1 fences.
    #[wire(tag = 0)]
    pub fenced: i8,
    /// 0 leaves it, 1 begins a controlled shutdown.
    #[wire(tag = 1, versions = 1..)]
    pub in_controlled_shutdown: i8,
    /// Directory ids that are online from now on; empty leaves them.
    #[wire(tag = 2, versions = 2..)]
    pub log_dirs: Array<'a, Uuid>,
    /// Directory ids that take no new partitions from now on; null leaves them.
    #[wire(tag = 3, versions = 3..)]
    pub cordoned_log_dirs: Option<Array<'a, Uuid>>,
}

/// A broker is fenced. Superseded by [`BrokerRegistrationChangeRecord`].
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct FenceBrokerRecord {
    /// The broker's id.
    pub id: i32,
    /// Its epoch.
    pub epoch: i64,
}

/// A broker is unfenced. Superseded by [`BrokerRegistrationChangeRecord`].
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct UnfenceBrokerRecord {
    /// The broker's id.
    pub id: i32,
    /// Its epoch.
    pub epoch: i64,
}

/// A broker is gone.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct UnregisterBrokerRecord {
    /// The broker's id.
    pub broker_id: i32,
    /// The broker's epoch: the offset of its registration.
    pub broker_epoch: i64,
}
