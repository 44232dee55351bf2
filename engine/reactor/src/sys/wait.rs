//! What a thread waits with: epoll sets and event counters.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{checked, counted, owned};

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

/// The same on every architecture; libc does not name it everywhere.
const SYS_EPOLL_PWAIT2: libc::c_long = 441;

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(duration.subsec_nanos()),
    }
}
