//! Variable-length integers as records have them: LEB128, signed ones zigzag first. Knows no
//! record.
//!
//! Reading is bounded: five bytes for 32 bits, ten for 64, and never beyond the end of the slice.

/// Bytes that a 32-bit varint takes at most.
pub const VARINT_BYTES_MAX: usize = 5;
/// Bytes that a 64-bit varint takes at most.
pub const VARLONG_BYTES_MAX: usize = 10;

/// Bytes that `value` takes as unsigned varint (1 to 5).
#[inline]
pub const fn unsigned_bytes(value: u32) -> usize {
    // 7 bits a byte: ceil(significant bits / 7), and one byte for zero.
    ((38 - (value | 1).leading_zeros()) / 7) as usize
}

/// Bytes that `value` takes as unsigned varlong (1 to 10).
#[inline]
pub const fn unsigned_long_bytes(value: u64) -> usize {
    ((70 - (value | 1).leading_zeros()) / 7) as usize
}

/// Bytes that `value` takes as zigzag varint (1 to 5).
#[inline]
pub const fn bytes(value: i32) -> usize {
    unsigned_bytes(zigzag(value))
}

/// Bytes that `value` takes as zigzag varlong (1 to 10).
#[inline]
pub const fn long_bytes(value: i64) -> usize {
    unsigned_long_bytes(zigzag_long(value))
}

/// 0, -1, 1, -2 ... to 0, 1, 2, 3 ...
#[inline]
pub const fn zigzag(value: i32) -> u32 {
    (value << 1 ^ value >> 31).cast_unsigned()
}

