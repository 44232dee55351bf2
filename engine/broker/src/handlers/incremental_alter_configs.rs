//! IncrementalAlterConfigs (KIP-339): settings set, reset, appended to and subtracted from, one by one.

use std::rc::Rc;

use highwater_wire::message::incremental_alter_configs::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
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
    request: IncrementalAlterConfigsRequest<'_>,
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
                    let operation = Operation::from_wire(config.config_operation);
                    let value = config.value.map(str::to_owned);
                    (config.name.to_owned(), operation, value)
                })
                .collect(),
            replaces_all: false,
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
    context.answer(&IncrementalAlterConfigsResponse {
        throttle_time_ms: 0,
        responses: Array::from(responses),
    })
}
