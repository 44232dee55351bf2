//! What begins a rebalance of a group that is stable, and who is out when it ends.

use super::{scene, settle, stable, state};
use crate::testing::{Join, Scene};
use highwater_wire::ErrorCode;

#[test]
fn a_newcomer_begins_a_rebalance_and_members_hear_of_it_by_heartbeat() {
    let mut scene = scene();
    let members = stable(&mut scene, 2);
    let (_, newcomer) = scene.enter(&Join::default());
    assert_eq!(
        scene.heartbeat("g", &members[0], 1),
        ErrorCode::RebalanceInProgress
    );
    // What they have done may be committed while they join.
    let done = scene.commit("g", &members[0], 1, ("orders", 0), 5);
    assert_eq!(done, ErrorCode::None);
    let rejoin = |scene: &mut Scene, member: &str| {
        scene.join(&Join {
            member,
            ..Join::default()
        })
    };
    let first = rejoin(&mut scene, &members[0]);
    assert_eq!(scene.joined(newcomer), None);
    rejoin(&mut scene, &members[1]);
    assert_eq!(scene.joined(newcomer).unwrap().generation, 2);
    assert_eq!(scene.joined(first).unwrap().leader, members[0]);
    // All have joined: what is committed now would be of a former generation's partitions.
    let late = scene.commit("g", &members[0], 1, ("orders", 0), 6);
    assert_eq!(late, ErrorCode::IllegalGeneration);
    let early = scene.commit("g", &members[0], 2, ("orders", 0), 6);
    assert_eq!(early, ErrorCode::RebalanceInProgress);
}

#[test]
fn who_does_not_join_again_in_time_is_out_and_another_leads() {
    let mut scene = scene();
    let members = stable(&mut scene, 3);
    let ticket = scene.join(&Join {
        member: &members[1],
        protocols: &[("range", b"other")],
        ..Join::default()
    });
    let third = scene.join(&Join {
        member: &members[2],
        ..Join::default()
    });
    for _ in 0..11 {
        scene.pass(5000);
        assert_eq!(
            scene.heartbeat("g", &members[0], 1),
            ErrorCode::RebalanceInProgress
        );
    }
    assert_eq!(scene.joined(ticket), None);
    scene.pass(5000);
    let joined = scene.joined(ticket).unwrap();
    assert_eq!(joined.generation, 2);
    assert_ne!(joined.leader, members[0]);
    assert_eq!(scene.joined(third).unwrap().leader, joined.leader);
    assert_eq!(
        scene.heartbeat("g", &members[0], 2),
        ErrorCode::UnknownMemberId
    );
}

#[test]
fn a_follower_that_joins_with_the_same_metadata_hears_the_same_again() {
    let mut scene = scene();
    let members = stable(&mut scene, 2);
    let ticket = scene.join(&Join {
        member: &members[1],
        ..Join::default()
    });
    let joined = scene.joined(ticket).unwrap();
    assert_eq!((joined.generation, &joined.leader), (1, &members[0]));
    assert_eq!(state(&scene), "Stable");
}

#[test]
fn a_leader_that_joins_again_begins_a_rebalance() {
    let mut scene = scene();
    let members = stable(&mut scene, 2);
    let ticket = scene.join(&Join {
        member: &members[0],
        ..Join::default()
    });
    assert_eq!(scene.joined(ticket), None);
    assert_eq!(state(&scene), "PreparingRebalance");
}

#[test]
fn a_member_with_other_metadata_begins_a_rebalance() {
    for synced in [true, false] {
        let mut scene = scene();
        let (a, first) = scene.enter(&Join::default());
        let (b, _) = scene.enter(&Join::default());
        scene.pass(6000);
        let leader = scene.joined(first).unwrap().leader.clone();
        let follower = if leader == a { b } else { a };
        if synced {
            settle(&mut scene, &[leader.clone(), follower.clone()], 1);
        }
        // The answer to the first one was lost.
        let again = scene.join(&Join {
            member: &follower,
            ..Join::default()
        });
        assert_eq!(scene.joined(again).unwrap().generation, 1);
        let other = scene.join(&Join {
            member: &follower,
            protocols: &[("range", b"other")],
            ..Join::default()
        });
        assert_eq!(scene.joined(other), None);
        assert_eq!(state(&scene), "PreparingRebalance");
    }
}

#[test]
fn who_joins_twice_waits_once() {
    let mut scene = scene();
    let (member, before) = scene.enter(&Join::default());
    let after = scene.join(&Join {
        member: &member,
        ..Join::default()
    });
    assert_eq!(
        scene.joined(before).unwrap().code,
        ErrorCode::RebalanceInProgress
    );
    scene.pass(3000);
    assert_eq!(scene.joined(after).unwrap().members.len(), 1);
}

#[test]
fn a_member_that_leaves_begins_a_rebalance() {
    let mut scene = scene();
    let members = stable(&mut scene, 2);
    assert_eq!(
        scene.leave("g", &[(&members[0], None), ("nobody", None)]),
        [ErrorCode::None, ErrorCode::UnknownMemberId]
    );
    assert_eq!(
        scene.heartbeat("g", &members[1], 1),
        ErrorCode::RebalanceInProgress
    );
    let ticket = scene.join(&Join {
        member: &members[1],
        ..Join::default()
    });
    assert_eq!(scene.joined(ticket).unwrap().leader, members[1]);
}
