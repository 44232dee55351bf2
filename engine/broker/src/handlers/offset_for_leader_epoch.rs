//! OffsetForLeaderEpoch (23): where an epoch ends, for readers that look whether the log was cut under them (KIP-320).

use std::future::Future;
use std::rc::Rc;

use highwater_partition::EpochEnd;
use highwater_record::LeaderEpoch;
use highwater_wire::ErrorCode;
use highwater_wire::message::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderTopicResult,
};
use uuid::Uuid;

use crate::answer::{self, Answer};
use crate::dispatch::Context;
use crate::errand::{self, Errand};
use crate::route::{self, PerShard};
use crate::shard::Shard;

/// One partition's epoch.
pub(crate) struct Query {
    row: usize,
    topic_id: Uuid,
    partition: i32,
    epoch: i32,
    current_leader_epoch: Option<LeaderEpoch>,
}

/// Epochs of partitions on one shard.
pub(crate) struct EpochEnds(Vec<Query>);

impl Errand for EpochEnds {
    type Answer = Vec<(usize, Result<Option<EpochEnd>, ErrorCode>)>;

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = Self::Answer> + use<> {
        let ends = self
            .0
            .into_iter()
            .map(|query| (query.row, end(shard, &query)))
            .collect();
        std::future::ready(ends)
    }
}

fn end(shard: &Shard, query: &Query) -> Result<Option<EpochEnd>, ErrorCode> {
    let partition = shard.partition_or_error(&query.topic_id, query.partition)?;
    partition
        .end_offset_for_epoch(LeaderEpoch::new(query.epoch), query.current_leader_epoch)
        .map_err(|refusal| answer::fetch_refusal(&refusal))
}

pub(crate) async fn handle(
    shard: &Rc<Shard>,
    context: &Context,
    request: OffsetForLeaderEpochRequest<'_>,
) -> Answer {
    let image = shard.image();
    let mut rows: Vec<Result<Option<EpochEnd>, ErrorCode>> = Vec::new();
    let mut queries = PerShard::new();
    for topic in request.topics.iter() {
        for partition in topic.partitions.iter() {
            let index = partition.partition;
            let error = match image.topic(topic.topic) {
                Some(known) if route::has_partition(known, index) => {
                    let epoch = partition.current_leader_epoch;
                    let query = Query {
                        row: rows.len(),
                        topic_id: known.id,
                        partition: index,
                        epoch: partition.leader_epoch,
                        current_leader_epoch: (epoch >= 0).then(|| LeaderEpoch::new(epoch)),
                    };
                    queries.push(route::owner(shard, &known.id, index), query);
                    ErrorCode::NotLeaderOrFollower
                }
                _ => ErrorCode::UnknownTopicOrPartition,
            };
            rows.push(Err(error));
        }
    }
    errand::fill(shard, queries, EpochEnds, &mut rows).await;
    let mut ends = rows.into_iter();
    let topics = request
        .topics
        .iter()
        .map(|topic| OffsetForLeaderTopicResult {
            topic: topic.topic,
            partitions: topic
                .partitions
                .iter()
                .zip(&mut ends)
                .map(|(partition, end)| response(partition.partition, end))
                .collect(),
        })
        .collect();
    context.answer(&OffsetForLeaderEpochResponse {
        topics,
        ..OffsetForLeaderEpochResponse::default()
    })
}

fn response(partition: i32, end: Result<Option<EpochEnd>, ErrorCode>) -> EpochEndOffset {
    let none = EpochEndOffset {
        partition,
        ..EpochEndOffset::default()
    };
    match end {
        Ok(Some(end)) => EpochEndOffset {
            leader_epoch: end.epoch.get(),
            end_offset: end.end.get(),
            ..none
        },
        Ok(None) => none,
        Err(error) => EpochEndOffset {
            error_code: error.id(),
            ..none
        },
    }
}
