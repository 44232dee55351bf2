//! A segment that is not written any more: its size, and look-ups in its files, which are opened when they are needed.
//!
//! It keeps two numbers in memory and no descriptor. Its indexes are not believed: whoever follows an entry compares it
//! with the batch it finds, and a wrong one has the index made again from the log.

use std::cell::{Cell, RefCell};
use std::path::Path;

use highwater_reactor::{File, OpenOptions, Reactor};
use highwater_record::Offset;

use crate::config::Config;
use crate::error::{Error, Fence};
use crate::index::Index;
use crate::names::{self, Kind};
use crate::time_index::{TimeIndex, TimestampOffset};
use crate::walk::Walk;

/// One segment of a log.
#[derive(Debug)]
pub(crate) struct Segment {
    /// The base offset, which names its files.
    pub(crate) base: Offset,
    /// Bytes of whole batches in its `.log`.
    pub(crate) bytes: u64,
    /// The largest timestamp, once it has been looked up.
    largest: Cell<Option<TimestampOffset>>,
}

/// The two indexes of a segment.
#[derive(Debug)]
pub(crate) struct Indexes {
    pub(crate) offsets: Index,
    pub(crate) times: TimeIndex,
}

impl Segment {
    /// A segment of which nothing but the size is known.
    pub(crate) fn new(base: Offset, bytes: u64) -> Segment {
        Segment {
            base,
            bytes,
            largest: Cell::new(None),
        }
    }

    /// A segment of which the largest timestamp is known.
    pub(crate) fn with_largest(base: Offset, bytes: u64, largest: TimestampOffset) -> Segment {
        Segment {
            base,
            bytes,
            largest: Cell::new(Some(largest)),
        }
    }

    /// Opens its `.log`.
    pub(crate) fn open_log(&self, reactor: &Reactor, dir: &Path) -> Result<File, Error> {
        let path = names::path(dir, self.base, Kind::Log);
        reactor
            .open(&path, OpenOptions::READ_WRITE)
            .map_err(|error| Error::read(&path, error))
    }

    /// Its largest timestamp and the last offset of the batch that has it (-1: no batch has any), once it was looked up.
    pub(crate) fn largest(&self) -> Option<TimestampOffset> {
        self.largest.get()
    }

    /// Keeps what was looked up.
    pub(crate) fn keep_largest(&self, largest: TimestampOffset) {
        self.largest.set(Some(largest));
    }
}

/// Where segments lie and what is needed to make an index of one again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shelf<'a> {
    pub(crate) reactor: &'a Reactor,
    pub(crate) fence: &'a Fence,
    pub(crate) dir: &'a Path,
    pub(crate) config: &'a Config,
    /// Index files that were made again and want to be synced.
    pub(crate) rebuilt: &'a RefCell<Vec<File>>,
}

impl Shelf<'_> {
    /// The indexes of a segment whose offsets end at `end`; made again when they are missing or cannot be right.
    pub(crate) fn indexes(&self, segment: &Segment, end: Offset) -> Result<Indexes, Error> {
        match self.try_indexes(segment, end)? {
            Some(indexes) => Ok(indexes),
            None => self.rebuild(segment),
        }
    }

    /// The indexes, if they can be right.
    pub(crate) fn try_indexes(
        &self,
        segment: &Segment,
        end: Offset,
    ) -> Result<Option<Indexes>, Error> {
        let path = names::path(self.dir, segment.base, Kind::Index);
        let opened = Index::open(self.reactor, path.clone(), segment.base, segment.bytes, end);
        let Some(offsets) = found(opened, &path)? else {
            return Ok(None);
        };
        let path = names::path(self.dir, segment.base, Kind::TimeIndex);
        let opened = TimeIndex::open(self.reactor, path.clone(), segment.base, segment.bytes, end);
        let Some(times) = found(opened, &path)? else {
            return Ok(None);
        };
        Ok(Some(Indexes { offsets, times }))
    }

    /// Makes both indexes again from the headers in the log.
    pub(crate) fn rebuild(&self, segment: &Segment) -> Result<Indexes, Error> {
        let mut indexing = self.indexing(segment.base)?;
        let file = segment.open_log(self.reactor, self.dir)?;
        let mut walk = Walk::new(&file, 0, segment.bytes, segment.base);
        while let Some(placed) = walk.next().map_err(|stop| stop.into_error(&file))? {
            indexing.add(
                self,
                placed.position,
                placed.header.batch_bytes() as u64,
                placed.header.last_offset(),
                placed.header.max_timestamp(),
            )?;
        }
        let (indexes, largest) = indexing.finish(self)?;
        segment.largest.set(Some(largest));
        // One that cannot be opened cannot be synced either: after a power cut it is found out again.
        let files = [indexes.offsets.file(), indexes.times.file()];
        self.rebuilt
            .borrow_mut()
            .extend(files.into_iter().flatten());
        tracing::warn!(
            segment = %file.path().display(),
            entries = indexes.offsets.len(),
            "made the indexes again from the log"
        );
        Ok(indexes)
    }

    /// Begins both indexes of a segment anew.
    pub(crate) fn indexing(&self, base: Offset) -> Result<Indexing, Error> {
        let path = names::path(self.dir, base, Kind::Index);
        let offsets = Index::create(self.reactor, path.clone(), base)
            .map_err(|error| Error::write(self.fence, "create", &path, error))?;
        let path = names::path(self.dir, base, Kind::TimeIndex);
        let times = TimeIndex::create(self.reactor, path.clone(), base)
            .map_err(|error| Error::write(self.fence, "create", &path, error))?;
        Ok(Indexing::new(Indexes { offsets, times }, base))
    }
}

