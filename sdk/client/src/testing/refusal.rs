//! The answer that refuses everything a request asks for, with one code: what a broker in trouble says, for every API.
//! It looks at nothing but the request.

use highwater_wire::message::{
    AlterConfigsRequest, AlterConfigsResponse, ApiVersionsResponse, ConsumerGroupDescribeRequest,
    ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatResponse, CreatePartitionsRequest,
    CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteGroupsRequest,
    DeleteGroupsResponse, DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, DescribeClusterResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    DescribeGroupsRequest, DescribeGroupsResponse, DescribeLogDirsResponse,
    DescribeProducersRequest, DescribeProducersResponse, DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse, FetchRequest, FetchResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, HeartbeatResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, InitProducerIdResponse, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, ListConfigResourcesResponse, ListGroupsResponse, ListOffsetsRequest,
    ListOffsetsResponse, MetadataRequest, MetadataResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetDeleteResponse, OffsetFetchRequest, OffsetFetchResponse,
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, ProduceRequest, ProduceResponse,
    SyncGroupResponse,
};
use highwater_wire::message::{
    alter_configs, api_versions, consumer_group_describe, create_partitions, create_topics,
    delete_groups, delete_records, delete_topics, describe_configs, describe_groups,
    describe_log_dirs, describe_producers, describe_topic_partitions, fetch, find_coordinator,
    incremental_alter_configs, leave_group, list_offsets, metadata, offset_commit, offset_fetch,
    offset_for_leader_epoch, produce,
};
use highwater_wire::{ApiKey, Array, ErrorCode};

use super::asked::Asked;

/// The frame of the refusal, its length included. `None` for a request that has no answer, does not parse, or is of an
/// API that no message here belongs to.
pub(super) fn refusal(asked: &Asked<'_>, code: ErrorCode) -> Option<Vec<u8>> {
    data(asked, code)
        .or_else(|| groups(asked, code))
        .or_else(|| admin(asked, code))
}

/// Produce, fetch and what goes with them.
fn data(asked: &Asked<'_>, code: ErrorCode) -> Option<Vec<u8>> {
    let error_code = code.id();
    if asked.api == ApiKey::Produce {
        let request = asked.request::<ProduceRequest<'_>>().ok()?;
        if request.acks == 0 {
            return None;
        }
        let responses =
            request.topic_data.iter().map(|topic| {
                let partitions = topic.partition_data.iter().map(|partition| {
                    produce::PartitionProduceResponse {
                        index: partition.index,
                        error_code,
                        base_offset: -1,
                        ..produce::PartitionProduceResponse::default()
                    }
                });
                produce::TopicProduceResponse {
                    name: topic.name,
                    topic_id: topic.topic_id,
                    partition_responses: partitions.collect(),
                }
            });
        asked.answer(&ProduceResponse {
            responses: responses.collect(),
            ..ProduceResponse::default()
        })
    } else if asked.api == ApiKey::Fetch {
        let request = asked.request::<FetchRequest<'_>>().ok()?;
        let responses = request.topics.iter().map(|topic| {
            let partitions = topic
                .partitions
                .iter()
                .map(|partition| fetch::PartitionData {
                    partition_index: partition.partition,
                    error_code,
                    high_watermark: -1,
                    ..fetch::PartitionData::default()
                });
            fetch::FetchableTopicResponse {
                topic: topic.topic,
                topic_id: topic.topic_id,
                partitions: partitions.collect(),
            }
        });
        // A request within a session names only what changed in it: the session is refused with it.
        let whole = request.topics.is_empty() || SESSION.contains(&code);
        asked.answer(&FetchResponse {
            error_code: if whole { error_code } else { 0 },
            session_id: request.session_id,
            responses: responses.collect(),
            ..FetchResponse::default()
        })
    } else if asked.api == ApiKey::ListOffsets {
        let request = asked.request::<ListOffsetsRequest<'_>>().ok()?;
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                list_offsets::ListOffsetsPartitionResponse {
                    partition_index: partition.partition_index,
                    error_code,
                    ..list_offsets::ListOffsetsPartitionResponse::default()
                }
            });
            list_offsets::ListOffsetsTopicResponse {
                name: topic.name,
                partitions: partitions.collect(),
            }
        });
        asked.answer(&ListOffsetsResponse {
            topics: topics.collect(),
            ..ListOffsetsResponse::default()
        })
    } else if asked.api == ApiKey::OffsetForLeaderEpoch {
        let request = asked.request::<OffsetForLeaderEpochRequest<'_>>().ok()?;
        let topics =
            request.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|partition| {
                    offset_for_leader_epoch::EpochEndOffset {
                        error_code,
                        partition: partition.partition,
                        ..offset_for_leader_epoch::EpochEndOffset::default()
                    }
                });
                offset_for_leader_epoch::OffsetForLeaderTopicResult {
                    topic: topic.topic,
                    partitions: partitions.collect(),
                }
            });
        asked.answer(&OffsetForLeaderEpochResponse {
            topics: topics.collect(),
            ..OffsetForLeaderEpochResponse::default()
        })
    } else if asked.api == ApiKey::Metadata {
        let request = asked.request::<MetadataRequest<'_>>().ok()?;
        let topics = request.topics.unwrap_or_default();
        let topics = topics.iter().map(|topic| metadata::MetadataResponseTopic {
            error_code,
            name: topic.name,
            topic_id: topic.topic_id,
            ..metadata::MetadataResponseTopic::default()
        });
        asked.answer(&MetadataResponse {
            topics: topics.collect(),
            error_code,
            ..MetadataResponse::default()
        })
    } else if asked.api == ApiKey::InitProducerId {
        asked.answer(&InitProducerIdResponse {
            error_code,
            ..InitProducerIdResponse::default()
        })
    } else if asked.api == ApiKey::ApiVersions {
        asked.answer(&ApiVersionsResponse {
            error_code,
            api_keys: Array::from([api_versions::ApiVersion::of::<
                api_versions::ApiVersionsRequest<'_>,
            >()]),
            ..ApiVersionsResponse::default()
        })
    } else {
        None
    }
}

