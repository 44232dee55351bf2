//! Cleaning a log in the simulated world, against a map of the last value of each key: whatever is cleaned, and whenever
//! the world ends meanwhile, every key that lives has its last value, and no offset holds anything else than before.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod case;
#[path = "../common/mod.rs"]
mod common;
mod power;
mod spared;

use std::time::Duration;

use case::*;
use common::*;
use highwater_log::compaction::{Access, MapLimits, Pace, Workshop, clean};
use highwater_log::{Config, Error, Opening};
use highwater_reactor::sim::{Crash, Operation};
use highwater_record::Offset;
use proptest::prelude::*;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

#[test]
fn of_each_key_the_last_record_stays_in_every_codec() {
    let mut case = Case::new(1, compacted());
    case.fill(60);
    case.checkpoint();
    let (upper, segments) = (case.dirt().upper, case.log(|log| log.segment_count()));
    assert!(segments > 5 && upper == case.log(|log| log.active_base()));
    let cleaned = case.clean();
    assert_eq!((cleaned.from, cleaned.to), (Offset::ZERO, upper));
    assert_eq!(cleaned.segments, segments - 1);
    assert_eq!(cleaned.records_read, upper.get() as u64);
    assert_eq!(cleaned.keys, 7);
    assert!(cleaned.bytes_kept < cleaned.bytes_read / 3);
    case.check();
    case.check_clean_below(upper);
    assert_eq!(case.dirt().dirty_bytes, 0);
    assert!(case.try_clean().expect("no fault").is_none());
    // What has shrunk is put together the next time.
    case.fill(10);
    case.checkpoint();
    let cleaned = case.clean();
    assert!(
        cleaned.segments_written < cleaned.segments / 2,
        "{cleaned:?}"
    );
}

#[test]
fn what_was_written_since_is_cleaned_together_with_what_was_clean() {
    let mut case = Case::new(2, compacted());
    for _ in 0..6 {
        case.fill(25);
        case.checkpoint();
        let upper = case.dirt().upper;
        let first_dirty = case.dirt().first_dirty;
        let cleaned = case.clean();
        assert_eq!((cleaned.from, cleaned.to), (first_dirty, upper));
        case.check();
        case.check_clean_below(upper);
    }
}

#[test]
fn a_log_that_was_cleaned_opens_again_after_a_stop_and_after_a_crash() {
    for is_clean in [true, false] {
        let mut case = Case::new(3, compacted());
        case.fill(60);
        case.checkpoint();
        case.clean();
        let point = case.log(|log| log.durable_offset());
        let rows = case.rows(10_000);
        case.fill(3);
        let names = case.names();
        assert!(
            !names
                .iter()
                .any(|name| name.ends_with(".cleaned") || name.ends_with(".swap")),
            "{names:?}"
        );
        if is_clean {
            let log = case.shared.log.borrow_mut().take().expect("open");
            let end = case.world.run(close(&case.reactor, log));
            case.world.restart();
            case.reactor = case.world.shard(0);
            let report = case.open(clean_at(end));
            assert_eq!((report.segments_scanned, report.indexes_rebuilt), (0, 0));
        } else {
            case.crash(Crash::LoseUnsynced);
            case.written.truncate(point.get() as usize);
            let report = case.open(unclean(point));
            assert_eq!((report.bytes_cut, report.lost), (0, None));
            assert_eq!(case.rows(10_000), rows);
        }
        case.check();
    }
}

fn clean_at(end: Offset) -> Opening {
    common::clean(end)
}

#[test]
fn what_recovery_may_have_to_look_at_is_not_cleaned() {
    let mut case = Case::new(4, compacted());
    case.fill(30);
    case.sync();
    let dirt = case.dirt();
    assert!(dirt.awaits_checkpoint && dirt.is_due());
    assert_eq!(dirt.upper, Offset::ZERO);
    assert!(case.try_clean().expect("no fault").is_none());
    case.log(|log| log.checkpointed(Offset::new(20)));
    let dirt = case.dirt();
    assert!(dirt.awaits_checkpoint && dirt.upper <= Offset::new(20) && dirt.upper > Offset::ZERO);
    case.checkpoint();
    assert!(!case.dirt().awaits_checkpoint);
}

#[test]
fn a_map_that_is_too_small_cleans_in_pieces() {
    let mut case = Case::new(5, compacted());
    case.workshop = Workshop::new(
        4096,
        MapLimits {
            bytes_max: 0,
            load_percent: 1,
        },
    );
    for at in 0..120usize {
        let key: &'static str = Box::leak(format!("key {}", at % 31).into_boxed_str());
        case.append(&[(key, Some(format!("{at}")))], CODECS[at % 5]);
    }
    case.checkpoint();
    let upper = case.dirt().upper;
    let (mut pieces, mut to) = (0, Offset::ZERO);
    while to < upper {
        let cleaned = case.clean();
        assert_eq!(cleaned.from, to);
        assert!(
            cleaned.keys <= 10 && cleaned.to > to,
            "every piece gets further"
        );
        to = cleaned.to;
        case.check();
        pieces += 1;
    }
    assert!(pieces > 4);
    case.check_clean_below(upper);
}

