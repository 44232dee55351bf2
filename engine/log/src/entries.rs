//! A file of fixed-size entries that is only ever appended to and cut: what the offset index and the time index share.
//!
//! It does not know what an entry means, only that entries rise. The newest entries stay in memory until there are enough
//! of them for a write; they are lost with the process, and recovery makes them again from the log.

use std::io;
use std::path::{Path, PathBuf};

use highwater_reactor::{File, OpenOptions, Reactor};

/// Entries kept in memory before they are written in one piece.
const PENDING_MAX: usize = 256;
/// Entries that a full device may keep from being written before the newer ones are dropped: an index may be sparse.
const PENDING_BOUND: usize = 4 * PENDING_MAX;
/// Below this many entries a search reads them all and looks in memory.
const BLOCK_ENTRIES: u32 = 256;

/// An entry as it lies in the file.
pub(crate) trait Entry: Copy + Eq + std::fmt::Debug {
    /// Bytes in the file.
    const BYTES: usize;
    /// Appends its bytes.
    fn encode(self, into: &mut Vec<u8>);
    /// Reads it from exactly [`Entry::BYTES`] bytes.
    fn decode(bytes: &[u8]) -> Self;
}

/// The entries of one index file. No descriptor is kept: a partition that is idle costs none for its indexes.
#[derive(Debug)]
pub(crate) struct Entries<E> {
    reactor: Reactor,
    path: PathBuf,
    /// Entries in the file.
    written: u32,
    /// Entries that follow them, in memory.
    pending: Vec<E>,
    last: Option<E>,
}

impl<E: Entry> Entries<E> {
    /// Makes the file, empty, displacing one that is there.
    pub(crate) fn create(reactor: &Reactor, path: PathBuf) -> io::Result<Entries<E>> {
        // Emptying the old file would leave its entries to come back after a power cut; its name goes with the directory's sync.
        match reactor.remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        reactor.open(&path, OpenOptions::CREATE_NEW)?;
        let reactor = reactor.clone();
        Ok(Entries {
            reactor,
            path,
            written: 0,
            pending: Vec::new(),
            last: None,
        })
    }

    /// Opens an existing file; `Ok(None)` when its size is not a whole number of entries.
    pub(crate) fn open(reactor: &Reactor, path: PathBuf) -> io::Result<Option<Entries<E>>> {
        let file = reactor.open(&path, OpenOptions::READ)?;
        let bytes = file.len()?;
        let Ok(written) = u32::try_from(bytes / E::BYTES as u64) else {
            return Ok(None);
        };
        if bytes % E::BYTES as u64 != 0 {
            return Ok(None);
        }
        let last = match written.checked_sub(1) {
            Some(at) => block(&file, at, written)?.pop(),
            None => None,
        };
        let reactor = reactor.clone();
        Ok(Some(Entries {
            reactor,
            path,
            written,
            pending: Vec::new(),
            last,
        }))
    }

    /// Number of entries, written or not.
    pub(crate) fn len(&self) -> u32 {
        self.written + u32::try_from(self.pending.len()).expect("at most PENDING_BOUND")
    }

    /// The newest entry.
    pub(crate) fn last(&self) -> Option<E> {
        self.last
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, to be synced.
    pub(crate) fn file(&self) -> io::Result<File> {
        self.reactor.open(&self.path, OpenOptions::READ_WRITE)
    }

    /// Adds an entry; writes when enough have come together.
    ///
    /// A device without space costs the index its newest entries, and nothing else: it only gets sparser.
    pub(crate) fn push(&mut self, entry: E) -> io::Result<()> {
        if self.pending.len() >= PENDING_BOUND {
            return self.write();
        }
        self.pending.push(entry);
        self.last = Some(entry);
        if self.pending.len().is_multiple_of(PENDING_MAX) {
            self.write()
        } else {
            Ok(())
        }
    }

    /// Writes what is in memory. After an error everything is as before.
    fn write(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(self.pending.len() * E::BYTES);
        for entry in &self.pending {
            entry.encode(&mut bytes);
        }
        let position = u64::from(self.written) * E::BYTES as u64;
        self.file()?.append_at(position, &[&bytes])?;
        self.written = self.len();
        self.pending.clear();
        Ok(())
    }

    /// Writes what is in memory and cuts the file behind it.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.write()?;
        let (file, bytes) = (self.file()?, u64::from(self.written) * E::BYTES as u64);
        if file.len()? == bytes {
            Ok(())
        } else {
            file.set_len(bytes)
        }
    }

    /// Keeps the first `count` entries.
    pub(crate) fn truncate(&mut self, count: u32) -> io::Result<()> {
        if count >= self.len() {
            return Ok(());
        }
        if count >= self.written {
            self.pending.truncate((count - self.written) as usize);
        } else {
            self.pending.clear();
            self.file()?.set_len(u64::from(count) * E::BYTES as u64)?;
            self.written = count;
        }
        self.last = None;
        self.last = match count.checked_sub(1) {
            Some(at) => self.get(at)?,
            None => None,
        };
        Ok(())
    }

    /// The last entry for which `below` holds. `below` must hold for a first part of the entries and for none after it.
    pub(crate) fn last_where(&self, below: impl Fn(&E) -> bool) -> io::Result<Option<E>> {
        match self.count_where(below)?.checked_sub(1) {
            Some(at) => self.get(at),
            None => Ok(None),
        }
    }

    /// How many entries at the beginning `below` holds for.
    pub(crate) fn count_where(&self, below: impl Fn(&E) -> bool) -> io::Result<u32> {
        if self.pending.first().is_some_and(&below) || self.written == 0 {
            let count = self.pending.partition_point(&below);
            return Ok(self.written + u32::try_from(count).expect("at most PENDING_BOUND"));
        }
        let file = self.reactor.open(&self.path, OpenOptions::READ)?;
        let (mut low, mut high) = (0, self.written);
        while high - low > BLOCK_ENTRIES {
            let middle = low + (high - low) / 2;
            if block::<E>(&file, middle, middle + 1)?.iter().all(&below) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let count = block(&file, low, high)?.partition_point(below);
        Ok(low + u32::try_from(count).expect("at most BLOCK_ENTRIES"))
    }

    /// The entry at `at`, which is below [`Entries::len`].
    fn get(&self, at: u32) -> io::Result<Option<E>> {
        match at.checked_sub(self.written) {
            Some(at) => Ok(self.pending.get(at as usize).copied()),
            None if at + 1 == self.written && self.pending.is_empty() && self.last.is_some() => {
                Ok(self.last)
            }
            None => {
                let file = self.reactor.open(&self.path, OpenOptions::READ)?;
                Ok(block(&file, at, at + 1)?.pop())
            }
        }
    }
}

/// Entries `from..to` of a file.
fn block<E: Entry>(file: &File, from: u32, to: u32) -> io::Result<Vec<E>> {
    let mut bytes = vec![0; (to - from) as usize * E::BYTES];
    file.read_exact_at(u64::from(from) * E::BYTES as u64, &mut bytes)?;
    Ok(bytes.chunks_exact(E::BYTES).map(E::decode).collect())
}
