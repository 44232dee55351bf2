//! Sockets on a shard's epoll set: direct non-blocking calls, and a wait for the next edge when one would block.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::BytesMut;

use super::Shard;
use super::driver::{Registration, Side};
use crate::file::{Backing, File};
use crate::sys;
use crate::task::pending;

/// Connections that the kernel keeps for us until they are accepted.
const BACKLOG: i32 = 4096;

/// Bytes for one `sendfile`: what one call may take of the shard's time.
const SENDFILE_BYTES_MAX: u64 = 512 << 10;

/// A wait for fewer bytes than this ends with the first that come: they come together anyhow.
const WORTHWHILE_BYTES_MIN: usize = 16 << 10;

/// No wait is for more bytes than this: they lie in the kernel's buffer meanwhile.
const WORTHWHILE_BYTES_MAX: usize = 512 << 10;

/// Spare room below which a receive reserves more.
const SPARE_BYTES_MIN: usize = 4096;

/// A registered descriptor; it leaves the epoll set before it is closed.
#[derive(Debug)]
struct Registered<D: AsFd> {
    descriptor: D,
    registration: Registration,
    shard: Rc<Shard>,
}

impl<D: AsFd> Registered<D> {
    fn new(shard: &Rc<Shard>, descriptor: D) -> io::Result<Self> {
        let registration = shard.driver().register(&descriptor)?;
        Ok(Self {
            descriptor,
            registration,
            shard: Rc::clone(shard),
        })
    }

    fn read_side(&self) -> &Side {
        &self.registration.readiness().read
    }

    fn write_side(&self) -> &Side {
        &self.registration.readiness().write
    }

