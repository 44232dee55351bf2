//! Creating, finding, growing and deleting topics.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use highwater_wire::Array;
use highwater_wire::message::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use highwater_wire::message::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use highwater_wire::message::delete_topics::DeleteTopicState;
use highwater_wire::message::metadata::{MetadataRequestTopic, MetadataResponseTopic};
use highwater_wire::message::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, MetadataRequest, MetadataResponse,
};
use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;

use super::errand::{Errand, complete};
use super::{
    Admin, AllowedOperations, Call, CreatedTopic, NewPartitions, NewTopic, Operation,
    PartitionDescription, Results, TopicDescription, TopicListing, ask, refused,
};
use crate::error::Result;

/// How long brokers are asked about a topic just made before that is left to who uses it: a broker
/// under load, or one that makes thousands of partitions, takes seconds to hear of it.
const KNOWN_WAIT_MAX: Duration = Duration::from_secs(15);
/// The first version of DeleteTopics that names topics by id, and of Metadata.
const VERSION_DELETE_BY_ID: i16 = 6;
const VERSION_DESCRIBE_BY_ID: i16 = 12;
/// The first version of Metadata that says what is allowed.
const VERSION_ALLOWED: i16 = 8;

/// What [`Admin::create_topics`] does.
#[derive(Clone, Debug)]
pub struct CreateTopics {
    topics: Vec<NewTopic>,
    validate_only: bool,
}

impl Call<CreateTopics> {
    /// Only asks whether they could be created.
    pub fn validate_only(self, wanted: bool) -> Self {
        self.set(|it| it.validate_only = wanted)
    }
}

impl Operation for CreateTopics {
    type Output = Results<String, CreatedTopic>;

    async fn run(self, errand: Errand) -> Result<Self::Output> {
        let topics: BTreeMap<&str, &NewTopic> =
            self.topics.iter().map(|it| (&*it.name, it)).collect();
        let (errand, topics) = (&errand, &topics);
        let validate_only = self.validate_only;
        let names = topics.keys().map(|name| (*name).to_owned());
        let results = errand.retry_items(names, |left: BTreeSet<_>| async move {
            let wanted = left.iter().filter_map(|name| topics.get(&**name));
            let request = CreateTopicsRequest {
                topics: wanted.map(|topic| creatable(topic)).collect(),
                timeout_ms: errand.timeout_ms(),
                validate_only,
            };
            let reply = ask(&errand.controller().await?, &request, 0).await?;
            let answer: CreateTopicsResponse<'_> = reply.decode()?;
            let created = answer.topics.iter().map(|topic| {
                let created = CreatedTopic {
                    id: topic.topic_id,
                    partitions: topic.num_partitions,
                    replication: topic.replication_factor,
                };
                let result = refused(topic.error_code, topic.error_message).map(|()| created);
                (topic.name.to_owned(), result)
            });
            Ok(created.collect())
        });
        let results = results.await?;
        if !self.validate_only {
            let created = results.iter().filter(|(_, result)| result.is_ok());
            let created = created.map(|(name, _)| (name.as_str(), 1)).collect();
            errand.wait_until_known(created).await;
        }
        Ok(results)
    }
}

fn creatable(topic: &NewTopic) -> CreatableTopic<'_> {
    let configs = topic.configs.iter();
    let configs = configs.map(|(name, value)| CreatableTopicConfig {
        name,
        value: value.as_deref(),
    });
    let assignments = (0..).zip(&topic.assignments);
    let assignments = assignments.map(|(partition_index, brokers)| CreatableReplicaAssignment {
        partition_index,
        broker_ids: Array::from(brokers.clone()),
    });
    // Kafka takes the numbers from the assignment, and refuses them beside it.
    let is_assigned = !topic.assignments.is_empty();
    CreatableTopic {
        name: &topic.name,
        num_partitions: if is_assigned { -1 } else { topic.partitions },
        replication_factor: if is_assigned { -1 } else { topic.replication },
        assignments: assignments.collect(),
        configs: configs.collect(),
    }
}

/// What [`Admin::create_partitions`] does.
#[derive(Clone, Debug)]
pub struct CreatePartitions {
    topics: BTreeMap<String, NewPartitions>,
    validate_only: bool,
}

