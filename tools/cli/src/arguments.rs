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
  highwater consume orders --group billing
  highwater group describe billing
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
    /// See who is in consumer groups and how far they have read, and set where they go on.
    #[command(
        subcommand,
        after_help = "A group remembers for each partition the offset of the next record to consume. Its lag is how many offsets lie
between that and the partition's end.

Examples:
  highwater group list
  highwater group describe billing
  highwater group reset-offsets billing --topic orders --to-earliest            (shows what would change)
  highwater group reset-offsets billing --topic orders --to-earliest --execute"
    )]
    Group(Group),
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
    /// The broker, or several of its cluster [default: that of --client-config, else 127.0.0.1:9092].
    #[arg(
        short,
        long,
        value_name = "HOST:PORT[,...]",
        env = "HIGHWATER_BOOTSTRAP"
    )]
    pub(crate) bootstrap: Option<String>,
    /// A file of client settings in Java's properties format: security.protocol, sasl.jaas.config, and so on.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) client_config: Option<PathBuf>,
    /// One setting by the name that Kafka, librdkafka or sarama has for it, as in -X security.protocol=SASL_SSL; may be given
    /// many times, and is stronger than the file.
    #[arg(short = 'X', long = "property", value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) properties: Vec<(String, String)>,
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
    /// Shards: threads that each own a share of the partitions; one less than there are cores unless given (highwater.shards).
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

/// What one does with consumer groups.
#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// List the groups, what they are and what they are doing.
    List {
        /// One JSON array.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        broker: Broker,
    },
    /// Describe groups: state, and for each partition what is committed, how far that is from the end, and who has it.
    Describe {
        /// Their ids; all groups unless given.
        groups: Vec<String>,
        /// One JSON array.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        broker: Broker,
    },
    /// List the members of a group and their partitions.
    Members {
        /// Its id.
        group: String,
        /// One JSON array.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        broker: Broker,
    },
    /// List what a group has committed.
    Offsets {
        /// Its id.
        group: String,
        /// One JSON array.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        broker: Broker,
    },
    /// Set where a group goes on reading; a group with members is refused.
    #[command(
        after_help = "Nothing is changed without --execute. An offset outside of what the log has is moved to its nearest end.

Examples:
  highwater group reset-offsets billing --all-topics --to-latest
  highwater group reset-offsets billing --topic orders:0,3 --to-offset 1000 --execute
  highwater group reset-offsets billing --topic orders --to-datetime 2026-11-20T09:30:00Z --execute
  highwater group reset-offsets billing --topic orders --shift-by -100 --execute"
    )]
    ResetOffsets(ResetOffsets),
    /// Delete groups without members, or what they have committed for some topics.
    Delete {
        /// Their ids.
        #[arg(required = true)]
        groups: Vec<String>,
        /// Only what is committed for this topic, or these partitions of it; may be given many times.
        #[arg(long = "topic", value_name = "TOPIC[:N,...]")]
        topics: Vec<Places>,
        #[command(flatten)]
        broker: Broker,
    },
}

/// The flags of `group reset-offsets`.
#[derive(Debug, Args)]
pub(crate) struct ResetOffsets {
    /// The group's id.
    pub(crate) group: String,
    /// A topic, or some partitions of it; may be given many times.
    #[arg(
        long = "topic",
        value_name = "TOPIC[:N,...]",
        required_unless_present = "all_topics"
    )]
    pub(crate) topics: Vec<Places>,
    /// All topics that the group has committed for.
    #[arg(long, conflicts_with = "topics")]
    pub(crate) all_topics: bool,
    #[command(flatten)]
    pub(crate) target: TargetFlags,
    /// Do it, instead of showing what would be done.
    #[arg(long)]
    pub(crate) execute: bool,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) broker: Broker,
}

/// Where the group is to go on.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct TargetFlags {
    /// At the oldest record.
    #[arg(long)]
    to_earliest: bool,
    /// At the end: with the next record that is produced.
    #[arg(long)]
    to_latest: bool,
    /// At this offset.
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    to_offset: Option<i64>,
    /// At the first record of this time or later, as 2026-11-20T09:30:00 (UTC) or with an offset (Z, +01:00), or in milliseconds
    /// since 1970.
    #[arg(long, value_name = "TIME", value_parser = time)]
    to_datetime: Option<i64>,
    /// So many records after what is committed; before it, where negative.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    shift_by: Option<i64>,
}

