//! The ends of a cleaning that touch the log: what may be cleaned, files opened, and the swap of old segments for new.
//!
//! Each is one short step on the log's shard. The swap holds against a crash at any point, as Kafka's does:
//!
//! ```text
//!   1  .cleaned -> .swap        a crash before the last of these renames: the new files go, nothing has happened
//!   2  old -> .deleted          a crash from here on: the next open removes what is left of the old ...
//!   3  .swap -> live            ... and gives the new files their names
//! ```

use highwater_reactor::OpenOptions;
use highwater_record::{Header, Offset};

use super::dirt::{self, Dirt, Finished, Room};
use super::output::{Files, Output};
use super::transactions::Aborted;
use super::workshop::Source;
use crate::error::Error;
use crate::log::Log;
use crate::names::{self, Kind, SegmentFile, Stage};
use crate::roll;
use crate::segment::Segment;
use crate::small_file;
use crate::walk;

/// The kinds of files that a cleaned segment may have, in the order in which they are renamed.
const KINDS: [Kind; 4] = [Kind::Index, Kind::TimeIndex, Kind::TxnIndex, Kind::Log];

/// What is to be cleaned, as it stood when the cleaning began.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) first_dirty: Offset,
    pub(crate) upper: Offset,
    /// The segments below `upper`, oldest first.
    pub(crate) segments: Vec<Finished>,
    pub(crate) aborted: Vec<Aborted>,
    pub(crate) room: Room,
    pub(crate) delete_retention_ms: i64,
    /// The time that records and tombstones are held against.
    pub(crate) now_ms: i64,
}

impl Log {
    /// Everything below has been cleaned: what `cleaner-offset-checkpoint` says of the log, or where the last cleaning of this
    /// run came to.
    #[must_use]
    pub fn cleaned_offset(&self) -> Offset {
        dirt::first_dirty(self.cleaned, self.start, self.end)
    }

    /// Takes what `cleaner-offset-checkpoint` says of the log. An offset that is not in it is not believed.
    pub fn set_cleaned_offset(&mut self, cleaned: Offset) {
        self.cleaned = cleaned;
    }

    /// The recovery point has been written down: what lies below may be cleaned, because no recovery will ask whether an
    /// offset is missing there.
    pub fn checkpointed(&mut self, recovery_point: Offset) {
        assert!(
            recovery_point <= self.durable_offset(),
            "what is not durable is no recovery point"
        );
        self.checkpointed = self.checkpointed.max(recovery_point);
    }

    /// How much is to be cleaned of what lies below `bound`, the smaller of high watermark and last stable offset; `None`
    /// unless the log is compacted.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when a segment's age cannot be read.
    pub fn dirt(&self, now_ms: i64, bound: Offset) -> Result<Option<Dirt>, Error> {
        if !self.config.compact || self.is_closed {
            return Ok(None);
        }
        let finished = self.finished();
        let first_dirty = self.cleaned_offset();
        let now_ms = self.clock.now_ms(self.reactor.now().since_start(), now_ms);
        let lag_ms_min = self.config.min_compaction_lag_ms;
        let upper = |bound| {
            dirt::upper(
                &finished,
                first_dirty,
                bound,
                lag_ms_min,
                now_ms,
                |segment| Ok(self.largest(self.segment_of(segment.base))?.timestamp_ms),
            )
        };
        let upper_now = upper(bound.min(self.checkpointed))?;
        let upper_soon = upper(bound.min(self.durable_offset()))?;
        let (clean_bytes, dirty_bytes) = dirt::weigh(&finished, first_dirty, upper_soon);
        let mut dirt = Dirt {
            first_dirty,
            upper: upper_now,
            clean_bytes,
            dirty_bytes,
            overdue_ms: 0,
            ratio_min: self.config.min_cleanable_dirty_ratio,
            awaits_checkpoint: upper_now < upper_soon,
        };
        if self.config.max_compaction_lag_ms < i64::MAX && dirty_bytes > 0 {
            dirt.overdue_ms = self.overdue_ms(&finished, first_dirty, now_ms)?;
        }
        Ok(Some(dirt))
    }

    /// By how much the oldest dirty segment has outlived `max.compaction.lag.ms`, told by its first batch.
    fn overdue_ms(
        &self,
        finished: &[Finished],
        first_dirty: Offset,
        now_ms: i64,
    ) -> Result<i64, Error> {
        let mut oldest_ms = i64::MAX;
        for segment in finished.iter().filter(|segment| segment.end > first_dirty) {
            let file = self.log_file(self.segment_of(segment.base))?;
            let first = walk::header_at(&file, 0)?;
            if let Some(first_ms) = first.as_ref().map(Header::max_timestamp)
                && first_ms > 0
            {
                oldest_ms = oldest_ms.min(first_ms);
            }
        }
        let until_ms = now_ms.saturating_sub(self.config.max_compaction_lag_ms);
        Ok(until_ms.saturating_sub(oldest_ms).max(0))
    }

