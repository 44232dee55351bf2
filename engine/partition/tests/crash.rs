//! Whatever ends the process, and whenever: what was acknowledged is there, once, in order.

mod common;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use common::*;
use highwater_partition::{Admission, Config, Durability, Fetch, Partition};
use highwater_reactor::Reactor;
use highwater_reactor::local::join_all;
use highwater_reactor::sim::Crash;
use highwater_record::Offset;

const PRODUCERS: i64 = 4;
/// Requests a producer has in flight.
const IN_FLIGHT: usize = 5;

/// A batch some producer sent, and where it was acknowledged.
#[derive(Debug, Clone)]
struct Sent {
    wanted: Wanted,
    acknowledged: Option<Offset>,
}

/// What the clients remember of it all; they live on when the broker does not.
#[derive(Debug, Default)]
struct Clients {
    sent: BTreeMap<i64, Vec<Sent>>,
    /// What a consumer has seen, by offset.
    seen: BTreeMap<i64, Row>,
}

type Shared = Rc<RefCell<Clients>>;

/// A batch whose records say who sent them, and as which.
fn batch(reactor: &Reactor, producer_id: i64, sequence: i32) -> Wanted {
    let count = 1 + reactor.random_u64() % 4;
    let mut wanted = records(usize::try_from(count).expect("small"), 0, reactor.unix_ms()).from(
        producer_id,
        0,
        sequence,
    );
    for (index, value) in (0i64..).zip(wanted.values.iter_mut()) {
        let filler = reactor.random_u64() % 300;
        *value = format!("{producer_id}:{}:", i64::from(sequence) + index).into_bytes();
        value.resize(value.len() + usize::try_from(filler).expect("small"), b'.');
    }
    wanted
}

/// Sends what was not acknowledged before, then more, with up to five batches in flight, until the world ends.
async fn producing(partition: Partition, reactor: Reactor, clients: Shared, producer_id: i64) {
    let mut next = clients.borrow().sent.get(&producer_id).map_or(0, |sent| {
        sent.iter()
            .take_while(|sent| sent.acknowledged.is_some())
            .count()
    });
    loop {
        let mut ends = Vec::new();
        for at in next..next + IN_FLIGHT {
            let wanted = {
                let mut clients = clients.borrow_mut();
                let sent = clients.sent.entry(producer_id).or_default();
                if at == sent.len() {
                    let sequence = sent
                        .last()
                        .and_then(|last| {
                            Some(
                                last.wanted.from?.2
                                    + i32::try_from(last.wanted.values.len()).ok()?,
                            )
                        })
                        .unwrap_or(0);
                    let wanted = batch(&reactor, producer_id, sequence);
                    sent.push(Sent {
                        wanted,
                        acknowledged: None,
                    });
                }
                sent[at].wanted.clone()
            };
            let admission = produce(&partition, &wanted).expect("in sequence");
            ends.push((at, admission));
            if reactor.random_u64().is_multiple_of(2) {
                reactor
                    .sleep(Duration::from_micros(reactor.random_u64() % 500))
                    .await;
            }
        }
        for (at, admission) in ends {
            partition
                .committed(admission.end())
                .await
                .expect("no fault here");
            let mut clients = clients.borrow_mut();
            let sent = &mut clients.sent.get_mut(&producer_id).expect("sent")[at];
            if let Some(before) = sent.acknowledged {
                assert_eq!(
                    before,
                    admission.base(),
                    "acknowledged twice, at two places"
                );
            }
            sent.acknowledged = Some(admission.base());
        }
        next += IN_FLIGHT;
    }
}

/// Reads as fast as it can, and remembers.
async fn consuming(partition: Partition, clients: Shared) {
    let mut from = Offset::ZERO;
    loop {
        partition.watch(from).await;
        let plan = partition
            .plan_fetch(&Fetch::new(from, 5000))
            .expect("a plan");
        for row in rows(&run(&plan)) {
            assert!(row.0 < plan.high_watermark.get());
            from = Offset::new(row.0 + 1);
            clients.borrow_mut().seen.insert(row.0, row);
        }
    }
}

/// Checks a log against what the clients know. Returns how many records it has.
fn check(partition: &Partition, clients: &Clients, survives: bool) -> usize {
    let log = read_all(partition);
    assert_eq!(
        offsets(&log),
        (0..partition.log_end().get()).collect::<Vec<_>>(),
        "no gap"
    );
    // Each record once, each producer's in order.
    let mut next = BTreeMap::new();
    for row in &log {
        let value = String::from_utf8_lossy(row.3.as_deref().expect("a value")).into_owned();
        let mut parts = value.split(':');
        let producer_id: i64 = parts.next().expect("id").parse().expect("id");
        let sequence: i64 = parts.next().expect("sequence").parse().expect("sequence");
        let expected = next.entry(producer_id).or_insert(0);
        assert_eq!(
            sequence, *expected,
            "producer {producer_id} at offset {}",
            row.0
        );
        *expected += 1;
    }
    if survives {
        for sent in clients.sent.values().flatten() {
            let Some(base) = sent.acknowledged else {
                continue;
            };
            let first = usize::try_from(base.get()).expect("an offset");
            for (index, value) in sent.wanted.values.iter().enumerate() {
                let row = log.get(first + index).expect("acknowledged and lost");
                assert_eq!(
                    row.3.as_ref(),
                    Some(value),
                    "another record at offset {}",
                    row.0
                );
            }
        }
        for (offset, row) in &clients.seen {
            let index = usize::try_from(*offset).expect("an offset");
            assert_eq!(log.get(index), Some(row), "a consumer saw another record");
        }
    }
    log.len()
}

