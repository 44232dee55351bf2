//! AlterConfigs: replace all settings of a resource.

use crate::{Array, Wire};

/// Replaces all settings of a resource. Superseded by IncrementalAlterConfigs (KIP-339), still used by old tools.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = AlterConfigs, response = AlterConfigsResponse<'r>, versions = 0..=2, flexible = 2..)]
pub struct AlterConfigsRequest<'a> {
    /// Resources whose settings are replaced.
    pub resources: Array<'a, AlterConfigsResource<'a>>,
    /// Whether to check the request and change nothing.
    pub validate_only: bool,
}

/// A resource and all its settings.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct AlterConfigsResource<'a> {
    /// Type of the resource: 2 topic, 4 broker, 8 broker loggers, 16 client metrics, 32 group.
    pub resource_type: i8,
    /// Name of the resource: a topic, a broker id in decimal.
    pub resource_name: &'a str,
    /// All settings the resource is to have; what is not here goes back to its default.
    pub configs: Array<'a, AlterableConfig<'a>>,
}

/// A setting.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct AlterableConfig<'a> {
    /// Name of the setting.
    pub name: &'a str,
    /// Its new value, null for the default.
    pub value: Option<&'a str>,
}

/// What became of the resources.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = AlterConfigs, versions = 0..=2, flexible = 2..)]
pub struct AlterConfigsResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    pub throttle_time_ms: i32,
    /// Outcomes by resource.
    pub responses: Array<'a, AlterConfigsResourceResponse<'a>>,
}

/// What became of one resource.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct AlterConfigsResourceResponse<'a> {
    /// [`ErrorCode`](crate::ErrorCode) of the resource.
    pub error_code: i16,
    /// What went wrong, in words; null when nothing did or the code says it all.
    pub error_message: Option<&'a str>,
    /// Type of the resource: 2 topic, 4 broker, 8 broker loggers, 16 client metrics, 32 group.
    pub resource_type: i8,
    /// Name of the resource: a topic, a broker id in decimal.
    pub resource_name: &'a str,
}
