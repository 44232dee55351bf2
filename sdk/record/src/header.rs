//! The 61 bytes in front of every batch, as a view onto the bytes themselves. Knows nothing of
//! records or codecs' insides.

use zerocopy::byteorder::big_endian::{I16, I32, I64, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::attributes::{Attributes, TimestampType};
use crate::compression::Codec;
use crate::defect::Defect;
use crate::offset::{LeaderEpoch, Offset};

/// Bytes of a batch header.
pub const HEADER_BYTES: usize = 61;
/// Bytes in front of what the length field counts: base offset and the field itself.
pub const LENGTH_PREFIX_BYTES: usize = 12;
/// First byte that the CRC covers: everything from the attributes to the end.
pub const CRC_START: usize = 21;
/// The only format there is.
pub const MAGIC: i8 = 2;
/// Producer id of a batch without idempotence.
pub const NO_PRODUCER_ID: i64 = -1;
/// Producer epoch of a batch without idempotence.
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// Base sequence of a batch without idempotence, and of control batches.
pub const NO_SEQUENCE: i32 = -1;
/// A record cannot be smaller: length, attributes, two deltas, two lengths, header count, one byte
/// each.
pub(crate) const RECORD_BYTES_MIN: usize = 7;

/// The header of a batch, big-endian as it lies (Kafka: `DefaultRecordBatch`).
///
/// A view proves nothing but that 61 bytes are there; [`crate::Batch::check`] proves the rest.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Header {
    base_offset: I64,
    batch_length: I32,
    leader_epoch: I32,
    magic: i8,
    crc: U32,
    attributes: I16,
    last_offset_delta: I32,
    base_timestamp: I64,
    max_timestamp: I64,
    producer_id: I64,
    producer_epoch: I16,
    base_sequence: I32,
    record_count: I32,
}

const _: () = assert!(size_of::<Header>() == HEADER_BYTES);

/// All fields of a header that a writer chooses; magic, length and CRC are the writer's own work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    pub(crate) base_offset: Offset,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) attributes: Attributes,
    pub(crate) last_offset_delta: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) record_count: i32,
}

impl Header {
    /// The first 61 bytes as a header; `None` when there are fewer. Nothing else is looked at.
    #[inline]
    pub fn peek(bytes: &[u8]) -> Option<&Header> {
        Header::ref_from_prefix(bytes)
            .ok()
            .map(|(header, _)| header)
    }

    /// A header with these fields, `batch_length` as given and the CRC still zero.
    pub(crate) fn of(fields: &Fields, batch_length: i32) -> Header {
        Header {
            base_offset: I64::new(fields.base_offset.get()),
            batch_length: I32::new(batch_length),
            leader_epoch: I32::new(fields.leader_epoch.get()),
            magic: MAGIC,
            crc: U32::new(0),
            attributes: I16::new(fields.attributes.bits()),
            last_offset_delta: I32::new(fields.last_offset_delta),
            base_timestamp: I64::new(fields.base_timestamp),
            max_timestamp: I64::new(fields.max_timestamp),
            producer_id: I64::new(fields.producer_id),
            producer_epoch: I16::new(fields.producer_epoch),
            base_sequence: I32::new(fields.base_sequence),
            record_count: I32::new(fields.record_count),
        }
    }

