//! Partitions that own intervals of keys, so that a partition is an ordered piece of the key space: range scans, ordered
//! merges, and neighbours on one consumer with the range assignor.
//!
//! ```text
//!   splits           s1        s2        s3
//!   keys    ..........|.........|.........|..........      a key equal to a split goes right
//!   interval    0     |    1    |    2    |    3
//! ```
//!
//! Knows keys as bytes only. Unlike a hash it does not move keys when the topic grows: only another map does.

use std::cmp::Ordering;
use std::sync::atomic::{AtomicU64, Ordering as Memory};
use std::sync::{Arc, PoisonError, RwLock};

use super::{Choice, Partitioner, Spread, TopicView};
use crate::record::Record;

/// Intervals and the partition of each: splits that rise strictly, one partition more than splits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeMap {
    version: u64,
    splits: Vec<Box<[u8]>>,
    /// The first eight bytes of each split as a number, zeros behind: most comparisons end here.
    prefixes: Vec<u64>,
    partitions: Vec<i32>,
}

/// Splits or partitions make no map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeMapError {
    /// A split is not greater than the one before it.
    #[error("split {at} is not greater than the one before it")]
    NotRising {
        /// Which split, from 0.
        at: usize,
    },
    /// Not one partition for each interval.
    #[error("{splits} splits make {} intervals, {partitions} partitions are named", splits + 1)]
    Count {
        /// How many splits.
        splits: usize,
        /// How many partitions.
        partitions: usize,
    },
    /// A partition has no number below zero.
    #[error("partition {0} is negative")]
    Negative(i32),
    /// The partition that is to take part of an interval has keys already, and they would be mixed.
    #[error("partition {0} has an interval already")]
    Taken(i32),
}

impl RangeMap {
    /// Intervals between `splits`, the first to partition 0, the next to partition 1, and so on.
    ///
    /// # Errors
    /// Where the splits do not rise strictly.
    pub fn new<S: Into<Box<[u8]>>>(
        splits: impl IntoIterator<Item = S>,
    ) -> Result<RangeMap, RangeMapError> {
        let splits: Vec<Box<[u8]>> = splits.into_iter().map(Into::into).collect();
        let partitions = (0..=i32::try_from(splits.len()).unwrap_or(i32::MAX - 1)).collect();
        RangeMap::with_partitions(splits, partitions)
    }

    /// Intervals between `splits`, each to the partition at its place.
    ///
    /// # Errors
    /// Where the splits do not rise strictly, or the partitions are not one more than the splits or below zero.
    pub fn with_partitions(
        splits: Vec<Box<[u8]>>,
        partitions: Vec<i32>,
    ) -> Result<RangeMap, RangeMapError> {
        if let Some(at) = splits.windows(2).position(|pair| pair[0] >= pair[1]) {
            return Err(RangeMapError::NotRising { at: at + 1 });
        }
        if partitions.len() != splits.len() + 1 {
            return Err(RangeMapError::Count {
                splits: splits.len(),
                partitions: partitions.len(),
            });
        }
        if let Some(partition) = partitions.iter().find(|partition| **partition < 0) {
            return Err(RangeMapError::Negative(*partition));
        }
        let prefixes = splits.iter().map(|split| prefix(split)).collect();
        Ok(RangeMap {
            version: 1,
            splits,
            prefixes,
            partitions,
        })
    }

    /// `partitions` intervals (at least 1, at most 65,536) that divide all two-byte beginnings of keys evenly: for keys that are
    /// spread evenly, such as hashes and random ids.
    #[must_use]
    pub fn uniform(partitions: u32) -> RangeMap {
        let count = partitions.clamp(1, 1 << 16);
        let splits = (1..count).map(|at| {
            let beginning =
                u16::try_from((at << 16) / count).expect("below 2^16, as `at` is below `count`");
            match beginning.to_be_bytes() {
                [first, 0] => Box::from([first]),
                both => Box::from(both),
            }
        });
        RangeMap::new::<Box<[u8]>>(splits)
            .expect("the beginnings rise, as there are no more than can differ")
    }

    /// Up to `partitions` intervals that hold about equally many of `keys`, a sample of those to come. Fewer where one key is
    /// so frequent that it would fill more than one.
    #[must_use]
    pub fn from_sample<K: AsRef<[u8]>>(keys: &[K], partitions: u32) -> RangeMap {
        let mut sorted: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
        sorted.sort_unstable();
        let count = partitions.max(1) as usize;
        let mut splits: Vec<Box<[u8]>> = (1..count)
            .filter_map(|at| sorted.get(at * sorted.len() / count))
            .map(|key| Box::from(*key))
            .collect();
        splits.dedup();
        // Nothing is below the least key: such a split would leave its left side empty.
        if splits.first().map(AsRef::as_ref) == sorted.first().copied() && !splits.is_empty() {
            splits.remove(0);
        }
        RangeMap::new(splits).expect("sorted and without repetition")
    }

