//! OffsetCommit: who may commit, and what of it is refused for itself.

use super::key;
use crate::classic::{ClassicGroup, State};
use crate::coordinator::{Coordinator, Group, heard};
use crate::world::{Caller, Record, Response, Topics, World};
use highwater_wire::ErrorCode;
use highwater_wire::message::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};
use highwater_wire::message::{OffsetCommitRequest, OffsetCommitResponse};
use highwater_wire::records::group::{GroupValue, OffsetCommitValue};
use std::borrow::Cow;
use uuid::Uuid;

/// The first version in which a group that is not there is called that; before, its generation was wrong.
const KNOWS_MISSING_GROUP: i16 = 9;
/// The first version that names topics by id.
const BY_ID: i16 = 10;

/// OffsetCommit.
pub(crate) fn commit<W: World>(
    coordinator: &mut Coordinator,
    world: &mut W,
    caller: &Caller<'_>,
    request: &OffsetCommitRequest<'_>,
) {
    let mut sorted = Sorted::of(coordinator, world, caller.version, request);
    let outcome = if sorted.concerns_group {
        coordinator
            .admit_commit(world, caller, request, &sorted)
            .and_then(|()| sorted.write(coordinator, world, request.group_id))
    } else {
        Ok(())
    };
    if let Err(code) = outcome {
        sorted.refuse(code);
    }
    let response = sorted.response();
    world.answer(caller.ticket, Response::OffsetCommit(response));
}

/// Why a commit to this partition is refused whatever the group.
type Refused = Option<ErrorCode>;

/// A request, sorted into what can be committed and what cannot.
struct Sorted<'r> {
    topics: Vec<(OffsetCommitRequestTopic<'r>, Vec<(i32, Refused)>)>,
    records: Vec<(Cow<'r, str>, i32, OffsetCommitValue<'r>)>,
    /// Whether anything is asked of the group: what is no topic is refused before.
    concerns_group: bool,
}

impl<'r> Sorted<'r> {
    fn of<W: World>(
        coordinator: &Coordinator,
        world: &W,
        version: i16,
        request: &OffsetCommitRequest<'r>,
    ) -> Sorted<'r> {
        let unix_ms = world.unix_ms();
        let expire_timestamp = match request.retention_time_ms {
            -1 => -1,
            retention_ms => unix_ms.saturating_add(retention_ms),
        };
        let mut sorted = Sorted {
            topics: Vec::with_capacity(request.topics.len()),
            records: Vec::new(),
            concerns_group: false,
        };
        for topic in &request.topics {
            let found = find(world.topics(), version, &topic);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let index = partition.partition_index;
                let refused = match &found {
                    Some(found) if (0..found.partitions).contains(&index) => {
                        sorted.concerns_group = true;
                        coordinator.is_note_too_long(&partition)
                    }
                    None if version >= BY_ID => Some(ErrorCode::UnknownTopicId),
                    Some(_) | None => Some(ErrorCode::UnknownTopicOrPartition),
                };
                if let (None, Some(found)) = (refused, &found) {
                    let value = OffsetCommitValue {
                        offset: partition.committed_offset,
                        leader_epoch: partition.committed_leader_epoch,
                        metadata: partition.committed_metadata.unwrap_or(""),
                        commit_timestamp: unix_ms,
                        expire_timestamp,
                        topic_id: found.id,
                    };
                    sorted.records.push((found.name.clone(), index, value));
                }
                partitions.push((index, refused));
            }
            sorted.topics.push((topic, partitions));
        }
        sorted
    }

    /// Writes down what can be committed.
    fn write<W: World>(
        &self,
        coordinator: &mut Coordinator,
        world: &mut W,
        group: &str,
    ) -> Result<(), ErrorCode> {
        if self.records.is_empty() {
            return Ok(());
        }
        let records = self.records.iter().map(|(topic, partition, value)| Record {
            key: key(group, topic, *partition),
            value: Some(GroupValue::OffsetCommit(value.clone())),
        });
        let records: Vec<Record<'_>> = records.collect();
        coordinator.write(world, &records).map_err(|code| {
            let is_too_large = matches!(
                code,
                ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge
            );
            if is_too_large {
                ErrorCode::InvalidCommitOffsetSize
            } else {
                heard(code)
            }
        })
    }

    /// The group refuses, or the log.
    fn refuse(&mut self, code: ErrorCode) {
        for (_, refused) in self
            .topics
            .iter_mut()
            .flat_map(|(_, partitions)| partitions)
        {
            match refused {
                Some(ErrorCode::UnknownTopicId | ErrorCode::UnknownTopicOrPartition) => {}
                refused => *refused = Some(code),
            }
        }
    }

    fn response(self) -> OffsetCommitResponse<'r> {
        let partition = |(partition_index, refused): (i32, Refused)| {
            let error_code = refused.unwrap_or(ErrorCode::None).id();
            OffsetCommitResponsePartition {
                partition_index,
                error_code,
            }
        };
        let topics = self.topics.into_iter();
        OffsetCommitResponse {
            topics: topics
                .map(|(topic, partitions)| OffsetCommitResponseTopic {
                    name: topic.name,
                    topic_id: topic.topic_id,
                    partitions: partitions.into_iter().map(partition).collect(),
                })
                .collect(),
            ..OffsetCommitResponse::default()
        }
    }
}

