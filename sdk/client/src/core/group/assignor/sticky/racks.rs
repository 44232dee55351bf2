//! Who stands where the replicas of a partition do (KIP-881). What is made of it is the business of who shares out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::group::assignor::Layout;
use crate::core::group::protocol::Subscriber;
use crate::error::TopicPartition;

/// The racks of one group.
pub(super) struct Racks<'a> {
    members: &'a [Subscriber],
    replicas: &'a BTreeMap<Arc<str>, Vec<BTreeSet<Arc<str>>>>,
    /// How many members stand in each rack.
    standing: BTreeMap<&'a Arc<str>, usize>,
    /// Whether it makes a difference who gets what: some member stands where a replica does, and not every partition has
    /// replicas in all racks.
    matter: bool,
}

impl<'a> Racks<'a> {
    /// Of these members and of the topics that `layout` counts.
    pub(super) fn new(members: &'a [Subscriber], layout: &'a Layout) -> Self {
        let mut standing: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for rack in members.iter().filter_map(|member| member.rack.as_ref()) {
            *standing.entry(rack).or_default() += 1;
        }
        let nowhere = &BTreeSet::new();
        let replicas = || {
            layout.counts.iter().flat_map(|(topic, count)| {
                let racks = layout.racks.get(topic);
                let of = move |index| racks.and_then(|racks| racks.get(index)).unwrap_or(nowhere);
                (0..usize::try_from(*count).unwrap_or(0)).map(of)
            })
        };
        let all: BTreeSet<&Arc<str>> = replicas().flatten().collect();
        // None has more than all of them.
        let all_alike = replicas().all(|racks| racks.len() == all.len());
        let meet = standing.keys().any(|rack| all.contains(rack));
        Self {
            members,
            replicas: &layout.racks,
            standing,
            matter: meet && !all_alike,
        }
    }

    pub(super) fn matter(&self) -> bool {
        self.matter
    }

    fn of(&self, place: &TopicPartition) -> Option<&'a BTreeSet<Arc<str>>> {
        let index = usize::try_from(place.partition).ok()?;
        self.replicas.get(&place.topic)?.get(index)
    }

    /// Whether a member stands in a rack of the partition.
    pub(super) fn meet(&self, member: usize, place: &TopicPartition) -> bool {
        let rack = self.members[member].rack.as_ref();
        rack.is_some_and(|rack| self.of(place).is_some_and(|racks| racks.contains(rack)))
    }

    /// Whether a member may have the partition as far as racks matter: one that does not say where it stands may have any.
    pub(super) fn allow(&self, member: usize, place: &TopicPartition) -> bool {
        !self.matter || self.members[member].rack.is_none() || self.meet(member, place)
    }

    /// Those that stand near fewer members first, and in their order where it is the same.
    pub(super) fn sort(&self, places: &mut [TopicPartition]) {
        let near = |place: &TopicPartition| -> usize {
            let racks = self.of(place).into_iter().flatten();
            racks.filter_map(|rack| self.standing.get(rack)).sum()
        };
        places.sort_by_cached_key(near);
    }
}
