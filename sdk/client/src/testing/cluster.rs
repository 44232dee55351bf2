//! The real engine in this process, on a directory of its own, behind a proxy that makes it misbehave. What it does between
//! two faults is what it does in production.

use std::net::SocketAddr;
use std::ops::Deref;

use highwater_engine::settings::Properties;
use highwater_engine::{Engine, Settings};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use super::proxy::FaultProxy;
use crate::admin::NewTopic;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};

/// A broker in this process for one test: the whole engine on a temporary directory, which goes with it.
///
/// Clients reach it through a [`FaultProxy`], whose methods are also methods of this. Nothing is shared between two
/// clusters, so that tests can run side by side.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> highwater::Result<()> {
/// use highwater::Record;
/// use highwater::testing::{ApiKey, Fault, TestCluster};
///
/// let cluster = TestCluster::builder().topic("orders", 6).start().await?;
/// let producer = cluster.client().producer().build().await?;
/// // The broker appends, the connection breaks before it can say so, and the producer sends the batch again.
/// let fault = cluster.fail(ApiKey::Produce, Fault::DisconnectAfter);
/// let placed = producer.send(Record::to("orders").value("paid").partition(3)).await?;
/// assert_eq!((placed.offset, fault.struck()), (Some(0), 1));
/// let placed = producer.send(Record::to("orders").value("sent").partition(3)).await?;
/// assert_eq!(placed.offset, Some(1));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TestCluster {
    proxy: FaultProxy,
    client: Client,
    /// `None` while it is stopped.
    engine: Option<Engine>,
    address: SocketAddr,
    properties: Properties,
    _dir: TempDir,
}

/// Sets up a [`TestCluster`].
#[derive(Clone, Debug, Default)]
pub struct TestClusterBuilder {
    topics: Vec<(String, i32)>,
    settings: Vec<(String, String)>,
}

impl TestClusterBuilder {
    /// Makes a topic of so many partitions before the first client comes.
    pub fn topic(mut self, name: impl Into<String>, partitions: i32) -> Self {
        self.topics.push((name.into(), partitions));
        self
    }

    /// One setting of the broker, by its name in `server.properties`.
    ///
    /// Those that only make tests slow have other defaults here: a group does not wait for more members
    /// (`group.initial.rebalance.delay.ms=0`), members hear of a change within 100 ms
    /// (`group.consumer.heartbeat.interval.ms=100`), sessions may be as short as a test wants, and acknowledged records are
    /// in the page cache, not on the device (`highwater.durability=written`).
    pub fn setting(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((key.into(), value.into()));
        self
    }

    /// Starts the cluster and makes its topics. Must be called in a tokio runtime, in which the proxy then runs.
    ///
    /// Cancel-safe: a dropped future leaves nothing running.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for a setting the engine does not take, [`ErrorKind::Network`] when it does not start, and
    /// what [`Admin::create_topics`](crate::Admin::create_topics) says of a topic.
    pub async fn start(self) -> Result<TestCluster> {
        let dir = TempDir::new().map_err(|error| {
            Error::network(format!("no directory for an engine: {error}")).with_source(error)
        })?;
        let mut properties = Properties::embedded(dir.path());
        for (key, value) in SETTINGS {
            properties.set(key, value);
        }
        for (key, value) in &self.settings {
            properties.set(key, value);
        }
        let engine = start(&properties).await?;
        let address = engine.local_addr();
        // Not through the proxy: a test may count what goes there.
        make_topics(address, &self.topics).await?;
        let proxy = FaultProxy::start(address.to_string()).await?;
        let client = Client::builder(proxy.bootstrap()).connect().await?;
        Ok(TestCluster {
            proxy,
            client,
            engine: Some(engine),
            address,
            properties,
            _dir: dir,
        })
    }
}