    /// The map after `partition`, which has no interval yet, has taken the part from `at` on of the interval that `at` lies in;
    /// its version is one higher. Records that wait for the old one must have left before it is used, or the order within
    /// those keys is lost.
    ///
    /// # Errors
    /// Where `at` is a split already, or the partition has an interval or is below zero.
    pub fn split(&self, at: &[u8], partition: i32) -> Result<RangeMap, RangeMapError> {
        if self.partitions.contains(&partition) {
            return Err(RangeMapError::Taken(partition));
        }
        let interval = self.interval(at);
        let (mut splits, mut partitions) = (self.splits.clone(), self.partitions.clone());
        splits.insert(interval, at.into());
        partitions.insert(interval + 1, partition);
        Ok(RangeMap {
            version: self.version + 1,
            ..RangeMap::with_partitions(splits, partitions)?
        })
    }

    /// Rises with each split of an interval, from 1.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Where intervals end and the next begin.
    pub fn splits(&self) -> impl Iterator<Item = &[u8]> {
        self.splits.iter().map(AsRef::as_ref)
    }

    /// The partition of each interval.
    #[must_use]
    pub fn partitions(&self) -> &[i32] {
        &self.partitions
    }

    /// Which interval a key lies in: how many splits are not greater than it.
    #[must_use]
    pub fn interval(&self, key: &[u8]) -> usize {
        let beginning = prefix(key);
        let (mut low, mut len) = (0, self.splits.len());
        while len > 0 {
            let half = len / 2;
            let at = low + half;
            let is_right = match self.prefixes[at].cmp(&beginning) {
                Ordering::Less => true,
                Ordering::Equal => *self.splits[at] <= *key,
                Ordering::Greater => false,
            };
            if is_right {
                low = at + 1;
                len -= half + 1;
            } else {
                len = half;
            }
        }
        low
    }

    /// The partition that a key belongs to.
    #[must_use]
    pub fn partition(&self, key: &[u8]) -> i32 {
        self.partitions[self.interval(key)]
    }
}

/// The first eight bytes as a number that compares as they do.
fn prefix(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    let len = bytes.len().min(8);
    first[..len].copy_from_slice(&bytes[..len]);
    u64::from_be_bytes(first)
}

/// In which order keys lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyOrder {
    /// As bytes, each from 0 to 255; a prefix first. This is the order of UTF-8 text and of unsigned big-endian numbers too.
    #[default]
    Bytes,
    /// As signed big-endian numbers of eight bytes, -1 before 0. The splits are written the same way. Other keys are refused.
    I64,
}

/// What becomes of a record without key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NullKey {
    /// It is refused.
    #[default]
    Reject,
    /// It goes to the first interval.
    First,
    /// It goes anywhere, as [`Spread::Adaptive`].
    Sticky,
}

/// Sends each key to the partition that owns its interval.
///
/// ```
/// use highwater::partitioner::{RangeMap, RangePartitioner};
///
/// # fn main() -> Result<(), highwater::partitioner::RangeMapError> {
/// let map = RangeMap::new([*b"g", *b"p"])?;
/// assert_eq!(map.partition(b"apple"), 0);
/// assert_eq!(map.partition(b"g"), 1);
/// assert_eq!(map.partition(b"zebra"), 2);
/// let partitioner = RangePartitioner::new(map);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RangePartitioner {
    order: KeyOrder,
    null_key: NullKey,
    current: RwLock<Arc<Current>>,
}

/// A map, and how many bytes each of its intervals was given.
#[derive(Debug)]
struct Current {
    map: RangeMap,
    partition_max: i32,
    bytes: Box<[AtomicU64]>,
}

impl Current {
    fn new(map: RangeMap) -> Arc<Current> {
        Arc::new(Current {
            partition_max: map.partitions.iter().copied().max().unwrap_or(0),
            bytes: map.partitions.iter().map(|_| AtomicU64::new(0)).collect(),
            map,
        })
    }
}

impl RangePartitioner {
    /// Keys in the order of their bytes; records without key are refused.
    #[must_use]
    pub fn new(map: RangeMap) -> RangePartitioner {
        RangePartitioner {
            order: KeyOrder::default(),
            null_key: NullKey::default(),
            current: RwLock::new(Current::new(map)),
        }
    }

