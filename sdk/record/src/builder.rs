//! Records into a batch: each is encoded once, where it will be sent from. Knows nothing of
//! partitions, limits of topics or time.

mod encode;

use encode::{body_bytes, length, put_field};

use crate::attributes::{Attributes, TimestampType};
use crate::compression::{Codec, Compression, Compressor, Error};
use crate::control::ControlRecord;
use crate::crc::crc32c;
use crate::header::{
    CRC_START, Fields, HEADER_BYTES, Header, LENGTH_PREFIX_BYTES, NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID, NO_SEQUENCE,
};
use crate::offset::{LeaderEpoch, Offset};
use crate::reader::HeaderField;
use crate::varint;

/// Who produces a batch, and the sequence number of its first record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Producer {
    /// Id that the broker gave.
    pub id: i64,
    /// Epoch of that id.
    pub epoch: i16,
    /// Sequence number of the first record, per partition; 0 follows 2^31-1.
    pub base_sequence: i32,
}

impl Producer {
    /// No idempotence: -1 in all three fields.
    pub const NONE: Producer = Producer {
        id: NO_PRODUCER_ID,
        epoch: NO_PRODUCER_EPOCH,
        base_sequence: NO_SEQUENCE,
    };
}

/// Bytes of a batch before compression: what the 32-bit length can say, less what a codec may add
/// to noise.
const BYTES_MAX: usize = (2 << 30) - (16 << 20);

/// The batch would outgrow its 32-bit length; nothing was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("batch of {bytes} bytes exceeds limit {BYTES_MAX}")]
pub struct TooLarge {
    /// Bytes that the batch would have.
    pub bytes: usize,
}

/// Of the batch that a builder took over.
#[derive(Debug, Clone, Copy)]
struct Kept {
    last_offset_delta: i32,
    max_timestamp: i64,
}

/// Collects records and makes a batch of them. Reused after [`BatchBuilder::finish`] or
/// [`BatchBuilder::reset`] it keeps its memory.
///
/// Offsets start at 0 (the broker stamps the batch), timestamps are deltas to that of the first
/// record.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    /// Room for the header, then the records so far, encoded.
    buffer: Vec<u8>,
    count: i32,
    /// Offset delta of the last record, -1 for none.
    last_delta: i32,
    /// What compaction keeps of a batch when its records go; `None` for a new batch.
    kept: Option<Kept>,
    base_timestamp: Option<i64>,
    max_timestamp: i64,
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    producer: Producer,
    attributes: Attributes,
}

impl BatchBuilder {
    /// A builder without records. The first record's timestamp becomes the base.
    pub fn new() -> BatchBuilder {
        BatchBuilder::with_capacity(0)
    }

    /// The same, with memory for a batch of `bytes` uncompressed.
    pub fn with_capacity(bytes: usize) -> BatchBuilder {
        let mut buffer = Vec::with_capacity(bytes.max(HEADER_BYTES));
        buffer.resize(HEADER_BYTES, 0);
        BatchBuilder {
            buffer,
            count: 0,
            last_delta: -1,
            kept: None,
            base_timestamp: None,
            max_timestamp: -1,
            base_offset: Offset::ZERO,
            leader_epoch: LeaderEpoch::NONE,
            producer: Producer::NONE,
            attributes: Attributes::default(),
        }
    }

    /// Sets the base timestamp, which is otherwise that of the first record. Before the first
    /// append.
    pub fn set_base_timestamp(&mut self, timestamp_ms: i64) {
        debug_assert_eq!(self.count, 0, "deltas of earlier records would be wrong");
        self.base_timestamp = Some(timestamp_ms);
    }

    /// Sets base offset and leader epoch, for who writes a log of its own; a client leaves them at
    /// 0 and -1.
    pub fn set_place(&mut self, base: Offset, epoch: LeaderEpoch) {
        self.base_offset = base;
        self.leader_epoch = epoch;
    }

    /// Sets the producer. Any time before [`BatchBuilder::finish`].
    pub fn set_producer(&mut self, producer: Producer) {
        self.producer = producer;
    }

    /// Makes the batch part of a transaction, or not.
    pub fn set_transactional(&mut self, yes: bool) {
        self.attributes = self.attributes.with_transactional(yes);
    }

    /// Makes it a control batch, or not. See [`crate::control`] for what its records are.
    pub fn set_control(&mut self, yes: bool) {
        self.attributes = self.attributes.with_control(yes);
    }

