use super::*;
use crate::compaction::offset_map::MapLimits;
use crate::compaction::transactions::Aborted;
use highwater_record::control::{ControlRecord, EndTxnMarker, Outcome};
use highwater_record::{Header, LeaderEpoch, Producer, TimestampType};

const NOW_MS: i64 = 10_000;

fn terms() -> Terms {
    Terms {
        now_ms: NOW_MS,
        delete_retention_ms: 500,
        upper: Offset::new(1_000),
        mapped_end: Offset::new(1_000),
        last_batches: LastBatches::new(),
    }
}

/// Records of these keys and values from offset `base` on; a producer id makes it a producer's.
fn batch(base: i64, pairs: &[(&str, Option<&str>)], producer_id: i64, codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for (key, value) in pairs {
        let key = (!key.is_empty()).then_some(key.as_bytes());
        builder
            .append(base * 10, key, value.map(str::as_bytes), &[])
            .expect("small");
    }
    finish(builder, base, producer_id, codec)
}

fn finish(mut builder: BatchBuilder, base: i64, producer_id: i64, codec: Codec) -> Vec<u8> {
    builder.set_place(Offset::new(base), LeaderEpoch::new(4));
    if producer_id >= 0 {
        builder.set_producer(Producer {
            id: producer_id,
            epoch: 2,
            base_sequence: 7,
        });
    }
    let mut bytes = Vec::new();
    builder
        .finish(&mut Compressor::new(), &Compression::of(codec), &mut bytes)
        .expect("made");
    bytes
}

fn marker(base: i64, producer_id: i64, outcome: Outcome) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    let marker = EndTxnMarker {
        outcome,
        coordinator_epoch: 1,
    };
    builder
        .append_control(base * 10, &ControlRecord::EndTxn(marker))
        .expect("small");
    builder.set_transactional(true);
    finish(builder, base, producer_id, Codec::None)
}

fn in_transaction(base: i64, producer_id: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder
        .append(base * 10, Some(b"t"), Some(b"1"), &[])
        .expect("small");
    builder.set_transactional(true);
    finish(builder, base, producer_id, Codec::None)
}

fn map(pairs: &[(&str, i64)]) -> OffsetMap {
    let mut map = OffsetMap::new(MapLimits::default(), (3, 4));
    for (key, offset) in pairs {
        assert!(map.put(key.as_bytes(), Offset::new(*offset)));
    }
    map
}

/// What becomes of a batch, and the bytes of one that was written anew.
fn pass(bytes: &[u8], terms: &Terms, map: &OffsetMap, met: &mut Transactions) -> (Fate, Vec<u8>) {
    let batch = Batch::check(bytes).expect("a batch");
    let mut out = Vec::new();
    let fate = Filter::default()
        .pass(&batch, terms, map, met, &mut out)
        .expect("fit");
    (fate, out)
}

fn plain(bytes: &[u8], terms: &Terms, map: &OffsetMap) -> (Fate, Vec<u8>) {
    pass(bytes, terms, map, &mut Transactions::default())
}

/// Offset, time and value of every record.
fn records(bytes: &[u8]) -> Vec<(i64, i64, Option<Vec<u8>>)> {
    let batch = Batch::check(bytes).expect("a batch");
    let mut found = Vec::new();
    let all = Filter::default().each(&batch, |record| {
        let value = record.value.map(<[u8]>::to_vec);
        found.push((record.offset.get(), record.timestamp_ms, value));
        true
    });
    assert_eq!(all, Ok(true));
    found
}

fn header(bytes: &[u8]) -> Header {
    *Batch::check(bytes).expect("a batch").header()
}

#[test]
fn a_batch_that_loses_nothing_is_not_touched() {
    let bytes = batch(5, &[("a", Some("1")), ("b", Some("2"))], 9, Codec::Zstd);
    let known = map(&[("a", 5), ("c", 900)]);
    assert_eq!(plain(&bytes, &terms(), &known), (Fate::AsItLies, vec![]));
}