/// Codes that a fetch answer says of itself, not of its partitions.
const SESSION: [ErrorCode; 3] = [
    ErrorCode::FetchSessionIdNotFound,
    ErrorCode::InvalidFetchSessionEpoch,
    ErrorCode::FetchSessionTopicIdError,
];

/// What members of groups ask.
fn groups(asked: &Asked<'_>, code: ErrorCode) -> Option<Vec<u8>> {
    let error_code = code.id();
    if asked.api == ApiKey::FindCoordinator {
        let request = asked.request::<FindCoordinatorRequest<'_>>().ok()?;
        let coordinators =
            request
                .coordinator_keys
                .iter()
                .map(|key| find_coordinator::Coordinator {
                    key,
                    node_id: -1,
                    error_code,
                    ..find_coordinator::Coordinator::default()
                });
        let mut response = FindCoordinatorResponse {
            coordinators: coordinators.collect(),
            ..FindCoordinatorResponse::default()
        };
        if asked.version < 4 {
            response.error_code = error_code;
            response.node_id = -1;
        }
        asked.answer(&response)
    } else if asked.api == ApiKey::JoinGroup {
        asked.answer(&JoinGroupResponse {
            error_code,
            ..JoinGroupResponse::default()
        })
    } else if asked.api == ApiKey::SyncGroup {
        asked.answer(&SyncGroupResponse {
            error_code,
            ..SyncGroupResponse::default()
        })
    } else if asked.api == ApiKey::Heartbeat {
        asked.answer(&HeartbeatResponse {
            error_code,
            ..HeartbeatResponse::default()
        })
    } else if asked.api == ApiKey::LeaveGroup {
        let request = asked.request::<LeaveGroupRequest<'_>>().ok()?;
        let members = request
            .members
            .iter()
            .map(|member| leave_group::MemberResponse {
                member_id: member.member_id,
                group_instance_id: member.group_instance_id,
                error_code,
            });
        asked.answer(&LeaveGroupResponse {
            error_code,
            members: members.collect(),
            ..LeaveGroupResponse::default()
        })
    } else if asked.api == ApiKey::ConsumerGroupHeartbeat {
        asked.answer(&ConsumerGroupHeartbeatResponse {
            error_code,
            ..ConsumerGroupHeartbeatResponse::default()
        })
    } else if asked.api == ApiKey::OffsetCommit {
        let request = asked.request::<OffsetCommitRequest<'_>>().ok()?;
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                offset_commit::OffsetCommitResponsePartition {
                    partition_index: partition.partition_index,
                    error_code,
                }
            });
            offset_commit::OffsetCommitResponseTopic {
                name: topic.name,
                topic_id: topic.topic_id,
                partitions: partitions.collect(),
            }
        });
        asked.answer(&OffsetCommitResponse {
            topics: topics.collect(),
            ..OffsetCommitResponse::default()
        })
    } else if asked.api == ApiKey::OffsetFetch {
        let request = asked.request::<OffsetFetchRequest<'_>>().ok()?;
        let groups = request
            .groups
            .iter()
            .map(|group| offset_fetch::OffsetFetchResponseGroup {
                group_id: group.group_id,
                error_code,
                ..offset_fetch::OffsetFetchResponseGroup::default()
            });
        let mut response = OffsetFetchResponse {
            groups: groups.collect(),
            ..OffsetFetchResponse::default()
        };
        if asked.version < 8 {
            response.error_code = error_code;
        }
        asked.answer(&response)
    } else {
        None
    }
}

