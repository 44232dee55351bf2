//! A broker that costs a client nothing but its own work: it acknowledges what is produced to `sink` without looking at it, and
//! serves the same batches of `source` over and over, without end. Knows no log, no group and no error.
//!
//! A thread with blocking reads and writes for each connection. What was acknowledged is told as the end of `sink`'s partitions.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use highwater_record::{BatchBuilder, Compression, Compressor, Header};
use highwater_wire::message::api_versions::ApiVersion;
use highwater_wire::message::fetch::{FetchableTopicResponse, PartitionData};
use highwater_wire::message::find_coordinator::Coordinator;
use highwater_wire::message::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use highwater_wire::message::metadata::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use highwater_wire::message::produce::{PartitionProduceResponse, TopicProduceResponse};
use highwater_wire::message::{
    ApiVersionsRequest, ApiVersionsResponse, FetchRequest, FetchResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, InitProducerIdRequest, InitProducerIdResponse, ListOffsetsRequest,
    ListOffsetsResponse, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse,
};
use highwater_wire::{
    ApiKey, Array, Cursor, Decode, Encoded, ErrorCode, Message, RecordBytes, RequestHeader,
    Response, encode_response,
};
use uuid::Uuid;

/// The topic that takes records.
pub(crate) const SINK: &str = "sink";
/// The topic that gives them.
pub(crate) const SOURCE: &str = "source";

const SINK_ID: Uuid = Uuid::from_u128(0x51_4e_4b);
const SOURCE_ID: Uuid = Uuid::from_u128(0x50_52_43);
/// Where `source` claims to end.
const SOURCE_END: i64 = 1 << 40;
/// What a fetch of a partition of `source` gives at most.
const SOURCE_BYTES: usize = 1 << 20;
const FRAME_BYTES_MAX: usize = 128 << 20;
/// What the process prints when it is ready, before the address.
const READY: &str = "ready ";

/// What the broker is asked to be.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// Partitions of either topic.
    pub(crate) partitions: i32,
    /// The value of a record of `source`.
    pub(crate) record_bytes: usize,
    /// A batch of `source`, before compression.
    pub(crate) batch_bytes: usize,
    /// How `source` is compressed.
    pub(crate) compression: Compression,
}

/// A null broker in a process of its own. Dropping it ends the process.
#[derive(Debug)]
pub(crate) struct NullBroker {
    child: Child,
    address: SocketAddr,
}