/// Back from [`zigzag`].
#[inline]
pub const fn unzigzag(value: u32) -> i32 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// [`zigzag`] for 64 bits.
#[inline]
pub const fn zigzag_long(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

/// Back from [`zigzag_long`].
#[inline]
pub const fn unzigzag_long(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Appends `value` as unsigned varint.
#[inline]
pub fn put_unsigned(out: &mut Vec<u8>, value: u32) {
    put_unsigned_long(out, u64::from(value));
}

/// Appends `value` as unsigned varlong.
#[inline]
pub fn put_unsigned_long(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends `value` as zigzag varint.
#[inline]
pub fn put(out: &mut Vec<u8>, value: i32) {
    put_unsigned(out, zigzag(value));
}

/// Appends `value` as zigzag varlong.
#[inline]
pub fn put_long(out: &mut Vec<u8>, value: i64) {
    put_unsigned_long(out, zigzag_long(value));
}

/// Takes an unsigned varint off the front of `bytes`; `None` when it is cut or does not fit 32
/// bits. `bytes` is then left anywhere.
#[inline(always)]
pub fn take_unsigned(bytes: &mut &[u8]) -> Option<u32> {
    match take_short(bytes) {
        Some(value) => Some(u32::from(value)),
        None => take_many(bytes, VARINT_BYTES_MAX).and_then(|value| u32::try_from(value).ok()),
    }
}

/// Takes an unsigned varlong off the front of `bytes`; `None` when it is cut or does not fit 64
/// bits.
#[inline(always)]
pub fn take_unsigned_long(bytes: &mut &[u8]) -> Option<u64> {
    match take_short(bytes) {
        Some(value) => Some(u64::from(value)),
        None => take_many(bytes, VARLONG_BYTES_MAX),
    }
}

/// The one or two bytes that nearly all numbers of a record take; `None` when it is none of those.
#[inline(always)]
fn take_short(bytes: &mut &[u8]) -> Option<u16> {
    match **bytes {
        [first, ref rest @ ..] if first < 0x80 => {
            *bytes = rest;
            Some(u16::from(first))
        }
        [first, second, ref rest @ ..] if second < 0x80 => {
            *bytes = rest;
            Some(u16::from(first & 0x7f) | u16::from(second) << 7)
        }
        _ => None,
    }
}

/// Takes a zigzag varint off the front of `bytes`; `None` when it is cut or does not fit 32 bits.
#[inline(always)]
pub fn take(bytes: &mut &[u8]) -> Option<i32> {
    take_unsigned(bytes).map(unzigzag)
}

/// Takes a zigzag varlong off the front of `bytes`; `None` when it is cut or does not fit 64 bits.
#[inline(always)]
pub fn take_long(bytes: &mut &[u8]) -> Option<i64> {
    take_unsigned_long(bytes).map(unzigzag_long)
}

/// Any number of bytes up to `bytes_max`.
#[inline(always)]
fn take_many(bytes: &mut &[u8], bytes_max: usize) -> Option<u64> {
    let (value, rest) = read_many(bytes, bytes_max)?;
    *bytes = rest;
    Some(value)
}

/// The number that `bytes` begin with, and what follows it. The slice goes by value, so that who takes one number after the
/// other has it in registers.
#[cold]
#[inline(never)]
fn read_many(mut bytes: &[u8], bytes_max: usize) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for index in 0..bytes_max {
        let (&byte, rest) = bytes.split_first()?;
        bytes = rest;
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * index;
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte < 0x80 {
            return Some((value, bytes));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_numbers_of_both_signs_take_one_byte() {
        for (value, encoded) in [
            (0, &[0x00][..]),
            (-1, &[0x01]),
            (1, &[0x02]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
            (-65, &[0x81, 0x01]),
            (8191, &[0xfe, 0x7f]),
            (8192, &[0x80, 0x80, 0x01]),
            (i32::MAX, &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i32::MIN, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut out = Vec::new();
            put(&mut out, value);
            assert_eq!(out, encoded, "{value}");
            assert_eq!(bytes(value), encoded.len());
            assert_eq!(take(&mut &out[..]), Some(value));
        }
        let mut out = Vec::new();
        put_long(&mut out, i64::MIN);
        assert_eq!(
            out,
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        // 2^32, and a sixth byte.
        assert_eq!(
            take_unsigned(&mut &[0x80, 0x80, 0x80, 0x80, 0x10][..]),
            None
        );
        assert_eq!(
            take_unsigned(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00][..]),
            None
        );
        // 2^64, and an eleventh byte.
        let mut long = [0x80; 11];
        long[9] = 0x02;
        assert_eq!(take_unsigned_long(&mut &long[..]), None);
        long[9] = 0x80;
        assert_eq!(take_unsigned_long(&mut &long[..]), None);
        // Cut.
        assert_eq!(take_unsigned(&mut &[][..]), None);
        assert_eq!(take_unsigned(&mut &[0x80][..]), None);
        // Longer than need be, as some writers pad: the value counts.
        assert_eq!(take_unsigned(&mut &[0x81, 0x80, 0x00][..]), Some(1));
    }

    proptest! {
        #[test]
        fn what_is_put_is_taken(value in any::<i32>(), shift in 0u32..64, long in any::<i64>()) {
            let long = long >> shift;
            let mut out = Vec::new();
            put(&mut out, value);
            prop_assert_eq!(out.len(), bytes(value));
            put_long(&mut out, long);
            prop_assert_eq!(out.len(), bytes(value) + long_bytes(long));
            put_unsigned(&mut out, value.cast_unsigned());
            put_unsigned_long(&mut out, long.cast_unsigned());
            let mut rest = &out[..];
            prop_assert_eq!(take(&mut rest), Some(value));
            prop_assert_eq!(take_long(&mut rest), Some(long));
            prop_assert_eq!(take_unsigned(&mut rest), Some(value.cast_unsigned()));
            prop_assert_eq!(take_unsigned_long(&mut rest), Some(long.cast_unsigned()));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn noise_never_reads_beyond_the_bound(noise in proptest::collection::vec(any::<u8>(), 0..16)) {
            let mut rest = &noise[..];
            let _ = take_long(&mut rest);
            prop_assert!(noise.len() - rest.len() <= VARLONG_BYTES_MAX);
            let mut rest = &noise[..];
            let _ = take(&mut rest);
            prop_assert!(noise.len() - rest.len() <= VARINT_BYTES_MAX);
        }
    }
}
