//! What the tests of all messages share: the list of them, and a second reading of the schema that makes bytes.
#![allow(dead_code, clippy::unwrap_used)] // each test uses its part; a test may unwrap

pub(crate) mod bytes;
pub(crate) mod catalog;
pub(crate) mod golden;

// The derive's own reading of the attributes: it cannot be linked, being part of a macro crate.
#[allow(missing_docs, unreachable_pub)]
#[path = "../../../wire-derive/src/schema.rs"]
pub(crate) mod schema;
