//! A read of the log as byte ranges of its files: whole batches, nothing decoded.
//!
//! It does not know who reads, nor how the bytes travel. A consumer that goes on where its last read ended is found in a
//! small cache of places; any other offset costs a search in one index and a few headers.

use std::cell::RefCell;

use highwater_reactor::File;
use highwater_record::{Header, Offset};
use smallvec::SmallVec;

use crate::error::{Error, ReadError};
use crate::log::{Extent, Log};
use crate::segment::Indexes;
use crate::sync::Place;
use crate::walk::{Walk, header_at};

/// Bytes of one segment's file that hold whole batches.
#[derive(Debug, Clone)]
pub struct FileRange {
    /// The segment's `.log`. Holding it keeps the bytes readable, whatever is deleted.
    pub file: File,
    /// The first byte.
    pub position: u64,
    /// How many; at least one batch.
    pub len: u32,
}

/// What a read found: up to four ranges, in offset order.
#[derive(Debug, Clone, Default)]
pub struct Ranges {
    /// The ranges; empty when there is nothing between `from` and `upto`.
    pub ranges: SmallVec<[FileRange; 2]>,
    /// The sum of their lengths.
    pub bytes: u64,
    /// Where the next read goes on: the offset of the first batch that was not given, or of the end of what was asked for.
    pub next: Offset,
}

/// Ranges in one answer: small segments would otherwise make it long.
const RANGES_MAX: usize = 4;
/// Places remembered per log, one for each consumer that reads it from front to back.
const PLACES_MAX: usize = 16;
/// Files of finished segments kept open per log.
const HANDLES_MAX: usize = 4;

impl Log {
    /// Whole batches from the one that holds `from` up to `upto`, which must be the end of a batch (a high watermark), at
    /// most `bytes_max` of them; the first is given whole, however large, when `at_least_one`.
    ///
    /// # Errors
    /// [`ReadError::OutOfRange`] unless `start_offset <= from <= end_offset`; [`ReadError::Fault`] with
    /// [`Error::Unreadable`] or [`Error::Corrupt`] for the place where that happened, and no other.
    pub fn read(
        &self,
        from: Offset,
        upto: Offset,
        bytes_max: u32,
        at_least_one: bool,
    ) -> Result<Ranges, ReadError> {
        self.check_range(from)?;
        let upto = upto.min(self.end);
        if from >= upto {
            return Ok(Ranges {
                next: from,
                ..Ranges::default()
            });
        }
        let found = self.read_between(from, upto, bytes_max, at_least_one);
        found.map_err(|mut error| {
            if let Error::Corrupt { expected, .. } = &mut error {
                *expected = from.max(*expected);
            }
            error.into()
        })
    }

    fn read_between(
        &self,
        from: Offset,
        upto: Offset,
        bytes_max: u32,
        at_least_one: bool,
    ) -> Result<Ranges, Error> {
        let mut found = Ranges {
            next: from,
            ..Ranges::default()
        };
        let (mut at, mut position) = self.locate(from)?;
        let (last, last_position) = self.locate(upto)?;
        let mut budget = u64::from(bytes_max);
        loop {
            let end = if at == last {
                last_position
            } else {
                self.segment(at).bytes
            };
            if position < end {
                let file = self.log_file(at)?;
                let chunk = if end - position <= budget {
                    Chunk {
                        bytes: end - position,
                        next: None,
                    }
                } else {
                    self.whole_batches(
                        at,
                        &file,
                        position,
                        budget,
                        at_least_one && found.bytes == 0,
                    )?
                };
                if chunk.bytes > 0 {
                    let len = u32::try_from(chunk.bytes).expect("a segment is smaller than 2 GiB");
                    found.bytes += chunk.bytes;
                    budget = budget.saturating_sub(chunk.bytes);
                    found.ranges.push(FileRange {
                        file,
                        position,
                        len,
                    });
                }
                if let Some(next) = chunk.next {
                    let place = Place {
                        offset: next,
                        segment: self.segment(at).base,
                        position: position + chunk.bytes,
                    };
                    self.places.note(place);
                    found.next = next;
                    return Ok(found);
                }
            }
            if at == last {
                found.next = upto;
                self.places.note(Place {
                    offset: upto,
                    segment: self.segment(at).base,
                    position: last_position,
                });
                return Ok(found);
            }
            at += 1;
            position = 0;
            if found.ranges.len() == RANGES_MAX {
                found.next = self.segment(at).base;
                return Ok(found);
            }
        }
    }

