//! A whole broker in the simulated machine, and peers that speak the wire to it.

use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use highwater_broker::metadata::image::{Image, Node};
use highwater_broker::metadata::{Birth, Controller};
use highwater_broker::{
    Mailbox, Shard, Shared, Stats, Storage, accept, checkpoint, write_checkpoints,
};
use highwater_log::DataDir;
use highwater_reactor::sim::World;
use highwater_reactor::{Reactor, Socket};
use highwater_record::{BatchBuilder, Compression, Compressor, Producer};
use highwater_wire::frame::{Frames, Next};
use highwater_wire::message::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use highwater_wire::message::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData,
};
use highwater_wire::message::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceData,
};
use highwater_wire::{Decode, RecordBytes, Request, Response, decode_response, encode_request};
use uuid::Uuid;

pub(crate) const FRAME_BYTES_MAX: usize = 100 << 20;

/// A broker in a world of its own. It can be stopped, killed, and started again on what the disk then holds.
pub(crate) struct Broker {
    pub(crate) world: World,
    shards: u16,
    statics: Vec<(&'static str, &'static str)>,
    running: Option<Running>,
}

struct Running {
    shards: Vec<Rc<Shard>>,
    data_dir: Rc<DataDir>,
    controller: Rc<Controller>,
    shared: Shared,
}

impl Broker {
    /// Starts one of `shards` shards, with these lines of `server.properties`.
    pub(crate) fn start(
        seed: u64,
        shards: u16,
        statics: &[(&'static str, &'static str)],
    ) -> Broker {
        let mut broker = Broker {
            world: World::with_shards(seed, shards),
            shards,
            statics: statics.to_vec(),
            running: None,
        };
        broker.begin();
        broker
    }

    pub(crate) fn address() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 9092))
    }

    /// Starts on what the disk holds.
    pub(crate) fn begin(&mut self) {
        let statics = self
            .statics
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let node = Node::single(1, "127.0.0.1", 9092);
        let birth = Birth {
            node: node.clone(),
            statics,
        };
        let nothing = Image::empty("", node, Uuid::nil(), birth.statics.clone());
        let shared = Shared::new(self.shards);
        let mailbox = Mailbox::new(self.shards);
        let shards: Vec<Rc<Shard>> = (0..self.shards)
            .map(|number| {
                let reactor = self.world.shard(number);
                Shard::start(
                    &reactor,
                    mailbox.clone(),
                    shared.clone(),
                    Arc::new(nothing.clone()),
                )
            })
            .collect();
        let first = Rc::clone(&shards[0]);
        let reactor = self.world.shard(0);
        let (data_dir, controller) = self.world.run(async move {
            let path = Path::new("/data");
            let data_dir = DataDir::open(&reactor, path, 1, None).await.unwrap();
            let listener = reactor.listen(Broker::address()).unwrap();
            let controller = Controller::open(&reactor, &data_dir, birth).await.unwrap();
            first.set_controller(Rc::clone(&controller));
            first.mount(&Storage::of(&data_dir).unwrap()).await;
            first.broadcast(&controller.image()).await;
            reactor.spawn(accept(Rc::clone(&first), listener)).detach();
            let data_dir = Rc::new(data_dir);
            let checkpointing = checkpoint(Rc::clone(&first), Rc::clone(&data_dir));
            reactor.spawn(checkpointing).detach();
            (data_dir, controller)
        });
        self.running = Some(Running {
            shards,
            data_dir,
            controller,
            shared,
        });
    }

    /// Stops it in order.
    pub(crate) fn stop(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        self.world.run(async {
            let rows = running.shards[0].close().await.expect("a clean end");
            running.controller.close().await.unwrap();
            write_checkpoints(&running.data_dir, &rows).await.unwrap();
            running
                .data_dir
                .write_clean_shutdown(running.controller.image().broker_epoch())
                .await
                .unwrap();
        });
        drop(running);
        self.world.restart();
    }

    /// Kills it: its tasks end wherever they are. What the disk keeps is `crash`'s.
    pub(crate) fn crash(&mut self, crash: highwater_reactor::sim::Crash) {
        self.world.crash(crash);
        self.running = None;
    }

    /// What its shards have counted.
    pub(crate) fn stats(&self) -> Stats {
        let running = self.running.as_ref().expect("running");
        running
            .shared
            .counters
            .iter()
            .map(|row| row.stats())
            .fold(Stats::default(), Stats::and)
    }

    /// How many futures wait for something of a partition.
    pub(crate) fn waiting(&self) -> usize {
        let running = self.running.as_ref().expect("running");
        let image = running.controller.image();
        let topics = image
            .topics()
            .flat_map(|topic| (0..64).map(|index| (topic.id, index)));
        topics
            .flat_map(|(id, index)| running.shards.iter().map(move |s| s.partition(&id, index)))
            .flatten()
            .map(|partition| partition.waiters())
            .sum()
    }

    /// A partition, on whatever shard it lives.
    pub(crate) fn partition(&self, topic: &str, index: i32) -> highwater_partition::Partition {
        let running = self.running.as_ref().expect("running");
        let image = running.controller.image();
        let id = image.topic(topic).expect("a topic").id;
        let mut found = running
            .shards
            .iter()
            .filter_map(|s| s.partition(&id, index));
        found.next().expect("a partition")
    }

    /// Connects a peer.
    pub(crate) fn peer(&self) -> Peer {
        self.world.run(Peer::connect(self.world.shard(0)))
    }

    /// Makes a topic.
    pub(crate) fn topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Uuid {
        let mut peer = self.peer();
        self.world.run(peer.create_topic(name, partitions, configs))
    }
}

