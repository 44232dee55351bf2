//! DeleteRecords (21): moves the start of logs.

use std::future::Future;
use std::rc::Rc;

use highwater_wire::ErrorCode;
use highwater_wire::message::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};
use uuid::Uuid;

use crate::answer::{self, Answer};
use crate::dispatch::Context;
use crate::errand::{self, Errand};
use crate::route::{self, PerShard};
use crate::shard::Shard;

/// One partition whose log is to start later.
pub(crate) struct Cut {
    row: usize,
    topic_id: Uuid,
    partition: i32,
    before: i64,
}

/// Cuts on one shard.
pub(crate) struct Delete(Vec<Cut>);

impl Errand for Delete {
    type Answer = Vec<(usize, Result<i64, ErrorCode>)>;

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = Self::Answer> + use<> {
        let starts = self
            .0
            .into_iter()
            .map(|cut| (cut.row, delete(shard, &cut)))
            .collect();
        std::future::ready(starts)
    }
}

fn delete(shard: &Shard, cut: &Cut) -> Result<i64, ErrorCode> {
    let partition = shard.partition_or_error(&cut.topic_id, cut.partition)?;
    match partition.delete_records(cut.before) {
        Ok(start) => Ok(start.get()),
        Err(refusal) => Err(answer::delete_refusal(&refusal)),
    }
}

pub(crate) async fn handle(
    shard: &Rc<Shard>,
    context: &Context,
    request: DeleteRecordsRequest<'_>,
) -> Answer {
    let image = shard.image();
    let mut rows: Vec<Result<i64, ErrorCode>> = Vec::new();
    let mut cuts = PerShard::new();
    for topic in request.topics.iter() {
        for partition in topic.partitions.iter() {
            let index = partition.partition_index;
            // As `ReplicaManager.deleteRecordsOnLocalLog` and `Partition.deleteRecordsOnLeader` have it.
            let error = match image.topic(topic.name) {
                Some(known) if !route::has_partition(known, index) => {
                    ErrorCode::UnknownTopicOrPartition
                }
                None => ErrorCode::UnknownTopicOrPartition,
                Some(known) if known.is_internal => ErrorCode::InvalidTopicException,
                Some(known) if !known.config.cleanup_policy.delete => ErrorCode::PolicyViolation,
                Some(known) => {
                    let cut = Cut {
                        row: rows.len(),
                        topic_id: known.id,
                        partition: index,
                        before: partition.offset,
                    };
                    cuts.push(route::owner(shard, &known.id, index), cut);
                    ErrorCode::NotLeaderOrFollower
                }
            };
            rows.push(Err(error));
        }
    }
    errand::fill(shard, cuts, Delete, &mut rows).await;
    let mut starts = rows.into_iter();
    let topics = request
        .topics
        .iter()
        .map(|topic| DeleteRecordsTopicResult {
            name: topic.name,
            partitions: topic
                .partitions
                .iter()
                .zip(&mut starts)
                .map(|(partition, start)| DeleteRecordsPartitionResult {
                    partition_index: partition.partition_index,
                    low_watermark: start.unwrap_or(-1),
                    error_code: start.err().map_or(0, ErrorCode::id),
                })
                .collect(),
        })
        .collect();
    context.answer(&DeleteRecordsResponse {
        topics,
        ..DeleteRecordsResponse::default()
    })
}
