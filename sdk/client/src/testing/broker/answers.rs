//! What the brokers of paper answer when nobody told them otherwise.

use std::time::Duration;

use highwater_wire::message::api_versions::ApiVersion;
use highwater_wire::message::fetch::{FetchPartition, FetchableTopicResponse, PartitionData};
use highwater_wire::message::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use highwater_wire::message::metadata::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use highwater_wire::message::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use highwater_wire::message::produce::{PartitionProduceResponse, TopicProduceResponse};
use highwater_wire::message::{
    ApiVersionsRequest, ApiVersionsResponse, FetchRequest, FetchResponse, InitProducerIdRequest,
    InitProducerIdResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest,
    MetadataResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, ProduceRequest,
    ProduceResponse,
};
use highwater_wire::{ApiKey, Array, ErrorCode, Message, RecordBytes, encode_response};
use tokio::time::{Instant, timeout_at};

use super::Shared;
use super::log::rebased;
use super::state::State;
use crate::testing::Asked;

/// The first version of Produce and Fetch that names topics by id.
const BY_ID: i16 = 13;

impl Shared {
    /// The frame that answers; `None` for a request that has no answer, does not parse, or is of an API that nobody
    /// taught these brokers.
    pub(super) async fn honest(&self, asked: &Asked<'_>) -> Option<Vec<u8>> {
        if asked.api == ApiKey::ApiVersions {
            self.versions(asked)
        } else if asked.api == ApiKey::Metadata {
            self.metadata(asked, None)
        } else if asked.api == ApiKey::InitProducerId {
            asked.request::<InitProducerIdRequest<'_>>().ok()?;
            let mut state = self.lock();
            state.next_producer += 1;
            asked.answer(&InitProducerIdResponse {
                producer_id: state.next_producer,
                producer_epoch: 0,
                ..InitProducerIdResponse::default()
            })
        } else if asked.api == ApiKey::Produce {
            self.produce(asked)
        } else if asked.api == ApiKey::ListOffsets {
            self.list_offsets(asked)
        } else if asked.api == ApiKey::Fetch {
            self.fetch(asked).await
        } else if asked.api == ApiKey::OffsetForLeaderEpoch {
            self.epoch_ends(asked)
        } else {
            None
        }
    }

    fn versions(&self, asked: &Asked<'_>) -> Option<Vec<u8>> {
        let state = self.lock();
        let highest = state.offered.get(&ApiKey::ApiVersions);
        let highest = highest
            .copied()
            .unwrap_or(*ApiVersionsRequest::VERSIONS.end());
        if asked.version > highest {
            let answer = ApiVersionsResponse {
                error_code: ErrorCode::UnsupportedVersion.id(),
                api_keys: Array::from([ApiVersion {
                    api_key: ApiKey::ApiVersions.id(),
                    min_version: 0,
                    max_version: highest,
                }]),
                ..ApiVersionsResponse::default()
            };
            return Some(encode_response(asked.correlation, 0, &answer).ok()?.bytes);
        }
        asked.request::<ApiVersionsRequest<'_>>().ok()?;
        let mut keys = vec![
            ApiVersion::of::<ApiVersionsRequest<'_>>(),
            ApiVersion::of::<MetadataRequest<'_>>(),
            ApiVersion::of::<InitProducerIdRequest<'_>>(),
            ApiVersion::of::<ProduceRequest<'_>>(),
            ApiVersion::of::<ListOffsetsRequest<'_>>(),
            ApiVersion::of::<FetchRequest<'_>>(),
            ApiVersion::of::<OffsetForLeaderEpochRequest<'_>>(),
        ];
        for (api, ((min_version, max_version), _)) in &state.scripts {
            if keys.iter().all(|key| key.api_key != api.id()) {
                keys.push(ApiVersion {
                    api_key: api.id(),
                    min_version: *min_version,
                    max_version: *max_version,
                });
            }
        }
        for key in &mut keys {
            let highest = ApiKey::from_id(key.api_key).and_then(|api| state.offered.get(&api));
            key.max_version = *highest.unwrap_or(&key.max_version);
        }
        asked.answer(&ApiVersionsResponse {
            api_keys: Array::from(keys),
            ..ApiVersionsResponse::default()
        })
    }

