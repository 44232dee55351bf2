//! The consumer of given partitions: fetches ahead in the background, lends batches.

use std::marker::PhantomData;
use std::time::Duration;

use highwater_record::HeaderField;

use crate::client::Client;
use crate::config::{ConsumerConfig, Isolation, OffsetReset};
use crate::error::{Result, TopicPartition};

/// Where reading a partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the first record that is there.
    Earliest,
    /// At the end: only what comes from now on.
    Latest,
    /// At this offset.
    Offset(i64),
    /// At the first record with this or a later timestamp, in milliseconds since 1970; at the end
    /// when there is none.
    Timestamp(i64),
}

/// Sets up a [`Consumer`].
#[derive(Clone, Debug)]
pub struct ConsumerBuilder {
    client: Client,
    config: ConsumerConfig,
    partitions: Vec<(TopicPartition, Start)>,
    topics: Vec<(String, Start)>,
}

impl ConsumerBuilder {
    pub(crate) fn new(client: Client, config: ConsumerConfig) -> Self {
        Self {
            client,
            config,
            partitions: Vec::new(),
            topics: Vec::new(),
        }
    }

    /// Reads this partition too, from `start`.
    pub fn assign(mut self, topic: &str, partition: i32, start: Start) -> Self {
        self.partitions
            .push((TopicPartition::new(topic, partition), start));
        self
    }

    /// Reads every partition that this topic has when the consumer is built, from `start`.
    pub fn assign_topic(mut self, topic: &str, start: Start) -> Self {
        self.topics.push((topic.to_owned(), start));
        self
    }

    /// `auto.offset.reset`: where to go when a position is not in the log.
    pub fn offset_reset(mut self, reset: OffsetReset) -> Self {
        self.config.offset_reset = reset;
        self
    }

    /// `isolation.level`: whether unfinished and aborted transactions are seen.
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.config.isolation = isolation;
        self
    }

    /// `fetch.min.bytes` and `fetch.max.wait.ms`: the broker answers when it has that much, or
    /// after that long.
    pub fn fetch(mut self, bytes_min: i32, wait_max: Duration) -> Self {
        self.config.fetch_bytes_min = bytes_min;
        self.config.fetch_wait_max = wait_max;
        self
    }

    /// `highwater.fetch.buffer.memory`: bytes fetched ahead of the application.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.config.buffer_bytes = bytes;
        self
    }

    /// Changes the settings in place, for those without a method of their own.
    pub fn configure(mut self, change: impl FnOnce(&mut ConsumerConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Looks the topics up and starts fetching.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), an unknown topic or partition, or a
    /// time-out.
    pub async fn build(self) -> Result<Consumer> {
        self.config.check()?;
        let _ = (self.client, self.partitions, self.topics);
        todo!()
    }
}

/// Reads partitions. Dropping it stops the fetching.
#[derive(Debug)]
pub struct Consumer {}

