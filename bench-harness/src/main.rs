//! A benchmark for Kafka-protocol brokers that checks what was acknowledged.
#![forbid(unsafe_code)]
fn main() {}
