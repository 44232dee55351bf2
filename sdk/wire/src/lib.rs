//! The Kafka protocol, sans IO: messages, frames, error codes.
#![forbid(unsafe_code)]
