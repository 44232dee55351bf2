//! Calls on sockets.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use super::{EMPTY_SLICE, SLICES_PER_CALL, checked, counted, file_offset, owned, remaining};

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

/// Sets a number of bytes of a socket (`SO_SNDBUF`, `SO_RCVBUF`, `SO_RCVLOWAT`).
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
