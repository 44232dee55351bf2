//! `highwater group`: who is in consumer groups, how far they have read, and setting that. Knows how to ask and to print; what a
//! lag is, is in `lag`, where offsets can be set to, in `reset`.

mod lag;
mod reset;

use std::collections::BTreeSet;
use std::io::Write;

use highwater::TopicPartition;
use highwater::admin::{Admin, GroupDescription};
use serde::Serialize;

use self::lag::{Lag, lags};
use crate::Result;
use crate::arguments::{Broker, Group, Places};
use crate::{output, table};

/// Runs one of the commands.
pub(crate) async fn group(command: Group) -> Result<()> {
    match command {
        Group::List { json, broker } => list(json, &broker).await,
        Group::Describe {
            groups,
            json,
            broker,
        } => describe(groups, json, &broker).await,
        Group::Members {
            group,
            json,
            broker,
        } => members(&group, json, &broker).await,
        Group::Offsets {
            group,
            json,
            broker,
        } => offsets(&group, json, &broker).await,
        Group::ResetOffsets(flags) => {
            let admin = admin(&flags.broker).await?;
            reset::reset(&admin, &flags).await
        }
        Group::Delete {
            groups,
            topics,
            broker,
        } => delete(groups, &topics, &broker).await,
    }
}

async fn admin(broker: &Broker) -> Result<Admin> {
    Ok(broker.client()?.connect().await?.admin())
}

#[derive(Debug, Serialize)]
struct Listed {
    group: String,
    kind: String,
    state: String,
    protocol_type: String,
}

async fn list(json: bool, broker: &Broker) -> Result<()> {
    let groups = admin(broker).await?.list_groups().await?;
    let listed: Vec<Listed> = groups
        .into_iter()
        .map(|group| Listed {
            group: group.id,
            kind: group.kind.to_string(),
            state: group.state.to_string(),
            protocol_type: group.protocol_type,
        })
        .collect();
    let mut out = output::stdout();
    if json {
        output::json_line(&mut out, &listed)?;
    } else {
        let rows: Vec<_> = listed
            .into_iter()
            .map(|it| [it.group, it.kind, it.state])
            .collect();
        table::print(&mut out, ["GROUP", "KIND", "STATE"], &rows)?;
    }
    Ok(out.flush()?)
}

#[derive(Debug, Serialize)]
struct Described {
    group: String,
    kind: String,
    state: String,
    assignor: String,
    coordinator: String,
    members: usize,
    /// Over all partitions with a commit.
    lag: i64,
    partitions: Vec<Lag>,
}

async fn describe(groups: Vec<String>, json: bool, broker: &Broker) -> Result<()> {
    let admin = admin(broker).await?;
    let groups = if groups.is_empty() {
        let listed = admin.list_groups().await?;
        listed.into_iter().map(|group| group.id).collect()
    } else {
        groups
    };
    let mut all = Vec::new();
    let mut failed = Vec::new();
    for (id, described) in admin.describe_groups(&groups).await? {
        match described {
            Ok(group) => {
                let partitions = lags(&admin, &id, &group.members).await?;
                all.push(gather(group, partitions));
            }
            Err(error) => failed.push((id, Err(error))),
        }
    }
    let mut out = output::stdout();
    if json {
        output::json_line(&mut out, &all)?;
    } else {
        for (index, group) in all.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            print(&mut out, group)?;
        }
    }
    out.flush()?;
    output::all(failed)
}

fn gather(group: GroupDescription, partitions: Vec<Lag>) -> Described {
    Described {
        group: group.id,
        kind: group.kind.to_string(),
        state: group.state.to_string(),
        assignor: group.assignor,
        coordinator: group.coordinator,
        members: group.members.len(),
        lag: partitions.iter().filter_map(|it| it.lag).sum(),
        partitions,
    }
}

