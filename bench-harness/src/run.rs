//! The main job: a broker, a topic, the stages of a run, and the verdict. Knows nothing of how records are told apart.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use highwater::admin::{NewTopic, OffsetSpec};
use highwater::{Client, Consumer, ErrorCode, Start, TopicPartition};
use tempfile::TempDir;

use crate::arguments::{Durability, Run};
use crate::embedded::{Embedded, Launch};
use crate::latency::Latency;
use crate::load::{self, Counts, Load, Pace, Shared};
use crate::payload::{Payload, Seeded};
use crate::probe;
use crate::process::{Usage, usage};
use crate::progress::{Counters, Progress};
use crate::report::{Cost, Environment, Report, Stage, machine};

/// How often the live line is shown.
const PROGRESS_TICK: Duration = Duration::from_millis(500);

/// How long a consumer may see nothing new before the rest counts as lost.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(20);

/// Any error, as a sentence for the user.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Runs the job of `arguments` and gives back what there is to report.
pub(crate) async fn run(arguments: &Run) -> Result<Report> {
    let payload = match &arguments.input {
        Some(path) => Payload::lines(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?,
        None => Payload::generated(arguments.seed, arguments.record_bytes as usize),
    };
    let target = Target::open(arguments)?;
    let environment = target.environment(arguments, &payload);
    let limits = probe::measure(&target.directory())?;
    let topic = format!(
        "highwater-bench-{:08x}",
        Seeded::new(entropy()).next() as u32
    );
    let client = load::client(&target.bootstrap).await?;
    create_topic(&client, &topic, arguments.partitions, arguments.durability).await?;

    let chunk_records = (f64::from(arguments.batch_bytes) / (payload.mean_bytes() + 16.0)) as usize;
    let shared = Arc::new(Shared::new(
        topic.clone(),
        arguments.partitions,
        arguments.producers,
        payload,
        chunk_records.clamp(1, 10_000),
    ));
    let mut bench = Bench {
        arguments,
        target: &target,
        client,
        shared,
        loads: Vec::new(),
        stages: Vec::new(),
    };
    bench.start_producers().await?;
    let result = bench.stages().await;
    let deleted = bench.client.admin().delete_topics([&topic]).await;
    let (stages, shared) = (bench.stages, bench.shared);
    result?;
    deleted?;
    let verdict = shared.ledger().verdict();
    if let Some(failure) = shared.failure() {
        eprintln!("highwater-bench: the first record that could not be sent: {failure}");
    }
    for (stream, sequence) in shared.ledger().lost_samples(5) {
        let partition = stream % arguments.partitions;
        eprintln!(
            "highwater-bench: lost: record {sequence} of stream {stream}, partition {partition}"
        );
    }
    Ok(Report {
        format: 1,
        environment,
        stages,
        limits,
        verdict,
    })
}

/// Whom the run drives.
struct Target {
    bootstrap: String,
    /// The process whose cost is the engine's.
    pid: Option<u32>,
    embedded: Option<(Embedded, TempDir)>,
}

impl Target {
    fn open(arguments: &Run) -> Result<Target> {
        if let Some(bootstrap) = &arguments.bootstrap {
            if let Some(pid) = arguments.broker_pid {
                usage(pid).map_err(|error| format!("no process {pid} to measure: {error}"))?;
            }
            let (bootstrap, pid) = (bootstrap.clone(), arguments.broker_pid);
            return Ok(Target {
                bootstrap,
                pid,
                embedded: None,
            });
        }
        let directory = temporary(arguments.directory.as_deref())?;
        let embedded = Embedded::start(&Launch {
            directory: directory.path(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            shards: arguments.shards,
            durability: arguments.durability,
        })?;
        let (bootstrap, pid) = (embedded.address().to_string(), Some(embedded.pid()));
        Ok(Target {
            bootstrap,
            pid,
            embedded: Some((embedded, directory)),
        })
    }

    /// Where the probes write: beside the engine's data when that is here.
    fn directory(&self) -> std::path::PathBuf {
        match &self.embedded {
            Some((_, directory)) => directory
                .path()
                .parent()
                .expect("a temporary directory has a parent")
                .into(),
            None => std::env::temp_dir(),
        }
    }

    fn usage(&self) -> Result<Option<Usage>> {
        Ok(self.pid.map(usage).transpose()?)
    }

    fn environment(&self, arguments: &Run, payload: &Payload) -> Environment {
        let (kernel, cpu) = machine();
        let target = match &self.embedded {
            Some(_) => format!("embedded Highwater {}", env!("CARGO_PKG_VERSION")),
            None => format!("broker at {}", self.bootstrap),
        };
        Environment {
            version: env!("CARGO_PKG_VERSION"),
            command: std::env::args().collect::<Vec<_>>().join(" "),
            target,
            durability: arguments.durability.name(),
            codec: arguments.codec.to_string(),
            kernel,
            cpu,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            seed: arguments.seed,
            payload_crc32c: payload.fingerprint(),
            record_bytes_mean: payload.mean_bytes(),
            partitions: arguments.partitions,
            producers: arguments.producers,
            batch_bytes: arguments.batch_bytes,
        }
    }
}

/// A directory that goes when it is dropped.
pub(crate) fn temporary(inside: Option<&Path>) -> Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("highwater-bench-");
    let made = match inside {
        Some(inside) => builder.tempdir_in(inside),
        None => builder.tempdir(),
    };
    made.map_err(|error| format!("cannot make a temporary directory: {error}").into())
}

/// Creates the topic of a run with the durability asked for, by Highwater's name for it or else by Kafka's.
pub(crate) async fn create_topic(
    client: &Client,
    topic: &str,
    partitions: u32,
    durability: Durability,
) -> Result<()> {
    let partitions = i32::try_from(partitions)?;
    let plain = || NewTopic::new(topic).partitions(partitions).replication(1);
    let ours = plain().config("highwater.durability", durability.name());
    let kafkas = match durability {
        Durability::Flushed => plain().config("flush.messages", "1"),
        Durability::Written => plain(),
    };
    let admin = client.admin();
    let mut made = admin.create_topics([ours]).await?.into_values().next();
    if made
        .as_ref()
        .is_some_and(|made| matches!(made, Err(e) if e.code() == Some(ErrorCode::InvalidConfig)))
    {
        made = admin.create_topics([kafkas]).await?.into_values().next();
    }
    made.ok_or("the broker did not answer for the topic")??;
    Ok(())
}

struct Bench<'a> {
    arguments: &'a Run,
    target: &'a Target,
    client: Client,
    shared: Arc<Shared>,
    loads: Vec<Load>,
    stages: Vec<Stage>,
}

