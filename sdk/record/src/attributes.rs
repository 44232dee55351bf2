//! The sixteen attribute bits of a batch. Knows no header around them.

use crate::compression::Codec;
use crate::defect::Defect;

/// The attribute bits of a batch: 0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete
/// horizon.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes(i16);

/// Who set the timestamps of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TimestampType {
    /// The producer, record by record (Kafka: `CreateTime`).
    #[default]
    Create,
    /// The broker, once for the batch: every record has the batch's maximum (Kafka:
    /// `LogAppendTime`).
    LogAppend,
}

impl Attributes {
    const CODEC: i16 = 0b111;
    const LOG_APPEND_TIME: i16 = 1 << 3;
    const TRANSACTIONAL: i16 = 1 << 4;
    const CONTROL: i16 = 1 << 5;
    const DELETE_HORIZON: i16 = 1 << 6;

    /// The attributes of these bits. All of them may be set; unused ones are kept.
    pub const fn from_bits(bits: i16) -> Attributes {
        Attributes(bits)
    }

    /// The bits.
    pub const fn bits(self) -> i16 {
        self.0
    }

    /// What the records are compressed with.
    ///
    /// # Errors
    /// [`Defect::Codec`] for 5, 6 and 7.
    #[inline]
    pub fn codec(self) -> Result<Codec, Defect> {
        let bits = self.0.to_le_bytes()[0] & 0b111;
        Codec::from_id(bits).ok_or(Defect::Codec { bits })
    }

    /// Who set the timestamps.
    #[inline]
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 {
            TimestampType::Create
        } else {
            TimestampType::LogAppend
        }
    }

    /// Whether the batch is part of a transaction.
    #[inline]
    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether the batch holds a marker and no records of users.
    #[inline]
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp is a delete horizon instead (KIP-534).
    #[inline]
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// The same with this codec.
    #[must_use]
    pub fn with_codec(self, codec: Codec) -> Attributes {
        Attributes(self.0 & !Self::CODEC | i16::from(codec.id()))
    }

    /// The same with this timestamp type.
    #[must_use]
    pub fn with_timestamp_type(self, kind: TimestampType) -> Attributes {
        self.with(Self::LOG_APPEND_TIME, kind == TimestampType::LogAppend)
    }

    /// The same as part of a transaction, or not.
    #[must_use]
    pub fn with_transactional(self, yes: bool) -> Attributes {
        self.with(Self::TRANSACTIONAL, yes)
    }

    /// The same as control batch, or not.
    #[must_use]
    pub fn with_control(self, yes: bool) -> Attributes {
        self.with(Self::CONTROL, yes)
    }

    /// The same with, or without, a delete horizon in the base timestamp's place.
    #[must_use]
    pub fn with_delete_horizon(self, yes: bool) -> Attributes {
        self.with(Self::DELETE_HORIZON, yes)
    }

    fn with(self, bit: i16, yes: bool) -> Attributes {
        Attributes(if yes { self.0 | bit } else { self.0 & !bit })
    }
}

impl std::fmt::Debug for Attributes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attributes")
            .field("codec", &self.codec())
            .field("timestamp_type", &self.timestamp_type())
            .field("transactional", &self.is_transactional())
            .field("control", &self.is_control())
            .field("delete_horizon", &self.has_delete_horizon())
            .finish()
    }
}
