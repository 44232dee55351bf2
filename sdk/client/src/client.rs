//! The connection to a cluster that producers, consumers and admins share.

mod metadata;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use highwater_wire::Request;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::admin::Admin;
use crate::config::{ClientConfig, Properties, read_environment, read_file, split_address};
use crate::connection::{Connection, Reply, Secured};
use crate::consumer::ConsumerBuilder;
use crate::core::backoff::{Backoff, Random};
use crate::core::metadata::{Broker, Cluster, Metadata};
use crate::error::{Error, Result};
use crate::pool::Pool;
use crate::producer::ProducerBuilder;
use crate::security::Security;
use crate::security::draft::Draft;

/// A cluster's metadata and connections. Cloning shares them; what was made from the client keeps
/// them, too, and the last one's drop closes them.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
}

/// What a client is.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) properties: Properties,
    bootstrap: Vec<Broker>,
    started: Instant,
    pub(crate) pool: Pool,
    metadata: Mutex<Metadata>,
    cluster: watch::Sender<Arc<Cluster>>,
    /// That of `cluster`, to be compared without a lock.
    version: AtomicU64,
    refresh: Arc<Notify>,
    random: Mutex<Random>,
    task: Mutex<Option<AbortHandle>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

impl Client {
    /// Starts a client for the cluster of these brokers: `host:port`, several with commas.
    pub fn builder(bootstrap: impl AsRef<str>) -> ClientBuilder {
        let mut properties = Properties::default();
        properties.client.bootstrap = bootstrap
            .as_ref()
            .split(',')
            .map(str::trim)
            .filter(|address| !address.is_empty())
            .map(str::to_owned)
            .collect();
        ClientBuilder { properties }
    }

    /// Starts a client from Kafka's property names (Java's, librdkafka's or sarama's), producer's and consumer's included:
    /// those become the defaults of [`producer`](Self::producer) and [`consumer`](Self::consumer).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a key that is unknown (the nearest known
    /// one is named) or a value that is unusable.
    pub fn from_properties<K: AsRef<str>, V: AsRef<str>>(
        properties: impl IntoIterator<Item = (K, V)>,
    ) -> Result<ClientBuilder> {
        let mut builder = ClientBuilder {
            properties: Properties::default(),
        };
        for (key, value) in properties {
            builder = builder.property(key.as_ref(), value.as_ref())?;
        }
        Ok(builder)
    }

    /// Starts a client from the environment: `KAFKA_BOOTSTRAP_SERVERS`, `KAFKA_LINGER_MS`, and so on. Variables that begin
    /// with `HIGHWATER_` are read alike.
    ///
    /// # Errors
    ///
    /// As [`from_properties`](Self::from_properties); an unknown variable is an error only if it begins with `HIGHWATER_`.
    pub fn from_env() -> Result<ClientBuilder> {
        Self::from_properties(read_environment(std::env::vars_os())?)
    }

    /// Starts a client from a file in Java's properties format.
    ///
    /// Reads the file where it is called, without `async`: do so before the service serves.
    ///
    /// # Errors
    ///
    /// As [`from_properties`](Self::from_properties), and when the file cannot be read.
    pub fn from_properties_file(path: impl AsRef<Path>) -> Result<ClientBuilder> {
        Self::from_properties(read_file(path.as_ref())?)
    }

    /// Starts a producer.
    pub fn producer(&self) -> ProducerBuilder {
        ProducerBuilder::new(self.clone(), self.shared.properties.producer.clone())
    }

    /// Starts a consumer: of given partitions, or of what its group gives it.
    pub fn consumer(&self) -> ConsumerBuilder {
        ConsumerBuilder::new(self.clone(), self.shared.properties.consumer.clone())
    }

    /// The administrator's calls.
    pub fn admin(&self) -> Admin {
        Admin::new(self.clone())
    }

    /// How many partitions `topic` has. Waits for metadata for up to `default.api.timeout.ms`.
    ///
    /// Cancel-safe: nothing is lost by dropping the future.
    ///
    /// # Errors
    ///
    /// The broker's code when the topic does not exist (and is not created), or a time-out.
    pub async fn partition_count(&self, topic: &str) -> Result<i32> {
        let timeout = self.shared.properties.client.api_timeout;
        let topic = self.shared.topic(topic, timeout).await?;
        Ok(i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX))
    }
}

impl Shared {
    pub(crate) fn config(&self) -> &ClientConfig {
        &self.properties.client
    }

    /// Time since the client's start: the clock of its state machines.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// That time as tokio's.
    pub(crate) fn instant(&self, at: Duration) -> Instant {
        self.started + at.min(Duration::from_secs(1 << 32))
    }

    pub(crate) fn random(&self) -> u64 {
        self.random
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next()
    }

