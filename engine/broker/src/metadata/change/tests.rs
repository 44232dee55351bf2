use highwater_record::{LeaderEpoch, Offset};

use super::*;
use crate::config::Overrides;
use crate::metadata::image::Node;
use crate::metadata::record::Resource;

fn empty() -> Image {
    let node = Node::single(1, "h", 9092);
    Image::empty("c", node, Uuid::from_u128(99), Overrides::new())
}

/// Decides with ids 1, 2, 3.. and applies; the image afterwards and the answer.
fn apply(image: &Image, change: &Change) -> (Image, Outcome) {
    let mut next = image.topics().map(|t| t.id.as_u128()).max().unwrap_or(0)
        + u128::from(image.end().get().unsigned_abs());
    let decision = change.decide(image, &mut || {
        next += 1;
        Uuid::from_u128(next)
    });
    let mut draft = image.draft();
    for record in &decision.records {
        assert!(
            record.replay(&mut draft),
            "{record:?} found nothing to apply to"
        );
    }
    let count = i64::try_from(decision.records.len()).unwrap();
    (
        draft.finish(Offset::new(image.end().get() + count)),
        decision.outcome,
    )
}

fn topic(name: &str, partitions: i32) -> NewTopic {
    NewTopic {
        name: name.to_owned(),
        shape: Shape {
            partitions,
            ..Shape::DEFAULT
        },
        configs: Vec::new(),
    }
}

fn create(image: &Image, topics: Vec<NewTopic>) -> (Image, Vec<Result<TopicOutcome, Refused>>) {
    let (image, outcome) = apply(image, &Change::CreateTopics(topics));
    (image, outcome.topics())
}

fn codes<T>(outcome: &[Result<T, Refused>]) -> Vec<ErrorCode> {
    outcome
        .iter()
        .map(|r| r.as_ref().err().map_or(ErrorCode::None, |e| e.code))
        .collect()
}

fn alter(
    image: &Image,
    kind: i8,
    name: &str,
    operations: &[(&str, Operation, &str)],
) -> (Image, Result<(), Refused>) {
    let operations = operations
        .iter()
        .map(|(k, o, v)| {
            (
                (*k).to_owned(),
                *o,
                (*o != Operation::Delete).then(|| (*v).to_owned()),
            )
        })
        .collect();
    let (image, outcome) = apply(
        image,
        &Change::AlterConfigs(vec![Alteration {
            resource_type: kind,
            resource_name: name.to_owned(),
            operations,
            replaces_all: false,
        }]),
    );
    let mut outcome = outcome.configs();
    (image, outcome.remove(0))
}

const GROUP: i8 = 32;

#[test]
fn what_a_group_says_for_itself_is_kept_within_the_brokers_bounds() {
    let session = "consumer.session.timeout.ms";
    let (image, outcome) = alter(&empty(), GROUP, "g", &[(session, Operation::Set, "50000")]);
    assert_eq!(outcome, Ok(()));
    assert_eq!(image.group_config("g").session_timeout_ms, Some(50_000));
    assert_eq!(image.group_config("other").session_timeout_ms, None);
    let (image, outcome) = alter(&image, GROUP, "g", &[(session, Operation::Set, "5000")]);
    assert_eq!(outcome.unwrap_err().code, ErrorCode::InvalidConfig);
    assert_eq!(image.group_configs()["g"][session], "50000");
    let (_, outcome) = alter(&image, GROUP, "", &[(session, Operation::Set, "50000")]);
    assert_eq!(outcome.unwrap_err().code, ErrorCode::InvalidRequest);
    let (_, outcome) = alter(&image, GROUP, "g", &[("foo", Operation::Set, "1")]);
    assert_eq!(
        outcome.unwrap_err().text(),
        "Unknown group config name: foo"
    );
}

#[test]
fn a_group_that_says_nothing_any_more_is_forgotten() {
    let interval = "consumer.heartbeat.interval.ms";
    let (image, _) = alter(&empty(), GROUP, "g", &[(interval, Operation::Set, "6000")]);
    let (image, outcome) = alter(&image, GROUP, "g", &[(interval, Operation::Delete, "")]);
    assert_eq!(outcome, Ok(()));
    assert!(image.group_configs().is_empty());
}

