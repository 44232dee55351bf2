//! Kafka record batches (magic 2), byte by byte: header view, checked batch, builder, reader,
//! codecs.
//!
//! The crate knows the format and nothing else: no API, no socket, no clock. Bytes from outside
//! become a [`Batch`] by [`Batch::check`] or a [`Defect`]; nothing in between exists.
//!
//! ```text
//!  0        8     12    16 17   21    23        27       35      43      51  53      57      61
//!  | base   |length|epoch|m|crc |attrs|last off.|base ts |max ts |prod.id|ep.|base   |record |records ...
//!  | offset |      |     |2|    |     |  delta  |        |       |       |   |seq.   |count  |(compressed as one)
//!  '------ a broker rewrites 0..8 and 12..16 ------'    crc covers 21.. to the end
//! ```
//!
//! ```
//! use highwater_record::{
//!     Batch, BatchBuilder, Codec, Compressor, Decompressor, LeaderEpoch, Limits, Offset, Records,
//! };
//!
//! // A producer encodes records as they come, and compresses the batch as a whole.
//! let mut builder = BatchBuilder::new();
//! builder.append(1_700_000_000_000, Some(b"key"), Some(b"value"), &[])?;
//! let mut bytes = Vec::new();
//! builder.finish(&mut Compressor::new(), &Codec::Lz4.into(), &mut bytes)?;
//!
//! // A broker checks it once and gives it its place; the body is not touched.
//! let stamped = Batch::check(&bytes)?.stamp(Offset::new(42), LeaderEpoch::ZERO);
//! let stored = stamped.parts().concat();
//!
//! // A consumer reads the records where they lie, or from the scratch they were decompressed to.
//! let batch = Batch::check(&stored)?;
//! let (mut scratch, mut decompressor) = (Vec::new(), Decompressor::new());
//! for record in Records::of(&batch, &mut scratch, &mut decompressor, Limits::default())? {
//!     let record = record?;
//!     assert_eq!((record.offset.get(), record.value), (42, Some(&b"value"[..])));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The byte-accurate page is `docs/format/record-batch.md`.
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

mod attributes;
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

pub use attributes::{Attributes, TimestampType};
pub use batch::{Batch, Batches, OwnedBatch, Stamped, batches};
pub use builder::{BatchBuilder, Producer, TooLarge};
pub use compression::{Codec, Compression, Compressor, Decompressor, Limits};
pub use defect::Defect;
pub use header::{HEADER_BYTES, Header};
pub use offset::{LeaderEpoch, Offset};
pub use reader::{HeaderField, Headers, Record, Records};
