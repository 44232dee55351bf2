//! One connection to one broker: requests go out as they come, answers come back in their order.
//!
//! A task writes and a task reads; a caller's future only waits. Knows versions, correlation ids and
//! time-outs, and nothing of what is asked. Whatever breaks the order of answers breaks the
//! connection, and everything that waits on it learns why.

mod authenticate;
mod dial;
mod handshake;
mod keeper;
mod pages;
mod secured;
mod stream;
#[cfg(feature = "tls")]
mod verify;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use highwater_wire::frame::{Frames, Next};
use highwater_wire::{Decode, Encoded, Request, Response, decode_response, encode_request};
use smallvec::SmallVec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, Span};

use crate::config::ClientConfig;
use crate::core::versions::Versions;
use crate::error::{Error, Result, Written};
use crate::telemetry::measure;

use pages::Retired;
use stream::{Reading, Stream, Writing};

pub(crate) use secured::Secured;

/// Chunks handed to one `writev`.
const WRITE_CHUNKS_MAX: usize = 64;
/// Requests one connection may have waiting for answers; callers beyond that are refused. Far above
/// what a producer's five, a consumer's one and an admin's few amount to.
const WAITING_MAX: usize = 1024;

/// A live connection, or one that has failed and says so. Cloning shares it; the last clone's drop
/// closes it.
#[derive(Clone, Debug)]
pub(crate) struct Connection(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    tasks: [AbortHandle; 3],
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.fail(Error::closed("connection"));
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

#[derive(Debug)]
struct Shared {
    peer: String,
    client_id: String,
    versions: Versions,
    config: ClientConfig,
    state: Mutex<State>,
    to_write: Notify,
    /// Told when nothing waits for an answer while requests are held, and when the connection fails.
    drained: Notify,
}

#[derive(Debug)]
struct State {
    next_correlation: i32,
    /// How many requests were put in line, and how many of them the writer took out of it.
    enqueued: u64,
    begun: u64,
    outgoing: VecDeque<Outgoing>,
    /// Those that expect an answer, in their order.
    waiting: VecDeque<Waiting>,
    /// Requests that must let others pass, while there are such others.
    held: Option<VecDeque<Asked>>,
    /// When something was last asked.
    used_at: Instant,
    failed: Option<Error>,
}

/// A request before it is put in line.
#[derive(Debug)]
struct Asked {
    correlation: i32,
    chunks: SmallVec<[Bytes; 4]>,
    answer: oneshot::Sender<Result<Bytes>>,
    expects_answer: bool,
}

impl State {
    fn put_in_line(&mut self, asked: Asked) {
        self.enqueued += 1;
        let (mut written, ordinal) = (None, self.enqueued);
        if asked.expects_answer {
            self.waiting.push_back(Waiting {
                correlation: asked.correlation,
                ordinal,
                answer: asked.answer,
            });
        } else {
            written = Some(asked.answer);
        }
        self.outgoing.push_back(Outgoing {
            chunks: asked.chunks,
            written,
        });
    }
}

#[derive(Debug)]
struct Outgoing {
    chunks: SmallVec<[Bytes; 4]>,
    /// Told when the bytes are written, by who expects no answer.
    written: Option<oneshot::Sender<Result<Bytes>>>,
}

#[derive(Debug)]
struct Waiting {
    correlation: i32,
    ordinal: u64,
    answer: oneshot::Sender<Result<Bytes>>,
}

/// The frame of an answer and the version it is in.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) frame: Bytes,
    pub(crate) version: i16,
}

