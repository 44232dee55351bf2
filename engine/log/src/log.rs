//! One partition's log: what belongs to segments, reads, retention and syncing together, and appending.
//!
//! Reading is in `reader` and `time_lookup`, opening in `recovery`, forgetting in `deletion`. It does not know what a batch
//! means, who produced it, or how much of the log may be shown to whom.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use highwater_reactor::{File, Instant, Reactor};
use highwater_record::{LeaderEpoch, Offset, Stamped};
use smallvec::smallvec;
use uuid::Uuid;

use crate::appender::{Active, Fresh};
use crate::checkpoint;
use crate::config::Config;
use crate::errands::Errands;
use crate::error::{Error, Fence};
use crate::graveyard::Graveyard;
use crate::leader_epochs::LeaderEpochs;
use crate::reader::{Handles, Places};
use crate::retention::RetentionClock;
use crate::roll::{self, Incoming};
use crate::segment::{Segment, Shelf};
use crate::small_file;
use crate::surplus::Owed;
use crate::sync::{Finished, Place, SyncTicket, Unsynced};

/// Where a batch was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The byte of the segment at which it begins.
    pub position: u64,
    /// The base offset of the segment that was begun for it. The one before it wants to be synced: take a ticket soon.
    pub rolled: Option<Offset>,
}

/// A record found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp, ms since 1970.
    pub timestamp_ms: i64,
    /// The epoch it was written in; `None` when its batch does not say.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// One partition's log, on the shard that owns it.
///
/// Invariant: `start_offset <= end_offset`, `durable_offset <= end_offset`; `sealed` and then `active` rise by base offset.
#[derive(Debug)]
pub struct Log {
    pub(crate) reactor: Reactor,
    pub(crate) fence: Fence,
    pub(crate) dir: PathBuf,
    pub(crate) topic_id: Uuid,
    pub(crate) config: Config,
    /// Finished segments, oldest first.
    pub(crate) sealed: Vec<Segment>,
    pub(crate) active: Active,
    pub(crate) start: Offset,
    pub(crate) end: Offset,
    /// Bytes appended since the log was opened, and those found then that were not durable.
    pub(crate) appended_bytes: u64,
    pub(crate) epochs: LeaderEpochs,
    pub(crate) unsynced: Unsynced,
    /// Where reads have ended, and where the newest batches begin.
    pub(crate) places: Places,
    pub(crate) recent: Places,
    pub(crate) handles: Handles,
    pub(crate) graveyard: Graveyard,
    /// Index files that were made again and want to be synced.
    pub(crate) rebuilt: RefCell<Vec<File>>,
    pub(crate) clock: RetentionClock,
    pub(crate) is_closed: bool,
    /// Everything below has been cleaned, if that is in the log.
    pub(crate) cleaned: Offset,
    /// The recovery point that has been written down. Invariant: `checkpointed <= durable_offset`.
    pub(crate) checkpointed: Offset,
    pub(crate) errands: Errands,
    pub(crate) owed: Owed,
}

impl Log {
    /// Makes a new log in `dir`, which must not exist; its parent must. The directory's name says topic and partition.
    ///
    /// # Errors
    /// [`Error::Full`] leaves nothing behind; [`Error::Failed`] fences; [`Error::Fenced`].
    pub fn create(
        reactor: &Reactor,
        fence: &Fence,
        dir: PathBuf,
        topic_id: Uuid,
        config: Config,
    ) -> Result<Log, Error> {
        fence.check()?;
        reactor
            .create_dir(&dir)
            .map_err(|error| Error::write(fence, "create", &dir, error))?;
        let rebuilt = RefCell::default();
        let shelf = Shelf {
            reactor,
            fence,
            dir: &dir,
            config: &config,
            rebuilt: &rebuilt,
        };
        let path = dir.join(small_file::PARTITION_METADATA);
        let text = small_file::partition_metadata(&topic_id);
        let files = reactor.file_system();
        let made = small_file::replace(&files, fence, &path, text.as_bytes()).and_then(|file| {
            Ok((
                file,
                Active::create(&shelf, Offset::ZERO, reactor.unix_ms())?,
            ))
        });
        let (metadata, active) = match made {
            Ok(made) => made,
            Err(error) => {
                let _ = reactor.remove_dir_all(&dir);
                return Err(error);
            }
        };
        let place = Place {
            offset: Offset::ZERO,
            segment: Offset::ZERO,
            position: 0,
        };
        let mut unsynced = Unsynced::new(place);
        unsynced.file(metadata);
        unsynced.directory(&dir);
        if let Some(parent) = dir.parent() {
            unsynced.directory(parent);
        }
        Ok(Log {
            reactor: reactor.clone(),
            fence: fence.clone(),
            dir,
            topic_id,
            config,
            sealed: Vec::new(),
            active,
            start: Offset::ZERO,
            end: Offset::ZERO,
            appended_bytes: 0,
            epochs: LeaderEpochs::default(),
            unsynced,
            places: Places::default(),
            recent: Places::default(),
            handles: Handles::default(),
            graveyard: Graveyard::default(),
            rebuilt,
            clock: RetentionClock::new(reactor.now().since_start(), reactor.unix_ms()),
            is_closed: false,
            cleaned: Offset::ZERO,
            checkpointed: Offset::ZERO,
            errands: Errands::new(reactor),
            owed: Owed::default(),
        })
    }

