//! What a log does about the small files beside it when they are lost, or speak of another time or topic.

use highwater_log::{Config, Opening};
use highwater_reactor::sim::Crash;
use highwater_record::Offset;

use crate::common::{TOPIC_ID, append, append_in, batch, clean, close, small, unclean};
use crate::{Case, marks, offset};

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
