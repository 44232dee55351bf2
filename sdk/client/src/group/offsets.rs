//! OffsetFetch and OffsetCommit: what a group has consumed, asked of and told to its coordinator. Knows nothing of members but
//! who to name.

use std::collections::{BTreeMap, BTreeSet};

use highwater_wire::message::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use highwater_wire::message::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use highwater_wire::message::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};
use highwater_wire::{Array, ErrorCode};
use tokio::time::Instant;

use super::{Committed, Coordinator, Retry};
use crate::connection::{Connection, Reply};
use crate::core::group::member::Identity;
use crate::error::{Error, Result, TopicPartition};

/// The last versions without topic ids.
const VERSION_BY_NAME_MAX: i16 = 9;
/// The first version that asks for many groups at once.
const VERSION_GROUPS: i16 = 8;
/// The first version that can wait for open transactions.
const VERSION_STABLE: i16 = 7;

type Fetched = BTreeMap<TopicPartition, Result<Option<Committed>>>;

/// What the group has committed for these partitions, or for all it has anything for.
///
/// With `stable`, waits for transactions that are about to commit.
pub(crate) async fn fetch_offsets(
    coordinator: &Coordinator,
    places: Option<&BTreeSet<TopicPartition>>,
    stable: bool,
    deadline: Instant,
) -> Result<Fetched> {
    let mut retry = Retry::until(deadline);
    loop {
        let error = match fetch(coordinator, places, stable, None).await {
            Ok(fetched) => return Ok(fetched),
            Err(error) => error,
        };
        retry.after(error, coordinator).await?;
    }
}

/// The same for what a member was given, asked in its name where the coordinator wants to know: who was given them meanwhile
/// is not told. `whose` is who the member is at the moment, `refused` hears why it is not.
pub(super) async fn fetch_as_member(
    coordinator: &Coordinator,
    places: &BTreeSet<TopicPartition>,
    whose: impl Fn() -> Option<Identity>,
    refused: impl Fn(&Identity, ErrorCode),
) -> Result<Fetched> {
    let mut retry = Retry::within(coordinator.client.shared.config().api_timeout);
    loop {
        let identity = whose();
        let error = match fetch(coordinator, Some(places), true, identity.as_ref()).await {
            Ok(fetched) => return Ok(fetched),
            Err(error) => error,
        };
        if let (Some(identity), Some(code)) = (&identity, error.code()) {
            refused(identity, code);
            if whose().as_ref() != Some(identity) {
                // It is somebody else by now, or nobody: what it was given will be taken back.
                continue;
            }
        }
        retry.after(error, coordinator).await?;
    }
}

async fn fetch(
    coordinator: &Coordinator,
    places: Option<&BTreeSet<TopicPartition>>,
    stable: bool,
    identity: Option<&Identity>,
) -> Result<Fetched> {
    let fetched = fetch_once(coordinator, places, stable, identity).await?;
    let failed = fetched.values().filter_map(|it| it.as_ref().err());
    match failed.into_iter().find(|error| Retry::helps(error)) {
        Some(passing) => Err(passing.clone()),
        None => Ok(fetched),
    }
}

