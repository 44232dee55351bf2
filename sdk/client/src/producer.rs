//! The producer: records in, acknowledgements out.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::client::Client;
use crate::config::{Acks, Linger, ProducerConfig};
use crate::error::{Error, Result};
use crate::partitioner::Partitioner;
use crate::record::{Record, RecordMetadata};
use highwater_record::Compression;

/// Sets up a [`Producer`].
#[derive(Clone, Debug)]
pub struct ProducerBuilder {
    client: Client,
    config: ProducerConfig,
}

impl ProducerBuilder {
    pub(crate) fn new(client: Client, config: ProducerConfig) -> Self {
        Self { client, config }
    }

    /// `acks`: what an acknowledgement means.
    pub fn acks(mut self, acks: Acks) -> Self {
        self.config.acks = acks;
        self
    }

    /// `enable.idempotence`: whether the broker recognises a batch sent again. On when
    /// acknowledgements are by all replicas.
    pub fn idempotence(mut self, on: bool) -> Self {
        self.config.idempotence = Some(on);
        self
    }

    /// `linger.ms`: each batch waits this long for company, unless it is full before.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.config.linger = Linger::Fixed(linger);
        self
    }

    /// `batch.size`: bytes before compression at which a partition's batch is closed.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.config.batch_bytes = bytes;
        self
    }

    /// `max.request.size`: the largest request, and the largest record.
    pub fn request_bytes_max(mut self, bytes: usize) -> Self {
        self.config.request_bytes_max = bytes;
        self
    }

    /// `buffer.memory`: bytes of records that may wait or be in flight.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.config.buffer_bytes = bytes;
        self
    }

    /// `delivery.timeout.ms`: from enqueueing to the answer, retries included.
    pub fn delivery_timeout(mut self, timeout: Duration) -> Self {
        self.config.delivery_timeout = timeout;
        self
    }

    /// `compression.type` with its level. Compressed off the caller's path.
    pub fn compression(mut self, compression: impl Into<Compression>) -> Self {
        self.config.compression = compression.into();
        self
    }

    /// `partitioner.class`: which partition a record goes to that does not say.
    pub fn partitioner(mut self, partitioner: Partitioner) -> Self {
        self.config.partitioner = partitioner;
        self
    }

    /// Changes the settings in place, for those without a method of their own.
    pub fn configure(mut self, change: impl FnOnce(&mut ProducerConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Starts the producer. Nothing is sent before the first record.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for settings that contradict each other.
    pub async fn build(self) -> Result<Producer> {
        self.config.check()?;
        let _ = self.client;
        todo!()
    }
}

/// Sends records. Cloning shares batches, memory and identity.
#[derive(Clone, Debug)]
pub struct Producer {
    client: Client,
}

impl Producer {
    /// Sends a record and waits until it is acknowledged.
    ///
    /// Not cancel-safe in the sense of undoing: once enqueued, a record is sent whether or not the
    /// future is still there. Dropped before that, it leaves no trace.
    ///
    /// # Errors
    ///
    /// As [`enqueue`](Self::enqueue), and what [`Ack`] resolves to.
    pub async fn send(&self, record: Record<'_>) -> Result<RecordMetadata> {
        self.enqueue(record).await?.await
    }

    /// Puts a record in its partition's batch; waits only for metadata and memory, for up to
    /// `max.block.ms`.
    ///
    /// Cancel-safe: the record is either enqueued when this returns, or not at all.
    ///
    /// # Errors
    ///
    /// [`RecordTooLarge`](crate::ErrorKind::RecordTooLarge), a time-out, an unknown topic or
    /// partition, or [`Closed`](crate::ErrorKind::Closed).
    pub async fn enqueue(&self, record: Record<'_>) -> Result<Ack> {
        let _ = record;
        todo!()
    }

    /// Puts a record in its partition's batch without ever waiting.
    ///
    /// # Errors
    ///
    /// Gives the record back, with the reason: see [`TryEnqueueError`].
    pub fn try_enqueue<'r>(&self, record: Record<'r>) -> Result<Ack, TryEnqueueError<'r>> {
        let _ = record;
        todo!()
    }

    /// Resolves a topic once, so that sending to it needs no look-up by name.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// An unknown topic, or a time-out after `max.block.ms`.
    pub async fn topic(&self, name: &str) -> Result<TopicProducer> {
        let _ = (&self.client, name);
        todo!()
    }

    /// Waits until everything that was enqueued before the call is acknowledged or has failed;
    /// lingering batches are sent at once.
    ///
    /// Cancel-safe: what was hurried stays hurried.
    pub async fn flush(&self) {
        todo!()
    }

    /// Refuses new records, waits up to `deadline` for those enqueued, and fails the rest.
    ///
    /// Cancel-safe: dropped, the producer stays closed and its batches run to their own deadlines.
    pub async fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        let _ = deadline;
        todo!()
    }
}

/// A producer's handle on one topic: the hot path.
#[derive(Clone, Debug)]
pub struct TopicProducer {
    producer: Producer,
}

impl TopicProducer {
    /// As [`Producer::send`]; the record's own topic is not looked at.
    pub async fn send(&self, record: Record<'_>) -> Result<RecordMetadata> {
        self.enqueue(record).await?.await
    }

    /// As [`Producer::enqueue`]; the record's own topic is not looked at.
    pub async fn enqueue(&self, record: Record<'_>) -> Result<Ack> {
        self.producer.enqueue(record).await
    }

    /// As [`Producer::try_enqueue`]; the record's own topic is not looked at.
    ///
    /// # Errors
    ///
    /// Gives the record back, with the reason: see [`TryEnqueueError`].
    pub fn try_enqueue<'r>(&self, record: Record<'r>) -> Result<Ack, TryEnqueueError<'r>> {
        self.producer.try_enqueue(record)
    }

    /// How many partitions the topic has now.
    pub fn partition_count(&self) -> i32 {
        todo!()
    }
}

/// Why [`Producer::try_enqueue`] did not take a record. The record is inside.
#[derive(Debug)]
pub enum TryEnqueueError<'r> {
    /// `buffer.memory` is exhausted; `enqueue` would wait.
    Full(Record<'r>),
    /// The topic's metadata is not there yet; `enqueue` or `topic` would wait for it.
    Unresolved(Record<'r>),
    /// It can not be taken at all.
    Refused(Record<'r>, Error),
}

impl<'r> TryEnqueueError<'r> {
    /// The record, back.
    pub fn into_record(self) -> Record<'r> {
        match self {
            Self::Full(record) | Self::Unresolved(record) | Self::Refused(record, _) => record,
        }
    }
}

/// The promise of an acknowledgement, as a future; one reference to what its whole batch shares.
///
/// Dropping it costs one decrement and does not take the record back. Cancel-safe: it can be
/// polled again after being left alone.
#[derive(Debug)]
pub struct Ack {}

impl Ack {
    /// The outcome if it is already there.
    pub fn try_get(&self) -> Option<Result<RecordMetadata>> {
        todo!()
    }
}

impl Future for Ack {
    type Output = Result<RecordMetadata>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        todo!()
    }
}

/// What became of the records of a producer that was shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Records acknowledged over the producer's life.
    pub acked: u64,
    /// Records that failed over its life, for whatever reason but the shutdown.
    pub failed: u64,
    /// Records the deadline caught unsent or unanswered.
    pub abandoned: u64,
}
