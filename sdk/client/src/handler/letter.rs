//! What is written on a record that is put aside: into a retry topic, or among the dead letters.
//!
//! Names and encodings are those of Spring for Apache Kafka (`KafkaHeaders`, `RetryTopicHeaders`: numbers as big-endian bytes)
//! and of Kafka Connect (`DeadLetterQueueReporter`: numbers as text), so that what reads theirs reads ours. Knows neither when
//! a record is put aside nor how it is sent.

use std::error::Error;

use highwater_record::{HeaderField, TimestampType};

use crate::consumer::ConsumerRecord;
use crate::record::Record;

/// Which attempt at the record the next one is, counted from 1: four bytes. Earlier Springs wrote one.
pub(crate) const ATTEMPTS: &str = "retry_topic-attempts";
/// Not to be handed out before this, in milliseconds since 1970.
pub(crate) const DUE: &str = "retry_topic-backoff-timestamp";
const FIRST_TIMESTAMP: &str = "retry_topic-original-timestamp";

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

    /// For a retry topic, from which it is to be handed out at `due_ms` as attempt number `attempt`.
    pub(crate) fn retry(
        record: &'a ConsumerRecord,
        failure: &Failure<'_>,
        attempt: u32,
        due_ms: i64,
    ) -> Self {
        let mut letter = Self {
            record,
            added: Vec::with_capacity(12),
            replaced: Vec::new(),
        };
        // A record that comes through several retry topics keeps where it was first.
        if header(record, RETRIED.topic).is_none() {
            letter.tell_origin(&RETRIED, failure.group);
        }
        if header(record, FIRST_TIMESTAMP).is_none() {
            letter.add(FIRST_TIMESTAMP, number(record.timestamp_ms()));
        }
        letter.tell_failure(&RETRIED, failure);
        letter.replace(ATTEMPTS, attempt.to_be_bytes().to_vec());
        letter.replace(DUE, number(due_ms));
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

/// Which attempt at this record this is: 1 where no retry topic says otherwise.
pub(crate) fn attempt(record: &ConsumerRecord) -> u32 {
    parse_attempt(header(record, ATTEMPTS))
}

fn parse_attempt(value: Option<&[u8]>) -> u32 {
    let attempt = match value {
        Some([attempt]) => u32::from(*attempt),
        Some(value) => value.try_into().map_or(1, u32::from_be_bytes),
        None => 1,
    };
    attempt.max(1)
}

/// When this record is to be handed out, in milliseconds since 1970; `None` where nothing sensible says so.
pub(crate) fn due_ms(record: &ConsumerRecord) -> Option<i64> {
    parse_number(header(record, DUE)?)
}

/// The last header of this name, as Kafka looks headers up.
fn header<'a>(record: &'a ConsumerRecord, name: &str) -> Option<&'a [u8]> {
    let named = record.headers().filter(|it| it.key == name.as_bytes());
    named.last().and_then(|it| it.value)
}

/// As Java's `BigInteger.toByteArray` writes it: the fewest bytes of two's complement, the highest first.
fn number(value: i64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let sign = if value < 0 { 0xff } else { 0 };
    let goes =
        |pair: &&[u8]| matches!(pair, [first, next] if *first == sign && (next ^ sign) < 0x80);
    let unneeded = bytes.windows(2).take_while(goes).count();
    bytes[unneeded..].to_vec()
}

/// The other way; `None` when there are no bytes, or more than fit.
fn parse_number(bytes: &[u8]) -> Option<i64> {
    let first = *bytes.first()?;
    if bytes.len() > 8 {
        return None;
    }
    let sign = if first < 0x80 { 0 } else { -1 };
    Some(
        bytes
            .iter()
            .fold(sign, |value, byte| value << 8 | i64::from(*byte)),
    )
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
    fn numbers_are_written_as_java_s_big_integers_and_read_back() {
        // BigInteger.valueOf(n).toByteArray() of Java 17.
        let golden: [(i64, &[u8]); 8] = [
            (0, &[0]),
            (127, &[127]),
            (128, &[0, 128]),
            (-1, &[0xff]),
            (-128, &[0x80]),
            (-129, &[0xff, 0x7f]),
            (1_787_019_620_000, &[0x01, 0xa0, 0x12, 0xab, 0x6e, 0xa0]),
            (i64::MIN, &[0x80, 0, 0, 0, 0, 0, 0, 0]),
        ];
        for (value, bytes) in golden {
            assert_eq!(number(value), bytes, "{value}");
            assert_eq!(parse_number(bytes), Some(value));
        }
        // Eight bytes, which somebody else may write.
        assert_eq!(parse_number(&5i64.to_be_bytes()), Some(5));
        assert_eq!((parse_number(&[]), parse_number(&[0; 9])), (None, None));
    }

    #[test]
    fn an_attempt_is_read_as_either_spring_wrote_it() {
        assert_eq!(parse_attempt(None), 1);
        assert_eq!(parse_attempt(Some(&[3])), 3);
        assert_eq!(parse_attempt(Some(&[0, 0, 0, 4])), 4);
        assert_eq!(parse_attempt(Some(&[0, 0, 0, 0])), 1);
        assert_eq!(parse_attempt(Some(b"four")), u32::from_be_bytes(*b"four"));
        assert_eq!(parse_attempt(Some(&[1, 2])), 1);
    }

    #[test]
    fn a_long_text_is_cut_between_two_letters() {
        let long = "ä".repeat(TEXT_BYTES_MAX);
        assert_eq!(text(&long).len(), TEXT_BYTES_MAX);
        let odd = format!("x{long}");
        assert_eq!(text(&odd).len(), TEXT_BYTES_MAX - 1);
    }
}
