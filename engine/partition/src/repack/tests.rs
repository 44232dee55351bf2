use highwater_record::{Codec, LeaderEpoch, Offset, TimestampType};

use super::*;
use crate::producers::{Census, Producers};
use crate::testing::{Wanted, records, rows};

const NOW: i64 = 1_700_000_000_000;
const CODECS: [Codec; 5] = [
    Codec::None,
    Codec::Gzip,
    Codec::Snappy,
    Codec::Lz4,
    Codec::Zstd,
];

fn state(config: Config) -> State {
    State::new(
        config,
        Producers::new(16, Census::default()),
        LeaderEpoch::ZERO,
        Offset::ZERO,
        Offset::ZERO,
    )
}

fn compacted() -> Config {
    let log = highwater_log::Config {
        compact: true,
        ..highwater_log::Config::default()
    };
    Config {
        log,
        ..Config::default()
    }
}

/// The batch that takes the place of `wanted`, or `None` if it stays as it came.
fn repack(config: Config, wanted: &Wanted) -> Result<Option<Vec<u8>>, Refusal> {
    let bytes = wanted.bytes();
    let batch = Batch::check(&bytes).expect("a batch");
    let packed = Repacker::default()
        .repack(batch, &state(config), NOW)?
        .map(|batch| batch.bytes().to_vec());
    Ok(packed)
}

#[test]
fn a_batch_in_another_codec_is_packed_anew_and_holds_the_same_records() {
    for from in CODECS {
        for to in CODECS {
            let config = Config {
                compression: Some(Compression::from(to)),
                ..Config::default()
            };
            let mut wanted = records(50, 100, NOW).from(7, 2, i32::MAX - 10).packed(from);
            wanted.timestamps_ms = (0..50).map(|index| NOW - 40 * (index % 7)).collect();
            let packed = repack(config, &wanted).expect("admitted");
            if from == to {
                assert_eq!(packed, None, "{from} stays");
                continue;
            }
            let packed = packed.expect("packed anew");
            let batch = Batch::check(&packed).expect("a batch");
            let header = batch.header();
            assert_eq!(header.attributes().codec(), Ok(to));
            assert_eq!(
                (
                    header.producer_id(),
                    header.producer_epoch(),
                    header.base_sequence()
                ),
                (7, 2, i32::MAX - 10)
            );
            assert_eq!((header.record_count(), header.max_timestamp()), (50, NOW));
            assert!(header.is_contiguous());
            assert_eq!(rows(&packed), rows(&wanted.bytes()));
        }
    }
}

#[test]
fn what_outgrows_the_limit_by_packing_anew_is_refused() {
    let config = Config {
        compression: Some(Compression::from(Codec::None)),
        max_message_bytes: 5000,
        ..Config::default()
    };
    let wanted = records(10, 1000, NOW).packed(Codec::Zstd);
    assert!(wanted.bytes().len() < 5000);
    assert!(matches!(
        repack(config, &wanted),
        Err(Refusal::TooLarge {
            bytes_max: 5000,
            ..
        })
    ));
}

#[test]
fn a_compacted_topic_demands_keys() {
    let keyless = Wanted {
        keyed: false,
        ..records(3, 10, NOW)
    };
    assert_eq!(
        repack(compacted(), &keyless),
        Err(Refusal::Invalid(Invalid::Keyless { record: 0 }))
    );
    assert_eq!(repack(compacted(), &records(3, 10, NOW)), Ok(None));
    assert_eq!(
        repack(compacted(), &records(3, 10, NOW).packed(Codec::Lz4)),
        Ok(None)
    );
}

#[test]
fn every_timestamp_is_looked_at_where_a_limit_is_set() {
    let limited = || Config {
        timestamp_before_max_ms: 1000,
        ..Config::default()
    };
    let mut wanted = records(4, 10, NOW);
    wanted.timestamps_ms[2] = NOW - 1001;
    assert!(matches!(
        repack(limited(), &wanted),
        Err(Refusal::InvalidTimestamp { record: 2, .. })
    ));
    wanted.timestamps_ms[2] = NOW - 1000;
    assert_eq!(repack(limited(), &wanted), Ok(None));
    // Not where the log's clock decides.
    wanted.timestamps_ms[2] = 5;
    let log = highwater_log::Config {
        compact: true,
        ..highwater_log::Config::default()
    };
    let stamping = Config {
        timestamp_type: TimestampType::LogAppend,
        log,
        ..limited()
    };
    assert_eq!(repack(stamping, &wanted), Ok(None));
}

#[test]
fn a_body_that_does_not_hold_is_refused() {
    let lz4 = || Config {
        compression: Some(Compression::from(Codec::Lz4)),
        ..Config::default()
    };
    // A gzip body that is none, under a right checksum.
    let mut bytes = records(3, 10, NOW).bytes();
    bytes[22] |= 1;
    let crc = highwater_record::crc::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    let batch = Batch::check(&bytes).expect("the header holds");
    let mut repacker = Repacker::default();
    assert!(matches!(
        repacker.repack(batch, &state(lz4()), NOW),
        Err(Refusal::Undecodable(_))
    ));
    // Records that do not fill their body.
    let mut bytes = records(3, 10, NOW).bytes();
    let last = bytes.len() - 1;
    bytes[last] = 40;
    let crc = highwater_record::crc::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    let batch = Batch::check(&bytes).expect("the header holds");
    assert!(matches!(
        repacker.repack(batch, &state(lz4()), NOW),
        Err(Refusal::Corrupt(_))
    ));
    // And the next batch does not suffer from it.
    let good = records(3, 10, NOW);
    let bytes = good.bytes();
    let state = state(lz4());
    let packed = repacker.repack(Batch::check(&bytes).expect("a batch"), &state, NOW);
    let packed = packed.expect("admitted").expect("packed anew");
    assert_eq!(rows(packed.bytes()), rows(&bytes));
}
