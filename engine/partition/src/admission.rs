//! What a partition answers to a batch: a place, or the fact that speaks against it.

use highwater_record::{Defect, Offset, compression};
use thiserror::Error;

use crate::producers::Disorder;

/// Who sends a batch (`AppendOrigin`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A client's Produce request: everything is checked.
    Client,
    /// A coordinator of this broker: it may write control batches, and its batches have no sequences.
    Coordinator,
}

/// What a partition answers to a batch: the place is taken at once, the promise is kept later, by
/// [`Partition::committed`](crate::Partition::committed) with `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// The batch is in the log.
    Placed {
        /// Offset of its first record.
        base: Offset,
        /// Offset after its last record: what to wait for.
        end: Offset,
        /// The time it was stamped with, where the topic says `LogAppendTime`.
        log_append_time_ms: Option<i64>,
        /// Where the log starts.
        log_start: Offset,
    },
    /// The batch was in the log already; the promise is still to be waited for.
    Repeated {
        /// Offset of its first record, at its first place.
        base: Offset,
        /// Offset after its last record, at its first place.
        end: Offset,
        /// The time it was stamped with the first time, where the topic says `LogAppendTime`.
        log_append_time_ms: Option<i64>,
        /// Where the log starts.
        log_start: Offset,
    },
}

impl Admission {
    /// Offset of the first record.
    pub fn base(&self) -> Offset {
        match self {
            Admission::Placed { base, .. } | Admission::Repeated { base, .. } => *base,
        }
    }

    /// Offset after the last record.
    pub fn end(&self) -> Offset {
        match self {
            Admission::Placed { end, .. } | Admission::Repeated { end, .. } => *end,
        }
    }

    /// The time of a `LogAppendTime` topic.
    pub fn log_append_time_ms(&self) -> Option<i64> {
        match self {
            Admission::Placed {
                log_append_time_ms, ..
            }
            | Admission::Repeated {
                log_append_time_ms, ..
            } => *log_append_time_ms,
        }
    }

    /// Where the log starts.
    pub fn log_start(&self) -> Offset {
        match self {
            Admission::Placed { log_start, .. } | Admission::Repeated { log_start, .. } => {
                *log_start
            }
        }
    }
}

/// Why a batch is not in the log. Neither the log nor what is known of its producer has changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Larger than `max.message.bytes`: MESSAGE_TOO_LARGE.
    #[error("batch of {bytes} bytes exceeds max.message.bytes {bytes_max}")]
    TooLarge {
        /// The batch, header included, as it came or as it was recompressed.
        bytes: u64,
        /// The limit.
        bytes_max: u32,
    },
    /// Larger than a whole segment: RECORD_LIST_TOO_LARGE.
    #[error("batch of {bytes} bytes exceeds segment.bytes {segment_bytes}")]
    ExceedsSegment {
        /// The batch, header included.
        bytes: u64,
        /// `segment.bytes`.
        segment_bytes: u32,
    },
    /// The records inside do not hold; seen only where they had to be opened: CORRUPT_MESSAGE.
    #[error("batch is corrupt: {0}")]
    Corrupt(Defect),
    /// The records do not decompress; seen only where they had to be opened: CORRUPT_MESSAGE.
    #[error("batch does not decompress: {0}")]
    Undecodable(compression::Error),
    /// A batch no client may send: INVALID_RECORD.
    #[error("batch is invalid: {0}")]
    Invalid(Invalid),
    /// A timestamp outside of what the topic allows: INVALID_TIMESTAMP.
    #[error("timestamp {timestamp_ms} of record {record} is outside [{earliest_ms}, {latest_ms}]")]
    InvalidTimestamp {
        /// Index of the record in its batch.
        record: u32,
        /// What it says.
        timestamp_ms: i64,
        /// The earliest allowed.
        earliest_ms: i64,
        /// The latest allowed.
        latest_ms: i64,
    },
    /// A client marked its batch as stamped by the log: INVALID_TIMESTAMP.
    #[error("a producer may not set the timestamp type to LogAppendTime")]
    TimestampType,
    /// A gap in the producer's sequence: OUT_OF_ORDER_SEQUENCE_NUMBER.
    #[error("producer {producer_id} sent sequence {found}, expected {expected}")]
    OutOfOrderSequence {
        /// The producer.
        producer_id: i64,
        /// The first sequence of the batch.
        found: i32,
        /// The sequence that would have been the next.
        expected: i32,
    },
    /// A newer instance of the producer has written already: INVALID_PRODUCER_EPOCH.
    #[error("producer {producer_id} has epoch {found}, current is {current}")]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: i64,
        /// The epoch of the batch.
        found: i16,
        /// The newest epoch seen.
        current: i16,
    },
    /// A transactional batch; transactions do not exist here yet: INVALID_TXN_STATE.
    #[error("transactional batches are not supported")]
    Transactional,
    /// No space on the device; the next attempt may succeed: KAFKA_STORAGE_ERROR.
    #[error("no space on the device of the log directory")]
    Full,
    /// The log directory was fenced after a failed write or sync: KAFKA_STORAGE_ERROR.
    #[error("the log directory is fenced after an i/o failure")]
    Fenced,
    /// The partition was closed or deleted: NOT_LEADER_OR_FOLLOWER.
    #[error("the partition is closed")]
    Closed,
}

