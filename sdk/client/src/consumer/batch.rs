//! Records as the consumer hands them out: a batch that lends, and records that own.
//!
//! A batch is decoded once, to the places of its records' parts in its bytes; lending a record is
//! reading one such entry. What the batch was decoded into goes back to the consumer when the last
//! reference is dropped.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use crossbeam::queue::ArrayQueue;
use highwater_record::{Codec, Decompressor, HeaderField, Headers, Limits, Records, TimestampType};

use super::track::{Mark, Track};
use crate::error::{Error, ErrorKind, Result};
use crate::telemetry::{TraceContext, measure};

/// Batches' memory to be used again, shared by a consumer and the batches it handed out.
#[derive(Debug)]
pub(super) struct Scratch(ArrayQueue<Buffers>);

#[derive(Debug, Default)]
struct Buffers {
    entries: Vec<Entry>,
    page: Vec<u8>,
}

/// What one set of buffers may keep between batches.
const PAGE_BYTES_KEPT: usize = 4 << 20;
const ENTRIES_KEPT: usize = 64 << 10;

impl Scratch {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(ArrayQueue::new(8)))
    }
}

/// Where a record's parts are in the batch's bytes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    offset: i64,
    timestamp_ms: i64,
    key: Place,
    value: Place,
    headers: Place,
    header_count: u32,
}

/// Bytes `start .. start + len`; `len` is `NULL` for none.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: u32,
    len: u32,
}

const NULL: u32 = u32::MAX;

impl Place {
    /// Of a part of `all`.
    fn of(part: Option<&[u8]>, all: &[u8]) -> Self {
        match part {
            None => Self {
                start: 0,
                len: NULL,
            },
            Some([]) => Self { start: 0, len: 0 },
            Some(part) => {
                let start = part.as_ptr().addr() - all.as_ptr().addr();
                // A batch is below 2 GiB; its decompressed bytes are bounded to that, too.
                Self {
                    start: u32::try_from(start).unwrap_or(NULL),
                    len: u32::try_from(part.len()).unwrap_or(NULL),
                }
            }
        }
    }

    #[inline]
    fn get(self, all: &[u8]) -> Option<&[u8]> {
        if self.len == NULL {
            return None;
        }
        let start = self.start as usize;
        all.get(start..start + self.len as usize)
    }
}

/// Records of one partition, one after the other, as one batch of the log held them. Cloning costs
/// one reference count.
#[derive(Clone)]
pub struct RecordBatch(Arc<Inner>);

struct Inner {
    topic: Arc<str>,
    partition: i32,
    next_offset: i64,
    leader_epoch: i32,
    high_watermark: i64,
    wire_bytes: usize,
    codec: Codec,
    timestamp_type: TimestampType,
    /// Where it is marked that records are dealt with, if anybody wants to know.
    mark: Option<Mark>,
    /// The uncompressed batch as it came; else the records are in `buffers.page`.
    plain: Option<Bytes>,
    buffers: Buffers,
    scratch: Arc<Scratch>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let mut buffers = std::mem::take(&mut self.buffers);
        if buffers.page.capacity() <= PAGE_BYTES_KEPT && buffers.entries.capacity() <= ENTRIES_KEPT
        {
            buffers.page.clear();
            buffers.entries.clear();
            let _ = self.scratch.0.push(buffers);
        }
    }
}

/// A batch about to be decoded.
pub(super) struct Source<'a> {
    pub(super) topic: &'a Arc<str>,
    pub(super) partition: i32,
    pub(super) high_watermark: i64,
    /// Records before this are left out.
    pub(super) position: i64,
    pub(super) bytes_max: usize,
}

