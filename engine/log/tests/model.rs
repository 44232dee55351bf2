//! A log in the simulated world against a plain list of records: appends, reads, rolls, retention, crashes and faults in any
//! order. What was durable is there after every crash, what is there is a beginning of what was written, and no offset that
//! was durable ever holds anything else.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod common;

use std::path::PathBuf;

use common::*;
use highwater_log::{Config, Error, Fence, Log, Opening};
use highwater_reactor::Reactor;
use highwater_reactor::sim::{Crash, Operation, World};
use highwater_record::Offset;

const ENOSPC: i32 = 28;

/// A record as it was written: its offset is its place in the list.
#[derive(Clone, Debug, PartialEq)]
struct Written {
    value: Vec<u8>,
    timestamp_ms: i64,
}

struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

struct Model {
    world: World,
    reactor: Reactor,
    dir: PathBuf,
    chance: Chance,
    fence: Fence,
    config: Config,
    log: Option<Log>,
    /// Every record ever written that may still be there.
    written: Vec<Written>,
    /// Everything below was reported durable.
    durable: i64,
    /// The recovery point as it would be on disk.
    checkpointed: i64,
    start: i64,
    epoch: i32,
    crashes: u32,
}

impl Model {
    fn new(seed: u64) -> Model {
        let world = World::new(seed);
        let reactor = world.shard(0);
        let data = PathBuf::from("/data");
        reactor.create_dir_all(&data).expect("made");
        world
            .run(reactor.sync_dir(std::path::Path::new("/")))
            .expect("synced");
        let mut chance = Chance(seed);
        let config = Config {
            segment_bytes: 1_500 + chance.below(6_000) as u32,
            index_interval_bytes: 100 + chance.below(1_000) as u32,
            segment_index_bytes: 96 + chance.below(400) as u32,
            segment_ms: 2_000,
            retention_ms: -1,
            file_delete_delay_ms: 10,
            ..Config::default()
        };
        let dir = data.join("orders-0");
        let fence = Fence::new();
        let log = Log::create(&reactor, &fence, dir.clone(), TOPIC_ID, config.clone());
        let log = Some(log.expect("made"));
        let written = Vec::new();
        let mut model = Model {
            world,
            reactor,
            dir,
            chance,
            fence,
            config,
            log,
            written,
            durable: 0,
            checkpointed: 0,
            start: 0,
            epoch: 0,
            crashes: 0,
        };
        // A topic is made durable before it is known.
        model.sync(0);
        model
    }

    fn log(&mut self) -> &mut Log {
        self.log.as_mut().expect("it is open")
    }

    fn step(&mut self) {
        match self.chance.below(100) {
            0..55 => drop(self.append()),
            55..65 => {
                let meanwhile = self.chance.below(3);
                self.sync(meanwhile);
            }
            65..70 => self.checkpointed = self.durable,
            70..75 => self.read_somewhere(),
            75..78 => self.look_up_a_time(),
            78..80 => {
                let now_ms = self.chance.below(20_000) as i64;
                let rolled = self.log().roll_if_old(now_ms);
                self.survive(rolled.map(drop));
            }
            80..83 => self.retain(),
            83..85 => self.advance_start(),
            85..89 => self.crash(),
            89..92 => self.stop_and_start(),
            92..94 => {
                self.epoch += 1;
                let epoch = highwater_record::LeaderEpoch::new(self.epoch);
                let assigned = self.log().assign_epoch(epoch);
                self.survive(assigned);
            }
            _ => self.plant_a_fault(),
        }
    }

    /// Appends a batch and says whether it went in.
    fn append(&mut self) -> bool {
        let records = 1 + self.chance.below(3) as u32;
        let mut value = (self.written.len() as u64 ^ self.chance.next() << 32)
            .to_be_bytes()
            .to_vec();
        value.resize(8 + self.chance.below(300) as usize, 7);
        let timestamp_ms = 1_000 + self.written.len() as i64 * 10 - self.chance.below(100) as i64;
        let timestamp_ms = timestamp_ms.max(0);
        let compression = ["none", "lz4", "zstd"][self.chance.below(3) as usize];
        let bytes = batch_with(timestamp_ms, records, &value, compression);
        let end = self.written.len() as i64;
        assert_eq!(self.log().end_offset(), Offset::new(end));
        let epoch = self.epoch;
        let appended = append_in(self.log(), &bytes, epoch);
        let went_in = appended.is_ok();
        if went_in {
            for at in 0..records {
                let timestamp_ms = timestamp_ms + i64::from(at);
                self.written.push(Written {
                    value: value.clone(),
                    timestamp_ms,
                });
            }
        } else {
            assert_eq!(
                self.log().end_offset(),
                Offset::new(end),
                "a failed append leaves the end"
            );
        }
        self.survive(appended.map(drop));
        went_in
    }

