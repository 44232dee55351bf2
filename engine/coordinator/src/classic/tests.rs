//! The rules of classic groups, one by one, in plain calls with a clock of their own.

use crate::config::Config;
use crate::testing::{Answer, EPOCH_UNIX_MS, Join, Scene, TO_ORDERS};
use crate::world::Ticket;
use highwater_wire::ErrorCode;

fn scene() -> Scene {
    Scene::new(Config {
        initial_rebalance_delay_ms: 3000,
        ..Config::default()
    })
}

/// A stable group of dynamic members; the first one leads. Gives their ids.
fn stable(scene: &mut Scene, count: usize) -> Vec<String> {
    let (members, tickets): (Vec<String>, Vec<Ticket>) =
        (0..count).map(|_| scene.enter(&Join::default())).unzip();
    while scene.joined(tickets[0]).is_none() {
        scene.pass(1000);
    }
    let leader = scene.joined(tickets[0]).unwrap().leader.clone();
    let mut members = members;
    members.sort_by_key(|member| *member != leader);
    settle(
        scene,
        &members,
        scene.joined(tickets[0]).unwrap().generation,
    );
    members
}

/// Everybody fetches an assignment: its own id, in bytes.
fn settle(scene: &mut Scene, members: &[String], generation: i32) {
    let assignments: Vec<(&str, &[u8])> = members
        .iter()
        .map(|member| (member.as_str(), member.as_bytes()))
        .collect();
    for member in members {
        let ticket = scene.sync("g", member, None, generation, &assignments);
        let synced = scene.synced(ticket).unwrap();
        assert_eq!(synced.code, ErrorCode::None);
        assert_eq!(synced.assignment, member.as_bytes());
    }
    assert_eq!(state(scene), "Stable");
}

fn state(scene: &Scene) -> String {
    let group = scene
        .coordinator
        .describe_group(&scene.stage.topics, "g", 6);
    group.group_state.to_owned()
}

