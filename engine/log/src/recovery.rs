//! Opening a log, and putting it in order when it was not closed.
//!
//! ```text
//!                       recovery point
//!   |  segment  |  segment  |  segment ! |  segment  |
//!    not looked at           checked batch by batch, from the segment that holds the recovery point:
//!                            cut at the first byte that is no batch, everything behind it deleted
//! ```
//!
//! What it finds is reported in [`Recovered`]; it knows nothing of producers, whose state the partition rebuilds. The
//! argument why nothing acknowledged is lost is in `docs/format/log-directory.md`.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::path::PathBuf;

use highwater_reactor::{File, OpenOptions, Reactor};
use highwater_record::{LeaderEpoch, Offset};
use uuid::Uuid;

use crate::appender::Active;
use crate::checkpoint;
use crate::config::Config;
use crate::deletion::Graveyard;
use crate::error::{Error, Fence};
use crate::leader_epochs::LeaderEpochs;
use crate::log::Log;
use crate::names::{self, Kind};
use crate::reader::{Handles, Places};
use crate::retention::RetentionClock;
use crate::segment::{Indexes, Indexing, Segment, Shelf};
use crate::small_file;
use crate::sweep::sweep;
use crate::sync::{Finished, Place, Unsynced};
use crate::uuid_text;
use crate::walk::{Break, Placed, Stop, Walk};

/// What the data directory's checkpoints say about a log that is to be opened.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    /// Everything below was durable; zero when nothing is known.
    pub recovery_point: Offset,
    /// The first offset that may be read, if delete-records moved it; zero when nothing is known.
    pub log_start: Offset,
    /// Whether the last run ended with a clean-shutdown marker. Believed only where the log bears it out: it must end at the
    /// recovery point, on a whole batch.
    pub clean: bool,
    /// The topic's id, if the caller knows it: a missing or damaged `partition.metadata` is then written again, and one of
    /// another topic is an error.
    pub topic_id: Option<Uuid>,
}

/// What opening a log found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Segments the log has now.
    pub segments: usize,
    /// Segments whose batches were checked one by one.
    pub segments_scanned: usize,
    /// Bytes of batches checked: what lies above the recovery point.
    pub bytes_scanned: u64,
    /// Bytes cut off: a torn tail, and what lay behind it.
    pub bytes_cut: u64,
    /// Whole segments deleted behind a cut.
    pub segments_cut: usize,
    /// Segments whose indexes were made again from the log, those scanned included.
    pub indexes_rebuilt: usize,
    /// Why the log was cut: file, position and offset.
    pub cut: Option<String>,
    /// What is damaged below the recovery point, where it had been durable: the medium changed it. It stays where it is, and
    /// whoever reads it finds out. File, position and offset of the first 16.
    pub damaged: Vec<String>,
    /// Offsets that had been durable and are no more: a cut below the recovery point.
    pub lost: Option<(Offset, Offset)>,
}

/// Places of damage that a report names.
const DAMAGED_MAX: usize = 16;

