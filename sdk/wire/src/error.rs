//! What can be wrong with bytes that claim to be a message, and with a message that is to become bytes.
//! Neither allocates: a hostile frame costs no memory even in its refusal.

/// Why bytes are not the message they were said to be. The cursor's place is unspecified afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end in the middle of a value.
    #[error("message ends early: {needed} bytes needed, {left} left")]
    Truncated {
        /// How many bytes the value has, as far as known.
        needed: usize,
        /// How many there were.
        left: usize,
    },
    /// An array announces more elements than bytes follow; every element takes at least one.
    #[error("array of {count} elements announced, {left} bytes left")]
    ArrayTooLong {
        /// Announced elements.
        count: u32,
        /// Bytes that follow.
        left: usize,
    },
    /// A string longer than Kafka's limit for strings of any version.
    #[error("string of {length} bytes, limit 32767")]
    StringTooLong {
        /// Announced bytes.
        length: u32,
    },
    /// A length below the null marker -1.
    #[error("negative length {length}")]
    NegativeLength {
        /// The length as read.
        length: i32,
    },
    /// Null in a place that has no null in this version.
    #[error("null in a field that is not nullable in this version")]
    Null,
    /// A string that is not UTF-8.
    #[error("string is not UTF-8")]
    Utf8,
    /// A variable-length integer of more than 32 bits.
    #[error("varint longer than 32 bits")]
    Varint,
    /// The version is none that this message has.
    #[error("{message} has no version {version}")]
    UnsupportedVersion {
        /// Kafka's name of the message.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// The header names an API that Kafka does not have.
    #[error("unknown api key {api_key}")]
    UnknownApi {
        /// The key as read.
        api_key: i16,
    },
    /// The metadata log holds a record type that Kafka does not have, or another frame version than 1.
    #[error("unknown metadata record: frame version {frame_version}, type {api_key}")]
    UnknownRecord {
        /// The frame version as read; Kafka writes 1.
        frame_version: u32,
        /// The record type as read.
        api_key: u32,
    },
    /// The log of groups holds a record type that is not known here.
    #[error("unknown group record: type {record_type}")]
    UnknownGroupRecord {
        /// The record type as read.
        record_type: i16,
    },
    /// Bytes follow where the value must end.
    #[error("{left} bytes follow the end of the message")]
    Trailing {
        /// How many.
        left: usize,
    },
}

/// Why a message cannot be written in the version asked for. Nothing usable was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The version is none that this message has.
    #[error("{message} has no version {version}")]
    UnsupportedVersion {
        /// Kafka's name of the message.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A field says something that this version cannot say, and that must not be lost in silence.
    #[error("{field} is set but version {version} has no such field")]
    FieldNotInVersion {
        /// `Struct.field`.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// Null in a field that has no null in this version.
    #[error("{field} is null but not nullable in version {version}")]
    Null {
        /// `Struct.field`.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A string, array or frame beyond what its length field can say.
    #[error("length {length} exceeds limit {limit}")]
    TooLong {
        /// The length in bytes or elements.
        length: usize,
        /// What the format allows.
        limit: usize,
    },
}