/// What administrators ask.
fn admin(asked: &Asked<'_>, code: ErrorCode) -> Option<Vec<u8>> {
    topics(asked, code)
        .or_else(|| configs(asked, code))
        .or_else(|| listings(asked, code))
}

fn topics(asked: &Asked<'_>, code: ErrorCode) -> Option<Vec<u8>> {
    let error_code = code.id();
    if asked.api == ApiKey::CreateTopics {
        let request = asked.request::<CreateTopicsRequest<'_>>().ok()?;
        let topics = request
            .topics
            .iter()
            .map(|topic| create_topics::CreatableTopicResult {
                name: topic.name,
                error_code,
                ..create_topics::CreatableTopicResult::default()
            });
        asked.answer(&CreateTopicsResponse {
            topics: topics.collect(),
            ..CreateTopicsResponse::default()
        })
    } else if asked.api == ApiKey::DeleteTopics {
        let request = asked.request::<DeleteTopicsRequest<'_>>().ok()?;
        let named = request
            .topic_names
            .iter()
            .map(|name| (Some(name), uuid::Uuid::nil()));
        let responses = request
            .topics
            .iter()
            .map(|topic| (topic.name, topic.topic_id));
        let responses =
            named
                .chain(responses)
                .map(|(name, topic_id)| delete_topics::DeletableTopicResult {
                    name,
                    topic_id,
                    error_code,
                    error_message: None,
                });
        asked.answer(&DeleteTopicsResponse {
            responses: responses.collect(),
            ..DeleteTopicsResponse::default()
        })
    } else if asked.api == ApiKey::CreatePartitions {
        let request = asked.request::<CreatePartitionsRequest<'_>>().ok()?;
        let results =
            request
                .topics
                .iter()
                .map(|topic| create_partitions::CreatePartitionsTopicResult {
                    name: topic.name,
                    error_code,
                    error_message: None,
                });
        asked.answer(&CreatePartitionsResponse {
            results: results.collect(),
            ..CreatePartitionsResponse::default()
        })
    } else if asked.api == ApiKey::DeleteRecords {
        let request = asked.request::<DeleteRecordsRequest<'_>>().ok()?;
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                delete_records::DeleteRecordsPartitionResult {
                    partition_index: partition.partition_index,
                    low_watermark: -1,
                    error_code,
                }
            });
            delete_records::DeleteRecordsTopicResult {
                name: topic.name,
                partitions: partitions.collect(),
            }
        });
        asked.answer(&DeleteRecordsResponse {
            topics: topics.collect(),
            ..DeleteRecordsResponse::default()
        })
    } else if asked.api == ApiKey::DescribeTopicPartitions {
        let request = asked.request::<DescribeTopicPartitionsRequest<'_>>().ok()?;
        let topics = request.topics.iter().map(|topic| {
            describe_topic_partitions::DescribeTopicPartitionsResponseTopic {
                error_code,
                name: Some(topic.name),
                ..describe_topic_partitions::DescribeTopicPartitionsResponseTopic::default()
            }
        });
        asked.answer(&DescribeTopicPartitionsResponse {
            topics: topics.collect(),
            ..DescribeTopicPartitionsResponse::default()
        })
    } else if asked.api == ApiKey::DescribeProducers {
        let request = asked.request::<DescribeProducersRequest<'_>>().ok()?;
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partition_indexes.iter().map(|partition_index| {
                describe_producers::PartitionResponse {
                    partition_index,
                    error_code,
                    ..describe_producers::PartitionResponse::default()
                }
            });
            describe_producers::TopicResponse {
                name: topic.name,
                partitions: partitions.collect(),
            }
        });
        asked.answer(&DescribeProducersResponse {
            topics: topics.collect(),
            ..DescribeProducersResponse::default()
        })
    } else {
        None
    }
}

