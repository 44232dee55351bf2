//! One partition's truth on one shard: which batch gets which offset, what is safe, what may be read, who waits for what.
//!
//! The crate knows batches and logs. It does not know requests, topics' names beyond a directory, or other partitions.
//!
//! ```text
//!   produce ──> state.admit ──> log.append ──> state.placed        one synchronous call: the ordering point
//!                                   │
//!                                commit: one sync at a time ──> state.synced ──> high watermark ──> waiters wake
//!                                                                                     │
//!   plan_fetch ──> state.admit_fetch ──> log.read ──> FetchPlan  <────────────────────┘  nothing beyond it
//! ```
#![forbid(unsafe_code)]

mod admission;
mod commit;
mod compaction;
mod config;
mod host;
mod opening;
mod partition;
mod plan;
pub mod producers;
mod promise;
mod reading;
mod repack;
pub mod snapshot;
mod state;
#[cfg(test)]
mod testing;
mod upkeep;
mod waiters;
mod write_back;

pub use admission::{Admission, Invalid, Lost, Origin, Refusal};
pub use config::{Config, Durability};
pub use host::Host;
pub use opening::{Error, Recovered};
pub use partition::Partition;
pub use plan::{EpochEnd, Fetch, FetchPlan, FetchRefusal, Isolation};
pub use promise::{Committed, Watch};
pub use reading::{Found, OffsetSpec};
pub use upkeep::{ActiveProducer, DeleteRefusal};
