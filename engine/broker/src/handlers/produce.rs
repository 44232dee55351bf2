//! Produce (0): batches checked on the connection's shard, placed on the shards of their partitions, promised when they
//! are as safe as `acks` demands.
//!
//! Knows Kafka's rules of what a Produce may hold; what a partition demands of a batch is the partition's.
//!
//! ```text
//!   begin()   decode ─ check each batch ─ one Append per shard ─ placed: order is fixed here
//!   rest      ...................................................... wait for durability ─ answer
//! ```

use std::borrow::Cow;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use highwater_partition::{Origin, Partition, Refusal};
use highwater_reactor::{Instant, ShardId};
use highwater_record::{Codec, Offset, OwnedBatch};
use highwater_wire::message::produce::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceResponse,
};
use highwater_wire::{Array, Cursor, Decode, ErrorCode};
use smallvec::SmallVec;
use uuid::Uuid;

use crate::answer::{self, Answer, Cause};
use crate::connection::Place;
use crate::dispatch::{Context, Waiting};
use crate::errand::{self, Errand};
use crate::route;
use crate::shard::Shard;

/// The first version whose clients know zstd (KIP-110).
const ZSTD_SINCE: i16 = 7;

/// The first version that names topics by id (KIP-516).
const IDS_SINCE: i16 = 13;

/// What became of one partition of the request.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    error: ErrorCode,
    message: Option<Cow<'static, str>>,
    base_offset: i64,
    log_append_time_ms: i64,
    log_start_offset: i64,
    /// The record the error is about, where one record is to blame.
    record: Option<i32>,
}

impl Outcome {
    fn failed(error: ErrorCode, message: impl Into<Option<Cow<'static, str>>>) -> Outcome {
        Outcome {
            error,
            message: message.into(),
            base_offset: -1,
            log_append_time_ms: -1,
            log_start_offset: -1,
            record: None,
        }
    }
}

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

/// A batch on its way to its partition.
pub(crate) struct Entry {
    topic_id: Uuid,
    partition: i32,
    batch: OwnedBatch,
    /// Topic and partition rows of the answer.
    row: (usize, usize),
}

/// Batches for partitions of one shard.
pub(crate) struct Append {
    entries: SmallVec<[Entry; 1]>,
    /// Until when to wait for the promise; `None` where placing is enough.
    promise_until: Option<Instant>,
}

impl Errand for Append {
    type Answer = SmallVec<[((usize, usize), Outcome); 1]>;

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = Self::Answer> + use<> {
        let mut outcomes = SmallVec::with_capacity(self.entries.len());
        let mut promised: SmallVec<[(usize, Partition, Offset); 1]> = SmallVec::new();
        for entry in self.entries {
            let outcome = match shard.partition_or_error(&entry.topic_id, entry.partition) {
                Ok(partition) => match partition.produce(entry.batch.as_batch(), Origin::Client) {
                    Ok(admission) => {
                        if self.promise_until.is_some() && !partition.is_committed(admission.end())
                        {
                            promised.push((outcomes.len(), partition, admission.end()));
                        }
                        Outcome {
                            error: ErrorCode::None,
                            message: None,
                            base_offset: admission.base().get(),
                            log_append_time_ms: admission.log_append_time_ms().unwrap_or(-1),
                            log_start_offset: admission.log_start().get(),
                            record: None,
                        }
                    }
                    Err(refusal) => refused(&refusal),
                },
                Err(error) => Outcome::failed(error, None),
            };
            outcomes.push((entry.row, outcome));
        }
        let reactor = shard.reactor().clone();
        let until = self.promise_until;
        async move {
            for (at, partition, end) in promised {
                let left = until.map_or(Duration::ZERO, |until| until - reactor.now());
                let error = match reactor.timeout(left, partition.committed(end)).await {
                    Some(Ok(())) => continue,
                    Some(Err(lost)) => answer::lost(&lost),
                    None => ErrorCode::RequestTimedOut,
                };
                if let Some((_, outcome)) = outcomes.get_mut(at) {
                    *outcome = Outcome::failed(error, None);
                }
            }
            outcomes
        }
    }
}