#[test]
fn a_tombstone_stays_for_its_term_and_then_goes() {
    let config = Config {
        delete_retention_ms: 60_000,
        ..compacted()
    };
    let mut case = Case::new(6, config);
    let filler = |case: &mut Case| {
        for at in 0..12 {
            case.append(
                &[("other", Some(format!("{at}{}", "x".repeat(90))))],
                "none",
            );
        }
        case.checkpoint();
    };
    case.append(&[("gone", Some("soon".to_owned()))], "none");
    case.append(&[("stays", Some("here".to_owned())), ("gone", None)], "lz4");
    filler(&mut case);
    case.clean();
    let keyed = |case: &Case, key: &str| {
        let rows = case.rows(10_000);
        rows.into_iter()
            .find(|row| row.key.as_deref() == Some(key.as_bytes()))
    };
    let tombstone = case.written[2].clone();
    assert_eq!(keyed(&case, "gone"), Some(tombstone.clone()));
    let horizon = case.log(|log| {
        let header = log.header_at(Offset::new(1)).expect("readable");
        header.and_then(|header| header.delete_horizon_ms())
    });
    let now_ms = case.reactor.unix_ms();
    assert!(horizon.is_some_and(|horizon| (now_ms + 59_000..=now_ms + 60_000).contains(&horizon)));

    // The term counts from the first cleaning; the second changes nothing.
    case.world.run(case.reactor.sleep(Duration::from_secs(30)));
    filler(&mut case);
    case.clean();
    assert_eq!(keyed(&case, "gone"), Some(tombstone));
    case.world.run(case.reactor.sleep(Duration::from_secs(31)));
    filler(&mut case);
    case.clean();
    assert_eq!(keyed(&case, "gone"), None);
    assert_eq!(keyed(&case, "stays"), Some(case.written[1].clone()));
    case.check();
}

#[test]
fn a_reader_that_holds_the_old_segments_reads_on() {
    let mut case = Case::new(7, compacted());
    case.fill(40);
    case.checkpoint();
    let before = case.log(|log| {
        log.read(Offset::ZERO, log.end_offset(), 1_500, true)
            .expect("readable")
    });
    let (bytes, next) = (bytes_of(&before), before.next);
    case.clean();
    case.log(|log| log.retain(0, log.end_offset()))
        .expect("kept house");
    assert_eq!(bytes_of(&before), bytes, "whatever was swapped or removed");
    let after = case.log(|log| {
        log.read(next, log.end_offset(), 10_000, true)
            .expect("readable")
    });
    let rest = rows_of(&bytes_of(&after));
    assert!(rest.iter().all(|row| row.offset >= next.get()));
}

#[test]
fn a_cleaning_that_is_given_up_at_any_step_leaves_the_log_whole() {
    give_up(|| {
        let mut case = Case::new(8, compacted());
        case.fill(30);
        case
    });
    give_up(|| Case::of_one_key_again(8, 13));
}

fn give_up(make: impl Fn() -> Case) {
    for steps in 0.. {
        let mut case = make();
        case.checkpoint();
        *case.shared.steps.borrow_mut() = Some(steps);
        let done = case.try_clean().expect("no fault");
        *case.shared.steps.borrow_mut() = None;
        case.check();
        if done.is_some() {
            assert!(steps > 20, "{steps}");
            break;
        }
        case.clean();
        case.check();
        let names = case.names();
        assert!(
            !names.iter().any(|name| name.ends_with(".cleaned")),
            "{names:?}"
        );
    }
}

#[test]
fn retention_meanwhile_makes_a_cleaning_give_up() {
    let mut case = Case::new(
        9,
        Config {
            delete: true,
            retention_bytes: 1_500,
            retention_ms: -1,
            ..compacted()
        },
    );
    case.fill(40);
    case.checkpoint();
    let dirt = case.dirt();
    let (shared, reactor) = (case.shared.clone(), case.reactor.clone());
    let mut workshop = workshop();
    let cleaned = case.world.run(async {
        let other = shared.clone();
        let beside = reactor.clone();
        let retained = reactor.spawn(async move {
            beside.sleep(Duration::from_micros(300)).await;
            let deleted = other.with(|log| log.retain(0, log.end_offset()));
            deleted.expect("open").expect("kept house").len()
        });
        let cleaned = clean(&reactor, &shared, &mut workshop, &dirt, Pace::default(), 0).await;
        assert!(retained.await > 3);
        cleaned
    });
    assert!(cleaned.expect("no fault").is_none());
    let start = case.log(|log| log.start_offset());
    assert!(
        case.rows(10_000)
            .first()
            .is_some_and(|row| row.offset >= start.get())
    );
    assert_eq!(case.dirt().first_dirty, start);
    let cleaned = case.clean();
    assert_eq!(cleaned.from, start);
}

