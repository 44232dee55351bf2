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

/// The entries of one index file.
#[derive(Debug)]
pub(crate) struct Entries<E> {
    path: PathBuf,
    file: Option<File>,
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
        Ok(Entries {
            path,
            file: None,
            written: 0,
            pending: Vec::new(),
            last: None,
        })
    }

    /// Opens an existing file; `Ok(None)` when its size is not a whole number of entries.
    pub(crate) fn open(reactor: &Reactor, path: PathBuf) -> io::Result<Option<Entries<E>>> {
        let file = reactor.open(&path, OpenOptions::READ_WRITE)?;
        let bytes = file.len()?;
        let Ok(written) = u32::try_from(bytes / E::BYTES as u64) else {
            return Ok(None);
        };
        if bytes % E::BYTES as u64 != 0 {
            return Ok(None);
        }
        let mut entries = Entries {
            path,
            file: Some(file),
            written,
            pending: Vec::new(),
            last: None,
        };
        if let Some(at) = written.checked_sub(1) {
            entries.last = Some(entries.get(at)?);
        }
        Ok(Some(entries))
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

    /// The file, if it has been opened: to be synced.
    pub(crate) fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    /// Adds an entry; writes when enough have come together.
    ///
    /// A device without space costs the index its newest entries, and nothing else: it only gets sparser.
    pub(crate) fn push(&mut self, reactor: &Reactor, entry: E) -> io::Result<()> {
        if self.pending.len() >= PENDING_BOUND {
            return self.write(reactor);
        }
        self.pending.push(entry);
        self.last = Some(entry);
        if self.pending.len().is_multiple_of(PENDING_MAX) {
            self.write(reactor)
        } else {
            Ok(())
        }
    }

    /// Writes what is in memory. After an error everything is as before.
    pub(crate) fn write(&mut self, reactor: &Reactor) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(self.pending.len() * E::BYTES);
        for entry in &self.pending {
            entry.encode(&mut bytes);
        }
        let position = u64::from(self.written) * E::BYTES as u64;
        self.opened(reactor)?.append_at(position, &[&bytes])?;
        self.written = self.len();
        self.pending.clear();
        Ok(())
    }

    /// Writes what is in memory and cuts the file behind it.
    pub(crate) fn finish(&mut self, reactor: &Reactor) -> io::Result<()> {
        self.write(reactor)?;
        let bytes = u64::from(self.written) * E::BYTES as u64;
        if let Some(file) = &self.file
            && file.len()? != bytes
        {
            file.set_len(bytes)?;
        }
        Ok(())
    }

    /// Keeps the first `count` entries.
    pub(crate) fn truncate(&mut self, reactor: &Reactor, count: u32) -> io::Result<()> {
        if count >= self.len() {
            return Ok(());
        }
        if count >= self.written {
            self.pending.truncate((count - self.written) as usize);
        } else {
            self.pending.clear();
            self.opened(reactor)?
                .set_len(u64::from(count) * E::BYTES as u64)?;
            self.written = count;
        }
        self.last = match count.checked_sub(1) {
            Some(at) => Some(self.get(at)?),
            None => None,
        };
        Ok(())
    }

    /// The last entry for which `below` holds. `below` must hold for a first part of the entries and for none after it.
    pub(crate) fn last_where(&self, below: impl Fn(&E) -> bool) -> io::Result<Option<E>> {
        let count = self.count_where(below)?;
        count.checked_sub(1).map(|at| self.get(at)).transpose()
    }

    /// How many entries at the beginning `below` holds for.
    pub(crate) fn count_where(&self, below: impl Fn(&E) -> bool) -> io::Result<u32> {
        if self.pending.first().is_some_and(&below) {
            let count = self.pending.partition_point(&below);
            return Ok(self.written + u32::try_from(count).expect("at most PENDING_BOUND"));
        }
        let (mut low, mut high) = (0, self.written);
        while high - low > BLOCK_ENTRIES {
            let middle = low + (high - low) / 2;
            if below(&self.get(middle)?) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        let block = self.block(low, high)?;
        Ok(low + u32::try_from(block.partition_point(below)).expect("at most BLOCK_ENTRIES"))
    }

    /// The entry at `at`, which must exist.
    fn get(&self, at: u32) -> io::Result<E> {
        if let Some(at) = at.checked_sub(self.written) {
            return Ok(self.pending[at as usize]);
        }
        let block = self.block(at, at + 1)?;
        block
            .first()
            .copied()
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Written entries `from..to`.
    fn block(&self, from: u32, to: u32) -> io::Result<Vec<E>> {
        if from == to {
            return Ok(Vec::new());
        }
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = vec![0; (to - from) as usize * E::BYTES];
        file.read_exact_at(u64::from(from) * E::BYTES as u64, &mut bytes)?;
        Ok(bytes.chunks_exact(E::BYTES).map(E::decode).collect())
    }

    fn opened(&mut self, reactor: &Reactor) -> io::Result<&File> {
        if self.file.is_none() {
            self.file = Some(reactor.open(&self.path, OpenOptions::READ_WRITE)?);
        }
        Ok(self.file.as_ref().expect("opened above"))
    }
}
