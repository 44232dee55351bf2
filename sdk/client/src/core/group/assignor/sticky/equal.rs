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

use super::racks::Racks;
use crate::core::group::assignor::{Partitions, all};
use crate::core::group::protocol::Subscriber;
use crate::error::TopicPartition;

pub(super) fn assign(
    members: &[Subscriber],
    partitions: &Partitions,
    owned: Vec<Vec<TopicPartition>>,
    racks: &Racks<'_>,
) -> Vec<Vec<TopicPartition>> {
    let mut owned = owned;
    for (index, keeps) in owned.iter_mut().enumerate() {
        keeps.retain(|place| racks.allow(index, place));
    }
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
    let mut rest: Vec<TopicPartition> = everything;
    rest.retain(|place| !kept.contains(place));
    racks.sort(&mut rest);
    let mut round = Round {
        owned,
        below,
        exact: if filled < above {
            exact.into()
        } else {
            VecDeque::new()
        },
        share_min,
        share_max,
        left_above: above - filled,
    };
    if racks.matter() {
        round.go_near(&mut rest, racks);
    }
    round.go(rest);
    round.owned
}

/// What nobody kept goes round.
struct Round {
    owned: Vec<Vec<TopicPartition>>,
    /// Who has less than `share_min`, in order.
    below: Vec<usize>,
    /// Who has that, and may get one more.
    exact: VecDeque<usize>,
    share_min: usize,
    share_max: usize,
    /// How many may still get more than `share_min`.
    left_above: usize,
}

impl Round {
    /// Each goes to the next one that stands where it does; what nobody near has room for stays.
    fn go_near(&mut self, rest: &mut Vec<TopicPartition>, racks: &Racks<'_>) {
        let mut turn = 0;
        rest.retain(|place| {
            let near = |index: &usize| racks.meet(*index, place);
            let count = self.below.len();
            let mut turns = (turn..count).chain(0..turn.min(count));
            if let Some(at) = turns.find(|at| near(&self.below[*at])) {
                let index = self.below[at];
                self.owned[index].push(place.clone());
                if self.owned[index].len() < self.share_min {
                    turn = at + 1;
                } else {
                    self.below.remove(at);
                    turn = at;
                    if self.share_min < self.share_max && self.left_above > 0 {
                        self.exact.push_back(index);
                    }
                }
                turn = turn.checked_rem(self.below.len()).unwrap_or(0);
                return false;
            }
            let Some(at) = self.exact.iter().position(near) else {
                return true;
            };
            if let Some(index) = self.exact.remove(at) {
                self.owned[index].push(place.clone());
                self.left_above = self.left_above.saturating_sub(1);
                if self.left_above == 0 {
                    self.exact.clear();
                }
            }
            false
        });
    }

    /// One after the other to each of those that have less, then to each of those that may have one more.
    fn go(&mut self, rest: Vec<TopicPartition>) {
        let mut turn = 0;
        for place in rest {
            if turn >= self.below.len() {
                turn = 0;
            }
            let next = self.below.get(turn).copied();
            let Some(index) = next.or_else(|| self.exact.pop_front()) else {
                break;
            };
            self.owned[index].push(place);
            if !self.below.is_empty() {
                if self.owned[index].len() == self.share_min {
                    self.below.remove(turn);
                    self.exact.push_back(index);
                } else {
                    turn += 1;
                }
            }
        }
    }
}
