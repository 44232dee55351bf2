//! Sets a consumer up: its settings, and where its partitions come from.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::membership::{Listener, Rebalance};
use super::{Commit, Consumer, Start};
use crate::client::Client;
use crate::config::{ConsumerConfig, GroupConfig, Isolation, OffsetReset};
use crate::core::group::assignor::Assignor;
use crate::core::group::topics::{Pattern, Topics};
use crate::error::{Error, Result, TopicPartition};
use crate::group::Group;

/// Sets up a [`Consumer`].
#[derive(Clone, Debug)]
pub struct ConsumerBuilder {
    client: Client,
    config: ConsumerConfig,
    partitions: Vec<(TopicPartition, Start)>,
    topics: Vec<(String, Start)>,
    subscription: BTreeSet<Arc<str>>,
    pattern: Option<String>,
    listener: Option<Listener>,
}

/// Kafka's limit of a topic's name.
const TOPIC_BYTES_MAX: usize = 249;

impl ConsumerBuilder {
    pub(crate) fn new(client: Client, config: ConsumerConfig) -> Self {
        Self {
            client,
            config,
            partitions: Vec::new(),
            topics: Vec::new(),
            subscription: BTreeSet::new(),
            pattern: None,
            listener: None,
        }
    }

    /// `group.id`: the group whose members share the partitions of their topics out, and that remembers how far it has read.
    pub fn group(mut self, id: impl Into<String>) -> Self {
        self.config.group.id = Some(id.into());
        self
    }

    /// Reads what the group gives this consumer of these topics, from where the group has read to.
    pub fn subscribe<T: AsRef<str>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.subscription
            .extend(topics.into_iter().map(|topic| Arc::from(topic.as_ref())));
        self
    }

    /// Reads what the group gives this consumer of the topics whose whole name matches a regular expression, those that come
    /// later included. It is written as for RE2. In a group of the consumer protocol the coordinator matches it; otherwise this
    /// client does, whenever its metadata is refreshed (`metadata.max.age.ms`), and passes the brokers' own topics over.
    pub fn subscribe_pattern(mut self, pattern: impl Into<String>) -> Self {
        self.pattern = Some(pattern.into());
        self
    }

    /// `group.instance.id`: a static member, which keeps its partitions when it is back within the session time-out.
    pub fn instance_id(mut self, id: impl Into<String>) -> Self {
        self.config.group.instance_id = Some(id.into());
        self
    }

    /// `partition.assignment.strategy`: how partitions are shared out, in the order of preference.
    pub fn assignors(mut self, assignors: impl IntoIterator<Item = Assignor>) -> Self {
        self.config.group.assignors = assignors.into_iter().collect();
        self
    }

    /// When what was handed out counts as dealt with, and is committed.
    pub fn commit(mut self, commit: Commit) -> Self {
        self.config.group.commit = commit;
        self
    }

    /// Java's `enable.auto.commit` and `auto.commit.interval.ms`: [`Commit::OnPoll`] so often, or [`Commit::Manual`].
    pub fn auto_commit(self, interval: Option<Duration>) -> Self {
        self.commit(interval.map_or(Commit::Manual, |every| Commit::OnPoll { every }))
    }

    /// Is told, while the application asks for records, of partitions that come and go; what goes, goes when the future that
    /// `listener` returns has ended.
    pub fn on_rebalance<F: Future<Output = ()> + Send + 'static>(
        mut self,
        listener: impl Fn(Rebalance, Group) -> F + Send + Sync + 'static,
    ) -> Self {
        self.listener = Some(Listener::new(listener));
        self
    }

    /// Reads this partition too, from `start`.
    pub fn assign(mut self, topic: &str, partition: i32, start: Start) -> Self {
        self.partitions
            .push((TopicPartition::new(topic, partition), start));
        self
    }

    /// Reads every partition that this topic has when the consumer is built, from `start`.
    pub fn assign_topic(mut self, topic: &str, start: Start) -> Self {
        self.topics.push((topic.to_owned(), start));
        self
    }

    /// `auto.offset.reset`: where to go when a position is not in the log.
    pub fn offset_reset(mut self, reset: OffsetReset) -> Self {
        self.config.offset_reset = reset;
        self
    }

    /// `isolation.level`: whether unfinished and aborted transactions are seen.
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.config.isolation = isolation;
        self
    }

    /// `fetch.min.bytes` and `fetch.max.wait.ms`: the broker answers when it has that much, or
    /// after that long.
    pub fn fetch(mut self, bytes_min: i32, wait_max: Duration) -> Self {
        self.config.fetch_bytes_min = bytes_min;
        self.config.fetch_wait_max = wait_max;
        self
    }

    /// `highwater.fetch.buffer.memory`: bytes fetched ahead of the application.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.config.buffer_bytes = bytes;
        self
    }

    /// Changes the settings in place, for those without a method of their own.
    pub fn configure(mut self, change: impl FnOnce(&mut ConsumerConfig)) -> Self {
        change(&mut self.config);
        self
    }

    pub(crate) fn group_config(&self) -> &GroupConfig {
        &self.config.group
    }

    /// The topics that are subscribed to by name.
    pub(crate) fn subscription(&self) -> &BTreeSet<Arc<str>> {
        &self.subscription
    }

    /// Looks the topics up and starts fetching, in the tokio runtime that this is called in.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), an unknown topic or partition, or a time-out.
    pub async fn build(self) -> Result<Consumer> {
        self.config.check()?;
        check_subscription(&self.subscription)?;
        let has_own = !self.topics.is_empty() || !self.partitions.is_empty();
        let topics = match &self.pattern {
            Some(_) if !self.subscription.is_empty() => {
                return Err(Error::config(
                    "a consumer is subscribed to topics by name or by a pattern, not both",
                ));
            }
            Some(pattern) => Some(Topics::Matching(Pattern::parse(pattern)?)),
            None => (!self.subscription.is_empty()).then_some(Topics::Named(self.subscription)),
        };
        if has_own && topics.is_some() {
            return Err(Error::config(
                "a consumer is either assigned its partitions or subscribed to topics",
            ));
        }
        let mut consumer = Consumer::new(self.client, self.config);
        if consumer.shared.config.group.id.is_some() || topics.is_some() {
            consumer.enter(topics, self.listener)?;
        }
        for (topic, start) in self.topics {
            consumer.assign_topic(&topic, start).await?;
        }
        for (place, start) in self.partitions {
            consumer.assign(&place, start).await?;
        }
        Ok(consumer)
    }
}

pub(super) fn check_subscription(topics: &BTreeSet<Arc<str>>) -> Result<()> {
    match topics
        .iter()
        .find(|topic| topic.is_empty() || topic.len() > TOPIC_BYTES_MAX)
    {
        Some(wrong) => Err(Error::config(format!(
            "topic name has {} bytes, need 1 to {TOPIC_BYTES_MAX}",
            wrong.len()
        ))),
        None => Ok(()),
    }
}
