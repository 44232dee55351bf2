//! Group commit and the promises it keeps.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use common::*;
use highwater_partition::{Admission, Config, Lost};
use highwater_reactor::local::join_all;
use highwater_reactor::sim::{Disk, Operation};
use highwater_record::Offset;

#[test]
fn batches_that_arrive_during_a_sync_share_the_next_one() {
    for seed in 0..20 {
        let bed = Bed::new(seed);
        let round = Duration::from_millis(10);
        bed.world.disk().set_sync_time(round, round);
        let host = bed.host();
        bed.world.run(async {
            let partition = bed.create(&host, flushed()).await;
            let before = bed.world.disk().count(Operation::Sync);
            let started = bed.reactor.now();
            let acknowledged = Rc::new(Cell::new(0));
            join_all((0..20).map(|_| {
                let (partition, acknowledged) = (partition.clone(), Rc::clone(&acknowledged));
                let now_ms = bed.now_ms();
                async move {
                    for _ in 0..10 {
                        let placed = place(&partition, &records(2, 100, now_ms));
                        partition.committed(placed.end()).await.expect("kept");
                        assert!(partition.durable_end() >= placed.end());
                        acknowledged.set(acknowledged.get() + 1);
                    }
                }
            }))
            .await;
            assert_eq!(acknowledged.get(), 200);
            assert_eq!(partition.high_watermark(), Offset::new(400));
            assert_eq!(partition.waiters(), 0);
            let syncs = bed.world.disk().count(Operation::Sync) - before;
            assert!(syncs <= 40, "200 batches took {syncs} syncs");
            // One at a time: so many syncs take so much time.
            let elapsed = bed.reactor.now() - started;
            assert!(
                elapsed >= round * u32::try_from(syncs).expect("few"),
                "{syncs} in {elapsed:?}"
            );
        });
    }
}

#[test]
fn promises_are_kept_in_the_order_of_the_offsets() {
    let bed = Bed::new(3);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, flushed()).await;
        let order = Rc::new(RefCell::new(Vec::new()));
        let now_ms = bed.now_ms();
        let mut tasks = Vec::new();
        for number in 0..50 {
            let placed = place(&partition, &records(1, 50, now_ms));
            let (partition, order) = (partition.clone(), Rc::clone(&order));
            tasks.push(async move {
                partition.committed(placed.end()).await.expect("kept");
                order.borrow_mut().push(number);
            });
        }
        // One task, polled in whatever order: what counts is that none is forgotten.
        tasks.reverse();
        join_all(tasks).await;
        assert_eq!(order.borrow().len(), 50);
    });
}

#[test]
fn the_high_watermark_follows_the_device_without_anybody_waiting() {
    let bed = Bed::new(5);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, flushed()).await;
        let placed = place(&partition, &records(3, 10, bed.now_ms()));
        assert_eq!(partition.high_watermark(), Offset::ZERO);
        partition.watch(Offset::ZERO).await;
        assert_eq!(partition.high_watermark(), placed.end());
        assert_eq!(partition.unsynced_bytes(), 0);
        assert_eq!(host.unsynced_bytes(), 0);
    });
}

#[test]
fn a_repetition_of_a_batch_that_is_not_durable_waits_with_it() {
    let bed = Bed::new(6);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, flushed()).await;
        let batch = records(3, 10, bed.now_ms()).from(1, 0, 0);
        let first = place(&partition, &batch);
        let again = place(&partition, &batch);
        assert!(matches!(again, Admission::Repeated { base, end, .. }
            if base == first.base() && end == first.end()));
        assert_eq!(partition.log_end(), first.end());
        assert_eq!(partition.durable_end(), Offset::ZERO);
        partition.committed(again.end()).await.expect("kept");
        assert_eq!(partition.durable_end(), first.end());
    });
}

#[test]
fn who_gives_up_waiting_leaves_nothing_behind() {
    let bed = Bed::new(7);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, flushed()).await;
        let placed = place(&partition, &records(1, 10, bed.now_ms()));
        let short = Duration::from_micros(1);
        for _ in 0..10 {
            assert!(
                bed.reactor
                    .timeout(short, partition.watch(Offset::new(1000)))
                    .await
                    .is_none()
            );
            let never = partition.committed(Offset::new(1000));
            assert!(bed.reactor.timeout(short, never).await.is_none());
        }
        assert_eq!(partition.waiters(), 0);
        partition.committed(placed.end()).await.expect("kept");
    });
}

#[test]
fn written_promises_at_once_and_is_durable_soon_after() {
    let bed = Bed::new(8);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, written()).await;
        let started = bed.reactor.now();
        let placed = place(&partition, &records(3, 10, bed.now_ms()));
        partition.committed(placed.end()).await.expect("kept");
        assert_eq!(partition.high_watermark(), placed.end());
        assert!(bed.reactor.now() - started < Duration::from_micros(50));
        assert!(host.unsynced_bytes() > 0);
        bed.reactor.sleep(Duration::from_secs(1)).await;
        assert!((900..1100).contains(&host.oldest_unsynced_ms()));
        bed.reactor.sleep(Duration::from_secs(5)).await;
        assert_eq!(partition.durable_end(), placed.end());
        assert_eq!((host.unsynced_bytes(), host.oldest_unsynced_ms()), (0, 0));
        // With everything durable there is no timer: an hour passes in a few turns.
        let turns = bed.world.turns();
        bed.reactor.sleep(Duration::from_secs(3600)).await;
        assert!(bed.world.turns() - turns < 50);
    });
}

