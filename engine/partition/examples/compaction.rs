//! What compaction costs and whom it disturbs: bytes cleaned per CPU-second on records of 1 KiB, and the time a produce takes on
//! the same shard while a log is cleaned, beside the time it takes when none is; in turns, so that both see the same machine.
//!
//! `cargo run --release -p highwater-partition --example compaction [ROUNDS] [MIB] [SEGMENT_MIB] [speed|produce|written|flushed]`, in
//! `HIGHWATER_BENCH_DIR` or the directory for temporary files. Without a last word it measures the speed, and the produces at
//! both levels; with `written` or `flushed`, the produces at that one. Segments of 32 MiB make
//! many rolls and swaps; 128 MiB (with 1024 MIB or more) is nearer to what people run.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "figures for people"
)]

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use highwater_log::Fence;
use highwater_log::compaction::{MapLimits, Pace, Workshop};
use highwater_partition::{Config, Durability, Host, Origin, Partition};
use highwater_reactor::{Options, Reactor};
use highwater_record::{Batch, BatchBuilder, Codec, Compression, Compressor, LeaderEpoch};
use uuid::Uuid;

/// Records of a batch that is to be cleaned, each with a value of 1 KiB less its key.
const RECORDS: u64 = 16;
/// Time between two produces beside the cleaning.
const EVERY: Duration = Duration::from_millis(1);

/// A window without a cleaning before anything is known of how long one takes.
const QUIET: Duration = Duration::from_millis(600);

fn config(durability: Durability, compact: bool, segment_bytes: u32) -> Config {
    Config {
        log: highwater_log::Config {
            segment_bytes,
            compact,
            delete: !compact,
            min_cleanable_dirty_ratio: 0.0,
            file_delete_delay_ms: 0,
            ..highwater_log::Config::default()
        },
        durability,
        timestamp_after_max_ms: i64::MAX,
        ..Config::default()
    }
}

/// A batch whose records have keys `first..`, modulo `keys`.
fn batch(first: u64, keys: u64, codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for at in first..first + RECORDS {
        // Neighbours in the log are no neighbours among the keys.
        let key = (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16) % keys;
        // Half of it is noise, so that a codec has something to do and something to gain.
        let mut value = [0x5a; 1008];
        let mut noise = at.wrapping_mul(0x2545_F491_4F6C_DD1D) | 1;
        for bytes in value[..504].chunks_exact_mut(8) {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            bytes.copy_from_slice(&noise.to_le_bytes());
        }
        let key = format!("{key:016}");
        builder
            .append(1_700_000_000_000, Some(key.as_bytes()), Some(&value), &[])
            .expect("small");
    }
    let mut out = Vec::new();
    builder
        .finish(&mut Compressor::new(), &Compression::of(codec), &mut out)
        .expect("made");
    out
}

/// CPU time of all threads of the process.
fn cpu() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux has it");
    let of_one = |task: std::io::Result<fs::DirEntry>| {
        let path = task.ok()?.path().join("schedstat");
        let text = fs::read_to_string(path).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(tasks.filter_map(of_one).sum())
}

async fn make(host: &Host, dir: PathBuf, config: Config) -> Partition {
    Partition::create(host, dir, Uuid::from_u128(1), LeaderEpoch::ZERO, config)
        .await
        .expect("created")
}

/// How large the logs are.
#[derive(Clone, Copy)]
struct Size {
    log_bytes: u64,
    segment_bytes: u32,
}

/// A partition of so many bytes of records, in which every key comes about twice.
async fn dirty(host: &Host, dir: PathBuf, size: Size, codec: Codec) -> Partition {
    let config = config(Durability::Written, true, size.segment_bytes);
    let partition = make(host, dir, config).await;
    let records = size.log_bytes / 1024;
    for first in (0..records).step_by(RECORDS as usize) {
        let bytes = batch(first, records / 2, codec);
        let batch = Batch::check(&bytes).expect("a batch");
        partition.produce(batch, Origin::Client).expect("placed");
        if first % 4096 == 0 {
            host.reactor().yield_now().await;
        }
    }
    while partition.durable_end() < partition.log_end() {
        host.reactor().sleep(Duration::from_millis(20)).await;
    }
    partition.offer_recovery_point();
    partition.checkpoint_written();
    partition
}

