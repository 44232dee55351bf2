//! A consumer's records one by one: a future of the next, and a [`Stream`] of all.
//!
//! What is in hand is given out without a call into the crate; all else is the consumer's business.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::{Consumer, ConsumerRecord};
use crate::error::Result;
use crate::group::Waiting;

/// The records of a [`Consumer`], as [`next`](Consumer::next) gives them; see [`Consumer::stream`].
pub struct RecordStream<'a> {
    consumer: &'a mut Consumer,
    waiting: Option<Waiting>,
}

impl<'a> RecordStream<'a> {
    pub(super) fn new(consumer: &'a mut Consumer) -> Self {
        Self {
            consumer,
            waiting: None,
        }
    }
}

impl Stream for RecordStream<'_> {
    type Item = Result<ConsumerRecord>;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.waiting.is_none()
            && let Some(record) = this.consumer.try_record()
        {
            return Poll::Ready(Some(Ok(record)));
        }
        this.poll_slowly(cx).map(Result::transpose)
    }
}

impl RecordStream<'_> {
    /// As it goes once a batch.
    fn poll_slowly(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<ConsumerRecord>>> {
        let polled = self.consumer.poll_record(cx);
        self.consumer.wait(&mut self.waiting, polled.is_pending());
        if polled.is_ready() {
            self.waiting = None;
        }
        polled
    }
}

impl fmt::Debug for RecordStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RecordStream").field(&self.consumer).finish()
    }
}

/// The next record, when it is there; see [`Consumer::next`].
#[must_use = "futures do nothing unless they are awaited"]
pub struct NextRecord<'a>(pub(super) RecordStream<'a>);

impl Future for NextRecord<'_> {
    type Output = Result<Option<ConsumerRecord>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll_next(cx).map(Option::transpose)
    }
}

impl fmt::Debug for NextRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NextRecord").field(&self.0.consumer).finish()
    }
}