fn print(out: &mut impl Write, group: &Described) -> Result<()> {
    let assignor = if group.assignor.is_empty() {
        "none"
    } else {
        &group.assignor
    };
    writeln!(
        out,
        "{}  {} {}  {} members  assignor {}  coordinator {}  lag {}",
        group.group, group.kind, group.state, group.members, assignor, group.coordinator, group.lag
    )?;
    let heading = [
        "TOPIC",
        "PARTITION",
        "COMMITTED",
        "END",
        "LAG",
        "MEMBER",
        "CLIENT",
        "HOST",
    ];
    let row = |it: &Lag| {
        [
            it.topic.clone(),
            it.partition.to_string(),
            table::or_dash(it.committed),
            table::or_dash(it.end),
            table::or_dash(it.lag),
            table::or_dash(it.member_id.as_ref()),
            table::or_dash(it.client_id.as_ref()),
            table::or_dash(it.host.as_ref()),
        ]
    };
    let rows: Vec<_> = group.partitions.iter().map(row).collect();
    Ok(table::print(out, heading, &rows)?)
}

#[derive(Debug, Serialize)]
struct Member {
    member_id: String,
    instance_id: Option<String>,
    client_id: String,
    host: String,
    epoch: Option<i32>,
    partitions: Vec<String>,
}

async fn members(group: &str, json: bool, broker: &Broker) -> Result<()> {
    let admin = admin(broker).await?;
    let described = admin.describe_groups([group]).await?.into_values().next();
    let described = described.ok_or("the broker did not answer for the group")??;
    let members: Vec<Member> = described
        .members
        .into_iter()
        .map(|member| Member {
            host: member.client_host.trim_start_matches('/').to_owned(),
            partitions: member
                .assignment
                .iter()
                .map(TopicPartition::to_string)
                .collect(),
            member_id: member.member_id,
            instance_id: member.instance_id,
            client_id: member.client_id,
            epoch: member.epoch,
        })
        .collect();
    let mut out = output::stdout();
    if json {
        output::json_line(&mut out, &members)?;
    } else {
        let heading = [
            "MEMBER",
            "INSTANCE",
            "CLIENT",
            "HOST",
            "COUNT",
            "PARTITIONS",
        ];
        let row = |it: Member| {
            let count = it.partitions.len().to_string();
            let partitions = it.partitions.join(" ");
            [
                it.member_id,
                table::or_dash(it.instance_id),
                it.client_id,
                it.host,
                count,
                partitions,
            ]
        };
        let rows: Vec<_> = members.into_iter().map(row).collect();
        table::print(&mut out, heading, &rows)?;
    }
    Ok(out.flush()?)
}

async fn offsets(group: &str, json: bool, broker: &Broker) -> Result<()> {
    let admin = admin(broker).await?;
    let mut lags = lags(&admin, group, &[]).await?;
    lags.retain(|it| it.committed.is_some());
    let mut out = output::stdout();
    if json {
        output::json_line(&mut out, &lags)?;
    } else {
        let heading = [
            "TOPIC",
            "PARTITION",
            "COMMITTED",
            "END",
            "LAG",
            "EPOCH",
            "NOTE",
        ];
        let row = |it: Lag| {
            [
                it.topic,
                it.partition.to_string(),
                table::or_dash(it.committed),
                table::or_dash(it.end),
                table::or_dash(it.lag),
                table::or_dash(it.leader_epoch),
                it.metadata.unwrap_or_default(),
            ]
        };
        let rows: Vec<_> = lags.into_iter().map(row).collect();
        table::print(&mut out, heading, &rows)?;
    }
    Ok(out.flush()?)
}

async fn delete(groups: Vec<String>, topics: &[Places], broker: &Broker) -> Result<()> {
    let admin = admin(broker).await?;
    if topics.is_empty() {
        return output::all(admin.delete_groups(groups).await?);
    }
    let mut results = Vec::new();
    for group in groups {
        let committed: BTreeSet<TopicPartition> = admin
            .group_offsets(&group, None)
            .await?
            .into_keys()
            .collect();
        let wanted = |place: &&TopicPartition| {
            topics
                .iter()
                .any(|it| it.includes(&place.topic, place.partition))
        };
        let gone: BTreeSet<TopicPartition> = committed.iter().filter(wanted).cloned().collect();
        if gone.is_empty() {
            return Err(format!("group {group:?} has committed nothing there").into());
        }
        let deleted = admin.delete_group_offsets(&group, &gone).await?;
        results.extend(
            deleted
                .into_iter()
                .map(|(place, it)| (format!("{group}: {place}"), it)),
        );
    }
    output::all(results)
}