    /// A group commit, with appends going on while it is under way.
    fn sync(&mut self, meanwhile: u64) {
        let ticket = match self.log().sync_ticket() {
            Ok(ticket) => ticket,
            Err(error) => return self.survive(Err(error)),
        };
        let crashes = self.crashes;
        for _ in 0..meanwhile {
            self.append();
        }
        if self.crashes != crashes {
            return; // The ticket is of an earlier life.
        }
        let outcome = self.world.run(ticket.sync(&self.reactor));
        if outcome.is_ok() {
            // Whether or not the log is told: the device has it.
            let durable = ticket.end().get();
            let synced = self.log().synced(&ticket, Ok(()));
            if synced.is_ok() {
                self.durable = self.durable.max(durable);
                assert!(self.log().durable_offset().get() >= durable);
            }
            self.survive(synced);
        } else {
            let synced = self.log().synced(&ticket, outcome);
            assert!(self.fence.is_raised());
            self.survive(synced);
        }
    }

    fn read_somewhere(&mut self) {
        self.world.disk().heal();
        let start = self.log().start_offset().get();
        let upto = self.durable.max(start);
        let from = start + self.chance.below((upto - start + 1) as u64) as i64;
        let bytes_max = self.chance.below(4_000) as u32;
        self.check_records(from, upto, bytes_max);
    }

    fn check_records(&mut self, from: i64, upto: i64, bytes_max: u32) {
        let log = self.log.as_ref().expect("it is open");
        let found = records(log, Offset::new(from), Offset::new(upto), bytes_max);
        let mut at = from;
        for (offset, value) in found {
            if offset < from {
                continue; // The batch that holds `from` is given whole.
            }
            assert_eq!(offset, at, "no offset is missing");
            assert_eq!(
                value, self.written[at as usize].value,
                "offset {at} holds what was written"
            );
            at += 1;
        }
        assert_eq!(at, upto.max(from));
    }

    fn look_up_a_time(&mut self) {
        self.world.disk().heal();
        let log = self.log.as_ref().expect("it is open");
        let (start, upto) = (log.start_offset().get(), log.end_offset().get());
        let wanted = self.chance.below(1_200 + self.written.len() as u64 * 10) as i64;
        let found = log
            .offset_for_timestamp(wanted, Offset::new(upto))
            .expect("it can be read");
        let expected = (start..upto).find(|at| self.written[*at as usize].timestamp_ms >= wanted);
        assert_eq!(
            found.map(|found| found.offset.get()),
            expected,
            "first at or after {wanted}"
        );
        let newest = log
            .max_timestamp(Offset::new(upto))
            .expect("it can be read");
        let largest = (start..upto)
            .map(|at| self.written[at as usize].timestamp_ms)
            .max();
        let expected =
            (start..upto).find(|at| Some(self.written[*at as usize].timestamp_ms) == largest);
        assert_eq!(
            newest.map(|found| found.offset.get()),
            expected,
            "the newest"
        );
    }

    fn retain(&mut self) {
        let mut config = self.config.clone();
        config.retention_bytes = 2_000 + self.chance.below(60_000) as i64;
        self.log().reconfigure(config);
        let durable = Offset::new(self.durable);
        let deleted = self.log().retain(1_000, durable);
        if let Ok(deleted) = &deleted {
            for segment in deleted {
                assert!(
                    segment.end <= durable,
                    "nothing above the high watermark goes"
                );
            }
        }
        self.start = self.log().start_offset().get();
        let original = self.config.clone();
        self.log().reconfigure(original);
        self.survive(deleted.map(drop));
    }

    fn advance_start(&mut self) {
        let start = self.log().start_offset().get();
        if self.durable <= start {
            return;
        }
        let to = start + self.chance.below((self.durable - start) as u64 / 2 + 1) as i64;
        let advanced = self.log().advance_start(Offset::new(to));
        self.start = self.log().start_offset().get();
        self.survive(advanced.map(drop));
    }

    fn plant_a_fault(&mut self) {
        let disk = self.world.disk();
        let nth = 1 + self.chance.below(6);
        let operations = [
            Operation::Write,
            Operation::Sync,
            Operation::SyncDir,
            Operation::Create,
            Operation::Rename,
            Operation::SetLen,
            Operation::Allocate,
            Operation::Remove,
        ];
        let operation = operations[self.chance.below(operations.len() as u64) as usize];
        match self.chance.below(5) {
            0 => disk.fail(Operation::Write, nth, ENOSPC),
            1 => disk.fail_write_after(nth, self.chance.below(200), ENOSPC),
            2 => disk.fail(operation, nth, 5),
            3 => disk.die_at(operation, nth),
            _ => {
                // Full for a while, and then there is room again.
                disk.set_capacity(Some(disk.used() + self.chance.below(500)));
                for _ in 0..5 {
                    if self.log.is_some() {
                        self.append();
                    }
                }
                disk.set_capacity(None);
                if !self.fence.is_raised() {
                    assert!(
                        self.append() || self.crashes > 0,
                        "with room again it goes on"
                    );
                }
            }
        }
    }

