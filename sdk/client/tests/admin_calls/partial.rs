//! What some brokers answered is told, whatever becomes of the rest.

use std::time::Duration;

use highwater::admin::{AlterConfig, ConfigResource, MemberName, NewTopic, OffsetSpec, Results};
use highwater::testing::wire::message::alter_configs::AlterConfigsResourceResponse as Replaced;
use highwater::testing::wire::message::create_topics::CreatableTopicResult;
use highwater::testing::wire::message::delete_topics::DeletableTopicResult;
use highwater::testing::wire::message::describe_configs::DescribeConfigsResult;
use highwater::testing::wire::message::incremental_alter_configs::AlterConfigsResourceResponse;
use highwater::testing::wire::message::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use highwater::testing::wire::message::{
    AlterConfigsRequest, AlterConfigsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, LeaveGroupRequest,
    LeaveGroupResponse, ListOffsetsRequest, ListOffsetsResponse, OffsetFetchRequest,
    OffsetFetchResponse,
};
use highwater::testing::{ApiKey, FakeBroker, Fault};
use highwater::{Admin, Client, ErrorCode, ErrorKind, TopicPartition};

use crate::deadlines::coordinate;

const PATIENCE: Duration = Duration::from_secs(3);

async fn admin(broker: &FakeBroker) -> Admin {
    let client = Client::builder(broker.bootstrap()).connect().await.unwrap();
    client.admin().timeout(PATIENCE)
}

fn only_one_is_silent<T: std::fmt::Debug>(results: &Results<ConfigResource, T>) {
    assert_eq!(results.len(), 3);
    for (resource, result) in results {
        if *resource == ConfigResource::Broker(1) {
            let error = result.as_ref().unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Timeout);
        } else {
            assert!(result.is_ok(), "{resource:?}: {result:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_configs_of_one_broker_do_not_wait_for_those_of_another() {
    let broker = FakeBroker::start(3).await.unwrap();
    // The second one says nothing.
    broker.script::<DescribeConfigsRequest<'_>>(|asked| {
        let request: DescribeConfigsRequest<'_> = asked.request().unwrap();
        let results = request.resources.iter().map(|it| DescribeConfigsResult {
            resource_type: it.resource_type,
            resource_name: it.resource_name,
            ..DescribeConfigsResult::default()
        });
        let answer = DescribeConfigsResponse {
            results: results.collect(),
            ..DescribeConfigsResponse::default()
        };
        asked.answer(&answer).filter(|_| asked.broker != 1)
    });
    broker.script::<IncrementalAlterConfigsRequest<'_>>(|asked| {
        let request: IncrementalAlterConfigsRequest<'_> = asked.request().unwrap();
        let responses = request.resources.iter();
        let responses = responses.map(|it| AlterConfigsResourceResponse {
            resource_type: it.resource_type,
            resource_name: it.resource_name,
            ..AlterConfigsResourceResponse::default()
        });
        let answer = IncrementalAlterConfigsResponse {
            responses: responses.collect(),
            ..IncrementalAlterConfigsResponse::default()
        };
        asked.answer(&answer).filter(|_| asked.broker != 1)
    });
    broker.script::<AlterConfigsRequest<'_>>(|asked| {
        let request: AlterConfigsRequest<'_> = asked.request().unwrap();
        let responses = request.resources.iter().map(|it| Replaced {
            resource_type: it.resource_type,
            resource_name: it.resource_name,
            ..Replaced::default()
        });
        let answer = AlterConfigsResponse {
            responses: responses.collect(),
            ..AlterConfigsResponse::default()
        };
        asked.answer(&answer).filter(|_| asked.broker != 1)
    });
    let admin = admin(&broker).await;
    let resources = || (0..3).map(ConfigResource::Broker);
    only_one_is_silent(&admin.describe_configs(resources()).await.unwrap());
    let change = AlterConfig::Delete("log.retention.ms".to_owned());
    let changes = resources().map(|it| (it, vec![change.clone()]));
    only_one_is_silent(&admin.incremental_alter_configs(changes).await.unwrap());
    let configs = resources().map(|it| (it, [].into()));
    only_one_is_silent(&admin.alter_configs(configs).await.unwrap());
    let silent = admin.describe_configs([ConfigResource::Broker(1)]).await;
    assert_eq!(silent.unwrap_err().kind(), &ErrorKind::Timeout);
}

