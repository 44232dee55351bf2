//! `highwater group reset-offsets`: where a group goes on reading. Shows what would change; changes it with `--execute`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use highwater::admin::{Admin, OffsetSpec};
use highwater::{Committed, ErrorCode, TopicPartition};
use serde::Serialize;

use super::lag::{ends, found};
use crate::Result;
use crate::arguments::{ResetOffsets, Target};
use crate::{output, table};

#[derive(Debug, Serialize)]
struct Reset {
    topic: String,
    partition: i32,
    before: Option<i64>,
    after: i64,
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    group: &'a str,
    executed: bool,
    offsets: &'a [Reset],
}

/// Shows, and with `--execute` makes, the change.
pub(super) async fn reset(admin: &Admin, flags: &ResetOffsets) -> Result<()> {
    let group = flags.group.as_str();
    // A group that does not exist may be given offsets to begin with.
    match admin.describe_groups([group]).await?.into_values().next() {
        Some(Ok(described)) if !described.state.is_inactive() => {
            return Err(format!(
                "group {group:?} is {} with {} members: stop them first, offsets are set while a group is empty",
                described.state,
                described.members.len()
            )
            .into());
        }
        Some(Err(error)) if error.code() != Some(ErrorCode::GroupIdNotFound) => {
            return Err(error.into());
        }
        Some(Ok(_) | Err(_)) | None => {}
    }
    let mut committed = BTreeMap::new();
    for (place, found) in admin.group_offsets(group, None).await? {
        if let Some(found) = found? {
            committed.insert(place, found.offset);
        }
    }
    let places = places(admin, flags, &committed).await?;
    let target = flags.target.target();
    let wanted = wanted(admin, &places, target, &committed).await?;
    let resets: Vec<Reset> = wanted
        .iter()
        .map(|(place, after)| Reset {
            topic: place.topic.to_string(),
            partition: place.partition,
            before: committed.get(place).copied(),
            after: *after,
        })
        .collect();
    let mut failed = Vec::new();
    if flags.execute {
        let offsets = wanted
            .into_iter()
            .map(|(place, after)| (place, Committed::from(after)));
        let altered = admin.alter_group_offsets(group, offsets).await?;
        failed.extend(
            altered
                .into_iter()
                .map(|(place, it)| (place.to_string(), it)),
        );
    }
    let mut out = output::stdout();
    if flags.json {
        let shown = Shown {
            group,
            executed: flags.execute,
            offsets: &resets,
        };
        output::json_line(&mut out, &shown)?;
    } else {
        let row = |it: &Reset| {
            [
                it.topic.clone(),
                it.partition.to_string(),
                table::or_dash(it.before),
                it.after.to_string(),
            ]
        };
        let rows: Vec<_> = resets.iter().map(row).collect();
        table::print(&mut out, ["TOPIC", "PARTITION", "BEFORE", "AFTER"], &rows)?;
    }
    out.flush()?;
    if !flags.execute {
        eprintln!("highwater: nothing was changed; do it with --execute");
    }
    output::all(failed)
}

/// The partitions that are meant.
async fn places(
    admin: &Admin,
    flags: &ResetOffsets,
    committed: &BTreeMap<TopicPartition, i64>,
) -> Result<BTreeSet<TopicPartition>> {
    let topics: BTreeSet<&str> = if flags.all_topics {
        committed.keys().map(|place| &*place.topic).collect()
    } else {
        flags
            .topics
            .iter()
            .map(|places| places.topic.as_str())
            .collect()
    };
    let mut places = BTreeSet::new();
    for (topic, described) in admin.describe_topics(topics).await? {
        let described = described.map_err(|error| format!("{topic}: {error}"))?;
        for it in described.partitions {
            let place = TopicPartition::new(topic.as_str(), it.partition);
            if flags.all_topics
                || flags
                    .topics
                    .iter()
                    .any(|wanted| wanted.includes(&topic, it.partition))
            {
                places.insert(place);
            }
        }
    }
    for wanted in &flags.topics {
        let missing = wanted
            .partitions
            .iter()
            .find(|it| !places.contains(&TopicPartition::new(wanted.topic.as_str(), **it)));
        if let Some(missing) = missing {
            return Err(format!("topic {:?} has no partition {missing}", wanted.topic).into());
        }
    }
    if places.is_empty() {
        return Err("there is nothing to reset: the group has committed nothing".into());
    }
    Ok(places)
}

/// Where each partition is to go, within what its log has.
async fn wanted(
    admin: &Admin,
    places: &BTreeSet<TopicPartition>,
    target: Target,
    committed: &BTreeMap<TopicPartition, i64>,
) -> Result<BTreeMap<TopicPartition, i64>> {
    let starts = found(admin, places, OffsetSpec::Earliest).await?;
    let ends = ends(admin, places).await?;
    let later = match target {
        Target::Time(timestamp_ms) => {
            found(admin, places, OffsetSpec::Timestamp(timestamp_ms)).await?
        }
        Target::Earliest | Target::Latest | Target::Offset(_) | Target::Shift(_) => BTreeMap::new(),
    };
    let mut wanted = BTreeMap::new();
    for place in places {
        let (Some(start), Some(end)) = (starts.get(place), ends.get(place)) else {
            return Err(
                format!("{place}: the partition does not tell where it begins and ends").into(),
            );
        };
        let to = match target {
            Target::Earliest => *start,
            Target::Latest => *end,
            Target::Offset(offset) => offset,
            // After the last such record comes what is yet to be produced.
            Target::Time(_) => later.get(place).copied().unwrap_or(*end),
            Target::Shift(by) => {
                let from = committed
                    .get(place)
                    .ok_or_else(|| format!("{place}: nothing is committed to shift from"))?;
                from.saturating_add(by)
            }
        };
        let within = to.clamp(*start, *end);
        if within != to {
            eprintln!(
                "highwater: {place}: offset {to} is outside of {start}..{end}, taking {within}"
            );
        }
        wanted.insert(place.clone(), within);
    }
    Ok(wanted)
}
