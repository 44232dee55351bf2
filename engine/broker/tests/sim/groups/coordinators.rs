//! Where a group's coordinator is found, and what becomes of its groups when the offsets topic grows or goes.

use highwater_wire::ErrorCode;
use highwater_wire::message::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use highwater_wire::message::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use highwater_wire::message::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use highwater_wire::message::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};

use super::{broker, loaded};
use crate::harness::{Broker, batch, decoded, seconds};

#[test]
fn who_looks_for_a_coordinator_finds_it_and_its_topic_is_made_on_the_way() {
    let broker = Broker::start(60, 3, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        assert_eq!(
            peer.offsets(&["nobody"]).await,
            [Err(ErrorCode::NotCoordinator.id())],
            "there is no coordinator before somebody looks for one"
        );
        assert_eq!(peer.groups().await, Ok(vec![]));
        assert_eq!(peer.find_coordinator("a group").await, (0, 1));
        let topic = MetadataRequestTopic {
            name: Some("__consumer_offsets"),
            ..MetadataRequestTopic::default()
        };
        let request = MetadataRequest {
            topics: Some([topic].into()),
            ..MetadataRequest::default()
        };
        let frame = peer.ask(12, &request).await;
        let response = decoded::<MetadataResponse<'_>>(12, &frame);
        let topic = response.topics.first().unwrap();
        assert_eq!((topic.error_code, topic.is_internal), (0, true));
        assert_eq!(topic.partitions.len(), 50);
    });
}

#[test]
fn coordinators_of_what_does_not_exist_are_refused_for_good() {
    let broker = Broker::start(61, 1, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        for (key_type, error) in [
            (1, ErrorCode::UnsupportedVersion),
            (2, ErrorCode::InvalidRequest),
            (9, ErrorCode::InvalidRequest),
        ] {
            let request = FindCoordinatorRequest {
                key: "t",
                key_type,
                ..FindCoordinatorRequest::default()
            };
            let frame = peer.ask(3, &request).await;
            let response = decoded::<FindCoordinatorResponse<'_>>(3, &frame);
            assert_eq!((response.error_code, response.node_id), (error.id(), -1));
        }
    });
}

#[test]
fn commits_are_found_again_by_many_groups_at_once_on_every_shard() {
    let mut broker = broker(63, 3);
    let names: Vec<String> = (0..40).map(|n| format!("group-{n}")).collect();
    let groups: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut peer = broker.peer();
    broker.world.run(async {
        for (n, group) in (0..).zip(&groups) {
            assert_eq!(
                peer.commit(group, None, &[(0, n), (3, 2 * n)]).await,
                [0, 0]
            );
        }
    });
    let expected: Vec<_> = (0..40).map(|n| Ok(vec![(0, n), (3, 2 * n)])).collect();
    assert_eq!(broker.world.run(peer.offsets(&groups)), expected);
    let listed = broker.world.run(peer.groups()).unwrap();
    assert_eq!(listed.len(), 40);
    drop(peer);
    broker.stop();
    broker.begin();
    let mut peer = broker.peer();
    assert_eq!(broker.world.run(loaded(&mut peer, &groups)), expected);
}

#[test]
fn with_the_offsets_topic_its_groups_go_and_new_ones_find_a_new_place() {
    let broker = broker(70, 3);
    let mut peer = broker.peer();
    let mut waits = broker.peer();
    broker.world.run(async {
        assert_eq!(peer.commit("g", None, &[(0, 1)]).await, [0]);
        let alone = peer.join("h").await;
        peer.sync("h", &alone).await.unwrap();
        waits.send_join("h", "").await;
        let (_, id) = waits.joined().await.unwrap_err();
        waits.send_join("h", &id).await;
        waits.reactor.sleep(seconds(1)).await;
        let request = DeleteTopicsRequest {
            topics: [DeleteTopicState {
                name: Some("__consumer_offsets"),
                ..DeleteTopicState::default()
            }]
            .into(),
            timeout_ms: 1000,
            ..DeleteTopicsRequest::default()
        };
        peer.ask(6, &request).await;
        let elsewhere = ErrorCode::NotCoordinator.id();
        assert_eq!(waits.joined().await.unwrap_err().0, elsewhere);
        assert_eq!(peer.heartbeat("h", &alone).await, elsewhere);
        assert_eq!(peer.find_coordinator("g").await, (0, 1));
        assert_eq!(loaded(&mut peer, &["g"]).await, [Ok(vec![])]);
        let unknown = ErrorCode::UnknownMemberId.id();
        assert_eq!(peer.heartbeat("h", &alone).await, unknown);
    });
}

#[test]
fn clients_do_not_write_to_the_offsets_topic() {
    let broker = broker(71, 2);
    let mut peer = broker.peer();
    broker.world.run(async {
        let refused = peer.produce("__consumer_offsets", 0, &batch(&["x"])).await;
        assert_eq!(refused.error, ErrorCode::InvalidTopicException.id());
    });
}

#[test]
fn when_the_offsets_topic_grows_every_group_is_still_answered_for() {
    let broker = broker(76, 3);
    let mut peer = broker.peer();
    let names: Vec<String> = (0..40).map(|n| format!("group-{n}")).collect();
    let groups: Vec<&str> = names.iter().map(String::as_str).collect();
    broker.world.run(async {
        for group in &groups {
            assert_eq!(peer.commit(group, None, &[(0, 1)]).await, [0]);
        }
        let request = CreatePartitionsRequest {
            topics: [CreatePartitionsTopic {
                name: "__consumer_offsets",
                count: 7,
                ..CreatePartitionsTopic::default()
            }]
            .into(),
            timeout_ms: 1000,
            ..CreatePartitionsRequest::default()
        };
        peer.ask(3, &request).await;
        // As in Kafka, a group whose place has changed begins anew; none is left without an answer.
        let found = loaded(&mut peer, &groups).await;
        assert!(found.iter().all(Result::is_ok), "{found:?}");
        for group in &groups {
            assert_eq!(peer.commit(group, None, &[(0, 2)]).await, [0]);
        }
        let expected = vec![Ok(vec![(0, 2)]); groups.len()];
        assert_eq!(peer.offsets(&groups).await, expected);
    });
}
