//! Keys and values as types instead of bytes: what turns the one into the other, and a producer and a consumer that do so.
//!
//! The formats here write what the Java client's serializers of the same name write, so that either side reads the other's
//! records. They know no schema registry.
//!
//! ```
//! use highwater::typed::{BigEndian, Nullable, Utf8};
//! use highwater::{OffsetReset, OnBadRecord, Record, TypedConsumer, TypedProducer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> highwater::Result<()> {
//! # let cluster = highwater::testing::TestCluster::builder().topic("balances", 1).start().await?;
//! # let client = cluster.client();
//! let balances: TypedProducer<str, Option<i64>> =
//!     client.producer().build().await?.typed(Utf8, Nullable(BigEndian));
//! balances.send(Record::to("balances"), "alice", &Some(120)).await?;
//! // A tombstone.
//! balances.send(Record::to("balances"), "alice", &None).await?;
//!
//! let consumer = client
//!     .consumer()
//!     .group("audit")
//!     .subscribe(["balances"])
//!     .offset_reset(OffsetReset::Earliest)
//!     .build()
//!     .await?;
//! let mut balances: TypedConsumer<String, Option<i64>> =
//!     consumer.typed(Utf8, Nullable(BigEndian), OnBadRecord::Skip);
//! while let Some(record) = balances.next().await? {
//!     println!("{} has {:?}", record.key(), record.value());
//! #   if record.value().is_none() { break; }
//! }
//! # Ok(())
//! # }
//! ```

mod consumer;
mod format;
#[cfg(feature = "json")]
mod json;
mod null;
mod number;
mod producer;
#[cfg(feature = "prost")]
mod protobuf;
mod raw;
mod text;

pub use self::consumer::{OnBadRecord, TypedConsumer, TypedRecord};
pub use self::format::{Deserializer, Origin, Serializer};
#[cfg(feature = "json")]
pub use self::json::Json;
pub use self::null::{Ignored, Null, Nullable};
pub use self::number::{BigEndian, Boolean};
pub use self::producer::TypedProducer;
#[cfg(feature = "prost")]
pub use self::protobuf::Prost;
pub use self::raw::Raw;
pub use self::text::{Utf8, UuidText};

#[cfg(test)]
mod tests;
