//! DescribeTopicPartitions (KIP-966): topics and partitions in pages, so that no answer grows with the cluster.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use highwater_wire::message::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use highwater_wire::{Array, ErrorCode};
use uuid::Uuid;

use crate::answer::Answer;
use crate::dispatch::Context;
use crate::handlers::{authorized, metadata::missing};
use crate::metadata::image::{INTERNAL_TOPICS, Image, Topic};
use crate::shard::Shard;

/// A name asked for, and the topic if there is one.
type Named<'a> = (&'a str, Option<&'a Arc<Topic>>);

pub(crate) async fn handle(
    shard: &Rc<Shard>,
    context: &Context,
    request: DescribeTopicPartitionsRequest<'_>,
) -> Answer {
    let image = shard.image();
    let names: BTreeSet<&str> = request.topics.iter().map(|topic| topic.name).collect();
    let all = names.is_empty();
    let (from, first) = request.cursor.as_ref().map_or(("", 0), |cursor| {
        (cursor.topic_name, cursor.partition_index)
    });
    let stray = !all && request.cursor.is_some() && !names.contains(from);
    let Ok(first) = usize::try_from(first) else {
        return context.answer(&refusal(&names));
    };
    if stray {
        return context.answer(&refusal(&names));
    }
    let most = image.broker().described_partitions_max;
    let asked = u32::try_from(request.response_partition_limit).unwrap_or(1);
    let limit = usize::try_from(asked.min(most).max(1)).unwrap_or(usize::MAX);
    let page = if all {
        let topics = image
            .topics_from(from)
            .map(|topic| (&*topic.name, Some(topic)));
        page(&image, topics, from, first, limit)
    } else {
        let topics = names.range(from..).map(|name| (*name, image.topic(name)));
        page(&image, topics, from, first, limit)
    };
    context.answer(&page)
}

fn page<'a>(
    image: &'a Image,
    topics: impl Iterator<Item = Named<'a>>,
    from: &str,
    first: usize,
    limit: usize,
) -> DescribeTopicPartitionsResponse<'a> {
    let mut left = limit;
    let mut described = Vec::new();
    let mut next_cursor = None;
    for (name, topic) in topics {
        if left == 0 {
            next_cursor = Some((name, 0));
            break;
        }
        let Some(topic) = topic else {
            described.push(absent(missing(name), name));
            continue;
        };
        let first = if name == from { first } else { 0 };
        let last = topic.partitions.len().min(first.saturating_add(left));
        described.push(found(image, topic, first, last));
        if last < topic.partitions.len() {
            next_cursor = Some((name, last));
            break;
        }
        left -= last.saturating_sub(first);
    }
    DescribeTopicPartitionsResponse {
        throttle_time_ms: 0,
        topics: Array::from(described),
        next_cursor: next_cursor.map(|(topic_name, index)| Cursor {
            topic_name,
            partition_index: i32::try_from(index).unwrap_or(i32::MAX),
        }),
    }
}

fn found<'a>(
    image: &Image,
    topic: &'a Topic,
    first: usize,
    last: usize,
) -> DescribeTopicPartitionsResponseTopic<'a> {
    let replicas = [image.node().id];
    DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::None.id(),
        name: Some(&topic.name),
        topic_id: topic.id,
        is_internal: topic.is_internal,
        partitions: (0..)
            .zip(&topic.partitions)
            .take(last)
            .skip(first)
            .map(
                |(index, partition)| DescribeTopicPartitionsResponsePartition {
                    error_code: ErrorCode::None.id(),
                    partition_index: index,
                    leader_id: image.node().id,
                    leader_epoch: partition.leader_epoch.get(),
                    replica_nodes: Array::from(replicas),
                    isr_nodes: Array::from(replicas),
                    eligible_leader_replicas: Some(Array::empty()),
                    last_known_elr: Some(Array::empty()),
                    offline_replicas: Array::empty(),
                },
            )
            .collect(),
        topic_authorized_operations: authorized::topic(true),
    }
}

fn absent(code: ErrorCode, name: &str) -> DescribeTopicPartitionsResponseTopic<'_> {
    DescribeTopicPartitionsResponseTopic {
        error_code: code.id(),
        name: Some(name),
        topic_id: Uuid::nil(),
        is_internal: INTERNAL_TOPICS.contains(&name),
        partitions: Array::empty(),
        topic_authorized_operations: authorized::topic(true),
    }
}

/// A cursor that points nowhere: every topic is answered with the refusal, there being no place for one of the whole.
fn refusal<'a>(names: &BTreeSet<&'a str>) -> DescribeTopicPartitionsResponse<'a> {
    DescribeTopicPartitionsResponse {
        throttle_time_ms: 0,
        topics: names
            .iter()
            .map(|name| absent(ErrorCode::InvalidRequest, name))
            .collect(),
        next_cursor: None,
    }
}