fn configs(asked: &Asked<'_>, code: ErrorCode) -> Option<Vec<u8>> {
    let error_code = code.id();
    if asked.api == ApiKey::DescribeConfigs {
        let request = asked.request::<DescribeConfigsRequest<'_>>().ok()?;
        let results =
            request
                .resources
                .iter()
                .map(|resource| describe_configs::DescribeConfigsResult {
                    error_code,
                    resource_type: resource.resource_type,
                    resource_name: resource.resource_name,
                    ..describe_configs::DescribeConfigsResult::default()
                });
        asked.answer(&DescribeConfigsResponse {
            results: results.collect(),
            ..DescribeConfigsResponse::default()
        })
    } else if asked.api == ApiKey::IncrementalAlterConfigs {
        let request = asked.request::<IncrementalAlterConfigsRequest<'_>>().ok()?;
        let responses = request.resources.iter().map(|resource| {
            incremental_alter_configs::AlterConfigsResourceResponse {
                error_code,
                error_message: None,
                resource_type: resource.resource_type,
                resource_name: resource.resource_name,
            }
        });
        asked.answer(&IncrementalAlterConfigsResponse {
            responses: responses.collect(),
            ..IncrementalAlterConfigsResponse::default()
        })
    } else if asked.api == ApiKey::AlterConfigs {
        let request = asked.request::<AlterConfigsRequest<'_>>().ok()?;
        let responses =
            request
                .resources
                .iter()
                .map(|resource| alter_configs::AlterConfigsResourceResponse {
                    error_code,
                    error_message: None,
                    resource_type: resource.resource_type,
                    resource_name: resource.resource_name,
                });
        asked.answer(&AlterConfigsResponse {
            responses: responses.collect(),
            ..AlterConfigsResponse::default()
        })
    } else if asked.api == ApiKey::ListConfigResources {
        asked.answer(&ListConfigResourcesResponse {
            error_code,
            ..ListConfigResourcesResponse::default()
        })
    } else {
        None
    }
}

