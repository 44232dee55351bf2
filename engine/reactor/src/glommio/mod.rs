//! The production world: a glommio executor per shard gives the thread, the core and the ring; the shard's own loop
//! runs its tasks and waits in its epoll set (`docs/decisions/0001-glommio-behind-a-seam.md`).

mod driver;
mod prefetch;
mod ring;
mod rounds;
mod shard;
mod socket;

pub(crate) use ring::system_error;
pub(crate) use shard::{Parts, Shard};
pub(crate) use socket::{DetachedSocket, Listener, Socket};
