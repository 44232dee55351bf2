//! Members subscribe to different topics: what has no owner goes to whoever has least, then partitions move from those who
//! have more to those who have less for as long as that helps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::movements::Movements;
use super::racks::Racks;
use crate::core::group::assignor::{Partitions, of_topic};
use crate::core::group::protocol::{NO_GENERATION, Subscriber};
use crate::error::TopicPartition;

pub(super) fn assign(
    members: &[Subscriber],
    partitions: &Partitions,
    owned: Vec<Vec<TopicPartition>>,
    racks: &Racks<'_>,
) -> Vec<Vec<TopicPartition>> {
    Balance::new(members, partitions, owned, racks).run()
}

/// Who has what, on the way to an even assignment.
struct Balance<'a> {
    members: &'a [Subscriber],
    /// Who may have partitions of each topic, by member id.
    subscribers: BTreeMap<&'a Arc<str>, Vec<usize>>,
    /// All partitions, those with the fewest subscribers first.
    sorted: Vec<TopicPartition>,
    /// How many partitions each member could have at most.
    could: Vec<usize>,
    has: Vec<Vec<TopicPartition>>,
    owner: BTreeMap<TopicPartition, usize>,
    /// Those that take part, by how much they have, then by id.
    by_load: BTreeSet<(usize, Arc<str>, usize)>,
    /// Who had a partition in the generation before the newest.
    before: BTreeMap<TopicPartition, usize>,
    movements: Movements,
    racks: &'a Racks<'a>,
    /// Whether somebody has to let go of something already: what it unsubscribed from, or what stands elsewhere.
    must_revoke: bool,
}

impl<'a> Balance<'a> {
    fn new(
        members: &'a [Subscriber],
        partitions: &'a Partitions,
        owned: Vec<Vec<TopicPartition>>,
        racks: &'a Racks<'a>,
    ) -> Self {
        let mut order: Vec<usize> = (0..members.len()).collect();
        order.sort_by_key(|index| Arc::clone(&members[*index].id));
        let mut subscribers: BTreeMap<&Arc<str>, Vec<usize>> = BTreeMap::new();
        for topic in partitions.keys() {
            let subscribed = order
                .iter()
                .copied()
                .filter(|index| members[*index].topics.contains(topic));
            subscribers.insert(topic, subscribed.collect());
        }
        let mut topics: Vec<(usize, &Arc<str>)> = subscribers
            .iter()
            .map(|(topic, who)| (who.len(), *topic))
            .collect();
        topics.sort();
        let sorted = topics
            .iter()
            .flat_map(|(_, topic)| of_topic(topic, partitions[*topic]))
            .collect();
        let could = |member: &Subscriber| {
            let counts = member
                .topics
                .iter()
                .filter_map(|topic| partitions.get(topic));
            counts
                .map(|count| usize::try_from(*count).unwrap_or(0))
                .sum()
        };
        let mut must_revoke = false;
        let mut has = owned;
        for (index, (member, has)) in members.iter().zip(&mut has).enumerate() {
            let claimed = has.len();
            has.retain(|place| member.topics.contains(&place.topic) && racks.allow(index, place));
            must_revoke |= has.len() < claimed;
        }
        let owner = has.iter().enumerate();
        let owner = owner
            .flat_map(|(index, has)| has.iter().map(move |place| (place.clone(), index)))
            .collect();
        Self {
            by_load: BTreeSet::new(),
            could: members.iter().map(could).collect(),
            before: before(members),
            movements: Movements::default(),
            members,
            subscribers,
            sorted,
            has,
            owner,
            racks,
            must_revoke,
        }
    }

    fn run(mut self) -> Vec<Vec<TopicPartition>> {
        for index in 0..self.members.len() {
            self.by_load.insert(self.load(index));
        }
        let initializing = self.has.iter().all(Vec::is_empty);
        let unowned = self
            .sorted
            .iter()
            .filter(|place| !self.owner.contains_key(*place));
        let mut unowned: Vec<TopicPartition> = unowned.cloned().collect();
        // First to those that stand where it does, then to whom it may be.
        let rest: Vec<TopicPartition> = if self.racks.matter() {
            let near = |place: &&TopicPartition| !self.give(place, true);
            unowned.iter().filter(near).cloned().collect()
        } else {
            unowned.clone()
        };
        for place in &rest {
            self.give(place, false);
        }
        // What only one member can have does not move, and who cannot gain or lose does not take part.
        let movable = |place: &TopicPartition| self.subscribers[&place.topic].len() >= 2;
        let mut movable_all = self.sorted.clone();
        movable_all.retain(movable);
        unowned.retain(movable);
        let takes_part = |index: &usize| {
            self.has[*index].len() < self.could[*index] || self.has[*index].iter().any(movable)
        };
        let fixed: Vec<usize> = (0..self.members.len())
            .filter(|index| !takes_part(index))
            .collect();
        for index in fixed {
            self.by_load.remove(&self.load(index));
        }
        let before = self.has.clone();
        if !self.must_revoke {
            self.even_out(&unowned);
        }
        let moved = self.even_out(&movable_all);
        if !initializing && moved && self.unevenness(&self.has) >= self.unevenness(&before) {
            return before;
        }
        self.has
    }

