//! A device that is full, or broken.

mod common;

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use common::*;
use highwater_log::Fence;
use highwater_partition::{Admission, DeleteRefusal, Fetch, Host, Lost, Partition, Refusal};
use highwater_reactor::local::join_all;
use highwater_reactor::sim::{Crash, Operation};
use highwater_record::{LeaderEpoch, Offset};
use uuid::Uuid;

const EIO: i32 = 5;

#[test]
fn a_full_device_refuses_and_changes_nothing_and_goes_on_when_there_is_room() {
    for durability in [flushed(), written()] {
        let bed = Bed::new(1);
        let host = bed.host();
        bed.world.run(async {
            let partition = bed.create(&host, small_segments(durability)).await;
            let mut sequence = 0;
            let mut next = || {
                sequence += 1;
                records(1, 700, bed.now_ms()).from(4, 0, sequence - 1)
            };
            for _ in 0..3 {
                let placed = place(&partition, &next());
                partition.committed(placed.end()).await.expect("kept");
            }
            bed.world
                .disk()
                .set_capacity(Some(bed.world.disk().used() + 2000));
            let refused = loop {
                let batch = next();
                match produce(&partition, &batch) {
                    Ok(placed) => partition.committed(placed.end()).await.expect("kept"),
                    Err(refusal) => {
                        assert_eq!(refusal, Refusal::Full);
                        break batch;
                    }
                }
            };
            let end = partition.log_end();
            for _ in 0..10 {
                assert_eq!(produce(&partition, &refused), Err(Refusal::Full));
            }
            assert_eq!(partition.log_end(), end);
            assert!(!host.fence().is_raised());
            assert_eq!(
                offsets(&read_all(&partition)),
                (0..end.get()).collect::<Vec<_>>()
            );
            assert_eq!(partition.tick(), 0);

            bed.world.disk().set_capacity(None);
            let placed = place(&partition, &refused);
            assert!(matches!(placed, Admission::Placed { base, .. } if base == end));
            let again = place(&partition, &refused);
            assert!(matches!(again, Admission::Repeated { base, .. } if base == end));
            partition.committed(placed.end()).await.expect("kept");
            assert_eq!(
                offsets(&read_all(&partition)),
                (0..placed.end().get()).collect::<Vec<_>>()
            );
        });
    }
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_and_what_was_visible_stays() {
    for seed in 0..10 {
        let bed = Bed::new(seed);
        let host = bed.host();
        let kept = Rc::new(Cell::new(Offset::ZERO));
        bed.world.run(async {
            let partition = bed.create(&host, flushed()).await;
            let neighbour = neighbour(&host).await;
            let placed = place(&partition, &records(5, 10, bed.now_ms()));
            partition.committed(placed.end()).await.expect("kept");
            kept.set(placed.end());

            bed.world.disk().fail(Operation::Sync, 1, EIO);
            let placed = place(&partition, &records(5, 10, bed.now_ms()));
            let waiting = (0..5).map(|_| partition.committed(placed.end()));
            for lost in join_all(waiting).await {
                assert_eq!(lost, Err(Lost::Fenced));
            }
            assert!(host.fence().is_raised() && partition.is_fenced() && neighbour.is_fenced());
            assert_eq!(produce(&partition, &records(1, 1, 0)), Err(Refusal::Fenced));
            // The whole directory: a sync of another file would say anything.
            assert_eq!(produce(&neighbour, &records(1, 1, 0)), Err(Refusal::Fenced));
            assert!(matches!(
                partition.delete_records(1),
                Err(DeleteRefusal::Fenced)
            ));
            assert_eq!(partition.high_watermark(), kept.get());
            assert_eq!(offsets(&read_all(&partition)), [0, 1, 2, 3, 4]);
            assert!(partition.committed(kept.get()).await.is_ok());
            assert!(partition.close().await.is_err());
        });
        bed.world.crash(Crash::LoseUnsynced);
        let host = bed.host();
        bed.world.run(async {
            let (partition, _) = bed.open(&host, flushed(), Offset::ZERO, false).await;
            assert!(partition.log_end() >= kept.get());
            let placed = place(&partition, &records(1, 1, bed.now_ms()));
            partition.committed(placed.end()).await.expect("kept");
        });
    }
}

/// Another partition of the same data directory.
async fn neighbour(host: &Host) -> Partition {
    let dir = Path::new("/data/orders-1").to_path_buf();
    Partition::create(host, dir, Uuid::from_u128(7), LeaderEpoch::ZERO, flushed())
        .await
        .expect("created")
}

#[test]
fn promises_of_neighbours_are_lost_too_though_their_own_sync_went_well() {
    let bed = Bed::new(2);
    let host = bed.host();
    bed.world
        .disk()
        .set_sync_time(Duration::from_millis(10), Duration::from_millis(10));
    bed.world.run(async {
        let partition = bed.create(&host, flushed()).await;
        let neighbour = neighbour(&host).await;
        let placed = place(&neighbour, &records(1, 10, bed.now_ms()));
        let promise = neighbour.committed(placed.end());
        bed.reactor.sleep(Duration::from_millis(5)).await;
        // The neighbour's sync is under way; this one fails before it returns.
        bed.world.disk().fail(Operation::Write, 1, EIO);
        assert_eq!(
            produce(&partition, &records(1, 10, bed.now_ms())),
            Err(Refusal::Fenced)
        );
        assert_eq!(promise.await, Err(Lost::Fenced));
        assert_eq!(neighbour.high_watermark(), Offset::ZERO);
    });
}

#[test]
fn a_failed_write_fences_and_leaves_no_trace_of_its_batch() {
    for (stored, seed) in [(0, 0), (10, 1), (61, 2), (90, 3)] {
        let bed = Bed::new(seed);
        let host = bed.host();
        let end = bed.world.run(async {
            let partition = bed.create(&host, flushed()).await;
            let placed = place(&partition, &records(3, 100, bed.now_ms()).from(1, 0, 0));
            partition.committed(placed.end()).await.expect("kept");
            bed.world.disk().fail_write_after(1, stored, EIO);
            let next = records(3, 100, bed.now_ms()).from(1, 0, 3);
            assert_eq!(produce(&partition, &next), Err(Refusal::Fenced));
            assert_eq!(partition.log_end(), placed.end());
            assert_eq!(partition.active_producers()[0].last_sequence, 2);
            assert_eq!(read_all(&partition).len(), 3);
            placed.end()
        });
        bed.world.crash(Crash::KeepAll);
        let host = bed.host();
        bed.world.run(async {
            let (partition, _) = bed.open(&host, flushed(), Offset::ZERO, false).await;
            assert_eq!(partition.log_end(), end);
            let next = place(&partition, &records(3, 100, bed.now_ms()).from(1, 0, 3));
            assert_eq!(next.base(), end);
        });
    }
}

#[test]
fn whichever_operation_fails_no_acknowledgement_is_a_lie() {
    let operations = [
        Operation::Write,
        Operation::Sync,
        Operation::SyncDir,
        Operation::Create,
        Operation::Open,
        Operation::Rename,
        Operation::Remove,
        Operation::SetLen,
        Operation::Allocate,
    ];
    for operation in operations {
        for (nth, errno) in (1..25).flat_map(|nth| [(nth, EIO), (nth, 28)]) {
            let bed = Bed::new(nth);
            let host = bed.host();
            let mut acknowledged = Vec::new();
            bed.world.run(async {
                let config = small_segments(flushed());
                let partition = bed.create(&host, config).await;
                bed.world.disk().fail(operation, nth, errno);
                for number in 0..20u8 {
                    let wanted = Wanted {
                        values: vec![vec![number; 1000]],
                        ..records(1, 0, bed.now_ms())
                    };
                    let Ok(placed) = produce(&partition, &wanted) else {
                        continue;
                    };
                    // A sync that is put off for want of room is tried again by and by.
                    let promise = partition.committed(placed.end());
                    let minute = Duration::from_secs(60);
                    if let Some(Ok(())) = bed.reactor.timeout(minute, promise).await {
                        acknowledged.push((placed.base(), number));
                    }
                    partition.tick();
                }
            });
            bed.world.disk().heal();
            bed.world.crash(Crash::KeepRandom);
            let host = bed.host();
            bed.world.run(async {
                let (partition, _) = bed
                    .open(&host, small_segments(flushed()), Offset::ZERO, false)
                    .await;
                let log = read_all(&partition);
                for (base, number) in &acknowledged {
                    let index = usize::try_from(base.get()).expect("an offset");
                    let row = log.get(index).unwrap_or_else(|| {
                        panic!("{operation:?} {nth} failed with {errno}: offset {base} is lost")
                    });
                    assert_eq!(row.3.as_deref(), Some(&[*number; 1000][..]));
                }
            });
        }
    }
}

#[test]
fn a_snapshot_that_cannot_be_written_stops_nobody() {
    let bed = Bed::new(5);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, small_segments(flushed())).await;
        for sequence in 0..30 {
            // Space goes and comes back: whatever is refused is sent again.
            let batch = records(1, 900, bed.now_ms()).from(1, 0, sequence);
            if sequence % 4 == 3 {
                let room = bed.world.disk().used() + 1000;
                bed.world.disk().set_capacity(Some(room));
            }
            let placed = match produce(&partition, &batch) {
                Ok(placed) => placed,
                Err(refusal) => {
                    assert_eq!(refusal, Refusal::Full);
                    bed.world.disk().set_capacity(None);
                    place(&partition, &batch)
                }
            };
            bed.world.disk().set_capacity(None);
            partition.committed(placed.end()).await.expect("kept");
        }
        assert_eq!(read_all(&partition).len(), 30);
    });
}

