//! The same log cleaned by us and by Apache Kafka's own cleaner: what is left must be the same, batch by batch and record by
//! record.
//!
//! `KAFKA_LIBS=<directory with Kafka's jars> cargo test -p highwater-partition --test kafka_cleaner -- --ignored --nocapture`
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a test with small numbers"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use highwater_log::compaction::{MapLimits, Pace, Workshop};
use highwater_log::{Fence, Log, Opening};
use highwater_partition::{Config, Durability, Host, Partition};
use highwater_reactor::{Options, Reactor};
use highwater_record::control::{ControlRecord, EndTxnMarker, Outcome};
use highwater_record::{
    Batch, BatchBuilder, Codec, Compression, Compressor, Decompressor, HeaderField, LeaderEpoch,
    Limits, Offset, Producer, Records, TimestampType, batches,
};
use uuid::Uuid;

const SEGMENT_BYTES: u32 = 40_000;
const CODECS: [Codec; 5] = [
    Codec::None,
    Codec::Gzip,
    Codec::Snappy,
    Codec::Lz4,
    Codec::Zstd,
];
/// Ids of producers in transactions; those below are idempotent only.
const TRANSACTIONAL: i64 = 100;

fn config() -> Config {
    Config {
        log: highwater_log::Config {
            segment_bytes: SEGMENT_BYTES,
            index_interval_bytes: 1000,
            compact: true,
            delete: false,
            delete_retention_ms: 0,
            file_delete_delay_ms: 0,
            ..highwater_log::Config::default()
        },
        durability: Durability::Written,
        ..Config::default()
    }
}

/// A small generator of the same numbers each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Writes a log with every kind of batch there is.
struct Writer {
    log: Log,
    chance: Chance,
    compressor: Compressor,
    now_ms: i64,
    epoch: i32,
    sequences: BTreeMap<i64, i32>,
    open: BTreeMap<i64, u64>,
}

impl Writer {
    fn put(&mut self, mut builder: BatchBuilder, codec: Codec) {
        let mut bytes = Vec::new();
        builder.set_place(Offset::ZERO, LeaderEpoch::NONE);
        builder
            .finish(&mut self.compressor, &Compression::of(codec), &mut bytes)
            .expect("made");
        let batch = Batch::check(&bytes).expect("sound");
        let (base, epoch) = (self.log.end_offset(), LeaderEpoch::new(self.epoch));
        let stamps =
            batch.header().has_producer_id().then_some(()).is_none() && self.chance.below(5) == 0;
        let stamped = if stamps {
            batch.stamp_log_append_time(base, epoch, self.now_ms)
        } else {
            batch.stamp(base, epoch)
        };
        self.log.append(self.now_ms, &stamped).expect("appended");
    }

    fn records(&mut self, producer_id: Option<i64>) {
        let mut builder = BatchBuilder::new();
        let count = 1 + self.chance.below(12) as i32;
        for at in 0..count {
            // A few keys come often, many seldom.
            let key = match self.chance.below(3) {
                0 => self.chance.below(6),
                _ => self.chance.below(700),
            };
            let key = format!("key-{key}");
            let value = vec![b'a' + (self.chance.below(26) as u8); self.chance.below(400) as usize];
            let value = (self.chance.below(8) > 0).then_some(&value[..]);
            let trace = self.chance.below(1000).to_string();
            let headers = [
                HeaderField::new("trace", Some(trace.as_bytes())),
                HeaderField::new("none", None),
            ];
            let headers = &headers[..self.chance.below(3) as usize];
            let timestamp_ms = self.now_ms - self.chance.below(5_000) as i64 + i64::from(at);
            builder
                .append(timestamp_ms, Some(key.as_bytes()), value, headers)
                .expect("small");
        }
        if let Some(id) = producer_id {
            let base_sequence = self.sequences.get(&id).copied().unwrap_or(0);
            self.sequences.insert(id, base_sequence + count);
            builder.set_producer(Producer {
                id,
                epoch: 0,
                base_sequence,
            });
            builder.set_transactional(id >= TRANSACTIONAL);
        }
        let codec = CODECS[self.chance.below(5) as usize];
        self.put(builder, codec);
    }

    fn end_transaction(&mut self, id: i64) {
        let outcome = if self.chance.below(2) == 0 {
            Outcome::Abort
        } else {
            Outcome::Commit
        };
        let marker = ControlRecord::EndTxn(EndTxnMarker {
            outcome,
            coordinator_epoch: 3,
        });
        let mut builder = BatchBuilder::new();
        builder.append_control(self.now_ms, &marker).expect("small");
        builder.set_transactional(true);
        builder.set_producer(Producer {
            id,
            epoch: 0,
            base_sequence: -1,
        });
        self.put(builder, Codec::None);
    }