impl Call<CreatePartitions> {
    /// Only asks whether they could be created.
    pub fn validate_only(self, wanted: bool) -> Self {
        self.set(|it| it.validate_only = wanted)
    }
}

impl Operation for CreatePartitions {
    type Output = Results<String, ()>;

    async fn run(self, errand: Errand) -> Result<Self::Output> {
        let (errand, this) = (&errand, &self);
        let results = errand.retry_items(
            self.topics.keys().cloned(),
            |left: BTreeSet<_>| async move {
                let topics = this.topics.iter().filter(|(name, _)| left.contains(*name));
                let topics = topics.map(|(name, wanted)| CreatePartitionsTopic {
                    name,
                    count: wanted.total,
                    assignments: wanted.assignments.as_ref().map(|new| {
                        let new = new.iter().map(|brokers| CreatePartitionsAssignment {
                            broker_ids: Array::from(brokers.clone()),
                        });
                        new.collect()
                    }),
                });
                let request = CreatePartitionsRequest {
                    topics: topics.collect(),
                    timeout_ms: errand.timeout_ms(),
                    validate_only: this.validate_only,
                };
                let reply = ask(&errand.controller().await?, &request, 0).await?;
                let answer: CreatePartitionsResponse<'_> = reply.decode()?;
                let grown = answer.results.iter().map(|topic| {
                    let result = refused(topic.error_code, topic.error_message);
                    (topic.name.to_owned(), result)
                });
                Ok(grown.collect())
            },
        );
        let results = results.await?;
        if !self.validate_only {
            let grown = self.topics.iter().filter_map(|(name, wanted)| {
                let is_grown = matches!(results.get(name), Some(Ok(())));
                is_grown.then_some((name.as_str(), usize::try_from(wanted.total).ok()?))
            });
            errand.wait_until_known(grown.collect()).await;
            // Producers of this client learn of the new partitions without waiting for their age.
            errand.shared().invalidate_metadata();
        }
        Ok(results)
    }
}

/// What [`Admin::describe_topics`] does.
#[derive(Clone, Debug)]
pub struct DescribeTopics {
    names: Vec<String>,
    allowed: bool,
}

impl Call<DescribeTopics> {
    /// Asks what this client may do with the topics.
    pub fn allowed_operations(self, wanted: bool) -> Self {
        self.set(|it| it.allowed = wanted)
    }
}

impl Operation for DescribeTopics {
    type Output = Results<String, TopicDescription>;

    async fn run(self, errand: Errand) -> Result<Self::Output> {
        let topics = self.names.iter().map(|name| MetadataRequestTopic {
            topic_id: Uuid::nil(),
            name: Some(name),
        });
        let request = MetadataRequest {
            topics: Some(topics.collect()),
            allow_auto_topic_creation: false,
            include_topic_authorized_operations: self.allowed,
            ..MetadataRequest::default()
        };
        let least = if self.allowed { VERSION_ALLOWED } else { 0 };
        let found = errand.described(&request, least).await?;
        let found = found.into_iter().map(|(_, name, result)| (name, result));
        let mut found = found.collect();
        complete(&mut found, &self.names);
        Ok(found)
    }
}

impl DescribeTopics {
    /// Topics of these names.
    pub(super) fn of<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Self {
        let names = names.into_iter().map(|name| name.as_ref().to_owned());
        Self {
            names: names.collect(),
            allowed: false,
        }
    }
}

impl Admin {
    /// Creates topics, and waits a moment for brokers to know of them.
    ///
    /// Cancel-safe; what a broker was asked to do, it may still do.
    ///
    /// # Errors
    ///
    /// When no broker answers; a refusal of one topic is in the results.
    pub fn create_topics(&self, topics: impl IntoIterator<Item = NewTopic>) -> Call<CreateTopics> {
        self.call(CreateTopics {
            topics: topics.into_iter().collect(),
            validate_only: false,
        })
    }

