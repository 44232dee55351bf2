//! Records into the open batch. Knows memory only as something that is charged for.

use std::sync::Arc;
use std::time::Duration;

use highwater_record::{BatchBuilder, HEADER_BYTES, HeaderField, TooLarge};

use super::batch::{Batch, Body, OpenBatch};
use super::pace::BUSY_BATCH_BYTES;
use super::{Queue, Rules};
use crate::core::producer::delivery::Delivery;
use crate::error::Written;

/// What a queue needs from outside while a record is appended.
pub(crate) trait Supplies {
    /// Takes `step` bytes from the producer's memory; returns how many were taken, where only the
    /// `least` that a record needs is there. `None` when not even that is.
    fn charge(&mut self, step: usize, least: usize) -> Option<usize>;
    /// An empty builder and a completion for the next batch, and the time.
    fn batch(&mut self) -> (BatchBuilder, Arc<Delivery>, Duration);
}

/// The bytes of a record, borrowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a [HeaderField<'a>],
}

impl Fields<'_> {
    /// No fewer bytes than the record takes in a batch, and hardly more.
    pub(crate) fn bytes_bound(&self) -> usize {
        // Length, attributes, time and offset delta, three more lengths.
        const FRAMING: usize = 5 + 1 + 10 + 5 + 5 + 5 + 5;
        let mut bytes =
            FRAMING + self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len);
        for header in self.headers {
            bytes += 10 + header.key.len() + header.value.map_or(0, <[u8]>::len);
        }
        bytes
    }
}

/// A record has its place in the batch that [`Queue::latest_delivery`] is of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) index: u32,
    /// Whether who sends this partition's batches has to look at it.
    pub(crate) wake: bool,
    /// Whether keyless records should go to another partition from now on.
    pub(crate) leave: bool,
}

/// Why a record has no place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// So many bytes of memory are missing.
    Memory(usize),
    /// The record is beyond what a batch can hold at all.
    TooLarge,
}

impl Queue {
    /// Encodes a record into the open batch, closing a full one first.
    ///
    /// `sticky` says that the record came here because this is the topic's sticky partition.
    pub(crate) fn append(
        &mut self,
        rules: &Rules,
        record: Fields<'_>,
        sticky: bool,
        supplies: &mut impl Supplies,
    ) -> Result<Slot, NoPlace> {
        let bound = record.bytes_bound();
        let mut closed = false;
        if let Some(open) = &self.open
            && open.builder.len() + bound > rules.batch_bytes
            && open.builder.count() > 0
        {
            self.close();
            closed = true;
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                // With the header, so that nothing is missing once the batch is there: an empty one
                // must not be sent. A record beyond `batch.size` gets a batch of its own, as large
                // as it needs.
                let needed = HEADER_BYTES + bound;
                let step = charge_step(0, needed, rules.batch_bytes);
                let charged = supplies.charge(step, needed);
                let charged = charged.ok_or(NoPlace::Memory(step))?;
                let (builder, delivery, opened) = supplies.batch();
                none.insert(OpenBatch {
                    builder,
                    delivery,
                    opened,
                    charged,
                })
            }
        };
        let needed = open.builder.len() + bound;
        if needed > open.charged {
            let step = charge_step(open.charged, needed, rules.batch_bytes) - open.charged;
            let charged = supplies.charge(step, needed - open.charged);
            open.charged += charged.ok_or(NoPlace::Memory(step))?;
        }
        let index = u32::try_from(open.builder.count()).map_err(|_| NoPlace::TooLarge)?;
        let bytes = open
            .builder
            .append(
                record.timestamp_ms,
                record.key,
                record.value,
                record.headers,
            )
            .map_err(|TooLarge { .. }| NoPlace::TooLarge)?;
        let length = open.builder.len();
        let full = length >= rules.batch_bytes;
        if full {
            self.close();
        }
        let leave = sticky && self.stay.appended(bytes, rules.batch_bytes, full || closed);
        let worthwhile = rules.batch_bytes.min(BUSY_BATCH_BYTES);
        let reached = length >= worthwhile && length - bytes < worthwhile;
        let wake = closed || full || reached || !self.scheduled;
        Ok(Slot { index, wake, leave })
    }

    /// What the acknowledgement of the record that was appended last waits for.
    pub(crate) fn latest_delivery(&self) -> Option<&Arc<Delivery>> {
        match &self.open {
            Some(open) => Some(&open.delivery),
            None => self.batches.back().map(|batch| &batch.delivery),
        }
    }

    /// Whether a record of up to `bytes` would go into a batch that has begun.
    pub(crate) fn has_room(&self, bytes: usize, batch_bytes: usize) -> bool {
        let open = self.open.as_ref();
        open.is_some_and(|open| open.builder.len() + bytes <= batch_bytes)
    }

    pub(super) fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        self.hurry = false;
        self.pace.closed(open.builder.len());
        let id = self.new_id();
        self.batches.push_back(Batch {
            id,
            delivery: open.delivery,
            first: 0,
            count: u32::try_from(open.builder.count()).unwrap_or(0),
            created: open.opened,
            charged: open.charged,
            body: Some(Body::Open(open.builder)),
            sent: None,
            stamp: None,
            ordinal: 0,
            written: Written::No,
            abandoned: false,
        });
    }

    pub(super) fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

/// Memory is taken in steps of four, so that a partition with little to say holds little.
fn charge_step(charged: usize, needed: usize, batch_bytes: usize) -> usize {
    let mut step = charged.max(1024);
    while step < needed {
        step *= 4;
    }
    step.min(batch_bytes.max(needed))
}
