//! The cluster of one test, behind a proxy, and what is true of it past the proxy.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use highwater::admin::{NewTopic, OffsetSpec};
use highwater::testing::{Fault, FaultProxy, TestCluster};
use highwater::{Client, ClientBuilder, ErrorCode, Record, Start, TopicPartition};
use tokio::time::timeout;

/// Far longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// How long a call may take beyond its own deadline on a machine that is busy with other tests.
pub(crate) const SLACK: Duration = Duration::from_secs(20);
/// How long an answer is waited for.
pub(crate) const REQUEST: Duration = Duration::from_millis(500);

/// What happens to requests, but for those whose answers change what the client does next.
pub(crate) const FAULTS: [Fault; 10] = [
    Fault::Delay(Duration::from_millis(20)),
    Fault::Lose,
    Fault::Drop,
    Fault::DisconnectBefore,
    Fault::DisconnectAfter,
    Fault::Duplicate,
    Fault::Cut,
    Fault::WrongCorrelation,
    Fault::Flood,
    Fault::CorruptBatch,
];

/// A cluster behind a proxy: our own, or what the environment names.
pub(crate) enum Peer {
    Own(Box<TestCluster>),
    Foreign(FaultProxy, String),
}

impl Deref for Peer {
    type Target = FaultProxy;

    fn deref(&self) -> &FaultProxy {
        match self {
            Self::Own(cluster) => cluster.proxy(),
            Self::Foreign(proxy, _) => proxy,
        }
    }
}

impl Peer {
    pub(crate) async fn start() -> Self {
        match std::env::var("HIGHWATER_BOOTSTRAP") {
            Ok(bootstrap) => {
                let proxy = FaultProxy::start(&bootstrap).await.unwrap();
                Self::Foreign(proxy, bootstrap)
            }
            Err(_) => Self::Own(Box::new(TestCluster::start().await.unwrap())),
        }
    }

    /// Stops the broker and starts it again, where it is ours; cuts it off for a moment otherwise.
    pub(crate) async fn restart(&mut self) {
        match self {
            Self::Own(cluster) => cluster.restart().await.unwrap(),
            Self::Foreign(proxy, _) => {
                proxy.down().await;
                proxy.up().await;
            }
        }
    }

    /// A client that meets the faults, and has short patience.
    pub(crate) fn builder(&self) -> ClientBuilder {
        Client::builder(self.bootstrap())
            .request_timeout(REQUEST)
            .configure(|config| {
                config.retry_backoff = Duration::from_millis(10);
                config.retry_backoff_max = Duration::from_millis(100);
                config.reconnect_backoff = Duration::from_millis(10);
                config.reconnect_backoff_max = Duration::from_millis(100);
            })
    }

    pub(crate) async fn client(&self) -> Client {
        self.builder().connect().await.unwrap()
    }

    /// A client that meets none.
    pub(crate) async fn direct(&self) -> Client {
        let bootstrap = match self {
            Self::Own(cluster) => cluster.direct(),
            Self::Foreign(_, bootstrap) => bootstrap.clone(),
        };
        Client::builder(bootstrap).connect().await.unwrap()
    }

    /// A topic that no other test, and no other run against the same cluster, uses.
    pub(crate) async fn topic(&self, partitions: i32) -> String {
        let name = name();
        create(&self.direct().await, &name, partitions).await;
        name
    }

    /// The values of all records of a topic, in order, by partition.
    pub(crate) async fn values(&self, topic: &str) -> BTreeMap<i32, Vec<u32>> {
        let client = self.direct().await;
        let count = client.partition_count(topic).await.unwrap();
        let places = (0..count).map(|index| TopicPartition::new(topic, index));
        let listed = places.map(|place| (place, OffsetSpec::Latest));
        let ends = client.admin().list_offsets(listed).await.unwrap();
        let ends = ends.into_iter().map(|(place, end)| {
            let end = end.unwrap().offset.unwrap_or(0);
            (place.partition, end)
        });
        let mut left: i64 = ends.map(|(_, end)| end).sum();
        let consumer = client.consumer().assign_topic(topic, Start::Earliest);
        let mut consumer = consumer.build().await.unwrap();
        let mut values: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
        while left > 0 {
            let record = timeout(LONG, consumer.next()).await;
            let record = record.expect("the records are there").unwrap().unwrap();
            let of = values.entry(record.partition()).or_default();
            of.push(number(record.value().unwrap()));
            left -= 1;
        }
        values
    }
}

pub(crate) fn name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("faults-{}-{count}", std::process::id())
}

/// Makes a topic, and waits until the brokers know it.
pub(crate) async fn create(client: &Client, name: &str, partitions: i32) {
    let wanted = NewTopic::new(name).partitions(partitions);
    let created = client.admin().create_topics([wanted]).await.unwrap();
    match &created[name] {
        Ok(_) => {}
        // A retry of our own that came second.
        Err(error) => assert_eq!(error.code(), Some(ErrorCode::TopicAlreadyExists), "{error}"),
    }
    assert_eq!(client.partition_count(name).await.unwrap(), partitions);
}

pub(crate) fn number(value: &[u8]) -> u32 {
    u32::from_be_bytes(value.try_into().unwrap())
}

/// Puts numbered records into a topic, evenly, past every fault.
pub(crate) async fn fill(client: &Client, topic: &str, numbers: std::ops::Range<u32>) {
    let partitions = u32::try_from(client.partition_count(topic).await.unwrap()).unwrap();
    // Small batches, so that there is more than one.
    let producer = client.producer().batch_bytes(200).build().await.unwrap();
    let mut acks = Vec::new();
    for number in numbers {
        let partition = i32::try_from(number % partitions).unwrap();
        let value = number.to_be_bytes();
        let record = Record::to(topic).partition(partition).value(&value);
        acks.push(producer.enqueue(record).await.unwrap());
    }
    for ack in acks {
        ack.await.unwrap();
    }
}
