//! What readers get, and when they are woken.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use common::*;
use highwater_partition::{
    Config, DeleteRefusal, EpochEnd, Fetch, FetchRefusal, Isolation, OffsetSpec,
};
use highwater_reactor::local::join;
use highwater_record::{LeaderEpoch, Offset};

#[test]
fn a_watch_is_woken_by_the_append_itself() {
    let bed = Bed::new(1);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, written()).await;
        let woken_at = Rc::new(Cell::new(None));
        let watching = {
            let (partition, reactor) = (partition.clone(), bed.reactor.clone());
            let woken_at = Rc::clone(&woken_at);
            bed.reactor.spawn(async move {
                partition.watch(Offset::new(2)).await;
                woken_at.set(Some(reactor.now()));
            })
        };
        bed.reactor.sleep(Duration::from_secs(100)).await;
        // Not enough: what is watched for is offset 2.
        place(&partition, &records(2, 10, bed.now_ms()));
        bed.reactor.sleep(Duration::from_secs(100)).await;
        assert_eq!(woken_at.get(), None);
        let appended_at = bed.reactor.now();
        place(&partition, &records(1, 10, bed.now_ms()));
        watching.await;
        let woken_after = woken_at.get().expect("woken") - appended_at;
        assert!(woken_after < Duration::from_micros(20), "{woken_after:?}");
        // What is there already is not waited for.
        partition.watch(Offset::new(2)).await;
    });
}

#[test]
fn nobody_reads_beyond_the_high_watermark() {
    let bed = Bed::new(2);
    let host = bed.host();
    let round = Duration::from_millis(10);
    bed.world.disk().set_sync_time(round, round);
    bed.world.run(async {
        let partition = bed.create(&host, flushed()).await;
        let all = Fetch::new(Offset::ZERO, 1 << 20);
        let first = place(&partition, &records(2, 10, bed.now_ms()));
        let plan = partition.plan_fetch(&all).expect("a plan");
        assert!(plan.is_empty() && plan.ranges.is_empty());
        assert_eq!(
            (plan.high_watermark, plan.log_start),
            (Offset::ZERO, Offset::ZERO)
        );
        bed.reactor.sleep(Duration::from_millis(5)).await;
        // The first is being synced; the second rides the next round.
        let second = place(&partition, &records(3, 10, bed.now_ms()));
        partition.committed(first.end()).await.expect("kept");
        let plan = partition.plan_fetch(&all).expect("a plan");
        assert_eq!(offsets(&rows(&run(&plan))), [0, 1]);
        assert_eq!(
            (plan.high_watermark, plan.last_stable),
            (first.end(), first.end())
        );
        let from_there = Fetch {
            from: first.end(),
            ..all
        };
        assert!(
            partition
                .plan_fetch(&from_there)
                .expect("a plan")
                .is_empty()
        );
        partition.committed(second.end()).await.expect("kept");
        assert_eq!(
            offsets(&rows(&run(&partition.plan_fetch(&all).expect("a plan")))),
            [0, 1, 2, 3, 4]
        );
    });
}

#[test]
fn a_reader_and_a_writer_never_meet_half_a_batch() {
    for seed in 0..10 {
        let bed = Bed::new(seed);
        let host = bed.host();
        bed.world.run(async {
            let config = if seed % 2 == 0 { flushed() } else { written() };
            let partition = bed.create(&host, small_segments(config)).await;
            let total = 400;
            let writing = async {
                let mut written = 0;
                while written < total {
                    let count = 1 + bed.reactor.random_u64() % 5;
                    let size = bed.reactor.random_u64() % 400;
                    let batch = records(
                        usize::try_from(count).expect("small"),
                        usize::try_from(size).expect("small"),
                        bed.now_ms(),
                    );
                    written = place(&partition, &batch).end().get();
                    if bed.reactor.random_u64().is_multiple_of(3) {
                        let pause = bed.reactor.random_u64() % 300;
                        bed.reactor.sleep(Duration::from_micros(pause)).await;
                    }
                }
            };
            let reading = async {
                let mut from = Offset::ZERO;
                while from.get() < total {
                    partition.watch(from).await;
                    let bytes_max = u32::try_from(bed.reactor.random_u64() % 5000).expect("small");
                    let plan = partition
                        .plan_fetch(&Fetch::new(from, bytes_max))
                        .expect("a plan");
                    let read = rows(&run(&plan));
                    let first = read
                        .iter()
                        .position(|row| row.0 == from.get())
                        .expect("the wanted one");
                    for (row, offset) in read[first..].iter().zip(from.get()..) {
                        assert_eq!(row.0, offset);
                    }
                    from = Offset::new(read.last().expect("woken for something").0 + 1);
                    assert!(from <= partition.high_watermark());
                }
            };
            join(writing, reading).await;
        });
    }
}

