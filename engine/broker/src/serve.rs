//! The shell around a connection: reads the socket, begins requests, sends answers. It decides nothing: order and limits
//! are `connection`'s, meaning is the handlers'.
//!
//! One task per connection does all three, so that a peer that does not read is not read either.
//!
//! ```text
//!    ┌─> begin every whole request in the buffer
//!    │   send every answer that is first in line: one writev, file ranges by sendfile
//!    └── wait: the first unfinished answer, or more bytes
//! ```

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use highwater_reactor::local::{Acquire, Latch, Permit};
use highwater_reactor::{DetachedSocket, Instant, Listener, ShardId, Socket};
use smallvec::SmallVec;

use crate::answer::{Cause, Frame};
use crate::connection::{Connection, Limits, Place, Received};
use crate::dispatch::{self, Waiting};
use crate::errand::{self, Errand};
use crate::seats::Seat;
use crate::shard::Shard;

/// What one read may bring: several batches of the usual 64 KiB, or a quarter of the largest usual request.
const READ_BYTES: usize = 256 << 10;

/// A part of a frame that must have arrived before memory is taken for eight times as much.
const GROWTH: usize = 8;

/// Frames up to this size are received as they come; a larger one first needs a share of what the shard receives at once.
const SMALL_FRAME_BYTES: usize = 1 << 20;

/// What the larger frames under way may take together, per shard: two of Kafka's largest.
pub(crate) const LARGE_FRAMES_BYTES_MAX: usize = 256 << 20;

/// Requests of one connection whose answers are unsent. Clients keep 5, a few up to 20.
const IN_FLIGHT_MAX: usize = 64;

/// Bodies of one connection's requests that are not answered yet, in bytes: more than five of the largest usual ones.
const BEGUN_BYTES_MAX: usize = 8 << 20;

/// Answers of one connection that wait behind an unfinished one, in bytes.
const ANSWERED_BYTES_MAX: usize = 1 << 20;

/// What is sent of a file before the connection counts as active again.
const SEND_FILE_BYTES: u64 = 1 << 20;

/// What a connection may receive before other tasks of the shard have a turn.
const TURN_BYTES: usize = 4 << 20;

/// How long accepting rests after an error (no descriptor left, most often).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often idle connections are looked for, at most.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// One connection as its shard knows it.
#[derive(Debug)]
pub(crate) struct Guest {
    id: u64,
    peer: SocketAddr,
    bound_port: u16,
    socket: Socket,
    active: Cell<Instant>,
    software: RefCell<Option<Box<str>>>,
    gone: Latch,
    _seat: Seat,
}

impl Guest {
    /// Distinguishes this connection from all others of its shard.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The port of the listener it came in by.
    pub(crate) fn bound_port(&self) -> u16 {
        self.bound_port
    }

    /// The peer's address.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// What the client says of itself in ApiVersions (KIP-511), for the log.
    pub(crate) fn introduces_itself(&self, name: &str, version: &str) {
        *self.software.borrow_mut() = Some(format!("{name} {version}").into_boxed_str());
    }

