//! The metadata log read from its beginning, before anything may be cut off it: whether a bad batch is a torn tail or damage
//! is decided here. A log whose beginning Kafka has replaced by a snapshot is read from that.
//!
//! ```text
//!   0                 89-3.checkpoint  .. state up to offset 88
//!                 64.log               .. 64 to 88 are passed over, 89 and later are shown
//! ```

use std::path::{Path, PathBuf};

use highwater_log::names::{Kind, SegmentFile, Stage};
use highwater_reactor::{Entry, File, OpenOptions, Reactor};
use highwater_record::{
    Batch, Decompressor, HEADER_BYTES, Header, LeaderEpoch, Limits, Offset, Records,
};

use crate::metadata::codec;
use crate::metadata::journal::Error;
use crate::metadata::record::Record;

/// What is read as one batch at most: Kafka's own controllers write up to 8 MiB.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// What reading found: the offset after the last whole batch, and the last epoch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    pub(crate) end: Offset,
    pub(crate) epoch: Option<LeaderEpoch>,
}

/// Shows every record of the log in `dir` to `visit`. `clean` says whether the last run ended in order: nothing can be torn
/// then.
///
/// # Errors
/// [`Error::Damaged`] where more than the last change is unreadable.
pub(crate) fn read(
    reactor: &Reactor,
    dir: &Path,
    clean: bool,
    visit: &mut dyn FnMut(&Record),
) -> Result<Found, Error> {
    let entries = reactor.list(dir).map_err(|source| Error::Io {
        path: dir.to_owned(),
        source,
    })?;
    let segments = segments(&entries);
    let mut reading = Reading {
        reactor,
        clean,
        visit,
        from: Offset::ZERO,
        found: Found::default(),
    };
    if let Some(first) = segments.first()
        && first.offset > Offset::ZERO
    {
        let (name, end) = snapshot(&entries, first.offset).ok_or_else(|| Error::Beginning {
            dir: dir.to_owned(),
            start: first.offset,
        })?;
        reading.whole(&dir.join(name))?;
        reading.from = end;
        reading.found.end = first.offset;
    }
    let count = segments.len();
    for (index, segment) in segments.iter().enumerate() {
        let path = dir.join(segment.name());
        if segment.offset != reading.found.end {
            return Err(Error::Damaged {
                path,
                position: 0,
                expected: reading.found.end,
                fact: format!("the file begins at offset {}", segment.offset),
            });
        }
        reading.segment(&path, index + 1 == count)?;
    }
    if reading.found.end < reading.from {
        return Err(Error::Beginning {
            dir: dir.to_owned(),
            start: reading.from,
        });
    }
    Ok(reading.found)
}

/// The log's segments, oldest first.
fn segments(entries: &[Entry]) -> Vec<SegmentFile> {
    let mut segments: Vec<SegmentFile> = entries
        .iter()
        .filter_map(|entry| SegmentFile::parse(entry.name.to_str()?))
        .filter(|file| file.kind == Kind::Log && file.stage == Stage::Live)
        .collect();
    segments.sort_by_key(|file| file.offset);
    segments
}

/// The newest snapshot that reaches `start`: its name and the offset it ends before. Names are
/// `<offset, 20 digits>-<epoch, 10 digits>.checkpoint`, so that the newest is the last.
fn snapshot(entries: &[Entry], start: Offset) -> Option<(PathBuf, Offset)> {
    entries.iter().rev().find_map(|entry| {
        let name = entry.name.to_str()?;
        let (offset, epoch) = name.strip_suffix(".checkpoint")?.split_once('-')?;
        if offset.len() != 20 || epoch.len() != 10 {
            return None;
        }
        let end = Offset::new(offset.parse().ok()?);
        (end >= start).then(|| (PathBuf::from(name), end))
    })
}

struct Reading<'a> {
    reactor: &'a Reactor,
    clean: bool,
    visit: &'a mut dyn FnMut(&Record),
    /// What lies below was shown from a snapshot.
    from: Offset,
    found: Found,
}

