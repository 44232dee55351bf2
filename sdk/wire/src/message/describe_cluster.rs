//! DescribeCluster: who the brokers are.

use crate::{Array, Wire};

/// Asks who the brokers are (KIP-700).
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = DescribeCluster, response = DescribeClusterResponse<'r>, versions = 0..=2, flexible = 0..)]
pub struct DescribeClusterRequest {
    /// Whether to say what is allowed on the cluster.
    pub include_cluster_authorized_operations: bool,
    /// Whose addresses: 1 brokers, 2 controllers.
    #[wire(versions = 1.., default = 1)]
    pub endpoint_type: i8,
    /// Whether to list brokers that are registered but fenced.
    #[wire(versions = 2..)]
    pub include_fenced_brokers: bool,
}

/// The cluster and its brokers.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = DescribeCluster, versions = 0..=2, flexible = 0..)]
pub struct DescribeClusterResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    pub throttle_time_ms: i32,
    /// [`ErrorCode`](crate::ErrorCode) of the whole answer.
    pub error_code: i16,
    /// What went wrong, in words; null when nothing did or the code says it all.
    pub error_message: Option<&'a str>,
    /// Whose addresses: 1 brokers, 2 controllers.
    #[wire(versions = 1.., default = 1)]
    pub endpoint_type: i8,
    /// The cluster's id.
    pub cluster_id: &'a str,
    /// Broker to send administration to, -1 when there is none.
    #[wire(default = -1)]
    pub controller_id: i32,
    /// The brokers.
    pub brokers: Array<'a, DescribeClusterBroker<'a>>,
    /// Bit set of the operations allowed on the cluster; `i32::MIN` when it was not asked for.
    #[wire(default = i32::MIN)]
    pub cluster_authorized_operations: i32,
}

/// A broker and its address.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct DescribeClusterBroker<'a> {
    /// The broker's id.
    pub broker_id: i32,
    /// Host name or address to connect to.
    pub host: &'a str,
    /// Port to connect to.
    pub port: i32,
    /// The rack the broker stands in, if it was told.
    pub rack: Option<&'a str>,
    /// Whether the broker is fenced.
    #[wire(versions = 2..)]
    pub is_fenced: bool,
}
