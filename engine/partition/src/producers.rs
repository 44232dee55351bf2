//! What a partition remembers of its idempotent producers, and whether a batch is the next one of its producer.
//!
//! Plain data and plain calls: it knows neither the log nor a clock. The rules are those of Kafka's
//! `ProducerStateManager`, `ProducerStateEntry` and `ProducerAppendInfo` for transaction versions below 2.
//!
//! ```text
//!  known producer, epoch 3, last sequence 41         a batch arrives
//!  [ 0..9 ][ 10..19 ][ 20..29 ][ 30..39 ][ 40..41 ]  42.. epoch 3     next
//!     the five kept batches                          20..29 epoch 3   repeated: answered with its first place
//!                                                    50.. epoch 3     out of order, expected 42
//!                                                    0..  epoch 4     next: a new epoch starts at 0
//!                                                    any  epoch 2     fenced
//! ```

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use highwater_reactor::Instant;
use highwater_record::header::sequence_after;
use highwater_record::{Header, Offset};
use smallvec::SmallVec;
use thiserror::Error;

/// How many of a producer's last batches are kept to recognise a repetition: the number of requests a producer may have
/// in flight (`ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
pub const KEPT_BATCHES: usize = 5;

/// The most producers a shard remembers, over all its partitions: about 32 MiB. Beyond it a partition forgets its least
/// recently used ones for its newcomers.
pub const PRODUCERS_PER_SHARD_MAX: usize = 131_072;

/// How many producers a partition may remember however full its shard is.
pub const KNOWN_MIN: usize = 16;

/// The epoch of a producer of which nothing is known.
const NO_EPOCH: i16 = -1;

/// What a batch says of its producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The producer, as InitProducerId gave it out. Invariant: >= 0.
    pub producer_id: i64,
    /// The producer's epoch; a higher one fences all lower ones.
    pub epoch: i16,
    /// Sequence of the first record.
    pub first_sequence: i32,
    /// Sequence of the last record; smaller than the first one where the count wrapped at 2^31 - 1.
    pub last_sequence: i32,
}

impl Claim {
    /// The claim of a batch, or `None` for a batch without a producer id.
    pub fn of(header: &Header) -> Option<Claim> {
        header.has_producer_id().then(|| Claim {
            producer_id: header.producer_id(),
            epoch: header.producer_epoch(),
            first_sequence: header.base_sequence(),
            last_sequence: header.last_sequence(),
        })
    }
}

/// One batch that was appended, as its producer may repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Sequence of the last record.
    pub last_sequence: i32,
    /// Offset of the last record.
    pub last_offset: Offset,
    /// Last offset minus first offset.
    pub offset_delta: i32,
    /// The batch's maximum timestamp, in milliseconds since 1970.
    pub timestamp_ms: i64,
}

impl Kept {
    /// What is kept of a batch in the log.
    pub fn of(header: &Header) -> Kept {
        Kept {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta(),
            timestamp_ms: header.max_timestamp(),
        }
    }

    /// Sequence of the first record.
    pub fn first_sequence(&self) -> i32 {
        sequence_before(self.last_sequence, self.offset_delta)
    }

    /// Offset of the first record.
    pub fn first_offset(&self) -> Offset {
        Offset::new(self.last_offset.get() - i64::from(self.offset_delta))
    }
}

/// What is known of one producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producer {
    /// The highest epoch seen; -1 while unknown.
    pub epoch: i16,
    /// Epoch of the transaction coordinator that wrote the last marker; -1 for none.
    pub coordinator_epoch: i32,
    /// Timestamp of the last batch or marker, in milliseconds since 1970.
    pub last_timestamp_ms: i64,
    /// First offset of the transaction that is open.
    pub transaction_first: Option<Offset>,
    /// The last batches of the present epoch, oldest first.
    batches: SmallVec<[Kept; KEPT_BATCHES]>,
    /// When it last appended. Decides expiry: a timestamp is the client's word, this is ours.
    seen: Instant,
    /// Grows with every append to the partition: decides who is forgotten when there are too many.
    stamp: u64,
}

impl Producer {
    /// A producer as a snapshot remembers it.
    pub(crate) fn remembered(
        epoch: i16,
        coordinator_epoch: i32,
        last_timestamp_ms: i64,
        transaction_first: Option<Offset>,
        last_batch: Option<Kept>,
    ) -> Producer {
        Producer {
            epoch,
            coordinator_epoch,
            last_timestamp_ms,
            transaction_first,
            batches: last_batch.into_iter().collect(),
            seen: Instant::ZERO,
            stamp: 0,
        }
    }

    /// The kept batches of the present epoch, oldest first; never more than [`KEPT_BATCHES`].
    pub fn batches(&self) -> &[Kept] {
        &self.batches
    }

