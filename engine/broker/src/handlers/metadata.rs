//! Metadata: who leads what. A topic that is missing may be created on the way (`auto.create.topics.enable`), and is then
//! answered complete: it is there by the time the answer leaves.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use highwater_wire::message::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use highwater_wire::{Array, ErrorCode};
use uuid::Uuid;

use crate::answer::Answer;
use crate::coordination;
use crate::dispatch::Context;
use crate::handlers::authorized;
use crate::metadata::change::{Change, NewTopic, Shape};
use crate::metadata::image::{INTERNAL_TOPICS, Image, Topic};
use crate::metadata::{self, topic_name};
use crate::shard::Shard;

/// What is asked for.
enum Asked<'a> {
    All,
    Names(BTreeSet<&'a str>),
    Ids(BTreeSet<Uuid>),
    /// Something that the version has no meaning for; the topics as they were named.
    Wrong(Vec<(Option<&'a str>, Uuid)>),
}

pub(crate) async fn handle(
    shard: &Rc<Shard>,
    context: &Context,
    request: MetadataRequest<'_>,
) -> Answer {
    let asked = asked(context.version, &request);
    let mut failed = Vec::new();
    if let Asked::Names(names) = &asked
        && request.allow_auto_topic_creation
        && shard.image().broker().auto_create_topics_enable
    {
        failed = create_missing(shard, names).await;
    }
    let image = shard.image();
    let include = request.include_topic_authorized_operations;
    let topics: Vec<MetadataResponseTopic<'_>> = match &asked {
        Asked::All => image.topics().map(|t| found(&image, t, include)).collect(),
        Asked::Names(names) => names
            .iter()
            .map(|name| match image.topic(name) {
                Some(topic) => found(&image, topic, include),
                None => {
                    let code = failed
                        .iter()
                        .find(|(failed, _)| failed == name)
                        .map_or_else(|| missing(name), |(_, code)| *code);
                    absent(code, Some(name), Uuid::nil())
                }
            })
            .collect(),
        Asked::Ids(ids) => ids
            .iter()
            .map(|id| match image.topic_by_id(id) {
                Some(topic) => found(&image, topic, include),
                None => absent(ErrorCode::UnknownTopicId, None, *id),
            })
            .collect(),
        Asked::Wrong(topics) => topics
            .iter()
            .map(|(name, id)| absent(ErrorCode::InvalidRequest, Some(name.unwrap_or("")), *id))
            .collect(),
    };
    let node = image.node();
    let endpoint = context.endpoint(node);
    context.answer(&MetadataResponse {
        throttle_time_ms: 0,
        brokers: Array::from([MetadataResponseBroker {
            node_id: node.id,
            host: &endpoint.host,
            port: i32::from(endpoint.port),
            rack: node.rack.as_deref(),
        }]),
        cluster_id: Some(image.cluster_id()),
        controller_id: node.id,
        topics: Array::from(topics),
        cluster_authorized_operations: authorized::cluster(
            request.include_cluster_authorized_operations,
        ),
        error_code: ErrorCode::None.id(),
    })
}

fn asked<'a>(version: i16, request: &MetadataRequest<'a>) -> Asked<'a> {
    let Some(topics) = &request.topics else {
        return Asked::All;
    };
    if version == 0 && topics.is_empty() {
        return Asked::All;
    }
    // Ids are part of versions 10 and 11 and must not be used in them (KAFKA-10774).
    if version < 12
        && topics
            .iter()
            .any(|t| t.name.is_none() || !t.topic_id.is_nil())
    {
        return Asked::Wrong(topics.iter().map(|t| (t.name, t.topic_id)).collect());
    }
    let ids: BTreeSet<Uuid> = topics
        .iter()
        .map(|topic| topic.topic_id)
        .filter(|id| !id.is_nil())
        .collect();
    if ids.is_empty() {
        Asked::Names(topics.iter().filter_map(|topic| topic.name).collect())
    } else {
        Asked::Ids(ids)
    }
}

/// Creates what is missing of `names`; which could not be created, and why.
async fn create_missing(shard: &Rc<Shard>, names: &BTreeSet<&str>) -> Vec<(String, ErrorCode)> {
    let image = shard.image();
    let missing: Vec<NewTopic> = names
        .iter()
        .filter(|name| image.topic(name).is_none() && topic_name::check(name).is_ok())
        .map(|name| match *name {
            coordination::OFFSETS_TOPIC => coordination::new_topic(&image),
            name => NewTopic {
                name: name.to_owned(),
                shape: Shape::DEFAULT,
                configs: Vec::new(),
            },
        })
        .collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let outcomes = metadata::request(shard, Change::CreateTopics(missing.clone()), false)
        .await
        .topics();
    missing
        .into_iter()
        .zip(outcomes)
        .filter_map(|(topic, outcome)| {
            let refused = outcome.err()?;
            // Somebody else was quicker: it is there.
            (refused.code != ErrorCode::TopicAlreadyExists).then_some((topic.name, refused.code))
        })
        .collect()
}

/// The code of a name that no topic has.
pub(super) fn missing(name: &str) -> ErrorCode {
    match topic_name::check(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    }
}

fn found<'a>(image: &Image, topic: &'a Arc<Topic>, include: bool) -> MetadataResponseTopic<'a> {
    let replicas = [image.node().id];
    MetadataResponseTopic {
        error_code: ErrorCode::None.id(),
        name: Some(&topic.name),
        topic_id: topic.id,
        is_internal: topic.is_internal,
        partitions: (0..)
            .zip(&topic.partitions)
            .map(|(index, partition)| MetadataResponsePartition {
                error_code: ErrorCode::None.id(),
                partition_index: index,
                leader_id: image.node().id,
                leader_epoch: partition.leader_epoch.get(),
                replica_nodes: Array::from(replicas),
                isr_nodes: Array::from(replicas),
                offline_replicas: Array::empty(),
            })
            .collect(),
        topic_authorized_operations: authorized::topic(include),
    }
}

fn absent(code: ErrorCode, name: Option<&str>, id: Uuid) -> MetadataResponseTopic<'_> {
    MetadataResponseTopic {
        error_code: code.id(),
        name,
        topic_id: id,
        is_internal: name.is_some_and(|name| INTERNAL_TOPICS.contains(&name)),
        partitions: Array::empty(),
        topic_authorized_operations: authorized::topic(false),
    }
}
