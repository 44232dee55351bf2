//! What the builder writes is what the reader reads, whatever the codec, and nothing else passes
//! for a batch.

use highwater_record::compression::{Codec, Compression, Compressor, Decompressor, Limits};
use highwater_record::{
    Batch, BatchBuilder, Defect, HEADER_BYTES, Header, HeaderField, Headers, LeaderEpoch, Offset,
    OwnedBatch, Producer, Records, TimestampType, batch, batches, header,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// A record that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owned {
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Owned {
    fn append_to(&self, builder: &mut BatchBuilder) {
        let headers: Vec<_> = self.fields().collect();
        let before = builder.len();
        let expected = builder.len_with(
            self.timestamp_ms,
            self.key.as_deref(),
            self.value.as_deref(),
            &headers,
        );
        let bytes = builder
            .append(
                self.timestamp_ms,
                self.key.as_deref(),
                self.value.as_deref(),
                &headers,
            )
            .expect("small");
        assert_eq!(builder.len(), expected, "the size told before the append");
        assert_eq!(before + bytes, expected, "the size told by the append");
    }

    fn fields(&self) -> impl Iterator<Item = HeaderField<'_>> {
        self.headers
            .iter()
            .map(|(key, value)| HeaderField::new(key, value.as_deref()))
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => vec(any::<u8>(), 0..80),
        1 => (any::<u8>(), 0usize..20_000).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

fn timestamp() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 1_700_000_000_000i64..1_700_000_100_000, 1 => 0i64..=i64::MAX, 1 => Just(-1)]
}

fn record() -> impl Strategy<Value = Owned> {
    (
        timestamp(),
        proptest::option::of(bytes()),
        proptest::option::of(bytes()),
        vec((".{0,8}", proptest::option::of(bytes())), 0..4),
    )
        .prop_map(|(timestamp_ms, key, value, headers)| Owned {
            timestamp_ms,
            key,
            value,
            headers,
        })
}

fn compression() -> impl Strategy<Value = Compression> {
    proptest::sample::select(
        [
            "none", "gzip", "gzip:1", "gzip:9", "snappy", "lz4", "zstd", "zstd:-5", "zstd:19",
        ]
        .map(|text| text.parse::<Compression>().expect("known"))
        .to_vec(),
    )
}

fn producer() -> impl Strategy<Value = Producer> {
    prop_oneof![
        Just(Producer::NONE),
        (0i64.., 0i16.., 0i32..).prop_map(|(id, epoch, base_sequence)| Producer {
            id,
            epoch,
            base_sequence
        }),
    ]
}

fn build(records: &[Owned], compression: Compression, producer: Producer) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.set_producer(producer);
    for record in records {
        record.append_to(&mut builder);
    }
    let mut out = Vec::new();
    let bytes = builder
        .finish(&mut Compressor::new(), &compression, &mut out)
        .expect("memory");
    assert_eq!(bytes, out.len());
    out
}

