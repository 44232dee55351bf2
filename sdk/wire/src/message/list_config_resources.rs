//! ListConfigResources: which resources have settings.

use crate::{Array, Wire};

/// Asks which resources have settings (KIP-1142).
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = ListConfigResources, response = ListConfigResourcesResponse<'r>, versions = 0..=1, flexible = 0..)]
pub struct ListConfigResourcesRequest<'a> {
    /// Types to list: 2 topic, 4 broker, 8 broker loggers, 16 client metrics, 32 group; empty lists all. Version 0
    /// lists client metrics.
    #[wire(versions = 1..)]
    pub resource_types: Array<'a, i8>,
}

/// The resources.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = ListConfigResources, versions = 0..=1, flexible = 0..)]
pub struct ListConfigResourcesResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    pub throttle_time_ms: i32,
    /// [`ErrorCode`](crate::ErrorCode) of the whole answer.
    pub error_code: i16,
    /// The resources that have settings.
    pub config_resources: Array<'a, ConfigResource<'a>>,
}

/// A resource that has settings.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct ConfigResource<'a> {
    /// Name of the resource: a topic, a broker id in decimal, a group.
    pub resource_name: &'a str,
    /// Type of the resource, numbered as in the request.
    #[wire(versions = 1.., default = 16, ignorable)]
    pub resource_type: i8,
}
