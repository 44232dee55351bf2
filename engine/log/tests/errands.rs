//! What a log has done away from its shard, in the simulated world.
#![allow(clippy::cast_possible_wrap)]

mod common;

use std::path::Path;

use common::bed::{Bed, DIR, marks};
use common::*;
use highwater_log::Config;
use highwater_reactor::File;
use highwater_reactor::sim::{Crash, Operation};
use highwater_record::Offset;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// How many snapshots there are.
fn snapshots(bed: &Bed) -> usize {
    let entries = bed.reactor.list(Path::new(DIR)).expect("listed");
    let is_one = |name: &Path| name.extension().is_some_and(|kind| kind == "snapshot");
    let names = entries.iter().map(|entry| Path::new(&entry.name));
    names.filter(|name| is_one(name)).count()
}

/// Segments of some 100 KiB, for which space is allocated ahead.
fn ahead() -> Config {
    Config {
        segment_bytes: 150_000,
        ..Config::default()
    }
}

#[test]
fn what_a_finished_segment_had_ahead_is_given_back() {
    let (bed, mut log) = Bed::new(ahead());
    for mark in 0..10 {
        append(&mut log, &batch(mark, 1_000, 10_000)).expect("appended");
    }
    let taken = bed.world.disk().used();
    assert!(
        taken > log.size_bytes() + 20_000,
        "{taken}: space is taken ahead"
    );
    // The batch does not fit behind what there is: the segment before it keeps no more than its bytes.
    append(&mut log, &batch(10, 1_000, 60_000)).expect("appended");
    assert_eq!(log.segment_count(), 2);
    bed.settle();
    let taken = bed.world.disk().used();
    assert!(taken < log.size_bytes() + 2_000, "{taken}");
}

#[test]
fn a_log_that_is_closed_at_once_after_a_roll_has_given_back_all_the_same() {
    let (bed, mut log) = Bed::new(ahead());
    for mark in 0..10 {
        append(&mut log, &batch(mark, 1_000, 10_000)).expect("appended");
    }
    append(&mut log, &batch(10, 1_000, 60_000)).expect("appended");
    let bytes = log.size_bytes();
    bed.world.run(close(&bed.reactor, log));
    let taken = bed.world.disk().used();
    assert!(taken < bytes + 2_000, "{taken}");
}

#[test]
fn a_log_that_is_cut_after_a_roll_keeps_what_is_written_then() {
    let (mut bed, mut log) = Bed::new(ahead());
    for mark in 0..10 {
        append(&mut log, &batch(mark, 1_000, 10_000)).expect("appended");
    }
    append(&mut log, &batch(10, 1_000, 60_000)).expect("appended");
    // Back into the first segment, which was to be trimmed to ten batches, and beyond them again.
    log.truncate_to(Offset::new(5)).expect("cut");
    for mark in 20..28 {
        append(&mut log, &batch(mark, 1_000, 10_000)).expect("appended");
    }
    bed.settle();
    let expected: Vec<u64> = (0..5).chain(20..28).collect();
    assert_eq!(marks(&log), expected);
    bed.sync(&mut log);
    drop(log);
    let (log, _) = bed.reopen(Crash::LoseUnsynced, Offset::ZERO);
    assert_eq!(marks(&log), expected);
}

#[test]
fn what_a_cut_kept_from_being_given_back_is_given_back_after_it() {
    let (bed, mut log) = Bed::new(ahead());
    for mark in 0..10 {
        append(&mut log, &batch(mark, 1_000, 10_000)).expect("appended");
    }
    append(&mut log, &batch(10, 1_000, 60_000)).expect("appended");
    append(&mut log, &batch(11, 1_000, 10)).expect("appended");
    // Within the second segment; the first is to be trimmed and has not been yet.
    log.truncate_to(Offset::new(11)).expect("cut");
    assert!(bed.world.disk().used() > log.size_bytes() + 20_000);
    bed.settle();
    let taken = bed.world.disk().used();
    assert!(taken < log.size_bytes() + 2_000, "{taken}");
}

#[test]
fn space_that_cannot_be_given_back_for_a_broken_disk_fences() {
    let (bed, mut log) = Bed::new(ahead());
    append(&mut log, &batch(0, 1_000, 100_000)).expect("appended");
    bed.world.disk().fail(Operation::SetLen, 1, EIO);
    append(&mut log, &batch(1, 1_000, 60_000)).expect("appended");
    assert!(!bed.fence.is_raised());
    bed.settle();
    assert!(bed.fence.is_raised());
}

