//! Records about settings, features, quotas and producer ids.

use crate::{Array, Wire};

/// A setting of a resource changes.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct ConfigRecord<'a> {
    /// Type of the resource: 2 topic, 4 broker, 8 broker loggers, 16 client metrics, 32 group.
    pub resource_type: i8,
    /// Name of the resource, empty for the default of its type.
    pub resource_name: &'a str,
    /// Name of the setting.
    pub name: &'a str,
    /// Its value, null to go back to the default.
    pub value: Option<&'a str>,
}

/// A feature is in force at a level. The first record of all says `metadata.version`.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct FeatureLevelRecord<'a> {
    /// Name of the feature.
    pub name: &'a str,
    /// The level in force from now on, 0 for none.
    pub feature_level: i16,
}

/// A quota is set or removed.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct ClientQuotaRecord<'a> {
    /// Whom it binds: every part must match.
    pub entity: Array<'a, EntityData<'a>>,
    /// Name of the quota.
    pub key: &'a str,
    /// Its value; of no matter when it is removed.
    pub value: f64,
    /// Whether it is removed.
    pub remove: bool,
}

/// One part of whom a quota binds.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct EntityData<'a> {
    /// `user`, `client-id` or `ip`.
    pub entity_type: &'a str,
    /// Whose, null for the default.
    pub entity_name: Option<&'a str>,
}

/// A block of producer ids is taken.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct ProducerIdsRecord {
    /// Broker that the block before this id was given to.
    pub broker_id: i32,
    /// The broker's epoch: the offset of its registration.
    #[wire(default = -1)]
    pub broker_epoch: i64,
    /// First producer id that nobody has.
    pub next_producer_id: i64,
}