    /// Signed numbers of eight bytes, big-endian, divided at `splits`.
    ///
    /// # Errors
    /// Where the splits do not rise strictly.
    pub fn signed(
        splits: impl IntoIterator<Item = i64>,
    ) -> Result<RangePartitioner, RangeMapError> {
        let splits = splits.into_iter().map(|split| flipped(split.to_be_bytes()));
        Ok(RangePartitioner {
            order: KeyOrder::I64,
            ..RangePartitioner::new(RangeMap::new(splits)?)
        })
    }

    /// What becomes of records without key.
    #[must_use]
    pub fn null_key(mut self, null_key: NullKey) -> RangePartitioner {
        self.null_key = null_key;
        self
    }

    /// The map in use.
    #[must_use]
    pub fn map(&self) -> RangeMap {
        self.read().map.clone()
    }

    /// Uses another map from the next record on, and counts from nothing. Flush the producer first: what was placed by the old
    /// map may otherwise arrive after what is placed by the new one, and the order within a key is lost.
    pub fn replace(&self, map: RangeMap) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Current::new(map);
    }

    /// Bytes of keys and values that each interval was given since the map came into use. A record that waits for memory
    /// counts once, one that [`try_enqueue`](crate::Producer::try_enqueue) gives back counts at each try.
    #[must_use]
    pub fn interval_bytes(&self) -> Vec<u64> {
        let current = self.read();
        current
            .bytes
            .iter()
            .map(|bytes| bytes.load(Memory::Relaxed))
            .collect()
    }

    /// How uneven the intervals are: the most bytes of one through the mean, 1 for even ones; `None` before the first record.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio, to two digits")]
    pub fn skew(&self) -> Option<f64> {
        let bytes = self.interval_bytes();
        let (most, sum) = (bytes.iter().max()?, bytes.iter().sum::<u64>());
        (sum > 0).then(|| *most as f64 * bytes.len() as f64 / sum as f64)
    }

    fn read(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn keyed(&self, key: &[u8], bytes: usize, topic: &TopicView<'_>) -> Choice {
        let number;
        let key = match self.order {
            KeyOrder::Bytes => key,
            KeyOrder::I64 => match key.try_into() {
                Ok(key) => {
                    number = flipped(key);
                    &number
                }
                Err(_) => {
                    return Choice::Refused(format!(
                        "key of {} bytes is no number of eight bytes",
                        key.len()
                    ));
                }
            },
        };
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        if current.partition_max >= topic.partitions() {
            // No key is placed by half a map. If the partition was just added, the record waits for
            // it and is asked about again; if not, it is refused.
            return Choice::Fixed(current.partition_max);
        }
        let interval = current.map.interval(key);
        current.bytes[interval].fetch_add(bytes as u64, Memory::Relaxed);
        Choice::Fixed(current.map.partitions[interval])
    }
}

/// Eight bytes of a signed number so that they compare as the number does.
fn flipped(mut bytes: [u8; 8]) -> [u8; 8] {
    bytes[0] ^= 0x80;
    bytes
}