    /// Who leads what; with a code, that every topic has this problem.
    pub(super) fn metadata(&self, asked: &Asked<'_>, refuse: Option<ErrorCode>) -> Option<Vec<u8>> {
        let request = asked.request::<MetadataRequest<'_>>().ok()?;
        let state = self.lock();
        let brokers = (0..)
            .zip(&state.ports)
            .map(|(node_id, port)| MetadataResponseBroker {
                node_id,
                host: "127.0.0.1",
                port: i32::from(*port),
                rack: None,
            });
        let wanted: Vec<Option<&str>> = match &request.topics {
            Some(topics) => topics.iter().map(|topic| topic.name).collect(),
            None => state
                .topics
                .keys()
                .map(|name| Some(name.as_str()))
                .collect(),
        };
        let topics = wanted.into_iter().map(|name| {
            let Some(topic) = name.and_then(|name| state.topics.get(name)) else {
                return MetadataResponseTopic {
                    error_code: ErrorCode::UnknownTopicOrPartition.id(),
                    name,
                    ..MetadataResponseTopic::default()
                };
            };
            let partitions = (0..).zip(&topic.partitions).map(|(partition_index, log)| {
                MetadataResponsePartition {
                    partition_index,
                    leader_id: log.leader,
                    leader_epoch: log.leader_epoch,
                    ..MetadataResponsePartition::default()
                }
            });
            MetadataResponseTopic {
                error_code: refuse.map_or(0, ErrorCode::id),
                name,
                topic_id: topic.id,
                partitions: partitions.collect(),
                ..MetadataResponseTopic::default()
            }
        });
        asked.answer(&MetadataResponse {
            brokers: brokers.collect(),
            controller_id: 0,
            topics: topics.collect(),
            ..MetadataResponse::default()
        })
    }

    fn produce(&self, asked: &Asked<'_>) -> Option<Vec<u8>> {
        let request = asked.request::<ProduceRequest<'_>>().ok()?;
        let mut state = self.lock();
        let by_id = asked.version >= BY_ID;
        let responses = request.topic_data.iter().map(|topic| {
            let partitions = topic.partition_data.iter().map(|partition| {
                let records = partition.records.as_ref().and_then(RecordBytes::borrowed);
                let place = (topic.name, topic.topic_id, partition.index);
                let outcome = state.append(asked.broker, by_id, place, records);
                PartitionProduceResponse {
                    index: partition.index,
                    error_code: outcome.err().unwrap_or(ErrorCode::None).id(),
                    base_offset: outcome.unwrap_or(-1),
                    ..PartitionProduceResponse::default()
                }
            });
            TopicProduceResponse {
                name: topic.name,
                topic_id: topic.topic_id,
                partition_responses: partitions.collect(),
            }
        });
        let responses = responses.collect();
        let throttle_time_ms = state.throttle_time_ms;
        drop(state);
        self.appended.notify_waiters();
        if request.acks == 0 {
            return None;
        }
        asked.answer(&ProduceResponse {
            responses,
            throttle_time_ms,
            ..ProduceResponse::default()
        })
    }

