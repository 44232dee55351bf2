//! DeleteTopics: by name, and from version 6 on by name or id (KIP-516).

use std::rc::Rc;

use highwater_wire::message::delete_topics::{
    DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse,
};
use highwater_wire::{Array, ErrorCode};
use uuid::Uuid;

use crate::answer::Answer;
use crate::dispatch::Context;
use crate::metadata;
use crate::metadata::change::{Change, Refused, TopicName};
use crate::shard::Shard;

pub(crate) async fn handle(
    shard: &Rc<Shard>,
    context: &Context,
    request: DeleteTopicsRequest<'_>,
) -> Answer {
    let names: Vec<TopicName> = if context.version >= 6 {
        request
            .topics
            .iter()
            .map(|t| name(t.name, t.topic_id))
            .collect()
    } else {
        request
            .topic_names
            .iter()
            .map(|name| TopicName::Name(name.to_owned()))
            .collect()
    };
    let change = Change::DeleteTopics(names.clone());
    let outcome = if shard.image().broker().delete_topic_enable {
        metadata::request(shard, change, false).await
    } else {
        // Older clients know the newer code as no error of theirs.
        let code = if context.version < 3 {
            ErrorCode::InvalidRequest
        } else {
            ErrorCode::TopicDeletionDisabled
        };
        change.refuse_all(&Refused::new(code, "Topic deletion is disabled."))
    };
    let outcomes = outcome.topics();
    let responses: Vec<DeletableTopicResult<'_>> = names
        .iter()
        .zip(&outcomes)
        .map(|(name, outcome)| {
            let (asked_name, asked_id) = match name {
                TopicName::Name(name) => (Some(name.as_str()), Uuid::nil()),
                TopicName::Id(id) => (None, *id),
                TopicName::Unclear { name, id } => (name.as_deref(), *id),
            };
            match outcome {
                Ok(topic) => DeletableTopicResult {
                    name: Some(&topic.name),
                    topic_id: topic.id,
                    error_code: ErrorCode::None.id(),
                    error_message: None,
                },
                Err(refused) => DeletableTopicResult {
                    name: asked_name,
                    topic_id: asked_id,
                    error_code: refused.code.id(),
                    error_message: Some(refused.text()),
                },
            }
        })
        .collect();
    context.answer(&DeleteTopicsResponse {
        throttle_time_ms: 0,
        responses: Array::from(responses),
    })
}

fn name(name: Option<&str>, id: Uuid) -> TopicName {
    match name {
        Some(name) if id.is_nil() => TopicName::Name(name.to_owned()),
        None if !id.is_nil() => TopicName::Id(id),
        name => TopicName::Unclear {
            name: name.map(str::to_owned),
            id,
        },
    }
}
