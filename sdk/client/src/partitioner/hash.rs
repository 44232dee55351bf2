//! From a key to a partition, bit for bit as the clients have it that a team may come from. Knows no record and no topic.
//!
//! `partitions` is at least 1 everywhere.

use highwater_record::crc::crc32;

/// sarama's `NewHashPartitioner` and librdkafka's `fnv1a`: 32-bit FNV-1a as a signed number, the remainder without its sign.
pub(super) fn fnv1a(key: &[u8], partitions: i32) -> i32 {
    (fnv1a_32(key).cast_signed() % partitions).abs()
}

/// sarama's `NewReferenceHashPartitioner`: 32-bit FNV-1a without its highest bit.
pub(super) fn fnv1a_reference(key: &[u8], partitions: i32) -> i32 {
    (fnv1a_32(key).cast_signed() & i32::MAX) % partitions
}

/// librdkafka's `consistent` and sarama's `NewConsistentCRCHashPartitioner`: CRC-32 (IEEE 802.3), unsigned.
pub(super) fn consistent(key: &[u8], partitions: i32) -> i32 {
    (crc32(key) % partitions.cast_unsigned()).cast_signed()
}

/// FNV-1a, 32 bits (RFC 9923).
fn fnv1a_32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv1a_has_the_values_of_its_specification() {
        assert_eq!(fnv1a_32(b""), 0x811c_9dc5);
        assert_eq!(fnv1a_32(b"a"), 0xe40c_292c);
        assert_eq!(fnv1a_32(b"foobar"), 0xbf9c_f968);
    }
}
