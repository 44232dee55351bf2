//! The production world: a glommio executor per shard gives the thread and the core; the shard's own loop runs its tasks,
//! syncs through its ring, and waits in its epoll set (`docs/decisions/0001-glommio-behind-a-seam.md`).

mod driver;
mod prefetch;
mod ring;
mod rounds;
mod shard;
mod socket;

pub(crate) use shard::{Parts, Shard};
pub(crate) use socket::{DetachedSocket, Listener, Socket};
