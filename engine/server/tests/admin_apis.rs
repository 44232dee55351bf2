//! The admin APIs over the wire, in every version: what each says when all is well, and with which code it refuses.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod peer;

use highwater_engine::Engine;
use highwater_wire::message::{
    alter_configs, create_partitions as partitions, create_topics as topics,
    delete_topics as deletion, describe_cluster as cluster, describe_configs as described,
    describe_topic_partitions as pages, incremental_alter_configs as incremental,
    list_config_resources as listing, metadata,
};
use highwater_wire::{Array, ErrorCode, Message, decode_response};
use peer::{Peer, start};
use uuid::Uuid;

fn engine(pairs: &[(&str, &str)]) -> (tempfile::TempDir, Engine, Peer) {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(dir.path(), pairs).unwrap();
    let peer = Peer::connect(engine.local_addr());
    (dir, engine, peer)
}

fn new_topic<'a>(
    name: &'a str,
    partitions: i32,
    configs: &[(&'a str, Option<&'a str>)],
) -> topics::CreatableTopic<'a> {
    topics::CreatableTopic {
        name,
        num_partitions: partitions,
        replication_factor: 1,
        assignments: Array::empty(),
        configs: configs
            .iter()
            .map(|(name, value)| topics::CreatableTopicConfig {
                name,
                value: *value,
            })
            .collect(),
    }
}

fn create(
    peer: &mut Peer,
    version: i16,
    topic: topics::CreatableTopic<'_>,
    validate_only: bool,
) -> (i16, Option<String>) {
    let request = topics::CreateTopicsRequest {
        topics: Array::from([topic]),
        timeout_ms: 1_000,
        validate_only,
    };
    let frame = peer.call(version, &request);
    let (_, response) =
        decode_response::<topics::CreateTopicsResponse<'_>>(version, &frame).unwrap();
    let topic = response.topics.first().unwrap();
    assert_eq!(
        topic.topic_id.is_nil(),
        version < 7 || topic.error_code != 0 || validate_only
    );
    if version >= 5 && topic.error_code == 0 {
        let configs = topic.configs.unwrap();
        assert!(
            configs
                .iter()
                .any(|c| c.name == "retention.ms" && c.value.is_some())
        );
        assert_eq!(topic.replication_factor, 1);
    }
    (topic.error_code, topic.error_message.map(str::to_owned))
}

#[test]
fn topics_are_created_grown_and_deleted_in_every_version() {
    let (_dir, engine, mut peer) = engine(&[]);
    for version in topics::CreateTopicsRequest::VERSIONS {
        let name = format!("v{version}");
        assert_eq!(
            create(&mut peer, version, new_topic(&name, 2, &[]), true).0,
            0
        );
        assert_eq!(
            create(
                &mut peer,
                version,
                new_topic(&name, 2, &[("retention.ms", Some("9"))]),
                false
            )
            .0,
            0
        );
        let (code, message) = create(&mut peer, version, new_topic(&name, 2, &[]), false);
        assert_eq!(code, ErrorCode::TopicAlreadyExists.id());
        assert!(message.unwrap().contains(&name));
    }
    for (count, version) in (3..).zip(partitions::CreatePartitionsRequest::VERSIONS) {
        for (validate_only, expected) in [
            (true, 0),
            (false, 0),
            (false, ErrorCode::InvalidPartitions.id()),
        ] {
            let request = partitions::CreatePartitionsRequest {
                topics: Array::from([partitions::CreatePartitionsTopic {
                    name: "v7",
                    count,
                    assignments: None,
                }]),
                timeout_ms: 1_000,
                validate_only,
            };
            let frame = peer.call(version, &request);
            let (_, response) =
                decode_response::<partitions::CreatePartitionsResponse<'_>>(version, &frame)
                    .unwrap();
            assert_eq!(
                response.results.first().unwrap().error_code,
                expected,
                "version {version}"
            );
        }
    }
    for version in deletion::DeleteTopicsRequest::VERSIONS {
        let name = format!("v{}", version + 1);
        for expected in [0, ErrorCode::UnknownTopicOrPartition.id()] {
            let request = deletion::DeleteTopicsRequest {
                topics: if version >= 6 {
                    Array::from([deletion::DeleteTopicState {
                        name: Some(&name),
                        topic_id: Uuid::nil(),
                    }])
                } else {
                    Array::empty()
                },
                topic_names: if version < 6 {
                    Array::from([name.as_str()])
                } else {
                    Array::empty()
                },
                timeout_ms: 1_000,
            };
            let frame = peer.call(version, &request);
            let (_, response) =
                decode_response::<deletion::DeleteTopicsResponse<'_>>(version, &frame).unwrap();
            let found = response.responses.first().unwrap();
            assert_eq!(
                (found.name, found.error_code),
                (Some(name.as_str()), expected),
                "version {version}"
            );
        }
    }
    engine.shutdown().unwrap();
}

