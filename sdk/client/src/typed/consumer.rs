//! A consumer of typed keys and values.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::format::{Deserializer, Origin};
use crate::consumer::{Consumer, ConsumerRecord, Start};
use crate::error::{BoxError, Error, ErrorKind, Result, TopicPartition};
use crate::handler::letter::{Failure, Letter};
use crate::producer::{Ack, Producer};

/// What becomes of a record whose key or value does not hold what it should.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnBadRecord {
    /// The call fails with [`ErrorKind::Serialization`], which names topic, partition and offset, and so does the next one, until
    /// the application [passes the record over](TypedConsumer::pass_over) or seeks elsewhere.
    #[default]
    Fail,
    /// It is left out, and counts as dealt with. A warning is logged.
    Skip,
    /// It is put into this topic, with headers that tell where it was and why, and counts as dealt with once it is
    /// acknowledged there.
    DeadLetter(String),
}

/// Reads records whose keys are `K`s and whose values are `V`s.
pub struct TypedConsumer<K, V> {
    consumer: Consumer,
    key: Arc<dyn Deserializer<K>>,
    value: Arc<dyn Deserializer<V>>,
    on_bad: OnBadRecord,
    /// Where dead letters go through; made for the first one.
    producer: Option<Producer>,
    /// The record in hand that cannot be read.
    held: Option<Held>,
}

struct Held {
    record: ConsumerRecord,
    bad: Bad,
    /// Of its dead letter, once that is under way.
    ack: Option<Ack>,
}

/// What is wrong with a record, and in which of Connect's stages it turned out.
struct Bad {
    stage: &'static str,
    error: Error,
}

impl<K, V> fmt::Debug for TypedConsumer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedConsumer")
            .field("consumer", &self.consumer)
            .field("on_bad", &self.on_bad)
            .finish_non_exhaustive()
    }
}

impl Consumer {
    /// The same consumer for typed records: see [`typed`](crate::typed).
    pub fn typed<K, V>(
        self,
        key: impl Deserializer<K> + 'static,
        value: impl Deserializer<V> + 'static,
        on_bad: OnBadRecord,
    ) -> TypedConsumer<K, V> {
        TypedConsumer {
            consumer: self,
            key: Arc::new(key),
            value: Arc::new(value),
            on_bad,
            producer: None,
            held: None,
        }
    }
}

impl<K, V> TypedConsumer<K, V> {
    /// The next record, as [`Consumer::next`].
    ///
    /// Cancel-safe: a record is taken out only when it is returned, and one that cannot be read is kept until it is dealt with.
    ///
    /// # Errors
    ///
    /// As [`Consumer::next`]; [`Serialization`](ErrorKind::Serialization) under [`OnBadRecord::Fail`]; and the producer's
    /// error where a dead letter does not come through, which the next call tries again.
    pub async fn next(&mut self) -> Result<Option<TypedRecord<K, V>>> {
        loop {
            self.deal_with_held().await?;
            let Some(record) = self.consumer.next().await? else {
                return Ok(None);
            };
            let bad = match self.read(&record) {
                Ok((key, value)) => return Ok(Some(TypedRecord { record, key, value })),
                Err(bad) => bad,
            };
            let ack = None;
            self.held = Some(Held { record, bad, ack });
        }
    }

    fn read(&self, record: &ConsumerRecord) -> Result<(K, V), Bad> {
        let origin = Origin::new(record.topic(), record.lend().raw_headers());
        let key = match record.key() {
            Some(bytes) => self.key.deserialize(&origin, bytes),
            None => self.key.deserialize_null(&origin),
        };
        let key = key.map_err(|why| Bad {
            stage: "KEY_CONVERTER",
            error: unreadable("key", record, why),
        })?;
        let value = match record.value() {
            Some(bytes) => self.value.deserialize(&origin, bytes),
            None => self.value.deserialize_null(&origin),
        };
        let value = value.map_err(|why| Bad {
            stage: "VALUE_CONVERTER",
            error: unreadable("value", record, why),
        })?;
        Ok((key, value))
    }