    /// The finished segments.
    fn finished(&self) -> Vec<Finished> {
        let finished = |(at, segment): (usize, &Segment)| Finished {
            base: segment.base,
            end: self.segment_end(at),
            bytes: segment.bytes,
        };
        self.sealed.iter().enumerate().map(finished).collect()
    }

    /// What is to be cleaned below `dirt.upper`; `None` when that is nothing.
    pub(crate) fn plan_cleaning(&self, dirt: &Dirt, now_ms: i64) -> Result<Option<Plan>, Error> {
        self.fence.check()?;
        self.remove_leftovers()?;
        let upper = dirt.upper.min(self.checkpointed);
        let first_dirty = self.cleaned_offset();
        let mut segments = self.finished();
        segments.retain(|segment| segment.end <= upper);
        if !self.config.compact || self.is_closed || upper <= first_dirty || segments.is_empty() {
            return Ok(None);
        }
        let entries_max =
            roll::index_entries_max(&self.config).min(roll::time_index_entries_max(&self.config));
        Ok(Some(Plan {
            first_dirty,
            upper,
            segments,
            aborted: self.aborted()?,
            room: Room {
                segment_bytes: u64::from(self.config.segment_bytes),
                entries_max: u64::from(entries_max),
                index_interval_bytes: u64::from(self.config.index_interval_bytes),
            },
            delete_retention_ms: self.config.delete_retention_ms,
            now_ms: self.clock.now_ms(self.reactor.now().since_start(), now_ms),
        }))
    }

    /// Removes what a cleaning left that was given up. A `.cleaned` file tells the next open that a `.swap` above it is not
    /// finished, so none may be there when a swap begins.
    fn remove_leftovers(&self) -> Result<(), Error> {
        let entries = self.reactor.list(&self.dir);
        let entries = entries.map_err(|error| Error::read(&self.dir, error))?;
        let files = entries
            .iter()
            .filter_map(|entry| SegmentFile::parse(entry.name.to_str()?));
        for file in files.filter(|file| matches!(file.stage, Stage::Cleaned | Stage::Swap)) {
            small_file::remove(&self.reactor, &self.fence, &self.dir.join(file.name()))?;
        }
        Ok(())
    }

    /// The aborted transactions that the log knows of. A transaction that ends in a later segment is in that one's index.
    fn aborted(&self) -> Result<Vec<Aborted>, Error> {
        let mut aborted = Vec::new();
        for at in 0..self.segment_count() {
            let path = names::path(&self.dir, self.segment(at).base, Kind::TxnIndex);
            let Some(bytes) = small_file::read(&self.reactor, &path)? else {
                continue;
            };
            let Some(entries) = Aborted::parse(&bytes) else {
                return Err(Error::Corrupt {
                    path,
                    position: 0,
                    expected: self.segment(at).base,
                    fact: "it is no index of aborted transactions".to_owned(),
                });
            };
            aborted.extend(entries);
        }
        Ok(aborted)
    }

    /// Opens a segment of a plan to be read, from the batch on that holds `from`; `None` when it is not there any more.
    pub(crate) fn source(&self, segment: &Finished, from: Offset) -> Result<Option<Source>, Error> {
        let Some(at) = self.planned(std::slice::from_ref(segment)) else {
            return Ok(None);
        };
        let mut position = 0;
        if from > segment.base {
            let (found, there) = self.locate(from)?;
            position = if found == at { there } else { segment.bytes };
        }
        Ok(Some(Source {
            file: self.log_file(at)?,
            position,
            end: segment.bytes,
            expected: segment.base,
        }))
    }

    /// Where in `sealed` these segments lie, if all of them do and are as they were.
    fn planned(&self, segments: &[Finished]) -> Option<usize> {
        let at = self.segment_based(segments.first()?.base)?;
        let there = self.sealed.get(at..at + segments.len())?;
        let are_same = there.iter().zip(segments).all(|(segment, planned)| {
            segment.base == planned.base && segment.bytes == planned.bytes
        });
        are_same.then_some(at)
    }

