//! Partitions that a member holds, each with the epoch in which it was given: what was given later than a member knows of is
//! not the member's to commit for (KIP-1251).

use highwater_wire::records::group::TopicPartitions;
use uuid::Uuid;

/// A partition in somebody's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) topic: Uuid,
    pub(crate) partition: i32,
    /// Epoch of the member in which it was given.
    pub(crate) epoch: i32,
}

/// Partitions in somebody's hands.
///
/// Invariant: they ascend by topic and partition, and each is there once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Held {
    slots: Vec<Slot>,
}

impl Held {
    pub(crate) const fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(crate) const fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Slot> {
        self.slots.iter().copied()
    }

    /// The partition, if it is held.
    pub(crate) fn get(&self, topic: Uuid, partition: i32) -> Option<Slot> {
        self.slots
            .binary_search_by_key(&(topic, partition), |slot| (slot.topic, slot.partition))
            .ok()
            .map(|place| self.slots[place])
    }

    pub(crate) fn contains(&self, topic: Uuid, partition: i32) -> bool {
        self.get(topic, partition).is_some()
    }

    /// The partitions by topic.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (Uuid, &[Slot])> {
        self.slots
            .chunk_by(|left, right| left.topic == right.topic)
            .map(|chunk| (chunk[0].topic, chunk))
    }

    /// The partitions of this and the other together.
    pub(crate) fn with(&self, other: &Self) -> Self {
        self.iter().chain(other.iter()).collect()
    }

    /// As the log has it. What is there without epochs was given in `epoch`, or before there were any.
    pub(crate) fn read<'a>(topics: impl Iterator<Item = TopicPartitions<'a>>, epoch: i32) -> Self {
        let epoch = epoch.max(0);
        let mut slots = Vec::new();
        for TopicPartitions {
            topic_id,
            partitions,
            assignment_epochs,
        } in topics
        {
            let known = assignment_epochs.filter(|epochs| epochs.len() == partitions.len());
            let mut epochs = known.iter().flatten();
            slots.extend(partitions.iter().map(|partition| Slot {
                topic: topic_id,
                partition,
                epoch: epochs.next().unwrap_or(epoch),
            }));
        }
        slots.into_iter().collect()
    }

    /// As the log is to have it.
    pub(crate) fn written(&self) -> Vec<TopicPartitions<'_>> {
        self.topics()
            .map(|(topic_id, slots)| TopicPartitions {
                topic_id,
                partitions: slots.iter().map(|slot| slot.partition).collect(),
                assignment_epochs: Some(slots.iter().map(|slot| slot.epoch).collect()),
            })
            .collect()
    }
}

impl FromIterator<Slot> for Held {
    /// Partitions in any order; of one that is there twice the first is taken.
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut slots: Vec<Slot> = slots.into_iter().collect();
        slots.sort_by_key(|slot| (slot.topic, slot.partition));
        slots.dedup_by_key(|slot| (slot.topic, slot.partition));
        Self { slots }
    }
}
