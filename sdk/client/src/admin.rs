//! Topics, their configuration and their offsets, as an administrator sees them.
//!
//! One method per API; what concerns several topics or partitions has one result for each.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::client::Client;
use crate::error::{Error, Result, TopicPartition};

/// The result for each item of a request, by its name.
pub type Results<K, T> = BTreeMap<K, Result<T, Error>>;

/// The administrator's calls. Cheap to make and to clone.
///
/// Each call is retried while the failure is retriable, for up to `default.api.timeout.ms`. All of
/// them are cancel-safe in the sense that no state of the client is lost; what the broker has been
/// asked to do, it may still do.
#[derive(Clone, Debug)]
pub struct Admin {
    client: Client,
}

/// A topic to be created.
#[derive(Clone, Debug)]
pub struct NewTopic {
    pub(crate) name: String,
    pub(crate) partitions: i32,
    pub(crate) replication: i16,
    pub(crate) configs: BTreeMap<String, Option<String>>,
}

impl NewTopic {
    /// A topic with the broker's defaults (`num.partitions`, `default.replication.factor`).
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            partitions: -1,
            replication: -1,
            configs: BTreeMap::new(),
        }
    }

    /// How many partitions.
    pub fn partitions(mut self, partitions: i32) -> Self {
        self.partitions = partitions;
        self
    }

    /// How many replicas of each.
    pub fn replication(mut self, replication: i16) -> Self {
        self.replication = replication;
        self
    }

    /// Sets one of the topic's configs.
    pub fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.insert(key.into(), Some(value.into()));
        self
    }
}

/// A topic as the broker created it (or would, when only validating).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// The topic's id; nil on brokers older than topic ids.
    pub id: Uuid,
    /// How many partitions; -1 when the broker does not say.
    pub partitions: i32,
    /// How many replicas of each; -1 when the broker does not say.
    pub replication: i16,
}

/// One line of a list of topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicListing {
    /// The topic's name.
    pub name: String,
    /// Its id; nil on brokers older than topic ids.
    pub id: Uuid,
    /// Whether it is one of the brokers' own.
    pub is_internal: bool,
    /// How many partitions it has.
    pub partitions: i32,
}

/// A topic in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// The topic's name.
    pub name: String,
    /// Its id; nil on brokers older than topic ids.
    pub id: Uuid,
    /// Whether it is one of the brokers' own.
    pub is_internal: bool,
    /// Its partitions, by index.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition and who holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDescription {
    /// The partition's index.
    pub partition: i32,
    /// The leader's broker id; `None` when there is none.
    pub leader: Option<i32>,
    /// The leader's epoch; -1 when the broker does not say.
    pub leader_epoch: i32,
    /// Broker ids of the replicas, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Broker ids of the in-sync replicas.
    pub in_sync: Vec<i32>,
    /// Broker ids of replicas whose directory or broker is down.
    pub offline: Vec<i32>,
}

/// What a config belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    /// A topic, by name.
    Topic(String),
    /// A broker, by id.
    Broker(i32),
    /// The default of all brokers.
    BrokerDefault,
    /// A consumer group, by id.
    Group(String),
}

/// Where a config's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic,
    /// Set on this broker while it runs.
    DynamicBroker,
    /// Set for all brokers while they run.
    DynamicBrokerDefault,
    /// From the broker's file or command line.
    StaticBroker,
    /// Nobody set it.
    Default,
    /// Set on the group.
    Group,
    /// Another source, by Kafka's number for it.
    Other(i8),
}

/// One config of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// Its value; `None` when it is sensitive or not set.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether it cannot be changed.
    pub is_read_only: bool,
    /// Whether its value is a secret.
    pub is_sensitive: bool,
    /// What it does, when asked for and known.
    pub documentation: Option<String>,
}

/// A change of one config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlterConfig {
    /// Sets the value.
    Set(String, String),
    /// Goes back to the default.
    Delete(String),
    /// Adds to a list.
    Append(String, String),
    /// Takes away from a list.
    Subtract(String, String),
}

/// Which offset of a partition is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first one that is there.
    Earliest,
    /// The end: one past the last.
    Latest,
    /// The record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// The first record with this or a later timestamp, in milliseconds since 1970.
    Timestamp(i64),
}