    /// Makes the files that a group is cleaned into.
    pub(crate) fn begin_output(&self, group: &[Finished]) -> Result<Output, Error> {
        let base = group[0].base;
        self.fence.check()?;
        let make = |kind| {
            let path = names::staged_path(&self.dir, base, kind, Stage::Cleaned);
            // One that is there is a leftover. Emptied, its bytes could come back with a power cut.
            small_file::remove(&self.reactor, &self.fence, &path)?;
            self.reactor
                .open(&path, OpenOptions::CREATE_NEW)
                .map_err(|error| Error::write(&self.fence, "create", &path, error))
        };
        let files = Files {
            log: make(Kind::Log)?,
            index: make(Kind::Index)?,
            time_index: make(Kind::TimeIndex)?,
        };
        let path = names::staged_path(&self.dir, base, Kind::TxnIndex, Stage::Cleaned);
        small_file::remove(&self.reactor, &self.fence, &path)?;
        let (is_of_one, fence) = (group.len() == 1, self.fence.clone());
        Ok(Output::new(base, files, is_of_one, fence, &self.config))
    }

    /// Makes the index of aborted transactions of a segment that was cleaned, to be synced.
    pub(crate) fn write_aborted(
        &self,
        base: Offset,
        bytes: &[u8],
    ) -> Result<highwater_reactor::File, Error> {
        let path = names::staged_path(&self.dir, base, Kind::TxnIndex, Stage::Cleaned);
        let written = self.reactor.open(&path, OpenOptions::CREATE_NEW);
        written
            .and_then(|file| file.append_at(0, &[bytes]).map(|()| file))
            .map_err(|error| Error::write(&self.fence, "write", &path, error))
    }

    /// Removes the files of a group that is not swapped in. What cannot be removed goes with the next open.
    pub(crate) fn drop_output(&self, base: Offset) {
        if self.fence.is_raised() {
            // A swap may have been torn: what is there is needed to finish it.
            return;
        }
        for kind in KINDS {
            for stage in [Stage::Cleaned, Stage::Swap] {
                let _ = self
                    .reactor
                    .remove_file(&names::staged_path(&self.dir, base, kind, stage));
            }
        }
    }

    /// Puts a cleaned segment, which has been synced, in the place of those it was made of; `false` when these are not there
    /// any more, and nothing has happened. The directory wants to be synced afterwards.
    ///
    /// # Errors
    /// [`Error::Full`]: nothing has happened. [`Error::Failed`]: the directory is fenced; the next open finishes or undoes it.
    pub(crate) fn swap(&mut self, group: &[Finished], output: &Output) -> Result<bool, Error> {
        self.fence.check()?;
        let Some(at) = self.planned(group) else {
            return Ok(false);
        };
        let (base, end) = (output.base, self.segment_end(at + group.len() - 1));
        let dir = self.dir.clone();
        let staged = |kind, stage| names::staged_path(&dir, base, kind, stage);
        for kind in KINDS {
            let (from, to) = (staged(kind, Stage::Cleaned), staged(kind, Stage::Swap));
            match self.reactor.rename(&from, &to) {
                Ok(()) => {}
                Err(error)
                    if kind == Kind::TxnIndex && error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::write(&self.fence, "rename", &from, error)),
            }
        }
        // From here on there is no way back: whatever fails, the names are neither the old ones nor the new.
        for segment in group {
            let kinds = Kind::OF_SEGMENT.into_iter();
            let snapshot = (segment.base != base).then_some(Kind::Snapshot);
            let buried = self.bury_files(segment.base, kinds.chain(snapshot));
            buried.map_err(|error| self.torn(&error))?;
        }
        for kind in KINDS {
            let (from, to) = (staged(kind, Stage::Swap), staged(kind, Stage::Live));
            match self.reactor.rename(&from, &to) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    let error = Error::write(&self.fence, "rename", &from, error);
                    return Err(self.torn(&error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        let segment = Segment::with_largest(base, output.bytes, output.largest);
        self.sealed.splice(at..at + group.len(), [segment]);
        self.places.forget(base..end);
        self.recent.forget(base..end);
        self.unsynced.replaced(base, end);
        self.unsynced.directory(&self.dir);
        Ok(true)
    }

    fn torn(&self, error: &Error) -> Error {
        self.fence.raise(&format!("a swap was torn: {error}"));
        let reason = self.fence.reason().unwrap_or_default().to_owned();
        Error::Fenced { reason }
    }

    /// The cleaning that began at `first_dirty` has come to `end`.
    pub(crate) fn cleaned_to(&mut self, first_dirty: Offset, end: Offset) {
        // Where the log was cut or its start moved meanwhile, what is known is held against it by `cleaned_offset`.
        if self.cleaned_offset() >= first_dirty {
            self.cleaned = self.cleaned.max(end).min(self.end);
        }
    }
}
