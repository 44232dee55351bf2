//! Consumers of one group against our own engine, in this process; or, with `HIGHWATER_BOOTSTRAP=host:port`, against any Kafka.
#![allow(clippy::unwrap_used)]

mod classic;
mod consumer;
mod faults;
#[path = "../support/host.rs"]
mod host;
mod pattern;
mod peer;
mod revoke;
mod stall;
