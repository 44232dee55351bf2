//! Kafka's property names, each with what it sets.
//!
//! One table per struct; an unknown key is an error that names the nearest known one. Keys of
//! features this client does not have yet are unknown on purpose: silence would be a lie.

use std::time::Duration;

use highwater_record::{Codec, Compression};

use super::{Acks, ClientConfig, ConsumerConfig, Isolation, Linger, OffsetReset, ProducerConfig};
use crate::core::group::assignor::Assignor;
use crate::error::{Error, Result};
use crate::partitioner::{Chosen, Rule};

/// All three configurations, as one properties file sets them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Properties {
    pub(crate) client: ClientConfig,
    pub(crate) producer: ProducerConfig,
    pub(crate) consumer: ConsumerConfig,
    levels: Vec<Compression>,
    partitioner: Chosen,
}

type Set = fn(&mut Properties, &str, &str) -> Result<()>;

/// Accepted without effect: they configure Java classes or what this client decides by itself.
const IGNORED: &[&str] = &[
    "key.serializer",
    "value.serializer",
    "key.deserializer",
    "value.deserializer",
    "check.crcs", // always checked
    "client.dns.lookup",
    "enable.metrics.push",
    "metric.reporters",
    "metrics.num.samples",
    "metrics.recording.level",
    "metrics.sample.window.ms",
    "retries",
    "send.buffer.bytes",
    "receive.buffer.bytes",
];

