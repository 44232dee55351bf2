//! Removing what is large without holding the shard up: names go at once, the space behind them is given back on the blocking
//! pool. Knows sizes, not what the files were.
//!
//! The kernel frees blocks and cached pages when the last handle of a nameless file is closed: a quarter of a second for a
//! gigabyte. So a file is held open while its name goes, and the handle is closed elsewhere. One file of a shard at a time: those
//! of a topic that is deleted would keep all threads of the pool from the syncs of directories behind them, and as many
//! descriptors open.

use std::io;
use std::path::Path;

use crate::file::{File, OpenOptions};
use crate::reactor::Reactor;

/// A file below this is removed in no time.
const LARGE_BYTES: u64 = 1 << 20;

impl Reactor {
    /// [`Self::remove_file`], for a file that may be large: when others of this shard had their turn. Its space has been given
    /// back when this resolves. Dropped before, the file may be there or not.
    ///
    /// # Errors
    /// As for [`Self::remove_file`]; the file is still there then.
    pub async fn remove_large_file(&self, path: &Path) -> io::Result<()> {
        let turn = self.slow_turn().await;
        if let Some(held) = self.remove_and_hold(path)? {
            self.unblock_slow(&turn, move || drop(held)).await;
        }
        Ok(())
    }

    /// Closes a file that may be large and has no name any more; its space has been given back when this resolves. Dropped
    /// before, that may hold the shard up.
    pub async fn close_large_file(&self, file: File) {
        if !is_large(&file) {
            return;
        }
        let turn = self.slow_turn().await;
        self.unblock_slow(&turn, move || drop(file)).await;
    }

    /// [`Self::remove_dir_all`], for a directory whose files may be large and many: one after the other. Dropped half-way, some
    /// of it is gone.
    ///
    /// # Errors
    /// As for [`Self::remove_dir_all`]; some of it may be gone then.
    pub async fn remove_large_dir(&self, path: &Path) -> io::Result<()> {
        for entry in self.list(path)? {
            if !entry.is_dir && entry.len >= LARGE_BYTES {
                self.remove_large_file(&path.join(&entry.name)).await?;
            }
        }
        self.remove_dir_all(path)
    }

    /// Removes a file's name; what is left of it, if that is large. A file that cannot be opened is removed all the same, and
    /// holds the shard up.
    fn remove_and_hold(&self, path: &Path) -> io::Result<Option<File>> {
        let held = self.open(path, OpenOptions::READ).ok();
        self.remove_file(path)?;
        Ok(held.filter(is_large))
    }
}

fn is_large(file: &File) -> bool {
    file.len().is_ok_and(|len| len >= LARGE_BYTES)
}
