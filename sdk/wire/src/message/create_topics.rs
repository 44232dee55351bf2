//! CreateTopics.

use crate::{Array, Wire};
use uuid::Uuid;

/// Creates topics.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = CreateTopics, response = CreateTopicsResponse<'r>, versions = 2..=7, flexible = 5..)]
pub struct CreateTopicsRequest<'a> {
    /// Topics to create.
    pub topics: Array<'a, CreatableTopic<'a>>,
    /// How long the broker may take, in milliseconds.
    #[wire(default = 60000)]
    pub timeout_ms: i32,
    /// Whether to check the request and change nothing.
    pub validate_only: bool,
}

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct CreatableTopic<'a> {
    /// The topic's name.
    pub name: &'a str,
    /// Number of partitions: -1 for the broker's default, or when they are assigned below.
    pub num_partitions: i32,
    /// Number of replicas: -1 for the broker's default, or when they are assigned below.
    pub replication_factor: i16,
    /// Which brokers hold which partition; empty lets the broker choose.
    pub assignments: Array<'a, CreatableReplicaAssignment<'a>>,
    /// Settings of the topic that differ from the broker's.
    pub configs: Array<'a, CreatableTopicConfig<'a>>,
}

/// Who holds one partition.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct CreatableReplicaAssignment<'a> {
    /// The partition's number.
    pub partition_index: i32,
    /// Broker ids of the replicas, the preferred leader first.
    pub broker_ids: Array<'a, i32>,
}

/// A setting of the new topic.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct CreatableTopicConfig<'a> {
    /// Name of the setting.
    pub name: &'a str,
    /// Its value, null for the default.
    pub value: Option<&'a str>,
}

/// What became of the topics. As of version 5 it says how they were created (KIP-525).
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = CreateTopics, versions = 2..=7, flexible = 5..)]
pub struct CreateTopicsResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    pub throttle_time_ms: i32,
    /// Outcomes by topic.
    pub topics: Array<'a, CreatableTopicResult<'a>>,
}

/// What became of one topic.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct CreatableTopicResult<'a> {
    /// The topic's name.
    pub name: &'a str,
    /// The topic's id; nil when it is not known.
    #[wire(versions = 7.., ignorable)]
    pub topic_id: Uuid,
    /// [`ErrorCode`](crate::ErrorCode) of the topic.
    pub error_code: i16,
    /// What went wrong, in words; null when nothing did or the code says it all.
    pub error_message: Option<&'a str>,
    /// [`ErrorCode`](crate::ErrorCode) for the settings, when the asker may not see them.
    #[wire(tag = 0, versions = 5.., ignorable)]
    pub topic_config_error_code: i16,
    /// Number of partitions, -1 when it may not be seen.
    #[wire(versions = 5.., default = -1, ignorable)]
    pub num_partitions: i32,
    /// Number of replicas, -1 when it may not be seen.
    #[wire(versions = 5.., default = -1, ignorable)]
    pub replication_factor: i16,
    /// Settings in force for the topic, null when they may not be seen.
    #[wire(versions = 5.., default = Some(Array::empty()), ignorable)]
    pub configs: Option<Array<'a, CreatableTopicConfigs<'a>>>,
}

/// A setting of the topic that was created.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct CreatableTopicConfigs<'a> {
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
}
