//! Topic by topic: the members in their order get ranges of partitions, the first ones one more where it does not come out
//! even (Kafka: `RangeAssignor`).
//!
//! Where members and replicas say which rack they stand in, members first get partitions that have a replica in theirs
//! (KIP-881), as far as that leaves everybody as many as before; and topics of as many partitions and the same members are
//! dealt out together, so that partitions of the same number still meet at one member.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Layout, in_order};
use crate::core::group::protocol::Subscriber;
use crate::error::TopicPartition;

pub(super) fn assign(members: &[Subscriber], layout: &Layout) -> Vec<Vec<TopicPartition>> {
    let mut assigned = vec![Vec::new(); members.len()];
    let order = in_order(members);
    let mut topics: Vec<Topic<'_>> = layout
        .counts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(topic, count)| Topic::new(topic, *count, members, &order, layout))
        .collect();
    let has_racks = topics.iter().any(|topic| topic.wants_racks);
    if has_racks {
        match_racks(&mut topics, &mut assigned);
    }
    for topic in &mut topics {
        topic.deal(&mut assigned, |_, _, _| true);
    }
    if has_racks {
        assigned.iter_mut().for_each(|places| places.sort());
    }
    assigned
}

/// A topic while it is dealt out.
struct Topic<'a> {
    name: &'a Arc<str>,
    members: &'a [Subscriber],
    /// Who subscribed to it, in order.
    subscribed: Vec<usize>,
    /// The racks of each partition's replicas; nothing where no subscriber says where it stands.
    racks: &'a [BTreeSet<Arc<str>>],
    /// Whether it matters which partitions a member gets.
    wants_racks: bool,
    /// Numbers of partitions, in order.
    left: BTreeSet<i32>,
    given: BTreeMap<usize, usize>,
    each: usize,
    /// How many may still get one more than each.
    more: usize,
}

impl<'a> Topic<'a> {
    fn new(
        name: &'a Arc<str>,
        count: i32,
        members: &'a [Subscriber],
        order: &[usize],
        layout: &'a Layout,
    ) -> Self {
        let subscribes = |index: &usize| members[*index].topics.contains(name);
        let subscribed: Vec<usize> = order.iter().copied().filter(subscribes).collect();
        let total = usize::try_from(count).unwrap_or(0);
        let stand: BTreeSet<&Arc<str>> = subscribed
            .iter()
            .filter_map(|index| members[*index].rack.as_ref())
            .collect();
        let racks = layout.racks.get(name).map_or(&[][..], Vec::as_slice);
        let racks = if stand.is_empty() { &[] } else { racks };
        let all: BTreeSet<&Arc<str>> = racks.iter().flatten().collect();
        let all_alike = racks.iter().all(|racks| racks.len() == all.len());
        Self {
            name,
            members,
            wants_racks: !stand.is_disjoint(&all) && !all_alike,
            racks,
            left: (0..count).collect(),
            given: BTreeMap::new(),
            each: total.checked_div(subscribed.len()).unwrap_or(0),
            more: total.checked_rem(subscribed.len()).unwrap_or(0),
            subscribed,
        }
    }

    fn racks_match(&self, member: usize, partition: i32) -> bool {
        let Some(rack) = &self.members[member].rack else {
            return true;
        };
        let index = usize::try_from(partition).unwrap_or(usize::MAX);
        self.racks
            .get(index)
            .is_some_and(|racks| racks.contains(rack))
    }

    fn room(&self, member: usize) -> usize {
        let most = self.each + usize::from(self.more > 0);
        most.saturating_sub(self.given.get(&member).copied().unwrap_or(0))
    }

    fn give(&mut self, member: usize, partitions: &[i32], assigned: &mut [Vec<TopicPartition>]) {
        let given = self.given.entry(member).or_default();
        *given += partitions.len();
        if *given > self.each {
            self.more = self.more.saturating_sub(1);
        }
        for partition in partitions {
            self.left.remove(partition);
            assigned[member].push(TopicPartition::new(Arc::clone(self.name), *partition));
        }
    }

    /// The members in their order get what they may, as far as there is room.
    fn deal(
        &mut self,
        assigned: &mut [Vec<TopicPartition>],
        may: impl Fn(&Self, usize, i32) -> bool,
    ) {
        for member in self.subscribed.clone() {
            let left = self.left.iter().copied();
            let gets: Vec<i32> = left
                .filter(|partition| may(self, member, *partition))
                .take(self.room(member))
                .collect();
            if !gets.is_empty() {
                self.give(member, &gets, assigned);
            }
        }
    }
}

/// Gives out what has a replica where a member stands.
fn match_racks(topics: &mut [Topic<'_>], assigned: &mut [Vec<TopicPartition>]) {
    type Alike = (Vec<usize>, usize);
    let mut alike: BTreeMap<Alike, Vec<usize>> = BTreeMap::new();
    for (index, topic) in topics.iter().enumerate() {
        let key = (topic.subscribed.clone(), topic.racks.len());
        alike.entry(key).or_default().push(index);
    }
    for ((subscribed, count), together) in alike {
        if let [alone] = together[..] {
            if topics[alone].wants_racks {
                topics[alone].deal(assigned, Topic::racks_match);
            }
            continue;
        }
        let mut remaining = subscribed;
        for partition in (0..count).filter_map(|it| i32::try_from(it).ok()) {
            let fits = |topic: &usize, member: usize| {
                let topic = &topics[*topic];
                topic.racks_match(member, partition) && topic.room(member) > 0
            };
            let matching = remaining
                .iter()
                .copied()
                .find(|member| together.iter().all(|topic| fits(topic, *member)));
            let Some(member) = matching else { continue };
            for topic in &together {
                topics[*topic].give(member, &[partition], assigned);
            }
            if together
                .iter()
                .all(|topic| topics[*topic].room(member) == 0)
            {
                remaining.retain(|it| *it != member);
            }
        }
    }
}
