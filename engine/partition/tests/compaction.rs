//! A partition that is cleaned while producers write, consumers read and the power goes: of each key the last acknowledged
//! record is there, and producers go on where they were.

mod common;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use common::*;
use highwater_log::compaction::{MapLimits, Pace, Workshop};
use highwater_partition::{Admission, Config, Fetch, Host, Partition};
use highwater_reactor::Reactor;
use highwater_reactor::local::{join, join_all};
use highwater_reactor::sim::Crash;
use highwater_record::{Codec, Offset};

const PRODUCERS: i64 = 3;
const CODECS: [Codec; 3] = [Codec::None, Codec::Lz4, Codec::Zstd];

fn compacted(config: Config) -> Config {
    let config = small_segments(config);
    let log = highwater_log::Config {
        segment_bytes: 2_000,
        compact: true,
        delete: false,
        min_cleanable_dirty_ratio: 0.2,
        file_delete_delay_ms: 1,
        ..config.log
    };
    Config { log, ..config }
}

fn workshop() -> Workshop {
    Workshop::new(4096, MapLimits::default())
}

/// Takes the durable end for written down.
fn checkpoint(partition: &Partition) -> Offset {
    let offered = partition.offer_recovery_point();
    partition.checkpoint_written();
    offered
}

async fn clean(partition: &Partition) -> bool {
    let Some(dirt) = partition.dirt() else {
        return false;
    };
    let mut workshop = workshop();
    let cleaned = partition.compact(&mut workshop, &dirt, Pace::default());
    cleaned.await.expect("no fault").is_some()
}

/// Batches of each producer in their order, and where they were acknowledged.
#[derive(Default)]
struct Clients {
    sent: BTreeMap<i64, Vec<(Wanted, Option<Offset>)>>,
    /// What a consumer saw, by offset.
    seen: BTreeMap<i64, Row>,
}

type Shared = Rc<RefCell<Clients>>;

async fn producing(partition: Partition, reactor: Reactor, clients: Shared, producer_id: i64) {
    loop {
        let wanted = {
            let mut clients = clients.borrow_mut();
            let sent = clients.sent.entry(producer_id).or_default();
            if sent.last().is_none_or(|(_, at)| at.is_some()) {
                let sequence: usize = sent.iter().map(|(wanted, _)| wanted.values.len()).sum();
                let sequence = i32::try_from(sequence).expect("small");
                let random = reactor.random_u64();
                let count = usize::try_from(1 + random % 5).expect("small");
                let codec = CODECS[usize::try_from(random / 8 % 3).expect("small")];
                let mut wanted = records(count, 0, reactor.unix_ms())
                    .from(producer_id, 0, sequence)
                    .packed(codec);
                for (index, value) in (0..).zip(wanted.values.iter_mut()) {
                    *value = format!("{producer_id}:{}:", sequence + index).into_bytes();
                    value.resize(value.len() + usize::from(random.to_le_bytes()[2]), b'.');
                }
                sent.push((wanted, None));
            }
            sent.last().expect("there is one").0.clone()
        };
        // Where nothing waits for the device, time would else stand still.
        let pause = reactor.random_u64() % 300;
        reactor.sleep(Duration::from_micros(pause)).await;
        let admission = produce(&partition, &wanted).expect("in sequence");
        if partition.committed(admission.end()).await.is_err() {
            return;
        }
        let mut clients = clients.borrow_mut();
        let last = clients.sent.get_mut(&producer_id).expect("sent").last_mut();
        last.expect("there is one").1 = Some(admission.base());
    }
}

async fn consuming(partition: Partition, clients: Shared) {
    let mut from = Offset::ZERO;
    loop {
        partition.watch(from).await;
        let plan = partition
            .plan_fetch(&Fetch::new(from, 1500))
            .expect("a plan");
        if from < plan.high_watermark {
            assert!(
                plan.bytes > 0,
                "a reader below the high watermark is given something"
            );
        }
        // A while later the segments may be others; the plan is as good.
        let bytes = run(&plan);
        for batch in highwater_record::batches(&bytes) {
            from = batch.expect("whole").header().next_offset();
        }
        for row in rows(&bytes) {
            let before = clients.borrow_mut().seen.insert(row.0, row.clone());
            assert!(
                before.is_none_or(|before| before == row),
                "an offset changed"
            );
        }
    }
}

/// Cleans whenever it can, with what the checkpoint would say.
async fn cleaning(
    partition: Partition,
    reactor: Reactor,
    point: Rc<Cell<Offset>>,
    cleaned: Rc<Cell<u32>>,
) {
    loop {
        point.set(checkpoint(&partition));
        if clean(&partition).await {
            cleaned.set(cleaned.get() + 1);
        }
        partition.tick();
        let pause = reactor.random_u64() % 3_000;
        reactor.sleep(Duration::from_micros(pause)).await;
    }
}