/// What makes a batch invalid in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Invalid {
    /// A client's batch must count its offsets from 0.
    #[error("base offset {found}, expected 0")]
    BaseOffset {
        /// What it says.
        found: i64,
    },
    /// The record count and the offset deltas disagree, or there is no record.
    #[error("{records} records for a last offset delta of {last_offset_delta}")]
    Count {
        /// Records the batch claims.
        records: i32,
        /// Last offset delta the batch claims.
        last_offset_delta: i32,
    },
    /// Only the broker writes control batches.
    #[error("clients may not write control batches")]
    Control,
    /// A producer id without a sequence or with a negative epoch.
    #[error(
        "producer {producer_id} with epoch {epoch} and sequence {sequence}, expected neither negative"
    )]
    Producer {
        /// The producer.
        producer_id: i64,
        /// Its epoch.
        epoch: i16,
        /// The batch's base sequence.
        sequence: i32,
    },
    /// A record without a key in a compacted topic.
    #[error("record {record} has no key, which a compacted topic demands")]
    Keyless {
        /// Index of the record in its batch.
        record: u32,
    },
    /// The log would run past the largest offset.
    #[error("no offsets left in the partition")]
    OffsetsExhausted,
}

impl Refusal {
    /// Index of the record that is to blame, where one is: what ProduceResponse calls a record error.
    pub fn record(&self) -> Option<u32> {
        match self {
            Refusal::InvalidTimestamp { record, .. }
            | Refusal::Invalid(Invalid::Keyless { record })
            | Refusal::Corrupt(Defect::Record { index: record, .. }) => Some(*record),
            Refusal::TooLarge { .. }
            | Refusal::ExceedsSegment { .. }
            | Refusal::Corrupt(_)
            | Refusal::Undecodable(_)
            | Refusal::Invalid(_)
            | Refusal::TimestampType
            | Refusal::OutOfOrderSequence { .. }
            | Refusal::InvalidProducerEpoch { .. }
            | Refusal::Transactional
            | Refusal::Full
            | Refusal::Fenced
            | Refusal::Closed => None,
        }
    }
}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Refusal {
        Refusal::Invalid(invalid)
    }
}

impl From<Disorder> for Refusal {
    fn from(disorder: Disorder) -> Refusal {
        match disorder {
            Disorder::Sequence {
                producer_id,
                found,
                expected,
            } => Refusal::OutOfOrderSequence {
                producer_id,
                found,
                expected,
            },
            Disorder::Epoch {
                producer_id,
                found,
                current,
            } => Refusal::InvalidProducerEpoch {
                producer_id,
                found,
                current,
            },
        }
    }
}

/// Why a promise will not be kept: the batch may or may not survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Lost {
    /// A write or sync of the log directory failed: KAFKA_STORAGE_ERROR.
    #[error("the log directory was fenced before the batch was durable")]
    Fenced,
    /// The partition was closed or deleted before the batch was durable: NOT_LEADER_OR_FOLLOWER.
    #[error("the partition was closed before the batch was durable")]
    Closed,
}