    /// The 61 bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        IntoBytes::as_bytes(self)
    }

    /// The bytes of the header that the CRC covers (21 to 61).
    #[inline]
    pub(crate) fn crc_bytes(&self) -> &[u8] {
        self.as_bytes().get(CRC_START..).unwrap_or_default()
    }

    /// Offset of the first record.
    #[inline]
    pub fn base_offset(&self) -> Offset {
        Offset::new(self.base_offset.get())
    }

    /// Offset of the last record as produced: compaction keeps it even when that record is gone.
    /// Saturates on nonsense, which a checked batch does not hold.
    #[inline]
    pub fn last_offset(&self) -> Offset {
        Offset::new(
            self.base_offset
                .get()
                .saturating_add(i64::from(self.last_offset_delta.get())),
        )
    }

    /// The offset after this batch.
    #[inline]
    pub fn next_offset(&self) -> Offset {
        self.last_offset().next()
    }

    /// Bytes of the whole batch, header included: 12 + `batchLength`; 12 when the field is
    /// negative.
    #[inline]
    pub fn batch_bytes(&self) -> usize {
        LENGTH_PREFIX_BYTES + usize::try_from(self.batch_length.get()).unwrap_or(0)
    }

    /// Epoch of the leader that appended the batch; -1 from a client.
    #[inline]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch::new(self.leader_epoch.get())
    }

    /// Format of the batch.
    #[inline]
    pub fn magic(&self) -> i8 {
        self.magic
    }

    /// CRC-32C over bytes 21 to the end, as the header claims it.
    #[inline]
    pub fn crc(&self) -> u32 {
        self.crc.get()
    }

    /// Codec, timestamp type and the three flags.
    #[inline]
    pub fn attributes(&self) -> Attributes {
        Attributes::from_bits(self.attributes.get())
    }

    /// Last offset minus base offset.
    #[inline]
    pub fn last_offset_delta(&self) -> i32 {
        self.last_offset_delta.get()
    }

    /// What record timestamps are deltas to, in milliseconds since 1970. When
    /// [`Attributes::has_delete_horizon`], see [`Header::delete_horizon_ms`].
    #[inline]
    pub fn base_timestamp(&self) -> i64 {
        self.base_timestamp.get()
    }

    /// When tombstones and markers of this batch may go (the compactor writes it in the base
    /// timestamp's place, KIP-534).
    #[inline]
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        self.attributes()
            .has_delete_horizon()
            .then(|| self.base_timestamp.get())
    }

    /// Largest record timestamp, or the time of the append; milliseconds since 1970, -1 for none.
    #[inline]
    pub fn max_timestamp(&self) -> i64 {
        self.max_timestamp.get()
    }

    /// Id of the idempotent producer, -1 for none.
    #[inline]
    pub fn producer_id(&self) -> i64 {
        self.producer_id.get()
    }

    /// Whether an idempotent (or transactional) producer wrote it.
    #[inline]
    pub fn has_producer_id(&self) -> bool {
        self.producer_id.get() > NO_PRODUCER_ID
    }

    /// Epoch of the producer, -1 for none.
    #[inline]
    pub fn producer_epoch(&self) -> i16 {
        self.producer_epoch.get()
    }

    /// Sequence number of the first record, -1 for none.
    #[inline]
    pub fn base_sequence(&self) -> i32 {
        self.base_sequence.get()
    }

    /// Sequence number of the last record, -1 for none. After 2^31-1 comes 0.
    #[inline]
    pub fn last_sequence(&self) -> i32 {
        match self.base_sequence.get() {
            NO_SEQUENCE => NO_SEQUENCE,
            base => sequence_after(base, self.last_offset_delta.get()),
        }
    }

    /// Records in the batch. Less than the offsets span after compaction; may then be 0.
    #[inline]
    pub fn record_count(&self) -> i32 {
        self.record_count.get()
    }

    /// Whether the batch holds one record for each offset it spans, and at least one: what a
    /// producer must send.
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        self.record_count.get() >= 1
            && self.record_count.get().checked_sub(1) == Some(self.last_offset_delta.get())
    }

    /// All that can be known without the body: length, magic, codec, counts and offsets hold
    /// together.
    ///
    /// This is what walking a file by headers needs. The CRC is not looked at.
    ///
    /// # Errors
    /// The first [`Defect`] found.
    pub fn check(&self) -> Result<(), Defect> {
        if self.magic != MAGIC {
            return Err(Defect::Magic { found: self.magic });
        }
        if self.batch_bytes() < HEADER_BYTES {
            return Err(Defect::Length {
                found: self.batch_length.get(),
            });
        }
        let codec = self.attributes().codec()?;
        self.check_count(codec)?;
        let delta = i64::from(self.last_offset_delta.get());
        let base = self.base_offset.get();
        if base < 0 || base.checked_add(delta).is_none_or(|last| last == i64::MAX) {
            return Err(Defect::Offsets {
                base,
                last_offset_delta: self.last_offset_delta.get(),
            });
        }
        Ok(())
    }

    fn check_count(&self, codec: Codec) -> Result<(), Defect> {
        let body = self.batch_bytes() - HEADER_BYTES;
        let (count, delta) = (self.record_count.get(), self.last_offset_delta.get());
        let defect = Defect::Count {
            records: count,
            last_offset_delta: delta,
            body,
        };
        let records = usize::try_from(count).map_err(|_| defect)?;
        if delta < 0 || count.saturating_sub(1) > delta {
            return Err(defect);
        }
        if codec == Codec::None && records.saturating_mul(RECORD_BYTES_MIN) > body {
            return Err(defect);
        }
        Ok(())
    }

    /// Rewrites what a broker gives a batch; outside the CRC.
    #[inline]
    pub(crate) fn set_place(&mut self, base: Offset, epoch: LeaderEpoch) {
        self.base_offset = I64::new(base.get());
        self.leader_epoch = I32::new(epoch.get());
    }

    /// Sets the time of the append for all records; inside the CRC.
    #[inline]
    pub(crate) fn set_log_append_time(&mut self, now_ms: i64) {
        let attributes = self
            .attributes()
            .with_timestamp_type(TimestampType::LogAppend);
        self.attributes = I16::new(attributes.bits());
        self.max_timestamp = I64::new(now_ms);
    }

    /// Sets the producer and the first sequence; inside the CRC.
    #[inline]
    pub(crate) fn set_producer(&mut self, id: i64, epoch: i16, base_sequence: i32) {
        self.producer_id = I64::new(id);
        self.producer_epoch = I16::new(epoch);
        self.base_sequence = I32::new(base_sequence);
    }

    #[inline]
    pub(crate) fn set_crc(&mut self, crc: u32) {
        self.crc = U32::new(crc);
    }
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Header")
            .field("base_offset", &self.base_offset())
            .field("batch_length", &self.batch_length.get())
            .field("leader_epoch", &self.leader_epoch())
            .field("magic", &self.magic)
            .field("crc", &format_args!("{:#010x}", self.crc()))
            .field("attributes", &self.attributes())
            .field("last_offset_delta", &self.last_offset_delta())
            .field("base_timestamp", &self.base_timestamp())
            .field("max_timestamp", &self.max_timestamp())
            .field("producer_id", &self.producer_id())
            .field("producer_epoch", &self.producer_epoch())
            .field("base_sequence", &self.base_sequence())
            .field("record_count", &self.record_count())
            .finish()
    }
}

/// The sequence number `records` after `sequence`: 0 comes after 2^31-1 (Kafka:
/// `DefaultRecordBatch.incrementSequence`).
#[inline]
pub fn sequence_after(sequence: i32, records: i32) -> i32 {
    sequence.wrapping_add(records) & i32::MAX
}
