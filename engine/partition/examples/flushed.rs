//! How near group commit comes to the machine's own write + fdatasync: batches of 1 MiB, each acknowledged on stable media
//! before the next is sent, through a partition, and the same bytes by two bare calls; in turns, so that both see the same disk.
//!
//! `cargo run --release -p highwater-partition --example flushed [ROUNDS] [COMMITS]`, in `HIGHWATER_BENCH_DIR` or the
//! directory for temporary files.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use highwater_log::Fence;
use highwater_partition::{Config, Durability, Host, Origin, Partition};
use highwater_reactor::{Options, Reactor};
use highwater_record::{Batch, BatchBuilder, Codec, Compression, Compressor, LeaderEpoch};
use uuid::Uuid;

/// Bytes of one commit: the default of `max.message.bytes` allows a batch of just over 1 MiB.
const COMMIT_BYTES: usize = 1 << 20;

fn batch() -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    let value = [0x5a; 1000];
    while builder.len() + 1100 < COMMIT_BYTES {
        builder
            .append(1_700_000_000_000, None, Some(&value), &[])
            .expect("small");
    }
    let mut out = Vec::new();
    builder
        .finish(
            &mut Compressor::new(),
            &Compression::of(Codec::None),
            &mut out,
        )
        .expect("nothing to compress");
    out
}

/// Bytes per second of `commits` appends to a new file, each followed by `fdatasync`.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn bare(directory: &Path, bytes: &[u8], commits: u64) -> f64 {
    let path = directory.join("bare");
    let file: File = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .expect("a file");
    let began = Instant::now();
    for commit in 0..commits {
        file.write_all_at(bytes, commit * bytes.len() as u64)
            .expect("written");
        file.sync_data().expect("synced");
    }
    let rate = rate(bytes, commits, began.elapsed());
    std::fs::remove_file(path).expect("removed");
    rate
}

/// The same through a partition that acknowledges what is on stable media.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
async fn partition(reactor: &Reactor, directory: &Path, bytes: &[u8], commits: u64) -> f64 {
    let host = Host::new(reactor.clone(), Fence::new());
    let config = Config {
        durability: Durability::Flushed,
        timestamp_after_max_ms: i64::MAX,
        ..Config::default()
    };
    let place = directory.join("flushed-0");
    let partition = Partition::create(
        &host,
        place.clone(),
        Uuid::from_u128(1),
        LeaderEpoch::ZERO,
        config,
    )
    .await
    .expect("created");
    let began = Instant::now();
    for _ in 0..commits {
        let batch = Batch::check(bytes).expect("a batch");
        let placed = partition.produce(batch, Origin::Client).expect("placed");
        partition.committed(placed.end()).await.expect("committed");
    }
    let rate = rate(bytes, commits, began.elapsed());
    partition.close().await.expect("closed");
    std::fs::remove_dir_all(place).expect("removed");
    rate
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn rate(bytes: &[u8], commits: u64, took: Duration) -> f64 {
    bytes.len() as f64 * commits as f64 / took.as_secs_f64()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

async fn compare(reactor: Reactor) {
    let argument = |place, default| {
        std::env::args()
            .nth(place)
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let (rounds, commits): (u64, u64) = (argument(1, 7), argument(2, 200));
    let base =
        std::env::var_os("HIGHWATER_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = base.join(format!("highwater-flushed-{:016x}", reactor.random_u64()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let bytes = batch();
    let (mut ours, mut bares, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let (bare, partition) = if round % 2 == 0 {
            let bare = bare(&directory, &bytes, commits);
            (bare, partition(&reactor, &directory, &bytes, commits).await)
        } else {
            let partition = partition(&reactor, &directory, &bytes, commits).await;
            (bare(&directory, &bytes, commits), partition)
        };
        println!(
            "round {round}: write + fdatasync {:.0} MB/s, partition {:.0} MB/s, ratio {:.2}",
            bare / 1e6,
            partition / 1e6,
            partition / bare
        );
        ours.push(partition);
        bares.push(bare);
        ratios.push(partition / bare);
    }
    std::fs::remove_dir_all(&directory).expect("removed");
    println!(
        "medians of {rounds} rounds of {commits} commits: write + fdatasync {:.0} MB/s, partition {:.0} MB/s, ratio {:.2}",
        median(bares) / 1e6,
        median(ours) / 1e6,
        median(ratios)
    );
}

fn main() {
    let options = Options {
        shards: 1,
        pin: false,
        ..Options::default()
    };
    highwater_reactor::run(options, compare)
        .expect("started")
        .join()
        .expect("ended well");
}
