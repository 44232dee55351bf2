//! What an administrator's call makes of refusals, of old brokers and of silence, against a scripted broker.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use highwater::admin::{GroupState, MemberName, NewTopic, OffsetSpec};
use highwater::testing::wire::Array;
use highwater::testing::wire::message::create_topics::CreatableTopicResult;
use highwater::testing::wire::message::delete_topics::DeletableTopicResult;
use highwater::testing::wire::message::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use highwater::testing::wire::message::find_coordinator::Coordinator;
use highwater::testing::wire::message::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest,
    ListGroupsResponse,
};
use highwater::testing::{ApiKey, FakeBroker, Fault};
use highwater::{Client, ErrorCode, ErrorKind, TopicPartition};

async fn cluster() -> FakeBroker {
    FakeBroker::start(1).await.unwrap()
}

/// Made once the broker has its script: a connection learns at its beginning what it offers.
async fn client(broker: &FakeBroker) -> Client {
    let client = Client::builder(broker.bootstrap()).configure(|config| {
        config.retry_backoff = Duration::from_millis(1);
        config.retry_backoff_max = Duration::from_millis(1);
    });
    client.connect().await.unwrap()
}

/// What was asked for, request by request.
type Heard = Arc<Mutex<Vec<BTreeSet<String>>>>;

/// Creates topics, but refuses those named so at first, with this code.
fn refusing(broker: &FakeBroker, refused: &'static str, code: ErrorCode) -> Heard {
    let heard = Heard::default();
    let hearing = Arc::clone(&heard);
    // They are there from the beginning: what is scripted is the controller's word.
    for name in ["early", "late", "right", "orders"] {
        broker.topic(name, 1);
    }
    broker.script::<CreateTopicsRequest<'_>>(move |asked| {
        let request: CreateTopicsRequest<'_> = asked.request().unwrap();
        let mut heard = hearing.lock().unwrap();
        let names = request.topics.iter().map(|it| it.name.to_owned());
        heard.push(names.collect());
        let topics = request.topics.iter().map(|it| {
            let is_refused = it.name == refused && heard.len() == 1;
            CreatableTopicResult {
                name: it.name,
                error_code: if is_refused { code.id() } else { 0 },
                ..CreatableTopicResult::default()
            }
        });
        asked.answer(&CreateTopicsResponse {
            topics: topics.collect(),
            ..CreateTopicsResponse::default()
        })
    });
    heard
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn only_what_was_refused_for_now_is_created_again() {
    for code in [ErrorCode::NotController, ErrorCode::ThrottlingQuotaExceeded] {
        let broker = cluster().await;
        let heard = refusing(&broker, "late", code);
        let wanted = ["early", "late"].map(NewTopic::new);
        let created = client(&broker)
            .await
            .admin()
            .create_topics(wanted)
            .await
            .unwrap();
        assert!(created.values().all(Result::is_ok), "{created:?}");
        let heard = heard.lock().unwrap();
        assert_eq!(*heard, [names(&["early", "late"]), names(&["late"])]);
    }
}

#[tokio::test]
async fn a_refusal_that_stands_is_not_asked_for_again() {
    for code in [
        ErrorCode::TopicAlreadyExists,
        ErrorCode::PolicyViolation,
        ErrorCode::RequestTimedOut,
    ] {
        let broker = cluster().await;
        let heard = refusing(&broker, "wrong", code);
        let wanted = ["right", "wrong"].map(NewTopic::new);
        let created = client(&broker)
            .await
            .admin()
            .create_topics(wanted)
            .await
            .unwrap();
        assert!(created["right"].is_ok());
        assert_eq!(created["wrong"].as_ref().unwrap_err().code(), Some(code));
        assert_eq!(heard.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn what_was_done_is_told_though_the_rest_runs_out_of_time() {
    let broker = cluster().await;
    broker.script::<DeleteTopicsRequest<'_>>(|asked| {
        let request: DeleteTopicsRequest<'_> = asked.request().unwrap();
        let responses = request.topics.iter().map(|it| DeletableTopicResult {
            name: it.name,
            error_code: match it.name {
                Some("busy") => ErrorCode::ThrottlingQuotaExceeded.id(),
                _ => 0,
            },
            ..DeletableTopicResult::default()
        });
        asked.answer(&DeleteTopicsResponse {
            responses: responses.collect(),
            ..DeleteTopicsResponse::default()
        })
    });
    let admin = client(&broker)
        .await
        .admin()
        .timeout(Duration::from_millis(100));
    let deleted = admin.delete_topics(["gone", "busy"]).await.unwrap();
    assert!(deleted["gone"].is_ok());
    let error = deleted["busy"].as_ref().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::ThrottlingQuotaExceeded));
}

