//! A read of the log as byte ranges of its files: whole batches, nothing decoded.
//!
//! It does not know who reads, nor how the bytes travel.

use highwater_reactor::File;
use highwater_record::Offset;
use smallvec::SmallVec;

/// Bytes of one segment's file that hold whole batches.
#[derive(Debug, Clone)]
pub struct FileRange {
    /// The segment's `.log`. Holding it keeps the bytes readable, whatever is deleted.
    pub file: File,
    /// The first byte.
    pub position: u64,
    /// How many; at least one batch.
    pub len: u32,
}

/// What a read found: up to four ranges, in offset order.
#[derive(Debug, Clone, Default)]
pub struct Ranges {
    /// The ranges; empty when there is nothing between `from` and `upto`.
    pub ranges: SmallVec<[FileRange; 2]>,
    /// The sum of their lengths.
    pub bytes: u64,
    /// The offset of the first batch that was not given for lack of room, or where the read was bounded.
    pub next: Option<Offset>,
}