fn listings(asked: &Asked<'_>, code: ErrorCode) -> Option<Vec<u8>> {
    let error_code = code.id();
    if asked.api == ApiKey::DescribeCluster {
        asked.answer(&DescribeClusterResponse {
            error_code,
            ..DescribeClusterResponse::default()
        })
    } else if asked.api == ApiKey::DescribeLogDirs {
        asked.answer(&DescribeLogDirsResponse {
            error_code,
            results: Array::from([describe_log_dirs::DescribeLogDirsResult {
                error_code,
                ..describe_log_dirs::DescribeLogDirsResult::default()
            }]),
            ..DescribeLogDirsResponse::default()
        })
    } else if asked.api == ApiKey::ListGroups {
        asked.answer(&ListGroupsResponse {
            error_code,
            ..ListGroupsResponse::default()
        })
    } else if asked.api == ApiKey::DescribeGroups {
        let request = asked.request::<DescribeGroupsRequest<'_>>().ok()?;
        let groups = request
            .groups
            .iter()
            .map(|group_id| describe_groups::DescribedGroup {
                error_code,
                group_id,
                ..describe_groups::DescribedGroup::default()
            });
        asked.answer(&DescribeGroupsResponse {
            groups: groups.collect(),
            ..DescribeGroupsResponse::default()
        })
    } else if asked.api == ApiKey::ConsumerGroupDescribe {
        let request = asked.request::<ConsumerGroupDescribeRequest<'_>>().ok()?;
        let groups =
            request
                .group_ids
                .iter()
                .map(|group_id| consumer_group_describe::DescribedGroup {
                    error_code,
                    group_id,
                    ..consumer_group_describe::DescribedGroup::default()
                });
        asked.answer(&ConsumerGroupDescribeResponse {
            groups: groups.collect(),
            ..ConsumerGroupDescribeResponse::default()
        })
    } else if asked.api == ApiKey::DeleteGroups {
        let request = asked.request::<DeleteGroupsRequest<'_>>().ok()?;
        let results =
            request
                .groups_names
                .iter()
                .map(|group_id| delete_groups::DeletableGroupResult {
                    group_id,
                    error_code,
                });
        asked.answer(&DeleteGroupsResponse {
            results: results.collect(),
            ..DeleteGroupsResponse::default()
        })
    } else if asked.api == ApiKey::OffsetDelete {
        asked.answer(&OffsetDeleteResponse {
            error_code,
            ..OffsetDeleteResponse::default()
        })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use highwater_wire::{Request, decode_response, encode_request};

    /// The refusal of `request`; `None` when this version cannot ask it.
    fn refused<R: Request>(request: &R, version: i16) -> Option<Vec<u8>> {
        let frame = encode_request(9, Some("t"), version, request).ok()?;
        let asked = Asked::read(0, &frame.bytes[4..]).unwrap();
        Some(refusal(&asked, ErrorCode::NotLeaderOrFollower).unwrap())
    }

    #[test]
    fn every_api_is_refused_in_every_version_of_it() {
        fn every<R: Request + Default>() {
            let mut refusals = 0;
            for version in R::VERSIONS {
                let Some(bytes) = refused(&R::default(), version) else {
                    continue;
                };
                let (correlation, _) =
                    decode_response::<R::Response<'_>>(version, &bytes[4..]).unwrap();
                assert_eq!(correlation, 9, "{} {version}", R::NAME);
                refusals += 1;
            }
            assert!(refusals > 0, "{}", R::NAME);
        }
        use highwater_wire::message as m;
        every::<m::FetchRequest<'_>>();
        every::<m::ListOffsetsRequest<'_>>();
        every::<m::MetadataRequest<'_>>();
        every::<m::OffsetCommitRequest<'_>>();
        every::<m::OffsetFetchRequest<'_>>();
        every::<m::FindCoordinatorRequest<'_>>();
        every::<m::JoinGroupRequest<'_>>();
        every::<m::HeartbeatRequest<'_>>();
        every::<m::LeaveGroupRequest<'_>>();
        every::<m::SyncGroupRequest<'_>>();
        every::<m::DescribeGroupsRequest<'_>>();
        every::<m::ListGroupsRequest<'_>>();
        every::<m::ApiVersionsRequest<'_>>();
        every::<m::CreateTopicsRequest<'_>>();
        every::<m::DeleteTopicsRequest<'_>>();
        every::<m::DeleteRecordsRequest<'_>>();
        every::<m::InitProducerIdRequest<'_>>();
        every::<m::OffsetForLeaderEpochRequest<'_>>();
        every::<m::DescribeConfigsRequest<'_>>();
        every::<m::AlterConfigsRequest<'_>>();
        every::<m::DescribeLogDirsRequest<'_>>();
        every::<m::CreatePartitionsRequest<'_>>();
        every::<m::DeleteGroupsRequest<'_>>();
        every::<m::IncrementalAlterConfigsRequest<'_>>();
        every::<m::OffsetDeleteRequest<'_>>();
        every::<m::DescribeClusterRequest>();
        every::<m::DescribeProducersRequest<'_>>();
        every::<m::ConsumerGroupHeartbeatRequest<'_>>();
        every::<m::ConsumerGroupDescribeRequest<'_>>();
        every::<m::ListConfigResourcesRequest<'_>>();
        every::<m::DescribeTopicPartitionsRequest<'_>>();
    }

    #[test]
    fn a_produce_is_refused_partition_by_partition_and_not_answered_without_acks() {
        let mut request = ProduceRequest {
            acks: -1,
            topic_data: Array::from([produce::TopicProduceData {
                name: "t",
                partition_data: Array::from([produce::PartitionProduceData {
                    index: 3,
                    records: None,
                }]),
                ..produce::TopicProduceData::default()
            }]),
            ..ProduceRequest::default()
        };
        let bytes = refused(&request, 9).unwrap();
        let (_, response) = decode_response::<ProduceResponse<'_>>(9, &bytes[4..]).unwrap();
        let topic = response.responses.first().unwrap();
        let partition = topic.partition_responses.first().unwrap();
        assert_eq!((topic.name, partition.index), ("t", 3));
        assert_eq!(partition.error_code, ErrorCode::NotLeaderOrFollower.id());
        request.acks = 0;
        let frame = encode_request(9, None, 9, &request).unwrap();
        let asked = Asked::read(0, &frame.bytes[4..]).unwrap();
        assert_eq!(refusal(&asked, ErrorCode::NotLeaderOrFollower), None);
    }
}
