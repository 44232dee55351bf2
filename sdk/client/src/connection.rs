//! One connection to one broker: requests go out as they come, answers come back in their order.
//!
//! A task writes and a task reads; a caller's future only waits. Knows versions, correlation ids and
//! time-outs, and nothing of what is asked. Whatever breaks the order of answers breaks the
//! connection, and everything that waits on it learns why.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use highwater_wire::frame::{Frames, Next};
use highwater_wire::message::{ApiVersionsRequest, ApiVersionsResponse};
use highwater_wire::{
    Decode, Encoded, ErrorCode, Message, Request, Response, decode_response, encode_request,
};
use smallvec::SmallVec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use crate::config::ClientConfig;
use crate::core::versions::Versions;
use crate::error::{Error, Result, Written};

/// Room made for at once while a long answer comes in: memory follows the bytes, not their promise.
const READ_STEP_BYTES_MAX: usize = 16 << 20;
const READ_BYTES_MIN: usize = 64 << 10;
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
    tasks: [AbortHandle; 2],
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
    failed: Option<Error>,
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
    deadline: Instant,
}

impl Pending {
    /// Waits for the answer. Cancel-safe: it can be called again.
    ///
    /// # Errors
    ///
    /// Why there is none; `possibly_written` tells whether the request went out.
    pub(crate) async fn answer(&mut self) -> Result<Reply> {
        match timeout_at(self.deadline, &mut self.answer).await {
            Ok(Ok(Ok(frame))) => Ok(Reply {
                frame,
                version: self.version,
            }),
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
    /// Connects, and learns which versions the broker speaks.
    ///
    /// # Errors
    ///
    /// [`Network`](crate::ErrorKind::Network), [`Timeout`](crate::ErrorKind::Timeout) after
    /// `connect_timeout`, or [`Protocol`](crate::ErrorKind::Protocol).
    pub(crate) async fn connect(host: &str, port: u16, config: &ClientConfig) -> Result<Self> {
        let peer = format!("{host}:{port}");
        let deadline = Instant::now() + config.connect_timeout;
        let connecting = async {
            let lost = |error: io::Error| {
                Error::network(format!("cannot connect to {peer}: {error}")).with_source(error)
            };
            let mut stream = TcpStream::connect((host, port)).await.map_err(lost)?;
            stream.set_nodelay(true).map_err(lost)?;
            let versions = handshake(&mut stream, &peer, config).await?;
            Ok((stream, versions))
        };
        let Ok(connected) = timeout_at(deadline, connecting).await else {
            let ms = config.connect_timeout.as_millis();
            return Err(Error::timeout(format!(
                "no connection to {peer} within {ms} ms"
            )));
        };
        let (stream, versions) = connected?;
        Ok(Self::start(stream, peer, versions, config))
    }

    fn start(stream: TcpStream, peer: String, versions: Versions, config: &ClientConfig) -> Self {
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
                failed: None,
            }),
            to_write: Notify::new(),
        });
        let (read, write) = stream.into_split();
        let reader = tokio::spawn(Arc::clone(&shared).read(read)).abort_handle();
        let writer = tokio::spawn(Arc::clone(&shared).write(write)).abort_handle();
        Self(Arc::new(Handle {
            shared,
            tasks: [reader, writer],
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
        let deadline = Instant::now() + timeout;
        let (sender, answer) = oneshot::channel();
        {
            let mut state = shared.lock();
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            if state.waiting.len() >= WAITING_MAX {
                let why = format!("{WAITING_MAX} requests to {} wait for answers", shared.peer);
                return Err(Error::new(crate::ErrorKind::Buffer, why));
            }
            let correlation = state.next_correlation;
            let client_id = Some(shared.client_id.as_str());
            let encoded = encode_request(correlation, client_id, version, request)
                .map_err(|error| Error::config(format!("{}: {error}", R::NAME)))?;
            state.next_correlation = correlation.checked_add(1).unwrap_or(1);
            state.enqueued += 1;
            let ordinal = state.enqueued;
            let chunks = interleave(encoded, records);
            let mut written = None;
            if expects_answer {
                state.waiting.push_back(Waiting {
                    correlation,
                    ordinal,
                    answer: sender,
                });
            } else {
                written = Some(sender);
            }
            state.outgoing.push_back(Outgoing { chunks, written });
        }
        shared.to_write.notify_one();
        let connection = self.clone();
        Ok(Pending {
            connection,
            answer,
            version,
            api: R::NAME,
            timeout,
            deadline,
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, error: Error) {
        let (waiting, outgoing, begun) = {
            let mut state = self.lock();
            if state.failed.is_some() {
                return;
            }
            state.failed = Some(error.clone());
            let waiting = std::mem::take(&mut state.waiting);
            (waiting, std::mem::take(&mut state.outgoing), state.begun)
        };
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
    }

    async fn write(self: Arc<Self>, mut stream: OwnedWriteHalf) {
        loop {
            let batch = {
                let mut state = self.lock();
                if state.failed.is_some() {
                    return;
                }
                state.begun = state.enqueued;
                std::mem::take(&mut state.outgoing)
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
                let why = format!("connection to {} broke while writing: {error}", self.peer);
                Error::network(why).with_source(error)
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

    async fn read(self: Arc<Self>, mut stream: OwnedReadHalf) {
        let frames = Frames::new(self.config.response_bytes_max);
        let mut buffer = BytesMut::new();
        let mut retired = Retired::default();
        let error = loop {
            match frames.next(&mut buffer) {
                Ok(Next::Frame(frame)) => {
                    retired.keep(&frame);
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
                            let why =
                                format!("connection to {} broke while reading: {error}", self.peer);
                            break Error::network(why).with_source(error);
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
            drop(state);
            // The asker may have stopped waiting; the place in line was all it had.
            let _ = waiting.answer.send(Ok(frame));
        }
        Ok(())
    }
}

/// Memory of long answers, to be read into again once nobody looks at them any more: what the
/// operating system gave need not be mapped and zeroed for each of them.
#[derive(Default)]
struct Retired(VecDeque<Bytes>);

impl Retired {
    /// One being read into, one waiting, one being looked at.
    const KEPT_MAX: usize = 3;

    fn keep(&mut self, frame: &Bytes) {
        if frame.len() <= READ_BYTES_MIN {
            // Long answers are over for now, and need not be remembered for ever.
            self.0.pop_front();
        } else if frame.len() <= READ_STEP_BYTES_MAX {
            if self.0.len() == Self::KEPT_MAX {
                self.0.pop_front();
            }
            self.0.push_back(frame.clone());
        }
    }

    /// Makes room for `bytes` more, or a step towards that.
    fn make_room(&mut self, buffer: &mut BytesMut, bytes: usize) {
        let room = bytes.clamp(READ_BYTES_MIN, READ_STEP_BYTES_MAX);
        if bytes <= READ_BYTES_MIN || buffer.capacity() - buffer.len() >= room {
            buffer.reserve(room);
            return;
        }
        for _ in 0..self.0.len() {
            let Some(frame) = self.0.pop_front() else {
                break;
            };
            match frame.try_into_mut() {
                Ok(mut page) => {
                    page.clear();
                    if page.capacity() >= buffer.len() + room {
                        page.extend_from_slice(buffer);
                        *buffer = page;
                        return;
                    }
                }
                Err(frame) => self.0.push_back(frame),
            }
        }
        buffer.reserve(room);
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

async fn write_all(stream: &mut OwnedWriteHalf, mut chunks: VecDeque<Bytes>) -> io::Result<()> {
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
    Ok(())
}

/// Asks for the broker's versions: in our highest, and again in its own when it knows fewer
/// (KIP-511: it then answers in version 0, which tells them).
async fn handshake(stream: &mut TcpStream, peer: &str, config: &ClientConfig) -> Result<Versions> {
    let mut version = *ApiVersionsRequest::VERSIONS.end();
    for correlation in 0.. {
        let frame = ask_versions(stream, peer, config, correlation, version).await?;
        let wrong = |error| Error::protocol(format!("{peer} does not answer as Kafka: {error}"));
        // The error code comes first in every version, behind the correlation id.
        let code = frame.get(4..6).and_then(|code| code.first_chunk::<2>());
        let code = ErrorCode::from_id(code.map_or(0, |code| i16::from_be_bytes(*code)));
        let spoken = if code == ErrorCode::UnsupportedVersion {
            0
        } else {
            version
        };
        let (found, answer) =
            decode_response::<ApiVersionsResponse<'_>>(spoken, &frame).map_err(wrong)?;
        if found != correlation {
            let why = format!("{peer} answers with correlation id {found}, expected {correlation}");
            return Err(Error::protocol(why));
        }
        let ranges = answer
            .api_keys
            .iter()
            .map(|a| (a.api_key, a.min_version, a.max_version));
        let features = answer.finalized_features.iter();
        let versions =
            Versions::new(ranges).with_features(features.map(|it| (it.name, it.max_version_level)));
        if code == ErrorCode::UnsupportedVersion && version > 0 {
            // An answer without ranges comes from brokers that only knew version 0.
            version = versions
                .pick(ApiVersionsRequest::API, &(0..=version - 1))
                .unwrap_or(0);
            continue;
        }
        if code.is_error() {
            return Err(Error::broker(code, None));
        }
        return Ok(versions);
    }
    unreachable!("the version sinks with every round")
}

async fn ask_versions(
    stream: &mut TcpStream,
    peer: &str,
    config: &ClientConfig,
    correlation: i32,
    version: i16,
) -> Result<Bytes> {
    let request = ApiVersionsRequest {
        client_software_name: "highwater",
        client_software_version: env!("CARGO_PKG_VERSION"),
    };
    let encoded = encode_request(correlation, Some(&config.client_id), version, &request)
        .map_err(|error| Error::config(error.to_string()))?;
    let broke = |error: io::Error| {
        let why = format!("connection to {peer} broke in the handshake: {error}");
        Error::network(why).with_source(error)
    };
    stream.write_all(&encoded.bytes).await.map_err(broke)?;
    let frames = Frames::new(config.response_bytes_max.min(1 << 20));
    let mut buffer = BytesMut::new();
    loop {
        match frames.next(&mut buffer) {
            Ok(Next::Frame(frame)) => return Ok(frame),
            Ok(Next::Wanted(bytes)) => {
                // No more than this answer: what follows belongs to the reader.
                let mut limited = pin!(stream.take(bytes.try_into().unwrap_or(u64::MAX)));
                if limited.read_buf(&mut buffer).await.map_err(broke)? == 0 {
                    return Err(Error::network(format!("{peer} closed in the handshake")));
                }
            }
            Err(error) => {
                return Err(Error::protocol(format!(
                    "{peer} does not answer as Kafka: {error}"
                )));
            }
        }
    }
}
