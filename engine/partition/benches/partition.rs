//! What the ordering point costs: `produce` (admission, stamp, append) per batch, and `plan_fetch`, in a log on a memory file
//! system, so that the figures are the processor's and not the device's.
//!
//! The directory is `/dev/shm`, or `HIGHWATER_BENCH_DIR`. CPU time of the thread, not the wall clock: neighbours do not count.
#![allow(missing_docs, reason = "criterion's macros make the functions")]

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use highwater_log::Fence;
use highwater_partition::{Config, Durability, Fetch, Host, Origin, Partition};
use highwater_reactor::{Options, Reactor};
use highwater_record::{
    Batch, BatchBuilder, Codec, Compression, Compressor, LeaderEpoch, Offset, Producer,
};
use uuid::Uuid;

/// Batches between two looks at the clock; what was written is deleted outside of it.
const CHUNK: u64 = 256;

/// Sizes of batches.
const SIZES: [(&str, usize); 4] = [
    ("256B", 256),
    ("4KiB", 4 << 10),
    ("64KiB", 64 << 10),
    ("1MiB", 1 << 20),
];

/// A name of its own in the directory to work in.
fn root(reactor: &Reactor) -> PathBuf {
    let base =
        std::env::var_os("HIGHWATER_BENCH_DIR").map_or_else(|| "/dev/shm".into(), PathBuf::from);
    base.join(format!("highwater-bench-{:016x}", reactor.random_u64()))
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.cast_unsigned(),
        u32::try_from(time.tv_nsec).expect("below a second"),
    )
}

/// A batch of about `bytes`, of records of `record_bytes`.
fn batch(bytes: usize, record_bytes: usize, producer: Option<Producer>, codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    let mut number = 0u64;
    while builder.len() + record_bytes + 20 < bytes {
        let mut value = number
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .to_le_bytes()
            .repeat(record_bytes / 8);
        value.truncate(record_bytes);
        builder
            .append(
                1_700_000_000_000,
                Some(&number.to_le_bytes()),
                Some(&value),
                &[],
            )
            .expect("small");
        number += 1;
    }
    if let Some(producer) = producer {
        builder.set_producer(producer);
    }
    let mut out = Vec::new();
    builder
        .finish(&mut Compressor::new(), &Compression::of(codec), &mut out)
        .expect("a batch");
    out
}

/// A partition in a directory of its own.
struct Ground {
    partition: Partition,
    root: PathBuf,
}

impl Ground {
    async fn new(reactor: &Reactor, config: Config) -> Ground {
        let root = root(reactor);
        reactor.create_dir_all(&root).expect("a directory");
        let host = Host::new(reactor.clone(), Fence::new());
        let log = highwater_log::Config {
            segment_bytes: 64 << 20,
            file_delete_delay_ms: 0,
            ..highwater_log::Config::default()
        };
        let config = Config {
            log,
            durability: Durability::Written,
            timestamp_after_max_ms: i64::MAX,
            ..config
        };
        let partition = Partition::create(
            &host,
            root.join("bench-0"),
            Uuid::from_u128(1),
            LeaderEpoch::ZERO,
            config,
        )
        .await
        .expect("created");
        Ground { partition, root }
    }

