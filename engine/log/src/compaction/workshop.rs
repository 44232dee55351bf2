//! The part of a cleaning that takes time, cut into slices: reading, mapping keys, copying what stays.
//!
//! It works on open files and owns all it needs, so that a slice may run on any thread. It renames nothing and decides
//! neither what is cleaned nor when. One per shard; its memory is kept from log to log.

use highwater_reactor::File;
use highwater_record::{Batch, Defect, Offset};

use super::filter::{Fate, Filter, Terms, Unfit};
use super::offset_map::{MapLimits, OffsetMap};
use super::output::Output;
use super::transactions::Transactions;
use crate::error::Error;

/// A batch larger than this is not taken into memory: its log is not cleaned.
const BATCH_BYTES_MAX: usize = 256 << 20;
/// More than this is given back after a batch that needed it.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// Buffers, codecs, and the map of the log under work.
#[derive(Debug)]
pub struct Workshop {
    /// Bytes read in one slice, unless a batch is larger.
    slice_bytes: usize,
    limits: MapLimits,
    pub(crate) map: OffsetMap,
    pub(crate) filter: Filter,
    read: Vec<u8>,
    out: Vec<u8>,
}

/// A place in a segment that is read from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: File,
    /// Where the next slice begins.
    pub(crate) position: u64,
    /// Bytes of whole batches.
    pub(crate) end: u64,
    /// The smallest offset the next batch may have.
    pub(crate) expected: Offset,
}

impl Source {
    /// Whether there is more to read.
    pub(crate) fn has_more(&self) -> bool {
        self.position < self.end
    }

    fn corrupt(&self, ahead: usize, fact: String) -> Error {
        Error::Corrupt {
            path: self.file.path().to_owned(),
            position: self.position + ahead as u64,
            expected: self.expected,
            fact,
        }
    }
}

