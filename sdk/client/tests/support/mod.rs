//! A Kafka cluster of paper: brokers on loopback that keep batches in memory, follow the rules of
//! idempotence, and misbehave as they are told.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]
#![allow(clippy::wildcard_enum_match_arm)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use highwater::ErrorCode;
use highwater_record::{Batch, Header, LeaderEpoch, Offset, batches};
use highwater_wire::frame::{Frames, Next};
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
use highwater_wire::message::produce::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use highwater_wire::message::{
    ApiVersionsRequest, ApiVersionsResponse, FetchRequest, FetchResponse, InitProducerIdRequest,
    InitProducerIdResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest,
    MetadataResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, ProduceRequest,
    ProduceResponse,
};
use highwater_wire::{
    ApiKey, Array, Cursor, Decode, RecordBytes, RequestHeader, Response, encode_response,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use uuid::Uuid;

/// What a broker does instead of answering well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Refuses every partition of the request.
    Refuse(ErrorCode),
    /// Closes the connection without having done anything.
    Close,
    /// Does what it was asked, then closes the connection.
    DoAndClose,
    /// Does it, sends the first half of the answer, then closes the connection.
    DoAndCut,
    /// Does it and answers under another correlation id.
    DoAndMisname,
    /// Does it and never answers, nor anything after it on this connection.
    DoAndHang,
    /// Answers with a frame longer than anybody takes.
    Flood,
}

/// The brokers and what they hold.
#[derive(Clone)]
pub struct Cluster {
    pub state: Arc<Mutex<State>>,
    appended: Arc<Notify>,
}

#[derive(Default)]
pub struct State {
    ports: Vec<u16>,
    pub topics: BTreeMap<String, Topic>,
    faults: VecDeque<(ApiKey, Fault)>,
    /// Every request: broker, API, version.
    pub seen: Vec<(i32, ApiKey, i16)>,
    pub message_bytes_max: usize,
    next_producer: i64,
    sessions: i32,
    /// Highest version offered of some APIs.
    pub offered: BTreeMap<ApiKey, i16>,
    /// How long whoever fetches is to leave the broker alone.
    pub throttle_time_ms: i32,
    /// Whether a refusal to write names the leader (KIP-951).
    pub hints: bool,
    /// Leaders and their epochs as they were when metadata ceased to tell news.
    frozen: Option<BTreeMap<String, Vec<(i32, i32)>>>,
    topics_made: u64,
    /// Whether batches are checked and kept, or only counted.
    pub keeps: bool,
    /// Bytes that a fetch of any partition is answered with, over and over.
    pub canned: Option<Bytes>,
}

pub struct Topic {
    pub id: Uuid,
    pub partitions: Vec<Log>,
}

#[derive(Default)]
pub struct Log {
    pub leader: i32,
    pub leader_epoch: i32,
    pub batches: Vec<Bytes>,
    pub end: i64,
    pub start: i64,
    /// Another broker that has the log, and whether the leader sends consumers with a rack there.
    pub replica: Option<(i32, bool)>,
    /// By producer.
    producers: BTreeMap<i64, Known>,
}

/// Epoch, next sequence, and the last batches' first sequence and offset.
type Known = (i16, i32, VecDeque<(i32, i64)>);

