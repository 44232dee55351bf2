//! The system calls of the seam, each behind a safe signature; it keeps no state.

use std::ffi::CString;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::file::Space;

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

/// Drops clean pages of the page cache from `position` to the end.
pub(crate) fn drop_cached(file: &fs::File, position: u64) -> io::Result<()> {
    let position = file_offset(position)?;
    // SAFETY: no memory is involved. The result is the error number itself.
    match unsafe { libc::posix_fadvise(file.as_raw_fd(), position, 0, libc::POSIX_FADV_DONTNEED) } {
        0 => Ok(()),
        number => Err(io::Error::from_raw_os_error(number)),
    }
}

/// An event counter for wake-ups.
pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: no memory is involved; the result is checked before it is owned.
    let event = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    owned(event)
}

/// Adds one to an event counter. It is never read: edge-triggered epoll sees each addition.
pub(crate) fn signal(event: &OwnedFd) {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: the eight bytes outlive the call. A counter that is full (after 2^64 - 2 rings) has fired anyway.
    unsafe { libc::write(event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
}

/// A descriptor just made, or the error.
fn owned(descriptor: libc::c_int) -> io::Result<OwnedFd> {
    checked(descriptor)?;
    // SAFETY: the system has just given it to us, and to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// An epoll set.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

/// One event of an epoll set.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Event(libc::epoll_event);

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Event")
            .field("key", &self.key())
            .finish_non_exhaustive()
    }
}

impl Event {
    pub(crate) const NONE: Self = Self(libc::epoll_event { events: 0, u64: 0 });

    /// What it was registered with.
    pub(crate) fn key(&self) -> u64 {
        self.0.u64
    }

    /// Reading may get on: bytes, the end of the stream, or an error.
    pub(crate) fn is_readable(&self) -> bool {
        const READ: i32 = libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR;
        self.0.events & READ.cast_unsigned() != 0
    }

    /// The peer has ended its direction, or the connection failed.
    pub(crate) fn is_end(&self) -> bool {
        const END: i32 = libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR;
        self.0.events & END.cast_unsigned() != 0
    }

    /// Writing may get on: room, or an error.
    pub(crate) fn is_writable(&self) -> bool {
        const WRITE: i32 = libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR;
        self.0.events & WRITE.cast_unsigned() != 0
    }
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no memory is involved.
        owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }).map(Self)
    }

    /// Reports every edge of `descriptor`, both directions, under `key`.
    pub(crate) fn add(&self, descriptor: BorrowedFd<'_>, key: u64) -> io::Result<()> {
        let interest = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        let mut event = libc::epoll_event {
            events: interest.cast_unsigned(),
            u64: key,
        };
        // SAFETY: `event` is read during the call only.
        checked(unsafe {
            libc::epoll_ctl(
                self.0.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                descriptor.as_raw_fd(),
                &raw mut event,
            )
        })
    }

    pub(crate) fn remove(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        // SAFETY: the event may be null for a removal.
        checked(unsafe {
            libc::epoll_ctl(
                self.0.as_raw_fd(),
                libc::EPOLL_CTL_DEL,
                descriptor.as_raw_fd(),
                std::ptr::null_mut(),
            )
        })
    }

    /// The events there are, or the first within `timeout` (`None`: without end).
    pub(crate) fn wait(
        &self,
        events: &mut [Event],
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        let room = libc::c_int::try_from(events.len()).unwrap_or(libc::c_int::MAX);
        let count = match timeout {
            Some(Duration::ZERO) => self.wait_ms(events, room, 0),
            None => self.wait_ms(events, room, -1),
            Some(timeout) => self.wait_exactly(events, room, timeout)?,
        };
        counted(count)
    }

    fn wait_ms(&self, events: &mut [Event], room: libc::c_int, timeout_ms: libc::c_int) -> isize {
        // SAFETY: `Event` is a transparent `epoll_event`, and the kernel writes at most `room` of them.
        let count = unsafe {
            libc::epoll_wait(
                self.0.as_raw_fd(),
                events.as_mut_ptr().cast(),
                room,
                timeout_ms,
            )
        };
        count as isize
    }

    /// To the nanosecond where the kernel can (5.11), else to the next millisecond.
    fn wait_exactly(
        &self,
        events: &mut [Event],
        room: libc::c_int,
        timeout: Duration,
    ) -> io::Result<isize> {
        static ONLY_MILLISECONDS: AtomicBool = AtomicBool::new(false);
        if !ONLY_MILLISECONDS.load(Ordering::Relaxed) {
            let timeout = timespec(timeout);
            // SAFETY: as in `wait_ms`; `timeout` is read during the call only, and a null mask changes none.
            let count = unsafe {
                libc::syscall(
                    SYS_EPOLL_PWAIT2,
                    self.0.as_raw_fd(),
                    events.as_mut_ptr(),
                    room,
                    &raw const timeout,
                    std::ptr::null::<libc::sigset_t>(),
                    0_usize,
                )
            };
            let error = io::Error::last_os_error();
            match (count, error.raw_os_error()) {
                (-1, Some(libc::ENOSYS)) => ONLY_MILLISECONDS.store(true, Ordering::Relaxed),
                (-1, _) => return Err(error),
                (count, _) => return isize::try_from(count).map_err(io::Error::other),
            }
        }
        let timeout_ms = timeout.as_nanos().div_ceil(1_000_000);
        let timeout_ms = libc::c_int::try_from(timeout_ms).unwrap_or(libc::c_int::MAX);
        Ok(self.wait_ms(events, room, timeout_ms))
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The same on every architecture; libc does not name it everywhere.
const SYS_EPOLL_PWAIT2: libc::c_long = 441;

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(duration.subsec_nanos()),
    }
}

