//! IncrementalAlterConfigs: change single settings of a resource.

use crate::{Array, Wire};

/// Changes single settings of resources (KIP-339).
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = IncrementalAlterConfigs, response = IncrementalAlterConfigsResponse<'r>, versions = 0..=1, flexible = 1..)]
pub struct IncrementalAlterConfigsRequest<'a> {
    /// Resources whose settings change.
    pub resources: Array<'a, AlterConfigsResource<'a>>,
    /// Whether to check the request and change nothing.
    pub validate_only: bool,
}

/// A resource and the settings that change.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct AlterConfigsResource<'a> {
    /// Type of the resource: 2 topic, 4 broker, 8 broker loggers, 16 client metrics, 32 group.
    pub resource_type: i8,
    /// Name of the resource: a topic, a broker id in decimal.
    pub resource_name: &'a str,
    /// The settings that change; the others stay.
    pub configs: Array<'a, AlterableConfig<'a>>,
}

/// A change of one setting.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct AlterableConfig<'a> {
    /// Name of the setting.
    pub name: &'a str,
    /// What to do: 0 set, 1 delete (back to the default), 2 append to a list, 3 subtract from a list.
    pub config_operation: i8,
    /// Its new value, null for the default.
    pub value: Option<&'a str>,
}

/// What became of the resources.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = IncrementalAlterConfigs, versions = 0..=1, flexible = 1..)]
pub struct IncrementalAlterConfigsResponse<'a> {
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
