use highwater_record::{Codec, Compression};

use super::*;
use crate::producers::Census;
use crate::testing::{Wanted, records};

const NOW: i64 = 1_700_000_000_000;

fn state(config: Config) -> State {
    let producers = Producers::new(config.producers_max, Census::default());
    State::new(
        config,
        producers,
        LeaderEpoch::new(3),
        Offset::new(100),
        Offset::new(100),
    )
}

fn written() -> State {
    state(Config {
        durability: Durability::Written,
        ..Config::default()
    })
}

fn admit(state: &State, wanted: &Wanted) -> Result<Verdict, Refusal> {
    let bytes = wanted.bytes();
    state.admit(NOW, Header::peek(&bytes).expect("a header"), Origin::Client)
}

fn place(state: &mut State, wanted: &Wanted) -> Placement {
    match admit(state, wanted) {
        Ok(Verdict::Place(placement)) => {
            state.placed(&placement, Instant::ZERO);
            placement
        }
        other => panic!("not placed: {other:?}"),
    }
}

fn offsets(state: &State) -> [i64; 4] {
    [
        state.log_start(),
        state.durable_end(),
        state.high_watermark(),
        state.log_end(),
    ]
    .map(Offset::get)
}

#[test]
fn batches_take_their_places_back_to_back() {
    let mut state = state(Config::default());
    let first = place(&mut state, &records(3, 10, NOW));
    let second = place(&mut state, &records(1, 10, NOW));
    assert_eq!(
        (first.base, first.end),
        (Offset::new(100), Offset::new(103))
    );
    assert_eq!(
        (second.base, second.end),
        (Offset::new(103), Offset::new(104))
    );
}

#[test]
fn flushed_moves_the_high_watermark_with_the_durable_end_and_written_with_the_log() {
    let mut flushed = state(Config::default());
    place(&mut flushed, &records(3, 10, NOW));
    place(&mut flushed, &records(2, 10, NOW));
    assert_eq!(offsets(&flushed), [100, 100, 100, 105]);
    assert!(flushed.wants_sync());
    flushed.synced(Offset::new(103));
    assert_eq!(offsets(&flushed), [100, 103, 103, 105]);
    assert_eq!(flushed.promise(Offset::new(103)), Promise::Kept);
    assert_eq!(flushed.promise(Offset::new(105)), Promise::Open);
    flushed.synced(Offset::new(105));
    assert!(!flushed.wants_sync());

    let mut written = written();
    place(&mut written, &records(3, 10, NOW));
    assert_eq!(offsets(&written), [100, 100, 103, 103]);
    assert!(!written.wants_sync());
    assert_eq!(written.promise(Offset::new(103)), Promise::Kept);
}

#[test]
fn a_repetition_keeps_the_first_place_and_is_recognised_before_it_is_durable() {
    let mut state = state(Config::default());
    let batch = records(3, 10, NOW).from(9, 0, 0);
    place(&mut state, &batch);
    let Ok(Verdict::Repeated(kept)) = admit(&state, &batch) else {
        panic!("not recognised")
    };
    assert_eq!(
        (kept.first_offset(), kept.last_offset),
        (Offset::new(100), Offset::new(102))
    );
    assert_eq!(state.promise(kept.last_offset.next()), Promise::Open);
    // However late it comes: what was admitted once is not refused for its age.
    let bytes = batch.bytes();
    let header = Header::peek(&bytes).expect("a header");
    assert!(matches!(
        state.admit(0, header, Origin::Client),
        Ok(Verdict::Repeated(_))
    ));
}

#[test]
fn what_a_client_may_not_send_is_refused_and_changes_nothing() {
    let mut state = state(Config {
        max_message_bytes: 1000,
        ..Config::default()
    });
    place(&mut state, &records(1, 10, NOW).from(1, 0, 0));
    let before = format!("{state:?}");
    let refused = |wanted: &Wanted| admit(&state, wanted).expect_err("refused");

    assert!(matches!(
        refused(&records(1, 2000, NOW)),
        Refusal::TooLarge {
            bytes_max: 1000,
            ..
        }
    ));
    let control = Wanted {
        control: true,
        ..records(1, 10, NOW)
    };
    assert_eq!(refused(&control), Refusal::Invalid(Invalid::Control));
    let transactional = Wanted {
        transactional: true,
        ..records(1, 10, NOW).from(2, 0, 0)
    };
    assert_eq!(refused(&transactional), Refusal::Transactional);
    let stamped = Wanted {
        log_append_time: true,
        ..records(1, 10, NOW)
    };
    assert_eq!(refused(&stamped), Refusal::TimestampType);
    let unsequenced = records(1, 10, NOW).from(2, 0, -1);
    assert!(matches!(
        refused(&unsequenced),
        Refusal::Invalid(Invalid::Producer { sequence: -1, .. })
    ));
    let no_epoch = records(1, 10, NOW).from(2, -1, 0);
    assert!(matches!(
        refused(&no_epoch),
        Refusal::Invalid(Invalid::Producer { epoch: -1, .. })
    ));
    let gap = records(1, 10, NOW).from(1, 0, 5);
    assert!(matches!(
        refused(&gap),
        Refusal::OutOfOrderSequence {
            found: 5,
            expected: 1,
            ..
        }
    ));
    assert!(matches!(
        refused(&records(0, 0, NOW)),
        Refusal::Invalid(Invalid::Count { records: 0, .. })
    ));
    let mut placed_elsewhere = records(1, 10, NOW).bytes();
    placed_elsewhere[7] = 9;
    let header = Header::peek(&placed_elsewhere).expect("a header");
    assert_eq!(
        state.admit(NOW, header, Origin::Client),
        Err(Refusal::Invalid(Invalid::BaseOffset { found: 9 }))
    );
    let mut sparse = records(2, 10, NOW).bytes();
    sparse[26] = 7;
    let header = Header::peek(&sparse).expect("a header");
    assert_eq!(
        state.admit(NOW, header, Origin::Client),
        Err(Refusal::Invalid(Invalid::Count {
            records: 2,
            last_offset_delta: 7
        }))
    );
    assert_eq!(format!("{state:?}"), before);
}

