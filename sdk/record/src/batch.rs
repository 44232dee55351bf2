//! A whole batch that has been checked: the only thing that may enter a log. Knows no offsets but
//! those it is given, and does not look into the records.

use bytes::Bytes;
use zerocopy::FromBytes;

use crate::crc::{self, crc32c};
use crate::defect::Defect;
use crate::header::{CRC_START, HEADER_BYTES, Header, LENGTH_PREFIX_BYTES};
use crate::offset::{LeaderEpoch, Offset};

/// One checked batch, borrowed.
///
/// Invariant: `bytes` is exactly one batch of format 2; length, codec bits, counts, offsets and CRC
/// hold. That every offset has its record is not demanded, since compaction removes records: see
/// [`Header::is_contiguous`].
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    header: &'a Header,
    bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Checks the first batch in `bytes`; what follows it is not looked at.
    ///
    /// # Errors
    /// A [`Defect`]: [`Defect::TooShort`] when the end is missing, anything else when the bytes are
    /// wrong.
    pub fn check(bytes: &'a [u8]) -> Result<Batch<'a>, Defect> {
        let batch = whole(bytes)?;
        batch.header.check()?;
        let computed = crc32c(batch.bytes.get(CRC_START..).unwrap_or_default());
        let stored = batch.header.crc();
        if stored != computed {
            return Err(Defect::Crc { stored, computed });
        }
        Ok(batch)
    }

    /// The header as it lies.
    #[inline]
    pub fn header(&self) -> &'a Header {
        self.header
    }

    /// The whole batch, header included.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Bytes of the whole batch.
    #[inline]
    #[expect(
        clippy::len_without_is_empty,
        reason = "a batch is never empty: it has a header"
    )]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What follows the header: the records, compressed as one blob unless the codec is none.
    #[inline]
    pub fn body(&self) -> &'a [u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or_default()
    }

    /// Gives the batch its place in a log. The CRC does not cover what changes.
    #[inline]
    pub fn stamp(&self, base: Offset, epoch: LeaderEpoch) -> Stamped<'a> {
        let mut header = *self.header;
        header.set_place(base, epoch);
        Stamped {
            header,
            body: self.body(),
        }
    }

    /// Gives the batch its place and, for all its records, the time `now_ms` (milliseconds since
    /// 1970).
    ///
    /// The new CRC comes from the old one and the 40 header bytes that it covers: the body is not
    /// read again.
    pub fn stamp_log_append_time(
        &self,
        base: Offset,
        epoch: LeaderEpoch,
        now_ms: i64,
    ) -> Stamped<'a> {
        let mut stamped = self.stamp(base, epoch);
        let before = crc32c(stamped.header.crc_bytes());
        stamped.header.set_log_append_time(now_ms);
        let after = crc32c(stamped.header.crc_bytes());
        let crc = crc::replace_front(stamped.header.crc(), before, after, stamped.body.len());
        stamped.header.set_crc(crc);
        stamped
    }
}

impl std::fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("header", self.header)
            .finish_non_exhaustive()
    }
}

/// Splits off the first batch by its length field alone.
fn whole(bytes: &[u8]) -> Result<Batch<'_>, Defect> {
    let found = bytes.len();
    let Some(header) = Header::peek(bytes) else {
        return Err(Defect::TooShort {
            found,
            wanted: HEADER_BYTES,
        });
    };
    let wanted = header.batch_bytes();
    // A bad length or magic says more than "too short", which a reader takes for a batch cut by the
    // end.
    if wanted < HEADER_BYTES || header.magic() != crate::header::MAGIC {
        header.check()?;
    }
    let bytes = bytes
        .get(..wanted)
        .ok_or(Defect::TooShort { found, wanted })?;
    Ok(Batch { header, bytes })
}

/// A batch with its place in a log: what the log writes.
///
/// It can only come from a checked batch. The header is a copy with the new fields, the body still
/// lies where it came in.
#[derive(Clone, Copy)]
pub struct Stamped<'a> {
    header: Header,
    body: &'a [u8],
}

