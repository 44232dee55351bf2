//! The promise of an acknowledgement.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::core::producer::delivery::Delivery;
use crate::error::{Error, Result};
use crate::record::RecordMetadata;

/// The promise of an acknowledgement, as a future; one reference to what its whole batch shares.
///
/// Dropping it costs one decrement and does not take the record back. Cancel-safe: it can be
/// polled again after being left alone.
///
/// # Errors
///
/// What became of the record when it is not in the log:
/// [`possibly_written`](crate::Error::possibly_written) tells whether it may be there all the same.
#[derive(Clone, Debug)]
#[must_use = "an acknowledgement that nobody looks at cannot tell that the record failed"]
pub struct Ack {
    pub(super) delivery: Arc<Delivery>,
    pub(super) index: u32,
}

impl Ack {
    /// Of a record that was refused.
    pub(super) fn refused(topic: Arc<str>, partition: i32, error: Error) -> Self {
        let delivery = Delivery::refused(topic, partition, 1, error);
        Self {
            delivery: Arc::new(delivery),
            index: 0,
        }
    }

    /// The outcome if it is already there.
    pub fn try_get(&self) -> Option<Result<RecordMetadata>> {
        self.delivery.try_get(self.index)
    }
}

impl Future for Ack {
    type Output = Result<RecordMetadata>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.delivery.poll(self.index, context.waker())
    }
}
