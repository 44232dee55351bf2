//! One connection's side of the protocol, sans IO: bytes in, requests out, answers back in the order the requests came.
//!
//! It knows frames, request headers and the line of answers; no socket, no clock, and not what any request means. What
//! stands in line for an answer that is still to come is the caller's (`W`): a future in production, a number in tests.
//!
//! ```text
//!   bytes ──> frames ──> header ──> Inbound ──> (handler)
//!                                                  │ place()
//!   line:   [answered] [answered] [waiting W] [answered] [waiting W]
//!           └── take_answers() ──┘└ first_waiting()
//! ```
//!
//! Invariants: places leave in the order they came; `begun_bytes` and `answered_bytes` are the sums over the line.
#![deny(clippy::indexing_slicing)]

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use highwater_wire::frame::{FrameError, Frames, Next};
use highwater_wire::{ApiKey, Cursor, DecodeError, RequestHeader};

use crate::answer::{Answer, Cause, Frame};

/// What one connection may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The longest frame, without its length prefix (`socket.request.max.bytes`).
    pub(crate) frame_bytes_max: usize,
    /// Requests whose answers have not left yet. Kafka takes one at a time; more only ever helps producers.
    pub(crate) in_flight_max: usize,
    /// Requests under way stop the reading at this many bytes of bodies; the first may have more.
    pub(crate) begun_bytes_max: usize,
    /// Answers that wait behind an unfinished one stop the reading at this many bytes in memory.
    pub(crate) answered_bytes_max: usize,
}

/// One request: its header read, its body untouched.
#[derive(Clone, Debug)]
pub(crate) struct Inbound {
    /// The API, one that this broker serves.
    pub(crate) api: ApiKey,
    /// The version: one that is served, but for ApiVersions, which answers any.
    pub(crate) version: i16,
    /// Comes back with the answer.
    pub(crate) correlation_id: i32,
    /// The client's name for itself.
    pub(crate) client_id: Option<Arc<str>>,
    /// The request after its header.
    pub(crate) body: Bytes,
}

/// What the bytes so far amount to.
#[derive(Debug)]
pub(crate) enum Received {
    /// A whole request.
    Request(Inbound),
    /// At least so many more bytes are needed to go on.
    Wanted(usize),
    /// Nothing that can be understood; there will be no more.
    Violation,
}

/// Why a peer is not understood; the connection ends, because nothing after it can be trusted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Violation {
    /// The frame's length is impossible.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// The request header ends early or holds what it must not.
    #[error("request header: {0}")]
    Header(#[from] DecodeError),
    /// This broker does not serve the API.
    #[error("{api} (version {version}) is not served here")]
    UnknownApi {
        /// The API.
        api: ApiKey,
        /// The version asked with it.
        version: i16,
    },
    /// The API is served in other versions.
    #[error("{api} version {version} is not served here, {} to {} are", served.start(), served.end())]
    UnknownVersion {
        /// The API.
        api: ApiKey,
        /// The version asked.
        version: i16,
        /// What is served.
        served: RangeInclusive<i16>,
    },
}

/// One request's place in the line of answers.
#[derive(Debug)]
pub(crate) enum Place<W> {
    /// The answer is still to come.
    Waiting(W),
    /// The answer, behind those that came before it.
    Answered(Answer),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Connection<W> {
    frames: Frames,
    limits: Limits,
    served: fn(ApiKey) -> Option<RangeInclusive<i16>>,
    line: VecDeque<(Place<W>, usize)>,
    begun_bytes: usize,
    answered_bytes: usize,
    client_id: Option<Arc<str>>,
    /// Whether the peer was not understood.
    deaf: bool,
}

impl<W> Connection<W> {
    /// A fresh connection. `served` says which versions of an API are answered, `None` for none.
    pub(crate) fn new(
        limits: Limits,
        served: fn(ApiKey) -> Option<RangeInclusive<i16>>,
    ) -> Connection<W> {
        Connection {
            frames: Frames::new(limits.frame_bytes_max),
            limits,
            served,
            line: VecDeque::new(),
            begun_bytes: 0,
            answered_bytes: 0,
            client_id: None,
            deaf: false,
        }
    }

