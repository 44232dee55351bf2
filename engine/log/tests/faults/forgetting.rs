//! Segments and logs that go: by age and size, by a cut, by deletion, half-way through a compaction.

use std::time::Duration;

use highwater_log::{Config, Opening, ReadError};
use highwater_reactor::sim::{Crash, Operation};
use highwater_record::Offset;

use crate::common::{append, batch, bytes_of, clean, close, small, unclean};
use crate::{Case, EIO, marks, offset};

#[test]
fn deleted_segments_stay_for_those_who_read_them_and_go_after_their_delay() {
    let (case, mut log) = Case::with(small(), 60);
    let held = log.read(Offset::ZERO, offset(60), 500, true).expect("read");
    let deleted = log.advance_start(offset(40)).expect("deleted");
    assert!(deleted.len() >= 2 && deleted.iter().all(|segment| segment.end <= offset(40)));
    assert_eq!(log.start_offset(), offset(40));
    assert!(matches!(
        log.read(offset(39), offset(60), 1, true),
        Err(ReadError::OutOfRange { .. })
    ));
    assert_eq!(marks(&log).first(), Some(&40));
    assert!(
        !bytes_of(&held).is_empty(),
        "a range that was given is still there"
    );
    let waiting = |case: &Case| {
        case.names()
            .iter()
            .filter(|name| name.ends_with(".deleted"))
            .count()
    };
    assert_eq!(waiting(&case), deleted.len() * 3);
    log.retain(1_000, offset(60)).expect("retained");
    assert_eq!(waiting(&case), deleted.len() * 3, "not yet");
    case.world.run(case.reactor.sleep(Duration::from_secs(61)));
    log.retain(1_000, offset(60)).expect("retained");
    case.world
        .run(case.reactor.sleep(Duration::from_millis(100)));
    assert_eq!(waiting(&case), 0);
    assert!(
        log.advance_start(offset(10))
            .expect("nothing to do")
            .is_empty()
    );
    assert_eq!(log.start_offset(), offset(40), "a start does not move back");
}

#[test]
fn a_deleted_file_that_a_broken_disk_keeps_fences_and_one_that_is_gone_does_not() {
    for is_broken in [false, true] {
        let (case, mut log) = Case::with(small(), 60);
        log.advance_start(offset(40)).expect("deleted");
        let staged = case.path("00000000000000000000.log.deleted");
        case.world.run(case.reactor.sleep(Duration::from_secs(61)));
        if is_broken {
            case.world.disk().fail(Operation::Remove, 1, EIO);
        } else {
            case.reactor.remove_file(&staged).expect("removed");
        }
        log.retain(1_000, offset(60)).expect("retained");
        case.world
            .run(case.reactor.sleep(Duration::from_millis(100)));
        assert_eq!(case.fence.is_raised(), is_broken);
        let left = |name: &String| name.ends_with(".deleted");
        assert_eq!(case.names().iter().any(left), is_broken);
    }
}

#[test]
fn age_and_size_take_the_oldest_and_the_clock_cannot_make_them_take_more() {
    let now = |case: &Case| case.reactor.unix_ms();
    let (case, _) = Case::new(small());
    let today = now(&case);
    let (case, mut log) = Case::new(Config {
        retention_ms: 3_600_000,
        ..small()
    });
    for mark in 0..60u64 {
        // Two hours old to one minute old.
        let age_ms = 7_200_000 - mark as i64 * 120_000 + 60_000;
        append(&mut log, &batch(mark, today - age_ms, 100)).expect("appended");
    }
    case.sync(&mut log);
    assert!(log.retain(0, offset(60)).expect("1970").is_empty());
    assert!(
        log.retain(today - 86_400_000, offset(60))
            .expect("yesterday")
            .is_empty()
    );
    let in_2038 = 2_145_916_800_000;
    let deleted = log.retain(in_2038, offset(60)).expect("2038");
    let first_kept = log.start_offset().get() as u64;
    assert!(
        !deleted.is_empty() && (20..=37).contains(&first_kept),
        "as much as on the right date, and ten minutes: {first_kept}"
    );
    log.reconfigure(Config {
        retention_ms: -1,
        retention_bytes: 2_500,
        ..small()
    });
    log.retain(today, offset(60)).expect("retained");
    assert!(
        (2_500..4_500).contains(&log.size_bytes()),
        "{}",
        log.size_bytes()
    );
    log.reconfigure(Config {
        retention_ms: 0,
        delete: false,
        ..small()
    });
    assert!(
        log.retain(today, offset(60))
            .expect("compacted only")
            .is_empty()
    );
    log.reconfigure(Config {
        retention_ms: 0,
        ..small()
    });
    log.retain(today, offset(60)).expect("everything");
    assert_eq!(
        (log.start_offset(), log.end_offset(), log.size_bytes()),
        (offset(60), offset(60), 0)
    );
    append(&mut log, &batch(60, today, 100)).expect("it goes on where it was");
    assert_eq!(marks(&log), [60]);
}

