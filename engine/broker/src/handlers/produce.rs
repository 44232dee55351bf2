//! Produce (0): batches checked on the connection's shard, placed on the shards of their partitions, promised when they
//! are as safe as `acks` demands.
//!
//! Knows Kafka's rules of what a Produce may hold; what a partition demands of a batch is the partition's.
//!
//! ```text
//!   begin()   decode ─ check each batch ─ one Append per shard ─ placed: order is fixed here
//!   rest      ...................................................... wait for durability ─ answer
//! ```

mod append;

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use highwater_reactor::ShardId;
use highwater_record::{Codec, HEADER_BYTES, OwnedBatch};
use highwater_wire::message::produce::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceResponse,
};
use highwater_wire::{Array, Cursor, Decode, ErrorCode};
use smallvec::SmallVec;
use uuid::Uuid;

use self::append::{Entry, Outcome, Outcomes};
use crate::answer::{self, Answer, Cause};
use crate::connection::Place;
use crate::dispatch::{Context, Waiting};
use crate::errand;
use crate::metadata::image::Topic;
use crate::route;
use crate::shard::Shard;

pub(crate) use self::append::Append;

/// The first version whose clients know zstd (KIP-110).
const ZSTD_SINCE: i16 = 7;

/// The first version that names topics by id (KIP-516).
const IDS_SINCE: i16 = 13;

/// Who calls itself so may write to internal topics (`AdminUtils.ADMIN_CLIENT_ID`).
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// Rows that a request may have without a batch in them.
const FREE_ROWS: usize = 1000;

/// One partition's row of the answer, in the order of the request.
struct Row {
    index: i32,
    outcome: Option<Outcome>,
}

/// One topic of the answer.
struct TopicRows {
    name: Arc<str>,
    id: Uuid,
    rows: SmallVec<[Row; 1]>,
}

/// Places the request's batches and gives the wait for their promise.
pub(crate) fn begin(shard: &Rc<Shard>, context: Context, body: Bytes) -> Place<Waiting> {
    let request = match ProduceRequest::decode(context.version, &mut Cursor::new(&body)) {
        Ok(request) => request,
        Err(error) => return Place::Answered(Answer::Hangup(error.into())),
    };
    let rows: usize = request
        .topic_data
        .iter()
        .map(|topic| topic.partition_data.len() + 1)
        .sum();
    if rows > FREE_ROWS && rows * HEADER_BYTES > body.len() {
        // More rows than can hold a batch: nothing but work and memory.
        let (api, bytes) = (context.api, body.len());
        return Place::Answered(Answer::Hangup(Cause::TooWide { api, bytes }));
    }
    let acks = request.acks;
    let may_write_internal = context.client_id.as_deref() == Some(ADMIN_CLIENT_ID);
    let until = shard.reactor().now()
        + Duration::from_millis(request.timeout_ms.max(0).cast_unsigned().into());
    let promise_until = (acks == -1).then_some(until);
    let mut topics: Vec<TopicRows> = Vec::with_capacity(1);
    let mut posts: SmallVec<[(ShardId, SmallVec<[Entry; 1]>); 2]> = SmallVec::new();
    let image = shard.image();
    for topic in request.topic_data.iter() {
        let known = if context.version >= IDS_SINCE {
            image.topic_by_id(&topic.topic_id)
        } else {
            image.topic(topic.name)
        };
        let mut rows = TopicRows {
            name: known.map_or_else(|| Arc::from(topic.name), |known| known.name.clone()),
            id: known.map_or(topic.topic_id, |known| known.id),
            rows: SmallVec::new(),
        };
        for data in topic.partition_data.iter() {
            let outcome = match judge(
                context.version,
                may_write_internal,
                acks,
                known.map(|k| &**k),
                &body,
                &data,
            ) {
                Ok(batch) => {
                    let (topic_id, partition) = (rows.id, data.index);
                    let row = (topics.len(), rows.rows.len());
                    let entry = Entry {
                        topic_id,
                        partition,
                        batch,
                        row,
                    };
                    let to = route::owner(shard, &topic_id, partition);
                    match posts.iter_mut().find(|(shard, _)| *shard == to) {
                        Some((_, entries)) => entries.push(entry),
                        None => posts.push((to, SmallVec::from_iter([entry]))),
                    }
                    None
                }
                Err(outcome) => Some(outcome),
            };
            rows.rows.push(Row {
                index: data.index,
                outcome,
            });
        }
        topics.push(rows);
    }
    drop(body);
    let (mut here, mut there) = (None, SmallVec::<[_; 1]>::new());
    for (to, entries) in posts {
        let append = Append {
            entries,
            promise_until,
        };
        if to == shard.id() {
            match append.place(shard).finished() {
                Ok(outcomes) => fill(&mut topics, outcomes),
                Err(placed) => here = Some(placed),
            }
        } else {
            there.push(errand::begin(shard, to, append));
        }
    }
    if here.is_none() && there.is_empty() {
        return Place::Answered(finish(&context, acks, &topics));
    }
    let reactor = shard.reactor().clone();
    Place::Waiting(Box::pin(async move {
        if let Some(placed) = here {
            fill(&mut topics, placed.keep(&reactor, promise_until).await);
        }
        for wait in there {
            // A shard that has gone leaves its rows empty, and they are answered as such.
            fill(&mut topics, wait.await.unwrap_or_default());
        }
        finish(&context, acks, &topics)
    }))
}

