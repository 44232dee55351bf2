//! DescribeConfigs: settings, their values and where those come from.

use crate::{Array, Wire};

/// Asks for the settings of topics, brokers and groups.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = DescribeConfigs, response = DescribeConfigsResponse<'r>, versions = 1..=4, flexible = 4..)]
pub struct DescribeConfigsRequest<'a> {
    /// Resources whose settings are asked for.
    pub resources: Array<'a, DescribeConfigsResource<'a>>,
    /// Whether to list every place the value could come from.
    pub include_synonyms: bool,
    /// Whether to say what each setting does.
    #[wire(versions = 3..)]
    pub include_documentation: bool,
}

/// A resource, and which of its settings are asked for.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct DescribeConfigsResource<'a> {
    /// Type of the resource: 2 topic, 4 broker, 8 broker loggers, 16 client metrics, 32 group.
    pub resource_type: i8,
    /// Name of the resource: a topic, a broker id in decimal.
    pub resource_name: &'a str,
    /// Names of the settings asked for, null for all.
    pub configuration_keys: Option<Array<'a, &'a str>>,
}

/// The settings.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = DescribeConfigs, versions = 1..=4, flexible = 4..)]
pub struct DescribeConfigsResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    pub throttle_time_ms: i32,
    /// Settings by resource.
    pub results: Array<'a, DescribeConfigsResult<'a>>,
}

/// The settings of one resource.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct DescribeConfigsResult<'a> {
    /// [`ErrorCode`](crate::ErrorCode) of the resource.
    pub error_code: i16,
    /// What went wrong, in words; null when nothing did or the code says it all.
    pub error_message: Option<&'a str>,
    /// Type of the resource: 2 topic, 4 broker, 8 broker loggers, 16 client metrics, 32 group.
    pub resource_type: i8,
    /// Name of the resource: a topic, a broker id in decimal.
    pub resource_name: &'a str,
    /// The settings.
    pub configs: Array<'a, DescribeConfigsResourceResult<'a>>,
}

/// A setting, its value and where that comes from.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct DescribeConfigsResourceResult<'a> {
    /// Name of the setting.
    pub name: &'a str,
    /// Its value, null for none or when it is secret.
    pub value: Option<&'a str>,
    /// Whether it cannot be changed.
    pub read_only: bool,
    /// Where the value comes from: 1 topic, 2 broker, 3 cluster-wide default, 4 server.properties, 5 built-in default,
    /// 6 broker logger, 7 client metrics, 8 group.
    #[wire(default = -1)]
    pub config_source: i8,
    /// Whether the value is secret, and therefore null.
    pub is_sensitive: bool,
    /// Every place the value could come from, the one in force first.
    pub synonyms: Array<'a, DescribeConfigsSynonym<'a>>,
    /// Type of the value: 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password.
    #[wire(versions = 3.., ignorable)]
    pub config_type: i8,
    /// What the setting does, null unless asked for.
    #[wire(versions = 3.., default = Some(""), ignorable)]
    pub documentation: Option<&'a str>,
}

/// A place the value could come from.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct DescribeConfigsSynonym<'a> {
    /// Name of the setting in that place.
    pub name: &'a str,
    /// Its value there, null for none or when it is secret.
    pub value: Option<&'a str>,
    /// The place, numbered as `config_source`.
    pub source: i8,
}
