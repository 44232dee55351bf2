//! Settings of a topic, and what a restart remembers.

mod common;

use std::path::Path;
use std::time::Duration;

use common::*;
use highwater_partition::{Admission, Config, Fetch, Invalid, Origin, Refusal};
use highwater_reactor::OpenOptions;
use highwater_reactor::sim::Crash;
use highwater_record::{Batch, Codec, Compression, Offset, TimestampType, batches};

#[test]
fn a_batch_in_another_codec_is_stored_in_the_topics() {
    let bed = Bed::new(1);
    let host = bed.host();
    bed.world.run(async {
        let zstd = Config {
            compression: Some(Compression::of(Codec::Zstd)),
            ..written()
        };
        let partition = bed.create(&host, zstd).await;
        let mut sequence = 0;
        for codec in [
            Codec::None,
            Codec::Gzip,
            Codec::Snappy,
            Codec::Lz4,
            Codec::Zstd,
        ] {
            let wanted = records(20, 200, bed.now_ms())
                .from(3, 0, sequence)
                .packed(codec);
            sequence += 20;
            let placed = place(&partition, &wanted);
            // The answer to a repetition does not depend on how the batch is stored.
            let again = place(&partition, &wanted);
            assert!(matches!(again, Admission::Repeated { base, .. } if base == placed.base()));
        }
        let plan = partition
            .plan_fetch(&Fetch::new(Offset::ZERO, 1 << 20))
            .expect("a plan");
        let bytes = run(&plan);
        for batch in batches(&bytes) {
            let header = *batch.expect("a whole batch").header();
            assert_eq!(header.attributes().codec(), Ok(Codec::Zstd));
            assert_eq!(header.producer_id(), 3);
        }
        let read = rows(&bytes);
        assert_eq!(offsets(&read), (0..100).collect::<Vec<_>>());
        let sent = rows(&records(20, 200, bed.now_ms()).bytes());
        for (read, sent) in read.iter().zip(sent.iter().cycle()) {
            assert_eq!((&read.2, &read.3, read.4), (&sent.2, &sent.3, sent.4));
        }
    });
}

#[test]
fn the_logs_clock_is_stamped_where_the_topic_says_so() {
    let bed = Bed::new(2);
    let host = bed.host();
    bed.world.run(async {
        let config = Config {
            timestamp_type: TimestampType::LogAppend,
            ..written()
        };
        let partition = bed.create(&host, config.clone()).await;
        let wanted = records(3, 10, 12345).from(1, 0, 0).packed(Codec::Lz4);
        let now_ms = bed.now_ms();
        let placed = place(&partition, &wanted);
        let stamped_ms = placed.log_append_time_ms().expect("stamped");
        assert!((now_ms..now_ms + 10).contains(&stamped_ms));
        bed.reactor.sleep(Duration::from_secs(5)).await;
        let again = place(&partition, &wanted);
        assert_eq!(again.log_append_time_ms(), Some(stamped_ms));
        // The checksum holds, and every record bears the time; so it does in another codec.
        partition.reconfigure(Config {
            compression: Some(Compression::of(Codec::Gzip)),
            ..config.clone()
        });
        let recoded = place(&partition, &records(2, 10, 777).from(1, 0, 3));
        let later_ms = recoded.log_append_time_ms().expect("stamped");
        let times: Vec<i64> = read_all(&partition).iter().map(|row| row.1).collect();
        assert_eq!(
            times,
            [stamped_ms, stamped_ms, stamped_ms, later_ms, later_ms]
        );
        let found = partition
            .list_offset(
                highwater_partition::OffsetSpec::At(later_ms),
                Default::default(),
                None,
            )
            .expect("answered")
            .expect("found");
        assert_eq!(found.offset, Offset::new(3));
    });
}

#[test]
fn a_compacted_topic_takes_no_record_without_a_key() {
    let bed = Bed::new(3);
    let host = bed.host();
    bed.world.run(async {
        let log = highwater_log::Config {
            compact: true,
            ..highwater_log::Config::default()
        };
        let partition = bed.create(&host, Config { log, ..written() }).await;
        let keyless = Wanted {
            keyed: false,
            ..records(2, 10, bed.now_ms())
        };
        assert_eq!(
            produce(&partition, &keyless),
            Err(Refusal::Invalid(Invalid::Keyless { record: 0 }))
        );
        assert_eq!(partition.log_end(), Offset::ZERO);
        place(&partition, &records(2, 10, bed.now_ms()));
    });
}

