//! Batches written by Kafka's own builders are read as they were meant, and written again byte for
//! byte. `golden/README.md` says where they come from.

use std::fs;
use std::path::{Path, PathBuf};

use highwater_record::control::{
    ControlRecord, EndTxnMarker, Endpoint, KRaftVoter, LeaderChange, Outcome, QuorumVoter,
    SnapshotHeader, VersionRange,
};
use highwater_record::{
    Batch, BatchBuilder, Codec, Compression, Compressor, Decompressor, HeaderField, LeaderEpoch,
    Limits, Offset, Producer, Record, Records, TimestampType, batches, crc,
};
use serde_json::Value;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// One line of golden.json, with its file.
struct Golden {
    name: String,
    bytes: Vec<u8>,
    told: Value,
}

impl Golden {
    fn all() -> Vec<Golden> {
        let text = fs::read_to_string(directory().join("golden.json")).expect("is in the tree");
        let index: Value = serde_json::from_str(&text).expect("json");
        let cases: Vec<_> = index["batches"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|told| {
                let name = told["file"].as_str().expect("a name").to_owned();
                let bytes = fs::read(directory().join(&name)).expect("is in the tree");
                Golden {
                    name,
                    bytes,
                    told: told.clone(),
                }
            })
            .collect();
        assert_eq!(cases.len(), 28, "a case was lost");
        cases
    }

    fn named(name: &str) -> Golden {
        Golden::all()
            .into_iter()
            .find(|golden| golden.name == name)
            .expect("there is one")
    }

    fn number(&self, field: &str) -> i64 {
        self.told[field].as_i64().expect(field)
    }

    fn flag(&self, field: &str) -> bool {
        self.told[field].as_bool().expect(field)
    }

    fn codec(&self) -> Codec {
        self.told["codec"]
            .as_str()
            .expect("a name")
            .parse()
            .expect("known")
    }

    fn is_appended(&self) -> bool {
        self.told["timestampType"] == "LogAppendTime"
    }

    fn batch(&self) -> Batch<'_> {
        Batch::check(&self.bytes).unwrap_or_else(|defect| panic!("{}: {defect}", self.name))
    }

    fn records(&self) -> &[Value] {
        self.told["records"].as_array().expect("a list")
    }
}

/// Bytes stand in hexadecimal; those of a long value as the length of a pattern.
fn bytes(told: &Value) -> Option<Vec<u8>> {
    if told.is_null() {
        return None;
    }
    if let Some(length) = told.as_u64() {
        return Some(
            (0..length)
                .map(|n| ((n * 31) >> 3).to_le_bytes()[0])
                .collect(),
        );
    }
    let text = told.as_str().expect("hexadecimal");
    let byte = |n: usize| u8::from_str_radix(&text[n..n + 2], 16).expect("hexadecimal");
    Some((0..text.len()).step_by(2).map(byte).collect())
}

fn headers(told: &Value) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let list = told["headers"].as_array().expect("a list");
    list.iter()
        .map(|field| (bytes(&field["key"]).expect("a key"), bytes(&field["value"])))
        .collect()
}

#[test]
fn headers_are_read_as_kafka_reads_them() {
    for golden in Golden::all() {
        let batch = golden.batch();
        let header = batch.header();
        let name = &golden.name;
        assert_eq!(
            batch.len() as u64,
            golden.number("bytes").cast_unsigned(),
            "{name}"
        );
        assert_eq!(
            header.base_offset().get(),
            golden.number("baseOffset"),
            "{name}"
        );
        assert_eq!(
            header.last_offset().get(),
            golden.number("lastOffset"),
            "{name}"
        );
        assert_eq!(
            i64::from(header.leader_epoch().get()),
            golden.number("leaderEpoch"),
            "{name}"
        );
        assert_eq!(
            header.max_timestamp(),
            golden.number("maxTimestamp"),
            "{name}"
        );
        assert_eq!(header.producer_id(), golden.number("producerId"), "{name}");
        assert_eq!(
            i64::from(header.producer_epoch()),
            golden.number("producerEpoch"),
            "{name}"
        );
        assert_eq!(
            i64::from(header.base_sequence()),
            golden.number("baseSequence"),
            "{name}"
        );
        assert_eq!(
            i64::from(header.last_sequence()),
            golden.number("lastSequence"),
            "{name}"
        );
        assert_eq!(
            i64::from(header.record_count()),
            golden.number("recordCount"),
            "{name}"
        );
        assert_eq!(i64::from(header.crc()), golden.number("crc"), "{name}");
        assert_eq!(
            header.delete_horizon_ms(),
            golden.told["deleteHorizonMs"].as_i64(),
            "{name}"
        );
        let attributes = header.attributes();
        assert_eq!(attributes.codec(), Ok(golden.codec()), "{name}");
        assert_eq!(
            attributes.is_transactional(),
            golden.flag("transactional"),
            "{name}"
        );
        assert_eq!(attributes.is_control(), golden.flag("control"), "{name}");
        assert_eq!(
            attributes.timestamp_type() == TimestampType::LogAppend,
            golden.is_appended(),
            "{name}"
        );
        assert_eq!(
            header.is_contiguous(),
            golden.flag("builtInOrder"),
            "{name}"
        );
    }
}