    /// Appends a batch, whose base offset must be [`Log::end_offset`], by one write into the page cache, which goes on with
    /// zeros to the end of the block of the file that it enters.
    ///
    /// # Errors
    /// Nothing is appended then: [`Error::Full`] (may go through later), [`Error::TooLarge`], [`Error::Failed`] and
    /// [`Error::Fenced`] (never again).
    pub fn append(&mut self, now_ms: i64, batch: &Stamped<'_>) -> Result<Appended, Error> {
        let header = batch.header();
        assert!(!self.is_closed, "nothing is appended to a closed log");
        assert_eq!(
            header.base_offset(),
            self.end,
            "a batch goes to the end of the log"
        );
        self.fence.check()?;
        let bytes = batch.len() as u64;
        let limit = u64::from(self.config.segment_bytes);
        if bytes > limit {
            return Err(Error::TooLarge { bytes, limit });
        }
        self.note_epoch(header.leader_epoch(), self.end)?;
        let incoming = Incoming {
            bytes,
            last: header.last_offset(),
            max_timestamp_ms: header.max_timestamp(),
        };
        let rolled = match roll::before(&self.active.facts(), &incoming, &self.config, now_ms) {
            Some(reason) => {
                let base = self.roll(now_ms)?;
                if reason == roll::Reason::Size {
                    self.active.follow_full();
                }
                Some(base)
            }
            None => None,
        };
        let (active, shelf) = self.active_and_shelf();
        let position = active.write(&shelf, batch)?;
        let segment = active.base;
        self.recent.note(Place {
            offset: self.end,
            segment,
            position,
        });
        self.end = header.next_offset();
        self.appended_bytes += bytes;
        self.unsynced.appended(|| self.reactor.now());
        Ok(Appended { position, rolled })
    }

    /// Begins a new segment at the end of the log and finishes the one before it; returns its base offset. After an error
    /// everything is as before.
    pub(crate) fn roll(&mut self, now_ms: i64) -> Result<Offset, Error> {
        let base = self.end;
        let (active, shelf) = self.active_and_shelf();
        assert!(
            base > active.base,
            "a segment that holds nothing is not rolled"
        );
        active.seal(&shelf)?;
        let next = Active::create(&shelf, base, now_ms)?;
        let finished = std::mem::replace(active, next);
        self.give_back(finished.surplus(&self.fence));
        let indexes = &finished.indexing.indexes;
        let paths = [indexes.offsets.path(), indexes.times.path()];
        self.unsynced.finished(Finished {
            end: Place {
                offset: base,
                segment: base,
                position: 0,
            },
            bytes: self.appended_bytes,
            files: vec![finished.file.clone()],
            paths: paths.map(Path::to_owned).into(),
        });
        self.unsynced.directory(&self.dir);
        let largest = finished.indexing.largest;
        self.sealed.push(Segment::with_largest(
            finished.base,
            finished.bytes,
            largest,
        ));
        Ok(base)
    }

    /// Begins a new segment when the active one has waited `segment.ms` though nothing came; returns its base offset.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Failed`], [`Error::Fenced`].
    pub fn roll_if_old(&mut self, now_ms: i64) -> Result<Option<Offset>, Error> {
        let now_ms = self.clock.now_ms(self.reactor.now().since_start(), now_ms);
        if !roll::by_age_alone(&self.active.facts(), &self.config, now_ms) {
            return Ok(None);
        }
        self.fence.check()?;
        self.roll(now_ms).map(Some)
    }

