//! The sticky assignment without what is still somebody else's: a partition that moves is given to nobody until its owner has
//! let it go and joined again (KIP-429; Kafka: `CooperativeStickyAssignor`).

use std::collections::BTreeSet;

use super::{Layout, sticky};
use crate::core::group::protocol::Subscriber;
use crate::error::TopicPartition;

pub(super) fn assign(members: &[Subscriber], layout: &Layout) -> Vec<Vec<TopicPartition>> {
    let (mut assigned, disputed) = sticky::settle(members, layout);
    let newest = members.iter().map(|member| member.generation).max();
    let mut let_go: BTreeSet<TopicPartition> = BTreeSet::new();
    for (member, gets) in members.iter().zip(&assigned) {
        let gets: BTreeSet<&TopicPartition> = gets.iter().collect();
        let_go.extend(
            member
                .owned
                .iter()
                .filter(|place| !gets.contains(place))
                .cloned(),
        );
    }
    for (member, gets) in members.iter().zip(&mut assigned) {
        // What a member claims from an older generation may be another's by now: to it, it is as good as new (KIP-792).
        // What is disputed is let go by all.
        let claims = member
            .owned
            .iter()
            .filter(|_| Some(member.generation) == newest);
        let has: BTreeSet<&TopicPartition> =
            claims.filter(|place| !disputed.contains(place)).collect();
        gets.retain(|place| has.contains(place) || !let_go.contains(place));
    }
    assigned
}
