//! Creating, finding, growing and deleting topics.

use highwater_wire::message::create_partitions::CreatePartitionsTopic;
use highwater_wire::message::create_topics::{CreatableTopic, CreatableTopicConfig};
use highwater_wire::message::delete_topics::DeleteTopicState;
use highwater_wire::message::metadata::{MetadataRequestTopic, MetadataResponseTopic};
use highwater_wire::message::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, MetadataRequest, MetadataResponse,
};
use highwater_wire::{Array, ErrorCode};
use tokio::time::sleep;
use uuid::Uuid;

use super::{
    Admin, CreatedTopic, NewTopic, PartitionDescription, Results, TopicDescription, TopicListing,
    refused,
};
use crate::error::{Error, Result};

/// How often brokers are asked about a topic just made before that is left to who uses it.
const KNOWN_ATTEMPTS: u32 = 6;

impl Admin {
    /// Creates topics, and waits a moment for brokers to know of them.
    ///
    /// # Errors
    ///
    /// When no broker answers; a refusal of one topic is in the results.
    pub async fn create_topics(
        &self,
        topics: impl IntoIterator<Item = NewTopic>,
    ) -> Result<Results<String, CreatedTopic>> {
        let results = self.create(topics.into_iter().collect(), false).await?;
        let created = results.iter().filter(|(_, result)| result.is_ok());
        self.wait_until_known(created.map(|(name, _)| (name.as_str(), 1)).collect())
            .await?;
        Ok(results)
    }

    /// Asks whether topics could be created, without creating them.
    ///
    /// # Errors
    ///
    /// As [`create_topics`](Self::create_topics).
    pub async fn validate_topics(
        &self,
        topics: impl IntoIterator<Item = NewTopic>,
    ) -> Result<Results<String, CreatedTopic>> {
        self.create(topics.into_iter().collect(), true).await
    }

    /// Waits until brokers know of topics with so many partitions: the controller answers before
    /// they have heard of them.
    async fn wait_until_known(&self, mut topics: Vec<(&str, usize)>) -> Result<()> {
        let shared = &self.client.shared;
        for failures in 1..=KNOWN_ATTEMPTS {
            if topics.is_empty() {
                break;
            }
            let described = self
                .describe_topics(topics.iter().map(|(name, _)| name))
                .await?;
            let is_known = |(name, partitions): &(&str, usize)| match described.get(*name) {
                Some(Ok(topic)) => topic.partitions.len() >= *partitions,
                Some(Err(_)) | None => false,
            };
            topics.retain(|topic| !is_known(topic));
            if !topics.is_empty() {
                sleep(shared.retry_backoff().pause(failures, shared.random())).await;
            }
        }
        Ok(())
    }

    async fn create(
        &self,
        topics: Vec<NewTopic>,
        validate_only: bool,
    ) -> Result<Results<String, CreatedTopic>> {
        let wanted = topics.iter().map(|topic| {
            let configs = topic.configs.iter();
            let configs = configs.map(|(name, value)| CreatableTopicConfig {
                name,
                value: value.as_deref(),
            });
            CreatableTopic {
                name: &topic.name,
                num_partitions: topic.partitions,
                replication_factor: topic.replication,
                configs: configs.collect(),
                ..CreatableTopic::default()
            }
        });
        let request = CreateTopicsRequest {
            topics: wanted.collect(),
            timeout_ms: self.timeout_ms(),
            validate_only,
        };
        self.retry(async || {
            let reply = self.call_controller(&request).await?;
            let answer: CreateTopicsResponse<'_> = reply.decode()?;
            let mut results = Results::new();
            for topic in &answer.topics {
                moved(topic.error_code)?;
                let result =
                    refused(topic.error_code, topic.error_message).map(|()| CreatedTopic {
                        id: topic.topic_id,
                        partitions: topic.num_partitions,
                        replication: topic.replication_factor,
                    });
                results.insert(topic.name.to_owned(), result);
            }
            Ok(results)
        })
        .await
    }