#[test]
fn a_topic_is_a_topic_record_its_settings_and_its_partitions() {
    let mut new = topic("a", 2);
    new.configs.push(("retention.ms".into(), Some("5".into())));
    let decision = Change::CreateTopics(vec![new]).decide(&empty(), &mut || Uuid::from_u128(7));
    let id = Uuid::from_u128(7);
    let partition = |index| Record::Partition {
        topic_id: id,
        index,
        leader: 1,
        leader_epoch: LeaderEpoch::ZERO,
        partition_epoch: 0,
        directory: Uuid::from_u128(99),
    };
    assert_eq!(
        decision.records,
        [
            Record::Topic {
                name: "a".into(),
                id
            },
            Record::Config {
                resource: Resource::Topic("a".into()),
                name: "retention.ms".into(),
                value: Some("5".into()),
            },
            partition(0),
            partition(1),
        ]
    );
}

#[test]
fn each_topic_is_refused_for_its_own_reason_and_the_others_are_created() {
    let (image, _) = create(&empty(), vec![topic("there", 1), topic("a.b", 1)]);
    let shaped = |name: &str, shape| NewTopic {
        shape,
        ..topic(name, 1)
    };
    let (image, outcome) = create(
        &image,
        vec![
            topic("there", 1),
            topic("a_b", 1),
            topic("no spaces", 1),
            topic("zero", 0),
            shaped(
                "wide",
                Shape {
                    partitions: 1,
                    replication_factor: 2,
                    assignments: Vec::new(),
                },
            ),
            topic("twice", 1),
            topic("twice", 1),
            NewTopic {
                configs: vec![("retention.mss".into(), Some("1".into()))],
                ..topic("odd", 1)
            },
            NewTopic {
                configs: vec![("retention.ms".into(), None)],
                ..topic("null", 1)
            },
            topic("__cluster_metadata", 1),
            topic("good", 3),
        ],
    );
    assert_eq!(
        codes(&outcome),
        [
            ErrorCode::TopicAlreadyExists,
            ErrorCode::InvalidTopicException,
            ErrorCode::InvalidTopicException,
            ErrorCode::InvalidPartitions,
            ErrorCode::InvalidReplicationFactor,
            ErrorCode::InvalidRequest,
            ErrorCode::InvalidRequest,
            ErrorCode::InvalidConfig,
            ErrorCode::InvalidConfig,
            ErrorCode::InvalidRequest,
            ErrorCode::None,
        ]
    );
    let names: Vec<_> = image.topics().map(|t| t.name.to_string()).collect();
    assert_eq!(names, ["a.b", "good", "there"]);
    assert_eq!(image.topic("good").unwrap().partitions.len(), 3);
}

#[test]
fn assignments_by_hand_must_name_this_broker_for_every_index() {
    let by_hand = |assignments: &[(i32, &[i32])]| {
        let shape = Shape {
            assignments: assignments.iter().map(|(i, r)| (*i, r.to_vec())).collect(),
            ..Shape::DEFAULT
        };
        let (image, outcome) = create(
            &empty(),
            vec![NewTopic {
                shape,
                ..topic("t", -1)
            }],
        );
        (codes(&outcome)[0], image.partition_count())
    };
    assert_eq!(by_hand(&[(1, &[1]), (0, &[1])]), (ErrorCode::None, 2));
    assert_eq!(by_hand(&[(0, &[2])]).0, ErrorCode::InvalidReplicaAssignment);
    assert_eq!(
        by_hand(&[(0, &[1, 1])]).0,
        ErrorCode::InvalidReplicaAssignment
    );
    assert_eq!(by_hand(&[(0, &[])]).0, ErrorCode::InvalidReplicaAssignment);
    assert_eq!(
        by_hand(&[(0, &[1]), (2, &[1])]).0,
        ErrorCode::InvalidReplicaAssignment
    );
    assert_eq!(
        by_hand(&[(0, &[1]), (0, &[1])]).0,
        ErrorCode::InvalidReplicaAssignment
    );
}

