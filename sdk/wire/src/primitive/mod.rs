//! The protocol's values: how each type of Kafka's message schema looks in bytes.
//! They know whether the version is flexible (KIP-482: compact lengths, tagged fields), not which message they are part of.

mod array;
mod cursor;
mod encoder;
mod record_bytes;
mod scalar;
mod tagged;
mod text;

#[cfg(test)]
mod tests;

pub use array::{Array, Iter};
pub use cursor::Cursor;
pub use encoder::{Encoded, Encoder, Length, Sink, Splice};
pub use record_bytes::RecordBytes;
pub use tagged::{Tags, put_no_tags, put_tagged, skip_tags};

use crate::{DecodeError, EncodeError};

/// The version of the message around a value, and whether that version is flexible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// The message's version.
    pub version: i16,
    /// Whether lengths are compact and structs end in tagged fields.
    pub flexible: bool,
}

impl Dialect {
    /// Whether the version lies in `first..=last`.
    #[inline]
    #[must_use]
    pub const fn within(self, first: i16, last: i16) -> bool {
        first <= self.version && self.version <= last
    }

    /// The same version in the old encoding, for the few fields that never became flexible.
    #[inline]
    #[must_use]
    pub const fn inflexible(self) -> Self {
        Self {
            version: self.version,
            flexible: false,
        }
    }
}

/// A value that can be read from a message without allocating: what it holds of variable length it borrows.
pub trait Get<'a>: Sized {
    /// The value's size in bytes where it has the same in every dialect.
    const FIXED: Option<usize> = None;

    /// Reads one value.
    ///
    /// # Errors
    /// Where the bytes are none.
    fn get(dialect: Dialect, cursor: &mut Cursor<'a>) -> Result<Self, DecodeError>;

    /// Reads one value as a tagged field, where the null of a struct looks different.
    ///
    /// # Errors
    /// Where the bytes are none.
    #[inline]
    fn get_tagged(dialect: Dialect, cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        Self::get(dialect, cursor)
    }
}

/// A value that may be null in some place of some version.
pub trait GetNullable<'a>: Get<'a> {
    /// Reads one value or null.
    ///
    /// # Errors
    /// Where the bytes are none.
    fn get_nullable(dialect: Dialect, cursor: &mut Cursor<'a>)
    -> Result<Option<Self>, DecodeError>;

    /// Reads one value or null as a tagged field. Most types look the same in both places.
    ///
    /// # Errors
    /// Where the bytes are none.
    #[inline]
    fn get_nullable_tagged(
        dialect: Dialect,
        cursor: &mut Cursor<'a>,
    ) -> Result<Option<Self>, DecodeError> {
        Self::get_nullable(dialect, cursor)
    }
}

/// A value that can be written, or measured: it is the same walk with another sink.
pub trait Put {
    /// Writes the value.
    ///
    /// # Errors
    /// Where this dialect cannot say it.
    fn put<S: Sink>(&self, dialect: Dialect, sink: &mut S) -> Result<(), EncodeError>;

    /// Writes the value as a tagged field, where the null of a struct looks different.
    ///
    /// # Errors
    /// Where this dialect cannot say it.
    #[inline]
    fn put_tagged<S: Sink>(&self, dialect: Dialect, sink: &mut S) -> Result<(), EncodeError> {
        self.put(dialect, sink)
    }

    /// Whether the value is its type's default, which a version without the field may leave out.
    fn is_default(&self) -> bool;
}

/// A value that has a null.
pub trait PutNullable: Put {
    /// Writes the null of this type.
    fn put_null<S: Sink>(dialect: Dialect, sink: &mut S);

    /// Writes the null of this type as a tagged field. Most types look the same in both places.
    #[inline]
    fn put_null_tagged<S: Sink>(dialect: Dialect, sink: &mut S) {
        Self::put_null(dialect, sink);
    }

