//! Offsets of partitions, and deleting what lies before one.

use std::collections::{BTreeMap, BTreeSet};

use highwater_wire::message::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use highwater_wire::message::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use highwater_wire::message::offset_for_leader_epoch::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use highwater_wire::message::{
    DeleteRecordsRequest, DeleteRecordsResponse, ListOffsetsRequest, ListOffsetsResponse,
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
};
use tokio::time::{Instant, sleep};

use super::concurrent::join_all;
use super::errand::{Errand, all_failed, complete};
use super::topics::DescribeTopics;
use super::{
    Admin, Call, ListedOffset, OffsetSpec, Operation, Results, TopicDescription, ask, refused,
};
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
            Self::EarliestLocal => -4,
            Self::LatestTiered => -5,
            Self::Timestamp(timestamp_ms) => timestamp_ms.max(0),
        }
    }

    /// The first version of ListOffsets that knows it; an older broker would look the number up as a
    /// timestamp.
    fn least(self) -> i16 {
        match self {
            Self::Latest | Self::Earliest | Self::Timestamp(_) => 0,
            Self::MaxTimestamp => 7,
            Self::EarliestLocal => 8,
            Self::LatestTiered => 9,
        }
    }
}

/// The first version of ListOffsets that knows what is committed.
const VERSION_ISOLATION: i16 = 2;

/// Where an epoch of a leader ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch up to the one asked for.
    pub leader_epoch: i32,
    /// The offset after its last record.
    pub end_offset: i64,
}

/// What [`Admin::list_offsets`] does.
#[derive(Clone, Debug)]
pub struct ListOffsets {
    specs: BTreeMap<TopicPartition, OffsetSpec>,
    isolation: Isolation,
}

impl Call<ListOffsets> {
    /// Up to where: the high watermark (the default), or the last stable offset.
    pub fn isolation(self, isolation: Isolation) -> Self {
        self.set(|it| it.isolation = isolation)
    }
}

impl Operation for ListOffsets {
    type Output = Results<TopicPartition, ListedOffset>;

    async fn run(self, errand: Errand) -> Result<Self::Output> {
        let (errand, isolation) = (&errand, self.isolation);
        let ask_leader = |leader, specs: BTreeMap<TopicPartition, OffsetSpec>| async move {
            let topics = by_topic(&specs).map(|(name, partitions)| ListOffsetsTopic {
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
                timeout_ms: errand.timeout_ms(),
            };
            let committed = match isolation {
                Isolation::ReadUncommitted => 0,
                Isolation::ReadCommitted => VERSION_ISOLATION,
            };
            let known = specs.values().map(|spec| spec.least()).max();
            let least = committed.max(known.unwrap_or(0));
            let reply = ask(&errand.broker(leader).await?, &request, least).await?;
            let answer: ListOffsetsResponse<'_> = reply.decode()?;
            let mut results = Results::new();
            for topic in &answer.topics {
                for it in &topic.partitions {
                    let result = refused(it.error_code, None).map(|()| ListedOffset {
                        offset: Some(it.offset).filter(|offset| *offset >= 0),
                        timestamp_ms: Some(it.timestamp).filter(|time| *time >= 0),
                        leader_epoch: it.leader_epoch,
                    });
                    results.insert(TopicPartition::new(topic.name, it.partition_index), result);
                }
            }
            Ok(results)
        };
        errand.by_leader(self.specs, ask_leader).await
    }
}

impl Admin {
    /// Looks offsets up, up to the high watermark or, where the call's isolation asks for that, the
    /// last stable offset.
    ///
    /// Cancel-safe: it only asks.
    ///
    /// # Errors
    ///
    /// When no broker answers; a refusal of one partition is in the results.
    pub fn list_offsets(
        &self,
        specs: impl IntoIterator<Item = (TopicPartition, OffsetSpec)>,
    ) -> Call<ListOffsets> {
        self.call(ListOffsets {
            specs: specs.into_iter().collect(),
            isolation: Isolation::ReadUncommitted,
        })
    }

