//! Compaction: of each key only the last record stays.
//!
//! It knows batches, keys and segments. When a log is cleaned, and with which of a shard's time, is decided by whoever calls;
//! what its producers are is told by the partition.
//!
//! ```text
//!   dirt       how dirty is it, up to where may it be cleaned          on the shard
//!   workshop   map the keys of the dirty part: key -> last offset      \
//!   workshop   copy what stays of each group of segments to .cleaned    > in slices, off the shard
//!   driver     sync                                                    /
//!   swap       .cleaned -> .swap -> live                               on the shard, one step
//! ```
//!
//! Offsets never change. A reader that holds the old segment reads on; one that comes to an offset that is gone is given the
//! next batch. `docs/paths/compaction.md` has the whole way.

mod dirt;
mod driver;
mod filter;
mod offset_map;
mod output;
mod swap;
mod transactions;
mod workshop;

pub use dirt::Dirt;
pub use driver::{Access, Cleaned, Pace, clean};
pub use filter::{LastBatch, LastBatches};
pub use offset_map::MapLimits;
pub use workshop::Workshop;
