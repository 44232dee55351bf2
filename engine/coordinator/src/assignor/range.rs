//! The assignor `range`: each topic is cut into neighbouring pieces, one for each member. It forgets what was before.

use super::{Assignment, Group, count};

/// A topic and how far it is given out.
struct Cut {
    subscribers: usize,
    /// Pieces that are one partition longer than the others and still to be given.
    longer: usize,
    /// The next partition.
    next: i32,
}

/// Static members come first, by instance id, so that they keep their place when they come back under another member
/// id; the others follow by member id. Topics with as many partitions and as many subscribers are cut alike, and since
/// members stand in the same order for each topic, they get the same partitions of them.
pub(super) fn assign(group: &Group<'_>) -> Vec<Assignment> {
    let mut order: Vec<usize> = (0..group.members.len()).collect();
    order.sort_by_key(|&place| {
        let member = &group.members[place];
        (
            member.instance.is_none(),
            member.instance.unwrap_or(member.id),
        )
    });

    let mut cuts: Vec<Cut> = group
        .topics
        .iter()
        .map(|_| Cut {
            subscribers: 0,
            longer: 0,
            next: 0,
        })
        .collect();
    for topic in group.members.iter().flat_map(|member| member.topics) {
        cuts[*topic as usize].subscribers += 1;
    }
    for (cut, topic) in cuts.iter_mut().zip(group.topics) {
        cut.longer = count(topic).checked_rem(cut.subscribers).unwrap_or(0);
    }

    let mut given = vec![Assignment::EMPTY; group.members.len()];
    for place in order {
        for &wanted in group.members[place].topics {
            let topic = &group.topics[wanted as usize];
            let cut = &mut cuts[wanted as usize];
            let mut length = count(topic) / cut.subscribers;
            if cut.longer > 0 {
                cut.longer -= 1;
                length += 1;
            }
            let start = cut.next;
            cut.next = topic
                .partitions
                .min(start.saturating_add(i32::try_from(length).unwrap_or(i32::MAX)));
            given[place].push(topic.id, (start..cut.next).collect());
        }
    }
    given
}
