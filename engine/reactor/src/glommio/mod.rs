//! The production world: one glommio executor per shard. Tasks, timers and syncs are glommio's; sockets, calls
//! between shards and the blocking pool go by the shard's own epoll set and bell (`docs/decisions/0001`).

mod driver;
mod prefetch;
mod shard;
mod socket;
mod tasks;

pub(crate) use shard::{Parts, Shard, system_error};
pub(crate) use socket::{DetachedSocket, Listener, Socket};
