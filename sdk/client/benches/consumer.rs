//! What a record costs the consumer: CPU of the thread that fetches, sums, decodes and looks at it,
//! per record, against a broker that sends the same batches over and over from another thread.
//!
//! `cargo bench -p highwater --bench consumer`; "elem/s" is records per CPU-second.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/cpu.rs"]
mod cpu;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use highwater::{Client, Codec, Compression, Start};
use highwater_record::{BatchBuilder, Compressor};

const RECORDS: u64 = 200_000;

/// One megabyte of batches of about 64 KiB.
fn canned(bytes: usize, compression: Compression) -> Vec<u8> {
    let (mut out, mut compressor) = (Vec::new(), Compressor::new());
    let value = vec![b'x'; bytes];
    while out.len() < 1 << 20 {
        let mut builder = BatchBuilder::new();
        while builder.len() < 64 << 10 {
            builder.append(0, Some(b"key"), Some(&value), &[]).unwrap();
        }
        builder
            .finish(&mut compressor, &compression, &mut out)
            .unwrap();
    }
    out
}

fn consume(criterion: &mut Criterion) {
    let cluster = cpu::null_cluster();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut group = criterion.benchmark_group("consume");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(RECORDS));
    for (bytes, owned, codec) in [
        (100, false, Codec::None),
        (100, true, Codec::None),
        (1024, false, Codec::None),
        (1024, false, Codec::Lz4),
    ] {
        let kind = if owned { "owned" } else { "lent" };
        let name = format!("{bytes} B, {kind}, {codec}");
        cluster.serve_always(canned(bytes, Compression::of(codec)).into());
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_custom(|rounds| {
                runtime.block_on(async {
                    let client = Client::builder(cluster.bootstrap())
                        .connect()
                        .await
                        .unwrap();
                    let consumer = client.consumer().assign_topic("null", Start::Offset(0));
                    let mut consumer = consumer.build().await.unwrap();
                    let start = cpu::now();
                    let (mut left, mut seen) = (rounds * RECORDS, 0);
                    while left > 0 {
                        if owned {
                            let record = consumer.next().await.unwrap().unwrap();
                            seen += record.value().map_or(0, <[u8]>::len);
                            left -= 1;
                        } else {
                            let batch = consumer.next_batch().await.unwrap().unwrap();
                            seen += batch
                                .iter()
                                .map(|r| r.value().unwrap().len())
                                .sum::<usize>();
                            left = left.saturating_sub(batch.len().try_into().unwrap());
                        }
                    }
                    std::hint::black_box(seen);
                    cpu::now() - start
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, consume);
criterion_main!(benches);
