//! The rules of ConsumerGroupHeartbeat, one by one.

use super::*;
use crate::consumer::member::Progress;

fn told(member: &str, epoch: i32, assignment: Parts) -> Heard {
    Heard {
        member: member.to_owned(),
        epoch,
        interval_ms: 5000,
        assignment: Some(assignment),
        ..Heard::default()
    }
}

fn kept(member: &str, epoch: i32) -> Heard {
    Heard {
        assignment: None,
        ..told(member, epoch, Parts::new())
    }
}

#[test]
fn the_first_member_gets_everything_at_once() {
    let mut house = House::new(&[("a", 3)]);
    assert_eq!(
        house.join("m1", &["a"]),
        told("m1", 1, parts(&[("a", &[0, 1, 2])]))
    );
    assert_eq!(house.world.batches, 1);
    assert_eq!(house.beat("m1", 1), kept("m1", 1));
    assert_eq!(house.world.batches, 1, "nothing new is nothing to write");
    assert_eq!(house.group().state_name(), "Stable");
}

#[test]
fn nothing_is_assigned_before_its_former_owner_let_go() {
    let mut house = House::new(&[("a", 4)]);
    house.join("m1", &["a"]);
    // The second member's part is still in the first one's hands.
    assert_eq!(house.join("m2", &["a"]), told("m2", 2, Parts::new()));
    assert_eq!(house.group().state_name(), "Reconciling");
    // The first member is told to let go; its epoch stays until it did.
    assert_eq!(house.beat("m1", 1), told("m1", 1, parts(&[("a", &[0, 1])])));
    assert_eq!(house.beat("m2", 2), kept("m2", 2));
    assert_eq!(house.hold("m1", 1, &[("a", &[0, 1, 2, 3])]), kept("m1", 1));
    assert_eq!(house.beat("m2", 2), kept("m2", 2));
    assert_eq!(house.hold("m1", 1, &[("a", &[0, 1])]), kept("m1", 2));
    assert_eq!(house.beat("m2", 2), told("m2", 2, parts(&[("a", &[2, 3])])));
    assert_eq!(house.group().state_name(), "Stable");
    assert!(house.group().held_twice().is_empty());
}

#[test]
fn a_member_that_leaves_makes_room() {
    let mut house = House::new(&[("a", 2)]);
    house.join("m1", &["a"]);
    house.join("m2", &["a"]);
    let left = house.beat("m1", -1);
    assert_eq!((left.code, left.epoch, &*left.member), (0, -1, "m1"));
    assert_eq!(house.beat("m2", 2), told("m2", 3, parts(&[("a", &[0, 1])])));
    assert_eq!(house.beat("m1", 1), refused(ErrorCode::UnknownMemberId));
    house.beat("m2", -1);
    assert_eq!(house.group().state_name(), "Empty");
    assert_eq!(house.timeouts(), 0);
}

#[test]
fn a_member_that_is_silent_is_put_out_after_its_session() {
    let mut house = House::new(&[("a", 2)]);
    house.join("m1", &["a"]);
    house.pass(30_000);
    house.join("m2", &["a"]);
    house.pass(14_999);
    assert_eq!(house.group().members(), 2);
    house.pass(1);
    assert_eq!(house.group().members(), 1);
    assert_eq!(
        house.beat("m2", 2).assignment,
        Some(parts(&[("a", &[0, 1])]))
    );
}

#[test]
fn a_group_may_have_time_outs_of_its_own() {
    let mut house = House::new(&[("a", 2)]);
    house.world.own = GroupConfig {
        session_timeout_ms: Some(50_000),
        heartbeat_interval_ms: Some(7000),
    };
    assert_eq!(house.join("m1", &["a"]).interval_ms, 7000);
    house.pass(49_999);
    assert_eq!(house.group().members(), 1);
    house.pass(1);
    assert_eq!(house.group().members(), 0);
}

#[test]
fn a_member_that_does_not_let_go_is_put_out_after_its_rebalance_time_out() {
    let mut house = House::new(&[("a", 2)]);
    house.join("m1", &["a"]);
    house.join("m2", &["a"]);
    house.beat("m1", 1);
    for _ in 0..5 {
        house.pass(10_000);
        assert_eq!(house.beat("m1", 1).code, 0);
        house.beat("m2", 2);
    }
    house.pass(10_000);
    assert_eq!(house.beat("m1", 1), refused(ErrorCode::UnknownMemberId));
    assert_eq!(
        house.beat("m2", 2).assignment,
        Some(parts(&[("a", &[0, 1])]))
    );
}