impl Log {
    /// Opens the log in `dir`, recovering it where it was not closed.
    ///
    /// After a recovery what lies above the recovery point counts as not synced: take a ticket before it is acknowledged or
    /// shown to anybody.
    ///
    /// # Errors
    /// [`Error`]: what cannot be read or written, or belongs to another topic. A damaged log is no error but is cut, and
    /// that is reported.
    pub fn open(
        reactor: &Reactor,
        fence: &Fence,
        dir: PathBuf,
        config: Config,
        opening: Opening,
    ) -> Result<(Log, Recovered), Error> {
        fence.check()?;
        let rebuilt = RefCell::default();
        let shelf = Shelf {
            reactor,
            fence,
            dir: &dir,
            config: &config,
            rebuilt: &rebuilt,
        };
        let (topic_id, metadata) = topic_id(&shelf, opening.topic_id)?;
        let segments = sweep(reactor, fence, &dir)?;
        let (known, epochs_lost) = read_epochs(&shelf, &segments)?;
        let mut recovery = Recovery {
            shelf,
            recovery_point: opening.recovery_point,
            epochs: known.clone(),
            report: Recovered::default(),
        };
        let found = recovery.find_end(segments, &opening)?;
        let Recovery {
            mut epochs,
            mut report,
            ..
        } = recovery;

        let first = found
            .sealed
            .first()
            .map_or(found.active.base, |segment| segment.base);
        let start = opening.log_start.max(first);
        epochs.truncate_end(found.end);
        epochs.truncate_start(start);
        report.segments = found.sealed.len() + 1;
        let durable = found.durable;
        let mut unsynced = Unsynced::new(durable);
        if !found.was_closed {
            note_all_unsynced(&shelf, &mut unsynced)?;
            unsynced.file(found.active.file.clone());
        }
        let mut appended_bytes = 0;
        if !found.was_closed {
            appended_bytes = found.finish_unsynced(&shelf, &mut unsynced);
        }
        if found.end > durable.offset {
            unsynced.appended(|| reactor.now());
        }
        if let Some(file) = metadata {
            unsynced.file(file);
            unsynced.directory(&dir);
        }
        let (sealed, active, end) = (found.sealed, found.active, found.end);
        let mut log = Log {
            reactor: reactor.clone(),
            fence: fence.clone(),
            topic_id,
            sealed,
            active,
            start: start.min(end),
            end,
            appended_bytes,
            epochs: known.clone(),
            unsynced,
            places: Places::default(),
            recent: Places::default(),
            handles: Handles::default(),
            graveyard: Graveyard::default(),
            rebuilt,
            clock: RetentionClock::new(reactor.now().since_start(), reactor.unix_ms()),
            is_closed: false,
            config,
            dir,
        };
        if epochs != known || epochs_lost {
            match log.write_epochs(epochs.clone()) {
                // The headers of the log say it again at the next start.
                Err(Error::Full { .. }) => log.epochs = epochs,
                written => written?,
            }
        }
        log.remove_snapshots_above(end)?;
        report_to_log(&log, &report);
        Ok((log, report))
    }
}

/// A log's segments in order.
struct FoundLog {
    sealed: Vec<Segment>,
    active: Active,
    end: Offset,
    durable: Place,
    /// The first of `sealed` that was gone through.
    scanned_from: usize,
    /// Whether it was left by a clean stop, so that nothing of it wants to be synced.
    was_closed: bool,
}

impl FoundLog {
    /// Notes the finished segments that were gone through; returns the bytes that are not durable.
    fn finish_unsynced(&self, shelf: &Shelf<'_>, unsynced: &mut Unsynced) -> u64 {
        let mut bytes = 0;
        let unsynced_in = |base: Offset, bytes: u64| match base.cmp(&self.durable.segment) {
            Ordering::Less => 0,
            Ordering::Equal => bytes.saturating_sub(self.durable.position),
            Ordering::Greater => bytes,
        };
        for (at, segment) in self.sealed.iter().enumerate().skip(self.scanned_from) {
            let next = self
                .sealed
                .get(at + 1)
                .map_or(self.active.base, |next| next.base);
            bytes += unsynced_in(segment.base, segment.bytes);
            let kinds = [Kind::Log, Kind::Index, Kind::TimeIndex];
            unsynced.finished(Finished {
                end: Place {
                    offset: next,
                    segment: next,
                    position: 0,
                },
                bytes,
                files: Vec::new(),
                paths: kinds
                    .iter()
                    .map(|kind| names::path(shelf.dir, segment.base, *kind))
                    .collect(),
            });
        }
        bytes + unsynced_in(self.active.base, self.active.bytes)
    }
}

/// A recovery under way.
struct Recovery<'a> {
    shelf: Shelf<'a>,
    recovery_point: Offset,
    epochs: LeaderEpochs,
    report: Recovered,
}

