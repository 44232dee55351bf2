//! The seam between the engine and the machine: executors, files, sockets, timers, mailboxes between shards.
//!
//! Two worlds stand behind it, chosen by enum and not by type parameter: glommio in production ([`run`]) and a
//! seeded simulation for tests ([`sim`]). It knows nothing of Kafka, of logs, or of what the bytes mean.
//!
//! ```text
//!            log   partition   broker   server
//!              \       |         |       /
//!   Reactor ── files · sockets · timers · tasks · exchange · blocking pool · clock · randomness
//!              /                         \
//!   glommio/  a thread per shard          sim/  one thread, all shards, virtual time, a disk that forgets
//! ```
#![allow(unsafe_code)]

mod bell;
mod clock;
mod exchange;
mod file;
mod file_system;
mod glommio;
mod pool;
mod reactor;
mod removal;
mod shard;
mod socket;
mod start;
mod sys;
mod task;
mod tasks;
mod time;
mod watchdog;

pub mod local;
pub mod sim;

pub use clock::Sleep;
pub use exchange::{Call, Calling, Exchange, Full, Gone, Outside, Post, Reply, exchange};
pub use file::{Entry, File, OpenOptions, Space};
pub use file_system::FileSystem;
pub use reactor::Reactor;
pub use shard::ShardId;
pub use socket::{DetachedSocket, Listener, Socket};
pub use start::{Options, Panicked, Running, StartError, run};
pub use task::Task;
pub use time::Instant;
