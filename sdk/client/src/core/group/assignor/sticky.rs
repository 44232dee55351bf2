//! As even as can be, and each member keeps what it can (KIP-54; Kafka: `AbstractStickyAssignor`).
//!
//! Where members and replicas say which rack they stand in, a member keeps only what has a replica in its own, and what nobody
//! has goes first to those that stand where it does; an even assignment is worth more than a near one (KIP-881).
//!
//! Where all members subscribe to the same topics a single pass suffices ([`equal`]); otherwise partitions are moved one by one
//! for as long as that evens things out ([`general`]).

mod equal;
mod general;
mod movements;
mod racks;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::racks::Racks;
use super::{Layout, Partitions};
use crate::core::group::protocol::Subscriber;
use crate::error::TopicPartition;

pub(super) fn assign(members: &[Subscriber], layout: &Layout) -> Vec<Vec<TopicPartition>> {
    settle(members, layout).0
}

/// The assignment, and what two members claim to have from one generation.
pub(super) fn settle(
    members: &[Subscriber],
    layout: &Layout,
) -> (Vec<Vec<TopicPartition>>, BTreeSet<TopicPartition>) {
    if members.is_empty() {
        return Default::default();
    }
    let wanted = |topic: &Arc<str>| members.iter().any(|member| member.topics.contains(topic));
    let mut layout = layout.clone();
    layout.counts.retain(|topic, _| wanted(topic));
    let partitions = &layout.counts;
    let racks = Racks::new(members, &layout);
    let Claims { owned, disputed } = Claims::settle(members, partitions);
    let assigned = if members
        .windows(2)
        .all(|pair| pair[0].topics == pair[1].topics)
    {
        equal::assign(members, partitions, owned, &racks)
    } else {
        general::assign(members, partitions, owned, &racks)
    };
    (assigned, disputed)
}

/// Who has what, of existing partitions, as far as that is undisputed.
struct Claims {
    owned: Vec<Vec<TopicPartition>>,
    /// What two members claim from one generation; it is nobody's.
    disputed: BTreeSet<TopicPartition>,
}

impl Claims {
    /// Of two that claim a partition the one of the later generation is right; of the same generation neither is.
    fn settle(members: &[Subscriber], partitions: &Partitions) -> Self {
        let mut owner: BTreeMap<&TopicPartition, usize> = BTreeMap::new();
        let mut disputed = BTreeSet::new();
        for (index, member) in members.iter().enumerate() {
            let exists = |place: &&TopicPartition| {
                partitions
                    .get(&place.topic)
                    .is_some_and(|count| (0..*count).contains(&place.partition))
            };
            for place in member.owned.iter().filter(exists) {
                match owner.get(place).map(|other| members[*other].generation) {
                    Some(other) if other == member.generation && owner[place] != index => {
                        disputed.insert(place.clone());
                    }
                    Some(other) if other > member.generation => {}
                    Some(_) | None => {
                        // A later generation settles what earlier ones dispute.
                        disputed.remove(place);
                        owner.insert(place, index);
                    }
                }
            }
        }
        let mut owned = vec![Vec::new(); members.len()];
        for (place, index) in owner {
            if !disputed.contains(place) {
                owned[index].push(place.clone());
            }
        }
        Self { owned, disputed }
    }
}
