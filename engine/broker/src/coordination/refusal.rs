//! What is answered where no coordinator decides: it is still loading, lives elsewhere, or cannot write. Each API has its own
//! place for the code (`GroupCoordinatorService.java`, and `getErrorResponse` of Kafka's requests).

use highwater_wire::message::consumer_group_describe;
use highwater_wire::message::delete_groups::DeletableGroupResult;
use highwater_wire::message::describe_groups;
use highwater_wire::message::offset_commit::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use highwater_wire::message::offset_fetch::OffsetFetchResponseGroup;
use highwater_wire::message::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatResponse,
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    HeartbeatResponse, JoinGroupResponse, LeaveGroupResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetDeleteResponse, OffsetFetchRequest, OffsetFetchResponse,
    SyncGroupResponse,
};
use highwater_wire::{Cursor, Decode, ErrorCode};

use super::call::{FETCHES_MANY_SINCE, of_one_group};
use super::inquiry::{Inquiry, Reply};
use super::question::{ManyGroups, OneGroup, Question};

/// `code` as the answer to `inquiry`; JoinGroup and SyncGroup may come without their body. Of a request that names many groups only those are answered that `is_mine`.
pub(super) fn answer(inquiry: &Inquiry, code: ErrorCode, is_mine: &dyn Fn(&str) -> bool) -> Reply {
    let error_code = code.id();
    let version = inquiry.version;
    let mut body = Cursor::new(&inquiry.body);
    match inquiry.question {
        Question::One(OneGroup::JoinGroup) => inquiry.encode(&JoinGroupResponse {
            error_code,
            ..JoinGroupResponse::default()
        }),
        Question::One(OneGroup::SyncGroup) => inquiry.encode(&SyncGroupResponse {
            error_code,
            ..SyncGroupResponse::default()
        }),
        Question::One(OneGroup::Heartbeat) => inquiry.encode(&HeartbeatResponse {
            // Nobody is dead while the coordinator does not know who lives.
            error_code: if code == ErrorCode::CoordinatorLoadInProgress {
                ErrorCode::None.id()
            } else {
                error_code
            },
            ..HeartbeatResponse::default()
        }),
        Question::One(OneGroup::LeaveGroup) => inquiry.encode(&LeaveGroupResponse {
            error_code,
            ..LeaveGroupResponse::default()
        }),
        Question::One(OneGroup::OffsetCommit) => {
            let request = OffsetCommitRequest::decode(version, &mut body)?;
            let topics = request
                .topics
                .iter()
                .map(|topic| OffsetCommitResponseTopic {
                    name: topic.name,
                    topic_id: topic.topic_id,
                    partitions: topic
                        .partitions
                        .iter()
                        .map(|partition| OffsetCommitResponsePartition {
                            partition_index: partition.partition_index,
                            error_code,
                        })
                        .collect(),
                });
            inquiry.encode(&OffsetCommitResponse {
                topics: topics.collect(),
                ..OffsetCommitResponse::default()
            })
        }
        Question::One(OneGroup::OffsetDelete) => inquiry.encode(&OffsetDeleteResponse {
            error_code,
            ..OffsetDeleteResponse::default()
        }),
        Question::One(OneGroup::ConsumerGroupHeartbeat) => {
            inquiry.encode(&ConsumerGroupHeartbeatResponse {
                error_code,
                error_message: Some(code.message()),
                ..ConsumerGroupHeartbeatResponse::default()
            })
        }
        Question::Many(ManyGroups::DeleteGroups) => {
            let request = DeleteGroupsRequest::decode(version, &mut body)?;
            let mine = request.groups_names.iter().filter(|group| is_mine(group));
            inquiry.encode(&DeleteGroupsResponse {
                throttle_time_ms: 0,
                results: mine
                    .map(|group_id| DeletableGroupResult {
                        group_id,
                        error_code,
                    })
                    .collect(),
            })
        }
        Question::Many(ManyGroups::DescribeGroups) => {
            let request = DescribeGroupsRequest::decode(version, &mut body)?;
            let mine = request.groups.iter().filter(|group| is_mine(group));
            inquiry.encode(&DescribeGroupsResponse {
                throttle_time_ms: 0,
                groups: mine
                    .map(|group_id| describe_groups::DescribedGroup {
                        group_id,
                        error_code,
                        ..describe_groups::DescribedGroup::default()
                    })
                    .collect(),
            })
        }
        Question::Many(ManyGroups::ConsumerGroupDescribe) => {
            let request = ConsumerGroupDescribeRequest::decode(version, &mut body)?;
            let mine = request.group_ids.iter().filter(|group| is_mine(group));
            inquiry.encode(&ConsumerGroupDescribeResponse {
                throttle_time_ms: 0,
                groups: mine
                    .map(|group_id| consumer_group_describe::DescribedGroup {
                        group_id,
                        error_code,
                        ..consumer_group_describe::DescribedGroup::default()
                    })
                    .collect(),
            })
        }
        Question::OffsetFetch => {
            // Consumers before 3.9 know this code only (`handleOffsetFetchException`).
            let code = if code == ErrorCode::CoordinatorNotAvailable {
                ErrorCode::NotCoordinator
            } else {
                code
            };
            let request = OffsetFetchRequest::decode(version, &mut body)?;
            let failed = |group_id| OffsetFetchResponseGroup {
                group_id,
                error_code: code.id(),
                ..OffsetFetchResponseGroup::default()
            };
            if version < FETCHES_MANY_SINCE {
                let failed = failed(request.group_id);
                return inquiry.encode(&of_one_group(version, &request, &failed));
            }
            let mine = request
                .groups
                .iter()
                .filter(|group| is_mine(group.group_id));
            inquiry.encode(&OffsetFetchResponse {
                groups: mine.map(|group| failed(group.group_id)).collect(),
                ..OffsetFetchResponse::default()
            })
        }
    }
}