impl Partitioner for RangePartitioner {
    fn choose(&self, record: &Record<'_>, topic: &TopicView<'_>) -> Choice {
        match (record.key_bytes(), self.null_key) {
            (Some(key), _) => {
                let value = record.value_bytes().map_or(0, <[u8]>::len);
                self.keyed(key, key.len() + value, topic)
            }
            (None, NullKey::Reject) => {
                Choice::Refused("record has no key, and partitions are ranges of keys".into())
            }
            (None, NullKey::First) => Choice::Fixed(self.read().map.partitions[0]),
            (None, NullKey::Sticky) => Choice::Any(Spread::Adaptive),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn choose(partitioner: &RangePartitioner, key: &[u8]) -> Choice {
        partitioner.choose(&Record::to("t").key(key), &TopicView::new("t", 4))
    }

    #[test]
    fn a_key_that_equals_a_split_goes_right_and_an_empty_one_to_the_first() {
        let map = RangeMap::new([*b"b", *b"d"]).unwrap();
        let keys: [&[u8]; 6] = [b"", b"az", b"b", b"c", b"d", b"zz"];
        assert_eq!(keys.map(|key| map.partition(key)), [0, 0, 1, 1, 2, 2]);
    }

    #[test]
    fn splits_that_do_not_rise_make_no_map() {
        assert_eq!(
            RangeMap::new([*b"b", *b"b"]),
            Err(RangeMapError::NotRising { at: 1 })
        );
        let count = RangeMap::with_partitions(vec![], vec![0, 1]);
        assert_eq!(
            count,
            Err(RangeMapError::Count {
                splits: 0,
                partitions: 2
            })
        );
        assert_eq!(
            RangeMap::with_partitions(vec![], vec![-1]),
            Err(RangeMapError::Negative(-1))
        );
    }

    #[test]
    fn an_interval_is_split_into_a_partition_that_had_none_and_no_other_key_moves() {
        let old = RangeMap::new([*b"m"]).unwrap();
        let new = old.split(b"f", 2).unwrap();
        assert_eq!(new.version(), 2);
        for key in [b"a", b"e", b"m", b"z"] {
            assert_eq!(new.partition(key), old.partition(key));
        }
        assert_eq!([b"f", b"l"].map(|key| new.partition(key)), [2, 2]);
        assert_eq!(old.split(b"x", 1), Err(RangeMapError::Taken(1)));
        assert_eq!(old.split(b"m", 7), Err(RangeMapError::NotRising { at: 1 }));
    }

    #[test]
    fn a_uniform_map_divides_the_beginnings_of_keys_evenly() {
        let map = RangeMap::uniform(4);
        let splits: Vec<_> = map.splits().collect();
        assert_eq!(splits, [&[0x40_u8][..], &[0x80], &[0xc0]]);
        assert_eq!(RangeMap::uniform(1).splits().count(), 0);
        assert_eq!(RangeMap::uniform(3000).partitions().len(), 3000);
        assert_eq!(RangeMap::uniform(1 << 20).partitions().len(), 1 << 16);
    }

    #[test]
    fn a_sample_makes_intervals_of_equal_weight_and_a_frequent_key_fewer() {
        let keys: Vec<[u8; 1]> = (0..100).map(|n| [n]).collect();
        let map = RangeMap::from_sample(&keys, 4);
        assert_eq!(map.splits().collect::<Vec<_>>(), [[25], [50], [75]]);
        assert_eq!(RangeMap::from_sample(&[b"a"; 50], 4).partitions(), [0]);
        assert_eq!(RangeMap::from_sample::<&[u8]>(&[], 4).partitions(), [0]);
    }

    #[test]
    fn signed_numbers_lie_in_their_order() {
        let partitioner = RangePartitioner::signed([-10, 0, 10]).unwrap();
        let numbers = [i64::MIN, -11, -10, -1, 0, 9, 10, i64::MAX];
        let placed = numbers.map(|number| choose(&partitioner, &number.to_be_bytes()));
        assert_eq!(placed, [0, 0, 1, 1, 2, 2, 3, 3].map(Choice::Fixed));
        assert!(matches!(
            choose(&partitioner, b"seven.."),
            Choice::Refused(_)
        ));
    }

    #[test]
    fn a_map_for_more_partitions_than_there_are_places_no_key_before_the_last_one_is_there() {
        let partitioner = RangePartitioner::new(RangeMap::uniform(5));
        assert_eq!(choose(&partitioner, b"a"), Choice::Fixed(4));
        assert_eq!(choose(&partitioner, b"\xff\xff"), Choice::Fixed(4));
        assert_eq!(partitioner.interval_bytes(), [0; 5]);
    }

    #[test]
    fn what_has_no_key_does_as_it_was_told() {
        let (view, record) = (TopicView::new("t", 4), Record::to("t"));
        let of = |null_key| RangePartitioner::new(RangeMap::uniform(4)).null_key(null_key);
        assert!(matches!(
            of(NullKey::Reject).choose(&record, &view),
            Choice::Refused(_)
        ));
        assert_eq!(of(NullKey::First).choose(&record, &view), Choice::Fixed(0));
        assert_eq!(
            of(NullKey::Sticky).choose(&record, &view),
            Choice::Any(Spread::Adaptive)
        );
    }

    #[test]
    fn skew_is_the_most_through_the_mean() {
        let partitioner = RangePartitioner::new(RangeMap::uniform(4));
        assert_eq!(partitioner.skew(), None);
        for key in [[0x00], [0x41], [0x42], [0x43]] {
            choose(&partitioner, &key);
        }
        assert_eq!(partitioner.interval_bytes(), [1, 3, 0, 0]);
        assert_eq!(partitioner.skew(), Some(3.0));
        partitioner.replace(RangeMap::uniform(2));
        assert_eq!(partitioner.skew(), None);
    }

    proptest! {
        #[test]
        fn a_key_lies_right_of_every_split_that_is_not_greater(
            splits in prop::collection::btree_set(prop::collection::vec(0_u8..4, 0..12), 0..40),
            key in prop::collection::vec(0_u8..4, 0..12),
        ) {
            let expected = splits.iter().filter(|split| **split <= key).count();
            let map = RangeMap::new(splits).unwrap();
            prop_assert_eq!(map.interval(&key), expected);
        }
    }
}
