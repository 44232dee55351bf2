//! `highwater topic`: creates, lists, describes and deletes topics through the SDK's admin.

use std::collections::BTreeMap;
use std::io::Write;

use highwater::admin::{Admin, ConfigResource, ConfigSource, NewTopic, OffsetSpec};
use highwater::{ErrorCode, TopicPartition};
use serde::Serialize;

use crate::Result;
use crate::arguments::{Broker, Topic};
use crate::output;

/// Runs one of the commands.
pub(crate) async fn topic(command: Topic) -> Result<()> {
    match command {
        Topic::Create {
            names,
            partitions,
            configs,
            if_not_exists,
            broker,
        } => {
            let topics = names.into_iter().map(|name| {
                let topic = NewTopic::new(name).partitions(partitions.unwrap_or(-1));
                configs
                    .iter()
                    .fold(topic, |topic, (name, value)| topic.config(name, value))
            });
            let mut results = Vec::new();
            for (name, result) in admin(&broker).await?.create_topics(topics).await? {
                let exists = result.as_ref().err().and_then(highwater::Error::code)
                    == Some(ErrorCode::TopicAlreadyExists);
                let result = if exists && if_not_exists {
                    Ok(())
                } else {
                    result.map(drop)
                };
                results.push((name, result));
            }
            output::all(results)
        }
        Topic::Delete { names, broker } => {
            output::all(admin(&broker).await?.delete_topics(names).await?)
        }
        Topic::List {
            internal,
            json,
            broker,
        } => list(internal, json, &broker).await,
        Topic::Describe {
            names,
            json,
            broker,
        } => describe(names, json, &broker).await,
    }
}

async fn admin(broker: &Broker) -> Result<Admin> {
    Ok(broker.client()?.connect().await?.admin())
}

async fn list(internal: bool, json: bool, broker: &Broker) -> Result<()> {
    let topics = admin(broker).await?.list_topics().await?;
    let shown = topics.iter().filter(|topic| internal || !topic.is_internal);
    let mut out = output::stdout();
    if json {
        let names: Vec<&str> = shown.map(|topic| topic.name.as_str()).collect();
        output::json_line(&mut out, &names)?;
    } else {
        for topic in shown {
            writeln!(out, "{}", topic.name)?;
        }
    }
    Ok(out.flush()?)
}

#[derive(Debug, Serialize)]
struct Described {
    name: String,
    id: String,
    internal: bool,
    configs: BTreeMap<String, String>,
    partitions: Vec<DescribedPartition>,
}

#[derive(Debug, Serialize)]
struct DescribedPartition {
    partition: i32,
    leader: i32,
    leader_epoch: i32,
    replicas: Vec<i32>,
    in_sync: Vec<i32>,
    start_offset: Option<i64>,
    end_offset: Option<i64>,
}

async fn describe(names: Vec<String>, json: bool, broker: &Broker) -> Result<()> {
    let admin = admin(broker).await?;
    let names = if names.is_empty() {
        let topics = admin.list_topics().await?;
        topics
            .into_iter()
            .filter(|topic| !topic.is_internal)
            .map(|topic| topic.name)
            .collect()
    } else {
        names
    };
    let mut topics = Vec::new();
    let mut failed = Vec::new();
    for (name, described) in admin.describe_topics(&names).await? {
        match described {
            Ok(described) => topics.push(gather(&admin, described).await?),
            Err(error) => failed.push((name, Err(error))),
        }
    }
    let mut out = output::stdout();
    if json {
        output::json_line(&mut out, &topics)?;
    } else {
        topics.iter().try_for_each(|topic| print(&mut out, topic))?;
    }
    out.flush()?;
    output::all(failed)
}

/// Adds what the description of a topic does not hold: offsets and configs.
async fn gather(admin: &Admin, topic: highwater::admin::TopicDescription) -> Result<Described> {
    let offsets = async |spec| -> Result<BTreeMap<i32, i64>> {
        let asked = topic
            .partitions
            .iter()
            .map(|it| (TopicPartition::new(topic.name.as_str(), it.partition), spec));
        let listed = admin.list_offsets(asked).await?;
        Ok(listed
            .into_iter()
            .filter_map(|(partition, listed)| Some((partition.partition, listed.ok()?.offset?)))
            .collect())
    };
    let starts = offsets(OffsetSpec::Earliest).await?;
    let ends = offsets(OffsetSpec::Latest).await?;
    let resource = ConfigResource::Topic(topic.name.clone());
    let configs = admin
        .describe_configs([resource])
        .await?
        .into_values()
        .next();
    let configs = configs.ok_or("the broker did not answer for the configs")??;
    Ok(Described {
        id: uuid_text(topic.id),
        internal: topic.is_internal,
        configs: configs
            .into_iter()
            .filter(|entry| entry.source == ConfigSource::Topic)
            .map(|entry| (entry.name, entry.value.unwrap_or_default()))
            .collect(),
        partitions: topic
            .partitions
            .into_iter()
            .map(|it| DescribedPartition {
                start_offset: starts.get(&it.partition).copied(),
                end_offset: ends.get(&it.partition).copied(),
                partition: it.partition,
                leader: it.leader.unwrap_or(-1),
                leader_epoch: it.leader_epoch,
                replicas: it.replicas,
                in_sync: it.in_sync,
            })
            .collect(),
        name: topic.name,
    })
}

fn uuid_text(id: uuid::Uuid) -> String {
    highwater_log::uuid_text::encode(&id)
}

fn print(out: &mut impl Write, topic: &Described) -> Result<()> {
    writeln!(
        out,
        "{}  id {}  {} partitions",
        topic.name,
        topic.id,
        topic.partitions.len()
    )?;
    for (name, value) in &topic.configs {
        writeln!(out, "  {name}={value}")?;
    }
    let shown = |offset: Option<i64>| offset.map_or("?".to_owned(), |offset| offset.to_string());
    for it in &topic.partitions {
        writeln!(
            out,
            "  partition {:<4} leader {} (epoch {})  replicas {:?}  in sync {:?}  offsets {}..{}",
            it.partition,
            it.leader,
            it.leader_epoch,
            it.replicas,
            it.in_sync,
            shown(it.start_offset),
            shown(it.end_offset),
        )?;
    }
    Ok(())
}
