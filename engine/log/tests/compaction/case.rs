//! A log of the simulated world under cleaning, and what must hold of it whatever was cleaned.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use highwater_log::compaction::{
    Access, Cleaned, Dirt, LastBatches, MapLimits, Pace, Workshop, clean,
};
use highwater_log::{Config, Error, Fence, Log, Opening, Recovered};
use highwater_reactor::Reactor;
use highwater_reactor::sim::{Crash, World};
use highwater_record::{
    Batch, BatchBuilder, Compressor, Decompressor, Limits, Offset, Records, batches,
};

use crate::common::*;

pub(crate) const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// What a reader sees of a record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
}

pub(crate) type Pair = (&'static str, Option<String>);

/// A log that a cleaning and a test share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) log: Rc<RefCell<Option<Log>>>,
    pub(crate) last: LastBatches,
    /// Steps after which it is not to be cleaned any more.
    pub(crate) steps: Rc<RefCell<Option<u32>>>,
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

pub(crate) struct Case {
    pub(crate) world: World,
    pub(crate) reactor: Reactor,
    pub(crate) fence: Fence,
    pub(crate) dir: PathBuf,
    pub(crate) config: Config,
    pub(crate) shared: Shared,
    pub(crate) workshop: Workshop,
    /// Every record ever written.
    pub(crate) written: Vec<Row>,
}

pub(crate) fn compacted() -> Config {
    Config {
        segment_bytes: 700,
        index_interval_bytes: 100,
        file_delete_delay_ms: 0,
        compact: true,
        delete: false,
        ..Config::default()
    }
}

pub(crate) fn workshop() -> Workshop {
    Workshop::new(4096, MapLimits::default())
}

impl Case {
    pub(crate) fn new(seed: u64, config: Config) -> Case {
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
    pub(crate) fn sync_all(&self) {
        self.world.run(async {
            let ticket = self.log(Log::sync_ticket).expect("a ticket");
            let outcome = ticket.sync(&self.reactor).await;
            self.log(|log| log.synced(&ticket, outcome))
                .expect("synced");
        });
        self.sync();
    }

    pub(crate) fn log<R>(&self, look: impl FnOnce(&mut Log) -> R) -> R {
        look(self.shared.log.borrow_mut().as_mut().expect("open"))
    }

    /// Appends one batch.
    pub(crate) fn append(&mut self, pairs: &[Pair], codec: &str) {
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
    pub(crate) fn fill(&mut self, count: usize) {
        for at in self.written.len()..self.written.len() + count {
            let keys = ["a", "b", "c", "d", "e", "f", "g"];
            let (one, two) = (keys[at % 7], keys[at * 3 % 5]);
            let value = |key: &str| format!("{key}{at} {}", "x".repeat(at % 60));
            let second = (at % 4 != 1).then(|| value(two));
            self.append(&[(one, Some(value(one))), (two, second)], CODECS[at % 5]);
        }
    }

    pub(crate) fn try_sync(&self) -> Result<(), Error> {
        let mut log = self.shared.log.borrow_mut();
        let log = log.as_mut().expect("open");
        self.world.run(sync(&self.reactor, log))
    }

    pub(crate) fn sync(&self) {
        self.try_sync().expect("synced");
    }

    /// Makes everything durable and the recovery point known.
    pub(crate) fn checkpoint(&self) {
        self.sync();
        self.log(|log| log.checkpointed(log.durable_offset()));
    }

    pub(crate) fn dirt(&self) -> Dirt {
        self.log(|log| log.dirt(self.reactor.unix_ms(), log.end_offset()))
            .expect("readable")
            .expect("compacted")
    }

    pub(crate) fn try_clean(&mut self) -> Result<Option<Cleaned>, Error> {
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

    pub(crate) fn clean(&mut self) -> Cleaned {
        self.try_clean().expect("no fault here").expect("cleaned")
    }

    pub(crate) fn crash(&mut self, crash: Crash) {
        drop(self.shared.log.borrow_mut().take());
        self.world.disk().heal();
        self.world.crash(crash);
        self.reactor = self.world.shard(0);
        self.fence = Fence::new();
        self.workshop = workshop();
        *self.shared.steps.borrow_mut() = None;
    }

    pub(crate) fn open(&mut self, opening: Opening) -> Recovered {
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
    pub(crate) fn rows(&self, bytes_max: u32) -> Vec<Row> {
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

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = self.reactor.list(&self.dir).expect("listed");
        entries
            .into_iter()
            .map(|entry| entry.name.into_string().expect("text"))
            .collect()
    }

    /// What must hold whatever was cleaned: rows are those written, in their order, and of each key the last is there;
    /// a tombstone may be gone if nothing older of its key is there.
    pub(crate) fn check(&self) {
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
    pub(crate) fn check_clean_below(&self, upper: Offset) {
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

pub(crate) fn rows_of(bytes: &[u8]) -> Vec<Row> {
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
