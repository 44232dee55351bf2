//! What has been written and is not yet on stable media, and the tickets by which it gets there.
//!
//! It does not sync: the shell that holds a ticket does, without the log being borrowed.

use std::path::PathBuf;

use highwater_reactor::{File, Reactor};
use highwater_record::Offset;
use smallvec::SmallVec;

/// What must be synced so that everything below [`SyncTicket::end`] is durable. Owns its handles: the log may be appended
/// to, and even be deleted, meanwhile.
///
/// ```ignore
/// let ticket = log.borrow_mut().sync_ticket()?;
/// let outcome = ticket.sync(&reactor).await;
/// log.borrow_mut().synced(&ticket, outcome)?;      // the first failure fences the data directory
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is durable before the ticket's files are synced and the log is told"]
pub struct SyncTicket {
    pub(crate) files: SmallVec<[File; 4]>,
    pub(crate) directories: SmallVec<[PathBuf; 2]>,
    pub(crate) end: Offset,
}

impl SyncTicket {
    /// The files whose data must be synced, in any order.
    #[must_use]
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// The directories whose entries must be synced, after the files.
    #[must_use]
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Everything below is durable once the ticket's files and directories are.
    #[must_use]
    pub fn end(&self) -> Offset {
        self.end
    }

    /// Whether there is nothing to sync.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.directories.is_empty()
    }

    /// Syncs files, then directories.
    ///
    /// # Errors
    /// The first failure. Give it to [`crate::Log::synced`], which fences the data directory.
    pub async fn sync(&self, reactor: &Reactor) -> std::io::Result<()> {
        for file in &self.files {
            reactor.sync_data(file).await?;
        }
        for directory in &self.directories {
            reactor.sync_dir(directory).await?;
        }
        Ok(())
    }
}
