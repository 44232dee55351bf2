//! What each Kafka API means.
//!
//! A connection's bytes become requests (`connection`), requests find their handler (`dispatch`), handlers find the
//! shard that owns a partition (`route`, `errand`), and every answer leaves in the order its request came (`serve`).
//! Topics and configurations are an immutable image that a durable metadata log feeds (`metadata`, `config`).
#![forbid(unsafe_code)]

mod accept;
mod answer;
mod buffers;
mod cleaner;
pub mod config;
mod connection;
mod coordination;
mod dispatch;
mod errand;
mod guests;
mod handlers;
mod keeper;
mod lifecycle;
mod memory;
pub mod metadata;
mod parking;
mod partitions;
mod route;
mod seats;
mod send;
mod serve;
mod shard;
mod stats;

pub use accept::accept;
pub use errand::Mailbox;
pub use keeper::{checkpoint, write as write_checkpoints};
pub use partitions::{CheckpointRow, Storage};
pub use seats::Seats;

pub use shard::{Shard, Shared};
pub use stats::{Counters, Stats};
