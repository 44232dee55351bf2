//! The command line: one definition per flag, with the words of `--help` beside it.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueHint};
use highwater::Compression;

/// A streaming log that speaks the Kafka protocol.
#[derive(Debug, Parser)]
#[command(
    name = "highwater",
    version,
    after_help = "Examples:
  highwater serve --data-dir ./data --listen 127.0.0.1:9092
  highwater topic create orders --partitions 8
  seq 1 1000 | highwater produce orders
  highwater consume orders --from-beginning -n 10
  highwater log verify ./data

Every Kafka client and tool works with the broker too: kcat -b 127.0.0.1:9092 -L"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What it does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a broker on a data directory until SIGTERM or SIGINT.
    #[command(
        after_help = "Settings have Kafka's names. They come from the file given with --config (a Kafka server.properties
works unchanged), then from --data-dir (log.dirs) and --listen (listeners), then from --set.

Once it is ready the broker prints one line with its address. It logs to standard error; RUST_LOG=debug says more.

Examples:
  highwater serve --data-dir /var/lib/highwater --listen 0.0.0.0:9092 --set advertised.listeners=PLAINTEXT://broker1:9092
  highwater serve --config server.properties --set log.retention.hours=24 --set highwater.durability=written"
    )]
    Serve(Serve),
    /// Create, list, describe and delete topics.
    #[command(subcommand)]
    Topic(Topic),
    /// Produce the lines of standard input to a topic.
    #[command(after_help = "Examples:
  highwater produce access-log --codec zstd:3 < access.log
  printf 'alice:1\\nbob:2\\n' | highwater produce scores --key-separator :")]
    Produce(Produce),
    /// Consume the records of a topic to standard output.
    #[command(after_help = "The tokens of --format, which are kcat's:
  %t topic   %p partition   %o offset   %T timestamp (ms)   %k key   %s value   %h headers
  %K length of the key, -1 for none   %S length of the value, -1 for none   %% a percent sign   \\n \\r \\t \\0 \\\\

Examples:
  highwater consume orders --from-beginning --exit
  highwater consume orders --partition 3 --offset 1000 -n 5 --format '%o %k=%s\\n'
  highwater consume orders --offset -100 --json

Consumers of one group share the partitions, and take over what another one had when it goes away:
  highwater consume orders --group billing --from-beginning      (in several terminals)
  highwater group describe billing")]
    Consume(Consume),
    /// Look into log directories, offline.
    #[command(subcommand)]
    Log(Log),
    /// Print the completions for a shell.
    #[command(
        after_help = "Example:  highwater completions bash > /etc/bash_completion.d/highwater"
    )]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Where the broker is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Broker {
    /// The broker, or several of its cluster.
    #[arg(
        short,
        long,
        value_name = "HOST:PORT[,...]",
        default_value = "127.0.0.1:9092",
        env = "HIGHWATER_BOOTSTRAP"
    )]
    pub(crate) bootstrap: String,
}

/// The flags of `serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The directory of the logs; it is created when it is not there (log.dirs).
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) data_dir: Option<PathBuf>,
    /// The address to listen at; port 0 takes a free one (listeners).
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Option<String>,
    /// A Kafka server.properties file.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// One setting by Kafka's name; may be given many times and overrides the file.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Shards: threads that each own a share of the partitions; as many as there are cores unless given (highwater.shards).
    #[arg(long, value_name = "N")]
    pub(crate) shards: Option<u16>,
}

/// What one does with topics.
#[derive(Debug, Subcommand)]
pub(crate) enum Topic {
    /// Create topics.
    Create {
        /// Their names.
        #[arg(required = true)]
        names: Vec<String>,
        /// Partitions of each; the broker's num.partitions unless given.
        #[arg(short, long, value_name = "N")]
        partitions: Option<i32>,
        /// A topic config by Kafka's name; may be given many times.
        #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = pair)]
        configs: Vec<(String, String)>,
        /// Say nothing when a topic is there already.
        #[arg(long)]
        if_not_exists: bool,
        #[command(flatten)]
        broker: Broker,
    },
    /// List the topics by name.
    List {
        /// The broker's own topics too.
        #[arg(long)]
        internal: bool,
        /// One JSON array.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        broker: Broker,
    },
    /// Describe topics: partitions, leaders, offsets and the configs that differ from the defaults.
    Describe {
        /// Their names; all topics unless given.
        names: Vec<String>,
        /// One JSON array.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        broker: Broker,
    },
    /// Delete topics, with all their records.
    Delete {
        /// Their names.
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        broker: Broker,
    },
}

