//! The segment a cleaning writes: batches one behind the other under `.cleaned` names, and the entries of both indexes.
//!
//! It owns its files and may be written by any thread. It does not know what is written, nor what becomes of it.

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
    /// Bytes of batches written.
    pub(crate) bytes: u64,
    /// The largest timestamp so far.
    pub(crate) largest: TimestampOffset,
    /// Whether anything differs from what was read.
    pub(crate) has_changed: bool,
    index_interval_bytes: u64,
    bytes_since_entry: u64,
    entries_max: usize,
    time_entries_max: usize,
    entries: Vec<u8>,
    time_entries: Vec<u8>,
    last_time: Option<i64>,
    synced: u64,
}

/// Its files, open.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) log: File,
    pub(crate) index: File,
    pub(crate) time_index: File,
}

impl Output {
    /// An empty one.
    pub(crate) fn new(base: Offset, files: Files, fence: Fence, config: &Config) -> Output {
        Output {
            base,
            files,
            fence,
            bytes: 0,
            largest: TimestampOffset::none(base),
            has_changed: false,
            index_interval_bytes: u64::from(config.index_interval_bytes),
            bytes_since_entry: 0,
            entries_max: roll::index_entries_max(config) as usize * crate::index::ENTRY_BYTES,
            time_entries_max: roll::time_index_entries_max(config) as usize
                * crate::time_index::ENTRY_BYTES,
            entries: Vec::new(),
            time_entries: Vec::new(),
            last_time: None,
            synced: 0,
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

    /// Writes batches that were noted.
    pub(crate) fn write(&mut self, batches: &[u8]) -> Result<(), Error> {
        if batches.is_empty() {
            return Ok(());
        }
        let end = self.bytes + batches.len() as u64;
        if i32::try_from(end).is_err() {
            let limit = i32::MAX.unsigned_abs().into();
            return Err(Error::TooLarge { bytes: end, limit });
        }
        let file = &self.files.log;
        file.append_at(self.bytes, &[batches])
            .and_then(|()| file.start_writeback(self.bytes, batches.len() as u64))
            .map_err(|error| Error::write(&self.fence, "write", file.path(), error))?;
        self.bytes = end;
        Ok(())
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

    /// Bytes of batches that no sync has covered.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.bytes - self.synced
    }

    /// A sync has covered what had been written at `bytes`.
    pub(crate) fn synced(&mut self, bytes: u64) {
        self.synced = bytes;
    }
}