/// Cleans it, and says how: MB/s of the clock and of CPU time.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
async fn clean(partition: &Partition, busy_percent_max: u8) -> (f64, f64, String) {
    let mut workshop = Workshop::new(256 << 10, MapLimits::default());
    let dirt = partition.dirt().expect("compacted");
    let pace = Pace {
        busy_percent_max,
        ..Pace::default()
    };
    let (began, cpu_before) = (Instant::now(), cpu());
    let cleaned = partition
        .compact(&mut workshop, &dirt, pace)
        .await
        .expect("no fault")
        .expect("dirty");
    let (took, cpu_took) = (began.elapsed(), cpu().saturating_sub(cpu_before));
    let megabytes = cleaned.bytes_read as f64 / 1e6;
    let text = format!(
        "{:.0} MB in {:.2} s, {:.2} CPU-s; {} of {} records kept, {} keys in {:.1} MB",
        megabytes,
        took.as_secs_f64(),
        cpu_took.as_secs_f64(),
        cleaned.records_kept,
        cleaned.records_read,
        cleaned.keys,
        cleaned.map_bytes as f64 / 1e6
    );
    (
        megabytes / took.as_secs_f64(),
        megabytes / cpu_took.as_secs_f64(),
        text,
    )
}

/// How the produces of some windows went, in microseconds.
#[derive(Default)]
struct Load {
    /// From when each was due until it was acknowledged.
    took: Vec<u64>,
    /// How long the shard was busy with something else when each was due.
    late: Vec<u64>,
    /// How long the call itself took, on the shard.
    inline: Vec<u64>,
}

impl Load {
    fn add(&mut self, other: &Load) {
        self.took.extend(&other.took);
        self.late.extend(&other.late);
        self.inline.extend(&other.inline);
    }

    fn p99(&self) -> f64 {
        let mut took = self.took.clone();
        took.sort_unstable();
        percentile(&took, 99.0) as f64
    }
}

/// Waits of the shard that are longer than this are told.
const LONG_US: u64 = 500;

/// How many are long, and their sum in milliseconds.
fn long(waits: &[u64]) -> String {
    let long: Vec<u64> = waits.iter().copied().filter(|us| *us > LONG_US).collect();
    let sum: u64 = long.iter().sum();
    format!("{} ({:.1} ms)", long.len(), sum as f64 / 1000.0)
}

/// Produces at fixed times until told to stop.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
async fn producing(reactor: Reactor, partition: Partition, stop: Rc<Cell<bool>>) -> Load {
    let bytes = batch(0, 1 << 40, Codec::None);
    let mut load = Load::default();
    let mut due = reactor.now();
    let mut waiting = Vec::new();
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    while !stop.get() {
        due += EVERY;
        reactor.sleep_until(due).await;
        let woken = reactor.now();
        let batch = Batch::check(&bytes).expect("a batch");
        let began = Instant::now();
        let placed = partition.produce(batch, Origin::Client).expect("placed");
        load.inline.push(micros(began.elapsed()));
        load.late.push(micros(woken.duration_since(due)));
        let (partition, reactor) = (partition.clone(), reactor.clone());
        let spawner = reactor.clone();
        waiting.push(spawner.spawn(async move {
            partition.committed(placed.end()).await.expect("kept");
            micros(reactor.now().duration_since(due))
        }));
    }
    for one in waiting {
        load.took.push(one.await);
    }
    load
}

fn percentile(sorted: &[u64], percent: f64) -> u64 {
    let at = (sorted.len() as f64 * percent / 100.0) as usize;
    sorted
        .get(at.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0)
}

fn tell(what: &str, load: &Load) {
    let mut took = load.took.clone();
    took.sort_unstable();
    let at = |percent| percentile(&took, percent);
    println!(
        "  {what:<22} {:>6} produces: p50 {:>6} us, p90 {:>6} us, p99 {:>6} us, p99.9 {:>6} us, max {:>7} us; \
         over {LONG_US} us: {} in the call, {} before it",
        took.len(),
        at(50.0),
        at(90.0),
        at(99.0),
        at(99.9),
        at(100.0),
        long(&load.inline),
        long(&load.late),
    );
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

async fn speed(reactor: &Reactor, base: &Path, rounds: u64, size: Size) {
    for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
        let (mut wall, mut per_core) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let host = Host::new(reactor.clone(), Fence::new());
            let dir = base.join(format!("speed-{round}"));
            let partition = dirty(&host, dir.clone(), size, codec).await;
            let (by_clock, by_cpu, text) = clean(&partition, 100).await;
            println!("{codec}: {text}");
            wall.push(by_clock);
            per_core.push(by_cpu);
            partition.close().await.expect("closed");
            fs::remove_dir_all(dir).expect("removed");
        }
        println!(
            "{codec}: medians of {rounds}: {:.0} MB/s by the clock, {:.0} MB per CPU-second\n",
            median(wall),
            median(per_core)
        );
    }
}

