//! Forgetting: segments that retention or delete-records takes, logs that are cut or deleted.
//!
//! A segment is out of the log at once and its files are renamed to `.deleted`; whoever has them open reads on. When their
//! bytes go is `graveyard`'s.

use std::path::PathBuf;
use std::time::Duration;

use highwater_record::Offset;
use uuid::Uuid;

use crate::appender::Active;
use crate::error::Error;
use crate::log::Log;
use crate::names::{self, DirectoryName, Kind, Stage};
use crate::retention::{self, Candidate};
use crate::segment::{Indexing, Segment};
use crate::sync::Place;
use crate::time_index::TimestampOffset;

/// A segment that retention or delete-records took out of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    /// Its base offset.
    pub base: Offset,
    /// The offset after its last.
    pub end: Offset,
    /// Bytes of its `.log`.
    pub bytes: u64,
}

impl Log {
    /// Deletes the segments that are below the start, too many or too old, and begins to remove the files whose delay is over.
    /// Nothing at or above `high_watermark` goes. The start moves with what is deleted.
    ///
    /// # Errors
    /// [`Error`]; what was deleted before it stays deleted.
    pub fn retain(&mut self, now_ms: i64, high_watermark: Offset) -> Result<Vec<Deleted>, Error> {
        self.fence.check()?;
        self.graveyard.empty(&self.reactor, &self.fence);
        self.forget_epochs_below_start()?;
        let now_ms = self.clock.now_ms(self.reactor.now().since_start(), now_ms);
        let mut deleted = Vec::new();
        let count = retention::below_start(&self.candidates(), self.start, high_watermark);
        self.delete_oldest(count, now_ms, &mut deleted)?;
        if self.config.delete {
            let limit = self.config.retention_bytes;
            let count = retention::beyond_size(&self.candidates(), limit, high_watermark);
            self.delete_oldest(count, now_ms, &mut deleted)?;
            let limit_ms = self.config.retention_ms;
            let candidates = self.candidates();
            let newest_ms = |segment: &Candidate| self.newest_ms(self.segment_of(segment.base));
            let count =
                retention::beyond_age(&candidates, limit_ms, high_watermark, now_ms, newest_ms)?;
            self.delete_oldest(count, now_ms, &mut deleted)?;
        }
        Ok(deleted)
    }

    /// Moves the start (delete-records): at once for readers; whole segments below it go. It does not move back, nor beyond
    /// the end. The caller checkpoints it as `log-start-offset-checkpoint`.
    ///
    /// # Errors
    /// [`Error`], the start having moved all the same.
    pub fn advance_start(&mut self, start: Offset) -> Result<Vec<Deleted>, Error> {
        self.fence.check()?;
        let mut deleted = Vec::new();
        let start = start.min(self.end);
        if start > self.start {
            self.start = start;
            self.forget_epochs_below_start()?;
            let count = retention::below_start(&self.candidates(), start, start);
            self.delete_oldest(count, self.reactor.unix_ms(), &mut deleted)?;
        }
        Ok(deleted)
    }

    /// Drops everything at or above `end`, which must be the start of a batch. Ranges read before may become unreadable.
    ///
    /// # Errors
    /// [`Error`]; a failed cut fences.
    pub fn truncate_to(&mut self, end: Offset) -> Result<(), Error> {
        assert!(!self.is_closed, "a closed log is not cut");
        self.fence.check()?;
        if end < self.end {
            self.errands.draw_line();
            if end <= self.segment(0).base {
                self.restart_at(end)?;
            } else {
                self.cut_inside(end)?;
            }
            self.start = self.start.min(end);
            self.cleaned = self.cleaned.min(end);
            self.checkpointed = self.checkpointed.min(end);
            self.places.clear();
            self.recent.clear();
            self.give_back_owed();
            self.remove_snapshots_above(end)?;
        }
        let mut epochs = self.epochs.clone();
        if epochs.truncate_end(end) {
            self.write_epochs(epochs)?;
        }
        Ok(())
    }

    /// Renames the directory to `<topic>-<partition>.<id>-delete`, and returns its path for the upkeep of its data directory
    /// once the delay is over. What was read before stays readable.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Failed`], [`Error::Fenced`]: the directory is still there, and the next open finds it.
    pub fn delete(self) -> Result<PathBuf, Error> {
        self.fence.check()?;
        self.errands.draw_line();
        let name = self.dir.file_name().and_then(|name| name.to_str());
        let (topic, partition) = match name.and_then(DirectoryName::parse) {
            Some(name) => (name.topic, name.partition),
            None => (name.unwrap_or("log").to_owned(), 0),
        };
        let mut id = [0; 16];
        self.reactor.fill_random(&mut id);
        let name = names::deleted_directory(&topic, partition, &Uuid::from_bytes(id));
        let path = self.dir.with_file_name(name);
        self.reactor
            .rename(&self.dir, &path)
            .map_err(|error| Error::write(&self.fence, "rename", &self.dir, error))?;
        Ok(path)
    }

    fn candidates(&self) -> Vec<Candidate> {
        let last = self.segment_count() - 1;
        (0..=last)
            .map(|at| Candidate {
                base: self.segment(at).base,
                end: self.segment_end(at),
                bytes: self.segment(at).bytes,
                is_active: at == last,
            })
            .collect()
    }