/// Both sides' usage and counts at one moment.
struct Mark {
    at: Instant,
    counts: Counts,
    engine: Option<Usage>,
    client: Usage,
}

impl Bench<'_> {
    async fn start_producers(&mut self) -> Result<()> {
        for number in 0..self.arguments.producers {
            let client = load::client(&self.target.bootstrap).await?;
            let producer = client
                .producer()
                .compression(self.arguments.codec)
                .batch_bytes(self.arguments.batch_bytes as usize)
                .build()
                .await?;
            self.loads
                .push(Load::new(number, self.shared.clone(), producer).await?);
        }
        Ok(())
    }

    async fn stages(&mut self) -> Result<()> {
        let duration = self.arguments.duration;
        if self.arguments.apart {
            self.produce("produce", self.pace(self.arguments.rate), duration, None)
                .await?;
            let mut consumer = self.consumer(Start::Earliest).await?;
            return self.catch_up("catch up", &mut consumer).await;
        }
        let mut consumer = self.consumer(Start::Earliest).await?;
        if let Some(rate) = self.arguments.rate {
            let pace = self.pace(Some(rate));
            return self
                .produce("fixed rate", pace, duration, Some(&mut consumer))
                .await;
        }
        self.produce("full speed", Pace::Full, duration, Some(&mut consumer))
            .await?;
        let stage = self.stages.last().expect("the stage that has just ended");
        let half = (stage.produced_records as f64 / stage.seconds / 2.0) as u64;
        if half > 0 {
            let pace = self.pace(Some(half));
            self.produce("half speed", pace, duration / 3, Some(&mut consumer))
                .await?;
            self.stages.last_mut().expect("the second stage").rate = Some(half);
        }
        Ok(())
    }

    fn pace(&self, rate: Option<u64>) -> Pace {
        rate.map_or(Pace::Full, |rate| Pace::Scheduled {
            records_per_s: rate as f64 / f64::from(self.arguments.producers),
        })
    }

    async fn consumer(&self, start: Start) -> Result<Consumer> {
        let client = load::client(&self.target.bootstrap).await?;
        Ok(client
            .consumer()
            .assign_topic(&self.shared.topic, start)
            .build()
            .await?)
    }

    fn mark(&self) -> Result<Mark> {
        let engine = self.target.usage()?;
        let client = usage(std::process::id())?;
        Ok(Mark {
            at: Instant::now(),
            counts: self.shared.counts(),
            engine,
            client,
        })
    }

    /// Produces for `length` and until every answer is there; a consumer reads beside it, and catches up unmeasured.
    async fn produce(
        &mut self,
        name: &'static str,
        pace: Pace,
        length: Duration,
        mut consumer: Option<&mut Consumer>,
    ) -> Result<()> {
        let began = self.mark()?;
        let stop = Arc::new(AtomicBool::new(false));
        let loads = std::mem::take(&mut self.loads);
        let mut running = tokio::task::JoinSet::new();
        for load in loads {
            running.spawn(load.run(pace, stop.clone()));
        }
        let shared = self.shared.clone();
        let mut progress = Progress::begin(name, length);
        let mut tick = tokio::time::interval(PROGRESS_TICK);
        tick.tick().await;
        loop {
            let consuming = async {
                match consumer.as_deref_mut() {
                    Some(consumer) => load::consume(&shared, consumer).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                joined = running.join_next() => match joined {
                    Some(load) => self.loads.push(load?),
                    None => break,
                },
                _ = tick.tick() => {
                    if began.at.elapsed() >= length {
                        stop.store(true, Ordering::Relaxed);
                    }
                    progress.show(since(&began, shared.counts()));
                }
                consumed = consuming => {
                    consumed?;
                    return Err("the consumer ended before the producers did".into());
                }
            }
        }
        progress.end();
        let (publish, end_to_end) = self.shared.take_latencies();
        self.end_stage(name, &began, Some(publish), Some(end_to_end))?;
        if let Some(consumer) = consumer {
            self.drain(consumer, |_| {}).await?;
            // What was read while catching up waited for the stage's end and not for the broker.
            self.shared.take_latencies();
        }
        Ok(())
    }

    /// A stage of its own: reads everything there is.
    async fn catch_up(&mut self, name: &'static str, consumer: &mut Consumer) -> Result<()> {
        let began = self.mark()?;
        let mut progress = Progress::begin(name, self.arguments.duration);
        let mut shown = Instant::now();
        let show = |counts| {
            if shown.elapsed() >= PROGRESS_TICK {
                shown = Instant::now();
                progress.show(since(&began, counts));
            }
        };
        self.drain(consumer, show).await?;
        progress.end();
        self.end_stage(name, &began, None, None)
    }

    /// Reads up to the end of every partition.
    async fn drain(&self, consumer: &mut Consumer, show: impl FnMut(Counts)) -> Result<()> {
        drain(&self.client, &self.shared, consumer, show).await
    }

    fn end_stage(
        &mut self,
        name: &'static str,
        began: &Mark,
        publish: Option<Latency>,
        end_to_end: Option<Latency>,
    ) -> Result<()> {
        let ended = self.mark()?;
        let records = ended.counts.acknowledged_records - began.counts.acknowledged_records;
        let bytes = ended.counts.acknowledged_bytes - began.counts.acknowledged_bytes;
        let consumed_records = ended.counts.received_records - began.counts.received_records;
        let consumed_bytes = ended.counts.received_bytes - began.counts.received_bytes;
        let cost = |before: &Usage, after: &Usage| {
            let cpu_s = after.cpu_s_since(before);
            Cost {
                cpu_s,
                cpu_s_per_gb: cpu_s / ((bytes + consumed_bytes) as f64 / 1e9),
                cpu_s_per_million_records: cpu_s / ((records + consumed_records) as f64 / 1e6),
                resident_bytes: after.resident_bytes,
                resident_bytes_peak: after.resident_bytes_peak,
                context_switches: after.switches.saturating_sub(before.switches),
            }
        };
        let percentiles = |latency: Option<Latency>| {
            latency
                .map(|latency| latency.percentiles())
                .filter(|percentiles| percentiles.count > 0)
        };
        self.stages.push(Stage {
            name,
            rate: self.arguments.rate,
            seconds: (ended.at - began.at).as_secs_f64(),
            produced_records: records,
            produced_bytes: bytes,
            consumed_records,
            consumed_bytes,
            publish: percentiles(publish),
            end_to_end: percentiles(end_to_end),
            engine: began
                .engine
                .zip(ended.engine)
                .map(|(before, after)| cost(&before, &after)),
            client: cost(&began.client, &ended.client),
        });
        Ok(())
    }
}

