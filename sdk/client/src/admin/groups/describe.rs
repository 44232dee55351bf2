//! Who is in a group. Asked in the way of consumer groups first, and in the classic way when it is none.

use std::collections::BTreeSet;

use highwater_wire::consumer_protocol::ConsumerProtocolAssignment;
use highwater_wire::message::consumer_group_describe::{
    Assignment, DescribedGroup as ConsumerGroup, Member,
};
use highwater_wire::message::describe_groups::{
    DescribedGroup as ClassicGroup, DescribedGroupMember,
};
use highwater_wire::message::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribeGroupsRequest,
    DescribeGroupsResponse,
};
use highwater_wire::{Array, ErrorCode};

use super::{GroupDescription, GroupKind, GroupMember, GroupState};
use crate::admin::{Admin, Results, refused};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result, TopicPartition};

/// The protocol type of groups whose members consume topics.
const CONSUMER: &str = "consumer";

impl Admin {
    /// Who is in these groups, and what they are doing.
    ///
    /// # Errors
    ///
    /// Never as a whole: [`GroupIdNotFound`](ErrorCode::GroupIdNotFound) for a group that does not exist, and whatever else, is
    /// in the results.
    pub async fn describe_groups<S: AsRef<str>>(
        &self,
        ids: impl IntoIterator<Item = S>,
    ) -> Result<Results<String, GroupDescription>> {
        let mut results = Results::new();
        for id in ids {
            let id = id.as_ref();
            let described = self.of_coordinator(id, async |connection| {
                match consumer(connection, id).await {
                    Err(error) if is_elsewhere(&error) => classic(connection, id).await,
                    described => described,
                }
            });
            results.insert(id.to_owned(), described.await);
        }
        Ok(results)
    }
}

/// Whether it may be a classic group.
fn is_elsewhere(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unsupported { .. })
        || matches!(
            error.code(),
            Some(ErrorCode::GroupIdNotFound | ErrorCode::UnsupportedVersion)
        )
}

async fn consumer(connection: &Connection, id: &str) -> Result<GroupDescription> {
    let request = ConsumerGroupDescribeRequest {
        group_ids: Array::from([id]),
        ..ConsumerGroupDescribeRequest::default()
    };
    let reply = connection.call(&request).await?;
    let answer: ConsumerGroupDescribeResponse<'_> = reply.decode()?;
    let group: ConsumerGroup<'_> = answer.groups.first().ok_or_else(unnamed)?;
    refused(group.error_code, group.error_message)?;
    let places = |assignment: &Assignment<'_>| -> BTreeSet<TopicPartition> {
        let topics = assignment.topic_partitions.iter();
        let places = topics.flat_map(|topic| {
            let name = topic.topic_name;
            topic
                .partitions
                .to_vec()
                .into_iter()
                .map(move |it| TopicPartition::new(name, it))
        });
        places.collect()
    };
    let member = |member: Member<'_>| GroupMember {
        member_id: member.member_id.to_owned(),
        instance_id: member.instance_id.map(str::to_owned),
        client_id: member.client_id.to_owned(),
        client_host: member.client_host.to_owned(),
        assignment: places(&member.assignment),
        target: Some(places(&member.target_assignment)),
        epoch: Some(member.member_epoch),
    };
    Ok(GroupDescription {
        id: group.group_id.to_owned(),
        kind: GroupKind::Consumer,
        protocol_type: CONSUMER.to_owned(),
        state: GroupState::named(group.group_state),
        assignor: group.assignor_name.to_owned(),
        coordinator: connection.peer().to_owned(),
        epoch: Some(group.group_epoch),
        members: group.members.iter().map(member).collect(),
    })
}

async fn classic(connection: &Connection, id: &str) -> Result<GroupDescription> {
    let request = DescribeGroupsRequest {
        groups: Array::from([id]),
        ..DescribeGroupsRequest::default()
    };
    let reply = connection.call(&request).await?;
    let answer: DescribeGroupsResponse<'_> = reply.decode()?;
    let group: ClassicGroup<'_> = answer.groups.first().ok_or_else(unnamed)?;
    refused(group.error_code, group.error_message)?;
    let state = GroupState::named(group.group_state);
    if state == GroupState::Dead {
        // What brokers said before they had a code for it.
        let why = format!("group {id:?} does not exist");
        return Err(Error::broker(ErrorCode::GroupIdNotFound, Some(&why)));
    }
    let consumes = group.protocol_type == CONSUMER;
    let member = |member: DescribedGroupMember<'_>| GroupMember {
        member_id: member.member_id.to_owned(),
        instance_id: member.group_instance_id.map(str::to_owned),
        client_id: member.client_id.to_owned(),
        client_host: member.client_host.to_owned(),
        assignment: if consumes {
            places(member.member_assignment)
        } else {
            BTreeSet::new()
        },
        target: None,
        epoch: None,
    };
    Ok(GroupDescription {
        id: group.group_id.to_owned(),
        kind: GroupKind::Classic,
        protocol_type: group.protocol_type.to_owned(),
        state,
        assignor: group.protocol_data.to_owned(),
        coordinator: connection.peer().to_owned(),
        epoch: None,
        members: group.members.iter().map(member).collect(),
    })
}

/// What a leader of whatever client wrote; nothing, where it does not parse.
fn places(bytes: &[u8]) -> BTreeSet<TopicPartition> {
    let Ok((assignment, _)) = ConsumerProtocolAssignment::decode_prefixed(bytes) else {
        return BTreeSet::new();
    };
    let mut places = BTreeSet::new();
    for topic in &assignment.assigned_partitions {
        places.extend(
            topic
                .partitions
                .iter()
                .map(|it| TopicPartition::new(topic.topic, it)),
        );
    }
    places
}

fn unnamed() -> Error {
    Error::protocol("answer names no group")
}
