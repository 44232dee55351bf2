//! Opens a batch: looks at its records one by one where the topic's settings speak of records, and packs them anew where the
//! topic wants another codec. The cold path; a batch of a topic with default settings never comes here.
//!
//! It knows batches and limits, not the log. Its memory is used again, and given back after an unusually large batch.

use highwater_record::{
    Batch, BatchBuilder, Compression, Compressor, Decompressor, HeaderField, Limits, Producer,
    Records,
};
use smallvec::SmallVec;

use crate::admission::{Invalid, Refusal};
use crate::config::Config;
use crate::state::State;

/// The most bytes a batch may hold uncompressed: a bomb is refused, the largest honest batch is not.
const PLAIN_BYTES_MAX: usize = 256 << 20;

/// How much memory is kept from one batch to the next.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// A shard's tools for opening batches.
#[derive(Debug, Default)]
pub(crate) struct Repacker {
    decompressor: Decompressor,
    compressor: Compressor,
    builder: BatchBuilder,
    plain: Vec<u8>,
    packed: Vec<u8>,
}

impl Repacker {
    /// Checks the records of `batch` against the topic's settings; returns the batch that shall stand in the log in its
    /// place, if it cannot stay as it came.
    pub(crate) fn repack<'s>(
        &'s mut self,
        batch: Batch<'_>,
        state: &State,
        now_ms: i64,
    ) -> Result<Option<Batch<'s>>, Refusal> {
        let config = state.config();
        let codec = batch
            .header()
            .attributes()
            .codec()
            .map_err(Refusal::Corrupt)?;
        let wanted = config.compression.filter(|wanted| wanted.codec() != codec);
        self.give_back();
        let mut walk = Walk {
            state,
            now_ms,
            builder: wanted.is_some().then_some(&mut self.builder),
        };
        let limits = Limits {
            bytes_max: PLAIN_BYTES_MAX,
            ..Limits::default()
        };
        let records = Records::of(&batch, &mut self.plain, &mut self.decompressor, limits)
            .map_err(Refusal::Undecodable)?;
        walk.all(records, config)?;
        let Some(wanted) = wanted else {
            return Ok(None);
        };
        self.pack(batch, &wanted)?;
        state.check_size(self.packed.len())?;
        Batch::check(&self.packed)
            .map(Some)
            .map_err(Refusal::Corrupt)
    }

    fn pack(&mut self, batch: Batch<'_>, wanted: &Compression) -> Result<(), Refusal> {
        let header = batch.header();
        if header.has_producer_id() {
            self.builder.set_producer(Producer {
                id: header.producer_id(),
                epoch: header.producer_epoch(),
                base_sequence: header.base_sequence(),
            });
        }
        self.builder
            .set_transactional(header.attributes().is_transactional());
        self.builder
            .finish(&mut self.compressor, wanted, &mut self.packed)
            .map_err(Refusal::Undecodable)?;
        Ok(())
    }

    fn give_back(&mut self) {
        self.builder.reset();
        self.packed.clear();
        self.plain.clear();
        if self.packed.capacity() > KEPT_BYTES_MAX || self.plain.capacity() > KEPT_BYTES_MAX {
            *self = Repacker::default();
        }
    }
}

/// One walk over a batch's records.
struct Walk<'a> {
    state: &'a State,
    now_ms: i64,
    builder: Option<&'a mut BatchBuilder>,
}

impl Walk<'_> {
    fn all(&mut self, records: Records<'_>, config: &Config) -> Result<(), Refusal> {
        let log_decides = config.timestamp_type == highwater_record::TimestampType::LogAppend;
        for (index, record) in (0u32..).zip(records) {
            let record = record.map_err(Refusal::Corrupt)?;
            if config.log.compact && record.key.is_none() {
                return Err(Refusal::Invalid(Invalid::Keyless { record: index }));
            }
            if !log_decides {
                self.state
                    .check_timestamp(self.now_ms, index, record.timestamp_ms)?;
            }
            if let Some(builder) = &mut self.builder {
                let headers: SmallVec<[HeaderField<'_>; 8]> = record.headers().collect();
                builder
                    .append(record.timestamp_ms, record.key, record.value, &headers)
                    .map_err(|error| self.state.too_large(error.bytes))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
