//! Bringing a cold range into memory without a gap on the shard: ask what is there, and read the rest elsewhere.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use crate::sys;

const PAGE_BYTES: u64 = 4096;

/// Distance of the reads that wait for what `readahead` has started.
const PROBE_EVERY_BYTES: u64 = 64 << 10;

/// Whether the whole range (of what the file has) is in memory.
pub(super) fn is_cached(file: &fs::File, position: u64, len: u64) -> io::Result<bool> {
    let end = position.saturating_add(len).min(file.metadata()?.len());
    if position >= end {
        return Ok(true);
    }
    if let Some(cached) = sys::cached_pages(file, position, end - position) {
        return Ok(cached >= end.div_ceil(PAGE_BYTES) - position / PAGE_BYTES);
    }
    // An older kernel: a few pages stand for all of them.
    let middle = position + (end - position) / 2;
    for probe in [position, middle, end - 1] {
        match sys::is_readable_now(file, probe) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(true),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Reads the range into memory; blocks.
pub(super) fn read_ahead(file: &fs::File, position: u64, len: u64) -> io::Result<()> {
    let end = position.saturating_add(len).min(file.metadata()?.len());
    if position >= end {
        return Ok(());
    }
    sys::readahead(file, position, end - position)?;
    let mut at = position;
    loop {
        let mut byte = [MaybeUninit::uninit()];
        sys::pread(file.as_fd(), &mut byte, at)?;
        if at == end - 1 {
            return Ok(());
        }
        at = (at + PROBE_EVERY_BYTES).min(end - 1);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn what_was_read_ahead_is_in_memory_to_its_last_byte() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; 3_000_001]).unwrap();
        file.sync_all().unwrap();
        assert!(is_cached(&file, 0, 3_000_001).unwrap());
        // SAFETY: no memory is involved. A file system in memory ignores it, and everything stays cached.
        unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        let was_cached = is_cached(&file, 1_000_000, u64::MAX).unwrap();
        read_ahead(&file, 1_000_000, u64::MAX).unwrap();
        assert!(
            is_cached(&file, 1_000_000, u64::MAX).unwrap(),
            "it was cached before: {was_cached}"
        );
        assert!(
            is_cached(&file, 4_000_000, 10).unwrap(),
            "there is nothing beyond the end"
        );
        read_ahead(&file, 4_000_000, 10).unwrap();
        assert!(sys::is_readable_now(&file, 1_500_000).unwrap_or(true));
    }
}
