//! `.timeindex`: up to which offset a segment holds nothing newer than a timestamp.
//!
//! ```text
//!   12 bytes:  largest timestamp so far, ms since 1970 : i64 | last offset of the batch that has it - base offset : i32
//! ```
//!
//! Knows timestamps and offsets, and not where they lie: the offset index says that. (`TimeIndex.java`)

use std::io;
use std::path::{Path, PathBuf};

use highwater_reactor::{File, Reactor};
use highwater_record::Offset;
use zerocopy::byteorder::big_endian::{I64, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::entries::{Entries, Entry};

/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 12;

/// A timestamp, and the last offset of the batch that brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Milliseconds since 1970; -1 stands for none.
    pub timestamp_ms: i64,
    /// The last offset of the batch.
    pub offset: Offset,
}

impl TimestampOffset {
    /// Of a segment in which no batch has a timestamp.
    #[must_use]
    pub const fn none(base: Offset) -> TimestampOffset {
        TimestampOffset {
            timestamp_ms: -1,
            offset: base,
        }
    }
}

/// An entry as it lies in the file.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct TimeEntry {
    timestamp_ms: I64,
    relative_offset: U32,
}

impl TimeEntry {
    /// The entry; `None` when the offset is further than 31 bits from the base.
    #[must_use]
    pub fn new(base: Offset, at: TimestampOffset) -> Option<TimeEntry> {
        let relative = i32::try_from(at.offset.get().checked_sub(base.get())?).ok()?;
        Some(TimeEntry {
            timestamp_ms: I64::new(at.timestamp_ms),
            relative_offset: U32::new(u32::try_from(relative).ok()?),
        })
    }

    /// What it says.
    #[must_use]
    pub fn value(&self, base: Offset) -> TimestampOffset {
        let offset = base
            .get()
            .saturating_add(i64::from(self.relative_offset.get()));
        TimestampOffset {
            timestamp_ms: self.timestamp_ms.get(),
            offset: Offset::new(offset),
        }
    }
}

impl Entry for TimeEntry {
    const BYTES: usize = ENTRY_BYTES;

    fn encode(self, into: &mut Vec<u8>) {
        into.extend_from_slice(self.as_bytes());
    }

    fn decode(bytes: &[u8]) -> TimeEntry {
        TimeEntry::read_from_bytes(bytes).expect("cut into entries by the caller")
    }
}

/// A segment's time index.
///
/// Invariant: timestamps rise strictly, offsets do not fall.
#[derive(Debug)]
pub(crate) struct TimeIndex {
    base: Offset,
    entries: Entries<TimeEntry>,
}

impl TimeIndex {
    /// Makes an empty one.
    pub(crate) fn create(reactor: &Reactor, path: PathBuf, base: Offset) -> io::Result<TimeIndex> {
        Ok(TimeIndex {
            base,
            entries: Entries::create(reactor, path)?,
        })
    }

    /// Opens one and looks at its size and its last entry; `Ok(None)` when they do not fit a segment whose `.log` has
    /// `log_bytes` bytes and whose offsets end at `end`.
    pub(crate) fn open(
        reactor: &Reactor,
        path: PathBuf,
        base: Offset,
        log_bytes: u64,
        end: Offset,
    ) -> io::Result<Option<TimeIndex>> {
        let Some(entries) = Entries::<TimeEntry>::open(reactor, path)? else {
            return Ok(None);
        };
        if let Some(last) = entries.last() {
            let last = last.value(base);
            let possible = u64::from(entries.len()) <= log_bytes / 61 + 1;
            if last.timestamp_ms < 0 || last.offset >= end || !possible {
                return Ok(None);
            }
        }
        Ok(Some(TimeIndex { base, entries }))
    }

    /// Adds the largest timestamp so far, if it is larger than the last one here.
    pub(crate) fn push(&mut self, largest: TimestampOffset) -> io::Result<()> {
        if largest.timestamp_ms <= self.last().timestamp_ms {
            return Ok(());
        }
        match TimeEntry::new(self.base, largest) {
            Some(entry) => self.entries.push(entry),
            None => Ok(()),
        }
    }

    /// The newest entry; timestamp -1 at the base offset when there is none.
    pub(crate) fn last(&self) -> TimestampOffset {
        let none = TimestampOffset::none(self.base);
        self.entries
            .last()
            .map_or(none, |entry| entry.value(self.base))
    }

    /// The last entry with a timestamp at or below `timestamp_ms`: nothing up to its offset is newer than that.
    pub(crate) fn floor(&self, timestamp_ms: i64) -> io::Result<Option<TimestampOffset>> {
        let found = self
            .entries
            .last_where(|entry| entry.timestamp_ms.get() <= timestamp_ms)?;
        Ok(found.map(|entry| entry.value(self.base)))
    }

    /// Drops the entries of batches that end at `end` or later.
    pub(crate) fn truncate(&mut self, end: Offset) -> io::Result<()> {
        let count = self
            .entries
            .count_where(|entry| entry.value(self.base).offset < end)?;
        self.entries.truncate(count)
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> u32 {
        self.entries.len()
    }

    /// Writes everything and cuts the file behind it.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.entries.finish()
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.entries.path()
    }

    /// The file, to be synced.
    pub(crate) fn file(&self) -> io::Result<File> {
        self.entries.file()
    }
}
