//! A disk that keeps what was written apart from what is durable, for bytes and for names, and that can fail at the
//! n-th operation, fill up and lose power. It knows files, not logs.
//!
//! ```text
//!   append_at ──► content, what a read sees        create, rename ──► entries, what a list sees
//!          └────► pending changes                             └─────► pending changes of the directory
//!                   │ sync_data                                          │ sync_dir
//!                   ▼                                                    ▼
//!                 durable ◄──────────────── what a crash leaves ────── durable
//! ```

mod content;
mod directory;
mod faults;
mod handle;
mod state;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::chance::Chance;
use crate::file::{Entry, OpenOptions, Space};
use content::Content;
use directory::Directory;
use faults::Faults;
pub(crate) use handle::Handle;
use state::{Node, ROOT, State};

/// How the world ends for the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crash {
    /// Only the process died: everything written is there.
    KeepAll,
    /// The power went at once: everything that was not synced is gone, bytes and names.
    LoseUnsynced,
    /// The power went, and of each file's unsynced changes a first part, by chance, had reached the disk in order;
    /// likewise of each directory's.
    KeepPrefix,
    /// The power went, and each unsynced page of each write had reached the disk or not, by chance and in any order,
    /// some only in part. Names survive as in [`Crash::KeepPrefix`]: a journal keeps them in order.
    KeepRandom,
    /// Everything survives but the last write that was not synced, of which only the first `kept_bytes` do. The
    /// file's length is what it was after the whole write where `length_kept`: the rest reads as zeros.
    Torn {
        /// Bytes of the write that reached the disk.
        kept_bytes: u64,
        /// Whether the new length reached the disk although the bytes did not.
        length_kept: bool,
    },
}

/// What can be made to fail, and is counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Operation {
    /// A write to a file; one per `append_at`, unless it was cut short.
    Write,
    /// A read from a file.
    Read,
    /// `sync_data`. After a failure the bytes concerned can be read, but no later sync makes them durable.
    Sync,
    /// `sync_dir`.
    SyncDir,
    /// Making a file, by opening it, or a directory.
    Create,
    /// Opening a file that exists.
    Open,
    /// A rename.
    Rename,
    /// A removal; one for a whole directory.
    Remove,
    /// `set_len`.
    SetLen,
    /// `allocate`.
    Allocate,
}

/// The disk of a simulated world, as a test sees it. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct Disk {
    state: Arc<Mutex<State>>,
}

fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