impl Stamped<'_> {
    /// The bytes in two parts, to be written one after the other.
    #[inline]
    pub fn parts(&self) -> [&[u8]; 2] {
        [self.header.as_bytes(), self.body]
    }

    /// The header with offset and epoch in place.
    #[inline]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes of both parts.
    #[inline]
    #[expect(
        clippy::len_without_is_empty,
        reason = "a batch is never empty: it has a header"
    )]
    pub fn len(&self) -> usize {
        HEADER_BYTES + self.body.len()
    }
}

impl std::fmt::Debug for Stamped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stamped")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

/// One checked batch that owns its bytes, to cross shards and to be kept.
#[derive(Clone)]
pub struct OwnedBatch(Bytes);

impl OwnedBatch {
    /// Checks the first batch in `bytes` and keeps those bytes of it, sharing the allocation.
    ///
    /// # Errors
    /// As [`Batch::check`].
    pub fn check(mut bytes: Bytes) -> Result<OwnedBatch, Defect> {
        let len = Batch::check(&bytes)?.len();
        bytes.truncate(len);
        Ok(OwnedBatch(bytes))
    }

    /// The batch, borrowed; nothing is checked again.
    #[inline]
    pub fn as_batch(&self) -> Batch<'_> {
        let header =
            Header::peek(&self.0).expect("checked when it was made, and `Bytes` does not change");
        Batch {
            header,
            bytes: &self.0,
        }
    }

    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The bytes, no longer known to be a batch.
    #[inline]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl std::fmt::Debug for OwnedBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_batch().fmt(f)
    }
}

/// The batches that lie one after the other in `bytes`, each checked.
pub fn batches(bytes: &[u8]) -> Batches<'_> {
    Batches {
        rest: bytes,
        failed: false,
    }
}

/// Iterator over batches one after the other; made by [`batches`].
///
/// A batch cut by the end of the bytes (a fetch may end in the middle of one) ends the iteration
/// silently: [`Batches::remainder`] tells it from a clean end. After a defect nothing more comes.
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    rest: &'a [u8],
    failed: bool,
}

impl<'a> Batches<'a> {
    /// The bytes that were not given out: the short tail at the end, or what starts with the broken
    /// batch.
    pub fn remainder(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, Defect>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.rest.is_empty() {
            return None;
        }
        match Batch::check(self.rest) {
            Ok(batch) => {
                self.rest = self.rest.get(batch.len()..).unwrap_or_default();
                Some(Ok(batch))
            }
            Err(Defect::TooShort { .. }) => None,
            Err(defect) => {
                self.failed = true;
                Some(Err(defect))
            }
        }
    }
}

impl std::iter::FusedIterator for Batches<'_> {}

/// Gives a finished batch another producer, epoch or first sequence in place, and redoes its CRC
/// without reading the body.
///
/// A producer needs it when the broker bumped its epoch: batches that wait to be sent again start
/// at new sequences.
///
/// # Errors
/// [`Defect::TooShort`], [`Defect::Length`] or [`Defect::Magic`] when `bytes` do not start with a
/// whole batch; `bytes` are then unchanged. The CRC is taken to be right.
pub fn assign_producer(bytes: &mut [u8], producer: crate::Producer) -> Result<(), Defect> {
    let body_bytes = whole(bytes)?.body().len();
    let Ok((header, _)) = Header::mut_from_prefix(bytes) else {
        return Err(Defect::TooShort {
            found: LENGTH_PREFIX_BYTES,
            wanted: HEADER_BYTES,
        });
    };
    let before = crc32c(header.crc_bytes());
    header.set_producer(producer.id, producer.epoch, producer.base_sequence);
    let after = crc32c(header.crc_bytes());
    header.set_crc(crc::replace_front(header.crc(), before, after, body_bytes));
    Ok(())
}