    fn load(&self, index: usize) -> (usize, Arc<str>, usize) {
        (
            self.has[index].len(),
            Arc::clone(&self.members[index].id),
            index,
        )
    }

    /// Who of those that may have it has least.
    fn least_loaded(&self, topic: &Arc<str>, may: impl Fn(usize) -> bool) -> Option<usize> {
        let mut all = self.by_load.iter().map(|(_, _, index)| *index);
        all.find(|index| self.members[*index].topics.contains(topic) && may(*index))
    }

    /// Gives it to whoever has least, of all or only of those whose rack allows it. Whether there was one.
    fn give(&mut self, place: &TopicPartition, near: bool) -> bool {
        let may = |index| !near || self.racks.allow(index, place);
        let Some(index) = self.least_loaded(&place.topic, may) else {
            return false;
        };
        self.by_load.remove(&self.load(index));
        self.has[index].push(place.clone());
        self.owner.insert(place.clone(), index);
        self.by_load.insert(self.load(index));
        true
    }

    /// Moves partitions until nothing is gained by it. Returns whether any moved.
    fn even_out(&mut self, places: &[TopicPartition]) -> bool {
        // Every move brings two loads closer; but for what goes in another's stead, so the moves are counted.
        let mut left = places.len().saturating_mul(self.members.len());
        let mut moved = false;
        loop {
            let mut again = false;
            for place in places {
                let Some(from) = self.owner.get(place).copied() else {
                    continue;
                };
                let gains = |to: usize| self.has[from].len() > self.has[to].len() + 1;
                let back = self
                    .before
                    .get(place)
                    .copied()
                    .filter(|to| gains(*to) && self.members[*to].topics.contains(&place.topic));
                let any = || self.subscribers[&place.topic].iter().any(|to| gains(*to));
                let to = match back {
                    Some(to) => Some(to),
                    None if any() => self.least_loaded(&place.topic, |_| true),
                    None => None,
                };
                if let Some(to) = to {
                    self.shift(place, from, to);
                    (again, moved) = (true, true);
                    left = left.saturating_sub(1);
                }
            }
            if !again || left == 0 {
                return moved;
            }
        }
    }

    fn shift(&mut self, place: &TopicPartition, from: usize, to: usize) {
        let place = self.movements.instead_of(place, from, to);
        let Some(from) = self.owner.get(&place).copied() else {
            return;
        };
        for index in [from, to] {
            self.by_load.remove(&self.load(index));
        }
        self.movements.note(&place, from, to);
        self.has[from].retain(|other| *other != place);
        self.has[to].push(place.clone());
        self.owner.insert(place, to);
        for index in [from, to] {
            self.by_load.insert(self.load(index));
        }
    }

    /// The sum of the differences between any two that take part.
    fn unevenness(&self, has: &[Vec<TopicPartition>]) -> usize {
        let mut loads: Vec<usize> = self
            .by_load
            .iter()
            .map(|(_, _, index)| has[*index].len())
            .collect();
        loads.sort_unstable();
        // Each load counts once against every lighter one and for every heavier one.
        let (mut sum, mut lighter) = (0, 0);
        for (count, load) in loads.iter().enumerate() {
            sum += load * count - lighter;
            lighter += load;
        }
        sum
    }
}

/// Who claims a partition from the latest generation but the newest.
fn before(members: &[Subscriber]) -> BTreeMap<TopicPartition, usize> {
    let newest = members
        .iter()
        .map(|member| member.generation)
        .max()
        .unwrap_or(NO_GENERATION);
    let mut before: BTreeMap<TopicPartition, usize> = BTreeMap::new();
    for (index, member) in members
        .iter()
        .enumerate()
        .filter(|(_, member)| member.generation < newest)
    {
        for place in &member.owned {
            match before.get(place) {
                Some(other) if members[*other].generation >= member.generation => {}
                Some(_) | None => {
                    before.insert(place.clone(), index);
                }
            }
        }
    }
    before
}
