//! Faults one at a time, in the simulated world: what a log does about each of them.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::*;
use highwater_log::{Config, Error, Fence, Log, Opening, ReadError};
use highwater_reactor::sim::{Crash, Operation, World};
use highwater_reactor::{OpenOptions, Reactor};
use highwater_record::Offset;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

struct Case {
    world: World,
    reactor: Reactor,
    fence: Fence,
    dir: PathBuf,
    config: Config,
}

impl Case {
    fn new(config: Config) -> (Case, Log) {
        let world = World::new(1);
        let reactor = world.shard(0);
        let dir = PathBuf::from("/data/orders-0");
        reactor.create_dir_all(Path::new("/data")).expect("made");
        world.run(reactor.sync_dir(Path::new("/"))).expect("synced");
        let fence = Fence::new();
        let log = Log::create(&reactor, &fence, dir.clone(), TOPIC_ID, config.clone());
        let case = Case {
            world,
            reactor,
            fence,
            dir,
            config,
        };
        (case, log.expect("made"))
    }

    /// A log with `batches` batches of one record of about 100 bytes, all of them durable.
    fn with(config: Config, batches: u64) -> (Case, Log) {
        let (case, mut log) = Case::new(config);
        for mark in 0..batches {
            append(&mut log, &batch(mark, 1_000 + mark as i64, 100)).expect("appended");
        }
        case.sync(&mut log);
        (case, log)
    }

    fn sync(&self, log: &mut Log) {
        self.world.run(sync(&self.reactor, log)).expect("synced");
    }

    fn crash(&mut self, crash: Crash) {
        self.world.disk().heal();
        self.world.crash(crash);
        self.reactor = self.world.shard(0);
        self.fence = Fence::new();
    }

    fn try_open(&self, opening: Opening) -> Result<(Log, highwater_log::Recovered), Error> {
        Log::open(
            &self.reactor,
            &self.fence,
            self.dir.clone(),
            self.config.clone(),
            opening,
        )
    }

    fn open(&self, opening: Opening) -> (Log, highwater_log::Recovered) {
        self.try_open(opening).expect("it opens")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = self.reactor.list(&self.dir).expect("listed");
        entries
            .into_iter()
            .map(|entry| entry.name.into_string().expect("text"))
            .collect()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let file = self
            .reactor
            .open(&self.path(name), OpenOptions::TRUNCATE)
            .expect("opened");
        file.append_at(0, &[bytes]).expect("written");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        self.reactor
            .read_all(&self.path(name), 1 << 20)
            .expect("read")
    }
}

fn marks(log: &Log) -> Vec<u64> {
    let found = records(log, log.start_offset(), log.end_offset(), 10_000);
    found
        .iter()
        .map(|(_, value)| u64::from_be_bytes(value[..8].try_into().expect("eight")))
        .collect()
}