impl NullBroker {
    /// Starts `command`, which is to call [`serve`].
    pub(crate) fn start(mut command: Command) -> io::Result<NullBroker> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line.trim_end().strip_prefix(READY);
        match address.and_then(|text| text.parse().ok()) {
            Some(address) => Ok(NullBroker { child, address }),
            None => {
                let status = child.wait()?;
                let why = format!("the null broker did not start ({status})");
                Err(io::Error::other(why))
            }
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for NullBroker {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until the process is killed; says one line when it is ready.
pub(crate) fn serve(shape: &Shape) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let broker = Arc::new(Broker {
        address,
        partitions: shape.partitions,
        canned: canned(shape)?,
        ends: Mutex::default(),
    });
    let mut stdout = io::stdout();
    writeln!(stdout, "{READY}{address}")?;
    stdout.flush()?;
    for stream in listener.incoming() {
        let (broker, stream) = (Arc::clone(&broker), stream?);
        std::thread::spawn(move || {
            // A client that goes has what it wanted, whatever was on its way to it.
            let has_gone = |error: &io::Error| {
                matches!(
                    error.kind(),
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                )
            };
            if let Err(error) = broker.converse(stream)
                && !has_gone(&error)
            {
                eprintln!("null broker: {error}");
            }
        });
    }
    Ok(())
}

/// Batches back to back.
fn canned(shape: &Shape) -> io::Result<Vec<u8>> {
    let wrong = |error: &dyn std::fmt::Display| io::Error::other(error.to_string());
    let (mut out, mut compressor) = (Vec::new(), Compressor::new());
    // Text that compresses as text does, not as zeros.
    let value: Vec<u8> = (0..shape.record_bytes)
        .map(|at| b"{\"level\":\"info\",\"took\":17} "[at % 27])
        .collect();
    loop {
        let mut builder = BatchBuilder::new();
        while builder.count() == 0 || builder.len() + value.len() + 16 <= shape.batch_bytes {
            let appended = builder.append(1_700_000_000_000, None, Some(&value), &[]);
            appended.map_err(|error| wrong(&error))?;
        }
        let mut batch = Vec::new();
        let finished = builder.finish(&mut compressor, &shape.compression, &mut batch);
        finished.map_err(|error| wrong(&error))?;
        if !out.is_empty() && out.len() + batch.len() > SOURCE_BYTES {
            return Ok(out);
        }
        out.extend(batch);
    }
}

#[derive(Debug)]
struct Broker {
    address: SocketAddr,
    partitions: i32,
    canned: Vec<u8>,
    /// One past the last record that was acknowledged, by partition of `sink`.
    ends: Mutex<BTreeMap<i32, i64>>,
}

/// An answer: what was encoded, and where in it which partition's records of `source` belong.
struct Answer {
    encoded: Encoded,
    /// Offset and bytes, for each splice.
    records: Vec<(i64, usize)>,
}

impl Broker {
    fn converse(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        // Offsets are written into the batches in place, so each connection has its own.
        let (mut frame, mut canned) = (Vec::new(), self.canned.clone());
        loop {
            let mut length = [0; 4];
            match stream.read_exact(&mut length) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                read => read?,
            }
            let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
            if length > FRAME_BYTES_MAX {
                return Err(io::Error::other(format!("frame of {length} bytes")));
            }
            frame.resize(length, 0);
            stream.read_exact(&mut frame)?;
            let answer = self.answer(&frame).map_err(io::Error::other)?;
            let Some(Answer { encoded, records }) = answer else {
                continue;
            };
            let mut sent = 0;
            for (splice, (offset, bytes)) in encoded.splices.iter().zip(records) {
                stream.write_all(&encoded.bytes[sent..splice.at])?;
                place(&mut canned[..bytes], offset);
                stream.write_all(&canned[..bytes])?;
                sent = splice.at;
            }
            stream.write_all(&encoded.bytes[sent..])?;
        }
    }

    // Whatever else there is or will be is not served.
    #[allow(clippy::wildcard_enum_match_arm)]
    fn answer(&self, frame: &[u8]) -> Result<Option<Answer>, String> {
        let mut cursor = Cursor::new(frame);
        let (api, header) = RequestHeader::read(&mut cursor).map_err(|it| it.to_string())?;
        let asked = Asked {
            version: header.api_version,
            correlation: header.correlation_id,
        };
        let cursor = &mut cursor;
        match api {
            ApiKey::ApiVersions => self.versions(&asked),
            ApiKey::Metadata => self.metadata(&asked, &asked.decode(cursor)?),
            ApiKey::InitProducerId => asked.encode(&InitProducerIdResponse {
                producer_id: 1,
                ..InitProducerIdResponse::default()
            }),
            ApiKey::FindCoordinator => self.coordinator(&asked, &asked.decode(cursor)?),
            ApiKey::ListOffsets => self.offsets(&asked, &asked.decode(cursor)?),
            ApiKey::Produce => self.produce(&asked, &asked.decode(cursor)?),
            ApiKey::Fetch => self.fetch(&asked, &asked.decode(cursor)?),
            other => Err(format!("{other} is not served")),
        }
    }

    fn versions(&self, asked: &Asked) -> Result<Option<Answer>, String> {
        if asked.version > *ApiVersionsRequest::VERSIONS.end() {
            let asked = Asked {
                version: ApiVersionsResponse::UNSUPPORTED_ANSWER_VERSION,
                ..*asked
            };
            return asked.encode(&ApiVersionsResponse::unsupported_version());
        }
        asked.encode(&ApiVersionsResponse {
            api_keys: Array::from([
                ApiVersion::of::<ApiVersionsRequest<'_>>(),
                ApiVersion::of::<MetadataRequest<'_>>(),
                ApiVersion::of::<InitProducerIdRequest<'_>>(),
                ApiVersion::of::<FindCoordinatorRequest<'_>>(),
                ApiVersion::of::<ListOffsetsRequest<'_>>(),
                ApiVersion::of::<ProduceRequest<'_>>(),
                ApiVersion::of::<FetchRequest<'_>>(),
            ]),
            ..ApiVersionsResponse::default()
        })
    }

    fn metadata(
        &self,
        asked: &Asked,
        request: &MetadataRequest<'_>,
    ) -> Result<Option<Answer>, String> {
        let topic = |name: &'static str, topic_id| {
            let partitions =
                (0..self.partitions).map(|partition_index| MetadataResponsePartition {
                    partition_index,
                    leader_id: 0,
                    leader_epoch: 0,
                    replica_nodes: Array::from([0]),
                    isr_nodes: Array::from([0]),
                    ..MetadataResponsePartition::default()
                });
            MetadataResponseTopic {
                name: Some(name),
                topic_id,
                partitions: partitions.collect(),
                ..MetadataResponseTopic::default()
            }
        };
        let all = || vec![topic(SINK, SINK_ID), topic(SOURCE, SOURCE_ID)];
        let topics = match &request.topics {
            None => all(),
            Some(wanted) if wanted.is_empty() && asked.version == 0 => all(),
            Some(wanted) => wanted
                .iter()
                .map(|wanted| match wanted.name {
                    Some(SINK) => topic(SINK, SINK_ID),
                    Some(SOURCE) => topic(SOURCE, SOURCE_ID),
                    None if wanted.topic_id == SINK_ID => topic(SINK, SINK_ID),
                    None if wanted.topic_id == SOURCE_ID => topic(SOURCE, SOURCE_ID),
                    name => MetadataResponseTopic {
                        error_code: ErrorCode::UnknownTopicOrPartition.id(),
                        name,
                        topic_id: wanted.topic_id,
                        ..MetadataResponseTopic::default()
                    },
                })
                .collect(),
        };
        let host = self.address.ip().to_string();
        asked.encode(&MetadataResponse {
            brokers: Array::from([MetadataResponseBroker {
                node_id: 0,
                host: &host,
                port: i32::from(self.address.port()),
                rack: None,
            }]),
            cluster_id: Some("null"),
            controller_id: 0,
            topics: Array::from(topics),
            ..MetadataResponse::default()
        })
    }

