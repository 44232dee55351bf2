//! A partition in the simulated world, and what tests ask of it again and again.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    missing_docs,
    reason = "each test takes what it needs"
)]

#[path = "../../src/testing.rs"]
pub mod testing;

use std::path::{Path, PathBuf};

use highwater_log::{Fence, Opening};
use highwater_partition::{
    Admission, Config, Durability, Fetch, FetchPlan, Host, Isolation, Origin, Partition, Recovered,
    Refusal,
};
use highwater_reactor::Reactor;
use highwater_reactor::sim::World;
use highwater_record::{Batch, LeaderEpoch, Offset};
use uuid::Uuid;

pub use testing::{Row, Wanted, records, rows};

/// A world with one shard, one data directory and one partition in it.
pub struct Bed {
    pub world: World,
    pub reactor: Reactor,
}

impl Bed {
    pub fn new(seed: u64) -> Bed {
        let world = World::new(seed);
        let reactor = world.shard(0);
        let bed = Bed { world, reactor };
        bed.world.run(async {
            bed.reactor
                .create_dir_all(Path::new("/data"))
                .expect("a directory");
            bed.reactor.sync_dir(Path::new("/")).await.expect("durable");
        });
        bed
    }

    pub fn dir() -> PathBuf {
        PathBuf::from("/data/orders-0")
    }

    /// What a process makes at its start.
    pub fn host(&self) -> Host {
        Host::new(self.reactor.clone(), Fence::new())
    }

    pub async fn create(&self, host: &Host, config: Config) -> Partition {
        Partition::create(
            host,
            Bed::dir(),
            Uuid::from_u128(7),
            LeaderEpoch::ZERO,
            config,
        )
        .await
        .expect("created")
    }

    pub async fn open(
        &self,
        host: &Host,
        config: Config,
        recovery_point: Offset,
        clean: bool,
    ) -> (Partition, Recovered) {
        let opening = Opening {
            recovery_point,
            log_start: Offset::ZERO,
            clean,
            topic_id: Some(Uuid::from_u128(7)),
        };
        Partition::open(host, Bed::dir(), LeaderEpoch::ZERO, config, opening)
            .await
            .expect("opened")
    }

    pub fn now_ms(&self) -> i64 {
        self.reactor.unix_ms()
    }
}

pub fn flushed() -> Config {
    Config::default()
}

pub fn written() -> Config {
    Config {
        durability: Durability::Written,
        ..Config::default()
    }
}

/// Segments of a few batches, so that everything rolls.
pub fn small_segments(config: Config) -> Config {
    let log = highwater_log::Config {
        segment_bytes: 4096,
        index_interval_bytes: 512,
        segment_index_bytes: 4096,
        ..config.log
    };
    Config { log, ..config }
}

pub fn produce(partition: &Partition, wanted: &Wanted) -> Result<Admission, Refusal> {
    let bytes = wanted.bytes();
    partition.produce(Batch::check(&bytes).expect("a batch"), Origin::Client)
}

pub fn place(partition: &Partition, wanted: &Wanted) -> Admission {
    produce(partition, wanted).expect("placed")
}

/// The bytes of a plan, as a connection would send them.
pub fn run(plan: &FetchPlan) -> Vec<u8> {
    let mut bytes = Vec::new();
    for range in &plan.ranges {
        let start = bytes.len();
        bytes.resize(start + range.len as usize, 0);
        range
            .file
            .read_exact_at(range.position, &mut bytes[start..])
            .expect("readable");
    }
    assert_eq!(bytes.len(), plan.bytes as usize);
    bytes
}

/// Everything that can be read, in order, by fetches of a few batches.
pub fn read_all(partition: &Partition) -> Vec<Row> {
    let mut all = Vec::new();
    let mut from = partition.log_start();
    loop {
        let fetch = Fetch {
            isolation: Isolation::ReadCommitted,
            ..Fetch::new(from, 3000)
        };
        let plan = partition.plan_fetch(&fetch).expect("a plan");
        if plan.is_empty() {
            return all;
        }
        let read = rows(&run(&plan));
        from = Offset::new(read.last().expect("a record").0 + 1);
        assert!(
            from <= plan.high_watermark,
            "nothing beyond the high watermark"
        );
        all.extend(read);
    }
}

pub fn offsets(rows: &[Row]) -> Vec<i64> {
    rows.iter().map(|row| row.0).collect()
}
