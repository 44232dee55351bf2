//! The rules of commits, one by one.

use crate::config::Config;
use crate::testing::{Answer, EPOCH_UNIX_MS, Join, Scene};
use highwater_wire::message::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use highwater_wire::message::offset_delete::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use highwater_wire::message::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use highwater_wire::message::{OffsetCommitRequest, OffsetDeleteRequest};
use highwater_wire::records::group::{GroupKey, GroupValue};
use highwater_wire::{Array, ErrorCode};
use uuid::Uuid;

const HOUR_MS: i64 = 3_600_000;
const WEEK_MS: i64 = 7 * 24 * HOUR_MS;

fn scene() -> Scene {
    Scene::new(Config::default())
}

fn partition(index: i32, offset: i64, note: Option<&str>) -> OffsetCommitRequestPartition<'_> {
    OffsetCommitRequestPartition {
        partition_index: index,
        committed_offset: offset,
        committed_leader_epoch: 7,
        committed_metadata: note,
    }
}

fn request<'a>(topics: Vec<OffsetCommitRequestTopic<'a>>) -> OffsetCommitRequest<'a> {
    OffsetCommitRequest {
        group_id: "g",
        generation_id_or_member_epoch: -1,
        topics: topics.into(),
        ..OffsetCommitRequest::default()
    }
}

fn to<'a>(
    name: &'a str,
    partitions: Vec<OffsetCommitRequestPartition<'a>>,
) -> OffsetCommitRequestTopic<'a> {
    OffsetCommitRequestTopic {
        name,
        topic_id: Uuid::nil(),
        partitions: partitions.into(),
    }
}

fn commit(
    scene: &mut Scene,
    version: i16,
    request: &OffsetCommitRequest<'_>,
) -> Vec<(String, ErrorCode)> {
    let caller = scene.caller(version);
    scene
        .coordinator
        .offset_commit(&mut scene.stage, &caller, request);
    match scene.answer(caller.ticket) {
        Some(Answer::Codes(ErrorCode::None, codes)) => codes.clone(),
        other => panic!("{other:?}"),
    }
}

/// A stable group of one consumer of `orders`; gives its id.
fn consumer(scene: &mut Scene, group: &'static str) -> String {
    let (member, ticket) = scene.enter(&Join {
        group,
        session_ms: 1_800_000,
        ..Join::default()
    });
    scene.pass(3000);
    let generation = scene.joined(ticket).unwrap().generation;
    let ticket = scene.sync(group, &member, None, generation, &[]);
    assert_eq!(scene.synced(ticket).unwrap().code, ErrorCode::None);
    member
}

#[test]
fn a_commit_from_outside_makes_a_group_that_only_holds_offsets() {
    let mut scene = scene();
    assert_eq!(
        scene.commit("g", "", -1, ("orders", 3), 41),
        ErrorCode::None
    );
    for _ in 0..2 {
        assert_eq!(scene.committed("g"), [("orders".to_owned(), 3, 41)]);
        let lines = scene.coordinator.list_groups(&[], &[]);
        assert_eq!(
            (lines[0].group_state, lines[0].protocol_type),
            ("Empty", "")
        );
        drop(lines);
        scene.restart();
    }
}

#[test]
fn a_commit_is_written_as_kafka_writes_it() {
    let mut scene = scene();
    let topics = vec![to("orders", vec![partition(2, 41, Some("note"))])];
    commit(&mut scene, 9, &request(topics));
    let (key, value) = scene.stage.log.last().unwrap();
    let key = GroupKey::decode(key).unwrap();
    let (value, version) = GroupValue::decode(&key, value.as_deref().unwrap()).unwrap();
    let (GroupKey::OffsetCommit(key), GroupValue::OffsetCommit(value)) = (key, value) else {
        panic!("not a commit");
    };
    assert_eq!((key.group, key.topic, key.partition), ("g", "orders", 2));
    assert_eq!((version, value.offset, value.leader_epoch), (4, 41, 7));
    assert_eq!((value.metadata, value.expire_timestamp), ("note", -1));
    assert_eq!(value.commit_timestamp, EPOCH_UNIX_MS);
    assert_eq!(value.topic_id, Uuid::from_u128(2));
}

