//! The verdict: what was acknowledged against what came back, record by record. Knows neither time nor transport; both
//! sides report to it and it is asked once, at the end.
//!
//! A stream is one producer's records to one partition, numbered from 0. Kafka promises that they are stored in that order
//! and, with an idempotent producer, once.

use serde::Serialize;

/// What became of the records of a run, in numbers of records.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Verdict {
    /// Handed to the producer.
    pub(crate) sent: u64,
    /// Acknowledged by the broker.
    pub(crate) acknowledged: u64,
    /// Refused, or given up on, by the producer; each may or may not have been stored.
    pub(crate) failed: u64,
    /// Read back whole, each counted once.
    pub(crate) received: u64,
    /// Acknowledged and never read back.
    pub(crate) lost: u64,
    /// Read back once too often.
    pub(crate) duplicated: u64,
    /// Read back for the first time after a later one of their stream.
    pub(crate) reordered: u64,
    /// Read back with other bytes than were sent, or in a partition that they were not sent to.
    pub(crate) corrupt: u64,
}

impl Verdict {
    /// Whether every promise was kept. Failed records are no broken promise: nobody was told that they are safe.
    pub(crate) fn is_clean(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.reordered == 0 && self.corrupt == 0
    }
}

/// A growing set of small numbers, one bit each.
#[derive(Debug, Default)]
struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// Adds `number`; false when it was in the set already.
    fn insert(&mut self, number: u64) -> bool {
        let word = usize::try_from(number / 64).expect("a sequence fits the memory that holds it");
        if word >= self.words.len() {
            self.words.resize((word + 1).max(self.words.len() * 2), 0);
        }
        let bit = 1 << (number % 64);
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        new
    }

    fn contains(&self, number: u64) -> bool {
        usize::try_from(number / 64)
            .ok()
            .and_then(|word| self.words.get(word))
            .is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    fn len(&self) -> u64 {
        self.words
            .iter()
            .map(|word| u64::from(word.count_ones()))
            .sum()
    }

    /// How many numbers are here and not in `other`.
    fn len_without(&self, other: &Bits) -> u64 {
        let others = other.words.iter().copied().chain(std::iter::repeat(0));
        self.words
            .iter()
            .zip(others)
            .map(|(&a, b)| u64::from((a & !b).count_ones()))
            .sum()
    }
}

#[derive(Debug, Default)]
struct Stream {
    /// Invariant: every member is below `sent`.
    acknowledged: Bits,
    received: Bits,
    /// One past the highest sequence read back so far.
    next: u64,
    sent: u64,
    failed: u64,
    duplicated: u64,
    reordered: u64,
}

/// The book of one run.
#[derive(Debug)]
pub(crate) struct Ledger {
    streams: Vec<Stream>,
    corrupt: u64,
    received: u64,
    acknowledged: u64,
}

impl Ledger {
    /// A book for `streams` streams.
    pub(crate) fn new(streams: usize) -> Ledger {
        let streams = std::iter::repeat_with(Stream::default)
            .take(streams)
            .collect();
        Ledger {
            streams,
            corrupt: 0,
            received: 0,
            acknowledged: 0,
        }
    }

    /// `sequence` of `stream` was handed to the producer.
    pub(crate) fn sent(&mut self, stream: u32, sequence: u64) {
        let stream = &mut self.streams[stream as usize];
        stream.sent = stream.sent.max(sequence + 1);
    }

    /// The broker acknowledged it.
    pub(crate) fn acknowledged(&mut self, stream: u32, sequence: u64) {
        self.acknowledged += u64::from(self.streams[stream as usize].acknowledged.insert(sequence));
    }

    /// The producer gave up on it.
    pub(crate) fn failed(&mut self, stream: u32) {
        self.streams[stream as usize].failed += 1;
    }

    /// A whole record was read back.
    pub(crate) fn received(&mut self, stream: u32, sequence: u64) {
        let Some(stream) = self.streams.get_mut(stream as usize) else {
            self.corrupt += 1;
            return;
        };
        if sequence >= stream.sent {
            self.corrupt += 1;
        } else if !stream.received.insert(sequence) {
            stream.duplicated += 1;
        } else {
            self.received += 1;
            if sequence < stream.next {
                stream.reordered += 1;
            }
            stream.next = stream.next.max(sequence + 1);
        }
    }

    /// Something was read back that is no record of this run, or not in its partition.
    pub(crate) fn corrupt(&mut self) {
        self.corrupt += 1;
    }