fn check(partition: &Partition, clients: &Clients) {
    let rows = read_all(partition);
    let mut acknowledged: BTreeMap<i64, (Vec<u8>, Vec<u8>)> = BTreeMap::new();
    for (wanted, at) in clients.sent.values().flatten() {
        let Some(base) = at else { continue };
        for (index, value) in (0..).zip(&wanted.values) {
            let key = format!("{index}").into_bytes();
            acknowledged.insert(base.get() + index, (key, value.clone()));
        }
    }
    let mut last: BTreeMap<&[u8], i64> = BTreeMap::new();
    for (offset, (key, _)) in &acknowledged {
        last.insert(key, *offset);
    }
    let mut found: BTreeMap<&[u8], i64> = BTreeMap::new();
    for row in &rows {
        let key = row.2.as_deref().expect("keyed");
        if let Some((wanted_key, wanted)) = acknowledged.get(&row.0) {
            assert_eq!(
                (key, row.3.as_deref()),
                (&wanted_key[..], Some(&wanted[..]))
            );
        }
        if let Some(seen) = clients.seen.get(&row.0) {
            assert_eq!(row, seen, "what a consumer saw at an offset stays");
        }
        found.insert(key, row.0);
    }
    for (key, offset) in last {
        assert!(
            found.get(key).is_some_and(|found| *found >= offset),
            "an acknowledged key is lost"
        );
    }
    // Whatever was cleaned away, a producer's last batch is known, and the next one goes in.
    for sent in clients.sent.values() {
        let Some((wanted, at)) = sent.iter().rfind(|(_, at)| at.is_some()) else {
            continue;
        };
        if sent.last().is_some_and(|(_, at)| at.is_some()) {
            match produce(partition, wanted) {
                Ok(Admission::Repeated { base, .. }) => assert_eq!(Some(base), *at),
                other => panic!("not recognised: {other:?}"),
            }
        }
    }
}

fn lives(seed: u64, config: &Config, crash: impl Fn(u64) -> Crash) -> u32 {
    let bed = Bed::new(seed);
    let clients: Shared = Rc::default();
    let point: Rc<Cell<Offset>> = Rc::default();
    let cleaned: Rc<Cell<u32>> = Rc::default();
    for life in 0..4 {
        let host = bed.host();
        let partition = bed.world.run(async {
            if life == 0 {
                return bed.create(&host, config.clone()).await;
            }
            let (partition, recovered) = bed.open(&host, config.clone(), point.get(), false).await;
            assert_eq!(recovered.log.lost, None);
            partition
        });
        check(&partition, &clients.borrow());
        bed.world.run(async {
            let work = join_all((0..PRODUCERS).map(|producer_id| {
                producing(
                    partition.clone(),
                    bed.reactor.clone(),
                    Rc::clone(&clients),
                    producer_id,
                )
            }));
            let reading = consuming(partition.clone(), Rc::clone(&clients));
            let keeping = cleaning(
                partition.clone(),
                bed.reactor.clone(),
                Rc::clone(&point),
                Rc::clone(&cleaned),
            );
            let until = Duration::from_micros(bed.reactor.random_u64() % 60_000);
            let all = join(join(work, reading), keeping);
            let _ = bed.reactor.timeout(until, all).await;
        });
        drop(partition);
        bed.world.crash(crash(bed.reactor.random_u64()));
    }
    let host = bed.host();
    bed.world.run(async {
        let (partition, _) = bed.open(&host, config.clone(), point.get(), false).await;
        check(&partition, &clients.borrow());
        let end = partition.close().await.expect("closed");
        let host = bed.host();
        let (partition, _) = bed.open(&host, config.clone(), end, true).await;
        check(&partition, &clients.borrow());
    });
    cleaned.get()
}

#[test]
fn the_last_acknowledged_record_of_each_key_survives_a_power_cut_while_cleaning() {
    let mut cleaned = 0;
    for seed in 0..12 {
        let config = compacted(flushed());
        cleaned += lives(seed, &config, |_| Crash::LoseUnsynced);
        cleaned += lives(seed, &config, |_| Crash::KeepRandom);
        cleaned += lives(seed, &config, |_| Crash::KeepPrefix);
        cleaned += lives(seed, &config, |chance| Crash::Torn {
            kept_bytes: chance % 700,
            length_kept: chance % 3 == 0,
        });
    }
    assert!(cleaned > 100, "{cleaned} cleanings");
}