/// An offset that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset; `None` when no record matches the timestamp.
    pub offset: Option<i64>,
    /// The record's timestamp; `None` for the ends.
    pub timestamp_ms: Option<i64>,
    /// The epoch of the leader that wrote it; -1 when not known.
    pub leader_epoch: i32,
}

/// The cluster and its brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    /// The cluster's id.
    pub cluster_id: String,
    /// The controller's broker id, as brokers tell clients.
    pub controller: Option<i32>,
    /// The brokers.
    pub brokers: Vec<BrokerDescription>,
}

/// One broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerDescription {
    /// Its id.
    pub id: i32,
    /// Where clients reach it.
    pub host: String,
    /// The port there.
    pub port: u16,
    /// Its rack.
    pub rack: Option<String>,
}

impl Admin {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Creates topics.
    ///
    /// # Errors
    ///
    /// When no broker answers; a refusal of one topic is in the results.
    pub async fn create_topics(
        &self,
        topics: impl IntoIterator<Item = NewTopic>,
    ) -> Result<Results<String, CreatedTopic>> {
        let _ = (&self.client, topics.into_iter().count());
        todo!()
    }

    /// Asks whether topics could be created, without creating them.
    ///
    /// # Errors
    ///
    /// As [`create_topics`](Self::create_topics).
    pub async fn validate_topics(
        &self,
        topics: impl IntoIterator<Item = NewTopic>,
    ) -> Result<Results<String, CreatedTopic>> {
        let _ = topics.into_iter().count();
        todo!()
    }

    /// Deletes topics, with all their records.
    ///
    /// # Errors
    ///
    /// When no broker answers; a refusal of one topic is in the results.
    pub async fn delete_topics<S: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Results<String, ()>> {
        let _ = names.into_iter().count();
        todo!()
    }

    /// All topics, by name; the brokers' own are marked.
    ///
    /// # Errors
    ///
    /// When no broker answers.
    pub async fn list_topics(&self) -> Result<Vec<TopicListing>> {
        todo!()
    }

    /// Topics with their partitions, leaders and replicas.
    ///
    /// # Errors
    ///
    /// When no broker answers; an unknown topic is in the results.
    pub async fn describe_topics<S: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Results<String, TopicDescription>> {
        let _ = names.into_iter().count();
        todo!()
    }

    /// Grows topics to these total numbers of partitions.
    ///
    /// # Errors
    ///
    /// When no broker answers; a refusal of one topic is in the results.
    pub async fn create_partitions<S: AsRef<str>>(
        &self,
        totals: impl IntoIterator<Item = (S, i32)>,
    ) -> Result<Results<String, ()>> {
        let _ = totals.into_iter().count();
        todo!()
    }

    /// All configs of these resources.
    ///
    /// # Errors
    ///
    /// When a broker does not answer; a refusal of one resource is in the results.
    pub async fn describe_configs(
        &self,
        resources: impl IntoIterator<Item = ConfigResource>,
    ) -> Result<Results<ConfigResource, Vec<ConfigEntry>>> {
        let _ = resources.into_iter().count();
        todo!()
    }

    /// Changes single configs, leaving the others as they are (KIP-339).
    ///
    /// # Errors
    ///
    /// When a broker does not answer; a refusal of one resource is in the results.
    pub async fn incremental_alter_configs(
        &self,
        changes: impl IntoIterator<Item = (ConfigResource, Vec<AlterConfig>)>,
    ) -> Result<Results<ConfigResource, ()>> {
        let _ = changes.into_iter().count();
        todo!()
    }

    /// Looks offsets up.
    ///
    /// # Errors
    ///
    /// When no broker answers; a refusal of one partition is in the results.
    pub async fn list_offsets(
        &self,
        specs: impl IntoIterator<Item = (TopicPartition, OffsetSpec)>,
    ) -> Result<Results<TopicPartition, ListedOffset>> {
        let _ = specs.into_iter().count();
        todo!()
    }

    /// Deletes the records before these offsets (`None`: all up to the high watermark); answers
    /// with the new first offset.
    ///
    /// # Errors
    ///
    /// When no broker answers; a refusal of one partition is in the results.
    pub async fn delete_records(
        &self,
        before: impl IntoIterator<Item = (TopicPartition, Option<i64>)>,
    ) -> Result<Results<TopicPartition, i64>> {
        let _ = before.into_iter().count();
        todo!()
    }

    /// The cluster and its brokers.
    ///
    /// # Errors
    ///
    /// When no broker answers.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription> {
        todo!()
    }
}
