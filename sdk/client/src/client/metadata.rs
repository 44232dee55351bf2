//! The shell around [`Metadata`](crate::core::metadata::Metadata): asks brokers when it is due, and
//! lets callers wait for a topic.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use highwater_wire::message::metadata::MetadataRequestTopic;
use highwater_wire::message::{MetadataRequest, MetadataResponse};
use highwater_wire::{Array, ErrorCode};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use uuid::Uuid;

use super::Shared;
use crate::connection::Connection;
use crate::core::metadata::{Broker, Cluster, Metadata, Topic};
use crate::error::{Error, Result};

/// How long a topic may be unknown before a caller is told so: a broker that creates topics on
/// demand says "unknown" until it has.
const UNKNOWN_GRACE: Duration = Duration::from_secs(3);
/// The first version that takes a topic's id for its name.
const VERSION_IDS: i16 = 12;

impl Shared {
    /// The cluster as last heard of.
    pub(crate) fn cluster(&self) -> Arc<Cluster> {
        Arc::clone(&self.cluster.borrow())
    }

    /// Tells when the cluster changes.
    pub(crate) fn watch_cluster(&self) -> watch::Receiver<Arc<Cluster>> {
        self.cluster.subscribe()
    }

    /// Something about the cluster turned out to be wrong.
    pub(crate) fn invalidate_metadata(&self) {
        self.lock_metadata().invalidate();
        self.refresh.notify_one();
    }

    /// A broker named a partition's leader in passing (KIP-951).
    pub(crate) fn leader_hint(
        &self,
        topic: &str,
        partition: i32,
        leader: i32,
        leader_epoch: i32,
        place: Option<Broker>,
    ) {
        let mut metadata = self.lock_metadata();
        if metadata.hint(topic, partition, leader, leader_epoch, place) {
            let cluster = Arc::clone(metadata.cluster());
            drop(metadata);
            self.publish(cluster);
        }
    }

    /// Waits until `topic` is known with its partitions.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// The broker's code where it will not become better, or a time-out.
    pub(crate) async fn topic(&self, name: &str, timeout: Duration) -> Result<Topic> {
        self.topic_by(name, Instant::now() + timeout, timeout).await
    }

    /// [`Self::topic`] as a part of a call that has `timeout` altogether, until `deadline`.
    pub(crate) async fn topic_by(
        &self,
        name: &str,
        deadline: Instant,
        timeout: Duration,
    ) -> Result<Topic> {
        let mut changes = self.cluster.subscribe();
        if let Some(topic) = known(&self.cluster(), name) {
            return Ok(topic);
        }
        let grace = (Instant::now() + UNKNOWN_GRACE).min(deadline);
        self.lock_metadata().use_topic(name);
        self.refresh.notify_one();
        let mut last = None;
        loop {
            let changed = timeout_at(deadline, changes.changed()).await;
            if changed.is_err() {
                let why = match last {
                    Some(code) => format!("topic {name:?} is not ready: {code}"),
                    None => format!("no metadata of topic {name:?} within {timeout:?}"),
                };
                return Err(Error::timeout(why));
            }
            let cluster = Arc::clone(&changes.borrow_and_update());
            if let Some(topic) = known(&cluster, name) {
                return Ok(topic);
            }
            let Some(topic) = cluster.topic(name) else {
                continue;
            };
            last = topic.error;
            let unknown = topic.error == Some(ErrorCode::UnknownTopicOrPartition);
            if let Some(code) = topic.error
                && (!code.is_retriable() || (unknown && Instant::now() >= grace))
            {
                return Err(Error::broker(
                    code,
                    Some(&format!("topic {name:?}: {code}")),
                ));
            }
            // Not there yet: a caller that waits is reason enough to ask again after a pause.
            self.lock_metadata().invalidate();
            self.refresh.notify_one();
        }
    }

    /// Somebody uses this topic from now on.
    pub(crate) fn use_topic(&self, name: &str) {
        self.lock_metadata().use_topic(name);
        self.refresh.notify_one();
    }

    /// Somebody uses the topics of these ids from now on: asks for their names.
    pub(crate) fn use_topic_ids(&self, ids: BTreeSet<Uuid>) {
        if self.lock_metadata().use_topic_ids(ids) {
            self.refresh.notify_one();
        }
    }

    /// The cluster's topics are all known for as long as what this returns lives.
    pub(crate) fn use_all_topics(self: &Arc<Self>) -> AllTopics {
        self.lock_metadata().use_all_topics(true);
        self.refresh.notify_one();
        AllTopics(Arc::downgrade(self))
    }