    /// What the engine does about an error: nothing when the device is full, a new process when it is broken.
    fn survive(&mut self, outcome: Result<(), Error>) {
        match outcome {
            Ok(()) | Err(Error::Full { .. } | Error::TooLarge { .. }) => {}
            Err(Error::Failed { .. } | Error::Fenced { .. }) => {
                assert!(self.fence.is_raised());
                self.crash();
            }
            Err(error) => panic!("nothing on this disk is damaged: {error}"),
        }
    }

    fn crash(&mut self) {
        let kinds = [
            Crash::KeepAll,
            Crash::LoseUnsynced,
            Crash::KeepPrefix,
            Crash::KeepRandom,
            Crash::Torn {
                kept_bytes: self.chance.below(400),
                length_kept: self.chance.below(2) == 0,
            },
        ];
        let kind = kinds[self.chance.below(5) as usize];
        self.log = None;
        self.world.disk().heal();
        self.world.crash(kind);
        self.crashes += 1;
        self.reactor = self.world.shard(0);
        self.fence = Fence::new();
        let opening = Opening {
            topic_id: Some(TOPIC_ID),
            ..unclean(Offset::new(self.checkpointed))
        };
        let (log, report) = Log::open(
            &self.reactor,
            &self.fence,
            self.dir.clone(),
            self.config.clone(),
            opening,
        )
        .expect("it opens");
        let end = log.end_offset().get();
        assert!(
            end >= self.durable,
            "{kind:?}: durable {} > end {end}, {report:?}",
            self.durable
        );
        assert!(
            end <= self.written.len() as i64,
            "nothing that was never written"
        );
        if kind == Crash::KeepAll && !report.segments_cut > 0 {
            assert_eq!(report.lost, None);
        }
        assert!(report.damaged.is_empty(), "{report:?}");
        assert!(
            log.start_offset().get() <= self.start,
            "a start that was not noted may move back"
        );
        self.start = log.start_offset().get();
        self.log = Some(log);
        self.written.truncate(end as usize);
        let start = self.start;
        self.check_records(start, end, 3_000);
        // A partition syncs what was found before it shows it to anybody.
        self.sync(0);
    }

    fn stop_and_start(&mut self) {
        while self.log().durable_offset() < self.log().end_offset() {
            let crashes = self.crashes;
            self.sync(0);
            if self.crashes != crashes {
                return;
            }
        }
        let ticket = match self.log().close() {
            Ok(ticket) => ticket,
            Err(error @ Error::Full { .. }) => {
                drop(error);
                self.crash();
                return;
            }
            Err(error) => return self.survive(Err(error)),
        };
        let outcome = self.world.run(ticket.sync(&self.reactor));
        let synced = self.log().synced(&ticket, outcome);
        if synced.is_err() {
            return self.survive(synced);
        }
        let (end, start) = (self.log().end_offset(), self.log().start_offset());
        assert_eq!(self.log().durable_offset(), end);
        self.log = None;
        self.world.disk().heal();
        let kind = [Crash::KeepAll, Crash::LoseUnsynced][self.chance.below(2) as usize];
        self.world.crash(kind);
        self.reactor = self.world.shard(0);
        self.durable = end.get();
        self.checkpointed = self.durable;
        let opening = Opening {
            log_start: start,
            ..clean(end)
        };
        let (log, report) = Log::open(
            &self.reactor,
            &self.fence,
            self.dir.clone(),
            self.config.clone(),
            opening,
        )
        .expect("it opens");
        assert_eq!(
            report.segments_scanned, 0,
            "what was closed is not gone through: {report:?}"
        );
        assert_eq!((log.end_offset(), log.start_offset()), (end, start));
        assert_eq!(report.indexes_rebuilt, 0, "{report:?}");
        self.log = Some(log);
        self.check_records(start.get(), end.get(), 2_000);
    }
}

fn run(seed: u64, steps: u32) -> u64 {
    let mut model = Model::new(seed);
    for _ in 0..steps {
        model.step();
    }
    model.world.disk().heal();
    model.crash();
    model.world.trace()
}

/// `HIGHWATER_SEEDS=1000..5000` asks for others.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let asked = std::env::var("HIGHWATER_SEEDS").ok();
    let bounds = asked.as_deref().and_then(|text| text.split_once(".."));
    bounds.map_or(0..count, |(from, to)| {
        from.parse().expect("a number")..to.parse().expect("a number")
    })
}

#[test]
fn what_was_durable_survives_everything_and_what_is_there_is_a_prefix() {
    for seed in seeds(60) {
        println!("seed {seed}");
        run(seed, 250);
    }
}

#[test]
fn a_seed_always_takes_the_same_way() {
    assert_eq!(run(7, 150), run(7, 150));
}