impl Reply {
    /// Reads the answer.
    ///
    /// # Errors
    ///
    /// [`Protocol`](crate::ErrorKind::Protocol) when the bytes are no such answer.
    pub(crate) fn decode<'r, M: Response + Decode<'r>>(&'r self) -> Result<M> {
        match decode_response::<M>(self.version, &self.frame) {
            Ok((_, message)) => Ok(message),
            Err(error) => Err(Error::protocol(format!("answer does not parse: {error}"))
                .with_source(error)
                .with_written(Written::Maybe)),
        }
    }
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct Pending {
    connection: Connection,
    answer: oneshot::Receiver<Result<Bytes>>,
    version: i16,
    api: &'static str,
    timeout: Duration,
    asked_at: Instant,
    /// From being put in line to being answered or given up.
    span: Span,
}

impl Pending {
    /// Waits for the answer. Cancel-safe: it can be called again.
    ///
    /// # Errors
    ///
    /// Why there is none; `possibly_written` tells whether the request went out.
    pub(crate) async fn answer(&mut self) -> Result<Reply> {
        match timeout_at(self.asked_at + self.timeout, &mut self.answer).await {
            Ok(Ok(Ok(frame))) => {
                let api = self.api.trim_end_matches("Request");
                measure::answered(api, self.asked_at.elapsed());
                self.span.in_scope(|| tracing::trace!("answered"));
                Ok(Reply {
                    frame,
                    version: self.version,
                })
            }
            Ok(Ok(Err(error))) => Err(error),
            Ok(Err(_)) => Err(Error::closed("connection").with_written(Written::Maybe)),
            Err(_) => {
                let ms = self.timeout.as_millis();
                let why = format!(
                    "no answer to {} from {} within {ms} ms",
                    self.api, self.connection.0.shared.peer
                );
                let error = Error::timeout(why);
                // Answers come in order: none behind this one can be waited for either.
                self.connection.fail(error.clone());
                Err(error.with_written(Written::Maybe))
            }
        }
    }
}

impl Connection {
    /// Connects, secures the connection, learns which versions the broker speaks, and says who we are.
    ///
    /// # Errors
    ///
    /// [`Network`](crate::ErrorKind::Network), [`Timeout`](crate::ErrorKind::Timeout) after
    /// `connect_timeout`, [`Protocol`](crate::ErrorKind::Protocol), or [`Auth`](crate::ErrorKind::Auth) when one side does
    /// not believe the other.
    pub(crate) async fn connect(
        host: &str,
        port: u16,
        config: &ClientConfig,
        secured: &Secured,
    ) -> Result<Self> {
        let peer = format!("{host}:{port}");
        let deadline = Instant::now() + config.connect_timeout;
        let span = tracing::debug_span!("connect", %peer);
        let connecting = handshake::shake(host, port, &peer, config, secured).instrument(span);
        let connected = timeout_at(deadline, connecting).await.unwrap_or_else(|_| {
            let ms = config.connect_timeout.as_millis();
            let why = format!("no connection to {peer} within {ms} ms");
            Err(Error::timeout(why))
        });
        let (stream, versions, session) = connected.inspect_err(measure::not_connected)?;
        measure::connected();
        let keeper = keeper::Keeper::new(secured, session);
        Ok(Self::start(stream, peer, versions, config, keeper))
    }

    fn start(
        stream: Stream,
        peer: String,
        versions: Versions,
        config: &ClientConfig,
        keeper: keeper::Keeper,
    ) -> Self {
        let shared = Arc::new(Shared {
            peer,
            client_id: config.client_id.clone(),
            versions,
            config: config.clone(),
            state: Mutex::new(State {
                next_correlation: 1,
                enqueued: 0,
                begun: 0,
                outgoing: VecDeque::new(),
                waiting: VecDeque::new(),
                held: None,
                used_at: Instant::now(),
                failed: None,
            }),
            to_write: Notify::new(),
            drained: Notify::new(),
        });
        let (read, write) = stream.split();
        let reader = tokio::spawn(Arc::clone(&shared).read(read)).abort_handle();
        let writer = tokio::spawn(Arc::clone(&shared).write(write)).abort_handle();
        let keeper = tokio::spawn(keeper.keep(Arc::clone(&shared))).abort_handle();
        Self(Arc::new(Handle {
            shared,
            tasks: [reader, writer, keeper],
        }))
    }

    /// Where the broker is, `host:port`.
    pub(crate) fn peer(&self) -> &str {
        &self.0.shared.peer
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.0.shared.lock().failed.is_none()
    }

    /// The version of `R` to speak with this broker, no higher than `max`.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::ErrorKind::Unsupported).
    pub(crate) fn version<R: Request>(&self, max: i16) -> Result<i16> {
        let ours = *R::VERSIONS.start()..=(*R::VERSIONS.end()).min(max);
        self.0.shared.versions.pick(R::API, &ours)
    }

    /// The level of a feature that the cluster has turned on, 0 for off, as of when the connection was made.
    pub(crate) fn feature(&self, name: &str) -> i16 {
        self.0.shared.versions.feature(name)
    }

