//! An administrator whose requests go wrong, and clients that cannot even begin.

use std::time::Duration;

use highwater::admin::{ConfigResource, NewTopic, OffsetSpec};
use highwater::testing::{ApiKey, Fault};
use highwater::{Client, ErrorCode, ErrorKind, TopicPartition};
use tokio::time::timeout;

use crate::peer::{LONG, Peer, SLACK, name};

const PATIENCE: Duration = Duration::from_secs(2);

#[tokio::test]
async fn questions_of_an_administrator_are_asked_again() {
    let peer = Peer::start().await;
    let topic = peer.topic(2).await;
    let client = peer.client().await;
    let admin = client.admin();
    for fault in [
        Fault::Lose,
        Fault::Drop,
        Fault::DisconnectBefore,
        Fault::DisconnectAfter,
        Fault::Cut,
    ] {
        let rules = [
            peer.fail(ApiKey::ListOffsets, fault),
            peer.fail(ApiKey::DescribeConfigs, fault),
        ];
        let place = TopicPartition::new(topic.as_str(), 1);
        let listed = admin.list_offsets([(place.clone(), OffsetSpec::Latest)]);
        let listed = timeout(LONG, listed).await.expect("it ends");
        let offset = listed.unwrap()[&place].as_ref().unwrap().offset;
        assert_eq!(offset, Some(0), "{fault:?}");
        let resource = ConfigResource::Topic(topic.clone());
        let described = admin.describe_configs([resource.clone()]);
        let described = timeout(LONG, described).await.expect("it ends");
        assert!(described.unwrap()[&resource].is_ok(), "{fault:?}");
        for rule in rules {
            assert_eq!(rule.struck(), 1, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_the_protocol_is_told_and_costs_one_connection() {
    let peer = Peer::start().await;
    let client = peer.client().await;
    let admin = client.admin();
    for fault in [Fault::WrongCorrelation, Fault::Flood] {
        let rule = peer.fail(ApiKey::DescribeCluster, fault);
        let first = timeout(LONG, admin.describe_cluster()).await;
        if let Err(error) = first.expect("it ends") {
            assert_eq!(error.kind(), &ErrorKind::Protocol, "{fault:?}: {error}");
        }
        assert_eq!(rule.struck(), 1, "{fault:?}");
        let second = timeout(LONG, admin.describe_cluster()).await;
        second.expect("it ends").unwrap();
    }
}

#[tokio::test]
async fn a_topic_is_made_once_whatever_happens_to_the_request() {
    let peer = Peer::start().await;
    let client = peer.client().await;
    for fault in [
        Fault::DisconnectBefore,
        Fault::DisconnectAfter,
        Fault::Cut,
        Fault::Drop,
    ] {
        let name = name();
        let rule = peer.fail(ApiKey::CreateTopics, fault);
        let wanted = NewTopic::new(&name).partitions(3);
        let admin = client.admin();
        let created = timeout(LONG, admin.create_topics([wanted])).await;
        let created = created.expect("it ends");
        // Who asks again may hear that it is there already; who does not says that he does not know.
        match created {
            Ok(topics) => match &topics[&name] {
                Ok(_) => {}
                Err(error) => assert_eq!(error.code(), Some(ErrorCode::TopicAlreadyExists)),
            },
            Err(error) => assert!(error.is_retriable(), "{fault:?}: {error}"),
        }
        assert_eq!(rule.struck(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn no_call_of_an_administrator_outlasts_its_deadline() {
    let peer = Peer::start().await;
    let topic = peer.topic(1).await;
    let client = peer.builder().configure(|config| {
        config.api_timeout = PATIENCE;
        config.auto_create_topics = false;
    });
    let client = client.connect().await.unwrap();
    let admin = client.admin();
    admin.describe_cluster().await.unwrap();
    let place = TopicPartition::new(topic.as_str(), 0);
    for silent in [true, false] {
        if silent {
            peer.pause();
        } else {
            peer.down().await;
        }
        let calls = async {
            let error = admin.list_topics().await.unwrap_err();
            assert!(error.is_retriable(), "{error}");
            let wanted = NewTopic::new("never");
            assert!(admin.create_topics([wanted]).await.is_err());
            assert!(admin.describe_cluster().await.is_err());
            let listed = admin.list_offsets([(place.clone(), OffsetSpec::Latest)]);
            // By partition, or as a whole.
            assert!(listed.await.map_or(true, |it| it[&place].is_err()));
            let groups = admin.list_groups().await;
            assert!(groups.is_err());
            assert!(client.partition_count("nowhere").await.is_err());
        };
        // Six calls, one after the other.
        let all = timeout(PATIENCE * 6 + SLACK * 2, calls).await;
        all.expect("every call ends");
        peer.resume();
        peer.up().await;
        timeout(LONG, admin.describe_cluster())
            .await
            .expect("it is back")
            .unwrap();
    }
}

#[tokio::test]
async fn a_client_that_cannot_begin_says_so_by_its_deadline() {
    let peer = Peer::start().await;
    let connect = || {
        let builder = Client::builder(peer.bootstrap()).configure(|config| {
            config.connect_timeout = PATIENCE;
            config.request_timeout = Duration::from_millis(500);
            config.api_timeout = PATIENCE;
        });
        timeout(PATIENCE * 2 + SLACK, builder.connect())
    };
    peer.pause();
    let error = connect().await.expect("it ends").unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Timeout, "{error}");
    peer.resume();
    peer.down().await;
    let error = connect().await.expect("it ends").unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Network, "{error}");
    peer.up().await;
    for fault in [
        Fault::Cut,
        Fault::Flood,
        Fault::WrongCorrelation,
        Fault::DisconnectAfter,
    ] {
        let rule = peer.fail(ApiKey::ApiVersions, fault).always();
        let error = connect().await.expect("it ends").unwrap_err();
        let kinds = [ErrorKind::Network, ErrorKind::Protocol, ErrorKind::Timeout];
        assert!(kinds.contains(error.kind()), "{fault:?}: {error}");
        rule.stop();
    }
    connect().await.expect("it ends").unwrap();
}