#[tokio::test]
async fn a_call_survives_a_broken_connection() {
    let broker = cluster().await;
    let heard = refusing(&broker, "", ErrorCode::None);
    broker.fail(ApiKey::CreateTopics, Fault::DisconnectBefore);
    let wanted = [NewTopic::new("orders")];
    let created = client(&broker)
        .await
        .admin()
        .create_topics(wanted)
        .await
        .unwrap();
    assert!(created["orders"].is_ok());
    assert_eq!(heard.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_unanswered_call_ends_when_its_time_is_over() {
    let broker = cluster().await;
    refusing(&broker, "", ErrorCode::None);
    broker.fail(ApiKey::CreateTopics, Fault::Drop);
    let call = client(&broker)
        .await
        .admin()
        .create_topics([NewTopic::new("orders")]);
    let error = call.timeout(Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Timeout);
}

#[tokio::test]
async fn what_a_broker_cannot_be_asked_is_refused_before_it_is_sent() {
    let broker = cluster().await;
    broker.script::<ListGroupsRequest<'_>>(|asked| asked.answer(&ListGroupsResponse::default()));
    broker.offers(ApiKey::ListGroups, 3);
    broker.topic("orders", 1);
    broker.offers(ApiKey::ListOffsets, 6);
    let admin = client(&broker).await.admin();
    assert!(admin.list_groups().await.unwrap().is_empty());
    let some = admin.list_groups().states([GroupState::Stable]);
    let error = some.await.unwrap_err();
    let unsupported = ErrorKind::Unsupported {
        api: "ListGroups",
        need: (4, 5),
        have: Some((0, 3)),
    };
    assert_eq!(error.kind(), &unsupported, "{error}");
    assert_eq!(broker.requests(ApiKey::ListGroups), 1);

    let place = TopicPartition::new("orders", 0);
    let asked = [(place.clone(), OffsetSpec::MaxTimestamp)];
    let listed = admin.list_offsets(asked).await.unwrap();
    let error = listed[&place].as_ref().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Unsupported { need: (7, _), .. }),
        "{error}"
    );
    assert_eq!(broker.requests(ApiKey::ListOffsets), 0);
}

#[tokio::test]
async fn a_cluster_of_old_brokers_is_described_from_its_metadata() {
    let broker = cluster().await;
    let described = client(&broker)
        .await
        .admin()
        .describe_cluster()
        .await
        .unwrap();
    let address = format!(
        "{}:{}",
        described.brokers[0].host, described.brokers[0].port
    );
    assert_eq!(address, broker.bootstrap());
    let asked = client(&broker)
        .await
        .admin()
        .describe_cluster()
        .allowed_operations(true);
    let error = asked.await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unsupported { .. }));
}

/// A page of one topic with these partitions, and where the next begins.
fn page<'a>(
    topic: &'a str,
    partitions: std::ops::Range<i32>,
    next: Option<(&'a str, i32)>,
) -> DescribeTopicPartitionsResponse<'a> {
    let partitions = partitions.map(|index| DescribeTopicPartitionsResponsePartition {
        partition_index: index,
        ..DescribeTopicPartitionsResponsePartition::default()
    });
    let topic = DescribeTopicPartitionsResponseTopic {
        name: Some(topic),
        partitions: partitions.collect(),
        ..DescribeTopicPartitionsResponseTopic::default()
    };
    DescribeTopicPartitionsResponse {
        topics: Array::from([topic]),
        next_cursor: next.map(|(topic_name, partition_index)| Cursor {
            topic_name,
            partition_index,
        }),
        ..DescribeTopicPartitionsResponse::default()
    }
}

