//! One request put to its coordinator: decoded here, where it is answered. It knows every API of groups and the shape of each
//! answer; what is answered the coordinator decides.

use highwater_coordinator::{Caller, Coordinator, Ticket};
use highwater_wire::message::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use highwater_wire::message::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    DeleteGroupsRequest, DescribeGroupsRequest, DescribeGroupsResponse, HeartbeatRequest,
    JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest, OffsetFetchResponse, SyncGroupRequest,
};
use highwater_wire::{Array, Cursor, Decode, DecodeError, ErrorCode};

use super::inquiry::Inquiry;
use super::question::{ManyGroups, OneGroup, Question};
use super::surroundings::Surroundings;
use crate::handlers::authorized;

/// The first version of OffsetFetch that names many groups (KIP-709).
pub(crate) const FETCHES_MANY_SINCE: i16 = 8;

/// The first version of OffsetFetch with an error code of its own; before it each partition has it.
const TOP_LEVEL_ERROR_SINCE: i16 = 2;

/// Has `coordinator` answer `inquiry`, now or later. Of a request that names many groups only those are answered that
/// `is_mine`.
///
/// # Errors
/// When the body is not what its API and version say; nothing was asked then.
pub(super) fn call(
    coordinator: &mut Coordinator,
    world: &mut Surroundings<'_>,
    ticket: Ticket,
    inquiry: &Inquiry,
    is_mine: &dyn Fn(&str) -> bool,
) -> Result<(), DecodeError> {
    let host = inquiry.client_host();
    let caller = Caller {
        ticket,
        version: inquiry.version,
        client_id: inquiry.client_id.as_deref().unwrap_or_default(),
        client_host: &host,
    };
    let mut body = Cursor::new(&inquiry.body);
    macro_rules! ask {
        ($request:ident, $verb:ident) => {{
            let request = $request::decode(inquiry.version, &mut body)?;
            coordinator.$verb(world, &caller, &request);
        }};
    }
    match inquiry.question {
        Question::One(OneGroup::JoinGroup) => ask!(JoinGroupRequest, join_group),
        Question::One(OneGroup::SyncGroup) => ask!(SyncGroupRequest, sync_group),
        Question::One(OneGroup::Heartbeat) => ask!(HeartbeatRequest, heartbeat),
        Question::One(OneGroup::LeaveGroup) => ask!(LeaveGroupRequest, leave_group),
        Question::One(OneGroup::OffsetCommit) => ask!(OffsetCommitRequest, offset_commit),
        Question::One(OneGroup::OffsetDelete) => ask!(OffsetDeleteRequest, offset_delete),
        Question::One(OneGroup::ConsumerGroupHeartbeat) => {
            ask!(ConsumerGroupHeartbeatRequest, consumer_group_heartbeat);
        }
        Question::Many(ManyGroups::DeleteGroups) => {
            let request = DeleteGroupsRequest::decode(inquiry.version, &mut body)?;
            let mut mine = request.groups_names.iter().filter(|group| is_mine(group));
            coordinator.delete_groups(world, &caller, &mut mine);
        }
        Question::OffsetFetch => {
            let request = OffsetFetchRequest::decode(inquiry.version, &mut body)?;
            fetch(
                coordinator,
                world,
                ticket,
                inquiry.version,
                &request,
                is_mine,
            );
        }
        Question::Many(ManyGroups::DescribeGroups) => {
            let request = DescribeGroupsRequest::decode(inquiry.version, &mut body)?;
            let topics = world.topics.clone();
            let groups = request.groups.iter().filter(|group| is_mine(group));
            let groups = groups.map(|group| {
                let mut described = coordinator.describe_group(&topics, group, inquiry.version);
                described.authorized_operations =
                    authorized::group(request.include_authorized_operations);
                described
            });
            let response = DescribeGroupsResponse {
                throttle_time_ms: 0,
                groups: groups.collect(),
            };
            world.reply(ticket, &response);
        }
        Question::Many(ManyGroups::ConsumerGroupDescribe) => {
            let request = ConsumerGroupDescribeRequest::decode(inquiry.version, &mut body)?;
            let topics = world.topics.clone();
            let groups = request.group_ids.iter().filter(|group| is_mine(group));
            let groups = groups.map(|group| {
                let mut described = coordinator.consumer_group_describe(&topics, group);
                described.authorized_operations =
                    authorized::group(request.include_authorized_operations);
                described
            });
            let response = ConsumerGroupDescribeResponse {
                throttle_time_ms: 0,
                groups: groups.collect(),
            };
            world.reply(ticket, &response);
        }
    }
    Ok(())
}

