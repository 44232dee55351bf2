//! The producer: records in, acknowledgements out.

mod ack;
mod batch;
mod builder;
mod choices;
mod clock;
mod handle;
mod identity;
mod line;
mod memory;
mod pages;
mod permit;
mod place;
mod sealer;
mod sender;
mod shared;
mod topic;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;

pub use self::ack::Ack;
pub use self::batch::{BatchAck, BatchMetadata, Batched};
pub use self::builder::ProducerBuilder;
use self::choices::Chosen;
pub use self::handle::TopicProducer;
use self::line::Line;
use self::memory::Credit;
pub use self::permit::Permit;
use self::place::Refusal;
use self::shared::Shared;
use self::topic::Topic;
use crate::error::{Error, Result, Written};
use crate::record::{Record, RecordMetadata};

/// Sends records. Cloning shares batches, memory and identity; after the last clone's drop what was
/// enqueued is still sent, in the background, for as long as the runtime lives.
#[derive(Clone, Debug)]
pub struct Producer {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
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
    /// [`RecordTooLarge`](crate::ErrorKind::RecordTooLarge), a time-out, an unknown topic, a partition
    /// that the topic does not get within 3 seconds, or [`Closed`](crate::ErrorKind::Closed).
    pub async fn enqueue(&self, record: Record<'_>) -> Result<Ack> {
        let shared = &self.handle.shared;
        if let Some(topic) = shared.known_topic(record.topic) {
            return self.enqueue_to(&topic, &record).await;
        }
        let mut line = Line::new(shared);
        let topic = line.topic(record.topic).await?;
        let mut kept = None;
        match shared.place(&topic, &record, line.credit(), &mut kept) {
            Ok(ack) => Ok(ack),
            Err(refusal) => {
                let tried = (refusal, kept);
                self.enqueue_in_time(&topic, &record, line, tried).await
            }
        }
    }

