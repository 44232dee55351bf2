//! Sound frames of many writers, damaged: whatever comes of it is refused or stays within bounds. More cases than
//! usual with `PROPTEST_CASES=100000 cargo test -p highwater-record --test hostile`.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::LazyLock;

use highwater_record::compression::{Codec, Compressor, Decompressor, Limits};
use highwater_record::{Batch, Records, batches, crc};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// Whole batches: Kafka's, librdkafka's and kafka-python's, and frames that only other libraries write.
static SOUND: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut sound = Vec::new();
    for entry in fs::read_dir(golden).expect("is in the tree") {
        let path = entry.expect("readable").path();
        if path
            .extension()
            .is_some_and(|ending| ending == "bin" || ending == "log")
        {
            let bytes = fs::read(&path).expect("readable");
            sound.extend(batches(&bytes).map(|batch| batch.expect("sound").bytes().to_vec()));
        }
    }
    sound.sort();
    assert_eq!(sound.len(), 36);
    for (codec, body) in foreign_bodies() {
        sound.push(batch_around(codec, 3, &body));
    }
    sound
});

/// What our own encoders and the golden files do not have: linked blocks, checksums, streams one after the other.
fn foreign_bodies() -> Vec<(Codec, Vec<u8>)> {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    let plain: Vec<u8> = (0..150_000u32)
        .map(|n| (n.wrapping_mul(n) >> 7).to_le_bytes()[0] & 0x3f)
        .collect();
    let mut bodies = Vec::new();
    for size in [BlockSize::Max64KB, BlockSize::Max4MB] {
        let info = FrameInfo::new()
            .block_size(size)
            .block_mode(BlockMode::Linked)
            .block_checksums(true)
            .content_checksum(true);
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(&plain).expect("memory");
        bodies.push((Codec::Lz4, encoder.finish().expect("whole")));
    }
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 19).expect("memory");
    encoder.include_checksum(true).expect("known");
    encoder.write_all(&plain).expect("memory");
    bodies.push((Codec::Zstd, encoder.finish().expect("whole")));
    bodies.push((Codec::Zstd, {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("memory");
        encoder.write_all(&vec![0; 1 << 20]).expect("memory");
        encoder.finish().expect("whole")
    }));
    let mut encoder = flate2::GzBuilder::new()
        .filename("name")
        .extra(vec![1, 2, 3])
        .write(Vec::new(), flate2::Compression::best());
    encoder.write_all(&plain).expect("memory");
    bodies.push((Codec::Gzip, encoder.finish().expect("whole")));
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut two = Vec::new();
        for part in plain.chunks(100_000) {
            Compressor::new()
                .compress(&codec.into(), part, &mut two)
                .expect("memory");
        }
        bodies.push((codec, two));
    }
    bodies
}

/// A batch with this body, whose header holds: hostile, and checked all the same.
fn batch_around(codec: Codec, records: i32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 61];
    bytes.extend_from_slice(body);
    let length = i32::try_from(bytes.len() - 12).expect("small");
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[16] = 2;
    bytes[22] = codec.id();
    bytes[23..27].copy_from_slice(&(records - 1).max(0).to_be_bytes());
    bytes[57..61].copy_from_slice(&records.to_be_bytes());
    sign(&mut bytes);
    bytes
}

fn sign(bytes: &mut [u8]) {
    let crc = crc::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
}

#[derive(Debug, Clone)]
enum Damage {
    Set(Index, u8),
    Flip(Index, u8),
    Cut(Index),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    Repeat(Index, usize),
    /// Four bytes that lengths like to be.
    Length(Index, u32),
}

fn damage() -> impl Strategy<Value = Damage> {
    let lengths = [
        0,
        1,
        0x7f,
        0xff,
        0xffff,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        0x0001_0000,
    ];
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        4 => (any::<Index>(), 0u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => (any::<Index>(), 1usize..64).prop_map(|(at, bytes)| Damage::Remove(at, bytes)),
        1 => (any::<Index>(), vec(any::<u8>(), 1..16)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => (any::<Index>(), 1usize..300).prop_map(|(at, bytes)| Damage::Repeat(at, bytes)),
        2 => (any::<Index>(), proptest::sample::select(lengths.to_vec()))
            .prop_map(|(at, length)| Damage::Length(at, length)),
    ]
}

impl Damage {
    fn apply(&self, body: &mut Vec<u8>) {
        let len = body.len();
        if len == 0 {
            return;
        }
        match self {
            Damage::Set(at, byte) => body[at.index(len)] = *byte,
            Damage::Flip(at, bit) => body[at.index(len)] ^= 1 << bit,
            Damage::Cut(at) => body.truncate(at.index(len)),
            Damage::Remove(at, bytes) => {
                let at = at.index(len);
                body.drain(at..len.min(at + bytes));
            }
            Damage::Insert(at, bytes) => {
                let at = at.index(len);
                body.splice(at..at, bytes.iter().copied());
            }
            Damage::Repeat(at, bytes) => {
                let at = at.index(len);
                let piece = body[at..len.min(at + bytes)].to_vec();
                body.splice(at..at, piece);
            }
            Damage::Length(at, length) => {
                let at = at.index(len);
                for (byte, value) in body[at..].iter_mut().zip(length.to_le_bytes()) {
                    *byte = value;
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: ProptestConfig::default().cases.max(512), ..ProptestConfig::default() })]

    #[test]
    fn damaged_frames_are_refused_or_read_within_bounds(
        which in any::<Index>(), near_the_front in any::<bool>(), damages in vec(damage(), 1..5),
    ) {
        let sound = which.get(&SOUND);
        let mut body = sound[61..].to_vec();
        // Headers of frames lie in front: half of the cases damage only the first bytes.
        let mut rest = if near_the_front && body.len() > 40 { body.split_off(40) } else { Vec::new() };
        for damage in &damages {
            damage.apply(&mut body);
        }
        body.append(&mut rest);
        let mut bytes = sound[..61].to_vec();
        bytes.extend_from_slice(&body);
        let length = i32::try_from(bytes.len() - 12).expect("small");
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        sign(&mut bytes);
        let Ok(batch) = Batch::check(&bytes) else { return Ok(()) };

        let limits = Limits { bytes_max: 2 << 20, ratio_max: 500 };
        let allowed = limits.output_bytes_max(batch.body().len());
        let mut scratch = Vec::new();
        let mut decompressor = Decompressor::new();
        let mut wholes = 0;
        let mut defects = 0;
        if let Ok(records) = Records::of(&batch, &mut scratch, &mut decompressor, limits) {
            for record in records {
                match record {
                    Ok(record) => {
                        wholes += 1;
                        prop_assert!(record.offset >= batch.header().base_offset());
                        prop_assert!(record.offset <= batch.header().last_offset());
                        prop_assert_eq!(record.headers().count(), record.headers().len());
                    }
                    Err(_) => defects += 1,
                }
            }
            prop_assert!(defects <= 1);
            prop_assert!(defects == 1 || wholes == batch.header().record_count());
        }
        prop_assert!(scratch.capacity() <= allowed, "{} of {allowed}", scratch.capacity());

        // The decoder's state is sound for the next batch, whatever the last one was.
        if let Some(next) = SOUND.iter().find(|next| next[22] & 7 == sound[22] & 7) {
            let next = Batch::check(next).expect("sound");
            prop_assert!(Records::of(&next, &mut scratch, &mut decompressor, Limits::default()).is_ok());
        }
    }
}
