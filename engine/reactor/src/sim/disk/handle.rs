//! An open file of a simulated disk.

use std::io;
use std::mem::MaybeUninit;
use std::sync::MutexGuard;

use super::faults::Verdict;
use super::state::State;
use super::{Begun, Disk, Operation, errno};

/// An open file.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(super) disk: Disk,
    pub(super) node: u64,
    pub(super) life: u64,
    pub(super) read: bool,
    pub(super) write: bool,
}

impl Handle {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        state.check_life(self.life)?;
        Ok(state)
    }

    fn writable(&self) -> io::Result<MutexGuard<'_, State>> {
        if self.write {
            self.state()
        } else {
            Err(errno(libc::EBADF))
        }
    }

    /// One `pwritev` of `parts` without their first `skip` bytes.
    pub(crate) fn write(&self, parts: &[&[u8]], skip: usize, position: u64) -> io::Result<usize> {
        let mut bytes = parts.concat();
        bytes.drain(..skip);
        let mut state = self.writable()?;
        match state.faults.judge(Operation::Write) {
            Verdict::Pass => {}
            Verdict::FailAfter {
                bytes: 0,
                errno: number,
            } => return Err(errno(number)),
            Verdict::FailAfter {
                bytes: some,
                errno: number,
            } => {
                // Cut short now; what asks for the rest meets the error.
                bytes.truncate(usize::try_from(some).unwrap_or(usize::MAX).max(1));
                state.faults.fail_at(Operation::Write, 1, 0, number);
            }
        }
        let room = state.room();
        let content = state.content_mut(self.node)?;
        let fits = content.fitting(position, bytes.len() as u64, room);
        if fits == 0 && !bytes.is_empty() {
            return Err(errno(libc::ENOSPC));
        }
        bytes.truncate(usize::try_from(fits).unwrap_or(usize::MAX));
        let written = bytes.len();
        state.change_time();
        let clock = state.clock;
        state.content_mut(self.node)?.write(position, bytes, clock);
        Ok(written)
    }

    pub(crate) fn drop_cached(&self) -> io::Result<()> {
        let mut state = self.state()?;
        state.content_mut(self.node)?.drop_cached();
        Ok(())
    }

    pub(crate) fn read(&self, into: &mut [MaybeUninit<u8>], position: u64) -> io::Result<usize> {
        if !self.read {
            return Err(errno(libc::EBADF));
        }
        let mut state = self.state()?;
        state.faults.check(Operation::Read)?;
        let bytes = state.content_mut(self.node)?.from(position);
        let some = bytes.len().min(into.len());
        into[..some].write_copy_of_slice(&bytes[..some]);
        Ok(some)
    }

    pub(crate) fn len(&self) -> io::Result<u64> {
        Ok(self.state()?.content_mut(self.node)?.len())
    }

    pub(crate) fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.writable()?;
        state.faults.check(Operation::SetLen)?;
        state.change_time();
        let clock = state.clock;
        state.content_mut(self.node)?.set_len(len, clock);
        Ok(())
    }

    pub(crate) fn allocate(&self, len: u64) -> io::Result<()> {
        let mut state = self.writable()?;
        state.faults.check(Operation::Allocate)?;
        let room = state.room();
        let content = state.content_mut(self.node)?;
        if content.fitting(0, len, room) < len {
            return Err(errno(libc::ENOSPC));
        }
        content.allocate(len);
        Ok(())
    }

    pub(crate) fn begin_sync(&self) -> io::Result<Begun> {
        let state = self.state()?;
        Ok(Begun {
            node: self.node,
            upto: state.clock,
            life: self.life,
        })
    }

    pub(crate) fn finish_sync(&self, begun: Begun) -> io::Result<()> {
        let mut state = self.state()?;
        let verdict = state.faults.check(Operation::Sync);
        let content = state.content_mut(self.node)?;
        match verdict {
            Ok(()) => content.sync(begun.upto),
            Err(_) => content.forget(begun.upto),
        }
        verdict
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Ok(mut state) = self.state()
            && let Ok(content) = state.content_mut(self.node)
        {
            content.handles -= 1;
        }
    }
}
