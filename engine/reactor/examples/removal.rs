//! Whom the removal of a large file disturbs: syncs of 16 KiB every millisecond on the same file system, alone, while a file is
//! removed at once (`unlink`), and while `Reactor::remove_large_file` removes it, in turns.
//!
//! `cargo run --release -p highwater-reactor --example removal [ROUNDS] [MIB]`, in `HIGHWATER_BENCH_DIR` or the directory for
//! temporary files. It matters most where the file system is mounted with `discard`.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use highwater_reactor::{File, OpenOptions, Options, Reactor};

/// Time between two syncs.
const EVERY: Duration = Duration::from_millis(1);
/// How long they are alone, and how long the device is left alone behind what was written.
const QUIET: Duration = Duration::from_secs(1);

/// What goes on beside the syncs.
#[derive(Clone, Copy, PartialEq)]
enum Beside {
    Nothing,
    Unlink,
    Steps,
}

const WAYS: [(Beside, &str); 3] = [
    (Beside::Nothing, "nothing"),
    (Beside::Unlink, "removed at once"),
    (Beside::Steps, "removed in steps"),
];

/// Appends and syncs at fixed times until told to stop; how long each took from when it was due, in microseconds.
async fn syncing(reactor: Reactor, file: File, stop: Rc<Cell<bool>>) -> Vec<u64> {
    let bytes = [0x5a; 16 << 10];
    let (mut position, mut took) = (file.len().expect("known"), Vec::new());
    let mut due = reactor.now();
    while !stop.get() {
        due += EVERY;
        reactor.sleep_until(due).await;
        file.append_at(position, &[&bytes]).expect("written");
        position += bytes.len() as u64;
        reactor.sync_data(&file).await.expect("synced");
        let micros = reactor.now().duration_since(due).as_micros();
        took.push(u64::try_from(micros).unwrap_or(u64::MAX));
    }
    took
}

/// A file that is on the disk.
async fn make(reactor: &Reactor, path: &Path, mebibytes: u64) {
    let file = reactor.open(path, OpenOptions::TRUNCATE).expect("made");
    let bytes = vec![0x5a; 1 << 20];
    for at in 0..mebibytes {
        file.append_at(at << 20, &[&bytes]).expect("written");
        if at % 64 == 63 {
            reactor.sync_data(&file).await.expect("synced");
        }
    }
    reactor.sync_data(&file).await.expect("synced");
}

async fn measure(reactor: Reactor) {
    let argument = |place, default| {
        std::env::args()
            .nth(place)
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let (rounds, mebibytes) = (argument(1, 5), argument(2, 1024));
    let base =
        std::env::var_os("HIGHWATER_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let base = base.join(format!("highwater-removal-{:016x}", reactor.random_u64()));
    fs::create_dir_all(&base).expect("a directory");
    let (log, large) = (base.join("log"), base.join("large"));
    let log = reactor.open(&log, OpenOptions::CREATE_NEW).expect("made");
    let mut all: [(Vec<u64>, Vec<Duration>); 3] = Default::default();
    for _ in 0..rounds {
        for (way, (beside, _)) in WAYS.into_iter().enumerate() {
            if beside != Beside::Nothing {
                make(&reactor, &large, mebibytes).await;
                reactor.sleep(QUIET).await;
            }
            let stop = Rc::new(Cell::new(false));
            let syncs = syncing(reactor.clone(), log.clone(), Rc::clone(&stop));
            let syncs = reactor.spawn(syncs);
            let began = reactor.now();
            let path = large.clone();
            match beside {
                Beside::Nothing => reactor.sleep(QUIET).await,
                Beside::Unlink => reactor
                    .unblock(move || fs::remove_file(path))
                    .await
                    .expect("removed"),
                Beside::Steps => reactor.remove_large_file(&path).await.expect("removed"),
            }
            all[way].1.push(reactor.now().duration_since(began));
            stop.set(true);
            all[way].0.extend(syncs.await);
        }
    }
    println!("a sync of 16 KiB every {EVERY:?}, and beside it a file of {mebibytes} MiB:");
    for ((_, what), (mut syncs, mut took)) in WAYS.into_iter().zip(all) {
        syncs.sort_unstable();
        took.sort_unstable();
        let at = |percent: usize| syncs[(syncs.len() * percent / 100).min(syncs.len() - 1)];
        println!(
            "  {what:<17} in {:>7.1} ms (median); {:>5} syncs: p50 {:>6} us, p99 {:>7} us, max {:>7} us",
            took[took.len() / 2].as_secs_f64() * 1000.0,
            syncs.len(),
            at(50),
            at(99),
            at(100),
        );
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
