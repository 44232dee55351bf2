//! The record field of produce and fetch: whole record batches, which this crate carries and never looks into.

use super::{Cursor, Dialect, Get, GetNullable, Put, PutNullable, Sink};
use crate::{DecodeError, EncodeError};
use bytes::Bytes;

/// Record batches back to back, or the promise of them.
#[derive(Clone)]
pub enum RecordBytes<'a> {
    /// A slice, of the frame when decoded.
    Bytes(&'a [u8]),
    /// Bytes that live as long as they are held.
    Owned(Bytes),
    /// Only the length is here; the bytes are put in by whoever sends the frame, where
    /// [`Encoded::splices`](super::Encoded::splices) says (a broker: by `sendfile`). Decoding never yields this.
    Deferred {
        /// How many bytes there will be.
        len: u32,
    },
}

impl RecordBytes<'_> {
    /// How many bytes the records have.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Owned(bytes) => bytes.len(),
            Self::Deferred { len } => *len as usize,
        }
    }

    /// Whether there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, if they are here.
    #[must_use]
    pub fn as_slice(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Owned(bytes) => Some(bytes),
            Self::Deferred { .. } => None,
        }
    }
}

impl<'a> RecordBytes<'a> {
    /// The slice of the frame that a decoded field is. `None` for the two forms that decoding never yields.
    #[must_use]
    pub const fn borrowed(&self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Owned(_) | Self::Deferred { .. } => None,
        }
    }
}

impl Default for RecordBytes<'_> {
    fn default() -> Self {
        Self::Bytes(&[])
    }
}

impl std::fmt::Debug for RecordBytes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.as_slice() {
            Some(bytes) => write!(f, "RecordBytes({} bytes)", bytes.len()),
            None => write!(f, "RecordBytes({} bytes, deferred)", self.len()),
        }
    }
}

/// Equal when they are the same bytes; the deferred are equal when their lengths are.
impl PartialEq for RecordBytes<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.as_slice() == other.as_slice()
    }
}

impl<'a> From<&'a [u8]> for RecordBytes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Bytes> for RecordBytes<'_> {
    fn from(bytes: Bytes) -> Self {
        Self::Owned(bytes)
    }
}

impl<'a> Get<'a> for RecordBytes<'a> {
    #[inline]
    fn get(dialect: Dialect, cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        <&[u8]>::get(dialect, cursor).map(Self::Bytes)
    }
}

impl<'a> GetNullable<'a> for RecordBytes<'a> {
    #[inline]
    fn get_nullable(
        dialect: Dialect,
        cursor: &mut Cursor<'a>,
    ) -> Result<Option<Self>, DecodeError> {
        Ok(<&[u8]>::get_nullable(dialect, cursor)?.map(Self::Bytes))
    }
}

impl Put for RecordBytes<'_> {
    fn put<S: Sink>(&self, dialect: Dialect, sink: &mut S) -> Result<(), EncodeError> {
        match self {
            Self::Bytes(bytes) => bytes.put(dialect, sink),
            Self::Owned(bytes) => bytes.as_ref().put(dialect, sink),
            Self::Deferred { len } => {
                sink.length(*len as usize, dialect.flexible)?;
                sink.deferred(*len);
                Ok(())
            }
        }
    }

    fn is_default(&self) -> bool {
        self.is_empty()
    }
}

impl PutNullable for RecordBytes<'_> {
    #[inline]
    fn put_null<S: Sink>(dialect: Dialect, sink: &mut S) {
        sink.null_length(dialect.flexible);
    }
}
