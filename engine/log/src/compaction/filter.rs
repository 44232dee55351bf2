//! What of one batch outlives a cleaning: the batch as it lies, a part of it, its empty shell, or nothing.
//!
//! A decision on bytes and a map; it does not know files. (`Cleaner.cleanInto`, `MemoryRecords.filterTo`, KIP-534)
//!
//! ```text
//!   every record stays                       as it lies
//!   some go, or a tombstone gets its term    written anew: same offsets, producer, codec
//!   all go                                   an empty batch, if it is its producer's last or the cleaning's; else nothing
//! ```

use std::collections::BTreeMap;

use highwater_record::{
    Batch, BatchBuilder, Codec, Compression, Compressor, Decompressor, HeaderField, Limits, Offset,
    Record, Records,
};

use super::offset_map::OffsetMap;
use super::transactions::Transactions;

/// The last batch of a producer that is still known: its sequence or its epoch must not be lost with its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastBatch {
    /// Its last offset, if it holds records; `None` when all that is known of the producer is a marker.
    pub data: Option<Offset>,
    /// The producer's epoch.
    pub epoch: i16,
}

/// The producers that are known, by id.
pub type LastBatches = BTreeMap<i64, LastBatch>;

/// What a cleaning goes by.
#[derive(Debug)]
pub(crate) struct Terms {
    /// The time of the cleaning, ms since 1970.
    pub(crate) now_ms: i64,
    /// How long a tombstone stays, once it was cleaned around.
    pub(crate) delete_retention_ms: i64,
    /// The first offset that is not cleaned. The batch that ends there stays, be it empty: else nobody would know where
    /// the cleaned part ends.
    pub(crate) upper: Offset,
    /// The map speaks for offsets up to here; whatever lies behind stays.
    pub(crate) mapped_end: Offset,
    /// The producers that are known.
    pub(crate) last_batches: LastBatches,
}

/// What becomes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes.
    Gone,
    /// It stays, every byte of it.
    AsItLies,
    /// It was written anew, behind what is in the output.
    Rewritten,
}

/// Records met and kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) read: u64,
    pub(crate) kept: u64,
    /// Without a key, where there must be one.
    pub(crate) keyless: u64,
}