impl Reading<'_> {
    /// A snapshot: batches with offsets of their own, and it is whole or no snapshot.
    fn whole(&mut self, path: &Path) -> Result<(), Error> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let file = self.reactor.open(path, OpenOptions::READ).map_err(io)?;
        let len = file.len().map_err(io)?;
        let (mut position, mut bytes) = (0, Vec::new());
        while position < len {
            let batch = batch_at(&file, position, len, &mut bytes).map_err(io)?;
            let batch = batch.map_err(|fact| Error::Damaged {
                path: path.to_owned(),
                position,
                expected: Offset::ZERO,
                fact,
            })?;
            self.show(path, position, &batch)?;
            position += batch.len() as u64;
        }
        Ok(())
    }

    fn segment(&mut self, path: &Path, last: bool) -> Result<(), Error> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let file = self.reactor.open(path, OpenOptions::READ).map_err(io)?;
        let len = file.len().map_err(io)?;
        let (mut position, mut bytes) = (0, Vec::new());
        while position < len {
            let expected = self.found.end;
            match batch_at(&file, position, len, &mut bytes).map_err(io)? {
                Ok(batch) if batch.header().base_offset() == expected => {
                    if expected >= self.from {
                        self.show(path, position, &batch)?;
                    }
                    let header = batch.header();
                    self.found.end = header.last_offset().next();
                    self.found.epoch = self.found.epoch.max(Some(header.leader_epoch()));
                    position += batch.len() as u64;
                }
                unexpected => {
                    let fact = match unexpected {
                        Ok(batch) => format!("a batch of offset {}", batch.header().base_offset()),
                        Err(fact) => fact,
                    };
                    let torn = last
                        && !self.clean
                        && !batch_follows(&file, position, len, expected).map_err(io)?;
                    if torn {
                        return Ok(());
                    }
                    return Err(Error::Damaged {
                        path: path.to_owned(),
                        position,
                        expected,
                        fact,
                    });
                }
            }
        }
        Ok(())
    }

    fn show(&mut self, path: &Path, position: u64, batch: &Batch<'_>) -> Result<(), Error> {
        if batch.header().attributes().is_control() {
            return Ok(());
        }
        let damaged = |fact: String| Error::Damaged {
            path: path.to_owned(),
            position,
            expected: batch.header().base_offset(),
            fact,
        };
        let (mut scratch, mut decompressor) = (Vec::new(), Decompressor::new());
        let records = Records::of(batch, &mut scratch, &mut decompressor, Limits::default())
            .map_err(|error| damaged(error.to_string()))?;
        for record in records {
            let record = record.map_err(|defect| damaged(defect.to_string()))?;
            let offset = record.offset;
            let record = codec::decode(record.value.unwrap_or_default()).map_err(|source| {
                Error::Record {
                    path: path.to_owned(),
                    offset,
                    source,
                }
            })?;
            (self.visit)(&record);
        }
        Ok(())
    }
}

/// The batch at `position`, or why there is none.
fn batch_at<'b>(
    file: &File,
    position: u64,
    len: u64,
    bytes: &'b mut Vec<u8>,
) -> std::io::Result<Result<Batch<'b>, String>> {
    let left = usize::try_from(len - position).unwrap_or(usize::MAX);
    bytes.clear();
    bytes.resize(left.min(HEADER_BYTES), 0);
    file.read_exact_at(position, bytes)?;
    let Some(size) = Header::peek(bytes).map(Header::batch_bytes) else {
        return Ok(Err(format!("{left} bytes are no batch")));
    };
    if size > left.min(BATCH_BYTES_MAX) {
        return Ok(Err(format!("a batch of {size} bytes, {left} are left")));
    }
    bytes.resize(size.max(HEADER_BYTES), 0);
    file.read_exact_at(position, bytes)?;
    Ok(Batch::check(bytes).map_err(|defect| defect.to_string()))
}

/// Whether a whole batch of a later change lies behind a bad one. Only one change is under way at a time, so then the bad
/// one had been durable.
fn batch_follows(file: &File, position: u64, len: u64, expected: Offset) -> std::io::Result<bool> {
    let rest = usize::try_from(len - position).unwrap_or(usize::MAX);
    if rest > BATCH_BYTES_MAX {
        return Ok(true);
    }
    let mut bytes = vec![0; rest];
    file.read_exact_at(position, &mut bytes)?;
    for start in 1..rest.saturating_sub(HEADER_BYTES - 1) {
        let Some(candidate) = bytes.get(start..) else {
            break;
        };
        let Some(header) = Header::peek(candidate) else {
            break;
        };
        let plausible = header.magic() == 2
            && header.base_offset() > expected
            && header.batch_bytes() >= HEADER_BYTES
            && header.batch_bytes() <= candidate.len();
        if plausible && Batch::check(candidate).is_ok() {
            return Ok(true);
        }
    }
    Ok(false)
}
