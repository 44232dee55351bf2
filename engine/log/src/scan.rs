//! Finding where a log ends: by what a clean stop left, or by going through it from the recovery point on.
//!
//! ```text
//!                       recovery point
//!   |  segment  |  segment  |  segment ! |  segment  |
//!    not looked at     headers to it, then every byte: cut at the first that is no batch, everything behind it removed
//! ```
//!
//! It knows segments, indexes and epochs, and not what the log around them is. The argument why nothing acknowledged is lost
//! is in `docs/format/log-directory.md`.

use std::cmp::Ordering;

use highwater_record::{LeaderEpoch, Offset};

use crate::appender::Active;
use crate::error::Error;
use crate::leader_epochs::LeaderEpochs;
use crate::names::{self, Kind};
use crate::recovery::{Opening, Recovered};
use crate::segment::{Indexes, Indexing, Segment, Shelf};
use crate::small_file;
use crate::sweep::sweep;
use crate::sync::{Finished, Place, Unsynced};
use crate::walk::{Break, Placed, Stop, Walk};

/// Places of damage that a report names.
const DAMAGED_MAX: usize = 16;

/// A recovery under way.
pub(crate) struct Recovery<'a> {
    shelf: Shelf<'a>,
    recovery_point: Offset,
    pub(crate) epochs: LeaderEpochs,
    pub(crate) report: Recovered,
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

impl<'a> Recovery<'a> {
    /// Nothing looked at yet.
    pub(crate) fn new(
        shelf: Shelf<'a>,
        recovery_point: Offset,
        epochs: LeaderEpochs,
    ) -> Recovery<'a> {
        Recovery {
            shelf,
            recovery_point,
            epochs,
            report: Recovered::default(),
        }
    }

    /// Finds where the log ends, by what was noted if that holds, else by going through it.
    pub(crate) fn find_end(
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
        let known = self.epochs.clone();
        let found = self.recover(segments, opening)?;
        let point = self.recovery_point;
        let Some(lost) = self.report.lost.filter(|_| point > Offset::ZERO) else {
            return Ok(found);
        };
        // A recovery point beyond the end speaks of another log (a topic of this name that is gone), or of one that has lost
        // something. Either way nothing is known to be durable, and every byte is checked.
        drop(found);
        let cut = (self.report.bytes_cut, self.report.segments_cut);
        self.recovery_point = Offset::ZERO;
        (self.epochs, self.report) = (known, Recovered::default());
        let found = self.recover(
            sweep(self.shelf.reactor, self.shelf.fence, self.shelf.dir)?,
            opening,
        )?;
        self.report.lost = Some((found.end.min(lost.0), point));
        self.report.bytes_cut += cut.0;
        self.report.segments_cut += cut.1;
        Ok(found)
    }

    /// The end of a segment that was closed: the ends of both indexes and the headers agree to its last byte.
    fn closed_end(&self, segment: &Segment) -> Result<Option<(Indexing, Offset)>, Error> {
        let Some(indexes) = self.shelf.try_indexes(segment, Offset::MAX)? else {
            return Ok(None);
        };
        let file = segment.open_log(self.shelf.reactor, self.shelf.dir)?;
        let largest = indexes.times.last();
        let last = indexes.offsets.last();
        let floor = indexes.offsets.floor(largest.offset);
        let floor = floor.map_err(|error| Error::read(indexes.offsets.path(), error))?;
        let from = floor.map_or(0, |(_, position)| position);
        // What has to be met on the way: both entries, and the batch that is said to be the newest.
        let mut unmet = [floor, last].into_iter().flatten().collect::<Vec<_>>();
        let mut newest_met = indexes.times.len() == 0;
        let mut walk = Walk::new(&file, from, segment.bytes, segment.base);
        loop {
            match walk.next() {
                Ok(Some(Placed { header, .. }))
                    if header.max_timestamp() > largest.timestamp_ms =>
                {
                    return Ok(None);
                }
                Ok(Some(Placed { position, header })) => {
                    unmet.retain(|entry| *entry != (header.last_offset(), position));
                    newest_met |= header.last_offset() == largest.offset
                        && header.max_timestamp() == largest.timestamp_ms;
                }
                Ok(None) => break,
                Err(Stop::Broken(_)) => return Ok(None),
                Err(stop @ Stop::Unreadable(_)) => return Err(stop.into_error(&file)),
            }
        }
        let end = walk.expected();
        let agree = unmet.is_empty() && newest_met;
        Ok(agree.then(|| (Indexing::resume(indexes, largest, segment.bytes), end)))
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
            indexing.indexes.offsets.finish(),
            indexing.indexes.times.finish(),
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

    /// Whether a batch, or a segment, that begins at `base` may come after one that ended at `end`. Every byte of a segment may be
    /// sound although its end is missing: a file's length reaches the device after its data, and the next segment's before it.
    /// Gaps come from compaction, which touches only what is durable.
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
            let fact = if crc_holds {
                self.objection(segment, &placed, walk.expected())
            } else {
                Some("the checksum does not hold".to_owned())
            };
            let Some(fact) = fact else {
                self.keep(&mut indexing, &placed)?;
                walk.step(&placed);
                continue;
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

    /// Why a whole batch is not of this log. Offset and epoch lie outside of its checksum.
    fn objection(&self, segment: &Segment, placed: &Placed, expected: Offset) -> Option<String> {
        let header = &placed.header;
        let base = header.base_offset();
        if !self.follows(expected, base) {
            return Some(format!("the batch there has offset {base}"));
        }
        if header.last_offset().get() - segment.base.get() > i64::from(i32::MAX) {
            return Some(format!("offset {base} is out of the segment's reach"));
        }
        // A batch of an epoch that had ended before it is of an older life of the log, which had been cut off.
        let latest = self.epochs.epoch_of(base)?;
        let found = header.leader_epoch();
        let is_stale = found >= LeaderEpoch::ZERO && found < latest && base >= self.recovery_point;
        is_stale.then(|| format!("leader epoch {} follows {}", found.get(), latest.get()))
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

/// A log's segments in order.
pub(crate) struct FoundLog {
    pub(crate) sealed: Vec<Segment>,
    pub(crate) active: Active,
    pub(crate) end: Offset,
    pub(crate) durable: Place,
    /// The first of `sealed` that was gone through.
    scanned_from: usize,
    /// Whether it was left by a clean stop, so that nothing of it wants to be synced.
    pub(crate) was_closed: bool,
}

impl FoundLog {
    /// Notes the finished segments that were gone through; returns the bytes that are not durable.
    pub(crate) fn finish_unsynced(&self, shelf: &Shelf<'_>, unsynced: &mut Unsynced) -> u64 {
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