/// A connection to the broker.
pub(crate) struct Peer {
    pub(crate) reactor: Reactor,
    pub(crate) socket: Socket,
    buffer: BytesMut,
    correlation_id: i32,
}

impl Peer {
    pub(crate) async fn connect(reactor: Reactor) -> Peer {
        let socket = reactor.connect(Broker::address()).await.unwrap();
        Peer {
            reactor,
            socket,
            buffer: BytesMut::new(),
            correlation_id: 0,
        }
    }

    /// Sends a request and does not wait.
    pub(crate) async fn send<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        self.correlation_id += 1;
        let encoded = encode_request(self.correlation_id, Some("test"), version, request).unwrap();
        self.socket.send_all(&[&encoded.bytes]).await.unwrap();
        self.correlation_id
    }

    /// The next frame; `None` when the broker has hung up.
    pub(crate) async fn frame(&mut self) -> Option<Bytes> {
        loop {
            match Frames::new(FRAME_BYTES_MAX).next(&mut self.buffer).unwrap() {
                Next::Frame(frame) => return Some(frame),
                Next::Wanted(_) => {}
            }
            match self.socket.recv(&mut self.buffer, 64 << 10).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Sends a request and waits for the frame of its answer.
    pub(crate) async fn ask<R: Request>(&mut self, version: i16, request: &R) -> Bytes {
        let sent = self.send(version, request).await;
        let frame = self.frame().await.expect("an answer");
        assert_eq!(frame[..4], sent.to_be_bytes(), "the correlation id");
        frame
    }

    pub(crate) async fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Uuid {
        let topic = CreatableTopic {
            name,
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs
                .iter()
                .map(|(name, value)| CreatableTopicConfig {
                    name,
                    value: Some(value),
                })
                .collect(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest {
            topics: [topic].into(),
            ..Default::default()
        };
        let frame = self.ask(7, &request).await;
        let created = decoded::<CreateTopicsResponse<'_>>(7, &frame)
            .topics
            .first()
            .unwrap();
        assert_eq!(created.error_code, 0, "{:?}", created.error_message);
        created.topic_id
    }

    /// Produces one batch and waits; what was answered for it.
    pub(crate) async fn produce(&mut self, topic: &str, partition: i32, batch: &[u8]) -> Produced {
        self.produce_all(-1, topic, &[(partition, batch)])
            .await
            .remove(0)
    }

    pub(crate) async fn produce_all(
        &mut self,
        acks: i16,
        topic: &str,
        batches: &[(i32, &[u8])],
    ) -> Vec<Produced> {
        let frame = self.ask(9, &produce_request(acks, topic, batches)).await;
        produced(&frame)
    }

    /// Fetches one partition; nothing waits.
    pub(crate) async fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> Fetched {
        let request = fetch_request(topic, &[(partition, offset)]);
        let frame = self.ask(12, &request).await;
        fetched(12, &frame).remove(0)
    }
}

/// A Produce of these batches, as version 9 has it.
pub(crate) fn produce_request<'a>(
    acks: i16,
    topic: &'a str,
    batches: &[(i32, &'a [u8])],
) -> ProduceRequest<'a> {
    let partition_data = batches
        .iter()
        .map(|(index, batch)| PartitionProduceData {
            index: *index,
            records: Some(RecordBytes::Bytes(batch)),
        })
        .collect();
    let data = TopicProduceData {
        name: topic,
        partition_data,
        ..TopicProduceData::default()
    };
    ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: 30_000,
        topic_data: [data].into(),
    }
}

/// A Fetch of these partitions from these offsets, as version 12 has it, without a session and without waiting.
pub(crate) fn fetch_request<'a>(topic: &'a str, partitions: &[(i32, i64)]) -> FetchRequest<'a> {
    let partitions = partitions
        .iter()
        .map(|(partition, fetch_offset)| FetchPartition {
            partition: *partition,
            fetch_offset: *fetch_offset,
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        })
        .collect();
    FetchRequest {
        min_bytes: 1,
        max_bytes: 50 << 20,
        topics: [FetchTopic {
            topic,
            partitions,
            ..FetchTopic::default()
        }]
        .into(),
        ..FetchRequest::default()
    }
}

