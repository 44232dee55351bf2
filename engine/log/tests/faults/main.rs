//! Faults one at a time, in the simulated world: what a log does about each of them.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod checkpoints;
#[path = "../common/mod.rs"]
mod common;
mod damage;
mod forgetting;
mod writing;

use std::path::{Path, PathBuf};

use common::{TOPIC_ID, append, batch, records, sync};
use highwater_log::{Config, Error, Fence, Log, Opening};
use highwater_reactor::sim::{Crash, World};
use highwater_reactor::{OpenOptions, Reactor};
use highwater_record::Offset;

const EIO: i32 = 5;

const ENOSPC: i32 = 28;

struct Case {
    world: World,
    reactor: Reactor,
    fence: Fence,
    dir: PathBuf,
    config: Config,
}

impl Case {
    fn new(config: Config) -> (Case, Log) {
        let world = World::new(1);
        let reactor = world.shard(0);
        let dir = PathBuf::from("/data/orders-0");
        reactor.create_dir_all(Path::new("/data")).expect("made");
        world.run(reactor.sync_dir(Path::new("/"))).expect("synced");
        let fence = Fence::new();
        let log = Log::create(&reactor, &fence, dir.clone(), TOPIC_ID, config.clone());
        let case = Case {
            world,
            reactor,
            fence,
            dir,
            config,
        };
        (case, log.expect("made"))
    }

    /// A log with `batches` batches of one record of about 100 bytes, all of them durable.
    fn with(config: Config, batches: u64) -> (Case, Log) {
        let (case, mut log) = Case::new(config);
        for mark in 0..batches {
            append(&mut log, &batch(mark, 1_000 + mark as i64, 100)).expect("appended");
        }
        case.sync(&mut log);
        (case, log)
    }

    fn sync(&self, log: &mut Log) {
        self.world.run(sync(&self.reactor, log)).expect("synced");
    }

    fn crash(&mut self, crash: Crash) {
        self.world.disk().heal();
        self.world.crash(crash);
        self.reactor = self.world.shard(0);
        self.fence = Fence::new();
    }

    fn try_open(&self, opening: Opening) -> Result<(Log, highwater_log::Recovered), Error> {
        Log::open(
            &self.reactor,
            &self.fence,
            self.dir.clone(),
            self.config.clone(),
            opening,
        )
    }

    fn open(&self, opening: Opening) -> (Log, highwater_log::Recovered) {
        self.try_open(opening).expect("it opens")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = self.reactor.list(&self.dir).expect("listed");
        entries
            .into_iter()
            .map(|entry| entry.name.into_string().expect("text"))
            .collect()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let file = self
            .reactor
            .open(&self.path(name), OpenOptions::TRUNCATE)
            .expect("opened");
        file.append_at(0, &[bytes]).expect("written");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        self.reactor
            .read_all(&self.path(name), 1 << 20)
            .expect("read")
    }
}

fn marks(log: &Log) -> Vec<u64> {
    let found = records(log, log.start_offset(), log.end_offset(), 10_000);
    found
        .iter()
        .map(|(_, value)| u64::from_be_bytes(value[..8].try_into().expect("eight")))
        .collect()
}

fn offset(at: i64) -> Offset {
    Offset::new(at)
}