#[test]
fn a_member_that_let_go_in_time_stays() {
    let mut house = House::new(&[("a", 2)]);
    house.join("m1", &["a"]);
    house.join("m2", &["a"]);
    house.beat("m1", 1);
    house.hold("m1", 1, &[("a", &[0])]);
    for _ in 0..7 {
        house.pass(10_000);
        assert_eq!(house.beat("m1", 2).code, 0);
        assert_eq!(house.beat("m2", 2).code, 0);
    }
}

#[test]
fn a_stale_or_a_future_epoch_is_fenced() {
    let mut house = House::new(&[("a", 2)]);
    house.join("m1", &["a"]);
    house.shelve("a", 4);
    assert_eq!(house.beat("m1", 1).epoch, 2);
    house.shelve("a", 6);
    assert_eq!(house.beat("m1", 2).epoch, 3);
    assert_eq!(house.beat("m1", 1), refused(ErrorCode::FencedMemberEpoch));
    assert_eq!(house.beat("m1", 4), refused(ErrorCode::FencedMemberEpoch));
    // The answer with the new epoch may have been lost: the one before is taken from a member that holds no more than it may.
    assert_eq!(house.beat("m1", 2), refused(ErrorCode::FencedMemberEpoch));
    assert_eq!(house.hold("m1", 2, &[("a", &[0, 1, 2, 3])]).code, 0);
    assert_eq!(
        house.hold("m1", 2, &[("a", &[0, 9])]),
        refused(ErrorCode::FencedMemberEpoch)
    );
}

#[test]
fn a_member_may_begin_again_at_any_time() {
    let mut house = House::new(&[("a", 2)]);
    house.join("m1", &["a"]);
    house.join("m2", &["a"]);
    house.beat("m1", 1);
    assert_eq!(
        house.group().members["m1"].holds.progress,
        Progress::Unrevoked
    );
    let heard = house.join("m1", &["a"]);
    assert_eq!(heard, told("m1", 2, parts(&[("a", &[0])])));
}

#[test]
fn a_full_request_is_answered_in_full() {
    let mut house = House::new(&[("a", 2)]);
    house.join("m1", &["a"]);
    let held = house.world.shelf.held(&[("a", &[0, 1])]);
    let heard = house.send(&ConsumerGroupHeartbeatRequest {
        member_epoch: 1,
        topic_partitions: Some(held.into()),
        ..joining("m1", &["a"])
    });
    assert_eq!(heard, told("m1", 1, parts(&[("a", &[0, 1])])));
}

#[test]
fn a_member_that_changes_its_mind_gives_up_at_once_what_it_no_longer_wants() {
    let mut house = House::new(&[("a", 2), ("b", 2)]);
    house.join("m1", &["a", "b"]);
    let heard = house.send(&ConsumerGroupHeartbeatRequest {
        member_epoch: 1,
        subscribed_topic_names: Some(vec!["b"].into()),
        ..of("m1")
    });
    assert_eq!(heard, told("m1", 1, parts(&[("b", &[0, 1])])));
    assert_eq!(house.hold("m1", 1, &[("b", &[0, 1])]).epoch, 2);
}

#[test]
fn partitions_that_are_added_and_topics_that_come_and_go_are_noticed() {
    let mut house = House::new(&[("a", 2)]);
    house.join("m1", &["a", "later"]);
    house.shelve("a", 3);
    assert_eq!(
        house.beat("m1", 1),
        told("m1", 2, parts(&[("a", &[0, 1, 2])]))
    );
    house.shelve("later", 1);
    let all = parts(&[("a", &[0, 1, 2]), ("later", &[0])]);
    assert_eq!(house.beat("m1", 2), told("m1", 3, all));
    house.shelve("unrelated", 5);
    assert_eq!(house.beat("m1", 3), kept("m1", 3));
    house.world.shelf.topics.remove("a");
    house.shelve("unrelated", 6);
    assert_eq!(
        house.beat("m1", 3),
        told("m1", 3, parts(&[("later", &[0])]))
    );
    assert_eq!(house.hold("m1", 3, &[("later", &[0])]).epoch, 4);
}

