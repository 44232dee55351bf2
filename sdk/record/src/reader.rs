//! Records of a batch, borrowed from its bytes or from the scratch it was decompressed to. Knows no
//! consumer, and does not decide what to do with a broken one.

use crate::attributes::TimestampType;
use crate::batch::Batch;
use crate::compression::{Codec, Decompressor, Error, Limits};
use crate::defect::{Defect, RecordFault};
use crate::header::Header;
use crate::offset::Offset;
use crate::varint;

/// A header of a record. The key is text by custom, and bytes on the wire: nobody checks it on the
/// way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderField<'a> {
    /// Name; the same one may come more than once.
    pub key: &'a [u8],
    /// Value; `None` is null.
    pub value: Option<&'a [u8]>,
}

impl<'a> HeaderField<'a> {
    /// A header with this name and value.
    pub fn new(key: &'a str, value: Option<&'a [u8]>) -> HeaderField<'a> {
        HeaderField {
            key: key.as_bytes(),
            value,
        }
    }

    /// The name as text; `None` when it is not UTF-8.
    pub fn key_str(&self) -> Option<&'a str> {
        std::str::from_utf8(self.key).ok()
    }
}

/// One record, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Its place in the partition (in the batch, when no broker stamped it yet).
    pub offset: Offset,
    /// Milliseconds since 1970, by the clock that the batch's timestamp type names.
    pub timestamp_ms: i64,
    /// Key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is null: a tombstone in a compacted topic.
    pub value: Option<&'a [u8]>,
    headers: Headers<'a>,
}

impl<'a> Record<'a> {
    /// The headers, in their order.
    #[inline]
    pub fn headers(&self) -> Headers<'a> {
        self.headers
    }
}

/// Iterator over the headers of a record. Their bytes were checked with the record.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a> {
    rest: &'a [u8],
    /// As wide as a register: a half that is written and a whole that is copied make the processor wait.
    left: usize,
}

impl<'a> Headers<'a> {
    /// The bytes of the headers not yet given out, and how many those are: what
    /// [`Headers::over`] takes, for who keeps places instead of borrows.
    #[inline]
    pub fn parts(&self) -> (&'a [u8], u32) {
        // Where they came from it was one.
        (self.rest, u32::try_from(self.left).unwrap_or(u32::MAX))
    }

    /// The headers that such bytes hold. Over other bytes it ends at the first that is none.
    #[inline]
    pub fn over(bytes: &'a [u8], count: u32) -> Headers<'a> {
        Headers {
            rest: bytes,
            left: count as usize,
        }
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = HeaderField<'a>;

    #[inline]
    fn next(&mut self) -> Option<HeaderField<'a>> {
        self.left = self.left.checked_sub(1)?;
        take_header(&mut self.rest).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Headers<'_> {}

/// Iterator over the records of one batch.
///
/// Every length is held against the bytes that are left before it is followed; nothing is
/// allocated. The number of records, their offsets and the end of the bytes are held against the
/// header. After a defect nothing more comes.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: &'a [u8],
    index: u32,
    count: u32,
    base_offset: i64,
    base_timestamp: i64,
    log_append_time: Option<i64>,
    /// The least offset delta that the next record may have.
    delta_min: i32,
    delta_max: i32,
}

impl<'a> Records<'a> {
    /// The records of `batch`: as they lie when it is not compressed, else decompressed to
    /// `scratch`, which is cleared first.
    ///
    /// # Errors
    /// [`Error`] when the body does not decompress within `limits`.
    pub fn of<'s>(
        batch: &Batch<'s>,
        scratch: &'s mut Vec<u8>,
        decompressor: &mut Decompressor,
        limits: Limits,
    ) -> Result<Records<'s>, Error> {
        let codec = batch.header().attributes().codec().unwrap_or(Codec::None);
        if codec == Codec::None {
            return Ok(Records::over(batch.header(), batch.body()));
        }
        scratch.clear();
        decompressor.decompress(codec, batch.body(), limits, scratch)?;
        Ok(Records::over(batch.header(), scratch))
    }

    /// The records in `plain`, the uncompressed body of a batch with this header.
    pub fn over(header: &Header, plain: &'a [u8]) -> Records<'a> {
        let attributes = header.attributes();
        let log_append_time = (attributes.timestamp_type() == TimestampType::LogAppend)
            .then(|| header.max_timestamp());
        Records {
            rest: plain,
            index: 0,
            count: u32::try_from(header.record_count()).unwrap_or(0),
            base_offset: header.base_offset().get(),
            base_timestamp: header.base_timestamp(),
            log_append_time,
            delta_min: 0,
            delta_max: header.last_offset_delta(),
        }
    }

    /// Bytes of records that were not read yet.
    pub fn remaining(&self) -> &'a [u8] {
        self.rest
    }

