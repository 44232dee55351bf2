//! A file of either world: reads, writes and allocation are inline calls into the page cache; what waits for a
//! device (`Reactor::sync_data`, `Reactor::prefetch`) is awaited. It knows no segments and no formats.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::BytesMut;

use crate::sim;
use crate::sys;

/// How [`crate::Reactor::open`] opens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OpenOptions {
    /// May be read.
    pub read: bool,
    /// May be written.
    pub write: bool,
    /// Is made where it is missing.
    pub create: bool,
    /// Is made, and must have been missing (`AlreadyExists` otherwise).
    pub create_new: bool,
    /// Loses its content.
    pub truncate: bool,
}

impl OpenOptions {
    /// An existing file, to read.
    pub const READ: Self = Self {
        read: true,
        write: false,
        create: false,
        create_new: false,
        truncate: false,
    };
    /// An existing file, to read and write.
    pub const READ_WRITE: Self = Self {
        write: true,
        ..Self::READ
    };
    /// A file to read and write, made where it is missing.
    pub const CREATE: Self = Self {
        create: true,
        ..Self::READ_WRITE
    };
    /// A file to read and write that must not exist yet.
    pub const CREATE_NEW: Self = Self {
        create_new: true,
        ..Self::READ_WRITE
    };
    /// A file to read and write, made where it is missing, emptied where it is not.
    pub const TRUNCATE: Self = Self {
        truncate: true,
        ..Self::CREATE
    };
}

/// One name in a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The name, without the directory.
    pub name: OsString,
    /// A directory, or else a file.
    pub is_dir: bool,
    /// Length in bytes; zero for a directory.
    pub len: u64,
}

/// How much a file system holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Space {
    /// Its size in bytes.
    pub total_bytes: u64,
    /// Bytes that this user may still write.
    pub usable_bytes: u64,
}

/// An open file. Clones share it; it is closed with the last of them. `Send`, so that a plan made on one shard
/// can run on another.
#[derive(Clone, Debug)]
pub struct File {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    backing: Backing,
}

#[derive(Debug)]
pub(crate) enum Backing {
    Machine(fs::File),
    Sim(sim::disk::Handle),
}

impl File {
    pub(crate) fn new(path: PathBuf, backing: Backing) -> Self {
        Self {
            inner: Arc::new(Inner { path, backing }),
        }
    }

    pub(crate) fn backing(&self) -> &Backing {
        &self.inner.backing
    }

    /// Writes all of `parts`, one after the other, at `position`. On an error the file's length is unspecified:
    /// some of the bytes may be there.
    pub fn append_at(&self, position: u64, parts: &[&[u8]]) -> io::Result<()> {
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let mut done = 0;
        while done < total {
            let at = position + done as u64;
            let result = match &self.inner.backing {
                Backing::Machine(file) => sys::pwritev(file.as_fd(), parts, done, at),
                Backing::Sim(handle) => handle.write(parts, done, at),
            };
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => done += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// One read at `position`: how many bytes came, 0 at the end of the file.
    pub fn read_at(&self, position: u64, into: &mut [u8]) -> io::Result<usize> {
        // SAFETY: initialised bytes are valid `MaybeUninit` bytes, and `read_raw` only ever stores bytes there.
        let into = unsafe { &mut *(std::ptr::from_mut(into) as *mut [MaybeUninit<u8>]) };
        self.read_raw(position, into)
    }

    /// Reads until `into` is full; `UnexpectedEof` when the file ends before that.
    pub fn read_exact_at(&self, position: u64, into: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < into.len() {
            match self.read_at(position + done as u64, &mut into[done..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => done += read,
            }
        }
        Ok(())
    }

    /// Reads up to `len` bytes at `position` and appends them to `into`, in spare capacity that is reserved but
    /// not zeroed. Fewer bytes come only at the end of the file. On an error `into` is as it was.
    pub fn read_at_append(
        &self,
        position: u64,
        len: usize,
        into: &mut BytesMut,
    ) -> io::Result<usize> {
        into.reserve(len);
        let mut done = 0;
        while done < len {
            let spare = &mut into.spare_capacity_mut()[done..len];
            match self.read_raw(position + done as u64, spare)? {
                0 => break,
                read => done += read,
            }
        }
        // SAFETY: `read_raw` initialised the first `done` bytes of the spare capacity.
        unsafe { into.set_len(into.len() + done) };
        Ok(done)
    }

    fn read_raw(&self, position: u64, into: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        loop {
            let result = match &self.inner.backing {
                Backing::Machine(file) => sys::pread(file.as_fd(), into, position),
                Backing::Sim(handle) => handle.read(into, position),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return result,
            }
        }
    }

    /// Length in bytes, now.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a file's length is a question to the system, not a field"
    )]
    pub fn len(&self) -> io::Result<u64> {
        match &self.inner.backing {
            Backing::Machine(file) => Ok(file.metadata()?.len()),
            Backing::Sim(handle) => handle.len(),
        }
    }

    /// Cuts or extends (with zeros) to `len` bytes. Blocks allocated ahead beyond `len` are given back.
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        match &self.inner.backing {
            Backing::Machine(file) => file.set_len(len),
            Backing::Sim(handle) => handle.set_len(len),
        }
    }