    /// Waits until the cluster told of each of these topics, whether it exists or not.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// A time-out.
    pub(crate) async fn heard_of(
        &self,
        names: &BTreeSet<Arc<str>>,
        timeout: Duration,
    ) -> Result<()> {
        let mut changes = self.cluster.subscribe();
        names.iter().for_each(|name| self.use_topic(name));
        let told = |cluster: &Arc<Cluster>| names.iter().all(|name| cluster.topic(name).is_some());
        match timeout_at(Instant::now() + timeout, changes.wait_for(told)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::timeout(format!(
                "no metadata of {} topics within {timeout:?}",
                names.len()
            ))),
        }
    }

    /// Finds a broker and the cluster behind it.
    pub(super) async fn bootstrap(&self) -> Result<()> {
        let deadline = Instant::now() + self.config().connect_timeout;
        let mut failures = 0;
        let mut last = None;
        loop {
            let error = match timeout_at(deadline, self.refresh_metadata()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                // Why it failed before says more than that the time is over.
                Err(_) => return Err(last.unwrap_or_else(|| self.silence())),
            };
            failures += 1;
            let pause = self.retry_backoff().pause(failures, self.random());
            if !error.is_retriable() || Instant::now() + pause >= deadline {
                return Err(error);
            }
            last = Some(error);
            sleep(pause).await;
        }
    }

    fn silence(&self) -> Error {
        let timeout = self.config().connect_timeout;
        let bootstrap = self.config().bootstrap.join(",");
        Error::timeout(format!(
            "no bootstrap broker answers within {timeout:?}: {bootstrap}"
        ))
    }

    async fn refresh_metadata(&self) -> Result<()> {
        let (asked, ids, asks_all) = {
            let metadata = self.lock_metadata();
            (metadata.topics(), metadata.ids(), metadata.asks_all())
        };
        let outcome = async {
            let connection = self.any().await?;
            let all = match asks_all {
                true => Some(self.ask_metadata(&connection, None).await?),
                false => None,
            };
            let reply = self.ask_metadata(&connection, Some((&asked, &ids))).await?;
            let answer: MetadataResponse<'_> = reply.decode()?;
            let all = all
                .as_ref()
                .map(crate::connection::Reply::decode)
                .transpose()?;
            let (now, random) = (self.now(), self.random());
            let mut metadata = self.lock_metadata();
            match &all {
                Some(all) => metadata.heard_all(now, random, &asked, &answer, all),
                None => metadata.heard(now, random, &asked, &answer),
            }
            metadata.heard_ids(&ids);
            let cluster = Arc::clone(metadata.cluster());
            drop(metadata);
            self.publish(cluster);
            Ok(())
        };
        let outcome: Result<()> = outcome.await;
        if outcome.is_err() {
            self.lock_metadata().failed(self.now(), self.random());
        }
        outcome
    }

    /// Asks about topics of these names and these ids, or about all there are.
    async fn ask_metadata(
        &self,
        connection: &Connection,
        asked: Option<(&[Arc<str>], &[Uuid])>,
    ) -> Result<crate::connection::Reply> {
        let version = connection.version::<MetadataRequest<'_>>(i16::MAX)?;
        let (names, ids) = asked.unwrap_or_default();
        let by_name = names.iter().map(|name| MetadataRequestTopic {
            topic_id: Uuid::nil(),
            name: Some(name),
        });
        let ids = ids.iter().filter(|_| version >= VERSION_IDS);
        let by_id = ids.map(|id| MetadataRequestTopic {
            topic_id: *id,
            name: None,
        });
        let topics: Vec<MetadataRequestTopic<'_>> = by_name.chain(by_id).collect();
        let request = MetadataRequest {
            // No topics are all topics in version 0, and none later.
            topics: (asked.is_some() || version == 0).then(|| Array::from(topics)),
            // Before version 4 there was no way to ask without.
            allow_auto_topic_creation: version < 4
                || (asked.is_some() && self.config().auto_create_topics),
            ..MetadataRequest::default()
        };
        connection.send(&request, version, [], true)?.answer().await
    }

    fn publish(&self, cluster: Arc<Cluster>) {
        let version = cluster.version;
        self.cluster.send_modify(|published| {
            // Two publishers may come in the wrong order.
            if cluster.version > published.version {
                *published = cluster;
            }
        });
        self.version
            .fetch_max(version, std::sync::atomic::Ordering::AcqRel);
    }

    fn lock_metadata(&self) -> MutexGuard<'_, Metadata> {
        self.metadata.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who wants to know of all topics of a cluster.
#[derive(Debug)]
pub(crate) struct AllTopics(Weak<Shared>);

impl Drop for AllTopics {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.lock_metadata().use_all_topics(false);
        }
    }
}

fn known(cluster: &Cluster, name: &str) -> Option<Topic> {
    let topic = cluster.topic(name)?;
    (topic.error.is_none() && !topic.partitions.is_empty()).then(|| topic.clone())
}

/// Asks for metadata whenever it is due, for as long as the client lives.
pub(super) async fn keep_fresh(shared: Weak<Shared>, refresh: Arc<Notify>) {
    loop {
        let Some(strong) = shared.upgrade() else {
            return;
        };
        let (now, due) = (strong.now(), strong.lock_metadata().due());
        if due <= now {
            if let Err(error) = strong.refresh_metadata().await {
                tracing::debug!(%error, "no metadata");
            }
            continue;
        }
        let until = strong.instant(due);
        drop(strong);
        tokio::select! {
            () = sleep_until(until) => {}
            () = refresh.notified() => {}
        }
    }
}