#[test]
fn requests_that_make_no_sense_are_invalid() {
    let mut house = House::new(&[("a", 2)]);
    let good = joining("m1", &["a"]);
    let bad = [
        ConsumerGroupHeartbeatRequest {
            group_id: "",
            ..good.clone()
        },
        ConsumerGroupHeartbeatRequest {
            group_id: " ",
            ..good.clone()
        },
        ConsumerGroupHeartbeatRequest {
            member_id: "",
            ..good.clone()
        },
        ConsumerGroupHeartbeatRequest {
            instance_id: Some(""),
            ..good.clone()
        },
        ConsumerGroupHeartbeatRequest {
            rack_id: Some(""),
            ..good.clone()
        },
        ConsumerGroupHeartbeatRequest {
            rebalance_timeout_ms: -1,
            ..good.clone()
        },
        ConsumerGroupHeartbeatRequest {
            topic_partitions: None,
            ..good.clone()
        },
        ConsumerGroupHeartbeatRequest {
            topic_partitions: Some(house.world.shelf.held(&[("a", &[0])]).into()),
            ..good.clone()
        },
        ConsumerGroupHeartbeatRequest {
            subscribed_topic_names: None,
            ..good.clone()
        },
        ConsumerGroupHeartbeatRequest {
            member_epoch: -2,
            ..good.clone()
        },
        ConsumerGroupHeartbeatRequest {
            member_epoch: -3,
            ..good.clone()
        },
    ];
    for request in bad {
        assert_eq!(
            house.send(&request),
            refused(ErrorCode::InvalidRequest),
            "{request:?}"
        );
    }
    let other = ConsumerGroupHeartbeatRequest {
        server_assignor: Some("best"),
        ..good
    };
    assert_eq!(house.send(&other), refused(ErrorCode::UnsupportedAssignor));
    assert_eq!(house.world.batches, 0);
}

#[test]
fn who_is_not_there_is_not_known() {
    let mut house = House::new(&[("a", 2)]);
    assert_eq!(house.beat("m1", 1), refused(ErrorCode::GroupIdNotFound));
    assert_eq!(house.beat("m1", -1), refused(ErrorCode::GroupIdNotFound));
    house.join("m1", &["a"]);
    assert_eq!(house.beat("m2", 1), refused(ErrorCode::UnknownMemberId));
    assert_eq!(house.beat("m2", -1), refused(ErrorCode::UnknownMemberId));
    let nobody = ConsumerGroupHeartbeatRequest {
        instance_id: Some("i"),
        member_epoch: 1,
        ..of("m1")
    };
    assert_eq!(house.send(&nobody), refused(ErrorCode::UnknownMemberId));
}

#[test]
fn a_full_group_takes_no_more_members() {
    let config = Config {
        consumer_group_size_max: 2,
        ..Config::default()
    };
    let mut house = House::with(config, &[("a", 2)]);
    house.join("m1", &["a"]);
    house.join("m2", &["a"]);
    assert_eq!(
        house.join("m3", &["a"]),
        refused(ErrorCode::GroupMaxSizeReached)
    );
    assert_eq!(house.join("m2", &["a"]).code, 0);
}

#[test]
fn a_member_that_has_no_id_is_given_one() {
    let mut house = House::new(&[("a", 2)]);
    let caller = Caller {
        ticket: Ticket(0),
        version: 0,
        client_id: "client",
        client_host: "/127.0.0.1",
    };
    let request = joining("", &["a"]);
    house
        .coordinator
        .consumer_group_heartbeat(&mut house.world, &caller, &request);
    let heard = house.world.heard.pop().unwrap();
    assert_eq!((heard.code, heard.member.len()), (0, 36));
    assert_eq!(house.beat(&heard.member, 1).code, 0);
}

fn instance<'a>(
    member: &'a str,
    instance: &'a str,
    epoch: i32,
) -> ConsumerGroupHeartbeatRequest<'a> {
    let request = if epoch == 0 {
        joining(member, &["a"])
    } else {
        of(member)
    };
    ConsumerGroupHeartbeatRequest {
        instance_id: Some(instance),
        member_epoch: epoch,
        ..request
    }
}

#[test]
fn a_static_member_that_was_away_finds_its_place_again() {
    let mut house = House::new(&[("a", 4)]);
    house.send(&instance("m1", "i1", 0));
    house.send(&instance("m2", "i2", 0));
    house.send(&instance("m1", "i1", 1));
    house.hold("m1", 1, &[("a", &[0, 1])]);
    house.beat("m2", 2);
    let epoch = house.group().epoch;

    // As long as it did not say that it leaves its place is its own.
    let other = house.send(&instance("m3", "i1", 0));
    assert_eq!(other, refused(ErrorCode::UnreleasedInstanceId));

    assert_eq!(house.send(&instance("m1", "i1", -2)).epoch, -2);
    assert_eq!(house.beat("m2", 2), kept("m2", 2));
    let back = house.send(&instance("m3", "i1", 0));
    assert_eq!(back, told("m3", 2, parts(&[("a", &[0, 1])])));
    assert_eq!(house.group().epoch, epoch, "no rebalance");
    // Who had the place before is fenced.
    assert_eq!(
        house.send(&instance("m1", "i1", 2)),
        refused(ErrorCode::FencedInstanceId)
    );
    assert_eq!(
        house.send(&instance("m1", "i1", -1)),
        refused(ErrorCode::FencedInstanceId)
    );
    assert!(house.group().held_twice().is_empty());
    house.pass(44_999);
    assert_eq!(house.group().members(), 2);
}

