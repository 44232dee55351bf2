//! An async Kafka client: producer, consumer and admin, against Highwater and against any Kafka.
//!
//! What happens between the calls is decided by plain state machines in `core`, which know neither
//! sockets nor clocks; the rest is a thin shell of tokio tasks around them. Records are encoded
//! once, into the batch they are sent in, and batches are acknowledged once, for all their records.
//!
//! ```
//! use highwater::{Client, Record, Start};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> highwater::Result<()> {
//! let bootstrap = "127.0.0.1:9092";
//! # let cluster = highwater::testing::TestCluster::builder().topic("orders", 3).start().await?;
//! # let bootstrap = cluster.bootstrap();
//! let client = Client::builder(bootstrap).client_id("orders").connect().await?;
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
//! #       assert_eq!(record.value(), Some(&b"paid"[..]));
//!     }
//! #   break;
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
//! ```
//! # use highwater::{OffsetReset, Rebalance, Record};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> highwater::Result<()> {
//! # let cluster = highwater::testing::TestCluster::builder().topic("orders", 3).start().await?;
//! # let client = cluster.client();
//! # client.producer().build().await?.send(Record::to("orders").value("paid")).await?;
//! let mut consumer = client
//!     .consumer()
//!     .group("billing")
//!     .subscribe(["orders"])
//!     .offset_reset(OffsetReset::Earliest)
//!     .on_rebalance(|rebalance, _group| async move {
//!         if let Rebalance::Revoked(positions) = rebalance {
//!             // Another member gets these only after this future has ended.
//!             println!("done with {:?}", positions.keys());
//!         }
//!     })
//!     .build()
//!     .await?;
//! while let Some(record) = consumer.next().await? {
//!     println!("{} {}: {:?}", record.partition(), record.offset(), record.value());
//!     // What lies before the first record without this mark is committed.
//!     record.done();
//! #   break;
//! }
//! consumer.shutdown(std::time::Duration::from_secs(10)).await?;
//! # let place = |index| highwater::TopicPartition::new("orders", index);
//! # let committed = client.admin().group_offsets("billing", None).await?;
//! # let all = (0..3).filter_map(|index| committed.get(&place(index))?.as_ref().ok()?.as_ref());
//! # assert_eq!(all.map(|it| it.offset).sum::<i64>(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! Partitions come and go only within a call for records ([`Consumer::next`], [`Consumer::next_batch`]):
//! nothing of a partition is handed out after it was let go. That call is also what says that the
//! application is alive; one that does not come for `max.poll.interval.ms` takes the member out of its
//! group. A task in the background keeps the member's place meanwhile. What is done is committed every
//! five seconds, before partitions are let go, and at [`Consumer::shutdown`]; [`Commit`] has other ways.
//!
//! Members speak the consumer protocol (KIP-848) where the cluster does, else the classic one, eager or
//! cooperative (KIP-429), with Kafka's assignors: see [`GroupProtocol`] and [`Assignor`].
//!
//! # Handlers
//!
//! [`Client::group`] runs an application's code for the partitions of a group: a [`GroupHandler`] for each partition, or a
//! function for each record with [`for_each`](handler::GroupBuilder::for_each), in order for each key, with retries and dead
//! letters. See [`handler`].
//!
//! ```
//! # use std::time::Duration;
//! # use highwater::{Backoff, ConsumerRecord, OffsetReset, Record};
//! # static CHARGED: tokio::sync::Notify = tokio::sync::Notify::const_new();
//! # async fn charge(order: ConsumerRecord) -> Result<(), std::io::Error> {
//! #     assert_eq!(order.value(), Some(&b"paid"[..]));
//! #     CHARGED.notify_one();
//! #     Ok(())
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> highwater::Result<()> {
//! # let cluster = highwater::testing::TestCluster::builder();
//! # let cluster = cluster.topic("orders", 3).topic("orders.DLT", 1).start().await?;
//! # let client = cluster.client();
//! # client.producer().build().await?.send(Record::to("orders").value("paid")).await?;
//! # let shutdown = CHARGED.notified();
//! client
//!     .group("billing")
//!     .topics(["orders"])
//! #   .consumer(|it| it.offset_reset(OffsetReset::Earliest))
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
    Commit, Consumer, ConsumerBuilder, ConsumerEvent, ConsumerEvents, ConsumerRecord, NextRecord,
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