    pub(crate) fn retry_backoff(&self) -> Backoff {
        let config = self.config();
        Backoff {
            first: config.retry_backoff,
            max: config.retry_backoff_max,
        }
    }

    /// The version of [`cluster`](Self::cluster).
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Where broker `id` is.
    pub(crate) fn broker(&self, id: i32) -> Result<Broker> {
        let cluster = self.cluster();
        cluster.brokers.get(&id).cloned().ok_or_else(|| {
            Error::network(format!(
                "broker {id} is not among the {} known",
                cluster.brokers.len()
            ))
        })
    }

    /// A connection to any broker: known ones first, starting at random, then the bootstrap
    /// addresses (KIP-1102).
    pub(crate) async fn any(&self) -> Result<Connection> {
        let cluster = self.cluster();
        let known = cluster.brokers.len().max(1);
        let start = usize::try_from(self.random() >> 33).unwrap_or(0) % known;
        let known = cluster
            .brokers
            .values()
            .cycle()
            .skip(start)
            .take(cluster.brokers.len());
        let mut last = None;
        let is_lost = cluster.brokers.is_empty() || self.config().rebootstraps;
        let bootstrap = self.bootstrap.iter().filter(|_| is_lost);
        for broker in known.chain(bootstrap) {
            match self.pool.general(broker).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::network("no broker is known")))
    }

    /// Asks any broker.
    pub(crate) async fn call_any<R: Request>(&self, request: &R) -> Result<Reply> {
        self.any().await?.call(request).await
    }

    /// Asks broker `id`.
    pub(crate) async fn call<R: Request>(&self, id: i32, request: &R) -> Result<Reply> {
        self.pool
            .general(&self.broker(id)?)
            .await?
            .call(request)
            .await
    }
}

/// Sets up a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    properties: Properties,
}

impl ClientBuilder {
    /// Sets one property by Kafka's name for it.
    ///
    /// # Errors
    ///
    /// As [`Client::from_properties`].
    pub fn property(mut self, key: &str, value: &str) -> Result<Self> {
        self.properties.set(key, value)?;
        Ok(self)
    }

    /// Changes the settings in place, for those without a method of their own.
    pub fn configure(mut self, change: impl FnOnce(&mut ClientConfig)) -> Self {
        change(&mut self.properties.client);
        self
    }

    /// `client.id`: names this client in the broker's logs and quotas.
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.properties.client.client_id = client_id.into();
        self
    }

    /// How connections are secured, and who the client is to the brokers. Replaces what settings have said about that.
    pub fn security(mut self, security: Security) -> Self {
        self.properties.client.security = security;
        self.properties.security = Draft::default();
        self
    }

    /// `request.timeout.ms`: how long an answer may take.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.properties.client.request_timeout = timeout;
        self
    }

    /// `default.api.timeout.ms`: how long a call may take with its retries.
    pub fn api_timeout(mut self, timeout: Duration) -> Self {
        self.properties.client.api_timeout = timeout;
        self
    }

    /// Connects to a bootstrap broker and learns the cluster's brokers from it. Must be called in a
    /// tokio runtime, which then runs the client's tasks.
    ///
    /// Cancel-safe: a dropped future closes what it opened.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for unusable settings, or the last failure
    /// when no bootstrap broker answers within `socket.connection.setup.timeout.ms`.
    pub async fn connect(mut self) -> Result<Client> {
        if let Some(security) = self.properties.security.finish()? {
            self.properties.client.security = security;
        }
        self.properties.client.check()?;
        let mut bootstrap = Vec::new();
        for address in &self.properties.client.bootstrap {
            let (host, port) = split_address(address)?;
            bootstrap.push(Broker {
                host: host.to_owned(),
                port,
            });
        }
        let config = &self.properties.client;
        let backoff = Backoff {
            first: config.retry_backoff,
            max: config.retry_backoff_max,
        };
        let secured = Secured::read(&config.security).await?;
        let seed = seed();
        let shared = Arc::new(Shared {
            bootstrap,
            started: Instant::now(),
            pool: Pool::new(config.clone(), secured, seed ^ 1),
            metadata: Mutex::new(Metadata::new(config.metadata_age_max, backoff)),
            cluster: watch::Sender::new(Arc::default()),
            version: AtomicU64::new(0),
            refresh: Arc::new(Notify::new()),
            random: Mutex::new(Random::new(seed)),
            task: Mutex::new(None),
            properties: self.properties,
        });
        shared.bootstrap().await?;
        let task = tokio::spawn(metadata::keep_fresh(
            Arc::downgrade(&shared),
            Arc::clone(&shared.refresh),
        ));
        *shared.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
        Ok(Client { shared })
    }
}

/// Differs between clients; `RandomState` is seeded by the operating system.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0u8)
}
