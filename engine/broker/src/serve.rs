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

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::BytesMut;
use highwater_reactor::Socket;
use highwater_reactor::local::{Acquire, Permit};

use crate::answer::Cause;
use crate::connection::{Connection, Limits, Place, Received};
use crate::dispatch::{self, Waiting};
use crate::guests::Guest;
use crate::seats::Seat;
use crate::send;
use crate::shard::Shard;

/// What one read may bring: several batches of the usual 64 KiB, or a quarter of the largest usual request.
const READ_BYTES: usize = 256 << 10;

/// A part of a frame that must have arrived before memory is taken for eight times as much.
const GROWTH: usize = 8;

/// Frames up to this size are received as they come; a larger one first needs a share of what the shard receives at once.
const SMALL_FRAME_BYTES: usize = 1 << 20;

/// Requests of one connection whose answers are unsent. Clients keep 5, a few up to 20.
const IN_FLIGHT_MAX: usize = 64;

/// Bodies of one connection's requests that are not answered yet, in bytes: more than five of the largest usual ones.
const BEGUN_BYTES_MAX: usize = 8 << 20;

/// Answers of one connection that wait behind an unfinished one, in bytes.
const ANSWERED_BYTES_MAX: usize = 1 << 20;

/// What a connection may receive before other tasks of the shard have a turn.
const TURN_BYTES: usize = 4 << 20;

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

/// Serves one connection to its end.
pub(crate) async fn serve(shard: Rc<Shard>, socket: Socket, seat: Seat) {
    let guest = shard.guests().welcome(socket, seat, shard.reactor().now());
    shard.counters().opened();
    let end = converse(&shard, &guest).await;
    shard.guests().part(&guest);
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
    guest.leave();
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
    let mut begun = shard.memory().begin();
    loop {
        let mut wanted = 0;
        while connection.has_room(shard.memory().is_short()) && !shard.is_closing() {
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
            shard
                .memory()
                .buffers()
                .give(std::mem::take(&mut buffer), held);
            held = 0;
        }
        poll_answers(&mut connection).await;
        let verdict = connection.take_answers(&mut frames);
        begun.set(connection.begun_bytes());
        if !frames.is_empty() {
            send::send(shard, guest, &frames).await?;
            frames.clear();
        }
        verdict?;
        if shard.is_closing() && connection.first_waiting().is_none() {
            return Err(End::Stopping);
        }
        let room = wanted.clamp(READ_BYTES, READ_BYTES.max(buffer.len() * GROWTH));
        let frame = buffer.len() + wanted;
        let is_due = frame > SMALL_FRAME_BYTES && share.is_none();
        let due = is_due.then(|| shard.memory().large_frame(frame));
        match wait(
            shard,
            &mut connection,
            guest.socket(),
            &mut buffer,
            room,
            wanted,
            due,
        )
        .await?
        {
            Woken::Answered => {}
            Woken::Share(permit) => share = Some(permit),
            Woken::Received(bytes) => {
                guest.is_active(shard.reactor().now());
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
    wanted: usize,
    due: Option<Acquire>,
) -> Result<Woken, End> {
    let make_room = |buffer: &mut BytesMut| {
        if buffer.is_empty() {
            *buffer = shard.memory().buffers().take(room);
        } else {
            buffer.reserve(room);
        }
    };
    let mut receiving = pin!(socket.recv_with(buffer, room, wanted, make_room));
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
        if !connection.has_room(shard.memory().is_short()) {
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
