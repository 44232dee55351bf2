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

/// How long a shard may run before another thread of its core has a turn, in nanoseconds.
const SLICE_NS: u64 = 500_000;

/// Asks the scheduler to run the calling thread in short turns (`sched_setattr`, Linux 6.12): one that wakes with a shorter
/// turn than whoever runs comes first. Without it a shard that is woken waits for the end of the turn of a thread of the
/// blocking pool, or of a client, 3 ms and more. Where the kernel does not know or allow it, everything is as it was.
pub(crate) fn take_short_turns() {
    set_turns(SLICE_NS);
}

/// Takes back [`take_short_turns`], which a thread inherits from the one that starts it: of two with short turns, neither
/// comes first.
pub(crate) fn take_usual_turns() {
    set_turns(0);
}

/// 0 is the system's own choice.
fn set_turns(slice_ns: u64) {
    /// `struct sched_attr`, in its first version.
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime_ns: u64,
        deadline_ns: u64,
        period_ns: u64,
    }
    let mut attributes = Attributes::default();
    let size = u32::try_from(size_of::<Attributes>()).unwrap_or(0);
    // SAFETY: the kernel writes at most `size` bytes at `attributes`; 0 is the calling thread.
    let known =
        unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0_u32) };
    let is_usual = u32::try_from(libc::SCHED_OTHER) == Ok(attributes.policy);
    if known != 0 || !is_usual {
        return;
    }
    attributes.size = size;
    attributes.runtime_ns = slice_ns;
    // SAFETY: `attributes` has the kernel's layout and outlives the call, which only reads it.
    let _ = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0_u32) };
}
