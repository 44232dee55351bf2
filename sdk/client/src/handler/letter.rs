//! What is written on a record that is put aside: among the dead letters.
//!
//! Names and encodings are those of Spring for Apache Kafka (`KafkaHeaders`, `RetryTopicHeaders`: numbers as big-endian bytes)
//! and of Kafka Connect (`DeadLetterQueueReporter`: numbers as text), so that what reads theirs reads ours. Knows neither when
//! a record is put aside nor how it is sent.

use std::error::Error;

use highwater_record::{HeaderField, TimestampType};

use crate::consumer::ConsumerRecord;
use crate::record::Record;

/// One of the two sets of names that tell where a record was and why it is not there any more.
struct Names {
    topic: &'static str,
    partition: &'static str,
    offset: &'static str,
    timestamp: &'static str,
    timestamp_type: &'static str,
    group: &'static str,
    class: &'static str,
    message: &'static str,
    trace: &'static str,
}

/// In retry topics.
const RETRIED: Names = Names {
    topic: "kafka_original-topic",
    partition: "kafka_original-partition",
    offset: "kafka_original-offset",
    timestamp: "kafka_original-timestamp",
    timestamp_type: "kafka_original-timestamp-type",
    group: "kafka_original-consumer-group",
    class: "kafka_exception-fqcn",
    message: "kafka_exception-message",
    trace: "kafka_exception-stacktrace",
};

/// Among the dead letters.
const DEAD: Names = Names {
    topic: "kafka_dlt-original-topic",
    partition: "kafka_dlt-original-partition",
    offset: "kafka_dlt-original-offset",
    timestamp: "kafka_dlt-original-timestamp",
    timestamp_type: "kafka_dlt-original-timestamp-type",
    group: "kafka_dlt-original-consumer-group",
    class: "kafka_dlt-exception-fqcn",
    message: "kafka_dlt-exception-message",
    trace: "kafka_dlt-exception-stacktrace",
};

/// Of one header; more of a text is cut off.
const TEXT_BYTES_MAX: usize = 4096;

/// Why a record is put aside.
pub(crate) struct Failure<'a> {
    pub(crate) group: Option<&'a str>,
    /// What failed, by the names of Connect's stages.
    pub(crate) stage: &'static str,
    /// The type of the error.
    pub(crate) class: &'a str,
    pub(crate) error: &'a (dyn Error + 'static),
}

/// A record to be put aside: key, value and headers as they were, and the headers that tell about it.
pub(crate) struct Letter<'a> {
    record: &'a ConsumerRecord,
    added: Vec<(&'static str, Vec<u8>)>,
    /// Headers of these names are not taken over.
    replaced: Vec<&'static str>,
}

impl<'a> Letter<'a> {
    /// For the topic of dead letters.
    pub(crate) fn dead(record: &'a ConsumerRecord, failure: &Failure<'_>) -> Self {
        let mut letter = Self {
            record,
            added: Vec::with_capacity(16),
            replaced: Vec::new(),
        };
        letter.tell_origin(&DEAD, failure.group);
        letter.tell_failure(&DEAD, failure);
        letter.tell_connect(failure);
        letter
    }

    /// The record to be sent to `topic`; its partition is up to the producer.
    pub(crate) fn to<'r>(&'r self, topic: &'r str) -> Record<'r> {
        let mut record = Record::to(topic)
            .maybe_key(self.record.key())
            .maybe_value(self.record.value());
        let kept = |header: &HeaderField<'_>| {
            !self
                .replaced
                .iter()
                .any(|name| name.as_bytes() == header.key)
        };
        let added = self.added.iter();
        let added = added.map(|(name, value)| HeaderField::new(name, Some(value)));
        record.headers = self.record.headers().filter(kept).chain(added).collect();
        record
    }

    fn add(&mut self, name: &'static str, value: Vec<u8>) {
        self.added.push((name, value));
    }

    fn replace(&mut self, name: &'static str, value: Vec<u8>) {
        self.replaced.push(name);
        self.add(name, value);
    }

    /// Where it was, or where it was first if it came through retry topics.
    fn tell_origin(&mut self, names: &Names, group: Option<&str>) {
        let record = self.record;
        let mut tell = |name, first, here: Vec<u8>| {
            let first = header(record, first).map(<[u8]>::to_vec);
            self.added.push((name, first.unwrap_or(here)));
        };
        tell(
            names.topic,
            RETRIED.topic,
            record.topic().as_bytes().to_vec(),
        );
        let partition = record.partition().to_be_bytes().to_vec();
        tell(names.partition, RETRIED.partition, partition);
        let offset = record.offset().to_be_bytes().to_vec();
        tell(names.offset, RETRIED.offset, offset);
        let timestamp = record.timestamp_ms().to_be_bytes().to_vec();
        tell(names.timestamp, RETRIED.timestamp, timestamp);
        let kind = match record.timestamp_type() {
            TimestampType::Create => "CreateTime",
            TimestampType::LogAppend => "LogAppendTime",
        };
        let kind = kind.as_bytes().to_vec();
        tell(names.timestamp_type, RETRIED.timestamp_type, kind);
        if let Some(group) = group {
            tell(names.group, RETRIED.group, group.as_bytes().to_vec());
        }
    }

    fn tell_failure(&mut self, names: &Names, failure: &Failure<'_>) {
        self.replace(names.class, text(failure.class));
        self.replace(names.message, text(&failure.error.to_string()));
        self.replace(names.trace, text(&trace(failure.error)));
    }

    fn tell_connect(&mut self, failure: &Failure<'_>) {
        let record = self.record;
        let partition = record.partition().to_string().into_bytes();
        let offset = record.offset().to_string().into_bytes();
        self.add("__connect.errors.topic", text(record.topic()));
        self.add("__connect.errors.partition", partition);
        self.add("__connect.errors.offset", offset);
        if let Some(group) = failure.group {
            self.add("__connect.errors.connector.name", text(group));
        }
        self.add("__connect.errors.stage", text(failure.stage));
        let class = text(failure.class);
        self.add("__connect.errors.exception.class.name", class);
        let message = text(&failure.error.to_string());
        self.add("__connect.errors.exception.message", message);
        let trace = text(&trace(failure.error));
        self.add("__connect.errors.exception.stacktrace", trace);
    }
}

/// The last header of this name, as Kafka looks headers up.
fn header<'a>(record: &'a ConsumerRecord, name: &str) -> Option<&'a [u8]> {
    let named = record.headers().filter(|it| it.key == name.as_bytes());
    named.last().and_then(|it| it.value)
}

fn text(text: &str) -> Vec<u8> {
    text.as_bytes()[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_vec()
}

/// The error and what it comes from, one per line.
fn trace(error: &(dyn Error + 'static)) -> String {
    let mut lines = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source
        && lines.len() < TEXT_BYTES_MAX
    {
        lines.push_str("\ncaused by: ");
        lines.push_str(&cause.to_string());
        source = cause.source();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_two_letters() {
        let long = "ä".repeat(TEXT_BYTES_MAX);
        assert_eq!(text(&long).len(), TEXT_BYTES_MAX);
        let odd = format!("x{long}");
        assert_eq!(text(&odd).len(), TEXT_BYTES_MAX - 1);
    }
}