    /// Whether this handle is all that is left of the file: it has no name, and nobody else has it open. A simulated file is never
    /// said to be.
    pub(crate) fn is_out_of_reach(&self) -> bool {
        let is_only_handle = Arc::strong_count(&self.inner) == 1;
        match &self.inner.backing {
            Backing::Machine(file) => {
                // Once it is nameless nobody can open it any more, so the order matters.
                let is_nameless = file.metadata().is_ok_and(|of| of.nlink() == 0);
                is_only_handle && is_nameless && sys::is_open_once(file)
            }
            Backing::Sim(_) => false,
        }
    }

    /// Allocates blocks for the first `len` bytes; the file's length stays (`fallocate` with `KEEP_SIZE`).
    /// A file system that cannot do that is no error: the blocks then come with the writes.
    pub fn allocate(&self, len: u64) -> io::Result<()> {
        let result = match &self.inner.backing {
            Backing::Machine(file) => sys::allocate_keep_size(file, len),
            Backing::Sim(handle) => handle.allocate(len),
        };
        match result {
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
            Ok(()) | Err(_) => result,
        }
    }

    /// Starts write-back of a range and does not wait (`sync_file_range`). No promise of durability.
    pub fn start_writeback(&self, position: u64, len: u64) -> io::Result<()> {
        match &self.inner.backing {
            Backing::Machine(file) => sys::start_writeback(file, position, len),
            Backing::Sim(_) => Ok(()),
        }
    }

    /// Makes what was written durable, and waits for it: for a thread of the pool.
    pub(crate) fn sync_here(&self) -> io::Result<()> {
        match &self.inner.backing {
            Backing::Machine(file) => file.sync_data(),
            Backing::Sim(_) => unreachable!("a simulated disk is synced by its world"),
        }
    }

    /// Forgets what the page cache holds of the file from `position` on and need not write: the next read comes from the
    /// disk. After a failed sync the cache shows bytes that the disk never got, and calls them clean; what was written
    /// and not yet written back stays (`posix_fadvise` with `DONTNEED`).
    pub fn drop_cached(&self, position: u64) -> io::Result<()> {
        match &self.inner.backing {
            Backing::Machine(file) => sys::drop_cached(file, position),
            Backing::Sim(handle) => handle.drop_cached(),
        }
    }

    /// Takes the file's lock (`flock`, exclusive) without waiting: `false` when another process, or another opening of
    /// the file in this one, holds it. The lock goes with the last clone. A simulated world has one process, and every
    /// lock in it is free.
    pub fn try_lock(&self) -> io::Result<bool> {
        match &self.inner.backing {
            Backing::Machine(file) => match file.try_lock() {
                Ok(()) => Ok(true),
                Err(fs::TryLockError::WouldBlock) => Ok(false),
                Err(fs::TryLockError::Error(error)) => Err(error),
            },
            Backing::Sim(_) => Ok(true),
        }
    }

    /// The path it was opened by; a later rename does not change it.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }
}
