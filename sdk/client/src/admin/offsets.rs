//! Offsets of partitions, and deleting what lies before one.

use std::collections::{BTreeMap, BTreeSet};

use highwater_wire::message::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use highwater_wire::message::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use highwater_wire::message::{
    DeleteRecordsRequest, DeleteRecordsResponse, ListOffsetsRequest, ListOffsetsResponse,
};
use tokio::time::{Instant, sleep};

use super::{Admin, ListedOffset, OffsetSpec, Results, TopicDescription, refused};
use crate::config::Isolation;
use crate::error::{Error, Result, TopicPartition};
use highwater_wire::ErrorCode;

/// How often a topic or partition may be unknown before that is the answer.
const UNKNOWN_ATTEMPTS: u32 = 4;

impl OffsetSpec {
    fn wire(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::MaxTimestamp => -3,
            Self::Timestamp(timestamp_ms) => timestamp_ms.max(0),
        }
    }
}

impl Admin {
    /// Looks offsets up, up to the high watermark.
    ///
    /// # Errors
    ///
    /// When no broker answers; a refusal of one partition is in the results.
    pub async fn list_offsets(
        &self,
        specs: impl IntoIterator<Item = (TopicPartition, OffsetSpec)>,
    ) -> Result<Results<TopicPartition, ListedOffset>> {
        self.list_offsets_isolated(specs, Isolation::ReadUncommitted)
            .await
    }

    /// The same, up to the last stable offset where the isolation asks for that.
    ///
    /// # Errors
    ///
    /// As [`list_offsets`](Self::list_offsets).
    pub async fn list_offsets_isolated(
        &self,
        specs: impl IntoIterator<Item = (TopicPartition, OffsetSpec)>,
        isolation: Isolation,
    ) -> Result<Results<TopicPartition, ListedOffset>> {
        let specs: BTreeMap<TopicPartition, OffsetSpec> = specs.into_iter().collect();
        self.by_leader(specs, async |leader, specs| {
            let topics = by_topic(specs).map(|(name, partitions)| ListOffsetsTopic {
                name,
                partitions: partitions
                    .into_iter()
                    .map(|(partition, spec)| ListOffsetsPartition {
                        partition_index: partition,
                        current_leader_epoch: -1,
                        timestamp: spec.wire(),
                    })
                    .collect(),
            });
            let request = ListOffsetsRequest {
                replica_id: -1,
                isolation_level: isolation.wire(),
                topics: topics.collect(),
                timeout_ms: self.timeout_ms(),
            };
            let reply = self.client.shared.call(leader, &request).await?;
            let answer: ListOffsetsResponse<'_> = reply.decode()?;
            let mut results = Results::new();
            for topic in &answer.topics {
                for partition in &topic.partitions {
                    let result = refused(partition.error_code, None).map(|()| ListedOffset {
                        offset: Some(partition.offset).filter(|offset| *offset >= 0),
                        timestamp_ms: Some(partition.timestamp).filter(|time| *time >= 0),
                        leader_epoch: partition.leader_epoch,
                    });
                    let place = TopicPartition::new(topic.name, partition.partition_index);
                    results.insert(place, result);
                }
            }
            Ok(results)
        })
        .await
    }

    /// Deletes the records before these offsets (`None`: all up to the high watermark); answers
    /// with the new first offset.
    ///
    /// # Errors
    ///
    /// When no broker answers; a refusal of one partition is in the results.
    pub async fn delete_records(
        &self,
        before: impl IntoIterator<Item = (TopicPartition, Option<i64>)>,
    ) -> Result<Results<TopicPartition, i64>> {
        let before: BTreeMap<TopicPartition, Option<i64>> = before.into_iter().collect();
        self.by_leader(before, async |leader, before| {
            let topics = by_topic(before).map(|(name, partitions)| DeleteRecordsTopic {
                name,
                partitions: partitions
                    .into_iter()
                    .map(|(partition, offset)| DeleteRecordsPartition {
                        partition_index: partition,
                        offset: offset.unwrap_or(-1),
                    })
                    .collect(),
            });
            let request = DeleteRecordsRequest {
                topics: topics.collect(),
                timeout_ms: self.timeout_ms(),
            };
            let reply = self.client.shared.call(leader, &request).await?;
            let answer: DeleteRecordsResponse<'_> = reply.decode()?;
            let mut results = Results::new();
            for topic in &answer.topics {
                for partition in &topic.partitions {
                    let result =
                        refused(partition.error_code, None).map(|()| partition.low_watermark);
                    let place = TopicPartition::new(topic.name, partition.partition_index);
                    results.insert(place, result);
                }
            }
            Ok(results)
        })
        .await
    }