fn refused(refusal: &Refusal) -> Outcome {
    let record = refusal
        .record()
        .and_then(|record| i32::try_from(record).ok());
    let message = Cow::Owned(refusal.to_string());
    Outcome {
        record,
        ..Outcome::failed(answer::refusal(refusal), message)
    }
}

/// Places the request's batches and gives the wait for their promise.
pub(crate) fn begin(shard: &Rc<Shard>, context: Context, body: Bytes) -> Place<Waiting> {
    let request = match ProduceRequest::decode(context.version, &mut Cursor::new(&body)) {
        Ok(request) => request,
        Err(error) => return Place::Answered(Answer::Hangup(error.into())),
    };
    let acks = request.acks;
    let until = shard.reactor().now()
        + Duration::from_millis(request.timeout_ms.max(0).cast_unsigned().into());
    let promise_until = (acks == -1).then_some(until);
    let mut topics: Vec<TopicRows> = Vec::new();
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
        for partition in topic.partition_data.iter() {
            let checked = if acks != 0 && acks != 1 && acks != -1 {
                Err(Outcome::failed(ErrorCode::InvalidRequiredAcks, None))
            } else {
                match known {
                    None if context.version >= IDS_SINCE => {
                        Err(Outcome::failed(ErrorCode::UnknownTopicId, None))
                    }
                    None => Err(Outcome::failed(ErrorCode::UnknownTopicOrPartition, None)),
                    Some(known) if known.is_internal => Err(Outcome::failed(
                        ErrorCode::InvalidTopicException,
                        Cow::Borrowed("clients do not write to internal topics"),
                    )),
                    // There is one replica, and it is in sync.
                    Some(known) if acks == -1 && known.config.min_insync_replicas > 1 => {
                        Err(Outcome::failed(
                            ErrorCode::NotEnoughReplicas,
                            Cow::Borrowed(
                                "min.insync.replicas asks for more replicas than the one there is",
                            ),
                        ))
                    }
                    Some(known) if route::has_partition(known, partition.index) => {
                        let bytes = partition.records.as_ref().and_then(|r| r.borrowed());
                        check(context.version, &body, bytes.unwrap_or_default())
                            .map(|batch| (known.id, batch))
                    }
                    Some(_) => Err(Outcome::failed(ErrorCode::UnknownTopicOrPartition, None)),
                }
            };
            let outcome = match checked {
                Ok((topic_id, batch)) => {
                    let to = route::owner(shard, &topic_id, partition.index);
                    let row = (topics.len(), rows.rows.len());
                    let entry = Entry {
                        topic_id,
                        partition: partition.index,
                        batch,
                        row,
                    };
                    match posts.iter_mut().find(|(shard, _)| *shard == to) {
                        Some((_, entries)) => entries.push(entry),
                        None => posts.push((to, SmallVec::from_iter([entry]))),
                    }
                    None
                }
                Err(outcome) => Some(outcome),
            };
            rows.rows.push(Row {
                index: partition.index,
                outcome,
            });
        }
        topics.push(rows);
    }
    drop(body);
    let mut waits = SmallVec::<[_; 2]>::new();
    for (to, entries) in posts {
        waits.push(errand::begin(
            shard,
            to,
            Append {
                entries,
                promise_until,
            },
        ));
    }
    Place::Waiting(Box::pin(async move {
        for wait in waits {
            // A shard that has gone leaves its rows empty, and they are answered as such below.
            for ((topic, row), outcome) in wait.await.unwrap_or_default() {
                if let Some(row) = topics.get_mut(topic).and_then(|t| t.rows.get_mut(row)) {
                    row.outcome = Some(outcome);
                }
            }
        }
        finish(&context, acks, topics)
    }))
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

fn finish(context: &Context, acks: i16, topics: Vec<TopicRows>) -> Answer {
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
