//! OffsetFetch: how far a group has consumed. A group that is not there has consumed nothing.

use super::Commit;
use crate::coordinator::{Coordinator, Group};
use crate::world::Topics;
use highwater_wire::ErrorCode;
use highwater_wire::message::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponseGroup,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use uuid::Uuid;

/// The first version that names topics by id.
const BY_ID: i16 = 10;

/// OffsetFetch of one group.
pub(crate) fn fetch<'a>(
    coordinator: &'a Coordinator,
    topics: &'a dyn Topics,
    version: i16,
    request: &'a OffsetFetchRequestGroup<'a>,
) -> OffsetFetchResponseGroup<'a> {
    let mut response = OffsetFetchResponseGroup {
        group_id: request.group_id,
        ..OffsetFetchResponseGroup::default()
    };
    // Who names neither itself nor an epoch asks from outside.
    if let Some(Group::Consumer(group)) = coordinator.groups.get(request.group_id)
        && (request.member_id.is_some() || request.member_epoch >= 0)
        && let Err(code) = group.validate_fetch(request.member_id, request.member_epoch)
    {
        response.error_code = code.id();
        return response;
    }
    response.topics = match &request.topics {
        Some(asked) => asked
            .iter()
            .map(|topic| coordinator.fetch_topic(topics, version, request.group_id, &topic))
            .collect(),
        None => coordinator.fetch_all(topics, version, request.group_id),
    };
    response
}

impl Coordinator {
    fn fetch_topic<'a>(
        &'a self,
        topics: &'a dyn Topics,
        version: i16,
        group: &str,
        asked: &OffsetFetchRequestTopics<'a>,
    ) -> OffsetFetchResponseTopics<'a> {
        let topic = if version >= BY_ID {
            topics.by_id(&asked.topic_id)
        } else {
            topics.by_name(asked.name)
        };
        // A topic that is gone may still have commits under its name, and whoever asks by name may hear of them.
        // By an id that is not known, none is asked for: the name is empty.
        let name = topic.map_or(asked.name, |topic| topic.name);
        let id = topic.map_or(Uuid::nil(), |topic| topic.id);
        let error = if version >= BY_ID && topic.is_none() {
            ErrorCode::UnknownTopicId
        } else {
            ErrorCode::None
        };
        let partition = |index: i32| {
            let commit = self.offsets.get(group, name, index);
            match commit.filter(|commit| !commit.is_of_another(id)) {
                Some(commit) => committed(commit),
                None => OffsetFetchResponsePartitions {
                    partition_index: index,
                    committed_offset: -1,
                    error_code: error.id(),
                    ..OffsetFetchResponsePartitions::default()
                },
            }
        };
        OffsetFetchResponseTopics {
            name: asked.name,
            topic_id: asked.topic_id,
            partitions: asked.partition_indexes.iter().map(partition).collect(),
        }
    }

    fn fetch_all<'a>(
        &'a self,
        topics: &'a dyn Topics,
        version: i16,
        group: &str,
    ) -> highwater_wire::Array<'a, OffsetFetchResponseTopics<'a>> {
        let mut all = Vec::new();
        for (name, commits) in self.offsets.of(group) {
            let id = topics.by_name(name).map_or(Uuid::nil(), |topic| topic.id);
            // What has no id cannot be said.
            if version >= BY_ID && id.is_nil() {
                continue;
            }
            let own = commits.iter().filter(|commit| !commit.is_of_another(id));
            let partitions: Vec<_> = own.map(committed).collect();
            if !partitions.is_empty() {
                all.push(OffsetFetchResponseTopics {
                    name,
                    topic_id: id,
                    partitions: partitions.into(),
                });
            }
        }
        all.into()
    }
}

fn committed(commit: &Commit) -> OffsetFetchResponsePartitions<'_> {
    OffsetFetchResponsePartitions {
        partition_index: commit.partition,
        committed_offset: commit.offset,
        committed_leader_epoch: commit.leader_epoch,
        metadata: Some(commit.note()),
        error_code: ErrorCode::None.id(),
    }
}