#[test]
fn a_commit_that_says_how_long_it_lives_is_gone_then() {
    let mut scene = scene();
    let request = OffsetCommitRequest {
        retention_time_ms: HOUR_MS,
        ..request(vec![to("orders", vec![partition(0, 1, None)])])
    };
    commit(&mut scene, 4, &request);
    scene.restart();
    scene.pass(HOUR_MS - 1);
    assert_eq!(scene.committed("g").len(), 1);
    scene.pass(600_000);
    assert_eq!(scene.committed("g").len(), 0);
    assert_eq!(scene.coordinator.counts().groups, 0);
}

#[test]
fn a_request_is_one_batch_and_what_is_refused_of_it_is_refused_alone() {
    let mut scene = scene();
    let long = "x".repeat(4097);
    let limit = "é".repeat(4096);
    let topics = vec![
        to(
            "orders",
            vec![
                partition(0, 1, Some(&long)),
                partition(1, 2, Some(&limit)),
                partition(12, 3, None),
                partition(-1, 3, None),
            ],
        ),
        to("unknown", vec![partition(0, 4, None)]),
        to("payments", vec![partition(5, 5, None)]),
    ];
    let codes = commit(&mut scene, 9, &request(topics));
    let codes: Vec<(&str, ErrorCode)> = codes
        .iter()
        .map(|(name, code)| (name.as_str(), *code))
        .collect();
    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(
        codes,
        [
            ("orders-0", ErrorCode::OffsetMetadataTooLarge),
            ("orders-1", ErrorCode::None),
            ("orders-12", unknown),
            ("orders--1", unknown),
            ("unknown-0", unknown),
            ("payments-5", ErrorCode::None),
        ]
    );
    assert_eq!(scene.stage.batches, [2]);
    assert_eq!(scene.committed("g").len(), 2);
}

#[test]
fn as_of_version_10_topics_are_named_by_id() {
    let mut scene = scene();
    let by_id = |id: u128| OffsetCommitRequestTopic {
        name: "",
        topic_id: Uuid::from_u128(id),
        partitions: Array::from([partition(0, 9, None)]),
    };
    let codes = commit(&mut scene, 10, &request(vec![by_id(2), by_id(77)]));
    assert_eq!(
        codes,
        [
            ("2-0".to_owned(), ErrorCode::None),
            ("77-0".to_owned(), ErrorCode::UnknownTopicId)
        ]
    );
    assert_eq!(scene.committed("g"), [("orders".to_owned(), 0, 9)]);
    let asked = |id: u128| OffsetFetchRequestTopics {
        name: "",
        topic_id: Uuid::from_u128(id),
        partition_indexes: Array::from([0, 1]),
    };
    let request = OffsetFetchRequestGroup {
        group_id: "g",
        topics: Some(Array::from([asked(2), asked(77)])),
        ..OffsetFetchRequestGroup::default()
    };
    let topics = &scene.stage.topics;
    let response = scene.coordinator.offset_fetch(topics, 10, &request, true);
    let found: Vec<(i64, i16)> = response
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.to_vec())
        .map(|partition| (partition.committed_offset, partition.error_code))
        .collect();
    let unknown = ErrorCode::UnknownTopicId.id();
    assert_eq!(found, [(9, 0), (-1, 0), (-1, unknown), (-1, unknown)]);
    let all = OffsetFetchRequestGroup {
        group_id: "g",
        topics: None,
        ..OffsetFetchRequestGroup::default()
    };
    let response = scene.coordinator.offset_fetch(topics, 10, &all, true);
    assert_eq!(
        response.topics.first().unwrap().topic_id,
        Uuid::from_u128(2)
    );
}

#[test]
fn a_generation_of_a_group_that_is_not_there_is_refused() {
    let mut scene = scene();
    for (version, code) in [
        (8, ErrorCode::IllegalGeneration),
        (9, ErrorCode::GroupIdNotFound),
    ] {
        let request = OffsetCommitRequest {
            generation_id_or_member_epoch: 1,
            member_id: "m",
            ..request(vec![
                to("orders", vec![partition(0, 1, None)]),
                to("unknown", vec![partition(0, 1, None)]),
            ])
        };
        let codes = commit(&mut scene, version, &request);
        assert_eq!(codes[0].1, code);
        assert_eq!(codes[1].1, ErrorCode::UnknownTopicOrPartition);
    }
    assert!(scene.stage.log.is_empty());
}

