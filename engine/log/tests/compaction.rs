//! Cleaning a log in the simulated world, against a map of the last value of each key: whatever is cleaned, and whenever
//! the world ends meanwhile, every key that lives has its last value, and no offset holds anything else than before.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod common;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use common::*;
use highwater_log::compaction::{
    Access, Cleaned, Dirt, LastBatches, MapLimits, Pace, Workshop, clean,
};
use highwater_log::{Config, Error, Fence, Log, Opening, Recovered};
use highwater_reactor::Reactor;
use highwater_reactor::sim::{Crash, Operation, World};
use highwater_record::{
    Batch, BatchBuilder, Compressor, Decompressor, Limits, Offset, Records, batches,
};
use proptest::prelude::*;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// What a reader sees of a record.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    offset: i64,
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

type Pair = (&'static str, Option<String>);

/// A log that a cleaning and a test share.
#[derive(Clone)]
struct Shared {
    log: Rc<RefCell<Option<Log>>>,
    last: LastBatches,
    /// Steps after which it is not to be cleaned any more.
    steps: Rc<RefCell<Option<u32>>>,
}

impl Access for Shared {
    fn with<R>(&self, step: impl FnOnce(&mut Log) -> R) -> Option<R> {
        if let Some(left) = self.steps.borrow_mut().as_mut() {
            *left = left.checked_sub(1)?;
        }
        self.log.borrow_mut().as_mut().map(step)
    }

    fn last_batches(&self) -> LastBatches {
        self.last.clone()
    }
}

struct Case {
    world: World,
    reactor: Reactor,
    fence: Fence,
    dir: PathBuf,
    config: Config,
    shared: Shared,
    workshop: Workshop,
    /// Every record ever written.
    written: Vec<Row>,
}

fn compacted() -> Config {
    Config {
        segment_bytes: 700,
        index_interval_bytes: 100,
        file_delete_delay_ms: 0,
        compact: true,
        delete: false,
        ..Config::default()
    }
}

fn workshop() -> Workshop {
    Workshop::new(4096, MapLimits::default())
}

impl Case {
    fn new(seed: u64, config: Config) -> Case {
        let world = World::new(seed);
        let reactor = world.shard(0);
        let dir = PathBuf::from("/data/orders-0");
        reactor.create_dir_all(Path::new("/data")).expect("made");
        world.run(reactor.sync_dir(Path::new("/"))).expect("synced");
        let fence = Fence::new();
        let log = Log::create(&reactor, &fence, dir.clone(), TOPIC_ID, config.clone());
        let shared = Shared {
            log: Rc::new(RefCell::new(Some(log.expect("made")))),
            last: LastBatches::new(),
            steps: Rc::default(),
        };
        let case = Case {
            world,
            reactor,
            fence,
            dir,
            config,
            shared,
            workshop: workshop(),
            written: Vec::new(),
        };
        // A topic is made durable before it is known.
        case.sync_all();
        case
    }

    /// Syncs what there is, though it be nothing but names.
    fn sync_all(&self) {
        self.world.run(async {
            let ticket = self.log(Log::sync_ticket).expect("a ticket");
            let outcome = ticket.sync(&self.reactor).await;
            self.log(|log| log.synced(&ticket, outcome))
                .expect("synced");
        });
        self.sync();
    }

    fn log<R>(&self, look: impl FnOnce(&mut Log) -> R) -> R {
        look(self.shared.log.borrow_mut().as_mut().expect("open"))
    }

    /// Appends one batch.
    fn append(&mut self, pairs: &[Pair], codec: &str) {
        let base = self.written.len() as i64;
        let mut builder = BatchBuilder::new();
        for (at, (key, value)) in pairs.iter().enumerate() {
            let row = Row {
                offset: base + at as i64,
                timestamp_ms: 1_000_000 + base + at as i64,
                key: Some(key.as_bytes().to_vec()),
                value: value.as_ref().map(|value| value.clone().into_bytes()),
            };
            builder
                .append(
                    row.timestamp_ms,
                    row.key.as_deref(),
                    row.value.as_deref(),
                    &[],
                )
                .expect("small");
            self.written.push(row);
        }
        let mut bytes = Vec::new();
        builder
            .finish(
                &mut Compressor::new(),
                &codec.parse().expect("a codec"),
                &mut bytes,
            )
            .expect("made");
        self.log(|log| append(log, &bytes)).expect("appended");
    }

    /// Appends `count` batches of two records each, with keys that come again and again.
    fn fill(&mut self, count: usize) {
        for at in self.written.len()..self.written.len() + count {
            let keys = ["a", "b", "c", "d", "e", "f", "g"];
            let (one, two) = (keys[at % 7], keys[at * 3 % 5]);
            let value = |key: &str| format!("{key}{at} {}", "x".repeat(at % 60));
            let second = (at % 4 != 1).then(|| value(two));
            self.append(&[(one, Some(value(one))), (two, second)], CODECS[at % 5]);
        }
    }

    fn try_sync(&self) -> Result<(), Error> {
        let mut log = self.shared.log.borrow_mut();
        let log = log.as_mut().expect("open");
        self.world.run(sync(&self.reactor, log))
    }

    fn sync(&self) {
        self.try_sync().expect("synced");
    }

    /// Makes everything durable and the recovery point known.
    fn checkpoint(&self) {
        self.sync();
        self.log(|log| log.checkpointed(log.durable_offset()));
    }

    fn dirt(&self) -> Dirt {
        self.log(|log| log.dirt(self.reactor.unix_ms(), log.end_offset()))
            .expect("readable")
            .expect("compacted")
    }

    fn try_clean(&mut self) -> Result<Option<Cleaned>, Error> {
        let dirt = self.dirt();
        let now_ms = self.reactor.unix_ms();
        self.world.run(clean(
            &self.reactor,
            &self.shared,
            &mut self.workshop,
            &dirt,
            Pace::default(),
            now_ms,
        ))
    }

    fn clean(&mut self) -> Cleaned {
        self.try_clean().expect("no fault here").expect("cleaned")
    }

    fn crash(&mut self, crash: Crash) {
        drop(self.shared.log.borrow_mut().take());
        self.world.disk().heal();
        self.world.crash(crash);
        self.reactor = self.world.shard(0);
        self.fence = Fence::new();
        self.workshop = workshop();
        *self.shared.steps.borrow_mut() = None;
    }

    fn open(&mut self, opening: Opening) -> Recovered {
        let (log, report) = Log::open(
            &self.reactor,
            &self.fence,
            self.dir.clone(),
            self.config.clone(),
            opening,
        )
        .expect("it opens");
        *self.shared.log.borrow_mut() = Some(log);
        report
    }

    /// Everything that can be read, `bytes_max` at a time.
    fn rows(&self, bytes_max: u32) -> Vec<Row> {
        self.log(|log| {
            let mut rows = Vec::new();
            let (mut next, end) = (log.start_offset(), log.end_offset());
            while next < end {
                let ranges = log.read(next, end, bytes_max, true).expect("readable");
                assert!(
                    ranges.bytes > 0,
                    "a reader below the end is given something"
                );
                rows.extend(rows_of(&bytes_of(&ranges)));
                next = ranges.next;
            }
            rows
        })
    }

    fn names(&self) -> Vec<String> {
        let entries = self.reactor.list(&self.dir).expect("listed");
        entries
            .into_iter()
            .map(|entry| entry.name.into_string().expect("text"))
            .collect()
    }

    /// What must hold whatever was cleaned: rows are those written, in their order, and of each key the last is there;
    /// a tombstone may be gone if nothing older of its key is there.
    fn check(&self) {
        let rows = self.rows(10_000);
        let mut last: BTreeMap<&[u8], &Row> = BTreeMap::new();
        for row in &self.written {
            last.insert(row.key.as_deref().expect("keyed"), row);
        }
        let mut found: BTreeMap<&[u8], &Row> = BTreeMap::new();
        let mut before = -1;
        for row in &rows {
            assert!(row.offset > before, "offsets rise");
            before = row.offset;
            assert_eq!(row, &self.written[row.offset as usize]);
            found.insert(row.key.as_deref().expect("keyed"), row);
        }
        for (key, row) in last {
            match found.get(key) {
                Some(there) => assert_eq!(*there, row, "the last of its key"),
                None => assert_eq!(row.value, None, "only a tombstone may be gone"),
            }
        }
        for bytes_max in [1, 300] {
            assert_eq!(self.rows(bytes_max), rows);
        }
        // Any offset leads to the batch that holds it, or to the next there is.
        self.log(|log| {
            for from in 0..log.end_offset().get() {
                let wanted = Offset::new(from);
                let ranges = log
                    .read(wanted, log.end_offset(), 1, true)
                    .expect("readable");
                let bytes = bytes_of(&ranges);
                let header = batches(&bytes).next().expect("one").expect("sound");
                assert!(header.header().last_offset() >= wanted);
                let skipped = from..header.header().base_offset().get();
                assert!(!rows.iter().any(|row| skipped.contains(&row.offset)));
            }
        });
    }

    /// Of the records below `upper` the last of each key, and no other.
    fn check_clean_below(&self, upper: Offset) {
        let mut last = BTreeMap::new();
        for row in self.written.iter().take(upper.get() as usize) {
            last.insert(row.key.clone(), row.offset);
        }
        let mut wanted: Vec<i64> = last.into_values().collect();
        wanted.sort_unstable();
        let found: Vec<i64> = self
            .rows(10_000)
            .iter()
            .map(|row| row.offset)
            .filter(|offset| *offset < upper.get())
            .collect();
        assert_eq!(found, wanted);
    }
}

fn rows_of(bytes: &[u8]) -> Vec<Row> {
    let mut rows = Vec::new();
    for batch in batches(bytes) {
        let batch: Batch<'_> = batch.expect("whole, sound batches");
        let mut plain = Vec::new();
        let records = Records::of(
            &batch,
            &mut plain,
            &mut Decompressor::new(),
            Limits::default(),
        );
        for record in records.expect("it decompresses") {
            let record = record.expect("a sound record");
            rows.push(Row {
                offset: record.offset.get(),
                timestamp_ms: record.timestamp_ms,
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
            });
        }
    }
    rows
}

#[test]
fn of_each_key_the_last_record_stays_in_every_codec() {
    let mut case = Case::new(1, compacted());
    case.fill(60);
    case.checkpoint();
    let (upper, segments) = (case.dirt().upper, case.log(|log| log.segment_count()));
    assert!(segments > 5 && upper == case.log(|log| log.active_base()));
    let cleaned = case.clean();
    assert_eq!((cleaned.from, cleaned.to), (Offset::ZERO, upper));
    assert_eq!(cleaned.segments, segments - 1);
    assert_eq!(cleaned.records_read, upper.get() as u64);
    assert_eq!(cleaned.keys, 7);
    assert!(cleaned.bytes_kept < cleaned.bytes_read / 3);
    case.check();
    case.check_clean_below(upper);
    assert_eq!(case.dirt().dirty_bytes, 0);
    assert!(case.try_clean().expect("no fault").is_none());
    // What has shrunk is put together the next time.
    case.fill(10);
    case.checkpoint();
    let cleaned = case.clean();
    assert!(
        cleaned.segments_written < cleaned.segments / 2,
        "{cleaned:?}"
    );
}

#[test]
fn what_was_written_since_is_cleaned_together_with_what_was_clean() {
    let mut case = Case::new(2, compacted());
    for _ in 0..6 {
        case.fill(25);
        case.checkpoint();
        let upper = case.dirt().upper;
        let first_dirty = case.dirt().first_dirty;
        let cleaned = case.clean();
        assert_eq!((cleaned.from, cleaned.to), (first_dirty, upper));
        case.check();
        case.check_clean_below(upper);
    }
}

#[test]
fn a_log_that_was_cleaned_opens_again_after_a_stop_and_after_a_crash() {
    for is_clean in [true, false] {
        let mut case = Case::new(3, compacted());
        case.fill(60);
        case.checkpoint();
        case.clean();
        let point = case.log(|log| log.durable_offset());
        let rows = case.rows(10_000);
        case.fill(3);
        let names = case.names();
        assert!(
            !names
                .iter()
                .any(|name| name.ends_with(".cleaned") || name.ends_with(".swap")),
            "{names:?}"
        );
        if is_clean {
            let log = case.shared.log.borrow_mut().take().expect("open");
            let end = case.world.run(close(&case.reactor, log));
            case.world.restart();
            case.reactor = case.world.shard(0);
            let report = case.open(clean_at(end));
            assert_eq!((report.segments_scanned, report.indexes_rebuilt), (0, 0));
        } else {
            case.crash(Crash::LoseUnsynced);
            case.written.truncate(point.get() as usize);
            let report = case.open(unclean(point));
            assert_eq!((report.bytes_cut, report.lost), (0, None));
            assert_eq!(case.rows(10_000), rows);
        }
        case.check();
    }
}

fn clean_at(end: Offset) -> Opening {
    common::clean(end)
}

#[test]
fn what_recovery_may_have_to_look_at_is_not_cleaned() {
    let mut case = Case::new(4, compacted());
    case.fill(30);
    case.sync();
    let dirt = case.dirt();
    assert!(dirt.awaits_checkpoint && dirt.is_due());
    assert_eq!(dirt.upper, Offset::ZERO);
    assert!(case.try_clean().expect("no fault").is_none());
    case.log(|log| log.checkpointed(Offset::new(20)));
    let dirt = case.dirt();
    assert!(dirt.awaits_checkpoint && dirt.upper <= Offset::new(20) && dirt.upper > Offset::ZERO);
    case.checkpoint();
    assert!(!case.dirt().awaits_checkpoint);
}

#[test]
fn a_map_that_is_too_small_cleans_in_pieces() {
    let mut case = Case::new(5, compacted());
    case.workshop = Workshop::new(
        4096,
        MapLimits {
            bytes_max: 0,
            load_percent: 1,
        },
    );
    for at in 0..120usize {
        let key: &'static str = Box::leak(format!("key {}", at % 31).into_boxed_str());
        case.append(&[(key, Some(format!("{at}")))], CODECS[at % 5]);
    }
    case.checkpoint();
    let upper = case.dirt().upper;
    let (mut pieces, mut to) = (0, Offset::ZERO);
    while to < upper {
        let cleaned = case.clean();
        assert_eq!(cleaned.from, to);
        assert!(
            cleaned.keys <= 10 && cleaned.to > to,
            "every piece gets further"
        );
        to = cleaned.to;
        case.check();
        pieces += 1;
    }
    assert!(pieces > 4);
    case.check_clean_below(upper);
}

#[test]
fn a_tombstone_stays_for_its_term_and_then_goes() {
    let config = Config {
        delete_retention_ms: 60_000,
        ..compacted()
    };
    let mut case = Case::new(6, config);
    let filler = |case: &mut Case| {
        for at in 0..12 {
            case.append(
                &[("other", Some(format!("{at}{}", "x".repeat(90))))],
                "none",
            );
        }
        case.checkpoint();
    };
    case.append(&[("gone", Some("soon".to_owned()))], "none");
    case.append(&[("stays", Some("here".to_owned())), ("gone", None)], "lz4");
    filler(&mut case);
    case.clean();
    let keyed = |case: &Case, key: &str| {
        let rows = case.rows(10_000);
        rows.into_iter()
            .find(|row| row.key.as_deref() == Some(key.as_bytes()))
    };
    let tombstone = case.written[2].clone();
    assert_eq!(keyed(&case, "gone"), Some(tombstone.clone()));
    let horizon = case.log(|log| {
        let header = log.header_at(Offset::new(1)).expect("readable");
        header.and_then(|header| header.delete_horizon_ms())
    });
    let now_ms = case.reactor.unix_ms();
    assert!(horizon.is_some_and(|horizon| (now_ms + 59_000..=now_ms + 60_000).contains(&horizon)));

    // The term counts from the first cleaning; the second changes nothing.
    case.world.run(case.reactor.sleep(Duration::from_secs(30)));
    filler(&mut case);
    case.clean();
    assert_eq!(keyed(&case, "gone"), Some(tombstone));
    case.world.run(case.reactor.sleep(Duration::from_secs(31)));
    filler(&mut case);
    case.clean();
    assert_eq!(keyed(&case, "gone"), None);
    assert_eq!(keyed(&case, "stays"), Some(case.written[1].clone()));
    case.check();
}

#[test]
fn a_reader_that_holds_the_old_segments_reads_on() {
    let mut case = Case::new(7, compacted());
    case.fill(40);
    case.checkpoint();
    let before = case.log(|log| {
        log.read(Offset::ZERO, log.end_offset(), 1_500, true)
            .expect("readable")
    });
    let (bytes, next) = (bytes_of(&before), before.next);
    case.clean();
    case.log(|log| log.retain(0, log.end_offset()))
        .expect("kept house");
    assert_eq!(bytes_of(&before), bytes, "whatever was swapped or removed");
    let after = case.log(|log| {
        log.read(next, log.end_offset(), 10_000, true)
            .expect("readable")
    });
    let rest = rows_of(&bytes_of(&after));
    assert!(rest.iter().all(|row| row.offset >= next.get()));
}

#[test]
fn a_cleaning_that_is_given_up_at_any_step_leaves_the_log_whole() {
    for steps in 0.. {
        let mut case = Case::new(8, compacted());
        case.fill(30);
        case.checkpoint();
        *case.shared.steps.borrow_mut() = Some(steps);
        let done = case.try_clean().expect("no fault");
        *case.shared.steps.borrow_mut() = None;
        case.check();
        if done.is_some() {
            assert!(steps > 20, "{steps}");
            break;
        }
        case.clean();
        case.check();
        let names = case.names();
        assert!(
            !names.iter().any(|name| name.ends_with(".cleaned")),
            "{names:?}"
        );
    }
}

#[test]
fn retention_meanwhile_makes_a_cleaning_give_up() {
    let mut case = Case::new(
        9,
        Config {
            delete: true,
            retention_bytes: 1_500,
            retention_ms: -1,
            ..compacted()
        },
    );
    case.fill(40);
    case.checkpoint();
    let dirt = case.dirt();
    let (shared, reactor) = (case.shared.clone(), case.reactor.clone());
    let mut workshop = workshop();
    let cleaned = case.world.run(async {
        let other = shared.clone();
        let beside = reactor.clone();
        let retained = reactor.spawn(async move {
            beside.sleep(Duration::from_micros(300)).await;
            let deleted = other.with(|log| log.retain(0, log.end_offset()));
            deleted.expect("open").expect("kept house").len()
        });
        let cleaned = clean(&reactor, &shared, &mut workshop, &dirt, Pace::default(), 0).await;
        assert!(retained.await > 3);
        cleaned
    });
    assert!(cleaned.expect("no fault").is_none());
    let start = case.log(|log| log.start_offset());
    assert!(
        case.rows(10_000)
            .first()
            .is_some_and(|row| row.offset >= start.get())
    );
    assert_eq!(case.dirt().first_dirty, start);
    let cleaned = case.clean();
    assert_eq!(cleaned.from, start);
}

#[test]
fn a_full_device_ends_a_cleaning_and_a_later_one_goes_through() {
    for nth in 1..12 {
        for operation in [Operation::Write, Operation::Create, Operation::Rename] {
            let mut case = Case::new(10, compacted());
            case.fill(30);
            case.checkpoint();
            case.world.disk().fail(operation, nth, ENOSPC);
            let failed = case.try_clean();
            case.world.disk().heal();
            if case.fence.is_raised() {
                assert!(matches!(failed, Err(Error::Fenced { .. })), "{failed:?}");
                assert_eq!(operation, Operation::Rename, "a torn swap, and only that");
                let point = case.log(|log| log.durable_offset());
                case.crash(Crash::KeepAll);
                case.open(unclean(point));
            } else if failed.is_err() {
                assert!(matches!(failed, Err(Error::Full { .. })), "{failed:?}");
            }
            case.check();
            case.checkpoint();
            while case.try_clean().expect("there is room again").is_some() {}
            case.check();
            let upper = case.dirt().upper;
            case.check_clean_below(upper);
        }
    }
}

#[test]
fn a_failed_sync_of_what_was_cleaned_fences_and_nothing_is_lost() {
    for operation in [Operation::Sync, Operation::SyncDir, Operation::Write] {
        for nth in 1..5 {
            let mut case = Case::new(11, compacted());
            case.fill(30);
            case.checkpoint();
            let point = case.log(|log| log.durable_offset());
            case.world.disk().fail(operation, nth, EIO);
            let failed = case.try_clean();
            if failed.is_ok() {
                continue;
            }
            assert!(case.fence.is_raised(), "{operation:?} {nth}: {failed:?}");
            case.crash(Crash::LoseUnsynced);
            let report = case.open(unclean(point));
            assert_eq!((report.lost, report.bytes_cut), (None, 0));
            case.check();
        }
    }
}

#[test]
fn a_damaged_batch_makes_the_log_uncleanable_and_is_left_where_it_is() {
    let mut case = Case::new(12, compacted());
    case.fill(30);
    case.checkpoint();
    let before = case.names();
    let name = "00000000000000000000.log";
    let path = case.dir.join(name);
    case.world.disk().flip(&path, 100, 0x10).expect("flipped");
    let failed = case.try_clean().expect_err("it is damaged");
    assert!(matches!(failed, Error::Corrupt { .. }), "{failed}");
    assert!(!case.fence.is_raised());
    assert_eq!(case.names(), before);
}

/// The power goes at every step of a cleaning, in every way.
#[test]
fn whenever_the_power_goes_the_last_value_of_every_key_is_there() {
    let crashes = [
        Crash::KeepAll,
        Crash::LoseUnsynced,
        Crash::KeepPrefix,
        Crash::KeepRandom,
    ];
    let operations = [
        Operation::Create,
        Operation::Write,
        Operation::Sync,
        Operation::Rename,
        Operation::SyncDir,
        Operation::Remove,
    ];
    let mut died = 0;
    for (kind, crash) in crashes.into_iter().enumerate() {
        for operation in operations {
            for nth in 1.. {
                let mut case = Case::new(100 + kind as u64 * 1000 + nth, compacted());
                case.fill(24);
                case.checkpoint();
                let point = case.log(|log| log.durable_offset());
                case.fill(2);
                case.world.disk().die_at(operation, nth);
                let cleaned = case.try_clean();
                case.crash(crash);
                let report = case.open(unclean(point));
                assert_eq!(report.lost, None, "{crash:?} at {operation:?} {nth}");
                let end = case.log(|log| log.end_offset());
                assert!(end >= point);
                case.written.truncate(end.get() as usize);
                case.check();
                let names = case.names();
                let is_left = |name: &String| name.ends_with(".cleaned") || name.ends_with(".swap");
                assert!(!names.iter().any(is_left), "{names:?}");
                // And it can be cleaned to the end now.
                case.checkpoint();
                while case.try_clean().expect("no fault").is_some() {}
                case.check();
                if cleaned.is_ok() {
                    break;
                }
                died += 1;
            }
        }
    }
    assert!(died > 60, "{died}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Random writes, cleanings, crashes and restarts against the list of what was written.
    #[test]
    fn a_compacted_log_is_the_map_of_its_keys(
        seed in any::<u64>(),
        steps in prop::collection::vec((0u8..10, prop::collection::vec((0usize..9, any::<bool>(), 0usize..80), 1..5), 0usize..5), 1..60),
        // The largest batch, of four records of ninety bytes, fits into a segment.
        segment_bytes in 450u32..2_000,
        delete_retention_ms in 0i64..50,
    ) {
        const KEYS: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", ""];
        let config = Config { segment_bytes, delete_retention_ms, ..compacted() };
        let mut case = Case::new(seed, config);
        // Of a compacted log of which nothing at all is known, a gap in what was never acknowledged is no news.
        case.append(&[("a", Some("first".to_owned()))], "none");
        case.checkpoint();
        let mut point = case.log(|log| log.durable_offset());
        for (step, pairs, codec) in steps {
            match step {
                0..6 => {
                    let pairs: Vec<Pair> = pairs
                        .iter()
                        .map(|(key, lives, bytes)| (KEYS[*key], lives.then(|| "v".repeat(*bytes))))
                        .collect();
                    case.append(&pairs, CODECS[codec]);
                }
                6 => {
                    case.checkpoint();
                    point = case.log(|log| log.durable_offset());
                }
                7 | 8 => {
                    let dirt = case.dirt();
                    let cleaned = case.try_clean().expect("no fault");
                    prop_assert_eq!(cleaned.is_some(), dirt.upper > dirt.first_dirty);
                }
                _ => {
                    let crash = [Crash::KeepAll, Crash::LoseUnsynced, Crash::KeepPrefix, Crash::KeepRandom][codec % 4];
                    case.crash(crash);
                    case.open(unclean(point));
                    let end = case.log(|log| log.end_offset());
                    prop_assert!(end >= point);
                    case.written.truncate(end.get() as usize);
                    case.sync_all();
                }
            }
            case.check();
        }
    }
}
