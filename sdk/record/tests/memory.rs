//! What codecs take of memory. One test in a binary of its own: others would count too.

use std::alloc::System;

use cap::Cap;
use highwater_record::compression::{Codec, Compression, Compressor, Decompressor, Error, Limits};
use highwater_record::{Batch, BatchBuilder, HeaderField, Records};

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, MEMORY_MAX);

const MIB: usize = 1 << 20;
const MEMORY_MAX: usize = 1 << 40;

#[test]
fn codecs_take_no_more_memory_than_they_may() {
    a_bomb_takes_no_more_memory_than_the_bound();
    a_claimed_size_takes_no_memory();
    a_steady_stream_of_batches_allocates_nothing();
    building_and_reading_allocate_nothing_per_record();
}

fn a_bomb_takes_no_more_memory_than_the_bound() {
    let zeros = vec![0; 64 * MIB];
    let mut bombs = Vec::new();
    for compression in ["gzip:9", "snappy", "lz4", "zstd:19"] {
        let compression: Compression = compression.parse().expect("known");
        let mut packed = Vec::new();
        Compressor::new()
            .compress(&compression, &zeros, &mut packed)
            .expect("memory");
        bombs.push((compression.codec(), packed));
    }
    drop(zeros);
    for (codec, bomb) in bombs {
        let limits = Limits {
            bytes_max: 8 * MIB,
            ratio_max: usize::MAX,
        };
        let mut decompressor = Decompressor::new();
        let mut out = Vec::new();
        let before = MEMORY.allocated();
        let _ = MEMORY.set_limit(before + 9 * MIB);
        let refusal = decompressor.decompress(codec, &bomb, limits, &mut out);
        let _ = MEMORY.set_limit(MEMORY_MAX);
        assert!(
            matches!(refusal, Err(Error::TooLarge { .. })),
            "{codec}: {refusal:?}"
        );
        assert!(
            out.capacity() <= 8 * MIB,
            "{codec} left {} bytes",
            out.capacity()
        );

        // By ratio it stops at what is free.
        let limits = Limits {
            bytes_max: 64 * MIB,
            ratio_max: 16,
        };
        let mut out = Vec::new();
        let refusal = decompressor.decompress(codec, &bomb, limits, &mut out);
        assert!(
            matches!(refusal, Err(Error::TooLarge { .. })),
            "{codec}: {refusal:?}"
        );
        assert!(out.capacity() <= limits.output_bytes_max(bomb.len()));
    }
}

fn a_claimed_size_takes_no_memory() {
    let claims: [(Codec, &[u8]); 5] = [
        // A bare snappy block of "4 GiB".
        (Codec::Snappy, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0x00]),
        // The same in a stream, and a block length of 4 GiB.
        (
            Codec::Snappy,
            b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\xff\xff\xff\xff",
        ),
        // An LZ4 block of 4 MiB at most, claimed by four bytes.
        (
            Codec::Lz4,
            &[0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73, 1, 0, 0, 0, 0xf0],
        ),
        // A zstd frame whose header says 2^63 bytes of content in one segment.
        (
            Codec::Zstd,
            &[
                0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 1, 0, 0,
            ],
        ),
        // A zstd frame with a window of 3.75 TiB.
        (Codec::Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff, 1, 0, 0]),
    ];
    for (codec, claim) in claims {
        let mut decompressor = Decompressor::new();
        let before = MEMORY.allocated();
        let _ = MEMORY.set_limit(before + MIB);
        let mut out = Vec::new();
        let result = decompressor.decompress(codec, claim, Limits::default(), &mut out);
        let _ = MEMORY.set_limit(MEMORY_MAX);
        assert!(out.capacity() <= MIB, "{codec} took {}", out.capacity());
        // The last one is a sound empty block in a silly window.
        assert!(result.is_err() || out.is_empty(), "{codec}: {result:?}");
    }
}

fn a_steady_stream_of_batches_allocates_nothing() {
    let input = json(60_000);
    let mut compressor = Compressor::new();
    let mut decompressor = Decompressor::new();
    let (mut packed, mut plain) = (Vec::new(), Vec::new());
    for compression in compressions() {
        let mut round = || {
            packed.clear();
            compressor
                .compress(&compression, &input, &mut packed)
                .expect("memory");
            plain.clear();
            decompressor
                .decompress(compression.codec(), &packed, Limits::default(), &mut plain)
                .expect("sound");
        };
        round();
        let before = MEMORY.total_allocated();
        round();
        round();
        assert_eq!(MEMORY.total_allocated() - before, 0, "{compression}");
    }
}

fn compressions() -> Vec<Compression> {
    [
        "none", "gzip", "gzip:1", "gzip:9", "snappy", "lz4", "lz4:17", "zstd", "zstd:-7", "zstd:1",
        "zstd:12",
    ]
    .map(|text| text.parse().expect("known"))
    .to_vec()
}

fn json(bytes: usize) -> Vec<u8> {
    let mut text = String::new();
    for n in 0u64.. {
        if text.len() >= bytes {
            break;
        }
        let id = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        text += &format!(
            "{{\"id\":\"{id:016x}\",\"level\":\"info\",\"n\":{n},\"path\":\"/api/v1/items\"}}\n"
        );
    }
    text.truncate(bytes);
    text.into_bytes()
}

fn building_and_reading_allocate_nothing_per_record() {
    let mut builder = BatchBuilder::new();
    let (mut compressor, mut decompressor) = (Compressor::new(), Decompressor::new());
    let (mut out, mut scratch) = (Vec::new(), Vec::new());
    let value = json(100);
    let headers = [HeaderField::new("trace", Some(b"00-af-01"))];
    let mut round = |compression: &Compression| {
        for n in 0..1000 {
            builder
                .append(n, Some(b"key"), Some(&value), &headers)
                .expect("small");
        }
        out.clear();
        builder
            .finish(&mut compressor, compression, &mut out)
            .expect("memory");
        let batch = Batch::check(&out).expect("a batch");
        let records = Records::of(&batch, &mut scratch, &mut decompressor, Limits::default());
        let mut bytes = 0;
        for record in records.expect("sound") {
            let record = record.expect("whole");
            bytes += record.headers().count() + record.value.map_or(0, <[u8]>::len);
        }
        assert_eq!(bytes, 101 * 1000);
    };
    for compression in compressions() {
        // Without a codec `out` and the builder change their memory: both have to grow once.
        round(&compression);
        round(&compression);
        let before = MEMORY.total_allocated();
        round(&compression);
        round(&compression);
        assert_eq!(MEMORY.total_allocated() - before, 0, "{compression}");
    }
}
