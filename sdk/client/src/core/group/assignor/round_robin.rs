//! One partition to each member in turn, over all topics; a member that did not subscribe to the topic is passed over
//! (Kafka: `RoundRobinAssignor`).

use super::{Partitions, all, in_order};
use crate::core::group::protocol::Subscriber;
use crate::error::TopicPartition;

pub(super) fn assign(members: &[Subscriber], partitions: &Partitions) -> Vec<Vec<TopicPartition>> {
    let mut assigned = vec![Vec::new(); members.len()];
    let order = in_order(members);
    let mut turn = 0;
    for place in all(partitions) {
        let rest = (0..order.len()).map(|step| (turn + step) % order.len());
        let mut subscribed =
            rest.filter(|next| members[order[*next]].topics.contains(&place.topic));
        if let Some(next) = subscribed.next() {
            turn = (next + 1) % order.len();
            assigned[order[next]].push(place);
        }
    }
    assigned
}