    /// Puts a request in line. `records` are the bytes its deferred fields promise, in order.
    ///
    /// Without `expects_answer`, the answer comes (empty) when the bytes are written.
    pub(crate) fn send<R: Request>(
        &self,
        request: &R,
        version: i16,
        records: impl IntoIterator<Item = Bytes>,
        expects_answer: bool,
    ) -> Result<Pending> {
        let timeout = self.0.shared.config.request_timeout;
        self.send_within(request, version, records, expects_answer, timeout)
    }

    /// The same, for an answer that may take longer than others.
    pub(crate) fn send_within<R: Request>(
        &self,
        request: &R,
        version: i16,
        records: impl IntoIterator<Item = Bytes>,
        expects_answer: bool,
        timeout: Duration,
    ) -> Result<Pending> {
        let shared = &self.0.shared;
        let now = Instant::now();
        let span =
            tracing::trace_span!("request", peer = shared.peer, api = R::API.name(), version);
        let answer = shared.ask(request, version, records, expects_answer, Line::Waits(now))?;
        Ok(Pending {
            connection: self.clone(),
            answer,
            version,
            api: R::NAME,
            timeout,
            asked_at: now,
            span,
        })
    }

    /// Asks and waits, in the highest version both sides speak.
    ///
    /// Cancel-safe in that the connection stays in order: the answer is dropped when it comes.
    pub(crate) async fn call<R: Request>(&self, request: &R) -> Result<Reply> {
        let version = self.version::<R>(i16::MAX)?;
        self.send(request, version, [], true)?.answer().await
    }

