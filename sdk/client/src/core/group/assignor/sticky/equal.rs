//! All members subscribe to the same topics: each keeps what it has up to its share, then the rest goes round.
//!
//! ```text
//!  7 partitions, 3 members:  share_min 2, share_max 3, 1 member above share_min
//!     A has 4, keeps 3  ->  nobody else may have 3
//!     B has 1, keeps 1  ->  below its share, gets the first of the rest
//!     C has 2, keeps 2  ->  full
//! ```

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::core::group::assignor::{Partitions, all};
use crate::core::group::protocol::Subscriber;
use crate::error::TopicPartition;

pub(super) fn assign(
    members: &[Subscriber],
    partitions: &Partitions,
    owned: Vec<Vec<TopicPartition>>,
) -> Vec<Vec<TopicPartition>> {
    let mut owned = owned;
    let everything: Vec<TopicPartition> = all(partitions).collect();
    let share_min = everything.len() / members.len();
    let above = everything.len() % members.len();
    let share_max = share_min + usize::from(above > 0);
    // How many members have more than `share_min`. Invariant: at most `above`.
    let mut filled = 0;
    let (mut below, mut exact) = (Vec::new(), Vec::new());
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|index| Arc::clone(&members[*index].id));
    for index in order {
        let keeps = &mut owned[index];
        keeps.sort_by(|a, b| (a.partition, &a.topic).cmp(&(b.partition, &b.topic)));
        if keeps.len() < share_min {
            below.push(index);
        } else if keeps.len() >= share_max && filled < above {
            filled += 1;
            keeps.truncate(share_max);
        } else {
            keeps.truncate(share_min);
            exact.push(index);
        }
    }
    let kept: BTreeSet<TopicPartition> = owned.iter().flatten().cloned().collect();
    let mut exact: VecDeque<usize> = if filled < above {
        exact.into()
    } else {
        VecDeque::new()
    };
    let mut turn = 0;
    for place in everything.into_iter().filter(|place| !kept.contains(place)) {
        if turn >= below.len() {
            turn = 0;
        }
        let Some(index) = below.get(turn).copied().or_else(|| exact.pop_front()) else {
            break;
        };
        owned[index].push(place);
        if !below.is_empty() {
            if owned[index].len() == share_min {
                below.remove(turn);
                exact.push_back(index);
            } else {
                turn += 1;
            }
        }
    }
    owned
}