/// A missing file is an index that is not there.
fn found<I>(opened: std::io::Result<Option<I>>, path: &Path) -> Result<Option<I>, Error> {
    match opened {
        Ok(index) => Ok(index),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(Error::read(path, error)),
    }
}

/// The indexes of a segment while batches are added: which of them get an entry.
///
/// The rule is Kafka's (`LogSegment.append`): an entry for the batch that finds more than `index.interval.bytes` behind the
/// last indexed batch's beginning, that batch not counted.
#[derive(Debug)]
pub(crate) struct Indexing {
    pub(crate) indexes: Indexes,
    /// The largest timestamp so far.
    pub(crate) largest: TimestampOffset,
    bytes_since_entry: u64,
}

impl Indexing {
    /// Indexes of a segment that has no batches yet.
    pub(crate) fn new(indexes: Indexes, base: Offset) -> Indexing {
        Indexing {
            indexes,
            largest: TimestampOffset::none(base),
            bytes_since_entry: 0,
        }
    }

    /// Indexes of a segment that has `bytes` of batches.
    pub(crate) fn resume(indexes: Indexes, largest: TimestampOffset, bytes: u64) -> Indexing {
        let since = bytes - indexes.offsets.last_position().unwrap_or(0).min(bytes);
        Indexing {
            indexes,
            largest,
            bytes_since_entry: since,
        }
    }

    /// Adds a batch.
    pub(crate) fn add(
        &mut self,
        shelf: &Shelf<'_>,
        position: u64,
        bytes: u64,
        last: Offset,
        max_timestamp_ms: i64,
    ) -> Result<(), Error> {
        if max_timestamp_ms > self.largest.timestamp_ms {
            self.largest = TimestampOffset {
                timestamp_ms: max_timestamp_ms,
                offset: last,
            };
        }
        if self.bytes_since_entry > u64::from(shelf.config.index_interval_bytes) {
            let offsets = &mut self.indexes.offsets;
            let pushed = offsets.push(last, position);
            sparser(pushed, shelf, offsets.path())?;
            let times = &mut self.indexes.times;
            let pushed = times.push(self.largest);
            sparser(pushed, shelf, times.path())?;
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += bytes;
        Ok(())
    }

    /// Writes the last entry and everything that is in memory; both files end with their last entry.
    pub(crate) fn seal(&mut self, shelf: &Shelf<'_>) -> Result<(), Error> {
        let Indexes { offsets, times } = &mut self.indexes;
        let failed = |path: &Path, error| Error::write(shelf.fence, "write", path, error);
        times
            .push(self.largest)
            .map_err(|error| failed(times.path(), error))?;
        times
            .finish()
            .map_err(|error| failed(times.path(), error))?;
        offsets
            .finish()
            .map_err(|error| failed(offsets.path(), error))
    }

    fn finish(mut self, shelf: &Shelf<'_>) -> Result<(Indexes, TimestampOffset), Error> {
        self.seal(shelf)?;
        Ok((self.indexes, self.largest))
    }
}

/// A full device makes an index sparser, and is no reason to refuse a batch; any other failure is one.
fn sparser(pushed: std::io::Result<()>, shelf: &Shelf<'_>, path: &Path) -> Result<(), Error> {
    match pushed.map_err(|error| Error::write(shelf.fence, "write", path, error)) {
        Err(Error::Full { .. }) | Ok(()) => Ok(()),
        Err(error) => Err(error),
    }
}