    /// Deletes topics, with all their records.
    ///
    /// Cancel-safe; what a broker was asked to do, it may still do.
    ///
    /// # Errors
    ///
    /// When no broker answers; a refusal of one topic is in the results.
    pub async fn delete_topics<S: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Results<String, ()>> {
        let errand = &self.errand();
        let names = names.into_iter().map(|name| name.as_ref().to_owned());
        let asked = errand.retry_items(names, |left: BTreeSet<_>| async move {
            let by_state = left.iter().map(|name| DeleteTopicState {
                name: Some(name),
                topic_id: Uuid::nil(),
            });
            let connection = errand.controller().await?;
            let version = connection.version::<DeleteTopicsRequest<'_>>(i16::MAX)?;
            let mut request = DeleteTopicsRequest {
                topics: by_state.collect(),
                topic_names: left.iter().map(String::as_str).collect(),
                timeout_ms: errand.timeout_ms(),
            };
            // Each version has its own way to name them, and refuses the other.
            if version < VERSION_DELETE_BY_ID {
                request.topics = Array::empty();
            }
            let reply = ask(&connection, &request, 0).await?;
            let answer: DeleteTopicsResponse<'_> = reply.decode()?;
            let deleted = answer.responses.iter().map(|topic| {
                let result = refused(topic.error_code, topic.error_message);
                (topic.name.unwrap_or_default().to_owned(), result)
            });
            Ok(deleted.collect())
        });
        asked.await
    }

    /// Deletes the topics of these ids: never one made anew under an old one's name. Kafka 2.8 and
    /// later.
    ///
    /// Cancel-safe; what a broker was asked to do, it may still do.
    ///
    /// # Errors
    ///
    /// When no broker answers, or [`Unsupported`](crate::ErrorKind::Unsupported); a refusal of one
    /// topic is in the results.
    pub async fn delete_topics_by_id(
        &self,
        ids: impl IntoIterator<Item = Uuid>,
    ) -> Result<Results<Uuid, ()>> {
        let errand = &self.errand();
        let asked = errand.retry_items(ids, |left: BTreeSet<_>| async move {
            let topics = left.iter().map(|id| DeleteTopicState {
                name: None,
                topic_id: *id,
            });
            let request = DeleteTopicsRequest {
                topics: topics.collect(),
                timeout_ms: errand.timeout_ms(),
                ..DeleteTopicsRequest::default()
            };
            let reply = ask(&errand.controller().await?, &request, VERSION_DELETE_BY_ID).await?;
            let answer: DeleteTopicsResponse<'_> = reply.decode()?;
            let deleted = answer.responses.iter().map(|topic| {
                let result = refused(topic.error_code, topic.error_message);
                (topic.topic_id, result)
            });
            Ok(deleted.collect())
        });
        asked.await
    }

    /// All topics, by name; the brokers' own are marked.
    ///
    /// Cancel-safe: it only asks.
    ///
    /// # Errors
    ///
    /// When no broker answers.
    pub async fn list_topics(&self) -> Result<Vec<TopicListing>> {
        let request = MetadataRequest {
            topics: None,
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let errand = self.errand();
        let listed = errand.retry(|| async {
            let reply = errand.shared().call_any(&request).await?;
            let answer: MetadataResponse<'_> = reply.decode()?;
            let mut topics: Vec<TopicListing> = answer
                .topics
                .iter()
                .filter(|topic| topic.error_code == 0)
                .map(|topic| TopicListing {
                    name: topic.name.unwrap_or_default().to_owned(),
                    id: topic.topic_id,
                    is_internal: topic.is_internal,
                    partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
                })
                .collect();
            topics.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(topics)
        });
        listed.await
    }

    /// Topics with their partitions, leaders and replicas.
    ///
    /// Cancel-safe: it only asks.
    ///
    /// # Errors
    ///
    /// When no broker answers; an unknown topic is in the results.
    pub fn describe_topics<S: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = S>,
    ) -> Call<DescribeTopics> {
        self.call(DescribeTopics::of(names))
    }

