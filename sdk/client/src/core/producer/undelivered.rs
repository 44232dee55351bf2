//! The records of a batch that was not delivered, for those who want them back.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use highwater_record::{Batch as Checked, Decompressor, Limits, Records};

use crate::record::OwnedRecord;

/// A batch that was not delivered. Its bytes are looked into when somebody asks, and once.
#[derive(Debug)]
pub(crate) struct Undelivered {
    topic: Arc<str>,
    partition: i32,
    sealed: Bytes,
    records: OnceLock<Vec<OwnedRecord>>,
}

impl Undelivered {
    /// Of a sealed batch.
    pub(crate) fn new(topic: Arc<str>, partition: i32, sealed: Bytes) -> Self {
        Self {
            topic,
            partition,
            sealed,
            records: OnceLock::new(),
        }
    }

    /// The batch's record `index`, from 0.
    pub(crate) fn record(&self, index: u32) -> Option<&OwnedRecord> {
        let records = self.records.get_or_init(|| self.read().unwrap_or_default());
        records.get(usize::try_from(index).ok()?)
    }

    fn read(&self) -> Option<Vec<OwnedRecord>> {
        let batch = Checked::check(&self.sealed).ok()?;
        let mut scratch = Vec::new();
        // Our own bytes: whatever they decompress to was in memory before.
        let limits = Limits {
            bytes_max: usize::MAX,
            ratio_max: usize::MAX,
        };
        let mut decompressor = Decompressor::new();
        let records = Records::of(&batch, &mut scratch, &mut decompressor, limits).ok()?;
        let owned = |record: highwater_record::Record<'_>| OwnedRecord {
            topic: Arc::clone(&self.topic),
            partition: self.partition,
            timestamp_ms: record.timestamp_ms,
            key: record.key.map(Bytes::copy_from_slice),
            value: record.value.map(Bytes::copy_from_slice),
            headers: record
                .headers()
                .map(|header| {
                    let value = header.value.map(Bytes::copy_from_slice);
                    (Bytes::copy_from_slice(header.key), value)
                })
                .collect(),
        };
        records.map(|record| record.ok().map(owned)).collect()
    }
}