#[test]
fn a_coordinator_may_write_control_batches_and_has_no_sequences() {
    let state = state(Config::default());
    let control = Wanted {
        control: true,
        ..records(1, 10, NOW).from(2, 0, -1)
    };
    let bytes = control.bytes();
    let header = Header::peek(&bytes).expect("a header");
    let Ok(Verdict::Place(placement)) = state.admit(NOW, header, Origin::Coordinator) else {
        panic!("refused")
    };
    assert!(placement.control && !placement.opened);
}

#[test]
fn a_batch_larger_than_a_segment_is_refused() {
    let log = highwater_log::Config {
        segment_bytes: 500,
        ..highwater_log::Config::default()
    };
    let state = state(Config {
        log,
        ..Config::default()
    });
    assert!(matches!(
        admit(&state, &records(1, 1000, NOW)),
        Err(Refusal::ExceedsSegment {
            segment_bytes: 500,
            ..
        })
    ));
}

#[test]
fn timestamps_are_held_against_the_brokers_clock() {
    let limits = Config {
        timestamp_before_max_ms: 1000,
        timestamp_after_max_ms: 500,
        ..Config::default()
    };
    let both = state(limits);
    let fits = |timestamp_ms| admit(&both, &records(1, 10, timestamp_ms)).is_ok();
    assert!(fits(NOW) && fits(NOW - 1000) && fits(NOW + 500) && fits(-1));
    assert!(!fits(NOW - 1001) && !fits(NOW + 501) && !fits(i64::MAX) && !fits(0));

    let default = state(Config::default());
    assert!(admit(&default, &records(1, 10, 0)).is_ok());
    assert!(matches!(
        admit(&default, &records(1, 10, NOW + 3_600_001)),
        Err(Refusal::InvalidTimestamp { record: 0, .. })
    ));

    // Where the log's clock decides, the client's does not matter.
    let stamping = state(Config {
        timestamp_type: TimestampType::LogAppend,
        timestamp_before_max_ms: 1000,
        timestamp_after_max_ms: 500,
        ..Config::default()
    });
    let Ok(Verdict::Place(placement)) = admit(&stamping, &records(1, 10, 7)) else {
        panic!("refused")
    };
    assert_eq!(
        (placement.log_append_time_ms, placement.timestamp_ms),
        (Some(NOW), NOW)
    );
    assert!(!placement.opened);
}

#[test]
fn only_settings_that_speak_of_records_open_a_batch() {
    let opened = |config: Config, codec| {
        let verdict = admit(&state(config), &records(2, 10, NOW).packed(codec));
        matches!(verdict, Ok(Verdict::Place(Placement { opened: true, .. })))
    };
    let gzip = || Config {
        compression: Some(Compression::from(Codec::Gzip)),
        ..Config::default()
    };
    let log = highwater_log::Config {
        compact: true,
        ..highwater_log::Config::default()
    };
    assert!(!opened(Config::default(), Codec::None) && !opened(Config::default(), Codec::Zstd));
    assert!(
        !opened(gzip(), Codec::Gzip) && opened(gzip(), Codec::None) && opened(gzip(), Codec::Lz4)
    );
    assert!(opened(
        Config {
            log,
            ..Config::default()
        },
        Codec::None
    ));
    assert!(opened(
        Config {
            timestamp_before_max_ms: 1000,
            ..Config::default()
        },
        Codec::None
    ));
}

