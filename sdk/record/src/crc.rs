//! CRC-32C (Castagnoli), whole or in pieces. Knows nothing of what it sums up.

use crc_fast::{CrcAlgorithm, Digest};

/// CRC-32C of `bytes`: Kafka's checksum of a batch, RFC 3720's polynomial.
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// CRC-32 of `bytes` with the polynomial of IEEE 802.3 (zlib's): by it librdkafka chooses a partition for a key.
#[inline]
pub fn crc32(bytes: &[u8]) -> u32 {
    low_word(crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, bytes))
}

/// The CRC of `first` followed by `second`, from the CRCs of both and the length of `second` in
/// bytes.
///
/// A CRC is a polynomial over GF(2) modulo `POLYNOMIAL`; putting bytes after it multiplies it by
/// x^8 for each. The length is taken in digits of four bits, each with its power ready in
/// `POWERS`: 64 KiB take five multiplications, where reading them again would take a microsecond.
pub fn combine(first: u32, second: u32, second_bytes: usize) -> u32 {
    let mut moved = first;
    let mut digits = second_bytes;
    for row in &POWERS {
        if digits == 0 {
            break;
        }
        if let Some(&power) = row.get(digits & 15).filter(|&&power| power != ONE) {
            moved = multiply(moved, power);
        }
        digits >>= 4;
    }
    moved ^ second
}

/// Castagnoli's polynomial with its bits reversed: the highest bit stands for x^0, x^32 is left
/// out.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// x^0.
const ONE: u32 = 1 << 31;

/// `POWERS[k][d]` is x^(8 * d * 16^k), for every digit of a 64-bit length.
static POWERS: [[u32; 16]; 16] = powers();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn powers() -> [[u32; 16]; 16] {
    let mut rows = [[ONE; 16]; 16];
    // x^8, the move by one byte.
    let mut step = ONE >> 8;
    let mut k = 0;
    while k < 16 {
        let mut d = 1;
        while d < 16 {
            rows[k][d] = multiply(rows[k][d - 1], step);
            d += 1;
        }
        step = multiply(rows[k][15], step);
        k += 1;
    }
    rows
}

/// The product of two polynomials modulo [`POLYNOMIAL`].
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = 0;
    while bit < 32 {
        // All ones where `a` has x^bit, else zero: no branch to guess wrong.
        product ^= b & ((a << bit).cast_signed() >> 31).cast_unsigned();
        b = b >> 1 ^ POLYNOMIAL & (b & 1).wrapping_neg();
        bit += 1;
    }
    product
}

/// The CRC of a text whose front was exchanged for one of the same length, from the CRC of the
/// whole text and those of the old and the new front; `rest_bytes` is the length of what follows
/// the front.
///
/// CRCs are linear: the change of the front, moved `rest_bytes` further, is the change of the
/// whole.
pub fn replace_front(whole: u32, before: u32, after: u32, rest_bytes: usize) -> u32 {
    combine(before ^ after, whole, rest_bytes)
}

/// A CRC-32C that grows piece by piece.
#[derive(Debug, Clone)]
pub struct Crc32c(Digest);

impl Crc32c {
    /// The checksum of nothing.
    pub fn new() -> Crc32c {
        Crc32c(Digest::new(CrcAlgorithm::Crc32Iscsi))
    }

    /// Takes the next piece.
    #[inline]
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all pieces so far.
    #[inline]
    pub fn value(&self) -> u32 {
        low_word(self.0.finalize())
    }
}

impl Default for Crc32c {
    fn default() -> Crc32c {
        Crc32c::new()
    }
}

/// `crc-fast` keeps every width in 64 bits; a CRC of 32 lies in the lower half.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the upper half of a 32-bit CRC is zero"
)]
fn low_word(value: u64) -> u32 {
    value as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_other_crc_holds() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn the_vectors_of_rfc_3720_hold() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn pieces_give_the_checksum_of_the_whole() {
        let bytes: Vec<u8> = (0..5000u32)
            .map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1])
            .collect();
        let whole = crc32c(&bytes);
        for cut in [0, 1, 20, 61, 1024, 4999, 5000] {
            let (first, second) = bytes.split_at(cut);
            let mut pieces = Crc32c::new();
            pieces.update(first);
            pieces.update(second);
            assert_eq!(pieces.value(), whole);
            assert_eq!(combine(crc32c(first), crc32c(second), second.len()), whole);
            let other = vec![7; cut];
            let text = [other.as_slice(), second].concat();
            assert_eq!(
                replace_front(whole, crc32c(first), crc32c(&other), second.len()),
                crc32c(&text)
            );
        }
    }
}
