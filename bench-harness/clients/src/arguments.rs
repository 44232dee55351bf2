//! The command line. One definition per flag, with the words of `--help` beside it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

/// What a record costs each client, side by side, at equal settings.
///
/// Starts a broker that answers at once and keeps nothing, and runs each client against it in turn, each time in a process of
/// its own. The table and the JSON say the median over the rounds of nanoseconds of CPU per record, and the ratio to Highwater.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Be the broker.
    #[command(hide = true)]
    Null(Null),
    /// Make one measurement.
    #[command(hide = true)]
    One(One),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Run {
    /// The clients and ways to use them; all unless given.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) clients: Vec<Client>,
    /// What is measured; both unless given.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) sides: Vec<Side>,
    /// How many times each is measured. The order turns around every round.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) rounds: u32,
    /// The core of the clients.
    #[arg(long, value_name = "CORE", default_value_t = 0)]
    pub(crate) client_core: usize,
    /// The core of the broker.
    #[arg(long, value_name = "CORE", default_value_t = 1)]
    pub(crate) broker_core: usize,
    /// Write the result here as JSON, beside the table on the terminal.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// What is equal for all.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Settings {
    /// Records of one measurement.
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    pub(crate) records: u64,
    /// Records before the clock starts.
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    pub(crate) warm_up: u64,
    /// The size of a record's value.
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    pub(crate) record_bytes: usize,
    /// The size of a produced record's key; none of 0, and then each client's own sticky partitioner spreads the records.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub(crate) key_bytes: usize,
    /// `batch.size`, and the size of the batches that are served.
    #[arg(long, value_name = "BYTES", default_value_t = 65_536)]
    pub(crate) batch_bytes: usize,
    /// `linger.ms`.
    #[arg(long, value_name = "MS", default_value_t = 5)]
    pub(crate) linger_ms: u64,
    /// `compression.type`, and how what is served is compressed.
    #[arg(long, value_enum, default_value = "none")]
    pub(crate) codec: Codec,
    /// `enable.idempotence`.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) idempotence: bool,
    /// `buffer.memory`.
    #[arg(long, value_name = "BYTES", default_value_t = 32 << 20)]
    pub(crate) buffer_bytes: usize,
    /// `max.poll.records`, of clients that hand out many at once. (Java's default of 500 costs krafka a decoding of what it fetched
    /// for every 500.)
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) poll_records: u32,
    /// Partitions of the topic.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) partitions: i32,
}

impl Settings {
    /// The same, as flags.
    pub(crate) fn flags(&self) -> Vec<String> {
        let flag = |name: &str, value: &dyn fmt::Display| format!("--{name}={value}");
        vec![
            flag("records", &self.records),
            flag("warm-up", &self.warm_up),
            flag("record-bytes", &self.record_bytes),
            flag("key-bytes", &self.key_bytes),
            flag("batch-bytes", &self.batch_bytes),
            flag("linger-ms", &self.linger_ms),
            flag("codec", &self.codec),
            flag("idempotence", &self.idempotence),
            flag("buffer-bytes", &self.buffer_bytes),
            flag("poll-records", &self.poll_records),
            flag("partitions", &self.partitions),
        ]
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Null {
    #[arg(long)]
    pub(crate) core: usize,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct One {
    #[arg(long, value_enum)]
    pub(crate) client: Client,
    #[arg(long, value_enum)]
    pub(crate) side: Side,
    #[arg(long)]
    pub(crate) core: usize,
    #[arg(long)]
    pub(crate) bootstrap: SocketAddr,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// A client, and where it has several, the way to use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Client {
    /// Record by record: `TopicProducer::enqueue`, `Consumer::next`.
    Highwater,
    /// Batch by batch: `TopicProducer::enqueue_batch`, `Consumer::next_batch`.
    HighwaterBatch,
    /// `BaseProducer::send` and `BaseConsumer::poll`: the cheapest of librdkafka.
    Rdkafka,
    /// `FutureProducer::send_result` and `StreamConsumer::recv`: librdkafka, async.
    RdkafkaAsync,
    /// `Producer::enqueue` and `Consumer::poll`.
    Krafka,
    /// `KafkaProducer::send` and `KafkaConsumer::poll`.
    ConfluentKafka,
}

impl Client {
    /// Whether it is this project's.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Highwater | Self::HighwaterBatch)
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Highwater => "highwater",
            Self::HighwaterBatch => "highwater-batch",
            Self::Rdkafka => "rdkafka",
            Self::RdkafkaAsync => "rdkafka-async",
            Self::Krafka => "krafka",
            Self::ConfluentKafka => "confluent-kafka",
        })
    }
}

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Side {
    /// It produces.
    Produce,
    /// It consumes.
    Consume,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Produce => "produce",
            Self::Consume => "consume",
        })
    }
}

/// A codec, at its default level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        })
    }
}