    /// Asks each partition's leader, and again for those whose refusal may pass, until all are
    /// answered or the call's time is over.
    async fn by_leader<S: Copy, T>(
        &self,
        items: BTreeMap<TopicPartition, S>,
        ask: impl AsyncFn(i32, &BTreeMap<TopicPartition, S>) -> Result<Results<TopicPartition, T>>,
    ) -> Result<Results<TopicPartition, T>> {
        let shared = &self.client.shared;
        let deadline = Instant::now() + shared.config().api_timeout;
        let mut left = items;
        let mut results = Results::new();
        let mut failures = 0;
        loop {
            // Not through the shared metadata: asking there may create a topic.
            let names: BTreeSet<&str> = left.keys().map(|place| &*place.topic).collect();
            let topics = self.describe_topics(names).await?;
            let mut by_leader: BTreeMap<i32, BTreeMap<TopicPartition, S>> = BTreeMap::new();
            for (place, item) in &left {
                match leader(&topics, place) {
                    Ok(leader) => {
                        by_leader
                            .entry(leader)
                            .or_default()
                            .insert(place.clone(), *item);
                    }
                    Err(error) => {
                        results.insert(place.clone(), Err(error));
                    }
                }
            }
            for (leader, items) in by_leader {
                let answers = match ask(leader, &items).await {
                    Ok(answers) => answers,
                    Err(error) => items
                        .keys()
                        .map(|k| (k.clone(), Err(error.clone())))
                        .collect(),
                };
                results.extend(answers);
            }
            failures += 1;
            left.retain(|place, _| match results.get(place) {
                None => true,
                Some(Ok(_)) => false,
                // A topic just made may not be known everywhere yet; soon it is, or never.
                Some(Err(error)) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => {
                    failures < UNKNOWN_ATTEMPTS
                }
                Some(Err(error)) => error.is_retriable(),
            });
            let pause = shared.retry_backoff().pause(failures, shared.random());
            if left.is_empty() || Instant::now() + pause >= deadline {
                let at = |(place, result): (TopicPartition, Result<T>)| {
                    let result = result.map_err(|e| e.at(&place.topic, place.partition));
                    (place, result)
                };
                return Ok(results.into_iter().map(at).collect());
            }
            shared.invalidate_metadata();
            sleep(pause).await;
        }
    }
}

fn leader(topics: &Results<String, TopicDescription>, place: &TopicPartition) -> Result<i32> {
    let missing = || Error::broker(ErrorCode::UnknownTopicOrPartition, None);
    let topic = match topics.get(&*place.topic) {
        Some(Ok(topic)) => topic,
        Some(Err(error)) => return Err(error.clone()),
        None => return Err(missing()),
    };
    let partition = topic
        .partitions
        .iter()
        .find(|p| p.partition == place.partition);
    let leader = partition.ok_or_else(missing)?.leader;
    leader.ok_or_else(|| Error::broker(ErrorCode::LeaderNotAvailable, None))
}

/// Items of one topic after the other; a map of places is sorted by topic.
fn by_topic<S: Copy>(
    items: &BTreeMap<TopicPartition, S>,
) -> impl Iterator<Item = (&str, Vec<(i32, S)>)> {
    let mut topics: Vec<(&str, Vec<(i32, S)>)> = Vec::new();
    for (place, item) in items {
        match topics.last_mut() {
            Some((name, partitions)) if *name == &*place.topic => {
                partitions.push((place.partition, *item));
            }
            Some(_) | None => topics.push((&place.topic, vec![(place.partition, *item)])),
        }
    }
    topics.into_iter()
}
