//! The simulated disk.
#![allow(dead_code, unused_variables, clippy::unimplemented)]
use std::io;
use std::mem::MaybeUninit;

/// How the power goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crash {
    /// Only the process died: everything written is there.
    KeepAll,
    /// Everything that was not synced is gone.
    LoseUnsynced,
    /// Each unsynced page and name survives or not, by the seed.
    KeepRandom,
    /// Everything survives but the last write, of which only the first `kept_bytes` do.
    Torn {
        /// Bytes of the last write that reached the disk.
        kept_bytes: u64,
    },
}

/// What can be made to fail.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Operation {
    /// A write to a file.
    Write,
    /// A read from a file.
    Read,
    /// `sync_data`.
    Sync,
    /// `sync_dir`.
    SyncDir,
    /// Opening with creation of a new file, or making a directory.
    Create,
    /// Opening what exists.
    Open,
    /// A rename.
    Rename,
    /// A removal.
    Remove,
    /// `set_len`.
    SetLen,
    /// `allocate`.
    Allocate,
}

/// The disk of a simulated world, as a test sees it.
#[derive(Clone, Debug)]
pub struct Disk;

impl Disk {
    /// The power goes. End the world's tasks with `World::restart` after it.
    pub fn crash(&self, crash: Crash) {
        unimplemented!()
    }
    /// The `nth` operation of that kind from now (1 is the next) fails with `errno`, once.
    pub fn fail(&self, operation: Operation, nth: u64, errno: i32) {
        unimplemented!()
    }
    /// The `nth` write from now (1 is the next) stores only its first `bytes` bytes and then fails with `errno`.
    pub fn fail_write_after(&self, nth: u64, bytes: u64, errno: i32) {
        unimplemented!()
    }
    /// Room for all files together in bytes, `None` without limit; writes and allocations beyond it are `ENOSPC`.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        unimplemented!()
    }
    /// How often an operation was asked for since the world was made.
    pub fn count(&self, operation: Operation) -> u64 {
        unimplemented!()
    }
}

#[derive(Debug)]
pub(crate) struct Handle;
impl Handle {
    pub(crate) fn write(&self, parts: &[&[u8]], skip: usize, position: u64) -> io::Result<usize> {
        unimplemented!()
    }
    pub(crate) fn read(&self, into: &mut [MaybeUninit<u8>], position: u64) -> io::Result<usize> {
        unimplemented!()
    }
    pub(crate) fn len(&self) -> io::Result<u64> {
        unimplemented!()
    }
    pub(crate) fn set_len(&self, len: u64) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn allocate(&self, len: u64) -> io::Result<()> {
        unimplemented!()
    }
}