    /// The time of a segment's newest record. One in which no record has a time is as young as the log's opening.
    fn newest_ms(&self, at: usize) -> Result<i64, Error> {
        let largest = self.largest(at)?;
        Ok(if largest.timestamp_ms >= 0 {
            largest.timestamp_ms
        } else {
            self.clock.opened_ms()
        })
    }

    /// Takes the oldest segments out of the log; when that is all of them, a new one is begun first.
    fn delete_oldest(
        &mut self,
        count: usize,
        now_ms: i64,
        deleted: &mut Vec<Deleted>,
    ) -> Result<(), Error> {
        if count == self.segment_count() {
            self.roll(now_ms)?;
        }
        for _ in 0..count {
            let (segment, end) = (self.segment(0), self.segment_end(0));
            // Readers must not find it any more when its names are gone; a crash in between leaves whole segments.
            self.sealed.remove(0);
            self.start = self.start.max(end);
            self.bury(segment.base)?;
            deleted.push(Deleted {
                base: segment.base,
                end,
                bytes: segment.bytes,
            });
        }
        if count > 0 {
            self.forget_epochs_below_start()?;
        }
        Ok(())
    }

    pub(crate) fn forget_epochs_below_start(&mut self) -> Result<(), Error> {
        if self
            .epochs
            .earliest()
            .is_none_or(|(_, start)| start >= self.start)
        {
            return Ok(());
        }
        let mut epochs = self.epochs.clone();
        epochs.truncate_start(self.start);
        self.write_epochs(epochs)
    }

    /// Renames a segment's files, the `.log` first, and the producer snapshot of its base offset.
    fn bury(&mut self, base: Offset) -> Result<(), Error> {
        let kinds = Kind::OF_SEGMENT.into_iter().chain([Kind::Snapshot]);
        self.bury_files(base, kinds)
    }

    /// Renames files of a segment, to be removed when the delay is over.
    pub(crate) fn bury_files(
        &mut self,
        base: Offset,
        kinds: impl Iterator<Item = Kind>,
    ) -> Result<(), Error> {
        self.handles.forget(base);
        let delay_ms = u64::try_from(self.config.file_delete_delay_ms).unwrap_or(0);
        let due = self.reactor.now() + Duration::from_millis(delay_ms);
        for kind in kinds {
            let from = names::path(&self.dir, base, kind);
            let to = names::staged_path(&self.dir, base, kind, Stage::Deleted);
            match self.reactor.rename(&from, &to) {
                Ok(()) => self.graveyard.bury(due, to),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::write(&self.fence, "rename", &from, error)),
            }
        }
        self.unsynced.directory(&self.dir);
        Ok(())
    }

    /// Cuts the log inside of a segment, which becomes the active one.
    fn cut_inside(&mut self, end: Offset) -> Result<(), Error> {
        let (mut at, mut position) = self.locate(end)?;
        if position == 0 && at > 0 {
            at -= 1;
            position = self.segment(at).bytes;
        }
        // The newest go first: what is left after a crash is the beginning of the log.
        while self.segment_count() > at + 1 {
            let newest = self.active.base;
            let segment = self.sealed.pop().expect("there is more than one segment");
            self.active = self.reopened(&segment, newest)?;
            self.end = newest;
            self.bury(newest)?;
        }
        let (active, shelf) = self.active_and_shelf();
        active.cut(&shelf, position, end)?;
        self.end = end;
        let largest = self.largest_left()?;
        self.active.indexing.largest = largest;
        self.note_cut();
        Ok(())
    }

    /// A finished segment, to be written again.
    fn reopened(&self, segment: &Segment, end: Offset) -> Result<Active, Error> {
        let shelf = self.shelf();
        let indexes = shelf.indexes(segment, end)?;
        let largest = indexes.times.last();
        let indexing = Indexing::resume(indexes, largest, segment.bytes);
        Active::resume(&shelf, segment.base, segment.bytes, indexing)
    }

    /// The largest timestamp of the active segment after a cut.
    fn largest_left(&self) -> Result<TimestampOffset, Error> {
        let file = &self.active.file;
        let base = self.active.base;
        let mut largest = TimestampOffset::none(base);
        let mut walk = crate::walk::Walk::new(file, 0, self.active.bytes, base);
        while let Some(placed) = walk.next().map_err(|stop| stop.into_error(file))? {
            if placed.header.max_timestamp() > largest.timestamp_ms {
                largest = TimestampOffset {
                    timestamp_ms: placed.header.max_timestamp(),
                    offset: placed.header.last_offset(),
                };
            }
        }
        Ok(largest)
    }

    /// Forgets everything and begins anew at `base`.
    fn restart_at(&mut self, base: Offset) -> Result<(), Error> {
        let bases: Vec<Offset> = (0..self.segment_count())
            .map(|at| self.segment(at).base)
            .collect();
        for old in bases.into_iter().rev() {
            self.bury(old)?;
        }
        let shelf = self.shelf();
        let active = Active::create(&shelf, base, self.reactor.unix_ms())?;
        self.sealed.clear();
        self.active = active;
        self.end = base;
        self.unsynced.directory(&self.dir);
        self.note_cut();
        Ok(())
    }

    fn note_cut(&mut self) {
        let place: Place = self.end_place();
        self.unsynced.cut(place, self.appended_bytes);
        self.unsynced.file(self.active.file.clone());
        self.handles.clear();
    }
}