fn read(batch: &Batch<'_>) -> Vec<(i64, Owned)> {
    let mut scratch = Vec::new();
    Records::of(
        batch,
        &mut scratch,
        &mut Decompressor::new(),
        Limits::default(),
    )
    .expect("decompresses")
    .map(|record| {
        let record = record.expect("whole");
        let headers = record
            .headers()
            .map(|header| {
                let key = header.key_str().expect("made of text").to_owned();
                (key, header.value.map(<[u8]>::to_vec))
            })
            .collect();
        let owned = Owned {
            timestamp_ms: record.timestamp_ms,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers,
        };
        (record.offset.get(), owned)
    })
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_is_what_is_read(
        records in vec(record(), 1..30), compression in compression(), producer in producer(), base in 0i64..1 << 60,
    ) {
        let bytes = build(&records, compression, producer);
        let batch = Batch::check(&bytes).expect("a batch");
        prop_assert_eq!(batch.len(), bytes.len());
        prop_assert_eq!(batch.header().attributes().codec(), Ok(compression.codec()));
        prop_assert!(batch.header().is_contiguous());
        prop_assert_eq!(batch.header().producer_id(), producer.id);
        prop_assert_eq!(batch.header().producer_epoch(), producer.epoch);
        prop_assert_eq!(batch.header().base_sequence(), producer.base_sequence);
        prop_assert_eq!(batch.header().base_timestamp(), records[0].timestamp_ms);
        prop_assert_eq!(batch.header().max_timestamp(), records.iter().map(|r| r.timestamp_ms).max().expect("some"));

        let stamped = batch.stamp(Offset::new(base), LeaderEpoch::new(7));
        let written = stamped.parts().concat();
        prop_assert_eq!(stamped.len(), written.len());
        let again = Batch::check(&written).expect("the CRC does not cover what a stamp changes");
        prop_assert_eq!(again.header().leader_epoch(), LeaderEpoch::new(7));
        let expected: Vec<_> = (base..).zip(records.iter().cloned()).collect();
        prop_assert_eq!(read(&again), expected);
        prop_assert_eq!(again.header().last_offset().get(), base + i64::from(again.header().record_count()) - 1);
    }

    #[test]
    fn log_append_time_is_the_time_of_every_record(
        records in vec(record(), 1..10), compression in compression(), now_ms in 0i64..1 << 50,
    ) {
        let bytes = build(&records, compression, Producer::NONE);
        let batch = Batch::check(&bytes).expect("a batch");
        let written = batch.stamp_log_append_time(Offset::new(5), LeaderEpoch::ZERO, now_ms).parts().concat();
        let again = Batch::check(&written).expect("with a new CRC");
        prop_assert_eq!(again.header().attributes().timestamp_type(), TimestampType::LogAppend);
        prop_assert_eq!(again.header().max_timestamp(), now_ms);
        prop_assert!(read(&again).iter().all(|(_, record)| record.timestamp_ms == now_ms));
    }

    #[test]
    fn a_batch_can_be_given_another_producer(
        records in vec(record(), 1..10), compression in compression(), first in producer(), second in producer(),
    ) {
        let mut bytes = build(&records, compression, first);
        batch::assign_producer(&mut bytes, second).expect("a batch");
        prop_assert_eq!(&bytes, &build(&records, compression, second));
        prop_assert!(Batch::check(&bytes).is_ok());
    }

    #[test]
    fn any_flipped_bit_is_found(
        records in vec(record(), 1..6), compression in compression(), at in any::<proptest::sample::Index>(), bit in 0u8..8,
    ) {
        let mut bytes = build(&records, compression, Producer::NONE);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let outside_of_the_crc = at < 8 || (12..16).contains(&at);
        if outside_of_the_crc {
            // Base offset and leader epoch are the broker's, and rewritten: a flip shows, but
            // cannot be told from a value.
            let found = Batch::check(&bytes);
            prop_assert!(at == 0 && bit == 7 || found.is_ok());
            prop_assert!(at != 0 || bit != 7 || found.is_err());
        } else {
            prop_assert!(Batch::check(&bytes).is_err());
        }
    }

    #[test]
    fn any_cut_is_found_and_ends_the_walk(
        records in vec(record(), 1..6), compression in compression(), at in any::<proptest::sample::Index>(),
    ) {
        let first = build(&records, compression, Producer::NONE);
        let cut = at.index(first.len());
        let is_short = matches!(Batch::check(&first[..cut]), Err(Defect::TooShort { .. }));
        prop_assert!(is_short);
        let both = [first.as_slice(), &first[..cut]].concat();
        let mut walk = batches(&both);
        prop_assert!(walk.next().is_some_and(|batch| batch.is_ok()));
        prop_assert!(walk.next().is_none());
        prop_assert_eq!(walk.remainder(), &first[..cut]);
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_panic(bytes in vec(any::<u8>(), 0..300)) {
        prop_assert!(Batch::check(&bytes).is_err());
        prop_assert!(OwnedBatch::check(bytes.clone().into()).is_err());
        prop_assert_eq!(batches(&bytes).filter(Result::is_ok).count(), 0);
        if let Some(header) = Header::peek(&bytes) {
            // The getters answer for any bytes.
            let _ = (header.last_offset(), header.next_offset(), header.last_sequence(), header.batch_bytes());
            let _ = (header.check(), format!("{header:?}"));
        }
    }

    #[test]
    fn arbitrary_records_are_refused_or_read_without_panic(
        bytes in vec(prop_oneof![any::<u8>(), 0u8..16], 0..200), count in 0i32..10,
    ) {
        let mut builder = BatchBuilder::new();
        for _ in 0..count {
            builder.append(0, None, None, &[]).expect("small");
        }
        let mut batch = Vec::new();
        builder.finish(&mut Compressor::new(), &Compression::NONE, &mut batch).expect("memory");
        let header = Header::peek(&batch).expect("a header");
        let mut broken = 0;
        for record in Records::over(header, &bytes) {
            match record {
                Ok(record) => prop_assert_eq!(record.headers().count(), record.headers().len()),
                Err(_) => broken += 1,
            }
        }
        prop_assert!(broken <= 1, "nothing comes after a defect");
    }

    /// A batch whose CRC holds, and whose body is anything: what a hostile producer can put into a
    /// log.
    #[test]
    fn a_hostile_body_is_refused_or_read_without_panic(
        body in vec(any::<u8>(), 0..200), codec in 0u8..5, count in 0i32..10, records in vec(record(), 1..4),
        at in any::<proptest::sample::Index>(),
    ) {
        let codec = Codec::from_id(codec).expect("there are five");
        let mut bodies = vec![body];
        // A sound body with one byte changed comes further than noise does.
        let mut sound = build(&records, Compression::of(codec), Producer::NONE).split_off(HEADER_BYTES);
        let at = at.index(sound.len());
        sound[at] = sound[at].wrapping_add(1);
        bodies.push(sound);
        for body in bodies {
            let mut builder = BatchBuilder::new();
            for _ in 0..count {
                builder.append(0, None, None, &[]).expect("small");
            }
            let mut bytes = Vec::new();
            builder.finish(&mut Compressor::new(), &Compression::NONE, &mut bytes).expect("memory");
            bytes.truncate(HEADER_BYTES);
            bytes.extend_from_slice(&body);
            let length = i32::try_from(bytes.len() - 12).expect("small");
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[22] = codec.id();
            let crc = highwater_record::crc::crc32c(&bytes[21..]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
            let Ok(batch) = Batch::check(&bytes) else { continue };
            let mut scratch = Vec::new();
            if let Ok(records) = Records::of(&batch, &mut scratch, &mut Decompressor::new(), Limits::default()) {
                prop_assert!(records.filter(Result::is_err).count() <= 1);
            }
        }
    }
}

#[test]
fn a_builder_without_codec_hands_over_its_memory() {
    let mut builder = BatchBuilder::with_capacity(4096);
    builder
        .append(1, Some(b"k"), Some(b"v"), &[])
        .expect("small");
    let mut out = Vec::with_capacity(8192);
    builder
        .finish(&mut Compressor::new(), &Compression::NONE, &mut out)
        .expect("memory");
    assert_eq!(out.capacity(), 4096);
    let mut second = out.clone();
    builder
        .append(1, Some(b"k"), Some(b"v"), &[])
        .expect("small");
    builder
        .finish(&mut Compressor::new(), &Compression::NONE, &mut second)
        .expect("memory");
    assert_eq!(
        second,
        [out.as_slice(), &out].concat(),
        "a reused builder writes the same"
    );
}

#[test]
fn a_sequence_wraps_to_zero() {
    assert_eq!(header::sequence_after(i32::MAX, 1), 0);
    assert_eq!(header::sequence_after(i32::MAX - 1, 3), 1);
    assert_eq!(header::sequence_after(5, 0), 5);
    let mut builder = BatchBuilder::new();
    builder.set_producer(Producer {
        id: 1,
        epoch: 0,
        base_sequence: i32::MAX,
    });
    for _ in 0..3 {
        builder.append(0, None, None, &[]).expect("small");
    }
    let mut out = Vec::new();
    builder
        .finish(&mut Compressor::new(), &Compression::NONE, &mut out)
        .expect("memory");
    assert_eq!(Header::peek(&out).expect("a header").last_sequence(), 1);
}

#[test]
fn a_lying_header_is_refused_by_the_count() {
    let mut bytes = build(
        &[Owned {
            timestamp_ms: 0,
            key: None,
            value: None,
            headers: Vec::new(),
        }],
        Compression::NONE,
        Producer::NONE,
    );
    let sound = bytes.clone();
    let mut claim = |count: i32, last_offset_delta: i32| {
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        bytes[23..27].copy_from_slice(&last_offset_delta.to_be_bytes());
        let crc = highwater_record::crc::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        Batch::check(&bytes).map(|batch| batch.header().record_count())
    };
    assert!(matches!(
        claim(-1, 0),
        Err(Defect::Count { records: -1, .. })
    ));
    assert!(matches!(claim(2, 0), Err(Defect::Count { records: 2, .. })));
    assert!(matches!(
        claim(1, -1),
        Err(Defect::Count {
            last_offset_delta: -1,
            ..
        })
    ));
    assert!(matches!(
        claim(1000, 1000),
        Err(Defect::Count { records: 1000, .. })
    ));
    // What compaction leaves: offsets without records.
    assert_eq!(claim(1, 9), Ok(1));
    assert_eq!(claim(0, 9), Ok(0));
    assert_eq!(
        Batch::check(&sound).map(|batch| batch.header().record_count()),
        Ok(1)
    );
}

#[test]
fn headers_are_read_again_from_their_parts() {
    let mut builder = BatchBuilder::new();
    let headers = [
        HeaderField::new("a", Some(b"1")),
        HeaderField::new("b", None),
    ];
    builder.append(0, None, Some(b"v"), &headers).unwrap();
    let mut bytes = Vec::new();
    builder
        .finish(&mut Compressor::new(), &Compression::NONE, &mut bytes)
        .unwrap();
    let batch = Batch::check(&bytes).unwrap();
    let record = Records::over(batch.header(), batch.body())
        .next()
        .unwrap()
        .unwrap();
    let (part, count) = record.headers().parts();
    assert!(Headers::over(part, count).eq(headers));
    assert_eq!(
        Headers::over(part, 9).count(),
        2,
        "what is no header ends it"
    );
}
