//! The data APIs over the wire, in every version, against a running engine: glommio, real files, real sockets.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod peer;

use highwater_engine::Engine;
use highwater_record::{
    BatchBuilder, Codec, Compression, Compressor, Decompressor, Limits, Producer, Records, batches,
};
use highwater_wire::message::create_topics::CreateTopicsResponse;
use highwater_wire::message::create_topics::{CreatableTopic, CreateTopicsRequest};
use highwater_wire::message::{
    delete_records as deletion, describe_log_dirs as dirs, describe_producers as producers, fetch,
    init_producer_id as ids, list_offsets as offsets, offset_for_leader_epoch as epochs, produce,
};
use highwater_wire::{Array, Decode, ErrorCode, RecordBytes, Request, Response, decode_response};
use peer::{Peer, start};
use uuid::Uuid;

fn engine(pairs: &[(&str, &str)]) -> (tempfile::TempDir, Engine, Peer) {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(dir.path(), pairs).unwrap();
    let peer = Peer::connect(engine.local_addr());
    (dir, engine, peer)
}

fn create(peer: &mut Peer, name: &str, partitions: i32) -> Uuid {
    let topic = CreatableTopic {
        name,
        num_partitions: partitions,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest {
        topics: Array::from([topic]),
        ..CreateTopicsRequest::default()
    };
    let frame = peer.call(7, &request);
    let topic = decoded::<CreateTopicsResponse<'_>>(7, &frame)
        .topics
        .first()
        .unwrap();
    assert_eq!(topic.error_code, 0);
    topic.topic_id
}

#[track_caller]
fn decoded<'a, R: Response + Decode<'a>>(version: i16, frame: &'a [u8]) -> R {
    decode_response::<R>(version, frame).unwrap().1
}

/// Every version of a request.
fn versions<R: Request>(least: i16) -> impl Iterator<Item = i16> {
    least..=*R::VERSIONS.end()
}

fn batch(codec: Codec, producer: Option<Producer>, values: &[String]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for (n, value) in (0..).zip(values) {
        builder
            .append(1_700_000_000_000 + n, None, Some(value.as_bytes()), &[])
            .unwrap();
    }
    if let Some(producer) = producer {
        builder.set_producer(producer);
    }
    let mut bytes = Vec::new();
    builder
        .finish(&mut Compressor::new(), &Compression::of(codec), &mut bytes)
        .unwrap();
    bytes
}

fn values(bytes: &[u8]) -> Vec<String> {
    let (mut scratch, mut decompressor) = (Vec::new(), Decompressor::new());
    let mut values = Vec::new();
    for batch in batches(bytes) {
        let batch = batch.unwrap();
        let records = Records::of(&batch, &mut scratch, &mut decompressor, Limits::default());
        for record in records.unwrap() {
            values.push(String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap());
        }
    }
    values
}

fn produce_one(
    peer: &mut Peer,
    version: i16,
    (name, topic_id): (&str, Uuid),
    index: i32,
    records: &[u8],
) -> (i16, i64) {
    let partition_data = Array::from([produce::PartitionProduceData {
        index,
        records: Some(RecordBytes::Bytes(records)),
    }]);
    let topic = produce::TopicProduceData {
        name,
        topic_id,
        partition_data,
    };
    let request = produce::ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: 30_000,
        topic_data: Array::from([topic]),
    };
    let frame = peer.call(version, &request);
    let response = decoded::<produce::ProduceResponse<'_>>(version, &frame);
    let row = response
        .responses
        .first()
        .unwrap()
        .partition_responses
        .first()
        .unwrap();
    (row.error_code, row.base_offset)
}

fn fetch_request<'a>(
    (topic, topic_id): (&'a str, Uuid),
    rows: &[(i32, i64)],
) -> fetch::FetchRequest<'a> {
    let partitions = rows
        .iter()
        .map(|(partition, fetch_offset)| fetch::FetchPartition {
            partition: *partition,
            fetch_offset: *fetch_offset,
            partition_max_bytes: 8 << 20,
            ..fetch::FetchPartition::default()
        })
        .collect();
    fetch::FetchRequest {
        max_bytes: 50 << 20,
        min_bytes: 1,
        max_wait_ms: 10,
        topics: Array::from([fetch::FetchTopic {
            topic,
            topic_id,
            partitions,
        }]),
        ..fetch::FetchRequest::default()
    }
}

