//! The Kafka protocol, sans IO: messages, frames and error codes as Apache Kafka 4.3 speaks them.
//! It reads from byte slices and writes to byte vectors; it knows no socket, no clock, and not what is inside a record batch.
//!
//! ```text
//!  frame::Frames          RequestHeader           message::*               Array, RecordBytes
//!  bytes in, whole   ->   who asks what, in  ->   one struct per     ->    views into the frame:
//!  frames out             which version           request, response        nothing is copied
//! ```
//!
//! The Rust struct is the schema ([`Wire`] says how its attributes read): there is no second description of a message.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

// The derive names this crate by its name, also from within.
extern crate self as highwater_wire;

pub mod api;
pub mod consumer_protocol;
pub mod error_code;
pub mod frame;
pub mod header;
pub mod message;
pub mod primitive;
pub mod records;

mod error;

pub use api::ApiKey;
pub use error::{DecodeError, EncodeError};
pub use error_code::ErrorCode;
pub use header::{RequestHeader, ResponseHeader, decode_response, encode_request, encode_response};
pub use highwater_wire_derive::Wire;
pub use message::{Decode, Message, Request, Response};
pub use primitive::{Array, Cursor, Encoded, Encoder, RecordBytes, Splice};