    /// Appends `count` times and returns the CPU time it took.
    fn produce(&self, count: u64, mut next: impl FnMut() -> Vec<u8>) -> Duration {
        let mut total = Duration::ZERO;
        let mut left = count;
        while left > 0 {
            let chunk = left.min(CHUNK);
            let batches: Vec<Vec<u8>> = (0..chunk).map(|_| next()).collect();
            let before = cpu_time();
            for bytes in &batches {
                let batch = Batch::check(bytes).expect("a batch");
                black_box(
                    self.partition
                        .produce(batch, Origin::Client)
                        .expect("placed"),
                );
            }
            let mut spent = cpu_time() - before;
            // Checking is the connection's work, and has a bench of its own.
            let before = cpu_time();
            for bytes in &batches {
                black_box(Batch::check(bytes).expect("a batch"));
            }
            spent = spent.saturating_sub(cpu_time() - before);
            total += spent;
            left -= chunk;
            self.partition.delete_records(-1).expect("deleted");
            self.partition.tick();
        }
        total
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = self.partition.delete();
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

async fn benches(reactor: Reactor) {
    let mut criterion = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20);

    // What the bytes alone cost here: the same sizes into a file that is emptied now and then.
    let mut group = criterion.benchmark_group("append_at");
    for (name, bytes) in SIZES {
        let path = root(&reactor).with_extension("append_at");
        let file = reactor
            .open(&path, highwater_reactor::OpenOptions::CREATE_NEW)
            .expect("made");
        let batch = vec![7u8; bytes];
        let (header, body) = batch.split_at(61);
        let mut position = 0;
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(name, |b| {
            b.iter_custom(|count| {
                let mut total = Duration::ZERO;
                for _ in 0..count {
                    if position > 64 << 20 {
                        position = 0;
                        file.set_len(0).expect("emptied");
                    }
                    let before = cpu_time();
                    file.append_at(position, &[header, body]).expect("written");
                    total += cpu_time() - before;
                    position += bytes as u64;
                }
                total
            });
        });
        reactor.remove_file(&path).expect("removed");
    }
    group.finish();

    let mut group = criterion.benchmark_group("produce");
    for (name, bytes) in SIZES {
        let record_bytes = if bytes < 1024 { 64 } else { 1024 };
        let ground = Ground::new(&reactor, Config::default()).await;
        let plain = batch(bytes, record_bytes, None, Codec::None);
        group.throughput(Throughput::Bytes(plain.len() as u64));
        group.bench_function(name, |b| {
            b.iter_custom(|count| ground.produce(count, || plain.clone()))
        });
    }
    {
        let ground = Ground::new(&reactor, Config::default()).await;
        let mut producer = Producer {
            id: 7,
            epoch: 0,
            base_sequence: 0,
        };
        let mut template = batch(256, 64, Some(producer), Codec::None);
        let records = Batch::check(&template)
            .expect("a batch")
            .header()
            .record_count();
        group.throughput(Throughput::Bytes(template.len() as u64));
        group.bench_function("256B-idempotent", |b| {
            b.iter_custom(|count| {
                ground.produce(count, || {
                    highwater_record::batch::assign_producer(&mut template, producer)
                        .expect("a batch");
                    producer.base_sequence =
                        highwater_record::header::sequence_after(producer.base_sequence, records);
                    template.clone()
                })
            });
        });
    }
    {
        let config = Config {
            timestamp_type: highwater_record::TimestampType::LogAppend,
            ..Config::default()
        };
        let ground = Ground::new(&reactor, config).await;
        let plain = batch(64 << 10, 1024, None, Codec::None);
        group.throughput(Throughput::Bytes(plain.len() as u64));
        group.bench_function("64KiB-LogAppendTime", |b| {
            b.iter_custom(|count| ground.produce(count, || plain.clone()));
        });
    }
    {
        let config = Config {
            compression: Some(Compression::of(Codec::Lz4)),
            ..Config::default()
        };
        let ground = Ground::new(&reactor, config).await;
        let plain = batch(64 << 10, 1024, None, Codec::None);
        group.throughput(Throughput::Bytes(plain.len() as u64));
        group.bench_function("64KiB-repacked-lz4", |b| {
            b.iter_custom(|count| ground.produce(count, || plain.clone()));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("plan_fetch");
    let ground = Ground::new(&reactor, Config::default()).await;
    let plain = batch(64 << 10, 1024, None, Codec::None);
    while ground.partition.size_bytes() < 256 << 20 {
        let batch = Batch::check(&plain).expect("a batch");
        ground
            .partition
            .produce(batch, Origin::Client)
            .expect("placed");
    }
    let end = ground.partition.high_watermark().get();
    let mut plan = |name: &str, mut next: Box<dyn FnMut() -> i64>, bytes_max: u32| {
        group.bench_function(name, |b| {
            b.iter_custom(|count| {
                let before = cpu_time();
                for _ in 0..count {
                    let fetch = Fetch::new(Offset::new(next()), bytes_max);
                    black_box(ground.partition.plan_fetch(&fetch).expect("a plan"));
                }
                cpu_time() - before
            });
        });
    };
    plan("nothing-new", Box::new(move || end), 1 << 20);
    plan("the-newest-batch", Box::new(move || end - 1), 1 << 20);
    // A consumer that asks where its last fetch ended.
    let whole_batches = (1 << 20) / plain.len();
    let records = Batch::check(&plain)
        .expect("a batch")
        .header()
        .record_count();
    let step = i64::from(records) * i64::try_from(whole_batches).expect("few");
    let mut at = -step;
    plan(
        "catching-up-1MiB",
        Box::new(move || {
            at = if at + step < end { at + step } else { 0 };
            at
        }),
        1 << 20,
    );
    let mut at = 0u64;
    let random = move || {
        at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        i64::try_from(at >> 33).expect("31 bits") % end
    };
    plan("anywhere-64KiB", Box::new(random), 64 << 10);
    group.finish();
    criterion.final_summary();
}

fn main() {
    let options = Options {
        shards: 1,
        pin: false,
        stall_report_after: Duration::from_secs(3600),
        ..Options::default()
    };
    highwater_reactor::run(options, benches)
        .expect("started")
        .join()
        .expect("ended well");
}
