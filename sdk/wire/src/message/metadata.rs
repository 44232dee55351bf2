//! Metadata: who leads what.

use crate::{Array, Wire};
use uuid::Uuid;

/// Asks which brokers there are and who leads what. As of version 12 topics can be asked for by id.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = Metadata, response = MetadataResponse<'r>, versions = 0..=13, flexible = 9..)]
pub struct MetadataRequest<'a> {
    /// Topics to describe; null asks for all. In version 0 an empty list did.
    #[wire(nullable = 1..)]
    pub topics: Option<Array<'a, MetadataRequestTopic<'a>>>,
    /// Whether a topic that is missing may be created.
    #[wire(versions = 4.., default = true)]
    pub allow_auto_topic_creation: bool,
    /// Whether to say what is allowed on the cluster.
    #[wire(versions = 8..=10)]
    pub include_cluster_authorized_operations: bool,
    /// Whether to say what is allowed on each topic.
    #[wire(versions = 8..)]
    pub include_topic_authorized_operations: bool,
}

/// A topic that is asked for.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct MetadataRequestTopic<'a> {
    /// The topic's id, nil to ask by name. Not to be trusted before version 12.
    #[wire(versions = 10.., ignorable)]
    pub topic_id: Uuid,
    /// The topic's name, null to ask by id.
    #[wire(nullable = 10..)]
    pub name: Option<&'a str>,
}

/// The brokers, and the partitions with their leaders.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = Metadata, versions = 0..=13, flexible = 9..)]
pub struct MetadataResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    #[wire(versions = 3.., ignorable)]
    pub throttle_time_ms: i32,
    /// Every broker that is alive.
    pub brokers: Array<'a, MetadataResponseBroker<'a>>,
    /// The cluster's id, if it has one.
    #[wire(versions = 2.., ignorable)]
    pub cluster_id: Option<&'a str>,
    /// Broker to send administration to, -1 when there is none.
    #[wire(versions = 1.., default = -1, ignorable)]
    pub controller_id: i32,
    /// The topics asked for, or all.
    pub topics: Array<'a, MetadataResponseTopic<'a>>,
    /// Bit set of the operations allowed on the cluster; `i32::MIN` when it was not asked for.
    #[wire(versions = 8..=10, default = i32::MIN)]
    pub cluster_authorized_operations: i32,
    /// [`ErrorCode`](crate::ErrorCode) of the whole answer: 129 sends the client back to its bootstrap servers (KIP-1102).
    #[wire(versions = 13.., ignorable)]
    pub error_code: i16,
}

/// A broker and its address.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct MetadataResponseBroker<'a> {
    /// The broker's id.
    pub node_id: i32,
    /// Host name or address to connect to.
    pub host: &'a str,
    /// Port to connect to.
    pub port: i32,
    /// The rack the broker stands in, if it was told.
    #[wire(versions = 1.., ignorable)]
    pub rack: Option<&'a str>,
}

/// A topic, or why it cannot be described.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct MetadataResponseTopic<'a> {
    /// [`ErrorCode`](crate::ErrorCode) of the topic.
    pub error_code: i16,
    /// The topic's name; null for an unknown topic that was asked for by id.
    #[wire(nullable = 12..)]
    pub name: Option<&'a str>,
    /// The topic's id; nil when it is not known.
    #[wire(versions = 10.., ignorable)]
    pub topic_id: Uuid,
    /// Whether the topic is one of the system's own.
    #[wire(versions = 1.., ignorable)]
    pub is_internal: bool,
    /// The topic's partitions.
    pub partitions: Array<'a, MetadataResponsePartition<'a>>,
    /// Bit set of the operations allowed on the topic; `i32::MIN` when it was not asked for.
    #[wire(versions = 8.., default = i32::MIN)]
    pub topic_authorized_operations: i32,
}

/// A partition and who holds it.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct MetadataResponsePartition<'a> {
    /// [`ErrorCode`](crate::ErrorCode) of the partition.
    pub error_code: i16,
    /// The partition's number.
    pub partition_index: i32,
    /// Broker id of the leader, -1 when there is none or it is not known.
    pub leader_id: i32,
    /// The leader's epoch, -1 when it is not known.
    #[wire(versions = 7.., default = -1, ignorable)]
    pub leader_epoch: i32,
    /// Broker ids of all replicas, the preferred leader first.
    pub replica_nodes: Array<'a, i32>,
    /// Broker ids of the replicas in sync.
    pub isr_nodes: Array<'a, i32>,
    /// Broker ids of the replicas that are offline.
    #[wire(versions = 5.., ignorable)]
    pub offline_replicas: Array<'a, i32>,
}
