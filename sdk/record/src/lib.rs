//! Kafka record batches (magic 2), byte by byte: header view, checked batch, builder, reader, codecs.
//!
//! The crate knows the format and nothing else: no API, no socket, no clock. Bytes from outside become a [`Batch`] by
//! [`Batch::check`] or a [`Defect`]; nothing in between exists.
//!
//! ```text
//!  0        8     12    16 17   21    23        27       35      43      51  53      57      61
//!  | base   |length|epoch|m|crc |attrs|last off.|base ts |max ts |prod.id|ep.|base   |record |records ...
//!  | offset |      |     |2|    |     |  delta  |        |       |       |   |seq.   |count  |(compressed as one)
//!  '------ a broker rewrites 0..8 and 12..16 ------'    crc covers 21.. to the end
//! ```
//!
//! The byte-accurate page is `docs/format/record-batch.md`.
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

pub mod batch;
pub mod builder;
pub mod compression;
pub mod control;
pub mod crc;
mod defect;
pub mod header;
pub mod murmur2;
mod offset;
pub mod reader;
pub mod varint;

pub use batch::{Batch, Batches, OwnedBatch, Stamped, batches};
pub use builder::{BatchBuilder, Producer, TooLarge};
pub use compression::{Codec, Compression, Compressor, Decompressor, Limits};
pub use defect::Defect;
pub use header::{Attributes, HEADER_BYTES, Header, TimestampType};
pub use offset::{LeaderEpoch, Offset};
pub use reader::{HeaderField, Headers, Record, Records};
