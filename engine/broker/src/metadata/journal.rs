//! The metadata log: `__cluster_metadata-0`, an ordinary log whose records are metadata records, as KRaft lays it down. It
//! is read once, at the start, and written by the controller alone. It knows how records lie, not what they mean.
//!
//! ```text
//!   | LeaderChange | metadata.version, RegisterBroker | Topic Config Partition Partition | RemoveTopic | LeaderChange | ..
//!     control        a batch is a change: applied whole or not at all                                   next start
//! ```

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use highwater_log::names::{Kind, SegmentFile, Stage};
use highwater_log::{Config, DataDir, Fence, Log, Opening};
use highwater_reactor::{File, OpenOptions, Reactor};
use highwater_record::{
    Batch, BatchBuilder, Codec, Compression, Compressor, HEADER_BYTES, Header, LeaderEpoch, Limits,
    Offset, Records,
};
use uuid::Uuid;

use crate::metadata::codec;
use crate::metadata::image::METADATA_TOPIC;
use crate::metadata::record::Record;

/// The id of the metadata topic (`Uuid.METADATA_TOPIC_ID`).
pub(crate) const METADATA_TOPIC_ID: Uuid = Uuid::from_u128(1);

/// The most bytes of a change, as it lies in the log: half of the smallest segment there can be.
const CHANGE_BYTES_MAX: usize = 4 << 20;

/// What is read as one batch at most: Kafka's own controllers write up to 8 MiB.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// Why the metadata log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log below.
    #[error(transparent)]
    Log(#[from] highwater_log::Error),
    /// A file cannot be listed or read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Bytes that had been durable are no records any more.
    #[error(
        "the metadata log is damaged: {} at byte {position}, where offset {expected} is expected: {fact}; what follows it cannot be trusted. Restore the directory {} from a copy",
        path.display(), path.parent().unwrap_or(path).display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        position: u64,
        /// The offset expected there.
        expected: Offset,
        /// What is wrong.
        fact: String,
    },
    /// A change that is too large to be one batch. Nothing was written.
    #[error("a change of {bytes} bytes exceeds limit {CHANGE_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A record that this version cannot obey.
    #[error("the metadata log cannot be obeyed: {} at offset {offset}: {source}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// The record's offset.
        offset: Offset,
        /// Why not.
        source: codec::Error,
    },
}

/// The metadata log, on the controller's shard.
#[derive(Debug)]
pub(crate) struct Journal {
    reactor: Reactor,
    fence: Fence,
    log: RefCell<Log>,
    /// Of this run: one above that of the last.
    epoch: LeaderEpoch,
}

impl Journal {
    /// Opens the log in `data_dir`, making it where it is missing, and shows every record to `visit`. A change that was
    /// being written when the process ended is cut; it was never answered.
    ///
    /// # Errors
    /// [`Error::Damaged`] where more than such a change is unreadable: nothing on disk has been touched then.
    pub(crate) async fn open(
        reactor: &Reactor,
        data_dir: &DataDir,
        config: Config,
        visit: &mut dyn FnMut(&Record),
    ) -> Result<Journal, Error> {
        let dir = data_dir.partition_path(METADATA_TOPIC, 0);
        let io = |source| Error::Io {
            path: dir.clone(),
            source,
        };
        let mut found = Found::default();
        if reactor.exists(&dir).map_err(io)? {
            found = Reading {
                reactor,
                dir: &dir,
                clean: data_dir.was_clean(),
                visit,
            }
            .read()?;
        }
        let log = open_log(reactor, &data_dir.fence(), &dir, config, found.end)?;
        if log.end_offset() != found.end {
            return Err(Error::Damaged {
                path: dir,
                position: 0,
                expected: found.end,
                fact: format!("the log ends at offset {}", log.end_offset()),
            });
        }
        Ok(Journal {
            reactor: reactor.clone(),
            fence: data_dir.fence(),
            log: RefCell::new(log),
            epoch: found.epoch.map_or(LeaderEpoch::ZERO, |epoch| {
                LeaderEpoch::new(epoch.get().saturating_add(1))
            }),
        })
    }