#[test]
fn a_static_member_that_stays_away_loses_its_place() {
    let mut house = House::new(&[("a", 4)]);
    house.send(&instance("m1", "i1", 0));
    house.send(&instance("m1", "i1", -2));
    house.pass(45_000);
    assert_eq!(house.group().members(), 0);
    let back = house.send(&instance("m3", "i1", 0));
    assert_eq!(back.assignment, Some(parts(&[("a", &[0, 1, 2, 3])])));
}

#[test]
fn a_static_member_comes_back_under_its_own_id_too() {
    let mut house = House::new(&[("a", 2)]);
    house.send(&instance("m1", "i1", 0));
    house.send(&instance("m1", "i1", -2));
    let back = house.send(&instance("m1", "i1", 0));
    assert_eq!(back, told("m1", 1, parts(&[("a", &[0, 1])])));
    let durable = house.durable();
    house.restart();
    assert_eq!(house.durable(), durable);
    assert_eq!(house.send(&instance("m1", "i1", 1)).code, 0);
}

#[test]
fn most_members_choose_the_assignor() {
    let mut house = House::new(&[("a", 2), ("b", 2)]);
    for member in ["m1", "m2"] {
        house.send(&ConsumerGroupHeartbeatRequest {
            server_assignor: Some("range"),
            ..joining(member, &["a", "b"])
        });
    }
    house.join("m3", &["a", "b"]);
    let targets: Vec<_> = house.group().targets.values().map(|t| t.len()).collect();
    assert_eq!(targets, [2, 2, 0]);
    let described = house.group().describe(
        &house.world.shelf,
        &house.coordinator.config.consumer_assignors,
    );
    assert_eq!(described.assignor_name, "range");
}

#[test]
fn what_cannot_be_written_down_did_not_happen() {
    let mut house = House::new(&[("a", 2)]);
    house.join("m1", &["a"]);
    let durable = house.durable();
    let timeouts = house.timeouts();
    house.world.refuses = Some(ErrorCode::NotCoordinator);
    assert_eq!(house.join("m2", &["a"]), refused(ErrorCode::NotCoordinator));
    assert_eq!(house.beat("m1", -1), refused(ErrorCode::NotCoordinator));
    assert_eq!(house.beat("m1", 1).code, 0, "nothing new needs no log");
    assert_eq!((house.durable(), house.timeouts()), (durable, timeouts));
}

#[test]
fn members_are_described_with_what_they_hold_and_are_to_hold() {
    let mut house = House::new(&[("a", 2)]);
    house.join("m1", &["a"]);
    house.join("m2", &["a"]);
    house.beat("m1", 1);
    let described = house.group().describe(
        &house.world.shelf,
        &house.coordinator.config.consumer_assignors,
    );
    assert_eq!(
        (described.group_state, described.group_epoch),
        ("Reconciling", 2)
    );
    assert_eq!(
        (described.assignment_epoch, described.assignor_name),
        (2, "uniform")
    );
    let member = described.members.iter().next().unwrap();
    let partitions =
        |assignment: &highwater_wire::message::consumer_group_describe::Assignment<'_>| {
            let topics = assignment.topic_partitions.to_vec();
            topics
                .iter()
                .flat_map(|topic| topic.partitions.to_vec())
                .collect::<Vec<_>>()
        };
    assert_eq!(partitions(&member.assignment), [0, 1]);
    assert_eq!(partitions(&member.target_assignment), [0]);
    assert_eq!((member.member_id, member.member_type), ("m1", 1));
    assert_eq!(member.subscribed_topic_names.to_vec(), ["a"]);
}

