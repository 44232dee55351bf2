//! The system calls of the seam, each behind a safe signature; it keeps no state.

mod file;
mod net;
mod process;
mod wait;

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

pub(crate) use file::*;
pub(crate) use net::*;
pub(crate) use process::*;
pub(crate) use wait::*;

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
fn remaining(
    parts: &[&[u8]],
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

/// A descriptor just made, or the error.
fn owned(descriptor: libc::c_int) -> io::Result<OwnedFd> {
    checked(descriptor)?;
    // SAFETY: the system has just given it to us, and to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