    /// Where these epochs of partitions' leaders end: what of a log that was read under one of them
    /// is still there (KIP-320). `None` where the partition knows no epoch that old.
    ///
    /// Cancel-safe: it only asks.
    ///
    /// # Errors
    ///
    /// When no broker answers; a refusal of one partition is in the results.
    pub async fn epoch_ends(
        &self,
        epochs: impl IntoIterator<Item = (TopicPartition, i32)>,
    ) -> Result<Results<TopicPartition, Option<EpochEnd>>> {
        let epochs: BTreeMap<TopicPartition, i32> = epochs.into_iter().collect();
        let errand = &self.errand();
        let asked = errand.by_leader(epochs, |leader, epochs: BTreeMap<_, _>| async move {
            let topics = by_topic(&epochs).map(|(topic, partitions)| OffsetForLeaderTopic {
                topic,
                partitions: partitions
                    .into_iter()
                    .map(|(partition, leader_epoch)| OffsetForLeaderPartition {
                        partition,
                        current_leader_epoch: -1,
                        leader_epoch,
                    })
                    .collect(),
            });
            let request = OffsetForLeaderEpochRequest {
                replica_id: -1,
                topics: topics.collect(),
            };
            let reply = ask(&errand.broker(leader).await?, &request, 0).await?;
            let answer: OffsetForLeaderEpochResponse<'_> = reply.decode()?;
            let mut results = Results::new();
            for topic in &answer.topics {
                for it in &topic.partitions {
                    let end = EpochEnd {
                        leader_epoch: it.leader_epoch,
                        end_offset: it.end_offset,
                    };
                    let result = refused(it.error_code, None)
                        .map(|()| Some(end).filter(|end| end.end_offset >= 0));
                    results.insert(TopicPartition::new(topic.topic, it.partition), result);
                }
            }
            Ok(results)
        });
        asked.await
    }

    /// Deletes the records before these offsets (`None`: all up to the high watermark); answers
    /// with the new first offset.
    ///
    /// Cancel-safe; what a broker was asked to do, it may still do.
    ///
    /// # Errors
    ///
    /// When no broker answers; a refusal of one partition is in the results.
    pub async fn delete_records(
        &self,
        before: impl IntoIterator<Item = (TopicPartition, Option<i64>)>,
    ) -> Result<Results<TopicPartition, i64>> {
        let before: BTreeMap<TopicPartition, Option<i64>> = before.into_iter().collect();
        let errand = &self.errand();
        let asked = errand.by_leader(before, |leader, before: BTreeMap<_, _>| async move {
            let topics = by_topic(&before).map(|(name, partitions)| DeleteRecordsTopic {
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
                timeout_ms: errand.timeout_ms(),
            };
            let reply = errand.shared().call(leader, &request).await?;
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
        });
        asked.await
    }
}

impl Errand {
    /// Asks each partition's leader, and again for those whose refusal may pass, until all are
    /// answered or the call's time is over.
    pub(super) async fn by_leader<S, T, F>(
        &self,
        items: BTreeMap<TopicPartition, S>,
        ask: impl Fn(i32, BTreeMap<TopicPartition, S>) -> F,
    ) -> Result<Results<TopicPartition, T>>
    where
        S: Copy,
        F: Future<Output = Result<Results<TopicPartition, T>>>,
    {
        let shared = self.shared();
        let mut left = items;
        let mut results = Results::new();
        let mut failures = 0;
        let ask = &ask;
        loop {
            // Not through the shared metadata: asking there may create a topic.
            let names: BTreeSet<&str> = left.keys().map(|place| &*place.topic).collect();
            let topics = match DescribeTopics::of(names).run(self.clone()).await {
                Ok(topics) => topics,
                Err(error) if results.is_empty() => return Err(error),
                // What is answered stays so; the rest failed by what it failed by before, or by this.
                Err(error) => {
                    for place in left.keys() {
                        let result = results.entry(place.clone());
                        result.or_insert_with(|| Err(error.clone()));
                    }
                    return Ok(placed(results));
                }
            };
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
            let asked = by_leader.into_iter().map(|(leader, items)| async move {
                match self.within(ask(leader, items.clone())).await {
                    Ok(mut answers) => {
                        complete(&mut answers, items.keys());
                        answers
                    }
                    Err(error) => all_failed(items.keys(), &error),
                }
            });
            for answers in join_all(asked.collect()).await {
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
            if left.is_empty() || Instant::now() + pause >= self.deadline {
                return Ok(placed(results));
            }
            shared.invalidate_metadata();
            sleep(pause).await;
        }
    }
}

/// Errors say which partition they are about.
fn placed<T>(results: Results<TopicPartition, T>) -> Results<TopicPartition, T> {
    let at = |(place, result): (TopicPartition, Result<T>)| {
        let result = result.map_err(|error| error.at(&place.topic, place.partition));
        (place, result)
    };
    results.into_iter().map(at).collect()
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
pub(super) fn by_topic<S: Copy>(
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
