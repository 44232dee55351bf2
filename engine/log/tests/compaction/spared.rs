//! Segments of which nothing goes are not written again; where something goes late, what lies before it is copied.

use highwater_log::Config;
use highwater_reactor::sim::{Crash, Operation};

use crate::case::*;
use crate::common::*;

/// Batches of a kibibyte that fill a segment: several slices of the workshop's.
const BATCHES: usize = 18;

fn config() -> Config {
    Config {
        segment_bytes: 20_000,
        ..compacted()
    }
}

impl Case {
    /// Fills a segment with batches of one key each, which nobody else has.
    fn fill_with_others(&mut self, segment: usize) {
        for at in 0..BATCHES {
            let key = format!("{segment}-{at}").leak();
            self.append(&[(key, Some("v".repeat(1000)))], "none");
        }
    }

    /// Two segments of keys that come once, but for one of the first, which comes again in a third: the batch `again`. And one
    /// that is still written.
    pub(crate) fn of_one_key_again(seed: u64, again: usize) -> Case {
        let mut case = Case::new(seed, config());
        case.fill_with_others(0);
        case.fill_with_others(1);
        let key = format!("0-{again}").leak();
        case.append(&[(key, Some("anew".repeat(4600)))], "none");
        case.append(&[("last", Some("v".repeat(2000)))], "none");
        assert_eq!(case.log(|log| log.segment_count()), 4);
        case
    }
}

#[test]
fn a_segment_of_which_nothing_goes_is_read_and_not_written() {
    let mut case = Case::new(1, config());
    for segment in 0..4 {
        case.fill_with_others(segment);
    }
    case.checkpoint();
    let segments = case.log(|log| log.segment_count());
    let rows = case.rows(10_000);
    let written = case.world.disk().count(Operation::Write);
    let cleaned = case.clean();
    assert_eq!(
        (cleaned.segments, cleaned.segments_written),
        (segments - 1, 0)
    );
    assert_eq!(cleaned.bytes_kept, cleaned.bytes_read);
    assert_eq!(case.world.disk().count(Operation::Write), written);
    assert_eq!(case.rows(10_000), rows);
    case.check();
    assert_eq!(case.dirt().dirty_bytes, 0);
    let is_left = |name: &String| name.ends_with(".cleaned");
    assert!(!case.names().iter().any(is_left));
}

#[test]
fn what_lies_before_the_first_that_goes_is_copied_wherever_that_is() {
    for again in [0, 1, 7, BATCHES - 1] {
        let mut case = Case::of_one_key_again(2, again);
        case.checkpoint();
        let upper = case.dirt().upper;
        let cleaned = case.clean();
        assert_eq!((cleaned.segments, cleaned.segments_written), (3, 1));
        assert_eq!(cleaned.records_kept, cleaned.records_read - 1);
        case.check();
        case.check_clean_below(upper);
        // It is on the disk, every byte of it.
        let point = case.log(|log| log.durable_offset());
        case.crash(Crash::LoseUnsynced);
        let report = case.open(unclean(point));
        assert_eq!((report.bytes_cut, report.lost), (0, None));
        case.check();
        case.check_clean_below(upper);
    }
}