#[test]
fn defaults_fill_in_for_minus_one() {
    let (image, _) = alter(&empty(), 4, "", &[("num.partitions", Operation::Set, "5")]);
    // num.partitions is read-only while the broker runs; the default is 1.
    let (image, _) = create(&image, vec![topic("a", -1)]);
    assert_eq!(image.topic("a").unwrap().partitions.len(), 1);
}

#[test]
fn a_topic_made_again_has_another_id_and_a_higher_epoch() {
    let (image, _) = create(&empty(), vec![topic("a", 1)]);
    let first = image.topic("a").unwrap().clone();
    let (image, outcome) = apply(&image, &Change::DeleteTopics(vec![TopicName::Id(first.id)]));
    assert_eq!(outcome.topics()[0].as_ref().unwrap().name, "a");
    assert!(image.topic("a").is_none());
    let (image, _) = create(&image, vec![topic("a", 1)]);
    let second = image.topic("a").unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(second.partitions[0].leader_epoch, LeaderEpoch::new(1));
}

#[test]
fn deleting_takes_names_and_ids_and_refuses_what_is_unclear() {
    let (image, _) = create(&empty(), vec![topic("a", 1), topic("b", 1)]);
    let id = image.topic("a").unwrap().id;
    let (image, outcome) = apply(
        &image,
        &Change::DeleteTopics(vec![
            TopicName::Name("a".into()),
            TopicName::Id(id),
            TopicName::Name("none".into()),
            TopicName::Id(Uuid::from_u128(1234)),
            TopicName::Unclear {
                name: None,
                id: Uuid::nil(),
            },
            TopicName::Name("b".into()),
            TopicName::Name("b".into()),
        ]),
    );
    assert_eq!(
        codes(&outcome.topics()),
        [
            ErrorCode::None,
            ErrorCode::InvalidRequest,
            ErrorCode::UnknownTopicOrPartition,
            ErrorCode::UnknownTopicId,
            ErrorCode::InvalidRequest,
            ErrorCode::InvalidRequest,
            ErrorCode::InvalidRequest,
        ]
    );
    assert!(image.topic("a").is_none() && image.topic("b").is_some());
}

#[test]
fn partitions_are_added_and_never_taken_away() {
    let (image, _) = create(&empty(), vec![topic("a", 2)]);
    let grow = |count, assignments: Option<Vec<Vec<i32>>>| {
        let change = Change::CreatePartitions(vec![MorePartitions {
            name: "a".into(),
            count,
            assignments,
        }]);
        let (image, outcome) = apply(&image, &change);
        (
            codes(&outcome.topics())[0],
            image.topic("a").unwrap().partitions.len(),
        )
    };
    assert_eq!(grow(4, None), (ErrorCode::None, 4));
    assert_eq!(grow(3, Some(vec![vec![1]])), (ErrorCode::None, 3));
    assert_eq!(grow(2, None), (ErrorCode::InvalidPartitions, 2));
    assert_eq!(grow(1, None), (ErrorCode::InvalidPartitions, 2));
    assert_eq!(grow(i32::MIN, None), (ErrorCode::InvalidPartitions, 2));
    assert_eq!(
        grow(4, Some(vec![vec![1]])),
        (ErrorCode::InvalidReplicaAssignment, 2)
    );
    assert_eq!(
        grow(3, Some(vec![vec![8]])),
        (ErrorCode::InvalidReplicaAssignment, 2)
    );
}

#[test]
fn a_change_that_is_too_large_is_refused_whole() {
    let (image, outcome) = create(&empty(), vec![topic("huge", 1_000_000), topic("small", 1)]);
    assert_eq!(
        codes(&outcome),
        [ErrorCode::PolicyViolation, ErrorCode::None]
    );
    assert_eq!(image.partition_count(), 1);
}

