//! The highwater command: serve, topic, produce, consume, log.
#![forbid(unsafe_code)]
fn main() {}
