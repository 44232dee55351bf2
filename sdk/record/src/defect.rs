//! What can be wrong with the bytes of a batch. Which Kafka error code answers it is the broker's
//! knowledge.

/// Why bytes are not a batch of format 2, or why a record inside a batch cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// Fewer bytes than the batch says it has, or than a header takes.
    #[error("{found} bytes found, {wanted} wanted")]
    TooShort {
        /// Bytes that are there.
        found: usize,
        /// Bytes that the header, or its length field, asks for.
        wanted: usize,
    },
    /// The length field is less than the rest of a header.
    #[error("batch length {found} is less than the 49 bytes of the header that it counts")]
    Length {
        /// The `batchLength` field as it stands.
        found: i32,
    },
    /// Another format than 2. Formats 0 and 1 went with Kafka 4.0 (KIP-724).
    #[error("magic {found}, expected 2")]
    Magic {
        /// The byte at 16.
        found: i8,
    },
    /// The checksum does not hold: the bytes were changed on the way or on the disk.
    #[error("crc {stored:#010x} in the header, {computed:#010x} over the bytes")]
    Crc {
        /// CRC-32C that the header claims.
        stored: u32,
        /// CRC-32C over bytes 21 to the end.
        computed: u32,
    },
    /// The record count cannot be true: negative, more than the offsets span, or more than the body
    /// can hold.
    #[error(
        "{records} records claimed, with last offset delta {last_offset_delta} and a body of {body} bytes"
    )]
    Count {
        /// The `recordCount` field.
        records: i32,
        /// The `lastOffsetDelta` field.
        last_offset_delta: i32,
        /// Bytes after the header.
        body: usize,
    },
    /// Base offset plus last offset delta is beyond 2^63-2, or the base offset is negative.
    #[error("base offset {base} with last offset delta {last_offset_delta} is out of range")]
    Offsets {
        /// The `baseOffset` field.
        base: i64,
        /// The `lastOffsetDelta` field.
        last_offset_delta: i32,
    },
    /// Codec bits that no codec has (5, 6 and 7).
    #[error("codec {bits}, expected 0 to 4")]
    Codec {
        /// Bits 0 to 2 of the attributes.
        bits: u8,
    },
    /// The record at this index of the batch is broken.
    #[error("record {index}: {fault}")]
    Record {
        /// Place in the batch, from 0.
        index: u32,
        /// What is wrong with it.
        fault: RecordFault,
    },
    /// After the last record there are bytes that belong to none.
    #[error("{bytes} bytes after the last record")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// A control record whose key or value does not parse.
    #[error("control record: {fault}")]
    Control {
        /// What is wrong with it.
        fault: ControlFault,
    },
}

/// What is wrong with one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// A varint of more than 5 (or 10) bytes, or cut by the end.
    #[error("bad varint")]
    Varint,
    /// The length field is negative or reaches beyond the batch.
    #[error("length {found} with {left} bytes left")]
    Length {
        /// The field as it stands.
        found: i32,
        /// Bytes of the batch (or of the record) that are left.
        left: usize,
    },
    /// Fields end before the length says, or would go beyond it.
    #[error("fields do not fill the record: {left} bytes left over")]
    Unfilled {
        /// Bytes of the record after its last field.
        left: usize,
    },
    /// Offset delta outside of 0 ..= lastOffsetDelta, or not above that of the record before.
    #[error("offset delta {found} is outside of {low}..={high}")]
    OffsetDelta {
        /// The field as it stands.
        found: i32,
        /// Least that would be right here.
        low: i32,
        /// Most that would be right here.
        high: i32,
    },
    /// Header count negative, or more than the record has bytes for.
    #[error("{found} headers claimed with {left} bytes left")]
    HeaderCount {
        /// The field as it stands.
        found: i32,
        /// Bytes of the record that are left.
        left: usize,
    },
    /// Fewer records than the header of the batch counts.
    #[error("missing: the batch ends before it")]
    Missing,
}

/// What is wrong with a control record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ControlFault {
    /// No key, or one of less than four bytes.
    #[error("key of {found} bytes, expected 4")]
    Key {
        /// Bytes of the key (0 when it is null).
        found: usize,
    },
    /// Version below zero, or one that changed the shape.
    #[error("version {found} is not known")]
    Version {
        /// The version that stands there.
        found: i16,
    },
    /// No value, or one that does not hold the fields of its type.
    #[error("value does not hold the fields of its type")]
    Value,
}
