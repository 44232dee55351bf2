//! What the place of a batch in its file costs: written as it comes, and with the block it enters taken whole (`src/room.rs`).
//!
//! `cargo bench -p highwater-log --bench blocks` appends to eight files in turn, allocated ahead, with write-back begun every
//! 800 KiB, and to one file with an `fdatasync` after each batch. CPU time of the thread; the wait for `fdatasync` is
//! wall-clock time, and the machine's.
#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "sizes and times of a benchmark are small, and it reads the clock"
)]

mod cpu;

use std::path::Path;
use std::time::Instant;

use highwater_reactor::{File, OpenOptions, Options, Reactor};

use self::cpu::cpu_ns;

const TOTAL_BYTES: u64 = 512 << 20;
const FILES: usize = 8;
const SYNCS: usize = 1_000;
const AHEAD_BYTES: u64 = 16 << 20;
const WRITE_BACK_BYTES: u64 = 800 << 10;
const BLOCK_BYTES_MAX: usize = 1 << 20;

/// A file that is appended to.
struct Growing {
    file: File,
    bytes: u64,
    room: u64,
    allocated: u64,
    handed_over: u64,
}

impl Growing {
    fn new(reactor: &Reactor, path: &Path) -> Growing {
        Growing {
            file: reactor.open(path, OpenOptions::CREATE_NEW).expect("made"),
            bytes: 0,
            room: 0,
            allocated: 0,
            handed_over: 0,
        }
    }

    /// Appends a batch; `block` is what is taken whole, 1 for nothing.
    fn append(&mut self, batch: &[u8], zeros: &[u8], block: u64) {
        let end = self.bytes + batch.len() as u64;
        if end > self.allocated {
            self.allocated = (end + AHEAD_BYTES).next_multiple_of(4096);
            self.file.allocate(self.allocated).expect("there is room");
        }
        let room = end.next_multiple_of(block).max(self.room);
        let behind = if end > self.room { room - end } else { 0 };
        let zeros = &zeros[..usize::try_from(behind).expect("less than a block")];
        self.file
            .append_at(self.bytes, &[batch, zeros])
            .expect("written");
        (self.bytes, self.room) = (end, room);
    }

    fn hand_over(&mut self) {
        let len = self.bytes - self.handed_over;
        self.file
            .start_writeback(self.handed_over, len)
            .expect("begun");
        self.handed_over = self.bytes;
    }
}

fn streamed(reactor: &Reactor, dir: &Path, batch: &[u8], zeros: &[u8], block: u64) {
    let paths: Vec<_> = (0..FILES).map(|at| dir.join(at.to_string())).collect();
    let mut files: Vec<_> = paths
        .iter()
        .map(|path| Growing::new(reactor, path))
        .collect();
    let (mut write_ns, mut write_back_ns, mut total) = (0, 0, 0);
    while total < TOTAL_BYTES {
        let before = cpu_ns();
        for file in &mut files {
            file.append(batch, zeros, block);
            total += batch.len() as u64;
        }
        let between = cpu_ns();
        for file in &mut files {
            if file.bytes - file.handed_over >= WRITE_BACK_BYTES {
                file.hand_over();
            }
        }
        write_ns += between - before;
        write_back_ns += cpu_ns() - between;
    }
    let per_gb = |ns: u64| ns as f64 / total as f64;
    println!(
        "batches of {:>7} B, blocks of {block:>6} B: write {:.3}, write-back {:.3} CPU-s/GB",
        batch.len(),
        per_gb(write_ns),
        per_gb(write_back_ns)
    );
    for path in &paths {
        reactor.remove_file(path).expect("removed");
    }
}

fn synced(reactor: &Reactor, dir: &Path, batch: &[u8], zeros: &[u8], block: u64) {
    let path = dir.join("synced");
    let mut growing = Growing::new(reactor, &path);
    let beside = std::fs::File::open(&path).expect("it is there");
    let mut took_us = Vec::with_capacity(SYNCS);
    let before = cpu_ns();
    for _ in 0..SYNCS {
        let started = Instant::now();
        growing.append(batch, zeros, block);
        beside.sync_data().expect("synced");
        took_us.push(started.elapsed().as_micros());
    }
    let cpu_us = (cpu_ns() - before) / 1_000 / SYNCS as u64;
    took_us.sort_unstable();
    println!(
        "batches of {:>7} B, blocks of {block:>6} B: write and fdatasync p50 {} us, p99 {} us; {cpu_us} us of CPU",
        batch.len(),
        took_us[SYNCS / 2],
        took_us[SYNCS * 99 / 100]
    );
    reactor.remove_file(&path).expect("removed");
}

fn main() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_owned();
    let options = Options {
        shards: 1,
        pin: false,
        ..Options::default()
    };
    let running = highwater_reactor::run(options, move |reactor| {
        let path = path.clone();
        async move {
            let zeros = vec![0; BLOCK_BYTES_MAX];
            for bytes in [5_000, 16_445, 65_597, 200_000] {
                let batch = vec![b'x'; bytes];
                for block in [1, 16 << 10, 32 << 10, 64 << 10, 1 << 20] {
                    streamed(&reactor, &path, &batch, &zeros, block);
                }
            }
            for bytes in [1_000, 5_000, 65_597, 1 << 20] {
                let batch = vec![b'x'; bytes];
                for block in [1, 32 << 10] {
                    synced(&reactor, &path, &batch, &zeros, block);
                }
            }
        }
    });
    running.expect("a shard starts").join().expect("it ends");
}
