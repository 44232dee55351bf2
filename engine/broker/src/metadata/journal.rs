//! The metadata log: `__cluster_metadata-0`, an ordinary log whose records are metadata records, as KRaft lays it down. It
//! is read once, at the start, and written by the controller alone. It knows how records lie, not what they mean.
//!
//! ```text
//!   | LeaderChange | metadata.version, RegisterBroker | Topic Config Partition Partition | RemoveTopic | LeaderChange | ..
//!     control        a batch is a change: applied whole or not at all                                   next start
//! ```

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use highwater_log::{Config, DataDir, Fence, Log, Opening};
use highwater_reactor::Reactor;
use highwater_record::{Batch, BatchBuilder, Codec, Compression, Compressor, LeaderEpoch, Offset};
use uuid::Uuid;

use crate::metadata::codec;
use crate::metadata::image::METADATA_TOPIC;
use crate::metadata::reading::{self, Found};
use crate::metadata::record::Record;

/// The id of the metadata topic (`Uuid.METADATA_TOPIC_ID`).
pub(crate) const METADATA_TOPIC_ID: Uuid = Uuid::from_u128(1);

/// The most bytes of a change, as it lies in the log: half of the smallest segment there can be.
const CHANGE_BYTES_MAX: usize = 4 << 20;

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
    /// What came before the log's first segment is not there.
    #[error(
        "the metadata log begins at offset {start} and no snapshot in {} goes that far: restore the directory from a copy",
        dir.display()
    )]
    Beginning {
        /// The metadata log's directory.
        dir: PathBuf,
        /// The first segment's offset.
        start: Offset,
    },
    /// The log places a partition on other brokers than this one.
    #[error(
        "the metadata log places partitions on broker {found}, and this is broker {expected}: a directory of a cluster of several brokers cannot be taken over"
    )]
    Stranger {
        /// The broker found.
        found: i32,
        /// This broker.
        expected: i32,
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
            found = reading::read(reactor, &dir, data_dir.was_clean(), visit)?;
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