    #[inline(always)]
    fn fail(&mut self, fault: RecordFault) -> Defect {
        let index = self.index;
        self.stop();
        Defect::Record { index, fault }
    }

    #[inline(always)]
    fn stop(&mut self) {
        self.index = self.count;
        self.rest = &[];
    }

    // Inlined by force, with what it is made of: else a record goes through memory twice.
    #[inline(always)]
    fn parse(&mut self) -> Result<Record<'a>, RecordFault> {
        if self.rest.is_empty() {
            return Err(RecordFault::Missing);
        }
        let found = varint::take(&mut self.rest).ok_or(RecordFault::Varint)?;
        let mut body = take_bytes(&mut self.rest, found)?;
        let (_attributes, rest) = body
            .split_first()
            .ok_or(RecordFault::Length { found, left: 0 })?;
        body = rest;
        let timestamp_delta = varint::take_long(&mut body).ok_or(RecordFault::Varint)?;
        let offset_delta = varint::take(&mut body).ok_or(RecordFault::Varint)?;
        if offset_delta < self.delta_min || offset_delta > self.delta_max {
            let (low, high) = (self.delta_min, self.delta_max);
            return Err(RecordFault::OffsetDelta {
                found: offset_delta,
                low,
                high,
            });
        }
        let key = take_field(&mut body)?;
        let value = take_field(&mut body)?;
        let headers = take_headers(body)?;
        self.delta_min = offset_delta.saturating_add(1);
        Ok(Record {
            offset: Offset::new(self.base_offset.wrapping_add(i64::from(offset_delta))),
            timestamp_ms: match self.log_append_time {
                Some(time) => time,
                None => self.base_timestamp.wrapping_add(timestamp_delta),
            },
            key,
            value,
            headers,
        })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Defect>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.index == self.count {
            let bytes = self.rest.len();
            self.stop();
            return (bytes != 0).then_some(Err(Defect::Trailing { bytes }));
        }
        match self.parse() {
            Ok(record) => {
                self.index += 1;
                Some(Ok(record))
            }
            Err(fault) => Some(Err(self.fail(fault))),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // One more than is left: the defect of trailing bytes.
        (
            0,
            usize::try_from(self.count - self.index)
                .ok()
                .and_then(|left| left.checked_add(1)),
        )
    }
}

impl std::iter::FusedIterator for Records<'_> {}

#[inline(always)]
fn take_bytes<'a>(rest: &mut &'a [u8], length: i32) -> Result<&'a [u8], RecordFault> {
    let fault = RecordFault::Length {
        found: length,
        left: rest.len(),
    };
    let length = usize::try_from(length).map_err(|_| fault)?;
    let (taken, after) = rest.split_at_checked(length).ok_or(fault)?;
    *rest = after;
    Ok(taken)
}

#[inline(always)]
fn take_field<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, RecordFault> {
    let length = varint::take(rest).ok_or(RecordFault::Varint)?;
    // Kafka reads any negative length as null and writes only -1: one meaning, one spelling.
    if length == -1 {
        Ok(None)
    } else {
        take_bytes(rest, length).map(Some)
    }
}

/// The headers, with which a record ends. The slice goes by value: so it need not be in memory for others to find.
#[inline(always)]
fn take_headers(mut rest: &[u8]) -> Result<Headers<'_>, RecordFault> {
    let found = varint::take(&mut rest).ok_or(RecordFault::Varint)?;
    if found == 0 && rest.is_empty() {
        return Ok(Headers::default());
    }
    walk_headers(rest, found)
}

fn walk_headers(mut rest: &[u8], found: i32) -> Result<Headers<'_>, RecordFault> {
    let fault = RecordFault::HeaderCount {
        found,
        left: rest.len(),
    };
    let left = usize::try_from(found).map_err(|_| fault)?;
    // Two bytes are the least a header takes.
    if left > rest.len() / 2 {
        return Err(fault);
    }
    let headers = Headers { rest, left };
    for _ in 0..left {
        take_header(&mut rest)?;
    }
    if rest.is_empty() {
        Ok(headers)
    } else {
        Err(RecordFault::Unfilled { left: rest.len() })
    }
}

#[inline]
fn take_header<'a>(rest: &mut &'a [u8]) -> Result<HeaderField<'a>, RecordFault> {
    let length = varint::take(rest).ok_or(RecordFault::Varint)?;
    let key = take_bytes(rest, length)?;
    let value = take_field(rest)?;
    Ok(HeaderField { key, value })
}
