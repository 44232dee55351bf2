//! Settings: one struct each for client, producer and consumer, with the default and its reason.
//!
//! The names are Kafka's, so that a `producer.properties` file can be read as it is; the typed
//! builders set the same fields. Nothing here talks to a broker.

mod environment;
mod file;
mod keys;
mod properties;

use std::sync::Arc;
use std::time::Duration;

use highwater_record::Compression;

use crate::consumer::Commit;
use crate::core::group::assignor::Assignor;
use crate::error::{Error, Result};
use crate::partitioner::{Partitioner, Rule};
use crate::security::Security;

pub(crate) use properties::Properties;
pub(crate) use {environment::read as read_environment, file::read as read_file};

/// What a connection to a cluster needs, whoever uses it.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `bootstrap.servers`: addresses of any brokers of the cluster, `host:port`.
    pub bootstrap: Vec<String>,
    /// `client.id` (`highwater`): names this client in the broker's logs and quotas.
    pub client_id: String,
    /// `request.timeout.ms` (30 s): how long an answer may take before the connection is given up.
    pub request_timeout: Duration,
    /// `socket.connection.setup.timeout.ms` (10 s): how long connecting and the version handshake
    /// may take.
    pub connect_timeout: Duration,
    /// `reconnect.backoff.ms` (50 ms): the first pause after a failed connection.
    pub reconnect_backoff: Duration,
    /// `reconnect.backoff.max.ms` (1 s): what that pause doubles up to.
    pub reconnect_backoff_max: Duration,
    /// `connections.max.idle.ms` (9 min): a connection on which nothing was asked for so long is closed, before the broker
    /// does it. Zero for never.
    pub idle_max: Duration,
    /// `security.protocol` and what belongs to it (none): how connections are secured, and who the client is.
    pub security: Security,
    /// `retry.backoff.ms` (100 ms): the first pause before a refused request is sent again.
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms` (1 s): what that pause doubles up to.
    pub retry_backoff_max: Duration,
    /// `metadata.recovery.strategy` (rebootstrap, which is true): whether the bootstrap addresses are asked again when none of
    /// the known brokers can be reached (KIP-899).
    pub rebootstraps: bool,
    /// `metadata.max.age.ms` (5 min): when metadata is asked for again though nothing failed.
    pub metadata_age_max: Duration,
    /// `max.block.ms`, `default.api.timeout.ms` (60 s): how long a call waits for metadata, for
    /// memory, or for an admin request with its retries.
    pub api_timeout: Duration,
    /// `allow.auto.create.topics` (true): whether asking for an unknown topic may create it, where
    /// the broker allows that.
    pub auto_create_topics: bool,
    /// `highwater.response.bytes.max` (256 MiB): a longer answer breaks the connection. Above
    /// `fetch.max.bytes`, because a broker may exceed that by one batch.
    pub response_bytes_max: usize,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            bootstrap: Vec::new(),
            client_id: "highwater".to_owned(),
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_secs(1),
            idle_max: Duration::from_secs(540),
            security: Security::default(),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            rebootstraps: true,
            metadata_age_max: Duration::from_secs(300),
            api_timeout: Duration::from_secs(60),
            auto_create_topics: true,
            response_bytes_max: 256 << 20,
        }
    }
}

impl ClientConfig {
    pub(crate) fn check(&self) -> Result<()> {
        if self.bootstrap.is_empty() {
            return Err(Error::config(
                "bootstrap.servers is empty, need at least one host:port",
            ));
        }
        for address in &self.bootstrap {
            split_address(address)?;
        }
        Ok(())
    }
}

/// Splits `host:port`, where the host may be an IPv6 address in brackets.
pub(crate) fn split_address(address: &str) -> Result<(&str, u16)> {
    let wrong = || Error::config(format!("bootstrap address {address:?} is not host:port"));
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let host = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    if host.is_empty() {
        return Err(wrong());
    }
    Ok((host, port.parse().map_err(|_| wrong())?))
}

/// What an acknowledgement of a record means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acks {
    /// `acks=0`: the bytes were handed to the operating system; no offset is known.
    None,
    /// `acks=1`: the leader took the record.
    Leader,
    /// `acks=all`: the leader and all in-sync replicas have it, durably as far as the broker is
    /// set up for that.
    #[default]
    All,
}

impl Acks {
    pub(crate) fn wire(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// How long a batch waits for company before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linger {
    /// Not at all while the broker is idle, up to this long while requests are in flight to it.
    /// Low latency at low rates, full batches at high ones.
    Adaptive(Duration),
    /// Always this long (`linger.ms`), unless the batch is full before.
    Fixed(Duration),
}

impl Default for Linger {
    fn default() -> Self {
        Self::Adaptive(Duration::from_millis(5))
    }
}

/// How a producer batches, retries and limits itself.
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    /// `acks` (all).
    pub acks: Acks,
    /// `enable.idempotence` (true when `acks` is all): the broker recognises a batch sent again.
    /// `None` follows `acks`.
    pub idempotence: Option<bool>,
    /// `linger.ms` (adaptive, 0 to 5 ms).
    pub linger: Linger,
    /// `batch.size` (256 KiB): a batch of one partition is closed at this many bytes before
    /// compression. Larger than Kafka's 16 KiB because memory grows with the batch.
    pub batch_bytes: usize,
    /// `max.request.size` (1 MiB): the largest request, and the largest record before compression.
    pub request_bytes_max: usize,
    /// `max.in.flight.requests.per.connection` (5): requests to one broker without an answer. At
    /// most 5 with idempotence, which is what a broker remembers.
    pub in_flight_max: usize,
    /// `buffer.memory` (32 MiB): bytes of records that wait or are in flight.
    pub buffer_bytes: usize,
    /// `max.block.ms` (60 s): how long `send` and `enqueue` wait for memory or metadata.
    pub block_max: Duration,
    /// `delivery.timeout.ms` (120 s): from enqueueing to the answer, retries included.
    pub delivery_timeout: Duration,
    /// `request.timeout.ms` (the client's): how long the broker may wait for its replicas.
    pub request_timeout: Option<Duration>,
    /// `compression.type` and `compression.<codec>.level` (none).
    pub compression: Compression,
    /// `partitioner.class` ([`Rule::Java`]: murmur2 by key, adaptive sticky without key).
    pub partitioner: Arc<dyn Partitioner>,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            acks: Acks::All,
            idempotence: None,
            linger: Linger::default(),
            batch_bytes: 256 << 10,
            request_bytes_max: 1 << 20,
            in_flight_max: 5,
            buffer_bytes: 32 << 20,
            block_max: Duration::from_secs(60),
            delivery_timeout: Duration::from_secs(120),
            request_timeout: None,
            compression: Compression::default(),
            partitioner: Arc::new(Rule::default()),
        }
    }
}

impl ProducerConfig {
    pub(crate) fn is_idempotent(&self) -> bool {
        self.idempotence.unwrap_or(self.acks == Acks::All)
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.is_idempotent() && self.acks != Acks::All {
            return Err(Error::config("enable.idempotence=true needs acks=all"));
        }
        if self.in_flight_max == 0 || (self.is_idempotent() && self.in_flight_max > 5) {
            return Err(Error::config(format!(
                "max.in.flight.requests.per.connection is {}, need 1 to 5 with idempotence",
                self.in_flight_max
            )));
        }
        if self.request_bytes_max < 1024 || self.request_bytes_max > 1 << 30 {
            return Err(Error::config(format!(
                "max.request.size is {}, need 1024 to 1073741824",
                self.request_bytes_max
            )));
        }
        if self.batch_bytes > 1 << 30 {
            return Err(Error::config(format!(
                "batch.size is {}, need at most 1073741824",
                self.batch_bytes
            )));
        }
        let least = self.request_bytes_max.max(self.batch_bytes);
        if self.buffer_bytes < least || self.buffer_bytes > 1 << 40 {
            return Err(Error::config(format!(
                "buffer.memory is {}, need at least {least}, the larger of max.request.size and \
                 batch.size",
                self.buffer_bytes
            )));
        }
        Ok(())
    }
}

/// Where a consumer goes when its position is not in the log (any more).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OffsetReset {
    /// To the first record that is there.
    Earliest,
    /// To the end, past everything that is there now.
    #[default]
    Latest,
    /// Nowhere: the consumer reports an error.
    Fail,
}

/// Whether records of unfinished and aborted transactions are seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// They are.
    #[default]
    ReadUncommitted,
    /// Only committed ones are, up to the last stable offset.
    ReadCommitted,
}

impl Isolation {
    pub(crate) fn wire(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// What becomes of a batch whose checksum, lengths or compression are wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Corrupt {
    /// It is an error with topic, partition and offset, which comes again until the application seeks past it.
    #[default]
    Fail,
    /// It is passed over, with a warning and an event ([`ConsumerEvent::Skipped`](crate::consumer::ConsumerEvent::Skipped)).
    Skip,
}

/// How a consumer fetches.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// `fetch.min.bytes` (1): the broker answers when it has this much.
    pub fetch_bytes_min: i32,
    /// `fetch.max.wait.ms` (500 ms): or after this long.
    pub fetch_wait_max: Duration,
    /// `fetch.max.bytes` (50 MiB): the most one answer carries, but for a single larger batch.
    pub fetch_bytes_max: i32,
    /// `max.partition.fetch.bytes` (1 MiB): the most it carries of one partition.
    pub partition_fetch_bytes_max: i32,
    /// `highwater.fetch.buffer.memory` (64 MiB): bytes fetched ahead of the application.
    pub buffer_bytes: usize,
    /// `highwater.batch.bytes.max` (128 MiB): a batch that decompresses to more is refused.
    pub batch_bytes_max: usize,
    /// `auto.offset.reset` (latest).
    pub offset_reset: OffsetReset,
    /// `isolation.level` (read_uncommitted).
    pub isolation: Isolation,
    /// `highwater.corrupt.records` (fail): what becomes of a batch that does not hold together.
    pub corrupt: Corrupt,
    /// `client.rack` (none): for brokers that let consumers read from a replica nearby.
    pub client_rack: Option<String>,
    /// The consumer's group, where it has one.
    pub group: GroupConfig,
}

/// How a consumer behaves in its group.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// `group.id` (none): the group whose members share the partitions of their topics out.
    pub id: Option<String>,
    /// `group.instance.id` (none): a static member, which keeps its partitions when it is back within the session time-out.
    pub instance_id: Option<String>,
    /// `group.protocol` (auto): by which protocol it is a member.
    pub protocol: GroupProtocol,
    /// `group.remote.assignor` (the coordinator's choice): how the coordinator of a group of the consumer protocol shares the
    /// partitions out; Kafka knows `uniform` and `range`.
    pub remote_assignor: Option<String>,
    /// `session.timeout.ms` (45 s): a member that is not heard of for so long is dead to the group.
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms` (3 s): how often it is heard of; also how soon it learns of a rebalance.
    pub heartbeat_interval: Duration,
    /// `max.poll.interval.ms` (5 min): how long the application may go without asking for records before its partitions are
    /// given to others; and how long a rebalance waits for it.
    pub poll_interval_max: Duration,
    /// `partition.assignment.strategy` (range, cooperative-sticky): in the order of preference. The default gets along with
    /// Java's, librdkafka's and sarama's.
    pub assignors: Vec<Assignor>,
    /// `enable.auto.commit` (its watermark every 5 s; see [`Commit`]): when what was handed out is committed.
    pub commit: Commit,
}

