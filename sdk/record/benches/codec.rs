//! The codecs on 64 KiB of JSON-like records, with their state reused: MB/s of uncompressed bytes,
//! and the ratio in the name.
#![allow(missing_docs, reason = "criterion's macros make the functions")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use highwater_record::{Compression, Compressor, Decompressor, Limits};

/// Log lines with ids and numbers that differ, some 230 bytes each.
fn lines(bytes: usize) -> Vec<u8> {
    let mut text = String::new();
    let mut state = 1u64;
    let mut random = |below: u32| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(state >> 33).unwrap_or(0) % below
    };
    let mut levels = ["INFO", "WARN", "DEBUG", "ERROR"].iter().cycle();
    let mut paths = [
        "/api/v1/orders",
        "/api/v1/items",
        "/login",
        "/health",
        "/api/v2/carts",
    ]
    .iter()
    .cycle();
    while text.len() < bytes {
        let skip = |n: u32| usize::try_from(n).unwrap_or(0);
        let level = levels.nth(skip(random(4))).expect("a cycle");
        let path = paths.nth(skip(random(5))).expect("a cycle");
        let (user, request, ms, code) = (
            random(100_000),
            random(1 << 31),
            random(900),
            200 + random(5),
        );
        text += &format!(
            "{{\"ts\":\"2024-05-01T12:{:02}:{:02}.{:03}Z\",\"level\":\"{level}\",\"service\":\"checkout\",\
             \"request_id\":\"{request:08x}\",\"user\":{user},\"path\":\"{path}\",\"status\":{code},\
             \"latency_ms\":{ms},\"message\":\"request finished\",\"host\":\"node-{}\"}}\n",
            random(60),
            random(60),
            random(1000),
            random(16),
        );
    }
    text.truncate(bytes);
    text.into_bytes()
}

fn codecs(c: &mut Criterion) {
    let input = lines(64 << 10);
    let mut compressor = Compressor::new();
    let mut decompressor = Decompressor::new();
    for text in [
        "gzip:1", "gzip", "snappy", "lz4", "zstd:-5", "zstd:1", "zstd",
    ] {
        let compression: Compression = text.parse().expect("known");
        let mut packed = Vec::new();
        compressor
            .compress(&compression, &input, &mut packed)
            .expect("memory");
        let ratio = input.len() as f64 / packed.len() as f64;
        let mut group = c.benchmark_group(format!("{text} ({ratio:.2})"));
        group.throughput(Throughput::Bytes(input.len() as u64));
        group.bench_function("compress", |b| {
            b.iter(|| {
                packed.clear();
                compressor
                    .compress(&compression, black_box(&input), &mut packed)
                    .expect("memory");
            });
        });
        let mut plain = Vec::new();
        group.bench_function("decompress", |b| {
            b.iter(|| {
                plain.clear();
                decompressor
                    .decompress(
                        compression.codec(),
                        black_box(&packed),
                        Limits::default(),
                        &mut plain,
                    )
                    .expect("sound");
            });
        });
        group.finish();
    }
}

criterion_group!(benches, codecs);
criterion_main!(benches);
