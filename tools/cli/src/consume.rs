//! `highwater consume`: the records of a topic on standard output. Knows where to begin, where to end and how to print.

mod group;

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use highwater::admin::{Admin, OffsetSpec};
use highwater::{RecordRef, Start, TopicPartition};
use serde::Serialize;

use crate::Result;
use crate::arguments::{Consume, From};
use crate::format::{Format, Printed};
use crate::output;

/// What was printed leaves the buffer when nothing new came for so long.
const FLUSH_AFTER: Duration = Duration::from_millis(50);

#[derive(Debug, Serialize)]
struct Json<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, Option<String>)>,
}

/// Consumes until the count or the end is reached, or for ever.
pub(crate) async fn consume(flags: Consume) -> Result<()> {
    let format = Format::parse(&flags.format)?;
    let client = flags.broker.client()?.connect().await?;
    if let Some(group) = &flags.group {
        return group::consume(&flags, group, &client).await;
    }
    let partitions: Vec<i32> = match flags.partition {
        Some(partition) => vec![partition],
        None => (0..client.partition_count(&flags.topic).await?).collect(),
    };
    let partitions: Vec<TopicPartition> = partitions
        .into_iter()
        .map(|it| TopicPartition::new(flags.topic.as_str(), it))
        .collect();
    let from = flags.offset.unwrap_or(if flags.from_beginning {
        From::Beginning
    } else {
        From::End
    });
    let admin = client.admin();
    let starts = offsets(&admin, &partitions, OffsetSpec::Earliest).await?;
    let ends = offsets(&admin, &partitions, OffsetSpec::Latest).await?;
    let mut builder = client.consumer();
    for partition in &partitions {
        let (first, end) = (at(&starts, partition), at(&ends, partition));
        let start = match from {
            From::Beginning => Start::Earliest,
            // The end as it was asked for, so that nothing produced meanwhile is missed.
            From::End => Start::Offset(end),
            From::Offset(offset) => Start::Offset(offset),
            From::Last(records) => Start::Offset((end - records).max(first)),
        };
        builder = builder.assign(&flags.topic, partition.partition, start);
    }
    let mut consumer = builder.build().await?;
    let mut out = output::stdout();
    let mut left = flags.count.unwrap_or(u64::MAX);
    while left > 0 {
        let done = |consumer: &highwater::Consumer| {
            partitions.iter().all(|partition| {
                at(&ends, partition) <= at(&starts, partition)
                    || consumer
                        .position(partition)
                        .is_some_and(|place| place >= at(&ends, partition))
            })
        };
        if flags.exit && done(&consumer) {
            break;
        }
        let batch = match tokio::time::timeout(FLUSH_AFTER, consumer.next_batch()).await {
            Ok(batch) => batch?,
            Err(_) => {
                out.flush()?;
                continue;
            }
        };
        let Some(batch) = batch else { break };
        for record in batch.iter() {
            if left == 0 {
                break;
            }
            left -= 1;
            print(
                &mut out,
                &format,
                flags.json,
                batch.topic(),
                batch.partition(),
                &record,
            )?;
        }
    }
    Ok(out.flush()?)
}

fn at(offsets: &BTreeMap<i32, i64>, partition: &TopicPartition) -> i64 {
    offsets.get(&partition.partition).copied().unwrap_or(0)
}

async fn offsets(
    admin: &Admin,
    partitions: &[TopicPartition],
    spec: OffsetSpec,
) -> Result<BTreeMap<i32, i64>> {
    let asked = partitions.iter().map(|partition| (partition.clone(), spec));
    let mut offsets = BTreeMap::new();
    for (partition, listed) in admin.list_offsets(asked).await? {
        offsets.insert(partition.partition, listed?.offset.unwrap_or(0));
    }
    Ok(offsets)
}

fn print(
    out: &mut impl Write,
    format: &Format,
    json: bool,
    topic: &str,
    partition: i32,
    record: &RecordRef<'_>,
) -> Result<()> {
    if json {
        let shown = Json {
            topic,
            partition,
            offset: record.offset(),
            timestamp_ms: record.timestamp_ms(),
            key: record.key().map(output::text),
            value: record.value().map(output::text),
            headers: record
                .headers()
                .map(|it| (output::text(it.key), it.value.map(output::text)))
                .collect(),
        };
        return Ok(output::json_line(out, &shown)?);
    }
    let headers: Vec<(&[u8], Option<&[u8]>)> = record
        .headers()
        .map(|header| (header.key, header.value))
        .collect();
    let printed = Printed {
        topic,
        partition,
        offset: record.offset(),
        timestamp_ms: record.timestamp_ms(),
        key: record.key(),
        value: record.value(),
        headers: headers.into_iter(),
    };
    Ok(format.print(out, &printed)?)
}
