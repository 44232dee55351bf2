//! A producer's handle on one topic. Knows the topic; everything else is the producer's.

use std::sync::Arc;

use super::topic::Topic;
use super::{Ack, BatchAck, BatchMetadata, Batched, Permit, Producer, TryEnqueueError};
use crate::error::Result;
use crate::record::{Record, RecordMetadata};

/// A producer's handle on one topic: the hot path.
#[derive(Clone, Debug)]
pub struct TopicProducer {
    pub(super) producer: Producer,
    pub(super) topic: Arc<Topic>,
}

impl TopicProducer {
    /// As [`Producer::send`]; the record's own topic is not looked at.
    ///
    /// # Errors
    ///
    /// As [`Producer::send`].
    pub async fn send(&self, record: Record<'_>) -> Result<RecordMetadata> {
        self.enqueue(record).await?.await
    }

    /// As [`Producer::enqueue`]; the record's own topic is not looked at.
    ///
    /// # Errors
    ///
    /// As [`Producer::enqueue`].
    pub async fn enqueue(&self, record: Record<'_>) -> Result<Ack> {
        self.producer.enqueue_to(&self.topic, &record).await
    }

    /// As [`Producer::try_enqueue`]; the record's own topic is not looked at.
    ///
    /// # Errors
    ///
    /// Gives the record back, with the reason: see [`TryEnqueueError`].
    pub fn try_enqueue<'r>(&self, record: Record<'r>) -> Result<Ack, TryEnqueueError<'r>> {
        self.producer.try_enqueue_to(&self.topic, record)
    }

    /// As [`Producer::send_batch`]; the records' own topics are not looked at.
    ///
    /// # Errors
    ///
    /// As [`Producer::send_batch`].
    pub fn send_batch<'f, 'p: 'f, 'r: 'f>(
        &'p self,
        records: impl IntoIterator<Item = Record<'r>>,
    ) -> Batched<'f, Result<BatchMetadata>> {
        let records = records.into_iter().collect();
        let enqueued = self.producer.enqueue_all(Some(&self.topic), records);
        Box::pin(async move { enqueued.await.await })
    }

    /// As [`Producer::enqueue_batch`]; the records' own topics are not looked at.
    pub fn enqueue_batch<'f, 'p: 'f, 'r: 'f>(
        &'p self,
        records: impl IntoIterator<Item = Record<'r>>,
    ) -> Batched<'f, BatchAck> {
        let records = records.into_iter().collect();
        Box::pin(self.producer.enqueue_all(Some(&self.topic), records))
    }

    /// As [`Producer::reserve`], for records to this topic; their own is not looked at.
    ///
    /// # Errors
    ///
    /// As [`Producer::reserve`].
    pub async fn reserve(&self, bytes: usize) -> Result<Permit<'_>> {
        self.producer.permit(Some(&self.topic), bytes).await
    }

    /// How many partitions the topic has now.
    pub fn partition_count(&self) -> i32 {
        let latest = self.producer.handle.shared.latest(&self.topic);
        i32::try_from(latest.partitions.len()).unwrap_or(i32::MAX)
    }

    /// The topic's name.
    pub fn name(&self) -> &str {
        &self.topic.name
    }

    /// The producer behind this handle.
    pub fn producer(&self) -> &Producer {
        &self.producer
    }
}