const KNOWN: &[(&str, Set)] = &[
    ("bootstrap.servers", |p, _, v| {
        p.client.bootstrap = v
            .split(',')
            .map(str::trim)
            .filter(|s| !s.is_empty())
            .map(str::to_owned)
            .collect();
        Ok(())
    }),
    ("client.id", |p, _, v| {
        v.clone_into(&mut p.client.client_id);
        Ok(())
    }),
    ("request.timeout.ms", |p, k, v| {
        p.client.request_timeout = ms(k, v)?;
        Ok(())
    }),
    ("socket.connection.setup.timeout.ms", |p, k, v| {
        p.client.connect_timeout = ms(k, v)?;
        Ok(())
    }),
    ("reconnect.backoff.ms", |p, k, v| {
        p.client.reconnect_backoff = ms(k, v)?;
        Ok(())
    }),
    ("reconnect.backoff.max.ms", |p, k, v| {
        p.client.reconnect_backoff_max = ms(k, v)?;
        Ok(())
    }),
    ("retry.backoff.ms", |p, k, v| {
        p.client.retry_backoff = ms(k, v)?;
        Ok(())
    }),
    ("retry.backoff.max.ms", |p, k, v| {
        p.client.retry_backoff_max = ms(k, v)?;
        Ok(())
    }),
    ("metadata.max.age.ms", |p, k, v| {
        p.client.metadata_age_max = ms(k, v)?;
        Ok(())
    }),
    ("default.api.timeout.ms", |p, k, v| {
        p.client.api_timeout = ms(k, v)?;
        Ok(())
    }),
    ("allow.auto.create.topics", |p, k, v| {
        p.client.auto_create_topics = flag(k, v)?;
        Ok(())
    }),
    ("highwater.response.bytes.max", |p, k, v| {
        p.client.response_bytes_max = number(k, v)?;
        Ok(())
    }),
    ("acks", |p, k, v| {
        p.producer.acks = match v {
            "all" | "-1" => Acks::All,
            "1" => Acks::Leader,
            "0" => Acks::None,
            _ => return Err(wrong(k, v, "all, 1 or 0")),
        };
        Ok(())
    }),
    ("enable.idempotence", |p, k, v| {
        p.producer.idempotence = Some(flag(k, v)?);
        Ok(())
    }),
    ("linger.ms", |p, k, v| {
        p.producer.linger = Linger::Fixed(ms(k, v)?);
        Ok(())
    }),
    ("batch.size", |p, k, v| {
        p.producer.batch_bytes = number(k, v)?;
        Ok(())
    }),
    ("max.request.size", |p, k, v| {
        p.producer.request_bytes_max = number(k, v)?;
        Ok(())
    }),
    ("max.in.flight.requests.per.connection", |p, k, v| {
        p.producer.in_flight_max = number(k, v)?;
        Ok(())
    }),
    ("buffer.memory", |p, k, v| {
        p.producer.buffer_bytes = number(k, v)?;
        Ok(())
    }),
    ("max.block.ms", |p, k, v| {
        p.producer.block_max = ms(k, v)?;
        Ok(())
    }),
    ("delivery.timeout.ms", |p, k, v| {
        p.producer.delivery_timeout = ms(k, v)?;
        Ok(())
    }),
    ("compression.type", |p, k, v| {
        p.producer.compression = v
            .parse()
            .map_err(|_| wrong(k, v, "none, gzip, snappy, lz4 or zstd"))?;
        Ok(())
    }),
    ("compression.gzip.level", |p, k, v| {
        level(p, Codec::Gzip, k, v)
    }),
    ("compression.lz4.level", |p, k, v| {
        level(p, Codec::Lz4, k, v)
    }),
    ("compression.zstd.level", |p, k, v| {
        level(p, Codec::Zstd, k, v)
    }),
    ("partitioner.class", |p, k, v| {
        p.partitioner.name(v).map_err(|_| {
            wrong(
                k,
                v,
                &format!("{} or range", Rule::ALL.map(Rule::name).join(", ")),
            )
        })?;
        p.producer.partitioner = p.partitioner.build();
        Ok(())
    }),
    ("partitioner.ignore.keys", |p, k, v| {
        p.partitioner.ignore_keys(flag(k, v)?);
        p.producer.partitioner = p.partitioner.build();
        Ok(())
    }),
    ("highwater.partitioner.range.splits", |p, k, v| {
        p.partitioner.splits(v).map_err(|error| {
            wrong(
                k,
                v,
                &format!("keys that rise, with commas between; {error}"),
            )
        })?;
        p.producer.partitioner = p.partitioner.build();
        Ok(())
    }),
    ("fetch.min.bytes", |p, k, v| {
        p.consumer.fetch_bytes_min = number(k, v)?;
        Ok(())
    }),
    ("fetch.max.wait.ms", |p, k, v| {
        p.consumer.fetch_wait_max = ms(k, v)?;
        Ok(())
    }),
    ("fetch.max.bytes", |p, k, v| {
        p.consumer.fetch_bytes_max = number(k, v)?;
        Ok(())
    }),
    ("max.partition.fetch.bytes", |p, k, v| {
        p.consumer.partition_fetch_bytes_max = number(k, v)?;
        Ok(())
    }),
    ("highwater.fetch.buffer.memory", |p, k, v| {
        p.consumer.buffer_bytes = number(k, v)?;
        Ok(())
    }),
    ("highwater.batch.bytes.max", |p, k, v| {
        p.consumer.batch_bytes_max = number(k, v)?;
        Ok(())
    }),
    ("auto.offset.reset", |p, k, v| {
        p.consumer.offset_reset = match v {
            "earliest" => OffsetReset::Earliest,
            "latest" => OffsetReset::Latest,
            "none" => OffsetReset::Fail,
            _ => return Err(wrong(k, v, "earliest, latest or none")),
        };
        Ok(())
    }),
    ("isolation.level", |p, k, v| {
        p.consumer.isolation = match v {
            "read_uncommitted" => Isolation::ReadUncommitted,
            "read_committed" => Isolation::ReadCommitted,
            _ => return Err(wrong(k, v, "read_uncommitted or read_committed")),
        };
        Ok(())
    }),
    ("group.id", |p, _, v| {
        p.consumer.group.id = Some(v.to_owned()).filter(|id| !id.is_empty());
        Ok(())
    }),
    ("group.instance.id", |p, _, v| {
        p.consumer.group.instance_id = Some(v.to_owned()).filter(|id| !id.is_empty());
        Ok(())
    }),
    ("group.protocol", |_, k, v| {
        match v.to_ascii_lowercase().as_str() {
            "classic" => Ok(()),
            _ => Err(wrong(k, v, "classic")),
        }
    }),
    ("session.timeout.ms", |p, k, v| {
        p.consumer.group.session_timeout = ms(k, v)?;
        Ok(())
    }),
    ("heartbeat.interval.ms", |p, k, v| {
        p.consumer.group.heartbeat_interval = ms(k, v)?;
        Ok(())
    }),
    ("max.poll.interval.ms", |p, k, v| {
        p.consumer.group.poll_interval_max = ms(k, v)?;
        Ok(())
    }),
    ("partition.assignment.strategy", |p, k, v| {
        let names = v.split(',').map(str::trim).filter(|name| !name.is_empty());
        let assignors: Result<Vec<Assignor>, _> = names.map(str::parse).collect();
        p.consumer.group.assignors = assignors.map_err(|_| wrong(k, v, Assignor::NAMES))?;
        Ok(())
    }),
    ("enable.auto.commit", |p, k, v| {
        p.consumer.group.auto_commit = flag(k, v)?;
        Ok(())
    }),
    ("auto.commit.interval.ms", |p, k, v| {
        p.consumer.group.auto_commit_interval = ms(k, v)?;
        Ok(())
    }),
    ("client.rack", |p, _, v| {
        p.consumer.client_rack = Some(v.to_owned()).filter(|rack| !rack.is_empty());
        Ok(())
    }),
];

