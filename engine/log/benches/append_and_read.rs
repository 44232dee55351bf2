//! What a batch costs the log's shard: CPU time of the thread, not wall-clock time, so that a busy machine does not show.
//!
//! `cargo bench -p highwater-log` prints the cost of appending beside that of the bare write, and of planning reads.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "offsets and sizes of a benchmark are small"
)]

mod cpu;

use std::path::{Path, PathBuf};

use highwater_log::{Config, Fence, Log};
use highwater_reactor::{OpenOptions, Options, Reactor};
use highwater_record::{Batch, BatchBuilder, Compression, Compressor, LeaderEpoch, Offset};
use uuid::Uuid;

use self::cpu::cpu_ns;

const TOTAL_BYTES: u64 = 512 << 20;

fn batch(bytes: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    while builder.len() + 1_100 < bytes || builder.count() == 0 {
        let value = vec![b'x'; bytes.min(1_024) - 80.min(bytes / 2)];
        builder
            .append(1_000, None, Some(&value), &[])
            .expect("it is small");
    }
    let mut out = Vec::new();
    let none: Compression = "none".parse().expect("a codec");
    builder
        .finish(&mut Compressor::new(), &none, &mut out)
        .expect("made");
    out
}

fn report(what: &str, bytes: u64, count: u64, ns: u64) {
    let per_gb = ns as f64 / bytes.max(1) as f64;
    println!(
        "{what:<44} {per_gb:>7.3} CPU-s/GB {:>9} ns each",
        ns / count.max(1)
    );
}

fn bare(reactor: &Reactor, dir: &Path, bytes: &[u8], ahead: bool) {
    let path = dir.join("bare");
    let file = reactor.open(&path, OpenOptions::CREATE_NEW).expect("made");
    let count = TOTAL_BYTES / bytes.len() as u64;
    let before = cpu_ns();
    let mut allocated = 0;
    for at in 0..count {
        let position = at * bytes.len() as u64;
        if ahead && position + bytes.len() as u64 > allocated {
            allocated = position + (16 << 20);
            file.allocate(allocated).expect("there is room");
        }
        file.append_at(position, &[&bytes[..61], &bytes[61..]])
            .expect("written");
    }
    let what = if ahead {
        "pwritev, allocated ahead"
    } else {
        "pwritev"
    };
    report(
        &format!("{what}, {} B", bytes.len()),
        TOTAL_BYTES,
        count,
        cpu_ns() - before,
    );
    reactor.remove_file(&path).expect("removed");
}

fn appended(reactor: &Reactor, dir: &Path, bytes: &[u8]) -> (Log, u64) {
    let fence = Fence::new();
    let dir = dir.join(format!("t{}-0", bytes.len()));
    let mut log =
        Log::create(reactor, &fence, dir, Uuid::from_u128(7), Config::default()).expect("made");
    let batch = Batch::check(bytes).expect("sound");
    let count = TOTAL_BYTES / bytes.len() as u64;
    let before = cpu_ns();
    for _ in 0..count {
        let stamped = batch.stamp(log.end_offset(), LeaderEpoch::ZERO);
        log.append(1_000, &stamped).expect("appended");
    }
    report(
        &format!("Log::append, {} B", bytes.len()),
        TOTAL_BYTES,
        count,
        cpu_ns() - before,
    );
    (log, count)
}

fn planned(log: &Log, records_per_batch: i64) {
    let end = log.end_offset();
    let mut next = Offset::ZERO;
    let mut calls = 0;
    let before = cpu_ns();
    while next < end {
        next = log.read(next, end, 1 << 20, true).expect("read").next;
        calls += 1;
    }
    report(
        "  read 1 MiB, going on where the last ended",
        TOTAL_BYTES,
        calls,
        cpu_ns() - before,
    );
    let before = cpu_ns();
    let mut place = 7;
    for _ in 0..10_000 {
        place = (place * 6_364_136_223_846_793 + 1_442_695) % end.get();
        let from = Offset::new(place.abs() / records_per_batch * records_per_batch);
        log.read(from, end, 1 << 20, true).expect("read");
    }
    report(
        "  read 1 MiB, anywhere",
        10_000 << 20,
        10_000,
        cpu_ns() - before,
    );
}

fn main() {
    let dir = tempfile::tempdir().expect("a directory");
    let path: PathBuf = dir.path().to_owned();
    let options = Options {
        shards: 1,
        pin: false,
        ..Options::default()
    };
    let running = highwater_reactor::run(options, move |reactor| {
        let path = path.clone();
        async move {
            for bytes in [200, 4 << 10, 64 << 10, 1 << 20] {
                let bytes = batch(bytes);
                let records =
                    i64::from(Batch::check(&bytes).expect("sound").header().record_count());
                bare(&reactor, &path, &bytes, false);
                bare(&reactor, &path, &bytes, true);
                let (log, _) = appended(&reactor, &path, &bytes);
                planned(&log, records);
                let dir = log.delete().expect("renamed");
                reactor.remove_dir_all(&dir).expect("removed");
            }
        }
    });
    running.expect("a shard starts").join().expect("it ends");
}
