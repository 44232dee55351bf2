//! Which partitions moved from whom to whom, so that two members do not swap partitions of one topic: if one has to go back,
//! the one that came goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::error::TopicPartition;

/// From a member, to a member.
type Way = (usize, usize);

#[derive(Debug, Default)]
pub(super) struct Movements {
    by_topic: BTreeMap<Arc<str>, BTreeMap<Way, BTreeSet<TopicPartition>>>,
    moved: BTreeMap<TopicPartition, Way>,
}

impl Movements {
    /// What should move from `from` to `to` in the place of `place`.
    pub(super) fn instead_of(
        &self,
        place: &TopicPartition,
        from: usize,
        to: usize,
    ) -> TopicPartition {
        // Where it has moved before, it comes from there.
        let from = self.moved.get(place).map_or(from, |way| way.0);
        let ways = self.by_topic.get(&place.topic);
        let back = ways.and_then(|ways| ways.get(&(to, from))?.first());
        back.unwrap_or(place).clone()
    }

    pub(super) fn note(&mut self, place: &TopicPartition, from: usize, to: usize) {
        let mut way = (from, to);
        if let Some(before) = self.moved.remove(place) {
            if let Some(ways) = self.by_topic.get_mut(&place.topic)
                && let Some(places) = ways.get_mut(&before)
            {
                places.remove(place);
                if places.is_empty() {
                    ways.remove(&before);
                }
            }
            way.0 = before.0;
        }
        if way.0 == way.1 {
            return;
        }
        self.moved.insert(place.clone(), way);
        let ways = self.by_topic.entry(Arc::clone(&place.topic)).or_default();
        ways.entry(way).or_default().insert(place.clone());
    }
}