fn since(began: &Mark, now: Counts) -> Counters {
    Counters {
        elapsed: began.at.elapsed(),
        acknowledged_records: now.acknowledged_records - began.counts.acknowledged_records,
        acknowledged_bytes: now.acknowledged_bytes - began.counts.acknowledged_bytes,
        received_bytes: now.received_bytes - began.counts.received_bytes,
    }
}

/// Reads with `consumer` until it stands at the end of every partition as it is now. What does not come within
/// [`SILENCE_MAX`] of the last record is left to the ledger to call lost.
pub(crate) async fn drain(
    client: &Client,
    shared: &Shared,
    consumer: &mut Consumer,
    mut show: impl FnMut(Counts),
) -> Result<()> {
    let partitions = 0..i32::try_from(shared.partitions)?;
    let asked = partitions.map(|p| {
        (
            TopicPartition::new(shared.topic.as_str(), p),
            OffsetSpec::Latest,
        )
    });
    let mut ends = Vec::new();
    for (partition, end) in client.admin().list_offsets(asked).await? {
        ends.push((partition, end?.offset.unwrap_or(0)));
    }
    let at_end = |consumer: &Consumer| {
        ends.iter().all(|(partition, end)| {
            *end == 0 || consumer.position(partition).is_some_and(|at| at >= *end)
        })
    };
    let (mut received, mut silent_since) = (shared.counts().received_records, Instant::now());
    while !at_end(consumer) {
        tokio::select! {
            consumed = load::consume(shared, consumer) => {
                consumed?;
                return Ok(());
            }
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        let counts = shared.counts();
        show(counts);
        if counts.received_records > received {
            (received, silent_since) = (counts.received_records, Instant::now());
        } else if silent_since.elapsed() > SILENCE_MAX {
            eprintln!(
                "highwater-bench: nothing came for {} s, the consumer gives up",
                SILENCE_MAX.as_secs()
            );
            break;
        }
    }
    Ok(())
}

/// A number that differs from run to run.
fn entropy() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}
