//! The job `sdk`: what a record costs the client alone, in CPU and in allocations, against a broker that does nothing but answer.
//! Knows nothing of what a broker keeps: what arrived is the broker's count.
//!
//! The broker is a process of its own, so that this process's CPU time is the client's. Every measurement has a new client, which
//! is warm when the clock starts.

use std::fmt::{self, Display, Formatter};
use std::hint::black_box;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use highwater::admin::OffsetSpec;
use highwater::{Client, Linger, Record, Start, TopicPartition};
use serde::Serialize;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use crate::arguments::Sdk;
use crate::null::{self, NullBroker, SINK, SOURCE, Shape};
use crate::process;
use crate::report::machine;
use crate::run::Result;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// Records given to one `enqueue_batch`.
const TOGETHER: u64 = 1000;

/// A way to use the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Way {
    /// `TopicProducer::enqueue`, record by record.
    Send,
    /// `TopicProducer::enqueue_batch`.
    SendBatch,
    /// `Consumer::next_batch`, and every record lent.
    Lending,
    /// `Consumer::next`.
    Owned,
}

impl Way {
    const ALL: [Way; 4] = [Way::Send, Way::SendBatch, Way::Lending, Way::Owned];

    fn name(self) -> &'static str {
        match self {
            Way::Send => "send",
            Way::SendBatch => "send_batch",
            Way::Lending => "consume, lending",
            Way::Owned => "consume, owned",
        }
    }

    /// What a record of 100 B, uncompressed, is to cost at most, in nanoseconds.
    fn budget_ns(self) -> f64 {
        match self {
            Way::Send => 150.0,
            Way::SendBatch => 60.0,
            Way::Lending => 40.0,
            Way::Owned => 80.0,
        }
    }

    fn produces(self) -> bool {
        matches!(self, Way::Send | Way::SendBatch)
    }
}

/// One measurement.
#[derive(Debug, Clone, Copy, Serialize)]
struct Sample {
    records: u64,
    cpu_ns_per_record: f64,
    allocations_per_record: f64,
    records_per_s: f64,
}

/// All rounds of one way.
#[derive(Debug, Serialize)]
struct Row {
    way: Way,
    cpu_ns_per_record_median: f64,
    cpu_ns_per_record_min: f64,
    cpu_ns_per_record_max: f64,
    /// Of the round with the most.
    allocations_per_record: f64,
    records_per_s_median: f64,
    budget_ns: f64,
    samples: Vec<Sample>,
}

/// What came out.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    version: &'static str,
    command: String,
    kernel: String,
    cpu: String,
    record_bytes: usize,
    key_bytes: usize,
    partitions: i32,
    batch_bytes: usize,
    codec: String,
    ways: Vec<Row>,
    /// Records that were produced, by the count of this process and of the broker.
    produced: u64,
    acknowledged: u64,
}

impl Outcome {
    /// Whether all that was produced was acknowledged, once.
    pub(crate) fn is_clean(&self) -> bool {
        self.produced == self.acknowledged
    }
}

/// The hidden command `null`: the broker, until it is killed.
pub(crate) fn serve(flags: &Sdk) -> Result<()> {
    Ok(null::serve(&Shape {
        partitions: flags.partitions,
        record_bytes: flags.record_bytes,
        batch_bytes: flags.batch_bytes,
        compression: flags.codec,
    })?)
}

/// Runs the job.
pub(crate) fn sdk(flags: &Sdk) -> Result<Outcome> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("null").args(flags.null_flags());
    let broker = NullBroker::start(command)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); Way::ALL.len()];
        for _ in 0..flags.rounds {
            for (way, samples) in Way::ALL.into_iter().zip(&mut samples) {
                let sample = if way.produces() {
                    produce(flags, broker.address(), way).await?
                } else {
                    consume(flags, broker.address(), way).await?
                };
                samples.push(sample);
            }
        }
        let produced = 2 * u64::from(flags.rounds) * (flags.records + flags.warm_up());
        let (kernel, cpu) = machine();
        Ok(Outcome {
            version: env!("CARGO_PKG_VERSION"),
            command: std::env::args().collect::<Vec<_>>().join(" "),
            kernel,
            cpu,
            record_bytes: flags.record_bytes,
            key_bytes: flags.key_bytes,
            partitions: flags.partitions,
            batch_bytes: flags.batch_bytes,
            codec: flags.codec.to_string(),
            ways: Way::ALL
                .into_iter()
                .zip(samples)
                .map(|(way, samples)| Row::new(way, samples))
                .collect(),
            produced,
            acknowledged: acknowledged(flags, broker.address()).await?,
        })
    })
}

/// The meters at the beginning of a measurement.
struct Meter {
    cpu: Duration,
    wall: Instant,
    heap: Region<'static, std::alloc::System>,
}

impl Meter {
    fn start() -> Self {
        Self {
            heap: Region::new(ALLOCATOR),
            wall: Instant::now(),
            cpu: process::cpu_time(),
        }
    }

    fn stop(self, records: u64) -> Sample {
        let cpu = process::cpu_time() - self.cpu;
        let (wall, heap) = (self.wall.elapsed(), self.heap.change());
        let count = records as f64;
        Sample {
            records,
            cpu_ns_per_record: cpu.as_nanos() as f64 / count,
            allocations_per_record: (heap.allocations + heap.reallocations) as f64 / count,
            records_per_s: count / wall.as_secs_f64(),
        }
    }
}