#[test]
fn a_full_device_ends_a_cleaning_and_a_later_one_goes_through() {
    for nth in 1..12 {
        for operation in [Operation::Write, Operation::Create, Operation::Rename] {
            let mut case = Case::new(10, compacted());
            case.fill(30);
            case.checkpoint();
            case.world.disk().fail(operation, nth, ENOSPC);
            let failed = case.try_clean();
            case.world.disk().heal();
            if case.fence.is_raised() {
                assert!(matches!(failed, Err(Error::Fenced { .. })), "{failed:?}");
                assert_eq!(operation, Operation::Rename, "a torn swap, and only that");
                let point = case.log(|log| log.durable_offset());
                case.crash(Crash::KeepAll);
                case.open(unclean(point));
            } else if failed.is_err() {
                assert!(matches!(failed, Err(Error::Full { .. })), "{failed:?}");
            }
            case.check();
            case.checkpoint();
            while case.try_clean().expect("there is room again").is_some() {}
            case.check();
            let upper = case.dirt().upper;
            case.check_clean_below(upper);
        }
    }
}

#[test]
fn a_failed_sync_of_what_was_cleaned_fences_and_nothing_is_lost() {
    for operation in [Operation::Sync, Operation::SyncDir, Operation::Write] {
        for nth in 1..5 {
            let mut case = Case::new(11, compacted());
            case.fill(30);
            case.checkpoint();
            let point = case.log(|log| log.durable_offset());
            case.world.disk().fail(operation, nth, EIO);
            let failed = case.try_clean();
            if failed.is_ok() {
                continue;
            }
            assert!(case.fence.is_raised(), "{operation:?} {nth}: {failed:?}");
            case.crash(Crash::LoseUnsynced);
            let report = case.open(unclean(point));
            assert_eq!((report.lost, report.bytes_cut), (None, 0));
            case.check();
        }
    }
}

#[test]
fn a_damaged_batch_makes_the_log_uncleanable_and_is_left_where_it_is() {
    let mut case = Case::new(12, compacted());
    case.fill(30);
    case.checkpoint();
    let before = case.names();
    let name = "00000000000000000000.log";
    let path = case.dir.join(name);
    case.world.disk().flip(&path, 100, 0x10).expect("flipped");
    let failed = case.try_clean().expect_err("it is damaged");
    assert!(matches!(failed, Error::Corrupt { .. }), "{failed}");
    assert!(!case.fence.is_raised());
    assert_eq!(case.names(), before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Random writes, cleanings, crashes and restarts against the list of what was written.
    #[test]
    fn a_compacted_log_is_the_map_of_its_keys(
        seed in any::<u64>(),
        steps in prop::collection::vec((0u8..10, prop::collection::vec((0usize..9, any::<bool>(), 0usize..80), 1..5), 0usize..5), 1..60),
        // The largest batch, of four records of ninety bytes, fits into a segment.
        segment_bytes in 450u32..2_000,
        delete_retention_ms in 0i64..50,
    ) {
        const KEYS: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", ""];
        let config = Config { segment_bytes, delete_retention_ms, ..compacted() };
        let mut case = Case::new(seed, config);
        // Of a compacted log of which nothing at all is known, a gap in what was never acknowledged is no news.
        case.append(&[("a", Some("first".to_owned()))], "none");
        case.checkpoint();
        let mut point = case.log(|log| log.durable_offset());
        for (step, pairs, codec) in steps {
            match step {
                0..6 => {
                    let pairs: Vec<Pair> = pairs
                        .iter()
                        .map(|(key, lives, bytes)| (KEYS[*key], lives.then(|| "v".repeat(*bytes))))
                        .collect();
                    case.append(&pairs, CODECS[codec]);
                }
                6 => {
                    case.checkpoint();
                    point = case.log(|log| log.durable_offset());
                }
                7 | 8 => {
                    let dirt = case.dirt();
                    let cleaned = case.try_clean().expect("no fault");
                    prop_assert_eq!(cleaned.is_some(), dirt.upper > dirt.first_dirty);
                }
                _ => {
                    let crash = [Crash::KeepAll, Crash::LoseUnsynced, Crash::KeepPrefix, Crash::KeepRandom][codec % 4];
                    case.crash(crash);
                    case.open(unclean(point));
                    let end = case.log(|log| log.end_offset());
                    prop_assert!(end >= point);
                    case.written.truncate(end.get() as usize);
                    case.sync_all();
                }
            }
            case.check();
        }
    }
}
