//! Which partition a record goes to: the rules by name, without the state they need.
//!
//! The sticky state for records without a key lives with the topic
//! ([`core::producer::sticky`](crate::core)); here is only what the record itself decides.

use std::fmt;
use std::str::FromStr;

use highwater_record::murmur2;

/// A rule that spreads records over a topic's partitions.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Partitioner {
    /// Java's default since 3.3: a key by murmur2, no key by adaptive stickiness (KIP-794). An
    /// empty key is a key.
    #[default]
    Murmur2Sticky,
    /// As above but keys are not looked at (`partitioner.ignore.keys=true`).
    Sticky,
    /// Each record to the next partition in turn; keys are not looked at.
    RoundRobin,
    /// Every record must name its partition.
    Manual,
}

/// What a rule says of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// This partition.
    Fixed(i32),
    /// The sticky one.
    Sticky,
    /// The next in turn.
    Next,
    /// None: the record had to name one.
    Missing,
}

impl Partitioner {
    pub(crate) const NAMES: &'static str = "default, sticky, round_robin or manual";

    pub(crate) fn choose(self, key: Option<&[u8]>, partitions: i32) -> Choice {
        match (self, key) {
            (Self::Murmur2Sticky, Some(key)) => {
                Choice::Fixed(murmur2::partition_for_key(key, partitions))
            }
            (Self::Murmur2Sticky, None) | (Self::Sticky, _) => Choice::Sticky,
            (Self::RoundRobin, _) => Choice::Next,
            (Self::Manual, _) => Choice::Missing,
        }
    }
}

impl fmt::Display for Partitioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Murmur2Sticky => "default",
            Self::Sticky => "sticky",
            Self::RoundRobin => "round_robin",
            Self::Manual => "manual",
        })
    }
}

/// A partitioner's name is not one of those known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown partitioner {0:?}, need default, sticky, round_robin or manual")]
pub struct UnknownPartitioner(String);

impl FromStr for Partitioner {
    type Err = UnknownPartitioner;

    /// Takes our names, librdkafka's `murmur2_random`, and Java's class names.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name.rsplit('.').next().unwrap_or(name) {
            "default" | "murmur2_random" | "murmur2_sticky" | "" => Ok(Self::Murmur2Sticky),
            "sticky" | "UniformStickyPartitioner" => Ok(Self::Sticky),
            "round_robin" | "roundrobin" | "RoundRobinPartitioner" => Ok(Self::RoundRobin),
            "manual" => Ok(Self::Manual),
            _ => Err(UnknownPartitioner(name.to_owned())),
        }
    }
}