impl RecordBatch {
    /// Decodes `bytes`, which are a checked batch.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](ErrorKind::Corrupt) when it does not decompress within bounds, or its records do
    /// not hold together.
    pub(super) fn decode(
        source: &Source<'_>,
        batch: highwater_record::Batch<'_>,
        bytes: &Bytes,
        decompressor: &mut Decompressor,
        scratch: &Arc<Scratch>,
    ) -> Result<Self> {
        let header = batch.header();
        let codec = header.attributes().codec().unwrap_or(Codec::None);
        let mut buffers = scratch.0.pop().unwrap_or_default();
        let Buffers { entries, page } = &mut buffers;
        let records = if codec == Codec::None {
            batch.body()
        } else {
            let limits = Limits {
                bytes_max: source.bytes_max.min(i32::MAX as usize),
                ..Limits::default()
            };
            decompressor
                .decompress(codec, batch.body(), limits, page)
                .map_err(|error| Error::new(ErrorKind::Corrupt, error.to_string()))?;
            page
        };
        entries.reserve(
            usize::try_from(header.record_count())
                .unwrap_or(0)
                .min(records.len()),
        );
        for record in Records::over(header, records) {
            let record =
                record.map_err(|defect| Error::new(ErrorKind::Corrupt, defect.to_string()))?;
            if record.offset.get() < source.position {
                continue;
            }
            let (headers, header_count) = record.headers().parts();
            entries.push(Entry {
                offset: record.offset.get(),
                timestamp_ms: record.timestamp_ms,
                key: Place::of(record.key, records),
                value: Place::of(record.value, records),
                headers: Place::of(Some(headers), records),
                header_count,
            });
        }
        measure::consumed(entries.len(), records.len());
        let lag = source.high_watermark - header.next_offset().get();
        measure::lag(source.topic, source.partition, lag);
        Ok(Self(Arc::new(Inner {
            topic: Arc::clone(source.topic),
            partition: source.partition,
            next_offset: header.next_offset().get(),
            leader_epoch: header.leader_epoch().get(),
            high_watermark: source.high_watermark,
            wire_bytes: batch.len(),
            codec,
            timestamp_type: header.attributes().timestamp_type(),
            mark: None,
            plain: (codec == Codec::None).then(|| bytes.slice_ref(batch.body())),
            buffers,
            scratch: Arc::clone(scratch),
        })))
    }

    /// Has marks go to `track` from here on. The batch is nobody else's yet.
    pub(super) fn follow(&mut self, track: &Arc<Track>) {
        let Some(first_offset) = self.offset(0) else {
            return;
        };
        let mark = track.hand_out(self, first_offset);
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.mark = Some(mark);
        }
    }

    pub(super) fn offset(&self, index: usize) -> Option<i64> {
        self.0.buffers.entries.get(index).map(|entry| entry.offset)
    }

    /// Says that every record of the batch is dealt with, for [`Commit::Watermark`](crate::Commit::Watermark). It has no effect
    /// once the partition was let go, or was sought to another place; nor where nobody wants to know.
    pub fn done(self) {
        self.mark_done();
    }

    pub(super) fn mark_done(&self) {
        if let Some(mark) = &self.0.mark {
            mark.batch();
        }
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.0.topic
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.0.partition
    }

    /// The epoch of the leader that took these records; -1 where the broker keeps none. Together with
    /// [`next_offset`](Self::next_offset) it is what to commit after this batch.
    pub fn leader_epoch(&self) -> i32 {
        self.0.leader_epoch
    }

    /// How many records there are, from the consumer's position on.
    pub fn len(&self) -> usize {
        self.0.buffers.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The offset after the last record of this batch: where the next one begins at the earliest.
    pub fn next_offset(&self) -> i64 {
        self.0.next_offset
    }

    /// The high watermark when this batch was fetched.
    pub fn high_watermark(&self) -> i64 {
        self.0.high_watermark
    }

    /// Bytes the batch took on the wire, header and compression included.
    pub fn wire_bytes(&self) -> usize {
        self.0.wire_bytes
    }

    /// The codec it was compressed with.
    pub fn codec(&self) -> Codec {
        self.0.codec
    }

    /// Whose clock the records' timestamps are by.
    pub fn timestamp_type(&self) -> TimestampType {
        self.0.timestamp_type
    }

    /// Lends the records, in order. Nothing is copied or counted.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            bytes: self.0.bytes(),
            entries: self.0.buffers.entries.iter(),
        }
    }

    /// Record `index` of the batch, owned: one reference count.
    #[inline]
    pub fn get(&self, index: usize) -> Option<ConsumerRecord> {
        if index >= self.len() {
            return None;
        }
        Some(ConsumerRecord {
            batch: self.clone(),
            index: u32::try_from(index).ok()?,
        })
    }
}

impl Inner {
    #[inline]
    fn bytes(&self) -> &[u8] {
        match &self.plain {
            Some(plain) => plain,
            None => &self.buffers.page,
        }
    }
}

impl fmt::Debug for RecordBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordBatch")
            .field("topic", &self.0.topic)
            .field("partition", &self.0.partition)
            .field("records", &self.len())
            .field("next_offset", &self.0.next_offset)
            .finish_non_exhaustive()
    }
}