    /// Puts a record in its partition's batch without ever waiting.
    ///
    /// # Errors
    ///
    /// Gives the record back, with the reason: see [`TryEnqueueError`].
    pub fn try_enqueue<'r>(&self, record: Record<'r>) -> Result<Ack, TryEnqueueError<'r>> {
        match self.handle.shared.known_topic(record.topic) {
            Some(topic) => self.try_enqueue_to(&topic, record),
            None => Err(TryEnqueueError::Unresolved(record)),
        }
    }

    /// Sends records and waits until all are acknowledged. Those to one partition keep their order.
    ///
    /// Not cancel-safe in the sense of undoing: once enqueued, a record is sent whether or not the
    /// future is still there; dropped before, those enqueued are the first of the records.
    ///
    /// # Errors
    ///
    /// Why the first record failed of those that did; the others were sent all the same. To be told
    /// of each, use [`enqueue_batch`](Self::enqueue_batch).
    pub fn send_batch<'f, 'p: 'f, 'r: 'f>(
        &'p self,
        records: impl IntoIterator<Item = Record<'r>>,
    ) -> Batched<'f, Result<BatchMetadata>> {
        let records = records.into_iter().collect();
        Box::pin(async move { self.enqueue_all(None, records).await.await })
    }

    /// Puts records in their partitions' batches: as [`enqueue`](Self::enqueue) of each in turn, for
    /// less. Those to one partition keep their order.
    ///
    /// A record that cannot be taken fails by the [`BatchAck`], and the next goes on; a topic or a
    /// partition is waited for once. Where no other could be taken either (`buffer.memory` is exhausted
    /// at the end of `max.block.ms`, which is counted from when the call first waits, for whatever;
    /// the producer was shut down) all the rest fails.
    ///
    /// Dropped while it waits, the first of the records stay enqueued, and nobody has their
    /// acknowledgements; [`reserve`](Self::reserve) waits before there is anything to lose.
    pub fn enqueue_batch<'f, 'p: 'f, 'r: 'f>(
        &'p self,
        records: impl IntoIterator<Item = Record<'r>>,
    ) -> Batched<'f, BatchAck> {
        let records = records.into_iter().collect();
        Box::pin(self.enqueue_all(None, records))
    }

    /// Sets bytes of `buffer.memory` aside, waiting up to `max.block.ms` for them, so that records of
    /// [`buffer_bytes`](Record::buffer_bytes) up to that, together, need not wait for memory.
    ///
    /// Cancel-safe: dropped while it waits, it loses its place in the line and nothing else.
    ///
    /// # Errors
    ///
    /// A time-out; [`Config`](crate::ErrorKind::Config) for more than `buffer.memory` or 4 GiB;
    /// [`Closed`](crate::ErrorKind::Closed).
    pub async fn reserve(&self, bytes: usize) -> Result<Permit<'_>> {
        self.permit(None, bytes).await
    }

    /// Resolves a topic once, so that sending to it needs no look-up by name.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// An unknown topic, or a time-out after `max.block.ms`.
    pub async fn topic(&self, name: &str) -> Result<TopicProducer> {
        let topic = self.resolve(name).await?;
        Ok(TopicProducer {
            producer: self.clone(),
            topic,
        })
    }

    /// Waits until everything that was enqueued before the call is acknowledged or has failed;
    /// lingering batches are sent at once.
    ///
    /// Cancel-safe: what was hurried stays hurried.
    pub async fn flush(&self) {
        let shared = &self.handle.shared;
        let mut deliveries = Vec::new();
        for partition in shared.partitions() {
            partition.queue().hurry(&mut deliveries);
        }
        shared.wake_all();
        for delivery in deliveries {
            poll_fn(|context| delivery.poll_done(context.waker())).await;
        }
    }

    /// Refuses new records, waits up to `deadline` for those enqueued, and fails the rest.
    ///
    /// Cancel-safe: dropped, the producer stays closed and its batches run to their own deadlines.
    pub async fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        let shared = &self.handle.shared;
        shared.close();
        let mut abandoned = 0;
        if timeout(deadline, self.flush()).await.is_err() {
            let error = Error::closed("producer").with_written(Written::No);
            for partition in shared.partitions() {
                let verdict = partition.queue().abandon(&error);
                let records = verdict
                    .settled
                    .iter()
                    .map(|settled| u64::from(settled.tally().0));
                abandoned += records.sum::<u64>();
                shared.apply(verdict);
            }
            shared.wake_all();
        }
        let failed = shared.failed.load(Ordering::Relaxed);
        ShutdownReport {
            acked: shared.acked.load(Ordering::Relaxed),
            failed: failed.saturating_sub(abandoned),
            abandoned,
        }
    }

    async fn resolve(&self, name: &str) -> Result<Arc<Topic>> {
        let shared = &self.handle.shared;
        let deadline = tokio::time::Instant::now() + shared.config.block_max;
        shared.topic(name, deadline).await
    }

    async fn enqueue_to(&self, topic: &Arc<Topic>, record: &Record<'_>) -> Result<Ack> {
        let shared = &self.handle.shared;
        let mut kept = None;
        match shared.place(topic, record, &mut Credit::none(&shared.memory), &mut kept) {
            Ok(ack) => Ok(ack),
            Err(Refusal::Error(error)) => Err(error),
            Err(refusal) => {
                let tried = (refusal, kept);
                let line = Line::new(shared);
                self.enqueue_in_time(topic, record, line, tried).await
            }
        }
    }

    /// The slow path: waits for memory, in turn, or for metadata. It was `tried` once.
    async fn enqueue_in_time(
        &self,
        topic: &Arc<Topic>,
        record: &Record<'_>,
        mut line: Line<'_>,
        (mut refusal, mut kept): (Refusal, Option<Chosen>),
    ) -> Result<Ack> {
        let shared = &self.handle.shared;
        loop {
            match refusal {
                Refusal::Memory(bytes) => line.wait(bytes).await?,
                Refusal::Partition(partition, error) => {
                    if !line.has_partition(topic, partition).await {
                        return Err(error);
                    }
                }
                Refusal::Error(error) => return Err(error),
            }
            match shared.place(topic, record, line.credit(), &mut kept) {
                Ok(ack) => return Ok(ack),
                // Another partition, or another batch, wants more than the first did.
                Err(again) => refusal = again,
            }
        }
    }

    fn try_enqueue_to<'r>(
        &self,
        topic: &Arc<Topic>,
        record: Record<'r>,
    ) -> Result<Ack, TryEnqueueError<'r>> {
        let shared = &self.handle.shared;
        let mut credit = Credit::none(&shared.memory);
        match shared.place(topic, &record, &mut credit, &mut None) {
            Ok(ack) => Ok(ack),
            Err(Refusal::Memory(_)) => Err(TryEnqueueError::Full(record)),
            Err(Refusal::Partition(_, error)) => {
                shared.client.shared.invalidate_metadata();
                Err(TryEnqueueError::Refused(record, error))
            }
            Err(Refusal::Error(error)) => Err(TryEnqueueError::Refused(record, error)),
        }
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