#[test]
fn a_newcomer_is_told_its_id_and_joins_with_it() {
    let mut scene = scene();
    let ticket = scene.join(&Join::default());
    let told = scene.joined(ticket).unwrap().clone();
    assert_eq!(told.code, ErrorCode::MemberIdRequired);
    assert_eq!(told.member, "client-00000000-0000-0000-0000-000000000001");
    assert_eq!((told.protocol, told.generation), (None, -1));
    assert_eq!(state(&scene), "Empty");
    let ticket = scene.join(&Join {
        member: &told.member,
        ..Join::default()
    });
    assert_eq!(scene.joined(ticket), None);
    assert_eq!(state(&scene), "PreparingRebalance");
    scene.pass(3000);
    let joined = scene.joined(ticket).unwrap();
    assert_eq!((joined.code, joined.generation), (ErrorCode::None, 1));
    assert_eq!(joined.leader, joined.member);
    assert_eq!(joined.protocol.as_deref(), Some("range"));
    assert_eq!(joined.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(
        joined.members,
        [(told.member.clone(), None, TO_ORDERS.to_vec())]
    );
}

#[test]
fn before_version_4_a_newcomer_joins_at_once() {
    let mut scene = scene();
    let ticket = scene.join(&Join {
        version: 3,
        ..Join::default()
    });
    scene.pass(3000);
    let joined = scene.joined(ticket).unwrap();
    assert_eq!((joined.code, joined.generation), (ErrorCode::None, 1));
}

#[test]
fn in_every_version_a_join_and_a_refusal_can_be_said() {
    for version in 0..=9 {
        let mut scene = scene();
        let ticket = scene.join(&Join {
            version,
            protocol_type: "",
            ..Join::default()
        });
        assert_eq!(
            scene.joined(ticket).unwrap().code,
            ErrorCode::InconsistentGroupProtocol
        );
        let join = Join {
            version,
            ..Join::default()
        };
        let ticket = if version < 4 {
            scene.join(&join)
        } else {
            scene.enter(&join).1
        };
        scene.pass(3000);
        assert_eq!(scene.joined(ticket).unwrap().code, ErrorCode::None);
    }
}

#[test]
fn who_was_told_to_come_and_does_not_is_forgotten() {
    let mut scene = scene();
    let ticket = scene.join(&Join::default());
    let member = scene.joined(ticket).unwrap().member.clone();
    scene.pass(10_000);
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
fn a_rebalance_waits_for_whom_it_told_to_come_as_long_as_their_session() {
    let mut scene = scene();
    let members = stable(&mut scene, 1);
    let ticket = scene.join(&Join::default());
    assert_eq!(
        scene.joined(ticket).unwrap().code,
        ErrorCode::MemberIdRequired
    );
    let ticket = scene.join(&Join {
        member: &members[0],
        ..Join::default()
    });
    scene.pass(9_999);
    assert_eq!(scene.joined(ticket), None);
    scene.pass(1);
    assert_eq!(scene.joined(ticket).unwrap().generation, 2);
}

#[test]
fn the_first_rebalance_waits_for_more_members_as_long_as_they_come() {
    let mut scene = scene();
    let (_, first) = scene.enter(&Join {
        rebalance_ms: 7000,
        ..Join::default()
    });
    scene.pass(2999);
    scene.enter(&Join::default());
    scene.pass(1);
    assert_eq!(scene.joined(first), None);
    scene.pass(2000);
    scene.enter(&Join::default());
    scene.pass(1000);
    assert_eq!(scene.joined(first), None);
    // 7 s are over after a step of 3, one of 3, and one of 1.
    scene.enter(&Join::default());
    scene.pass(999);
    assert_eq!(scene.joined(first), None);
    scene.pass(1);
    assert_eq!(scene.joined(first).unwrap().members.len(), 4);
}

#[test]
fn the_first_rebalance_ends_after_a_step_in_which_nobody_came() {
    let mut scene = scene();
    let (_, first) = scene.enter(&Join::default());
    scene.pass(1000);
    let (_, second) = scene.enter(&Join::default());
    scene.pass(4999);
    assert_eq!(scene.joined(first), None);
    scene.pass(1);
    assert_eq!(scene.joined(first).unwrap().generation, 1);
    assert_eq!(scene.joined(second).unwrap().generation, 1);
}

#[test]
fn only_the_leader_hears_of_everybody() {
    let mut scene = scene();
    let tickets: Vec<Ticket> = (0..3).map(|_| scene.enter(&Join::default()).1).collect();
    scene.pass(6000);
    for ticket in tickets {
        let joined = scene.joined(ticket).unwrap();
        let count = if joined.leader == joined.member { 3 } else { 0 };
        assert_eq!(joined.members.len(), count);
    }
}

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
fn a_session_time_out_outside_of_the_limits_is_refused() {
    for (session_ms, code) in [
        (5999, ErrorCode::InvalidSessionTimeout),
        (6000, ErrorCode::MemberIdRequired),
        (1_800_000, ErrorCode::MemberIdRequired),
        (1_800_001, ErrorCode::InvalidSessionTimeout),
    ] {
        let mut scene = scene();
        let ticket = scene.join(&Join {
            session_ms,
            ..Join::default()
        });
        assert_eq!(scene.joined(ticket).unwrap().code, code);
    }
}

#[test]
fn a_group_without_a_name_is_refused() {
    let mut scene = scene();
    let ticket = scene.join(&Join {
        group: "",
        ..Join::default()
    });
    let code = ErrorCode::InvalidGroupId;
    assert_eq!(scene.joined(ticket).unwrap().code, code);
    let ticket = scene.sync("", "m", None, 1, &[]);
    assert_eq!(scene.synced(ticket).unwrap().code, code);
    assert_eq!(scene.heartbeat("", "m", 1), code);
}

#[test]
fn nobody_is_known_in_a_group_that_is_not_there() {
    let mut scene = scene();
    let code = ErrorCode::UnknownMemberId;
    let ticket = scene.join(&Join {
        member: "m",
        ..Join::default()
    });
    assert_eq!(scene.joined(ticket).unwrap().code, code);
    assert_eq!(scene.joined(ticket).unwrap().member, "m");
    let ticket = scene.sync("g", "m", None, 1, &[]);
    assert_eq!(scene.synced(ticket).unwrap().code, code);
    assert_eq!(scene.heartbeat("g", "m", 1), code);
    assert_eq!(scene.leave("g", &[("m", None)]), [code]);
    assert!(scene.stage.log.is_empty());
}

#[test]
fn other_protocols_than_the_groups_are_refused() {
    let mut scene = scene();
    let members = stable(&mut scene, 1);
    for (protocol_type, protocols) in [
        ("connect", &[("range", TO_ORDERS)] as &[(&str, &[u8])]),
        ("consumer", &[("sticky", TO_ORDERS)]),
        ("consumer", &[]),
    ] {
        for member in ["", &members[0]] {
            let ticket = scene.join(&Join {
                member,
                protocol_type,
                protocols,
                ..Join::default()
            });
            assert_eq!(
                scene.joined(ticket).unwrap().code,
                ErrorCode::InconsistentGroupProtocol
            );
        }
    }
}

#[test]
fn the_protocol_is_the_one_that_most_like_best_of_those_that_all_speak() {
    let mut scene = scene();
    let protocols: [&[(&str, &[u8])]; 3] = [
        &[("only-me", b"1"), ("a", b"2"), ("b", b"3")],
        &[("b", b"4"), ("a", b"5")],
        &[("b", b"6"), ("a", b"7")],
    ];
    let tickets: Vec<Ticket> = protocols
        .iter()
        .map(|protocols| {
            scene
                .enter(&Join {
                    protocols,
                    ..Join::default()
                })
                .1
        })
        .collect();
    scene.pass(6000);
    let joined: Vec<_> = tickets
        .iter()
        .map(|ticket| scene.joined(*ticket).unwrap())
        .collect();
    assert!(
        joined
            .iter()
            .all(|joined| joined.protocol.as_deref() == Some("b"))
    );
    let leader = joined
        .iter()
        .find(|joined| joined.leader == joined.member)
        .unwrap();
    let mut metadata: Vec<&[u8]> = leader.members.iter().map(|member| &*member.2).collect();
    metadata.sort_unstable();
    assert_eq!(metadata, [b"3", b"4", b"6"]);
}

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
fn a_full_group_takes_nobody_in() {
    let mut scene = Scene::new(Config {
        group_size_max: 2,
        ..Config::default()
    });
    let members = stable(&mut scene, 2);
    let ticket = scene.join(&Join::default());
    let joined = scene.joined(ticket).unwrap();
    assert_eq!(joined.code, ErrorCode::GroupMaxSizeReached);
    // Who is in stays in.
    let ticket = scene.join(&Join {
        member: &members[1],
        ..Join::default()
    });
    assert_eq!(scene.joined(ticket).unwrap().code, ErrorCode::None);
}

#[test]
fn while_members_join_those_that_wait_count_and_the_last_are_turned_away() {
    let mut scene = scene();
    let members = stable(&mut scene, 3);
    scene.config.group_size_max = 2;
    scene.restart();
    // Over its limit after a restart: a rebalance gives everybody the chance to commit.
    assert_eq!(state(&scene), "PreparingRebalance");
    let tickets: Vec<Ticket> = members
        .iter()
        .map(|member| {
            scene.join(&Join {
                member,
                ..Join::default()
            })
        })
        .collect();
    assert_eq!(
        scene.joined(tickets[2]).unwrap().code,
        ErrorCode::GroupMaxSizeReached
    );
    assert_eq!(scene.joined(tickets[0]).unwrap().generation, 2);
    assert_eq!(scene.joined(tickets[1]).unwrap().generation, 2);
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
fn a_description_shows_members_and_when_stable_what_they_say_and_have() {
    let mut scene = scene();
    let members = stable(&mut scene, 2);
    let topics = &scene.stage.topics;
    let group = scene.coordinator.describe_group(topics, "g", 6);
    assert_eq!(group.protocol_type, "consumer");
    assert_eq!(group.protocol_data, "range");
    let mut ids: Vec<String> = Vec::new();
    for member in &group.members {
        assert_eq!(member.client_id, "client");
        assert_eq!(member.client_host, "/127.0.0.1");
        assert_eq!(member.member_metadata, TO_ORDERS);
        assert_eq!(member.member_assignment, member.member_id.as_bytes());
        ids.push(member.member_id.to_owned());
    }
    let mut expected = members.clone();
    expected.sort();
    assert_eq!(ids, expected);
    drop(group);
    scene.join(&Join {
        member: &members[0],
        ..Join::default()
    });
    let topics = &scene.stage.topics;
    let group = scene.coordinator.describe_group(topics, "g", 6);
    assert_eq!(
        (group.group_state, group.protocol_data),
        ("PreparingRebalance", "")
    );
    assert!(
        group
            .members
            .iter()
            .all(|member| member.member_metadata.is_empty())
    );
}

#[test]
fn a_group_that_is_not_there_is_dead_and_as_of_version_6_an_error() {
    let scene = scene();
    let topics = &scene.stage.topics;
    let group = scene.coordinator.describe_group(topics, "x", 5);
    assert_eq!((group.group_state, group.error_code), ("Dead", 0));
    assert_eq!(group.error_message, None);
    let group = scene.coordinator.describe_group(topics, "x", 6);
    assert_eq!(group.error_code, ErrorCode::GroupIdNotFound.id());
    assert!(group.error_message.is_some());
}

#[test]
fn groups_are_listed_by_state_and_type() {
    let mut scene = scene();
    stable(&mut scene, 1);
    scene.commit("simple", "", -1, ("orders", 0), 1);
    let list = |states: &[&str], types: &[&str]| -> Vec<(String, String, String)> {
        let lines = scene.coordinator.list_groups(states, types).into_iter();
        lines
            .map(|line| {
                assert_eq!(line.group_type, "classic");
                (
                    line.group_id.to_owned(),
                    line.protocol_type.to_owned(),
                    line.group_state.to_owned(),
                )
            })
            .collect()
    };
    let line =
        |id: &str, kind: &str, state: &str| (id.to_owned(), kind.to_owned(), state.to_owned());
    let all = [line("g", "consumer", "Stable"), line("simple", "", "Empty")];
    assert_eq!(list(&[], &[]), all);
    assert_eq!(list(&["stable"], &["Classic"]), all[..1]);
    assert_eq!(list(&[" EMPTY "], &[]), all[1..]);
    assert_eq!(list(&[], &["consumer"]), []);
    assert_eq!(list(&["nonsense"], &[]), []);
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

#[test]
fn what_members_say_is_bounded_over_all_groups() {
    let mut scene = scene();
    let large = vec![0; 7 << 20];
    let protocols: &[(&str, &[u8])] = &[("range", &large)];
    let ids: Vec<String> = (0..9).map(|group| format!("g{group}")).collect();
    let mut codes = Vec::new();
    for _ in 0..2 {
        for group in &ids {
            let ticket = scene.join(&Join {
                group,
                version: 3,
                protocols,
                ..Join::default()
            });
            codes.push(scene.joined(ticket).map(|joined| joined.code));
        }
    }
    let full = Some(ErrorCode::GroupMaxSizeReached);
    assert_eq!(codes[..9], [None; 9]);
    assert_eq!(codes[9..], [full; 9]);
    // Who is in says the same again.
    scene.pass(3000);
    let topics = &scene.stage.topics;
    let group = scene.coordinator.describe_group(topics, "g0", 6);
    let member = group.members.first().unwrap().member_id.to_owned();
    drop(group);
    let ticket = scene.join(&Join {
        group: "g0",
        member: &member,
        protocols,
        ..Join::default()
    });
    assert_eq!(scene.joined(ticket).unwrap().code, ErrorCode::None);
    // An assignment that does not fit in begins a rebalance.
    let given = vec![0; 2 << 20];
    let ticket = scene.sync("g0", &member, None, 1, &[(&member, &given)]);
    assert_eq!(
        scene.synced(ticket).unwrap().code,
        ErrorCode::UnknownServerError
    );
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

#[test]
fn without_a_delay_the_first_rebalance_is_complete_at_once() {
    let mut scene = Scene::new(Config {
        initial_rebalance_delay_ms: 0,
        ..Config::default()
    });
    let (_, ticket) = scene.enter(&Join::default());
    scene.pass(0);
    assert_eq!(scene.joined(ticket).unwrap().generation, 1);
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
