//! Connections in memory: bounded buffers, bytes that arrive in pieces by chance, and faults on demand.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;

use super::chance::Chance;
use crate::file::File;
use crate::task::pending;

/// What one direction of a connection holds before its sender has to wait.
const BUFFER_BYTES: usize = 64 << 10;

/// Connections that wait to be accepted, per listener.
const BACKLOG: usize = 128;

/// The first port given to who asks for none.
const FIRST_PORT: u16 = 40_000;

/// What a `send_file` reads at once.
const FILE_PIECE_BYTES: u64 = 16 << 10;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The network of a simulated world, as a test sees it. Clones are the same network.
#[derive(Clone, Debug)]
pub struct Network {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    chance: Chance,
    next_port: u16,
    listeners: BTreeMap<SocketAddr, Arc<Mutex<Backlog>>>,
    /// Both directions of every connection made and not forgotten.
    pipes: Vec<std::sync::Weak<Mutex<Pipe>>>,
    accepts: u64,
    failing_accepts: BTreeMap<u64, i32>,
}

#[derive(Debug, Default)]
struct Backlog {
    waiting: VecDeque<End>,
    waker: Option<Waker>,
    closed: bool,
}

/// One direction.
#[derive(Debug)]
struct Pipe {
    bytes: VecDeque<u8>,
    chance: Chance,
    /// Nothing comes any more after the bytes there are.
    finished: bool,
    /// Nobody reads any more.
    broken: bool,
    /// Cut: the reader gets an error.
    reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn new(chance: Chance) -> Self {
        Self {
            bytes: VecDeque::new(),
            chance,
            finished: false,
            broken: false,
            reset: false,
            reader: None,
            writer: None,
        }
    }

    fn wake(&mut self) {
        for waker in self.reader.take().into_iter().chain(self.writer.take()) {
            waker.wake();
        }
    }
}

impl Network {
    pub(super) fn new(chance: Chance) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                chance,
                next_port: FIRST_PORT,
                listeners: BTreeMap::new(),
                pipes: Vec::new(),
                accepts: 0,
                failing_accepts: BTreeMap::new(),
            })),
        }
    }

    /// The `nth` accept from now (1 is the next) fails with `errno`; the connection stays in line.
    pub fn fail_accept(&self, nth: u64, errno: i32) {
        let mut state = lock(&self.state);
        let ordinal = state.accepts + nth;
        state.failing_accepts.insert(ordinal, errno);
    }

    /// Cuts every connection: both ends get `ConnectionReset`.
    pub fn reset_all(&self) {
        let pipes = std::mem::take(&mut lock(&self.state).pipes);
        for pipe in pipes.iter().filter_map(std::sync::Weak::upgrade) {
            let mut pipe = lock(&pipe);
            (pipe.reset, pipe.broken) = (true, true);
            pipe.wake();
        }
    }

    /// The process has ended.
    pub(super) fn end(&self) {
        self.reset_all();
        let listeners = std::mem::take(&mut lock(&self.state).listeners);
        drop(listeners);
    }

    pub(super) fn listen(&self, address: SocketAddr) -> io::Result<Listener> {
        let mut state = lock(&self.state);
        let mut address = address;
        if address.port() == 0 {
            address.set_port(state.next_port);
            state.next_port += 1;
        }
        let taken = state.listeners.keys().any(|other| {
            let anywhere = other.ip().is_unspecified() || address.ip().is_unspecified();
            other.port() == address.port() && (anywhere || other.ip() == address.ip())
        });
        if taken {
            return Err(io::Error::from_raw_os_error(libc::EADDRINUSE));
        }
        let backlog: Arc<Mutex<Backlog>> = Arc::default();
        state.listeners.insert(address, Arc::clone(&backlog));
        Ok(Listener {
            address,
            backlog,
            network: self.clone(),
        })
    }

    pub(super) fn connect(&self, address: SocketAddr) -> io::Result<DetachedSocket> {
        let mut state = lock(&self.state);
        let refused = || io::Error::from_raw_os_error(libc::ECONNREFUSED);
        let backlog = state
            .listeners
            .iter()
            .find(|(other, _)| {
                let there = other.ip() == address.ip() || other.ip().is_unspecified();
                there && other.port() == address.port()
            })
            .map(|(_, backlog)| Arc::clone(backlog))
            .ok_or_else(refused)?;
        let mut backlog = lock(&backlog);
        if backlog.waiting.len() == BACKLOG {
            return Err(refused());
        }
        let here = SocketAddr::new(address.ip(), state.next_port);
        state.next_port += 1;
        let one = Arc::new(Mutex::new(Pipe::new(state.chance.fork())));
        let other = Arc::new(Mutex::new(Pipe::new(state.chance.fork())));
        state.pipes.retain(|pipe| pipe.strong_count() > 0);
        state
            .pipes
            .extend([Arc::downgrade(&one), Arc::downgrade(&other)]);
        let (incoming, outgoing) = (Arc::clone(&other), Arc::clone(&one));
        backlog.waiting.push_back(End {
            incoming: one,
            outgoing: other,
            local: address,
            peer: here,
        });
        if let Some(waker) = backlog.waker.take() {
            waker.wake();
        }
        Ok(DetachedSocket {
            end: End {
                incoming,
                outgoing,
                local: here,
                peer: address,
            },
        })
    }
}

