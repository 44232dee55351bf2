//! The simulated world: every shard, one clock, one disk and one network in one thread, and all chance from one seed.
//! The code under test cannot tell it from the machine; a test can make it forget, fail, fill up and lose power.
//!
//! ```
//! use highwater_reactor::{OpenOptions, sim::{Crash, World}};
//!
//! let world = World::new(42);
//! let reactor = world.shard(0);
//! let path = std::path::Path::new("/file");
//! world.run(async {
//!     let file = reactor.open(path, OpenOptions::CREATE_NEW).unwrap();
//!     file.append_at(0, &[b"kept"]).unwrap();
//!     reactor.sync_data(&file).await.unwrap();
//!     reactor.sync_dir("/".as_ref()).await.unwrap();
//!     file.append_at(4, &[b"lost"]).unwrap();
//! });
//! world.crash(Crash::LoseUnsynced);
//! assert_eq!(reactor.read_all(path, 100).unwrap(), b"kept");
//! ```

mod chance;
pub(crate) mod disk;
pub(crate) mod net;
mod shard;
mod world;

pub use disk::{Crash, Disk, Operation};
pub use net::Network;
pub(crate) use shard::Shard;
pub use world::World;
