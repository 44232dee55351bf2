//! What the client decides, without doing it: no socket, no clock, no task, no `async`.
//!
//! Time is a [`Duration`](std::time::Duration) since the client's start and randomness a number,
//! both handed in, so that every rule here is tested by plain calls.

pub(crate) mod backoff;
pub(crate) mod consumer;
pub(crate) mod group;
pub(crate) mod handler;
pub(crate) mod metadata;
pub(crate) mod producer;
pub(crate) mod versions;