    /// Makes the broker's time the time of all records: `now_ms` in milliseconds since 1970.
    pub fn set_log_append_time(&mut self, now_ms: i64) {
        self.attributes = self
            .attributes
            .with_timestamp_type(TimestampType::LogAppend);
        self.max_timestamp = now_ms;
    }

    /// Continues a batch that is written anew without some of its records: offsets, producer and
    /// flags stay, so does the last offset delta when the last record goes, and the largest
    /// timestamp when all go. Before the first append.
    ///
    /// The delete horizon does not stay: see [`BatchBuilder::set_delete_horizon`].
    pub fn take_over(&mut self, header: &Header) {
        self.reset();
        self.set_place(header.base_offset(), header.leader_epoch());
        self.producer = Producer {
            id: header.producer_id(),
            epoch: header.producer_epoch(),
            base_sequence: header.base_sequence(),
        };
        self.attributes = header.attributes().with_delete_horizon(false);
        self.kept = Some(Kept {
            last_offset_delta: header.last_offset_delta(),
            max_timestamp: header.max_timestamp(),
        });
        if header.attributes().timestamp_type() == TimestampType::LogAppend {
            self.max_timestamp = header.max_timestamp();
        }
    }

    /// Says from when tombstones and markers of this batch may go; milliseconds since 1970. It
    /// takes the base timestamp's place (KIP-534). Before the first append.
    pub fn set_delete_horizon(&mut self, horizon_ms: i64) {
        self.set_base_timestamp(horizon_ms);
        self.attributes = self.attributes.with_delete_horizon(true);
    }

