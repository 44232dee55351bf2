//! The active segment: the one file of a log that is written, and the indexes that grow with it.
//!
//! It decides where bytes go and how much is allocated ahead. It does not know when to roll, nor what is durable.
//!
//! ```text
//!   .log   |batch|batch|   batch   |0000|  allocated, not written  |
//!          0                     bytes room                    allocated
//! ```

use std::path::Path;

use highwater_reactor::{File, OpenOptions};
use highwater_record::{HEADER_BYTES, Header, Offset, Stamped};

use crate::config::Config;
use crate::error::{Error, Fence};
use crate::names::{self, Kind};
use crate::roll;
use crate::room;
use crate::segment::{Indexing, Segment, Shelf};
use crate::small_file;
use crate::surplus::Surplus;

/// Nothing is allocated ahead for a segment smaller than this: a machine may have ten thousand that stay so.
const ALLOCATE_FROM_BYTES: u64 = 64 << 10;
/// No more than this is allocated ahead.
const ALLOCATE_AHEAD_BYTES_MAX: u64 = 16 << 20;
/// With less than this left (or an eighth of what there is) the next step is taken when a sync has ended.
const ALLOCATED_LEFT_MIN: u64 = 1 << 20;
/// Allocation ends on a block of the file system.
const BLOCK_BYTES: u64 = 4096;

/// The segment that is appended to.
///
/// Invariant: `written_back <= bytes <= room`; the file holds whole batches in `0..bytes` and, without an overhang, zeros in
/// `bytes..room`, where it ends.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) base: Offset,
    /// Bytes of whole batches.
    pub(crate) bytes: u64,
    /// Where the file ends.
    room: u64,
    pub(crate) file: File,
    pub(crate) indexing: Indexing,
    first_timestamp_ms: Option<i64>,
    created_ms: i64,
    jitter_ms: i64,
    /// Bytes for which the file system has been asked.
    allocated: u64,
    /// Whether the segment before it got full: it takes its first step at full length.
    follows_full: bool,
    /// Whether a failed write may have left bytes behind `bytes`. They must go before the next write: a record may hold
    /// what looks like a batch, and recovery would take it for one.
    has_overhang: bool,
    /// Write-back has been started up to here.
    written_back: u64,
}

/// Bytes that were appended and that nobody has handed to the device yet. Owns its handle, so that this can be done on any
/// thread: where the device is busy the call waits, half a millisecond and more.
#[derive(Debug)]
#[must_use = "nothing is handed over by asking for it"]
pub struct Fresh {
    file: File,
    position: u64,
    len: u64,
    fence: Fence,
}

impl Fresh {
    /// Starts their write-back and does not wait for its end. No promise of durability.
    ///
    /// # Errors
    /// [`Error::Failed`], which fences.
    pub fn start_writeback(&self) -> Result<(), Error> {
        let started = self.file.start_writeback(self.position, self.len);
        started.map_err(|error| Error::write(&self.fence, "write back", self.file.path(), error))
    }
}

impl Active {
    /// Begins a segment. On an error nothing of it is left.
    pub(crate) fn create(shelf: &Shelf<'_>, base: Offset, now_ms: i64) -> Result<Active, Error> {
        let path = names::path(shelf.dir, base, Kind::Log);
        let made = Active::make(shelf, base, now_ms, &path);
        if made.is_err() {
            for kind in Kind::OF_SEGMENT {
                let _ = shelf
                    .reactor
                    .remove_file(&names::path(shelf.dir, base, kind));
            }
        }
        made
    }

    fn make(shelf: &Shelf<'_>, base: Offset, now_ms: i64, path: &Path) -> Result<Active, Error> {
        let failed = |error| Error::write(shelf.fence, "create", path, error);
        // A file of that name is a leftover. Emptied, its batches could come back with a power cut; removed, they cannot.
        small_file::remove(shelf.reactor, shelf.fence, path)?;
        let file = shelf
            .reactor
            .open(path, OpenOptions::CREATE_NEW)
            .map_err(failed)?;
        let mut active = Active {
            base,
            bytes: 0,
            room: 0,
            file,
            indexing: shelf.indexing(base)?,
            first_timestamp_ms: None,
            created_ms: now_ms,
            jitter_ms: jitter_ms(shelf),
            allocated: 0,
            follows_full: false,
            has_overhang: false,
            written_back: 0,
        };
        if shelf.config.preallocate {
            let whole = u64::from(shelf.config.segment_bytes);
            active.file.allocate(whole).map_err(failed)?;
            active.allocated = whole;
        }
        Ok(active)
    }

