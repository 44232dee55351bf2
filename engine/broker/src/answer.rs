//! What leaves for a request, and which of Kafka's error codes says what went wrong.
//!
//! Every refusal and fault of the crates below becomes a code in this file and nowhere else, without a `_` arm: a new
//! variant there does not compile until somebody has decided what clients are told.

use highwater_reactor::File;
use highwater_wire::{DecodeError, EncodeError, Encoded, ErrorCode};

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
    /// The answer cannot be said in the version asked.
    #[error("answer: {0}")]
    Encode(#[from] EncodeError),
    /// Records that were promised could not be read any more.
    #[error("reading records to send: {0}")]
    Read(#[from] std::io::Error),
}

impl Cause {
    /// Whether the peer is to blame.
    pub(crate) fn is_violation(&self) -> bool {
        match self {
            Cause::Violation(_) | Cause::Body(_) => true,
            Cause::Unacknowledged(_) | Cause::Encode(_) | Cause::Read(_) => false,
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
    pub(crate) head: Vec<u8>,
    /// File ranges, and before which byte of `head` each belongs.
    pub(crate) splices: Vec<(usize, FileRange)>,
}

impl From<Encoded> for Frame {
    fn from(encoded: Encoded) -> Frame {
        Frame {
            head: encoded.bytes,
            splices: Vec::new(),
        }
    }
}

/// A range of a file.
#[derive(Clone, Debug)]
pub(crate) struct FileRange {
    pub(crate) file: File,
    pub(crate) position: u64,
    pub(crate) len: u32,
}