/// `group.protocol`: how a group's members come to share its partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GroupProtocol {
    /// The consumer protocol where the cluster offers it, unless something is set that only the classic protocol has
    /// (`partition.assignment.strategy`, `session.timeout.ms`, `heartbeat.interval.ms`); otherwise the classic protocol.
    #[default]
    Auto,
    /// A member leads, and assigns with an [`Assignor`]; all of them stand still, or nearly, for a rebalance.
    Classic,
    /// The coordinator assigns, and members change over one by one (KIP-848).
    Consumer,
}

impl GroupProtocol {
    /// The names it can be [parsed](std::str::FromStr) from.
    pub const NAMES: &'static str = "auto, classic or consumer";
}

impl std::str::FromStr for GroupProtocol {
    type Err = Error;

    /// By its name, in any case.
    fn from_str(name: &str) -> Result<Self> {
        match name.to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "classic" => Ok(Self::Classic),
            "consumer" => Ok(Self::Consumer),
            _ => Err(Error::config(format!(
                "group.protocol is {name:?}, need {}",
                Self::NAMES
            ))),
        }
    }
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            id: None,
            instance_id: None,
            protocol: GroupProtocol::Auto,
            remote_assignor: None,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            poll_interval_max: Duration::from_secs(300),
            assignors: vec![Assignor::Range, Assignor::CooperativeSticky],
            commit: Commit::default(),
        }
    }
}

