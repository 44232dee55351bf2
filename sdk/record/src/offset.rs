//! A record's place in its partition, and the epoch of the leader that gave it. Knows no log.

use std::fmt;

/// A record's place in its partition: 0 for the first, one more for each that follows.
///
/// Invariant of every offset a log hands out: `0 <= offset`. Negative values exist only where the
/// protocol gives them a meaning of their own (-1: none).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset(i64);

impl Offset {
    /// The first offset of a partition.
    pub const ZERO: Offset = Offset(0);
    /// The largest offset there can be.
    pub const MAX: Offset = Offset(i64::MAX);

    /// The offset of this number.
    #[inline]
    pub const fn new(offset: i64) -> Offset {
        Offset(offset)
    }

    /// The number.
    #[inline]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The offset after this one; [`Offset::MAX`] stays where it is.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Offset {
        Offset(self.0.saturating_add(1))
    }

    /// The offset `records` further; `None` beyond 2^63-1.
    #[inline]
    pub const fn checked_add(self, records: i64) -> Option<Offset> {
        match self.0.checked_add(records) {
            Some(sum) => Some(Offset(sum)),
            None => None,
        }
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which term of leadership of a partition; a larger one is newer. -1 stands for "not known".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LeaderEpoch(i32);

impl LeaderEpoch {
    /// The first epoch of a partition.
    pub const ZERO: LeaderEpoch = LeaderEpoch(0);
    /// What a client writes, since it does not know the epoch.
    pub const NONE: LeaderEpoch = LeaderEpoch(-1);

    /// The epoch of this number.
    #[inline]
    pub const fn new(epoch: i32) -> LeaderEpoch {
        LeaderEpoch(epoch)
    }

    /// The number.
    #[inline]
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl fmt::Display for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