#[test]
fn only_members_commit_while_there_are_members() {
    let mut scene = scene();
    let member = consumer(&mut scene, "g");
    let unknown = ErrorCode::UnknownMemberId;
    assert_eq!(scene.commit("g", "", -1, ("orders", 0), 1), unknown);
    assert_eq!(scene.commit("g", "x", 1, ("orders", 0), 1), unknown);
    assert_eq!(scene.commit("g", "", 1, ("orders", 0), 1), unknown);
    let ok = ErrorCode::None;
    assert_eq!(scene.commit("g", &member, 1, ("orders", 0), 1), ok);
    scene.leave("g", &[(&member, None)]);
    assert_eq!(scene.commit("g", "", -1, ("orders", 0), 1), ok);
    assert_eq!(scene.commit("g", &member, 2, ("orders", 0), 1), unknown);
}

#[test]
fn a_commit_that_has_no_place_is_refused_and_changes_nothing() {
    let mut scene = scene();
    for (refused, code) in [
        (ErrorCode::NotCoordinator, ErrorCode::NotCoordinator),
        (
            ErrorCode::MessageTooLarge,
            ErrorCode::InvalidCommitOffsetSize,
        ),
        (
            ErrorCode::RecordListTooLarge,
            ErrorCode::InvalidCommitOffsetSize,
        ),
    ] {
        scene.stage.refuses = Some(refused);
        assert_eq!(scene.commit("g", "", -1, ("orders", 0), 1), code);
    }
    assert_eq!(scene.coordinator.counts().groups, 0);
    assert_eq!(scene.committed("g"), []);
}

#[test]
fn what_was_not_committed_is_answered_with_minus_one() {
    let mut scene = scene();
    let request = OffsetFetchRequestGroup {
        group_id: "nobody",
        topics: Some(Array::from([OffsetFetchRequestTopics {
            name: "orders",
            topic_id: Uuid::nil(),
            partition_indexes: Array::from([4]),
        }])),
        ..OffsetFetchRequestGroup::default()
    };
    scene.commit("g", "", -1, ("orders", 4), 4);
    for (group_id, offset) in [("nobody", -1), ("g", 4)] {
        let request = OffsetFetchRequestGroup {
            group_id,
            ..request.clone()
        };
        let topics = &scene.stage.topics;
        let response = scene.coordinator.offset_fetch(topics, 8, &request, false);
        assert_eq!(response.error_code, 0);
        let partition = response.topics.first().unwrap().partitions.first().unwrap();
        assert_eq!(
            (partition.committed_offset, partition.committed_leader_epoch),
            (offset, -1)
        );
        assert_eq!((partition.metadata, partition.error_code), (Some(""), 0));
    }
}

#[test]
fn commits_of_a_group_without_members_expire_a_week_after_the_last_one_left() {
    let mut scene = scene();
    let member = consumer(&mut scene, "g");
    scene.commit("g", &member, 1, ("orders", 0), 1);
    scene.pass(HOUR_MS / 4);
    scene.commit("g", &member, 1, ("orders", 1), 1);
    scene.leave("g", &[(&member, None)]);
    scene.pass(WEEK_MS - 1);
    scene.restart();
    assert_eq!(scene.committed("g").len(), 2);
    scene.pass(600_000);
    assert_eq!(scene.committed("g"), []);
    assert_eq!(scene.coordinator.counts().groups, 0);
    scene.restart();
    assert_eq!(scene.coordinator.counts().groups, 0);
}

#[test]
fn commits_of_a_group_that_only_holds_offsets_expire_each_for_itself() {
    let mut scene = scene();
    scene.commit("g", "", -1, ("orders", 0), 1);
    scene.pass(WEEK_MS / 2);
    scene.commit("g", "", -1, ("orders", 1), 2);
    scene.pass(WEEK_MS / 2 + 600_000);
    assert_eq!(scene.committed("g"), [("orders".to_owned(), 1, 2)]);
    scene.pass(WEEK_MS / 2);
    assert_eq!(scene.coordinator.counts().groups, 0);
}

#[test]
fn a_group_with_members_keeps_commits_of_topics_that_it_is_subscribed_to() {
    let mut scene = scene();
    let member = consumer(&mut scene, "g");
    scene.commit("g", &member, 1, ("orders", 0), 1);
    scene.commit("g", &member, 1, ("payments", 0), 1);
    let mut passed_ms = 0;
    while passed_ms < WEEK_MS + HOUR_MS {
        scene.pass(HOUR_MS / 4);
        passed_ms += HOUR_MS / 4;
        assert_eq!(scene.heartbeat("g", &member, 1), ErrorCode::None);
    }
    assert_eq!(scene.committed("g"), [("orders".to_owned(), 0, 1)]);
}