/// What differs from a broker in production, so that tests are quick.
const SETTINGS: [(&str, &str); 7] = [
    ("group.initial.rebalance.delay.ms", "0"),
    ("group.min.session.timeout.ms", "100"),
    ("group.consumer.min.session.timeout.ms", "100"),
    ("group.consumer.min.heartbeat.interval.ms", "10"),
    ("group.consumer.heartbeat.interval.ms", "100"),
    ("offsets.topic.num.partitions", "3"),
    ("highwater.durability", "written"),
];

impl TestCluster {
    /// Starts a cluster without topics; asking for one by name makes it, with one partition.
    ///
    /// # Errors
    ///
    /// As [`TestClusterBuilder::start`].
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// Sets up a cluster.
    pub fn builder() -> TestClusterBuilder {
        TestClusterBuilder::default()
    }

    /// A client with the default settings, the same for every call. For other settings, connect one to
    /// [`bootstrap`](FaultProxy::bootstrap).
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The broker's own address, past the proxy: for what a test wants to know whatever the faults.
    pub fn direct(&self) -> String {
        self.address.to_string()
    }

    /// The proxy before the broker; its methods can be called on the cluster itself.
    pub fn proxy(&self) -> &FaultProxy {
        &self.proxy
    }

    /// Makes a topic of so many partitions, past the proxy.
    ///
    /// # Errors
    ///
    /// What the broker says.
    pub async fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        make_topics(self.address, &[(name.to_owned(), partitions)]).await
    }

    /// Stops the broker in order; clients are refused until [`resurrect`](Self::resurrect). Stopped already, it stays so.
    ///
    /// Not cancel-safe: the broker may be left stopping.
    ///
    /// # Errors
    ///
    /// When the broker did not end well.
    pub async fn stop(&mut self) -> Result<()> {
        self.proxy.down().await;
        let Some(engine) = self.engine.take() else {
            return Ok(());
        };
        let stopped = spawn_blocking(move || engine.shutdown()).await;
        match stopped {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed("end", error)),
            Err(error) => Err(failed("end", error)),
        }
    }

    /// Starts the broker again on its directory, where clients have known it. Running, it stays so.
    ///
    /// Not cancel-safe: the broker may be left starting.
    ///
    /// # Errors
    ///
    /// When the broker does not start.
    pub async fn resurrect(&mut self) -> Result<()> {
        if self.engine.is_none() {
            let engine = start(&self.properties).await?;
            let old = std::mem::replace(&mut self.address, engine.local_addr());
            self.engine = Some(engine);
            self.proxy.retarget(&old.to_string(), &self.direct());
        }
        self.proxy.up().await;
        Ok(())
    }

    /// Stops the broker and starts it again.
    ///
    /// Not cancel-safe: the broker may be left stopped.
    ///
    /// # Errors
    ///
    /// Those of [`stop`](Self::stop) and [`resurrect`](Self::resurrect).
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.resurrect().await
    }
}

impl Deref for TestCluster {
    type Target = FaultProxy;

    fn deref(&self) -> &FaultProxy {
        &self.proxy
    }
}

async fn start(properties: &Properties) -> Result<Engine> {
    let settings = Settings::parse(properties)
        .map_err(|invalid| Error::config(invalid.to_string()).with_source(invalid))?;
    match spawn_blocking(move || Engine::start(settings)).await {
        Ok(Ok(engine)) => Ok(engine),
        Ok(Err(error)) => Err(failed("start", error)),
        Err(error) => Err(failed("start", error)),
    }
}

fn failed(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let why = format!("the engine did not {what} well: {error}");
    Error::new(ErrorKind::Network, why).with_source(error)
}

async fn make_topics(address: SocketAddr, topics: &[(String, i32)]) -> Result<()> {
    if topics.is_empty() {
        return Ok(());
    }
    let client = Client::builder(address.to_string()).connect().await?;
    let wanted = topics
        .iter()
        .map(|(name, partitions)| NewTopic::new(name).partitions(*partitions));
    let created = client.admin().create_topics(wanted).await?;
    created
        .into_values()
        .try_for_each(|topic| topic.map(|_| ()))
}
