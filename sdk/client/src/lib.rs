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
//! # Groups
//!
//! Consumers of one group share the partitions of their topics; when one goes away, the others go on
//! where the group has committed.
//!
//! ```no_run
//! # use highwater::{Client, Rebalance};
//! # async fn example(client: Client) -> highwater::Result<()> {
//! let mut consumer = client
//!     .consumer()
//!     .group("billing")
//!     .subscribe(["orders"])
//!     .on_rebalance(|rebalance, group| async move {
//!         if let Rebalance::Revoked(positions) = rebalance {
//!             let read = positions.into_iter().filter_map(|(place, at)| Some((place, at?)));
//!             // Another member gets these only after this future has ended.
//!             let _ = group.commit(read).await;
//!         }
//!     })
//!     .build()
//!     .await?;
//! while let Some(record) = consumer.next().await? {
//!     println!("{} {}: {:?}", record.partition(), record.offset(), record.value());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Partitions come and go only within a call for records ([`Consumer::next`], [`Consumer::next_batch`]):
//! what was handed out before that call counts as dealt with, and nothing of a partition is handed out
//! after it was let go. That call is also what says that the application is alive; one that does not
//! come for `max.poll.interval.ms` takes the member out of its group. A task in the background keeps
//! the member's place meanwhile. Positions are committed every `auto.commit.interval.ms`, before
//! partitions are let go, and at [`Consumer::shutdown`], unless `enable.auto.commit` is off.
//!
//! Members speak the classic protocol, eager or cooperative (KIP-429), with Kafka's assignors: see
//! [`Assignor`].
//!
//! # Handlers
//!
//! [`Client::group`] runs an application's code for the partitions of a group: a [`GroupHandler`] for each partition, or a
//! function for each record with [`for_each`](handler::GroupBuilder::for_each), in order for each key, with retries and dead
//! letters. See [`handler`].
//!
//! ```no_run
//! # use std::time::Duration;
//! # use highwater::{Backoff, Client, ConsumerRecord};
//! # async fn charge(record: ConsumerRecord) -> Result<(), std::io::Error> { Ok(()) }
//! # async fn example(client: Client, shutdown: impl Future<Output = ()>) -> highwater::Result<()> {
//! client
//!     .group("billing")
//!     .topics(["orders"])
//!     .for_each(16, |order| charge(order))
//!     .retry(Backoff::exponential(Duration::from_millis(100)..Duration::from_secs(10)), 5)
//!     .dead_letter("orders.DLT")
//!     .run_until(shutdown)
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Typed records
//!
//! [`Producer::typed`] and [`Consumer::typed`] have keys and values that are types instead of bytes: text and numbers as Java's
//! serializers write them, JSON, Protocol Buffers, or a format of one's own. See [`typed`].
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
pub mod handler;
pub mod partitioner;
mod pool;
pub mod producer;
mod record;
mod security;
mod telemetry;
#[cfg(feature = "test-broker")]
pub mod testing;
pub mod typed;

pub use admin::Admin;
pub use client::{Client, ClientBuilder};
pub use config::{
    Acks, ClientConfig, ConsumerConfig, Corrupt, GroupConfig, GroupProtocol, Isolation, Linger,
    OffsetReset, ProducerConfig,
};
pub use consumer::{
    Commit, Consumer, ConsumerBuilder, ConsumerEvent, ConsumerEvents, ConsumerRecord,
    PartitionStream, Partitions, Rebalance, RecordBatch, RecordRef, RecordStream, Start,
};
pub use core::group::assignor::{Assignor, UnknownAssignor};
pub use error::{BoxError, Error, ErrorKind, Result, TopicPartition, Written};
pub use group::{Committed, Group, GroupMetadata};
pub use handler::{Backoff, GroupHandler};
pub use highwater_record::{Codec, Compression, TimestampType};
pub use highwater_wire::ErrorCode;
pub use partitioner::{Partitioner, Rule};
pub use producer::{
    Ack, BatchAck, BatchMetadata, Batched, Permit, Producer, ProducerBuilder, ShutdownReport,
    TopicProducer, TryEnqueueError,
};
pub use record::{HeaderField, OwnedRecord, Record, RecordMetadata};
pub use security::{Sasl, Security, Tls};
pub use telemetry::{InvalidTraceContext, TraceContext};
pub use typed::{Deserializer, OnBadRecord, Serializer, TypedConsumer, TypedProducer, TypedRecord};
