//! What the client tells of itself: spans by `tracing`, counts by `metrics`, and the trace that a record belongs to.
//!
//! Counted is what happens once for a batch or a request, never what happens once for a record.

pub(crate) mod measure;
mod trace;

pub use trace::{InvalidTraceContext, TraceContext};
