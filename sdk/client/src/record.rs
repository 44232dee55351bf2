//! What a caller hands to a producer, and what comes back once it is in the log.
//!
//! A [`Record`] only borrows: its bytes are copied once, straight into the partition's batch.

use std::sync::Arc;

use bytes::Bytes;
pub use highwater_record::HeaderField;

use crate::core::producer::queue::Fields;
use crate::telemetry::TraceContext;

/// A record to be produced: built up from [`Record::to`], borrowed until it is enqueued.
///
/// ```
/// let record = highwater::Record::to("orders").key("42").value("{}").header("trace", "ab12");
/// assert_eq!(record.topic(), "orders");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Record<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: Option<i32>,
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: Vec<HeaderField<'a>>,
}

impl<'a> Record<'a> {
    /// A record for `topic`, with neither key nor value yet.
    pub fn to(topic: &'a str) -> Self {
        Self {
            topic,
            ..Self::default()
        }
    }

    /// A record whose topic is given by the handle it is sent through (see
    /// [`TopicProducer`](crate::TopicProducer)).
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the key. Records of one key go to one partition; an empty key is a key.
    pub fn key(mut self, key: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.key = Some(key.as_ref());
        self
    }

    /// Sets the value. A record without one is a tombstone.
    pub fn value(mut self, value: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.value = Some(value.as_ref());
        self
    }

    /// Sets or clears the key.
    pub fn maybe_key(mut self, key: Option<&'a [u8]>) -> Self {
        self.key = key;
        self
    }

    /// Sets or clears the value.
    pub fn maybe_value(mut self, value: Option<&'a [u8]>) -> Self {
        self.value = value;
        self
    }

    /// Chooses the partition instead of leaving it to the partitioner.
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Sets the create time, in milliseconds since 1970; otherwise it is the time of enqueueing.
    pub fn timestamp_ms(mut self, timestamp_ms: i64) -> Self {
        self.timestamp_ms = Some(timestamp_ms);
        self
    }

    /// Adds a header. Headers keep their order and may repeat.
    pub fn header(mut self, key: &'a str, value: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.headers
            .push(HeaderField::new(key, Some(value.as_ref())));
        self
    }

    /// Names the trace this record belongs to, instead of what was named before: W3C Trace Context in the headers
    /// `traceparent` and `tracestate`.
    pub fn trace_context(mut self, context: &'a TraceContext) -> Self {
        self.headers
            .retain(|header| !TraceContext::is_header(header));
        self.headers.extend(context.headers());
        self
    }

    /// The key, if there is one; for partitioners.
    pub fn key_bytes(&self) -> Option<&'a [u8]> {
        self.key
    }

    /// The value, if there is one.
    pub fn value_bytes(&self) -> Option<&'a [u8]> {
        self.value
    }

    /// The headers, in their order.
    pub fn headers(&self) -> &[HeaderField<'a>] {
        &self.headers
    }

    /// What this record takes of `buffer.memory` at most, in bytes: its key, value and headers, their
    /// framing, and the header of a batch that begins with it.
    pub fn buffer_bytes(&self) -> usize {
        let fields = Fields {
            timestamp_ms: 0,
            key: self.key,
            value: self.value,
            headers: &self.headers,
        };
        highwater_record::HEADER_BYTES + fields.bytes_bound()
    }

    /// The topic this record is for; empty when the handle decides.
    pub fn topic(&self) -> &'a str {
        self.topic
    }
}

/// A record that owns its bytes: what a failed delivery gives back (see
/// [`Error::record`](crate::Error::record)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRecord {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Vec<(Bytes, Option<Bytes>)>,
}

impl OwnedRecord {
    /// The topic it was for.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The partition it was for: its own choice, or the partitioner's.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// Its create time, in milliseconds since 1970.
    pub fn timestamp_ms(&self) -> i64 {
        self.timestamp_ms
    }

    /// The key, if there is one.
    pub fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    /// The value, if there is one.
    pub fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    /// The headers, in their order.
    pub fn headers(&self) -> impl Iterator<Item = HeaderField<'_>> {
        self.headers.iter().map(|(key, value)| HeaderField {
            key,
            value: value.as_deref(),
        })
    }

    /// The same record to be produced again, to the same partition.
    pub fn to_record(&self) -> Record<'_> {
        Record {
            topic: &self.topic,
            partition: Some(self.partition),
            timestamp_ms: Some(self.timestamp_ms),
            key: self.key(),
            value: self.value(),
            headers: self.headers().collect(),
        }
    }
}

/// Where an acknowledged record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMetadata {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The record's offset; `None` when the broker did not say (`acks=0`, or a duplicate whose
    /// place it no longer knew).
    pub offset: Option<i64>,
    /// The broker's timestamp where the topic uses log append time, else `None`.
    pub log_append_time_ms: Option<i64>,
}
