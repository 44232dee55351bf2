//! Topics, their configuration and their offsets, and groups, as an administrator sees them.
//!
//! One method per API; what concerns several topics or partitions has one result for each.

mod configs;
mod groups;
mod offsets;
mod topics;

use std::collections::BTreeMap;

use highwater_wire::message::{DescribeClusterRequest, DescribeClusterResponse};
use highwater_wire::{ErrorCode, Request};
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

pub use self::groups::{GroupDescription, GroupKind, GroupListing, GroupMember, GroupState};
use crate::client::Client;
use crate::connection::Reply;
use crate::error::{Error, Result};

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

    /// The cluster and its brokers.
    ///
    /// # Errors
    ///
    /// When no broker answers.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription> {
        let request = DescribeClusterRequest::default();
        self.retry(async || {
            let reply = self.client.shared.call_any(&request).await?;
            let answer: DescribeClusterResponse<'_> = reply.decode()?;
            refused(answer.error_code, answer.error_message)?;
            let brokers = answer.brokers.iter().map(|broker| BrokerDescription {
                id: broker.broker_id,
                host: broker.host.to_owned(),
                port: u16::try_from(broker.port).unwrap_or(0),
                rack: broker.rack.map(str::to_owned),
            });
            Ok(ClusterDescription {
                cluster_id: answer.cluster_id.to_owned(),
                controller: (answer.controller_id >= 0).then_some(answer.controller_id),
                brokers: brokers.collect(),
            })
        })
        .await
    }

    /// Asks the controller, or in its absence any broker: with KRaft each of them forwards.
    async fn call_controller<R: Request>(&self, request: &R) -> Result<Reply> {
        let shared = &self.client.shared;
        match shared.cluster().controller {
            Some(controller) => shared.call(controller, request).await,
            None => shared.call_any(request).await,
        }
    }

    /// Does `call` until it succeeds, fails for good, or `default.api.timeout.ms` is over.
    async fn retry<T>(&self, call: impl AsyncFn() -> Result<T>) -> Result<T> {
        let shared = &self.client.shared;
        let timeout = shared.config().api_timeout;
        let deadline = Instant::now() + timeout;
        let mut failures = 0;
        loop {
            let error = match timeout_at(deadline, call()).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => error,
                Err(_) => return Err(Error::timeout(format!("no answer within {timeout:?}"))),
            };
            let moved = error.code() == Some(ErrorCode::NotController);
            failures += 1;
            let pause = shared.retry_backoff().pause(failures, shared.random());
            if !(error.is_retriable() || moved) || Instant::now() + pause >= deadline {
                return Err(error);
            }
            shared.invalidate_metadata();
            sleep(pause).await;
        }
    }

    fn timeout_ms(&self) -> i32 {
        i32::try_from(self.client.shared.config().request_timeout.as_millis()).unwrap_or(i32::MAX)
    }
}

/// The refusal that a code and its message amount to.
fn refused(code: i16, message: Option<&str>) -> Result<()> {
    let code = ErrorCode::from_id(code);
    if code.is_error() {
        return Err(Error::broker(code, message));
    }
    Ok(())
}
