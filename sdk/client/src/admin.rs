//! Topics, their configuration and their offsets, and groups, as an administrator sees them.
//!
//! One method per API; what concerns several topics or partitions has one result for each.

mod call;
mod cluster;
mod concurrent;
mod configs;
mod errand;
mod groups;
mod log_dirs;
mod offsets;
mod operations;
mod pages;
mod producers;
mod topics;

use std::collections::BTreeMap;
use std::time::Duration;

use highwater_wire::{ErrorCode, Request};
use uuid::Uuid;

pub use self::call::{Call, Operation};
pub use self::cluster::{
    ApiRange, BrokerDescription, BrokerVersions, ClusterDescription, DescribeCluster, Feature,
};
pub use self::configs::{AlterConfigs, DescribeConfigs, IncrementalAlterConfigs, ResourceKind};
use self::errand::Errand;
pub use self::groups::{
    DescribeGroups, GroupDescription, GroupKind, GroupListing, GroupMember, GroupState, ListGroups,
    MemberName, RemoveGroupMembers,
};
pub use self::log_dirs::{LogDir, ReplicaLog};
pub use self::offsets::{EpochEnd, ListOffsets};
pub use self::operations::{AclOperation, AllowedOperations};
pub use self::producers::ActiveProducer;
pub use self::topics::{CreatePartitions, CreateTopics, DescribeTopics};
use crate::client::Client;
use crate::connection::{Connection, Reply};
use crate::error::{Error, ErrorKind, Result};

/// The result for each item of a request, by its name.
pub type Results<K, T> = BTreeMap<K, Result<T, Error>>;

/// The administrator's calls. Cheap to make and to clone.
///
/// Each call is retried while the failure is retriable, for up to `default.api.timeout.ms` or what
/// [`timeout`](Self::timeout) says: that is its time in all, however many brokers, groups or pages it
/// is about, and what is about several of them asks them at once. Those that can be set up give a
/// [`Call`], the others a plain future. All of them are cancel-safe in the sense that no state of the
/// client is lost and its connections can be used on; what the broker has been asked to do, it may
/// still do.
#[derive(Clone, Debug)]
pub struct Admin {
    client: Client,
    timeout: Duration,
}

/// A topic to be created.
#[derive(Clone, Debug)]
pub struct NewTopic {
    pub(crate) name: String,
    pub(crate) partitions: i32,
    pub(crate) replication: i16,
    pub(crate) assignments: Vec<Vec<i32>>,
    pub(crate) configs: BTreeMap<String, Option<String>>,
}

impl NewTopic {
    /// A topic with the broker's defaults (`num.partitions`, `default.replication.factor`).
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            partitions: -1,
            replication: -1,
            assignments: Vec::new(),
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

    /// Which brokers hold each partition, from partition 0 on, the preferred leader first. Says how
    /// many partitions and replicas there are.
    pub fn assign<R: Into<Vec<i32>>>(mut self, replicas: impl IntoIterator<Item = R>) -> Self {
        self.assignments = replicas.into_iter().map(Into::into).collect();
        self
    }

    /// Sets one of the topic's configs.
    pub fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.insert(key.into(), Some(value.into()));
        self
    }
}

/// How many partitions a topic is to have in total, and where the new ones go. A plain number is
/// one, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPartitions {
    pub(crate) total: i32,
    pub(crate) assignments: Option<Vec<Vec<i32>>>,
}

impl NewPartitions {
    /// So many partitions, the old ones counted in.
    pub fn to(total: i32) -> Self {
        Self {
            total,
            assignments: None,
        }
    }

    /// Which brokers hold each new partition, the preferred leader first.
    pub fn assign<R: Into<Vec<i32>>>(mut self, replicas: impl IntoIterator<Item = R>) -> Self {
        self.assignments = Some(replicas.into_iter().map(Into::into).collect());
        self
    }
}

impl From<i32> for NewPartitions {
    fn from(total: i32) -> Self {
        Self::to(total)
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
    /// What this client may do with it, where that was asked for.
    pub allowed: Option<AllowedOperations>,
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
    /// Broker ids of replicas out of sync that hold everything committed all the same (KIP-966);
    /// `None` where the broker does not say, as in all but
    /// [`describe_topic_partitions`](Admin::describe_topic_partitions).
    pub eligible: Option<Vec<i32>>,
    /// Broker ids of the last such replicas.
    pub last_eligible: Option<Vec<i32>>,
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
    /// The log levels of a broker, by its id (KIP-412).
    BrokerLogger(i32),
    /// A subscription to clients' metrics, by name (KIP-714).
    ClientMetrics(String),
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
    /// Set on a broker's logger while it runs.
    BrokerLogger,
    /// Set on the subscription to clients' metrics.
    ClientMetrics,
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
    /// What kind of value it has, when the broker says (Kafka 2.6 and later).
    pub kind: Option<ConfigKind>,
    /// Every place the value could come from, the one in force first; where that was asked for.
    pub synonyms: Vec<ConfigSynonym>,
    /// What it does, when asked for and known.
    pub documentation: Option<String>,
}

/// A place that a config's value could come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// The config's name there: a broker's `log.retention.ms` is a topic's `retention.ms`.
    pub name: String,
    /// Its value there; `None` when it is sensitive or not set.
    pub value: Option<String>,
    /// The place.
    pub source: ConfigSource,
}

/// What kind of value a config has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigKind {
    /// `true` or `false`.
    Boolean,
    /// Text.
    Text,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 16 bits.
    Short,
    /// A whole number of 64 bits.
    Long,
    /// A number.
    Double,
    /// Several values with commas.
    List,
    /// The name of a class.
    Class,
    /// A secret.
    Password,
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
    /// The first one that lies on the broker itself (KIP-405).
    EarliestLocal,
    /// The last one that lies in the remote tier (KIP-1005).
    LatestTiered,
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

impl Admin {
    pub(crate) fn new(client: Client) -> Self {
        let timeout = client.shared.config().api_timeout;
        Self { client, timeout }
    }

    /// How long each call made with this value may take with its retries, instead of
    /// `default.api.timeout.ms`.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Begins a call: its time runs from now on.
    fn errand(&self) -> Errand {
        Errand::new(self.client.clone(), self.timeout)
    }
}

/// Asks in the highest version that both sides speak, which must be `least` or later.
async fn ask<R: Request>(connection: &Connection, request: &R, least: i16) -> Result<Reply> {
    let version = connection.version::<R>(i16::MAX)?;
    if version < least {
        let need = (least, *R::VERSIONS.end());
        let why = format!(
            "broker speaks {} up to {version}, need {least} for what is asked",
            R::API
        );
        let kind = ErrorKind::Unsupported {
            api: R::API.name(),
            need,
            have: Some((*R::VERSIONS.start(), version)),
        };
        return Err(Error::new(kind, why));
    }
    let mut pending = connection.send(request, version, [], true)?;
    pending.answer().await
}

/// The refusal that a code and its message amount to.
fn refused(code: i16, message: Option<&str>) -> Result<()> {
    let code = ErrorCode::from_id(code);
    if code.is_error() {
        return Err(Error::broker(code, message));
    }
    Ok(())
}
