//! Sockets of either world. It knows bytes and readiness; frames and requests are the business of those above.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::BytesMut;

use crate::file::File;
use crate::{glommio, sim};

/// A listening socket on one shard. Dropped, it is closed, and its port is free again.
#[derive(Debug)]
pub struct Listener {
    inner: ListenerWorld,
}

#[derive(Debug)]
pub(crate) enum ListenerWorld {
    Glommio(glommio::Listener),
    Sim(sim::net::Listener),
}

impl Listener {
    pub(crate) fn new(inner: ListenerWorld) -> Self {
        Self { inner }
    }

    /// Waits for a connection. An error concerns this connection or the process (`EMFILE`: no descriptor is left),
    /// never the listener: wait a little and accept again. Dropping the future loses no connection.
    pub async fn accept(&self) -> io::Result<(DetachedSocket, SocketAddr)> {
        match &self.inner {
            ListenerWorld::Glommio(listener) => {
                let (socket, peer) = listener.accept().await?;
                Ok((
                    DetachedSocket {
                        inner: DetachedWorld::Glommio(socket),
                    },
                    peer,
                ))
            }
            ListenerWorld::Sim(listener) => {
                let (socket, peer) = listener.accept().await?;
                Ok((
                    DetachedSocket {
                        inner: DetachedWorld::Sim(socket),
                    },
                    peer,
                ))
            }
        }
    }

    /// The address it listens on, with the port the system chose where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        match &self.inner {
            ListenerWorld::Glommio(listener) => listener.local_addr(),
            ListenerWorld::Sim(listener) => listener.local_addr(),
        }
    }
}

/// A connection that belongs to no shard yet. `Send`: hand it to the shard that shall serve it, and
/// [`crate::Reactor::adopt`] it there. Dropped, it is closed.
#[derive(Debug)]
pub struct DetachedSocket {
    pub(crate) inner: DetachedWorld,
}

#[derive(Debug)]
pub(crate) enum DetachedWorld {
    Glommio(glommio::DetachedSocket),
    Sim(sim::net::DetachedSocket),
}

/// A connected stream on its shard. Clones share it: one task may read while another writes, but not two of a kind.
/// Closed with the last clone.
#[derive(Clone, Debug)]
pub struct Socket {
    inner: SocketWorld,
}

#[derive(Clone, Debug)]
pub(crate) enum SocketWorld {
    Glommio(Rc<glommio::Socket>),
    Sim(Rc<sim::net::Socket>),
}

impl Socket {
    pub(crate) fn new(inner: SocketWorld) -> Self {
        Self { inner }
    }

    /// Waits for bytes and appends up to `len_max` (at least 1) of them to `into`, in capacity that is reserved only
    /// when there is something to read; how many came, 0 when the peer closed its end. Dropping it loses nothing.
    pub async fn recv(&self, into: &mut BytesMut, len_max: usize) -> io::Result<usize> {
        assert!(
            len_max > 0,
            "receiving into no room would look like a closed connection"
        );
        self.recv_with(into, len_max, 1, |into| into.reserve(len_max))
            .await
    }

    /// [`Self::recv`] into room that the caller provides: `make_room` is called when there may be something to read and
    /// `into` has little or no spare capacity, and must leave it with some.
    ///
    /// With fewer than `len_worthwhile` bytes there is nothing to be done yet: where it has to wait, it may wait until so
    /// many have come (`SO_RCVLOWAT`, for what is worth the call and up to half a megabyte). It is a wish: fewer may come.
    pub async fn recv_with(
        &self,
        into: &mut BytesMut,
        len_max: usize,
        len_worthwhile: usize,
        make_room: impl FnMut(&mut BytesMut),
    ) -> io::Result<usize> {
        match &self.inner {
            SocketWorld::Glommio(socket) => {
                socket.recv(into, len_max, len_worthwhile, make_room).await
            }
            SocketWorld::Sim(socket) => socket.recv(into, len_max, make_room).await,
        }
    }

    /// Sends all of `parts`, one after the other. Dropped half-way, an unknown part of them has been sent: the
    /// connection is then good for nothing but [`Self::shutdown`].
    pub async fn send_all(&self, parts: &[&[u8]]) -> io::Result<()> {
        match &self.inner {
            SocketWorld::Glommio(socket) => socket.send_all(parts, false).await,
            SocketWorld::Sim(socket) => socket.send_all(parts).await,
        }
    }

    /// [`Self::send_all`] with word that more follows at once (`MSG_MORE`): the head of what [`Self::send_file`]
    /// completes leaves in one packet with its first bytes, where it is small.
    pub async fn send_all_more(&self, parts: &[&[u8]]) -> io::Result<()> {
        match &self.inner {
            SocketWorld::Glommio(socket) => socket.send_all(parts, true).await,
            SocketWorld::Sim(socket) => socket.send_all(parts).await,
        }
    }

    /// Sends `len` bytes of `file` from `position` as they lie, without a copy (`sendfile`). `UnexpectedEof` when
    /// the file ends before that. Dropped half-way: as for [`Self::send_all`].
    pub async fn send_file(&self, file: &File, position: u64, len: u64) -> io::Result<()> {
        match &self.inner {
            SocketWorld::Glommio(socket) => socket.send_file(file, position, len).await,
            SocketWorld::Sim(socket) => socket.send_file(file, position, len).await,
        }
    }

    /// Ends both directions at once; whoever waits on any clone is woken.
    pub fn shutdown(&self) {
        match &self.inner {
            SocketWorld::Glommio(socket) => socket.shutdown(),
            SocketWorld::Sim(socket) => socket.shutdown(),
        }
    }

    /// The other end.
    pub fn peer_addr(&self) -> SocketAddr {
        match &self.inner {
            SocketWorld::Glommio(socket) => socket.peer_addr(),
            SocketWorld::Sim(socket) => socket.peer_addr(),
        }
    }

    /// This end.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.inner {
            SocketWorld::Glommio(socket) => socket.local_addr(),
            SocketWorld::Sim(socket) => Ok(socket.local_addr()),
        }
    }

    /// Whether small writes leave at once (`TCP_NODELAY`). Accepted and connected sockets start with it on.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        match &self.inner {
            SocketWorld::Glommio(socket) => socket.set_nodelay(on),
            SocketWorld::Sim(_) => Ok(()),
        }
    }

    /// The kernel's send and receive buffers in bytes (`SO_SNDBUF`, `SO_RCVBUF`); `None` leaves it as it is.
    pub fn set_buffers(&self, send: Option<u32>, receive: Option<u32>) -> io::Result<()> {
        match &self.inner {
            SocketWorld::Glommio(socket) => socket.set_buffers(send, receive),
            SocketWorld::Sim(_) => Ok(()),
        }
    }
}