    /// Goes on with a segment that exists, whose file ends with its last batch.
    pub(crate) fn resume(
        shelf: &Shelf<'_>,
        base: Offset,
        bytes: u64,
        indexing: Indexing,
    ) -> Result<Active, Error> {
        let segment = Segment::new(base, bytes);
        let file = segment.open_log(shelf.reactor, shelf.dir)?;
        let mut first_timestamp_ms = None;
        if bytes > 0 {
            let mut header = [0; HEADER_BYTES];
            file.read_exact_at(0, &mut header)
                .map_err(|error| Error::read(file.path(), error))?;
            first_timestamp_ms = Header::peek(&header).map(Header::max_timestamp);
        }
        Ok(Active {
            base,
            bytes,
            room: bytes,
            file,
            indexing,
            first_timestamp_ms,
            created_ms: shelf.reactor.unix_ms(),
            jitter_ms: jitter_ms(shelf),
            allocated: bytes,
            follows_full: false,
            has_overhang: false,
            written_back: bytes,
        })
    }

    /// What the decision to roll looks at.
    pub(crate) fn facts(&self) -> roll::Active {
        roll::Active {
            base: self.base,
            bytes: self.bytes,
            first_timestamp_ms: self.first_timestamp_ms,
            created_ms: self.created_ms,
            jitter_ms: self.jitter_ms,
            index_entries: self.indexing.indexes.offsets.len(),
            time_index_entries: self.indexing.indexes.times.len(),
        }
    }

    /// Writes a batch behind the last and returns its position. After an error the segment is what it was before.
    pub(crate) fn write(&mut self, shelf: &Shelf<'_>, batch: &Stamped<'_>) -> Result<u64, Error> {
        let position = self.bytes;
        let end = position + batch.len() as u64;
        self.cut_overhang(shelf)?;
        self.allocate_ahead(shelf.config, end);
        if let Err(error) = self.put(shelf.config, position, batch.parts()) {
            self.has_overhang = true;
            let error = Error::write(shelf.fence, "append to", self.file.path(), error);
            if matches!(error, Error::Full { .. }) {
                // Gives back what little there was room for; if that fails too, the next write tries again.
                let _ = self.cut_overhang(shelf);
            }
            return Err(error);
        }
        self.bytes = end;
        let header = batch.header();
        if position == 0 {
            self.first_timestamp_ms = Some(header.max_timestamp());
        }
        let (last, timestamp_ms) = (header.last_offset(), header.max_timestamp());
        let indexed = self
            .indexing
            .add(shelf, position, batch.len() as u64, last, timestamp_ms);
        if let Err(error) = indexed {
            self.bytes = position;
            self.has_overhang = true;
            return Err(error);
        }
        Ok(position)
    }

    /// Writes `parts` behind the last batch, and behind those the room that they need to be in.
    fn put(&mut self, config: &Config, position: u64, parts: [&[u8]; 2]) -> std::io::Result<()> {
        let [header, body] = parts;
        let end = position + (header.len() + body.len()) as u64;
        if end <= self.room {
            return self.file.append_at(position, &parts);
        }
        let room = room::end(config, end, self.allocated);
        let parts = [header, body, room::zeros(room - end)];
        self.file.append_at(position, &parts)?;
        self.room = room;
        Ok(())
    }

    /// Cuts the file and its indexes to a length, which must be the end of a batch that is followed by `end`.
    pub(crate) fn cut(&mut self, shelf: &Shelf<'_>, bytes: u64, end: Offset) -> Result<(), Error> {
        let failed = |path: &Path, error| Error::write(shelf.fence, "cut", path, error);
        self.file
            .set_len(bytes)
            .map_err(|error| failed(self.file.path(), error))?;
        let indexes = &mut self.indexing.indexes;
        let cut = indexes.offsets.truncate(end);
        cut.map_err(|error| failed(indexes.offsets.path(), error))?;
        let cut = indexes.times.truncate(end);
        cut.map_err(|error| failed(indexes.times.path(), error))?;
        self.bytes = bytes;
        self.room = bytes;
        self.allocated = bytes;
        self.written_back = self.written_back.min(bytes);
        self.has_overhang = false;
        Ok(())
    }

