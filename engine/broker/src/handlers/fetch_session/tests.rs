use std::time::Duration;

use super::*;

const SHARDS: u16 = 3;

fn sessions(slots: usize) -> Sessions {
    Sessions::new(ShardId::new(2), SHARDS, slots, 1000)
}

fn at(seconds: u64) -> Instant {
    Instant::from_start(Duration::from_secs(seconds))
}

fn want(partition: i32, offset: i64) -> Want {
    Want {
        key: key(partition),
        offset,
        bytes_max: 1000,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
    }
}

fn key(partition: i32) -> Key {
    Key {
        topic: TopicKey::Name("orders".into()),
        partition,
    }
}

fn outcome(high_watermark: i64) -> Outcome {
    Outcome {
        has_records: false,
        failed: false,
        diverging: false,
        high_watermark,
        log_start: 0,
    }
}

fn create(sessions: &mut Sessions, now: Instant, partitions: i32) -> i32 {
    let asked = (0..partitions).map(|p| (want(p, 0), outcome(5))).collect();
    let mut next = 40 + now.since_start().as_secs();
    sessions.create(now, false, asked, || {
        next += 1;
        next
    })
}

fn begin(
    sessions: &mut Sessions,
    id: i32,
    epoch: i32,
    changed: Vec<Want>,
    forgotten: &[Key],
) -> Result<Begun, Refusal> {
    sessions.begin(at(1), id, epoch, false, changed, forgotten)
}

fn partitions(begun: &Begun) -> Vec<i32> {
    match begun {
        Begun::Incremental { wants, .. } => wants.iter().map(|want| want.key.partition).collect(),
        Begun::Sessionless => panic!("no session"),
    }
}

#[test]
fn a_session_is_found_from_everywhere_by_its_id() {
    let id = create(&mut sessions(10), at(0), 2);
    assert!(id > 0);
    assert_eq!(home(id, SHARDS), ShardId::new(2));
    assert_eq!(
        home(-7, SHARDS).get(),
        2,
        "ids nobody gave lead somewhere, too"
    );
}

#[test]
fn only_what_changed_need_be_named_and_only_news_are_told() {
    let mut sessions = sessions(10);
    let id = create(&mut sessions, at(0), 3);
    let begun = begin(
        &mut sessions,
        id,
        1,
        vec![want(1, 77), want(9, 0)],
        &[key(2)],
    )
    .unwrap();
    assert_eq!(partitions(&begun), [0, 1, 9]);
    let Begun::Incremental { wants, epoch } = begun else {
        unreachable!()
    };
    assert_eq!((wants[1].offset, epoch), (77, 2));

    let told = |high: i64, records: bool| Outcome {
        has_records: records,
        ..outcome(high)
    };
    let outcomes = [
        (key(0), told(5, false)),
        (key(1), told(6, false)),
        (key(9), told(1, true)),
    ];
    assert_eq!(
        sessions.select(id, 2, &outcomes),
        Ok(vec![false, true, true])
    );
    begin(&mut sessions, id, 2, vec![], &[]).unwrap();
    let again = [
        (key(0), told(5, false)),
        (key(1), told(6, false)),
        (key(9), told(1, false)),
    ];
    assert_eq!(
        sessions.select(id, 3, &again),
        Ok(vec![false, false, false])
    );
}

#[test]
fn who_returned_records_goes_to_the_end_of_the_order() {
    let mut sessions = sessions(10);
    let id = create(&mut sessions, at(0), 3);
    begin(&mut sessions, id, 1, vec![], &[]).unwrap();
    let first = (
        key(0),
        Outcome {
            has_records: true,
            ..outcome(5)
        },
    );
    sessions
        .select(id, 2, &[first, (key(1), outcome(5)), (key(2), outcome(5))])
        .unwrap();
    let begun = begin(&mut sessions, id, 2, vec![], &[]).unwrap();
    assert_eq!(partitions(&begun), [1, 2, 0]);
}

#[test]
fn an_error_is_told_every_time_and_its_end_too() {
    let mut sessions = sessions(10);
    let id = create(&mut sessions, at(0), 1);
    let failed = Outcome {
        failed: true,
        high_watermark: -1,
        log_start: -1,
        ..outcome(5)
    };
    for (epoch, told, news) in [
        (1, failed, true),
        (2, failed, true),
        (3, outcome(5), true),
        (4, outcome(5), false),
    ] {
        begin(&mut sessions, id, epoch, vec![], &[]).unwrap();
        assert_eq!(
            sessions.select(id, epoch + 1, &[(key(0), told)]),
            Ok(vec![news]),
            "{epoch}"
        );
    }
}

#[test]
fn a_request_out_of_turn_is_refused_and_changes_nothing() {
    let mut sessions = sessions(10);
    let id = create(&mut sessions, at(0), 2);
    assert_eq!(
        begin(&mut sessions, id + 3, 1, vec![], &[]),
        Err(Refusal::NotFound)
    );
    assert_eq!(
        begin(&mut sessions, id, 2, vec![want(5, 0)], &[]),
        Err(Refusal::Epoch)
    );
    assert_eq!(
        sessions.begin(at(1), id, 1, true, vec![], &[]),
        Err(Refusal::NamesAndIds)
    );
    assert_eq!(
        partitions(&begin(&mut sessions, id, 1, vec![], &[]).unwrap()),
        [0, 1]
    );
    assert_eq!(
        sessions.select(id, 1, &[]),
        Err(Refusal::Epoch),
        "an older request's answer"
    );
}

#[test]
fn a_session_without_partitions_is_none() {
    let mut sessions = sessions(10);
    let id = create(&mut sessions, at(0), 1);
    assert_eq!(
        begin(&mut sessions, id, 1, vec![], &[key(0)]),
        Ok(Begun::Sessionless)
    );
    assert_eq!(sessions.len(), 0);
    assert_eq!(sessions.partitions, 0);
}

#[test]
fn epochs_go_round_without_touching_zero() {
    assert_eq!(next_epoch(0), 1);
    assert_eq!(next_epoch(i32::MAX), 1);
    assert_eq!(next_epoch(-1), -1);
}

#[test]
fn a_full_cache_gives_way_only_where_kafkas_does() {
    let mut sessions = sessions(2);
    let (small, large) = (
        create(&mut sessions, at(0), 1),
        create(&mut sessions, at(0), 5),
    );
    assert!(small != large);
    assert_eq!(
        create(&mut sessions, at(100), 9),
        NO_SESSION,
        "both are young and in use"
    );
    sessions
        .begin(at(130), large, 1, false, vec![], &[])
        .unwrap();
    assert_ne!(
        create(&mut sessions, at(140), 1),
        NO_SESSION,
        "the idle one goes"
    );
    assert_eq!(
        begin(&mut sessions, small, 1, vec![], &[]),
        Err(Refusal::NotFound)
    );
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions.partitions, 6);
}

#[test]
fn the_partitions_of_all_sessions_together_are_bounded() {
    let mut sessions = Sessions::new(ShardId::ZERO, 1, 10, 5);
    let id = create(&mut sessions, at(0), 4);
    assert_ne!(id, NO_SESSION);
    assert_eq!(create(&mut sessions, at(0), 2), NO_SESSION);
    assert_eq!(
        begin(&mut sessions, id, 1, vec![want(7, 0), want(8, 0)], &[]),
        Err(Refusal::NotFound),
        "the client starts over without a session"
    );
    assert_eq!(sessions.partitions, 0);
}
