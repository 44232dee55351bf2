//! Removing what is large without holding the shard up: names go at once, the space behind them is given back on the blocking
//! pool. Knows sizes, not what the files were.
//!
//! The kernel frees blocks and cached pages when the last handle of a nameless file is closed: a quarter of a second for a
//! gigabyte. So a file is held open while its name goes, and the handle is closed elsewhere.

use std::io;
use std::path::Path;

use crate::file::{File, OpenOptions};
use crate::reactor::Reactor;

/// A file below this is removed in no time.
const LARGE_BYTES: u64 = 1 << 20;

/// Files that are held open at once while a directory goes.
const HELD_MAX: usize = 64;

impl Reactor {
    /// [`Self::remove_file`], for a file that may be large.
    ///
    /// # Errors
    /// As for [`Self::remove_file`]; the file is still there then.
    pub fn remove_large_file(&self, path: &Path) -> io::Result<()> {
        // One that cannot be opened is removed all the same, and holds the shard up.
        let held = self.open(path, OpenOptions::READ).ok();
        self.remove_file(path)?;
        self.let_go(held.into_iter().collect());
        Ok(())
    }

    /// [`Self::remove_dir_all`], for a directory whose files may be large and many.
    ///
    /// # Errors
    /// As for [`Self::remove_dir_all`]; some of it may be gone then.
    pub fn remove_large_dir(&self, path: &Path) -> io::Result<()> {
        let entries = self.list(path)?;
        let large = entries
            .iter()
            .filter(|entry| !entry.is_dir && entry.len >= LARGE_BYTES);
        let held: Vec<File> = large
            .take(HELD_MAX)
            .filter_map(|entry| self.open(&path.join(&entry.name), OpenOptions::READ).ok())
            .collect();
        self.remove_dir_all(path)?;
        self.let_go(held);
        Ok(())
    }

    /// Closes files on the blocking pool, one after the other.
    fn let_go(&self, held: Vec<File>) {
        let is_worthwhile = |file: &File| file.len().is_ok_and(|len| len >= LARGE_BYTES);
        if held.iter().any(is_worthwhile) {
            let reactor = self.clone();
            let closed = async move { reactor.unblock(move || drop(held)).await };
            self.spawn(closed).detach();
        }
    }
}