impl Properties {
    /// Sets one property by its name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for an unknown name or an unusable value.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let value = value.trim();
        if let Some((_, set)) = KNOWN.iter().find(|(name, _)| *name == key) {
            set(self, key, value)?;
            self.apply_level();
            return Ok(());
        }
        if IGNORED.contains(&key) {
            tracing::debug!(key, "property has no meaning for this client");
            return Ok(());
        }
        let nearest = KNOWN
            .iter()
            .map(|(name, _)| (strsim::levenshtein(name, key), *name))
            .min()
            .map_or("", |(_, name)| name);
        Err(Error::config(format!(
            "unknown property {key:?}, nearest is {nearest:?}"
        )))
    }

    /// A level counts only for the codec in force, whichever of both came first.
    fn apply_level(&mut self) {
        let codec = self.producer.compression.codec();
        if let Some(level) = self
            .levels
            .iter()
            .rev()
            .find(|level| level.codec() == codec)
        {
            self.producer.compression = *level;
        }
    }
}

fn level(properties: &mut Properties, codec: Codec, key: &str, value: &str) -> Result<()> {
    let level: i32 = number(key, value)?;
    let compression = Compression::new(codec, Some(level))
        .map_err(|error| Error::config(format!("{key}: {error}")))?;
    properties.levels.push(compression);
    Ok(())
}

fn wrong(key: &str, value: &str, expected: &str) -> Error {
    Error::config(format!("{key} is {value:?}, need {expected}"))
}

fn number<T: std::str::FromStr>(key: &str, value: &str) -> Result<T> {
    value
        .parse()
        .map_err(|_| wrong(key, value, "a number in range"))
}

fn ms(key: &str, value: &str) -> Result<Duration> {
    let ms: u64 = number(key, value)?;
    // Java's limit; also keeps deadlines within what a monotonic clock can hold.
    if ms > i32::MAX as u64 {
        return Err(wrong(key, value, "at most 2147483647"));
    }
    Ok(Duration::from_millis(ms))
}

fn flag(key: &str, value: &str) -> Result<bool> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(wrong(key, value, "true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = Properties::default().set("linger.m", "5").unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"unknown property "linger.m", nearest is "linger.ms""#
        );
    }

    #[test]
    fn a_level_counts_whether_it_comes_before_or_after_its_codec() {
        let mut before = Properties::default();
        before.set("compression.zstd.level", "7").unwrap();
        before.set("compression.type", "zstd").unwrap();
        let mut after = Properties::default();
        after.set("compression.type", "zstd").unwrap();
        after.set("compression.zstd.level", "7").unwrap();
        assert_eq!(before.producer.compression.level(), Some(7));
        assert_eq!(after.producer.compression.level(), Some(7));
        assert!(after.set("compression.gzip.level", "77").is_err());
    }

    #[test]
    fn values_out_of_range_are_refused_with_what_is_expected() {
        let mut p = Properties::default();
        let error = p.set("acks", "2").unwrap_err();
        assert_eq!(error.to_string(), r#"acks is "2", need all, 1 or 0"#);
        assert!(p.set("linger.ms", "-1").is_err());
        assert!(p.set("request.timeout.ms", "99999999999").is_err());
    }
}
