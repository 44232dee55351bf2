//! A log directory that Apache Kafka wrote (`golden/README.md`): read by us, and written again by us, byte for byte.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::*;
use highwater_log::checkpoint::file;
use highwater_log::{Config, DataDir, Fence, Log, Opening};
use highwater_record::{Batch, Offset, batches};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/kafka-4.1")
}

/// A copy that may be written to.
fn copy(to: &Path) {
    fs::create_dir_all(to.join("golden-0")).expect("made");
    for dir in ["", "golden-0"] {
        for entry in fs::read_dir(golden().join(dir)).expect("it is there") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("known").is_file() {
                fs::copy(entry.path(), to.join(dir).join(entry.file_name())).expect("copied");
            }
        }
    }
    fs::rename(
        to.join("kafka_cleanshutdown"),
        to.join(".kafka_cleanshutdown"),
    )
    .expect("renamed");
}

fn config() -> Config {
    Config {
        segment_bytes: 6_000,
        index_interval_bytes: 300,
        retention_ms: -1,
        ..Config::default()
    }
}

fn expected_value(n: i64) -> Vec<u8> {
    format!("record {n} ")
        .repeat(1 + n as usize % 7)
        .into_bytes()
}

fn check_records(log: &Log) {
    for bytes_max in [1, 900, 7_000, 1 << 20] {
        let found = records(log, Offset::new(42), Offset::new(600), bytes_max);
        // The batch that holds the first offset is given whole.
        assert!(found.first().is_some_and(|(offset, _)| *offset <= 42));
        for (at, (offset, value)) in found
            .iter()
            .skip_while(|(offset, _)| *offset < 42)
            .enumerate()
        {
            assert_eq!(*offset, 42 + at as i64);
            assert_eq!(*value, expected_value(*offset));
        }
        assert_eq!(found.last().map(|(offset, _)| *offset), Some(599));
    }
}

fn check_times(log: &Log) {
    let text = fs::read_to_string(golden().join("expected.txt")).expect("it is there");
    let mut checked = 0;
    for line in text.lines() {
        let columns: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| columns[at].parse::<i64>().expect("a number");
        let answer = match columns[0] {
            "at" => log
                .offset_for_timestamp(number(1), log.end_offset())
                .expect("it can be read"),
            "max" => {
                let found = log
                    .max_timestamp(log.end_offset())
                    .expect("it can be read")
                    .expect("found");
                assert_eq!(
                    (found.timestamp_ms, found.offset.get()),
                    (number(1), number(2)),
                    "{line}"
                );
                continue;
            }
            "start" => {
                assert_eq!(log.start_offset().get(), number(1));
                continue;
            }
            "end" => {
                assert_eq!(log.end_offset().get(), number(1));
                continue;
            }
            other => panic!("{other}"),
        };
        let answer = answer.map_or((-1, -1), |found| (found.offset.get(), found.timestamp_ms));
        assert_eq!(answer, (number(2), number(3)), "{line}");
        checked += 1;
    }
    assert_eq!(checked, 22);
}

/// All files of a partition by name.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir)
        .expect("it is there")
        .map(|entry| entry.expect("an entry"));
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().expect("text");
            (name, fs::read(entry.path()).expect("it can be read"))
        })
        .collect()
}

fn segment_files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = files(dir);
    files.retain(|name, _| {
        [".log", ".index", ".timeindex"]
            .iter()
            .any(|suffix| name.ends_with(suffix))
    });
    files
}

#[test]
fn a_directory_that_kafka_closed_is_taken_over_as_it_is() {
    on_disk(|reactor, dir| async move {
        let dir = dir.join("data");
        copy(&dir);
        let data = DataDir::open(&reactor, &dir, 0, None)
            .await
            .expect("opened");
        assert_eq!(data.identity().cluster_id, "xydbbmYzQNmPzf2PT8XAng");
        assert!(data.was_clean() && !data.is_new());
        let partitions = data.partitions().expect("listed");
        assert_eq!(partitions.len(), 1);
        let partition = &partitions[0];
        assert_eq!(
            (partition.topic.as_str(), partition.partition),
            ("golden", 0)
        );
        let point = |name: &str| {
            let checkpoint = data.read_checkpoint(name).expect("it can be read");
            checkpoint.get("golden", 0).expect("it has the partition")
        };
        let opening = Opening {
            recovery_point: point(file::RECOVERY_POINT),
            log_start: point(file::LOG_START),
            clean: true,
            topic_id: partition.topic_id,
        };
        assert_eq!(
            (opening.log_start, opening.recovery_point),
            (Offset::new(42), Offset::new(600))
        );
        let before = files(&partition.path);
        let (log, report) = Log::open(
            &reactor,
            &data.fence(),
            partition.path.clone(),
            config(),
            opening,
        )
        .expect("opened");
        assert_eq!(
            (
                report.segments,
                report.segments_scanned,
                report.indexes_rebuilt
            ),
            (4, 0, 0)
        );
        check_records(&log);
        check_times(&log);
        assert_eq!(
            log.snapshots().expect("listed"),
            [100, 300, 510, 600].map(Offset::new)
        );
        close(&reactor, log).await;
        assert_eq!(files(&partition.path), before, "a look changes nothing");
    });
}

