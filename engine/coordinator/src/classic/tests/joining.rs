//! How members come into a group: what they are told, when the first rebalance ends, and who is refused.

use super::{scene, stable, state};
use crate::config::Config;
use crate::testing::{Join, Scene, TO_ORDERS};
use crate::world::Ticket;
use highwater_wire::ErrorCode;

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
fn without_a_delay_the_first_rebalance_is_complete_at_once() {
    let mut scene = Scene::new(Config {
        initial_rebalance_delay_ms: 0,
        ..Config::default()
    });
    let (_, ticket) = scene.enter(&Join::default());
    scene.pass(0);
    assert_eq!(scene.joined(ticket).unwrap().generation, 1);
}