/// Several lives of a broker, each ended by `crash` at a moment of chance.
fn lives(seed: u64, config: &Config, crash: impl Fn(u64) -> Crash, survives: bool) {
    // Where nothing waits for the device, much happens in a short time.
    let life_us_max = if config.durability == Durability::Flushed {
        40_000
    } else {
        1_500
    };
    let bed = Bed::new(seed);
    let clients: Shared = Rc::default();
    let mut recovery_point = Offset::ZERO;
    for life in 0..4 {
        let host = bed.host();
        let partition = bed.world.run(async {
            if life == 0 {
                let partition = bed.create(&host, config.clone()).await;
                return partition;
            }
            let (partition, _) = bed.open(&host, config.clone(), recovery_point, false).await;
            partition
        });
        assert_eq!(partition.durable_end(), partition.log_end());
        check(&partition, &clients.borrow(), survives);
        if !survives {
            // Records are gone: the clients begin anew, with what the log still has.
            forget_lost(&partition, &clients);
        } else if life > 0 {
            repeat_the_last_five(&partition, &clients.borrow());
        }
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
            let until = Duration::from_micros(bed.reactor.random_u64() % life_us_max);
            let all = highwater_reactor::local::join(work, reading);
            let _ = bed.reactor.timeout(until, all).await;
        });
        // A checkpoint that is not newer than what is durable, as the broker writes it.
        if bed.reactor.random_u64().is_multiple_of(2) {
            recovery_point = partition.durable_end();
        }
        drop(partition);
        bed.world.crash(crash(bed.reactor.random_u64()));
    }
    let host = bed.host();
    bed.world.run(async {
        let (partition, _) = bed.open(&host, config.clone(), recovery_point, false).await;
        check(&partition, &clients.borrow(), survives);
        // A clean stop, and everything is as it was.
        let end = partition.close().await.expect("closed");
        drop(partition);
        let host = bed.host();
        let (partition, recovered) = bed.open(&host, config.clone(), end, true).await;
        assert_eq!(recovered.snapshot, Some(end));
        check(&partition, &clients.borrow(), survives);
        if survives {
            repeat_the_last_five(&partition, &clients.borrow());
        }
    });
}

/// A producer's last five batches in the log are recognised, however the broker ended: those that were acknowledged, at
/// their place.
fn repeat_the_last_five(partition: &Partition, clients: &Clients) {
    let before = partition.log_end();
    for sent in clients.sent.values() {
        let acknowledged: Vec<&Sent> = sent
            .iter()
            .filter(|sent| sent.acknowledged.is_some())
            .collect();
        // Batches after the last acknowledged one may be in the log too; the kept five are counted from there.
        let beyond = sent.len() - acknowledged.len();
        for sent in acknowledged
            .iter()
            .rev()
            .take(IN_FLIGHT.saturating_sub(beyond))
        {
            match produce(partition, &sent.wanted) {
                Ok(Admission::Repeated { base, .. }) => assert_eq!(Some(base), sent.acknowledged),
                other => panic!("not recognised: {other:?}"),
            }
        }
    }
    assert_eq!(partition.log_end(), before);
}

/// After a loss that the level allows, the clients take what is left for what was acknowledged.
fn forget_lost(partition: &Partition, clients: &Shared) {
    let log = read_all(partition);
    let mut clients = clients.borrow_mut();
    clients.seen.clear();
    for sent in clients.sent.values_mut() {
        sent.retain(|sent| {
            log.iter()
                .any(|row| row.3.as_ref() == sent.wanted.values.first())
        });
    }
}

#[test]
fn flushed_acknowledgements_survive_a_power_cut_at_any_moment() {
    for seed in 0..15 {
        let config = small_segments(flushed());
        lives(seed, &config, |_| Crash::LoseUnsynced, true);
        lives(seed, &config, |_| Crash::KeepRandom, true);
        lives(seed, &config, |_| Crash::KeepPrefix, true);
        lives(
            seed,
            &config,
            |chance| Crash::Torn {
                kept_bytes: chance % 700,
                length_kept: chance % 3 == 0,
            },
            true,
        );
    }
}

#[test]
fn written_acknowledgements_survive_the_end_of_the_process() {
    for seed in 0..40 {
        lives(seed, &small_segments(written()), |_| Crash::KeepAll, true);
    }
}

#[test]
fn written_loses_only_a_suffix_to_a_power_cut() {
    for seed in 0..20 {
        lives(
            seed,
            &small_segments(written()),
            |_| Crash::LoseUnsynced,
            false,
        );
        lives(
            seed,
            &small_segments(written()),
            |_| Crash::KeepRandom,
            false,
        );
    }
}