/// What goes on beside the produces: nothing, or a cleaning that may be at work for so much of the time.
const BESIDE: [(&str, u8); 3] = [
    ("quiet", 0),
    ("cleaning, as by default", 25),
    ("cleaning, full speed", 100),
];

/// Produces beside one thing, for as long as it takes, or for `quiet`.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
async fn beside(
    reactor: &Reactor,
    busy: &Partition,
    cleaned: Option<(&Partition, u8)>,
    quiet: Duration,
) -> (Load, Duration) {
    let stop = Rc::new(Cell::new(false));
    let load = producing(reactor.clone(), busy.clone(), Rc::clone(&stop));
    let load = reactor.spawn(load);
    let began = Instant::now();
    match cleaned {
        None => reactor.sleep(quiet).await,
        Some((partition, percent)) => drop(clean(partition, percent).await),
    }
    let took = began.elapsed();
    stop.set(true);
    (load.await, took)
}

async fn disturbance(
    reactor: &Reactor,
    base: &Path,
    rounds: u64,
    size: Size,
    durability: Durability,
) {
    println!(
        "{durability:?}: a produce of 16 KiB every {EVERY:?}, alone and beside a cleaning of the same shard"
    );
    let mut loads: [Load; 3] = Default::default();
    let mut ratios: [Vec<f64>; 3] = Default::default();
    // How long each cleaning took last: so long is it quiet, half before it and half after it.
    let mut last = [QUIET; 3];
    for round in 0..rounds {
        let host = Host::new(reactor.clone(), Fence::new());
        let place = |what: &str| base.join(format!("{what}-{round}"));
        let dirs = [place("paced"), place("full"), place("busy")];
        let paced = dirty(&host, dirs[0].clone(), size, Codec::None).await;
        let full = dirty(&host, dirs[1].clone(), size, Codec::None).await;
        let config = config(durability, false, size.segment_bytes);
        let busy = make(&host, dirs[2].clone(), config).await;
        // Another one first in each round.
        for turn in 0..2 {
            let which = 1 + ((round + turn) % 2) as usize;
            let partition = if which == 1 { &paced } else { &full };
            let half = last[which] / 2;
            let (mut quiet, _) = beside(reactor, &busy, None, half).await;
            let cleaned = Some((partition, BESIDE[which].1));
            let (load, took) = beside(reactor, &busy, cleaned, half).await;
            let (after, _) = beside(reactor, &busy, None, half).await;
            quiet.add(&after);
            last[which] = took;
            ratios[which].push(load.p99() / quiet.p99());
            loads[0].add(&quiet);
            loads[which].add(&load);
        }
        for partition in [paced, full, busy] {
            partition.close().await.expect("closed");
        }
        for dir in dirs {
            fs::remove_dir_all(dir).expect("removed");
        }
    }
    for ((what, _), load) in BESIDE.iter().zip(&loads) {
        tell(what, load);
    }
    for which in [1, 2] {
        println!(
            "  {}: p99 of all {rounds} rounds {:.2} times that without, median of the rounds {:.2} times",
            BESIDE[which].0,
            loads[which].p99() / loads[0].p99(),
            median(std::mem::take(&mut ratios[which]))
        );
    }
    println!();
}

async fn measure(reactor: Reactor) {
    let argument = |place, default| {
        std::env::args()
            .nth(place)
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let (rounds, mebibytes) = (argument(1, 5), argument(2, 512));
    let segment_bytes = u32::try_from(argument(3, 32) << 20).expect("a segment is below 2 GiB");
    let only = std::env::args().nth(4);
    let wanted = |what| only.as_deref().is_none_or(|only| only == what);
    let size = Size {
        log_bytes: mebibytes << 20,
        segment_bytes,
    };
    let base =
        std::env::var_os("HIGHWATER_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let base = base.join(format!(
        "highwater-compaction-{:016x}",
        reactor.random_u64()
    ));
    fs::create_dir_all(&base).expect("a directory");
    if wanted("speed") {
        speed(&reactor, &base, rounds.min(3), size).await;
    }
    for (level, durability) in [
        ("written", Durability::Written),
        ("flushed", Durability::Flushed),
    ] {
        if wanted("produce") || wanted(level) {
            disturbance(&reactor, &base, rounds, size, durability).await;
        }
    }
    fs::remove_dir_all(&base).expect("removed");
}

fn main() {
    let options = Options {
        shards: 1,
        pin: false,
        ..Options::default()
    };
    highwater_reactor::run(options, measure)
        .expect("started")
        .join()
        .expect("ended well");
}