#[test]
fn what_is_produced_in_any_version_and_codec_is_fetched_in_any_version() {
    let (_dir, _engine, mut peer) = engine(&[]);
    let topic = ("orders", create(&mut peer, "orders", 3));
    let mut sent: Vec<Vec<String>> = vec![Vec::new(); 3];
    let codecs = [
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ];
    for (n, version) in versions::<produce::ProduceRequest<'_>>(3).enumerate() {
        for codec in codecs {
            let partition = n % 3;
            let some: Vec<String> = (0..10).map(|i| format!("{version} {codec} {i}")).collect();
            let one = batch(codec, None, &some);
            let index = i32::try_from(partition).unwrap();
            let (error, base) = produce_one(&mut peer, version, topic, index, &one);
            if codec == Codec::Zstd && version < 7 {
                assert_eq!(error, ErrorCode::UnsupportedCompressionType.id());
                continue;
            }
            assert_eq!(
                (error, base),
                (0, i64::try_from(sent[partition].len()).unwrap())
            );
            sent[partition].extend(some);
        }
    }
    for version in versions::<fetch::FetchRequest<'_>>(4) {
        let frame = peer.call(version, &fetch_request(topic, &[(0, 0), (1, 0), (2, 0)]));
        let response = decoded::<fetch::FetchResponse<'_>>(version, &frame);
        let rows = response.responses.first().unwrap().partitions.to_vec();
        for (row, sent) in rows.iter().zip(&sent) {
            assert_eq!(row.error_code, 0, "version {version}");
            assert_eq!(row.high_watermark, i64::try_from(sent.len()).unwrap());
            let bytes = row.records.as_ref().unwrap().as_slice().unwrap();
            assert_eq!(&values(bytes), sent);
        }
    }
}

#[test]
fn a_large_fetch_is_the_log_byte_for_byte() {
    let (_dir, _engine, mut peer) = engine(&[("highwater.durability", "written")]);
    let topic = ("orders", create(&mut peer, "orders", 2));
    let mut logs = [Vec::new(), Vec::new()];
    for n in 0..60_usize {
        let mut one = batch(Codec::None, None, &[format!("{n}").repeat(30_000)]);
        let index = i32::try_from(n % 2).unwrap();
        let (error, base) = produce_one(&mut peer, 9, topic, index, &one);
        assert_eq!(error, 0);
        // What the broker writes into a batch: its offset and its leader epoch.
        one[..8].copy_from_slice(&base.to_be_bytes());
        one[12..16].copy_from_slice(&0_i32.to_be_bytes());
        logs[n % 2].extend_from_slice(&one);
    }
    let frame = peer.call(12, &fetch_request(topic, &[(0, 0), (1, 0)]));
    let response = decoded::<fetch::FetchResponse<'_>>(12, &frame);
    for (row, log) in response
        .responses
        .first()
        .unwrap()
        .partitions
        .iter()
        .zip(&logs)
    {
        assert!(row.records.as_ref().unwrap().as_slice().unwrap() == log.as_slice());
    }
}

#[test]
fn a_waiting_fetch_is_answered_by_the_append() {
    let (_dir, engine, mut reader) = engine(&[]);
    let topic = ("orders", create(&mut reader, "orders", 4));
    let address = engine.local_addr();
    let writer = std::thread::spawn(move || {
        let mut writer = Peer::connect(address);
        let one = batch(Codec::Lz4, None, &["now".to_owned()]);
        assert_eq!(produce_one(&mut writer, 13, topic, 3, &one), (0, 0));
    });
    let mut request = fetch_request(topic, &[(0, 0), (1, 0), (2, 0), (3, 0)]);
    request.max_wait_ms = 20_000;
    let frame = reader.call(13, &request);
    let response = decoded::<fetch::FetchResponse<'_>>(13, &frame);
    let row = response
        .responses
        .first()
        .unwrap()
        .partitions
        .to_vec()
        .remove(3);
    assert_eq!(values(row.records.unwrap().as_slice().unwrap()), ["now"]);
    writer.join().unwrap();
}

