//! Finding records by their time: the first at or after a timestamp, and the newest.
//!
//! The time index and the headers lead to one batch, which is decoded. (`LogSegment.findOffsetByTimestamp`,
//! `UnifiedLog.fetchOffsetByTimestamp`)

use highwater_reactor::File;
use highwater_record::{Batch, Decompressor, LeaderEpoch, Limits, Offset, Record, Records};

use crate::error::Error;
use crate::log::{Found, Log};
use crate::segment::Segment;
use crate::time_index::{TimeIndex, TimestampOffset};
use crate::walk::{Placed, Stop, Walk, header_at};

impl Log {
    /// The first record below `upto` whose timestamp is `timestamp_ms` or later.
    ///
    /// # Errors
    /// [`Error::Unreadable`] and [`Error::Corrupt`].
    pub fn offset_for_timestamp(
        &self,
        timestamp_ms: i64,
        upto: Offset,
    ) -> Result<Option<Found>, Error> {
        for at in 0..self.segment_count() {
            let segment = self.segment(at);
            if segment.base >= upto {
                break;
            }
            if self.largest(at)?.timestamp_ms < timestamp_ms {
                continue;
            }
            let file = self.log_file(at)?;
            let position = self.position_before(at, timestamp_ms)?;
            let mut walk = Walk::new(&file, position, segment.bytes, segment.base);
            while let Some(placed) = walk.next().map_err(|stop| stop.into_error(&file))? {
                let header = &placed.header;
                if header.base_offset() >= upto {
                    return Ok(None);
                }
                if header.max_timestamp() < timestamp_ms || header.last_offset() < self.start {
                    continue;
                }
                let wanted = |record: &Record<'_>| {
                    record.timestamp_ms >= timestamp_ms && record.offset >= self.start
                };
                if let Some(found) = first_record(&file, &placed, wanted)? {
                    return Ok(Some(found).filter(|found| found.offset < upto));
                }
            }
        }
        Ok(None)
    }

    /// The first record below `upto` that has the largest timestamp; `None` when no record has one.
    ///
    /// # Errors
    /// [`Error::Unreadable`] and [`Error::Corrupt`].
    pub fn max_timestamp(&self, upto: Offset) -> Result<Option<Found>, Error> {
        let mut best: Option<(usize, TimestampOffset)> = None;
        for at in 0..self.segment_count() {
            if self.segment(at).base >= upto {
                break;
            }
            let mut largest = self.largest(at)?;
            if largest.offset >= upto || largest.offset < self.start {
                largest = self.largest_between(at, upto)?;
            }
            if largest.timestamp_ms >= 0
                && best.is_none_or(|(_, other)| largest.timestamp_ms > other.timestamp_ms)
            {
                best = Some((at, largest));
            }
        }
        let Some((at, largest)) = best else {
            return Ok(None);
        };
        let (at, position) = self.locate(largest.offset).map(|(found, position)| {
            debug_assert_eq!(
                found, at,
                "the batch lies in the segment whose largest it is"
            );
            (found, position)
        })?;
        let segment = self.segment(at);
        let file = self.log_file(at)?;
        let mut walk = Walk::new(&file, position, segment.bytes, segment.base);
        let Some(placed) = walk.next().map_err(|stop| stop.into_error(&file))? else {
            return Ok(None);
        };
        let wanted = |record: &Record<'_>| {
            record.timestamp_ms == largest.timestamp_ms && record.offset >= self.start
        };
        first_record(&file, &placed, wanted)
    }

    /// The largest timestamp of a segment, looked up once. The time index ends with it, and is held against the headers.
    ///
    /// In a segment that is damaged it is what can still be read of it: age must not hang on one bad batch.
    ///
    /// # Errors
    /// [`Error::Unreadable`].
    pub(crate) fn largest(&self, at: usize) -> Result<TimestampOffset, Error> {
        let Some(segment) = self.sealed.get(at) else {
            return Ok(self.active.indexing.largest);
        };
        if let Some(largest) = segment.largest() {
            return Ok(largest);
        }
        let largest = match self.indexed_largest(at, segment)? {
            Some(largest) => largest,
            None => match self.shelf().rebuild(segment) {
                Ok(made) => made.times.last(),
                Err(error @ Error::Unreadable { .. }) => return Err(error),
                Err(_) => self.readable_largest(at, segment)?,
            },
        };
        segment.keep_largest(largest);
        Ok(largest)
    }

    /// What the time index ends with, if the batch there bears it out and none behind it is newer.
    fn indexed_largest(
        &self,
        at: usize,
        segment: &Segment,
    ) -> Result<Option<TimestampOffset>, Error> {
        let Some(indexes) = self.shelf().try_indexes(segment, self.segment_end(at))? else {
            return Ok(None);
        };
        let last = indexes.times.last();
        let file = self.log_file(at)?;
        let mut position = 0;
        if indexes.times.len() > 0 {
            let placed = match self.locate(last.offset) {
                Ok((found, position)) if found == at => {
                    header_at(&file, position)?.map(|header| (header, position))
                }
                Ok(_) | Err(Error::Corrupt { .. }) => None,
                Err(error) => return Err(error),
            };
            match placed {
                Some((header, there))
                    if header.last_offset() == last.offset
                        && header.max_timestamp() == last.timestamp_ms =>
                {
                    position = there;
                }
                _ => return Ok(None),
            }
        }
        let mut walk = Walk::new(&file, position, segment.bytes, segment.base);
        loop {
            match walk.next() {
                Ok(Some(placed)) if placed.header.max_timestamp() > last.timestamp_ms => {
                    return Ok(None);
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(Stop::Broken(_)) => return Ok(Some(last)),
                Err(stop @ Stop::Unreadable(_)) => return Err(stop.into_error(&file)),
            }
        }
    }

    /// The largest timestamp up to the first damage.
    fn readable_largest(&self, at: usize, segment: &Segment) -> Result<TimestampOffset, Error> {
        let file = self.log_file(at)?;
        let mut largest = TimestampOffset::none(segment.base);
        let mut walk = Walk::new(&file, 0, segment.bytes, segment.base);
        while let Ok(Some(Placed { header, .. })) = walk.next() {
            if header.max_timestamp() > largest.timestamp_ms {
                let (timestamp_ms, offset) = (header.max_timestamp(), header.last_offset());
                largest = TimestampOffset {
                    timestamp_ms,
                    offset,
                };
            }
        }
        Ok(largest)
    }

    /// The largest timestamp of those batches of a segment that may be read.
    fn largest_between(&self, at: usize, upto: Offset) -> Result<TimestampOffset, Error> {
        let segment = self.segment(at);
        let file = self.log_file(at)?;
        let mut largest = TimestampOffset::none(segment.base);
        let mut walk = Walk::new(&file, 0, segment.bytes, segment.base);
        while let Some(placed) = walk.next().map_err(|stop| stop.into_error(&file))? {
            let (header, offset) = (&placed.header, placed.header.last_offset());
            if offset >= upto {
                break;
            }
            if offset >= self.start && header.max_timestamp() > largest.timestamp_ms {
                largest = TimestampOffset {
                    timestamp_ms: header.max_timestamp(),
                    offset,
                };
            }
        }
        Ok(largest)
    }

    /// A byte of a segment before which no batch has a record as new as `timestamp_ms`, nor one that may be read.
    fn position_before(&self, at: usize, timestamp_ms: i64) -> Result<u64, Error> {
        let Some(segment) = self.sealed.get(at) else {
            let times = &self.active.indexing.indexes.times;
            return Ok(self.followed_time(at, times, timestamp_ms)?.unwrap_or(0));
        };
        let shelf = self.shelf();
        if let Some(indexes) = shelf.try_indexes(segment, self.segment_end(at))?
            && let Some(position) = self.followed_time(at, &indexes.times, timestamp_ms)?
        {
            return Ok(position);
        }
        match shelf.rebuild(segment) {
            Ok(made) => Ok(self
                .followed_time(at, &made.times, timestamp_ms)?
                .unwrap_or(0)),
            // No index can be written, or the log is damaged somewhere: then it goes by headers alone.
            Err(_) => Ok(0),
        }
    }

    /// Where the batch begins that the index names for a timestamp, or the log's start; `None` when the index lies.
    fn followed_time(
        &self,
        at: usize,
        times: &TimeIndex,
        timestamp_ms: i64,
    ) -> Result<Option<u64>, Error> {
        let floor = times
            .floor(timestamp_ms)
            .map_err(|error| Error::read(times.path(), error))?;
        let segment = self.segment(at);
        let from = floor
            .map_or(segment.base, |entry| entry.offset)
            .max(self.start);
        let (found, position) = self.locate(from)?;
        let Some(entry) = floor.filter(|entry| entry.offset >= self.start) else {
            return Ok(Some(if found == at { position } else { 0 }));
        };
        if found != at {
            return Ok(None);
        }
        let file = self.log_file(at)?;
        let mut walk = Walk::new(&file, position, segment.bytes, segment.base);
        let placed = walk.next().map_err(|stop| stop.into_error(&file))?;
        let bears_it_out = placed.is_some_and(|Placed { header, .. }| {
            header.last_offset() == entry.offset && header.max_timestamp() == entry.timestamp_ms
        });
        Ok(bears_it_out.then_some(position))
    }
}

