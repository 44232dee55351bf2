//! How far a group is behind: what it has committed against where the partitions end.

use std::collections::{BTreeMap, BTreeSet};

use highwater::TopicPartition;
use highwater::admin::{Admin, GroupMember, OffsetSpec};
use serde::Serialize;

use crate::Result;

/// One partition that a group has committed for, or that a member has.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Lag {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// The offset of the next record to consume.
    pub(super) committed: Option<i64>,
    /// One past the last record; none where the partition is gone.
    pub(super) end: Option<i64>,
    /// How many offsets lie between.
    pub(super) lag: Option<i64>,
    pub(super) leader_epoch: Option<i32>,
    pub(super) metadata: Option<String>,
    pub(super) member_id: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) host: Option<String>,
}

/// Of every partition that `group` has committed for or one of `members` has, by topic and number.
pub(super) async fn lags(admin: &Admin, group: &str, members: &[GroupMember]) -> Result<Vec<Lag>> {
    let mut committed = BTreeMap::new();
    for (place, found) in admin.group_offsets(group, None).await? {
        if let Some(found) = found? {
            committed.insert(place, found);
        }
    }
    let held = |member: &GroupMember| member.assignment.clone();
    let mut places: BTreeSet<TopicPartition> = members.iter().flat_map(held).collect();
    places.extend(committed.keys().cloned());
    let ends = ends(admin, &places).await?;
    let lag = |place: TopicPartition| {
        let found = committed.remove(&place);
        let end = ends.get(&place).copied();
        let member = members
            .iter()
            .find(|member| member.assignment.contains(&place));
        let offset = found.as_ref().map(|found| found.offset);
        Lag {
            topic: place.topic.to_string(),
            partition: place.partition,
            committed: offset,
            end,
            lag: offset.and_then(|offset| Some((end? - offset).max(0))),
            leader_epoch: found
                .as_ref()
                .map(|found| found.leader_epoch)
                .filter(|epoch| *epoch >= 0),
            metadata: found
                .map(|found| found.metadata)
                .filter(|metadata| !metadata.is_empty()),
            member_id: member.map(|member| member.member_id.clone()),
            client_id: member.map(|member| member.client_id.clone()),
            host: member.map(|member| member.client_host.trim_start_matches('/').to_owned()),
        }
    };
    Ok(places.into_iter().map(lag).collect())
}

/// Where these partitions end; what is gone is left out.
pub(super) async fn ends(
    admin: &Admin,
    places: &BTreeSet<TopicPartition>,
) -> Result<BTreeMap<TopicPartition, i64>> {
    found(admin, places, OffsetSpec::Latest).await
}

/// Where these partitions have such a place; what has none is left out.
pub(super) async fn found(
    admin: &Admin,
    places: &BTreeSet<TopicPartition>,
    spec: OffsetSpec,
) -> Result<BTreeMap<TopicPartition, i64>> {
    let listed = admin
        .list_offsets(places.iter().map(|place| (place.clone(), spec)))
        .await?;
    let found = listed.into_iter();
    Ok(found
        .filter_map(|(place, listed)| Some((place, listed.ok()?.offset?)))
        .collect())
}
