//! Tagged fields (KIP-482): the optional end of every struct in a flexible version.
//!
//! ```text
//!  count | tag | bytes | value | tag | bytes | value | ..       all three numbers unsigned varints, tags ascending
//! ```

use super::{Cursor, Dialect, Length, Put, Sink};
use crate::{DecodeError, EncodeError};

/// Reads the tagged fields of one struct, one after the other.
#[derive(Debug)]
pub struct Tags {
    left: u32,
}

impl Tags {
    /// Starts at the count. A version that is not flexible has none.
    ///
    /// # Errors
    /// Where the count is no varint. It is not believed: every field must be there when it is asked for.
    #[inline]
    pub fn start(dialect: Dialect, cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        let left = if dialect.flexible {
            cursor.uvarint()?
        } else {
            0
        };
        Ok(Self { left })
    }

    /// The next field's tag and its bytes. What is not known is skipped by not looking at it.
    ///
    /// # Errors
    /// Where the field is longer than what is left.
    #[inline]
    pub fn next<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
    ) -> Result<Option<(u32, Cursor<'a>)>, DecodeError> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        let tag = cursor.uvarint()?;
        let bytes = cursor.uvarint()?;
        Ok(Some((tag, Cursor::new(cursor.take(bytes as usize)?))))
    }
}

/// Skips the tagged fields of a struct that knows none.
///
/// # Errors
/// Where they are not well-formed.
pub fn skip_tags(dialect: Dialect, cursor: &mut Cursor<'_>) -> Result<(), DecodeError> {
    let mut tags = Tags::start(dialect, cursor)?;
    while tags.next(cursor)?.is_some() {}
    Ok(())
}

/// Ends a struct that has no tagged field to say.
#[inline]
pub fn put_no_tags<S: Sink>(dialect: Dialect, sink: &mut S) {
    if dialect.flexible {
        sink.bytes(&[0]);
    }
}

/// Writes one tagged field: tag, length, value.
///
/// # Errors
/// Where the value cannot be written.
pub fn put_tagged<S: Sink, T: Put>(
    tag: u32,
    value: &T,
    dialect: Dialect,
    sink: &mut S,
) -> Result<(), EncodeError> {
    let mut length = Length::default();
    value.put_tagged(dialect, &mut length)?;
    let Ok(bytes) = u32::try_from(length.bytes) else {
        return Err(EncodeError::TooLong {
            length: length.bytes,
            limit: u32::MAX as usize,
        });
    };
    sink.uvarint(tag);
    sink.uvarint(bytes);
    value.put_tagged(dialect, sink)
}
