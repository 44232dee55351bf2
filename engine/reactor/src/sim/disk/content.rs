//! The bytes of one file: what a read sees, what is durable, and the changes in between.

use std::io;

use super::Crash;
use crate::sim::chance::Chance;

/// What a disk writes whole or not at all, most of the time.
const PAGE_BYTES: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Content {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// Blocks taken ahead, in bytes from the start.
    allocated: u64,
    /// Changes that no sync has covered yet, in order.
    pending: Vec<Change>,
    /// Open files.
    pub(super) handles: u32,
}

#[derive(Debug)]
struct Change {
    at: u64,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Write { position: usize, bytes: Vec<u8> },
    SetLen(usize),
}

/// A position that memory can have; nothing in a test comes near the end of it.
fn index(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

fn store(into: &mut Vec<u8>, position: usize, bytes: &[u8]) {
    let end = position + bytes.len();
    if into.len() < end {
        into.resize(end, 0);
    }
    into[position..end].copy_from_slice(bytes);
}

impl Kind {
    fn apply(&self, into: &mut Vec<u8>) {
        match self {
            Self::Write { position, bytes } => store(into, *position, bytes),
            Self::SetLen(len) => into.resize(*len, 0),
        }
    }

    /// Applies what chance keeps of it: page by page, and of some pages only the first bytes.
    fn apply_in_part(&self, into: &mut Vec<u8>, percent: u64, chance: &mut Chance) {
        let Self::Write { position, bytes } = self else {
            if chance.percent(percent) {
                self.apply(into);
            }
            return;
        };
        let mut start = 0;
        while start < bytes.len() {
            let page_end = PAGE_BYTES - (position + start) % PAGE_BYTES;
            let end = (start + page_end).min(bytes.len());
            if chance.percent(percent) {
                let whole = &bytes[start..end];
                let cut = if chance.percent(10) {
                    chance.index(whole.len())
                } else {
                    whole.len()
                };
                store(into, position + start, &whole[..cut]);
            }
            start = end;
        }
    }
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(super) fn durable(&self) -> &[u8] {
        &self.durable
    }

    pub(super) fn bytes_taken(&self) -> u64 {
        self.len().max(self.allocated)
    }

    /// How many of `len` bytes at `position` fit when `room` bytes more may be taken.
    pub(super) fn fitting(&self, position: u64, len: u64, room: u64) -> u64 {
        let end_max = self.bytes_taken().saturating_add(room);
        end_max.saturating_sub(position).min(len)
    }

    /// The bytes from `position` to the end.
    pub(super) fn from(&self, position: u64) -> &[u8] {
        self.bytes.get(index(position)..).unwrap_or_default()
    }

    pub(super) fn write(&mut self, position: u64, bytes: Vec<u8>, at: u64) {
        let kind = Kind::Write {
            position: index(position),
            bytes,
        };
        kind.apply(&mut self.bytes);
        self.pending.push(Change { at, kind });
    }

    pub(super) fn set_len(&mut self, len: u64, at: u64) {
        let kind = Kind::SetLen(index(len));
        kind.apply(&mut self.bytes);
        self.allocated = 0;
        self.pending.push(Change { at, kind });
    }

    pub(super) fn allocate(&mut self, len: u64) {
        self.allocated = self.allocated.max(len);
    }

    pub(super) fn flip(&mut self, position: u64, mask: u8) -> io::Result<()> {
        let missing = || io::Error::from(io::ErrorKind::UnexpectedEof);
        *self.bytes.get_mut(index(position)).ok_or_else(missing)? ^= mask;
        if let Some(byte) = self.durable.get_mut(index(position)) {
            *byte ^= mask;
        }
        Ok(())
    }

    fn take_pending(&mut self, upto: u64) -> impl Iterator<Item = Change> {
        let later = self.pending.iter().position(|change| change.at > upto);
        let count = later.unwrap_or(self.pending.len());
        self.pending.drain(..count)
    }

    /// Makes the changes up to then durable.
    pub(super) fn sync(&mut self, upto: u64) {
        let mut durable = std::mem::take(&mut self.durable);
        for change in self.take_pending(upto) {
            change.kind.apply(&mut durable);
        }
        self.durable = durable;
    }

    /// A failed sync: the changes up to then count as written back, and were not.
    pub(super) fn forget(&mut self, upto: u64) {
        drop(self.take_pending(upto));
    }

    /// Reads what the disk has and what is still to be written to it, and nothing that a failed sync forgot. The length
    /// is the file system's, and stays.
    pub(super) fn drop_cached(&mut self) {
        let len = self.bytes.len();
        self.bytes.clone_from(&self.durable);
        for change in &self.pending {
            change.kind.apply(&mut self.bytes);
        }
        self.bytes.resize(len, 0);
    }

    /// When the last write was that no sync covers.
    pub(super) fn last_write(&self) -> Option<u64> {
        let is_write = |change: &&Change| matches!(change.kind, Kind::Write { .. });
        self.pending.iter().rfind(is_write).map(|change| change.at)
    }

    pub(super) fn crash(&mut self, crash: Crash, last: Option<u64>, chance: &mut Chance) {
        let pending = std::mem::take(&mut self.pending);
        self.allocated = 0;
        match crash {
            Crash::KeepAll => {
                // The page cache lives on, and what is in it stays as undurable as it was.
                self.pending = pending;
                return;
            }
            Crash::LoseUnsynced => {}
            Crash::KeepPrefix => {
                let kept = chance.index(pending.len() + 1);
                for change in &pending[..kept] {
                    change.kind.apply(&mut self.durable);
                }
            }
            Crash::KeepRandom => {
                let percent = chance.below(101);
                for change in &pending {
                    change
                        .kind
                        .apply_in_part(&mut self.durable, percent, chance);
                }
            }
            Crash::Torn {
                kept_bytes,
                length_kept,
            } => {
                for change in &pending {
                    match &change.kind {
                        Kind::Write { position, bytes } if Some(change.at) == last => {
                            let kept = index(kept_bytes).min(bytes.len());
                            store(&mut self.durable, *position, &bytes[..kept]);
                            let end = position + bytes.len();
                            if length_kept && self.durable.len() < end {
                                self.durable.resize(end, 0);
                            }
                        }
                        kind @ (Kind::Write { .. } | Kind::SetLen(_)) => {
                            kind.apply(&mut self.durable);
                        }
                    }
                }
            }
        }
        self.bytes.clone_from(&self.durable);
    }
}
