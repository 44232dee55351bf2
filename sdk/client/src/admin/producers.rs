//! Which producers partitions know: the idempotent ones whose sequence they keep, and open transactions.

use std::collections::BTreeMap;

use highwater_wire::message::describe_producers::{ProducerState, TopicRequest};
use highwater_wire::message::{DescribeProducersRequest, DescribeProducersResponse};

use super::offsets::by_topic;
use super::{Admin, Results, ask, refused};
use crate::error::{Result, TopicPartition};

/// What a partition knows of one producer (KIP-664).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    /// The producer's id.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i32,
    /// The sequence number of its last record; `None` for none.
    pub last_sequence: Option<i32>,
    /// When its last batch was made, in milliseconds since 1970; `None` for none.
    pub last_timestamp_ms: Option<i64>,
    /// The epoch of the transaction coordinator that last wrote a marker; `None` where there was none.
    pub coordinator_epoch: Option<i32>,
    /// Where its open transaction begins; `None` when none is open.
    pub transaction_start: Option<i64>,
}

impl Admin {
    /// Which producers these partitions know, asked of their leaders.
    ///
    /// Cancel-safe: it only asks.
    ///
    /// # Errors
    ///
    /// When no broker answers; a refusal of one partition is in the results.
    pub async fn describe_producers(
        &self,
        places: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<Results<TopicPartition, Vec<ActiveProducer>>> {
        let places: BTreeMap<TopicPartition, ()> = places.into_iter().map(|it| (it, ())).collect();
        let errand = &self.errand();
        let asked = errand.by_leader(places, |leader, places: BTreeMap<_, _>| async move {
            let topics = by_topic(&places).map(|(name, partitions)| TopicRequest {
                name,
                partition_indexes: partitions.into_iter().map(|(index, ())| index).collect(),
            });
            let request = DescribeProducersRequest {
                topics: topics.collect(),
            };
            let reply = ask(&errand.broker(leader).await?, &request, 0).await?;
            let answer: DescribeProducersResponse<'_> = reply.decode()?;
            let mut results = Results::new();
            for topic in &answer.topics {
                for it in &topic.partitions {
                    let result = refused(it.error_code, it.error_message)
                        .map(|()| it.active_producers.iter().map(read).collect());
                    results.insert(TopicPartition::new(topic.name, it.partition_index), result);
                }
            }
            Ok(results)
        });
        asked.await
    }
}

fn read(state: ProducerState) -> ActiveProducer {
    ActiveProducer {
        producer_id: state.producer_id,
        producer_epoch: state.producer_epoch,
        last_sequence: Some(state.last_sequence).filter(|it| *it >= 0),
        last_timestamp_ms: Some(state.last_timestamp).filter(|it| *it >= 0),
        coordinator_epoch: Some(state.coordinator_epoch).filter(|it| *it >= 0),
        transaction_start: Some(state.current_txn_start_offset).filter(|it| *it >= 0),
    }
}
