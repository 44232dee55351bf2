//! What a log does when the device takes no write or no sync, or too little.

use std::path::PathBuf;

use highwater_log::{Config, Error, Log};
use highwater_reactor::sim::{Crash, Operation};
use highwater_record::Offset;

use crate::common::{TOPIC_ID, append, batch, batch_with, small, unclean};
use crate::{Case, EIO, ENOSPC, marks, offset};

#[test]
fn a_batch_that_does_not_fit_leaves_nothing_and_fits_when_there_is_room() {
    for room in 0..200 {
        let (mut case, mut log) = Case::with(Config::default(), 5);
        let disk = case.world.disk();
        disk.set_capacity(Some(disk.used() + room));
        // A record that holds what looks like the next batch: recovery must not find it in what is left of the write.
        let inner = batch(666, 1_500, 60);
        let outer = batch_with(1_500, 1, &inner, "none");
        let refused = append(&mut log, &outer).is_err();
        if refused {
            assert!(!case.fence.is_raised());
            assert_eq!(log.end_offset(), offset(5));
            assert_eq!(marks(&log), [0, 1, 2, 3, 4], "reads go on");
        }
        disk.set_capacity(None);
        append(&mut log, &batch(6, 1_600, 30)).expect("there is room again");
        let expected = marks(&log);
        drop(log);
        case.crash(Crash::KeepAll);
        let (log, report) = case.open(unclean(offset(5)));
        assert_eq!(
            (marks(&log), report.bytes_cut),
            (expected, 0),
            "room for {room}"
        );
    }
}

#[test]
fn what_is_left_of_a_refused_write_is_cut_after_a_crash_too() {
    let (mut case, mut log) = Case::with(Config::default(), 3);
    case.world.disk().fail_write_after(1, 80, ENOSPC);
    case.world.disk().fail(Operation::SetLen, 1, ENOSPC);
    let error = append(&mut log, &batch(3, 1_003, 100)).expect_err("no room");
    assert!(matches!(error, Error::Full { .. }), "{error}");
    drop(log);
    case.crash(Crash::KeepAll);
    let (log, report) = case.open(unclean(offset(3)));
    assert_eq!((log.end_offset(), report.bytes_cut), (offset(3), 80));
}

#[test]
fn the_first_failed_write_fences_the_directory_for_good() {
    let (case, mut log) = Case::with(Config::default(), 3);
    case.world.disk().fail(Operation::Write, 1, EIO);
    let error = append(&mut log, &batch(3, 1_003, 100)).expect_err("it fails");
    assert!(matches!(error, Error::Failed { .. }), "{error}");
    let error =
        append(&mut log, &batch(3, 1_003, 100)).expect_err("although the disk is well again");
    assert!(matches!(error, Error::Fenced { .. }), "{error}");
    assert!(
        log.sync_ticket().is_err()
            && log.close().is_err()
            && log
                .assign_epoch(highwater_record::LeaderEpoch::new(1))
                .is_err()
    );
    assert!(log.retain(i64::MAX, offset(3)).is_err() && log.truncate_to(offset(1)).is_err());
    assert_eq!(marks(&log), [0, 1, 2], "what can be read is read");
    let other = Log::create(
        &case.reactor,
        &case.fence,
        PathBuf::from("/data/other-0"),
        TOPIC_ID,
        Config::default(),
    );
    assert!(
        other.is_err(),
        "it is the directory that is fenced, not one log"
    );
}

#[test]
fn the_first_failed_sync_fences_and_the_next_one_means_nothing() {
    let (case, mut log) = Case::with(Config::default(), 3);
    append(&mut log, &batch(3, 1_003, 100)).expect("appended");
    case.world.disk().fail(Operation::Sync, 1, EIO);
    let first = log.sync_ticket().expect("a ticket");
    let second = log.sync_ticket().expect("another");
    let outcome = case.world.run(first.sync(&case.reactor));
    assert!(log.synced(&first, outcome).is_err());
    let outcome = case.world.run(second.sync(&case.reactor));
    assert!(outcome.is_ok(), "the disk says it is well");
    assert!(matches!(
        log.synced(&second, outcome),
        Err(Error::Fenced { .. })
    ));
    assert_eq!(log.durable_offset(), offset(3));
}

#[test]
fn what_a_failed_sync_left_in_the_page_cache_is_not_taken_for_written() {
    let (mut case, mut log) = Case::with(Config::default(), 3);
    append(&mut log, &batch(3, 1_003, 100)).expect("appended");
    case.world.disk().fail(Operation::Sync, 1, EIO);
    let ticket = log.sync_ticket().expect("a ticket");
    assert!(case.world.run(ticket.sync(&case.reactor)).is_err());
    drop(log);
    case.crash(Crash::KeepAll);
    let (mut log, _) = case.open(unclean(offset(3)));
    case.sync(&mut log);
    let (durable, end) = (log.durable_offset(), log.end_offset());
    assert_eq!(durable, end);
    drop(log);
    case.crash(Crash::LoseUnsynced);
    let (log, _) = case.open(unclean(durable));
    assert_eq!(log.end_offset(), end, "what was called durable is there");
}

#[test]
fn a_roll_without_room_is_refused_and_goes_through_later() {
    for (operation, nth) in [
        (Operation::Create, 1),
        (Operation::Create, 2),
        (Operation::Create, 3),
        (Operation::Write, 1),
        (Operation::SetLen, 1),
    ] {
        let (mut case, mut log) = Case::with(small(), 10);
        let full = log.segment_count();
        while log.size_bytes() % 2_000 < 1_850 && log.segment_count() == full {
            append(&mut log, &batch(50, 1_050, 60)).expect("appended");
        }
        let before = marks(&log);
        let names = case.names();
        case.world.disk().fail(operation, nth, ENOSPC);
        let refused = append(&mut log, &batch(51, 1_051, 1_500));
        if refused.is_err() {
            assert_eq!(
                case.names(),
                names,
                "{operation:?} {nth}: nothing of the new segment is left"
            );
            assert_eq!(marks(&log), before);
        }
        case.world.disk().heal();
        if refused.is_err() {
            append(&mut log, &batch(51, 1_051, 1_500)).expect("now there is room");
        }
        let expected = marks(&log);
        assert_eq!(expected.len(), before.len() + 1);
        case.sync(&mut log);
        drop(log);
        case.crash(Crash::LoseUnsynced);
        let (log, _) = case.open(unclean(Offset::ZERO));
        assert_eq!(marks(&log), expected);
    }
}

#[test]
fn a_batch_larger_than_a_segment_is_refused() {
    let (_case, mut log) = Case::with(small(), 1);
    let error = append(&mut log, &batch(1, 1_000, 2_000)).expect_err("too large");
    assert!(
        matches!(error, Error::TooLarge { limit: 2_000, .. }),
        "{error}"
    );
    append(&mut log, &batch(1, 1_000, 100)).expect("nothing has changed");
}
