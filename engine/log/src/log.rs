//! One partition's log: joins segments, reads, retention and syncing. Each of them is a file of its own; here is only what
//! belongs to all.

use std::path::{Path, PathBuf};

use highwater_reactor::{Instant, Reactor};
use highwater_record::{Header, LeaderEpoch, Offset, Stamped};
use uuid::Uuid;

use crate::config::Config;
use crate::error::{Error, Fence, ReadError};
use crate::leader_epochs::LeaderEpochs;
use crate::reader::Ranges;
use crate::recovery::{Opening, Recovered};
use crate::sync::SyncTicket;

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

/// A segment that retention or delete-records took out of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    /// Its base offset.
    pub base: Offset,
    /// The offset after its last.
    pub end: Offset,
    /// Bytes of its `.log`.
    pub bytes: u64,
}

/// One partition's log, on the shard that owns it.
///
/// Invariant: `start_offset <= durable_offset <= end_offset`, but that start may be ahead of durable after delete-records.
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
}

impl Log {
    /// Makes a new log in `dir`, which must not exist: its parent must.
    ///
    /// # Errors
    /// [`Error::Full`] leaves nothing behind; [`Error::Failed`] fences.
    pub fn create(
        reactor: &Reactor,
        fence: &Fence,
        dir: PathBuf,
        topic_id: Uuid,
        config: Config,
    ) -> Result<Log, Error> {
        let _ = (reactor, fence, dir, topic_id, config);
        todo!()
    }

    /// Opens the log in `dir`, recovering it where it was not closed.
    ///
    /// # Errors
    /// [`Error`]: what cannot be read, written, or belongs to another topic. A damaged log is no error but is cut, and
    /// that is reported.
    pub fn open(
        reactor: &Reactor,
        fence: &Fence,
        dir: PathBuf,
        config: Config,
        opening: Opening,
    ) -> Result<(Log, Recovered), Error> {
        let _ = (reactor, fence, dir, config, opening);
        todo!()
    }

    /// Appends a batch, whose base offset must be [`Log::end_offset`], by one write into the page cache.
    ///
    /// # Errors
    /// Nothing is appended then: [`Error::Full`] (may go through later), [`Error::TooLarge`], [`Error::Failed`] and
    /// [`Error::Fenced`] (never again).
    pub fn append(&mut self, now_ms: i64, batch: &Stamped<'_>) -> Result<Appended, Error> {
        let _ = (now_ms, batch);
        todo!()
    }