    /// What must be synced for what has been appended until now, or for the oldest part of it when that spans many
    /// segments: [`SyncTicket::end`] says. Empty when nothing is to be synced.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when a file that recovery found cannot be opened; [`Error::Fenced`].
    pub fn sync_ticket(&mut self) -> Result<SyncTicket, Error> {
        self.fence.check()?;
        let is_dirty = self.end > self.unsynced.durable().offset;
        let active = if is_dirty {
            smallvec![self.active.file.clone()]
        } else {
            smallvec![]
        };
        self.note_rebuilt();
        let now = self.reactor.now();
        self.unsynced
            .ticket(
                &self.reactor,
                active,
                self.end_place(),
                self.appended_bytes,
                now,
            )
            .map_err(|error| Error::read(&self.dir, error))
    }

    /// Takes note of how the syncing of a ticket ended.
    ///
    /// # Errors
    /// [`Error::Failed`] when it failed, whatever the error was: the data directory is fenced. [`Error::Fenced`] when it was
    /// before: nothing has become durable by this ticket, whatever the device says.
    pub fn synced(
        &mut self,
        ticket: &SyncTicket,
        outcome: std::io::Result<()>,
    ) -> Result<(), Error> {
        if let Err(source) = outcome {
            self.fence
                .raise(&format!("cannot sync {}: {source}", self.dir.display()));
            return Err(Error::Failed {
                operation: "sync",
                path: self.dir.clone(),
                source,
            });
        }
        self.fence.check()?;
        self.unsynced.synced(ticket, self.end);
        Ok(())
    }

    /// Whether [`Log::take_space`] has something to do.
    #[must_use]
    pub fn wants_space(&self) -> bool {
        !self.is_closed && self.active.wants_space(&self.config)
    }

    /// Takes the space that will soon be needed, which may wait for the device: to be called between two syncs, after those who
    /// waited for the first were told. What is not taken here an append takes.
    pub fn take_space(&mut self) {
        if !self.is_closed {
            self.active.take_space(&self.config);
        }
    }

    /// What has been appended to the active segment since the last time, for its write-back to be started; `None` when
    /// nothing has.
    pub fn take_fresh(&mut self) -> Option<Fresh> {
        self.active.take_fresh(&self.fence)
    }

    /// Notes that `epoch` writes from [`Log::end_offset`] on, in `leader-epoch-checkpoint` too; the next ticket makes it
    /// durable. Nothing happens when it is known.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Failed`], [`Error::Fenced`]; the epoch is not noted then.
    pub fn assign_epoch(&mut self, epoch: LeaderEpoch) -> Result<(), Error> {
        self.fence.check()?;
        self.note_epoch(epoch, self.end)
    }

    fn note_epoch(&mut self, epoch: LeaderEpoch, start: Offset) -> Result<(), Error> {
        if self.epochs.latest() == Some(epoch) {
            return Ok(());
        }
        let mut epochs = self.epochs.clone();
        if epochs.assign(epoch, start) {
            self.write_epochs(epochs)?;
        }
        Ok(())
    }

    /// Writes `leader-epoch-checkpoint`, and only then goes by it.
    pub(crate) fn write_epochs(&mut self, epochs: LeaderEpochs) -> Result<(), Error> {
        let path = self.dir.join(checkpoint::file::LEADER_EPOCH);
        let text = checkpoint::leader_epochs_to_text(epochs.iter());
        let files = self.reactor.file_system();
        let file = small_file::replace(&files, &self.fence, &path, text.as_bytes())?;
        self.unsynced.file(file);
        self.unsynced.directory(&self.dir);
        self.epochs = epochs;
        Ok(())
    }

    /// Resolves when nothing is done for the log away from its shard any more: before it is closed, so that what is left of it
    /// comes from one hand. Does not borrow the log.
    pub fn end_errands(&self) -> impl Future<Output = ()> + use<> {
        self.errands.ended()
    }

    /// Takes other settings, from the next decision on.
    pub fn reconfigure(&mut self, config: Config) {
        self.config = config;
    }

    /// Puts the files into the state a clean stop leaves: nothing beyond the last batch, indexes whole. When the ticket is
    /// synced, [`Log::durable_offset`] is [`Log::end_offset`], unless many segments had been recovered and not synced since:
    /// then once more. Nothing may be appended after it.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Failed`], [`Error::Fenced`]: the log counts as not closed, and recovery will look at it.
    pub fn close(&mut self) -> Result<SyncTicket, Error> {
        self.fence.check()?;
        self.errands.draw_line();
        self.settle_owed()?;
        self.forget_epochs_below_start()?;
        let (active, shelf) = self.active_and_shelf();
        active.seal(&shelf)?;
        self.active.surplus(&self.fence).give_back()?;
        let indexes = &self.active.indexing.indexes;
        let opened =
            |file: std::io::Result<File>| file.map_err(|error| Error::read(&self.dir, error));
        let active = smallvec![
            self.active.file.clone(),
            opened(indexes.offsets.file())?,
            opened(indexes.times.file())?,
        ];
        self.is_closed = true;
        self.unsynced.directory(&self.dir);
        self.note_rebuilt();
        let now = self.reactor.now();
        self.unsynced
            .ticket(
                &self.reactor,
                active,
                self.end_place(),
                self.appended_bytes,
                now,
            )
            .map_err(|error| Error::read(&self.dir, error))
    }