#[test]
fn flush_messages_makes_the_batch_that_reaches_it_wait_for_the_device() {
    let config = Config {
        durability: Durability::Written,
        flush_messages: 5,
        ..Config::default()
    };
    let mut state = state(config);
    place(&mut state, &records(3, 10, NOW));
    assert!(!state.wants_sync());
    assert_eq!(state.promise(Offset::new(103)), Promise::Kept);
    place(&mut state, &records(3, 10, NOW));
    assert!(state.wants_sync());
    assert_eq!(state.promise(Offset::new(106)), Promise::Open);
    assert_eq!(state.high_watermark(), Offset::new(106));
    // What comes while the sync is under way waits with it.
    place(&mut state, &records(1, 10, NOW));
    assert_eq!(state.promise(Offset::new(107)), Promise::Open);
    state.synced(Offset::new(106));
    assert!(!state.wants_sync());
    assert_eq!(state.promise(Offset::new(107)), Promise::Kept);
    place(&mut state, &records(3, 10, NOW));
    assert_eq!(
        state.promise(Offset::new(110)),
        Promise::Kept,
        "the count began anew"
    );
}

#[test]
fn after_a_fault_nothing_is_promised_and_what_was_visible_stays_visible() {
    let mut state = state(Config::default());
    place(&mut state, &records(3, 10, NOW));
    state.synced(Offset::new(103));
    place(&mut state, &records(3, 10, NOW));
    state.fence();
    assert_eq!(state.promise(Offset::new(103)), Promise::Kept);
    assert_eq!(state.promise(Offset::new(106)), Promise::Lost(Lost::Fenced));
    assert_eq!(admit(&state, &records(1, 1, NOW)), Err(Refusal::Fenced));
    assert!(!state.wants_sync());
    // A sync that was under way and says it went well is not believed.
    state.synced(Offset::new(106));
    assert_eq!(offsets(&state), [100, 103, 103, 106]);
    assert_eq!(
        state.admit_fetch(&Fetch::new(Offset::new(100), 1)).ok(),
        Some(Offset::new(103))
    );
}

#[test]
fn closing_takes_no_batch_and_still_keeps_its_promises() {
    let mut state = state(Config::default());
    place(&mut state, &records(3, 10, NOW));
    assert!(state.start_closing());
    assert_eq!(admit(&state, &records(1, 1, NOW)), Err(Refusal::Closed));
    assert!(state.wants_sync());
    state.synced(Offset::new(103));
    assert_eq!(state.promise(Offset::new(103)), Promise::Kept);
    state.close();
    assert!(!state.start_closing());
    assert!(matches!(
        state.admit_fetch(&Fetch::new(Offset::new(100), 1)),
        Err(FetchRefusal::Closed)
    ));
}

#[test]
fn a_fetch_is_held_against_the_log_and_the_epoch() {
    let mut state = state(Config::default());
    place(&mut state, &records(3, 10, NOW));
    let fetch = |from: i64, epoch: i32| Fetch {
        current_leader_epoch: (epoch >= 0).then(|| LeaderEpoch::new(epoch)),
        ..Fetch::new(Offset::new(from), 1000)
    };
    assert_eq!(
        state.admit_fetch(&fetch(100, -1)).ok(),
        Some(Offset::new(100))
    );
    assert_eq!(
        state.admit_fetch(&fetch(103, 3)).ok(),
        Some(Offset::new(100))
    );
    for outside in [99, 104, -1, i64::MAX] {
        assert!(matches!(
            state.admit_fetch(&fetch(outside, 3)),
            Err(FetchRefusal::OutOfRange { .. })
        ));
    }
    assert!(matches!(
        state.admit_fetch(&fetch(100, 2)),
        Err(FetchRefusal::FencedLeaderEpoch {
            found: 2,
            current: 3
        })
    ));
    assert!(matches!(
        state.admit_fetch(&fetch(100, 4)),
        Err(FetchRefusal::UnknownLeaderEpoch {
            found: 4,
            current: 3
        })
    ));
}

#[test]
fn the_offsets_of_a_partition_can_run_out_and_do_not_wrap() {
    let end = Offset::new(i64::MAX - 2);
    let producers = Producers::new(16, Census::default());
    let state = State::new(Config::default(), producers, LeaderEpoch::ZERO, end, end);
    assert!(admit(&state, &records(2, 1, NOW)).is_ok());
    assert_eq!(
        admit(&state, &records(3, 1, NOW)),
        Err(Refusal::Invalid(Invalid::OffsetsExhausted))
    );
}

#[test]
fn a_level_that_promises_more_never_takes_back_what_was_visible() {
    let mut state = written();
    place(&mut state, &records(3, 10, NOW));
    state.reconfigure(Config::default());
    assert_eq!(offsets(&state), [100, 100, 103, 103]);
    place(&mut state, &records(2, 10, NOW));
    assert_eq!(offsets(&state), [100, 100, 103, 105]);
    state.reconfigure(Config {
        durability: Durability::Written,
        ..Config::default()
    });
    assert_eq!(offsets(&state), [100, 100, 105, 105]);
}
