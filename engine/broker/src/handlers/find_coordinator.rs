//! FindCoordinator: who coordinates a group. On one node it is always this one, once there is a place for what it writes: the
//! topic `__consumer_offsets` is made on the way, and is there by the time the answer leaves.
//!
//! Transactions and share groups do not exist here. Who asks for their coordinators is told so with a code that clients take
//! for final, as with InitProducerId.

use std::rc::Rc;

use highwater_wire::message::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use highwater_wire::{Array, ErrorCode};

use crate::answer::Answer;
use crate::coordination;
use crate::dispatch::Context;
use crate::metadata::image::Endpoint;
use crate::shard::Shard;

/// Kinds of keys (`CoordinatorType.java`).
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// The first version that names many keys (KIP-699).
const MANY_SINCE: i16 = 4;

pub(crate) async fn handle(
    shard: &Rc<Shard>,
    context: &Context,
    request: FindCoordinatorRequest<'_>,
) -> Answer {
    let found = match request.key_type {
        GROUP => coordination::find_or_create(shard).await.map(drop),
        TRANSACTION => Err(ErrorCode::UnsupportedVersion),
        // Share groups where there are none, and kinds that nobody knows (`KafkaApis.getCoordinator`).
        _ => Err(ErrorCode::InvalidRequest),
    };
    let image = shard.image();
    let node_id = image.node().id;
    let endpoint = context.endpoint(image.node());
    if context.version >= MANY_SINCE {
        let keys = request.coordinator_keys.iter();
        let coordinators = keys.map(|key| coordinator(key, found, node_id, endpoint));
        return context.answer(&FindCoordinatorResponse {
            coordinators: coordinators.collect(),
            ..FindCoordinatorResponse::default()
        });
    }
    let one = coordinator(request.key, found, node_id, endpoint);
    context.answer(&FindCoordinatorResponse {
        error_code: one.error_code,
        error_message: one.error_message,
        node_id: one.node_id,
        host: one.host,
        port: one.port,
        throttle_time_ms: 0,
        coordinators: Array::empty(),
    })
}

fn coordinator<'a>(
    key: &'a str,
    found: Result<(), ErrorCode>,
    node_id: i32,
    endpoint: &'a Endpoint,
) -> Coordinator<'a> {
    match found {
        Ok(()) => Coordinator {
            key,
            node_id,
            host: &endpoint.host,
            port: i32::from(endpoint.port),
            error_code: ErrorCode::None.id(),
            error_message: None,
        },
        Err(code) => Coordinator {
            key,
            node_id: -1,
            host: "",
            port: -1,
            error_code: code.id(),
            error_message: Some(code.message()),
        },
    }
}