    /// Appends a record at the next offset; `timestamp_ms` in milliseconds since 1970. Returns the
    /// bytes it took, uncompressed.
    ///
    /// # Errors
    /// [`TooLarge`] when the batch would reach 2 GiB (or 2^31 records).
    pub fn append(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[HeaderField<'_>],
    ) -> Result<usize, TooLarge> {
        let Some(delta) = self.last_delta.checked_add(1) else {
            return Err(TooLarge {
                bytes: BYTES_MAX + 1,
            });
        };
        self.append_at(delta, timestamp_ms, key, value, headers)
    }

    /// Appends a record at this offset delta, above that of the record before: for who leaves
    /// records out.
    ///
    /// # Errors
    /// As [`BatchBuilder::append`].
    pub fn append_at(
        &mut self,
        offset_delta: i32,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[HeaderField<'_>],
    ) -> Result<usize, TooLarge> {
        assert!(offset_delta >= 0, "offset delta {offset_delta}");
        assert!(
            self.count == 0 || offset_delta > self.last_delta,
            "offset delta {offset_delta}"
        );
        let base = self.base_timestamp.unwrap_or(timestamp_ms);
        let delta = timestamp_ms.wrapping_sub(base);
        let body = body_bytes(offset_delta, delta, key, value, headers);
        let before = self.buffer.len();
        let after = before
            .saturating_add(varint::bytes(length(body)))
            .saturating_add(body);
        if after > BYTES_MAX {
            return Err(TooLarge { bytes: after });
        }
        let out = &mut self.buffer;
        out.reserve(after - before);
        varint::put(out, length(body));
        out.push(0);
        varint::put_long(out, delta);
        varint::put(out, offset_delta);
        put_field(out, key);
        put_field(out, value);
        varint::put(out, length(headers.len()));
        for header in headers {
            put_field(out, Some(header.key));
            put_field(out, header.value);
        }
        self.base_timestamp = Some(base);
        if self.attributes.timestamp_type() == TimestampType::Create {
            self.max_timestamp = self.max_timestamp.max(timestamp_ms);
        }
        self.count += 1;
        self.last_delta = offset_delta;
        Ok(after - before)
    }

    /// Appends a control record, and makes the batch a control batch. Returns the bytes it took.
    ///
    /// # Errors
    /// As [`BatchBuilder::append`].
    pub fn append_control(
        &mut self,
        timestamp_ms: i64,
        record: &ControlRecord,
    ) -> Result<usize, TooLarge> {
        self.set_control(true);
        self.append(
            timestamp_ms,
            Some(&record.kind().key()),
            Some(&record.value()),
            &[],
        )
    }

    /// Bytes of the whole batch, uncompressed, as it stands.
    #[inline]
    #[expect(
        clippy::len_without_is_empty,
        reason = "what is empty is told by count()"
    )]
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Bytes the whole batch would have after this record, uncompressed; exact.
    pub fn len_with(
        &self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[HeaderField<'_>],
    ) -> usize {
        let delta = timestamp_ms.wrapping_sub(self.base_timestamp.unwrap_or(timestamp_ms));
        let offset_delta = self.last_delta.saturating_add(1);
        let body = body_bytes(offset_delta, delta, key, value, headers);
        self.buffer.len() + varint::bytes(length(body)) + body
    }

    /// Records so far.
    #[inline]
    pub fn count(&self) -> i32 {
        self.count
    }

    /// The base timestamp, when there is one.
    pub fn base_timestamp(&self) -> Option<i64> {
        self.base_timestamp
    }

    /// The largest timestamp so far; -1 without records.
    pub fn max_timestamp(&self) -> i64 {
        self.max_timestamp
    }

    /// Makes the batch, appends it to `out`, and starts anew; returns the bytes it has.
    ///
    /// Without a codec and with an empty `out` nothing is copied: the two change their memory. A
    /// codec that does not make the records smaller is still used, since that is what was asked
    /// for.
    ///
    /// # Errors
    /// [`Error`] when the codec cannot get memory; `out` and the builder are unchanged.
    pub fn finish(
        &mut self,
        compressor: &mut Compressor,
        compression: &Compression,
        out: &mut Vec<u8>,
    ) -> Result<usize, Error> {
        let bytes = if compression.codec() == Codec::None {
            self.finish_plain(out)
        } else {
            self.finish_compressed(compressor, compression, out)?
        };
        self.reset();
        Ok(bytes)
    }

    fn finish_plain(&mut self, out: &mut Vec<u8>) -> usize {
        let bytes = self.buffer.len();
        let header = self.header(Codec::None, bytes);
        seal(&mut self.buffer, header);
        if out.is_empty() {
            std::mem::swap(&mut self.buffer, out);
        } else {
            out.extend_from_slice(&self.buffer);
        }
        bytes
    }

    fn finish_compressed(
        &mut self,
        compressor: &mut Compressor,
        compression: &Compression,
        out: &mut Vec<u8>,
    ) -> Result<usize, Error> {
        let start = out.len();
        out.resize(start + HEADER_BYTES, 0);
        let records = self.buffer.get(HEADER_BYTES..).unwrap_or_default();
        if let Err(error) = compressor.compress(compression, records, out) {
            out.truncate(start);
            return Err(error);
        }
        let bytes = out.len() - start;
        let header = self.header(compression.codec(), bytes);
        seal(out.get_mut(start..).unwrap_or_default(), header);
        Ok(bytes)
    }

    /// Forgets the records, the producer and the flags; keeps the memory.
    pub fn reset(&mut self) {
        self.buffer.clear();
        self.buffer.resize(HEADER_BYTES, 0);
        self.count = 0;
        self.last_delta = -1;
        self.kept = None;
        self.base_timestamp = None;
        self.max_timestamp = -1;
        self.base_offset = Offset::ZERO;
        self.leader_epoch = LeaderEpoch::NONE;
        self.producer = Producer::NONE;
        self.attributes = Attributes::default();
    }

    fn header(&self, codec: Codec, bytes: usize) -> Header {
        let kept_delta = self.kept.map_or(-1, |kept| kept.last_offset_delta);
        let max_timestamp = match self.kept {
            Some(kept) if self.count == 0 => kept.max_timestamp,
            _ => self.max_timestamp,
        };
        let fields = Fields {
            base_offset: self.base_offset,
            leader_epoch: self.leader_epoch,
            attributes: self.attributes.with_codec(codec),
            last_offset_delta: self.last_delta.max(kept_delta).max(0),
            base_timestamp: self.base_timestamp.unwrap_or(-1),
            max_timestamp,
            producer_id: self.producer.id,
            producer_epoch: self.producer.epoch,
            base_sequence: self.producer.base_sequence,
            record_count: self.count,
        };
        Header::of(&fields, length(bytes - LENGTH_PREFIX_BYTES))
    }
}

impl Default for BatchBuilder {
    fn default() -> BatchBuilder {
        BatchBuilder::new()
    }
}

/// Writes the header in front of the body, then the CRC over both: one pass.
fn seal(batch: &mut [u8], mut header: Header) {
    put_header(batch, &header);
    header.set_crc(crc32c(batch.get(CRC_START..).unwrap_or_default()));
    put_header(batch, &header);
}

fn put_header(batch: &mut [u8], header: &Header) {
    if let Some(room) = batch.first_chunk_mut::<HEADER_BYTES>() {
        room.copy_from_slice(header.as_bytes());
    }
}