#[test]
fn settings_are_set_reset_appended_and_subtracted() {
    let (image, _) = create(&empty(), vec![topic("a", 1)]);
    let own = |image: &Image| (*image.topic("a").unwrap().overrides).clone();
    let (image, _) = alter(
        &image,
        2,
        "a",
        &[
            ("retention.ms", Operation::Set, "5"),
            ("cleanup.policy", Operation::Append, "compact"),
        ],
    );
    assert_eq!(own(&image)["cleanup.policy"], "delete,compact");
    assert_eq!(image.topic("a").unwrap().config.retention_ms, 5);
    let (image, _) = alter(
        &image,
        2,
        "a",
        &[
            ("cleanup.policy", Operation::Subtract, "delete"),
            ("retention.ms", Operation::Delete, ""),
        ],
    );
    assert_eq!(
        own(&image),
        Overrides::from([("cleanup.policy".into(), "compact".into())])
    );
    let (_, refused) = alter(&image, 2, "a", &[("retention.ms", Operation::Append, "5")]);
    assert_eq!(refused.unwrap_err().code, ErrorCode::InvalidConfig);
}

#[test]
fn a_bad_value_names_its_setting_and_changes_nothing() {
    let (image, _) = create(&empty(), vec![topic("a", 1)]);
    let (after, refused) = alter(
        &image,
        2,
        "a",
        &[
            ("retention.ms", Operation::Set, "5"),
            ("segment.bytes", Operation::Set, "x"),
        ],
    );
    let refused = refused.unwrap_err();
    assert_eq!(refused.code, ErrorCode::InvalidConfig);
    assert!(refused.message.unwrap().contains("segment.bytes"));
    assert!(after.topic("a").unwrap().overrides.is_empty());
}

#[test]
fn the_older_way_resets_what_it_does_not_name() {
    let (image, _) = create(&empty(), vec![topic("a", 1)]);
    let (image, _) = alter(&image, 2, "a", &[("retention.ms", Operation::Set, "5")]);
    let (image, _) = apply(
        &image,
        &Change::AlterConfigs(vec![Alteration {
            resource_type: 2,
            resource_name: "a".into(),
            operations: vec![("flush.ms".into(), Operation::Set, Some("9".into()))],
            replaces_all: true,
        }]),
    );
    assert_eq!(
        *image.topic("a").unwrap().overrides,
        Overrides::from([("flush.ms".into(), "9".into())])
    );
}

#[test]
fn broker_settings_reach_this_broker_or_all_and_no_other() {
    let set = &[("log.retention.ms", Operation::Set, "5")];
    let (image, done) = alter(&empty(), 4, "", set);
    assert_eq!(done, Ok(()));
    assert_eq!(image.cluster_config()["log.retention.ms"], "5");
    let (image, done) = alter(&image, 4, "1", set);
    assert_eq!(done, Ok(()));
    assert_eq!(image.node_config()["log.retention.ms"], "5");
    assert_eq!(
        alter(&image, 4, "2", set).1.unwrap_err().code,
        ErrorCode::InvalidRequest
    );
    assert_eq!(
        alter(&image, 4, "x", set).1.unwrap_err().code,
        ErrorCode::InvalidRequest
    );
    assert_eq!(
        alter(&image, 3, "1", set).1.unwrap_err().code,
        ErrorCode::InvalidRequest
    );
    let read_only = &[("listeners", Operation::Set, "PLAINTEXT://:1")];
    assert_eq!(
        alter(&image, 4, "1", read_only).1.unwrap_err().code,
        ErrorCode::InvalidConfig
    );
}

#[test]
fn producer_ids_are_handed_out_once() {
    let (image, first) = apply(&empty(), &Change::AllocateProducerIds);
    let (_, second) = apply(&image, &Change::AllocateProducerIds);
    assert_eq!(
        first.producer_ids(),
        Ok(ProducerIds {
            first: 0,
            count: 1000
        })
    );
    assert_eq!(
        second.producer_ids(),
        Ok(ProducerIds {
            first: 1000,
            count: 1000
        })
    );
}
