//! Server assignors (KIP-848): who of a group is to hold which partition. They are pure functions of members, topics
//! and what was held before; they know neither epochs nor who really holds what at the moment.

mod assignment;
mod balance;
mod heterogeneous;
mod homogeneous;
mod range;
#[cfg(test)]
mod tests;

pub use assignment::Assignment;

use crate::config::ServerAssignor;
use uuid::Uuid;

/// A topic that members of the group want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    /// The topic's id.
    pub id: Uuid,
    /// How many partitions it has: they are numbered from 0.
    pub partitions: i32,
}

/// A member of the group.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// Id of the member.
    pub id: &'a str,
    /// Instance id of a static member.
    pub instance: Option<&'a str>,
    /// The topics that the member wants, as places in [`Group::topics`], ascending.
    pub topics: &'a [u32],
    /// What the member was to hold until now.
    pub held: &'a Assignment,
}

/// A group that is to be given partitions.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    /// The topics that any member wants, in order of their ids.
    pub topics: &'a [Topic],
    /// The members, in order of their ids.
    pub members: &'a [Member<'a>],
}

impl Group<'_> {
    /// Whether all members want the same topics.
    fn is_homogeneous(&self) -> bool {
        self.members
            .windows(2)
            .all(|pair| pair[0].topics == pair[1].topics)
    }

    /// Place of the topic in `topics`, when any member wants it.
    fn place(&self, topic: Uuid) -> Option<usize> {
        self.topics.binary_search_by_key(&topic, |t| t.id).ok()
    }
}

impl ServerAssignor {
    /// What each member is to hold, in the order of the members. Each partition of a topic that somebody wants is given
    /// to one member that wants it. The same group is always given the same (`UniformAssignor.java`,
    /// `RangeAssignor.java`).
    #[must_use]
    pub fn assign(self, group: &Group<'_>) -> Vec<Assignment> {
        match self {
            Self::Uniform if group.is_homogeneous() => homogeneous::assign(group),
            Self::Uniform => heterogeneous::assign(group),
            Self::Range => range::assign(group),
        }
    }
}

/// The partitions of a topic, as many as it has.
fn numbers(topic: &Topic) -> std::ops::Range<i32> {
    0..topic.partitions.max(0)
}

/// How many partitions a topic has.
fn count(topic: &Topic) -> usize {
    usize::try_from(topic.partitions).unwrap_or_default()
}