/// What a Produce was answered for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Produced {
    pub(crate) partition: i32,
    pub(crate) error: i16,
    pub(crate) base_offset: i64,
    pub(crate) log_start: i64,
    pub(crate) message: Option<String>,
}

impl Produced {
    /// The base offset; an error fails the test.
    #[track_caller]
    pub(crate) fn placed(&self) -> i64 {
        assert_eq!(self.error, 0, "{self:?}");
        self.base_offset
    }
}

pub(crate) fn produced(frame: &[u8]) -> Vec<Produced> {
    let response = decoded::<ProduceResponse<'_>>(9, frame);
    let rows = response
        .responses
        .iter()
        .flat_map(|topic| topic.partition_responses.to_vec());
    rows.map(|row: PartitionProduceResponse<'_>| Produced {
        partition: row.index,
        error: row.error_code,
        base_offset: row.base_offset,
        log_start: row.log_start_offset,
        message: row.error_message.map(str::to_owned),
    })
    .collect()
}

/// What a Fetch was answered for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) partition: i32,
    pub(crate) error: i16,
    pub(crate) high_watermark: i64,
    pub(crate) log_start: i64,
    /// `None` would be a null, which clients do not take.
    pub(crate) records: Option<Bytes>,
}

impl Fetched {
    /// The values of the records, first to last.
    pub(crate) fn values(&self) -> Vec<String> {
        values(self.records.as_ref().expect("records are never null"))
    }
}

pub(crate) fn fetched(version: i16, frame: &[u8]) -> Vec<Fetched> {
    let response = decoded::<FetchResponse<'_>>(version, frame);
    assert_eq!(response.error_code, 0);
    let rows = response
        .responses
        .iter()
        .flat_map(|topic| topic.partitions.to_vec());
    rows.map(|row: PartitionData<'_>| Fetched {
        partition: row.partition_index,
        error: row.error_code,
        high_watermark: row.high_watermark,
        log_start: row.log_start_offset,
        records: row
            .records
            .map(|r| Bytes::copy_from_slice(r.as_slice().unwrap())),
    })
    .collect()
}

/// A response frame as the answer to a request of this version.
#[track_caller]
pub(crate) fn decoded<'a, R: Response + Decode<'a>>(version: i16, frame: &'a [u8]) -> R {
    decode_response::<R>(version, frame).unwrap().1
}

/// The values of all records in these batches.
pub(crate) fn values(bytes: &[u8]) -> Vec<String> {
    let mut values = Vec::new();
    let (mut scratch, mut decompressor) = (Vec::new(), highwater_record::Decompressor::new());
    for batch in highwater_record::batches(bytes) {
        let batch = batch.unwrap();
        let records = highwater_record::Records::of(
            &batch,
            &mut scratch,
            &mut decompressor,
            highwater_record::Limits::default(),
        );
        for record in records.unwrap() {
            let value = record.unwrap().value.unwrap_or_default().to_vec();
            values.push(String::from_utf8(value).unwrap());
        }
    }
    values
}

/// A batch of records with these values.
pub(crate) fn batch(values: &[&str]) -> Vec<u8> {
    batch_of(None, values)
}

/// The same, by an idempotent producer.
pub(crate) fn batch_of(producer: Option<Producer>, values: &[&str]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for value in values {
        builder
            .append(1_767_225_600_000, None, Some(value.as_bytes()), &[])
            .unwrap();
    }
    if let Some(producer) = producer {
        builder.set_producer(producer);
    }
    let mut bytes = Vec::new();
    builder
        .finish(
            &mut Compressor::new(),
            &Compression::of(highwater_record::Codec::None),
            &mut bytes,
        )
        .unwrap();
    bytes
}

/// Virtual seconds.
pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
