//! One batch that the broker found too large becomes two.

use std::sync::Arc;

use highwater_record::{
    Batch as Checked, BatchBuilder, Decompressor, HeaderField, Limits, Records,
};

use super::Queue;
use super::batch::{Batch, Body, sequence_after};
use crate::error::Written;

impl Queue {
    /// Makes two batches of one that the broker found too large. False when that cannot be done.
    pub(super) fn split(&mut self, at: usize) -> bool {
        let batch = &self.batches[at];
        let Some(Body::Sealed(sealed, _)) = &batch.body else {
            return false;
        };
        let half = batch.count / 2;
        let Some((head, tail)) = halves(sealed, half) else {
            return false;
        };
        let (first, count, stamp) = (batch.first, batch.count, batch.stamp);
        // Both share it: the head is answered before anything behind it is sent.
        let ordinal = batch.ordinal;
        let (created, charged, abandoned) = (batch.created, batch.charged, batch.abandoned);
        let delivery = Arc::clone(&batch.delivery);
        if !abandoned {
            delivery.split();
        }
        self.batches.remove(at);
        let mut insert = |index: usize, first, count, builder, stamp, charged| {
            self.next_id += 1;
            let batch = Batch {
                id: self.next_id,
                delivery: Arc::clone(&delivery),
                first,
                count,
                created,
                charged,
                body: Some(Body::Open(builder)),
                sent: None,
                stamp,
                ordinal,
                written: Written::No,
                abandoned,
            };
            self.batches.insert(index, batch);
        };
        let tail_stamp = stamp.map(|(identity, base)| (identity, sequence_after(base, half)));
        insert(at, first, half, head, stamp, charged / 2);
        insert(
            at + 1,
            first + half,
            count - half,
            tail,
            tail_stamp,
            charged - charged / 2,
        );
        true
    }
}

/// The first `half` records of a sealed batch and the others, each as a batch to be sealed.
fn halves(sealed: &[u8], half: u32) -> Option<(BatchBuilder, BatchBuilder)> {
    let batch = Checked::check(sealed).ok()?;
    let mut scratch = Vec::new();
    // Our own bytes: whatever they decompress to was in memory before.
    let limits = Limits {
        bytes_max: usize::MAX,
        ratio_max: usize::MAX,
    };
    let mut decompressor = Decompressor::new();
    let records = Records::of(&batch, &mut scratch, &mut decompressor, limits).ok()?;
    let (mut head, mut tail) = (BatchBuilder::new(), BatchBuilder::new());
    let mut headers: Vec<HeaderField<'_>> = Vec::new();
    for (index, record) in (0u32..).zip(records) {
        let record = record.ok()?;
        headers.clear();
        headers.extend(record.headers());
        let part = if index < half { &mut head } else { &mut tail };
        part.append(record.timestamp_ms, record.key, record.value, &headers)
            .ok()?;
    }
    Some((head, tail))
}