    /// Does with the record in hand what is to be done with one that cannot be read.
    async fn deal_with_held(&mut self) -> Result<()> {
        let Some(Held { record, bad, ack }) = &mut self.held else {
            return Ok(());
        };
        let topic = match &self.on_bad {
            OnBadRecord::Fail => return Err(bad.error.clone()),
            OnBadRecord::Skip => {
                tracing::warn!(error = %bad.error, "a record is skipped");
                self.pass_over();
                return Ok(());
            }
            OnBadRecord::DeadLetter(topic) => topic,
        };
        let producer = match &mut self.producer {
            Some(producer) => producer,
            none => none.insert(self.consumer.client().producer().build().await?),
        };
        let sent = match ack {
            Some(ack) => ack,
            None => {
                let group = self.consumer.group().map(|group| group.metadata().group_id);
                let failure = Failure {
                    group: group.as_deref(),
                    stage: bad.stage,
                    class: "highwater::ErrorKind::Serialization",
                    error: &bad.error,
                };
                let letter = Letter::dead(record, &failure);
                ack.insert(producer.enqueue(letter.to(topic)).await?)
            }
        };
        if let Err(error) = sent.await {
            // Once more from the beginning.
            *ack = None;
            return Err(error);
        }
        tracing::warn!(error = %bad.error, topic, "a record became a dead letter");
        self.pass_over();
        Ok(())
    }

    /// Passes over the record that the last call failed for: it counts as dealt with.
    pub fn pass_over(&mut self) {
        if let Some(Held { record, .. }) = self.held.take() {
            record.done();
        }
    }

    /// The consumer behind it: to seek, to pause, to commit. Records that are read through it are missing here, and a record
    /// that the last call failed for does not come again unless it is sought; it is not marked.
    pub fn consumer(&mut self) -> &mut Consumer {
        self.held = None;
        &mut self.consumer
    }

    /// As [`Consumer::shutdown`]. A record that the last call failed for comes again, to whoever has its partition next.
    ///
    /// # Errors
    ///
    /// As [`Consumer::shutdown`].
    pub async fn shutdown(mut self, within: Duration) -> Result<()> {
        if let Some(Held { record, .. }) = self.held.take()
            && !self.consumer.commits_marks()
        {
            // Else its offset counts as dealt with, having been handed out.
            let place = TopicPartition::new(record.topic(), record.partition());
            // Where it is not assigned any more it is not committed either.
            let _ = self.consumer.seek(&place, Start::Offset(record.offset()));
        }
        self.consumer.shutdown(within).await
    }
}

fn unreadable(part: &str, record: &ConsumerRecord, why: BoxError) -> Error {
    let (partition, offset) = (record.partition(), record.offset());
    let message = format!(
        "{part} of {}-{partition} at {offset} can not be read: {why}",
        record.topic()
    );
    Error::new(ErrorKind::Serialization, message)
        .at(&record.topic().into(), partition)
        .at_offset(offset)
        .with_source(why)
}

/// A record with its key and its value.
pub struct TypedRecord<K, V> {
    record: ConsumerRecord,
    key: K,
    value: V,
}

impl<K, V> TypedRecord<K, V> {
    /// The key.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// The value.
    pub fn value(&self) -> &V {
        &self.value
    }

    /// The record they were read from: topic, partition, offset, timestamp, headers.
    pub fn record(&self) -> &ConsumerRecord {
        &self.record
    }

    /// Says that the record is dealt with, as [`ConsumerRecord::done`].
    pub fn done(self) {
        self.record.done();
    }

    /// The key, the value, and the record they were read from.
    pub fn into_parts(self) -> (K, V, ConsumerRecord) {
        (self.key, self.value, self.record)
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for TypedRecord<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedRecord")
            .field("topic", &self.record.topic())
            .field("partition", &self.record.partition())
            .field("offset", &self.record.offset())
            .field("key", &self.key)
            .field("value", &self.value)
            .finish()
    }
}
