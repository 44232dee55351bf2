//! The one table: which APIs are served, in which versions, and by which handler.
//!
//! A handler gets its request decoded and gives an answer. All but Produce begin when their answer is the first in line,
//! so that one connection's requests take effect in order, as in Kafka; Produce places its batches on arrival and only
//! waits in line.

use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use highwater_wire::{ApiKey, Cursor, Decode, Response, encode_response};

use crate::answer::{Answer, Cause, Frame};
use crate::connection::{Inbound, Place};
use crate::coordination::{ManyGroups, OneGroup};
use crate::guests::Guest;
use crate::handlers;
use crate::metadata::image::{Endpoint, Node};
use crate::shard::Shard;

/// What a place in line waits for in production.
pub(crate) type Waiting = Pin<Box<dyn Future<Output = Answer>>>;

/// What a handler knows of its request besides the request.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// The API asked.
    pub(crate) api: ApiKey,
    /// The version asked.
    pub(crate) version: i16,
    /// Goes back with the answer.
    pub(crate) correlation_id: i32,
    /// The client's name for itself.
    pub(crate) client_id: Option<Arc<str>>,
    /// Whether the request's body is so long that it is worked on in turn.
    pub(crate) is_wide: bool,
    /// The connection.
    pub(crate) guest: Rc<Guest>,
}

impl Context {
    /// `response` as it leaves.
    pub(crate) fn answer<R: Response>(&self, response: &R) -> Answer {
        self.answer_in(self.version, response)
    }

    /// What this client is told of `node`: by the listener it came in.
    pub(crate) fn endpoint<'a>(&self, node: &'a Node) -> &'a Endpoint {
        node.endpoint_at(self.guest.bound_port())
    }

    /// `response` in another version than was asked: for ApiVersions alone.
    pub(crate) fn answer_in<R: Response>(&self, version: i16, response: &R) -> Answer {
        match encode_response(self.correlation_id, version, response) {
            Ok(encoded) => Answer::Frame(Frame::from(encoded)),
            Err(error) => Answer::Hangup(error.into()),
        }
    }
}

/// The longest body of any request but Produce, in bytes: a Fetch of 100,000 partitions has less. A row of some 20 bytes
/// takes up to 40 times as much while it is worked on.
const BODY_BYTES_MAX: usize = 4 << 20;

/// Longer bodies are worked on in turn.
const NARROW_BYTES: usize = 8 << 10;

macro_rules! served {
    (
        decoded { $($api:ident $versions:expr => $module:ident, $request:ident;)* }
        whole { $($whole:ident $whole_versions:expr => $handler:ident $(($asked:ident))?;)* }
    ) => {
        /// Every API that is served, with its versions.
        const SERVED: &[(ApiKey, RangeInclusive<i16>)] = &[
            (ApiKey::Produce, 3..=13),
            (ApiKey::ApiVersions, 0..=4),
            $((ApiKey::$api, $versions),)*
            $((ApiKey::$whole, $whole_versions),)*
        ];

        async fn handle(shard: Rc<Shard>, context: Context, body: Bytes) -> Answer {
            if body.len() > BODY_BYTES_MAX {
                return Answer::Hangup(Cause::TooWide { api: context.api, bytes: body.len() });
            }
            let _turn = if context.is_wide && !waits_for_others(context.api) {
                Some(shard.memory().wide_request(body.len()).await)
            } else {
                None
            };
            match context.api {
                $(ApiKey::$api => {
                    let request = highwater_wire::message::$module::$request::decode(
                        context.version,
                        &mut Cursor::new(&body),
                    );
                    match request {
                        Ok(request) => handlers::$module::handle(&shard, &context, request).await,
                        Err(error) => Answer::Hangup(error.into()),
                    }
                })*
                $(ApiKey::$whole => {
                    handlers::$handler::handle(&shard, &context, body $(, $asked::$whole)?).await
                })*
                other => unreachable!("the connection let {other} through, which is not served"),
            }
        }
    };
}

