//! The codecs alone: what goes in comes out, and hostile input is refused.

use highwater_record::compression::{Codec, Compression, Compressor, Decompressor, Error, Limits};
use proptest::collection::vec;
use proptest::prelude::*;

const MIB: usize = 1 << 20;

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

fn inputs() -> Vec<Vec<u8>> {
    let noise = |bytes: usize| -> Vec<u8> {
        let mut state = 1u64;
        (0..bytes)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            })
            .collect()
    };
    let mut inputs = vec![
        Vec::new(),
        vec![0],
        json(100),
        noise(100),
        vec![0; 3 * MIB],
        noise(3 * MIB),
    ];
    // Around the block sizes of snappy and LZ4.
    for bytes in [
        32_767, 32_768, 32_769, 65_534, 65_535, 65_536, 65_537, 200_000,
    ] {
        inputs.extend([json(bytes), noise(bytes)]);
    }
    inputs
}

#[test]
fn what_goes_in_comes_out_and_state_is_reused() {
    let mut compressor = Compressor::new();
    let mut decompressor = Decompressor::new();
    let (mut packed, mut plain) = (Vec::new(), Vec::new());
    for input in inputs() {
        for compression in compressions() {
            let codec = compression.codec();
            packed.clear();
            compressor
                .compress(&compression, &input, &mut packed)
                .expect("memory");
            plain.clear();
            decompressor
                .decompress(codec, &packed, Limits::default(), &mut plain)
                .expect("sound");
            assert!(plain == input, "{compression}, {} bytes", input.len());
            // And behind something that is there already.
            let mut behind = b"before".to_vec();
            decompressor
                .decompress(codec, &packed, Limits::default(), &mut behind)
                .expect("sound");
            assert!(
                behind.strip_prefix(b"before") == Some(&input),
                "{compression}"
            );
        }
    }
}

#[test]
fn the_bound_is_exact() {
    for bytes in [1, 1000, 100_000, 300_000] {
        for input in [json(bytes), vec![0; bytes]] {
            for compression in compressions() {
                let codec = compression.codec();
                let mut packed = Vec::new();
                Compressor::new()
                    .compress(&compression, &input, &mut packed)
                    .expect("memory");
                let mut decompressor = Decompressor::new();
                let mut plain = b"x".to_vec();
                let exact = Limits {
                    bytes_max: bytes,
                    ratio_max: usize::MAX,
                };
                decompressor
                    .decompress(codec, &packed, exact, &mut plain)
                    .expect("just fits");
                assert_eq!(plain.len(), 1 + bytes);
                for mut out in [b"x".to_vec(), Vec::new(), Vec::with_capacity(2 * bytes)] {
                    let before = out.clone();
                    let less = Limits {
                        bytes_max: bytes - 1,
                        ratio_max: usize::MAX,
                    };
                    let refusal = decompressor.decompress(codec, &packed, less, &mut out);
                    let expected = Error::TooLarge {
                        codec,
                        input_bytes: packed.len(),
                        bytes_max: bytes - 1,
                    };
                    assert_eq!(refusal, Err(expected), "{compression}, {bytes} bytes");
                    assert_eq!(out, before, "a refusal leaves nothing behind");
                }
            }
        }
    }
}