#[test]
fn the_coordinator_writes_what_a_client_may_not() {
    let bed = Bed::new(4);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, written()).await;
        let control = Wanted {
            control: true,
            ..records(1, 10, bed.now_ms()).from(9, 2, -1)
        };
        let bytes = control.bytes();
        let batch = Batch::check(&bytes).expect("a batch");
        assert_eq!(
            partition.produce(batch, Origin::Client),
            Err(Refusal::Invalid(Invalid::Control))
        );
        partition
            .produce(batch, Origin::Coordinator)
            .expect("placed");
        assert_eq!(partition.active_producers()[0].epoch, 2);
        assert!(matches!(
            produce(&partition, &records(1, 1, bed.now_ms()).from(9, 1, 0)),
            Err(Refusal::InvalidProducerEpoch {
                found: 1,
                current: 2,
                ..
            })
        ));
    });
}

#[test]
fn an_idle_producer_is_forgotten_in_time() {
    let bed = Bed::new(5);
    let host = bed.host();
    bed.world.run(async {
        let config = Config {
            producer_id_expiration_ms: 60_000,
            ..written()
        };
        let partition = bed.create(&host, config).await;
        place(&partition, &records(1, 10, bed.now_ms()).from(1, 0, 0));
        // The wall clock may jump: what counts is how long the producer has been silent.
        bed.world.set_unix_ms(4_000_000_000_000);
        partition.tick();
        assert_eq!(partition.active_producers().len(), 1);
        assert!(produce(&partition, &records(1, 10, 0).from(1, 0, 7)).is_err());
        bed.reactor.sleep(Duration::from_secs(61)).await;
        partition.tick();
        assert!(partition.active_producers().is_empty());
        place(&partition, &records(1, 10, 0).from(1, 0, 7));
    });
}

#[test]
fn a_clean_stop_remembers_all_five_batches_of_a_producer() {
    let bed = Bed::new(6);
    let host = bed.host();
    let batch = |sequence| records(2, 10, 1_767_225_600_000).from(1, 0, sequence);
    bed.world.run(async {
        let partition = bed.create(&host, flushed()).await;
        for number in 0..8 {
            place(&partition, &batch(number * 2));
        }
        place(&partition, &records(1, 1, bed.now_ms()));
        let end = partition.close().await.expect("closed");
        let (partition, recovered) = bed.open(&bed.host(), flushed(), end, true).await;
        assert_eq!((recovered.snapshot, recovered.producers), (Some(end), 1));
        for number in 3..8 {
            let again = place(&partition, &batch(number * 2));
            assert!(matches!(again, Admission::Repeated { base, .. }
                if base == Offset::new(i64::from(number) * 2)));
        }
        assert!(matches!(
            produce(&partition, &batch(4)),
            Err(Refusal::OutOfOrderSequence { expected: 16, .. })
        ));
        place(&partition, &batch(16));
    });
}

/// The names of the files of a kind, oldest first.
fn names(bed: &Bed, kind: &str) -> Vec<String> {
    let entries = bed.reactor.list(&Bed::dir()).expect("listed");
    let names = entries
        .into_iter()
        .map(|entry| entry.name.to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(kind)).collect()
}

#[test]
fn of_segments_that_fill_faster_than_snapshots_are_written_the_newest_has_one() {
    let bed = Bed::new(16);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, small_segments(flushed())).await;
        for sequence in 0..30 {
            let batch = records(1, 700, bed.now_ms()).from(1, 0, sequence);
            place(&partition, &batch);
        }
        assert!(
            names(&bed, ".snapshot").is_empty(),
            "none is written on the shard"
        );
        bed.reactor.sleep(Duration::from_millis(100)).await;
        let (snapshots, segments) = (names(&bed, ".snapshot"), names(&bed, ".log"));
        assert_eq!(snapshots.len(), 2, "of the first roll, and of the last");
        let newest = segments.last().expect("a segment");
        assert_eq!(snapshots.last(), Some(&newest.replace(".log", ".snapshot")));
    });
}