/// OffsetFetch: one group up to version 7, many from there on.
fn fetch(
    coordinator: &Coordinator,
    world: &mut Surroundings<'_>,
    ticket: Ticket,
    version: i16,
    request: &OffsetFetchRequest<'_>,
    is_mine: &dyn Fn(&str) -> bool,
) {
    let topics = world.topics.clone();
    if version >= FETCHES_MANY_SINCE {
        let asked: Vec<_> = request
            .groups
            .iter()
            .filter(|group| is_mine(group.group_id))
            .collect();
        let groups = asked
            .iter()
            .map(|group| coordinator.offset_fetch(&topics, version, group, request.require_stable));
        let response = OffsetFetchResponse {
            groups: groups.collect(),
            ..OffsetFetchResponse::default()
        };
        return world.reply(ticket, &response);
    }
    let asked = one_group(request);
    let found = coordinator.offset_fetch(&topics, version, &asked, request.require_stable);
    world.reply(ticket, &of_one_group(version, request, &found));
}

/// What versions up to 7 ask, as later ones say it.
fn one_group<'a>(request: &OffsetFetchRequest<'a>) -> OffsetFetchRequestGroup<'a> {
    OffsetFetchRequestGroup {
        group_id: request.group_id,
        topics: request.topics.as_ref().map(|topics| {
            topics
                .iter()
                .map(|topic| OffsetFetchRequestTopics {
                    name: topic.name,
                    partition_indexes: topic.partition_indexes,
                    ..OffsetFetchRequestTopics::default()
                })
                .collect()
        }),
        ..OffsetFetchRequestGroup::default()
    }
}

/// What was found for the one group, as versions up to 7 say it. In version 1 the group's error stands on each partition.
pub(super) fn of_one_group<'a>(
    version: i16,
    request: &OffsetFetchRequest<'a>,
    found: &OffsetFetchResponseGroup<'a>,
) -> OffsetFetchResponse<'a> {
    if version < TOP_LEVEL_ERROR_SINCE && found.error_code != ErrorCode::None.id() {
        let failed = |partition_index| OffsetFetchResponsePartition {
            partition_index,
            committed_offset: -1,
            error_code: found.error_code,
            ..OffsetFetchResponsePartition::default()
        };
        let topics = request.topics.iter().flat_map(Array::iter);
        return OffsetFetchResponse {
            topics: topics
                .map(|topic| OffsetFetchResponseTopic {
                    name: topic.name,
                    partitions: topic.partition_indexes.iter().map(failed).collect(),
                })
                .collect(),
            ..OffsetFetchResponse::default()
        };
    }
    OffsetFetchResponse {
        error_code: found.error_code,
        topics: found
            .topics
            .iter()
            .map(|topic| OffsetFetchResponseTopic {
                name: topic.name,
                partitions: topic
                    .partitions
                    .iter()
                    .map(|partition| OffsetFetchResponsePartition {
                        partition_index: partition.partition_index,
                        committed_offset: partition.committed_offset,
                        committed_leader_epoch: partition.committed_leader_epoch,
                        metadata: partition.metadata,
                        error_code: partition.error_code,
                    })
                    .collect(),
            })
            .collect(),
        ..OffsetFetchResponse::default()
    }
}