#[test]
fn indexes_made_again_are_those_that_kafka_made() {
    on_disk(|reactor, dir| async move {
        copy(&dir);
        let partition = dir.join("golden-0");
        let before = segment_files(&partition);
        let opening = Opening {
            log_start: Offset::new(42),
            ..unclean(Offset::ZERO)
        };
        let fence = Fence::new();
        let (log, report) =
            Log::open(&reactor, &fence, partition.clone(), config(), opening).expect("opened");
        assert_eq!((report.segments_scanned, report.bytes_cut), (4, 0));
        assert_eq!(report.bytes_scanned, 5_788 + 5_891 + 5_907 + 2_323);
        check_records(&log);
        check_times(&log);
        close(&reactor, log).await;
        assert_eq!(segment_files(&partition), before);
    });
}

#[test]
fn the_same_batches_make_the_same_files() {
    on_disk(|reactor, dir| async move {
        let fence = Fence::new();
        let ours = dir.join("golden-0");
        let mut log =
            Log::create(&reactor, &fence, ours.clone(), TOPIC_ID, config()).expect("made");
        let theirs = segment_files(&golden().join("golden-0"));
        for (_, bytes) in theirs.iter().filter(|(name, _)| name.ends_with(".log")) {
            for batch in batches(bytes) {
                let batch = batch.expect("Kafka's batches are sound");
                // As a producer sends it: the place is the log's to give.
                let mut sent = batch.bytes().to_vec();
                sent[..8].fill(0);
                sent[12..16].fill(0xff);
                assert!(Batch::check(&sent).is_ok());
                append(&mut log, &sent).expect("appended");
            }
        }
        assert_eq!(log.end_offset(), Offset::new(600));
        close(&reactor, log).await;
        assert_eq!(segment_files(&ours), theirs);
    });
}

/// What Kafka leaves when it is killed: indexes of 10 MiB, zeros behind their entries.
#[test]
fn preallocated_indexes_of_a_killed_kafka_are_made_again() {
    on_disk(|reactor, dir| async move {
        copy(&dir);
        let partition = dir.join("golden-0");
        let before = segment_files(&partition);
        for name in [
            "00000000000000000510.index",
            "00000000000000000510.timeindex",
        ] {
            let file = fs::OpenOptions::new()
                .write(true)
                .open(partition.join(name))
                .expect("opened");
            file.set_len(if name.ends_with("timeindex") {
                10_485_756
            } else {
                10_485_760
            })
            .expect("grown");
        }
        let opening = Opening {
            log_start: Offset::new(42),
            ..unclean(Offset::new(600))
        };
        let (log, report) = Log::open(
            &reactor,
            &Fence::new(),
            partition.clone(),
            config(),
            opening,
        )
        .expect("opened");
        assert_eq!((report.segments_scanned, report.bytes_scanned), (1, 0));
        check_records(&log);
        check_times(&log);
        close(&reactor, log).await;
        assert_eq!(segment_files(&partition), before);
    });
}

/// `KAFKA_LIBS=<directory with Kafka's jars> cargo test -p highwater-log --test kafka -- --ignored --nocapture`
#[test]
#[ignore = "needs Java and Kafka's jars, in KAFKA_LIBS"]
fn kafkas_own_tools_find_nothing_wrong_with_our_files() {
    let libs = std::env::var("KAFKA_LIBS").expect("KAFKA_LIBS names the directory of Kafka's jars");
    on_disk(move |reactor, dir| {
        let libs = libs.clone();
        async move {
            let partition = dir.join("orders-0");
            let fence = Fence::new();
            let config = Config {
                segment_bytes: 200_000,
                ..Config::default()
            };
            let mut log =
                Log::create(&reactor, &fence, partition.clone(), TOPIC_ID, config).expect("made");
            for mark in 0..2_000u32 {
                let codec = ["none", "gzip", "snappy", "lz4", "zstd"][mark as usize % 5];
                let value = vec![b'a' + (mark % 26) as u8; 20 + (mark as usize * 7) % 900];
                let bytes = batch_with(
                    1_700_000_000_000 + i64::from(mark) * 50,
                    1 + mark % 9,
                    &value,
                    codec,
                );
                append_in(&mut log, &bytes, mark as i32 / 1_000).expect("appended");
            }
            let segments = log.segment_count();
            assert!(segments > 3);
            close(&reactor, log).await;
            let dump = |files: &[PathBuf], flags: &[&str]| {
                let list: Vec<&str> = files.iter().filter_map(|path| path.to_str()).collect();
                let output = std::process::Command::new("java")
                    .args(["-cp", &format!("{libs}/*"), "kafka.tools.DumpLogSegments"])
                    .args(flags)
                    .args(["--files", &list.join(",")])
                    .output()
                    .expect("java runs");
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                let errors = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(output.status.success(), "{text}{errors}");
                for complaint in [
                    "Exception",
                    "isvalid: false",
                    "Mismatches",
                    "non-consecutive",
                    "Non-secutive",
                    "not found",
                ] {
                    assert!(!text.contains(complaint), "{complaint}:\n{text}");
                }
                text
            };
            let named = |suffix: &str| -> Vec<PathBuf> {
                let names = segment_files(&partition)
                    .into_keys()
                    .filter(|name| name.ends_with(suffix));
                names.map(|name| partition.join(name)).collect()
            };
            let text = dump(&named(".log"), &["--deep-iteration"]);
            let records = text
                .lines()
                .filter(|line| line.starts_with("| offset:"))
                .count();
            assert_eq!(
                records as u32,
                (0..2_000u32).map(|mark| 1 + mark % 9).sum::<u32>()
            );
            let sane = dump(&named("index"), &["--index-sanity-check"]);
            println!("{sane}");
            assert_eq!(sane.matches("passed sanity check.").count(), 2 * segments);
            // Without the flag every entry of both indexes is compared with the batches in the log.
            dump(&named("index"), &["--verify-index-only"]);
            println!("{records} records in {segments} segments read by DumpLogSegments");
        }
    });
}