    /// Leaves the files as a finished segment has them: nothing behind the last batch but room, indexes whole and on their last
    /// entries. Its room and what was allocated ahead are still there: see [`Active::surplus`].
    pub(crate) fn seal(&mut self, shelf: &Shelf<'_>) -> Result<(), Error> {
        self.indexing.seal(shelf)?;
        self.cut_overhang(shelf)
    }

    /// Its room and what it has allocated ahead, once it is sealed and nothing is appended any more.
    pub(crate) fn surplus(&self, fence: &Fence) -> Surplus {
        Surplus {
            base: self.base,
            file: self.file.clone(),
            bytes: self.bytes,
            fence: fence.clone(),
        }
    }

    /// Whether space will soon be short, and there is more to be had for the segment.
    pub(crate) fn wants_space(&self, config: &Config) -> bool {
        let left = self.allocated.saturating_sub(self.bytes);
        self.allocated > self.bytes
            && left < ALLOCATED_LEFT_MIN.min(self.allocated / 8)
            && self.step_from(config, self.allocated) > self.allocated
    }

    /// Allocates what will soon be needed. Not while a sync is under way: that waits, as an append does, for the file's block
    /// map.
    pub(crate) fn take_space(&mut self, config: &Config) {
        if self.wants_space(config) {
            let wanted = self.step_from(config, self.allocated);
            if self.file.allocate(wanted).is_ok() {
                self.allocated = wanted;
            }
        }
    }

    /// The segment before it got full, and so will this one.
    pub(crate) fn follow_full(&mut self) {
        self.follows_full = true;
    }

    /// What has come since the last time, to be handed to the device; `None` when nothing has.
    pub(crate) fn take_fresh(&mut self, fence: &Fence) -> Option<Fresh> {
        let (position, len) = (self.written_back, self.bytes - self.written_back);
        self.written_back = self.bytes;
        (len > 0).then(|| Fresh {
            file: self.file.clone(),
            position,
            len,
            fence: fence.clone(),
        })
    }

    fn cut_overhang(&mut self, shelf: &Shelf<'_>) -> Result<(), Error> {
        if self.has_overhang {
            let cut = self.file.set_len(self.bytes);
            cut.map_err(|error| Error::write(shelf.fence, "cut", self.file.path(), error))?;
            self.allocated = self.bytes;
            self.room = self.bytes;
            self.has_overhang = false;
        }
        Ok(())
    }

    /// Whether the file is longer than its batches.
    pub(crate) fn has_room(&self) -> bool {
        self.room > self.bytes
    }

    /// Leaves the file with nothing but its batches, until the next is appended.
    pub(crate) fn rest(&mut self, shelf: &Shelf<'_>) -> Result<(), Error> {
        self.has_overhang |= self.has_room();
        self.cut_overhang(shelf)
    }

    /// Asks for as much again as there is, in steps that stop growing at 16 MiB: appending to allocated blocks costs a third
    /// less than making them one write at a time, and a partition that stays small takes nothing it does not use. Behind a
    /// segment that got full the first step is as long as the last: each may wait for the device.
    fn allocate_ahead(&mut self, config: &Config, end: u64) {
        if end <= self.allocated || end < ALLOCATE_FROM_BYTES {
            return;
        }
        let wanted = self.step_from(config, end);
        // Without room for the step the write itself may still have room; if not, it says so.
        self.allocated = match self.file.allocate(wanted) {
            Ok(()) => wanted,
            Err(_) => end,
        };
    }

    /// What is to be allocated where `end` bytes are wanted or there.
    fn step_from(&self, config: &Config, end: u64) -> u64 {
        let ahead = if self.follows_full {
            ALLOCATE_AHEAD_BYTES_MAX
        } else {
            end.min(ALLOCATE_AHEAD_BYTES_MAX)
        };
        let wanted = (end + ahead).next_multiple_of(BLOCK_BYTES);
        wanted.min(u64::from(config.segment_bytes)).max(end)
    }
}

fn jitter_ms(shelf: &Shelf<'_>) -> i64 {
    let bound = shelf.config.segment_jitter_ms.min(shelf.config.segment_ms);
    match u64::try_from(bound) {
        Ok(bound @ 1..) => i64::try_from(shelf.reactor.random_u64() % bound).expect("below an i64"),
        Ok(0) | Err(_) => 0,
    }
}
