//! CreateTopics: new topics, each with its own outcome, and from version 5 on what it was created with (KIP-525).

use std::rc::Rc;

use highwater_wire::message::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};
use highwater_wire::{Array, ErrorCode};
use uuid::Uuid;

use crate::answer::Answer;
use crate::config::{InForce, Layers, Overrides, topics};
use crate::dispatch::Context;
use crate::metadata::change::{Change, NewTopic, Refused, Shape, TopicOutcome};
use crate::metadata::{self, image::Image};
use crate::shard::Shard;

pub(crate) async fn handle(
    shard: &Rc<Shard>,
    context: &Context,
    request: CreateTopicsRequest<'_>,
) -> Answer {
    let asked: Vec<NewTopic> = request
        .topics
        .iter()
        .map(|topic| new_topic(&topic))
        .collect();
    let change = Change::CreateTopics(asked.clone());
    let outcomes = metadata::request(shard, change, request.validate_only)
        .await
        .topics();
    let image = shard.image();
    let configs: Vec<Vec<InForce>> = asked
        .iter()
        .zip(&outcomes)
        .map(|(topic, outcome)| match outcome {
            Ok(_) if context.version >= 5 => in_force(&image, topic),
            Ok(_) | Err(_) => Vec::new(),
        })
        .collect();
    let topics: Vec<CreatableTopicResult<'_>> = asked
        .iter()
        .zip(&outcomes)
        .zip(&configs)
        .map(|((topic, outcome), configs)| result(topic, outcome, configs, request.validate_only))
        .collect();
    context.answer(&CreateTopicsResponse {
        throttle_time_ms: 0,
        topics: Array::from(topics),
    })
}

fn new_topic(topic: &CreatableTopic<'_>) -> NewTopic {
    NewTopic {
        name: topic.name.to_owned(),
        shape: Shape {
            partitions: topic.num_partitions,
            replication_factor: topic.replication_factor,
            assignments: topic
                .assignments
                .iter()
                .map(|a| (a.partition_index, a.broker_ids.to_vec()))
                .collect(),
        },
        configs: topic
            .configs
            .iter()
            .map(|config| (config.name.to_owned(), config.value.map(str::to_owned)))
            .collect(),
    }
}

/// The settings the topic has, or would have if it were created.
fn in_force(image: &Image, topic: &NewTopic) -> Vec<InForce> {
    let overrides: Overrides = topic
        .configs
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
        .collect();
    let layers = Layers {
        topic: Some(&overrides),
        ..image.layers()
    };
    topics::TOPICS
        .iter()
        .filter_map(|entry| {
            let found = layers.get(entry)?;
            Some(InForce {
                name: entry.name,
                ..found
            })
        })
        .collect()
}

fn result<'a>(
    topic: &'a NewTopic,
    outcome: &'a Result<TopicOutcome, Refused>,
    configs: &'a [InForce],
    validate_only: bool,
) -> CreatableTopicResult<'a> {
    match outcome {
        Ok(created) => CreatableTopicResult {
            name: &topic.name,
            topic_id: if validate_only {
                Uuid::nil()
            } else {
                created.id
            },
            error_code: ErrorCode::None.id(),
            error_message: None,
            topic_config_error_code: ErrorCode::None.id(),
            num_partitions: created.partitions,
            replication_factor: 1,
            configs: Some(
                configs
                    .iter()
                    .map(|found| CreatableTopicConfigs {
                        name: found.name,
                        value: Some(&found.value),
                        read_only: false,
                        config_source: found.source.wire_id(),
                        is_sensitive: false,
                    })
                    .collect(),
            ),
        },
        Err(refused) => CreatableTopicResult {
            name: &topic.name,
            topic_id: Uuid::nil(),
            error_code: refused.code.id(),
            error_message: Some(refused.text()),
            topic_config_error_code: ErrorCode::None.id(),
            num_partitions: -1,
            replication_factor: -1,
            // Not null: librdkafka and others read null as "may not be seen".
            configs: Some(Array::empty()),
        },
    }
}
