//! A place in a frame from which values are read, front to back. It knows bytes and varints, no types.

use crate::DecodeError;

/// What is left to read of a frame. Cheap to clone: a clone reads the same bytes again.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Starts at the first of these bytes.
    #[inline]
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    #[inline]
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The bytes that are left.
    #[inline]
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads so many bytes as they are.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    #[inline]
    pub fn take(&mut self, bytes: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(bytes) else {
            return Err(DecodeError::Truncated {
                needed: bytes,
                left: self.rest.len(),
            });
        };
        self.rest = rest;
        Ok(taken)
    }

    /// Reads a value of fixed width.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    #[inline]
    pub fn fixed<const BYTES: usize>(&mut self) -> Result<[u8; BYTES], DecodeError> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else {
            return Err(DecodeError::Truncated {
                needed: BYTES,
                left: self.rest.len(),
            });
        };
        self.rest = rest;
        Ok(*taken)
    }

    /// Reads an unsigned varint: seven bits a byte, lowest first, at most five bytes.
    ///
    /// # Errors
    /// [`DecodeError::Varint`] beyond 32 bits.
    #[inline]
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.fixed()?;
            if shift == 28 && byte > 0x0f {
                return Err(DecodeError::Varint);
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Varint)
    }

    /// Reads a compact length: one more than the length, 0 for null.
    ///
    /// # Errors
    /// As [`Cursor::uvarint`].
    #[inline]
    pub fn compact_length(&mut self) -> Result<Option<u32>, DecodeError> {
        Ok(self.uvarint()?.checked_sub(1))
    }

    /// Reads a length of two bytes, -1 for null.
    ///
    /// # Errors
    /// [`DecodeError::NegativeLength`] below -1.
    #[inline]
    pub fn short_length(&mut self) -> Result<Option<u32>, DecodeError> {
        length(i32::from(i16::from_be_bytes(self.fixed()?)))
    }

    /// Reads a length of four bytes, -1 for null.
    ///
    /// # Errors
    /// [`DecodeError::NegativeLength`] below -1.
    #[inline]
    pub fn long_length(&mut self) -> Result<Option<u32>, DecodeError> {
        length(i32::from_be_bytes(self.fixed()?))
    }

    /// A length of bytes or elements: compact where the version is flexible, else four bytes.
    ///
    /// # Errors
    /// As the two.
    #[inline]
    pub fn length(&mut self, flexible: bool) -> Result<Option<u32>, DecodeError> {
        if flexible {
            self.compact_length()
        } else {
            self.long_length()
        }
    }
}

#[inline]
fn length(length: i32) -> Result<Option<u32>, DecodeError> {
    match u32::try_from(length) {
        Ok(length) => Ok(Some(length)),
        Err(_) if length == -1 => Ok(None),
        Err(_) => Err(DecodeError::NegativeLength { length }),
    }
}