#[test]
fn foreign_frames_are_read() {
    let input = json(300_000);
    let mut decompressor = Decompressor::new();
    let mut check = |codec, packed: &[u8], what: &str| {
        let mut plain = Vec::new();
        decompressor
            .decompress(codec, packed, Limits::default(), &mut plain)
            .expect(what);
        assert!(plain == input, "{what}");
    };

    // Snappy: bare, as librdkafka writes it, and two streams one after the other.
    let bare = snap::raw::Encoder::new()
        .compress_vec(&input)
        .expect("small");
    check(Codec::Snappy, &bare, "bare snappy");
    let (first, second) = input.split_at(100_000);
    for codec in [Codec::Snappy, Codec::Gzip, Codec::Lz4, Codec::Zstd] {
        let mut both = Vec::new();
        for part in [first, second] {
            Compressor::new()
                .compress(&codec.into(), part, &mut both)
                .expect("memory");
        }
        check(codec, &both, "two streams one after the other");
    }

    // LZ4: every block size, linked blocks, sizes and checksums.
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    for size in [
        BlockSize::Max64KB,
        BlockSize::Max256KB,
        BlockSize::Max1MB,
        BlockSize::Max4MB,
    ] {
        for mode in [BlockMode::Independent, BlockMode::Linked] {
            for checked in [false, true] {
                let info = FrameInfo::new()
                    .block_size(size)
                    .block_mode(mode)
                    .block_checksums(checked)
                    .content_checksum(checked)
                    .content_size(checked.then_some(input.len() as u64));
                let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
                std::io::Write::write_all(&mut encoder, &input).expect("memory");
                let packed = encoder.finish().expect("whole");
                check(Codec::Lz4, &packed, "lz4 frame");
                let mut skippable = vec![0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
                skippable.extend_from_slice(&packed);
                check(Codec::Lz4, &skippable, "lz4 behind a skippable frame");
            }
        }
    }

    // Zstd: streamed without a content size, as Java and librdkafka do, with a checksum.
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).expect("memory");
    encoder.include_checksum(true).expect("known");
    for part in input.chunks(10_000) {
        std::io::Write::write_all(&mut encoder, part).expect("memory");
    }
    check(
        Codec::Zstd,
        &encoder.finish().expect("whole"),
        "streamed zstd",
    );

    // Gzip: with name, comment, extra field and header CRC.
    let mut encoder = flate2::GzBuilder::new()
        .filename("name")
        .comment("comment")
        .extra(vec![1, 2, 3])
        .mtime(5)
        .write(Vec::new(), flate2::Compression::new(6));
    std::io::Write::write_all(&mut encoder, &input).expect("memory");
    check(
        Codec::Gzip,
        &encoder.finish().expect("whole"),
        "gzip with all fields",
    );
}

#[test]
fn our_lz4_frame_has_what_java_asks_for() {
    let mut packed = Vec::new();
    Compressor::new()
        .compress(&Codec::Lz4.into(), &json(1000), &mut packed)
        .expect("memory");
    // Magic, version 1 with independent blocks and no checksums, blocks of 64 KiB, header checksum.
    assert_eq!(
        packed.get(..7),
        Some(&[0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82][..])
    );
    assert_eq!(packed.last_chunk(), Some(&[0; 4]));
}

#[test]
fn names_and_levels_are_those_of_kafka() {
    for (text, codec, level) in [
        ("none", Codec::None, None),
        ("gzip", Codec::Gzip, None),
        ("gzip:-1", Codec::Gzip, None),
        ("gzip:9", Codec::Gzip, Some(9)),
        ("snappy", Codec::Snappy, None),
        ("lz4:17", Codec::Lz4, Some(17)),
        ("zstd:-131072", Codec::Zstd, Some(-131_072)),
        ("zstd:22", Codec::Zstd, Some(22)),
    ] {
        let compression: Compression = text.parse().expect(text);
        assert_eq!(
            (compression.codec(), compression.level()),
            (codec, level),
            "{text}"
        );
        assert_eq!(compression.to_string().parse(), Ok(compression));
        assert_eq!(Codec::from_id(codec.id()), Some(codec));
    }
    for (text, message) in [
        (
            "lzma",
            "codec 'lzma' is unknown, expected none, gzip, snappy, lz4 or zstd",
        ),
        ("gzip:0", "level 0 of gzip, expected 1 to 9"),
        ("lz4:18", "level 18 of lz4, expected 1 to 17"),
        ("zstd:23", "level 23 of zstd, expected -131072 to 22"),
        ("snappy:1", "level 1 of snappy, which has no levels"),
        ("zstd:fast", "level 'fast' is not a number"),
    ] {
        let refusal = text.parse::<Compression>().expect_err(text);
        assert_eq!(refusal.to_string(), message);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn noise_is_refused_or_read_within_bounds(
        codec in 1u8..5, noise in vec(any::<u8>(), 0..400), sound_bytes in 0usize..3000, framed in any::<bool>(),
        changes in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let codec = Codec::from_id(codec).expect("there are five");
        let limits = Limits { bytes_max: MIB, ratio_max: 1000 };
        let mut hostile = noise;
        if framed {
            // A sound frame with some bytes changed gets deeper than noise.
            hostile.clear();
            Compressor::new().compress(&codec.into(), &json(sound_bytes), &mut hostile).expect("memory");
            for (at, byte) in changes {
                let at = at.index(hostile.len());
                hostile[at] = byte;
            }
        }
        let mut out = Vec::new();
        let result = Decompressor::new().decompress(codec, &hostile, limits, &mut out);
        prop_assert!(out.len() <= limits.output_bytes_max(hostile.len()));
        prop_assert!(out.capacity() <= limits.output_bytes_max(hostile.len()));
        prop_assert!(result.is_ok() || out.is_empty());
    }
}
