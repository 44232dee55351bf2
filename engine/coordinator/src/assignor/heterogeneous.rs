//! The assignor `uniform` for a group whose members want different things: keep, fill up, then move from those who have
//! most to those who have least, topic by topic.

use super::balance::{Balance, topic_order};
use super::{Assignment, Group, count, numbers};

/// How often all topics are gone through in search of a better balance (`UniformHeterogeneousAssignmentBuilder.java`):
/// each round about halves what is out of balance.
const ROUNDS_MAX: usize = 16;

/// Nobody has the partition.
const NOBODY: u32 = u32::MAX;

/// The group while it is being given partitions. Members and topics go by their place.
struct Draft<'g, 'a> {
    group: &'g Group<'a>,
    /// Who wants the topic, ascending.
    subscribers: Vec<Vec<u32>>,
    /// Who has the partition.
    owners: Vec<Vec<u32>>,
    /// How many partitions each member has.
    loads: Vec<i64>,
    balance: Balance,
}

pub(super) fn assign(group: &Group<'_>) -> Vec<Assignment> {
    let mut draft = Draft::new(group);
    draft.keep();
    let order = draft.order();
    draft.fill(&order);
    draft.level(&order);
    draft.finish()
}

impl<'g, 'a> Draft<'g, 'a> {
    fn new(group: &'g Group<'a>) -> Self {
        let mut subscribers = vec![Vec::new(); group.topics.len()];
        for (place, member) in (0..).zip(group.members) {
            for &topic in member.topics {
                subscribers[topic as usize].push(place);
            }
        }
        let owners = group
            .topics
            .iter()
            .map(|topic| vec![NOBODY; count(topic)])
            .collect();
        Self {
            group,
            subscribers,
            owners,
            loads: vec![0; group.members.len()],
            balance: Balance::default(),
        }
    }

    /// Members keep what they had of topics that they still want.
    fn keep(&mut self) {
        for (place, member) in (0..).zip(self.group.members) {
            for (topic, partition) in member.held.partitions() {
                let Some(topic) = self.group.place(topic) else {
                    continue;
                };
                if self.subscribers[topic].binary_search(&place).is_err() {
                    continue;
                }
                let owner = usize::try_from(partition)
                    .ok()
                    .and_then(|partition| self.owners[topic].get_mut(partition));
                if let Some(owner) = owner.filter(|owner| **owner == NOBODY) {
                    *owner = place;
                    self.loads[place as usize] += 1;
                }
            }
        }
    }

    /// The topics that somebody wants, those that weigh most on their subscribers first.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.group.topics.len())
            .filter(|&topic| !self.subscribers[topic].is_empty())
            .collect();
        order.sort_by_cached_key(|&topic| {
            topic_order(
                self.owners[topic].len(),
                self.subscribers[topic].len(),
                self.group.topics[topic].id,
            )
        });
        order
    }

    /// What nobody has goes to those who have least.
    fn fill(&mut self, order: &[usize]) {
        for &topic in order {
            if !self.owners[topic].contains(&NOBODY) {
                continue;
            }
            self.balance.take_up(&self.subscribers[topic], &self.loads);
            for owner in &mut self.owners[topic] {
                if *owner == NOBODY {
                    *owner = self.balance.least_loaded(&self.loads);
                    self.loads[*owner as usize] += 1;
                }
            }
        }
    }

    /// Goes through the topics again and again, until a whole round moved nothing.
    fn level(&mut self, order: &[usize]) {
        let shared: Vec<usize> = order
            .iter()
            .copied()
            .filter(|&topic| self.subscribers[topic].len() >= 2)
            .collect();
        let mut last_moved = None;
        for _ in 0..ROUNDS_MAX {
            for &topic in &shared {
                if last_moved == Some(topic) {
                    return;
                }
                if self.level_topic(topic) || last_moved.is_none() {
                    last_moved = Some(topic);
                }
            }
        }
    }

    /// Moves partitions of a topic from those who have most to those who have least. Says whether any moved.
    fn level_topic(&mut self, topic: usize) -> bool {
        let subscribers = &self.subscribers[topic];
        let loads = subscribers
            .iter()
            .map(|&member| self.loads[member as usize]);
        let (least, most) = loads.fold((i64::MAX, i64::MIN), |(least, most), load| {
            (least.min(load), most.max(load))
        });
        if most - least <= 1 {
            return false;
        }
        self.balance.take_up(subscribers, &self.loads);
        let owners = &mut self.owners[topic];
        // For each member its partitions, the last one to be given away first.
        let mut owned: Vec<(u32, usize)> = owners
            .iter()
            .enumerate()
            .map(|(partition, owner)| (*owner, partition))
            .collect();
        owned.sort_unstable();
        let mut ranges: Vec<(u32, usize, usize)> = Vec::new();
        for (place, (owner, _)) in owned.iter().enumerate() {
            match ranges.last_mut() {
                Some((last, _, end)) if last == owner => *end = place + 1,
                _ => ranges.push((*owner, place, place + 1)),
            }
        }

        let mut moved = false;
        while !self.balance.is_balanced() {
            let partition = loop {
                let Some(giver) = self.balance.most_loaded(&self.loads) else {
                    return moved;
                };
                let range = ranges
                    .binary_search_by_key(&giver, |(owner, ..)| *owner)
                    .ok()
                    .map(|range| &mut ranges[range])
                    .filter(|(_, start, end)| start < end);
                match range {
                    Some((_, _, end)) => {
                        *end -= 1;
                        break owned[*end].1;
                    }
                    None => self.balance.pass_over(),
                }
            };
            let taker = self.balance.least_loaded(&self.loads);
            if self.balance.is_balanced() {
                break;
            }
            self.loads[owners[partition] as usize] -= 1;
            self.loads[taker as usize] += 1;
            owners[partition] = taker;
            moved = true;
        }
        moved
    }

    fn finish(self) -> Vec<Assignment> {
        let mut given = vec![Assignment::EMPTY; self.group.members.len()];
        for (topic, owners) in self.group.topics.iter().zip(&self.owners) {
            let mut owned: Vec<(u32, i32)> = owners.iter().copied().zip(numbers(topic)).collect();
            owned.sort_unstable();
            for chunk in owned.chunk_by(|(left, _), (right, _)| left == right) {
                if let Some(given) = given.get_mut(chunk[0].0 as usize) {
                    given.push(
                        topic.id,
                        chunk.iter().map(|(_, partition)| *partition).collect(),
                    );
                }
            }
        }
        given
    }
}