    /// The offset the next record gets.
    pub(crate) fn end(&self) -> Offset {
        self.log.borrow().end_offset()
    }

    /// Begins this run's epoch: the control record by which KRaft says who leads. Not durable before the next append.
    pub(crate) fn begin(&self, now_ms: i64, leader: i32) -> Result<(), Error> {
        let mut builder = BatchBuilder::new();
        builder.set_control(true);
        push(
            &mut builder,
            now_ms,
            Some(&codec::LEADER_CHANGE_KEY),
            &codec::leader_change(leader),
        );
        self.write(now_ms, builder)
    }

    /// Appends a change and makes it durable. One call at a time.
    ///
    /// # Errors
    /// The change is then not in the log, or nothing more can be written to it.
    pub(crate) async fn append(&self, now_ms: i64, records: &[Record]) -> Result<Offset, Error> {
        let mut builder = BatchBuilder::new();
        for record in records {
            let value = codec::encode(record)
                .expect("records hold names and values that came in requests of the same limits");
            push(&mut builder, now_ms, None, &value);
        }
        let before = self.end();
        self.write(now_ms, builder)?;
        if let Err(error) = self.sync().await {
            self.take_back(before);
            return Err(error);
        }
        Ok(self.end())
    }

    /// Makes everything durable and leaves the files as a clean stop does.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        let ticket = self.log.borrow_mut().close()?;
        let outcome = ticket.sync(&self.reactor).await;
        Ok(self.log.borrow_mut().synced(&ticket, outcome)?)
    }

    fn write(&self, now_ms: i64, mut builder: BatchBuilder) -> Result<(), Error> {
        let mut bytes = Vec::new();
        builder
            .finish(
                &mut Compressor::new(),
                &Compression::from(Codec::None),
                &mut bytes,
            )
            .expect("nothing can fail where nothing is compressed");
        if bytes.len() > CHANGE_BYTES_MAX {
            return Err(Error::TooLarge { bytes: bytes.len() });
        }
        let batch = Batch::check(&bytes).expect("the builder makes whole batches");
        let mut log = self.log.borrow_mut();
        log.assign_epoch(self.epoch)?;
        let stamped = batch.stamp(log.end_offset(), self.epoch);
        log.append(now_ms, &stamped)?;
        Ok(())
    }

    /// Cuts off a change that was written and could not be synced: it is refused, and must not come back at the next
    /// start in front of changes that were decided without it.
    fn take_back(&self, before: Offset) {
        if self.fence.is_raised() {
            return;
        }
        if let Err(error) = self.log.borrow_mut().truncate_to(before) {
            self.fence.raise(&format!(
                "a refused change cannot be cut off the metadata log: {error}"
            ));
        }
    }

    async fn sync(&self) -> Result<(), Error> {
        // A ticket may stop short where much is to be synced.
        loop {
            let ticket = self.log.borrow_mut().sync_ticket()?;
            let outcome = ticket.sync(&self.reactor).await;
            let mut log = self.log.borrow_mut();
            log.synced(&ticket, outcome)?;
            if log.durable_offset() >= log.end_offset() {
                return Ok(());
            }
        }
    }
}

fn push(builder: &mut BatchBuilder, now_ms: i64, key: Option<&[u8]>, value: &[u8]) {
    builder
        .append(now_ms, key, Some(value), &[])
        .expect("a change has at most ten thousand records of bounded size");
}

fn open_log(
    reactor: &Reactor,
    fence: &Fence,
    dir: &Path,
    config: Config,
    end: Offset,
) -> Result<Log, Error> {
    if !reactor.exists(dir).map_err(|source| Error::Io {
        path: dir.to_owned(),
        source,
    })? {
        let log = Log::create(reactor, fence, dir.to_owned(), METADATA_TOPIC_ID, config)?;
        return Ok(log);
    }
    let opening = Opening {
        recovery_point: end,
        log_start: Offset::ZERO,
        clean: false,
        topic_id: Some(METADATA_TOPIC_ID),
    };
    let (log, recovered) = Log::open(reactor, fence, dir.to_owned(), config, opening)?;
    if recovered.bytes_cut > 0 {
        tracing::warn!(
            bytes = recovered.bytes_cut,
            end = end.get(),
            "a change of the metadata that was never answered is cut off the metadata log"
        );
    }
    Ok(log)
}