async fn produce(flags: &Sdk, address: SocketAddr, way: Way) -> Result<Sample> {
    let client = Client::builder(address.to_string()).connect().await?;
    let producer = client.producer().compression(flags.codec);
    let producer = producer.configure(|config| {
        config.batch_bytes = flags.batch_bytes;
        config.linger = Linger::Fixed(Duration::from_millis(5));
    });
    let producer = producer.build().await?;
    let topic = producer.topic(SINK).await?;
    let value = vec![b'v'; flags.record_bytes];
    let mut keys = vec![vec![b'k'; flags.key_bytes]; TOGETHER as usize];
    let mut send = async |records: u64| -> Result<()> {
        for first in (0..records).step_by(TOGETHER as usize) {
            let numbers = first..records.min(first + TOGETHER);
            let each = numbers.zip(&mut keys).map(|(number, key)| {
                let record = Record::new().value(&value);
                if key.is_empty() {
                    return record;
                }
                let bytes = number.to_be_bytes();
                let end = key.len().min(bytes.len());
                key[..end].copy_from_slice(&bytes[bytes.len() - end..]);
                record.key(key)
            });
            if way == Way::SendBatch {
                drop(topic.enqueue_batch(each).await);
            } else {
                for record in each {
                    drop(topic.enqueue(record).await?);
                }
            }
        }
        producer.flush().await;
        Ok(())
    };
    send(flags.warm_up()).await?;
    let meter = Meter::start();
    send(flags.records).await?;
    Ok(meter.stop(flags.records))
}

async fn consume(flags: &Sdk, address: SocketAddr, way: Way) -> Result<Sample> {
    let client = Client::builder(address.to_string()).connect().await?;
    let consumer = client.consumer().assign_topic(SOURCE, Start::Earliest);
    let mut consumer = consumer.build().await?;
    let ended = "the null broker's topic ended";
    let mut read = async |records: u64| -> Result<u64> {
        let (mut seen, mut bytes) = (0, 0);
        while seen < records {
            if way == Way::Lending {
                let batch = consumer.next_batch().await?.ok_or(ended)?;
                let values = batch.iter().map(|it| it.value().map_or(0, <[u8]>::len));
                bytes += values.sum::<usize>();
                seen += batch.len() as u64;
            } else {
                let record = consumer.next().await?.ok_or(ended)?;
                bytes += record.value().map_or(0, <[u8]>::len);
                seen += 1;
            }
        }
        black_box(bytes);
        Ok(seen)
    };
    read(flags.warm_up()).await?;
    let meter = Meter::start();
    let seen = read(flags.records).await?;
    Ok(meter.stop(seen))
}

async fn acknowledged(flags: &Sdk, address: SocketAddr) -> Result<u64> {
    let client = Client::builder(address.to_string()).connect().await?;
    let partitions = 0..flags.partitions;
    let asked = partitions.map(|it| (TopicPartition::new(SINK, it), OffsetSpec::Latest));
    let mut sum = 0;
    for end in client.admin().list_offsets(asked).await?.into_values() {
        sum += end?.offset.map_or(0, i64::unsigned_abs);
    }
    Ok(sum)
}

impl Row {
    fn new(way: Way, samples: Vec<Sample>) -> Self {
        let sorted = |of: fn(&Sample) -> f64| {
            let mut values: Vec<f64> = samples.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let cpu = sorted(|it| it.cpu_ns_per_record);
        let rate = sorted(|it| it.records_per_s);
        let heap = sorted(|it| it.allocations_per_record);
        let or_none = |value: Option<&f64>| value.copied().unwrap_or(f64::NAN);
        Self {
            way,
            cpu_ns_per_record_median: or_none(cpu.get(cpu.len() / 2)),
            cpu_ns_per_record_min: or_none(cpu.first()),
            cpu_ns_per_record_max: or_none(cpu.last()),
            allocations_per_record: or_none(heap.last()),
            records_per_s_median: or_none(rate.get(rate.len() / 2)),
            budget_ns: way.budget_ns(),
            samples,
        }
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "null broker · {} · {} B records, keys of {} B · {} partitions · {} KiB batches · codec {}",
            self.kernel,
            self.record_bytes,
            self.key_bytes,
            self.partitions,
            self.batch_bytes / 1024,
            self.codec,
        )?;
        writeln!(
            f,
            "\n{:<18}{:>14}{:>16}{:>12}{:>20}{:>14}",
            "", "CPU ns/record", "min .. max", "budget", "allocations/record", "records/s"
        )?;
        for row in &self.ways {
            let (min, max) = (row.cpu_ns_per_record_min, row.cpu_ns_per_record_max);
            let range = format!("{min:.0} .. {max:.0}");
            writeln!(
                f,
                "{:<18}{:>14.1}{range:>16}{:>12.0}{:>20.4}{:>14.0}",
                row.way.name(),
                row.cpu_ns_per_record_median,
                row.budget_ns,
                row.allocations_per_record,
                row.records_per_s_median,
            )?;
        }
        writeln!(
            f,
            "\n{} records produced, {} acknowledged",
            self.produced, self.acknowledged
        )
    }
}