#[test]
fn commits_and_fetches_are_fenced_by_member_epoch() {
    let mut house = House::new(&[("a", 2)]);
    house.join("m1", &["a"]);
    house.shelve("a", 3);
    house.beat("m1", 1);
    let topic = house.world.shelf.by_name("a").unwrap().id;
    let group = house.group();
    let commit = |member, epoch, version, partitions: &[i32]| {
        let partitions = partitions.iter().map(|partition| (topic, *partition));
        group.validate_commit(member, epoch, version, partitions)
    };
    assert_eq!(commit("m1", 2, 9, &[0, 2]), Ok(()));
    assert_eq!(commit("m1", 3, 9, &[0]), Err(ErrorCode::StaleMemberEpoch));
    assert_eq!(commit("m2", 2, 9, &[0]), Err(ErrorCode::UnknownMemberId));
    assert_eq!(commit("", -1, 9, &[0]), Err(ErrorCode::UnknownMemberId));
    assert_eq!(commit("m1", 2, 8, &[0]), Err(ErrorCode::UnsupportedVersion));
    // A member that does not know the last epoch yet may commit for what it held before.
    assert_eq!(commit("m1", 1, 9, &[0, 1]), Ok(()));
    assert_eq!(
        commit("m1", 1, 9, &[0, 2]),
        Err(ErrorCode::StaleMemberEpoch)
    );
    assert_eq!(commit("m1", 0, 9, &[0]), Err(ErrorCode::StaleMemberEpoch));
    assert_eq!(commit("m1", 1, 9, &[7]), Err(ErrorCode::StaleMemberEpoch));

    assert_eq!(group.validate_fetch(None, -1), Ok(()));
    assert_eq!(group.validate_fetch(Some("m1"), 2), Ok(()));
    assert_eq!(
        group.validate_fetch(Some("m1"), 1),
        Err(ErrorCode::StaleMemberEpoch)
    );
    assert_eq!(
        group.validate_fetch(Some("m2"), 1),
        Err(ErrorCode::UnknownMemberId)
    );
    house.beat("m1", -1);
    let outcome = house.group().validate_commit("", -1, 2, std::iter::empty());
    assert_eq!(outcome, Ok(()));
}

#[test]
fn a_restart_in_the_middle_of_a_rebalance_is_not_noticed() {
    let mut house = House::new(&[("a", 4)]);
    house.join("m1", &["a"]);
    house.join("m2", &["a"]);
    house.beat("m1", 1);
    let durable = house.durable();
    house.restart();
    assert_eq!(house.durable(), durable);
    assert_eq!(house.beat("m2", 2), kept("m2", 2));
    assert_eq!(house.hold("m1", 1, &[("a", &[0, 1])]), kept("m1", 2));
    assert_eq!(house.beat("m2", 2), told("m2", 2, parts(&[("a", &[2, 3])])));
    // Time-outs run anew from the restart.
    house.pass(45_000);
    assert_eq!(house.group().members(), 0);
}

#[test]
fn a_group_that_is_deleted_leaves_nothing() {
    let mut house = House::new(&[("a", 4)]);
    house.join("m1", &["a"]);
    house.beat("m1", -1);
    let changes = house.group().tombstones();
    super::super::write(&mut house.coordinator, &mut house.world, GROUP, &changes).unwrap();
    assert!(house.coordinator.groups.is_empty());
    let mut latest = BTreeMap::new();
    for (key, value) in house.world.log {
        latest.insert(key, value);
    }
    assert!(
        latest.values().all(Option::is_none),
        "compacted, nothing is left"
    );
}

#[test]
fn what_members_say_is_bounded_over_all_groups() {
    let mut house = House::new(&[("a", 1)]);
    let names: Vec<String> = (0..8000).map(|number| format!("{number:0250}")).collect();
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    let groups: Vec<String> = (0..40).map(|number| format!("g{number}")).collect();
    let mut codes = Vec::new();
    for group_id in &groups {
        let request = ConsumerGroupHeartbeatRequest {
            group_id,
            ..joining("m", &names)
        };
        codes.push(house.send(&request).code);
    }
    let refused = codes.iter().position(|code| *code != 0).unwrap();
    assert!((20..40).contains(&refused), "{refused}");
    let full = ErrorCode::GroupMaxSizeReached.id();
    assert!(codes[refused..].iter().all(|code| *code == full));
    // Who is in stays, and who goes makes room.
    let known = |epoch| ConsumerGroupHeartbeatRequest {
        group_id: "g0",
        member_epoch: epoch,
        ..of("m")
    };
    assert_eq!(house.send(&known(1)).code, 0);
    assert_eq!(house.send(&known(-1)).code, 0);
    assert_eq!(house.join("m", &["a"]).code, 0);
}
