//! What a leader hands out: who waits for it, where it is written, and what becomes of one that cannot be.

use super::{scene, stable, state};
use crate::testing::{EPOCH_UNIX_MS, Join, TO_ORDERS};
use highwater_wire::ErrorCode;

#[test]
fn followers_wait_for_the_leaders_assignment() {
    let mut scene = scene();
    let (a, first) = scene.enter(&Join::default());
    let (b, _) = scene.enter(&Join::default());
    scene.pass(6000);
    let leader = scene.joined(first).unwrap().leader.clone();
    let follower = if leader == a { &b } else { &a };
    let waiting = scene.sync("g", follower, None, 1, &[]);
    assert_eq!(scene.synced(waiting), None);
    assert_eq!(state(&scene), "CompletingRebalance");
    let ticket = scene.sync("g", &leader, None, 1, &[(follower, b"theirs")]);
    // Who is not named gets nothing.
    assert_eq!(scene.synced(ticket).unwrap().assignment, b"");
    let synced = scene.synced(waiting).unwrap();
    assert_eq!(synced.assignment, b"theirs");
    assert_eq!(synced.protocol.as_deref(), Some("range"));
    assert_eq!(synced.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(state(&scene), "Stable");
}

#[test]
fn what_was_handed_out_is_there_after_a_restart() {
    let mut scene = scene();
    let members = stable(&mut scene, 3);
    scene.restart();
    assert_eq!(state(&scene), "Stable");
    for member in &members {
        assert_eq!(scene.heartbeat("g", member, 1), ErrorCode::None);
        let ticket = scene.sync("g", member, None, 1, &[]);
        assert_eq!(scene.synced(ticket).unwrap().assignment, member.as_bytes());
    }
    scene.pass(10_001);
    assert_eq!(state(&scene), "Empty");
    assert_eq!(
        scene.heartbeat("g", &members[0], 1),
        ErrorCode::UnknownMemberId
    );
}

#[test]
fn an_assignment_that_cannot_be_written_begins_a_rebalance() {
    let mut scene = scene();
    let (a, ticket) = scene.enter(&Join::default());
    let (b, _) = scene.enter(&Join::default());
    scene.pass(6000);
    let leader = scene.joined(ticket).unwrap().leader.clone();
    let follower = if leader == a { b } else { a };
    let waiting = scene.sync("g", &follower, None, 1, &[]);
    scene.stage.refuses = Some(ErrorCode::CoordinatorNotAvailable);
    let ticket = scene.sync("g", &leader, None, 1, &[(&leader, b"all")]);
    for ticket in [waiting, ticket] {
        assert_eq!(
            scene.synced(ticket).unwrap().code,
            ErrorCode::CoordinatorNotAvailable
        );
    }
    assert_eq!(state(&scene), "PreparingRebalance");
    assert_eq!(
        scene.heartbeat("g", &leader, 1),
        ErrorCode::RebalanceInProgress
    );
    scene.stage.refuses = None;
    let ticket = scene.join(&Join {
        member: &leader,
        ..Join::default()
    });
    scene.join(&Join {
        member: &follower,
        ..Join::default()
    });
    assert_eq!(scene.joined(ticket).unwrap().generation, 2);
}

#[test]
fn an_assignment_too_large_for_the_log_is_an_unknown_error() {
    let mut scene = scene();
    let (a, _) = scene.enter(&Join::default());
    scene.pass(3000);
    scene.stage.refuses = Some(ErrorCode::MessageTooLarge);
    let ticket = scene.sync("g", &a, None, 1, &[]);
    assert_eq!(
        scene.synced(ticket).unwrap().code,
        ErrorCode::UnknownServerError
    );
}

#[test]
fn a_group_that_cannot_be_written_is_not_there() {
    let mut scene = scene();
    scene.stage.refuses = Some(ErrorCode::NotCoordinator);
    let ticket = scene.join(&Join::default());
    assert_eq!(
        scene.joined(ticket).unwrap().code,
        ErrorCode::NotCoordinator
    );
    assert_eq!(scene.coordinator.counts().groups, 0);
}

#[test]
fn who_does_not_fetch_its_assignment_in_time_is_out() {
    let mut scene = scene();
    let (a, first) = scene.enter(&Join::default());
    let (b, _) = scene.enter(&Join::default());
    scene.pass(6000);
    let leader = scene.joined(first).unwrap().leader.clone();
    let silent = if leader == a { b } else { a };
    scene.sync("g", &leader, None, 1, &[]);
    for _ in 0..7 {
        scene.pass(8000);
        assert_eq!(scene.heartbeat("g", &leader, 1), ErrorCode::None);
        assert_eq!(scene.heartbeat("g", &silent, 1), ErrorCode::None);
    }
    scene.pass(4000);
    assert_eq!(scene.heartbeat("g", &silent, 1), ErrorCode::UnknownMemberId);
    assert_eq!(
        scene.heartbeat("g", &leader, 1),
        ErrorCode::RebalanceInProgress
    );
}

#[test]
fn a_leader_that_dies_before_it_assigns_is_followed_by_another() {
    let mut scene = scene();
    let (a, first) = scene.enter(&Join::default());
    let (b, _) = scene.enter(&Join::default());
    scene.pass(6000);
    let leader = scene.joined(first).unwrap().leader.clone();
    let follower = if leader == a { b } else { a };
    let waiting = scene.sync("g", &follower, None, 1, &[]);
    scene.pass(10_000);
    assert_eq!(
        scene.synced(waiting).unwrap().code,
        ErrorCode::RebalanceInProgress
    );
    let ticket = scene.join(&Join {
        member: &follower,
        ..Join::default()
    });
    let joined = scene.joined(ticket).unwrap();
    assert_eq!((joined.generation, &joined.leader), (2, &follower));
}

#[test]
fn a_generation_that_is_not_the_present_one_is_refused() {
    let mut scene = scene();
    let members = stable(&mut scene, 1);
    for generation in [0, 2, -1] {
        let code = ErrorCode::IllegalGeneration;
        assert_eq!(scene.heartbeat("g", &members[0], generation), code);
        let ticket = scene.sync("g", &members[0], None, generation, &[]);
        assert_eq!(scene.synced(ticket).unwrap().code, code);
        assert_eq!(
            scene.commit("g", &members[0], generation, ("orders", 0), 1),
            code
        );
    }
}

#[test]
fn the_record_of_a_generation_says_who_is_in_it_and_since_when() {
    use highwater_wire::records::group::{GroupKey, GroupValue};
    let mut scene = scene();
    let members = stable(&mut scene, 1);
    let (key, value) = scene.stage.log.last().unwrap();
    let key = GroupKey::decode(key).unwrap();
    let (value, version) = GroupValue::decode(&key, value.as_deref().unwrap()).unwrap();
    assert_eq!(version, 3);
    let GroupValue::GroupMetadata(value) = value else {
        panic!("{value:?}");
    };
    assert_eq!(value.generation, 1);
    assert_eq!(value.leader, Some(members[0].as_str()));
    assert_eq!(value.current_state_timestamp, EPOCH_UNIX_MS + 3000);
    let member = value.members.first().unwrap();
    assert_eq!(
        (member.session_timeout, member.rebalance_timeout),
        (10_000, 60_000)
    );
    assert_eq!(member.subscription, TO_ORDERS);
    assert_eq!(member.assignment, members[0].as_bytes());
}

#[test]
fn who_believes_in_another_protocol_does_not_sync() {
    let mut scene = scene();
    let (member, _) = scene.enter(&Join::default());
    scene.pass(3000);
    for (protocol_type, protocol_name, code) in [
        (Some("connect"), None, ErrorCode::InconsistentGroupProtocol),
        (None, Some("sticky"), ErrorCode::InconsistentGroupProtocol),
        (Some("consumer"), Some("range"), ErrorCode::None),
        (None, None, ErrorCode::None),
    ] {
        let caller = scene.caller(5);
        let request = highwater_wire::message::SyncGroupRequest {
            group_id: "g",
            generation_id: 1,
            member_id: &member,
            protocol_type,
            protocol_name,
            ..Default::default()
        };
        scene
            .coordinator
            .sync_group(&mut scene.stage, &caller, &request);
        assert_eq!(scene.synced(caller.ticket).unwrap().code, code);
    }
}
