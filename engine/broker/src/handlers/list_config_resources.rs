//! ListConfigResources (KIP-1142): which resources there are to set something on. Knows the image; asks nobody.

use std::rc::Rc;

use highwater_wire::message::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};
use highwater_wire::{Array, ErrorCode};

use crate::answer::Answer;
use crate::dispatch::Context;
use crate::shard::Shard;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// Every type there is, in the order listed.
const TYPES: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

/// The version in which a client says which types it wants; before it there was one.
const TYPES_SINCE: i16 = 1;

pub(crate) async fn handle(
    shard: &Rc<Shard>,
    context: &Context,
    request: ListConfigResourcesRequest<'_>,
) -> Answer {
    let asked = |kind: i8| request.resource_types.iter().any(|asked| asked == kind);
    let wanted = |kind: &i8| {
        if context.version < TYPES_SINCE {
            *kind == CLIENT_METRICS
        } else {
            request.resource_types.is_empty() || asked(*kind)
        }
    };
    if request
        .resource_types
        .iter()
        .any(|asked| !TYPES.contains(&asked))
    {
        return context.answer(&ListConfigResourcesResponse {
            throttle_time_ms: 0,
            error_code: ErrorCode::UnsupportedVersion.id(),
            config_resources: Array::empty(),
        });
    }
    let image = shard.image();
    let node = image.node().id.to_string();
    let mut found = Vec::new();
    for kind in TYPES.iter().copied().filter(|kind| wanted(kind)) {
        let mut list = |name| {
            found.push(ConfigResource {
                resource_name: name,
                resource_type: kind,
            });
        };
        match kind {
            TOPIC => image.topics().for_each(|topic| list(&topic.name)),
            GROUP => image.group_configs().keys().for_each(|group| list(group)),
            BROKER | BROKER_LOGGER => list(&node),
            // Subscriptions to the metrics of clients are not there yet.
            _ => {}
        }
    }
    context.answer(&ListConfigResourcesResponse {
        throttle_time_ms: 0,
        error_code: ErrorCode::None.id(),
        config_resources: Array::from(found),
    })
}