#[test]
fn metadata_are_answered_in_every_version() {
    let (_dir, engine, mut peer) = engine(&[]);
    create(&mut peer, 7, new_topic("a", 3, &[]), false);
    create(&mut peer, 7, new_topic("b", 1, &[]), false);
    for version in metadata::MetadataRequest::VERSIONS {
        let named = |name| metadata::MetadataRequestTopic {
            topic_id: Uuid::nil(),
            name: Some(name),
        };
        let some = Array::from([named("b"), named("nope")]);
        // An empty list asks for all in version 0, and for none later.
        for (topics, expected) in [
            (Some(some), vec!["b", "nope"]),
            (
                Some(Array::empty()),
                if version == 0 { vec!["a", "b"] } else { vec![] },
            ),
            (None, vec!["a", "b"]),
        ] {
            if version == 0 && topics.is_none() {
                continue;
            }
            let request = metadata::MetadataRequest {
                topics,
                // Before version 4 a client could not say no.
                allow_auto_topic_creation: version < 4,
                include_cluster_authorized_operations: (8..=10).contains(&version),
                include_topic_authorized_operations: version >= 8,
            };
            if version < 4 && expected.contains(&"nope") {
                continue;
            }
            let frame = peer.call(version, &request);
            let (_, response) =
                decode_response::<metadata::MetadataResponse<'_>>(version, &frame).unwrap();
            let names: Vec<_> = response.topics.iter().filter_map(|t| t.name).collect();
            assert_eq!(names, expected, "version {version}");
            for topic in &response.topics {
                let unknown = ErrorCode::UnknownTopicOrPartition.id();
                assert_eq!(
                    topic.error_code,
                    if topic.name == Some("nope") {
                        unknown
                    } else {
                        0
                    }
                );
                assert!(topic.topic_id.is_nil() || version >= 10);
            }
            if (8..=10).contains(&version) {
                assert!(response.cluster_authorized_operations > 0);
            }
        }
    }
    engine.shutdown().unwrap();
}

#[test]
fn topics_are_looked_up_by_id_where_the_version_has_ids() {
    let (_dir, engine, mut peer) = engine(&[]);
    create(&mut peer, 7, new_topic("a", 1, &[]), false);
    let mut look = |version, topic_id, name: Option<&str>| {
        let request = metadata::MetadataRequest {
            topics: Some(Array::from([metadata::MetadataRequestTopic {
                topic_id,
                name,
            }])),
            allow_auto_topic_creation: true,
            include_cluster_authorized_operations: false,
            include_topic_authorized_operations: false,
        };
        let frame = peer.call(version, &request);
        let (_, response) =
            decode_response::<metadata::MetadataResponse<'_>>(version, &frame).unwrap();
        let topic = response.topics.first().unwrap();
        (
            topic.error_code,
            topic.name.map(str::to_owned),
            topic.topic_id,
        )
    };
    let (_, _, id) = look(12, Uuid::nil(), Some("a"));
    assert_eq!(look(12, id, None), (0, Some("a".to_owned()), id));
    let stranger = Uuid::from_u128(77);
    assert_eq!(
        look(13, stranger, None),
        (ErrorCode::UnknownTopicId.id(), None, stranger)
    );
    assert_eq!(look(11, id, Some("a")).0, ErrorCode::InvalidRequest.id());
    engine.shutdown().unwrap();
}