    fn step(&mut self) {
        self.now_ms += 7;
        match self.chance.below(20) {
            0..9 => self.records(None),
            9..13 => {
                let id = 1 + self.chance.below(4) as i64;
                self.records(Some(id));
            }
            13..18 => {
                let id = TRANSACTIONAL + self.chance.below(5) as i64;
                self.records(Some(id));
                *self.open.entry(id).or_default() += 1;
            }
            _ => {
                let id = TRANSACTIONAL + self.chance.below(5) as i64;
                if self.open.remove(&id).is_some() {
                    self.end_transaction(id);
                }
            }
        }
    }
}

async fn close(reactor: &Reactor, mut log: Log) {
    while {
        let ticket = log.close().expect("closed");
        let outcome = ticket.sync(reactor).await;
        log.synced(&ticket, outcome).expect("synced");
        log.durable_offset() < log.end_offset()
    } {}
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("listed") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

fn java(libs: &str, arguments: &[&str]) -> String {
    let output = Command::new("java")
        .args(["-cp", &format!("{libs}/*")])
        .args(arguments)
        .output()
        .expect("java runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}{errors}");
    text
}

fn kafka(libs: &str, dir: &Path, what: &str) -> String {
    let program = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tools/compat/cleaner/Clean.java"
    );
    let bytes = SEGMENT_BYTES.to_string();
    java(
        libs,
        &[program, dir.to_str().expect("text"), &bytes, "0", what],
    )
}

/// Cleans as the broker would, everything below the active segment.
async fn ours(reactor: &Reactor, dir: &Path, first_dirty: i64) -> String {
    let host = Host::new(reactor.clone(), Fence::new());
    let end = Offset::new(end_of(dir));
    let opening = Opening {
        recovery_point: end,
        log_start: Offset::ZERO,
        clean: true,
        topic_id: None,
    };
    let epoch = LeaderEpoch::new(1);
    let (partition, recovered) =
        Partition::open(&host, dir.to_path_buf(), epoch, config(), opening)
            .await
            .expect("opened");
    assert_eq!(recovered.log.segments_scanned, 0, "{recovered:?}");
    partition.set_cleaned_offset(Offset::new(first_dirty));
    let mut workshop = Workshop::new(256 << 10, MapLimits::default());
    let dirt = partition.dirt().expect("compacted");
    let cleaned = partition
        .compact(&mut workshop, &dirt, Pace::default())
        .await
        .expect("no fault")
        .expect("cleaned");
    partition.close().await.expect("closed");
    format!("{cleaned:?}")
}

/// A batch as a reader sees it, with its records.
#[derive(Debug, PartialEq)]
struct Seen {
    offsets: (i64, i64),
    leader_epoch: i32,
    codec: Option<Codec>,
    timestamp_type: TimestampType,
    flags: (bool, bool, bool),
    max_timestamp_ms: i64,
    producer: (i64, i16, i32),
    records: Vec<Row>,
}

type Row = (
    i64,
    i64,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Vec<(Vec<u8>, Option<Vec<u8>>)>,
);

fn named(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("listed");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_str().is_some_and(|path| path.ends_with(suffix)))
        .collect();
    paths.sort();
    paths
}

fn end_of(dir: &Path) -> i64 {
    let last = named(dir, ".log").pop().expect("a segment");
    let bytes = fs::read(&last).expect("readable");
    let end = batches(&bytes).last();
    match end {
        Some(batch) => batch.expect("sound").header().next_offset().get(),
        None => last
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse().ok())
            .expect("a number"),
    }
}

fn seen(dir: &Path) -> Vec<Seen> {
    let mut all = Vec::new();
    for path in named(dir, ".log") {
        let bytes = fs::read(path).expect("readable");
        for batch in batches(&bytes) {
            let batch = batch.expect("sound");
            let (header, mut plain) = (batch.header(), Vec::new());
            let attributes = header.attributes();
            let records = Records::of(
                &batch,
                &mut plain,
                &mut Decompressor::new(),
                Limits::default(),
            );
            let row = |record: Result<highwater_record::Record<'_>, _>| {
                let record: highwater_record::Record<'_> = record
                    .map_err(|defect: highwater_record::Defect| defect)
                    .expect("sound");
                let headers = record.headers();
                let headers = headers
                    .map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec)))
                    .collect();
                (
                    record.offset.get(),
                    record.timestamp_ms,
                    record.key.map(<[u8]>::to_vec),
                    record.value.map(<[u8]>::to_vec),
                    headers,
                )
            };
            all.push(Seen {
                offsets: (header.base_offset().get(), header.last_offset().get()),
                leader_epoch: header.leader_epoch().get(),
                codec: attributes.codec().ok(),
                timestamp_type: attributes.timestamp_type(),
                flags: (
                    attributes.is_transactional(),
                    attributes.is_control(),
                    attributes.has_delete_horizon(),
                ),
                max_timestamp_ms: header.max_timestamp(),
                producer: (
                    header.producer_id(),
                    header.producer_epoch(),
                    header.base_sequence(),
                ),
                records: records.expect("decompresses").map(row).collect(),
            });
        }
    }
    all
}