#[test]
fn leftovers_of_an_interrupted_compaction_are_finished_or_undone() {
    let (mut case, log) = Case::with(small(), 60);
    let bases: Vec<i64> = case
        .names()
        .iter()
        .filter_map(|name| name.strip_suffix(".log")?.parse().ok())
        .collect();
    let end = case.world.run(close(&case.reactor, log));
    case.crash(Crash::KeepAll);
    // The first two segments were compacted into one whose records 1.. of the first are gone; renames had begun.
    let first = case.read(&format!("{:020}.log", bases[0]));
    let second = case.read(&format!("{:020}.log", bases[1]));
    let bytes = batch(0, 1_000, 100).len();
    let compacted = [&first[..bytes], &second[..]].concat();
    case.write(&format!("{:020}.log.swap", bases[0]), &compacted);
    case.write(&format!("{:020}.log.cleaned", bases[2]), b"half");
    case.write(&format!("{:020}.log.deleted", 7), b"gone");
    case.write("00000000000000000999.index", b"orphan");
    case.write("00000000000000000030.snapshot.tmp", b"half");
    case.write("notes.txt", b"not ours");
    let (log, _) = case.open(Opening {
        clean: false,
        ..clean(end)
    });
    let expected: Vec<u64> = (0..1).chain(bases[1] as u64..60).collect();
    assert_eq!(marks(&log), expected);
    let names = case.names();
    assert!(
        names
            .iter()
            .all(|name| ![".swap", ".cleaned", ".deleted", ".tmp"]
                .iter()
                .any(|end| name.ends_with(end))),
        "{names:?}"
    );
    assert!(
        !names.contains(&format!("{:020}.log", bases[1]))
            && !names.contains(&"00000000000000000999.index".to_owned())
    );
    assert!(names.contains(&"notes.txt".to_owned()));
    let found = log
        .read(offset(3), end, 1, true)
        .expect("an offset in the gap");
    assert_eq!(
        found.next,
        offset(bases[1] + 1),
        "is answered with what comes after it"
    );
}

#[test]
fn a_swap_of_a_split_that_was_not_finished_is_undone() {
    let (mut case, log) = Case::with(small(), 30);
    let end = case.world.run(close(&case.reactor, log));
    case.crash(Crash::KeepAll);
    case.write("00000000000000000000.log.cleaned", b"first half");
    case.write("00000000000000000005.log.swap", b"second half");
    let (log, _) = case.open(clean(end));
    assert_eq!(marks(&log).len(), 30);
    assert!(
        !case
            .names()
            .iter()
            .any(|name| name.ends_with(".swap") || name.ends_with(".cleaned"))
    );
}

#[test]
fn a_log_is_cut_at_any_batch_and_goes_on_from_there() {
    for cut in 0..=30 {
        let (mut case, mut log) = Case::with(small(), 30);
        log.write_snapshot(offset(30), b"state").expect("written");
        log.truncate_to(offset(cut)).expect("cut");
        assert_eq!(log.end_offset(), offset(cut));
        assert!(log.durable_offset() <= offset(cut));
        assert_eq!(marks(&log).len() as i64, cut);
        assert_eq!(
            log.snapshots().expect("listed").len(),
            usize::from(cut == 30)
        );
        append(&mut log, &batch(100, 500, 70)).expect("appended");
        let newest = log
            .max_timestamp(log.end_offset())
            .expect("read")
            .expect("there is one");
        assert_eq!(newest.offset, offset((cut - 1).max(0)));
        let ticket = log.sync_ticket().expect("a ticket");
        let outcome = case.world.run(ticket.sync(&case.reactor));
        log.synced(&ticket, outcome).expect("synced");
        let expected = marks(&log);
        drop(log);
        case.crash(Crash::LoseUnsynced);
        let (log, _) = case.open(unclean(offset(cut + 1)));
        assert_eq!(marks(&log), expected, "cut at {cut}");
    }
}

#[test]
fn a_deleted_log_is_renamed_and_what_was_read_stays_readable() {
    let (case, log) = Case::with(Config::default(), 3);
    let held = log
        .read(Offset::ZERO, offset(3), 1_000, true)
        .expect("read");
    let path = log.delete().expect("renamed");
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .expect("text");
    assert!(
        name.starts_with("orders-0.") && name.ends_with("-delete"),
        "{name}"
    );
    assert!(!case.reactor.exists(&case.dir).expect("looked"));
    assert_eq!(bytes_of(&held).len() as u64, held.bytes);
}
