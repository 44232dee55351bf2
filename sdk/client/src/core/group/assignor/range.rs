//! Topic by topic: the members in their order get ranges of partitions, the first ones one more where it does not come out
//! even (Kafka: `RangeAssignor`).

use super::{Partitions, in_order, of_topic};
use crate::core::group::protocol::Subscriber;
use crate::error::TopicPartition;

pub(super) fn assign(members: &[Subscriber], partitions: &Partitions) -> Vec<Vec<TopicPartition>> {
    let mut assigned = vec![Vec::new(); members.len()];
    let order = in_order(members);
    for (topic, count) in partitions {
        let subscribed: Vec<usize> = order
            .iter()
            .copied()
            .filter(|index| members[*index].topics.contains(topic))
            .collect();
        let mut left = of_topic(topic, *count);
        let total = usize::try_from(*count).unwrap_or(0);
        for (place, member) in subscribed.iter().enumerate() {
            let more = usize::from(place < total % subscribed.len());
            assigned[*member].extend(left.by_ref().take(total / subscribed.len() + more));
        }
    }
    assigned
}
