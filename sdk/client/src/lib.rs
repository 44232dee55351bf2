//! An async Kafka client: producer, consumer and admin, against Highwater and against any Kafka.
//!
//! What happens between the calls is decided by plain state machines in `core`, which know neither
//! sockets nor clocks; the rest is a thin shell of tokio tasks around them. Records are encoded
//! once, into the batch they are sent in, and batches are acknowledged once, for all their records.
//!
//! ```no_run
//! use highwater::{Client, Record, Start};
//!
//! # async fn example() -> highwater::Result<()> {
//! let client = Client::builder("127.0.0.1:9092").client_id("orders").connect().await?;
//!
//! let producer = client.producer().build().await?;
//! let placed = producer.send(Record::to("orders").key("42").value("paid")).await?;
//! println!("partition {} offset {:?}", placed.partition, placed.offset);
//!
//! let mut consumer =
//!     client.consumer().assign("orders", placed.partition, Start::Earliest).build().await?;
//! while let Some(batch) = consumer.next_batch().await? {
//!     for record in batch.iter() {
//!         println!("{}: {:?}", record.offset(), record.value());
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Cancellation
//!
//! Every future here may be dropped at any time. What that means is said at each method; nothing
//! that was enqueued is ever taken back, and dropping never blocks.
#![forbid(unsafe_code)]

pub mod admin;
mod client;
mod config;
mod connection;
pub mod consumer;
mod core;
mod error;
mod group;
pub mod partitioner;
mod pool;
pub mod producer;
mod record;

pub use admin::Admin;
pub use client::{Client, ClientBuilder};
pub use config::{
    Acks, ClientConfig, ConsumerConfig, GroupConfig, Isolation, Linger, OffsetReset, ProducerConfig,
};
pub use consumer::{
    Consumer, ConsumerBuilder, ConsumerRecord, Rebalance, RecordBatch, RecordRef, Start,
};
pub use core::group::assignor::{Assignor, UnknownAssignor};
pub use error::{Error, ErrorKind, Result, TopicPartition, Written};
pub use group::{Committed, Group, GroupMetadata};
pub use highwater_record::{Codec, Compression};
pub use highwater_wire::ErrorCode;
pub use partitioner::{Partitioner, Rule};
pub use producer::{
    Ack, Producer, ProducerBuilder, ShutdownReport, TopicProducer, TryEnqueueError,
};
pub use record::{HeaderField, Record, RecordMetadata};