    /// Forgets what was read back, so that all of it can be read and judged once more.
    pub(crate) fn read_again(&mut self) {
        self.corrupt = 0;
        self.received = 0;
        for stream in &mut self.streams {
            stream.received = Bits::default();
            (stream.next, stream.duplicated, stream.reordered) = (0, 0, 0);
        }
    }

    /// Acknowledged so far.
    pub(crate) fn acknowledged_count(&self) -> u64 {
        self.acknowledged
    }

    /// Read back so far, each record once.
    pub(crate) fn received_count(&self) -> u64 {
        self.received
    }

    /// The first few acknowledged records that never came back, as `(stream, sequence)`.
    pub(crate) fn lost_samples(&self, most: usize) -> Vec<(u32, u64)> {
        (0u32..)
            .zip(&self.streams)
            .flat_map(|(number, stream)| {
                (0..stream.sent)
                    .filter(|&s| stream.acknowledged.contains(s) && !stream.received.contains(s))
                    .map(move |sequence| (number, sequence))
            })
            .take(most)
            .collect()
    }

    /// The sum of it all.
    pub(crate) fn verdict(&self) -> Verdict {
        let mut verdict = Verdict {
            corrupt: self.corrupt,
            ..Verdict::default()
        };
        for stream in &self.streams {
            verdict.sent += stream.sent;
            verdict.acknowledged += stream.acknowledged.len();
            verdict.failed += stream.failed;
            verdict.received += stream.received.len();
            verdict.lost += stream.acknowledged.len_without(&stream.received);
            verdict.duplicated += stream.duplicated;
            verdict.reordered += stream.reordered;
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(sent: u64, acknowledged: &[u64], received: &[u64]) -> Verdict {
        let mut ledger = Ledger::new(1);
        (0..sent).for_each(|sequence| ledger.sent(0, sequence));
        acknowledged
            .iter()
            .for_each(|&sequence| ledger.acknowledged(0, sequence));
        received
            .iter()
            .for_each(|&sequence| ledger.received(0, sequence));
        ledger.verdict()
    }

    #[test]
    fn a_run_in_which_all_came_back_in_order_is_clean() {
        let all: Vec<u64> = (0..1000).collect();
        let verdict = ledger(1000, &all, &all);
        assert!(verdict.is_clean());
        assert_eq!((verdict.acknowledged, verdict.received), (1000, 1000));
    }

    #[test]
    fn an_acknowledged_record_that_never_came_back_is_lost() {
        let verdict = ledger(200, &[0, 1, 2, 150], &[0, 2, 3]);
        assert_eq!(verdict.lost, 2);
        assert!(!verdict.is_clean());
    }

    #[test]
    fn a_record_that_was_not_acknowledged_may_be_missing_or_present() {
        assert!(ledger(3, &[0], &[0, 1]).is_clean());
        assert!(ledger(3, &[0], &[0]).is_clean());
    }

    #[test]
    fn a_second_copy_is_a_duplicate_and_not_a_reordering() {
        let verdict = ledger(3, &[0, 1, 2], &[0, 1, 0, 2]);
        assert_eq!(
            (verdict.duplicated, verdict.reordered, verdict.received),
            (1, 0, 3)
        );
    }

    #[test]
    fn a_record_after_a_later_one_is_reordered() {
        let verdict = ledger(3, &[0, 1, 2], &[0, 2, 1]);
        assert_eq!(
            (verdict.duplicated, verdict.reordered, verdict.lost),
            (0, 1, 0)
        );
    }

    #[test]
    fn a_record_that_nobody_sent_is_corrupt() {
        let mut ledger = Ledger::new(1);
        ledger.sent(0, 0);
        ledger.received(0, 1);
        ledger.received(7, 0);
        ledger.corrupt();
        assert_eq!(ledger.verdict().corrupt, 3);
    }

    #[test]
    fn a_second_reading_is_judged_alone() {
        let mut ledger = Ledger::new(1);
        ledger.sent(0, 1);
        ledger.acknowledged(0, 1);
        ledger.received(0, 1);
        ledger.received(0, 1);
        ledger.read_again();
        assert_eq!((ledger.verdict().lost, ledger.verdict().duplicated), (1, 0));
        ledger.received(0, 1);
        assert!(ledger.verdict().is_clean());
    }

    #[test]
    fn the_lost_are_named() {
        let mut ledger = Ledger::new(2);
        for sequence in 0..3 {
            ledger.sent(1, sequence);
            ledger.acknowledged(1, sequence);
        }
        ledger.received(1, 1);
        assert_eq!(ledger.lost_samples(8), [(1, 0), (1, 2)]);
    }
}
