//! Strings and bytes: a length, then what it says. Strings have short lengths in old versions, at most 32767 bytes in any.

use super::{Cursor, Dialect, Get, GetNullable, Put, PutNullable, Sink};
use crate::{DecodeError, EncodeError};

const STRING_BYTES_MAX: u32 = 0x7fff;

impl<'a> Get<'a> for &'a str {
    #[inline]
    fn get(dialect: Dialect, cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        Self::get_nullable(dialect, cursor)?.ok_or(DecodeError::Null)
    }
}

impl<'a> GetNullable<'a> for &'a str {
    fn get_nullable(
        dialect: Dialect,
        cursor: &mut Cursor<'a>,
    ) -> Result<Option<Self>, DecodeError> {
        let length = if dialect.flexible {
            cursor.compact_length()?
        } else {
            cursor.short_length()?
        };
        let Some(length) = length else {
            return Ok(None);
        };
        if length > STRING_BYTES_MAX {
            return Err(DecodeError::StringTooLong { length });
        }
        let bytes = cursor.take(length as usize)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(DecodeError::Utf8),
        }
    }
}

impl Put for &str {
    fn put<S: Sink>(&self, dialect: Dialect, sink: &mut S) -> Result<(), EncodeError> {
        let Ok(length) = i16::try_from(self.len()) else {
            return Err(EncodeError::TooLong {
                length: self.len(),
                limit: STRING_BYTES_MAX as usize,
            });
        };
        if dialect.flexible {
            sink.uvarint(u32::from(length.unsigned_abs()) + 1);
        } else {
            sink.bytes(&length.to_be_bytes());
        }
        sink.bytes(self.as_bytes());
        Ok(())
    }

    #[inline]
    fn is_default(&self) -> bool {
        self.is_empty()
    }
}

impl PutNullable for &str {
    #[inline]
    fn put_null<S: Sink>(dialect: Dialect, sink: &mut S) {
        if dialect.flexible {
            sink.bytes(&[0]);
        } else {
            sink.bytes(&(-1i16).to_be_bytes());
        }
    }
}

impl<'a> Get<'a> for &'a [u8] {
    #[inline]
    fn get(dialect: Dialect, cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        Self::get_nullable(dialect, cursor)?.ok_or(DecodeError::Null)
    }
}

impl<'a> GetNullable<'a> for &'a [u8] {
    #[inline]
    fn get_nullable(
        dialect: Dialect,
        cursor: &mut Cursor<'a>,
    ) -> Result<Option<Self>, DecodeError> {
        match cursor.length(dialect.flexible)? {
            Some(length) => cursor.take(length as usize).map(Some),
            None => Ok(None),
        }
    }
}

impl Put for &[u8] {
    #[inline]
    fn put<S: Sink>(&self, dialect: Dialect, sink: &mut S) -> Result<(), EncodeError> {
        sink.length(self.len(), dialect.flexible)?;
        sink.bytes(self);
        Ok(())
    }

    #[inline]
    fn is_default(&self) -> bool {
        self.is_empty()
    }
}

impl PutNullable for &[u8] {
    #[inline]
    fn put_null<S: Sink>(dialect: Dialect, sink: &mut S) {
        sink.null_length(dialect.flexible);
    }
}
