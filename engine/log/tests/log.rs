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