#[tokio::test(start_paused = true)]
async fn offsets_that_were_told_stay_told_when_metadata_is_not_to_be_had_any_more() {
    let broker = FakeBroker::start(1).await.unwrap();
    broker.topic("t", 2);
    let within = broker.clone();
    broker.script::<ListOffsetsRequest<'_>>(move |asked| {
        let _ = within.fail(ApiKey::Metadata, Fault::Lose).always();
        let request: ListOffsetsRequest<'_> = asked.request().unwrap();
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|it| {
                let code = [ErrorCode::None, ErrorCode::NotLeaderOrFollower];
                ListOffsetsPartitionResponse {
                    partition_index: it.partition_index,
                    error_code: code[usize::try_from(it.partition_index).unwrap()].id(),
                    offset: 7,
                    ..ListOffsetsPartitionResponse::default()
                }
            });
            ListOffsetsTopicResponse {
                name: topic.name,
                partitions: partitions.collect(),
            }
        });
        asked.answer(&ListOffsetsResponse {
            topics: topics.collect(),
            ..ListOffsetsResponse::default()
        })
    });
    let place = |partition| TopicPartition::new("t", partition);
    let specs = [0, 1].map(|it| (place(it), OffsetSpec::Latest));
    let listed = admin(&broker).await.list_offsets(specs).await.unwrap();
    assert_eq!(listed[&place(0)].as_ref().unwrap().offset, Some(7));
    let error = listed[&place(1)].as_ref().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::NotLeaderOrFollower));
    assert_eq!(error.topic_partition(), Some(&place(1)));
    // It is this script that keeps a clone of the broker.
    broker.script::<ListOffsetsRequest<'_>>(|_| None);
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_was_made_is_made_though_nobody_tells_of_it() {
    let broker = FakeBroker::start(1).await.unwrap();
    let within = broker.clone();
    broker.script::<CreateTopicsRequest<'_>>(move |asked| {
        let _ = within.fail(ApiKey::Metadata, Fault::Lose).always();
        let request: CreateTopicsRequest<'_> = asked.request().unwrap();
        let topics = request.topics.iter().map(|it| CreatableTopicResult {
            name: it.name,
            ..CreatableTopicResult::default()
        });
        asked.answer(&CreateTopicsResponse {
            topics: topics.collect(),
            ..CreateTopicsResponse::default()
        })
    });
    let admin = admin(&broker).await;
    let created = admin.create_topics([NewTopic::new("t")]).await.unwrap();
    assert!(created["t"].is_ok(), "{created:?}");
    broker.script::<CreateTopicsRequest<'_>>(|_| None);
}

#[tokio::test(start_paused = true)]
async fn what_an_answer_passes_over_has_that_as_its_result() {
    let broker = FakeBroker::start(1).await.unwrap();
    broker.script::<DeleteTopicsRequest<'_>>(|asked| {
        asked.answer(&DeleteTopicsResponse {
            responses: [DeletableTopicResult {
                name: Some("t"),
                ..DeletableTopicResult::default()
            }]
            .into(),
            ..DeleteTopicsResponse::default()
        })
    });
    coordinate(&broker);
    broker.script::<OffsetFetchRequest<'_>>(|asked| asked.answer(&OffsetFetchResponse::default()));
    broker.script::<LeaveGroupRequest<'_>>(|asked| asked.answer(&LeaveGroupResponse::default()));
    let admin = admin(&broker).await;
    let places = [TopicPartition::new("t", 0)].into();
    let offsets = admin.group_offsets("g", Some(&places)).await.unwrap();
    assert!(offsets.values().all(Result::is_err) && offsets.len() == 1);
    let name = MemberName::Id("m".to_owned());
    let removed = admin.remove_group_members("g", [name]).await.unwrap();
    assert!(removed.values().all(Result::is_err) && removed.len() == 1);
    let deleted = admin.delete_topics(["t", "u"]).await.unwrap();
    assert!(deleted["t"].is_ok());
    let error = deleted["u"].as_ref().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Protocol);
}

#[tokio::test(start_paused = true)]
async fn members_that_left_one_by_one_are_told_though_the_next_one_is_not() {
    let broker = FakeBroker::start(1).await.unwrap();
    coordinate(&broker);
    broker.script::<LeaveGroupRequest<'_>>(|asked| {
        let request: LeaveGroupRequest<'_> = asked.request().unwrap();
        let answer = asked.answer(&LeaveGroupResponse::default());
        answer.filter(|_| request.member_id == "a")
    });
    broker.offers(ApiKey::LeaveGroup, 2);
    let admin = admin(&broker).await;
    let names = ["a", "b", "c"].map(|id| MemberName::Id(id.to_owned()));
    let broken = broker
        .fail(ApiKey::LeaveGroup, Fault::DisconnectBefore)
        .after(1);
    let removed = admin.remove_group_members("g", names.clone()).await;
    let removed = removed.unwrap();
    assert_eq!(broken.struck(), 1);
    assert!(removed[&names[0]].is_ok());
    for name in &names[1..] {
        let error = removed[name].as_ref().unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Network);
    }
}