impl Cluster {
    pub async fn start(brokers: usize) -> Self {
        let cluster = Self {
            state: Arc::new(Mutex::new(State {
                message_bytes_max: 1 << 20,
                keeps: true,
                ..State::default()
            })),
            appended: Arc::new(Notify::new()),
        };
        for id in 0..i32::try_from(brokers).unwrap() {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            cluster.state.lock().unwrap().ports.push(port);
            let cluster = cluster.clone();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    stream.set_nodelay(true).unwrap();
                    tokio::spawn(cluster.clone().serve(id, stream));
                }
            });
        }
        cluster
    }

    /// The first broker's address.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.state.lock().unwrap().ports[0])
    }

    /// Makes a topic whose partitions are led by the brokers in turn.
    pub fn topic(&self, name: &str, partitions: usize) {
        let mut state = self.state.lock().unwrap();
        let brokers = state.ports.len();
        let partitions = (0..partitions).map(|index| Log {
            leader: i32::try_from(index % brokers).unwrap(),
            leader_epoch: 1,
            ..Log::default()
        });
        state.topics_made += 1;
        let topic = Topic {
            id: Uuid::from_u64_pair(u64::try_from(name.len()).unwrap(), state.topics_made),
            partitions: partitions.collect(),
        };
        state.topics.insert(name.to_owned(), topic);
    }

    pub fn delete(&self, name: &str) {
        self.state.lock().unwrap().topics.remove(name);
    }

    /// From now on metadata tells of leaders what it would have told now.
    pub fn freeze_metadata(&self) {
        let mut state = self.state.lock().unwrap();
        let frozen = state.topics.iter().map(|(name, topic)| {
            let leaders = topic.partitions.iter();
            let leaders = leaders.map(|log| (log.leader, log.leader_epoch)).collect();
            (name.clone(), leaders)
        });
        state.frozen = Some(frozen.collect());
    }

    pub fn grow(&self, name: &str, to: usize) {
        let mut state = self.state.lock().unwrap();
        let topic = state.topics.get_mut(name).unwrap();
        topic.partitions.resize_with(to, || Log {
            leader_epoch: 1,
            ..Log::default()
        });
    }

    pub fn move_leader(&self, topic: &str, partition: usize, to: i32) {
        let mut state = self.state.lock().unwrap();
        let log = &mut state.topics.get_mut(topic).unwrap().partitions[partition];
        log.leader = to;
        log.leader_epoch += 1;
    }

    /// Has a follower, to which the leader sends consumers that name a rack.
    pub fn prefer(&self, topic: &str, partition: usize, replica: i32) {
        let mut state = self.state.lock().unwrap();
        let log = &mut state.topics.get_mut(topic).unwrap().partitions[partition];
        log.replica = Some((replica, true));
    }

    /// A new leader comes whose log ends here: an unclean election.
    pub fn truncate(&self, topic: &str, partition: usize, to: i64, leader: i32) {
        let mut state = self.state.lock().unwrap();
        let log = &mut state.topics.get_mut(topic).unwrap().partitions[partition];
        let is_before = |bytes: &Bytes| Header::peek(bytes).unwrap().next_offset().get() <= to;
        log.batches.retain(is_before);
        log.end = to;
        log.leader = leader;
        log.leader_epoch += 1;
        log.producers.clear();
    }

    /// Which brokers were asked for records, in order, without repetitions.
    pub fn fetched_from(&self) -> Vec<i32> {
        let state = self.state.lock().unwrap();
        let fetches = state
            .seen
            .iter()
            .filter(|(_, api, _)| *api == ApiKey::Fetch);
        let mut brokers: Vec<i32> = fetches.map(|(broker, ..)| *broker).collect();
        brokers.dedup();
        brokers
    }

    /// Deletes the topic and makes it anew: another one of the same name.
    pub fn remake(&self, name: &str) {
        let mut state = self.state.lock().unwrap();
        let topic = state.topics.get_mut(name).unwrap();
        topic.id = Uuid::from_u128(topic.id.as_u128() + (1 << 32));
        for log in &mut topic.partitions {
            *log = Log {
                leader: log.leader,
                ..Log::default()
            };
        }
        drop(state);
        self.appended.notify_waiters();
    }

    /// The next request of this kind meets this fault; several queue up.
    pub fn fault(&self, api: ApiKey, fault: Fault) {
        self.state.lock().unwrap().faults.push_back((api, fault));
    }

    pub fn faults_left(&self) -> usize {
        self.state.lock().unwrap().faults.len()
    }

    /// Values of all records of a partition, in order.
    pub fn values(&self, topic: &str, partition: usize) -> Vec<Vec<u8>> {
        let state = self.state.lock().unwrap();
        let mut values = Vec::new();
        for bytes in &state.topics[topic].partitions[partition].batches {
            let batch = Batch::check(bytes).unwrap();
            let mut scratch = Vec::new();
            let mut decompressor = highwater_record::Decompressor::new();
            let limits = highwater_record::Limits::default();
            let records =
                highwater_record::Records::of(&batch, &mut scratch, &mut decompressor, limits);
            values.extend(records.unwrap().map(|r| r.unwrap().value.unwrap().to_vec()));
        }
        values
    }

    pub fn count(&self, api: ApiKey) -> usize {
        self.state
            .lock()
            .unwrap()
            .seen
            .iter()
            .filter(|(_, seen, _)| *seen == api)
            .count()
    }

    async fn serve(self, id: i32, mut stream: TcpStream) {
        let frames = Frames::new(100 << 20);
        let mut buffer = BytesMut::new();
        loop {
            match frames.next(&mut buffer).unwrap() {
                Next::Frame(frame) => {
                    let Some(answer) = self.answer(id, &frame).await else {
                        return;
                    };
                    match answer {
                        Answer::Whole(bytes) => {
                            if stream.write_all(&bytes).await.is_err() {
                                return;
                            }
                        }
                        Answer::Last(bytes) => {
                            let _ = stream.write_all(&bytes).await;
                            return;
                        }
                        Answer::None => {}
                        Answer::Never => std::future::pending().await,
                    }
                }
                Next::Wanted(bytes) => {
                    buffer.reserve(bytes.max(64 << 10));
                    match stream.read_buf(&mut buffer).await {
                        Ok(0) | Err(_) => return,
                        Ok(_) => {}
                    }
                }
            }
        }
    }

    async fn answer(&self, id: i32, frame: &[u8]) -> Option<Answer> {
        let mut cursor = Cursor::new(frame);
        let (api, header) = RequestHeader::read(&mut cursor).unwrap();
        let (version, correlation) = (header.api_version, header.correlation_id);
        let fault = {
            let mut state = self.state.lock().unwrap();
            state.seen.push((id, api, version));
            let at = state.faults.iter().position(|(of, _)| *of == api);
            at.and_then(|at| state.faults.remove(at))
                .map(|(_, fault)| fault)
        };
        match fault {
            Some(Fault::Close) => return None,
            Some(Fault::Flood) => return Some(Answer::Last(i32::MAX.to_be_bytes().to_vec())),
            _ => {}
        }
        let refuse = match fault {
            Some(Fault::Refuse(code)) => Some(code),
            _ => None,
        };
        let asked = Asked {
            id,
            version,
            correlation,
            refuse,
        };
        let bytes = match api {
            ApiKey::ApiVersions => self.versions(&asked, &mut cursor),
            ApiKey::Metadata => self.metadata(&asked, &mut cursor),
            ApiKey::InitProducerId => self.init_producer(&asked, &mut cursor),
            ApiKey::Produce => self.produce(&asked, &mut cursor),
            ApiKey::ListOffsets => self.list_offsets(&asked, &mut cursor),
            ApiKey::Fetch => self.fetch(&asked, &mut cursor).await,
            ApiKey::OffsetForLeaderEpoch => self.epoch_ends(&asked, &mut cursor),
            other => panic!("nobody taught the paper broker {other}"),
        };
        let Some(mut bytes) = bytes else {
            return Some(Answer::None);
        };
        Some(match fault {
            Some(Fault::DoAndClose) => return None,
            Some(Fault::DoAndCut) => {
                bytes.truncate(bytes.len() / 2);
                Answer::Last(bytes)
            }
            Some(Fault::DoAndMisname) => {
                bytes[4..8].copy_from_slice(&(correlation + 1000).to_be_bytes());
                Answer::Whole(bytes)
            }
            Some(Fault::DoAndHang) => Answer::Never,
            _ => Answer::Whole(bytes),
        })
    }

    fn versions(&self, asked: &Asked, cursor: &mut Cursor<'_>) -> Option<Vec<u8>> {
        let state = self.state.lock().unwrap();
        let highest = state
            .offered
            .get(&ApiKey::ApiVersions)
            .copied()
            .unwrap_or(4);
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
            return Some(
                encode_response(asked.correlation, 0, &answer)
                    .unwrap()
                    .bytes,
            );
        }
        ApiVersionsRequest::decode(asked.version, cursor).unwrap();
        let mut keys = vec![
            ApiVersion::of::<ApiVersionsRequest<'_>>(),
            ApiVersion::of::<MetadataRequest<'_>>(),
            ApiVersion::of::<InitProducerIdRequest<'_>>(),
            ApiVersion::of::<ProduceRequest<'_>>(),
            ApiVersion::of::<ListOffsetsRequest<'_>>(),
            ApiVersion::of::<FetchRequest<'_>>(),
            ApiVersion::of::<OffsetForLeaderEpochRequest<'_>>(),
        ];
        for key in &mut keys {
            let api = ApiKey::from_id(key.api_key).unwrap();
            if let Some(highest) = state.offered.get(&api) {
                key.max_version = *highest;
            }
        }
        asked.encode(&ApiVersionsResponse {
            api_keys: Array::from(keys),
            ..Default::default()
        })
    }

    fn metadata(&self, asked: &Asked, cursor: &mut Cursor<'_>) -> Option<Vec<u8>> {
        let request = MetadataRequest::decode(asked.version, cursor).unwrap();
        let state = self.state.lock().unwrap();
        let brokers = (0..)
            .zip(&state.ports)
            .map(|(node_id, port)| MetadataResponseBroker {
                node_id,
                host: "127.0.0.1",
                port: i32::from(*port),
                rack: None,
            });
        let wanted = request.topics.unwrap_or_default();
        let topics = wanted.iter().map(|wanted| {
            let name = wanted.name.unwrap();
            let Some(topic) = state.topics.get(name) else {
                return MetadataResponseTopic {
                    error_code: ErrorCode::UnknownTopicOrPartition.id(),
                    name: Some(name),
                    ..MetadataResponseTopic::default()
                };
            };
            let partitions = (0..).zip(&topic.partitions).map(|(partition_index, log)| {
                let frozen = state.frozen.as_ref().and_then(|topics| topics.get(name));
                let index = usize::try_from(partition_index).unwrap();
                let (leader_id, leader_epoch) = frozen
                    .and_then(|leaders| leaders.get(index).copied())
                    .unwrap_or((log.leader, log.leader_epoch));
                MetadataResponsePartition {
                    partition_index,
                    leader_id,
                    leader_epoch,
                    ..MetadataResponsePartition::default()
                }
            });
            MetadataResponseTopic {
                error_code: asked.code(),
                name: Some(name),
                topic_id: topic.id,
                partitions: partitions.collect(),
                ..MetadataResponseTopic::default()
            }
        });
        asked.encode(&MetadataResponse {
            brokers: brokers.collect(),
            controller_id: 0,
            topics: topics.collect(),
            ..MetadataResponse::default()
        })
    }

    fn init_producer(&self, asked: &Asked, cursor: &mut Cursor<'_>) -> Option<Vec<u8>> {
        InitProducerIdRequest::decode(asked.version, cursor).unwrap();
        let mut state = self.state.lock().unwrap();
        state.next_producer += 1;
        asked.encode(&InitProducerIdResponse {
            error_code: asked.code(),
            producer_id: state.next_producer,
            producer_epoch: 0,
            ..InitProducerIdResponse::default()
        })
    }

    fn produce(&self, asked: &Asked, cursor: &mut Cursor<'_>) -> Option<Vec<u8>> {
        let request = ProduceRequest::decode(asked.version, cursor).unwrap();
        let mut state = self.state.lock().unwrap();
        let mut responses = Vec::new();
        for topic in &request.topic_data {
            let known = state.find(asked.version > 12, topic.name, &topic.topic_id);
            let name = known.unwrap_or_default();
            let mut partitions = Vec::new();
            for partition in &topic.partition_data {
                let index = usize::try_from(partition.index).unwrap();
                let records = partition
                    .records
                    .as_ref()
                    .and_then(|r| r.borrowed())
                    .unwrap();
                let outcome = match asked.refuse {
                    Some(code) => Err(code),
                    None => state.append(asked.id, &name, index, records),
                };
                partitions.push(PartitionProduceResponse {
                    index: partition.index,
                    error_code: outcome.err().unwrap_or(ErrorCode::None).id(),
                    base_offset: outcome.unwrap_or(-1),
                    current_leader: match outcome {
                        Err(ErrorCode::NotLeaderOrFollower) if state.hints => {
                            let log = &state.topics[&name].partitions[index];
                            LeaderIdAndEpoch {
                                leader_id: log.leader,
                                leader_epoch: log.leader_epoch,
                            }
                        }
                        _ => LeaderIdAndEpoch::default(),
                    },
                    ..PartitionProduceResponse::default()
                });
            }
            responses.push((name, topic.topic_id, partitions));
        }
        let nodes = (0..).zip(&state.ports).filter(|_| state.hints);
        let nodes: Vec<_> = nodes
            .map(|(node_id, port)| NodeEndpoint {
                node_id,
                host: "127.0.0.1",
                port: i32::from(*port),
                rack: None,
            })
            .collect();
        drop(state);
        self.appended.notify_waiters();
        if request.acks == 0 {
            return None;
        }
        let responses = responses
            .iter()
            .map(|(name, topic_id, partitions)| TopicProduceResponse {
                name,
                topic_id: *topic_id,
                partition_responses: Array::from(&partitions[..]),
            });
        asked.encode(&ProduceResponse {
            responses: responses.collect(),
            node_endpoints: Array::from(nodes),
            ..Default::default()
        })
    }

    fn list_offsets(&self, asked: &Asked, cursor: &mut Cursor<'_>) -> Option<Vec<u8>> {
        let request = ListOffsetsRequest::decode(asked.version, cursor).unwrap();
        let state = self.state.lock().unwrap();
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                let index = usize::try_from(partition.partition_index).unwrap();
                let log = &state.topics[topic.name].partitions[index];
                let offset = match partition.timestamp {
                    -2 => log.start,
                    -1 => log.end,
                    timestamp => log.by_time(timestamp).unwrap_or(-1),
                };
                ListOffsetsPartitionResponse {
                    partition_index: partition.partition_index,
                    error_code: asked.code(),
                    offset,
                    ..ListOffsetsPartitionResponse::default()
                }
            });
            ListOffsetsTopicResponse {
                name: topic.name,
                partitions: partitions.collect(),
            }
        });
        asked.encode(&ListOffsetsResponse {
            topics: topics.collect(),
            ..Default::default()
        })
    }

    fn epoch_ends(&self, asked: &Asked, cursor: &mut Cursor<'_>) -> Option<Vec<u8>> {
        let request = OffsetForLeaderEpochRequest::decode(asked.version, cursor).unwrap();
        let state = self.state.lock().unwrap();
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|wanted| {
                let index = usize::try_from(wanted.partition).unwrap();
                let log = &state.topics[topic.topic].partitions[index];
                let headers = log.batches.iter().map(|bytes| Header::peek(bytes).unwrap());
                let epoch = |header: &&Header| header.leader_epoch().get() <= wanted.leader_epoch;
                let before = headers.clone().rfind(epoch);
                let after = headers.clone().find(|header| !epoch(header));
                EpochEndOffset {
                    error_code: asked.code(),
                    partition: wanted.partition,
                    leader_epoch: before.map_or(-1, |header| header.leader_epoch().get()),
                    end_offset: match (before, after) {
                        (None, _) => -1,
                        (Some(_), Some(header)) => header.base_offset().get(),
                        (Some(_), None) => log.end,
                    },
                }
            });
            OffsetForLeaderTopicResult {
                topic: topic.topic,
                partitions: partitions.collect(),
            }
        });
        asked.encode(&OffsetForLeaderEpochResponse {
            throttle_time_ms: 0,
            topics: topics.collect(),
        })
    }

    async fn fetch(&self, asked: &Asked, cursor: &mut Cursor<'_>) -> Option<Vec<u8>> {
        let request = FetchRequest::decode(asked.version, cursor).unwrap();
        // No sessions here: every request has to be whole.
        if request.session_id != 0 {
            let code = ErrorCode::FetchSessionIdNotFound.id();
            return asked.encode(&FetchResponse {
                error_code: code,
                ..Default::default()
            });
        }
        loop {
            let appended = self.appended.notified();
            let mut found = false;
            let answer = {
                let mut state = self.state.lock().unwrap();
                let state = &mut *state;
                let mut responses = Vec::new();
                for topic in &request.topics {
                    let mut partitions = Vec::new();
                    let by_id = asked.version > 12;
                    let Some(name) = state.find(by_id, topic.topic, &topic.topic_id) else {
                        found = true;
                        partitions.extend(topic.partitions.iter().map(|it| PartitionData {
                            partition_index: it.partition,
                            error_code: ErrorCode::UnknownTopicId.id(),
                            ..PartitionData::default()
                        }));
                        responses.push((String::new(), topic.topic_id, partitions));
                        continue;
                    };
                    for partition in &topic.partitions {
                        let index = usize::try_from(partition.partition).unwrap();
                        let has_rack = !request.rack_id.is_empty();
                        let data = state.read(asked, &name, index, &partition, has_rack);
                        found |= data.error_code != 0
                            || data.preferred_read_replica >= 0
                            || data.records.as_ref().is_some_and(|r| !r.is_empty());
                        partitions.push(PartitionData {
                            partition_index: partition.partition,
                            ..data
                        });
                    }
                    responses.push((name, topic.topic_id, partitions));
                }
                let responses =
                    responses
                        .iter()
                        .map(|(topic, topic_id, partitions)| FetchableTopicResponse {
                            topic,
                            topic_id: *topic_id,
                            partitions: Array::from(&partitions[..]),
                        });
                let answer = FetchResponse {
                    throttle_time_ms: state.throttle_time_ms,
                    responses: responses.collect(),
                    ..FetchResponse::default()
                };
                asked.encode(&answer)
            };
            if found || request.max_wait_ms == 0 {
                return answer;
            }
            let wait = std::time::Duration::from_millis(request.max_wait_ms.try_into().unwrap());
            if tokio::time::timeout(wait, appended).await.is_err() {
                return answer;
            }
        }
    }
}

