//! CRC-32C: `crc-fast`, which the crate uses, beside `crc32c`, and redoing a CRC without reading
//! the body.
#![allow(missing_docs, reason = "criterion's macros make the functions")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use highwater_record::crc;

fn checksum(c: &mut Criterion) {
    let mut group = c.benchmark_group("crc32c");
    for bytes in [40usize, 100, 1024, 16 << 10, 64 << 10, 1 << 20] {
        let input: Vec<u8> = (0..bytes).map(|n| n.to_le_bytes()[0]).collect();
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(format!("crc-fast/{bytes}"), |b| {
            b.iter(|| crc::crc32c(black_box(&input)));
        });
        group.bench_function(format!("crc32c/{bytes}"), |b| {
            b.iter(|| crc32c::crc32c(black_box(&input)));
        });
    }
    group.finish();
    let mut group = c.benchmark_group("combine");
    for bytes in [100usize, 64 << 10, (1 << 20) - 1] {
        group.bench_function(format!("ours/{bytes}"), |b| {
            b.iter(|| crc::combine(black_box(0x1234_5678), 0x9abc_def0, black_box(bytes)));
        });
    }
    group.finish();
}

criterion_group!(benches, checksum);
criterion_main!(benches);