async fn fetch_once(
    coordinator: &Coordinator,
    places: Option<&BTreeSet<TopicPartition>>,
    stable: bool,
    identity: Option<&Identity>,
) -> Result<Fetched> {
    let connection = coordinator.connection().await?;
    let version = connection.version::<OffsetFetchRequest<'_>>(VERSION_BY_NAME_MAX)?;
    let topics = places.map(|places| {
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for place in places {
            topics
                .entry(&place.topic)
                .or_default()
                .push(place.partition);
        }
        topics
    });
    let mut request = OffsetFetchRequest {
        require_stable: stable && version >= VERSION_STABLE,
        ..OffsetFetchRequest::default()
    };
    if version < VERSION_GROUPS {
        request.group_id = &coordinator.group;
        request.topics = topics.map(|topics| {
            let topic = |(name, indexes)| OffsetFetchRequestTopic {
                name,
                partition_indexes: Array::from(indexes),
            };
            topics.into_iter().map(topic).collect::<Array<'_, _>>()
        });
    } else {
        let topic = |(name, indexes)| OffsetFetchRequestTopics {
            name,
            partition_indexes: Array::from(indexes),
            ..OffsetFetchRequestTopics::default()
        };
        request.groups = Array::from([OffsetFetchRequestGroup {
            group_id: &coordinator.group,
            member_id: identity.map(|identity| &*identity.member_id),
            member_epoch: identity.map_or(-1, |identity| identity.generation),
            topics: topics.map(|topics| topics.into_iter().map(topic).collect::<Array<'_, _>>()),
        }]);
    }
    let reply = connection
        .send(&request, version, [], true)?
        .answer()
        .await?;
    read(&reply)
}

fn read(reply: &Reply) -> Result<Fetched> {
    let answer: OffsetFetchResponse<'_> = reply.decode()?;
    let mut fetched = Fetched::new();
    let mut found = |topic: &str,
                     partition: i32,
                     code: i16,
                     offset: i64,
                     leader_epoch: i32,
                     metadata: Option<&str>| {
        let code = ErrorCode::from_id(code);
        let committed = Committed {
            offset,
            leader_epoch,
            metadata: metadata.unwrap_or_default().to_owned(),
        };
        let place = TopicPartition::new(topic, partition);
        let result = if code.is_error() {
            Err(Error::broker(code, None).at(&place.topic, partition))
        } else {
            Ok(Some(committed).filter(|committed| committed.offset >= 0))
        };
        fetched.insert(place, result);
    };
    let mut code = answer.error_code;
    for topic in &answer.topics {
        for it in &topic.partitions {
            let epoch = it.committed_leader_epoch;
            found(
                topic.name,
                it.partition_index,
                it.error_code,
                it.committed_offset,
                epoch,
                it.metadata,
            );
        }
    }
    for group in &answer.groups {
        code = group.error_code;
        for topic in &group.topics {
            for it in &topic.partitions {
                let epoch = it.committed_leader_epoch;
                found(
                    topic.name,
                    it.partition_index,
                    it.error_code,
                    it.committed_offset,
                    epoch,
                    it.metadata,
                );
            }
        }
    }
    let code = ErrorCode::from_id(code);
    if code.is_error() {
        return Err(Error::broker(code, None));
    }
    Ok(fetched)
}

/// Commits once; a result for each partition. Without an identity it is done from outside of the group.
pub(crate) async fn commit_offsets(
    connection: &Connection,
    group: &str,
    identity: Option<&Identity>,
    instance: Option<&str>,
    offsets: &BTreeMap<TopicPartition, Committed>,
) -> Result<BTreeMap<TopicPartition, ErrorCode>> {
    let version = connection.version::<OffsetCommitRequest<'_>>(VERSION_BY_NAME_MAX)?;
    let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition<'_>>> = BTreeMap::new();
    for (place, committed) in offsets {
        topics
            .entry(&place.topic)
            .or_default()
            .push(OffsetCommitRequestPartition {
                partition_index: place.partition,
                committed_offset: committed.offset,
                committed_leader_epoch: committed.leader_epoch,
                committed_metadata: Some(&committed.metadata),
            });
    }
    let topic = |(name, partitions)| OffsetCommitRequestTopic {
        name,
        partitions: Array::from(partitions),
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest {
        group_id: group,
        generation_id_or_member_epoch: identity.map_or(-1, |identity| identity.generation),
        member_id: identity.map_or("", |identity| &identity.member_id),
        group_instance_id: instance.filter(|_| identity.is_some()),
        topics: topics.into_iter().map(topic).collect::<Array<'_, _>>(),
        ..OffsetCommitRequest::default()
    };
    let reply = connection
        .send(&request, version, [], true)?
        .answer()
        .await?;
    let answer: OffsetCommitResponse<'_> = reply.decode()?;
    let mut codes = BTreeMap::new();
    for topic in &answer.topics {
        for it in &topic.partitions {
            let place = TopicPartition::new(topic.name, it.partition_index);
            codes.insert(place, ErrorCode::from_id(it.error_code));
        }
    }
    Ok(codes)
}
