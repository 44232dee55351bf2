//! The `.snapshot` file: what was known of the producers at one offset, byte for byte as Kafka writes it.
//!
//! It knows the bytes, not the file: names, places and syncing are the log's. Kafka keeps one batch per producer here, the
//! last one; the other kept batches come back from the log itself. Source: `ProducerSnapshot.json`,
//! `ProducerStateManager.writeSnapshot`.
//!
//! ```text
//!  0       2        6         10
//!  | i16 1 | u32 crc | i32 n  | n entries of 46 bytes            all big-endian; crc: CRC-32C of everything from byte 6
//!
//!  entry: 0 producer id i64 | 8 epoch i16 | 10 last sequence i32 | 14 last offset i64 | 22 offset delta i32
//!         26 timestamp i64 | 34 coordinator epoch i32 | 38 first offset of the open transaction i64, -1 for none
//! ```

use highwater_record::{Offset, crc};
use thiserror::Error;

use crate::producers::{Kept, Producer, Producers};

const VERSION: i16 = 1;
const HEADER_BYTES: usize = 10;
const CRC_AT: usize = 2;
const COVERED_FROM: usize = 6;
const ENTRY_BYTES: usize = 46;

/// Why a snapshot file is not believed; it is removed and an older one, or the log, takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Defect {
    /// The file ends before its header does, or its length does not match its count.
    #[error("snapshot of {bytes} bytes cannot hold the {count} entries it claims")]
    Length {
        /// Bytes there are.
        bytes: usize,
        /// Entries claimed; 0 when not even the count could be read.
        count: i32,
    },
    /// Another version than 1.
    #[error("snapshot version {found}, expected {VERSION}")]
    Version {
        /// The version found.
        found: i16,
    },
    /// The checksum does not match.
    #[error("snapshot crc {stored:#010x}, computed {computed:#010x}")]
    Crc {
        /// As the file says.
        stored: u32,
        /// As the bytes say.
        computed: u32,
    },
    /// An entry that no broker writes.
    #[error("snapshot entry of producer {producer_id} holds an impossible value")]
    Entry {
        /// The producer of that entry.
        producer_id: i64,
    },
}

/// The snapshot of these producers, in the order of their ids.
pub fn encode(producers: &Producers) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + producers.len() * ENTRY_BYTES);
    let count = i32::try_from(producers.len()).expect("producers are bounded far below 2^31");
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&count.to_be_bytes());
    for (producer_id, producer) in producers.iter() {
        let (last_sequence, last_offset, offset_delta) =
            producer.last_batch().map_or((-1, -1, 0), |kept| {
                (
                    kept.last_sequence,
                    kept.last_offset.get(),
                    kept.offset_delta,
                )
            });
        bytes.extend_from_slice(&producer_id.to_be_bytes());
        bytes.extend_from_slice(&producer.epoch.to_be_bytes());
        bytes.extend_from_slice(&last_sequence.to_be_bytes());
        bytes.extend_from_slice(&last_offset.to_be_bytes());
        bytes.extend_from_slice(&offset_delta.to_be_bytes());
        bytes.extend_from_slice(&producer.last_timestamp_ms.to_be_bytes());
        bytes.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
        let transaction_first = producer.transaction_first.map_or(-1, Offset::get);
        bytes.extend_from_slice(&transaction_first.to_be_bytes());
    }
    let crc = crc::crc32c(&bytes[COVERED_FROM..]);
    bytes[CRC_AT..COVERED_FROM].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// Reads a snapshot. Allocates no more than the file is long.
pub fn decode(bytes: &[u8]) -> Result<Vec<(i64, Producer)>, Defect> {
    let short = Defect::Length {
        bytes: bytes.len(),
        count: 0,
    };
    let mut header = Fields(bytes);
    let version = i16::from_be_bytes(header.take().ok_or(short)?);
    if version != VERSION {
        return Err(Defect::Version { found: version });
    }
    let stored = u32::from_be_bytes(header.take().ok_or(short)?);
    let covered = header.0;
    let count = i32::from_be_bytes(header.take().ok_or(short)?);
    let computed = crc::crc32c(covered);
    if stored != computed {
        return Err(Defect::Crc { stored, computed });
    }
    let entries = header.0;
    if usize::try_from(count)
        .ok()
        .and_then(|count| count.checked_mul(ENTRY_BYTES))
        != Some(entries.len())
    {
        return Err(Defect::Length {
            bytes: bytes.len(),
            count,
        });
    }
    entries.chunks_exact(ENTRY_BYTES).map(entry).collect()
}

fn entry(bytes: &[u8]) -> Result<(i64, Producer), Defect> {
    let mut fields = Fields(bytes);
    let full = "an entry is cut to its length";
    let producer_id = i64::from_be_bytes(fields.take().expect(full));
    let epoch = i16::from_be_bytes(fields.take().expect(full));
    let last_sequence = i32::from_be_bytes(fields.take().expect(full));
    let last_offset = i64::from_be_bytes(fields.take().expect(full));
    let offset_delta = i32::from_be_bytes(fields.take().expect(full));
    let timestamp_ms = i64::from_be_bytes(fields.take().expect(full));
    let coordinator_epoch = i32::from_be_bytes(fields.take().expect(full));
    let transaction_first = i64::from_be_bytes(fields.take().expect(full));
    let has_batch = last_offset >= 0;
    if producer_id < 0
        || (has_batch
            && (offset_delta < 0 || i64::from(offset_delta) > last_offset || last_sequence < -1))
    {
        return Err(Defect::Entry { producer_id });
    }
    let last_batch = has_batch.then(|| Kept {
        last_sequence,
        last_offset: Offset::new(last_offset),
        offset_delta,
        timestamp_ms,
    });
    let transaction_first = (transaction_first >= 0).then(|| Offset::new(transaction_first));
    let producer = Producer::remembered(
        epoch,
        coordinator_epoch,
        timestamp_ms,
        transaction_first,
        last_batch,
    );
    Ok((producer_id, producer))
}

/// The bytes not yet taken.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }
}

#[cfg(test)]
mod tests;