/// What the indexes of aborted transactions say, whatever segment they lie in.
fn aborted(dir: &Path) -> Vec<Vec<u8>> {
    let files = named(dir, ".txnindex").into_iter();
    let bytes: Vec<u8> = files
        .flat_map(|path| fs::read(path).expect("readable"))
        .collect();
    bytes.chunks(34).map(<[u8]>::to_vec).collect()
}

fn dump(libs: &str, dir: &Path) {
    let list = |suffix| {
        let paths = named(dir, suffix);
        let paths: Vec<&str> = paths.iter().filter_map(|path| path.to_str()).collect();
        paths.join(",")
    };
    for (suffix, flag) in [
        (".log", "--deep-iteration"),
        (".index", "--verify-index-only"),
        (".timeindex", "--verify-index-only"),
        (".index", "--index-sanity-check"),
        (".timeindex", "--index-sanity-check"),
    ] {
        let text = java(
            libs,
            &[
                "kafka.tools.DumpLogSegments",
                flag,
                "--files",
                &list(suffix),
            ],
        );
        for complaint in [
            "Exception",
            "isvalid: false",
            "Mismatches",
            "not found",
            "Found timestamp mismatch",
        ] {
            assert!(!text.contains(complaint), "{complaint}:\n{text}");
        }
    }
}

async fn compare(reactor: Reactor) {
    let libs = std::env::var("KAFKA_LIBS").expect("KAFKA_LIBS names the directory of Kafka's jars");
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let input = scratch.path().join("input/orders-0");
    fs::create_dir_all(input.parent().expect("it has one")).expect("made");
    let log = Log::create(
        &reactor,
        &Fence::new(),
        input.clone(),
        Uuid::from_u128(7),
        config().log,
    );
    let mut writer = Writer {
        log: log.expect("made"),
        chance: Chance(20_261_120),
        compressor: Compressor::new(),
        now_ms: reactor.unix_ms() - 600_000,
        epoch: 0,
        sequences: BTreeMap::new(),
        open: BTreeMap::new(),
    };
    for step in 0..2_000 {
        writer.epoch = i32::from(step >= 1_000);
        writer.step();
    }
    for id in std::mem::take(&mut writer.open).into_keys() {
        writer.end_transaction(id);
    }
    let end = writer.log.end_offset().get();
    close(&reactor, writer.log).await;
    // Snapshots of producers and indexes of aborted transactions are Kafka's to make.
    kafka(&libs, &input, "open");
    let (here, there) = (
        scratch.path().join("ours/orders-0"),
        scratch.path().join("theirs/orders-0"),
    );
    copy(&input, &here);
    copy(&input, &there);
    let before = seen(&here);
    println!(
        "{} batches, {end} offsets, {} segments, {} aborted transactions",
        before.len(),
        named(&here, ".log").len(),
        aborted(&here).len()
    );
    // Half of it first, then all again and again: tombstones and markers get their term, and go.
    for (round, first_dirty) in [end / 2, 0, 0, 0].into_iter().enumerate() {
        println!("ours    {}", ours(&reactor, &here, first_dirty).await);
        let said = kafka(&libs, &there, &first_dirty.to_string());
        println!("theirs  {}", said.trim());
        let (we, they) = (seen(&here), seen(&there));
        let records = |seen: &[Seen]| seen.iter().map(|batch| batch.records.len()).sum::<usize>();
        println!(
            "round {round}: {} batches of {} records left, {} empty, {} with a term",
            we.len(),
            records(&we),
            we.iter().filter(|batch| batch.records.is_empty()).count(),
            we.iter().filter(|batch| batch.flags.2).count(),
        );
        for (we, they) in we.iter().zip(&they) {
            assert_eq!(we, they, "round {round}");
        }
        assert_eq!(we.len(), they.len(), "round {round}");
        assert_eq!(aborted(&here), aborted(&there), "round {round}");
        dump(&libs, &here);
    }
}

#[test]
#[ignore = "needs Java and Kafka's jars, in KAFKA_LIBS"]
fn what_is_left_is_what_kafkas_own_cleaner_leaves() {
    let options = Options {
        shards: 1,
        pin: false,
        ..Options::default()
    };
    highwater_reactor::run(options, compare)
        .expect("started")
        .join()
        .expect("the same");
}