/// What reading found: the offset after the last whole batch, and the last epoch.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    end: Offset,
    epoch: Option<LeaderEpoch>,
}

/// Reads the log before anything may be cut off it: whether a bad batch is a torn tail or damage is decided here.
struct Reading<'a> {
    reactor: &'a Reactor,
    dir: &'a Path,
    /// Whether the last run ended in order: nothing can be torn then.
    clean: bool,
    visit: &'a mut dyn FnMut(&Record),
}

impl Reading<'_> {
    fn read(&mut self) -> Result<Found, Error> {
        let mut segments: Vec<SegmentFile> = self
            .reactor
            .list(self.dir)
            .map_err(|source| Error::Io {
                path: self.dir.to_owned(),
                source,
            })?
            .iter()
            .filter_map(|entry| SegmentFile::parse(entry.name.to_str()?))
            .filter(|file| file.kind == Kind::Log && file.stage == Stage::Live)
            .collect();
        segments.sort_by_key(|file| file.offset);
        let mut found = Found::default();
        let count = segments.len();
        for (index, segment) in segments.iter().enumerate() {
            let path = self.dir.join(segment.name());
            let last = index + 1 == count;
            if segment.offset != found.end {
                return Err(Error::Damaged {
                    path,
                    position: 0,
                    expected: found.end,
                    fact: format!("the file begins at offset {}", segment.offset),
                });
            }
            self.segment(&path, last, &mut found)?;
        }
        Ok(found)
    }

    fn segment(&mut self, path: &Path, last: bool, found: &mut Found) -> Result<(), Error> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let file = self.reactor.open(path, OpenOptions::READ).map_err(io)?;
        let len = file.len().map_err(io)?;
        let mut position = 0;
        let mut bytes = Vec::new();
        while position < len {
            match batch_at(&file, position, len, &mut bytes).map_err(io)? {
                Ok(batch) if batch.header().base_offset() == found.end => {
                    self.batch(path, &batch, found)?;
                    position += batch.len() as u64;
                }
                unexpected => {
                    let fact = match unexpected {
                        Ok(batch) => format!("a batch of offset {}", batch.header().base_offset()),
                        Err(fact) => fact,
                    };
                    let torn = last
                        && !self.clean
                        && !batch_follows(&file, position, len, found.end).map_err(io)?;
                    if torn {
                        return Ok(());
                    }
                    return Err(Error::Damaged {
                        path: path.to_owned(),
                        position,
                        expected: found.end,
                        fact,
                    });
                }
            }
        }
        Ok(())
    }

    fn batch(&mut self, path: &Path, batch: &Batch<'_>, found: &mut Found) -> Result<(), Error> {
        let header = batch.header();
        let mut scratch = Vec::new();
        let mut decompressor = highwater_record::Decompressor::new();
        let damaged = |offset, fact: String| Error::Damaged {
            path: path.to_owned(),
            position: 0,
            expected: offset,
            fact,
        };
        let records = Records::of(batch, &mut scratch, &mut decompressor, Limits::default())
            .map_err(|error| damaged(found.end, error.to_string()))?;
        for record in records {
            let record = record.map_err(|defect| damaged(found.end, defect.to_string()))?;
            if header.attributes().is_control() {
                continue;
            }
            let value = record.value.unwrap_or_default();
            let record = codec::decode(value).map_err(|source| Error::Record {
                path: path.to_owned(),
                offset: Offset::new(record.offset.get()),
                source,
            })?;
            (self.visit)(&record);
        }
        found.end = header.last_offset().next();
        found.epoch = found.epoch.max(Some(header.leader_epoch()));
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
