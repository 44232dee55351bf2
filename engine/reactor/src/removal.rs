//! Removing what is large without holding the shard up: names go at once, the space behind them is given back on the blocking
//! pool. Knows sizes, not what the files were.
//!
//! The kernel frees blocks and cached pages when the last handle of a nameless file is closed: a quarter of a second for a
//! gigabyte. So a file is held open while its name goes, and the handle is closed elsewhere: one file at a time, or those of a
//! topic that is deleted would keep all threads of the pool from the syncs of directories behind them.

use std::io;
use std::path::Path;

use crate::file::{File, OpenOptions};
use crate::reactor::Reactor;

/// A file below this is removed in no time.
const LARGE_BYTES: u64 = 1 << 20;

impl Reactor {
    /// [`Self::remove_file`], for a file that may be large: its name is gone when this returns, its space a little later.
    ///
    /// # Errors
    /// As for [`Self::remove_file`]; the file is still there then.
    pub fn remove_large_file(&self, path: &Path) -> io::Result<()> {
        if let Some(held) = self.remove_and_hold(path)? {
            let reactor = self.clone();
            let closed = async move { reactor.unblock_slow(move || drop(held)).await };
            self.spawn(closed).detach();
        }
        Ok(())
    }

    /// [`Self::remove_dir_all`], for a directory whose files may be large and many: one after the other. Dropped half-way, some
    /// of it is gone.
    ///
    /// # Errors
    /// As for [`Self::remove_dir_all`]; some of it may be gone then.
    pub async fn remove_large_dir(&self, path: &Path) -> io::Result<()> {
        for entry in self.list(path)? {
            if !entry.is_dir && entry.len >= LARGE_BYTES {
                let held = self.remove_and_hold(&path.join(&entry.name))?;
                self.unblock_slow(move || drop(held)).await;
            }
        }
        self.remove_dir_all(path)
    }

    /// Removes a file's name; what is left of it, if that is large. A file that cannot be opened is removed all the same, and
    /// holds the shard up.
    fn remove_and_hold(&self, path: &Path) -> io::Result<Option<File>> {
        let held = self.open(path, OpenOptions::READ).ok();
        self.remove_file(path)?;
        let is_large = |file: &File| file.len().is_ok_and(|len| len >= LARGE_BYTES);
        Ok(held.filter(is_large))
    }
}
