//! Waiting within one shard: what tasks of the same thread use to wait for each other, so that nobody above writes
//! a waker by hand. Nothing here knows IO, time or other shards, and nothing here is `Send`.

mod join;
mod latch;
mod notify;
pub mod oneshot;
mod queue;
mod semaphore;
mod wait_list;

pub use join::{Either, join, join_all, race};
pub use latch::Latch;
pub use notify::{Notified, Notify};
pub use queue::{Pop, Push, Queue};
pub use semaphore::{Acquire, Permit, Semaphore};
pub(crate) use wait_list::{WaitList, Waiting};