#[test]
fn the_cluster_is_described_in_every_version() {
    let (_dir, engine, mut peer) = engine(&[]);
    for version in cluster::DescribeClusterRequest::VERSIONS {
        for (endpoint_type, expected) in [
            (1, ErrorCode::None),
            (2, ErrorCode::MismatchedEndpointType),
            (9, ErrorCode::UnsupportedEndpointType),
        ] {
            if version == 0 && endpoint_type != 1 {
                continue;
            }
            let request = cluster::DescribeClusterRequest {
                include_cluster_authorized_operations: true,
                endpoint_type,
                include_fenced_brokers: false,
            };
            let frame = peer.call(version, &request);
            let (_, response) =
                decode_response::<cluster::DescribeClusterResponse<'_>>(version, &frame).unwrap();
            assert_eq!(response.error_code, expected.id());
            if expected == ErrorCode::None {
                assert_eq!(response.cluster_id, engine.cluster_id());
                let broker = response.brokers.first().unwrap();
                assert_eq!(broker.port, i32::from(engine.local_addr().port()));
            }
        }
    }
    engine.shutdown().unwrap();
}

/// Value and source of a setting, and its synonyms.
fn describe(
    peer: &mut Peer,
    version: i16,
    kind: i8,
    name: &str,
    key: &str,
) -> Result<(Option<String>, i8, usize), i16> {
    let request = described::DescribeConfigsRequest {
        resources: Array::from([described::DescribeConfigsResource {
            resource_type: kind,
            resource_name: name,
            configuration_keys: Some(Array::from([key])),
        }]),
        include_synonyms: true,
        include_documentation: version >= 3,
    };
    let frame = peer.call(version, &request);
    let (_, response) =
        decode_response::<described::DescribeConfigsResponse<'_>>(version, &frame).unwrap();
    let result = response.results.first().unwrap();
    if result.error_code != 0 {
        assert!(result.configs.is_empty());
        return Err(result.error_code);
    }
    let config = result.configs.first().unwrap();
    assert_eq!(config.name, key);
    if version >= 3 {
        assert!(config.documentation.is_some_and(|text| !text.is_empty()));
        assert!(config.config_type > 0);
    }
    Ok((
        config.value.map(str::to_owned),
        config.config_source,
        config.synonyms.len(),
    ))
}

#[test]
fn settings_are_described_in_every_version() {
    let (_dir, engine, mut peer) = engine(&[("log.retention.hours", "2")]);
    create(
        &mut peer,
        7,
        new_topic("a", 1, &[("segment.bytes", Some("2097152"))]),
        false,
    );
    for version in described::DescribeConfigsRequest::VERSIONS {
        let mut look = |kind, name: &str, key: &str| describe(&mut peer, version, kind, name, key);
        let value = |text: &str| Some(text.to_owned());
        assert_eq!(look(2, "a", "segment.bytes"), Ok((value("2097152"), 1, 2)));
        assert_eq!(look(2, "a", "retention.ms"), Ok((value("7200000"), 4, 2)));
        assert_eq!(look(2, "a", "cleanup.policy"), Ok((value("delete"), 5, 1)));
        assert_eq!(look(4, "1", "log.retention.hours"), Ok((value("2"), 4, 2)));
        assert_eq!(
            look(4, "1", "log.retention.ms"),
            Ok((value("7200000"), 4, 1))
        );
        assert_eq!(
            look(2, "none", "x"),
            Err(ErrorCode::UnknownTopicOrPartition.id())
        );
        assert_eq!(
            look(2, "no/slash", "x"),
            Err(ErrorCode::InvalidTopicException.id())
        );
        assert_eq!(look(4, "2", "x"), Err(ErrorCode::InvalidRequest.id()));
        assert_eq!(look(4, "one", "x"), Err(ErrorCode::InvalidRequest.id()));
        assert_eq!(look(99, "1", "x"), Err(ErrorCode::InvalidRequest.id()));
    }
    engine.shutdown().unwrap();
}