#[test]
fn a_batch_that_loses_records_keeps_all_else() {
    let pairs = [("a", Some("1")), ("b", Some("2")), ("c", Some("3"))];
    for codec in [
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ] {
        let bytes = batch(5, &pairs, 9, codec);
        let (fate, out) = plain(&bytes, &terms(), &map(&[("a", 5), ("b", 6), ("c", 70)]));
        assert_eq!(fate, Fate::Rewritten);
        let (before, after) = (header(&bytes), header(&out));
        assert_eq!(
            records(&out),
            [(5, 50, Some(b"1".to_vec())), (6, 50, Some(b"2".to_vec()))]
        );
        assert_eq!(after.record_count(), 2);
        assert_eq!(after.base_offset(), before.base_offset());
        assert_eq!(
            after.last_offset(),
            before.last_offset(),
            "the sequence hangs on it"
        );
        assert_eq!(after.leader_epoch(), before.leader_epoch());
        assert_eq!(after.attributes(), before.attributes());
        assert_eq!(after.producer_id(), before.producer_id());
        assert_eq!(after.last_sequence(), before.last_sequence());
    }
}

#[test]
fn an_empty_batch_stays_for_its_producers_sequence_or_for_the_end() {
    let bytes = batch(5, &[("a", Some("1")), ("a", Some("2"))], 9, Codec::Lz4);
    let known = map(&[("a", 70)]);
    assert_eq!(plain(&bytes, &terms(), &known).0, Fate::Gone);

    let last = LastBatch {
        data: Some(Offset::new(6)),
        epoch: 2,
    };
    let of_producer = Terms {
        last_batches: LastBatches::from([(9, last)]),
        ..terms()
    };
    let at_end = Terms {
        upper: Offset::new(7),
        ..terms()
    };
    for terms in [of_producer, at_end] {
        let (fate, out) = plain(&bytes, &terms, &known);
        let (before, after) = (header(&bytes), header(&out));
        assert_eq!((fate, out.len()), (Fate::Rewritten, 61));
        assert_eq!(after.record_count(), 0);
        assert_eq!(after.base_timestamp(), -1);
        assert_eq!(after.max_timestamp(), before.max_timestamp());
        assert_eq!(after.attributes().codec(), Ok(Codec::None));
        assert_eq!(after.last_offset(), before.last_offset());
        assert_eq!(after.last_sequence(), before.last_sequence());
        // The next time it is as it was, or goes.
        assert_eq!(plain(&out, &terms, &known), (Fate::AsItLies, vec![]));
        assert_eq!(plain(&out, &self::terms(), &known).0, Fate::Gone);
    }
}

#[test]
fn a_tombstone_gets_a_term_once_and_goes_when_it_is_over() {
    let bytes = batch(5, &[("a", None), ("b", Some("2"))], -1, Codec::Gzip);
    let known = map(&[("a", 5)]);
    let (fate, out) = plain(&bytes, &terms(), &known);
    assert_eq!(fate, Fate::Rewritten);
    assert_eq!(header(&out).delete_horizon_ms(), Some(NOW_MS + 500));
    assert_eq!(
        records(&out),
        records(&bytes),
        "times are deltas to the horizon now"
    );

    let soon = Terms {
        now_ms: NOW_MS + 499,
        ..terms()
    };
    assert_eq!(plain(&out, &soon, &known).0, Fate::AsItLies);
    let later = Terms {
        now_ms: NOW_MS + 500,
        ..terms()
    };
    let (fate, left) = plain(&out, &later, &known);
    assert_eq!(fate, Fate::Rewritten);
    assert_eq!(records(&left), [(6, 50, Some(b"2".to_vec()))]);
    assert_eq!(header(&left).delete_horizon_ms(), Some(NOW_MS + 500));
}

#[test]
fn what_the_map_does_not_speak_for_stays_and_what_has_no_key_goes() {
    let bytes = batch(
        5,
        &[("", Some("1")), ("a", Some("2")), ("", Some("3"))],
        -1,
        Codec::None,
    );
    let partly = Terms {
        mapped_end: Offset::new(7),
        ..terms()
    };
    let (batch, mut out) = (Batch::check(&bytes).expect("a batch"), Vec::new());
    let mut filter = Filter::default();
    let mut met = Transactions::default();
    let fate = filter.pass(&batch, &partly, &map(&[("a", 900)]), &mut met, &mut out);
    assert_eq!(fate, Ok(Fate::Rewritten));
    assert_eq!(records(&out), [(7, 50, Some(b"3".to_vec()))]);
    assert_eq!(
        (filter.tally.read, filter.tally.kept, filter.tally.keyless),
        (3, 1, 1)
    );
}

