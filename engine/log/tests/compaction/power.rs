//! The power goes at every step of a cleaning, in every way.

use highwater_reactor::sim::{Crash, Operation};

use crate::case::*;
use crate::common::*;

#[test]
fn whenever_the_power_goes_the_last_value_of_every_key_is_there() {
    let died = cut(|seed| {
        let mut case = Case::new(seed, compacted());
        case.fill(24);
        case
    });
    assert!(died > 60, "{died}");
}

#[test]
fn whenever_the_power_goes_what_was_copied_late_is_whole_or_nobodys() {
    let died = cut(|seed| Case::of_one_key_again(seed, 13));
    assert!(died > 40, "{died}");
}

/// Cleans a log and cuts the power at every operation in turn, and each time in four ways; returns how often.
fn cut(make: impl Fn(u64) -> Case) -> u64 {
    let crashes = [
        Crash::KeepAll,
        Crash::LoseUnsynced,
        Crash::KeepPrefix,
        Crash::KeepRandom,
    ];
    let operations = [
        Operation::Create,
        Operation::Write,
        Operation::Sync,
        Operation::Rename,
        Operation::SyncDir,
        Operation::Remove,
    ];
    let mut died = 0;
    for (kind, crash) in crashes.into_iter().enumerate() {
        for operation in operations {
            for nth in 1.. {
                let mut case = make(100 + kind as u64 * 1000 + nth);
                case.checkpoint();
                let point = case.log(|log| log.durable_offset());
                case.fill(2);
                case.world.disk().die_at(operation, nth);
                let cleaned = case.try_clean();
                case.crash(crash);
                let report = case.open(unclean(point));
                assert_eq!(report.lost, None, "{crash:?} at {operation:?} {nth}");
                let end = case.log(|log| log.end_offset());
                assert!(end >= point);
                case.written.truncate(end.get() as usize);
                case.check();
                let names = case.names();
                let is_left = |name: &String| name.ends_with(".cleaned") || name.ends_with(".swap");
                assert!(!names.iter().any(is_left), "{names:?}");
                // And it can be cleaned to the end now.
                case.checkpoint();
                while case.try_clean().expect("no fault").is_some() {}
                case.check();
                if cleaned.is_ok() {
                    break;
                }
                died += 1;
            }
        }
    }
    died
}