/// A clock that becomes readable at a time it is set to.
#[derive(Debug)]
pub(crate) struct AlarmClock(OwnedFd);

impl AlarmClock {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: no memory is involved.
        owned(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) }).map(Self)
    }

    /// Sets it to `after` from now; it has rung when that is zero.
    pub(crate) fn set(&self, after: Duration) -> io::Result<()> {
        let setting = libc::itimerspec {
            it_interval: timespec(Duration::ZERO),
            // Zero would switch it off.
            it_value: timespec(after.max(Duration::from_nanos(1))),
        };
        // SAFETY: the setting is read during the call only; what it was before is not asked for.
        checked(unsafe {
            libc::timerfd_settime(
                self.0.as_raw_fd(),
                0,
                &raw const setting,
                std::ptr::null_mut(),
            )
        })
    }
}

impl AsFd for AlarmClock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
/// Receives what is there into memory that need not be initialised; the first `n` bytes are, afterwards.
pub(crate) fn recv(socket: BorrowedFd<'_>, into: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most `into.len()` bytes at `into`.
    let received = unsafe {
        libc::recv(
            socket.as_raw_fd(),
            into.as_mut_ptr().cast(),
            into.len(),
            libc::MSG_DONTWAIT,
        )
    };
    counted(received)
}

/// Sends what fits of `parts` without their first `skip` bytes; `more` follows at once.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    parts: &[&[u8]],
    skip: usize,
    more: bool,
) -> io::Result<usize> {
    let more = if more { libc::MSG_MORE } else { 0 };
    let mut slices = [EMPTY_SLICE; SLICES_PER_CALL];
    let used = remaining(parts, skip, &mut slices);
    // SAFETY: a `msghdr` of zeros is a valid, empty one.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = slices.as_mut_ptr();
    message.msg_iovlen = used;
    // SAFETY: the first `used` slices point into `parts`, which outlive the call, and are only read.
    let sent = unsafe {
        libc::sendmsg(
            socket.as_raw_fd(),
            &raw const message,
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | more,
        )
    };
    counted(sent)
}

/// Sends what fits of a file's range, from the page cache into the socket.
pub(crate) fn sendfile(
    socket: BorrowedFd<'_>,
    file: &fs::File,
    position: u64,
    len: usize,
) -> io::Result<usize> {
    let mut offset = file_offset(position)?;
    // SAFETY: `offset` is ours for the length of the call.
    let sent =
        unsafe { libc::sendfile(socket.as_raw_fd(), file.as_raw_fd(), &raw mut offset, len) };
    counted(sent)
}

/// A non-blocking stream socket on its way to `address`: connected already, or writable when it is.
pub(crate) fn start_connect(address: SocketAddr) -> io::Result<TcpStream> {
    let domain = if address.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no memory is involved.
    let socket = owned(unsafe { libc::socket(domain, kind, 0) })?;
    let result = match address {
        SocketAddr::V4(v4) => {
            let to = libc::sockaddr_in {
                sin_family: family(libc::AF_INET),
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from_ne_bytes(v4.ip().octets()),
                },
                sin_zero: [0; 8],
            };
            connect(&socket, &to)
        }
        SocketAddr::V6(v6) => {
            let to = libc::sockaddr_in6 {
                sin6_family: family(libc::AF_INET6),
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr {
                    s6_addr: v6.ip().octets(),
                },
                sin6_scope_id: v6.scope_id(),
            };
            connect(&socket, &to)
        }
    };
    match result {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Ok(()) | Err(_) => result?,
    }
    Ok(TcpStream::from(socket))
}

fn family(number: libc::c_int) -> libc::sa_family_t {
    libc::sa_family_t::try_from(number).unwrap_or(0)
}

fn connect<A>(socket: &OwnedFd, address: &A) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of::<A>()).unwrap_or(0);
    // SAFETY: called above only, with the two kinds of addresses, of the length given.
    checked(unsafe { libc::connect(socket.as_raw_fd(), std::ptr::from_ref(address).cast(), len) })
}

/// Lets a listening socket keep `backlog` connections that nobody has accepted yet.
pub(crate) fn set_backlog(listener: &TcpListener, backlog: i32) -> io::Result<()> {
    // SAFETY: no memory is involved.
    checked(unsafe { libc::listen(listener.as_raw_fd(), backlog) })
}

/// Sets a socket's buffer (`SO_SNDBUF` or `SO_RCVBUF`).
pub(crate) fn set_buffer(socket: BorrowedFd<'_>, option: i32, bytes: u32) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(0);
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // SAFETY: `value` is read during the call only, and its length is given.
    checked(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            len,
        )
    })
}

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
