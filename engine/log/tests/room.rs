//! The zeros that a growing segment has behind its last batch: who sees them, and that no crash takes them for anything else.
#![allow(clippy::cast_possible_wrap)]

mod common;

use std::path::{Path, PathBuf};

use common::bed::{Bed, DIR, marks};
use common::*;
use highwater_log::{Config, Error, Log};
use highwater_reactor::OpenOptions;
use highwater_reactor::sim::{Crash, Operation};
use highwater_record::Offset;

const ENOSPC: i32 = 28;
const BLOCK: u64 = 32 << 10;
const CRASHES: [Crash; 4] = [
    Crash::KeepAll,
    Crash::LoseUnsynced,
    Crash::KeepPrefix,
    Crash::KeepRandom,
];

/// A log whose segments hold `segment_bytes`, and have room from a sixteenth of that on.
fn with_segments(segment_bytes: u32) -> (Bed, Log) {
    Bed::new(Config {
        segment_bytes,
        ..Config::default()
    })
}

/// Lengths of the `.log` files, by base offset.
fn lengths(bed: &Bed) -> Vec<u64> {
    let entries = bed.reactor.list(Path::new(DIR)).expect("listed");
    let mut found: Vec<_> = entries
        .iter()
        .filter(|entry| Path::new(&entry.name).extension() == Some("log".as_ref()))
        .map(|entry| (entry.name.clone(), entry.len))
        .collect();
    found.sort();
    found.into_iter().map(|(_, len)| len).collect()
}

/// The first segment's bytes.
fn content(bed: &Bed) -> Vec<u8> {
    let path = Path::new(DIR).join("00000000000000000000.log");
    let file = bed
        .reactor
        .open(&path, OpenOptions::READ)
        .expect("it is there");
    let mut bytes = vec![0; usize::try_from(file.len().expect("a length")).expect("small")];
    file.read_exact_at(0, &mut bytes).expect("read");
    bytes
}

fn fill(log: &mut Log, marks: std::ops::Range<u64>, bytes: usize) {
    for mark in marks {
        append(log, &batch(mark, 1_000, bytes)).expect("appended");
    }
}

#[test]
fn a_segment_that_grows_takes_its_blocks_whole_and_one_that_is_small_does_not() {
    let (bed, mut log) = with_segments(16 << 20);
    fill(&mut log, 0..9, 100_000);
    assert_eq!(lengths(&bed), [log.size_bytes()], "below 1 MiB");
    assert!(!log.has_room());
    fill(&mut log, 9..20, 100_000);
    let bytes = log.size_bytes();
    assert_eq!(lengths(&bed), [bytes.next_multiple_of(BLOCK)]);
    assert!(log.has_room());
    let content = content(&bed);
    let tail = &content[usize::try_from(bytes).expect("small")..];
    assert!(!tail.is_empty() && tail.iter().all(|byte| *byte == 0));
    assert_eq!(marks(&log), (0..20).collect::<Vec<_>>());
}

#[test]
fn batches_that_fit_into_the_room_do_not_move_the_files_end() {
    let (bed, mut log) = with_segments(16 << 20);
    fill(&mut log, 0..11, 100_000);
    let end = lengths(&bed);
    let free = end[0] - log.size_bytes();
    assert!(free > 5_000, "{free}");
    fill(&mut log, 11..16, 800);
    assert_eq!(lengths(&bed), end);
    assert_eq!(marks(&log), (0..16).collect::<Vec<_>>());
}

#[test]
fn a_rolled_a_closed_and_a_resting_segment_end_with_their_last_batch() {
    let (bed, mut log) = with_segments(150_000);
    fill(&mut log, 0..40, 10_000);
    bed.settle();
    let finished: u64 = lengths(&bed).iter().rev().skip(1).sum();
    assert!(log.segment_count() > 2 && log.has_room());
    log.rest().expect("trimmed");
    assert!(!log.has_room());
    assert_eq!(lengths(&bed).iter().sum::<u64>(), log.size_bytes());
    // It goes on as if it had not rested.
    fill(&mut log, 40..42, 10_000);
    assert!(log.has_room());
    let bytes = log.size_bytes();
    assert!(finished < bytes);
    bed.world.run(close(&bed.reactor, log));
    assert_eq!(lengths(&bed).iter().sum::<u64>(), bytes);
}

#[test]
fn what_preallocate_took_is_kept() {
    let (mut bed, log) = with_segments(1 << 20);
    log.delete().expect("renamed");
    bed.config.preallocate = true;
    let dir = PathBuf::from(DIR);
    let mut log =
        Log::create(&bed.reactor, &bed.fence, dir, TOPIC_ID, bed.config.clone()).expect("made");
    fill(&mut log, 0..10, 10_000);
    assert!(lengths(&bed)[0] > log.size_bytes());
    assert!(!log.has_room(), "there is nothing to be put to rest");
}