#[test]
fn a_plan_outlives_the_deletion_of_what_it_names() {
    let bed = Bed::new(3);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, small_segments(written())).await;
        for _ in 0..10 {
            place(&partition, &records(1, 1000, bed.now_ms()));
        }
        let plan = partition
            .plan_fetch(&Fetch::new(Offset::ZERO, 1 << 20))
            .expect("a plan");
        assert_eq!(
            partition.delete_records(-1).expect("deleted"),
            Offset::new(10)
        );
        partition.tick();
        bed.reactor.sleep(Duration::from_secs(120)).await;
        partition.tick();
        assert!(!rows(&run(&plan)).is_empty());
    });
}

#[test]
fn deleted_records_are_out_of_range_and_stay_so() {
    let bed = Bed::new(4);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, small_segments(flushed())).await;
        let mut end = Offset::ZERO;
        for sequence in 0..20 {
            end = place(
                &partition,
                &records(1, 500, bed.now_ms()).from(1, 0, sequence),
            )
            .end();
        }
        // Only what may be seen may be deleted.
        assert!(matches!(
            partition.delete_records(20),
            Err(DeleteRefusal::OutOfRange { before: 20, .. })
        ));
        partition.committed(end).await.expect("kept");
        for before in [-2, 21, i64::MIN, i64::MAX] {
            assert!(matches!(
                partition.delete_records(before),
                Err(DeleteRefusal::OutOfRange { .. })
            ));
        }
        assert_eq!(
            partition.delete_records(7).expect("deleted"),
            Offset::new(7)
        );
        assert_eq!(
            partition.delete_records(3).expect("nothing to do"),
            Offset::new(7)
        );
        assert_eq!(partition.log_start(), Offset::new(7));
        assert!(matches!(
            partition.plan_fetch(&Fetch::new(Offset::new(6), 100)),
            Err(FetchRefusal::OutOfRange { log_start, .. }) if log_start == Offset::new(7)
        ));
        assert_eq!(offsets(&read_all(&partition)), (7..20).collect::<Vec<_>>());
        assert_eq!(
            partition.delete_records(-1).expect("deleted"),
            Offset::new(20)
        );
        assert!(read_all(&partition).is_empty());
        // The producer goes on where it was.
        let next = place(&partition, &records(1, 10, bed.now_ms()).from(1, 0, 20));
        assert_eq!(
            (next.base(), next.log_start()),
            (Offset::new(20), Offset::new(20))
        );
        assert!(produce(&partition, &records(1, 10, bed.now_ms()).from(1, 0, 30)).is_err());
    });
}

#[test]
fn retention_moves_the_start_and_never_what_is_not_committed() {
    let bed = Bed::new(5);
    let host = bed.host();
    bed.world.run(async {
        let config = small_segments(written());
        let log = highwater_log::Config {
            retention_bytes: 10_000,
            ..config.log
        };
        let partition = bed.create(&host, Config { log, ..config }).await;
        for sequence in 0..50 {
            place(
                &partition,
                &records(1, 500, bed.now_ms()).from(1, 0, sequence),
            );
        }
        let before = partition.size_bytes();
        assert!(partition.tick() > 0);
        assert!(partition.size_bytes() < before && partition.size_bytes() < 16_000);
        let start = partition.log_start();
        assert!(start > Offset::ZERO);
        assert_eq!(
            offsets(&read_all(&partition)),
            (start.get()..50).collect::<Vec<_>>()
        );
        assert_eq!(partition.active_producers()[0].last_sequence, 49);
        let earliest = partition.list_offset(OffsetSpec::Earliest, Isolation::default(), None);
        assert_eq!(earliest.expect("answered").expect("found").offset, start);
    });
}