enum Answer {
    Whole(Vec<u8>),
    Last(Vec<u8>),
    None,
    Never,
}

struct Asked {
    id: i32,
    version: i16,
    correlation: i32,
    refuse: Option<ErrorCode>,
}

impl Asked {
    fn code(&self) -> i16 {
        self.refuse.unwrap_or(ErrorCode::None).id()
    }

    fn encode<R: Response>(&self, response: &R) -> Option<Vec<u8>> {
        Some(
            encode_response(self.correlation, self.version, response)
                .unwrap()
                .bytes,
        )
    }
}

impl State {
    fn name(&self, by_id: bool, name: &str, id: &Uuid) -> String {
        self.find(by_id, name, id).unwrap()
    }

    fn find(&self, by_id: bool, name: &str, id: &Uuid) -> Option<String> {
        let is_it = |(known, topic): &(&String, &Topic)| {
            if by_id {
                topic.id == *id
            } else {
                *known == name
            }
        };
        let (name, _) = self.topics.iter().find(is_it)?;
        Some(name.clone())
    }

    fn append(
        &mut self,
        broker: i32,
        topic: &str,
        index: usize,
        records: &[u8],
    ) -> Result<i64, ErrorCode> {
        let (limit, keeps) = (self.message_bytes_max, self.keeps);
        let topic = self.topics.get_mut(topic);
        let topic = topic.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let log = topic.partitions.get_mut(index);
        let log = log.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if log.leader != broker {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        if !keeps {
            let header = Header::peek(records).unwrap();
            let base = log.end;
            log.end += i64::from(header.record_count());
            return Ok(base);
        }
        if records.len() > limit {
            return Err(ErrorCode::MessageTooLarge);
        }
        let batch = Batch::check(records).map_err(|_| ErrorCode::CorruptMessage)?;
        let header = batch.header();
        let base = log.end;
        let producer = header.producer_id();
        if producer >= 0 {
            let (epoch, sequence) = (header.producer_epoch(), header.base_sequence());
            let known = log
                .producers
                .entry(producer)
                .or_insert((epoch, 0, VecDeque::new()));
            if epoch > known.0 {
                *known = (epoch, 0, VecDeque::new());
            }
            if let Some((_, base)) = known.2.iter().find(|(known, _)| *known == sequence) {
                return Ok(*base);
            }
            if sequence != known.1 || epoch < known.0 {
                return Err(ErrorCode::OutOfOrderSequenceNumber);
            }
            known.1 += header.record_count();
            known.2.push_back((sequence, base));
            if known.2.len() > 5 {
                known.2.pop_front();
            }
        }
        let stamped = batch.stamp(Offset::new(base), LeaderEpoch::new(log.leader_epoch));
        log.batches.push(Bytes::from(stamped.parts().concat()));
        log.end = base + i64::from(header.record_count());
        Ok(base)
    }

    fn read(
        &self,
        asked: &Asked,
        topic: &str,
        index: usize,
        wanted: &FetchPartition,
        has_rack: bool,
    ) -> PartitionData<'static> {
        let from = wanted.fetch_offset;
        let bytes_max = usize::try_from(wanted.partition_max_bytes).unwrap();
        let log = &self.topics[topic].partitions[index];
        let is_replica = log.replica.is_some_and(|(replica, _)| replica == asked.id);
        if let Some((replica, true)) = log.replica
            && has_rack
            && log.leader == asked.id
        {
            return PartitionData {
                preferred_read_replica: replica,
                ..PartitionData::default()
            };
        }
        let code = match asked.refuse {
            Some(code) => code,
            None if log.leader != asked.id && !is_replica => ErrorCode::NotLeaderOrFollower,
            None if self.canned.is_some() => ErrorCode::None,
            None if from < log.start || from > log.end => ErrorCode::OffsetOutOfRange,
            None => ErrorCode::None,
        };
        let mut records = BytesMut::new();
        if let Some(canned) = &self.canned {
            records.extend_from_slice(canned);
            let (mut at, mut base) = (0, from);
            while let Some(header) = Header::peek(&records[at..]) {
                let (bytes, count) = (header.batch_bytes(), header.record_count());
                records[at..at + 8].copy_from_slice(&base.to_be_bytes());
                base += i64::from(count);
                at += bytes;
            }
        }
        for bytes in &log.batches {
            let header = Header::peek(bytes).unwrap();
            let fits = records.is_empty() || records.len() + bytes.len() <= bytes_max;
            if code == ErrorCode::None && header.next_offset().get() > from && fits {
                records.extend_from_slice(bytes);
            }
        }
        PartitionData {
            error_code: code.id(),
            high_watermark: log.end,
            records: Some(RecordBytes::Owned(records.freeze())),
            ..PartitionData::default()
        }
    }
}

impl Log {
    fn by_time(&self, timestamp: i64) -> Option<i64> {
        let found = self
            .batches
            .iter()
            .flat_map(|bytes| batches(bytes))
            .find_map(|batch| {
                let header = *batch.unwrap().header();
                (header.max_timestamp() >= timestamp).then_some(header)
            });
        found.map(|header| header.base_offset().get())
    }
}