    /// The first offset that may be read.
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        todo!()
    }

    /// The offset the next record gets.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        todo!()
    }

    /// Everything below is on stable media: the recovery point to be checkpointed.
    #[must_use]
    pub fn durable_offset(&self) -> Offset {
        todo!()
    }

    /// Bytes of all `.log` files.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        todo!()
    }

    /// The topic's id, from `partition.metadata`.
    #[must_use]
    pub fn topic_id(&self) -> Uuid {
        todo!()
    }

    /// The log's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Number of segments.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        todo!()
    }

    /// Bytes of batches between [`Log::durable_offset`] and [`Log::end_offset`].
    #[must_use]
    pub fn unsynced_bytes(&self) -> u64 {
        todo!()
    }

    /// When the oldest unsynced batch was appended; `None` when everything is durable.
    #[must_use]
    pub fn oldest_unsynced(&self) -> Option<Instant> {
        todo!()
    }

    /// What must be synced for what has been appended until now, or for the oldest part of it when that spans many
    /// segments.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Failed`] when what is buffered of an index cannot be written.
    pub fn sync_ticket(&mut self) -> Result<SyncTicket, Error> {
        todo!()
    }

    /// Takes note of how the syncing of a ticket ended.
    ///
    /// # Errors
    /// [`Error::Failed`] when it failed: the data directory is fenced, whatever the error was.
    pub fn synced(
        &mut self,
        ticket: &SyncTicket,
        outcome: std::io::Result<()>,
    ) -> Result<(), Error> {
        let _ = (ticket, outcome);
        todo!()
    }

    /// Starts write-back of what is not durable, and does not wait for it.
    ///
    /// # Errors
    /// [`Error::Failed`], which fences.
    pub fn start_writeback(&mut self) -> Result<(), Error> {
        todo!()
    }

    /// Whole batches from the one that holds `from` up to `upto`, which must be the end of a batch (a high watermark), at
    /// most `bytes_max` of them; the first is given whole, however large, when `at_least_one`.
    ///
    /// # Errors
    /// [`ReadError::OutOfRange`] unless `start_offset <= from <= end_offset`.
    pub fn read(
        &self,
        from: Offset,
        upto: Offset,
        bytes_max: u32,
        at_least_one: bool,
    ) -> Result<Ranges, ReadError> {
        let _ = (from, upto, bytes_max, at_least_one);
        todo!()
    }

    /// The header of the batch that holds `offset`, or of the first after it; `None` at the end.
    ///
    /// # Errors
    /// [`ReadError`], as [`Log::read`].
    pub fn header_at(&self, offset: Offset) -> Result<Option<Header>, ReadError> {
        let _ = offset;
        todo!()
    }

    /// Shows every batch header from the one that holds `from` to the end.
    ///
    /// # Errors
    /// [`ReadError`], as [`Log::read`].
    pub fn scan(&self, from: Offset, visit: impl FnMut(&Header)) -> Result<(), ReadError> {
        let _ = (from, visit);
        todo!()
    }

    /// The first record below `upto` whose timestamp is `timestamp_ms` or later.
    ///
    /// # Errors
    /// [`Error::Unreadable`] and [`Error::Corrupt`].
    pub fn offset_for_timestamp(
        &self,
        timestamp_ms: i64,
        upto: Offset,
    ) -> Result<Option<Found>, Error> {
        let _ = (timestamp_ms, upto);
        todo!()
    }

    /// The first record below `upto` that has the largest timestamp.
    ///
    /// # Errors
    /// [`Error::Unreadable`] and [`Error::Corrupt`].
    pub fn max_timestamp(&self, upto: Offset) -> Result<Option<Found>, Error> {
        let _ = upto;
        todo!()
    }

    /// The leader epochs of the log.
    #[must_use]
    pub fn leader_epochs(&self) -> &LeaderEpochs {
        todo!()
    }

    /// The epoch in which `offset` was written.
    #[must_use]
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.leader_epochs().epoch_of(offset)
    }

    /// The answer of OffsetForLeaderEpoch: see [`LeaderEpochs::end_offset_for`].
    #[must_use]
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.leader_epochs()
            .end_offset_for(epoch, self.end_offset())
    }

    /// Notes that `epoch` writes from [`Log::end_offset`] on, in `leader-epoch-checkpoint` too; the next ticket makes it
    /// durable. Nothing happens when it is known.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Failed`].
    pub fn assign_epoch(&mut self, epoch: LeaderEpoch) -> Result<(), Error> {
        let _ = epoch;
        todo!()
    }

    /// Deletes the segments that are below the start, too many or too old, and removes files whose delay is over. Nothing
    /// at or above `high_watermark` goes.
    ///
    /// # Errors
    /// [`Error`]; what was deleted before it stays deleted.
    pub fn retain(&mut self, now_ms: i64, high_watermark: Offset) -> Result<Vec<Deleted>, Error> {
        let _ = (now_ms, high_watermark);
        todo!()
    }

    /// Moves the start (delete-records): at once for readers; whole segments below it go. It does not move back. The
    /// caller checkpoints it as `log-start-offset-checkpoint`.
    ///
    /// # Errors
    /// [`Error`], the start having moved all the same.
    pub fn advance_start(&mut self, start: Offset) -> Result<Vec<Deleted>, Error> {
        let _ = start;
        todo!()
    }

    /// Begins a new segment when the active one has waited `segment.ms` though nothing came; returns its base offset.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Failed`].
    pub fn roll_if_old(&mut self, now_ms: i64) -> Result<Option<Offset>, Error> {
        let _ = now_ms;
        todo!()
    }

    /// Drops everything at or above `end`, which must be the start of a batch. Ranges read before may become unreadable.
    ///
    /// # Errors
    /// [`Error`].
    pub fn truncate_to(&mut self, end: Offset) -> Result<(), Error> {
        let _ = end;
        todo!()
    }

    /// Takes other settings, from the next decision on.
    pub fn reconfigure(&mut self, config: Config) {
        let _ = config;
        todo!()
    }

    /// Puts the files into the state a clean stop leaves: nothing beyond the last batch, indexes whole. When the ticket is
    /// synced, [`Log::durable_offset`] is [`Log::end_offset`]. Nothing may be appended after it.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Failed`].
    pub fn close(&mut self) -> Result<SyncTicket, Error> {
        todo!()
    }

    /// Renames the directory to `<topic>-<partition>.<id>-delete`, and returns its path for [`crate::DataDir::remove_deleted`]
    /// once the delay is over. What was read before stays readable.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Failed`].
    pub fn delete(self) -> Result<PathBuf, Error> {
        todo!()
    }

    /// The producer snapshots in the directory, by offset, oldest first.
    ///
    /// # Errors
    /// [`Error::Unreadable`].
    pub fn snapshots(&self) -> Result<Vec<Offset>, Error> {
        todo!()
    }

    /// The bytes of a snapshot; `None` when there is none at that offset.
    ///
    /// # Errors
    /// [`Error::Unreadable`].
    pub fn read_snapshot(&self, offset: Offset) -> Result<Option<Vec<u8>>, Error> {
        let _ = offset;
        todo!()
    }

    /// Writes a snapshot; the next ticket makes it durable.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Failed`].
    pub fn write_snapshot(&mut self, offset: Offset, bytes: &[u8]) -> Result<(), Error> {
        let _ = (offset, bytes);
        todo!()
    }

    /// Removes a snapshot, if it is there.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Failed`].
    pub fn remove_snapshot(&mut self, offset: Offset) -> Result<(), Error> {
        let _ = offset;
        todo!()
    }
}
