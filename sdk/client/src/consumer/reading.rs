//! The batches of one answer, on their way to the application: checked, decoded, hidden where nobody is to see them.

use std::sync::Arc;

use bytes::Buf;
use highwater_record::control::ControlType;
use highwater_record::{Batch, Decompressor, Records};

use super::batch::{RecordBatch, Scratch, Source};
use super::shared::Fetched;
use crate::config::{ConsumerConfig, Isolation};
use crate::error::{Error, ErrorKind, Result, TopicPartition};

/// What is left of an answer, of one partition.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) slot: usize,
    pub(super) place: TopicPartition,
    pub(super) fetched: Fetched,
}

/// What a batch came to.
pub(super) struct Opened {
    /// The offset after it.
    pub(super) next_offset: i64,
    pub(super) leader_epoch: i32,
    /// Its records from the position on, if there are any to be seen.
    pub(super) records: Option<RecordBatch>,
}

/// What decoding takes, and gives back for the next batch.
#[derive(Debug)]
pub(super) struct Decoder {
    decompressor: Decompressor,
    scratch: Arc<Scratch>,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self {
            decompressor: Decompressor::new(),
            scratch: Scratch::new(),
        }
    }
}

impl Reading {
    pub(super) fn is_empty(&self) -> bool {
        self.fetched.bytes.is_empty()
    }

    /// Checks and decodes the first batch that is left, and takes it out when that went well.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](ErrorKind::Corrupt), with the partition and `position`.
    pub(super) fn open(
        &mut self,
        position: i64,
        config: &ConsumerConfig,
        decoder: &mut Decoder,
    ) -> Result<Opened> {
        self.try_open(position, config, decoder).map_err(|error| {
            error
                .at(&self.place.topic, self.place.partition)
                .at_offset(position)
        })
    }

    fn try_open(
        &mut self,
        position: i64,
        config: &ConsumerConfig,
        decoder: &mut Decoder,
    ) -> Result<Opened> {
        let fetched = &mut self.fetched;
        let batch = Batch::check(&fetched.bytes)
            .map_err(|defect| Error::new(ErrorKind::Corrupt, defect.to_string()))?;
        let header = batch.header();
        let attributes = header.attributes();
        let mut seen = !attributes.is_control();
        if attributes.is_transactional() && config.isolation == Isolation::ReadCommitted {
            seen &= !fetched
                .aborted
                .hides(header.producer_id(), header.last_offset().get());
            if attributes.is_control() && is_abort(&batch) {
                fetched.aborted.ended(header.producer_id());
            }
        }
        let records = if seen {
            let source = Source {
                topic: &self.place.topic,
                partition: self.place.partition,
                high_watermark: fetched.high_watermark,
                position,
                bytes_max: config.batch_bytes_max,
            };
            let Decoder {
                decompressor,
                scratch,
            } = decoder;
            let bytes = &fetched.bytes;
            Some(RecordBatch::decode(
                &source,
                batch,
                bytes,
                decompressor,
                scratch,
            )?)
        } else {
            None
        };
        let opened = Opened {
            next_offset: header.next_offset().get(),
            leader_epoch: header.leader_epoch().get(),
            records: records.filter(|records| !records.is_empty()),
        };
        let bytes = batch.len();
        fetched.bytes.advance(bytes);
        Ok(opened)
    }
}

fn is_abort(batch: &Batch<'_>) -> bool {
    // Control batches are never compressed.
    let first = Records::over(batch.header(), batch.body()).next();
    let Some(Ok(record)) = first else {
        return false;
    };
    matches!(ControlType::of_key(record.key), Ok(ControlType::Abort))
}
