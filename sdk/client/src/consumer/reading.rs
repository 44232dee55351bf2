//! The batches of one answer, on their way to the application: checked, decoded, hidden where nobody is to see them.

use std::sync::Arc;

use bytes::Buf;
use highwater_record::control::ControlType;
use highwater_record::{Batch, Decompressor, HEADER_BYTES, Header, Records};

use super::batch::{RecordBatch, Scratch, Source};
use super::events::ConsumerEvent;
use super::shared::{Fetched, Shared};
use crate::config::{ConsumerConfig, Corrupt, Isolation};
use crate::error::{Error, ErrorKind, Result, TopicPartition};

/// What is left of an answer, of one partition.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) slot: usize,
    pub(super) place: TopicPartition,
    /// The cursor's when it was taken: after a seek it is nobody's.
    pub(super) generation: u32,
    pub(super) fetched: Fetched,
}

/// What a batch came to.
pub(super) struct Opened {
    /// The offset after it.
    pub(super) next_offset: i64,
    pub(super) leader_epoch: i32,
    /// Its records from the position on, if there are any to be seen.
    pub(super) records: Option<RecordBatch>,
    /// What was wrong with it, where it is passed over for that.
    pub(super) defect: Option<Error>,
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

impl Opened {
    /// Tells whoever watches what came of a batch that was read from an answer with this high watermark.
    pub(super) fn tell(&mut self, shared: &Shared, place: &TopicPartition, high_watermark: i64) {
        let next_offset = self.next_offset;
        if let Some(error) = self.defect.take() {
            shared.events.tell(|| ConsumerEvent::Skipped {
                place: place.clone(),
                next_offset,
                error,
            });
        }
        if next_offset >= high_watermark {
            shared.events.tell(|| ConsumerEvent::Eof {
                place: place.clone(),
                offset: next_offset,
            });
        }
    }
}

impl Reading {
    pub(super) fn is_empty(&self) -> bool {
        self.fetched.bytes.is_empty()
    }

    /// Checks and decodes the first batch that is left, and takes it out when that went well, or when what does not hold
    /// together is to be passed over.
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
        let error = match self.try_open(position, config, decoder) {
            Ok(opened) => return Ok(opened),
            Err(error) => error
                .at(&self.place.topic, self.place.partition)
                .at_offset(position),
        };
        match config.corrupt {
            Corrupt::Fail => Err(error),
            Corrupt::Skip => Ok(self.skip(position, error)),
        }
    }

    /// Passes the first batch over, whose header may be wrong in anything.
    fn skip(&mut self, position: i64, error: Error) -> Opened {
        let fetched = &mut self.fetched;
        let header = Header::peek(&fetched.bytes);
        let left = fetched.bytes.len();
        let bytes = header.map_or(left, |header| header.batch_bytes());
        let bytes = bytes.max(HEADER_BYTES).min(left);
        let claimed = header.map(|header| header.next_offset().get());
        fetched.bytes.advance(bytes);
        // Where the next batch begins is known better than where this one says that it ends.
        let follows = Header::peek(&fetched.bytes).map(|header| header.base_offset().get());
        let least = position.saturating_add(1);
        let most = fetched.high_watermark.max(least);
        let next_offset = follows.or(claimed).unwrap_or(least).clamp(least, most);
        tracing::warn!(place = %self.place, position, next_offset, %error, "a corrupt batch is passed over");
        Opened {
            next_offset,
            leader_epoch: -1,
            records: None,
            defect: Some(error),
        }
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
            defect: None,
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