impl Consumer {
    /// The next batch, as it lies in the log, of whichever partition has one; batches of one
    /// partition come in order. `None` when no partition is assigned.
    ///
    /// Cancel-safe: a batch is taken out only when it is returned.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](crate::ErrorKind::Corrupt) with topic, partition and offset for a batch that
    /// does not hold together (it comes again until the application seeks past it), or
    /// [`Offset`](crate::ErrorKind::Offset) under [`OffsetReset::Fail`], or a refusal that is not
    /// retriable.
    pub async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        todo!()
    }

    /// The next record, owned: one reference count on its batch.
    ///
    /// Cancel-safe. Do not mix with [`next_batch`](Self::next_batch), which starts after the batch
    /// this one is in the middle of.
    ///
    /// # Errors
    ///
    /// As [`next_batch`](Self::next_batch).
    pub async fn next(&mut self) -> Result<Option<ConsumerRecord>> {
        todo!()
    }

    /// What is assigned, in order.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        todo!()
    }

    /// Moves to another place in a partition; what was fetched ahead of it is dropped.
    ///
    /// # Errors
    ///
    /// When the partition is not assigned.
    pub fn seek(&mut self, partition: &TopicPartition, to: Start) -> Result<()> {
        let _ = (partition, to);
        todo!()
    }

    /// Stops handing out and fetching these partitions; what is buffered of them stays.
    pub fn pause(&mut self, partitions: &[TopicPartition]) {
        let _ = partitions;
        todo!()
    }

    /// Undoes [`pause`](Self::pause).
    pub fn resume(&mut self, partitions: &[TopicPartition]) {
        let _ = partitions;
        todo!()
    }

    /// The offset of the next record to be handed out; `None` while it is being looked up.
    pub fn position(&self, partition: &TopicPartition) -> Option<i64> {
        let _ = partition;
        todo!()
    }

    /// The high watermark the last fetch saw.
    pub fn high_watermark(&self, partition: &TopicPartition) -> Option<i64> {
        let _ = partition;
        todo!()
    }
}

/// Records of one partition, one after the other, as one batch of the log held them.
#[derive(Debug)]
pub struct RecordBatch {}

impl RecordBatch {
    /// The topic's name.
    pub fn topic(&self) -> &str {
        todo!()
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        todo!()
    }

    /// How many records there are, from the consumer's position on.
    pub fn len(&self) -> usize {
        todo!()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The offset after the last record of this batch: where the next one begins at the earliest.
    pub fn next_offset(&self) -> i64 {
        todo!()
    }

    /// The high watermark when this batch was fetched.
    pub fn high_watermark(&self) -> i64 {
        todo!()
    }

    /// Bytes the batch took on the wire, header and compression included.
    pub fn wire_bytes(&self) -> usize {
        todo!()
    }

    /// Lends the records, in order. Nothing is copied or counted.
    pub fn iter(&self) -> Iter<'_> {
        todo!()
    }
}

impl<'a> IntoIterator for &'a RecordBatch {
    type Item = RecordRef<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The records of a [`RecordBatch`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    batch: PhantomData<&'a RecordBatch>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = RecordRef<'a>;

    fn next(&mut self) -> Option<RecordRef<'a>> {
        todo!()
    }
}

/// A record, lent by its batch.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    batch: PhantomData<&'a RecordBatch>,
}

impl<'a> RecordRef<'a> {
    /// The record's offset.
    pub fn offset(&self) -> i64 {
        todo!()
    }

    /// Milliseconds since 1970, as the producer or the broker stamped it.
    pub fn timestamp_ms(&self) -> i64 {
        todo!()
    }

    /// The key.
    pub fn key(&self) -> Option<&'a [u8]> {
        todo!()
    }

    /// The value; `None` is a tombstone.
    pub fn value(&self) -> Option<&'a [u8]> {
        todo!()
    }

    /// The headers, in order.
    pub fn headers(&self) -> impl Iterator<Item = HeaderField<'a>> + 'a {
        std::iter::empty()
    }
}

/// A record that keeps its batch alive: one reference count.
#[derive(Clone, Debug)]
pub struct ConsumerRecord {}

impl ConsumerRecord {
    /// The topic's name.
    pub fn topic(&self) -> &str {
        todo!()
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        todo!()
    }

    /// The record's offset.
    pub fn offset(&self) -> i64 {
        todo!()
    }

    /// Milliseconds since 1970.
    pub fn timestamp_ms(&self) -> i64 {
        todo!()
    }

    /// The key.
    pub fn key(&self) -> Option<&[u8]> {
        todo!()
    }

    /// The value; `None` is a tombstone.
    pub fn value(&self) -> Option<&[u8]> {
        todo!()
    }

    /// The headers, in order.
    pub fn headers(&self) -> impl Iterator<Item = HeaderField<'_>> + '_ {
        std::iter::empty()
    }
}