#[test]
fn a_file_to_which_nothing_comes_is_left_with_its_batches_alone() {
    for config in [flushed(), written()] {
        let bed = Bed::new(8);
        let host = bed.host();
        bed.world.run(async {
            let partition = bed.create(&host, config).await;
            let file = || {
                let entries = bed.reactor.list(&Bed::dir()).expect("listed");
                let log = entries
                    .iter()
                    .find(|one| one.name == "00000000000000000000.log");
                log.expect("a segment").len
            };
            for round in 1..=2_u64 {
                for _ in 0..15 {
                    place(&partition, &records(1, 100_000, bed.now_ms()));
                }
                let batches = partition.size_bytes();
                assert!(batches > round * 1_500_000);
                assert!(
                    file() > batches,
                    "the block is taken whole while it is filled"
                );
                bed.reactor.sleep(Duration::from_millis(4_900)).await;
                assert!(file() > batches, "more may come");
                bed.reactor.sleep(Duration::from_secs(2)).await;
                assert_eq!(file(), batches);
            }
            let turns = bed.world.turns();
            bed.reactor.sleep(Duration::from_secs(3600)).await;
            assert!(bed.world.turns() - turns < 50, "nothing is left to be done");
        });
    }
}

#[test]
fn a_file_that_cannot_be_left_with_its_batches_alone_is_no_reason_to_stop() {
    let bed = Bed::new(8);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, flushed()).await;
        let place_all = || {
            for _ in 0..15 {
                place(&partition, &records(1, 100_000, bed.now_ms()));
            }
        };
        place_all();
        // A quota, or a file system that copies what it changes.
        bed.world.disk().fail(Operation::SetLen, 1, 28);
        bed.reactor.sleep(Duration::from_secs(7)).await;
        assert_eq!(bed.world.disk().count(Operation::SetLen), 1);
        place_all();
        partition.committed(Offset::new(30)).await.expect("kept");
        bed.reactor.sleep(Duration::from_secs(7)).await;
        assert_eq!(read_all(&partition).len(), 30);
    });
}

#[test]
fn flush_ms_shortens_the_window_and_flush_messages_closes_it() {
    let bed = Bed::new(9);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed
            .create(
                &host,
                Config {
                    flush_ms: 200,
                    ..written()
                },
            )
            .await;
        let placed = place(&partition, &records(3, 10, bed.now_ms()));
        bed.reactor.sleep(Duration::from_millis(100)).await;
        assert_eq!(partition.durable_end(), Offset::ZERO);
        bed.reactor.sleep(Duration::from_millis(200)).await;
        assert_eq!(partition.durable_end(), placed.end());

        partition.reconfigure(Config {
            flush_messages: 5,
            ..written()
        });
        let placed = place(&partition, &records(4, 10, bed.now_ms()));
        partition.committed(placed.end()).await.expect("kept");
        assert!(partition.durable_end() < placed.end());
        let placed = place(&partition, &records(1, 10, bed.now_ms()));
        assert!(!partition.is_committed(placed.end()));
        partition.committed(placed.end()).await.expect("kept");
        assert_eq!(partition.durable_end(), placed.end());
    });
}

#[test]
fn a_stream_of_written_batches_is_handed_to_the_device_as_it_grows() {
    let bed = Bed::new(10);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, written()).await;
        for _ in 0..600 {
            place(&partition, &records(1, 100_000, bed.now_ms()));
            bed.reactor.sleep(Duration::from_millis(20)).await;
        }
        // Twelve seconds: the oldest bytes never grow much older than five.
        assert!(
            host.oldest_unsynced_ms() < 6000,
            "{}",
            host.oldest_unsynced_ms()
        );
        assert!(partition.durable_end() > Offset::new(200));
    });
}

#[test]
fn a_rolled_segment_is_synced_though_nobody_waits() {
    let bed = Bed::new(11);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, small_segments(written())).await;
        for _ in 0..10 {
            place(&partition, &records(1, 1500, bed.now_ms()));
        }
        bed.reactor.sleep(Duration::from_millis(200)).await;
        assert!(partition.durable_end() >= Offset::new(8));
    });
}

