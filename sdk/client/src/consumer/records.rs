//! A consumer's records as a [`Stream`].

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

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let polled = this.consumer.poll_record(cx);
        this.consumer.wait(&mut this.waiting, polled.is_pending());
        if polled.is_ready() {
            this.waiting = None;
        }
        polled.map(Result::transpose)
    }
}

impl fmt::Debug for RecordStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RecordStream").field(&self.consumer).finish()
    }
}