    fn describe(&self) -> String {
        match &*self.software.borrow() {
            Some(software) => format!("{} ({software})", self.peer),
            None => self.peer.to_string(),
        }
    }
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the peer has closed it")]
    Closed,
    #[error("the broker is stopping")]
    Stopping,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Cause(#[from] Cause),
}

/// A connection to serve from now on.
pub(crate) struct Adopt {
    socket: DetachedSocket,
    seat: Seat,
}

impl Errand for Adopt {
    type Answer = ();

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = ()> + use<> {
        match shard.reactor().adopt(self.socket) {
            Ok(socket) => {
                let task = serve(Rc::clone(shard), socket, self.seat);
                shard.reactor().spawn(task).detach();
            }
            Err(error) => tracing::warn!(%error, "a connection could not be taken over"),
        }
        std::future::ready(())
    }
}

/// Accepts connections and hands them to the shards in turn, until the shard closes.
pub async fn accept(shard: Rc<Shard>, listener: Listener) {
    let mut next = 0u16;
    loop {
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if shard.is_closing() {
                    return;
                }
                tracing::warn!(%error, "accepting rests for {ACCEPT_PAUSE:?}");
                shard.reactor().sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let config = shard.image().broker().clone();
        let limits = (config.connections_max, config.connections_per_ip_max);
        match shard.seats().take(peer.ip(), limits.0, limits.1) {
            Ok(seat) => {
                let to = ShardId::new(next);
                next = (next + 1) % shard.reactor().shards().max(1);
                let handed = errand::begin(&shard, to, Adopt { socket, seat });
                shard.reactor().spawn(handed).detach();
            }
            Err(full) => tracing::warn!(%peer, "connection refused: {full}"),
        }
    }
}

/// Ends connections that neither sent nor took a byte for `connections.max.idle.ms`. Runs for as long as the shard.
pub(crate) async fn sweep(shard: Rc<Shard>) {
    loop {
        let idle_max = shard.image().broker().connections_max_idle_ms;
        let idle_max = u64::try_from(idle_max).map_or(Duration::MAX, Duration::from_millis);
        let pause = (idle_max / 4).clamp(Duration::from_millis(100), SWEEP_INTERVAL);
        shard.reactor().sleep(pause).await;
        shard.buffers().trim();
        let now = shard.reactor().now();
        for guest in shard.guests() {
            if now.duration_since(guest.active.get()) >= idle_max {
                tracing::debug!(peer = guest.describe(), "idle connection closed");
                guest.socket.shutdown();
            }
        }
    }
}

/// How long connections may take to send what they owe when the broker stops.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Waits until every connection has sent its answers and ended; not longer than [`DRAIN_MAX`]. The shard is closing: no
/// request is begun any more.
pub(crate) async fn drain(shard: Rc<Shard>) {
    let guests = shard.guests();
    let gone = async {
        for guest in &guests {
            guest.gone.wait().await;
        }
    };
    if shard.reactor().timeout(DRAIN_MAX, gone).await.is_none() {
        tracing::warn!("connections are cut off: they did not take their answers in {DRAIN_MAX:?}");
    }
    close_all(&shard);
}

/// Ends every connection of the shard.
fn close_all(shard: &Shard) {
    for guest in shard.guests() {
        guest.socket.shutdown();
    }
}

/// Serves one connection to its end.
async fn serve(shard: Rc<Shard>, socket: Socket, seat: Seat) {
    let guest = Rc::new(Guest {
        id: shard.next_guest_id(),
        peer: socket.peer_addr(),
        bound_port: socket.local_addr().map_or(0, |address| address.port()),
        active: Cell::new(shard.reactor().now()),
        software: RefCell::new(None),
        gone: Latch::new(),
        socket,
        _seat: seat,
    });
    shard.counters().opened();
    shard.welcome(Rc::clone(&guest));
    let end = converse(&shard, &guest).await;
    shard.part(&guest);
    shard.counters().closed();
    match end {
        End::Closed | End::Stopping | End::Io(_) => {
            tracing::debug!(peer = guest.describe(), "connection ended: {end}");
        }
        End::Cause(cause) => {
            if cause.is_violation() {
                shard.counters().violation();
            }
            tracing::warn!(peer = guest.describe(), "connection closed: {cause}");
        }
    }
    guest.socket.shutdown();
    guest.gone.open();
}

async fn converse(shard: &Rc<Shard>, guest: &Rc<Guest>) -> End {
    match exchange(shard, guest).await {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

async fn exchange(shard: &Rc<Shard>, guest: &Rc<Guest>) -> Result<std::convert::Infallible, End> {
    let limits = Limits {
        frame_bytes_max: shard.image().broker().request_bytes_max as usize,
        in_flight_max: IN_FLIGHT_MAX,
        begun_bytes_max: BEGUN_BYTES_MAX,
        answered_bytes_max: ANSWERED_BYTES_MAX,
    };
    let mut connection: Connection<Waiting> = Connection::new(limits, dispatch::versions);
    let mut buffer = BytesMut::new();
    let mut held = 0;
    let mut frames = Vec::new();
    let mut turn = 0;
    let mut share = None;
    let mut begun = Begun { shard, bytes: 0 };
    loop {
        let mut wanted = 0;
        while connection.has_room(shard.is_short()) && !shard.is_closing() {
            match connection.next_request(&mut buffer) {
                Received::Request(inbound) => {
                    shard.counters().request();
                    let bytes = inbound.body.len();
                    let place = dispatch::begin(shard, guest, inbound);
                    connection.place(hold(share.take(), place), bytes);
                    begun.set(connection.begun_bytes());
                }
                Received::Wanted(bytes) => {
                    wanted = bytes;
                    break;
                }
                Received::Violation => break,
            }
        }
        if buffer.is_empty() {
            // What an idle connection holds is given back.
            shard.buffers().give(std::mem::take(&mut buffer), held);
            held = 0;
        }
        poll_answers(&mut connection).await;
        let verdict = connection.take_answers(&mut frames);
        begun.set(connection.begun_bytes());
        if !frames.is_empty() {
            send(shard, guest, &frames).await?;
            frames.clear();
        }
        verdict?;
        if shard.is_closing() && connection.first_waiting().is_none() {
            return Err(End::Stopping);
        }
        let room = wanted.clamp(READ_BYTES, READ_BYTES.max(buffer.len() * GROWTH));
        let frame = buffer.len() + wanted;
        let is_due = frame > SMALL_FRAME_BYTES && share.is_none();
        let due = is_due.then(|| {
            shard
                .large_frames()
                .acquire(frame.min(LARGE_FRAMES_BYTES_MAX))
        });
        match wait(
            shard,
            &mut connection,
            &guest.socket,
            &mut buffer,
            room,
            due,
        )
        .await?
        {
            Woken::Answered => {}
            Woken::Share(permit) => share = Some(permit),
            Woken::Received(bytes) => {
                guest.active.set(shard.reactor().now());
                shard.counters().received(bytes);
                turn += bytes;
                if turn > TURN_BYTES {
                    turn = 0;
                    shard.reactor().yield_now().await;
                }
            }
        }
        held = held.max(buffer.capacity());
    }
}

/// What a connection holds of its shard's memory for requests.
struct Begun<'a> {
    shard: &'a Shard,
    bytes: usize,
}

impl Begun<'_> {
    fn set(&mut self, bytes: usize) {
        self.shard.begun(self.bytes, bytes);
        self.bytes = bytes;
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Keeps a large request's share until it is answered.
fn hold(share: Option<Permit>, place: Place<Waiting>) -> Place<Waiting> {
    match (share, place) {
        (Some(share), Place::Waiting(waiting)) => Place::Waiting(Box::pin(async move {
            let answer = waiting.await;
            drop(share);
            answer
        })),
        (_, place) => place,
    }
}

/// Takes every answer that is ready by now, without waiting.
async fn poll_answers(connection: &mut Connection<Waiting>) {
    poll_fn(|task| {
        answer_ready(connection, task);
        Poll::Ready(())
    })
    .await;
}

fn answer_ready(connection: &mut Connection<Waiting>, task: &mut std::task::Context<'_>) -> bool {
    let mut any = false;
    while let Some(waiting) = connection.first_waiting() {
        match waiting.as_mut().poll(task) {
            Poll::Ready(answer) => {
                connection.answer_first(answer);
                any = true;
            }
            Poll::Pending => break,
        }
    }
    any
}

/// Why a connection goes on.
enum Woken {
    /// An answer is there.
    Answered,
    /// A large frame has its share of memory.
    Share(Permit),
    /// Bytes came: how many.
    Received(usize),
}

/// Waits until the first unfinished answer is there, or for bytes if there is room for requests and nothing is `due`
/// before.
async fn wait(
    shard: &Shard,
    connection: &mut Connection<Waiting>,
    socket: &Socket,
    buffer: &mut BytesMut,
    room: usize,
    due: Option<Acquire>,
) -> Result<Woken, End> {
    let make_room = |buffer: &mut BytesMut| {
        if buffer.is_empty() {
            *buffer = shard.buffers().take(room);
        } else {
            buffer.reserve(room);
        }
    };
    let mut receiving = pin!(socket.recv_with(buffer, room, make_room));
    let mut closing = pin!(shard.closing().wait());
    let mut due = pin!(due);
    poll_fn(|task| {
        if answer_ready(connection, task) {
            return Poll::Ready(Ok(Woken::Answered));
        }
        if shard.is_closing() {
            return match connection.first_waiting() {
                Some(_) => Poll::Pending,
                None => Poll::Ready(Ok(Woken::Answered)),
            };
        }
        // Not open, or we would not be here: this only asks to be woken.
        let _ = closing.as_mut().poll(task);
        if !connection.has_room(shard.is_short()) {
            return Poll::Pending;
        }
        if let Some(due) = due.as_mut().as_pin_mut() {
            return due.poll(task).map(|share| Ok(Woken::Share(share)));
        }
        match receiving.as_mut().poll(task) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(End::Closed)),
            Poll::Ready(Ok(bytes)) => Poll::Ready(Ok(Woken::Received(bytes))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Sends `frames` whole: what lies in memory together, file ranges between as they lie.
async fn send(shard: &Shard, guest: &Guest, frames: &[Frame]) -> io::Result<()> {
    let mut parts: SmallVec<[&[u8]; 16]> = SmallVec::new();
    let mut sent = 0;
    for frame in frames {
        let mut rest: &[u8] = &frame.head;
        let mut at = 0;
        for (position, range) in &frame.splices {
            let (before, after) = rest.split_at(position - at);
            rest = after;
            at = *position;
            if !before.is_empty() {
                parts.push(before);
            }
            sent += send_parts(guest, &mut parts).await?;
            let (mut from, mut left) = (range.position, u64::from(range.len));
            while left > 0 {
                let now = left.min(SEND_FILE_BYTES);
                // A cold range would have the whole shard wait for the device.
                shard.reactor().prefetch(&range.file, from, now).await?;
                guest.socket.send_file(&range.file, from, now).await?;
                guest.active.set(shard.reactor().now());
                from += now;
                left -= now;
            }
            sent += u64::from(range.len);
        }
        if !rest.is_empty() {
            parts.push(rest);
        }
    }
    sent += send_parts(guest, &mut parts).await?;
    guest.active.set(shard.reactor().now());
    shard.counters().sent(sent);
    Ok(())
}

async fn send_parts(guest: &Guest, parts: &mut SmallVec<[&[u8]; 16]>) -> io::Result<u64> {
    if parts.is_empty() {
        return Ok(0);
    }
    guest.socket.send_all(parts).await?;
    let bytes = parts.iter().map(|part| part.len() as u64).sum();
    parts.clear();
    Ok(bytes)
}
