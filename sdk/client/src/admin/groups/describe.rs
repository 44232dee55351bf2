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
use crate::admin::concurrent::join_all;
use crate::admin::errand::Errand;
use crate::admin::{Admin, AllowedOperations, Call, Operation, Results, ask, refused};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result, TopicPartition};

/// The protocol type of groups whose members consume topics.
const CONSUMER: &str = "consumer";
/// The first version of DescribeGroups that says what is allowed.
const VERSION_ALLOWED: i16 = 3;

/// What [`Admin::describe_groups`] does.
#[derive(Clone, Debug)]
pub struct DescribeGroups {
    ids: BTreeSet<String>,
    allowed: bool,
}

impl Call<DescribeGroups> {
    /// Asks what this client may do with the groups. Kafka 2.3 and later.
    pub fn allowed_operations(self, wanted: bool) -> Self {
        self.set(|it| it.allowed = wanted)
    }
}

impl Operation for DescribeGroups {
    type Output = Results<String, GroupDescription>;

    async fn run(self, errand: Errand) -> Result<Self::Output> {
        let (errand, allowed) = (&errand, self.allowed);
        let described = self.ids.into_iter().map(|id| async move {
            let named = &*id;
            let described = errand.of_coordinator(named, |connection: Connection| async move {
                match consumer(&connection, named, allowed).await {
                    Err(error) if is_elsewhere(&error) => {
                        classic(&connection, named, allowed).await
                    }
                    described => described,
                }
            });
            let described = described.await;
            (id, described)
        });
        Ok(join_all(described.collect()).await.into_iter().collect())
    }
}

impl Admin {
    /// Who is in these groups, and what they are doing.
    ///
    /// Cancel-safe: it only asks.
    ///
    /// # Errors
    ///
    /// Never as a whole: [`GroupIdNotFound`](ErrorCode::GroupIdNotFound) for a group that does not exist, and whatever else, is
    /// in the results.
    pub fn describe_groups<S: AsRef<str>>(
        &self,
        ids: impl IntoIterator<Item = S>,
    ) -> Call<DescribeGroups> {
        self.call(DescribeGroups {
            ids: ids.into_iter().map(|id| id.as_ref().to_owned()).collect(),
            allowed: false,
        })
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

async fn consumer(connection: &Connection, id: &str, allowed: bool) -> Result<GroupDescription> {
    let request = ConsumerGroupDescribeRequest {
        group_ids: Array::from([id]),
        include_authorized_operations: allowed,
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
        rack: member.rack_id.map(str::to_owned),
        topics: member
            .subscribed_topic_names
            .iter()
            .map(str::to_owned)
            .collect(),
        pattern: member
            .subscribed_topic_regex
            .filter(|it| !it.is_empty())
            .map(str::to_owned),
        kind: match member.member_type {
            0 => Some(GroupKind::Classic),
            1 => Some(GroupKind::Consumer),
            _ => None,
        },
    };
    Ok(GroupDescription {
        id: group.group_id.to_owned(),
        kind: GroupKind::Consumer,
        protocol_type: CONSUMER.to_owned(),
        state: GroupState::named(group.group_state),
        assignor: group.assignor_name.to_owned(),
        coordinator: connection.peer().to_owned(),
        epoch: Some(group.group_epoch),
        assignment_epoch: Some(group.assignment_epoch),
        members: group.members.iter().map(member).collect(),
        allowed: AllowedOperations::read(group.authorized_operations),
    })
}

async fn classic(connection: &Connection, id: &str, allowed: bool) -> Result<GroupDescription> {
    let request = DescribeGroupsRequest {
        groups: Array::from([id]),
        include_authorized_operations: allowed,
    };
    let least = if allowed { VERSION_ALLOWED } else { 0 };
    let reply = ask(connection, &request, least).await?;
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
        rack: None,
        topics: BTreeSet::new(),
        pattern: None,
        kind: None,
    };
    Ok(GroupDescription {
        id: group.group_id.to_owned(),
        kind: GroupKind::Classic,
        protocol_type: group.protocol_type.to_owned(),
        state,
        assignor: group.protocol_data.to_owned(),
        coordinator: connection.peer().to_owned(),
        epoch: None,
        assignment_epoch: None,
        members: group.members.iter().map(member).collect(),
        allowed: AllowedOperations::read(group.authorized_operations),
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
