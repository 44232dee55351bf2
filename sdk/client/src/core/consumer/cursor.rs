//! Where reading a partition stands: what was handed out, what waits here, what to ask for next.
//!
//! ```text
//!        position            fetch offset              high watermark
//!  ---------|--- waiting here ----|--- to be asked for -------|
//! ```

use std::time::Duration;

use crate::config::OffsetReset;
use crate::consumer::Start;
use crate::core::backoff::Backoff;

/// How many answers of one partition may wait.
const WAITING_MAX: usize = 2;

/// One partition's place. Knows neither its name nor its leader.
#[derive(Debug)]
pub(crate) struct Cursor {
    stage: Stage,
    /// The offset of the next record to be handed out.
    position: Option<i64>,
    /// The leader epoch of what lies before it; -1 when not known.
    position_epoch: i32,
    /// The leader epoch of what lies before the fetch offset; -1 when not known.
    fetch_epoch: i32,
    /// Counts seeks: what was asked before one is not for us any more.
    generation: u32,
    waiting: usize,
    waiting_bytes: usize,
    paused: bool,
    failures: u32,
    not_before: Duration,
    pub(crate) high_watermark: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The offset has to be looked up.
    Seeking(Start),
    /// This offset is to be asked for.
    Reading(i64),
    /// The same, once the new leader has told that the log before it is still the one that was read (KIP-320).
    Validating(i64),
    /// The position is not in the log and the policy is to stop.
    Stuck,
}

/// What a fetcher can do for a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Look this place up.
    LookUp(Start),
    /// Fetch from this offset.
    Fetch(i64),
    /// Ask where this leader epoch, which is that of what lies before the fetch offset, ends.
    Validate(i32),
    /// Nothing while so much of it waits here.
    Full,
    /// Nothing before this time.
    Wait(Duration),
    /// Nothing until something happens.
    Idle,
}

/// What a new leader's log is to a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validated {
    /// What was read before it is there; or nobody wants to know any more.
    Same,
    /// The logs part here, before it, with the epoch there; `None` when nobody knows where.
    Truncated(Option<(i64, i32)>),
}

impl Cursor {
    pub(crate) fn new(start: Start) -> Self {
        let mut cursor = Self {
            stage: Stage::Stuck,
            position: None,
            position_epoch: -1,
            fetch_epoch: -1,
            generation: 0,
            waiting: 0,
            waiting_bytes: 0,
            paused: false,
            failures: 0,
            not_before: Duration::ZERO,
            high_watermark: None,
        };
        cursor.seek(start);
        cursor
    }

    /// Goes to another place. What waits has to be dropped by the caller.
    pub(crate) fn seek(&mut self, start: Start) {
        self.generation = self.generation.wrapping_add(1);
        self.waiting = 0;
        self.waiting_bytes = 0;
        self.failures = 0;
        self.not_before = Duration::ZERO;
        self.position_epoch = -1;
        self.fetch_epoch = -1;
        (self.stage, self.position) = match start {
            Start::Offset(offset) => (Stage::Reading(offset), Some(offset)),
            Start::Earliest | Start::Latest | Start::Timestamp(_) => (Stage::Seeking(start), None),
        };
    }

