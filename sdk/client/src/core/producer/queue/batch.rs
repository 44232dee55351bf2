//! A batch on its way: open, closed, sealed, in flight.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use highwater_record::{BatchBuilder, Compression, Compressor, Producer};

use crate::core::producer::delivery::Delivery;
use crate::core::producer::undelivered::Undelivered;
use crate::error::Written;

/// Who the broker knows this producer as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// A batch's records: still growing or waiting to be sealed, or sealed for good.
#[derive(Debug)]
pub(crate) enum Body {
    Open(BatchBuilder),
    /// The bytes, and the producer fields they hold.
    Sealed(Bytes, Option<Stamp>),
}

impl Body {
    /// Bytes that are still to be sealed.
    pub(crate) fn open_bytes(&self) -> usize {
        match self {
            Self::Open(builder) => builder.len(),
            Self::Sealed(..) => 0,
        }
    }
}

/// The identity and first sequence of a batch.
pub(crate) type Stamp = (Identity, i32);

/// A batch to be sealed and sent; comes back by [`Queue::answer`].
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) id: u64,
    pub(crate) body: Body,
    /// What the sealed bytes must hold.
    pub(crate) stamp: Option<Stamp>,
}

impl Taken {
    /// The stamp in the batch's own terms.
    pub(crate) fn producer(&self) -> Producer {
        self.stamp
            .map_or(Producer::NONE, |(identity, base_sequence)| Producer {
                id: identity.id,
                epoch: identity.epoch,
                base_sequence,
            })
    }
}

/// The batch that records go into.
#[derive(Debug)]
pub(super) struct OpenBatch {
    pub(super) builder: BatchBuilder,
    pub(super) delivery: Arc<Delivery>,
    pub(super) opened: Duration,
    pub(super) charged: usize,
}

/// A closed batch, until its last answer.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) id: u64,
    pub(super) delivery: Arc<Delivery>,
    pub(super) first: u32,
    pub(super) count: u32,
    pub(super) created: Duration,
    pub(super) charged: usize,
    /// `None` while in flight.
    pub(super) body: Option<Body>,
    /// The bytes in flight, once they are sealed.
    pub(super) sent: Option<Bytes>,
    pub(super) stamp: Option<Stamp>,
    /// Counts the batches that were given a stamp.
    pub(super) ordinal: u64,
    /// Whether an earlier attempt may have been written. `Yes` does not occur.
    pub(super) written: Written,
    /// Its records were told of a time-out while it was in flight; only its end is awaited.
    pub(super) abandoned: bool,
}

impl Batch {
    pub(super) fn is_in_flight(&self) -> bool {
        self.body.is_none()
    }

    /// The records, for those who hold acknowledgements of them, of which there may be none.
    pub(super) fn undelivered(
        &mut self,
        topic: &Arc<str>,
        partition: i32,
    ) -> Option<Arc<Undelivered>> {
        if Arc::strong_count(&self.delivery) == 1 {
            return None;
        }
        let sealed = match (&mut self.body, &self.sent) {
            (Some(Body::Sealed(sealed, _)), _) => sealed.clone(),
            (None, Some(sent)) => sent.clone(),
            (Some(Body::Open(builder)), _) => {
                let mut page = Vec::new();
                let plain = Compression::NONE;
                builder
                    .finish(&mut Compressor::default(), &plain, &mut page)
                    .ok()?;
                Bytes::from(page)
            }
            (None, None) => return None,
        };
        let topic = Arc::clone(topic);
        Some(Arc::new(Undelivered::new(topic, partition, sealed)))
    }
}

/// Sequences are counted modulo 2^31.
pub(super) fn sequence_after(sequence: i32, count: u32) -> i32 {
    let sum = (i64::from(sequence) + i64::from(count)) & i64::from(i32::MAX);
    i32::try_from(sum).expect("masked to 31 bits")
}
