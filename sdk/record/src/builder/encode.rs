//! One record into bytes, and how many those will be. Knows no batch.

use crate::reader::HeaderField;
use crate::varint;

/// Bytes of a record after its length field.
#[inline]
pub(super) fn body_bytes(
    offset_delta: i32,
    timestamp_delta: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[HeaderField<'_>],
) -> usize {
    let mut bytes = 1
        + varint::long_bytes(timestamp_delta)
        + varint::bytes(offset_delta)
        + field_bytes(key)
        + field_bytes(value)
        + varint::bytes(length(headers.len()));
    for header in headers {
        bytes += field_bytes(Some(header.key)) + field_bytes(header.value);
    }
    bytes
}

#[inline]
fn field_bytes(field: Option<&[u8]>) -> usize {
    match field {
        None => 1,
        Some(bytes) => varint::bytes(length(bytes.len())) + bytes.len(),
    }
}

#[inline]
pub(super) fn put_field(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        None => varint::put(out, -1),
        Some(bytes) => {
            varint::put(out, length(bytes.len()));
            out.extend_from_slice(bytes);
        }
    }
}

/// A length that the caller has checked, or is about to check, against the limit of a batch.
#[inline]
pub(super) fn length(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}