#[test]
fn closing_keeps_what_was_promised_and_tells_those_who_watch() {
    let bed = Bed::new(12);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, flushed()).await;
        let placed = place(&partition, &records(3, 10, bed.now_ms()));
        let promise = partition.committed(placed.end());
        let watch = partition.watch(Offset::new(1000));
        let (kept, (), closed) = {
            use highwater_reactor::local::join;
            let ((kept, watched), closed) = join(join(promise, watch), partition.close()).await;
            (kept, watched, closed)
        };
        assert_eq!(kept, Ok(()));
        assert_eq!(closed.expect("closed"), placed.end());
        assert!(produce(&partition, &records(1, 1, 0)).is_err());
        assert_eq!(
            partition.committed(Offset::new(1000)).await,
            Err(Lost::Closed)
        );
        assert!(partition.close().await.is_err());
    });
}

#[test]
fn a_close_right_after_a_roll_by_age_leaves_one_snapshot_of_that_offset() {
    for seed in 0..50 {
        let bed = Bed::new(seed);
        let host = bed.host();
        bed.world.run(async {
            let config = flushed();
            let log = highwater_log::Config {
                segment_ms: 1_000,
                ..config.log
            };
            let config = Config { log, ..config };
            let partition = bed.create(&host, config.clone()).await;
            let batch = records(3, 10, bed.now_ms()).from(1, 0, 0);
            let placed = place(&partition, &batch);
            partition.committed(placed.end()).await.expect("kept");
            bed.reactor.sleep(Duration::from_secs(2)).await;
            // A new segment begins at the log's end, and a snapshot of that offset is sent for.
            partition.tick();
            if seed % 2 == 0 {
                let some = Duration::from_micros(bed.reactor.random_u64() % 2_000);
                bed.reactor.sleep(some).await;
            }
            assert_eq!(partition.close().await.expect("closed"), placed.end());
            assert!(!host.fence().is_raised());
            let entries = bed.reactor.list(&Bed::dir()).expect("listed");
            let names = entries.iter().map(|entry| entry.name.to_string_lossy());
            let names: Vec<_> = names.filter(|name| name.contains(".snapshot")).collect();
            assert_eq!(names, ["00000000000000000003.snapshot"]);
            let (again, recovered) = bed.open(&bed.host(), config, placed.end(), true).await;
            assert_eq!(recovered.snapshot, Some(placed.end()));
            assert!(matches!(place(&again, &batch), Admission::Repeated { .. }));
        });
    }
}

/// Notes how often space had been allocated when it was woken.
struct Told {
    disk: Disk,
    allocations: Mutex<Option<u64>>,
}

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        let allocations = self.disk.count(Operation::Allocate);
        *self.allocations.lock().expect("whole") = Some(allocations);
    }
}

#[test]
fn who_waits_for_a_sync_is_told_before_space_is_taken_for_what_comes() {
    let bed = Bed::new(14);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, flushed()).await;
        let allocations = || bed.world.disk().count(Operation::Allocate);
        let mut between = 0;
        for at in 0..300 {
            let before = allocations();
            let placed = place(&partition, &records(1, 10_000, bed.now_ms()));
            let placed_after = allocations();
            if at > 150 {
                assert_eq!(before, placed_after, "no batch waits for it");
            }
            let told = Arc::new(Told {
                disk: bed.world.disk(),
                allocations: Mutex::default(),
            });
            let waker = Waker::from(Arc::clone(&told));
            let mut promise = Box::pin(partition.committed(placed.end()));
            let asked = promise.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(asked.is_pending());
            bed.reactor.sleep(Duration::from_millis(100)).await;
            let then = *told.allocations.lock().expect("whole");
            assert_eq!(then, Some(placed_after), "whoever waits is told first");
            promise.await.expect("kept");
            between += allocations() - placed_after;
        }
        assert!(between > 0, "it is taken between two rounds");
    });
}

#[test]
fn deleting_tells_everyone_at_once() {
    let bed = Bed::new(13);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, flushed()).await;
        let placed = place(&partition, &records(3, 10, bed.now_ms()));
        let promise = partition.committed(placed.end());
        let path = partition
            .delete()
            .expect("deleted")
            .expect("for the first time");
        assert!(path.to_string_lossy().ends_with("-delete"));
        assert_eq!(promise.await, Err(Lost::Closed));
        partition.watch(Offset::new(1000)).await;
        assert_eq!(partition.delete().expect("nothing to do"), None);
        assert_eq!((partition.size_bytes(), partition.unsynced_bytes()), (0, 0));
        partition.reconfigure(written());
        partition.tick();
        // The round that was under way comes home to nobody.
        bed.reactor.sleep(Duration::from_secs(10)).await;
    });
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let story = |seed| {
        let bed = Bed::new(seed);
        let host = bed.host();
        bed.world.run(async {
            let partition = bed.create(&host, small_segments(flushed())).await;
            let now_ms = bed.now_ms();
            join_all((0..5).map(|producer_id| {
                let partition = partition.clone();
                async move {
                    for sequence in 0..20 {
                        let placed = place(
                            &partition,
                            &records(1, 200, now_ms).from(producer_id, 0, sequence),
                        );
                        partition.committed(placed.end()).await.expect("kept");
                    }
                }
            }))
            .await;
        });
        bed.world.trace()
    };
    for seed in 0..5 {
        assert_eq!(story(seed), story(seed));
    }
    assert_ne!(story(1), story(2));
}