    /// There is nowhere to go until the next seek.
    pub(crate) fn stop(&mut self) {
        self.seek(Start::Earliest);
        self.stage = Stage::Stuck;
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    pub(crate) fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// The offset of the next record to be handed out; `None` while it is looked up.
    pub(crate) fn position(&self) -> Option<i64> {
        self.position
    }

    /// What to do next, where a partition with `bytes_low` waiting bytes is not asked about.
    pub(crate) fn next(&self, now: Duration, bytes_low: usize) -> Next {
        if self.paused {
            return Next::Idle;
        }
        let next = match self.stage {
            Stage::Stuck => return Next::Idle,
            Stage::Seeking(start) => Next::LookUp(start),
            Stage::Validating(_) => Next::Validate(self.fetch_epoch),
            Stage::Reading(_) if self.waiting >= WAITING_MAX || self.waiting_bytes >= bytes_low => {
                return Next::Full;
            }
            Stage::Reading(offset) => Next::Fetch(offset),
        };
        if now < self.not_before {
            Next::Wait(self.not_before)
        } else {
            next
        }
    }

    /// A look-up found `offset`, and the leader epoch there; -1 when it was not told.
    pub(crate) fn found(&mut self, generation: u32, offset: i64, leader_epoch: i32) {
        // Two leaders in turn may have been asked.
        if generation == self.generation && matches!(self.stage, Stage::Seeking(_)) {
            self.stage = Stage::Reading(offset);
            self.fetch_epoch = leader_epoch;
            // After a reset, what still waits lies before it.
            self.position.get_or_insert(offset);
            self.failures = 0;
        }
    }

    /// An answer to a fetch from `asked` came, with batches up to `next_offset`, the last one of `leader_epoch`. Returns whether
    /// it is wanted: two leaders in turn may have been asked the same.
    pub(crate) fn fetched(
        &mut self,
        generation: u32,
        asked: i64,
        bytes: usize,
        (next_offset, leader_epoch): (i64, i32),
    ) -> bool {
        let Stage::Reading(offset) = &mut self.stage else {
            return false;
        };
        if generation != self.generation || asked != *offset {
            return false;
        }
        *offset = next_offset.max(*offset);
        self.fetch_epoch = leader_epoch;
        self.failures = 0;
        self.waiting += usize::from(bytes > 0);
        self.waiting_bytes += bytes;
        true
    }

    /// An answer of so many bytes is being handed out.
    pub(crate) fn taken(&mut self, bytes: usize) {
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// What was taken came back.
    pub(crate) fn returned(&mut self, bytes: usize) {
        self.waiting += 1;
        self.waiting_bytes += bytes;
    }

    /// Records up to `next_offset` were handed out or passed over.
    pub(crate) fn advance(&mut self, next_offset: i64, leader_epoch: i32) {
        self.position = Some(next_offset);
        self.position_epoch = leader_epoch;
    }

    /// The leader epoch of what lies before the position; -1 when not known.
    pub(crate) fn position_epoch(&self) -> i32 {
        self.position_epoch
    }

    /// The epoch of what lies before the place that was just sought, as somebody who has read it says.
    pub(crate) fn set_epoch(&mut self, leader_epoch: i32) {
        self.position_epoch = leader_epoch;
        self.fetch_epoch = leader_epoch;
    }

    /// The partition has another leader, or its leader another epoch.
    pub(crate) fn leader_changed(&mut self) {
        if let Stage::Reading(offset) = self.stage
            && self.fetch_epoch >= 0
        {
            self.stage = Stage::Validating(offset);
        }
    }

    /// The leader does not tell where epochs end: what was read is believed.
    pub(crate) fn unverified(&mut self, generation: u32) {
        if generation == self.generation
            && let Stage::Validating(offset) = self.stage
        {
            self.stage = Stage::Reading(offset);
        }
    }

    /// The leader told where the epoch that was asked about ends in its log, and the largest epoch up to that; `None` when it
    /// has none so old.
    pub(crate) fn validated(&mut self, generation: u32, end: Option<(i64, i32)>) -> Validated {
        let Stage::Validating(offset) = self.stage else {
            return Validated::Same;
        };
        if generation != self.generation {
            return Validated::Same;
        }
        self.failures = 0;
        match end {
            Some((end, _)) if end >= offset => {
                self.stage = Stage::Reading(offset);
                Validated::Same
            }
            Some((end, epoch)) => Validated::Truncated(Some((end, epoch))),
            None => Validated::Truncated(None),
        }
    }

    /// What was fetched ahead of the position is asked for again. What waits has to be dropped by the caller.
    pub(crate) fn fetch_again(&mut self) {
        if let Some(position) = self.position {
            self.generation = self.generation.wrapping_add(1);
            self.waiting = 0;
            self.waiting_bytes = 0;
            self.fetch_epoch = self.position_epoch;
            self.stage = Stage::Reading(position);
        }
    }

    /// The request about this partition came to nothing: not again at once.
    pub(crate) fn failed(&mut self, now: Duration, backoff: &Backoff, random: u64) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = now + backoff.pause(self.failures, random);
    }

    /// The fetch offset is not in the log. Returns whether somebody has to be told.
    pub(crate) fn out_of_range(&mut self, generation: u32, reset: OffsetReset) -> bool {
        if generation != self.generation {
            return false;
        }
        // What waits here was in the log when it was fetched and is still handed out.
        if self.waiting == 0 && reset != OffsetReset::Fail {
            self.position = None;
        }
        let (stage, tell) = match reset {
            OffsetReset::Earliest => (Stage::Seeking(Start::Earliest), false),
            OffsetReset::Latest => (Stage::Seeking(Start::Latest), false),
            OffsetReset::Fail => (Stage::Stuck, true),
        };
        self.stage = stage;
        tell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: usize = 1000;
    const NOW: Duration = Duration::from_secs(1);

    #[test]
    fn a_start_is_looked_up_unless_it_is_an_offset() {
        let cursor = Cursor::new(Start::Latest);
        assert_eq!(cursor.next(NOW, LOW), Next::LookUp(Start::Latest));
        assert_eq!(cursor.position(), None);
        assert_eq!(Cursor::new(Start::Offset(7)).next(NOW, LOW), Next::Fetch(7));
    }

    #[test]
    fn a_partition_with_enough_waiting_is_not_asked_about() {
        let mut cursor = Cursor::new(Start::Offset(0));
        assert!(cursor.fetched(cursor.generation(), 0, 999, (10, 1)));
        assert_eq!(cursor.next(NOW, LOW), Next::Fetch(10));
        assert!(cursor.fetched(cursor.generation(), 10, 999, (20, 1)));
        assert!(
            !cursor.fetched(cursor.generation(), 10, 999, (20, 1)),
            "the old leader's answer"
        );
        assert_eq!(cursor.next(NOW, LOW), Next::Full);
        cursor.taken(999);
        assert_eq!(cursor.next(NOW, LOW), Next::Fetch(20));
        assert_eq!(cursor.position(), Some(0));
        cursor.advance(10, 3);
        assert_eq!(cursor.position_epoch(), 3);
        assert_eq!(cursor.position(), Some(10));
    }

    #[test]
    fn what_was_asked_before_a_seek_is_not_for_us() {
        let mut cursor = Cursor::new(Start::Offset(0));
        let before = cursor.generation();
        cursor.seek(Start::Offset(500));
        assert!(!cursor.fetched(before, 0, 10, (10, 1)));
        assert!(!cursor.out_of_range(before, OffsetReset::Fail));
        assert_eq!(cursor.next(NOW, LOW), Next::Fetch(500));
        let mut cursor = Cursor::new(Start::Latest);
        let before = cursor.generation();
        cursor.seek(Start::Earliest);
        cursor.found(before, 99, 1);
        assert_eq!(cursor.next(NOW, LOW), Next::LookUp(Start::Earliest));
    }

    #[test]
    fn out_of_range_follows_the_policy() {
        let mut cursor = Cursor::new(Start::Offset(5));
        assert!(!cursor.out_of_range(cursor.generation(), OffsetReset::Earliest));
        assert_eq!(cursor.next(NOW, LOW), Next::LookUp(Start::Earliest));
        cursor.found(cursor.generation(), 40, 1);
        assert_eq!(cursor.position(), Some(40));
        let mut cursor = Cursor::new(Start::Offset(5));
        assert!(cursor.out_of_range(cursor.generation(), OffsetReset::Fail));
        assert_eq!(cursor.next(NOW, LOW), Next::Idle);
        cursor.seek(Start::Offset(6));
        assert_eq!(cursor.next(NOW, LOW), Next::Fetch(6));
    }

    #[test]
    fn a_failure_pauses_and_an_answer_ends_the_pauses_growth() {
        let backoff = Backoff {
            first: Duration::from_millis(100),
            max: Duration::from_millis(1000),
        };
        let mut cursor = Cursor::new(Start::Offset(5));
        cursor.failed(NOW, &backoff, 200);
        let until = NOW + Duration::from_millis(100);
        assert_eq!(cursor.next(NOW, LOW), Next::Wait(until));
        assert_eq!(cursor.next(until, LOW), Next::Fetch(5));
        cursor.fetched(cursor.generation(), 5, 1, (6, 1));
        cursor.failed(until, &backoff, 200);
        assert_eq!(
            cursor.next(until, LOW),
            Next::Wait(until + Duration::from_millis(100))
        );
    }

    #[test]
    fn a_paused_partition_keeps_its_place() {
        let mut cursor = Cursor::new(Start::Offset(5));
        cursor.set_paused(true);
        assert_eq!(cursor.next(NOW, LOW), Next::Idle);
        cursor.set_paused(false);
        assert_eq!(cursor.next(NOW, LOW), Next::Fetch(5));
    }

    #[test]
    fn a_position_is_held_against_a_new_leaders_log() {
        let mut cursor = Cursor::new(Start::Offset(5));
        cursor.leader_changed();
        assert_eq!(
            cursor.next(NOW, LOW),
            Next::Fetch(5),
            "nothing was read yet"
        );
        assert!(cursor.fetched(cursor.generation(), 5, 10, (20, 3)));
        cursor.leader_changed();
        assert_eq!(cursor.next(NOW, LOW), Next::Validate(3));
        assert!(
            !cursor.fetched(cursor.generation(), 20, 10, (30, 3)),
            "the old leader's answer"
        );
        assert_eq!(
            cursor.validated(cursor.generation(), Some((20, 3))),
            Validated::Same
        );
        assert_eq!(cursor.next(NOW, LOW), Next::Fetch(20));
        cursor.leader_changed();
        let parted = Validated::Truncated(Some((12, 2)));
        assert_eq!(cursor.validated(cursor.generation(), Some((12, 2))), parted);
        cursor.fetch_again();
        assert_eq!(cursor.next(NOW, LOW), Next::Fetch(5));
        cursor.set_epoch(1);
        cursor.leader_changed();
        assert_eq!(
            cursor.validated(cursor.generation(), None),
            Validated::Truncated(None)
        );
        cursor.unverified(cursor.generation());
        assert_eq!(cursor.next(NOW, LOW), Next::Fetch(5));
    }
}
