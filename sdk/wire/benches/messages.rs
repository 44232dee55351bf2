//! How long messages take to write and to read: the three that a busy broker sees most.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use highwater_wire::message::{
    FetchResponse, MetadataResponse, ProduceRequest, fetch, metadata, produce,
};
use highwater_wire::{
    Array, Cursor, Decode, Message, RecordBytes, decode_response, encode_request, encode_response,
};
use std::hint::black_box;

const PARTITIONS: i32 = 8;
const BATCH_BYTES: usize = 64 << 10;

fn produce(records: &[u8]) -> ProduceRequest<'_> {
    let partitions = (0..PARTITIONS).map(|index| produce::PartitionProduceData {
        index,
        records: Some(RecordBytes::Bytes(records)),
    });
    let topic = produce::TopicProduceData {
        name: "payments",
        partition_data: partitions.collect(),
        ..produce::TopicProduceData::default()
    };
    ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: Array::from([topic]),
        ..ProduceRequest::default()
    }
}

fn fetch(records: &RecordBytes<'static>) -> FetchResponse<'static> {
    let partitions = (0..PARTITIONS).map(|partition_index| fetch::PartitionData {
        partition_index,
        high_watermark: 1 << 40,
        records: Some(records.clone()),
        ..fetch::PartitionData::default()
    });
    let topic = fetch::FetchableTopicResponse {
        topic: "payments",
        partitions: partitions.collect(),
        ..fetch::FetchableTopicResponse::default()
    };
    FetchResponse {
        responses: Array::from([topic]),
        ..FetchResponse::default()
    }
}

fn metadata(names: &[String]) -> MetadataResponse<'_> {
    let partition = |partition_index| metadata::MetadataResponsePartition {
        partition_index,
        leader_epoch: 3,
        replica_nodes: Array::from(&[1, 2, 3][..]),
        isr_nodes: Array::from(&[1, 2, 3][..]),
        ..metadata::MetadataResponsePartition::default()
    };
    let topic = |name| metadata::MetadataResponseTopic {
        name: Some(name),
        partitions: (0..PARTITIONS).map(partition).collect(),
        ..metadata::MetadataResponseTopic::default()
    };
    MetadataResponse {
        brokers: Array::from([metadata::MetadataResponseBroker::default()]),
        topics: names.iter().map(|name| topic(name.as_str())).collect(),
        ..MetadataResponse::default()
    }
}

fn produce_request(criterion: &mut Criterion) {
    let records = vec![7; BATCH_BYTES];
    let request = produce(&records);
    let mut group = criterion.benchmark_group("produce, 8 partitions");
    for version in [8, 12] {
        let frame = encode_request(1, Some("bench"), version, &request)
            .unwrap()
            .bytes;
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function(BenchmarkId::new("encode", version), |bencher| {
            bencher.iter(|| encode_request(1, Some("bench"), version, black_box(&request)));
        });
        let mut body = Cursor::new(&frame[4..]);
        highwater_wire::RequestHeader::read(&mut body).unwrap();
        group.bench_function(BenchmarkId::new("decode and walk", version), |bencher| {
            bencher.iter(|| {
                let read = ProduceRequest::decode(version, &mut black_box(body.clone())).unwrap();
                let partitions = read
                    .topic_data
                    .iter()
                    .flat_map(|topic| topic.partition_data.to_vec());
                partitions
                    .map(|partition| partition.records.map_or(0, |records| records.len()))
                    .sum::<usize>()
            });
        });
    }
    group.finish();
}

fn fetch_response(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fetch, 8 partitions");
    let deferred = fetch(&RecordBytes::Deferred { len: 64 << 10 });
    let owned = fetch(&RecordBytes::Owned(vec![7; BATCH_BYTES].into()));
    for version in [11, 12] {
        group.bench_function(
            BenchmarkId::new("encode around sendfile", version),
            |bencher| {
                bencher.iter(|| encode_response(1, version, black_box(&deferred)));
            },
        );
        let frame = encode_response(1, version, &owned).unwrap().bytes;
        group.bench_function(BenchmarkId::new("decode and walk", version), |bencher| {
            bencher.iter(|| {
                let (_, read) =
                    decode_response::<FetchResponse<'_>>(version, black_box(&frame[4..])).unwrap();
                let partitions = read
                    .responses
                    .iter()
                    .flat_map(|topic| topic.partitions.to_vec());
                partitions
                    .map(|partition| partition.records.map_or(0, |records| records.len()))
                    .sum::<usize>()
            });
        });
    }
    group.finish();
}

fn metadata_response(criterion: &mut Criterion) {
    let names: Vec<String> = (0..1000)
        .map(|number| format!("topic-{number:04}"))
        .collect();
    let response = metadata(&names);
    let mut group = criterion.benchmark_group("metadata, 1000 topics");
    for version in [8, 12] {
        let frame = encode_response(1, version, &response).unwrap().bytes;
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function(BenchmarkId::new("measure", version), |bencher| {
            bencher.iter(|| black_box(&response).encoded_len(version));
        });
        group.bench_function(BenchmarkId::new("encode", version), |bencher| {
            bencher.iter(|| encode_response(1, version, black_box(&response)));
        });
        group.bench_function(BenchmarkId::new("decode and walk", version), |bencher| {
            bencher.iter(|| {
                let (_, read) =
                    decode_response::<MetadataResponse<'_>>(version, black_box(&frame[4..]))
                        .unwrap();
                let partitions = read
                    .topics
                    .iter()
                    .flat_map(|topic| topic.partitions.to_vec());
                partitions
                    .map(|partition| partition.replica_nodes.len())
                    .sum::<usize>()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, produce_request, fetch_response, metadata_response);
criterion_main!(benches);