/// Why a batch cannot be cleaned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("{0}")]
    Record(#[from] highwater_record::Defect),
    #[error("{0}")]
    Codec(#[from] highwater_record::compression::Error),
    #[error("{0}")]
    Size(#[from] highwater_record::TooLarge),
}

/// Takes batches apart and puts together what is left; keeps its memory for the next.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    decompressor: Decompressor,
    compressor: Compressor,
    builder: BatchBuilder,
    /// The plain records of a compressed batch.
    plain: Vec<u8>,
    /// Which records of the batch stay, in their order.
    stays: Vec<bool>,
    pub(crate) tally: Tally,
}

/// More than this is not kept for the next batch.
const PLAIN_KEPT_BYTES: usize = 4 << 20;

impl Filter {
    /// Shows every record of a batch, until `see` says no; returns whether it never did.
    pub(crate) fn each(
        &mut self,
        batch: &Batch<'_>,
        mut see: impl FnMut(&Record<'_>) -> bool,
    ) -> Result<bool, Unfit> {
        let records = Records::of(
            batch,
            &mut self.plain,
            &mut self.decompressor,
            Limits::default(),
        )?;
        for record in records {
            if !see(&record?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives back what only a large batch needed.
    pub(crate) fn trim(&mut self) {
        if self.plain.capacity() > PLAIN_KEPT_BYTES {
            self.plain = Vec::new();
        }
    }

    /// Decides about a batch; one that is written anew is appended to `out`.
    pub(crate) fn pass(
        &mut self,
        batch: &Batch<'_>,
        terms: &Terms,
        map: &OffsetMap,
        transactions: &mut Transactions,
        out: &mut Vec<u8>,
    ) -> Result<Fate, Unfit> {
        let header = batch.header();
        let is_control = header.attributes().is_control();
        let horizon_ms = header.delete_horizon_ms();
        let is_needless = if is_control {
            transactions.meet_control(batch)
        } else {
            transactions.meet_records(header)
        };
        let is_over = horizon_ms.is_some_and(|horizon_ms| horizon_ms <= terms.now_ms);
        let goes = is_needless && (!is_control || is_over);
        let stays_empty = terms.must_stay(batch);
        if goes && !stays_empty {
            self.tally.read += u64::try_from(header.record_count()).unwrap_or(0);
            return Ok(Fate::Gone);
        }

        self.stays.clear();
        let mut has_tombstones = false;
        let records = Records::of(
            batch,
            &mut self.plain,
            &mut self.decompressor,
            Limits::default(),
        )?;
        for record in records.clone() {
            let record = record?;
            let stays = !goes
                && (is_control || terms.keeps(&record, horizon_ms, map, &mut self.tally.keyless));
            has_tombstones |= stays && record.value.is_none();
            self.stays.push(stays);
        }
        let kept = self.stays.iter().filter(|stays| **stays).count();
        let is_whole = kept == self.stays.len();
        self.tally.read += self.stays.len() as u64;
        self.tally.kept += kept as u64;
        let gets_term =
            horizon_ms.is_none() && (has_tombstones || is_control && is_needless) && kept > 0;
        if kept > 0 && is_whole && !gets_term {
            return Ok(Fate::AsItLies);
        }
        if kept == 0 && !stays_empty {
            return Ok(Fate::Gone);
        }
        if kept == 0 && header.record_count() == 0 {
            return Ok(Fate::AsItLies);
        }

        self.builder.take_over(header);
        let mut codec = Codec::None;
        if kept > 0 {
            codec = header.attributes().codec()?;
            if gets_term {
                let horizon_ms = terms.now_ms.saturating_add(terms.delete_retention_ms);
                self.builder.set_delete_horizon(horizon_ms);
            } else if let Some(horizon_ms) = horizon_ms {
                self.builder.set_delete_horizon(horizon_ms);
            }
            let mut fields: Vec<HeaderField<'_>> = Vec::new();
            for (record, stays) in records.zip(&self.stays) {
                let record = record?;
                if *stays {
                    let delta = record.offset.get() - header.base_offset().get();
                    let delta = i32::try_from(delta).expect("the reader holds it to 31 bits");
                    fields.clear();
                    fields.extend(record.headers());
                    let (key, value) = (record.key, record.value);
                    self.builder
                        .append_at(delta, record.timestamp_ms, key, value, &fields)?;
                }
            }
        }
        let plain_bytes = self.builder.len();
        self.builder
            .finish(&mut self.compressor, &Compression::of(codec), out)?;
        if plain_bytes > PLAIN_KEPT_BYTES {
            self.builder = BatchBuilder::new();
        }
        Ok(Fate::Rewritten)
    }
}

impl Terms {
    /// Whether a batch stays even without records.
    fn must_stay(&self, batch: &Batch<'_>) -> bool {
        let header = batch.header();
        let last = self.last_batches.get(&header.producer_id());
        let is_last = last.is_some_and(|last| match last.data {
            Some(offset) => header.last_offset() == offset,
            None => header.attributes().is_control() && header.producer_epoch() == last.epoch,
        });
        header.has_producer_id() && is_last || header.next_offset() == self.upper
    }

    /// Whether a record of users stays.
    fn keeps(
        &self,
        record: &Record<'_>,
        horizon_ms: Option<i64>,
        map: &OffsetMap,
        keyless: &mut u64,
    ) -> bool {
        if record.offset >= self.mapped_end {
            return true;
        }
        let Some(key) = record.key else {
            *keyless += 1;
            return false;
        };
        let is_last = map.get(key).is_none_or(|last| record.offset >= last);
        let is_over = || horizon_ms.is_some_and(|horizon_ms| self.now_ms >= horizon_ms);
        is_last && (record.value.is_some() || !is_over())
    }
}

#[cfg(test)]
mod tests;