served! {
    decoded {
        Metadata 0..=13 => metadata, MetadataRequest;
        CreateTopics 2..=7 => create_topics, CreateTopicsRequest;
        DeleteTopics 1..=6 => delete_topics, DeleteTopicsRequest;
        DescribeConfigs 1..=4 => describe_configs, DescribeConfigsRequest;
        AlterConfigs 0..=2 => alter_configs, AlterConfigsRequest;
        CreatePartitions 0..=3 => create_partitions, CreatePartitionsRequest;
        IncrementalAlterConfigs 0..=1 => incremental_alter_configs, IncrementalAlterConfigsRequest;
        DescribeCluster 0..=2 => describe_cluster, DescribeClusterRequest;
        DescribeTopicPartitions 0..=0 => describe_topic_partitions, DescribeTopicPartitionsRequest;
        Fetch 4..=18 => fetch, FetchRequest;
        ListOffsets 1..=11 => list_offsets, ListOffsetsRequest;
        DeleteRecords 0..=2 => delete_records, DeleteRecordsRequest;
        InitProducerId 0..=5 => init_producer_id, InitProducerIdRequest;
        OffsetForLeaderEpoch 2..=4 => offset_for_leader_epoch, OffsetForLeaderEpochRequest;
        DescribeLogDirs 1..=5 => describe_log_dirs, DescribeLogDirsRequest;
        ListConfigResources 0..=1 => list_config_resources, ListConfigResourcesRequest;
        DescribeProducers 0..=0 => describe_producers, DescribeProducersRequest;
        FindCoordinator 0..=6 => find_coordinator, FindCoordinatorRequest;
    }
    // These are decoded where their groups live.
    whole {
        JoinGroup 0..=9 => group(OneGroup);
        SyncGroup 0..=5 => group(OneGroup);
        Heartbeat 0..=4 => group(OneGroup);
        LeaveGroup 0..=5 => group(OneGroup);
        OffsetCommit 2..=10 => group(OneGroup);
        OffsetFetch 1..=10 => offset_fetch;
        OffsetDelete 0..=0 => group(OneGroup);
        ListGroups 0..=5 => list_groups;
        DescribeGroups 0..=6 => groups(ManyGroups);
        DeleteGroups 0..=2 => groups(ManyGroups);
        ConsumerGroupHeartbeat 0..=1 => group(OneGroup);
        ConsumerGroupDescribe 0..=1 => groups(ManyGroups);
    }
}

/// Whether a request waits for other clients: it would keep the turn of those it waits for.
fn waits_for_others(api: ApiKey) -> bool {
    matches!(api, ApiKey::JoinGroup | ApiKey::SyncGroup)
}

/// The versions of an API that are answered; `None` for an API that is not served.
pub(crate) fn versions(api: ApiKey) -> Option<RangeInclusive<i16>> {
    served()
        .find(|(served, _)| *served == api)
        .map(|(_, versions)| versions)
}

/// Every API that is served, with the versions that are answered.
pub(crate) fn served() -> impl Iterator<Item = (ApiKey, RangeInclusive<i16>)> {
    SERVED.iter().cloned()
}

/// Begins a request in its turn; what is left to wait for stands in line.
pub(crate) fn begin(shard: &Rc<Shard>, guest: &Rc<Guest>, inbound: Inbound) -> Place<Waiting> {
    let context = Context {
        api: inbound.api,
        version: inbound.version,
        correlation_id: inbound.correlation_id,
        client_id: inbound.client_id,
        is_wide: inbound.body.len() > NARROW_BYTES,
        guest: Rc::clone(guest),
    };
    tracing::trace!(
        api = %context.api,
        version = context.version,
        client = context.client_id.as_deref(),
        peer = %guest.peer(),
        "request"
    );
    if context.api == ApiKey::Produce {
        return handlers::produce::begin(shard, context, inbound.body);
    }
    if context.api == ApiKey::ApiVersions {
        return Place::Answered(handlers::api_versions::handle(
            shard,
            &context,
            &inbound.body,
        ));
    }
    Place::Waiting(Box::pin(handle(Rc::clone(shard), context, inbound.body)))
}
