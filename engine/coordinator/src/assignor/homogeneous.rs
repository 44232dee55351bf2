//! The assignor `uniform` for a group whose members all want the same: quotas, and what is over them moves.

use super::{Assignment, Group, count, numbers};
use uuid::Uuid;

/// A member that may still be given partitions.
struct Unfilled {
    member: usize,
    room: usize,
}

/// Each member gets `min` partitions and `extra` of them one more. A member keeps what it had up to its quota, in order
/// of topics and partitions; what is over goes to members with room.
pub(super) fn assign(group: &Group<'_>) -> Vec<Assignment> {
    let members = group.members.len();
    let mut given: Vec<Vec<(Uuid, i32)>> = vec![Vec::new(); members];
    let Some(first) = group.members.first() else {
        return Vec::new();
    };
    let mut owned: Vec<Vec<bool>> = group
        .topics
        .iter()
        .map(|topic| vec![false; count(topic)])
        .collect();
    for member in group.members {
        for (topic, partition) in member.held.partitions() {
            if let Some(place) = group.place(topic)
                && let Some(owned) = slot(&mut owned[place], partition)
            {
                *owned = true;
            }
        }
    }

    let mut unassigned: Vec<(Uuid, i32)> = Vec::new();
    let mut total = 0;
    for &place in first.topics {
        let topic = &group.topics[place as usize];
        total += count(topic);
        unassigned.extend(
            numbers(topic)
                .zip(&owned[place as usize])
                .filter(|(_, owned)| !**owned)
                .map(|(partition, _)| (topic.id, partition)),
        );
    }

    let min = total / members;
    let mut extra = total % members;
    let mut unfilled: Vec<Unfilled> = Vec::new();
    for (place, member) in group.members.iter().enumerate() {
        let mut has_extra = extra > 0;
        let mut room = min + usize::from(has_extra);
        for (id, partitions) in member.held.topics() {
            let Some(topic) = wanted(group, first.topics, id) else {
                continue;
            };
            for &partition in partitions {
                // Two that were to hold the same partition: the first one does.
                let Some(owned) = slot(&mut owned[topic], partition).filter(|owned| **owned) else {
                    continue;
                };
                *owned = false;
                if room > 0 {
                    room -= 1;
                    given[place].push((id, partition));
                } else {
                    unassigned.push((id, partition));
                }
            }
        }
        // Who does not need its extra partition now leaves it to one after it that may have it already.
        if room > 0 && has_extra && members - place > extra {
            room -= 1;
            has_extra = false;
        }
        if room > 0 {
            unfilled.push(Unfilled {
                member: place,
                room,
            });
        }
        extra -= usize::from(has_extra);
    }

    let mut unassigned = unassigned.into_iter();
    for Unfilled { member, room } in unfilled {
        given[member].extend(unassigned.by_ref().take(room));
    }
    given.into_iter().map(Assignment::from_iter).collect()
}

/// Place of a topic that is wanted.
fn wanted(group: &Group<'_>, topics: &[u32], id: uuid::Uuid) -> Option<usize> {
    let place = group.place(id)?;
    let wanted = u32::try_from(place).is_ok_and(|place| topics.binary_search(&place).is_ok());
    wanted.then_some(place)
}

/// What is known of a partition, unless the topic has no such partition.
fn slot<T>(partitions: &mut [T], partition: i32) -> Option<&mut T> {
    partitions.get_mut(usize::try_from(partition).ok()?)
}