    fn list_offsets(&self, asked: &Asked<'_>) -> Option<Vec<u8>> {
        let request = asked.request::<ListOffsetsRequest<'_>>().ok()?;
        let mut state = self.lock();
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                let index = partition.partition_index;
                let log = state.named(false, topic.name, uuid::Uuid::nil(), index);
                let outcome = match log {
                    None => Err(ErrorCode::UnknownTopicOrPartition),
                    Some(log) if log.leader != asked.broker => Err(ErrorCode::NotLeaderOrFollower),
                    Some(log) => Ok(match partition.timestamp {
                        -2 => log.start,
                        -1 => log.end,
                        timestamp => log.by_time(timestamp).unwrap_or(-1),
                    }),
                };
                ListOffsetsPartitionResponse {
                    partition_index: index,
                    error_code: outcome.err().unwrap_or(ErrorCode::None).id(),
                    offset: outcome.unwrap_or(-1),
                    ..ListOffsetsPartitionResponse::default()
                }
            });
            ListOffsetsTopicResponse {
                name: topic.name,
                partitions: partitions.collect(),
            }
        });
        asked.answer(&ListOffsetsResponse {
            topics: topics.collect(),
            ..ListOffsetsResponse::default()
        })
    }

    fn epoch_ends(&self, asked: &Asked<'_>) -> Option<Vec<u8>> {
        let request = asked.request::<OffsetForLeaderEpochRequest<'_>>().ok()?;
        let mut state = self.lock();
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|wanted| {
                let log = state.named(false, topic.topic, uuid::Uuid::nil(), wanted.partition);
                let outcome = match log {
                    None => Err(ErrorCode::UnknownTopicOrPartition),
                    Some(log) if log.leader != asked.broker => Err(ErrorCode::NotLeaderOrFollower),
                    Some(log) => Ok(log.epoch_end(wanted.leader_epoch)),
                };
                let (leader_epoch, end_offset) = outcome.ok().flatten().unwrap_or((-1, -1));
                EpochEndOffset {
                    error_code: outcome.err().unwrap_or(ErrorCode::None).id(),
                    partition: wanted.partition,
                    leader_epoch,
                    end_offset,
                }
            });
            OffsetForLeaderTopicResult {
                topic: topic.topic,
                partitions: partitions.collect(),
            }
        });
        asked.answer(&OffsetForLeaderEpochResponse {
            topics: topics.collect(),
            ..OffsetForLeaderEpochResponse::default()
        })
    }

    async fn fetch(&self, asked: &Asked<'_>) -> Option<Vec<u8>> {
        let request = asked.request::<FetchRequest<'_>>().ok()?;
        // No sessions here: every request has to be whole.
        if request.session_id != 0 {
            return asked.answer(&FetchResponse {
                error_code: ErrorCode::FetchSessionIdNotFound.id(),
                ..FetchResponse::default()
            });
        }
        let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
        // Of the request, not of one look: what is appended elsewhere must not put it off.
        let deadline = Instant::now() + wait;
        loop {
            let appended = self.appended.notified();
            let (answer, found) = self.fetched(asked, &request);
            if found || Instant::now() >= deadline {
                return answer;
            }
            // When the time is over, one more look finds what came with it.
            let _ = timeout_at(deadline, appended).await;
        }
    }

    /// The answer, and whether it says anything.
    fn fetched(&self, asked: &Asked<'_>, request: &FetchRequest<'_>) -> (Option<Vec<u8>>, bool) {
        let mut state = self.lock();
        let by_id = asked.version >= BY_ID;
        let mut found = false;
        let responses = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                let place = (topic.topic, topic.topic_id, partition.partition);
                let has_rack = !request.rack_id.is_empty();
                let data = state.read(asked.broker, by_id, place, &partition, has_rack);
                found |= data.error_code != 0
                    || data.preferred_read_replica >= 0
                    || data.records.as_ref().is_some_and(|it| !it.is_empty());
                data
            });
            FetchableTopicResponse {
                topic: topic.topic,
                topic_id: topic.topic_id,
                partitions: partitions.collect(),
            }
        });
        let responses = responses.collect();
        let answer = asked.answer(&FetchResponse {
            throttle_time_ms: state.throttle_time_ms,
            responses,
            ..FetchResponse::default()
        });
        (answer, found)
    }
}

/// A topic's name and id, as the version has it, and a partition.
type Place<'a> = (&'a str, uuid::Uuid, i32);

impl State {
    fn append(
        &mut self,
        broker: i32,
        by_id: bool,
        (name, id, partition): Place<'_>,
        records: Option<&[u8]>,
    ) -> Result<i64, ErrorCode> {
        let (bytes_max, keeps) = (self.message_bytes_max, self.keeps);
        let log = self.named(by_id, name, id, partition);
        let log = log.ok_or(unknown(by_id))?;
        if log.leader != broker {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let records = records.ok_or(ErrorCode::CorruptMessage)?;
        if keeps {
            log.append(records, bytes_max)
        } else {
            log.count(records)
        }
    }

    fn read(
        &mut self,
        broker: i32,
        by_id: bool,
        (name, id, partition): Place<'_>,
        wanted: &FetchPartition,
        has_rack: bool,
    ) -> PartitionData<'static> {
        let from = wanted.fetch_offset;
        let canned = self.canned.clone();
        let mut data = PartitionData {
            partition_index: partition,
            ..PartitionData::default()
        };
        let Some(log) = self.named(by_id, name, id, partition) else {
            data.error_code = unknown(by_id).id();
            return data;
        };
        data.high_watermark = log.end;
        data.log_start_offset = log.start;
        if log.leader != broker && log.follower != Some(broker) {
            data.error_code = ErrorCode::NotLeaderOrFollower.id();
        } else if let Some(follower) = log.follower.filter(|_| has_rack && log.leader == broker) {
            data.preferred_read_replica = follower;
        } else if let Some(canned) = canned {
            data.records = Some(RecordBytes::Owned(rebased(&canned, from)));
        } else if from < log.start || from > log.end {
            data.error_code = ErrorCode::OffsetOutOfRange.id();
        } else {
            let bytes_max = usize::try_from(wanted.partition_max_bytes).unwrap_or(0);
            data.records = Some(RecordBytes::Owned(log.read(from, bytes_max)));
        }
        data
    }
}

fn unknown(by_id: bool) -> ErrorCode {
    if by_id {
        ErrorCode::UnknownTopicId
    } else {
        ErrorCode::UnknownTopicOrPartition
    }
}