    /// The last batch, if one of the present epoch is known.
    pub fn last_batch(&self) -> Option<&Kept> {
        self.batches.last()
    }

    fn keep(&mut self, epoch: i16, kept: Kept) {
        if self.epoch != epoch {
            self.batches.clear();
            self.epoch = epoch;
        }
        if self.batches.len() == KEPT_BATCHES {
            self.batches.remove(0);
        }
        self.batches.push(kept);
        self.last_timestamp_ms = kept.timestamp_ms;
    }
}

/// What a claim turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// The next batch of its producer: append it.
    Next,
    /// A batch that was appended before: answer with its first place.
    Repeated(Kept),
}

/// Why a claim does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Disorder {
    /// The batch does not follow the producer's last one.
    #[error("producer {producer_id} sent sequence {found}, expected {expected}")]
    Sequence {
        /// The producer.
        producer_id: i64,
        /// The first sequence of the batch.
        found: i32,
        /// The sequence that would have been the next.
        expected: i32,
    },
    /// A newer instance of the producer has written already.
    #[error("producer {producer_id} has epoch {found}, current is {current}")]
    Epoch {
        /// The producer.
        producer_id: i64,
        /// The epoch of the batch.
        found: i16,
        /// The newest epoch seen.
        current: i16,
    },
}

/// How much of a claim is held against what is known (`AppendOrigin`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// Epoch and sequence: batches of clients.
    Sequence,
    /// The epoch alone: a coordinator's batches have no sequences.
    Epoch,
}

/// The producers of one partition.
///
/// Invariant: never more than `producers_max`; one more and the least recently used sixteenth is forgotten, which lets
/// a forgotten producer go on with any sequence, as an expired one may.
#[derive(Debug)]
pub struct Producers {
    known: BTreeMap<i64, Producer>,
    stamp: u64,
    producers_max: usize,
    census: Census,
    /// What the census has of these. Invariant: `counted == known.len()` between calls.
    counted: usize,
}

/// How many producers all partitions of a shard remember together. Clones are the same count.
#[derive(Debug, Clone, Default)]
pub struct Census(Rc<Cell<usize>>);

impl Census {
    /// Producers remembered.
    pub fn producers(&self) -> usize {
        self.0.get()
    }
}

impl Drop for Producers {
    fn drop(&mut self) {
        self.census.0.set(self.census.0.get() - self.counted);
    }
}

impl Producers {
    /// Nobody known yet; at most `producers_max` (at least [`KNOWN_MIN`]) will be.
    pub fn new(producers_max: u32, census: Census) -> Producers {
        Producers {
            known: BTreeMap::new(),
            stamp: 0,
            producers_max: (producers_max as usize).max(KNOWN_MIN),
            census,
            counted: 0,
        }
    }

    /// How many producers are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether no producer is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// What is known of a producer.
    pub fn get(&self, producer_id: i64) -> Option<&Producer> {
        self.known.get(&producer_id)
    }

