//! Removing what is large without holding the shard up: names go at once, the space behind them is given back on the blocking
//! pool. Knows sizes, not what the files were.
//!
//! The kernel frees blocks and cached pages when the last handle of a nameless file is closed: a quarter of a second for a
//! gigabyte. So a file is held open while its name goes, and the handle is closed elsewhere. One file of a shard at a time: those
//! of a topic that is deleted would keep all threads of the pool from the syncs of directories behind them, and as many
//! descriptors open.
//!
//! Where the file system is mounted with `discard`, the device is told of all these blocks in one go, and whoever syncs meanwhile
//! waits for that, too. So a file is cut in steps before it is closed, with rests between them: without, a sync may wait for many.
//!
//! Only what nobody can reach is cut. Whoever has the file open reads on, and one that has kept a name (a hard link; a cleaning
//! that fenced) is closed and no more. Pages that `sendfile` has put in line for a socket are reached without a handle: they stay what
//! they are where the page cache lets them go whole, so a cut never goes through a folio, whose rest the kernel would fill with
//! zeros in place.

use std::io;
use std::path::Path;

use crate::file::{File, OpenOptions};
use crate::local::Permit;
use crate::reactor::Reactor;
use crate::sys;

/// A file below this is removed in no time.
const LARGE_BYTES: u64 = 1 << 20;

/// So much of a large file is given back at once, to a multiple of it: a millisecond of a device that discards, and twice the
/// largest folio where pages have 4 KiB.
const STEP_BYTES: u64 = 4 << 20;

/// With larger pages, folios are larger than a step.
const PAGE_BYTES_MAX: u64 = 4 << 10;

impl Reactor {
    /// [`Self::remove_file`], for a file that may be large: when others of this shard had their turn. Its space has been given
    /// back when this resolves. Dropped before, the file may be there or not.
    ///
    /// # Errors
    /// As for [`Self::remove_file`]; the file is still there then.
    pub async fn remove_large_file(&self, path: &Path) -> io::Result<()> {
        let turn = self.slow_turn().await;
        if let Some(held) = self.remove_and_hold(path)? {
            self.give_back(&turn, held).await;
        }
        Ok(())
    }

    /// Closes a file that may be large; if it has no name any more, its space has been given back when this resolves. Dropped
    /// before, that may hold the shard up.
    pub async fn close_large_file(&self, file: File) {
        if !is_large(&file) {
            return;
        }
        let turn = self.slow_turn().await;
        self.give_back(&turn, file).await;
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
        let held = self.open(path, OpenOptions::READ_WRITE).ok();
        self.remove_file(path)?;
        Ok(held.filter(is_large))
    }

    /// Closes a file, having given back what nobody else can reach any more; rests as long as each step took.
    async fn give_back(&self, turn: &Permit, mut file: File) {
        loop {
            let began = self.now();
            let step = move || {
                let goes_on = give_back_a_step(&file);
                goes_on.then_some(file)
            };
            match self.unblock_slow(turn, step).await {
                Some(rest) => file = rest,
                None => return,
            }
            let now = self.now();
            self.sleep_until(now + now.duration_since(began)).await;
        }
    }
}

fn is_large(file: &File) -> bool {
    file.len().is_ok_and(|len| len >= LARGE_BYTES)
}

/// Gives back a step of a file's end, if nobody can reach it any more and it is larger than that; whether it did. A failure is
/// no matter: the close gives back all there is.
fn give_back_a_step(file: &File) -> bool {
    let Some(last) = file.len().ok().and_then(|len| len.checked_sub(1)) else {
        return false;
    };
    let left = last / STEP_BYTES * STEP_BYTES;
    left > 0
        && sys::page_bytes() <= PAGE_BYTES_MAX
        && file.is_out_of_reach()
        && file.set_len(left).is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::file::Backing;

    #[test]
    fn only_what_nobody_can_reach_is_cut_and_that_in_whole_steps() {
        let dir = tempfile::tempdir().expect("made");
        let (path, link) = (dir.path().join("large"), dir.path().join("link"));
        fs::write(&path, vec![7; (11 << 20) + 5]).expect("written");
        let open = || {
            let file = fs::File::options().read(true).write(true).open(&path);
            File::new(path.clone(), Backing::Machine(file.expect("opened")))
        };
        let (held, other) = (open(), open());
        assert!(!give_back_a_step(&held), "it has a name");
        fs::hard_link(&path, &link).expect("linked");
        fs::remove_file(&path).expect("removed");
        assert!(!give_back_a_step(&held), "it has another name");
        fs::remove_file(&link).expect("removed");
        assert!(!give_back_a_step(&held), "another has it open");
        drop(other);
        let shared = held.clone();
        assert!(!give_back_a_step(&held), "a handle is shared");
        drop(shared);
        let len = || held.len().expect("known");
        assert_eq!(len(), (11 << 20) + 5);
        let new = tempfile::tempfile_in(dir.path()).expect("made");
        if !sys::is_open_once(&new) {
            // A file system that grants no leases: the close gives it all back.
            assert!(!give_back_a_step(&held));
            return;
        }
        assert!(give_back_a_step(&held));
        assert_eq!(len(), 8 << 20, "no folio is cut through");
        assert!(give_back_a_step(&held));
        assert_eq!(len(), 4 << 20);
        assert!(
            !give_back_a_step(&held),
            "the first step goes with the close"
        );
        assert_eq!(len(), 4 << 20);
    }
}
