//! Groups: who is in them, who has which partitions, and how far they have consumed. One [`Coordinator`] is one partition of
//! `__consumer_offsets`; it decides, and knows no log, no socket and no clock: what it asks of those is [`World`].
//!
//! ```text
//!   request ──> decide ──> World::append ──> replay ──> World::answer        one synchronous call
//!                             │                            │
//!                          a place in the log           the bytes leave when that place is durable (the shell's promise)
//!
//!   start:   log ──> replay, record by record ──> loaded ──> requests
//! ```
#![forbid(unsafe_code)]

pub mod assignor;
mod classic;
mod config;
mod consumer;
mod coordinator;
#[cfg(test)]
mod golden_consumers;
mod offsets;
mod partition_for;
#[cfg(test)]
mod testing;
mod timers;
mod world;

pub use config::{Config, GroupConfig, MigrationPolicy, ServerAssignor};
pub use coordinator::{Coordinator, Counts, ReplayError};
pub use partition_for::partition_for;
pub use world::{Caller, Record, Response, Ticket, Topic, Topics, World};