/// The one of them that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Earliest,
    Latest,
    Offset(i64),
    /// Milliseconds since 1970.
    Time(i64),
    Shift(i64),
}

impl TargetFlags {
    pub(crate) fn target(&self) -> Target {
        match (self.to_offset, self.to_datetime, self.shift_by) {
            (Some(offset), _, _) => Target::Offset(offset),
            (_, Some(timestamp_ms), _) => Target::Time(timestamp_ms),
            (_, _, Some(by)) => Target::Shift(by),
            (None, None, None) if self.to_earliest => Target::Earliest,
            (None, None, None) => Target::Latest,
        }
    }
}

/// A topic, or some partitions of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) topic: String,
    /// All of them when there are none.
    pub(crate) partitions: Vec<i32>,
}

impl Places {
    pub(crate) fn includes(&self, topic: &str, partition: i32) -> bool {
        self.topic == topic && (self.partitions.is_empty() || self.partitions.contains(&partition))
    }
}

impl FromStr for Places {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Places, String> {
        let (topic, partitions) = text.split_once(':').unwrap_or((text, ""));
        let partitions = partitions
            .split(',')
            .filter(|it| !it.is_empty())
            .map(str::parse);
        let partitions: std::result::Result<Vec<i32>, _> = partitions.collect();
        match partitions {
            Ok(partitions) if !topic.is_empty() && partitions.iter().all(|it| *it >= 0) => {
                Ok(Places {
                    topic: topic.to_owned(),
                    partitions,
                })
            }
            Ok(_) | Err(_) => Err(format!("{text:?} is not TOPIC or TOPIC:N,N")),
        }
    }
}

fn time(text: &str) -> std::result::Result<i64, String> {
    if let Ok(ms) = text.parse::<i64>() {
        return Ok(ms);
    }
    let zoned = text.parse::<jiff::Timestamp>();
    let utc = || {
        text.parse::<jiff::civil::DateTime>()?
            .to_zoned(jiff::tz::TimeZone::UTC)
    };
    let time = zoned.or_else(|_| utc().map(|zoned| zoned.timestamp()));
    time.map(jiff::Timestamp::as_millisecond)
        .map_err(|error| format!("{text:?} is no time: {error}"))
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
    fn places_are_a_topic_and_maybe_some_of_its_partitions() {
        let places = |topic: &str, partitions: &[i32]| Places {
            topic: topic.to_owned(),
            partitions: partitions.to_vec(),
        };
        assert_eq!("t".parse(), Ok(places("t", &[])));
        assert_eq!("t:0,12".parse(), Ok(places("t", &[0, 12])));
        assert!(places("t", &[3]).includes("t", 3) && !places("t", &[3]).includes("t", 4));
        for wrong in ["", ":1", "t:x", "t:-1"] {
            assert!(wrong.parse::<Places>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_time_is_utc_unless_it_says_otherwise() {
        assert_eq!(time("1700000000123"), Ok(1_700_000_000_123));
        assert_eq!(time("2023-11-14T22:13:20"), Ok(1_700_000_000_000));
        assert_eq!(time("2023-11-14T22:13:20.5Z"), Ok(1_700_000_000_500));
        assert_eq!(time("2023-11-14T23:13:20+01:00"), Ok(1_700_000_000_000));
        assert!(time("yesterday").is_err());
    }

    #[test]
    fn offsets_are_reset_to_one_place_and_of_something() {
        let parse = |flags: &[&str]| {
            Arguments::try_parse_from(
                [&["highwater", "group", "reset-offsets", "g"], flags].concat(),
            )
        };
        let Ok(Arguments {
            command: Command::Group(Group::ResetOffsets(flags)),
        }) = parse(&["--topic", "t:1", "--shift-by", "-5"])
        else {
            panic!("it does not parse");
        };
        assert_eq!(flags.target.target(), Target::Shift(-5));
        assert!(!flags.execute);
        assert!(parse(&["--topic", "t"]).is_err());
        assert!(parse(&["--to-latest"]).is_err());
        assert!(parse(&["--all-topics", "--to-latest", "--to-earliest"]).is_err());
        assert!(parse(&["--all-topics", "--topic", "t", "--to-latest"]).is_err());
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
