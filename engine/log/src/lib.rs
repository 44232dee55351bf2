//! A partition's bytes on a device, in Kafka's own layout, and the data directory around all partitions.
//!
//! The crate appends checked batches as they came, finds them again by offset and by time, forgets the oldest, and puts a
//! log in order after a crash. It knows no request, no producer and no replica: what a batch means is the partition's
//! business.
//!
//! ```text
//!   data_dir      <dir>/  .lock  meta.properties  .kafka_cleanshutdown  recovery-point-offset-checkpoint ...
//!   log             orders-0/   partition.metadata  leader-epoch-checkpoint  <offset>.snapshot
//!   segment           00000000000000000000.log        batches back to back
//!   index             00000000000000000000.index      offset -> position
//!   time_index        00000000000000000000.timeindex  timestamp -> offset
//! ```
//!
//! The byte-accurate page is `docs/format/log-directory.md`.
#![forbid(unsafe_code)]

mod appender;
mod config;
mod deletion;
mod entries;
mod errands;
mod error;
mod graveyard;
mod log;
mod room;
mod scan;
mod segment;
mod small_file;
mod snapshots;
mod surplus;
mod sweep;
mod sync;
mod time_lookup;
mod walk;

pub mod checkpoint;
pub mod compaction;
pub mod data_dir;
pub mod index;
pub mod leader_epochs;
pub mod meta_properties;
pub mod names;
pub mod reader;
pub mod recovery;
pub mod retention;
pub mod roll;
pub mod time_index;
pub mod uuid_text;

pub use appender::Fresh;
pub use checkpoint::OffsetCheckpoint;
pub use config::Config;
pub use data_dir::DataDir;
pub use deletion::Deleted;
pub use error::{Error, Fence, ReadError};
pub use leader_epochs::LeaderEpochs;
pub use log::{Appended, Found, Log};
pub use reader::{FileRange, Ranges};
pub use recovery::{Opening, Recovered};
pub use sync::SyncTicket;
