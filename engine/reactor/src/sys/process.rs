//! Calls about this process: what it may, and random bytes.

use std::io;

use super::{checked, counted, owned};

/// Random bytes from the kernel.
pub(crate) fn random(bytes: &mut [u8]) {
    let mut done = 0;
    while done < bytes.len() {
        let rest = &mut bytes[done..];
        // SAFETY: the kernel writes at most `rest.len()` bytes at `rest`.
        let got = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match counted(got) {
            Ok(got) => done += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => panic!("the kernel gives no random bytes: {error}"),
        }
    }
}

/// The memory that may be locked: soft and hard limit in bytes.
pub(crate) fn memlock() -> io::Result<(u64, u64)> {
    limits(libc::RLIMIT_MEMLOCK)
}

/// Sets both limits of the memory that may be locked.
pub(crate) fn set_memlock(soft: u64, hard: u64) -> io::Result<()> {
    set_limits(libc::RLIMIT_MEMLOCK, soft, hard)
}

/// The files that may be open: soft and hard limit.
pub(crate) fn descriptors() -> io::Result<(u64, u64)> {
    limits(libc::RLIMIT_NOFILE)
}

/// Sets both limits of the files that may be open.
pub(crate) fn set_descriptors(soft: u64, hard: u64) -> io::Result<()> {
    set_limits(libc::RLIMIT_NOFILE, soft, hard)
}

fn limits(resource: libc::__rlimit_resource_t) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is ours for the length of the call.
    checked(unsafe { libc::getrlimit(resource, &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

fn set_limits(resource: libc::__rlimit_resource_t, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: `limit` is read during the call only.
    checked(unsafe { libc::setrlimit(resource, &raw const limit) })
}

/// Makes a small ring and throws it away: whether io_uring may be used.
pub(crate) fn try_io_uring() -> io::Result<()> {
    // `struct io_uring_params` is 120 bytes; zeros ask for the defaults.
    let mut parameters = [0_u64; 15];
    // SAFETY: the kernel reads and writes 120 bytes there.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1_u32, parameters.as_mut_ptr()) };
    owned(libc::c_int::try_from(ring).unwrap_or(-1)).map(drop)
}

/// The cores this thread may run on, in order.
pub(crate) fn allowed_cores() -> io::Result<Vec<usize>> {
    // SAFETY: a set of zeros is a valid, empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most the size given at `set`.
    checked(unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) })?;
    let cores = 0..libc::CPU_SETSIZE as usize;
    // SAFETY: every number is below the size of the set.
    Ok(cores
        .filter(|core| unsafe { libc::CPU_ISSET(*core, &set) })
        .collect())
}