#[test]
fn a_reopened_partition_with_another_fence_starts_afresh() {
    let bed = Bed::new(6);
    let host = Host::new(bed.reactor.clone(), Fence::new());
    host.fence().raise("a test");
    bed.world.run(async {
        let dir = Bed::dir();
        let refused =
            Partition::create(&host, dir, Uuid::from_u128(7), LeaderEpoch::ZERO, flushed()).await;
        assert!(refused.is_err(), "nothing is made in a fenced directory");
        let partition = bed.create(&bed.host(), flushed()).await;
        assert!(partition.plan_fetch(&Fetch::new(Offset::ZERO, 1)).is_ok());
    });
}

#[test]
fn whenever_the_power_goes_no_acknowledgement_is_a_lie() {
    let operations = [
        Operation::Write,
        Operation::Sync,
        Operation::SyncDir,
        Operation::Create,
        Operation::Rename,
        Operation::Remove,
    ];
    for operation in operations {
        for nth in 1..40 {
            let bed = Bed::new(nth);
            let host = bed.host();
            let config = small_segments(flushed());
            let mut acknowledged = Vec::new();
            bed.world.run(async {
                let partition = bed.create(&host, config.clone()).await;
                bed.world.disk().die_at(operation, nth);
                for sequence in 0..20 {
                    let wanted = records(1, 900, bed.now_ms()).from(1, 0, sequence);
                    let Ok(placed) = produce(&partition, &wanted) else {
                        break;
                    };
                    if partition.committed(placed.end()).await.is_err() {
                        break;
                    }
                    acknowledged.push(placed.base());
                    if sequence % 7 == 6 {
                        let _ = partition.delete_records(i64::from(sequence) - 5);
                        partition.tick();
                    }
                }
                let _ = partition.close().await;
            });
            let crash = if nth.is_multiple_of(2) {
                Crash::LoseUnsynced
            } else {
                Crash::KeepRandom
            };
            bed.world.crash(crash);
            bed.world.disk().heal();
            let host = bed.host();
            bed.world.run(async {
                let (partition, _) = bed.open(&host, config, Offset::ZERO, false).await;
                let next = i32::try_from(partition.log_end().get()).expect("small");
                assert!(
                    partition.log_end().get() >= i64::try_from(acknowledged.len()).expect("small")
                );
                let log = offsets(&read_all(&partition));
                assert_eq!(
                    log,
                    (partition.log_start().get()..i64::from(next)).collect::<Vec<_>>()
                );
                // The producer goes on exactly where the log ends.
                if next > 0 {
                    let gap = records(1, 10, bed.now_ms()).from(1, 0, next + 1);
                    assert!(produce(&partition, &gap).is_err(), "{operation:?} {nth}");
                }
                place(&partition, &records(1, 10, bed.now_ms()).from(1, 0, next));
            });
        }
    }
}
