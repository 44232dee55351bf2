//! Where values are written: a [`Length`] that only counts, an [`Encoder`] that keeps the bytes.
//! Neither knows types; both see the same walk, so that the length is right before the first byte is written.
//!
//! ```text
//!  Encoded.bytes    | length | header | .. | records: | .. | .. | records: | .. |
//!                                          length     ^              length    ^
//!  Encoded.splices                                    at, len                  at, len   foreign bytes belong here
//! ```

use crate::EncodeError;
use smallvec::SmallVec;

/// Takes the bytes of a message, front to back.
pub trait Sink {
    /// These bytes come next.
    fn bytes(&mut self, bytes: &[u8]);

    /// So many bytes come next that somebody else holds.
    fn deferred(&mut self, bytes: u32);

    /// An unsigned varint comes next.
    #[inline]
    fn uvarint(&mut self, value: u32) {
        let mut rest = value;
        while rest > 0x7f {
            self.bytes(&[low_seven_bits(rest) | 0x80]);
            rest >>= 7;
        }
        self.bytes(&[low_seven_bits(rest)]);
    }

    /// A length comes next, of bytes or of elements: compact where the version is flexible, else four bytes.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] beyond 2^31 - 1.
    #[inline]
    fn length(&mut self, length: usize, flexible: bool) -> Result<(), EncodeError> {
        let Ok(signed) = i32::try_from(length) else {
            return Err(EncodeError::TooLong {
                length,
                limit: 0x7fff_ffff,
            });
        };
        if flexible {
            self.uvarint(signed.unsigned_abs() + 1);
        } else {
            self.bytes(&signed.to_be_bytes());
        }
        Ok(())
    }

    /// The length that means null comes next.
    #[inline]
    fn null_length(&mut self, flexible: bool) {
        if flexible {
            self.bytes(&[0]);
        } else {
            self.bytes(&(-1i32).to_be_bytes());
        }
    }
}

#[inline]
#[allow(clippy::cast_possible_truncation)] // masked to seven bits
const fn low_seven_bits(value: u32) -> u8 {
    (value & 0x7f) as u8
}

/// A sink that only counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Length {
    /// Bytes so far, the deferred ones included.
    pub bytes: usize,
    /// Deferred bytes so far. Invariant: deferred <= bytes.
    pub deferred: usize,
}

impl Sink for Length {
    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
    }

    #[inline]
    fn deferred(&mut self, bytes: u32) {
        self.bytes += bytes as usize;
        self.deferred += bytes as usize;
    }

    #[inline]
    fn uvarint(&mut self, value: u32) {
        // One byte for each begun group of seven bits, and one for zero.
        self.bytes += (38 - value.leading_zeros() as usize).max(7) / 7;
    }
}

/// Where foreign bytes belong among the encoded ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Splice {
    /// Index into [`Encoded::bytes`]: the foreign bytes follow `bytes[..at]`.
    pub at: usize,
    /// How many foreign bytes there are.
    pub len: u32,
}

/// A message in bytes, with the places where bytes that somebody else holds belong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    /// What was written here. Length prefixes in it count the foreign bytes too.
    pub bytes: Vec<u8>,
    /// Where foreign bytes belong, in order, one for each deferred record field.
    pub splices: SmallVec<[Splice; 4]>,
}

impl Encoded {
    /// How many bytes the message has on the wire: those here and the foreign ones.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        self.bytes.len()
            + self
                .splices
                .iter()
                .map(|splice| splice.len as usize)
                .sum::<usize>()
    }
}

/// A sink that keeps the bytes.
#[derive(Debug, Clone, Default)]
pub struct Encoder {
    encoded: Encoded,
}

impl Encoder {
    /// Starts with room for so many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            encoded: Encoded {
                bytes: Vec::with_capacity(bytes),
                splices: SmallVec::new(),
            },
        }
    }

    /// What was written.
    #[must_use]
    pub fn finish(self) -> Encoded {
        self.encoded
    }
}

impl Sink for Encoder {
    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        self.encoded.bytes.extend_from_slice(bytes);
    }

    fn deferred(&mut self, bytes: u32) {
        if bytes > 0 {
            let at = self.encoded.bytes.len();
            self.encoded.splices.push(Splice { at, len: bytes });
        }
    }
}
