//! A log in a simulated world, to be crashed and opened again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use highwater_log::{Config, Fence, Log, Recovered};
use highwater_reactor::Reactor;
use highwater_reactor::sim::{Crash, World};
use highwater_record::Offset;

use super::{TOPIC_ID, records, sync, unclean};

/// Where it lies.
pub const DIR: &str = "/data/orders-0";

/// One log in a world of its own.
pub struct Bed {
    pub world: World,
    pub reactor: Reactor,
    pub fence: Fence,
    pub config: Config,
}

impl Bed {
    pub fn new(config: Config) -> (Bed, Log) {
        Bed::seeded(3, config)
    }

    pub fn seeded(seed: u64, config: Config) -> (Bed, Log) {
        let world = World::new(seed);
        let reactor = world.shard(0);
        reactor.create_dir_all(Path::new("/data")).expect("made");
        world.run(reactor.sync_dir(Path::new("/"))).expect("synced");
        let bed = Bed {
            world,
            reactor,
            fence: Fence::new(),
            config,
        };
        let log = bed.create();
        (bed, log)
    }

    pub fn create(&self) -> Log {
        let (dir, config) = (PathBuf::from(DIR), self.config.clone());
        Log::create(&self.reactor, &self.fence, dir, TOPIC_ID, config).expect("made")
    }

    pub fn sync(&self, log: &mut Log) {
        self.world.run(sync(&self.reactor, log)).expect("synced");
    }

    /// Lets everything that is under way come to its end.
    pub fn settle(&self) {
        self.world
            .run(self.reactor.sleep(Duration::from_millis(10)));
    }

    /// Ends the process, or the power, and opens what is left.
    pub fn reopen(&mut self, crash: Crash, recovery_point: Offset) -> (Log, Recovered) {
        self.world.disk().heal();
        self.world.crash(crash);
        self.reactor = self.world.shard(0);
        self.fence = Fence::new();
        let (dir, config) = (PathBuf::from(DIR), self.config.clone());
        let opened = Log::open(
            &self.reactor,
            &self.fence,
            dir,
            config,
            unclean(recovery_point),
        );
        opened.expect("it opens")
    }
}

/// The marks of all batches, read as a consumer reads.
pub fn marks(log: &Log) -> Vec<u64> {
    let found = records(log, log.start_offset(), log.end_offset(), 1 << 20);
    let mark = |(_, value): &(i64, Vec<u8>)| {
        let first = value.first_chunk().expect("a mark");
        u64::from_be_bytes(*first)
    };
    found.iter().map(mark).collect()
}