#[test]
fn of_the_snapshots_the_newest_stay() {
    let (mut bed, mut log) = Bed::new(Config::default());
    append(&mut log, &batch(0, 1_000, 10)).expect("appended");
    bed.sync(&mut log);
    for mark in 1..5 {
        append(&mut log, &batch(mark, 1_000, 10)).expect("appended");
        let written = log.send_snapshot(log.end_offset(), vec![7; 10], 3);
        let written = bed.world.run(written).expect("nothing stood against it");
        written.expect("written");
    }
    assert_eq!(
        log.snapshots().expect("listed"),
        [3, 4, 5].map(Offset::new).to_vec()
    );
    // Of its own it has synced what is in it, not its name.
    let ticket = log.sync_ticket().expect("a ticket");
    let is_one = |file: &File| {
        file.path()
            .extension()
            .is_some_and(|kind| kind == "snapshot")
    };
    assert!(!ticket.files().iter().any(is_one), "no ticket carries it");
    assert!(ticket.directories().is_empty(), "nor its name");
    bed.sync(&mut log);
    let named = bed.world.run(bed.reactor.sync_dir(Path::new(DIR)));
    named.expect("synced");
    drop(log);
    let (log, _) = bed.reopen(Crash::LoseUnsynced, Offset::ZERO);
    let last = log.read_snapshot(Offset::new(5)).expect("read");
    assert_eq!(last, Some(vec![7; 10]));
}

#[test]
fn a_snapshot_that_cannot_be_synced_is_not_there() {
    for (code, fences) in [(ENOSPC, false), (EIO, true)] {
        let (mut bed, mut log) = Bed::new(Config::default());
        append(&mut log, &batch(0, 1_000, 10)).expect("appended");
        bed.sync(&mut log);
        bed.world.disk().fail(Operation::Sync, 1, code);
        let written = log.send_snapshot(log.end_offset(), vec![7; 10], 3);
        let written = bed.world.run(written).expect("no line was drawn");
        written.expect_err("the sync fails");
        assert_eq!(bed.fence.is_raised(), fences, "{code}");
        let left = bed.reactor.list(Path::new(DIR)).expect("listed");
        let left = left.iter().filter(|entry| {
            let name = entry.name.to_string_lossy();
            name.contains("snapshot")
        });
        assert_eq!(left.count(), 0, "{code}");
        drop(log);
        let (log, _) = bed.reopen(Crash::KeepAll, Offset::ZERO);
        assert_eq!(marks(&log), [0]);
    }
}

#[test]
fn nothing_is_done_for_a_log_any_more_when_its_errands_have_ended() {
    for seed in 0..20 {
        let (bed, mut log) = Bed::seeded(seed, ahead());
        append(&mut log, &batch(0, 1_000, 100_000)).expect("appended");
        append(&mut log, &batch(1, 1_000, 60_000)).expect("appended");
        let written = log.send_snapshot(Offset::new(1), vec![7; 10], 3);
        bed.reactor.spawn(written).detach();
        bed.world.run(log.end_errands());
        let names = || bed.reactor.list(Path::new(DIR)).expect("listed");
        let (then, taken) = (names(), bed.world.disk().used());
        assert_eq!(snapshots(&bed), 1, "what was begun has come to its end");
        bed.settle();
        assert_eq!((names(), bed.world.disk().used()), (then, taken));
    }
}

#[test]
fn no_snapshot_of_a_deleted_log_comes_into_one_that_took_its_place() {
    let (bed, mut log) = Bed::new(Config::default());
    append(&mut log, &batch(0, 1_000, 10)).expect("appended");
    let written = log.send_snapshot(log.end_offset(), vec![7; 10], 3);
    log.delete().expect("deleted");
    let log = bed.create();
    assert!(bed.world.run(written).is_none());
    assert_eq!(snapshots(&bed), 0);
    drop(log);
}

#[test]
fn a_closed_log_takes_no_space_any_more() {
    let (bed, mut log) = Bed::new(Config::default());
    // Until little of what was allocated is left.
    while !log.wants_space() {
        append(&mut log, &batch(0, 1_000, 10_000)).expect("appended");
    }
    let ticket = log.close().expect("it closes");
    let outcome = bed.world.run(ticket.sync(&bed.reactor));
    log.synced(&ticket, outcome).expect("synced");
    log.take_space();
    let taken = bed.world.disk().used();
    assert!(taken < log.size_bytes() + 2_000, "{taken}");
    assert!(!log.wants_space());
}

#[test]
fn behind_a_full_segment_space_is_taken_in_one_step() {
    let config = Config {
        segment_bytes: 1 << 20,
        ..Config::default()
    };
    let (bed, mut log) = Bed::new(config);
    let mut steps = Vec::new();
    for segments in 1..=3 {
        let before = bed.world.disk().count(Operation::Allocate);
        while log.segment_count() == segments {
            append(&mut log, &batch(0, 1_000, 10_000)).expect("appended");
        }
        steps.push(bed.world.disk().count(Operation::Allocate) - before);
    }
    assert!(steps[0] > 2, "{steps:?}: a log that is new grows slowly");
    assert_eq!(steps[1..], [1, 1]);
}

#[test]
fn what_a_log_will_need_soon_is_taken_when_a_sync_has_ended() {
    let (bed, mut log) = Bed::new(Config::default());
    let mut during = 0;
    for mark in 0..300 {
        let before = bed.world.disk().count(Operation::Allocate);
        append(&mut log, &batch(mark, 1_000, 10_000)).expect("appended");
        if log.size_bytes() > 1 << 20 {
            during += bed.world.disk().count(Operation::Allocate) - before;
        }
        bed.sync(&mut log);
        log.take_space();
    }
    assert_eq!(during, 0, "no append had to ask for more");
    assert!(bed.world.disk().used() < 3 * log.size_bytes());
}
