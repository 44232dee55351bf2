//! The segment a cleaning writes: batches one behind the other under `.cleaned` names, and the entries of both indexes.
//!
//! As long as all that was taken is the beginning of a single old segment as it lies, nothing is written: none of its keys may have
//! come anew. With the first change that beginning is owed, and copied.
//!
//! It owns its files and may be written by any thread. It does not know what is written, nor what becomes of it.

use std::ops::Range;

use highwater_record::{Header, Offset};

use crate::config::Config;
use crate::entries::Entry as _;
use crate::error::{Error, Fence};
use crate::index::OffsetEntry;
use crate::roll;
use crate::time_index::{TimeEntry, TimestampOffset};
use highwater_reactor::File;

/// A segment under way.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) base: Offset,
    pub(crate) files: Files,
    fence: Fence,
    /// Bytes of batches taken, written or not.
    pub(crate) bytes: u64,
    /// The largest timestamp so far.
    pub(crate) largest: TimestampOffset,
    index_interval_bytes: u64,
    bytes_since_entry: u64,
    entries_max: usize,
    time_entries_max: usize,
    entries: Vec<u8>,
    time_entries: Vec<u8>,
    last_time: Option<i64>,
    /// Whether there is one old segment, of which nothing has been left out so far.
    is_the_same: bool,
    /// What has still to be copied out of the old segment, to the same place.
    owed: Range<u64>,
    /// Bytes of batches written that no sync has covered.
    unsynced: u64,
}

/// Its files, open.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) log: File,
    pub(crate) index: File,
    pub(crate) time_index: File,
}

impl Output {
    /// An empty one, for what is left of one old segment or of several.
    pub(crate) fn new(
        base: Offset,
        files: Files,
        is_of_one: bool,
        fence: Fence,
        config: &Config,
    ) -> Output {
        Output {
            base,
            files,
            fence,
            bytes: 0,
            largest: TimestampOffset::none(base),
            index_interval_bytes: u64::from(config.index_interval_bytes),
            bytes_since_entry: 0,
            entries_max: roll::index_entries_max(config) as usize * crate::index::ENTRY_BYTES,
            time_entries_max: roll::time_index_entries_max(config) as usize
                * crate::time_index::ENTRY_BYTES,
            entries: Vec::new(),
            time_entries: Vec::new(),
            last_time: None,
            is_the_same: is_of_one,
            owed: 0..0,
            unsynced: 0,
        }
    }

    /// Notes a batch that begins `ahead` bytes behind what is written. The rule of entries is that of
    /// [`crate::segment::Indexing`].
    pub(crate) fn note(&mut self, header: &Header, ahead: usize) {
        let last = header.last_offset();
        if header.max_timestamp() > self.largest.timestamp_ms {
            self.largest = TimestampOffset {
                timestamp_ms: header.max_timestamp(),
                offset: last,
            };
        }
        if self.bytes_since_entry > self.index_interval_bytes {
            let position = self.bytes + ahead as u64;
            if let Some(entry) = OffsetEntry::new(self.base, last, position)
                && self.entries.len() < self.entries_max
            {
                entry.encode(&mut self.entries);
            }
            if self.time_entries.len() < self.time_entries_max {
                self.note_time();
            }
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += header.batch_bytes() as u64;
    }

    fn note_time(&mut self) {
        let at = self.largest;
        if at.timestamp_ms > self.last_time.unwrap_or(-1)
            && let Some(entry) = TimeEntry::new(self.base, at)
        {
            entry.encode(&mut self.time_entries);
            self.last_time = Some(at.timestamp_ms);
        }
    }

    /// Takes batches that were noted; returns how many bytes that wrote, and what is owed from here on comes by [`Self::pay`].
    pub(crate) fn take(&mut self, batches: &[u8]) -> Result<u64, Error> {
        let position = self.bytes;
        let end = position + batches.len() as u64;
        if i32::try_from(end).is_err() {
            let limit = i32::MAX.unsigned_abs().into();
            return Err(Error::TooLarge { bytes: end, limit });
        }
        self.bytes = end;
        if self.is_the_same {
            return Ok(0);
        }
        self.write(position, batches)
    }

    /// What is taken next differs from what was read.
    pub(crate) fn change(&mut self) {
        if std::mem::take(&mut self.is_the_same) {
            self.owed = 0..self.bytes;
        }
    }

    /// Whether it is the one old segment, as it lies: nothing was written.
    pub(crate) fn is_the_same(&self) -> bool {
        self.is_the_same
    }

    /// The beginning of the old segment that is to be read there and given to [`Self::pay`], `bytes_max` of it.
    pub(crate) fn owed(&self, bytes_max: u64) -> Range<u64> {
        let Range { start, end } = self.owed;
        start..end.min(start.saturating_add(bytes_max))
    }

    /// Writes the bytes that are owed next.
    pub(crate) fn pay(&mut self, bytes: &[u8]) -> Result<u64, Error> {
        let written = self.write(self.owed.start, bytes)?;
        self.owed.start += written;
        Ok(written)
    }

    fn write(&mut self, position: u64, bytes: &[u8]) -> Result<u64, Error> {
        let len = bytes.len() as u64;
        if len > 0 {
            let file = &self.files.log;
            file.append_at(position, &[bytes])
                .and_then(|()| file.start_writeback(position, len))
                .map_err(|error| Error::write(&self.fence, "write", file.path(), error))?;
            self.unsynced += len;
        }
        Ok(len)
    }

    /// Writes the indexes.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        self.note_time();
        let Files {
            index, time_index, ..
        } = &self.files;
        for (file, bytes) in [(index, &self.entries), (time_index, &self.time_entries)] {
            file.append_at(0, &[bytes])
                .map_err(|error| Error::write(&self.fence, "write", file.path(), error))?;
        }
        Ok(())
    }

    /// Bytes of batches written that no sync has covered.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.unsynced
    }

    /// A sync has covered all that was written.
    pub(crate) fn synced(&mut self) {
        self.unsynced = 0;
    }
}