    fn coordinator(
        &self,
        asked: &Asked,
        request: &FindCoordinatorRequest<'_>,
    ) -> Result<Option<Answer>, String> {
        let host = self.address.ip().to_string();
        let port = i32::from(self.address.port());
        let keys = request.coordinator_keys.iter();
        let coordinators = keys.map(|key| Coordinator {
            key,
            node_id: 0,
            host: &host,
            port,
            ..Coordinator::default()
        });
        let mut answer = FindCoordinatorResponse {
            coordinators: coordinators.collect(),
            ..FindCoordinatorResponse::default()
        };
        if request.coordinator_keys.is_empty() {
            (answer.node_id, answer.host, answer.port) = (0, &host, port);
        }
        asked.encode(&answer)
    }

    fn offsets(
        &self,
        asked: &Asked,
        request: &ListOffsetsRequest<'_>,
    ) -> Result<Option<Answer>, String> {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic
                .partitions
                .iter()
                .map(|it| ListOffsetsPartitionResponse {
                    partition_index: it.partition_index,
                    offset: match (it.timestamp, topic.name) {
                        (-1, SOURCE) => SOURCE_END,
                        (-1, _) => ends.get(&it.partition_index).copied().unwrap_or(0),
                        _ => 0,
                    },
                    ..ListOffsetsPartitionResponse::default()
                });
            ListOffsetsTopicResponse {
                name: topic.name,
                partitions: partitions.collect(),
            }
        });
        asked.encode(&ListOffsetsResponse {
            topics: topics.collect(),
            ..ListOffsetsResponse::default()
        })
    }

    fn produce(
        &self,
        asked: &Asked,
        request: &ProduceRequest<'_>,
    ) -> Result<Option<Answer>, String> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let mut responses = Vec::new();
        for topic in &request.topic_data {
            let mut partitions = Vec::new();
            for it in &topic.partition_data {
                let records = it.records.as_ref().and_then(RecordBytes::as_slice);
                let header = records.and_then(Header::peek).ok_or("no batch")?;
                let end = ends.entry(it.index).or_insert(0);
                partitions.push(PartitionProduceResponse {
                    index: it.index,
                    base_offset: *end,
                    log_start_offset: 0,
                    ..PartitionProduceResponse::default()
                });
                *end += i64::from(header.record_count());
            }
            responses.push(TopicProduceResponse {
                name: topic.name,
                topic_id: topic.topic_id,
                partition_responses: Array::from(partitions),
            });
        }
        drop(ends);
        if request.acks == 0 {
            return Ok(None);
        }
        asked.encode(&ProduceResponse {
            responses: Array::from(responses),
            ..ProduceResponse::default()
        })
    }

    /// Never with a session (id 0): a broker without room for one answers so, and every client asks for everything each time.
    fn fetch(&self, asked: &Asked, request: &FetchRequest<'_>) -> Result<Option<Answer>, String> {
        if request.topics.is_empty() {
            let wait = u64::try_from(request.max_wait_ms).unwrap_or(0).min(500);
            std::thread::sleep(Duration::from_millis(wait));
        }
        let mut left = usize::try_from(request.max_bytes).unwrap_or(0);
        let (mut responses, mut records) = (Vec::new(), Vec::new());
        for topic in &request.topics {
            let is_source = topic.topic == SOURCE || topic.topic_id == SOURCE_ID;
            let mut partitions = Vec::new();
            for it in &topic.partitions {
                let limit = usize::try_from(it.partition_max_bytes).unwrap_or(0);
                let bytes = match is_source {
                    true if records.is_empty() => self.whole(limit.min(left)).max(self.whole(1)),
                    true => self.whole(limit.min(left)),
                    false => 0,
                };
                left = left.saturating_sub(bytes);
                if bytes > 0 {
                    records.push((it.fetch_offset, bytes));
                }
                partitions.push(PartitionData {
                    partition_index: it.partition,
                    high_watermark: SOURCE_END,
                    last_stable_offset: SOURCE_END,
                    log_start_offset: 0,
                    records: Some(match u32::try_from(bytes) {
                        Ok(len) if len > 0 => RecordBytes::Deferred { len },
                        Ok(_) | Err(_) => RecordBytes::Bytes(&[]),
                    }),
                    ..PartitionData::default()
                });
            }
            responses.push(FetchableTopicResponse {
                topic: topic.topic,
                topic_id: topic.topic_id,
                partitions: Array::from(partitions),
            });
        }
        let response = FetchResponse {
            responses: Array::from(responses),
            ..FetchResponse::default()
        };
        let answer = asked.encode(&response)?;
        Ok(answer.map(|answer| Answer { records, ..answer }))
    }

    /// How many of the canned bytes are whole batches within `limit`; one batch at least for a limit of 1.
    fn whole(&self, limit: usize) -> usize {
        let mut bytes = 0;
        while let Some(header) = self.canned.get(bytes..).and_then(Header::peek) {
            let next = bytes + header.batch_bytes();
            if next > limit && !(limit == 1 && bytes == 0) {
                break;
            }
            bytes = next;
        }
        bytes
    }
}

/// Lets batches begin at `offset`, one behind the other: the first eight bytes of each, which no checksum covers.
fn place(batches: &mut [u8], mut offset: i64) {
    let mut at = 0;
    while let Some(header) = batches.get(at..).and_then(Header::peek) {
        let (bytes, records) = (header.batch_bytes(), header.record_count());
        batches[at..at + 8].copy_from_slice(&offset.to_be_bytes());
        offset += i64::from(records);
        at += bytes;
    }
}

struct Asked {
    version: i16,
    correlation: i32,
}

impl Asked {
    fn decode<'a, T: Decode<'a>>(&self, cursor: &mut Cursor<'a>) -> Result<T, String> {
        T::decode(self.version, cursor).map_err(|error| error.to_string())
    }

    fn encode<R: Response>(&self, response: &R) -> Result<Option<Answer>, String> {
        let encoded = encode_response(self.correlation, self.version, response);
        let encoded = encoded.map_err(|error| error.to_string())?;
        Ok(Some(Answer {
            encoded,
            records: Vec::new(),
        }))
    }
}
