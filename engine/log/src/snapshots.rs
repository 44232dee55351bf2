//! Producer snapshots: files in a log's directory that are named by the offset up to which they hold producer state.
//!
//! Bytes in, bytes out: their content is the partition's business (`ProducerStateManager.java`).

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
        let mut offsets: Vec<Offset> = entries
            .iter()
            .filter_map(|entry| SegmentFile::parse(entry.name.to_str()?))
            .filter(|file| file.kind == Kind::Snapshot && file.stage == Stage::Live)
            .map(|file| file.offset)
            .collect();
        offsets.sort_unstable();
        Ok(offsets)
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
        let file = small_file::replace(&self.reactor, &self.fence, &path, bytes)?;
        self.unsynced.file(file);
        self.unsynced.directory(&self.dir);
        Ok(())
    }

    /// Removes a snapshot, if it is there.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Failed`], [`Error::Fenced`].
    pub fn remove_snapshot(&mut self, offset: Offset) -> Result<(), Error> {
        self.fence.check()?;
        let path = names::path(&self.dir, offset, Kind::Snapshot);
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
