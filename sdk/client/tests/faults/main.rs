//! What the client promises while its cluster misbehaves, end to end: no call hangs past its deadline, nothing acknowledged
//! is lost, an idempotent producer writes nothing twice, and nothing reaches the application after its revoke completed.
//!
//! Against our own engine in this process; or, with `HIGHWATER_BOOTSTRAP=host:port`, against any Kafka, behind the same
//! proxy.
#![allow(clippy::unwrap_used)]

mod admin;
mod clock;
mod consumer;
mod group;
mod peer;
mod producer;
mod topics;