/// The flags of `produce`.
#[derive(Debug, Args)]
pub(crate) struct Produce {
    /// The topic.
    pub(crate) topic: String,
    /// What stands between key and value in a line; a line without it has no key.
    #[arg(short = 'K', long, value_name = "TEXT")]
    pub(crate) key_separator: Option<String>,
    /// How batches are compressed: none, gzip, snappy, lz4 or zstd, and a level where the codec has levels.
    #[arg(short = 'z', long, value_name = "CODEC[:LEVEL]", default_value = "none", value_parser = compression)]
    pub(crate) codec: Compression,
    /// The partition; by the key, or evenly, unless given.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    pub(crate) partition: Option<i32>,
    /// A header of every record; may be given many times.
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) headers: Vec<(String, String)>,
    /// Who must have a record before it counts: 0 (nobody), 1 (the leader), all (every replica, on stable media by default).
    #[arg(long, value_name = "N", default_value = "all", value_parser = ["0", "1", "all"])]
    pub(crate) acks: String,
    /// The largest batch in bytes, before compression.
    #[arg(long, value_name = "BYTES", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1024..=16 << 20))]
    pub(crate) batch_bytes: u32,
    #[command(flatten)]
    pub(crate) broker: Broker,
}

/// The flags of `consume`.
#[derive(Debug, Args)]
pub(crate) struct Consume {
    /// The topic.
    pub(crate) topic: String,
    /// Begin with the oldest record instead of the next one that is produced.
    #[arg(long, conflicts_with = "offset")]
    pub(crate) from_beginning: bool,
    /// Where to begin in each partition: an offset, -N for the last N records, `beginning` or `end`.
    #[arg(short, long, value_name = "OFFSET", allow_hyphen_values = true)]
    pub(crate) offset: Option<From>,
    /// One partition only; all of them unless given.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    pub(crate) partition: Option<i32>,
    /// Read as a member of this consumer group: its members share the partitions, and go on where it has committed. Without a
    /// commit it begins at --from-beginning or at the end.
    #[arg(short, long, value_name = "GROUP", conflicts_with_all = ["offset", "partition"])]
    pub(crate) group: Option<String>,
    /// End after so many records.
    #[arg(short = 'n', long, value_name = "RECORDS")]
    pub(crate) count: Option<u64>,
    /// End where the partitions ended when the command began.
    #[arg(short, long)]
    pub(crate) exit: bool,
    /// What is printed of each record; see below for the tokens.
    #[arg(short, long, value_name = "TEXT", default_value = "%s\\n")]
    pub(crate) format: String,
    /// One JSON object a line, instead of --format.
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
    /// A property of the client by Kafka's name, as in --property partition.assignment.strategy=cooperative-sticky; may be
    /// given many times.
    #[arg(short = 'X', long = "property", value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) properties: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) broker: Broker,
}

/// Where a consumer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Beginning,
    End,
    Offset(i64),
    /// So many before the end.
    Last(i64),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<From, String> {
        match text {
            "beginning" | "earliest" => Ok(From::Beginning),
            "end" | "latest" => Ok(From::End),
            _ => match text.parse::<i64>() {
                Ok(last) if last < 0 => Ok(From::Last(last.saturating_neg())),
                Ok(offset) => Ok(From::Offset(offset)),
                Err(_) => Err(format!("{text:?} is no offset, `beginning` or `end`")),
            },
        }
    }
}

/// What one does with log directories.
#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Print what segments hold: batches, and the records in them.
    #[command(after_help = "Example:  highwater log dump data/orders-0 --records")]
    Dump {
        /// A .log file, a partition's directory or a data directory.
        #[arg(required = true, value_hint = ValueHint::AnyPath)]
        paths: Vec<PathBuf>,
        /// The records of every batch too.
        #[arg(short, long)]
        records: bool,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Check every batch, index and record below a directory; status 1 when something is wrong.
    Verify {
        /// A partition's directory or a data directory.
        #[arg(required = true, value_hint = ValueHint::DirPath)]
        paths: Vec<PathBuf>,
        /// One JSON object in all.
        #[arg(long)]
        json: bool,
    },
}

fn pair(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err(format!("{text:?} is not name=value")),
    }
}

fn compression(text: &str) -> std::result::Result<Compression, String> {
    Compression::from_str(text).map_err(|error| error.to_string())
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
    fn an_offset_is_a_number_a_distance_from_the_end_or_a_word() {
        let parse = |text: &str| text.parse::<From>();
        assert_eq!(parse("17"), Ok(From::Offset(17)));
        assert_eq!(parse("-5"), Ok(From::Last(5)));
        assert_eq!(parse("beginning"), Ok(From::Beginning));
        assert_eq!(parse("latest"), Ok(From::End));
        assert!(parse("soon").is_err());
    }

    #[test]
    fn a_distance_from_the_end_may_follow_its_flag() {
        let arguments = Arguments::try_parse_from(["highwater", "consume", "t", "-o", "-5"]);
        assert!(matches!(
            arguments.unwrap().command,
            Command::Consume(Consume {
                offset: Some(From::Last(5)),
                ..
            })
        ));
    }
}
