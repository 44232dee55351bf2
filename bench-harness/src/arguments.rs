//! The command line. One definition per flag, with the words of `--help` beside it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use highwater::Assignor;
use highwater_record::Compression;

use crate::identity::RECORD_BYTES_MIN;

/// A benchmark for Kafka-protocol brokers that checks what was acknowledged.
///
/// Without arguments it starts the embedded Highwater engine on a temporary directory, produces and consumes 1 KiB
/// JSON-like records over 8 partitions for some ten seconds at full speed and then for a while at half of that speed, and
/// checks every acknowledged record. It ends with status 1 when a promise was broken.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: Run,
}

/// What else it can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Kill the embedded engine with SIGKILL again and again under load, restart it, and check that nothing acknowledged is lost.
    Crash(Crash),
    /// Let members of one consumer group join, leave and die while a producer writes: how long until every partition has its
    /// reader again, how many records are read twice, and that none is skipped.
    Churn(Churn),
    /// What a consumer costs, in memory and CPU, that has thousands of partitions assigned to which nothing comes.
    Idle(Idle),
    /// What a record costs the client alone, in CPU and allocations, against a broker that does nothing but answer.
    Sdk(Sdk),
    /// Run the null broker alone, as `sdk` does in a process of its own.
    #[command(hide = true)]
    Null(Sdk),
    /// Run the embedded engine alone, as the other commands do in a process of its own.
    #[command(hide = true)]
    Engine(Engine),
}

