//! What each Kafka API means.
//!
//! A connection's bytes become requests (`connection`), requests find their handler (`dispatch`), handlers find the
//! shard that owns a partition (`route`), and every answer leaves in the order its request came (`serve`). Topics and
//! configurations are an immutable image that a durable metadata log feeds (`metadata`, `config`).
#![forbid(unsafe_code)]

pub mod config;
mod handlers;
pub mod metadata;