#[test]
fn look_ups_answer_in_every_version() {
    let (_dir, _engine, mut peer) = engine(&[]);
    let topic = ("orders", create(&mut peer, "orders", 1));
    let producer = Producer {
        id: 4,
        epoch: 1,
        base_sequence: 0,
    };
    let some: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    let one = batch(Codec::Zstd, Some(producer), &some);
    assert_eq!(produce_one(&mut peer, 13, topic, 0, &one), (0, 0));

    for version in versions::<offsets::ListOffsetsRequest<'_>>(1) {
        for (timestamp, offset) in [(-1, 10), (-2, 0), (1_700_000_000_004, 4)] {
            let partition = offsets::ListOffsetsPartition {
                partition_index: 0,
                timestamp,
                ..Default::default()
            };
            let topics = Array::from([offsets::ListOffsetsTopic {
                name: "orders",
                partitions: Array::from([partition]),
            }]);
            let request = offsets::ListOffsetsRequest {
                replica_id: -1,
                topics,
                ..Default::default()
            };
            let frame = peer.call(version, &request);
            let response = decoded::<offsets::ListOffsetsResponse<'_>>(version, &frame);
            let row = response.topics.first().unwrap().partitions.first().unwrap();
            assert_eq!(
                (row.error_code, row.offset),
                (0, offset),
                "version {version}"
            );
        }
    }
    for version in versions::<epochs::OffsetForLeaderEpochRequest<'_>>(2) {
        let partition = epochs::OffsetForLeaderPartition {
            partition: 0,
            current_leader_epoch: -1,
            leader_epoch: 0,
        };
        let topics = Array::from([epochs::OffsetForLeaderTopic {
            topic: "orders",
            partitions: Array::from([partition]),
        }]);
        let request = epochs::OffsetForLeaderEpochRequest {
            replica_id: -1,
            topics,
        };
        let frame = peer.call(version, &request);
        let response = decoded::<epochs::OffsetForLeaderEpochResponse<'_>>(version, &frame);
        let row = response.topics.first().unwrap().partitions.first().unwrap();
        assert_eq!((row.error_code, row.end_offset), (0, 10));
    }
    for version in versions::<dirs::DescribeLogDirsRequest<'_>>(1) {
        let frame = peer.call(version, &dirs::DescribeLogDirsRequest { topics: None });
        let response = decoded::<dirs::DescribeLogDirsResponse<'_>>(version, &frame);
        let dir = response.results.first().unwrap();
        let row = dir.topics.first().unwrap().partitions.first().unwrap();
        assert_eq!(row.partition_size, i64::try_from(one.len()).unwrap());
        assert_eq!(dir.total_bytes > 0, version >= 4, "KIP-827");
    }
    let request = producers::DescribeProducersRequest {
        topics: Array::from([producers::TopicRequest {
            name: "orders",
            partition_indexes: Array::from([0]),
        }]),
    };
    let frame = peer.call(0, &request);
    let response = decoded::<producers::DescribeProducersResponse<'_>>(0, &frame);
    let row = response.topics.first().unwrap().partitions.first().unwrap();
    let state = row.active_producers.first().unwrap();
    assert_eq!(
        (state.producer_id, state.producer_epoch, state.last_sequence),
        (4, 1, 9)
    );

    for version in versions::<deletion::DeleteRecordsRequest<'_>>(0) {
        let offset = i64::from(version) + 2;
        let partitions = Array::from([deletion::DeleteRecordsPartition {
            partition_index: 0,
            offset,
        }]);
        let topics = Array::from([deletion::DeleteRecordsTopic {
            name: "orders",
            partitions,
        }]);
        let frame = peer.call(
            version,
            &deletion::DeleteRecordsRequest {
                topics,
                timeout_ms: 1000,
            },
        );
        let response = decoded::<deletion::DeleteRecordsResponse<'_>>(version, &frame);
        let row = response.topics.first().unwrap().partitions.first().unwrap();
        assert_eq!((row.error_code, row.low_watermark), (0, offset));
    }
}

#[test]
fn a_producer_id_is_new_in_every_version_and_after_every_start() {
    let (dir, engine, mut peer) = engine(&[]);
    let mut given = Vec::new();
    // Version 6 is not stable in Kafka 4.3, and is not offered.
    let ask = |peer: &mut Peer, version| {
        let request = ids::InitProducerIdRequest {
            transactional_id: None,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        let frame = peer.call(version, &request);
        let response = decoded::<ids::InitProducerIdResponse>(version, &frame);
        assert_eq!((response.error_code, response.producer_epoch), (0, 0));
        response.producer_id
    };
    given.extend((0..=5).map(|version| ask(&mut peer, version)));
    drop(peer);
    engine.shutdown().unwrap();
    let engine = start(dir.path(), &[]).unwrap();
    let mut peer = Peer::connect(engine.local_addr());
    given.extend((0..=5).map(|version| ask(&mut peer, version)));
    let count = given.len();
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), count);
}

#[test]
fn everything_is_there_after_a_clean_stop() {
    let (dir, engine, mut peer) = engine(&[]);
    let topic = ("orders", create(&mut peer, "orders", 4));
    let producer = |n| {
        Some(Producer {
            id: 9,
            epoch: 0,
            base_sequence: n,
        })
    };
    for index in 0..4 {
        for n in 0..5 {
            let one = batch(Codec::None, producer(n), &[format!("{index}-{n}")]);
            assert_eq!(
                produce_one(&mut peer, 12, topic, index, &one),
                (0, i64::from(n))
            );
        }
    }
    let stats = engine.stats();
    assert!(stats.requests >= 21 && stats.bytes_in > 1000 && stats.bytes_out > 100);
    drop(peer);
    engine.shutdown().unwrap();
    let engine = start(dir.path(), &[]).unwrap();
    let mut peer = Peer::connect(engine.local_addr());
    for index in 0..4 {
        // The producer is remembered: its last batch is not written twice, and a gap is a gap.
        let again = batch(Codec::None, producer(4), &[format!("{index}-4")]);
        assert_eq!(produce_one(&mut peer, 12, topic, index, &again), (0, 4));
        let gap = batch(Codec::None, producer(9), &["gap".to_owned()]);
        let (error, _) = produce_one(&mut peer, 12, topic, index, &gap);
        assert_eq!(error, ErrorCode::OutOfOrderSequenceNumber.id());
        let frame = peer.call(12, &fetch_request(topic, &[(index, 0)]));
        let response = decoded::<fetch::FetchResponse<'_>>(12, &frame);
        let row = response
            .responses
            .first()
            .unwrap()
            .partitions
            .first()
            .unwrap();
        let kept: Vec<String> = (0..5).map(|n| format!("{index}-{n}")).collect();
        assert_eq!(values(row.records.unwrap().as_slice().unwrap()), kept);
    }
}
