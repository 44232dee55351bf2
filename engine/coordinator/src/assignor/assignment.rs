//! Partitions by topic: what a member is to hold. It knows neither who the member is nor since when it holds them.

use uuid::Uuid;

/// A set of partitions, kept in order.
///
/// Invariant: topics ascend and are there once; each has at least one partition; partitions ascend and are there once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    topics: Vec<(Uuid, Vec<i32>)>,
}

impl Assignment {
    /// No partitions.
    pub const EMPTY: Self = Self { topics: Vec::new() };

    /// Whether there are no partitions.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// How many partitions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.topics
            .iter()
            .map(|(_, partitions)| partitions.len())
            .sum()
    }

    /// The topics in order of their ids, each with its partitions in order.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = (Uuid, &[i32])> {
        self.topics
            .iter()
            .map(|(topic, partitions)| (*topic, &**partitions))
    }

    /// The partitions of a topic in order.
    #[must_use]
    pub fn of(&self, topic: Uuid) -> &[i32] {
        self.topics
            .binary_search_by_key(&topic, |(id, _)| *id)
            .map_or(&[], |place| &self.topics[place].1)
    }

    /// Whether the partition is one of these.
    #[must_use]
    pub fn contains(&self, topic: Uuid, partition: i32) -> bool {
        self.of(topic).binary_search(&partition).is_ok()
    }

    /// All partitions in order.
    pub fn partitions(&self) -> impl Iterator<Item = (Uuid, i32)> {
        self.topics().flat_map(|(topic, partitions)| {
            partitions.iter().map(move |partition| (topic, *partition))
        })
    }

    /// Adds partitions of a topic that comes after all that are there.
    pub(crate) fn push(&mut self, topic: Uuid, partitions: Vec<i32>) {
        debug_assert!(self.topics.last().is_none_or(|(last, _)| *last < topic));
        if !partitions.is_empty() {
            self.topics.push((topic, partitions));
        }
    }
}

impl FromIterator<(Uuid, i32)> for Assignment {
    /// Partitions in any order; one that is there twice is taken once.
    fn from_iter<I: IntoIterator<Item = (Uuid, i32)>>(partitions: I) -> Self {
        let mut partitions: Vec<_> = partitions.into_iter().collect();
        partitions.sort_unstable();
        partitions.dedup();
        let topics = partitions
            .chunk_by(|(left, _), (right, _)| left == right)
            .map(|chunk| {
                (
                    chunk[0].0,
                    chunk.iter().map(|(_, partition)| *partition).collect(),
                )
            })
            .collect();
        Self { topics }
    }
}