#[test]
fn settings_are_altered_in_every_version() {
    let (dir, engine, mut peer) = engine(&[]);
    create(&mut peer, 7, new_topic("a", 1, &[]), false);
    for version in incremental::IncrementalAlterConfigsRequest::VERSIONS {
        for (operation, value, validate_only, expected) in [
            (0, Some("5"), true, 0),
            (0, Some("6"), false, 0),
            (0, Some("soon"), false, ErrorCode::InvalidConfig.id()),
            (2, Some("6"), false, ErrorCode::InvalidConfig.id()),
            (7, Some("6"), false, ErrorCode::InvalidRequest.id()),
            (0, None, false, ErrorCode::InvalidRequest.id()),
        ] {
            let request = incremental::IncrementalAlterConfigsRequest {
                resources: Array::from([incremental::AlterConfigsResource {
                    resource_type: 2,
                    resource_name: "a",
                    configs: Array::from([incremental::AlterableConfig {
                        name: "retention.ms",
                        config_operation: operation,
                        value,
                    }]),
                }]),
                validate_only,
            };
            let frame = peer.call(version, &request);
            let (_, response) =
                decode_response::<incremental::IncrementalAlterConfigsResponse<'_>>(
                    version, &frame,
                )
                .unwrap();
            let result = response.responses.first().unwrap();
            assert_eq!(
                result.error_code, expected,
                "version {version}, operation {operation}"
            );
            assert_eq!((result.resource_type, result.resource_name), (2, "a"));
        }
        assert_eq!(
            describe(&mut peer, 4, 2, "a", "retention.ms"),
            Ok((Some("6".to_owned()), 1, 2))
        );
    }
    for version in alter_configs::AlterConfigsRequest::VERSIONS {
        let request = alter_configs::AlterConfigsRequest {
            resources: Array::from([alter_configs::AlterConfigsResource {
                resource_type: 2,
                resource_name: "a",
                configs: Array::from([alter_configs::AlterableConfig {
                    name: "flush.ms",
                    value: Some("77"),
                }]),
            }]),
            validate_only: false,
        };
        let frame = peer.call(version, &request);
        let (_, response) =
            decode_response::<alter_configs::AlterConfigsResponse<'_>>(version, &frame).unwrap();
        assert_eq!(response.responses.first().unwrap().error_code, 0);
    }
    engine.shutdown().unwrap();

    // What was set is there after a restart, what was reset is not.
    let engine = start(dir.path(), &[]).unwrap();
    let mut peer = Peer::connect(engine.local_addr());
    assert_eq!(
        describe(&mut peer, 4, 2, "a", "flush.ms"),
        Ok((Some("77".to_owned()), 1, 2))
    );
    assert_eq!(describe(&mut peer, 4, 2, "a", "retention.ms").unwrap().1, 5);
    engine.shutdown().unwrap();
}