#[test]
fn offsets_are_found_by_name_and_by_time() {
    let bed = Bed::new(6);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, small_segments(flushed())).await;
        let ask = |spec| {
            let found = partition.list_offset(spec, Isolation::ReadUncommitted, None);
            found
                .expect("answered")
                .map(|found| (found.offset.get(), found.timestamp_ms))
        };
        assert_eq!(ask(OffsetSpec::Latest), Some((0, -1)));
        assert_eq!(ask(OffsetSpec::At(0)), None);
        assert_eq!(ask(OffsetSpec::MaxTimestamp), None);
        let base_ms = bed.now_ms() - 100_000;
        let mut end = Offset::ZERO;
        for step in 0..30 {
            let mut batch = records(3, 200, base_ms);
            batch.timestamps_ms = (0..3)
                .map(|record| base_ms + step * 100 + record * 10)
                .collect();
            end = place(&partition, &batch).end();
        }
        assert_eq!(
            ask(OffsetSpec::At(base_ms)),
            None,
            "nothing may be seen yet"
        );
        partition.committed(end).await.expect("kept");
        assert_eq!(ask(OffsetSpec::Latest), Some((90, -1)));
        assert_eq!(ask(OffsetSpec::Earliest), Some((0, -1)));
        assert_eq!(ask(OffsetSpec::EarliestLocal), Some((0, -1)));
        assert_eq!(ask(OffsetSpec::LatestTiered), Some((-1, -1)));
        assert_eq!(ask(OffsetSpec::EarliestPendingUpload), Some((-1, -1)));
        assert_eq!(ask(OffsetSpec::At(0)), Some((0, base_ms)));
        assert_eq!(
            ask(OffsetSpec::At(base_ms + 505)),
            Some((16, base_ms + 510))
        );
        assert_eq!(
            ask(OffsetSpec::At(base_ms + 2920)),
            Some((89, base_ms + 2920))
        );
        assert_eq!(ask(OffsetSpec::At(base_ms + 2921)), None);
        assert_eq!(ask(OffsetSpec::MaxTimestamp), Some((89, base_ms + 2920)));
    });
}

#[test]
fn an_epoch_that_does_not_fit_is_refused_and_one_that_ended_is_told() {
    let bed = Bed::new(7);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, flushed()).await;
        let placed = place(&partition, &records(5, 10, bed.now_ms()));
        partition.committed(placed.end()).await.expect("kept");
        partition.lead(LeaderEpoch::new(4)).expect("led");
        partition
            .lead(LeaderEpoch::new(2))
            .expect("an older one changes nothing");
        assert_eq!(partition.leader_epoch(), LeaderEpoch::new(4));
        let placed = place(&partition, &records(5, 10, bed.now_ms()));
        partition.committed(placed.end()).await.expect("kept");

        let with = |current: i32, last: Option<i32>, from: i64| Fetch {
            current_leader_epoch: Some(LeaderEpoch::new(current)),
            last_fetched_epoch: last.map(LeaderEpoch::new),
            ..Fetch::new(Offset::new(from), 1 << 20)
        };
        assert!(matches!(
            partition.plan_fetch(&with(3, None, 0)),
            Err(FetchRefusal::FencedLeaderEpoch {
                found: 3,
                current: 4
            })
        ));
        assert!(matches!(
            partition.plan_fetch(&with(5, None, 0)),
            Err(FetchRefusal::UnknownLeaderEpoch {
                found: 5,
                current: 4
            })
        ));
        assert!(
            !partition
                .plan_fetch(&with(4, Some(4), 7))
                .expect("a plan")
                .is_empty()
        );
        assert!(
            !partition
                .plan_fetch(&with(4, Some(0), 5))
                .expect("a plan")
                .is_empty()
        );
        let diverging = partition.plan_fetch(&with(4, Some(0), 7)).expect("a plan");
        assert_eq!(
            diverging.diverging,
            Some(EpochEnd {
                epoch: LeaderEpoch::ZERO,
                end: Offset::new(5)
            })
        );
        assert!(diverging.ranges.is_empty() && !diverging.is_empty());
        let end_of = |epoch: i32| {
            let end = partition.end_offset_for_epoch(LeaderEpoch::new(epoch), None);
            end.expect("answered")
                .map(|end| (end.epoch.get(), end.end.get()))
        };
        assert_eq!(
            (end_of(0), end_of(3), end_of(4), end_of(5)),
            (Some((0, 5)), Some((0, 5)), Some((4, 10)), None)
        );
        let rows = rows(&run(&partition
            .plan_fetch(&with(4, None, 0))
            .expect("a plan")));
        assert_eq!(rows.len(), 10);
    });
}