#[test]
fn a_group_that_nobody_came_to_goes() {
    let mut scene = scene();
    scene.join(&Join::default());
    assert_eq!(scene.coordinator.counts().groups, 1);
    scene.pass(600_000);
    assert_eq!(scene.coordinator.counts().groups, 0);
    assert_eq!(scene.stage.log.last().unwrap().1, None);
}

#[test]
fn what_cannot_expire_for_want_of_a_place_expires_later() {
    let mut scene = scene();
    scene.commit("g", "", -1, ("orders", 0), 1);
    scene.stage.refuses = Some(ErrorCode::CoordinatorNotAvailable);
    scene.pass(WEEK_MS + HOUR_MS);
    assert_eq!(scene.committed("g").len(), 1);
    scene.stage.refuses = None;
    scene.pass(500);
    assert_eq!(scene.committed("g").len(), 0);
}

#[test]
fn commits_of_a_deleted_topic_go_and_others_stay() {
    let mut scene = scene();
    scene.commit("a", "", -1, ("orders", 0), 1);
    scene.commit("a", "", -1, ("payments", 0), 2);
    scene.commit("b", "", -1, ("orders", 5), 3);
    scene.stage.topics.remove("orders");
    scene.coordinator.topics_changed(&mut scene.stage);
    assert_eq!(scene.committed("a"), [("payments".to_owned(), 0, 2)]);
    assert_eq!(scene.committed("b"), []);
    scene.restart();
    assert_eq!(scene.committed("a"), [("payments".to_owned(), 0, 2)]);
    assert_eq!(scene.coordinator.counts().offsets, 1);
}

#[test]
fn commits_of_a_former_topic_of_the_name_are_not_the_new_ones() {
    let mut scene = scene();
    scene.commit("g", "", -1, ("orders", 0), 1);
    scene.stage.topics.set("orders", 99, 12);
    assert_eq!(scene.committed("g"), []);
    scene.commit("g", "", -1, ("orders", 1), 2);
    assert_eq!(scene.committed("g"), [("orders".to_owned(), 1, 2)]);
    scene.stage.topics.set("orders", 100, 12);
    scene.coordinator.topics_changed(&mut scene.stage);
    assert_eq!(scene.coordinator.counts().offsets, 0);
}

#[test]
fn an_image_without_the_topic_of_the_groups_deletes_nothing() {
    let mut scene = scene();
    scene.commit("g", "", -1, ("orders", 0), 1);
    scene.stage.topics.topics.clear();
    scene.coordinator.topics_changed(&mut scene.stage);
    assert_eq!(scene.coordinator.counts().offsets, 1);
}

fn delete(scene: &mut Scene, group: &str, topics: &[(&str, i32)]) -> Answer {
    let caller = scene.caller(0);
    let topics = topics.iter().map(|(name, index)| OffsetDeleteRequestTopic {
        name,
        partitions: Array::from([OffsetDeleteRequestPartition {
            partition_index: *index,
        }]),
    });
    let request = OffsetDeleteRequest {
        group_id: group,
        topics: topics.collect(),
    };
    scene
        .coordinator
        .offset_delete(&mut scene.stage, &caller, &request);
    scene.answer(caller.ticket).unwrap().clone()
}

#[test]
fn commits_are_deleted_where_nobody_is_subscribed() {
    let mut scene = scene();
    let member = consumer(&mut scene, "g");
    scene.commit("g", &member, 1, ("orders", 0), 1);
    scene.commit("g", &member, 1, ("payments", 0), 1);
    let asked = [("orders", 0), ("payments", 0), ("payments", 1), ("x", 0)];
    let codes = |codes: [ErrorCode; 4]| {
        let names = ["orders-0", "payments-0", "payments-1", "x-0"];
        let all = names.iter().map(|name| (*name).to_owned()).zip(codes);
        Answer::Codes(ErrorCode::None, all.collect())
    };
    let ok = ErrorCode::None;
    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(
        delete(&mut scene, "g", &asked),
        codes([ErrorCode::GroupSubscribedToTopic, ok, ok, unknown])
    );
    assert_eq!(scene.committed("g"), [("orders".to_owned(), 0, 1)]);
    scene.leave("g", &[(&member, None)]);
    assert_eq!(
        delete(&mut scene, "g", &asked),
        codes([ok, ok, ok, unknown])
    );
    scene.restart();
    assert_eq!(scene.committed("g"), []);
}

