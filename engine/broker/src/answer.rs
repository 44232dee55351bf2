//! What leaves for a request, and which of Kafka's error codes says what went wrong.
//!
//! Every refusal and fault of the crates below becomes a code in this file and nowhere else, without a `_` arm: a new
//! variant there does not compile until somebody has decided what clients are told.

use bytes::Bytes;
use highwater_log::FileRange;
use highwater_partition::{DeleteRefusal, FetchRefusal, Lost, Refusal};
use highwater_record::Defect;
use highwater_wire::{ApiKey, DecodeError, EncodeError, Encoded, ErrorCode};

use crate::connection::Violation;

/// What leaves for one request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A response.
    Frame(Frame),
    /// Nothing: a produce with `acks=0` that went well.
    Silence,
    /// No response, and the connection ends.
    Hangup(Cause),
}

impl Answer {
    /// How many bytes of memory the answer holds while it waits in line.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Answer::Frame(frame) => frame.head.len(),
            Answer::Silence | Answer::Hangup(_) => 0,
        }
    }
}

/// Why the broker ends a connection of its own accord.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// The peer is not understood.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// A produce with `acks=0` failed, and hanging up is the only way to say so (as Kafka does).
    #[error("a produce without acknowledgement failed with {0:?}")]
    Unacknowledged(ErrorCode),
    /// The request's body is not what its API and version say.
    #[error("request body: {0}")]
    Body(#[from] DecodeError),
    /// The request names more than anybody has.
    #[error("{api} request of {bytes} bytes names more rows than are answered")]
    TooWide {
        /// The API.
        api: ApiKey,
        /// Bytes of the body.
        bytes: usize,
    },
    /// The answer cannot be said in the version asked.
    #[error("answer: {0}")]
    Encode(#[from] EncodeError),
    /// The shard that was to answer has ended: the broker is stopping.
    #[error("the shard that was asked has ended")]
    Gone,
    /// Records that were promised could not be read any more.
    #[error("reading records to send: {0}")]
    Read(#[from] std::io::Error),
}

impl Cause {
    /// Whether the peer is to blame.
    pub(crate) fn is_violation(&self) -> bool {
        match self {
            Cause::Violation(_) | Cause::Body(_) | Cause::TooWide { .. } => true,
            Cause::Unacknowledged(_) | Cause::Encode(_) | Cause::Gone | Cause::Read(_) => false,
        }
    }
}

/// A response frame: bytes in memory, and the file ranges that go between them.
///
/// ```text
///   head:     [len, header, ... ][ ... ][ ... tail]
///   splices:                    ^range  ^range range
/// ```
///
/// Invariant: splice positions do not fall and are at most `head.len()`.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    /// Everything but the spliced bytes.
    pub(crate) head: Bytes,
    /// File ranges, and before which byte of `head` each belongs.
    pub(crate) splices: Vec<(usize, FileRange)>,
}

impl From<Encoded> for Frame {
    fn from(encoded: Encoded) -> Frame {
        Frame {
            head: encoded.bytes.into(),
            splices: Vec::new(),
        }
    }
}

/// What a producer is told of bytes that are no batch.
pub(crate) fn defect(defect: &Defect) -> ErrorCode {
    match defect {
        // Kafka: `LogValidator.validateBatch` and `DefaultRecordBatch.ensureValid`.
        Defect::TooShort { .. } | Defect::Length { .. } | Defect::Crc { .. } => {
            ErrorCode::CorruptMessage
        }
        Defect::Codec { .. } => ErrorCode::UnsupportedCompressionType,
        Defect::Magic { .. }
        | Defect::Count { .. }
        | Defect::Offsets { .. }
        | Defect::Record { .. }
        | Defect::Trailing { .. }
        | Defect::Control { .. } => ErrorCode::InvalidRecord,
    }
}

/// What a producer is told when its batch is not taken.
pub(crate) fn refusal(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::TooLarge { .. } => ErrorCode::MessageTooLarge,
        Refusal::ExceedsSegment { .. } => ErrorCode::RecordListTooLarge,
        Refusal::Corrupt(_) | Refusal::Undecodable(_) => ErrorCode::CorruptMessage,
        Refusal::Invalid(_) => ErrorCode::InvalidRecord,
        Refusal::InvalidTimestamp { .. } | Refusal::TimestampType => ErrorCode::InvalidTimestamp,
        Refusal::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        Refusal::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        Refusal::Transactional => ErrorCode::InvalidTxnState,
        Refusal::Full | Refusal::Fenced => ErrorCode::KafkaStorageError,
        Refusal::Closed => ErrorCode::NotLeaderOrFollower,
    }
}

/// What a producer is told when its batch was taken and will not be promised.
pub(crate) fn lost(lost: &Lost) -> ErrorCode {
    match lost {
        Lost::Fenced => ErrorCode::KafkaStorageError,
        Lost::Closed => ErrorCode::NotLeaderOrFollower,
    }
}

/// What a member of a group is told when its coordinator's records are not taken (`CoordinatorOperationExceptionHelper`).
pub(crate) fn coordinator_refusal(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::Full | Refusal::Fenced | Refusal::Closed => ErrorCode::NotCoordinator,
        Refusal::TooLarge { .. }
        | Refusal::ExceedsSegment { .. }
        | Refusal::Corrupt(_)
        | Refusal::Undecodable(_)
        | Refusal::Invalid(_)
        | Refusal::InvalidTimestamp { .. }
        | Refusal::TimestampType
        | Refusal::OutOfOrderSequence { .. }
        | Refusal::InvalidProducerEpoch { .. }
        | Refusal::Transactional => ErrorCode::UnknownServerError,
    }
}

/// What a member of a group is told when its coordinator's records were taken and will not be promised.
pub(crate) fn coordinator_lost(lost: &Lost) -> ErrorCode {
    match lost {
        Lost::Fenced | Lost::Closed => ErrorCode::NotCoordinator,
    }
}

/// What a reader is told when nothing can be read for it.
pub(crate) fn fetch_refusal(refusal: &FetchRefusal) -> ErrorCode {
    match refusal {
        FetchRefusal::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        FetchRefusal::FencedLeaderEpoch { .. } => ErrorCode::FencedLeaderEpoch,
        FetchRefusal::UnknownLeaderEpoch { .. } => ErrorCode::UnknownLeaderEpoch,
        FetchRefusal::Closed => ErrorCode::NotLeaderOrFollower,
        FetchRefusal::Log(error) => log(error),
    }
}

/// What is told when records cannot be deleted.
pub(crate) fn delete_refusal(refusal: &DeleteRefusal) -> ErrorCode {
    match refusal {
        DeleteRefusal::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        DeleteRefusal::Fenced => ErrorCode::KafkaStorageError,
        DeleteRefusal::Closed => ErrorCode::NotLeaderOrFollower,
        DeleteRefusal::Log(error) => log(error),
    }
}

/// What is told of a fault below.
pub(crate) fn log(error: &highwater_log::Error) -> ErrorCode {
    match error {
        highwater_log::Error::Full { .. }
        | highwater_log::Error::Failed { .. }
        | highwater_log::Error::Fenced { .. }
        | highwater_log::Error::Unreadable { .. }
        | highwater_log::Error::TopicId { .. } => ErrorCode::KafkaStorageError,
        highwater_log::Error::Corrupt { .. } => ErrorCode::CorruptMessage,
        highwater_log::Error::TooLarge { .. } => ErrorCode::RecordListTooLarge,
    }
}
