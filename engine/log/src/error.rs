//! What can go wrong with a log, sorted by what the caller must do; and the fence that a failed device leaves behind.
//!
//! Knows nothing of Kafka's error codes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;

use highwater_record::Offset;

/// A fault of a log or of the data directory around it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The device, or the process, has no more of something: space, quota, descriptors. Nothing of what was to be done is
    /// done, nothing else is lost, and it may go through next time.
    #[error("cannot {operation} {}: {source}", path.display())]
    Full {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A write or a sync failed: what the page cache holds can no longer be believed, and the data directory is fenced.
    #[error("cannot {operation} {}: {source}; the data directory takes no more writes", path.display())]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The data directory was fenced before, by this log or another.
    #[error("the data directory takes no more writes since: {reason}")]
    Fenced {
        /// The first failure.
        reason: String,
    },
    /// A read failed. Other places may be readable.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes that should be a batch are not one.
    #[error("{} is damaged at byte {position}, where offset {expected} or later is expected: {fact}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in it.
        position: u64,
        /// The smallest offset the batch there may have.
        expected: Offset,
        /// What is wrong.
        fact: String,
    },
    /// A batch that no segment could hold.
    #[error("batch has {bytes} bytes, a segment takes {limit}")]
    TooLarge {
        /// The batch's size.
        bytes: u64,
        /// `segment.bytes`.
        limit: u64,
    },
    /// The directory belongs to another topic of the same name, or does not say to which.
    #[error("{} says topic id {found}, expected {expected}", path.display())]
    TopicId {
        /// `partition.metadata`.
        path: PathBuf,
        /// What it says, in Kafka's text form; or that it says nothing.
        found: String,
        /// The id that was asked for, in that form too.
        expected: String,
    },
}

impl Error {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Error::Full { .. } | Error::Unreadable { .. })
    }

    /// Sorts a failed write, creation or rename: out of something, or broken. A broken one raises the fence.
    pub(crate) fn write(
        fence: &Fence,
        operation: &'static str,
        path: &Path,
        source: io::Error,
    ) -> Error {
        let path = path.to_owned();
        if is_exhausted(&source) {
            return Error::Full {
                operation,
                path,
                source,
            };
        }
        fence.raise(&format!("cannot {operation} {}: {source}", path.display()));
        Error::Failed {
            operation,
            path,
            source,
        }
    }

    /// A failed read.
    pub(crate) fn read(path: &Path, source: io::Error) -> Error {
        Error::Unreadable {
            path: path.to_owned(),
            source,
        }
    }
}

/// Why a read of records was not answered with a range.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The offset is not in the log. State has not changed.
    #[error("offset {from} is outside of the log, which holds {start}..{end}")]
    OutOfRange {
        /// The offset asked for.
        from: Offset,
        /// The first offset that may be read.
        start: Offset,
        /// The offset the next record will get.
        end: Offset,
    },
    /// The log could not be read there.
    #[error(transparent)]
    Fault(#[from] Error),
}

/// Raised by the first failed write or sync under a data directory, and never lowered: an `fsync` after a failed one says
/// success although the pages are gone, so that no later answer of the device means anything.
///
/// Shared by all logs of the directory on all shards. What can be read may still be read.
#[derive(Debug, Clone, Default)]
pub struct Fence {
    reason: Arc<OnceLock<String>>,
}

impl Fence {
    /// A fence that is not raised.
    #[must_use]
    pub fn new() -> Fence {
        Fence::default()
    }

    /// Raises it; the first reason stays.
    pub fn raise(&self, reason: &str) {
        if self.reason.set(reason.to_owned()).is_ok() {
            tracing::error!(reason, "the data directory takes no more writes");
        }
    }

    /// Why it is raised, if it is.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }

    /// Whether it is raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.reason.get().is_some()
    }

    /// Refuses to go on once it is raised.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.reason() {
            Some(reason) => Err(Error::Fenced {
                reason: reason.to_owned(),
            }),
            None => Ok(()),
        }
    }
}

/// Linux error numbers that say "no more of it", not "broken".
fn is_exhausted(error: &io::Error) -> bool {
    const ENOMEM: i32 = 12;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOSPC: i32 = 28;
    const EDQUOT: i32 = 122;
    matches!(
        error.raw_os_error(),
        Some(ENOMEM | ENFILE | EMFILE | ENOSPC | EDQUOT)
    ) || matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::OutOfMemory
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_device_leaves_the_directory_open_and_a_broken_one_fences_it_for_good() {
        let fence = Fence::new();
        let path = Path::new("a.log");
        let full = Error::write(&fence, "append to", path, io::Error::from_raw_os_error(28));
        assert!(matches!(full, Error::Full { .. }) && full.is_retryable());
        assert!(!fence.is_raised() && fence.check().is_ok());

        let broken = Error::write(&fence, "sync", path, io::Error::from_raw_os_error(5));
        assert!(matches!(broken, Error::Failed { .. }) && !broken.is_retryable());
        let other = fence.clone();
        other.raise("something later");
        assert!(
            other
                .check()
                .expect_err("raised")
                .to_string()
                .contains("cannot sync a.log")
        );
    }
}
