//! The zeros behind the last batch of a segment that grows, and finding its end again where a stopped process left them.
//!
//! The page cache keeps a file in pieces as large as the write that made them, and no larger than their place allows. Batches
//! of 64 KiB that begin anywhere come to lie in six pieces each, and every piece costs: to be made, written back, sent. So the
//! write that enters a block of 32 KiB takes the whole of it, with zeros behind the batch, and those after it fill that in.
//! They do not move the file's end either, which spares their sync the inode, and the write the wait for the file's block map
//! while a sync holds that. Of what is allocated beyond it knows no more than how far that goes.
//!
//! ```text
//!   .log   |  batch  |  batch  |   batch   |000000|  allocated, not written  |
//!          0      32 KiB    64 KiB       bytes  room
//! ```

use std::io;
use std::path::PathBuf;

use highwater_reactor::{File, Reactor};
use highwater_record::Offset;

use crate::config::Config;
use crate::error::Error;
use crate::index::Index;
use crate::log::Log;
use crate::walk::{Stop, Walk};

/// The block that is taken whole. Larger ones bring little more, and from 64 KiB on the kernel has no list of free pages at hand
/// (`docs/decisions/0004`).
const BLOCK_BYTES: u64 = 32 << 10;
/// A segment smaller than this, or than a sixteenth of `segment.bytes`, has no room: most partitions stay small, and every tool
/// that reads their files finds nothing but batches.
const FROM_BYTES: u64 = 1 << 20;
/// What a file system allocates at a time: with less than that allocated, this much can be filled all the same.
const PAGE_BYTES: u64 = 4096;

static ZEROS: [u8; 32 << 10] = [0; 32 << 10];

impl Log {
    /// Whether the active segment's file is longer than its batches, and [`Log::rest`] would change that. Not with
    /// `preallocate`, which keeps what it took.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.is_closed && !self.config.preallocate && self.active.has_room()
    }

    /// Leaves the active segment's file with nothing but its batches, and what was allocated ahead of it free: for a log to
    /// which nothing comes. Nothing of it needs a sync.
    ///
    /// # Errors
    /// [`Error::Full`] (nothing is lost; the next append or rest tries again), [`Error::Failed`], [`Error::Fenced`].
    pub fn rest(&mut self) -> Result<(), Error> {
        self.fence.check()?;
        let (active, shelf) = self.active_and_shelf();
        active.rest(&shelf)
    }
}

/// Where the room ends of a segment whose batches are about to end at `end`, if they are the first to go beyond it, and whose
/// file has `allocated` bytes.
pub(crate) fn end(config: &Config, end: u64, allocated: u64) -> u64 {
    if end < FROM_BYTES.min(u64::from(config.segment_bytes) / 16) {
        return end;
    }
    let whole_pages = allocated - allocated % PAGE_BYTES;
    let at_least = end.next_multiple_of(PAGE_BYTES);
    end.next_multiple_of(BLOCK_BYTES)
        .min(whole_pages.max(at_least))
}

/// So many zeros, at most a block.
pub(crate) fn zeros(len: u64) -> &'static [u8] {
    let len = usize::try_from(len).expect("less than a block");
    &ZEROS[..len]
}

/// Whether a `.log` of `len` bytes may end with room.
pub(crate) fn may_be_at(len: u64) -> bool {
    len > 0 && len.is_multiple_of(PAGE_BYTES)
}

/// The bytes of whole batches in a `.log` of `len` bytes. `len` where it does not end with room; what else may be wrong with it
/// is for others to find.
pub(crate) fn without(
    reactor: &Reactor,
    file: &File,
    index: PathBuf,
    base: Offset,
    len: u64,
) -> io::Result<u64> {
    if !may_be_at(len) || !is_zero(file, len - 1, len)? {
        return Ok(len);
    }
    let index = match Index::open(reactor, index, base, len, Offset::MAX) {
        Ok(index) => index,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
        Err(error) => return Err(error),
    };
    let near = index.and_then(|index| index.last_position());
    for from in near.into_iter().chain([0]) {
        let end = last_batch_end(file, from, len, base)?;
        if end == len || len - end < BLOCK_BYTES && is_zero(file, end, len)? {
            return Ok(end);
        }
    }
    Ok(len)
}

/// Where the batches stop that begin at `from`.
fn last_batch_end(file: &File, from: u64, len: u64, base: Offset) -> io::Result<u64> {
    let mut walk = Walk::new(file, from, len, base);
    loop {
        match walk.next() {
            Ok(Some(_)) => {}
            Ok(None) | Err(Stop::Broken(_)) => return Ok(walk.position()),
            Err(Stop::Unreadable(error)) => return Err(error),
        }
    }
}

fn is_zero(file: &File, from: u64, to: u64) -> io::Result<bool> {
    let mut bytes = vec![0; usize::try_from(to - from).expect("at most a block")];
    file.read_exact_at(from, &mut bytes)?;
    Ok(bytes.iter().all(|byte| *byte == 0))
}