    /// The topics of these ids. Kafka 3.1 and later.
    ///
    /// Cancel-safe: it only asks.
    ///
    /// # Errors
    ///
    /// When no broker answers, or [`Unsupported`](crate::ErrorKind::Unsupported); an unknown id is
    /// in the results, as [`UnknownTopicId`](crate::ErrorCode::UnknownTopicId).
    pub async fn describe_topics_by_id(
        &self,
        ids: impl IntoIterator<Item = Uuid>,
    ) -> Result<Results<Uuid, TopicDescription>> {
        let ids: BTreeSet<Uuid> = ids.into_iter().collect();
        let topics = ids.iter().map(|topic_id| MetadataRequestTopic {
            topic_id: *topic_id,
            name: None,
        });
        let request = MetadataRequest {
            topics: Some(topics.collect()),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let errand = self.errand();
        let found = errand.described(&request, VERSION_DESCRIBE_BY_ID).await?;
        let found = found.into_iter().map(|(id, _, result)| (id, result));
        let mut found = found.collect();
        complete(&mut found, &ids);
        Ok(found)
    }

    /// Grows topics to these total numbers of partitions, and waits a moment for brokers to know.
    ///
    /// Cancel-safe; what a broker was asked to do, it may still do.
    ///
    /// # Errors
    ///
    /// When no broker answers; a refusal of one topic is in the results.
    pub fn create_partitions<S: AsRef<str>, P: Into<NewPartitions>>(
        &self,
        totals: impl IntoIterator<Item = (S, P)>,
    ) -> Call<CreatePartitions> {
        let totals = totals.into_iter();
        let topics = totals.map(|(name, total)| (name.as_ref().to_owned(), total.into()));
        self.call(CreatePartitions {
            topics: topics.collect(),
            validate_only: false,
        })
    }
}

impl Errand {
    /// Waits until brokers know of topics with so many partitions: the controller answers before
    /// they have heard of them. What was done is done: that it is not known yet is no failure.
    async fn wait_until_known(&self, mut topics: Vec<(&str, usize)>) {
        let shared = self.shared();
        let deadline = self.deadline.min(Instant::now() + KNOWN_WAIT_MAX);
        for failures in 1.. {
            if topics.is_empty() || Instant::now() >= deadline {
                break;
            }
            let names = topics.iter().map(|(name, _)| name);
            let described = timeout_at(deadline, DescribeTopics::of(names).run(self.clone()));
            let Ok(Ok(described)) = described.await else {
                break;
            };
            let is_waited_for = |(name, partitions): &(&str, usize)| match described.get(*name) {
                Some(Ok(topic)) => topic.partitions.len() < *partitions,
                // Whoever may not see it would wait in vain.
                Some(Err(error)) => error.is_retriable(),
                None => false,
            };
            topics.retain(is_waited_for);
            if !topics.is_empty() {
                let pause = shared.retry_backoff().pause(failures, shared.random());
                sleep_until(deadline.min(Instant::now() + pause)).await;
            }
        }
    }

    async fn described(
        &self,
        request: &MetadataRequest<'_>,
        least: i16,
    ) -> Result<Vec<(Uuid, String, Result<TopicDescription>)>> {
        let asked = self.retry(|| async {
            let reply = ask(&self.shared().any().await?, request, least).await?;
            let answer: MetadataResponse<'_> = reply.decode()?;
            let topics = answer.topics.iter().map(|topic| {
                let name = topic.name.unwrap_or_default().to_owned();
                let result = refused(topic.error_code, None).map(|()| description(&topic));
                (topic.topic_id, name, result)
            });
            Ok(topics.collect())
        });
        asked.await
    }
}

fn description(topic: &MetadataResponseTopic<'_>) -> TopicDescription {
    let partitions = topic.partitions.iter();
    let mut partitions: Vec<PartitionDescription> = partitions
        .map(|partition| PartitionDescription {
            partition: partition.partition_index,
            leader: (partition.leader_id >= 0).then_some(partition.leader_id),
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes.to_vec(),
            in_sync: partition.isr_nodes.to_vec(),
            offline: partition.offline_replicas.to_vec(),
            eligible: None,
            last_eligible: None,
        })
        .collect();
    partitions.sort_by_key(|partition| partition.partition);
    TopicDescription {
        name: topic.name.unwrap_or_default().to_owned(),
        id: topic.topic_id,
        is_internal: topic.is_internal,
        partitions,
        allowed: AllowedOperations::read(topic.topic_authorized_operations),
    }
}
