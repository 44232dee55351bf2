//! AlterConfigs, the older way: what is not named is reset. Its successor is IncrementalAlterConfigs.

use std::rc::Rc;

use highwater_wire::message::alter_configs::{
    AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse,
};
use highwater_wire::{Array, ErrorCode};

use crate::answer::Answer;
use crate::dispatch::Context;
use crate::metadata;
use crate::metadata::change::{Alteration, Change, Operation};
use crate::shard::Shard;

pub(crate) async fn handle(
    shard: &Rc<Shard>,
    context: &Context,
    request: AlterConfigsRequest<'_>,
) -> Answer {
    let alterations: Vec<Alteration> = request
        .resources
        .iter()
        .map(|resource| Alteration {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.to_owned(),
            operations: resource
                .configs
                .iter()
                .map(|config| {
                    let value = config.value.map(str::to_owned);
                    (config.name.to_owned(), Operation::Set, value)
                })
                .collect(),
            replaces_all: true,
        })
        .collect();
    let change = Change::AlterConfigs(alterations.clone());
    let outcomes = metadata::request(shard, change, request.validate_only)
        .await
        .configs();
    let responses: Vec<AlterConfigsResourceResponse<'_>> = alterations
        .iter()
        .zip(&outcomes)
        .map(|(alteration, outcome)| AlterConfigsResourceResponse {
            error_code: outcome
                .as_ref()
                .map_or_else(|refused| refused.code, |()| ErrorCode::None)
                .id(),
            error_message: outcome.as_ref().err().map(|refused| refused.text()),
            resource_type: alteration.resource_type,
            resource_name: &alteration.resource_name,
        })
        .collect();
    context.answer(&AlterConfigsResponse {
        throttle_time_ms: 0,
        responses: Array::from(responses),
    })
}