impl<'a> IntoIterator for &'a RecordBatch {
    type Item = RecordRef<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The records of a [`RecordBatch`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    entries: std::slice::Iter<'a, Entry>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = RecordRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<RecordRef<'a>> {
        let entry = self.entries.next()?;
        Some(RecordRef {
            bytes: self.bytes,
            entry,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// A record, lent by its batch.
#[derive(Clone, Copy)]
pub struct RecordRef<'a> {
    bytes: &'a [u8],
    entry: &'a Entry,
}

impl<'a> RecordRef<'a> {
    /// The record's offset.
    #[inline]
    pub fn offset(&self) -> i64 {
        self.entry.offset
    }

    /// Milliseconds since 1970, as the producer or the broker stamped it.
    #[inline]
    pub fn timestamp_ms(&self) -> i64 {
        self.entry.timestamp_ms
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.entry.key.get(self.bytes)
    }

    /// The value; `None` is a tombstone.
    #[inline]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.entry.value.get(self.bytes)
    }

    /// The headers, in order.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = HeaderField<'a>> + use<'a> {
        headers(self.bytes, self.entry)
    }

    /// The trace it belongs to, if its headers name one as W3C Trace Context has it.
    pub fn trace_context(&self) -> Option<TraceContext> {
        TraceContext::from_headers(self.headers())
    }
}

impl<'a> RecordRef<'a> {
    pub(crate) fn raw_headers(&self) -> Headers<'a> {
        headers(self.bytes, self.entry)
    }
}

fn headers<'a>(bytes: &'a [u8], entry: &Entry) -> Headers<'a> {
    Headers::over(
        entry.headers.get(bytes).unwrap_or_default(),
        entry.header_count,
    )
}

impl fmt::Debug for RecordRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordRef")
            .field("offset", &self.offset())
            .field("timestamp_ms", &self.timestamp_ms())
            .field(
                "key",
                &self
                    .key()
                    .map(<[u8]>::escape_ascii)
                    .map(|key| key.to_string()),
            )
            .field("value_bytes", &self.value().map(<[u8]>::len))
            .finish_non_exhaustive()
    }
}

/// A record that keeps its batch alive: one reference count.
#[derive(Clone)]
pub struct ConsumerRecord {
    batch: RecordBatch,
    /// Invariant: below the batch's length.
    index: u32,
}

impl ConsumerRecord {
    #[inline]
    fn entry(&self) -> &Entry {
        &self.batch.0.buffers.entries[self.index as usize]
    }

    /// The record as its batch lends it.
    #[inline]
    pub fn lend(&self) -> RecordRef<'_> {
        RecordRef {
            bytes: self.batch.0.bytes(),
            entry: self.entry(),
        }
    }

    /// Says that this record is dealt with, for [`Commit::Watermark`](crate::Commit::Watermark): in any order, from any task.
    /// It has no effect once the partition was let go, or was sought to another place; nor where nobody wants to know.
    pub fn done(self) {
        self.mark_done();
    }

    pub(super) fn mark_done(&self) {
        if let Some(mark) = &self.batch.0.mark {
            mark.record(self.index as usize);
        }
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        self.batch.topic()
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.batch.partition()
    }

    /// The record's offset.
    #[inline]
    pub fn offset(&self) -> i64 {
        self.entry().offset
    }

    /// The epoch of the leader that took it; -1 where the broker keeps none.
    pub fn leader_epoch(&self) -> i32 {
        self.batch.leader_epoch()
    }

    /// Milliseconds since 1970, as the producer or the broker stamped it.
    #[inline]
    pub fn timestamp_ms(&self) -> i64 {
        self.entry().timestamp_ms
    }

    /// Whose clock that is.
    pub fn timestamp_type(&self) -> TimestampType {
        self.batch.timestamp_type()
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> Option<&[u8]> {
        self.lend().key()
    }

    /// The value; `None` is a tombstone.
    #[inline]
    pub fn value(&self) -> Option<&[u8]> {
        self.lend().value()
    }

    /// The headers, in order.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = HeaderField<'_>> + '_ {
        headers(self.batch.0.bytes(), self.entry())
    }

    /// The trace it belongs to, if its headers name one as W3C Trace Context has it.
    pub fn trace_context(&self) -> Option<TraceContext> {
        TraceContext::from_headers(self.headers())
    }
}

impl fmt::Debug for ConsumerRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerRecord")
            .field("topic", &self.topic())
            .field("partition", &self.partition())
            .field("record", &self.lend())
            .finish()
    }
}