#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    backlog: Arc<Mutex<Backlog>>,
    network: Network,
}

impl Listener {
    pub(crate) async fn accept(&self) -> io::Result<(DetachedSocket, SocketAddr)> {
        poll_fn(|context| {
            let mut backlog = lock(&self.backlog);
            if backlog.waiting.is_empty() {
                if backlog.closed {
                    return Poll::Ready(Err(ErrorKind::ConnectionAborted.into()));
                }
                backlog.waker = Some(context.waker().clone());
                return pending("a connection");
            }
            let mut state = lock(&self.network.state);
            state.accepts += 1;
            let ordinal = state.accepts;
            if let Some(errno) = state.failing_accepts.remove(&ordinal) {
                return Poll::Ready(Err(io::Error::from_raw_os_error(errno)));
            }
            let end = backlog.waiting.pop_front().ok_or(ErrorKind::WouldBlock)?;
            let peer = end.peer;
            Poll::Ready(Ok((DetachedSocket { end }, peer)))
        })
        .await
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = lock(&self.network.state);
        let ours = state
            .listeners
            .get(&self.address)
            .is_some_and(|backlog| Arc::ptr_eq(backlog, &self.backlog));
        if ours {
            state.listeners.remove(&self.address);
        }
        drop(state);
        let waiting = std::mem::take(&mut lock(&self.backlog).waiting);
        drop(waiting);
    }
}

/// One end of a connection, on no shard.
#[derive(Debug)]
pub(crate) struct DetachedSocket {
    end: End,
}

#[derive(Debug)]
struct End {
    incoming: Arc<Mutex<Pipe>>,
    outgoing: Arc<Mutex<Pipe>>,
    local: SocketAddr,
    peer: SocketAddr,
}

impl End {
    fn close(&self) {
        let mut outgoing = lock(&self.outgoing);
        outgoing.finished = true;
        outgoing.wake();
        drop(outgoing);
        let mut incoming = lock(&self.incoming);
        (incoming.broken, incoming.finished) = (true, true);
        incoming.wake();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.close();
    }
}

#[derive(Debug)]
pub(crate) struct Socket {
    end: End,
}

impl Socket {
    pub(super) fn adopt(socket: DetachedSocket) -> Self {
        Self { end: socket.end }
    }

    pub(crate) async fn recv(
        &self,
        into: &mut BytesMut,
        len_max: usize,
        mut make_room: impl FnMut(&mut BytesMut),
    ) -> io::Result<usize> {
        poll_fn(|context| {
            let mut pipe = lock(&self.end.incoming);
            if pipe.reset {
                return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
            }
            if pipe.bytes.is_empty() {
                if pipe.finished {
                    return Poll::Ready(Ok(0));
                }
                pipe.reader = Some(context.waker().clone());
                return pending("bytes from a peer");
            }
            let most = pipe.bytes.len().min(len_max);
            let some = pipe.chance.some_of(most);
            if into.capacity() == into.len() {
                make_room(into);
            }
            into.extend(pipe.bytes.drain(..some));
            if let Some(waker) = pipe.writer.take() {
                waker.wake();
            }
            Poll::Ready(Ok(some))
        })
        .await
    }

    pub(crate) async fn send_all(&self, parts: &[&[u8]]) -> io::Result<()> {
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                let sent = poll_fn(|context| self.poll_send(context, rest)).await?;
                rest = &rest[sent..];
            }
        }
        Ok(())
    }

    fn poll_send(&self, context: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut pipe = lock(&self.end.outgoing);
        if pipe.reset {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        if pipe.broken || pipe.finished {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let room = BUFFER_BYTES - pipe.bytes.len();
        if room == 0 {
            pipe.writer = Some(context.waker().clone());
            return pending("room to send");
        }
        let some = pipe.chance.some_of(room.min(bytes.len()));
        pipe.bytes.extend(&bytes[..some]);
        if let Some(waker) = pipe.reader.take() {
            waker.wake();
        }
        Poll::Ready(Ok(some))
    }

    pub(crate) async fn send_file(&self, file: &File, position: u64, len: u64) -> io::Result<()> {
        let mut done = 0;
        let mut piece = BytesMut::new();
        while done < len {
            let some = usize::try_from((len - done).min(FILE_PIECE_BYTES)).unwrap_or(0);
            piece.clear();
            match file.read_at_append(position + done, some, &mut piece)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                read => done += read as u64,
            }
            self.send_all(&[&piece]).await?;
        }
        Ok(())
    }

    pub(crate) fn shutdown(&self) {
        self.end.close();
    }

    pub(crate) fn peer_addr(&self) -> SocketAddr {
        self.end.peer
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.end.local
    }
}