    /// Whether another request may be begun; otherwise the peer is not read until answers have left. When the shard is
    /// `short` of memory, a connection has one request at a time.
    pub(crate) fn has_room(&self, short: bool) -> bool {
        let among_others = !short && self.begun_bytes < self.limits.begun_bytes_max;
        !self.deaf
            && (self.line.is_empty() || among_others)
            && self.line.len() < self.limits.in_flight_max
            && self.answered_bytes < self.limits.answered_bytes_max
    }

    /// Bytes of the bodies of requests whose answers have not left.
    pub(crate) fn begun_bytes(&self) -> usize {
        self.begun_bytes
    }

    /// The next whole request in `buffer`, taken out of it.
    ///
    /// A peer that is not understood is heard no more: it is hung up on behind the answers that are due to it.
    pub(crate) fn next_request(&mut self, buffer: &mut BytesMut) -> Received {
        let result = match self.frames.next(buffer) {
            Ok(Next::Frame(frame)) => self.parse(&frame),
            Ok(Next::Wanted(bytes)) => return Received::Wanted(bytes),
            Err(error) => Err(error.into()),
        };
        match result {
            Ok(inbound) => Received::Request(inbound),
            Err(violation) => {
                self.deaf = true;
                self.place(Place::Answered(Answer::Hangup(violation.into())), 0);
                Received::Violation
            }
        }
    }

    fn parse(&mut self, frame: &Bytes) -> Result<Inbound, Violation> {
        let mut cursor = Cursor::new(frame);
        let (api, header) = RequestHeader::read(&mut cursor)?;
        let version = header.api_version;
        let Some(served) = (self.served)(api) else {
            return Err(Violation::UnknownApi { api, version });
        };
        // An ApiVersions of any version is answered, so that a newer client learns which to use (KIP-511).
        if !served.contains(&version) && api != ApiKey::ApiVersions {
            return Err(Violation::UnknownVersion {
                api,
                version,
                served,
            });
        }
        if self.client_id.as_deref() != header.client_id {
            self.client_id = header.client_id.map(Arc::from);
        }
        let body = frame.slice_ref(cursor.rest());
        Ok(Inbound {
            api,
            version,
            correlation_id: header.correlation_id,
            client_id: self.client_id.clone(),
            body,
        })
    }

    /// Puts the place of a request with a body of `bytes` at the end of the line.
    pub(crate) fn place(&mut self, place: Place<W>, bytes: usize) {
        if let Place::Answered(answer) = &place {
            self.answered_bytes += answer.memory_bytes();
        }
        self.begun_bytes += bytes;
        self.line.push_back((place, bytes));
    }

    /// What the first unfinished place waits for; only answers stand before it.
    pub(crate) fn first_waiting(&mut self) -> Option<&mut W> {
        self.line.iter_mut().find_map(|(place, _)| match place {
            Place::Waiting(waiting) => Some(waiting),
            Place::Answered(_) => None,
        })
    }

    /// Answers the place that [`Self::first_waiting`] gave.
    pub(crate) fn answer_first(&mut self, answer: Answer) {
        let bytes = answer.memory_bytes();
        for (place, _) in &mut self.line {
            if matches!(place, Place::Waiting(_)) {
                *place = Place::Answered(answer);
                self.answered_bytes += bytes;
                return;
            }
        }
    }

    /// Moves every answer that is first in line to `out`. An error ends the connection once `out` has left.
    pub(crate) fn take_answers(&mut self, out: &mut Vec<Frame>) -> Result<(), Cause> {
        while let Some((Place::Answered(_), _)) = self.line.front() {
            let Some((Place::Answered(answer), bytes)) = self.line.pop_front() else {
                break;
            };
            self.begun_bytes -= bytes;
            self.answered_bytes -= answer.memory_bytes();
            match answer {
                Answer::Frame(frame) => out.push(frame),
                Answer::Silence => {}
                Answer::Hangup(cause) => {
                    self.line.clear();
                    (self.begun_bytes, self.answered_bytes) = (0, 0);
                    return Err(cause);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