impl GroupConfig {
    /// What is set that only the classic protocol has.
    pub(crate) fn classic_only(&self) -> Option<&'static str> {
        let default = Self::default();
        let set = [
            (
                "partition.assignment.strategy",
                self.assignors != default.assignors,
            ),
            (
                "session.timeout.ms",
                self.session_timeout != default.session_timeout,
            ),
            (
                "heartbeat.interval.ms",
                self.heartbeat_interval != default.heartbeat_interval,
            ),
        ];
        set.into_iter()
            .find_map(|(name, is_set)| is_set.then_some(name))
    }

    /// How long a partition that is being let go may wait for the application: the group has been waiting since up to a
    /// heartbeat ago, and the commit takes its time.
    pub(crate) fn release_patience(&self) -> Duration {
        let patience = self.poll_interval_max;
        let spare = 2 * self.heartbeat_interval;
        patience.saturating_sub(spare).max(patience / 2)
    }

    fn check(&self) -> Result<()> {
        if self.protocol == GroupProtocol::Consumer
            && let Some(name) = self.classic_only()
        {
            return Err(Error::config(format!(
                "{name} is set, which group.protocol=consumer does not have: the broker decides it"
            )));
        }
        if self.protocol == GroupProtocol::Classic && self.remote_assignor.is_some() {
            return Err(Error::config(
                "group.remote.assignor is set, which group.protocol=classic does not have",
            ));
        }
        if self.assignors.is_empty() {
            return Err(Error::config(
                "partition.assignment.strategy is empty, need at least one",
            ));
        }
        if self.heartbeat_interval.is_zero() || self.heartbeat_interval >= self.session_timeout {
            return Err(Error::config(format!(
                "heartbeat.interval.ms is {}, need more than 0 and less than session.timeout.ms, which is {}",
                self.heartbeat_interval.as_millis(),
                self.session_timeout.as_millis()
            )));
        }
        if self.poll_interval_max.is_zero() {
            return Err(Error::config("max.poll.interval.ms is 0, need at least 1"));
        }
        Ok(())
    }
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            fetch_bytes_min: 1,
            fetch_wait_max: Duration::from_millis(500),
            fetch_bytes_max: 50 << 20,
            partition_fetch_bytes_max: 1 << 20,
            buffer_bytes: 64 << 20,
            batch_bytes_max: 128 << 20,
            offset_reset: OffsetReset::Latest,
            isolation: Isolation::ReadUncommitted,
            corrupt: Corrupt::Fail,
            client_rack: None,
            group: GroupConfig::default(),
        }
    }
}

impl ConsumerConfig {
    pub(crate) fn check(&self) -> Result<()> {
        if self.fetch_bytes_max < 1 || self.partition_fetch_bytes_max < 1 {
            return Err(Error::config(
                "fetch.max.bytes and max.partition.fetch.bytes must be at least 1",
            ));
        }
        self.group.check()
    }
}
