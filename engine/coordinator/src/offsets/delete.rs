//! OffsetDelete and DeleteGroups: commits that nobody needs any more, alone or with their group.

use super::{expiry::BATCH_MAX, key};
use crate::classic::State;
use crate::coordinator::{Coordinator, Group, heard};
use crate::world::{Caller, Record, Response, World};
use highwater_wire::ErrorCode;
use highwater_wire::message::delete_groups::DeletableGroupResult;
use highwater_wire::message::offset_delete::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use highwater_wire::message::{DeleteGroupsResponse, OffsetDeleteRequest, OffsetDeleteResponse};
use highwater_wire::records::group::{GroupKey, GroupMetadataKey};
use std::collections::BTreeSet;
use std::rc::Rc;

/// OffsetDelete.
pub(crate) fn delete<W: World>(
    coordinator: &mut Coordinator,
    world: &mut W,
    caller: &Caller<'_>,
    request: &OffsetDeleteRequest<'_>,
) {
    let response = match coordinator.delete_offsets(world, request) {
        Ok(topics) => OffsetDeleteResponse {
            topics: topics.into(),
            ..OffsetDeleteResponse::default()
        },
        Err(code) => OffsetDeleteResponse {
            error_code: code.id(),
            ..OffsetDeleteResponse::default()
        },
    };
    world.answer(caller.ticket, Response::OffsetDelete(response));
}

impl Coordinator {
    fn delete_offsets<'r, W: World>(
        &mut self,
        world: &mut W,
        request: &OffsetDeleteRequest<'r>,
    ) -> Result<Vec<OffsetDeleteResponseTopic<'r>>, ErrorCode> {
        if request.group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        if !self.is_loaded() {
            return Err(ErrorCode::CoordinatorLoadInProgress);
        }
        let subscribed = self.subscribed(request.group_id)?;
        let mut records = BTreeSet::new();
        let mut answers = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let known = world.topics().by_name(topic.name).is_some();
            let error = if !known {
                ErrorCode::UnknownTopicOrPartition
            } else if subscribed.contains(topic.name) {
                ErrorCode::GroupSubscribedToTopic
            } else {
                ErrorCode::None
            };
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let partition_index = partition.partition_index;
                let commit = self
                    .offsets
                    .get(request.group_id, topic.name, partition_index);
                if commit.is_some() && error == ErrorCode::None {
                    records.insert((topic.name, partition_index));
                }
                partitions.push(OffsetDeleteResponsePartition {
                    partition_index,
                    error_code: error.id(),
                });
            }
            answers.push(OffsetDeleteResponseTopic {
                name: topic.name,
                partitions: partitions.into(),
            });
        }
        let tombstone = |(topic, partition): &(&'r str, i32)| Record {
            key: key(request.group_id, topic, *partition),
            value: None,
        };
        let records: Vec<Record<'_>> = records.iter().map(tombstone).collect();
        drop(subscribed);
        if !records.is_empty() {
            self.write(world, &records).map_err(heard)?;
        }
        Ok(answers)
    }

    /// What the group is subscribed to, so that its commits stay.
    fn subscribed(&self, group: &str) -> Result<Subscribed<'_>, ErrorCode> {
        match self.groups.get(group) {
            None => Err(ErrorCode::GroupIdNotFound),
            Some(Group::Consumer(group)) => Ok(Subscribed::Asked(group)),
            Some(Group::Classic(group)) => match group.subscribed_topics() {
                Some(topics) => Ok(Subscribed::Known(topics)),
                None if group.is_of_consumers() => Ok(Subscribed::ToAll),
                None if group.state == State::Empty => Ok(Subscribed::Known(BTreeSet::new())),
                None => Err(ErrorCode::NonEmptyGroup),
            },
        }
    }

    /// Whether the group may be deleted.
    fn check_deletion(&self, group: &str) -> Result<(), ErrorCode> {
        match self.groups.get(group) {
            _ if !self.is_loaded() => Err(ErrorCode::CoordinatorLoadInProgress),
            None => Err(ErrorCode::GroupIdNotFound),
            Some(Group::Classic(group)) if group.state == State::Empty => Ok(()),
            Some(Group::Consumer(group)) if group.members() == 0 => Ok(()),
            Some(Group::Classic(_) | Group::Consumer(_)) => Err(ErrorCode::NonEmptyGroup),
        }
    }

    /// Deletes a group and its commits, the commits first: whatever a crash leaves is still a group.
    ///
    /// # Errors
    /// The code for the client when something has no place in the log; what went before is gone then.
    pub(crate) fn delete_group<W: World>(
        &mut self,
        world: &mut W,
        group: &str,
    ) -> Result<(), ErrorCode> {
        let commits: Vec<(Rc<str>, i32)> = self
            .offsets
            .of(group)
            .flat_map(|(topic, commits)| {
                commits
                    .iter()
                    .map(move |commit| (topic.clone(), commit.partition))
            })
            .collect();
        self.write_tombstones(world, group, &commits)?;
        self.write_group_tombstones(world, group)
    }

    /// Deletes what is written down of a group itself.
    pub(super) fn write_group_tombstones<W: World>(
        &mut self,
        world: &mut W,
        id: &str,
    ) -> Result<(), ErrorCode> {
        let changes = match self.groups.get(id) {
            Some(Group::Consumer(group)) => group.tombstones(),
            Some(Group::Classic(_)) => {
                let key = GroupKey::GroupMetadata(GroupMetadataKey { group: id });
                let tombstone = Record { key, value: None };
                return self.write(world, &[tombstone]).map_err(heard);
            }
            None => return Ok(()),
        };
        let records: Vec<Record<'_>> = changes.iter().map(|change| change.record(id)).collect();
        self.write(world, &records).map_err(heard)
    }

    /// Deletes commits, as many batches as it takes.
    pub(super) fn write_tombstones<W: World>(
        &mut self,
        world: &mut W,
        group: &str,
        commits: &[(Rc<str>, i32)],
    ) -> Result<(), ErrorCode> {
        for batch in commits.chunks(BATCH_MAX) {
            let records: Vec<Record<'_>> = batch
                .iter()
                .map(|(topic, partition)| Record {
                    key: key(group, topic, *partition),
                    value: None,
                })
                .collect();
            self.write(world, &records).map_err(heard)?;
        }
        Ok(())
    }
}

/// The topics that a group is subscribed to.
enum Subscribed<'a> {
    Known(BTreeSet<&'a str>),
    /// Consumers whose subscriptions cannot be read: it may be any.
    ToAll,
    Asked(&'a crate::consumer::ConsumerGroup),
}

impl Subscribed<'_> {
    fn contains(&self, topic: &str) -> bool {
        match self {
            Subscribed::Known(topics) => topics.contains(topic),
            Subscribed::ToAll => true,
            Subscribed::Asked(group) => group.is_subscribed_to(topic),
        }
    }
}

/// DeleteGroups.
pub(crate) fn delete_groups<W: World>(
    coordinator: &mut Coordinator,
    world: &mut W,
    caller: &Caller<'_>,
    groups: &mut dyn Iterator<Item = &str>,
) {
    let results = groups
        .map(|group_id| {
            let outcome = coordinator
                .check_deletion(group_id)
                .and_then(|()| coordinator.delete_group(world, group_id));
            DeletableGroupResult {
                group_id,
                error_code: outcome.err().unwrap_or(ErrorCode::None).id(),
            }
        })
        .collect();
    let response = DeleteGroupsResponse {
        results,
        ..DeleteGroupsResponse::default()
    };
    world.answer(caller.ticket, Response::DeleteGroups(response));
}
