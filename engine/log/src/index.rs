//! `.index`: where in a segment's `.log` a batch lies, for one batch in every `index.interval.bytes`.
//!
//! ```text
//!   8 bytes:  last offset of the batch - base offset of the segment : i32 | position of the batch in .log : i32
//! ```
//!
//! Knows positions and offsets, and not what is at a position. (`OffsetIndex.java`)

use std::io;
use std::path::{Path, PathBuf};

use highwater_reactor::{File, Reactor};
use highwater_record::Offset;
use zerocopy::byteorder::big_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::entries::{Entries, Entry};

/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 8;

/// An entry as it lies in the file.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct OffsetEntry {
    relative_offset: U32,
    position: U32,
}

impl OffsetEntry {
    /// The entry of a batch; `None` when an entry cannot say it (31 bits each).
    #[must_use]
    pub fn new(base: Offset, last: Offset, position: u64) -> Option<OffsetEntry> {
        let relative = i32::try_from(last.get().checked_sub(base.get())?).ok()?;
        let position = i32::try_from(position).ok()?;
        Some(OffsetEntry {
            relative_offset: U32::new(u32::try_from(relative).ok()?),
            position: U32::new(u32::try_from(position).ok()?),
        })
    }

    /// The last offset of the batch it points to.
    #[must_use]
    pub fn last_offset(&self, base: Offset) -> Offset {
        Offset::new(
            base.get()
                .saturating_add(i64::from(self.relative_offset.get())),
        )
    }

    /// Where in the `.log` that batch begins.
    #[must_use]
    pub fn position(&self) -> u64 {
        u64::from(self.position.get())
    }
}

impl Entry for OffsetEntry {
    const BYTES: usize = ENTRY_BYTES;

    fn encode(self, into: &mut Vec<u8>) {
        into.extend_from_slice(self.as_bytes());
    }

    fn decode(bytes: &[u8]) -> OffsetEntry {
        OffsetEntry::read_from_bytes(bytes).expect("cut into entries by the caller")
    }
}

/// A segment's offset index.
///
/// Invariant: last offsets and positions rise strictly (of one that was read, checked only in part: whoever follows an
/// entry compares it with the batch it finds).
#[derive(Debug)]
pub(crate) struct Index {
    base: Offset,
    entries: Entries<OffsetEntry>,
}

impl Index {
    /// Makes an empty one.
    pub(crate) fn create(reactor: &Reactor, path: PathBuf, base: Offset) -> io::Result<Index> {
        Ok(Index {
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
    ) -> io::Result<Option<Index>> {
        let Some(entries) = Entries::<OffsetEntry>::open(reactor, path)? else {
            return Ok(None);
        };
        if let Some(last) = entries.last() {
            let fits = last.position() < log_bytes && last.last_offset(base) < end;
            // Every entry but the first takes a batch, and so 61 bytes of log.
            let possible = u64::from(entries.len()) <= log_bytes / 61 + 1;
            if !fits || !possible {
                return Ok(None);
            }
        }
        Ok(Some(Index { base, entries }))
    }

    /// Adds the batch that ends with `last` and begins at `position`, unless an entry cannot say so or it does not rise.
    pub(crate) fn push(&mut self, last: Offset, position: u64) -> io::Result<()> {
        let rises = self.entries.last().is_none_or(|before| {
            before.last_offset(self.base) < last && before.position() < position
        });
        match OffsetEntry::new(self.base, last, position) {
            Some(entry) if rises => self.entries.push(entry),
            _ => Ok(()),
        }
    }

    /// The last entry whose batch ends at or before `offset`: its last offset and position.
    pub(crate) fn floor(&self, offset: Offset) -> io::Result<Option<(Offset, u64)>> {
        let found = self
            .entries
            .last_where(|entry| entry.last_offset(self.base) <= offset)?;
        Ok(found.map(|entry| (entry.last_offset(self.base), entry.position())))
    }

    /// The last entry whose batch begins at or before `position`.
    pub(crate) fn floor_position(&self, position: u64) -> io::Result<Option<(Offset, u64)>> {
        let found = self
            .entries
            .last_where(|entry| entry.position() <= position)?;
        Ok(found.map(|entry| (entry.last_offset(self.base), entry.position())))
    }

    /// Drops the entries of batches that end at `end` or later.
    pub(crate) fn truncate(&mut self, end: Offset) -> io::Result<()> {
        let count = self
            .entries
            .count_where(|entry| entry.last_offset(self.base) < end)?;
        self.entries.truncate(count)
    }

    /// Position of the newest entry's batch.
    pub(crate) fn last_position(&self) -> Option<u64> {
        self.entries.last().map(|entry| entry.position())
    }

    /// The newest entry.
    pub(crate) fn last(&self) -> Option<(Offset, u64)> {
        self.entries
            .last()
            .map(|entry| (entry.last_offset(self.base), entry.position()))
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