    /// One attempt at `call`, or a wait for `side`.
    fn attempt<T>(
        &self,
        side: &Side,
        context: &Context<'_>,
        what: &'static str,
        mut call: impl FnMut(&D) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        while side.is_ready() {
            match call(&self.descriptor) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => side.exhausted(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
        side.wait(context);
        pending(what)
    }

    async fn take_turns(&self, side: &Side) {
        if side.had_its_turn() {
            self.shard.yield_now().await;
        }
    }
}

impl<D: AsFd> Drop for Registered<D> {
    fn drop(&mut self) {
        self.shard
            .driver()
            .deregister(&self.registration, &self.descriptor);
    }
}

#[derive(Debug)]
pub(crate) struct Listener {
    listening: Registered<TcpListener>,
    address: SocketAddr,
}

impl Listener {
    /// Takes the port, or says that it is taken: `SO_REUSEADDR` (for a restart while old connections linger) and
    /// never `SO_REUSEPORT`, with which two brokers would share a port without a word.
    pub(super) fn bind(shard: &Rc<Shard>, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        sys::set_backlog(&listener, BACKLOG)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self {
            listening: Registered::new(shard, listener)?,
            address,
        })
    }

    pub(crate) async fn accept(&self) -> io::Result<(DetachedSocket, SocketAddr)> {
        let side = self.listening.read_side();
        self.listening.take_turns(side).await;
        let (stream, peer) = poll_fn(|context| {
            self.listening
                .attempt(side, context, "a connection", |listener| {
                    loop {
                        match listener.accept() {
                            // The peer gave up before we came to it.
                            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                            done => return done,
                        }
                    }
                })
        })
        .await?;
        stream.set_nonblocking(true)?;
        // Fails where the peer is gone already; the first read says so.
        let _ = stream.set_nodelay(true);
        Ok((DetachedSocket { stream, peer }, peer))
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

/// A connection on no shard: a plain descriptor.
#[derive(Debug)]
pub(crate) struct DetachedSocket {
    stream: TcpStream,
    peer: SocketAddr,
}

#[derive(Debug)]
pub(crate) struct Socket {
    stream: Registered<TcpStream>,
    peer: SocketAddr,
    /// Bytes that must have come before the next edge (`SO_RCVLOWAT`).
    low_water: Cell<usize>,
}

impl Socket {
    pub(super) fn adopt(shard: &Rc<Shard>, socket: DetachedSocket) -> io::Result<Self> {
        let DetachedSocket { stream, peer } = socket;
        Ok(Self {
            stream: Registered::new(shard, stream)?,
            peer,
            low_water: Cell::new(1),
        })
    }

    pub(super) async fn connect(shard: &Rc<Shard>, address: SocketAddr) -> io::Result<Self> {
        let stream = Registered::new(shard, sys::start_connect(address)?)?;
        poll_fn(|context| {
            let side = stream.write_side();
            stream.attempt(side, context, "a connection to be made", |stream| {
                if let Some(error) = stream.take_error()? {
                    return Err(error);
                }
                match stream.peer_addr() {
                    Err(error) if error.kind() == ErrorKind::NotConnected => {
                        Err(ErrorKind::WouldBlock.into())
                    }
                    done => done,
                }
            })
        })
        .await?;
        let _ = stream.descriptor.set_nodelay(true);
        Ok(Self {
            stream,
            peer: address,
            low_water: Cell::new(1),
        })
    }

    pub(crate) async fn recv(
        &self,
        into: &mut BytesMut,
        len_max: usize,
        len_worthwhile: usize,
        mut make_room: impl FnMut(&mut BytesMut),
    ) -> io::Result<usize> {
        let side = self.stream.read_side();
        self.stream.take_turns(side).await;
        poll_fn(|context| {
            let received = self
                .stream
                .attempt(side, context, "bytes from a peer", |stream| {
                    if into.capacity() - into.len() < len_max.min(SPARE_BYTES_MIN) {
                        make_room(into);
                    }
                    let spare = into.spare_capacity_mut();
                    let room = spare.len().min(len_max);
                    let received = sys::recv(stream.as_fd(), &mut spare[..room])?;
                    // SAFETY: `recv` initialised the first `received` bytes of the spare capacity.
                    unsafe { into.set_len(into.len() + received) };
                    if (1..room).contains(&received) {
                        side.drained();
                    }
                    Ok(received)
                });
            if received.is_pending() {
                self.wait_for(len_worthwhile);
            }
            received
        })
        .await
    }

    /// Lets the next edge come when that many bytes are there, or have been meanwhile, or no more can come.
    fn wait_for(&self, len: usize) {
        let len = match len {
            0..WORTHWHILE_BYTES_MIN => 1,
            WORTHWHILE_BYTES_MIN.. => len.min(WORTHWHILE_BYTES_MAX),
        };
        if len != self.low_water.get() {
            let bytes = u32::try_from(len).unwrap_or(1);
            let descriptor = self.stream.descriptor.as_fd();
            if sys::set_buffer(descriptor, libc::SO_RCVLOWAT, bytes).is_ok() {
                self.low_water.set(len);
            }
        }
    }

    pub(crate) async fn send_all(&self, parts: &[&[u8]], more: bool) -> io::Result<()> {
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let side = self.stream.write_side();
        let mut done = 0;
        while done < total {
            done += poll_fn(|context| {
                self.stream
                    .attempt(side, context, "room to send", |stream| {
                        sys::send(stream.as_fd(), parts, done, more)
                    })
            })
            .await?;
            if done < total {
                self.stream.take_turns(side).await;
            }
        }
        Ok(())
    }

    pub(crate) async fn send_file(&self, file: &File, position: u64, len: u64) -> io::Result<()> {
        let Backing::Machine(file) = file.backing() else {
            return Err(io::Error::new(
                ErrorKind::Unsupported,
                "the file is of another world",
            ));
        };
        let side = self.stream.write_side();
        let mut done = 0;
        while done < len {
            let some = (len - done).min(SENDFILE_BYTES_MAX) as usize;
            let sent = poll_fn(|context| {
                self.stream
                    .attempt(side, context, "room to send a file", |stream| {
                        sys::sendfile(stream.as_fd(), file, position + done, some)
                    })
            })
            .await?;
            if sent == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            done += sent as u64;
            if done < len {
                self.stream.take_turns(side).await;
            }
        }
        Ok(())
    }

    pub(crate) fn shutdown(&self) {
        // Fails where the peer has gone: then there is nothing left to end.
        let _ = self.stream.descriptor.shutdown(Shutdown::Both);
    }

    pub(crate) fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.descriptor.local_addr()
    }

    pub(crate) fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.stream.descriptor.set_nodelay(on)
    }

    pub(crate) fn set_buffers(&self, send: Option<u32>, receive: Option<u32>) -> io::Result<()> {
        let descriptor = self.stream.descriptor.as_fd();
        if let Some(bytes) = send {
            sys::set_buffer(descriptor, libc::SO_SNDBUF, bytes)?;
        }
        if let Some(bytes) = receive {
            sys::set_buffer(descriptor, libc::SO_RCVBUF, bytes)?;
        }
        Ok(())
    }
}