    /// The header of the batch that holds `offset`, or of the first after it; `None` at the end.
    ///
    /// # Errors
    /// [`ReadError`], as [`Log::read`].
    pub fn header_at(&self, offset: Offset) -> Result<Option<Header>, ReadError> {
        let mut found = None;
        self.visit(offset, &mut |header| {
            found = Some(*header);
            false
        })?;
        Ok(found)
    }

    /// Shows every batch header from the one that holds `from` to the end.
    ///
    /// # Errors
    /// [`ReadError`], as [`Log::read`]; what lies before the fault has been shown.
    pub fn scan(&self, from: Offset, mut visit: impl FnMut(&Header)) -> Result<(), ReadError> {
        self.visit(from, &mut |header| {
            visit(header);
            true
        })
    }

    fn visit(&self, from: Offset, visit: &mut dyn FnMut(&Header) -> bool) -> Result<(), ReadError> {
        self.check_range(from)?;
        if from == self.end {
            return Ok(());
        }
        let (first, mut position) = self.locate(from)?;
        for at in first..self.segment_count() {
            let file = self.log_file(at)?;
            let segment = self.segment(at);
            let mut walk = Walk::new(&file, position, segment.bytes, segment.base);
            while let Some(placed) = walk.next().map_err(|stop| stop.into_error(&file))? {
                if !visit(&placed.header) {
                    return Ok(());
                }
            }
            position = 0;
        }
        Ok(())
    }

    fn check_range(&self, from: Offset) -> Result<(), ReadError> {
        let (start, end) = (self.start, self.end);
        if (start..=end).contains(&from) {
            Ok(())
        } else {
            Err(ReadError::OutOfRange { from, start, end })
        }
    }

    /// The segment and the byte at which the batch begins that holds `offset`, or the first one after it.
    pub(crate) fn locate(&self, offset: Offset) -> Result<(usize, u64), Error> {
        let active = self.segment_count() - 1;
        if offset >= self.end {
            return Ok((active, self.active.bytes));
        }
        let durable = Some(self.unsynced.durable()).filter(|place| place.offset == offset);
        let known = durable
            .or_else(|| self.recent.get(offset))
            .or_else(|| self.places.get(offset));
        if let Some(place) = known
            && let Some(at) = self.segment_based(place.segment)
        {
            // The end of a segment, as noted before the next was begun, is the beginning of the next.
            let is_end = at < active && place.position >= self.segment(at).bytes;
            return Ok(if is_end {
                (at + 1, 0)
            } else {
                (at, place.position)
            });
        }
        let at = self.segment_of(offset);
        let segment = self.segment(at);
        let file = self.log_file(at)?;
        let from = self.index_floor(at, &file, |indexes| indexes.offsets.floor(offset))?;
        let mut walk = Walk::new(&file, from, segment.bytes, segment.base);
        while let Some(placed) = walk.next().map_err(|stop| stop.into_error(&file))? {
            if placed.header.last_offset() >= offset {
                return Ok((at, placed.position));
            }
        }
        // The offset lies in a gap that compaction left at the end of the segment.
        Ok(if at == active {
            (at, segment.bytes)
        } else {
            (at + 1, 0)
        })
    }

    /// As many whole batches as fit into `budget`, which does not reach to the end of what may be read of the segment.
    fn whole_batches(
        &self,
        at: usize,
        file: &File,
        position: u64,
        budget: u64,
        at_least_one: bool,
    ) -> Result<Chunk, Error> {
        let segment = self.segment(at);
        let limit = position + budget;
        let floor = self.index_floor(at, file, |indexes| indexes.offsets.floor_position(limit))?;
        let mut walk = Walk::new(file, floor.max(position), segment.bytes, segment.base);
        let mut step = || walk.next().map_err(|stop| stop.into_error(file));
        while let Some(placed) = step()? {
            if placed.end() <= limit {
                continue;
            }
            return Ok(if placed.position == position && at_least_one {
                let next = Some(placed.header.next_offset());
                Chunk {
                    bytes: placed.end() - position,
                    next,
                }
            } else {
                let next = Some(placed.header.base_offset());
                Chunk {
                    bytes: placed.position - position,
                    next,
                }
            });
        }
        Ok(Chunk {
            bytes: segment.bytes - position,
            next: None,
        })
    }

