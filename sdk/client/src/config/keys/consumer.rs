//! Settings of consumers, in a group or not.

use super::Unit::{GoDuration, Kib, Same};
use super::{Key, librdkafka, sarama};
use crate::config::properties::{ms, number, wrong};
use crate::config::{Corrupt, Isolation, OffsetReset};

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "fetch.min.bytes",
        "1",
        "The broker answers when it has this much.",
        |p, k, v| {
            p.consumer.fetch_bytes_min = number(k, v)?;
            Ok(())
        },
    )
    .spelled(&[sarama("Consumer.Fetch.Min", Same)]),
    Key::new(
        "fetch.max.wait.ms",
        "500",
        "Or after this long.",
        |p, k, v| {
            p.consumer.fetch_wait_max = ms(k, v)?;
            Ok(())
        },
    )
    .spelled(&[
        librdkafka("fetch.wait.max.ms", Same),
        sarama("Consumer.MaxWaitTime", GoDuration),
    ]),
    Key::new(
        "fetch.max.bytes",
        "52428800",
        "The most one answer carries, but for a single larger batch.",
        |p, k, v| {
            p.consumer.fetch_bytes_max = number(k, v)?;
            Ok(())
        },
    )
    .spelled(&[sarama("Consumer.Fetch.MaxBytes", Same)]),
    Key::new(
        "max.partition.fetch.bytes",
        "1048576",
        "The most it carries of one partition.",
        |p, k, v| {
            p.consumer.partition_fetch_bytes_max = number(k, v)?;
            Ok(())
        },
    )
    .spelled(&[
        librdkafka("fetch.message.max.bytes", Same),
        sarama("Consumer.Fetch.Default", Same),
    ]),
    Key::new(
        "highwater.fetch.buffer.memory",
        "67108864",
        "Bytes fetched ahead of the application.",
        |p, k, v| {
            p.consumer.buffer_bytes = number(k, v)?;
            Ok(())
        },
    )
    .spelled(&[librdkafka("queued.max.messages.kbytes", Kib)]),
    Key::new(
        "highwater.batch.bytes.max",
        "134217728",
        "A batch that decompresses to more is refused.",
        |p, k, v| {
            p.consumer.batch_bytes_max = number(k, v)?;
            Ok(())
        },
    ),
    Key::new(
        "auto.offset.reset",
        "latest",
        "Where to read where nothing is committed, or the position is not in the log: `earliest`, `latest`, or `none`: an error.",
        |p, k, v| {
            p.consumer.offset_reset = match v {
                "earliest" => OffsetReset::Earliest,
                "latest" => OffsetReset::Latest,
                "none" => OffsetReset::Fail,
                _ => return Err(wrong(k, v, "earliest, latest or none")),
            };
            Ok(())
        },
    )
    .spelled(&[sarama("Consumer.Offsets.Initial", Same)])
    .worded(&[
        ("smallest", "earliest"),
        ("beginning", "earliest"),
        ("OffsetOldest", "earliest"),
        ("-2", "earliest"),
        ("largest", "latest"),
        ("end", "latest"),
        ("OffsetNewest", "latest"),
        ("-1", "latest"),
        ("error", "none"),
    ]),
    Key::new(
        "highwater.corrupt.records",
        "fail",
        "What becomes of a batch that does not hold together: `fail`, an error until the application seeks past it; `skip`, a warning.",
        |p, k, v| {
            p.consumer.corrupt = match v.to_ascii_lowercase().as_str() {
                "fail" => Corrupt::Fail,
                "skip" => Corrupt::Skip,
                _ => return Err(wrong(k, v, "fail, skip")),
            };
            Ok(())
        },
    ),
    Key::new(
        "isolation.level",
        "read_uncommitted",
        "Whether records of open and aborted transactions are seen (`read_uncommitted`) or not (`read_committed`).",
        |p, k, v| {
            p.consumer.isolation = match v {
                "read_uncommitted" => Isolation::ReadUncommitted,
                "read_committed" => Isolation::ReadCommitted,
                _ => return Err(wrong(k, v, "read_uncommitted or read_committed")),
            };
            Ok(())
        },
    )
    .spelled(&[sarama("Consumer.IsolationLevel", Same)])
    .worded(&[
        ("ReadUncommitted", "read_uncommitted"),
        ("0", "read_uncommitted"),
        ("ReadCommitted", "read_committed"),
        ("1", "read_committed"),
    ]),
    Key::new(
        "client.rack",
        "",
        "Where this client is: for brokers that let consumers read from a replica nearby.",
        |p, _, v| {
            p.consumer.client_rack = Some(v.to_owned()).filter(|rack| !rack.is_empty());
            Ok(())
        },
    )
    .spelled(&[sarama("RackID", Same)]),
];
