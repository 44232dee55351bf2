//! What a record costs on its way in and out: nanoseconds per record, in batches of some 64 KiB
//! without a codec.
#![allow(missing_docs, reason = "criterion's macros make the functions")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use highwater_record::{
    Batch, BatchBuilder, Compression, Compressor, Decompressor, HeaderField, LeaderEpoch, Limits,
    Offset, Records,
};

const NOW_MS: i64 = 1_700_000_000_000;

fn fill(builder: &mut BatchBuilder, records: i64, value: &[u8], headers: &[HeaderField<'_>]) {
    for n in 0..records {
        let key = n.to_le_bytes();
        builder
            .append(NOW_MS + (n >> 4), Some(&key), Some(value), headers)
            .expect("small");
    }
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    for (name, bytes, records) in [("100B", 100usize, 580i64), ("1KiB", 1024, 63)] {
        let value = vec![b'x'; bytes];
        let headers = [HeaderField::new("trace", Some(b"00-0123456789abcdef"))];
        let mut builder = BatchBuilder::with_capacity(80 << 10);
        group.throughput(Throughput::Elements(records.cast_unsigned()));
        group.bench_function(name, |b| {
            b.iter(|| {
                builder.reset();
                fill(&mut builder, records, black_box(&value), &[]);
                builder.len()
            });
        });
        group.bench_function(format!("{name}-header"), |b| {
            b.iter(|| {
                builder.reset();
                fill(
                    &mut builder,
                    records,
                    black_box(&value),
                    black_box(&headers),
                );
                builder.len()
            });
        });
        let mut out = Vec::new();
        let mut compressor = Compressor::new();
        group.bench_function(format!("{name}-finished"), |b| {
            b.iter(|| {
                fill(&mut builder, records, black_box(&value), &[]);
                out.clear();
                builder
                    .finish(&mut compressor, &Compression::NONE, &mut out)
                    .expect("memory")
            });
        });
    }
    group.finish();
}

fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("read");
    for (name, bytes, records) in [("100B", 100usize, 580i64), ("1KiB", 1024, 63)] {
        for headers in [
            &[][..],
            &[HeaderField::new("trace", Some(b"00-0123456789abcdef"))],
        ] {
            let mut builder = BatchBuilder::new();
            fill(&mut builder, records, &vec![b'x'; bytes], headers);
            let mut batch = Vec::new();
            builder
                .finish(&mut Compressor::new(), &Compression::NONE, &mut batch)
                .expect("memory");
            let suffix = if headers.is_empty() { "" } else { "-header" };
            group.throughput(Throughput::Elements(records.cast_unsigned()));
            let (mut scratch, mut decompressor) = (Vec::new(), Decompressor::new());
            group.bench_function(format!("{name}{suffix}"), |b| {
                b.iter(|| {
                    let batch = Batch::check(black_box(&batch)).expect("a batch");
                    let mut sum = 0;
                    let records =
                        Records::of(&batch, &mut scratch, &mut decompressor, Limits::default());
                    for record in records.expect("plain") {
                        let record = record.expect("whole");
                        sum += record.offset.get() ^ record.timestamp_ms;
                        black_box((record.key, record.value, record.headers()));
                    }
                    sum
                });
            });
        }
    }
    group.finish();
}

fn place(c: &mut Criterion) {
    let mut builder = BatchBuilder::new();
    fill(&mut builder, 63, &[b'x'; 1024], &[]);
    let mut bytes = Vec::new();
    builder
        .finish(&mut Compressor::new(), &Compression::NONE, &mut bytes)
        .expect("memory");
    let batch = Batch::check(&bytes).expect("a batch");
    let mut group = c.benchmark_group("place-64KiB");
    group.bench_function("check", |b| {
        b.iter(|| Batch::check(black_box(&bytes)).is_ok())
    });
    group.bench_function("stamp", |b| {
        b.iter(|| black_box(&batch).stamp(Offset::new(7), LeaderEpoch::ZERO));
    });
    group.bench_function("stamp-log-append-time", |b| {
        b.iter(|| {
            black_box(&batch).stamp_log_append_time(Offset::new(7), LeaderEpoch::ZERO, NOW_MS)
        });
    });
    group.finish();
}

criterion_group!(benches, append, read, place);
criterion_main!(benches);