/// The flags of a run.
#[derive(Debug, Clone, Args)]
pub(crate) struct Run {
    /// Drive this broker instead of the embedded engine: any that speaks the Kafka protocol.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) bootstrap: Option<String>,
    /// The process whose CPU and memory are the broker's, with --bootstrap on this machine.
    #[arg(long, value_name = "PID", requires = "bootstrap")]
    pub(crate) broker_pid: Option<u32>,
    /// Produce the lines of this file, over and over, instead of generated records.
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// How record batches are compressed: none, gzip, snappy, lz4 or zstd, and a level where the codec has levels.
    #[arg(long, value_name = "CODEC[:LEVEL]", default_value = "none", value_parser = compression)]
    pub(crate) codec: Compression,
    /// What an acknowledgement means: on stable media, or in the broker's page cache. On another broker than Highwater
    /// `flushed` sets flush.messages=1.
    #[arg(long, value_enum, default_value = "flushed")]
    pub(crate) durability: Durability,
    /// How long to produce at full speed, in seconds. The measurement at half speed adds a third of it.
    #[arg(long, value_name = "SECONDS", default_value = "8", value_parser = seconds)]
    pub(crate) duration: Duration,
    /// Records per second to produce on a fixed schedule, instead of full speed and then half of it. Latency counts from
    /// the moment at which a record was meant to be sent.
    #[arg(long, value_name = "RECORDS")]
    pub(crate) rate: Option<u64>,
    /// The size of a generated record's value, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(RECORD_BYTES_MIN as i64..=1_000_000))]
    pub(crate) record_bytes: u32,
    /// Partitions of the topic.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) partitions: u32,
    /// Producers, each with connections of its own.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) producers: u32,
    /// The largest record batch, in bytes, before compression.
    #[arg(long, value_name = "BYTES", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1024..=16 << 20))]
    pub(crate) batch_bytes: u32,
    /// Consume only after all was produced: the cost of producing and of catching up, each alone.
    #[arg(long)]
    pub(crate) apart: bool,
    /// The seed of the generated records.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Shards of the embedded engine; one less than there are cores unless given.
    #[arg(long, value_name = "N", conflicts_with = "bootstrap")]
    pub(crate) shards: Option<u16>,
    /// Where the embedded engine puts its temporary directory.
    #[arg(long, value_name = "DIR", conflicts_with = "bootstrap")]
    pub(crate) directory: Option<PathBuf>,
    /// Write the whole result here as JSON, beside the table on the terminal.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// The flags of `crash`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Crash {
    /// How many times the engine is killed.
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) kills: u32,
    /// What an acknowledgement means.
    #[arg(long, value_enum, default_value = "flushed")]
    pub(crate) durability: Durability,
    /// The seed of the records and of the moments of the kills.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The size of a record's value, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(RECORD_BYTES_MIN as i64..=1_000_000))]
    pub(crate) record_bytes: u32,
    /// Partitions of the topic.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) partitions: u32,
    /// Records per second.
    #[arg(long, value_name = "RECORDS", default_value_t = 20_000)]
    pub(crate) rate: u64,
    /// Where the temporary directory goes.
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// Write the result here as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// The flags of `churn`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Churn {
    /// Drive this broker instead of the embedded engine: any that speaks the Kafka protocol.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) bootstrap: Option<String>,
    /// Members of the group, each with a thread and connections of its own.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) members: u32,
    /// Partitions of the topic.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) partitions: u32,
    /// Rounds: in each of them one member is killed, one joins, one leaves and one joins.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) rounds: u32,
    /// How members share the partitions: range, roundrobin, sticky or cooperative-sticky.
    #[arg(long, value_name = "NAME", default_value = "cooperative-sticky")]
    pub(crate) assignor: Assignor,
    /// After how long without a heartbeat a member counts as dead.
    #[arg(long, value_name = "MS", default_value_t = 6000)]
    pub(crate) session_timeout_ms: u64,
    /// How often members are heard of, and how soon they hear of a change.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub(crate) heartbeat_ms: u64,
    /// How often members commit.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub(crate) commit_ms: u64,
    /// Records per second.
    #[arg(long, value_name = "RECORDS", default_value_t = 10_000)]
    pub(crate) rate: u64,
    /// The size of a record's value, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 256, value_parser = clap::value_parser!(u32).range(RECORD_BYTES_MIN as i64..=1_000_000))]
    pub(crate) record_bytes: u32,
    /// What an acknowledgement means.
    #[arg(long, value_enum, default_value = "written")]
    pub(crate) durability: Durability,
    /// The seed of the records and of who goes.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Where the embedded engine puts its temporary directory.
    #[arg(long, value_name = "DIR", conflicts_with = "bootstrap")]
    pub(crate) directory: Option<PathBuf>,
    /// Write the result here as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// The flags of `idle`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Idle {
    /// Drive this broker instead of the embedded engine: any that speaks the Kafka protocol.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) bootstrap: Option<String>,
    /// Partitions, in topics of at most 5,000.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) partitions: u32,
    /// How long nothing comes, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    pub(crate) duration: Duration,
    /// How long it is not measured before that, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) warm_up: Duration,
    /// Where the embedded engine puts its temporary directory.
    #[arg(long, value_name = "DIR", conflicts_with = "bootstrap")]
    pub(crate) directory: Option<PathBuf>,
    /// Write the result here as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// The flags of `sdk`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Sdk {
    /// Records of one measurement.
    #[arg(long, value_name = "N", default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1000..=1_000_000_000))]
    pub(crate) records: u64,
    /// How many times each is measured; the median counts.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// The size of a record's value, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    pub(crate) record_bytes: usize,
    /// The size of a produced record's key, in bytes; without keys records go to partitions batch by batch.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub(crate) key_bytes: usize,
    /// How record batches are compressed: none, gzip, snappy, lz4 or zstd, and a level where the codec has levels.
    #[arg(long, value_name = "CODEC[:LEVEL]", default_value = "none", value_parser = compression)]
    pub(crate) codec: Compression,
    /// Partitions of the topic.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub(crate) partitions: i32,
    /// The largest record batch, in bytes, before compression.
    #[arg(long, value_name = "BYTES", default_value_t = 65_536)]
    pub(crate) batch_bytes: usize,
    /// Write the result here as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl Sdk {
    /// Records before the clock starts.
    pub(crate) fn warm_up(&self) -> u64 {
        self.records / 10
    }

    /// The flags that the broker's process needs.
    pub(crate) fn null_flags(&self) -> [String; 4] {
        [
            format!("--record-bytes={}", self.record_bytes),
            format!("--codec={}", self.codec),
            format!("--partitions={}", self.partitions),
            format!("--batch-bytes={}", self.batch_bytes),
        ]
    }
}

/// The flags of the hidden `engine`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Engine {
    #[arg(long)]
    pub(crate) data_dir: PathBuf,
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    #[arg(long)]
    pub(crate) shards: Option<u16>,
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

/// What an acknowledgement means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// An fdatasync that covers the batch has returned.
    Flushed,
    /// The bytes are in the broker's page cache.
    Written,
}

impl Durability {
    /// As the engine's setting `highwater.durability` spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Durability::Flushed => "flushed",
            Durability::Written => "written",
        }
    }
}

fn compression(text: &str) -> Result<Compression, String> {
    Compression::from_str(text).map_err(|error| error.to_string())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| format!("{text:?} is no number of seconds"))?;
    if !(0.1..=86_400.0).contains(&seconds) {
        return Err(format!("{text} s is not between 0.1 and 86400"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn nothing_given_is_the_main_job() {
        let arguments = Arguments::parse_from(["highwater-bench"]);
        assert!(arguments.command.is_none());
        assert_eq!(
            (arguments.run.partitions, arguments.run.record_bytes),
            (8, 1024)
        );
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        for wrong in [
            ["--codec", "lzma"],
            ["--duration", "-3"],
            ["--record-bytes", "10"],
        ] {
            assert!(Arguments::try_parse_from(["highwater-bench", wrong[0], wrong[1]]).is_err());
        }
    }
}