    /// Where an index entry points to, 0 without one. The batch there must be the one the entry names; otherwise the index is
    /// made again, and if it still points nowhere, not used.
    fn index_floor(
        &self,
        at: usize,
        file: &File,
        look: impl Fn(&Indexes) -> std::io::Result<Option<(Offset, u64)>>,
    ) -> Result<u64, Error> {
        let extent = self.segment(at);
        let Some(segment) = self.sealed.get(at) else {
            let indexes = &self.active.indexing.indexes;
            return Ok(followed(extent, file, indexes, &look)?.unwrap_or(0));
        };
        let shelf = self.shelf();
        if let Some(indexes) = shelf.try_indexes(segment, self.segment_end(at))?
            && let Some(position) = followed(extent, file, &indexes, &look)?
        {
            return Ok(position);
        }
        match shelf.rebuild(segment) {
            Ok(indexes) => Ok(followed(extent, file, &indexes, &look)?.unwrap_or(0)),
            // No index can be written, or the log itself is damaged somewhere: then it goes by headers alone.
            Err(_) => Ok(0),
        }
    }

    /// The `.log` of a segment, opened if it is not.
    pub(crate) fn log_file(&self, at: usize) -> Result<File, Error> {
        let Some(segment) = self.sealed.get(at) else {
            return Ok(self.active.file.clone());
        };
        if let Some(file) = self.handles.get(segment.base) {
            return Ok(file);
        }
        let file = segment.open_log(&self.reactor, &self.dir)?;
        self.handles.keep(segment.base, file.clone());
        Ok(file)
    }
}

/// What `look` finds, if the batch there bears it out; `None` when the index lies.
fn followed(
    segment: Extent,
    file: &File,
    indexes: &Indexes,
    look: impl Fn(&Indexes) -> std::io::Result<Option<(Offset, u64)>>,
) -> Result<Option<u64>, Error> {
    let failed = |error| Error::read(indexes.offsets.path(), error);
    let Some((last, position)) = look(indexes).map_err(failed)? else {
        return Ok(Some(0));
    };
    let header = header_at(file, position)?.filter(|_| position < segment.bytes);
    Ok(header
        .filter(|header| header.last_offset() == last)
        .map(|_| position))
}

/// Batches of one segment; `next` when there are more in it.
struct Chunk {
    bytes: u64,
    next: Option<Offset>,
}

/// Places that reads have ended at and batches have begun at, the oldest displaced first.
#[derive(Debug, Default)]
pub(crate) struct Places {
    ring: RefCell<(usize, SmallVec<[Place; PLACES_MAX]>)>,
}

impl Places {
    pub(crate) fn get(&self, offset: Offset) -> Option<Place> {
        self.ring
            .borrow()
            .1
            .iter()
            .find(|place| place.offset == offset)
            .copied()
    }

    pub(crate) fn note(&self, place: Place) {
        let (at, places) = &mut *self.ring.borrow_mut();
        if let Some(known) = places.iter_mut().find(|known| known.offset == place.offset) {
            *known = place;
        } else if places.len() < PLACES_MAX {
            places.push(place);
        } else {
            places[*at] = place;
            *at = (*at + 1) % PLACES_MAX;
        }
    }

    pub(crate) fn clear(&self) {
        self.ring.borrow_mut().1.clear();
    }

    /// Forgets the places in segments that begin in a range of offsets.
    pub(crate) fn forget(&self, segments: std::ops::Range<Offset>) {
        let (_, places) = &mut *self.ring.borrow_mut();
        places.retain(|place| !segments.contains(&place.segment));
    }
}

/// Open `.log` files of finished segments, the least recently used displaced first.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    open: RefCell<SmallVec<[(Offset, File); HANDLES_MAX]>>,
}

impl Handles {
    fn get(&self, base: Offset) -> Option<File> {
        let mut open = self.open.borrow_mut();
        let at = open.iter().position(|(other, _)| *other == base)?;
        let entry = open.remove(at);
        let file = entry.1.clone();
        open.push(entry);
        Some(file)
    }

    fn keep(&self, base: Offset, file: File) {
        let mut open = self.open.borrow_mut();
        if open.len() == HANDLES_MAX {
            open.remove(0);
        }
        open.push((base, file));
    }

    pub(crate) fn clear(&self) {
        self.open.borrow_mut().clear();
    }

    pub(crate) fn forget(&self, base: Offset) {
        self.open.borrow_mut().retain(|(other, _)| *other != base);
    }
}