#[test]
fn written_records_survive_the_end_of_the_process_while_cleaning() {
    let mut cleaned = 0;
    for seed in 0..8 {
        let config = Config {
            flush_messages: 30,
            ..compacted(written())
        };
        cleaned += lives(seed, &config, |_| Crash::KeepAll);
    }
    assert!(cleaned > 20, "{cleaned} cleanings");
}

/// Fills a few segments with one key, from one producer.
async fn fill(bed: &Bed, partition: &Partition, producer_id: i64, batches: i32, from: i32) {
    for sequence in from..from + batches {
        let wanted = records(1, 200, bed.now_ms()).from(producer_id, 0, sequence);
        let admission = place(partition, &wanted);
        partition.committed(admission.end()).await.expect("kept");
    }
}

#[test]
fn a_producer_goes_on_though_all_its_records_and_every_snapshot_are_gone() {
    let bed = Bed::new(1);
    let config = compacted(flushed());
    let host = bed.host();
    let point = bed.world.run(async {
        let partition = bed.create(&host, config.clone()).await;
        fill(&bed, &partition, 1, 3, 0).await;
        fill(&bed, &partition, 2, 40, 0).await;
        let point = checkpoint(&partition);
        assert!(clean(&partition).await);
        let rows = read_all(&partition);
        assert!(
            rows.iter().all(|row| row.0 > 2),
            "the records of the first are gone"
        );
        point
    });
    bed.world.restart();
    for entry in bed.reactor.list(&Bed::dir()).expect("listed") {
        let path = Bed::dir().join(&entry.name);
        if path.to_string_lossy().ends_with(".snapshot") {
            bed.reactor.remove_file(&path).expect("removed");
        }
    }
    let host: Host = bed.host();
    bed.world.run(async {
        let (partition, recovered) = bed.open(&host, config, point, false).await;
        assert_eq!((recovered.snapshot, recovered.producers), (None, 2));
        let again = place(&partition, &records(1, 200, 0).from(1, 0, 2));
        assert!(matches!(again, Admission::Repeated { base, .. } if base == Offset::new(2)));
        fill(&bed, &partition, 1, 1, 3).await;
    });
}

#[test]
fn what_the_checkpoint_does_not_cover_is_not_cleaned() {
    let bed = Bed::new(2);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, compacted(flushed())).await;
        fill(&bed, &partition, 1, 20, 0).await;
        let dirt = partition.dirt().expect("compacted");
        assert!(dirt.is_due() && dirt.awaits_checkpoint);
        assert!(!clean(&partition).await);
        // Offered is not written.
        partition.offer_recovery_point();
        assert!(!clean(&partition).await);
        partition.checkpoint_written();
        assert!(clean(&partition).await);
        assert_eq!(partition.cleaned_offset(), Some(dirt_upper(&partition)));
    });
}

fn dirt_upper(partition: &Partition) -> Offset {
    partition.dirt().expect("compacted").upper
}

#[test]
fn a_partition_that_is_closed_deleted_or_no_longer_compacted_gives_its_cleaning_up() {
    for (seed, end) in (3..).zip(["close", "delete", "reconfigure"]) {
        let bed = Bed::new(seed);
        let host = bed.host();
        bed.world.run(async {
            let partition = bed.create(&host, compacted(flushed())).await;
            fill(&bed, &partition, 1, 60, 0).await;
            checkpoint(&partition);
            let other = partition.clone();
            let reactor = bed.reactor.clone();
            let ending = async move {
                reactor.sleep(Duration::from_micros(400)).await;
                match end {
                    "close" => drop(other.close().await.expect("closed")),
                    "delete" => drop(other.delete().expect("deleted")),
                    _ => other.reconfigure(flushed()),
                }
            };
            let (cleaned, ()) = join(clean(&partition), ending).await;
            assert!(!cleaned, "{end}");
            assert!(partition.dirt().is_none());
        });
    }
}

#[test]
fn damage_stops_the_cleaning_of_its_partition_and_nothing_else() {
    let bed = Bed::new(6);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, compacted(flushed())).await;
        fill(&bed, &partition, 1, 20, 0).await;
        checkpoint(&partition);
        let path = Bed::dir().join("00000000000000000000.log");
        bed.world.disk().flip(&path, 200, 1).expect("flipped");
        let dirt = partition.dirt().expect("compacted");
        let mut workshop = workshop();
        let cleaned = partition.compact(&mut workshop, &dirt, Pace::default());
        assert!(cleaned.await.is_err());
        assert!(partition.is_uncleanable() && partition.dirt().is_none());
        assert!(!partition.is_fenced());
        fill(&bed, &partition, 1, 1, 20).await;
    });
}
