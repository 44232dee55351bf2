//! A producer of typed keys and values.

use std::fmt;
use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use super::format::Serializer;
use crate::error::{BoxError, Error, ErrorKind, Result};
use crate::producer::{Ack, Producer};
use crate::record::{Record, RecordMetadata};

/// Sends records whose keys are `K`s and whose values are `V`s. Cloning shares the producer and the memory that records are
/// written into on their way.
pub struct TypedProducer<K: ?Sized, V: ?Sized> {
    producer: Producer,
    key: Arc<dyn Serializer<K>>,
    value: Arc<dyn Serializer<V>>,
    buffers: Arc<Buffers>,
}

impl<K: ?Sized, V: ?Sized> Clone for TypedProducer<K, V> {
    fn clone(&self) -> Self {
        Self {
            producer: self.producer.clone(),
            key: Arc::clone(&self.key),
            value: Arc::clone(&self.value),
            buffers: Arc::clone(&self.buffers),
        }
    }
}

impl<K: ?Sized, V: ?Sized> fmt::Debug for TypedProducer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedProducer")
            .field("producer", &self.producer)
            .finish_non_exhaustive()
    }
}

impl Producer {
    /// The same producer for typed records: see [`typed`](crate::typed).
    pub fn typed<K: ?Sized, V: ?Sized>(
        &self,
        key: impl Serializer<K> + 'static,
        value: impl Serializer<V> + 'static,
    ) -> TypedProducer<K, V> {
        TypedProducer {
            producer: self.clone(),
            key: Arc::new(key),
            value: Arc::new(value),
            buffers: Arc::new(Buffers(ArrayQueue::new(BUFFERS_KEPT))),
        }
    }
}

impl<K: ?Sized, V: ?Sized> TypedProducer<K, V> {
    /// Sends a record and waits until it is acknowledged. `record` says everything but the key and the value.
    ///
    /// As [`Producer::send`] when the future is dropped.
    ///
    /// # Errors
    ///
    /// [`Serialization`](ErrorKind::Serialization) when the key or the value can not be written, and as [`Producer::send`].
    pub async fn send(&self, record: Record<'_>, key: &K, value: &V) -> Result<RecordMetadata> {
        self.enqueue(record, key, value).await?.await
    }

    /// Puts a record in its partition's batch, as [`Producer::enqueue`].
    ///
    /// Cancel-safe: the record is either enqueued when this returns, or not at all.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send) and [`Producer::enqueue`].
    pub async fn enqueue(&self, mut record: Record<'_>, key: &K, value: &V) -> Result<Ack> {
        let mut lent = self.buffers.lend();
        let Lent {
            key: key_bytes,
            value: value_bytes,
            ..
        } = &mut lent;
        let topic = record.topic();
        if !self.key.is_null(key) {
            let written = self.key.serialize(topic, key, key_bytes);
            written.map_err(|why| unwritable("key", topic, why))?;
            record = shorten(record).key(key_bytes);
        } else {
            record = shorten(record).maybe_key(None);
        }
        if !self.value.is_null(value) {
            let written = self.value.serialize(topic, value, value_bytes);
            written.map_err(|why| unwritable("value", topic, why))?;
            record = record.value(value_bytes);
        } else {
            record = record.maybe_value(None);
        }
        self.producer.enqueue(record).await
    }

    /// The producer behind it.
    pub fn producer(&self) -> &Producer {
        &self.producer
    }
}

/// What a record borrows may live longer than needed.
fn shorten<'short, 'long: 'short>(record: Record<'long>) -> Record<'short> {
    record
}

fn unwritable(part: &str, topic: &str, why: BoxError) -> Error {
    let message = format!("{part} of a record for topic {topic:?} can not be written: {why}");
    Error::new(ErrorKind::Serialization, message).with_source(why)
}

/// Memory that keys and values are written into before they are copied into their batch; at most so much of it is kept.
struct Buffers(ArrayQueue<(Vec<u8>, Vec<u8>)>);

const BUFFERS_KEPT: usize = 16;
const BUFFER_BYTES_KEPT: usize = 64 << 10;

impl Buffers {
    fn lend(&self) -> Lent<'_> {
        let (key, value) = self.0.pop().unwrap_or_default();
        Lent {
            key,
            value,
            buffers: self,
        }
    }
}

struct Lent<'a> {
    key: Vec<u8>,
    value: Vec<u8>,
    buffers: &'a Buffers,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let (mut key, mut value) = (
            std::mem::take(&mut self.key),
            std::mem::take(&mut self.value),
        );
        if key.capacity().max(value.capacity()) <= BUFFER_BYTES_KEPT {
            key.clear();
            value.clear();
            let _ = self.buffers.0.push((key, value));
        }
    }
}
