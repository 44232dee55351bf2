//! What a record costs the producer: CPU of the thread that enqueues, batches, sums and sends, per
//! record, against a broker that only counts and runs on another thread.
//!
//! `cargo bench -p highwater --bench producer`; "elem/s" is records per CPU-second.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/cpu.rs"]
mod cpu;
#[path = "../tests/support/mod.rs"]
mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use highwater::{Client, Codec, Compression, Record};

const RECORDS: u64 = 200_000;

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
    for (bytes, keyed, codec) in [
        (100, false, Codec::None),
        (100, true, Codec::None),
        (1024, false, Codec::None),
        (1024, false, Codec::Lz4),
    ] {
        let key = if keyed { "keyed" } else { "sticky" };
        let name = format!("{bytes} B, {key}, {codec}");
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
                    for number in 0..rounds * RECORDS {
                        let number = number.to_be_bytes();
                        let record = Record::new().value(&value);
                        let record = if keyed { record.key(&number) } else { record };
                        drop(topic.enqueue(record).await.unwrap());
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
