use highwater_reactor::Instant;
use highwater_record::batches;
use proptest::prelude::*;

use super::*;
use crate::producers::{Census, Claim};

/// Written by Apache Kafka 4.1.0 on a roll: four producers, one of them in an open transaction.
const KAFKA_25: &[u8] = include_bytes!("../../tests/golden/kafka-25.snapshot");
/// Written by the same on a clean stop: the transaction was committed, and another is open.
const KAFKA_27: &[u8] = include_bytes!("../../tests/golden/kafka-27.snapshot");
/// The log below offset 25.
const KAFKA_LOG: &[u8] = include_bytes!("../../tests/golden/kafka-0.log");

fn restored(bytes: &[u8]) -> Producers {
    let mut producers = Producers::new(1000, Census::default());
    producers.restore(decode(bytes).expect("a snapshot"), Instant::ZERO);
    producers
}

#[test]
fn what_kafka_wrote_is_read_and_written_again_byte_for_byte() {
    for golden in [KAFKA_25, KAFKA_27] {
        assert_eq!(encode(&restored(golden)), golden);
    }
    let producers = restored(KAFKA_27);
    let committed = producers.get(3).expect("producer 3");
    assert_eq!(
        (committed.coordinator_epoch, committed.transaction_first),
        (0, None)
    );
    let open = producers.get(4).expect("producer 4");
    assert_eq!(open.transaction_first, Some(Offset::new(26)));
    let last = producers
        .get(0)
        .and_then(Producer::last_batch)
        .expect("producer 0");
    assert_eq!((last.first_sequence(), last.last_sequence), (16, 19));
    assert_eq!(
        (last.first_offset(), last.last_offset),
        (Offset::new(16), Offset::new(19))
    );
}

#[test]
fn the_log_alone_tells_what_kafkas_snapshot_tells() {
    let mut producers = Producers::new(1000, Census::default());
    for batch in batches(KAFKA_LOG) {
        let batch = batch.expect("kafka's own batch");
        let claim = Claim::of(batch.header()).expect("idempotent");
        producers.placed(&claim, Kept::of(batch.header()), Instant::ZERO);
    }
    assert_eq!(producers.get(0).expect("producer 0").batches().len(), 5);
    // Transactions come later; but for the open one the bytes are the same.
    let mut told = decode(&encode(&producers)).expect("our own");
    for (producer_id, producer) in &mut told {
        producer.transaction_first = (*producer_id == 3).then(|| Offset::new(24));
    }
    producers.restore(told, Instant::ZERO);
    assert_eq!(encode(&producers), KAFKA_25);
}

#[test]
fn any_flipped_or_missing_byte_is_found() {
    for position in 0..KAFKA_25.len() {
        let mut broken = KAFKA_25.to_vec();
        broken[position] ^= 0x40;
        assert!(decode(&broken).is_err(), "byte {position}");
        assert!(decode(&KAFKA_25[..position]).is_err(), "cut at {position}");
    }
    assert_eq!(decode(&[]), Err(Defect::Length { bytes: 0, count: 0 }));
}

#[test]
fn an_entry_no_broker_writes_is_refused_though_its_checksum_holds() {
    let mut broken = KAFKA_25.to_vec();
    broken[HEADER_BYTES..HEADER_BYTES + 8].copy_from_slice(&(-5i64).to_be_bytes());
    let crc = crc::crc32c(&broken[COVERED_FROM..]);
    broken[CRC_AT..COVERED_FROM].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(decode(&broken), Err(Defect::Entry { producer_id: -5 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_was_written_is_what_is_read(
        entries in prop::collection::btree_map(
            0..i64::MAX,
            (any::<i16>(), -1..10i32, any::<i64>(), prop::option::of(0..i64::MAX), prop::option::of((0..=i32::MAX, 0..i64::MAX, 0..1000i32))),
            0..20,
        ),
    ) {
        let entries: Vec<(i64, Producer)> = entries
            .into_iter()
            .map(|(producer_id, (epoch, coordinator_epoch, timestamp_ms, transaction_first, last))| {
                let last = last.map(|(last_sequence, last_offset, delta)| Kept {
                    last_sequence,
                    last_offset: Offset::new(last_offset),
                    offset_delta: delta.min(i32::try_from(last_offset).unwrap_or(i32::MAX)),
                    timestamp_ms,
                });
                let first = transaction_first.map(Offset::new);
                (producer_id, Producer::remembered(epoch, coordinator_epoch, timestamp_ms, first, last))
            })
            .collect();
        let mut producers = Producers::new(1000, Census::default());
        producers.restore(entries.clone(), Instant::ZERO);
        prop_assert_eq!(decode(&encode(&producers)), Ok(entries));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }
}
