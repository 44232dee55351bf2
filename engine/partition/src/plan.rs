//! What a fetch asks of a partition and the owned plan it gets: byte ranges of files, good after the partition was let go.

use highwater_log::FileRange;
use highwater_record::{LeaderEpoch, Offset};
use smallvec::SmallVec;
use thiserror::Error;

/// Which records a reader may see (`isolation.level`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Everything below the high watermark.
    #[default]
    ReadUncommitted,
    /// Everything below the last stable offset.
    ReadCommitted,
}

/// One partition of a Fetch request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetch {
    /// The first offset wanted; it may fall inside a batch, which is then given whole.
    pub from: Offset,
    /// The most bytes wanted.
    pub bytes_max: u32,
    /// Whether the first batch is given even if it exceeds `bytes_max` (KIP-74).
    pub at_least_one: bool,
    /// What may be seen.
    pub isolation: Isolation,
    /// The epoch the reader believes to be current (KIP-320), `None` for no check.
    pub current_leader_epoch: Option<LeaderEpoch>,
    /// The epoch of the last record the reader has (KIP-595), `None` for no check.
    pub last_fetched_epoch: Option<LeaderEpoch>,
}

impl Fetch {
    /// A fetch from `from` of up to `bytes_max` bytes, without checks of epochs.
    pub fn new(from: Offset, bytes_max: u32) -> Fetch {
        Fetch {
            from,
            bytes_max,
            at_least_one: true,
            isolation: Isolation::ReadUncommitted,
            current_leader_epoch: None,
            last_fetched_epoch: None,
        }
    }
}

/// An owned plan: runs after the partition has been let go, on any shard.
#[derive(Debug, Clone)]
pub struct FetchPlan {
    /// Whole batches, back to back, as they lie in their files; empty when there is nothing to read yet.
    pub ranges: SmallVec<[FileRange; 2]>,
    /// The sum of the ranges.
    pub bytes: u32,
    /// The high watermark when the plan was made.
    pub high_watermark: Offset,
    /// The last stable offset when the plan was made.
    pub last_stable: Offset,
    /// Where the log started when the plan was made.
    pub log_start: Offset,
    /// Set where the reader's last epoch ends before its offset: nothing is given, it must truncate.
    pub diverging: Option<EpochEnd>,
}

impl FetchPlan {
    /// Whether there is nothing to read and nothing to say.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0 && self.diverging.is_none()
    }
}

/// The end of an epoch: the largest epoch not above the one asked for, and where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// The offset after its last record.
    pub end: Offset,
}

/// Why a read cannot be planned.
#[derive(Debug, Error)]
pub enum FetchRefusal {
    /// OFFSET_OUT_OF_RANGE.
    #[error("offset {} is outside [{}, {}]", from.get(), log_start.get(), log_end.get())]
    OutOfRange {
        /// What was asked for.
        from: Offset,
        /// Where the log starts.
        log_start: Offset,
        /// Where the log ends.
        log_end: Offset,
    },
    /// The reader's epoch is older than ours: FENCED_LEADER_EPOCH.
    #[error("leader epoch {found} is older than the current {current}")]
    FencedLeaderEpoch {
        /// The reader's.
        found: i32,
        /// Ours.
        current: i32,
    },
    /// The reader's epoch is newer than ours: UNKNOWN_LEADER_EPOCH.
    #[error("leader epoch {found} is newer than the current {current}")]
    UnknownLeaderEpoch {
        /// The reader's.
        found: i32,
        /// Ours.
        current: i32,
    },
    /// The partition was closed or deleted: NOT_LEADER_OR_FOLLOWER.
    #[error("the partition is closed")]
    Closed,
    /// The log could not be read: KAFKA_STORAGE_ERROR, or CORRUPT_MESSAGE where bytes do not hold.
    #[error(transparent)]
    Log(#[from] highwater_log::Error),
}
