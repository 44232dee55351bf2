//! Producer snapshots: files in a log's directory that are named by the offset up to which they hold producer state.
//!
//! Bytes in, bytes out: their content is the partition's business (`ProducerStateManager.java`).

use std::future::Future;
use std::path::Path;

use highwater_reactor::{Entry, FileSystem};
use highwater_record::Offset;

use crate::error::Error;
use crate::log::Log;
use crate::names::{self, Kind, SegmentFile, Stage};
use crate::small_file;

impl Log {
    /// The producer snapshots in the directory, by offset, oldest first.
    ///
    /// # Errors
    /// [`Error::Unreadable`].
    pub fn snapshots(&self) -> Result<Vec<Offset>, Error> {
        let entries = self
            .reactor
            .list(&self.dir)
            .map_err(|error| Error::read(&self.dir, error))?;
        Ok(offsets(&entries))
    }

    /// The bytes of a snapshot; `None` when there is none at that offset. After a power cut they may be any.
    ///
    /// # Errors
    /// [`Error::Unreadable`].
    pub fn read_snapshot(&self, offset: Offset) -> Result<Option<Vec<u8>>, Error> {
        small_file::read(
            &self.reactor,
            &names::path(&self.dir, offset, Kind::Snapshot),
        )
    }

    /// Writes a snapshot; the next ticket makes it durable.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Failed`], [`Error::Fenced`].
    pub fn write_snapshot(&mut self, offset: Offset, bytes: &[u8]) -> Result<(), Error> {
        self.fence.check()?;
        let path = names::path(&self.dir, offset, Kind::Snapshot);
        let files = self.reactor.file_system();
        let file = small_file::replace(&files, &self.fence, &path, bytes)?;
        self.unsynced.file(file);
        self.unsynced.directory(&self.dir);
        Ok(())
    }

    /// Has a snapshot written, synced and given its name away from the shard, and all but the newest `kept` removed. `None`: the
    /// log was cut, closed or deleted before that was done.
    ///
    /// No ticket carries it. Its name is as durable as the next sync of the directory makes it; before that a power cut costs the
    /// next start a longer read. It may reach the device before the log it tells of: who opens the log removes what lies beyond
    /// its end.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Failed`], [`Error::Fenced`].
    pub fn send_snapshot(
        &self,
        offset: Offset,
        bytes: Vec<u8>,
        kept: usize,
    ) -> impl Future<Output = Option<Result<(), Error>>> + use<> {
        let asking = self.errands.asking();
        let counted = asking.counted();
        let (reactor, fence, dir) = (self.reactor.clone(), self.fence.clone(), self.dir.clone());
        let path = names::path(&dir, offset, Kind::Snapshot);
        let (to, guard) = (path.clone(), fence.clone());
        let written = asking.run(move |files| {
            guard.check()?;
            small_file::write_beside(files, &guard, &to, &bytes)
        });
        async move {
            let _counted = counted;
            let file = match written.await? {
                Ok(file) => file,
                Err(error) => return Some(Err(error)),
            };
            let synced = reactor.sync_data(&file).await;
            let synced = synced.map_err(|error| Error::write(&fence, "sync", &path, error));
            let placed = asking.run(move |files| {
                if let Err(error) = synced.and_then(|()| fence.check()) {
                    small_file::drop_beside(files, &path);
                    return Err(error);
                }
                small_file::put_in_place(files, &fence, &path)?;
                remove_surplus(files, &dir, kept);
                Ok(())
            });
            placed.await
        }
    }

    /// Removes a snapshot, if it is there; the next ticket makes that durable.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Failed`], [`Error::Fenced`].
    pub fn remove_snapshot(&mut self, offset: Offset) -> Result<(), Error> {
        self.fence.check()?;
        let path = names::path(&self.dir, offset, Kind::Snapshot);
        self.unsynced.directory(&self.dir);
        small_file::remove(&self.reactor, &self.fence, &path)
    }

    /// Removes the snapshots that know of offsets the log does not have.
    pub(crate) fn remove_snapshots_above(&mut self, end: Offset) -> Result<(), Error> {
        for offset in self.snapshots()?.into_iter().filter(|offset| *offset > end) {
            self.remove_snapshot(offset)?;
        }
        Ok(())
    }
}

/// The snapshots among the names of a directory, by offset, oldest first.
fn offsets(entries: &[Entry]) -> Vec<Offset> {
    let mut offsets: Vec<Offset> = entries
        .iter()
        .filter_map(|entry| SegmentFile::parse(entry.name.to_str()?))
        .filter(|file| file.kind == Kind::Snapshot && file.stage == Stage::Live)
        .map(|file| file.offset)
        .collect();
    offsets.sort_unstable();
    offsets
}

/// Removes all snapshots but the newest. What cannot be removed goes another time.
fn remove_surplus(files: &FileSystem, dir: &Path, kept: usize) {
    let Ok(entries) = files.list(dir) else { return };
    let offsets = offsets(&entries);
    let surplus = offsets.len().saturating_sub(kept);
    for offset in offsets.into_iter().take(surplus) {
        let path = names::path(dir, offset, Kind::Snapshot);
        if let Err(error) = files.remove_file(&path) {
            tracing::debug!(%error, path = %path.display(), "producer snapshot not removed");
        }
    }
}