#[test]
fn records_are_read_as_kafka_wrote_them() {
    let (mut scratch, mut decompressor) = (Vec::new(), Decompressor::new());
    for golden in Golden::all() {
        let batch = golden.batch();
        let records = Records::of(&batch, &mut scratch, &mut decompressor, Limits::default());
        let mut told = golden.records().iter();
        for record in records.expect("sound") {
            let record: Record<'_> =
                record.unwrap_or_else(|defect| panic!("{}: {defect}", golden.name));
            let told = told.next().expect("no more than told");
            let name = format!("{} at {}", golden.name, record.offset);
            assert_eq!(
                record.offset.get(),
                told["offset"].as_i64().expect("a number"),
                "{name}"
            );
            let time = if golden.is_appended() {
                &golden.told["logAppendTime"]
            } else {
                &told["timestamp"]
            };
            assert_eq!(Some(record.timestamp_ms), time.as_i64(), "{name}");
            assert_eq!(record.key, bytes(&told["key"]).as_deref(), "{name}");
            assert_eq!(record.value, bytes(&told["value"]).as_deref(), "{name}");
            let found: Vec<_> = record
                .headers()
                .map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec)))
                .collect();
            assert_eq!(found, headers(told), "{name}");
        }
        assert!(
            told.next().is_none(),
            "{}: records are missing",
            golden.name
        );
    }
}

/// The same batch by our builder.
fn rebuild(golden: &Golden, compression: &Compression) -> Vec<u8> {
    let header = *golden.batch().header();
    let mut builder = BatchBuilder::new();
    builder.set_place(header.base_offset(), header.leader_epoch());
    builder.set_producer(Producer {
        id: header.producer_id(),
        epoch: header.producer_epoch(),
        base_sequence: header.base_sequence(),
    });
    builder.set_transactional(golden.flag("transactional"));
    builder.set_control(golden.flag("control"));
    if golden.is_appended() {
        builder.set_log_append_time(golden.number("logAppendTime"));
    }
    for told in golden.records() {
        let fields = headers(told);
        let fields: Vec<_> = fields
            .iter()
            .map(|(key, value)| HeaderField {
                key,
                value: value.as_deref(),
            })
            .collect();
        let time = told["timestamp"].as_i64().expect("a number");
        let (key, value) = (bytes(&told["key"]), bytes(&told["value"]));
        builder
            .append(time, key.as_deref(), value.as_deref(), &fields)
            .expect("small");
    }
    let mut out = Vec::new();
    builder
        .finish(&mut Compressor::new(), compression, &mut out)
        .expect("memory");
    out
}