impl Disk {
    pub(super) fn new(chance: Chance) -> Self {
        let root = Node::Directory(Directory::default());
        Self {
            state: Arc::new(Mutex::new(State {
                chance,
                nodes: BTreeMap::from([(ROOT, root)]),
                next_node: ROOT + 1,
                clock: 0,
                life: 0,
                capacity: None,
                faults: Faults::default(),
                sync_time: (Duration::from_micros(50), Duration::from_millis(2)),
            })),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Crashes. [`super::World::crash`] does this and ends the tasks, which is what a test wants.
    pub fn crash(&self, crash: Crash) {
        self.state().crash(crash);
    }

    /// The `nth` operation of that kind from now (1 is the next) fails with `errno`, once, and does nothing.
    pub fn fail(&self, operation: Operation, nth: u64, errno: i32) {
        self.state().faults.fail_at(operation, nth, 0, errno);
    }

    /// The `nth` write from now (1 is the next) stores only its first `bytes` bytes and then fails with `errno`, once.
    pub fn fail_write_after(&self, nth: u64, bytes: u64, errno: i32) {
        self.state()
            .faults
            .fail_at(Operation::Write, nth, bytes, errno);
    }

    /// Every operation of that kind fails with `errno` from the `nth` on, until [`Self::heal`].
    pub fn fail_from(&self, operation: Operation, nth: u64, errno: i32) {
        self.state().faults.fail_from(operation, nth, errno);
    }

    /// The `nth` operation of that kind from now (1 is the next) and all others of any kind after it fail with `EIO`,
    /// until [`Self::heal`] or a crash: the power goes in the middle of something.
    pub fn die_at(&self, operation: Operation, nth: u64) {
        self.state().faults.die_at(operation, nth);
    }

    /// Forgets all faults that have not happened yet.
    pub fn heal(&self) {
        self.state().faults.heal();
    }

    /// How often an operation was asked for since the world was made.
    pub fn count(&self, operation: Operation) -> u64 {
        self.state().faults.count(operation)
    }

    /// Room for all files together in bytes, allocated or written; `None` is without limit. What does not fit is
    /// `ENOSPC`, after the part of it that does.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Bytes that all files together take.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// What a file system would say of itself; one without limit says it is as large as one can be.
    pub(super) fn space(&self, path: &Path) -> io::Result<Space> {
        if !self.exists(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let state = self.state();
        let total_bytes = state.capacity.unwrap_or(u64::MAX);
        Ok(Space {
            total_bytes,
            usable_bytes: total_bytes.saturating_sub(state.used()),
        })
    }

    /// How long a sync takes: between the two, by chance.
    pub fn set_sync_time(&self, least: Duration, most: Duration) {
        self.state().sync_time = (least, most);
    }

    pub(super) fn sync_time(&self) -> (Duration, Duration) {
        self.state().sync_time
    }

    /// Flips the bits of `mask` in one byte of a file, on the disk and in memory: decay that nobody noticed.
    pub fn flip(&self, path: &Path, position: u64, mask: u8) -> io::Result<()> {
        let mut state = self.state();
        let node = state.find(path)?;
        state.content_mut(node)?.flip(position, mask)
    }

    /// What a crash that loses everything unsynced would leave of a file's bytes; `NotFound` where its name would be
    /// lost too.
    pub fn durable(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.state();
        let node = state.walk(path, Directory::durable)?;
        match state.nodes.get(&node) {
            Some(Node::File(content)) => Ok(content.durable().to_vec()),
            Some(Node::Directory(_)) | None => Err(errno(libc::EISDIR)),
        }
    }

    pub(crate) fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Handle> {
        let mut state = self.state();
        if !options.read && !options.write {
            return Err(errno(libc::EINVAL));
        }
        let changes = options.create || options.create_new || options.truncate;
        if changes && !options.write {
            return Err(errno(libc::EINVAL));
        }
        let node = match state.find(path) {
            Ok(_) if options.create_new => return Err(errno(libc::EEXIST)),
            Ok(node) => {
                state.faults.check(Operation::Open)?;
                if options.truncate {
                    state.change_time();
                    let clock = state.clock;
                    state.content_mut(node)?.set_len(0, clock);
                }
                node
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !options.create && !options.create_new {
                    return Err(error);
                }
                let (parent, name) = state.parent_of(path)?;
                state.faults.check(Operation::Create)?;
                let node = state.add(Node::File(Content::default()));
                state.directory_mut(parent)?.set(name, node);
                node
            }
            Err(error) => return Err(error),
        };
        state.content_mut(node)?.handles += 1;
        let (life, write, read) = (state.life, options.write, options.read);
        drop(state);
        Ok(Handle {
            disk: self.clone(),
            node,
            life,
            read,
            write,
        })
    }

    pub(crate) fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let node = state.find(path)?;
        state.content_mut(node)?;
        state.faults.check(Operation::Remove)?;
        let (parent, name) = state.parent_of(path)?;
        state.directory_mut(parent)?.unset(name);
        Ok(())
    }

    pub(super) fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let node = state.find(path)?;
        state.directory_mut(node)?;
        state.faults.check(Operation::Remove)?;
        let (parent, name) = state.parent_of(path)?;
        state.empty(node);
        state.directory_mut(parent)?.unset(name);
        Ok(())
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let node = state.find(from)?;
        let (from_parent, from_name) = state.parent_of(from)?;
        let (to_parent, to_name) = state.parent_of(to)?;
        state.faults.check(Operation::Rename)?;
        if let Ok(there) = state.find(to) {
            if there == node {
                return Ok(());
            }
            let is_dir = |node| matches!(state.nodes.get(&node), Some(Node::Directory(_)));
            match (is_dir(node), is_dir(there)) {
                (false, true) => return Err(errno(libc::EISDIR)),
                (true, false) => return Err(errno(libc::ENOTDIR)),
                (true, true) if !state.directory_mut(there)?.entries().is_empty() => {
                    return Err(errno(libc::ENOTEMPTY));
                }
                (true, true) | (false, false) => {}
            }
        }
        if from_parent == to_parent {
            state
                .directory_mut(from_parent)?
                .rename(from_name, to_name, node);
        } else {
            // A journal makes both halves durable together or not at all: here, at once.
            state.directory_mut(from_parent)?.unset(from_name);
            state.directory_mut(to_parent)?.set(to_name, node);
            state.directory_mut(from_parent)?.sync(u64::MAX);
            state.directory_mut(to_parent)?.sync(u64::MAX);
        }
        Ok(())
    }

    pub(super) fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.find(path).is_ok() {
            return Err(errno(libc::EEXIST));
        }
        let (parent, name) = state.parent_of(path)?;
        state.faults.check(Operation::Create)?;
        let node = state.add(Node::Directory(Directory::default()));
        state.directory_mut(parent)?.set(name, node);
        Ok(())
    }

    pub(super) fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        if let Some(above) = above
            && !self.exists(above)
        {
            self.create_dir_all(above)?;
        }
        match self.create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let mut state = self.state();
                let node = state.find(path)?;
                state.directory_mut(node).map(drop)
            }
            done => done,
        }
    }

    pub(super) fn exists(&self, path: &Path) -> bool {
        self.state().find(path).is_ok()
    }

    pub(crate) fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.state();
        let node = state.find(path)?;
        let entries = state.directory_mut(node)?.entries().clone();
        let entry = |(name, node): (OsString, u64)| match state.nodes.get(&node) {
            Some(Node::File(content)) => Entry {
                name,
                is_dir: false,
                len: content.len(),
            },
            Some(Node::Directory(_)) | None => Entry {
                name,
                is_dir: true,
                len: 0,
            },
        };
        Ok(entries.into_iter().map(entry).collect())
    }

    pub(super) fn begin_sync_dir(&self, path: &Path) -> io::Result<Begun> {
        let mut state = self.state();
        let node = state.find(path)?;
        let upto = state.directory_mut(node)?.changes();
        Ok(Begun {
            node,
            upto,
            life: state.life,
        })
    }

    pub(super) fn finish_sync_dir(&self, begun: Begun) -> io::Result<()> {
        let mut state = self.state();
        state.check_life(begun.life)?;
        state.faults.check(Operation::SyncDir)?;
        state.directory_mut(begun.node)?.sync(begun.upto);
        Ok(())
    }
}

/// A sync under way: it covers what had changed when it began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    node: u64,
    upto: u64,
    life: u64,
}
