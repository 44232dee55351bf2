//! Who is taken for alive, and until when.

use super::{scene, stable, state};
use crate::testing::Join;
use highwater_wire::ErrorCode;

#[test]
fn a_member_that_is_not_heard_of_is_out() {
    let mut scene = scene();
    let members = stable(&mut scene, 2);
    scene.pass(9000);
    assert_eq!(scene.heartbeat("g", &members[1], 1), ErrorCode::None);
    scene.pass(1000);
    assert_eq!(
        scene.heartbeat("g", &members[1], 1),
        ErrorCode::RebalanceInProgress
    );
    let ticket = scene.join(&Join {
        member: &members[1],
        ..Join::default()
    });
    let joined = scene.joined(ticket).unwrap();
    assert_eq!((joined.generation, joined.members.len()), (2, 1));
}

#[test]
fn a_commit_says_that_the_member_is_alive() {
    let mut scene = scene();
    let members = stable(&mut scene, 1);
    for offset in 0..5 {
        scene.pass(9000);
        let code = scene.commit("g", &members[0], 1, ("orders", 0), offset);
        assert_eq!(code, ErrorCode::None);
    }
    assert_eq!(state(&scene), "Stable");
}

#[test]
fn a_member_that_waits_is_not_missed() {
    let mut scene = scene();
    let members = stable(&mut scene, 2);
    let waiting = scene.join(&Join {
        member: &members[0],
        ..Join::default()
    });
    for _ in 0..8 {
        scene.pass(6000);
        scene.heartbeat("g", &members[1], 1);
    }
    assert_eq!(scene.joined(waiting), None);
    let ticket = scene.join(&Join {
        member: &members[1],
        ..Join::default()
    });
    assert_eq!(scene.joined(waiting).unwrap().code, ErrorCode::None);
    assert_eq!(scene.joined(ticket).unwrap().code, ErrorCode::None);
}

#[test]
fn a_newcomer_that_waits_five_minutes_is_asked_to_come_again() {
    let mut scene = scene();
    let (member, ticket) = scene.enter(&Join {
        rebalance_ms: 400_000,
        ..Join::default()
    });
    assert_eq!(scene.config.initial_rebalance_delay_ms, 3000);
    // Others come all the time, so that the first rebalance goes on.
    for _ in 0..149 {
        scene.pass(2000);
        scene.join(&Join {
            version: 3,
            ..Join::default()
        });
    }
    assert_eq!(scene.joined(ticket), None);
    scene.pass(2000);
    let joined = scene.joined(ticket).unwrap();
    assert_eq!(joined.code, ErrorCode::UnknownMemberId);
    assert_eq!(joined.member, "");
    let ticket = scene.join(&Join {
        member: &member,
        ..Join::default()
    });
    assert_eq!(
        scene.joined(ticket).unwrap().code,
        ErrorCode::UnknownMemberId
    );
}

#[test]
fn while_records_are_read_nobody_is_served_and_everybody_counts_as_alive() {
    let mut scene = scene();
    let members = stable(&mut scene, 1);
    scene.coordinator = crate::Coordinator::new(scene.config.clone());
    let code = ErrorCode::CoordinatorLoadInProgress;
    let ticket = scene.join(&Join::default());
    assert_eq!(scene.joined(ticket).unwrap().code, code);
    let ticket = scene.sync("g", &members[0], None, 1, &[]);
    assert_eq!(scene.synced(ticket).unwrap().code, code);
    assert_eq!(scene.heartbeat("g", &members[0], 1), ErrorCode::None);
    assert_eq!(scene.commit("g", &members[0], 1, ("orders", 0), 1), code);
    let group = scene
        .coordinator
        .describe_group(&scene.stage.topics, "g", 6);
    assert_eq!(group.error_code, code.id());
}

#[test]
fn the_time_outs_of_what_is_gone_are_gone() {
    let mut scene = scene();
    let members = stable(&mut scene, 5);
    let ticket = scene.join(&Join::default());
    assert!(scene.joined(ticket).is_some());
    scene.leave(
        "g",
        &members
            .iter()
            .map(|member| (member.as_str(), None))
            .collect::<Vec<_>>(),
    );
    scene.pass(300_000);
    // What is left is the search for expired offsets.
    assert_eq!(scene.coordinator.counts().timeouts, 1);
}