#[test]
fn partitions_are_described_in_pages() {
    let (_dir, engine, mut peer) = engine(&[]);
    for (name, partitions) in [("a", 2), ("b", 5), ("c", 1)] {
        create(&mut peer, 7, new_topic(name, partitions, &[]), false);
    }
    let mut seen = Vec::new();
    let mut cursor: Option<(String, i32)> = None;
    for _ in 0..10 {
        let request = pages::DescribeTopicPartitionsRequest {
            topics: Array::empty(),
            response_partition_limit: 3,
            cursor: cursor
                .as_ref()
                .map(|(topic_name, partition_index)| pages::Cursor {
                    topic_name,
                    partition_index: *partition_index,
                }),
        };
        let frame = peer.call(0, &request);
        let (_, response) =
            decode_response::<pages::DescribeTopicPartitionsResponse<'_>>(0, &frame).unwrap();
        let mut count = 0;
        for topic in &response.topics {
            for partition in &topic.partitions {
                seen.push(format!(
                    "{}-{}",
                    topic.name.unwrap(),
                    partition.partition_index
                ));
                count += 1;
            }
        }
        assert!(count <= 3);
        cursor = response
            .next_cursor
            .map(|c| (c.topic_name.to_owned(), c.partition_index));
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(
        seen,
        ["a-0", "a-1", "b-0", "b-1", "b-2", "b-3", "b-4", "c-0"]
    );
    engine.shutdown().unwrap();
}

#[test]
fn deleting_can_be_forbidden() {
    let (_dir, engine, mut peer) = engine(&[("delete.topic.enable", "false")]);
    create(&mut peer, 7, new_topic("a", 1, &[]), false);
    for (version, code) in [
        (2, ErrorCode::InvalidRequest),
        (5, ErrorCode::TopicDeletionDisabled),
    ] {
        let request = deletion::DeleteTopicsRequest {
            topics: Array::empty(),
            topic_names: Array::from(["a"]),
            timeout_ms: 1_000,
        };
        let frame = peer.call(version, &request);
        let (_, response) =
            decode_response::<deletion::DeleteTopicsResponse<'_>>(version, &frame).unwrap();
        assert_eq!(response.responses.first().unwrap().error_code, code.id());
    }
    engine.shutdown().unwrap();
}

#[test]
fn resources_with_settings_are_listed_by_type() {
    let (_dir, engine, mut peer) = engine(&[("node.id", "7")]);
    create(&mut peer, 7, new_topic("t", 1, &[]), false);
    let set = incremental::IncrementalAlterConfigsRequest {
        resources: Array::from([incremental::AlterConfigsResource {
            resource_type: 32,
            resource_name: "g",
            configs: Array::from([incremental::AlterableConfig {
                name: "consumer.session.timeout.ms",
                config_operation: 0,
                value: Some("50000"),
            }]),
        }]),
        validate_only: false,
    };
    let frame = peer.call(1, &set);
    let (_, response) =
        decode_response::<incremental::IncrementalAlterConfigsResponse<'_>>(1, &frame).unwrap();
    assert_eq!(response.responses.first().unwrap().error_code, 0);

    let mut list = |version: i16, types: &[i8]| {
        let request = listing::ListConfigResourcesRequest {
            resource_types: types.iter().copied().collect(),
        };
        let frame = peer.call(version, &request);
        let (_, response) =
            decode_response::<listing::ListConfigResourcesResponse<'_>>(version, &frame).unwrap();
        let found: Vec<(i8, String)> = response
            .config_resources
            .iter()
            .map(|r| (r.resource_type, r.resource_name.to_owned()))
            .collect();
        (response.error_code, found)
    };
    let named = |kind, name: &str| (kind, name.to_owned());
    assert_eq!(
        list(1, &[]),
        (
            0,
            vec![named(2, "t"), named(4, "7"), named(8, "7"), named(32, "g")]
        )
    );
    assert_eq!(list(1, &[32]), (0, vec![named(32, "g")]));
    assert_eq!(list(1, &[16]), (0, vec![]));
    assert_eq!(list(1, &[99]), (ErrorCode::UnsupportedVersion.id(), vec![]));
    assert_eq!(list(0, &[]), (0, vec![]));

    let mut look = |key: &str| describe(&mut peer, 4, 32, "g", key);
    let value = |text: &str| Some(text.to_owned());
    assert_eq!(
        look("consumer.session.timeout.ms"),
        Ok((value("50000"), 8, 1))
    );
    assert_eq!(
        look("consumer.heartbeat.interval.ms"),
        Ok((value("5000"), 5, 1))
    );
    engine.shutdown().unwrap();
}
