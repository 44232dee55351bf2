//! The number of a shard. A shard is one thread with one executor; it knows nothing of what it owns.

use std::fmt;

/// A shard's number: `0 .. shards`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ShardId(u16);

impl ShardId {
    /// The first shard: there is always one.
    pub const ZERO: Self = Self(0);

    /// The shard with this number.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The number as an index into a table with one row per shard.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