fn offset(at: i64) -> Offset {
    Offset::new(at)
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_to_the_last_whole_batch() {
    let last = batch(9, 1_009, 100);
    let last_bytes = last.len() as u64;
    for kept_bytes in 0..=last_bytes {
        for length_kept in [false, true] {
            let (mut case, mut log) = Case::with(Config::default(), 9);
            append(&mut log, &batch(9, 1_009, 100)).expect("appended");
            drop(log);
            case.crash(Crash::Torn {
                kept_bytes,
                length_kept,
            });
            let (mut log, report) = case.open(unclean(offset(9)));
            // What is lost of a write reads as zeros; where it was zeros, nothing is lost.
            let lost = &last[kept_bytes as usize..];
            let whole = lost.is_empty() || length_kept && lost.iter().all(|byte| *byte == 0);
            assert_eq!(
                log.end_offset(),
                offset(if whole { 10 } else { 9 }),
                "{kept_bytes} bytes kept"
            );
            let tail = if length_kept { last_bytes } else { kept_bytes };
            assert_eq!(report.bytes_cut, if whole { 0 } else { tail });
            assert_eq!(report.lost, None);
            append(&mut log, &batch(77, 2_000, 50)).expect("appended");
            assert_eq!(marks(&log).last(), Some(&77));
        }
    }
}

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
fn a_bit_flipped_below_the_recovery_point_is_reported_and_its_neighbours_are_served() {
    let (mut case, log) = Case::with(Config::default(), 20);
    let bytes = batch(0, 1_000, 100).len() as u64;
    drop(log);
    // In the header of batch 7, where its length is; in the body of batch 12.
    for (position, is_structural) in [(7 * bytes + 9, true), (12 * bytes + 80, false)] {
        case.crash(Crash::KeepAll);
        case.world
            .disk()
            .flip(&case.path("00000000000000000000.log"), position, 4)
            .expect("flipped");
        let (log, report) = case.open(unclean(offset(20)));
        if is_structural {
            assert_eq!(
                log.end_offset(),
                offset(7),
                "what cannot be stepped over is cut, as Kafka does"
            );
            assert_eq!(report.lost, Some((offset(7), offset(20))));
            drop(log);
            let (fresh, mut log) = Case::with(Config::default(), 20);
            case = fresh;
            case.sync(&mut log);
        } else {
            assert_eq!((log.end_offset(), report.bytes_cut), (offset(20), 0));
            let found = log
                .read(offset(13), offset(20), 10_000, true)
                .expect("read");
            assert_eq!(found.bytes, 7 * bytes);
        }
    }
}

#[test]
fn a_length_flipped_in_a_closed_segment_is_told_and_the_rest_is_served() {
    let (mut case, log) = Case::with(small(), 60);
    let end = case.world.run(close(&case.reactor, log));
    case.crash(Crash::KeepAll);
    let bytes = batch(0, 1_000, 100).len() as u64;
    // The third batch of the first segment claims to be longer.
    case.world
        .disk()
        .flip(&case.path("00000000000000000000.log"), 2 * bytes + 10, 1)
        .expect("flipped");
    let (log, report) = case.open(clean(end));
    assert_eq!((log.end_offset(), report.segments_scanned), (end, 0));
    // The batch itself is given as it lies, and its reader finds that it is none; the one behind it cannot be found.
    let given = bytes_of(
        &log.read(offset(2), end, 10, true)
            .expect("its header may be sound"),
    );
    assert!(highwater_record::Batch::check(&given).is_err());
    let error = log
        .read(offset(3), end, 10, true)
        .expect_err("no batch begins where it should");
    let ReadError::Fault(Error::Corrupt {
        position,
        expected,
        path,
        ..
    }) = error
    else {
        panic!("{error}")
    };
    assert_eq!((position, expected), (3 * bytes + 256, offset(3)));
    assert!(path.ends_with("00000000000000000000.log"));
    assert!(
        log.read(offset(0), end, 2 * bytes as u32, false).is_ok(),
        "before it"
    );
    let second = log.read(offset(30), end, 10_000, true).expect("behind it");
    assert!(second.bytes > 0);
}

#[test]
fn indexes_that_lie_are_found_out_and_made_again() {
    let (mut case, log) = Case::with(small(), 60);
    let end = case.world.run(close(&case.reactor, log));
    case.crash(Crash::KeepAll);
    let sound = case.read("00000000000000000000.index");
    let times = case.read("00000000000000000000.timeindex");
    assert!(sound.len() >= 24 && times.len() >= 36);
    let damages: Vec<(&str, Vec<u8>, bool)> = vec![
        ("index", Vec::new(), true),
        ("index", sound[..sound.len() - 3].to_vec(), true),
        ("index", vec![0xff; 24], true),
        ("index", vec![0; 24], false),
        ("index", sound.iter().rev().copied().collect(), true),
        (
            "index",
            [&sound[..8], &[0, 0, 0, 9, 0, 0, 0, 200], &sound[16..]].concat(),
            false,
        ),
        ("index", vec![1; 8 * 10_000], true),
        ("timeindex", Vec::new(), true),
        ("timeindex", times[..7].to_vec(), true),
        ("timeindex", vec![0xff; 36], true),
        (
            "timeindex",
            [&times[..12], &[0; 12], &times[24..]].concat(),
            false,
        ),
        (
            "timeindex",
            [&[0, 0, 0, 0, 0, 0, 3, 232, 0, 0, 0, 9], &times[12..]].concat(),
            false,
        ),
    ];
    for (kind, bytes, at_open) in damages {
        case.write(&format!("00000000000000000000.{kind}"), &bytes);
        let (log, report) = case.open(clean(end));
        assert_eq!(report.segments_scanned, 0);
        if at_open {
            assert_eq!(report.indexes_rebuilt, 1, "{kind} {bytes:?}");
        }
        for from in 0..end.get() {
            let found = log.read(offset(from), end, 1, true).expect("read");
            assert_eq!(
                found.next,
                offset(from + 1),
                "{kind} {bytes:?}: one batch from {from}"
            );
            let found = log
                .offset_for_timestamp(1_000 + from, end)
                .expect("read")
                .expect("found");
            assert_eq!(found.offset, offset(from), "{kind} {bytes:?}");
        }
        for name in ["index", "timeindex"] {
            case.reactor
                .remove_file(&case.path(&format!("00000000000000000000.{name}")))
                .expect("removed");
        }
        let (log, report) = case.open(clean(end));
        assert_eq!(report.indexes_rebuilt, 1);
        drop(log);
        assert_eq!(case.read("00000000000000000000.index"), sound);
        assert_eq!(case.read("00000000000000000000.timeindex"), times);
    }
}

#[test]
fn a_checkpoint_from_another_time_is_not_believed() {
    let (mut case, log) = Case::with(small(), 40);
    let end = case.world.run(close(&case.reactor, log));
    case.crash(Crash::KeepAll);
    // Older, newer, or from nowhere: the marker says clean, the log says something else, and is gone through.
    for recovery_point in [0, 17, 39, 41, 1_000_000] {
        let (log, report) = case.open(clean(offset(recovery_point)));
        assert!(
            report.segments_scanned > 0,
            "recovery point {recovery_point}"
        );
        assert_eq!(log.end_offset(), end);
        assert_eq!(marks(&log).len(), 40);
        drop(log);
    }
}

#[test]
fn leader_epochs_are_read_from_the_log_when_their_file_is_gone() {
    let (mut case, mut log) = Case::new(small());
    for mark in 0..30 {
        append_in(&mut log, &batch(mark, 1_000, 100), mark as i32 / 10).expect("appended");
    }
    let end = case.world.run(close(&case.reactor, log));
    case.crash(Crash::KeepAll);
    let sound = case.read("leader-epoch-checkpoint");
    assert_eq!(sound, b"0\n3\n0 0\n1 10\n2 20\n");
    for damage in [&b""[..], b"0\n3\n0 0\n1 1", b"\0\0\0\0\0\0\0\0", b"7\n0\n"] {
        case.write("leader-epoch-checkpoint", damage);
        let (log, _) = case.open(clean(end));
        assert_eq!(
            log.leader_epochs().iter().collect::<Vec<_>>(),
            [(0, offset(0)), (1, offset(10)), (2, offset(20))]
        );
        assert_eq!(case.read("leader-epoch-checkpoint"), sound);
    }
    case.reactor
        .remove_file(&case.path("leader-epoch-checkpoint"))
        .expect("removed");
    let (log, _) = case.open(unclean(Offset::ZERO));
    assert_eq!(
        log.epoch_of(offset(15))
            .map(highwater_record::LeaderEpoch::get),
        Some(1)
    );
}

#[test]
fn a_batch_of_an_older_epoch_at_the_tail_is_of_a_life_that_was_cut_off() {
    let (mut case, mut log) = Case::new(Config::default());
    for mark in 0..6 {
        append_in(&mut log, &batch(mark, 1_000, 100), 3).expect("appended");
    }
    case.sync(&mut log);
    drop(log);
    case.crash(Crash::KeepAll);
    // Epoch 4 began at 4: what epoch 3 wrote from there on had been cut, and has come back.
    case.write("leader-epoch-checkpoint", b"0\n2\n3 0\n4 4\n");
    let (log, report) = case.open(unclean(offset(4)));
    assert_eq!(log.end_offset(), offset(4));
    assert!(
        report
            .cut
            .is_some_and(|cut| cut.contains("leader epoch 3 follows 4"))
    );
}

#[test]
fn a_hole_between_segments_ends_the_log() {
    let (mut case, mut log) = Case::with(small(), 30);
    let bases: Vec<i64> = case
        .names()
        .iter()
        .filter_map(|name| name.strip_suffix(".log")?.parse().ok())
        .collect();
    assert!(bases.len() >= 3);
    append(&mut log, &batch(30, 1_030, 100)).expect("appended");
    drop(log);
    case.crash(Crash::KeepAll);
    // The last batch of the second segment has not reached the disk, all of the third has.
    let cut = case.read(&format!("{:020}.log", bases[1]));
    let bytes = batch(0, 1_000, 100).len();
    case.write(&format!("{:020}.log", bases[1]), &cut[..cut.len() - bytes]);
    let (log, report) = case.open(unclean(offset(bases[1])));
    assert_eq!(log.end_offset(), offset(bases[2] - 1));
    assert!(report.segments_cut >= 1 && report.cut.is_some());
    assert_eq!(marks(&log).len() as i64, bases[2] - 1);
}

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
    assert_eq!(waiting(&case), 0);
    assert!(
        log.advance_start(offset(10))
            .expect("nothing to do")
            .is_empty()
    );
    assert_eq!(log.start_offset(), offset(40), "a start does not move back");
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
fn a_log_start_beyond_the_end_begins_anew_there() {
    let (mut case, log) = Case::with(small(), 30);
    drop(log);
    case.crash(Crash::KeepAll);
    // Records up to 45 were deleted, and then the power took the tail from 30 on.
    case.write("leader-epoch-checkpoint", b"0\n1\n0 45\n");
    let (mut log, report) = case.open(Opening {
        log_start: offset(45),
        ..unclean(offset(30))
    });
    assert_eq!(
        (log.start_offset(), log.end_offset()),
        (offset(45), offset(45))
    );
    assert!(report.segments_cut > 1);
    append(&mut log, &batch(45, 1_000, 10)).expect("appended");
    assert_eq!(marks(&log), [45]);
    assert_eq!(log.leader_epochs().len(), 1);
}

#[test]
fn checkpoints_of_a_deleted_topic_of_the_same_name_do_no_harm() {
    for (start, point) in [(45, 70), (12, 12), (45, 20), (0, 5_000)] {
        let (mut case, mut log) = Case::with(small(), 20);
        for mark in 20..30 {
            append(&mut log, &batch(mark, 1_000, 100)).expect("appended");
        }
        case.sync(&mut log); // So that what is flipped below stays so.
        drop(log);
        // Behind what was acknowledged a body has not reached the disk, though its header has.
        case.crash(Crash::KeepAll);
        let bytes = batch(0, 1_000, 100).len() as u64;
        let base = case
            .names()
            .iter()
            .filter_map(|name| name.strip_suffix(".log")?.parse::<i64>().ok())
            .max();
        let base = base.expect("a segment");
        let torn = format!("{base:020}.log");
        let position = (28 - base) as u64 * bytes + 100;
        case.world
            .disk()
            .flip(&case.path(&torn), position, 0xff)
            .expect("flipped");
        let opening = Opening {
            log_start: offset(start),
            ..unclean(offset(point))
        };
        let (log, report) = case.open(opening);
        assert_eq!(
            (log.start_offset(), log.end_offset()),
            (offset(0), offset(28)),
            "{start} {point}: {report:?}"
        );
        assert_eq!(marks(&log).len(), 28);
        assert!(log.durable_offset() <= offset(point.min(28)));
    }
}

#[test]
fn a_start_that_was_moved_stays_moved() {
    for crash in [Crash::KeepAll, Crash::LoseUnsynced] {
        let (mut case, mut log) = Case::with(small(), 30);
        log.advance_start(offset(17)).expect("moved");
        append(&mut log, &batch(30, 1_000, 10)).expect("appended");
        case.sync(&mut log);
        drop(log);
        case.crash(crash);
        let (log, _) = case.open(Opening {
            log_start: offset(17),
            ..unclean(offset(31))
        });
        assert_eq!(
            (log.start_offset(), log.end_offset()),
            (offset(17), offset(31))
        );
    }
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
fn many_segments_are_synced_a_few_at_a_time_after_a_recovery() {
    let (mut case, log) = Case::with(
        Config {
            segment_bytes: 400,
            ..Config::default()
        },
        120,
    );
    assert!(log.segment_count() > 30);
    drop(log);
    case.crash(Crash::KeepAll);
    let (mut log, _) = case.open(unclean(Offset::ZERO));
    let mut tickets = 0;
    while log.durable_offset() < log.end_offset() {
        let ticket = log.sync_ticket().expect("a ticket");
        assert!(
            ticket.files().len() <= 16 * 3 + 4,
            "descriptors are bounded"
        );
        let before = log.unsynced_bytes();
        let outcome = case.world.run(ticket.sync(&case.reactor));
        log.synced(&ticket, outcome).expect("synced");
        assert!(log.unsynced_bytes() < before);
        tickets += 1;
    }
    assert!(tickets > 1);
    assert_eq!((log.unsynced_bytes(), log.oldest_unsynced()), (0, None));
}

#[test]
fn another_topics_directory_is_refused_and_a_lost_id_is_written_again() {
    let (mut case, log) = Case::with(Config::default(), 3);
    let end = case.world.run(close(&case.reactor, log));
    case.crash(Crash::KeepAll);
    let other = uuid::Uuid::from_u128(99);
    let error = case
        .try_open(Opening {
            topic_id: Some(other),
            ..clean(end)
        })
        .expect_err("another topic");
    assert!(
        error
            .to_string()
            .contains("expected AAAAAAAAAAAAAAAAAAAAYw"),
        "{error}"
    );
    case.write("partition.metadata", b"");
    assert!(case.try_open(clean(end)).is_err());
    let (log, _) = case.open(Opening {
        topic_id: Some(TOPIC_ID),
        ..clean(end)
    });
    assert_eq!(log.topic_id(), TOPIC_ID);
    drop(log);
    let (log, _) = case.open(clean(end));
    assert_eq!(log.topic_id(), TOPIC_ID);
}

#[test]
fn a_directory_without_a_segment_is_an_empty_log() {
    let (mut case, log) = Case::new(Config::default());
    drop(log);
    case.crash(Crash::KeepAll);
    for name in case.names() {
        case.reactor
            .remove_file(&case.path(&name))
            .expect("removed");
    }
    let (mut log, _) = case.open(Opening {
        topic_id: Some(TOPIC_ID),
        ..unclean(Offset::ZERO)
    });
    append(&mut log, &batch(0, 1, 10)).expect("appended");
    assert_eq!(marks(&log), [0]);
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
