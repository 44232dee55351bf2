//! What a log does about bytes that are not what was written: torn, flipped, missing, of another life.

use highwater_log::{Config, Error, Opening, ReadError};
use highwater_reactor::sim::Crash;
use highwater_record::Offset;

use crate::common::{TOPIC_ID, append, append_in, batch, bytes_of, clean, close, small, unclean};
use crate::{Case, marks, offset};

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