/// A segment after it has been gone through.
struct Scanned {
    indexing: Indexing,
    bytes: u64,
    end: Offset,
    /// Where the recovery point lies in it.
    recovery_position: Option<u64>,
    cut: Option<String>,
}

impl Recovery<'_> {
    /// Finds where the log ends, by what was noted if that holds, else by going through it.
    fn find_end(
        &mut self,
        mut segments: Vec<Segment>,
        opening: &Opening,
    ) -> Result<FoundLog, Error> {
        if opening.clean
            && let Some(last) = segments.last()
            && let Some((indexing, end)) = self.closed_end(last)?
            && end == opening.recovery_point
            && end >= opening.log_start
        {
            let last = segments.pop().expect("it has a last");
            self.check_indexes(&segments, last.base)?;
            let active = Active::resume(&self.shelf, last.base, last.bytes, indexing)?;
            let durable = Place {
                offset: end,
                segment: active.base,
                position: active.bytes,
            };
            return Ok(FoundLog {
                sealed: segments,
                active,
                end,
                durable,
                scanned_from: 0,
                was_closed: true,
            });
        }
        self.recover(segments, opening)
    }

    /// The end of a segment that was closed: indexes and headers agree to its last byte.
    fn closed_end(&self, segment: &Segment) -> Result<Option<(Indexing, Offset)>, Error> {
        let Some(indexes) = self.shelf.try_indexes(segment, Offset::MAX)? else {
            return Ok(None);
        };
        let file = segment.open_log(self.shelf.reactor, self.shelf.dir)?;
        let (position, indexed) = match indexes.offsets.last() {
            Some((last, position)) => (position, Some(last)),
            None => (0, None),
        };
        let mut walk = Walk::new(&file, position, segment.bytes, segment.base);
        let largest = indexes.times.last();
        let mut is_first = true;
        loop {
            match walk.next() {
                Ok(Some(Placed { header, .. })) => {
                    let lies = is_first && indexed.is_some_and(|last| header.last_offset() != last);
                    // A time index that was closed knows the newest record.
                    if lies || header.max_timestamp() > largest.timestamp_ms {
                        return Ok(None);
                    }
                    is_first = false;
                }
                Ok(None) => break,
                Err(Stop::Broken(_)) => return Ok(None),
                Err(stop @ Stop::Unreadable(_)) => return Err(stop.into_error(&file)),
            }
        }
        let end = walk.expected();
        if largest.offset >= end && segment.bytes > 0 {
            return Ok(None);
        }
        Ok(Some((
            Indexing::resume(indexes, largest, segment.bytes),
            end,
        )))
    }

    /// Makes the indexes of finished segments again where they cannot be right. A segment that is itself damaged keeps none.
    fn check_indexes(&mut self, sealed: &[Segment], after: Offset) -> Result<(), Error> {
        for (at, segment) in sealed.iter().enumerate() {
            let end = sealed.get(at + 1).map_or(after, |next| next.base);
            let indexes = self.shelf.try_indexes(segment, end)?;
            let is_sound = match &indexes {
                Some(indexes) => self.may_be_so_short(indexes, segment)?,
                None => false,
            };
            if is_sound {
                continue;
            }
            match self.shelf.rebuild(segment) {
                Ok(_) => self.report.indexes_rebuilt += 1,
                Err(error @ Error::Corrupt { .. }) => self.note_damage(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether a segment may have so few entries: none in the offset index when no batch begins beyond the interval, none in the
    /// time index when the first batch has no time.
    fn may_be_so_short(&self, indexes: &Indexes, segment: &Segment) -> Result<bool, Error> {
        if indexes.offsets.len() > 0 && indexes.times.len() > 0 || segment.bytes == 0 {
            return Ok(true);
        }
        let file = segment.open_log(self.shelf.reactor, self.shelf.dir)?;
        let interval = u64::from(self.shelf.config.index_interval_bytes);
        let mut walk = Walk::new(&file, 0, segment.bytes, segment.base);
        let mut has_times = false;
        while walk.position() <= interval {
            match walk.next() {
                Ok(Some(placed)) => has_times |= placed.header.max_timestamp() >= 0,
                Ok(None) => break,
                Err(Stop::Broken(_)) => return Ok(false),
                Err(stop @ Stop::Unreadable(_)) => return Err(stop.into_error(&file)),
            }
        }
        let wants_entry = walk.position() > interval && walk.position() < segment.bytes;
        Ok((indexes.offsets.len() > 0 || !wants_entry) && (indexes.times.len() > 0 || !has_times))
    }

    /// Goes through the log from the recovery point on.
    fn recover(&mut self, segments: Vec<Segment>, opening: &Opening) -> Result<FoundLog, Error> {
        let point = self.recovery_point;
        // The segment that holds the last durable record, not the one after it: the indexes of a segment that was finished
        // right at the recovery point may not have reached the disk.
        let first = segments
            .partition_point(|segment| segment.base < point)
            .saturating_sub(1);
        let mut unchecked = segments.into_iter();
        let mut sealed: Vec<Segment> = unchecked.by_ref().take(first).collect();
        let mut last: Option<(Segment, Scanned)> = None;
        for segment in unchecked {
            if let Some((before, scanned)) = &mut last {
                if scanned.cut.is_none() && !self.follows(scanned.end, segment.base) {
                    scanned.cut = Some(format!(
                        "{} ends at offset {}, the next segment begins at {}",
                        names::path(self.shelf.dir, before.base, Kind::Log).display(),
                        scanned.end,
                        segment.base
                    ));
                }
                if scanned.cut.is_some() {
                    self.drop_segment(&segment)?;
                    continue;
                }
                sealed.push(self.finish(last.take().expect("it was there"))?);
            }
            let scanned = self.scan(&segment)?;
            last = Some((segment, scanned));
        }
        let unscanned = first.min(sealed.len());
        let after = sealed
            .get(unscanned)
            .or(last.as_ref().map(|(segment, _)| segment));
        let after = after.map_or(Offset::MAX, |segment| segment.base);
        self.check_indexes(&sealed[..unscanned], after)?;

        let end = last
            .as_ref()
            .map_or(Offset::ZERO, |(_, scanned)| scanned.end);
        let cut = last.as_ref().and_then(|(_, scanned)| scanned.cut.clone());
        if end < point && last.is_some() {
            self.report.lost = Some((end, point));
        }
        self.report.cut = cut;
        if last.is_none() || end < opening.log_start {
            // What was deleted by request stays deleted: the log goes on at its start, and no offset is used twice.
            let base = opening.log_start;
            for segment in sealed.drain(..) {
                self.drop_segment(&segment)?;
            }
            if let Some((segment, _)) = last {
                self.drop_segment(&segment)?;
            }
            self.epochs.clear();
            let active = Active::create(&self.shelf, base, self.shelf.reactor.unix_ms())?;
            let durable = Place {
                offset: base,
                segment: base,
                position: 0,
            };
            return Ok(FoundLog {
                sealed,
                active,
                end: base,
                durable,
                scanned_from: 0,
                was_closed: false,
            });
        }
        let (segment, scanned) = last.expect("looked at above");
        let durable = match scanned.recovery_position {
            _ if point >= end => Place {
                offset: end,
                segment: segment.base,
                position: scanned.bytes,
            },
            Some(position) => Place {
                offset: point,
                segment: segment.base,
                position,
            },
            None => self.durable_in(&sealed, point)?,
        };
        let Scanned {
            mut indexing,
            bytes,
            end,
            ..
        } = scanned;
        // The last entry of the time index comes with the next roll or close: until then it is in memory.
        for finished in [
            indexing.indexes.offsets.finish(self.shelf.reactor),
            indexing.indexes.times.finish(self.shelf.reactor),
        ] {
            match finished
                .map_err(|error| Error::write(self.shelf.fence, "write", self.shelf.dir, error))
            {
                Ok(()) | Err(Error::Full { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let active = Active::resume(&self.shelf, segment.base, bytes, indexing)?;
        Ok(FoundLog {
            sealed,
            active,
            end,
            durable,
            scanned_from: first,
            was_closed: false,
        })
    }

    /// Where the recovery point lies in segments that have been gone through and finished.
    fn durable_in(&self, sealed: &[Segment], point: Offset) -> Result<Place, Error> {
        let at = sealed
            .partition_point(|segment| segment.base <= point)
            .saturating_sub(1);
        let Some(segment) = sealed.get(at) else {
            return Ok(Place {
                offset: point,
                segment: point,
                position: 0,
            });
        };
        let file = segment.open_log(self.shelf.reactor, self.shelf.dir)?;
        let mut walk = Walk::new(&file, 0, segment.bytes, segment.base);
        while let Ok(Some(placed)) = walk.peek() {
            if placed.header.base_offset() >= point {
                break;
            }
            walk.step(&placed);
        }
        Ok(Place {
            offset: point,
            segment: segment.base,
            position: walk.position(),
        })
    }

    /// Whether a segment may come after one that ended at `end`. Every byte of the one before may be sound although its end is
    /// missing: a file's length reaches the device after its data, and the next segment's before it.
    fn follows(&self, end: Offset, base: Offset) -> bool {
        let nothing_known = self.recovery_point == Offset::ZERO;
        base == end
            || base > end
                && (base <= self.recovery_point || self.shelf.config.compact && nothing_known)
    }

    /// Goes through a segment: both indexes made anew, every byte from the recovery point on checked, the file cut where it stops
    /// being a log. Below the recovery point headers are enough, as long as they lead to it.
    fn scan(&mut self, segment: &Segment) -> Result<Scanned, Error> {
        let shelf = self.shelf;
        let file = segment.open_log(shelf.reactor, shelf.dir)?;
        let mut indexing = shelf.indexing(segment.base)?;
        let mut walk = Walk::new(&file, 0, segment.bytes, segment.base);
        let is_led_there = loop {
            match walk.peek() {
                Ok(Some(placed)) if placed.header.base_offset() < self.recovery_point => {
                    self.keep(&mut indexing, &placed)?;
                    walk.step(&placed);
                }
                Ok(_) => break true,
                Err(Stop::Broken(_)) => break false,
                Err(stop @ Stop::Unreadable(_)) => return Err(stop.into_error(&file)),
            }
        };
        let mut from = (walk.position(), walk.expected());
        if !is_led_there && walk.expected() < self.recovery_point {
            indexing = shelf.indexing(segment.base)?;
            from = (0, segment.base);
        }
        // What a failed sync left in the page cache looks written and is not.
        let _ = file.drop_cached(from.0);
        let mut walk = Walk::checked(&file, from.0, segment.bytes, from.1);
        let mut recovery_position = None;
        let stop = loop {
            let (placed, crc_holds) = match walk.peek_checked() {
                Ok(Some(checked)) => checked,
                Ok(None) => break None,
                Err(Stop::Broken(broken)) => break Some(broken),
                Err(stop @ Stop::Unreadable(_)) => return Err(stop.into_error(&file)),
            };
            let is_below = placed.header.base_offset() < self.recovery_point;
            if !is_below && segment.base <= self.recovery_point {
                recovery_position.get_or_insert(placed.position);
            }
            if is_below && !crc_holds {
                self.note_damage(format!(
                    "{} at byte {}, offset {}: the checksum does not hold",
                    file.path().display(),
                    placed.position,
                    placed.header.base_offset()
                ));
                walk.step_over_damage(&placed);
                continue;
            }
            let fact = match (crc_holds, self.latest_before(&placed)) {
                (false, _) => "the checksum does not hold".to_owned(),
                (true, Some(latest)) if !is_below => {
                    let found = placed.header.leader_epoch().get();
                    format!("leader epoch {found} follows {}", latest.get())
                }
                (true, _) => {
                    self.keep(&mut indexing, &placed)?;
                    walk.step(&placed);
                    continue;
                }
            };
            let (position, expected) = (placed.position, walk.expected());
            break Some(Break {
                position,
                expected,
                fact,
            });
        };
        let (bytes, end) = (walk.position(), walk.expected());
        self.report.segments_scanned += 1;
        self.report.indexes_rebuilt += 1;
        self.report.bytes_scanned += bytes - from.0;
        let mut cut = None;
        if let Some(stop) = stop {
            self.report.bytes_cut += segment.bytes - bytes;
            cut = Some(stop.into_error(&file).to_string());
            file.set_len(bytes)
                .map_err(|error| Error::write(shelf.fence, "cut", file.path(), error))?;
        }
        if self.recovery_point == end {
            recovery_position.get_or_insert(bytes);
        }
        Ok(Scanned {
            indexing,
            bytes,
            end,
            recovery_position,
            cut,
        })
    }

    /// Takes a batch as part of the log.
    fn keep(&mut self, indexing: &mut Indexing, placed: &Placed) -> Result<(), Error> {
        let header = &placed.header;
        let latest = self.epochs.epoch_of(header.base_offset());
        if latest.is_none_or(|latest| header.leader_epoch() > latest) {
            self.epochs
                .assign(header.leader_epoch(), header.base_offset());
        }
        let bytes = header.batch_bytes() as u64;
        let (last, timestamp_ms) = (header.last_offset(), header.max_timestamp());
        indexing.add(&self.shelf, placed.position, bytes, last, timestamp_ms)
    }

    /// The epoch that wrote from before this batch on, if it is later than the batch's own: the batch is of an older life of the
    /// log, which had been cut off.
    fn latest_before(&self, placed: &Placed) -> Option<LeaderEpoch> {
        let found = placed.header.leader_epoch();
        let latest = self.epochs.epoch_of(placed.header.base_offset());
        latest.filter(|latest| found >= LeaderEpoch::ZERO && found < *latest)
    }

    /// A segment that was gone through and is not the last.
    fn finish(&mut self, (segment, mut scanned): (Segment, Scanned)) -> Result<Segment, Error> {
        scanned.indexing.seal(&self.shelf)?;
        let largest = scanned.indexing.largest;
        Ok(Segment::with_largest(segment.base, scanned.bytes, largest))
    }

    fn drop_segment(&mut self, segment: &Segment) -> Result<(), Error> {
        self.report.segments_cut += 1;
        self.report.bytes_cut += segment.bytes;
        for kind in Kind::OF_SEGMENT {
            let path = names::path(self.shelf.dir, segment.base, kind);
            small_file::remove(self.shelf.reactor, self.shelf.fence, &path)?;
        }
        Ok(())
    }

    fn note_damage(&mut self, damage: String) {
        if self.report.damaged.len() < DAMAGED_MAX {
            self.report.damaged.push(damage);
        }
    }
}

/// Of a run that was not stopped cleanly nothing is known to be durable but what lies below the recovery point: not the names of
/// its files, nor that of the directory, nor the small files.
fn note_all_unsynced(shelf: &Shelf<'_>, unsynced: &mut Unsynced) -> Result<(), Error> {
    unsynced.directory(shelf.dir);
    if let Some(parent) = shelf.dir.parent() {
        unsynced.directory(parent);
    }
    for name in [
        checkpoint::file::LEADER_EPOCH,
        small_file::PARTITION_METADATA,
    ] {
        let path = shelf.dir.join(name);
        match shelf.reactor.open(&path, OpenOptions::READ_WRITE) {
            Ok(file) => unsynced.file(file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::read(&path, error)),
        }
    }
    Ok(())
}

/// The topic id in `partition.metadata`, written again when it is missing and known.
fn topic_id(shelf: &Shelf<'_>, expected: Option<Uuid>) -> Result<(Uuid, Option<File>), Error> {
    let path = shelf.dir.join(small_file::PARTITION_METADATA);
    let bytes = small_file::read(shelf.reactor, &path)?;
    let found = bytes
        .as_deref()
        .map_or(Err("nothing"), small_file::parse_partition_metadata);
    match (found, expected) {
        (Ok(found), None) => Ok((found, None)),
        (Ok(found), Some(expected)) if found == expected => Ok((found, None)),
        (Ok(found), Some(expected)) => Err(Error::TopicId {
            path,
            found: uuid_text::encode(&found),
            expected: uuid_text::encode(&expected),
        }),
        (Err(_), Some(expected)) => {
            let text = small_file::partition_metadata(&expected);
            match small_file::replace(shelf.reactor, shelf.fence, &path, text.as_bytes()) {
                Ok(file) => Ok((expected, Some(file))),
                Err(Error::Full { .. }) => Ok((expected, None)),
                Err(error) => Err(error),
            }
        }
        (Err(found), None) => Err(Error::TopicId {
            path,
            found: found.to_owned(),
            expected: "one".to_owned(),
        }),
    }
}

/// The leader epochs, and whether their file was missing or damaged: they are then read from the headers of the log.
fn read_epochs(shelf: &Shelf<'_>, segments: &[Segment]) -> Result<(LeaderEpochs, bool), Error> {
    let path = shelf.dir.join(checkpoint::file::LEADER_EPOCH);
    let bytes = small_file::read(shelf.reactor, &path)?;
    let is_empty_log = segments.iter().all(|segment| segment.bytes == 0);
    match bytes.as_deref().map(checkpoint::parse_leader_epochs) {
        Some(Ok(rows)) if !rows.is_empty() || is_empty_log => {
            return Ok((LeaderEpochs::from_rows(rows), false));
        }
        None if is_empty_log => return Ok((LeaderEpochs::default(), false)),
        Some(Err(defect)) => {
            tracing::warn!(path = %path.display(), %defect, "reading the leader epochs from the log");
        }
        Some(Ok(_)) | None => {
            tracing::warn!(path = %path.display(), "reading the leader epochs from the log");
        }
    }
    let mut epochs = LeaderEpochs::default();
    for segment in segments {
        let path = names::path(shelf.dir, segment.base, Kind::Log);
        let file = shelf
            .reactor
            .open(&path, OpenOptions::READ)
            .map_err(|error| Error::read(&path, error))?;
        let mut walk = Walk::new(&file, 0, segment.bytes, segment.base);
        // Where it is damaged the scan that follows decides; what is below is as known as it can be.
        while let Ok(Some(placed)) = walk.next() {
            let epoch = placed.header.leader_epoch();
            if epochs.latest().is_none_or(|latest| epoch > latest) {
                epochs.assign(epoch, placed.header.base_offset());
            }
        }
    }
    Ok((epochs, true))
}

fn report_to_log(log: &Log, report: &Recovered) {
    let dir = log.dir().display();
    for damage in &report.damaged {
        tracing::error!(%dir, %damage, "the log is damaged where it had been durable");
    }
    if let Some((from, to)) = report.lost {
        tracing::error!(%dir, %from, %to, "offsets that had been durable are lost");
    }
    if let Some(cut) = &report.cut {
        tracing::warn!(
            %dir,
            bytes_cut = report.bytes_cut,
            segments_cut = report.segments_cut,
            end = log.end_offset().get(),
            %cut,
            "cut"
        );
    }
    // Logs are many: whoever opens them says in sum what was scanned.
    if report.segments_scanned > 0 {
        tracing::debug!(
            %dir,
            segments_scanned = report.segments_scanned,
            bytes_scanned = report.bytes_scanned,
            end = log.end_offset().get(),
            "recovered"
        );
    }
}
