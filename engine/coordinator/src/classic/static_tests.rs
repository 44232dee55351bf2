//! The rules of static members (KIP-345), one by one.

use crate::config::Config;
use crate::testing::{Join, Joined, Scene, TO_ORDERS};
use crate::world::Ticket;
use highwater_wire::ErrorCode;

const OTHER: &[(&str, &[u8])] = &[("range", b"other")];

/// A member by its instance, as it stands.
fn instance(name: &'static str) -> Join<'static> {
    Join {
        instance: Some(name),
        ..Join::default()
    }
}

/// A stable group of two static members, `one` and `two`; gives the leader's instance and id, and the follower's.
fn stable(scene: &mut Scene) -> [(&'static str, String); 2] {
    let tickets = ["one", "two"].map(|name| (name, scene.join(&instance(name))));
    scene.pass(6000);
    let mut members = tickets.map(|(name, ticket)| {
        let joined = scene.joined(ticket).unwrap();
        assert!(joined.member.starts_with(&format!("{name}-")));
        (name, joined.member.clone())
    });
    let leader = scene.joined(tickets[0].1).unwrap().leader.clone();
    members.sort_by_key(|(_, id)| *id != leader);
    let given: Vec<(&str, &[u8])> = members
        .iter()
        .map(|(name, id)| (id.as_str(), name.as_bytes()))
        .collect();
    for (name, id) in &members {
        let ticket = scene.sync("g", id, Some(name), 1, &given);
        assert_eq!(scene.synced(ticket).unwrap().assignment, name.as_bytes());
    }
    members
}

fn state(scene: &Scene) -> &str {
    let topics = &scene.stage.topics;
    scene.coordinator.describe_group(topics, "g", 6).group_state
}

fn joined(scene: &Scene, ticket: Ticket) -> Joined {
    scene.joined(ticket).expect("answered").clone()
}

#[test]
fn a_static_member_joins_at_once_and_its_instance_is_in_its_id() {
    let mut scene = Scene::new(Config::default());
    let ticket = scene.join(&instance("one"));
    scene.pass(3000);
    let joined = joined(&scene, ticket);
    assert_eq!(joined.member, "one-00000000-0000-0000-0000-000000000001");
    assert_eq!(joined.members[0].1.as_deref(), Some("one"));
}

#[test]
fn a_follower_that_comes_back_takes_its_place_without_a_rebalance() {
    for version in [5, 9] {
        let mut scene = Scene::new(Config::default());
        let [leader, follower] = stable(&mut scene);
        let ticket = scene.join(&Join {
            version,
            ..instance(follower.0)
        });
        let joined = joined(&scene, ticket);
        assert_ne!(joined.member, follower.1);
        assert_eq!((joined.generation, &joined.leader), (1, &leader.1));
        assert!(joined.members.is_empty());
        let ticket = scene.sync("g", &joined.member, Some(follower.0), 1, &[]);
        assert_eq!(
            scene.synced(ticket).unwrap().assignment,
            follower.0.as_bytes()
        );
        assert_eq!(state(&scene), "Stable");
        // It is written down under its new id.
        scene.restart();
        let code = scene.heartbeat_of("g", &joined.member, Some(follower.0), 1);
        assert_eq!(code, ErrorCode::None);
    }
}

#[test]
fn a_leader_that_comes_back_is_told_to_leave_the_assignment_as_it_is() {
    let mut scene = Scene::new(Config::default());
    let [leader, _] = stable(&mut scene);
    let ticket = scene.join(&instance(leader.0));
    let joined = joined(&scene, ticket);
    assert!(joined.skip_assignment);
    assert_eq!(joined.leader, joined.member);
    assert_eq!(joined.members.len(), 2);
    assert_eq!(state(&scene), "Stable");
}

#[test]
fn before_version_9_a_leader_that_comes_back_is_not_told_that_it_leads() {
    let mut scene = Scene::new(Config::default());
    let [leader, _] = stable(&mut scene);
    let ticket = scene.join(&Join {
        version: 8,
        ..instance(leader.0)
    });
    let joined = joined(&scene, ticket);
    assert_eq!(joined.leader, leader.1);
    assert_ne!(joined.member, leader.1);
    assert!(!joined.skip_assignment && joined.members.is_empty());
}

#[test]
fn who_still_holds_a_place_that_was_taken_is_fenced() {
    let mut scene = Scene::new(Config::default());
    let [_, (name, former)] = stable(&mut scene);
    scene.join(&instance(name));
    let code = ErrorCode::FencedInstanceId;
    assert_eq!(scene.heartbeat_of("g", &former, Some(name), 1), code);
    let ticket = scene.sync("g", &former, Some(name), 1, &[]);
    assert_eq!(scene.synced(ticket).unwrap().code, code);
    let ticket = scene.join(&Join {
        member: &former,
        ..instance(name)
    });
    assert_eq!(joined(&scene, ticket).code, code);
    assert_eq!(scene.leave("g", &[(&former, Some(name))]), [code]);
    // Without its instance it is only somebody unknown.
    assert_eq!(scene.heartbeat("g", &former, 1), ErrorCode::UnknownMemberId);
}

#[test]
fn an_instance_that_is_not_there_is_unknown() {
    let mut scene = Scene::new(Config::default());
    let [(_, id), _] = stable(&mut scene);
    let code = scene.heartbeat_of("g", &id, Some("three"), 1);
    assert_eq!(code, ErrorCode::UnknownMemberId);
}

#[test]
fn who_waits_to_join_is_fenced_when_its_place_is_taken() {
    let mut scene = Scene::new(Config::default());
    let waiting = scene.join(&instance("one"));
    let after = scene.join(&instance("one"));
    let fenced = joined(&scene, waiting);
    assert_eq!(fenced.code, ErrorCode::FencedInstanceId);
    assert!(fenced.member.starts_with("one-"));
    scene.pass(6000);
    let joined = joined(&scene, after);
    assert_eq!((joined.code, joined.members.len()), (ErrorCode::None, 1));
    assert_ne!(joined.member, fenced.member);
}

#[test]
fn who_waits_for_its_assignment_is_fenced_when_its_place_is_taken_and_all_join_again() {
    let mut scene = Scene::new(Config::default());
    let tickets = ["one", "two"].map(|name| (name, scene.join(&instance(name))));
    scene.pass(6000);
    let (name, ticket) = tickets
        .into_iter()
        .find(|(_, ticket)| joined(&scene, *ticket).members.is_empty())
        .unwrap();
    let follower = joined(&scene, ticket).member;
    let waiting = scene.sync("g", &follower, Some(name), 1, &[]);
    let ticket = scene.join(&instance(name));
    assert_eq!(
        scene.synced(waiting).unwrap().code,
        ErrorCode::FencedInstanceId
    );
    assert_eq!(scene.joined(ticket), None);
    assert_eq!(state(&scene), "PreparingRebalance");
}

#[test]
fn a_static_member_that_changes_the_protocol_begins_a_rebalance() {
    let mut scene = Scene::new(Config::default());
    let both: &[(&str, &[u8])] = &[("range", TO_ORDERS), ("sticky", TO_ORDERS)];
    let join = |name| Join {
        protocols: both,
        ..instance(name)
    };
    let one = scene.join(&join("one"));
    scene.pass(3000);
    let one = joined(&scene, one).member;
    let ticket = scene.sync("g", &one, Some("one"), 1, &[]);
    assert_eq!(scene.synced(ticket).unwrap().code, ErrorCode::None);
    let ticket = scene.join(&Join {
        protocols: &[("sticky", TO_ORDERS)],
        ..instance("one")
    });
    let joined = joined(&scene, ticket);
    assert_eq!(joined.generation, 2);
    assert_eq!(joined.protocol.as_deref(), Some("sticky"));
}

#[test]
fn a_static_member_that_comes_back_with_other_metadata_does_not_begin_a_rebalance() {
    let mut scene = Scene::new(Config::default());
    let [_, (name, _)] = stable(&mut scene);
    let ticket = scene.join(&Join {
        protocols: OTHER,
        ..instance(name)
    });
    assert_eq!(joined(&scene, ticket).generation, 1);
    assert_eq!(state(&scene), "Stable");
}

#[test]
fn a_static_member_that_knows_its_id_and_says_something_new_begins_a_rebalance() {
    let mut scene = Scene::new(Config::default());
    let [_, (name, id)] = stable(&mut scene);
    let ticket = scene.join(&Join {
        member: &id,
        protocols: OTHER,
        ..instance(name)
    });
    assert_eq!(scene.joined(ticket), None);
    assert_eq!(state(&scene), "PreparingRebalance");
}

#[test]
fn a_static_member_that_cannot_be_written_stays_who_it_was() {
    let mut scene = Scene::new(Config::default());
    let [_, (name, id)] = stable(&mut scene);
    scene.stage.refuses = Some(ErrorCode::NotCoordinator);
    let ticket = scene.join(&Join {
        protocols: OTHER,
        ..instance(name)
    });
    assert_eq!(joined(&scene, ticket).code, ErrorCode::NotCoordinator);
    assert_eq!(scene.heartbeat_of("g", &id, Some(name), 1), ErrorCode::None);
    let topics = &scene.stage.topics;
    let group = scene.coordinator.describe_group(topics, "g", 6);
    for member in &group.members {
        assert_eq!(member.member_metadata, TO_ORDERS);
    }
}

#[test]
fn a_static_member_keeps_its_place_through_a_rebalance_that_it_misses() {
    let mut scene = Scene::new(Config::default());
    let join = |name| Join {
        session_ms: 200_000,
        ..instance(name)
    };
    let tickets = ["one", "two"].map(|name| scene.join(&join(name)));
    scene.pass(6000);
    let leader = joined(&scene, tickets[0]).leader;
    let follower = tickets
        .map(|ticket| joined(&scene, ticket).member)
        .into_iter()
        .find(|id| *id != leader)
        .unwrap();
    for id in [&follower, &leader] {
        scene.sync("g", id, None, 1, &[]);
    }
    let again = scene.join(&Join {
        member: &leader,
        ..join(leader.split('-').next().map_or(
            "one",
            |name| {
                if name == "one" { "one" } else { "two" }
            },
        ))
    });
    scene.pass(60_000);
    let joined = joined(&scene, again);
    assert_eq!(joined.generation, 2);
    assert!(joined.members.iter().any(|(id, _, _)| *id == follower));
}

#[test]
fn static_members_that_are_all_away_are_waited_for() {
    let mut scene = Scene::new(Config::default());
    let join = |name| Join {
        session_ms: 100_000,
        rebalance_ms: 20_000,
        ..instance(name)
    };
    let ticket = scene.join(&join("one"));
    scene.pass(3000);
    let one = joined(&scene, ticket).member;
    scene.sync("g", &one, Some("one"), 1, &[]);
    // A newcomer begins a rebalance and leaves again.
    let (newcomer, _) = scene.enter(&Join::default());
    scene.leave("g", &[(&newcomer, None)]);
    scene.pass(30_000);
    assert_eq!(state(&scene), "PreparingRebalance");
    let ticket = scene.join(&Join {
        member: &one,
        ..join("one")
    });
    assert_eq!(joined(&scene, ticket).generation, 2);
}

#[test]
fn an_instance_is_removed_by_its_name_alone() {
    let mut scene = Scene::new(Config::default());
    let [(leader, _), (name, id)] = stable(&mut scene);
    assert_eq!(
        scene.leave("g", &[("", Some("three")), ("", None), ("", Some(name))]),
        [
            ErrorCode::UnknownMemberId,
            ErrorCode::UnknownMemberId,
            ErrorCode::None
        ]
    );
    let code = scene.heartbeat_of("g", &id, Some(name), 1);
    assert_eq!(code, ErrorCode::UnknownMemberId);
    let ticket = scene.join(&instance(leader));
    assert_eq!(joined(&scene, ticket).generation, 2);
}

#[test]
fn an_id_that_was_told_cannot_become_an_instance() {
    let mut scene = Scene::new(Config::default());
    let ticket = scene.join(&Join::default());
    let told = joined(&scene, ticket).member;
    let ticket = scene.join(&Join {
        member: &told,
        ..instance("one")
    });
    assert_eq!(joined(&scene, ticket).code, ErrorCode::UnknownMemberId);
}

#[test]
fn a_follower_that_comes_back_before_it_synced_is_waited_for_under_its_new_id() {
    let mut scene = Scene::new(Config::default());
    let tickets = ["one", "two"].map(|name| (name, scene.join(&instance(name))));
    scene.pass(6000);
    let leader = joined(&scene, tickets[0].1).leader;
    let names = if leader.starts_with("one") {
        ["one", "two"]
    } else {
        ["two", "one"]
    };
    scene.sync("g", &leader, Some(names[0]), 1, &[]);
    let ticket = scene.join(&instance(names[1]));
    let follower = joined(&scene, ticket).member;
    let ticket = scene.sync("g", &follower, Some(names[1]), 1, &[]);
    assert_eq!(scene.synced(ticket).unwrap().code, ErrorCode::None);
    for _ in 0..20 {
        scene.pass(9000);
        for (name, id) in [(names[0], &leader), (names[1], &follower)] {
            let code = scene.heartbeat_of("g", id, Some(name), 1);
            assert_eq!(code, ErrorCode::None);
        }
    }
}
