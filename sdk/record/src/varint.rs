//! Variable-length integers as records have them: LEB128, signed ones zigzag first. Knows no record.
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

/// Takes an unsigned varint off the front of `bytes`; `None` when it is cut or does not fit 32 bits. `bytes` is then
/// left anywhere.
#[inline]
pub fn take_unsigned(bytes: &mut &[u8]) -> Option<u32> {
    let (&first, rest) = bytes.split_first()?;
    *bytes = rest;
    if first < 0x80 {
        return Some(u32::from(first));
    }
    take_more(bytes, first, VARINT_BYTES_MAX).and_then(|value| u32::try_from(value).ok())
}

/// Takes an unsigned varlong off the front of `bytes`; `None` when it is cut or does not fit 64 bits.
#[inline]
pub fn take_unsigned_long(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    *bytes = rest;
    if first < 0x80 {
        return Some(u64::from(first));
    }
    take_more(bytes, first, VARLONG_BYTES_MAX)
}

/// Takes a zigzag varint off the front of `bytes`; `None` when it is cut or does not fit 32 bits.
#[inline]
pub fn take(bytes: &mut &[u8]) -> Option<i32> {
    take_unsigned(bytes).map(unzigzag)
}

/// Takes a zigzag varlong off the front of `bytes`; `None` when it is cut or does not fit 64 bits.
#[inline]
pub fn take_long(bytes: &mut &[u8]) -> Option<i64> {
    take_unsigned_long(bytes).map(unzigzag_long)
}

#[inline]
fn take_more(bytes: &mut &[u8], first: u8, bytes_max: usize) -> Option<u64> {
    let mut value = u64::from(first & 0x7f);
    for index in 1..bytes_max {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * index;
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
