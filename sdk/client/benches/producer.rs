//! What a record costs the producer: CPU of the thread that enqueues, batches, sums and sends, per
//! record, against a broker that only counts and runs on another thread.
//!
//! `cargo bench -p highwater --bench producer`; "elem/s" is records per CPU-second.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/cpu.rs"]
mod cpu;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use highwater::{Client, Codec, Compression, Record, TopicProducer};

const RECORDS: u64 = 200_000;

/// Records of a call, where many are handed over at once.
const BATCH_RECORDS: usize = 2000;

/// What one measurement does with its records.
#[derive(Clone, Copy)]
enum Call {
    Enqueue,
    EnqueueBatch,
    SendBatch,
}

async fn enqueue(topic: &TopicProducer, value: &[u8], keyed: bool) {
    for number in 0..RECORDS {
        let number = number.to_be_bytes();
        let record = Record::new().value(value);
        let record = if keyed { record.key(&number) } else { record };
        drop(topic.enqueue(record).await.unwrap());
    }
}

/// As many batches, all enqueued before the first is waited for, or each waited for.
async fn batches(topic: &TopicProducer, value: &[u8], keyed: bool, wait: bool) {
    let keys: Vec<_> = (0..BATCH_RECORDS).map(usize::to_be_bytes).collect();
    for _ in 0..RECORDS / BATCH_RECORDS as u64 {
        let records = keys.iter().map(|key| {
            let record = Record::new().value(value);
            if keyed { record.key(key) } else { record }
        });
        if wait {
            assert_eq!(
                topic.send_batch(records).await.unwrap().len(),
                BATCH_RECORDS
            );
        } else {
            drop(topic.enqueue_batch(records).await);
        }
    }
}

fn produce(criterion: &mut Criterion) {
    let cluster = cpu::null_cluster();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut group = criterion.benchmark_group("produce");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(RECORDS));
    for (call, bytes, keyed, codec) in [
        (Call::Enqueue, 100, false, Codec::None),
        (Call::Enqueue, 100, true, Codec::None),
        (Call::EnqueueBatch, 100, false, Codec::None),
        (Call::EnqueueBatch, 100, true, Codec::None),
        (Call::SendBatch, 100, false, Codec::None),
        (Call::Enqueue, 1024, false, Codec::None),
        (Call::Enqueue, 1024, false, Codec::Lz4),
    ] {
        let key = if keyed { "keyed" } else { "sticky" };
        let name = match call {
            Call::Enqueue => "enqueue",
            Call::EnqueueBatch => "enqueue_batch",
            Call::SendBatch => "send_batch",
        };
        let name = format!("{name}, {bytes} B, {key}, {codec}");
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_custom(|rounds| {
                runtime.block_on(async {
                    let client = Client::builder(cluster.bootstrap())
                        .connect()
                        .await
                        .unwrap();
                    let compression = Compression::of(codec);
                    let producer = client.producer().compression(compression).build();
                    let producer = producer.await.unwrap();
                    let topic = producer.topic("null").await.unwrap();
                    let value = vec![b'x'; bytes];
                    let start = cpu::now();
                    for _ in 0..rounds {
                        match call {
                            Call::Enqueue => enqueue(&topic, &value, keyed).await,
                            Call::EnqueueBatch => batches(&topic, &value, keyed, false).await,
                            Call::SendBatch => batches(&topic, &value, keyed, true).await,
                        }
                    }
                    producer.flush().await;
                    cpu::now() - start
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, produce);
criterion_main!(benches);
