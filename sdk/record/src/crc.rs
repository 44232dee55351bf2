//! CRC-32C (Castagnoli), whole or in pieces. Knows nothing of what it sums up.

use crc_fast::{CrcAlgorithm, Digest};

/// CRC-32C of `bytes`: Kafka's checksum of a batch, RFC 3720's polynomial.
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// The CRC of `first` followed by `second`, from the CRCs of both and the length of `second` in bytes.
pub fn combine(first: u32, second: u32, second_bytes: usize) -> u32 {
    let combined = crc_fast::checksum_combine(
        CrcAlgorithm::Crc32Iscsi,
        u64::from(first),
        u64::from(second),
        second_bytes as u64,
    );
    low_word(combined)
}

/// The CRC of a text whose front was exchanged for one of the same length, from the CRC of the whole text and those of the
/// old and the new front; `rest_bytes` is the length of what follows the front.
///
/// CRCs are linear: the change of the front, moved `rest_bytes` further, is the change of the whole.
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
