//! What a producer's handles and its senders share.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use super::clock::Clock;
use super::identity::Identities;
use super::memory::Memory;
use super::pages::Pages;
use super::sender::{Inbox, Sender};
use super::topic::{Partition, Topic};
use crate::client::Client;
use crate::config::ProducerConfig;
use crate::core::producer::queue::{Answer, Rules, Verdict};
use crate::error::Result;
use crate::telemetry::measure;

/// How long a partition may be unknown before a record for it is refused: brokers hear of new ones
/// a little later than who asked for them.
const PARTITION_GRACE: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) client: Client,
    pub(super) config: ProducerConfig,
    pub(super) rules: Rules,
    pub(super) memory: Memory,
    pub(super) pages: Pages,
    pub(super) identities: Identities,
    pub(super) clock: Clock,
    topics: RwLock<HashMap<Arc<str>, Arc<Topic>>>,
    inboxes: Mutex<BTreeMap<i32, Arc<Inbox>>>,
    /// Where senders run: that of `build`, whoever enqueues.
    pub(super) runtime: Handle,
    closed: AtomicBool,
    pub(super) acked: AtomicU64,
    pub(super) failed: AtomicU64,
}

impl Shared {
    pub(super) fn new(client: Client, config: ProducerConfig) -> Self {
        let rules = Rules {
            batch_bytes: config.batch_bytes,
            linger: config.linger,
            delivery_timeout: config.delivery_timeout,
            in_flight_max: config.in_flight_max,
            backoff: client.shared.retry_backoff(),
        };
        Self {
            memory: Memory::new(config.buffer_bytes),
            pages: Pages::new(config.buffer_bytes, config.batch_bytes),
            identities: Identities::default(),
            clock: Clock::default(),
            topics: RwLock::default(),
            inboxes: Mutex::default(),
            runtime: Handle::current(),
            closed: AtomicBool::new(false),
            acked: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            client,
            config,
            rules,
        }
    }

    /// Whether no new records are taken and what is left goes out without lingering.
    pub(super) fn is_closing(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Takes no new records any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.wake_all();
    }

    /// The topic, if a record for it was sent before.
    pub(super) fn known_topic(&self, name: &str) -> Option<Arc<Topic>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(name).cloned()
    }

    /// The topic, waiting for its metadata until `deadline`, when `max.block.ms` are over.
    pub(super) async fn topic(&self, name: &str, deadline: Instant) -> Result<Arc<Topic>> {
        if let Some(topic) = self.known_topic(name) {
            return Ok(topic);
        }
        let client = &self.client.shared;
        let known = client
            .topic_by(name, deadline, self.config.block_max)
            .await?;
        let cluster = self.client.shared.cluster();
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let topic = topics
            .entry(Arc::clone(&known.name))
            .or_insert_with(|| Arc::new(Topic::new(&known.name, &cluster)));
        Ok(Arc::clone(topic))
    }

    /// Waits until the topic has this partition, for as long as brokers may take to tell of one that
    /// was just added, and no longer than `deadline`; returns whether it has. Cancel-safe.
    pub(super) async fn has_partition(
        &self,
        topic: &Topic,
        partition: i32,
        deadline: Instant,
    ) -> bool {
        let client = &self.client.shared;
        let mut changes = client.watch_cluster();
        let deadline = deadline.min(Instant::now() + PARTITION_GRACE);
        loop {
            let cluster = Arc::clone(&changes.borrow_and_update());
            if cluster.partition(&topic.name, partition).is_some() {
                return true;
            }
            client.invalidate_metadata();
            if timeout_at(deadline, changes.changed()).await.is_err() {
                return false;
            }
        }
    }

    /// Every partition that a record was or may be sent to.
    pub(super) fn partitions(&self) -> Vec<Arc<Partition>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let latest = topics.values().map(|topic| self.latest(topic));
        latest
            .flat_map(|topic| topic.all().map(Arc::clone))
            .collect()
    }

    pub(super) fn latest<'t>(&self, topic: &'t Arc<Topic>) -> &'t Arc<Topic> {
        topic.latest(self.client.shared.version(), || {
            self.client.shared.cluster()
        })
    }

    /// Puts a partition on the list of the sender for `broker`, which is started if there is none.
    pub(super) fn post(self: &Arc<Self>, broker: i32, partition: Arc<Partition>) {
        let mut inboxes = self.inboxes();
        let inbox = inboxes.entry(broker).or_insert_with(|| {
            let inbox = Arc::new(Inbox::default());
            let sender = Sender::new(Arc::clone(self), broker, Arc::clone(&inbox));
            self.runtime.spawn(sender.run());
            inbox
        });
        // Under the lock: a sender that ends has nothing on its list.
        inbox.push(partition);
    }

    /// Has the sender for `broker` look at its list. Without one the partition in question is on
    /// another's, who will hand it over.
    pub(super) fn wake(&self, broker: i32) {
        if let Some(inbox) = self.inboxes().get(&broker) {
            inbox.wake();
        }
    }

    /// Has every sender look at its list.
    pub(super) fn wake_all(&self) {
        self.inboxes().values().for_each(|inbox| inbox.wake());
    }

    /// The sender for `broker` wants to end; returns whether it may: not where something was put on
    /// its list meanwhile. Nothing will be any more.
    pub(super) fn retire(&self, broker: i32) -> bool {
        let mut inboxes = self.inboxes();
        let is_idle = inboxes.get(&broker).is_none_or(|inbox| inbox.is_empty());
        if is_idle {
            inboxes.remove(&broker);
        }
        is_idle
    }

    fn inboxes(&self) -> MutexGuard<'_, BTreeMap<i32, Arc<Inbox>>> {
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an answer to its queue and does what follows.
    pub(super) fn answer(&self, partition: &Partition, id: u64, sealed: Bytes, answer: Answer) {
        trace(partition, &answer);
        let client = &self.client.shared;
        let (now, random) = (client.now(), client.random());
        let verdict = partition
            .queue()
            .answer(now, &self.rules, random, id, sealed, answer);
        self.apply(verdict);
    }

    pub(super) fn apply(&self, verdict: Verdict) {
        self.memory.give(verdict.released);
        if !verdict.settled.is_empty() {
            let client_id = &self.client.shared.config().client_id;
            measure::buffer_available(client_id, self.memory.free());
        }
        if let Some(page) = verdict.page {
            self.pages.keep_page(page);
        }
        if let Some(old) = verdict.bump {
            self.identities.bump(old);
        }
        if verdict.refresh {
            self.client.shared.invalidate_metadata();
        }
        for settled in verdict.settled {
            let (count, placed) = settled.tally();
            let counter = if placed { &self.acked } else { &self.failed };
            counter.fetch_add(u64::from(count), Ordering::Relaxed);
            measure::settled(count, placed);
            settled.deliver();
        }
    }
}

/// Says what became of a batch, to subscribers that want to know.
fn trace(partition: &Partition, answer: &Answer) {
    let (topic, partition) = (&*partition.topic, partition.index);
    match answer {
        Answer::Placed { base_offset, .. } => {
            tracing::trace!(topic, partition, offset = *base_offset, "batch written");
        }
        Answer::Refused(code, _) => tracing::debug!(topic, partition, %code, "batch refused"),
        Answer::Unsealed(error) | Answer::Lost { error, .. } => {
            tracing::debug!(topic, partition, %error, "batch not written");
        }
    }
}