#[test]
fn commits_of_members_that_are_no_consumers_are_not_deleted() {
    let mut scene = scene();
    let ticket = scene.join(&Join {
        version: 3,
        protocol_type: "connect",
        ..Join::default()
    });
    scene.pass(3000);
    assert_eq!(scene.joined(ticket).unwrap().code, ErrorCode::None);
    assert_eq!(
        delete(&mut scene, "g", &[("orders", 0)]),
        Answer::Codes(ErrorCode::NonEmptyGroup, Vec::new())
    );
    assert_eq!(
        delete(&mut scene, "x", &[("orders", 0)]),
        Answer::Codes(ErrorCode::GroupIdNotFound, Vec::new())
    );
    assert_eq!(
        delete(&mut scene, "", &[("orders", 0)]),
        Answer::Codes(ErrorCode::InvalidGroupId, Vec::new())
    );
}

#[test]
fn a_group_is_deleted_with_its_commits_but_not_while_it_has_members() {
    let mut scene = scene();
    let member = consumer(&mut scene, "g");
    scene.commit("g", &member, 1, ("orders", 0), 1);
    scene.commit("simple", "", -1, ("orders", 0), 1);
    let delete = |scene: &mut Scene| {
        let caller = scene.caller(2);
        let mut groups = ["g", "simple", "x"].into_iter();
        scene
            .coordinator
            .delete_groups(&mut scene.stage, &caller, &mut groups);
        match scene.answer(caller.ticket) {
            Some(Answer::Codes(_, codes)) => {
                codes.iter().map(|(_, code)| *code).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    };
    let missing = ErrorCode::GroupIdNotFound;
    let ok = ErrorCode::None;
    assert_eq!(delete(&mut scene), [ErrorCode::NonEmptyGroup, ok, missing]);
    scene.leave("g", &[(&member, None)]);
    assert_eq!(delete(&mut scene), [ok, missing, missing]);
    scene.restart();
    assert_eq!(scene.coordinator.counts().groups, 0);
    assert_eq!(scene.coordinator.counts().offsets, 0);
}

#[test]
fn many_commits_are_deleted_in_batches() {
    let mut scene = scene();
    scene.stage.topics.set("wide", 9, 2500);
    let partitions = (0..2500).map(|index| partition(index, 1, None)).collect();
    commit(&mut scene, 9, &request(vec![to("wide", partitions)]));
    scene.stage.batches.clear();
    scene.pass(WEEK_MS + 600_000);
    assert_eq!(scene.stage.batches, [1000, 1000, 500, 1]);
    assert_eq!(scene.coordinator.counts().groups, 0);
}

#[test]
fn a_search_for_expired_commits_goes_in_steps_and_reaches_every_group() {
    let mut scene = scene();
    scene.stage.topics.set("wide", 9, 6000);
    for group in ["a", "b", "c", "d"] {
        let partitions = (0..6000).map(|index| partition(index, 1, None)).collect();
        let request = OffsetCommitRequest {
            group_id: group,
            ..request(vec![to("wide", partitions)])
        };
        commit(&mut scene, 9, &request);
    }
    scene.pass(WEEK_MS);
    scene.pass(600_000);
    assert_eq!(scene.coordinator.counts().groups, 0);
    assert_eq!(scene.coordinator.counts().offsets, 0);
}

#[test]
fn commits_without_their_group_are_still_a_group() {
    let mut scene = scene();
    let member = consumer(&mut scene, "g");
    scene.commit("g", &member, 1, ("orders", 0), 1);
    let (key, _) = scene.stage.log[0].clone();
    assert!(matches!(
        GroupKey::decode(&key).unwrap(),
        GroupKey::GroupMetadata(_)
    ));
    scene.stage.log.push((key, None));
    scene.restart();
    assert_eq!(scene.coordinator.counts().groups, 1);
    assert_eq!(scene.committed("g").len(), 1);
}

#[test]
fn bytes_that_are_no_record_are_refused_and_types_to_come_passed_over() {
    use crate::{Coordinator, ReplayError};
    let mut coordinator = Coordinator::new(Config::default());
    assert_eq!(coordinator.replay(&[0, 99, 1], Some(&[1, 2])), Ok(()));
    assert!(matches!(
        coordinator.replay(&[0], None),
        Err(ReplayError::Key(_))
    ));
    let key = [0, 2, 0, 1, b'g'];
    assert!(matches!(
        coordinator.replay(&key, Some(&[0, 3, 0])),
        Err(ReplayError::Value(_))
    ));
    assert_eq!(coordinator.counts(), crate::Counts::default());
}