    /// The first offset that may be read.
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        self.start
    }

    /// The offset the next record gets.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.end
    }

    /// Everything below is on stable media: the recovery point to be checkpointed.
    #[must_use]
    pub fn durable_offset(&self) -> Offset {
        self.unsynced.durable().offset
    }

    /// Bytes of all `.log` files.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.sealed.iter().map(|segment| segment.bytes).sum::<u64>() + self.active.bytes
    }

    /// The topic's id, from `partition.metadata`.
    #[must_use]
    pub fn topic_id(&self) -> Uuid {
        self.topic_id
    }

    /// The log's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The log's settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Number of segments, the active one included: at least 1.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.sealed.len() + 1
    }

    /// Base offset of the active segment.
    #[must_use]
    pub fn active_base(&self) -> Offset {
        self.active.base
    }

    /// Bytes of batches between [`Log::durable_offset`] and [`Log::end_offset`].
    #[must_use]
    pub fn unsynced_bytes(&self) -> u64 {
        self.unsynced.bytes(self.appended_bytes)
    }

    /// Since when there has been something unsynced (never later than the oldest such batch was appended); `None` when
    /// everything is durable.
    #[must_use]
    pub fn oldest_unsynced(&self) -> Option<Instant> {
        self.unsynced.oldest()
    }

    /// The leader epochs of the log.
    #[must_use]
    pub fn leader_epochs(&self) -> &LeaderEpochs {
        &self.epochs
    }

    /// The epoch in which `offset` was written.
    #[must_use]
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.epoch_of(offset)
    }

    /// The answer of OffsetForLeaderEpoch: see [`LeaderEpochs::end_offset_for`].
    #[must_use]
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.epochs.end_offset_for(epoch, self.end)
    }

    fn note_rebuilt(&mut self) {
        for file in self.rebuilt.take() {
            self.unsynced.file(file);
            self.unsynced.directory(&self.dir);
        }
    }

    pub(crate) fn shelf(&self) -> Shelf<'_> {
        Shelf {
            reactor: &self.reactor,
            fence: &self.fence,
            dir: &self.dir,
            config: &self.config,
            rebuilt: &self.rebuilt,
        }
    }

    /// The segment that is written, and what it is written with.
    pub(crate) fn active_and_shelf(&mut self) -> (&mut Active, Shelf<'_>) {
        let shelf = Shelf {
            reactor: &self.reactor,
            fence: &self.fence,
            dir: &self.dir,
            config: &self.config,
            rebuilt: &self.rebuilt,
        };
        (&mut self.active, shelf)
    }

    /// Where the next batch goes, unless it rolls.
    pub(crate) fn end_place(&self) -> Place {
        Place {
            offset: self.end,
            segment: self.active.base,
            position: self.active.bytes,
        }
    }

    /// Base and size of the segment at `at`, counted from the oldest.
    pub(crate) fn segment(&self, at: usize) -> Extent {
        match self.sealed.get(at) {
            Some(segment) => Extent {
                base: segment.base,
                bytes: segment.bytes,
            },
            None => Extent {
                base: self.active.base,
                bytes: self.active.bytes,
            },
        }
    }

    /// The offset after the last of the segment at `at`.
    pub(crate) fn segment_end(&self, at: usize) -> Offset {
        if at + 1 < self.segment_count() {
            self.segment(at + 1).base
        } else {
            self.end
        }
    }

    /// The segment that holds `offset`, or the oldest.
    pub(crate) fn segment_of(&self, offset: Offset) -> usize {
        if offset >= self.active.base {
            return self.sealed.len();
        }
        self.sealed
            .partition_point(|segment| segment.base <= offset)
            .saturating_sub(1)
    }

    /// The segment of this base offset.
    pub(crate) fn segment_based(&self, base: Offset) -> Option<usize> {
        let at = self.segment_of(base);
        (self.segment(at).base == base).then_some(at)
    }
}

/// A segment's base offset and its size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) base: Offset,
    pub(crate) bytes: u64,
}