    /// Writes the value where null would have been possible. Most types look the same in both places.
    ///
    /// # Errors
    /// Where this dialect cannot say it.
    #[inline]
    fn put_some<S: Sink>(&self, dialect: Dialect, sink: &mut S) -> Result<(), EncodeError> {
        self.put(dialect, sink)
    }
}

impl<'a, T: GetNullable<'a>> Get<'a> for Option<T> {
    #[inline]
    fn get(dialect: Dialect, cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        T::get_nullable(dialect, cursor)
    }

    #[inline]
    fn get_tagged(dialect: Dialect, cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        T::get_nullable_tagged(dialect, cursor)
    }
}

impl<T: PutNullable> Put for Option<T> {
    #[inline]
    fn put<S: Sink>(&self, dialect: Dialect, sink: &mut S) -> Result<(), EncodeError> {
        match self {
            Some(value) => value.put_some(dialect, sink),
            None => {
                T::put_null(dialect, sink);
                Ok(())
            }
        }
    }

    #[inline]
    fn put_tagged<S: Sink>(&self, dialect: Dialect, sink: &mut S) -> Result<(), EncodeError> {
        match self {
            Some(value) => value.put_some(dialect, sink),
            None => {
                T::put_null_tagged(dialect, sink);
                Ok(())
            }
        }
    }

    #[inline]
    fn is_default(&self) -> bool {
        self.is_none()
    }
}

/// Writes a nullable field in a version that has no null for it.
///
/// # Errors
/// [`EncodeError::Null`] for null.
#[inline]
pub fn put_required<S: Sink, T: Put>(
    value: &Option<T>,
    field: &'static str,
    dialect: Dialect,
    sink: &mut S,
) -> Result<(), EncodeError> {
    match value {
        Some(value) => value.put(dialect, sink),
        None => Err(EncodeError::Null {
            field,
            version: dialect.version,
        }),
    }
}

/// Reads a struct or null: a byte below zero is null, any other announces the struct.
///
/// # Errors
/// Where the bytes are neither.
#[inline]
pub fn get_nullable_struct<'a, T: Get<'a>>(
    dialect: Dialect,
    cursor: &mut Cursor<'a>,
) -> Result<Option<T>, DecodeError> {
    let [byte] = cursor.fixed()?;
    if byte & 0x80 != 0 {
        Ok(None)
    } else {
        T::get(dialect, cursor).map(Some)
    }
}

/// Reads a struct or null as a tagged field: a varint of 0 is null (`MessageDataGenerator.java`), any other announces the
/// struct.
///
/// # Errors
/// Where the bytes are neither.
#[inline]
pub fn get_nullable_tagged_struct<'a, T: Get<'a>>(
    dialect: Dialect,
    cursor: &mut Cursor<'a>,
) -> Result<Option<T>, DecodeError> {
    match cursor.uvarint()? {
        0 => Ok(None),
        _ => T::get(dialect, cursor).map(Some),
    }
}

/// Writes the null of a struct as a tagged field.
#[inline]
pub fn put_null_tagged_struct<S: Sink>(sink: &mut S) {
    sink.bytes(&[0]);
}

/// Writes the null of a struct.
#[inline]
pub fn put_null_struct<S: Sink>(sink: &mut S) {
    sink.bytes(&[0xff]);
}

/// Writes a struct where null would have been possible; as a regular field and as a tagged one.
///
/// # Errors
/// Where this dialect cannot say it.
#[inline]
pub fn put_some_struct<S: Sink, T: Put>(
    value: &T,
    dialect: Dialect,
    sink: &mut S,
) -> Result<(), EncodeError> {
    sink.bytes(&[1]);
    value.put(dialect, sink)
}

/// The refusal for a field that says something its version cannot.
#[cold]
#[must_use]
pub fn not_in_version(field: &'static str, dialect: Dialect) -> EncodeError {
    EncodeError::FieldNotInVersion {
        field,
        version: dialect.version,
    }
}
