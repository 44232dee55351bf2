//! How members go, and what is left of a group that everybody left.

use super::{scene, stable, state};
use crate::testing::{Answer, Join};
use highwater_wire::ErrorCode;

#[test]
fn a_group_that_everybody_left_is_empty_also_after_a_restart() {
    let mut scene = scene();
    let members = stable(&mut scene, 2);
    let records = scene.stage.log.len();
    scene.pass(5000);
    scene.leave("g", &[(&members[0], None), (&members[1], None)]);
    assert_eq!(scene.stage.log.len(), records + 1);
    for _ in 0..2 {
        assert_eq!(state(&scene), "Empty");
        let ticket = scene.join(&Join {
            version: 3,
            ..Join::default()
        });
        scene.pass(3000);
        // Generations go on.
        assert_eq!(scene.joined(ticket).unwrap().generation, 3);
        scene.restart();
    }
}

#[test]
fn in_old_versions_one_member_leaves_and_the_answer_is_its_code() {
    let mut scene = scene();
    let members = stable(&mut scene, 1);
    for (member, code) in [
        ("nobody", ErrorCode::UnknownMemberId),
        (&members[0], ErrorCode::None),
    ] {
        let caller = scene.caller(2);
        let request = highwater_wire::message::LeaveGroupRequest {
            group_id: "g",
            member_id: member,
            ..Default::default()
        };
        scene
            .coordinator
            .leave_group(&mut scene.stage, &caller, &request);
        assert_eq!(
            scene.answer(caller.ticket),
            Some(&Answer::Codes(code, Vec::new()))
        );
    }
    assert_eq!(state(&scene), "Empty");
}

#[test]
fn who_was_told_to_come_may_leave_instead() {
    let mut scene = scene();
    let members = stable(&mut scene, 1);
    let ticket = scene.join(&Join::default());
    let pending = scene.joined(ticket).unwrap().member.clone();
    let waiting = scene.join(&Join {
        member: &members[0],
        ..Join::default()
    });
    assert_eq!(scene.joined(waiting), None);
    assert_eq!(scene.leave("g", &[(&pending, None)]), [ErrorCode::None]);
    assert_eq!(scene.joined(waiting).unwrap().generation, 2);
}

#[test]
fn a_member_that_leaves_while_it_waits_is_answered() {
    let mut scene = scene();
    let (a, joining) = scene.enter(&Join::default());
    scene.leave("g", &[(&a, None)]);
    assert_eq!(
        scene.joined(joining).unwrap().code,
        ErrorCode::UnknownMemberId
    );
    let (b, first) = scene.enter(&Join::default());
    let (c, _) = scene.enter(&Join::default());
    scene.pass(6000);
    let leader = scene.joined(first).unwrap().leader.clone();
    let follower = if leader == b { c } else { b };
    let generation = scene.joined(first).unwrap().generation;
    let syncing = scene.sync("g", &follower, None, generation, &[]);
    scene.leave("g", &[(&follower, None)]);
    assert_eq!(
        scene.synced(syncing).unwrap().code,
        ErrorCode::UnknownMemberId
    );
}

#[test]
fn who_waits_is_answered_when_the_partition_goes_elsewhere() {
    let mut scene = scene();
    let (_, joining) = scene.enter(&Join::default());
    scene.coordinator.unload(&mut scene.stage);
    assert_eq!(
        scene.joined(joining).unwrap().code,
        ErrorCode::NotCoordinator
    );
    assert_eq!(scene.coordinator.due_ms(), None);
}

#[test]
fn the_last_member_hears_when_its_leaving_could_not_be_written() {
    let mut scene = scene();
    let members = stable(&mut scene, 1);
    scene.stage.refuses = Some(ErrorCode::NotCoordinator);
    let caller = scene.caller(5);
    let request = highwater_wire::message::LeaveGroupRequest {
        group_id: "g",
        members: [highwater_wire::message::leave_group::MemberIdentity {
            member_id: &members[0],
            ..Default::default()
        }]
        .into(),
        ..Default::default()
    };
    scene
        .coordinator
        .leave_group(&mut scene.stage, &caller, &request);
    assert_eq!(
        scene.answer(caller.ticket),
        Some(&Answer::Codes(ErrorCode::NotCoordinator, Vec::new()))
    );
    assert_eq!(state(&scene), "Empty");
}
