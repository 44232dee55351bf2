//! One partition of a handler, for as long as it is this member's.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::watch;

use super::pulse::Pulse;
use crate::consumer::{ConsumerRecord, PartitionStream, RecordBatch};
use crate::error::{Result, TopicPartition};

/// A partition that [`consume_claim`](super::GroupHandler::consume_claim) is to read. It ends once the partition is being let
/// go, was lost, or the run is stopped: then the handler comes to an end with what it has in hand, marks it, and returns.
#[derive(Debug)]
pub struct Claim {
    stream: Option<PartitionStream>,
    pulse: Arc<Pulse>,
    /// Where the stream goes when the claim is dropped before its end.
    home: Arc<Home>,
}

/// Where a claim's stream waits to be read again.
#[derive(Debug, Default)]
pub(super) struct Home(Mutex<Option<PartitionStream>>);

impl Home {
    /// The stream, where it was left before its end.
    pub(super) fn take(&self) -> Option<PartitionStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Claim {
    pub(super) fn new(stream: PartitionStream, pulse: Arc<Pulse>, home: Arc<Home>) -> Self {
        Self {
            stream: Some(stream),
            pulse,
            home,
        }
    }

    fn stream(&self) -> &PartitionStream {
        self.stream.as_ref().expect("it is there until the drop")
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.place().topic
    }

    /// The partition's index.
    pub fn partition(&self) -> i32 {
        self.place().partition
    }

    /// Topic and partition.
    pub fn place(&self) -> &TopicPartition {
        self.stream().place()
    }

    /// The offset that reading begins at, which is what the group had committed, or what was said in
    /// [`setup`](super::GroupHandler::setup); `None` when it had to be looked up.
    pub fn initial_offset(&self) -> Option<i64> {
        self.stream().initial_offset()
    }

    /// The high watermark the last fetch saw; `None` before, and after the claim's end.
    pub fn high_watermark(&self) -> Option<i64> {
        self.stream().high_watermark()
    }

    /// The next record; `None` once the claim has ended.
    ///
    /// Cancel-safe. Do not mix with [`next_batch`](Self::next_batch), which starts after the batch this one is in the middle of.
    ///
    /// # Errors
    ///
    /// As [`Consumer::next`](crate::Consumer::next).
    pub async fn next(&mut self) -> Result<Option<ConsumerRecord>> {
        let _waiting = self.pulse.waiting();
        let stream = self.stream.as_mut().expect("it is there until the drop");
        stream.next().await
    }

    /// The next batch, as it lies in the log; `None` once the claim has ended.
    ///
    /// Cancel-safe: a batch is taken out only when it is returned.
    ///
    /// # Errors
    ///
    /// As [`Consumer::next_batch`](crate::Consumer::next_batch).
    pub async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let _waiting = self.pulse.waiting();
        let stream = self.stream.as_mut().expect("it is there until the drop");
        stream.next_batch().await
    }

    pub(super) fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// Tells when the claim has ended.
    pub(super) fn ended(&self) -> watch::Receiver<bool> {
        self.stream().ended()
    }
}

/// The records, as [`Claim::next`] gives them.
impl Stream for Claim {
    type Item = Result<ConsumerRecord>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let stream = this.stream.as_mut().expect("it is there until the drop");
        let polled = Pin::new(stream).poll_next(cx);
        this.pulse.waits(polled.is_pending());
        polled
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take()
            && !*stream.ended().borrow()
        {
            let mut home = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
            *home = Some(stream);
        }
    }
}
