//! DescribeCluster (KIP-700): which brokers there are, without asking for topics.

use std::rc::Rc;

use highwater_wire::message::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};
use highwater_wire::{Array, ErrorCode};

use crate::answer::Answer;
use crate::dispatch::Context;
use crate::handlers::authorized;
use crate::shard::Shard;

/// Endpoints of brokers, as the request numbers them.
const BROKERS: i8 = 1;
/// Endpoints of controllers.
const CONTROLLERS: i8 = 2;

pub(crate) async fn handle(
    shard: &Rc<Shard>,
    context: &Context,
    request: DescribeClusterRequest,
) -> Answer {
    let image = shard.image();
    let node = image.node();
    let endpoint = context.endpoint(node);
    let (code, message) = match request.endpoint_type {
        BROKERS => (ErrorCode::None, None),
        CONTROLLERS => (
            ErrorCode::MismatchedEndpointType,
            Some("The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER".to_owned()),
        ),
        other => (
            ErrorCode::UnsupportedEndpointType,
            Some(format!("Unsupported endpoint type {other}")),
        ),
    };
    let answered = code == ErrorCode::None;
    let brokers = [DescribeClusterBroker {
        broker_id: node.id,
        host: &endpoint.host,
        port: i32::from(endpoint.port),
        rack: node.rack.as_deref(),
        is_fenced: false,
    }];
    context.answer(&DescribeClusterResponse {
        throttle_time_ms: 0,
        error_code: code.id(),
        error_message: message.as_deref(),
        endpoint_type: BROKERS,
        cluster_id: if answered { image.cluster_id() } else { "" },
        controller_id: if answered { node.id } else { -1 },
        brokers: if answered {
            Array::from(brokers)
        } else {
            Array::empty()
        },
        cluster_authorized_operations: authorized::cluster(
            request.include_cluster_authorized_operations,
        ),
    })
}