    /// Deletes topics, with all their records.
    ///
    /// # Errors
    ///
    /// When no broker answers; a refusal of one topic is in the results.
    pub async fn delete_topics<S: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Results<String, ()>> {
        let names: Vec<S> = names.into_iter().collect();
        let request = DeleteTopicsRequest {
            topics: names
                .iter()
                .map(|name| DeleteTopicState {
                    name: Some(name.as_ref()),
                    topic_id: Uuid::nil(),
                })
                .collect(),
            topic_names: names.iter().map(S::as_ref).collect(),
            timeout_ms: self.timeout_ms(),
        };
        self.retry(async || {
            let shared = &self.client.shared;
            let connection = match shared.cluster().controller {
                Some(controller) => shared.pool.general(&shared.broker(controller)?).await?,
                None => shared.any().await?,
            };
            let version = connection.version::<DeleteTopicsRequest<'_>>(i16::MAX)?;
            // Each version has its own way to name them, and refuses the other.
            let mut request = request.clone();
            if version < 6 {
                request.topics = Array::empty();
            }
            let reply = connection
                .send(&request, version, [], true)?
                .answer()
                .await?;
            let answer: DeleteTopicsResponse<'_> = reply.decode()?;
            let mut results = Results::new();
            for topic in &answer.responses {
                moved(topic.error_code)?;
                let result = refused(topic.error_code, topic.error_message);
                results.insert(topic.name.unwrap_or_default().to_owned(), result);
            }
            Ok(results)
        })
        .await
    }

    /// All topics, by name; the brokers' own are marked.
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
        self.retry(async || {
            let reply = self.client.shared.call_any(&request).await?;
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
        })
        .await
    }

    /// Topics with their partitions, leaders and replicas.
    ///
    /// # Errors
    ///
    /// When no broker answers; an unknown topic is in the results.
    pub async fn describe_topics<S: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Results<String, TopicDescription>> {
        let names: Vec<S> = names.into_iter().collect();
        let topics = names.iter().map(|name| MetadataRequestTopic {
            topic_id: Uuid::nil(),
            name: Some(name.as_ref()),
        });
        let request = MetadataRequest {
            topics: Some(topics.collect()),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        self.retry(async || {
            let reply = self.client.shared.call_any(&request).await?;
            let answer: MetadataResponse<'_> = reply.decode()?;
            let topics = answer.topics.iter();
            Ok(topics
                .map(|topic| {
                    let name = topic.name.unwrap_or_default().to_owned();
                    let result = refused(topic.error_code, None).map(|()| description(&topic));
                    (name, result)
                })
                .collect())
        })
        .await
    }

    /// Grows topics to these total numbers of partitions, and waits a moment for brokers to know.
    ///
    /// # Errors
    ///
    /// When no broker answers; a refusal of one topic is in the results.
    pub async fn create_partitions<S: AsRef<str>>(
        &self,
        totals: impl IntoIterator<Item = (S, i32)>,
    ) -> Result<Results<String, ()>> {
        let totals: Vec<(S, i32)> = totals.into_iter().collect();
        let topics = totals.iter().map(|(name, count)| CreatePartitionsTopic {
            name: name.as_ref(),
            count: *count,
            assignments: None,
        });
        let request = CreatePartitionsRequest {
            topics: topics.collect(),
            timeout_ms: self.timeout_ms(),
            validate_only: false,
        };
        let results = self
            .retry(async || {
                let reply = self.call_controller(&request).await?;
                let answer: CreatePartitionsResponse<'_> = reply.decode()?;
                let mut results = Results::new();
                for topic in &answer.results {
                    moved(topic.error_code)?;
                    let result = refused(topic.error_code, topic.error_message);
                    results.insert(topic.name.to_owned(), result);
                }
                Ok(results)
            })
            .await?;
        let grown = totals.iter().filter_map(|(name, total)| {
            let is_grown = matches!(results.get(name.as_ref()), Some(Ok(())));
            is_grown.then_some((name.as_ref(), usize::try_from(*total).ok()?))
        });
        self.wait_until_known(grown.collect()).await?;
        // Producers of this client learn of the new partitions without waiting for their age.
        self.client.shared.invalidate_metadata();
        Ok(results)
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
        })
        .collect();
    partitions.sort_by_key(|partition| partition.partition);
    TopicDescription {
        name: topic.name.unwrap_or_default().to_owned(),
        id: topic.topic_id,
        is_internal: topic.is_internal,
        partitions,
    }
}

/// The controller is elsewhere: not the item's failure, the whole call is made again.
fn moved(code: i16) -> Result<()> {
    let code = ErrorCode::from_id(code);
    if code == ErrorCode::NotController {
        return Err(Error::broker(code, None));
    }
    Ok(())
}