impl Workshop {
    /// One that reads `slice_bytes` at a time (half of `log.cleaner.io.buffer.size`).
    #[must_use]
    pub fn new(slice_bytes: usize, limits: MapLimits) -> Workshop {
        Workshop {
            slice_bytes: slice_bytes.max(4096),
            limits,
            map: OffsetMap::closed(),
            filter: Filter::default(),
            read: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Takes other sizes, from the next log on.
    pub fn resize(&mut self, slice_bytes: usize, limits: MapLimits) {
        self.slice_bytes = slice_bytes.max(4096);
        self.limits = limits;
    }

    /// Begins with another log: an empty map under a new secret.
    pub(crate) fn begin(&mut self, secret: (u64, u64)) {
        self.map = OffsetMap::new(self.limits, secret);
        self.filter.tally = super::filter::Tally::default();
    }

    /// Stands in for one that is at work elsewhere.
    pub(crate) fn absent() -> Workshop {
        Workshop::new(0, MapLimits::default())
    }

    /// Maps the keys of one slice of at most `bytes_max`; returns where the map ends if it got full: it speaks for every offset below.
    pub(crate) fn map_slice(
        &mut self,
        source: &mut Source,
        bytes_max: usize,
        from: Offset,
        transactions: &mut Transactions,
    ) -> Result<Option<Offset>, Error> {
        let mut full = None;
        let slice_bytes = self.slice_bytes.min(bytes_max);
        let Workshop { map, filter, .. } = self;
        let mut read = std::mem::take(&mut self.read);
        let sliced = slice(source, &mut read, slice_bytes, |batch| {
            let header = batch.header();
            if header.attributes().is_control() {
                transactions.meet_control(batch);
                return Ok(true);
            }
            if transactions.meet_records(header) || header.last_offset() < from {
                return Ok(true);
            }
            let is_mapped = filter.each(batch, |record| {
                let takes = match record.key {
                    Some(key) if record.offset >= from => map.put(key, record.offset),
                    Some(_) | None => true,
                };
                if !takes {
                    full = Some(record.offset);
                }
                takes
            })?;
            Ok(is_mapped)
        });
        self.keep(read);
        sliced?;
        Ok(full)
    }

    /// Copies what stays of one slice of at most `bytes_max`; returns the bytes read and written.
    pub(crate) fn clean_slice(
        &mut self,
        source: &mut Source,
        bytes_max: usize,
        terms: &Terms,
        transactions: &mut Transactions,
        output: &mut Output,
    ) -> Result<u64, Error> {
        let slice_bytes = self.slice_bytes.min(bytes_max);
        let Workshop { map, filter, .. } = self;
        let (mut read, mut out) = (
            std::mem::take(&mut self.read),
            std::mem::take(&mut self.out),
        );
        out.clear();
        let begun = source.position;
        let sliced = slice(source, &mut read, slice_bytes, |batch| {
            let ahead = out.len();
            match filter.pass(batch, terms, map, transactions, &mut out)? {
                Fate::Gone => output.change(),
                Fate::AsItLies => {
                    output.note(batch.header(), ahead);
                    out.extend_from_slice(batch.bytes());
                }
                Fate::Rewritten => {
                    output.change();
                    let written = out.get(ahead..).unwrap_or_default();
                    let header = highwater_record::Header::peek(written);
                    output.note(header.expect("a batch was written"), ahead);
                }
            }
            Ok(true)
        });
        let written = sliced.and_then(|()| output.take(&out));
        let read_bytes = source.position - begun;
        self.keep(read);
        if out.capacity() <= KEPT_BYTES_MAX {
            self.out = out;
        }
        written.map(|written| read_bytes + written)
    }

    /// Copies at most `bytes_max` of what the output owes; returns the bytes read and written, 0 when it owes nothing.
    pub(crate) fn copy_slice(
        &mut self,
        source: &Source,
        bytes_max: usize,
        output: &mut Output,
    ) -> Result<u64, Error> {
        let owed = output.owed(self.slice_bytes.min(bytes_max) as u64);
        let bytes = usize::try_from(owed.end - owed.start).unwrap_or(0);
        let mut read = std::mem::take(&mut self.read);
        if read.len() < bytes {
            read.resize(bytes, 0);
        }
        let chunk = &mut read[..bytes];
        let copied = source
            .file
            .read_exact_at(owed.start, chunk)
            .map_err(|error| Error::read(source.file.path(), error))
            .and_then(|()| output.pay(chunk));
        self.keep(read);
        copied.map(|written| 2 * written)
    }

    fn keep(&mut self, read: Vec<u8>) {
        if read.capacity() <= KEPT_BYTES_MAX {
            self.read = read;
        }
        self.filter.trim();
    }
}

/// Reads from the source and shows the whole batches that came, at least one, until `each` says no. The source then stands
/// behind the last one shown.
fn slice(
    source: &mut Source,
    read: &mut Vec<u8>,
    slice_bytes: usize,
    mut each: impl FnMut(&Batch<'_>) -> Result<bool, Unfit>,
) -> Result<(), Error> {
    let mut wanted = slice_bytes;
    loop {
        let left = usize::try_from(source.end - source.position).unwrap_or(usize::MAX);
        let bytes = wanted.min(left);
        if read.len() < bytes {
            read.resize(bytes, 0);
        }
        let chunk = &mut read[..bytes];
        source
            .file
            .read_exact_at(source.position, chunk)
            .map_err(|error| Error::read(source.file.path(), error))?;
        let mut ahead = 0;
        while ahead < bytes {
            let batch = match Batch::check(&chunk[ahead..]) {
                Ok(batch) => batch,
                // The rest comes with the next slice.
                Err(Defect::TooShort { .. }) if ahead > 0 => break,
                Err(Defect::TooShort { wanted: whole, .. })
                    if whole <= left && whole <= BATCH_BYTES_MAX =>
                {
                    wanted = whole;
                    break;
                }
                Err(defect) => return Err(source.corrupt(ahead, defect.to_string())),
            };
            let header = batch.header();
            if header.base_offset() < source.expected {
                let fact = format!("the batch there has offset {}", header.base_offset());
                return Err(source.corrupt(ahead, fact));
            }
            let goes_on = each(&batch).map_err(|unfit| source.corrupt(ahead, unfit.to_string()))?;
            source.expected = header.next_offset();
            ahead += batch.len();
            if !goes_on {
                break;
            }
        }
        if ahead > 0 || left == 0 {
            source.position += ahead as u64;
            return Ok(());
        }
    }
}