fn fill(topics: &mut [TopicRows], outcomes: Outcomes) {
    for ((topic, row), outcome) in outcomes {
        if let Some(row) = topics.get_mut(topic).and_then(|t| t.rows.get_mut(row)) {
            row.outcome = Some(outcome);
        }
    }
}

/// One partition's batch, or what speaks against it before its partition is asked.
fn judge(
    version: i16,
    may_write_internal: bool,
    acks: i16,
    topic: Option<&Topic>,
    body: &Bytes,
    data: &PartitionProduceData<'_>,
) -> Result<OwnedBatch, Outcome> {
    if acks != 0 && acks != 1 && acks != -1 {
        return Err(Outcome::failed(ErrorCode::InvalidRequiredAcks, None));
    }
    let Some(topic) = topic else {
        let unknown = if version >= IDS_SINCE {
            ErrorCode::UnknownTopicId
        } else {
            ErrorCode::UnknownTopicOrPartition
        };
        return Err(Outcome::failed(unknown, None));
    };
    if topic.is_internal && !may_write_internal {
        let message = Cow::Borrowed("clients do not write to internal topics");
        return Err(Outcome::failed(ErrorCode::InvalidTopicException, message));
    }
    if acks == -1 && topic.config.min_insync_replicas > 1 {
        // There is one replica, and it is in sync.
        let message = "min.insync.replicas asks for more replicas than the one there is";
        return Err(Outcome::failed(
            ErrorCode::NotEnoughReplicas,
            Cow::Borrowed(message),
        ));
    }
    if !route::has_partition(topic, data.index) {
        return Err(Outcome::failed(ErrorCode::UnknownTopicOrPartition, None));
    }
    let bytes = data.records.as_ref().and_then(|records| records.borrowed());
    check(version, body, bytes.unwrap_or_default())
}

/// One partition's bytes as the only batch they may be.
fn check(version: i16, body: &Bytes, bytes: &[u8]) -> Result<OwnedBatch, Outcome> {
    let invalid = |message| Outcome::failed(ErrorCode::InvalidRecord, Cow::Borrowed(message));
    if bytes.is_empty() {
        return Err(invalid(
            "produce requests must have exactly one record batch per partition, found none",
        ));
    }
    let batch = OwnedBatch::check(body.slice_ref(bytes)).map_err(|defect| {
        Outcome::failed(answer::defect(&defect), Cow::Owned(defect.to_string()))
    })?;
    if batch.as_batch().len() < bytes.len() {
        return Err(invalid(
            "produce requests must have exactly one record batch per partition, found more",
        ));
    }
    if version < ZSTD_SINCE
        && matches!(
            batch.as_batch().header().attributes().codec(),
            Ok(Codec::Zstd)
        )
    {
        return Err(Outcome::failed(
            ErrorCode::UnsupportedCompressionType,
            Cow::Borrowed("produce requests with version below 7 may not use zstd"),
        ));
    }
    Ok(batch)
}

fn finish(context: &Context, acks: i16, topics: &[TopicRows]) -> Answer {
    let gone = Outcome::failed(ErrorCode::NotLeaderOrFollower, None);
    if acks == 0 {
        let failed = topics
            .iter()
            .flat_map(|topic| &topic.rows)
            .map(|row| row.outcome.as_ref().unwrap_or(&gone).error)
            .find(|error| *error != ErrorCode::None);
        return match failed {
            Some(error) => Answer::Hangup(Cause::Unacknowledged(error)),
            None => Answer::Silence,
        };
    }
    let responses: Vec<TopicProduceResponse<'_>> = topics
        .iter()
        .map(|topic| TopicProduceResponse {
            name: &topic.name,
            topic_id: topic.id,
            partition_responses: topic
                .rows
                .iter()
                .map(|row| response(row.index, row.outcome.as_ref().unwrap_or(&gone)))
                .collect(),
        })
        .collect();
    context.answer(&ProduceResponse {
        responses: responses.into(),
        ..ProduceResponse::default()
    })
}

fn response(index: i32, outcome: &Outcome) -> PartitionProduceResponse<'_> {
    let message = outcome.message.as_deref();
    PartitionProduceResponse {
        index,
        error_code: outcome.error.id(),
        base_offset: outcome.base_offset,
        log_append_time_ms: outcome.log_append_time_ms,
        log_start_offset: outcome.log_start_offset,
        record_errors: match outcome.record {
            Some(batch_index) => Array::from([BatchIndexAndErrorMessage {
                batch_index,
                batch_index_error_message: message,
            }]),
            None => Array::empty(),
        },
        error_message: message,
        ..PartitionProduceResponse::default()
    }
}