#[test]
fn what_kafka_wrote_is_written_again_byte_for_byte() {
    let mut compared = 0;
    for golden in Golden::all() {
        if golden.codec() == Codec::None && golden.flag("builtInOrder") {
            assert!(
                rebuild(&golden, &Compression::NONE) == golden.bytes,
                "{}",
                golden.name
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 16);
}

#[test]
fn a_batch_is_compacted_as_kafkas_cleaner_does() {
    // The three records of `compacted` in GoldenBatches.java, of which the cleaner kept two, and
    // none.
    let mut builder = BatchBuilder::new();
    builder.set_place(Offset::new(20), LeaderEpoch::new(5));
    builder.set_producer(Producer {
        id: 77,
        epoch: 4,
        base_sequence: 8,
    });
    let (old, kept) = (Some(&b"old"[..]), Some(&b"kept"[..]));
    for (time, key, value) in [(1000, b"a", old), (1001, b"b", None), (1002, b"c", kept)] {
        builder.append(time, Some(key), value, &[]).expect("small");
    }
    let (mut compressor, mut whole) = (Compressor::new(), Vec::new());
    builder
        .finish(&mut compressor, &Compression::NONE, &mut whole)
        .expect("memory");
    let batch = Batch::check(&whole).expect("a batch");
    for (name, keep) in [
        ("compacted-horizon.none.bin", true),
        ("compacted-empty.none.bin", false),
    ] {
        builder.take_over(batch.header());
        if keep {
            builder.set_delete_horizon(5000 + 60_000);
        }
        for record in Records::over(batch.header(), batch.body())
            .filter(|_| keep)
            .skip(1)
        {
            let record = record.expect("whole");
            let delta = i32::try_from(record.offset.get() - 20).expect("small");
            builder
                .append_at(delta, record.timestamp_ms, record.key, record.value, &[])
                .expect("small");
        }
        let mut out = Vec::new();
        builder
            .finish(&mut compressor, &Compression::NONE, &mut out)
            .expect("memory");
        assert_eq!(out, Golden::named(name).bytes, "{name}");
    }

    // And with records gone from the middle and from the end.
    let golden = Golden::named("gaps.none.bin");
    let batch = golden.batch();
    builder.take_over(batch.header());
    for record in Records::over(batch.header(), batch.body()) {
        let record = record.expect("whole");
        let delta = i32::try_from(record.offset.get() - 10).expect("small");
        builder
            .append_at(delta, record.timestamp_ms, record.key, record.value, &[])
            .expect("small");
    }
    let mut out = Vec::new();
    builder
        .finish(&mut compressor, &Compression::NONE, &mut out)
        .expect("memory");
    assert_eq!(out, golden.bytes);
}

#[test]
fn a_stamp_is_what_kafkas_broker_would_have_written() {
    // The same two records, once from a producer and then stamped, once written by Kafka with its
    // place and time.
    for codec in [Codec::None, Codec::Lz4] {
        let golden = Golden::named(&format!("appended.{codec}.bin"));
        let mut builder = BatchBuilder::new();
        for told in golden.records() {
            let time = told["timestamp"].as_i64().expect("a number");
            let (key, value) = (bytes(&told["key"]), bytes(&told["value"]));
            builder
                .append(time, key.as_deref(), value.as_deref(), &[])
                .expect("small");
        }
        let mut out = Vec::new();
        builder
            .finish(&mut Compressor::new(), &codec.into(), &mut out)
            .expect("memory");
        let batch = Batch::check(&out).expect("a batch");
        let stamped = batch.stamp_log_append_time(
            Offset::new(100),
            LeaderEpoch::new(3),
            golden.number("logAppendTime"),
        );
        let written = stamped.parts().concat();
        if codec == Codec::None {
            assert_eq!(written, golden.bytes);
        }
        assert_eq!(crc::crc32c(&written[21..]), stamped.header().crc());
    }
}

#[test]
fn control_records_are_read_and_written_as_kafka_does() {
    const DIRECTORY: [u8; 16] = [
        0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
        0x88,
    ];
    let voter = |id, directory_id| QuorumVoter { id, directory_id };
    let cases = [
        (
            "commit",
            ControlRecord::EndTxn(EndTxnMarker {
                outcome: Outcome::Commit,
                coordinator_epoch: 13,
            }),
        ),
        (
            "abort",
            ControlRecord::EndTxn(EndTxnMarker {
                outcome: Outcome::Abort,
                coordinator_epoch: 13,
            }),
        ),
        (
            "leader-change-0",
            ControlRecord::LeaderChange(LeaderChange {
                version: 0,
                leader_id: 3,
                voters: vec![voter(1, [0; 16]), voter(3, [0; 16])],
                granting_voters: vec![voter(3, [0; 16])],
            }),
        ),
        (
            "leader-change-1",
            ControlRecord::LeaderChange(LeaderChange {
                version: 1,
                leader_id: 3,
                voters: vec![voter(3, DIRECTORY)],
                granting_voters: Vec::new(),
            }),
        ),
        (
            "snapshot-header",
            ControlRecord::SnapshotHeader(SnapshotHeader {
                last_contained_log_timestamp: 1_699_999_999_999,
            }),
        ),
        ("snapshot-footer", ControlRecord::SnapshotFooter),
        ("kraft-version", ControlRecord::KRaftVersion(1)),
        (
            "voters",
            ControlRecord::KRaftVoters(vec![KRaftVoter {
                id: 3,
                directory_id: DIRECTORY,
                endpoints: vec![Endpoint {
                    name: "CONTROLLER".to_owned(),
                    host: "localhost".to_owned(),
                    port: 9093,
                }],
                kraft_version: VersionRange { min: 0, max: 1 },
            }]),
        ),
    ];
    for (name, expected) in cases {
        let golden = Golden::named(&format!("control-{name}.bin"));
        let batch = golden.batch();
        let mut records = Records::over(batch.header(), batch.body());
        let record = records.next().expect("one").expect("whole");
        assert_eq!(ControlRecord::of(&record), Ok(expected.clone()), "{name}");
        assert_eq!(record.value, Some(expected.value().as_slice()), "{name}");
        assert_eq!(record.key, Some(expected.kind().key().as_slice()), "{name}");

        let header = batch.header();
        let mut builder = BatchBuilder::new();
        builder.set_place(header.base_offset(), header.leader_epoch());
        builder.set_transactional(header.attributes().is_transactional());
        builder.set_producer(Producer {
            id: header.producer_id(),
            epoch: header.producer_epoch(),
            base_sequence: -1,
        });
        builder
            .append_control(1_700_000_000_000, &expected)
            .expect("small");
        let mut out = Vec::new();
        builder
            .finish(&mut Compressor::new(), &Compression::NONE, &mut out)
            .expect("memory");
        assert_eq!(out, golden.bytes, "{name}");
        // No cut of the value passes, nor panics.
        for cut in 0..expected.value().len() {
            let value = expected.value();
            let found = ControlRecord::parse(record.key, value.get(..cut));
            assert!(found.is_err(), "{name}");
        }
    }
}

#[test]
fn what_other_clients_compress_is_read() {
    let (mut scratch, mut decompressor) = (Vec::new(), Decompressor::new());
    for client in ["librdkafka", "kafka-python"] {
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let name = format!("{client}.{codec}.log");
            let segment = fs::read(directory().join(&name)).expect("is in the tree");
            let mut n = 0;
            let mut walk = batches(&segment);
            for batch in walk.by_ref() {
                let batch = batch.expect(&name);
                assert_eq!(batch.header().attributes().codec(), Ok(codec), "{name}");
                assert!(batch.header().is_contiguous(), "{name}");
                let records =
                    Records::of(&batch, &mut scratch, &mut decompressor, Limits::default());
                for record in records.expect(&name) {
                    let record = record.expect(&name);
                    let value = format!(
                        "{{\"n\":{n},\"text\":\"the same words again and again, and a number: {}\"}}",
                        n * n * 7919
                    );
                    assert_eq!(record.offset.get(), n, "{name}");
                    assert_eq!(record.timestamp_ms, 1_700_000_000_000 + n, "{name}");
                    assert_eq!(record.key, Some(n.to_string().as_bytes()), "{name}");
                    assert_eq!(record.value, Some(value.as_bytes()), "{name}");
                    let headers: Vec<_> = record.headers().collect();
                    let number = n.to_string();
                    assert_eq!(
                        headers,
                        [HeaderField::new("n", Some(number.as_bytes()))],
                        "{name}"
                    );
                    n += 1;
                }
            }
            assert_eq!(n, 40, "{name}");
            assert!(walk.remainder().is_empty(), "{name}");
        }
    }
}

/// Writes every case in our codecs, for Kafka's own reader: see golden/README.md.
#[test]
#[ignore = "writes files for another program; wants HIGHWATER_GOLDEN_OUT"]
fn write_batches_for_kafka_to_read() {
    let out = PathBuf::from(std::env::var_os("HIGHWATER_GOLDEN_OUT").expect("a directory"));
    fs::create_dir_all(&out).expect("writable");
    let levels = [
        "none", "gzip", "gzip:1", "gzip:9", "snappy", "lz4", "zstd", "zstd:-50", "zstd:1",
        "zstd:19", "zstd:22",
    ];
    for golden in Golden::all()
        .iter()
        .filter(|golden| golden.flag("builtInOrder"))
    {
        for text in levels {
            let compression: Compression = text.parse().expect("known");
            let (stem, _) = golden.name.split_once('.').expect("has an ending");
            let batch = rebuild(golden, &compression);
            fs::write(
                out.join(format!("{stem}.{}.bin", text.replace(':', "-"))),
                batch,
            )
            .expect("writable");
        }
    }
}