#[test]
fn a_broken_snapshot_is_removed_and_an_older_one_or_the_log_takes_its_place() {
    let bed = Bed::new(7);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, small_segments(flushed())).await;
        for sequence in 0..30 {
            place(
                &partition,
                &records(1, 700, bed.now_ms()).from(1, 0, sequence),
            );
            bed.reactor.sleep(Duration::from_millis(20)).await;
        }
        let end = partition.close().await.expect("closed");
        let snapshots = || names(&bed, ".snapshot");
        assert_eq!(snapshots().len(), 3, "the newest three are kept");
        let mut broken = 0;
        loop {
            let (partition, recovered) = bed
                .open(&bed.host(), small_segments(flushed()), end, true)
                .await;
            assert_eq!(recovered.snapshots_removed, u32::from(broken > 0));
            assert_eq!(recovered.snapshot.is_some(), broken < 3);
            let again = place(&partition, &records(1, 700, 0).from(1, 0, 29));
            assert!(matches!(again, Admission::Repeated { base, .. } if base == Offset::new(29)));
            drop(partition);
            let Some(newest) = snapshots().pop() else {
                break;
            };
            bed.world
                .disk()
                .flip(&Bed::dir().join(newest), 12, 1)
                .expect("flipped");
            broken += 1;
        }
        assert_eq!(broken, 3);
    });
}

#[test]
fn a_snapshot_beyond_the_logs_end_is_not_believed() {
    let bed = Bed::new(8);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, flushed()).await;
        let placed = place(&partition, &records(1, 10, bed.now_ms()).from(1, 0, 0));
        partition.committed(placed.end()).await.expect("kept");
        partition.close().await.expect("closed");
        // As if the log had lost its tail, and the snapshot had not.
        let from = Bed::dir().join("00000000000000000001.snapshot");
        let to = Bed::dir().join("00000000000000000009.snapshot");
        bed.reactor.rename(&from, &to).expect("renamed");
        let (partition, recovered) = bed.open(&bed.host(), flushed(), Offset::ZERO, false).await;
        assert_eq!(recovered.snapshot, None);
        assert!(!bed.reactor.exists(&to).expect("looked"));
        assert_eq!(partition.active_producers().len(), 1);
    });
    // And it is gone for good.
    bed.world.crash(Crash::LoseUnsynced);
    assert!(
        !bed.reactor
            .exists(Path::new("/data/orders-0/00000000000000000009.snapshot"))
            .expect("looked")
    );
}

#[test]
fn a_partition_kafka_has_written_is_taken_over_with_its_producers() {
    let bed = Bed::new(9);
    let host = bed.host();
    bed.world.run(async {
        let partition = bed.create(&host, flushed()).await;
        partition.close().await.expect("closed");
        let put = |name: &str, bytes: &[u8]| {
            let file = bed
                .reactor
                .open(&Bed::dir().join(name), OpenOptions::TRUNCATE);
            file.expect("opened")
                .append_at(0, &[bytes])
                .expect("written");
        };
        put(
            "00000000000000000000.log",
            include_bytes!("golden/kafka-0.log"),
        );
        put(
            "00000000000000000025.log",
            include_bytes!("golden/kafka-25.log"),
        );
        put(
            "00000000000000000025.snapshot",
            include_bytes!("golden/kafka-25.snapshot"),
        );
        put(
            "00000000000000000027.snapshot",
            include_bytes!("golden/kafka-27.snapshot"),
        );
        for name in [
            "00000000000000000000.snapshot",
            "00000000000000000000.index",
            "00000000000000000000.timeindex",
        ] {
            let _ = bed.reactor.remove_file(&Bed::dir().join(name));
        }
        let (partition, recovered) = bed.open(&bed.host(), flushed(), Offset::ZERO, false).await;
        assert_eq!(
            (partition.log_end(), recovered.snapshot),
            (Offset::new(27), Some(Offset::new(27)))
        );
        let producers = partition.active_producers();
        let epochs: Vec<_> = producers
            .iter()
            .map(|p| (p.producer_id, p.last_sequence, p.coordinator_epoch))
            .collect();
        assert_eq!(
            epochs,
            [(0, 19, -1), (1, 2, -1), (2, 0, -1), (3, 0, 0), (4, 0, -1)]
        );
        assert_eq!(producers[4].transaction_start, Some(Offset::new(26)));
        // Kafka's snapshot keeps one batch; the log before it brings back the others.
        let again = Wanted {
            values: vec![vec![b'x'; 100]; 4],
            ..records(4, 0, bed.now_ms())
        };
        let again = Wanted {
            timestamps_ms: vec![bed.now_ms(); 4],
            ..again
        }
        .from(0, 0, 4);
        let repeated = place(&partition, &again);
        assert!(matches!(repeated, Admission::Repeated { base, .. } if base == Offset::new(4)));
        assert_eq!(read_all(&partition).len(), 27);
    });
}
