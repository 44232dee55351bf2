//! DescribeProducers (61): who writes to a partition (KIP-664).

use std::future::Future;
use std::rc::Rc;

use highwater_partition::ActiveProducer;
use highwater_wire::message::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
    TopicResponse,
};
use highwater_wire::{Array, ErrorCode};
use uuid::Uuid;

use crate::answer::Answer;
use crate::dispatch::Context;
use crate::errand::{self, Errand};
use crate::route::{self, PerShard};
use crate::shard::Shard;

/// One partition to describe.
pub(crate) struct Query {
    row: usize,
    topic_id: Uuid,
    partition: i32,
}

/// Partitions to describe on one shard.
pub(crate) struct Producers(Vec<Query>);

impl Errand for Producers {
    type Answer = Vec<(usize, Result<Vec<ActiveProducer>, ErrorCode>)>;

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = Self::Answer> + use<> {
        let describe = |query: Query| {
            let partition = shard.partition_or_error(&query.topic_id, query.partition);
            (
                query.row,
                partition.map(|partition| partition.active_producers()),
            )
        };
        std::future::ready(self.0.into_iter().map(describe).collect())
    }
}

pub(crate) async fn handle(
    shard: &Rc<Shard>,
    context: &Context,
    request: DescribeProducersRequest<'_>,
) -> Answer {
    let image = shard.image();
    let mut rows: Vec<Result<Vec<ActiveProducer>, ErrorCode>> = Vec::new();
    let mut queries = PerShard::new();
    for topic in request.topics.iter() {
        for partition in topic.partition_indexes.iter() {
            let error = match image.topic(topic.name) {
                Some(known) if route::has_partition(known, partition) => {
                    let query = Query {
                        row: rows.len(),
                        topic_id: known.id,
                        partition,
                    };
                    queries.push(route::owner(shard, &known.id, partition), query);
                    ErrorCode::NotLeaderOrFollower
                }
                _ => ErrorCode::UnknownTopicOrPartition,
            };
            rows.push(Err(error));
        }
    }
    errand::fill(shard, queries, Producers, &mut rows).await;
    let mut producers = rows.into_iter();
    let topics = request
        .topics
        .iter()
        .map(|topic| TopicResponse {
            name: topic.name,
            partitions: topic
                .partition_indexes
                .iter()
                .zip(&mut producers)
                .map(|(partition_index, producers)| response(partition_index, producers))
                .collect(),
        })
        .collect();
    context.answer(&DescribeProducersResponse {
        topics,
        ..DescribeProducersResponse::default()
    })
}

fn response(
    partition_index: i32,
    producers: Result<Vec<ActiveProducer>, ErrorCode>,
) -> PartitionResponse<'static> {
    let none = PartitionResponse {
        partition_index,
        ..PartitionResponse::default()
    };
    match producers {
        Ok(producers) => PartitionResponse {
            active_producers: producers.iter().map(state).collect::<Array<'_, _>>(),
            ..none
        },
        Err(error) => PartitionResponse {
            error_code: error.id(),
            ..none
        },
    }
}

fn state(producer: &ActiveProducer) -> ProducerState {
    ProducerState {
        producer_id: producer.producer_id,
        producer_epoch: producer.epoch.into(),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_timestamp_ms,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.transaction_start.map_or(-1, |offset| offset.get()),
    }
}