#[test]
fn the_logs_own_time_stays_the_time_of_every_record() {
    let mut builder = BatchBuilder::new();
    for key in ["a", "b"] {
        builder
            .append(3, Some(key.as_bytes()), Some(b"v"), &[])
            .expect("small");
    }
    builder.set_log_append_time(777);
    let bytes = finish(builder, 5, -1, Codec::None);
    let (fate, out) = plain(&bytes, &terms(), &map(&[("a", 900)]));
    assert_eq!(fate, Fate::Rewritten);
    assert_eq!(records(&out), [(6, 777, Some(b"v".to_vec()))]);
    assert_eq!(
        header(&out).attributes().timestamp_type(),
        TimestampType::LogAppend
    );
    assert_eq!(header(&out).max_timestamp(), 777);
}

#[test]
fn an_aborted_transaction_goes_first_and_its_marker_two_cleanings_later() {
    let (data, abort) = (in_transaction(5, 9), marker(6, 9, Outcome::Abort));
    let known = map(&[]);
    let aborted = vec![Aborted::new(9, 5, 6)];
    let mut first = Transactions::new(aborted.clone());
    assert_eq!(pass(&data, &terms(), &known, &mut first).0, Fate::Gone);
    assert_eq!(pass(&abort, &terms(), &known, &mut first).0, Fate::AsItLies);
    assert_eq!(first.take_needed(), aborted);

    let mut second = Transactions::new(aborted);
    let (fate, dated) = pass(&abort, &terms(), &known, &mut second);
    assert_eq!(fate, Fate::Rewritten);
    assert_eq!(header(&dated).delete_horizon_ms(), Some(NOW_MS + 500));
    assert!(header(&dated).attributes().is_control());
    assert!(second.take_needed().is_empty());

    let later = Terms {
        now_ms: NOW_MS + 500,
        ..terms()
    };
    let mut third = Transactions::default();
    assert_eq!(pass(&dated, &terms(), &known, &mut third).0, Fate::AsItLies);
    assert_eq!(pass(&dated, &later, &known, &mut third).0, Fate::Gone);
    // As long as it is all that is known of its producer's epoch, its shell stays.
    let last = LastBatch {
        data: None,
        epoch: 2,
    };
    let needed = Terms {
        last_batches: LastBatches::from([(9, last)]),
        ..later
    };
    let (fate, shell) = pass(&dated, &needed, &known, &mut third);
    assert_eq!((fate, header(&shell).record_count()), (Fate::Rewritten, 0));
}

#[test]
fn a_committed_transaction_is_cleaned_like_any_records() {
    let (data, commit) = (in_transaction(5, 9), marker(6, 9, Outcome::Commit));
    let mut met = Transactions::default();
    assert_eq!(
        pass(&data, &terms(), &map(&[("t", 5)]), &mut met).0,
        Fate::AsItLies
    );
    assert_eq!(
        pass(&commit, &terms(), &map(&[]), &mut met).0,
        Fate::AsItLies
    );
    let mut met = Transactions::default();
    assert_eq!(
        pass(&data, &terms(), &map(&[("t", 50)]), &mut met).0,
        Fate::Gone
    );
    assert_eq!(
        pass(&commit, &terms(), &map(&[]), &mut met).0,
        Fate::AsItLies
    );
}

#[test]
fn what_does_not_decompress_is_unfit() {
    let good = batch(5, &[("a", Some("1"))], -1, Codec::None);
    let mut bytes = good.clone();
    // Another codec's bits over plain records, with a checksum that holds.
    bytes[22] |= 4;
    let crc = highwater_record::crc::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    let batch = Batch::check(&bytes).expect("a sound frame");
    let mut met = Transactions::default();
    let unfit = Filter::default().pass(&batch, &terms(), &map(&[]), &mut met, &mut Vec::new());
    assert!(matches!(unfit, Err(Unfit::Codec(_))), "{unfit:?}");
}