#[tokio::test]
async fn a_topic_over_several_pages_is_put_together() {
    let broker = cluster().await;
    broker.script::<DescribeTopicPartitionsRequest<'_>>(|asked| {
        let request: DescribeTopicPartitionsRequest<'_> = asked.request().unwrap();
        let names: Vec<&str> = request.topics.iter().map(|it| it.name).collect();
        let cursor = request.cursor.map(|it| (it.topic_name, it.partition_index));
        asked.answer(&match cursor {
            None => {
                assert_eq!(names, ["a", "b"]);
                page("a", 0..2, Some(("a", 2)))
            }
            Some(("a", 2)) => {
                assert_eq!(names, ["a", "b"]);
                page("a", 2..3, Some(("b", 0)))
            }
            cursor => {
                assert_eq!((names, cursor), (vec!["b"], Some(("b", 0))));
                page("b", 0..1, None)
            }
        })
    });
    let admin = client(&broker).await.admin();
    let found = admin.describe_topic_partitions(["b", "a"]).await.unwrap();
    let found = found.into_values().map(|topic| {
        let partitions = topic.unwrap().partitions.into_iter();
        partitions.map(|it| it.partition).collect::<Vec<i32>>()
    });
    assert_eq!(found.collect::<Vec<_>>(), [vec![0, 1, 2], vec![0]]);
}

#[tokio::test]
async fn a_page_that_does_not_lead_on_is_an_error() {
    let broker = cluster().await;
    broker.script::<DescribeTopicPartitionsRequest<'_>>(|asked| {
        asked.answer(&DescribeTopicPartitionsResponse {
            next_cursor: Some(Cursor {
                topic_name: "orders",
                partition_index: 7,
            }),
            ..DescribeTopicPartitionsResponse::default()
        })
    });
    let admin = client(&broker).await.admin();
    let paged = admin.describe_topic_partitions(["orders"]);
    let error = paged.await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Protocol);
    assert_eq!(broker.requests(ApiKey::DescribeTopicPartitions), 2);
}

#[tokio::test]
async fn members_are_taken_out_one_by_one_where_the_broker_takes_no_more() {
    let broker = cluster().await;
    let address = broker.bootstrap();
    broker.script::<FindCoordinatorRequest<'_>>(move |asked| {
        let (host, port) = address.rsplit_once(':').unwrap();
        let coordinator = Coordinator {
            key: "group",
            host,
            port: port.parse().unwrap(),
            ..Coordinator::default()
        };
        asked.answer(&FindCoordinatorResponse {
            coordinators: Array::from([coordinator]),
            ..FindCoordinatorResponse::default()
        })
    });
    broker.script::<LeaveGroupRequest<'_>>(|asked| {
        let request: LeaveGroupRequest<'_> = asked.request().unwrap();
        let code = match request.member_id {
            "known" => ErrorCode::None,
            _ => ErrorCode::UnknownMemberId,
        };
        asked.answer(&LeaveGroupResponse {
            error_code: code.id(),
            ..LeaveGroupResponse::default()
        })
    });
    broker.offers(ApiKey::LeaveGroup, 2);
    let known = MemberName::Id("known".to_owned());
    let unknown = MemberName::Id("unknown".to_owned());
    let named = MemberName::Instance("named".to_owned());
    let members = [&known, &unknown, &named].map(Clone::clone);
    let removed = client(&broker)
        .await
        .admin()
        .remove_group_members("group", members);
    let removed = removed.await.unwrap();
    assert!(removed[&known].is_ok());
    let error = removed[&unknown].as_ref().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UnknownMemberId));
    let error = removed[&named].as_ref().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unsupported { .. }));
}