#[test]
fn room_is_no_damage_to_the_recovery_that_finds_it() {
    let (mut bed, mut log) = with_segments(16 << 20);
    fill(&mut log, 0..25, 100_000);
    let bytes = log.size_bytes();
    for recovery_point in [0, 7, 25] {
        drop(log);
        let report;
        (log, report) = bed.reopen(Crash::KeepAll, Offset::new(recovery_point));
        assert_eq!((report.cut, report.bytes_cut), (None, 0));
        assert_eq!((log.size_bytes(), lengths(&bed)), (bytes, vec![bytes]));
        assert_eq!(marks(&log), (0..25).collect::<Vec<_>>());
        // The next time there is room again.
        log.truncate_to(Offset::new(24)).expect("cut");
        fill(&mut log, 24..25, 100_000);
        assert!(log.has_room());
    }
}

#[test]
fn a_process_that_ends_between_a_roll_and_its_trim_loses_nothing() {
    for recovery_point in [0, 13, 30, 60] {
        let (mut bed, mut log) = with_segments(150_000);
        // Nothing of what is done away from the shard gets its turn.
        fill(&mut log, 0..60, 10_000);
        assert!(log.segment_count() > 3);
        let longer = lengths(&bed).iter().sum::<u64>();
        assert!(
            longer > log.size_bytes() + 3 * 100,
            "{longer}: room is left in finished segments"
        );
        let bytes = log.size_bytes();
        drop(log);
        let (log, report) = bed.reopen(Crash::KeepAll, Offset::new(recovery_point));
        assert_eq!((report.cut, report.bytes_cut), (None, 0));
        assert_eq!(lengths(&bed).iter().sum::<u64>(), bytes);
        assert_eq!(marks(&log), (0..60).collect::<Vec<_>>());
    }
}

#[test]
fn what_was_synced_survives_every_crash_and_what_follows_is_whole_batches() {
    for crash in CRASHES {
        for synced in [12, 20, 31] {
            let (mut bed, mut log) = with_segments(150_000);
            fill(&mut log, 0..synced, 10_000);
            bed.sync(&mut log);
            fill(&mut log, synced..45, 3_000);
            drop(log);
            let (mut log, _) = bed.reopen(crash, Offset::new(synced as i64));
            let found = marks(&log);
            let count = found.len() as u64;
            assert!(count >= synced, "{crash:?}: {count} of {synced}");
            assert_eq!(found, (0..count).collect::<Vec<_>>());
            fill(&mut log, count..count + 3, 9_000);
            assert_eq!(marks(&log), (0..count + 3).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_batch_that_was_not_written_whole_leaves_nothing() {
    let (mut bed, mut log) = with_segments(150_000);
    fill(&mut log, 0..3, 10_000);
    bed.world.disk().fail(Operation::Write, 1, ENOSPC);
    let refused = append(&mut log, &batch(3, 1_000, 10_000)).expect_err("no room");
    assert!(matches!(refused, Error::Full { .. }), "{refused}");
    assert_eq!(lengths(&bed), [log.size_bytes()]);
    fill(&mut log, 3..5, 10_000);
    assert_eq!(marks(&log), [0, 1, 2, 3, 4]);
    drop(log);
    let (log, report) = bed.reopen(Crash::KeepAll, Offset::ZERO);
    assert_eq!((marks(&log).len(), report.bytes_cut), (5, 0));
}

#[test]
fn a_batch_of_zeros_that_ends_with_a_page_is_not_taken_for_room() {
    // A record of zeros to the end of the page, and nothing behind it.
    let (mut bed, mut log) = with_segments(1 << 30);
    let overhead = batch_with(1_000, 1, &[0; 8000], "none").len() - 8000;
    append(
        &mut log,
        &batch_with(1_000, 1, &vec![0; 8192 - overhead], "none"),
    )
    .expect("appended");
    assert_eq!(lengths(&bed), [8192]);
    assert_eq!(content(&bed).last(), Some(&0));
    drop(log);
    let (log, report) = bed.reopen(Crash::KeepAll, Offset::new(1));
    assert_eq!((log.size_bytes(), report.bytes_cut), (8192, 0));
    assert_eq!(log.end_offset(), Offset::new(1));
}

#[test]
fn more_zeros_than_a_block_and_zeros_before_a_batch_are_reported_as_a_cut() {
    let (mut bed, mut log) = with_segments(16 << 20);
    fill(&mut log, 0..15, 100_000);
    log.rest().expect("trimmed");
    let bytes = log.size_bytes();
    drop(log);
    let path = Path::new(DIR).join("00000000000000000000.log");
    let open = |bed: &Bed| {
        bed.reactor
            .open(&path, OpenOptions::READ_WRITE)
            .expect("there")
    };
    open(&bed)
        .set_len((bytes + BLOCK).next_multiple_of(4096))
        .expect("longer");
    let (log, report) = bed.reopen(Crash::KeepAll, Offset::new(15));
    assert!(report.cut.is_some() && report.bytes_cut >= BLOCK);
    assert_eq!(marks(&log).len(), 15);
    drop(log);
    let longer = (bytes + 8192).next_multiple_of(4096);
    let file = open(&bed);
    file.set_len(longer).expect("longer");
    file.append_at(longer - 1, &[&[1]]).expect("written");
    let (log, report) = bed.reopen(Crash::KeepAll, Offset::new(15));
    assert!(report.cut.is_some());
    assert_eq!(report.bytes_cut, longer - bytes);
    assert_eq!(marks(&log).len(), 15);
}
