//! How the leader of a classic group shares partitions out: by Kafka's rules, so that it does not matter whose client leads.
//!
//! An assignor knows members, how many partitions each topic has and where their replicas stand; it is the same function on
//! every machine.

mod cooperative;
mod range;
mod round_robin;
mod sticky;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::core::group::protocol::Subscriber;
use crate::error::TopicPartition;

/// `partition.assignment.strategy`: how a classic group shares its partitions out. The group takes one that all of its
/// members know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assignor {
    /// Topic by topic, the members in their order get ranges of partitions. Partitions of the same number of several topics
    /// meet at one member.
    Range,
    /// One partition to each member in turn, over all topics.
    RoundRobin,
    /// As even as can be, and each member keeps what it can. Everybody stops reading for the rebalance.
    Sticky,
    /// The same, and only what moves to another member stops being read (KIP-429).
    CooperativeSticky,
}

impl Assignor {
    /// The names it can be [parsed](FromStr) from.
    pub const NAMES: &'static str = "range, roundrobin, sticky or cooperative-sticky";

    /// The name that members agree on.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }

    /// Whether members may keep reading through a rebalance.
    pub(crate) const fn is_cooperative(self) -> bool {
        matches!(self, Self::CooperativeSticky)
    }

    /// What each of `members` gets, in their order.
    pub(crate) fn assign(
        self,
        members: &[Subscriber],
        layout: &Layout,
    ) -> Vec<Vec<TopicPartition>> {
        match self {
            Self::Range => range::assign(members, layout),
            Self::RoundRobin => round_robin::assign(members, &layout.counts),
            Self::Sticky => sticky::assign(members, layout),
            Self::CooperativeSticky => cooperative::assign(members, layout),
        }
    }
}

impl fmt::Display for Assignor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No assignor has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown assignor, need {}", Assignor::NAMES)]
pub struct UnknownAssignor;

impl FromStr for Assignor {
    type Err = UnknownAssignor;

    /// By its name, or the name of Kafka's class.
    fn from_str(name: &str) -> Result<Self, UnknownAssignor> {
        match name
            .strip_prefix("org.apache.kafka.clients.consumer.")
            .unwrap_or(name)
        {
            "range" | "RangeAssignor" => Ok(Self::Range),
            "roundrobin" | "RoundRobinAssignor" => Ok(Self::RoundRobin),
            "sticky" | "StickyAssignor" => Ok(Self::Sticky),
            "cooperative-sticky" | "CooperativeStickyAssignor" => Ok(Self::CooperativeSticky),
            _ => Err(UnknownAssignor),
        }
    }
}

/// How many partitions each topic has; topics that do not exist are not in it.
pub(crate) type Partitions = BTreeMap<Arc<str>, i32>;

/// What is to be shared out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) counts: Partitions,
    /// The racks in which each partition has replicas; a topic where no broker says in which it stands is not in it.
    pub(crate) racks: BTreeMap<Arc<str>, Vec<BTreeSet<Arc<str>>>>,
}

impl From<Partitions> for Layout {
    fn from(counts: Partitions) -> Self {
        Self {
            counts,
            racks: BTreeMap::new(),
        }
    }
}

/// The order of members for range and round robin: static ones by their instance, then the others by their id.
fn in_order(members: &[Subscriber]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|index| {
        let Subscriber { id, instance, .. } = &members[*index];
        (instance.is_none(), instance.clone(), Arc::clone(id))
    });
    order
}

/// Every partition, by topic and number.
fn all(partitions: &Partitions) -> impl Iterator<Item = TopicPartition> {
    partitions
        .iter()
        .flat_map(|(topic, count)| of_topic(topic, *count))
}

fn of_topic(topic: &Arc<str>, count: i32) -> impl Iterator<Item = TopicPartition> {
    (0..count).map(|partition| TopicPartition {
        topic: Arc::clone(topic),
        partition,
    })
}

#[cfg(test)]
mod tests;