    fn fail(&self, error: Error) {
        self.0.shared.fail(error);
        self.0.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// What a request does while others are held.
#[derive(Clone, Copy, Debug)]
enum Line {
    /// It was asked at this time and waits with them.
    Waits(Instant),
    /// It is what they are held for.
    Passes,
}

impl Shared {
    /// Puts a request in line; the answer comes by the receiver.
    fn ask<R: Request>(
        &self,
        request: &R,
        version: i16,
        records: impl IntoIterator<Item = Bytes>,
        expects_answer: bool,
        line: Line,
    ) -> Result<oneshot::Receiver<Result<Bytes>>> {
        let (sender, answer) = oneshot::channel();
        {
            let mut state = self.lock();
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            let held = state.held.as_ref().map_or(0, VecDeque::len);
            if state.waiting.len() + held >= WAITING_MAX {
                let why = format!("{WAITING_MAX} requests to {} wait for answers", self.peer);
                return Err(Error::new(crate::ErrorKind::Buffer, why));
            }
            let correlation = state.next_correlation;
            let client_id = Some(self.client_id.as_str());
            let encoded = encode_request(correlation, client_id, version, request)
                .map_err(|error| Error::config(format!("{}: {error}", R::NAME)))?;
            state.next_correlation = correlation.checked_add(1).unwrap_or(1);
            let asked = Asked {
                correlation,
                chunks: interleave(encoded, records),
                answer: sender,
                expects_answer,
            };
            match (line, &mut state.held) {
                (Line::Waits(now), Some(held)) => {
                    held.push_back(asked);
                    state.used_at = now;
                }
                (Line::Waits(now), None) => {
                    state.put_in_line(asked);
                    state.used_at = now;
                }
                (Line::Passes, _) => state.put_in_line(asked),
            }
        }
        self.to_write.notify_one();
        Ok(answer)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, error: Error) {
        let (waiting, outgoing, held, begun) = {
            let mut state = self.lock();
            if state.failed.is_some() {
                return;
            }
            state.failed = Some(error.clone());
            let waiting = std::mem::take(&mut state.waiting);
            let outgoing = std::mem::take(&mut state.outgoing);
            (waiting, outgoing, state.held.take(), state.begun)
        };
        measure::disconnected();
        for asked in held.into_iter().flatten() {
            let _ = asked.answer.send(Err(error.clone()));
        }
        for Waiting {
            ordinal, answer, ..
        } in waiting
        {
            let written = if ordinal <= begun {
                Written::Maybe
            } else {
                Written::No
            };
            let _ = answer.send(Err(error.clone().with_written(written)));
        }
        for written in outgoing.into_iter().filter_map(|outgoing| outgoing.written) {
            let _ = written.send(Err(error.clone()));
        }
        self.to_write.notify_one();
        self.drained.notify_one();
    }

    async fn write(self: Arc<Self>, mut stream: Writing) {
        loop {
            let batch = {
                let mut state = self.lock();
                state.begun = state.enqueued;
                let batch = std::mem::take(&mut state.outgoing);
                state.failed.is_none().then_some(batch)
            };
            let Some(batch) = batch else {
                // The broker is told, although somebody may hold on to this connection.
                let _ = stream.shutdown().await;
                return;
            };
            if batch.is_empty() {
                self.to_write.notified().await;
                continue;
            }
            let mut chunks = VecDeque::new();
            let mut written = Vec::new();
            for outgoing in batch {
                chunks.extend(outgoing.chunks);
                written.extend(outgoing.written);
            }
            let result = write_all(&mut stream, chunks).await;
            let outcome = result.map(|()| Bytes::new()).map_err(|error| {
                stream::broke(
                    &format!("connection to {} broke while writing", self.peer),
                    error,
                )
            });
            for written in written {
                let outcome = outcome
                    .clone()
                    .map_err(|error| error.with_written(Written::Maybe));
                let _ = written.send(outcome);
            }
            if let Err(error) = outcome {
                self.fail(error);
                return;
            }
        }
    }

    async fn read(self: Arc<Self>, mut stream: Reading) {
        let frames = Frames::new(self.config.response_bytes_max);
        let mut buffer = BytesMut::new();
        let mut retired = Retired::default();
        let error = loop {
            match frames.next(&mut buffer) {
                Ok(Next::Frame(frame)) => {
                    retired.keep(&frame, &mut buffer);
                    if let Err(error) = self.answered(frame) {
                        break error;
                    }
                }
                Ok(Next::Wanted(bytes)) => {
                    retired.make_room(&mut buffer, bytes);
                    match stream.read_buf(&mut buffer).await {
                        Ok(0) => {
                            let why = format!("connection closed by {}", self.peer);
                            break Error::network(why);
                        }
                        Ok(_) => {}
                        Err(error) => {
                            let why = format!("connection to {} broke while reading", self.peer);
                            break stream::broke(&why, error);
                        }
                    }
                }
                Err(error) => break Error::protocol(format!("{}: {error}", self.peer)),
            }
        };
        self.fail(error);
    }

    fn answered(&self, frame: Bytes) -> Result<()> {
        let Some(found) = frame
            .first_chunk::<4>()
            .map(|bytes| i32::from_be_bytes(*bytes))
        else {
            let why = format!("answer of {} bytes from {}, need 4", frame.len(), self.peer);
            return Err(Error::protocol(why));
        };
        let mut state = self.lock();
        let expected = state.waiting.front().map(|waiting| waiting.correlation);
        if expected != Some(found) {
            let expected = expected.map_or("none".to_owned(), |id| id.to_string());
            return Err(Error::protocol(format!(
                "answer from {} has correlation id {found}, expected {expected}",
                self.peer
            )));
        }
        if let Some(waiting) = state.waiting.pop_front() {
            let is_drained = state.waiting.is_empty() && state.held.is_some();
            drop(state);
            if is_drained {
                self.drained.notify_one();
            }
            // The asker may have stopped waiting; the place in line was all it had.
            let _ = waiting.answer.send(Ok(frame));
        }
        Ok(())
    }
}

fn interleave(encoded: Encoded, records: impl IntoIterator<Item = Bytes>) -> SmallVec<[Bytes; 4]> {
    let mut chunks = SmallVec::new();
    let mut head = Bytes::from(encoded.bytes);
    let mut taken = 0;
    for (splice, records) in encoded.splices.into_iter().zip(records) {
        chunks.push(head.split_to(splice.at - taken));
        chunks.push(records);
        taken = splice.at;
    }
    if !head.is_empty() {
        chunks.push(head);
    }
    chunks
}

async fn write_all(stream: &mut Writing, mut chunks: VecDeque<Bytes>) -> io::Result<()> {
    while !chunks.is_empty() {
        let mut slices = [io::IoSlice::new(&[]); WRITE_CHUNKS_MAX];
        for (slice, chunk) in slices.iter_mut().zip(&chunks) {
            *slice = io::IoSlice::new(chunk);
        }
        let count = chunks.len().min(WRITE_CHUNKS_MAX);
        let mut written = stream.write_vectored(&slices[..count]).await?;
        if written == 0 && chunks.iter().any(|chunk| !chunk.is_empty()) {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while let Some(chunk) = chunks.front_mut() {
            if chunk.len() > written {
                let _ = chunk.split_to(written);
                break;
            }
            written -= chunk.len();
            chunks.pop_front();
        }
    }
    // What TLS has encrypted may still be on this side.
    stream.flush().await
}