/// The first record of a batch that is wanted. The batch is checked first: what is damaged is not answered.
fn first_record(
    file: &File,
    placed: &Placed,
    wanted: impl Fn(&Record<'_>) -> bool,
) -> Result<Option<Found>, Error> {
    let corrupt = |fact: String| Error::Corrupt {
        path: file.path().to_owned(),
        position: placed.position,
        expected: placed.header.base_offset(),
        fact,
    };
    let mut bytes = vec![0; placed.header.batch_bytes()];
    file.read_exact_at(placed.position, &mut bytes)
        .map_err(|error| Error::read(file.path(), error))?;
    let batch = Batch::check(&bytes).map_err(|defect| corrupt(defect.to_string()))?;
    let mut scratch = Vec::new();
    let records = Records::of(
        &batch,
        &mut scratch,
        &mut Decompressor::new(),
        Limits::default(),
    )
    .map_err(|error| corrupt(error.to_string()))?;
    for record in records {
        let record = record.map_err(|defect| corrupt(defect.to_string()))?;
        if wanted(&record) {
            let epoch = placed.header.leader_epoch();
            return Ok(Some(Found {
                offset: record.offset,
                timestamp_ms: record.timestamp_ms,
                leader_epoch: Some(epoch).filter(|epoch| *epoch >= LeaderEpoch::ZERO),
            }));
        }
    }
    Ok(None)
}
