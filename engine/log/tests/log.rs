//! A log on a real disk: what is appended is read back, over rolls, stops and recoveries.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod common;

use common::*;
use highwater_log::{Config, Fence, Log};
use highwater_record::Offset;

#[test]
fn what_is_appended_is_read_back_over_segments_and_stops() {
    on_disk(|reactor, dir| async move {
        let fence = Fence::new();
        let path = dir.join("orders-0");
        let mut log = Log::create(&reactor, &fence, path.clone(), TOPIC_ID, small()).expect("made");
        let mut expected = Vec::new();
        for mark in 0..200u64 {
            let bytes = batch(mark, 1_000 + mark as i64, 50 + (mark as usize * 37) % 400);
            expected.push((mark as i64, mark));
            append(&mut log, &bytes).expect("appended");
        }
        assert!(log.segment_count() > 20);
        let check = |log: &Log| {
            for bytes_max in [1, 700, 1_999, 5_000, 1 << 20] {
                let found = records(log, Offset::ZERO, log.end_offset(), bytes_max);
                let marks: Vec<_> = found
                    .iter()
                    .map(|(offset, value)| {
                        (
                            *offset,
                            u64::from_be_bytes(value[..8].try_into().expect("eight")),
                        )
                    })
                    .collect();
                assert_eq!(marks, expected, "{bytes_max} bytes at a time");
            }
        };
        check(&log);
        assert_eq!(log.durable_offset(), Offset::ZERO);
        sync(&reactor, &mut log).await.expect("synced");
        assert_eq!(log.unsynced_bytes(), 0);
        let end = close(&reactor, log).await;

        let (log, report) =
            Log::open(&reactor, &fence, path.clone(), small(), clean(end)).expect("opened");
        assert_eq!(
            (
                report.segments_scanned,
                report.indexes_rebuilt,
                report.bytes_cut
            ),
            (0, 0, 0)
        );
        assert_eq!(
            (log.end_offset(), log.durable_offset(), log.topic_id()),
            (end, end, TOPIC_ID)
        );
        check(&log);
        drop(log);

        let (log, report) = Log::open(
            &reactor,
            &fence,
            path.clone(),
            small(),
            unclean(Offset::new(100)),
        )
        .expect("opened");
        assert!(report.segments_scanned > 5 && report.segments_scanned < report.segments);
        assert_eq!((report.bytes_cut, report.cut, report.lost), (0, None, None));
        assert_eq!(
            (log.end_offset(), log.durable_offset()),
            (end, Offset::new(100))
        );
        assert!(log.unsynced_bytes() > 0);
        check(&log);
        drop(log);

        let (mut log, _) = Log::open(
            &reactor,
            &fence,
            path,
            Config::default(),
            unclean(Offset::ZERO),
        )
        .expect("opened");
        check(&log);
        sync(&reactor, &mut log).await.expect("synced");
        assert_eq!(log.durable_offset(), end);
    });
}

#[test]
fn a_place_is_found_among_thousands_of_index_entries() {
    let world = highwater_reactor::sim::World::new(1);
    let reactor = world.shard(0);
    let dir = std::path::PathBuf::from("/orders-0");
    let config = Config {
        index_interval_bytes: 100,
        ..Config::default()
    };
    let fence = Fence::new();
    let mut log =
        Log::create(&reactor, &fence, dir.clone(), TOPIC_ID, config.clone()).expect("made");
    let batches = 5_000i64;
    let bytes = batch(0, 1_000, 8).len() as u64;
    for mark in 0..batches {
        append(&mut log, &batch(mark as u64, 1_000 + mark * 3, 8)).expect("appended");
    }
    let check = |log: &Log| {
        for at in (0..batches).step_by(7).chain(batches - 300..batches) {
            let from = Offset::new(at);
            let header = log.header_at(from).expect("read").expect("there is one");
            assert_eq!(header.base_offset(), from);
            let upto = Offset::new((at + 90).min(batches));
            let found = log.read(from, upto, 1 << 20, false).expect("read");
            assert_eq!(
                (found.bytes, found.next),
                ((upto.get() - at) as u64 * bytes, upto)
            );
            let found = log
                .offset_for_timestamp(1_000 + at * 3 - 1, log.end_offset())
                .expect("read");
            assert_eq!(found.map(|found| found.offset), Some(from));
        }
        assert!(log.header_at(log.end_offset()).expect("read").is_none());
        let mut seen = 0;
        log.scan(Offset::new(4_000), |header| {
            assert_eq!(header.base_offset().get(), 4_000 + seen);
            seen += 1;
        })
        .expect("read");
        assert_eq!(seen, batches - 4_000);
    };
    check(&log);
    let end = world.run(close(&reactor, log));
    let (mut log, report) =
        Log::open(&reactor, &fence, dir.clone(), config.clone(), clean(end)).expect("opened");
    assert_eq!((report.segments_scanned, report.indexes_rebuilt), (0, 0));
    check(&log);
    assert_eq!(log.roll_if_old(2_000).expect("too young"), None);
    assert_eq!(log.roll_if_old(i64::MAX).expect("rolled"), Some(end));
    check(&log);
    log.truncate_to(Offset::new(batches - 1)).expect("cut");
    append(
        &mut log,
        &batch(batches as u64 - 1, 1_000 + (batches - 1) * 3, 8),
    )
    .expect("appended");
    check(&log);
}

#[test]
fn a_segment_that_goes_before_its_first_sync_is_not_missed_by_the_next_one() {
    on_disk(|reactor, dir| async move {
        let fence = Fence::new();
        let config = Config {
            retention_ms: 1,
            ..small()
        };
        let mut log =
            Log::create(&reactor, &fence, dir.join("orders-0"), TOPIC_ID, config).expect("made");
        for mark in 0..20 {
            append(&mut log, &batch(mark, 1_000, 300)).expect("appended");
        }
        let high_watermark = log.end_offset();
        let gone = log.retain(1_000_000, high_watermark).expect("retained");
        assert!(gone.len() > 2);
        assert_eq!(log.start_offset(), high_watermark);
        append(&mut log, &batch(20, 1_000, 300)).expect("appended");
        sync(&reactor, &mut log).await.expect("synced");
        assert_eq!(log.durable_offset(), log.end_offset());
        close(&reactor, log).await;
        assert!(!fence.is_raised());
    });
}
