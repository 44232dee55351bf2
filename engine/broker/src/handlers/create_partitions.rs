//! CreatePartitions: more partitions for topics that are there.

use std::rc::Rc;

use highwater_wire::message::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use highwater_wire::{Array, ErrorCode};

use crate::answer::Answer;
use crate::dispatch::Context;
use crate::metadata;
use crate::metadata::change::{Change, MorePartitions};
use crate::shard::Shard;

pub(crate) async fn handle(
    shard: &Rc<Shard>,
    context: &Context,
    request: CreatePartitionsRequest<'_>,
) -> Answer {
    let topics: Vec<MorePartitions> = request
        .topics
        .iter()
        .map(|topic| MorePartitions {
            name: topic.name.to_owned(),
            count: topic.count,
            assignments: topic
                .assignments
                .as_ref()
                .map(|all| all.iter().map(|one| one.broker_ids.to_vec()).collect()),
        })
        .collect();
    let change = Change::CreatePartitions(topics.clone());
    let outcomes = metadata::request(shard, change, request.validate_only)
        .await
        .topics();
    let results: Vec<CreatePartitionsTopicResult<'_>> = topics
        .iter()
        .zip(&outcomes)
        .map(|(topic, outcome)| CreatePartitionsTopicResult {
            name: &topic.name,
            error_code: outcome
                .as_ref()
                .map_or_else(|refused| refused.code, |_| ErrorCode::None)
                .id(),
            error_message: outcome.as_ref().err().map(|refused| refused.text()),
        })
        .collect();
    context.answer(&CreatePartitionsResponse {
        throttle_time_ms: 0,
        results: Array::from(results),
    })
}