    /// All that are known, by producer id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (i64, &Producer)> {
        self.known
            .iter()
            .map(|(producer_id, producer)| (*producer_id, producer))
    }

    /// Holds a claim against what is known. Looks, never touches: see [`Producers::placed`].
    ///
    /// A producer of which nothing is known may begin anywhere: its earlier batches may be gone with retention.
    pub fn judge(&self, claim: &Claim, strictness: Strictness) -> Result<Judgement, Disorder> {
        let Some(producer) = self.known.get(&claim.producer_id) else {
            return Ok(Judgement::Next);
        };
        if strictness == Strictness::Sequence
            && claim.epoch == producer.epoch
            && let Some(kept) = producer.batches.iter().find(|kept| {
                kept.last_sequence == claim.last_sequence
                    && kept.first_sequence() == claim.first_sequence
            })
        {
            return Ok(Judgement::Repeated(*kept));
        }
        if claim.epoch < producer.epoch {
            return Err(Disorder::Epoch {
                producer_id: claim.producer_id,
                found: claim.epoch,
                current: producer.epoch,
            });
        }
        if strictness == Strictness::Epoch || producer.epoch == NO_EPOCH {
            return Ok(Judgement::Next);
        }
        let expected = match producer.batches.last() {
            Some(last) if claim.epoch == producer.epoch => sequence_after(last.last_sequence, 1),
            Some(_) | None => 0,
        };
        if claim.first_sequence != expected {
            return Err(Disorder::Sequence {
                producer_id: claim.producer_id,
                found: claim.first_sequence,
                expected,
            });
        }
        Ok(Judgement::Next)
    }

    /// Remembers a batch that the log has taken, and forgets the least recently used producers when there are too many.
    ///
    /// Also the way the state is rebuilt from the log: nothing is judged here.
    pub fn placed(&mut self, claim: &Claim, kept: Kept, now: Instant) {
        self.make_room(claim.producer_id);
        self.stamp += 1;
        let producer = self
            .known
            .entry(claim.producer_id)
            .or_insert_with(|| Producer::remembered(NO_EPOCH, -1, -1, None, None));
        producer.keep(claim.epoch, kept);
        producer.seen = now;
        producer.stamp = self.stamp;
        self.recount();
    }

    /// Remembers a control batch that the log has taken: it moves the epoch and the timestamp, never the sequence.
    pub fn marked(&mut self, claim: &Claim, timestamp_ms: i64, now: Instant) {
        self.make_room(claim.producer_id);
        self.stamp += 1;
        let producer = self
            .known
            .entry(claim.producer_id)
            .or_insert_with(|| Producer::remembered(NO_EPOCH, -1, -1, None, None));
        if producer.epoch != claim.epoch {
            producer.batches.clear();
            producer.epoch = claim.epoch;
        }
        producer.last_timestamp_ms = timestamp_ms;
        producer.seen = now;
        producer.stamp = self.stamp;
        self.recount();
    }

    /// Takes over what a snapshot remembered, in place of everything known.
    pub fn restore(&mut self, remembered: impl IntoIterator<Item = (i64, Producer)>, now: Instant) {
        self.known = remembered.into_iter().collect();
        // The order of last use is the order of the last offsets: both grow with every append.
        let mut order: Vec<(Offset, i64)> = self
            .known
            .iter()
            .map(|(id, producer)| {
                (
                    producer
                        .last_batch()
                        .map_or(Offset::ZERO, |kept| kept.last_offset),
                    *id,
                )
            })
            .collect();
        order.sort_unstable();
        for (_, producer_id) in order {
            self.stamp += 1;
            if let Some(producer) = self.known.get_mut(&producer_id) {
                producer.seen = now;
                producer.stamp = self.stamp;
            }
        }
        while self.known.len() > self.producers_max {
            self.forget_oldest();
        }
        self.recount();
    }

    /// Gives a restored producer back the batches before its last one, as the log has them, oldest first. Without effect
    /// where the two do not speak of the same last batch.
    pub fn recall(&mut self, producer_id: i64, epoch: i16, batches: &[Kept]) {
        let newest = &batches[batches.len().saturating_sub(KEPT_BATCHES)..];
        if let Some(producer) = self.known.get_mut(&producer_id)
            && producer.epoch == epoch
            && producer.batches.len() == 1
            && producer.batches.last() == newest.last()
        {
            producer.batches = newest.into();
        }
    }

    /// Forgets the producers that have not appended for `expiration_ms` (`producer.id.expiration.ms`) and have no open
    /// transaction. Returns how many went.
    pub fn expire(&mut self, now: Instant, expiration_ms: u64) -> usize {
        let before = self.known.len();
        let age_max = Duration::from_millis(expiration_ms);
        self.known.retain(|_, producer| {
            producer.transaction_first.is_some() || now.duration_since(producer.seen) < age_max
        });
        self.recount();
        before - self.known.len()
    }

    fn make_room(&mut self, producer_id: i64) {
        if self.is_full() && !self.known.contains_key(&producer_id) {
            self.forget_oldest();
        }
    }

    /// Whether there is no room for another one, here or on the shard.
    fn is_full(&self) -> bool {
        self.known.len() >= self.producers_max
            || (self.known.len() >= KNOWN_MIN && self.census.producers() >= PRODUCERS_PER_SHARD_MAX)
    }

    fn recount(&mut self) {
        let producers = self.census.0.get() + self.known.len() - self.counted;
        self.census.0.set(producers);
        self.counted = self.known.len();
    }

    /// Forgets a sixteenth at once, so that a flood of new producers costs each of them a constant.
    fn forget_oldest(&mut self) {
        let mut stamps: Vec<u64> = self.known.values().map(|producer| producer.stamp).collect();
        let count = (stamps.len() / 16).max(1);
        let (_, newest_to_go, _) = stamps.select_nth_unstable(count - 1);
        let newest_to_go = *newest_to_go;
        self.known
            .retain(|_, producer| producer.stamp > newest_to_go);
        self.recount();
    }
}

/// The sequence `count` steps before, wrapping below 0 to 2^31 - 1 (`DefaultRecordBatch.decrementSequence`).
pub fn sequence_before(sequence: i32, count: i32) -> i32 {
    if sequence >= count {
        sequence - count
    } else {
        // count > sequence >= 0, so neither difference overflows.
        i32::MAX - (count - sequence) + 1
    }
}

#[cfg(test)]
mod tests;
