//! The system calls of the seam, each behind a safe signature; it keeps no state.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Slices handed to one `pwritev` or `sendmsg`; longer lists take several calls.
const SLICES_PER_CALL: usize = 16;

/// The result of a call that returns -1 on error, as a count.
fn counted(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// The result of a call that returns -1 on error and nothing of interest otherwise.
fn checked(result: libc::c_int) -> io::Result<()> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn file_offset(position: u64) -> io::Result<libc::off_t> {
    libc::off_t::try_from(position).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))
}

/// Fills `slices` with what of `parts` remains after the first `skip` bytes.
fn remaining<'a>(
    parts: &[&'a [u8]],
    mut skip: usize,
    slices: &mut [libc::iovec; SLICES_PER_CALL],
) -> usize {
    let mut used = 0;
    for part in parts {
        if skip >= part.len() {
            skip -= part.len();
            continue;
        }
        if used == SLICES_PER_CALL {
            break;
        }
        let rest = &part[skip..];
        skip = 0;
        slices[used] = libc::iovec {
            iov_base: rest.as_ptr().cast_mut().cast(),
            iov_len: rest.len(),
        };
        used += 1;
    }
    used
}

const EMPTY_SLICE: libc::iovec = libc::iovec {
    iov_base: std::ptr::null_mut(),
    iov_len: 0,
};

/// One `pwritev` of `parts` without their first `skip` bytes; how many bytes it wrote.
pub(crate) fn pwritev(
    file: BorrowedFd<'_>,
    parts: &[&[u8]],
    skip: usize,
    position: u64,
) -> io::Result<usize> {
    let mut slices = [EMPTY_SLICE; SLICES_PER_CALL];
    let used = remaining(parts, skip, &mut slices);
    let position = file_offset(position)?;
    // SAFETY: the first `used` slices point into `parts`, which outlive the call, and are only read.
    let written = unsafe {
        libc::pwritev(
            file.as_raw_fd(),
            slices.as_ptr(),
            used as libc::c_int,
            position,
        )
    };
    counted(written)
}

/// One `pread` into memory that need not be initialised; the first `n` bytes are, afterwards.
pub(crate) fn pread(
    file: BorrowedFd<'_>,
    into: &mut [MaybeUninit<u8>],
    position: u64,
) -> io::Result<usize> {
    let position = file_offset(position)?;
    // SAFETY: the kernel writes at most `into.len()` bytes at `into`.
    let read = unsafe {
        libc::pread(
            file.as_raw_fd(),
            into.as_mut_ptr().cast(),
            into.len(),
            position,
        )
    };
    counted(read)
}

/// Allocates blocks for the first `len` bytes without changing the file's length.
pub(crate) fn allocate_keep_size(file: &fs::File, len: u64) -> io::Result<()> {
    let len = file_offset(len)?;
    // SAFETY: no memory is involved.
    checked(unsafe { libc::fallocate(file.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, 0, len) })
}

/// Starts write-back of a range and does not wait for it.
pub(crate) fn start_writeback(file: &fs::File, position: u64, len: u64) -> io::Result<()> {
    let (position, len) = (file_offset(position)?, file_offset(len)?);
    // SAFETY: no memory is involved.
    checked(unsafe {
        libc::sync_file_range(file.as_raw_fd(), position, len, libc::SYNC_FILE_RANGE_WRITE)
    })
}