/// A topic that is committed to.
struct Found<'r> {
    id: Uuid,
    name: Cow<'r, str>,
    partitions: i32,
}

/// The topic that is meant.
fn find<'r>(
    topics: &dyn Topics,
    version: i16,
    asked: &OffsetCommitRequestTopic<'r>,
) -> Option<Found<'r>> {
    let (topic, name) = if version >= BY_ID {
        let topic = topics.by_id(&asked.topic_id)?;
        (topic, Cow::Owned(topic.name.to_owned()))
    } else {
        (topics.by_name(asked.name)?, Cow::Borrowed(asked.name))
    };
    Some(Found {
        id: topic.id,
        name,
        partitions: topic.partitions,
    })
}

impl Coordinator {
    /// Whether the one who asks may commit for the group. The commit of a member says that it is alive.
    fn admit_commit<W: World>(
        &mut self,
        world: &mut W,
        caller: &Caller<'_>,
        request: &OffsetCommitRequest<'_>,
        sorted: &Sorted<'_>,
    ) -> Result<(), ErrorCode> {
        if !self.is_loaded() {
            return Err(ErrorCode::CoordinatorLoadInProgress);
        }
        let (member, epoch) = (request.member_id, request.generation_id_or_member_epoch);
        let instance = request.group_instance_id;
        match self.groups.get(request.group_id) {
            // From outside of any membership: the commit makes a group that only holds offsets.
            None if epoch < 0 => Ok(()),
            None if caller.version < KNOWS_MISSING_GROUP => Err(ErrorCode::IllegalGeneration),
            None => Err(ErrorCode::GroupIdNotFound),
            Some(Group::Consumer(group)) => {
                let partitions = sorted.records.iter();
                let partitions = partitions.map(|(_, index, value)| (value.topic_id, *index));
                group.validate_commit(member, epoch, caller.version, partitions)
            }
            Some(Group::Classic(group)) => {
                admit(group, member, instance, epoch)?;
                let is_heard = matches!(group.state, State::Stable | State::PreparingRebalance);
                if is_heard && let Some(mut turn) = self.turn(world, request.group_id) {
                    turn.keep_alive(member);
                }
                Ok(())
            }
        }
    }

    /// Kafka counts the characters of Java.
    fn is_note_too_long(&self, partition: &OffsetCommitRequestPartition<'_>) -> Refused {
        let note = partition.committed_metadata.unwrap_or("");
        let limit = self.config.offset_metadata_bytes_max;
        let is_too_long = note.len() > limit && note.encode_utf16().count() > limit;
        is_too_long.then_some(ErrorCode::OffsetMetadataTooLarge)
    }
}

/// Whether this member may commit for the classic group (`ClassicGroup.validateOffsetCommit`). While members join it may:
/// what it has done is lost otherwise. When all have joined it may not, before it has its assignment.
fn admit(
    group: &ClassicGroup,
    member: &str,
    instance: Option<&str>,
    generation: i32,
) -> Result<(), ErrorCode> {
    if generation < 0 && group.state == State::Empty {
        return Ok(());
    }
    if generation < 0 && member.is_empty() && instance.is_none() {
        return Err(ErrorCode::UnknownMemberId);
    }
    group.check_member(member, instance)?;
    if generation != group.generation {
        return Err(ErrorCode::IllegalGeneration);
    }
    match group.state {
        State::CompletingRebalance => Err(ErrorCode::RebalanceInProgress),
        State::Empty | State::PreparingRebalance | State::Stable => Ok(()),
    }
}
