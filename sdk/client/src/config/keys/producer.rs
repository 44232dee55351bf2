//! Settings of producers.

use highwater_record::Codec;

use super::Unit::{GoDuration, Kib, Same};
use super::{Key, librdkafka, sarama};
use crate::config::properties::{flag, ms, number, wrong};
use crate::config::{Acks, Linger};
use crate::partitioner::Rule;

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "acks",
        "all",
        "What an acknowledgement means: `all` in-sync replicas have the record, the leader (`1`) took it, or (`0`) it was sent.",
        |p, k, v| {
            p.producer.acks = match v {
                "all" => Acks::All,
                "1" => Acks::Leader,
                "0" => Acks::None,
                _ => return Err(wrong(k, v, "all, 1 or 0")),
            };
            Ok(())
        },
    )
    .spelled(&[
        librdkafka("request.required.acks", Same),
        sarama("Producer.RequiredAcks", Same),
    ])
    .worded(&[
        ("-1", "all"),
        ("WaitForAll", "all"),
        ("WaitForLocal", "1"),
        ("NoResponse", "0"),
    ]),
    Key::new(
        "enable.idempotence",
        "(true when `acks` is `all`)",
        "Whether the broker recognises a batch that is sent again.",
        |p, k, v| {
            p.producer.idempotence = Some(flag(k, v)?);
            Ok(())
        },
    )
    .spelled(&[sarama("Producer.Idempotent", Same)]),
    Key::new(
        "linger.ms",
        "(adaptive: 0 while the broker is idle, up to 5 while requests are in flight)",
        "How long a batch waits for company.",
        |p, k, v| {
            p.producer.linger = Linger::Fixed(ms(k, v)?);
            Ok(())
        },
    )
    .spelled(&[
        librdkafka("queue.buffering.max.ms", Same),
        sarama("Producer.Flush.Frequency", GoDuration),
    ]),
    Key::new(
        "batch.size",
        "262144",
        "A batch of one partition is closed at this many bytes before compression.",
        |p, k, v| {
            p.producer.batch_bytes = number(k, v)?;
            Ok(())
        },
    )
    .spelled(&[sarama("Producer.Flush.Bytes", Same)]),
    Key::new(
        "max.request.size",
        "1048576",
        "The largest request, and the largest record before compression, in bytes.",
        |p, k, v| {
            p.producer.request_bytes_max = number(k, v)?;
            Ok(())
        },
    )
    .spelled(&[
        librdkafka("message.max.bytes", Same),
        sarama("Producer.MaxMessageBytes", Same),
    ]),
    Key::new(
        "max.in.flight.requests.per.connection",
        "5",
        "Requests to one broker without an answer; at most 5 with idempotence.",
        |p, k, v| {
            p.producer.in_flight_max = number(k, v)?;
            Ok(())
        },
    )
    .spelled(&[
        librdkafka("max.in.flight", Same),
        sarama("Net.MaxOpenRequests", Same),
    ]),
    Key::new(
        "buffer.memory",
        "33554432",
        "Bytes of records that wait or are in flight.",
        |p, k, v| {
            p.producer.buffer_bytes = number(k, v)?;
            Ok(())
        },
    )
    .spelled(&[librdkafka("queue.buffering.max.kbytes", Kib)]),
    Key::new(
        "max.block.ms",
        "60000",
        "How long `send` and `enqueue` wait for memory or metadata.",
        |p, k, v| {
            p.producer.block_max = ms(k, v)?;
            Ok(())
        },
    ),
    Key::new(
        "delivery.timeout.ms",
        "120000",
        "From enqueueing to the answer, retries included.",
        |p, k, v| {
            p.producer.delivery_timeout = ms(k, v)?;
            Ok(())
        },
    )
    .spelled(&[librdkafka("message.timeout.ms", Same)]),
    Key::new(
        "highwater.acks.timeout.ms",
        "(`request.timeout.ms`)",
        "How long the broker may wait for its replicas before it answers.",
        |p, k, v| {
            p.producer.request_timeout = Some(ms(k, v)?);
            Ok(())
        },
    )
    .spelled(&[sarama("Producer.Timeout", GoDuration)]),
    Key::new(
        "compression.type",
        "none",
        "`none`, `gzip`, `snappy`, `lz4` or `zstd`.",
        |p, k, v| {
            p.producer.compression = v
                .parse()
                .map_err(|_| wrong(k, v, "none, gzip, snappy, lz4 or zstd"))?;
            Ok(())
        },
    )
    .spelled(&[
        librdkafka("compression.codec", Same),
        sarama("Producer.Compression", Same),
    ])
    .worded(&[
        ("inherit", "none"),
        ("CompressionNone", "none"),
        ("CompressionGZIP", "gzip"),
        ("CompressionSnappy", "snappy"),
        ("CompressionLZ4", "lz4"),
        ("CompressionZSTD", "zstd"),
    ]),
    Key::new(
        "compression.gzip.level",
        "(the codec's)",
        "1 to 9; counts when `compression.type` is `gzip`.",
        |p, k, v| p.level(Codec::Gzip, k, v),
    ),
    Key::new(
        "compression.lz4.level",
        "(the codec's)",
        "Counts when `compression.type` is `lz4`.",
        |p, k, v| p.level(Codec::Lz4, k, v),
    ),
    Key::new(
        "compression.zstd.level",
        "(the codec's)",
        "-131072 to 22; counts when `compression.type` is `zstd`.",
        |p, k, v| p.level(Codec::Zstd, k, v),
    ),
    Key::new(
        "compression.level",
        "-1",
        "The level of whatever codec is chosen; -1 leaves it to the codec. Java has a key for each codec instead.",
        |p, k, v| {
            let level = number(k, v)?;
            p.level_of_any(level);
            Ok(())
        },
    )
    .spelled(&[sarama("Producer.CompressionLevel", Same)])
    .worded(&[("-1000", "-1"), ("CompressionLevelDefault", "-1")]),
    Key::new(
        "partitioner.class",
        "(Java's: `default`)",
        "Where a record without partition goes. `default` is Java's; the names of librdkafka's rules and of sarama's are known, too.",
        |p, k, v| {
            p.partitioner.name(v).map_err(|_| {
                wrong(
                    k,
                    v,
                    &format!("{} or range", Rule::ALL.map(Rule::name).join(", ")),
                )
            })?;
            p.producer.partitioner = p.partitioner.build();
            Ok(())
        },
    )
    .spelled(&[
        librdkafka("partitioner", Same),
        sarama("Producer.Partitioner", Same),
    ])
    .worded(&[
        ("NewHashPartitioner", "sarama_hash"),
        ("NewReferenceHashPartitioner", "sarama_reference_hash"),
        ("NewConsistentCRCHashPartitioner", "sarama_consistent_crc"),
        ("NewRandomPartitioner", "random"),
        ("NewRoundRobinPartitioner", "round_robin"),
        ("NewManualPartitioner", "manual"),
    ]),
    Key::new(
        "partitioner.ignore.keys",
        "false",
        "Whether the default partitioner spreads records with keys like those without.",
        |p, k, v| {
            p.partitioner.ignore_keys(flag(k, v)?);
            p.producer.partitioner = p.partitioner.build();
            Ok(())
        },
    ),
    Key::new(
        "highwater.partitioner.range.splits",
        "",
        "With `partitioner.class=range`: the keys, with commas between, at which the next partition begins.",
        |p, k, v| {
            p.partitioner.splits(v).map_err(|error| {
                wrong(
                    k,
                    v,
                    &format!("keys that rise, with commas between; {error}"),
                )
            })?;
            p.producer.partitioner = p.partitioner.build();
            Ok(())
        },
    ),
];
