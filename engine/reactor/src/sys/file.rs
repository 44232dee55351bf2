//! Calls on files and the page cache.

use std::ffi::CString;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{EMPTY_SLICE, SLICES_PER_CALL, checked, counted, file_offset, remaining};
use crate::file::Space;

/// One `pwritev` of `parts` without their first `skip` bytes; how many bytes it wrote.
pub(crate) fn pwritev(
    file: BorrowedFd<'_>,
    parts: &[&[u8]],
    skip: usize,
    position: u64,
) -> io::Result<usize> {
    let mut slices = [EMPTY_SLICE; SLICES_PER_CALL];
    let used = libc::c_int::try_from(remaining(parts, skip, &mut slices)).unwrap_or(0);
    let position = file_offset(position)?;
    // SAFETY: the first `used` slices point into `parts`, which outlive the call, and are only read.
    let written = unsafe { libc::pwritev(file.as_raw_fd(), slices.as_ptr(), used, position) };
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

/// Whether nobody else has the file open, in this process or another: only then does the kernel grant a lease for writing,
/// which is given back at once. `false` also where it grants none at all.
pub(crate) fn is_open_once(file: &fs::File) -> bool {
    // SAFETY: no memory is involved.
    let lease =
        |kind: libc::c_int| unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) == 0 };
    lease(libc::F_WRLCK) && lease(libc::F_UNLCK)
}

/// Bytes of a page of memory.
pub(crate) fn page_bytes() -> u64 {
    // SAFETY: no memory is involved.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(0)
}

/// Drops clean pages of the page cache from `position` to the end.
pub(crate) fn drop_cached(file: &fs::File, position: u64) -> io::Result<()> {
    let position = file_offset(position)?;
    // SAFETY: no memory is involved. The result is the error number itself.
    match unsafe { libc::posix_fadvise(file.as_raw_fd(), position, 0, libc::POSIX_FADV_DONTNEED) } {
        0 => Ok(()),
        number => Err(io::Error::from_raw_os_error(number)),
    }
}

/// Pages of a range that are in memory, of how many; `None` where the kernel does not say (before 6.5).
pub(crate) fn cached_pages(file: &fs::File, position: u64, len: u64) -> Option<u64> {
    /// The same on every architecture; libc does not name it everywhere.
    const SYS_CACHESTAT: libc::c_long = 451;
    #[repr(C)]
    struct Range {
        position: u64,
        len: u64,
    }
    #[repr(C)]
    #[derive(Default)]
    struct Found {
        cached: u64,
        dirty: u64,
        writeback: u64,
        evicted: u64,
        recently_evicted: u64,
    }
    let range = Range { position, len };
    let mut found = Found::default();
    // SAFETY: both structures have the kernel's layout and outlive the call.
    let result = unsafe {
        libc::syscall(
            SYS_CACHESTAT,
            file.as_raw_fd(),
            &raw const range,
            &raw mut found,
            0,
        )
    };
    (result == 0).then_some(found.cached)
}

/// Whether the page at `position` can be read without waiting for the device.
pub(crate) fn is_readable_now(file: &fs::File, position: u64) -> io::Result<bool> {
    let mut byte = 0_u8;
    let slice = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    let position = file_offset(position)?;
    // SAFETY: one slice of one byte, ours for the length of the call.
    let read = unsafe {
        libc::preadv2(
            file.as_raw_fd(),
            &raw const slice,
            1,
            position,
            libc::RWF_NOWAIT,
        )
    };
    match counted(read) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// Starts reading a range into the page cache.
pub(crate) fn readahead(file: &fs::File, position: u64, len: u64) -> io::Result<()> {
    let position = file_offset(position)?;
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    // SAFETY: no memory is involved.
    let result = unsafe { libc::readahead(file.as_raw_fd(), position, len) };
    counted(result).map(drop)
}

/// Size and free space of the file system that holds `path`.
pub(crate) fn space(path: &Path) -> io::Result<Space> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: zeros are a valid `statvfs`.
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `path` ends with a zero byte, and the kernel writes one `statvfs` at `found`.
    checked(unsafe { libc::statvfs(path.as_ptr(), &raw mut found) })?;
    Ok(Space {
        total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
        usable_bytes: found.f_bavail.saturating_mul(found.f_frsize),
    })
}
