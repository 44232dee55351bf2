//! Who of the subscribers of a topic has least, and who has most: the next to be given a partition, or to give one.
//! It counts along as if each answer were followed, and does not know which partitions there are.
//!
//! ```text
//!             least loaded          most loaded
//!   load  ^                          #  #   members that have nothing to give
//!         |                     [## ##]
//!         |            #### ####[## ##]     each range is a run of members with the same load; when
//!         | [## ## ##]                      all in it were answered it grows to the next load
//!         | [## ## ##]
//!         +---------------------------------> subscribers, by load
//! ```

use std::cmp::Reverse;

/// The subscribers of one topic, by load.
#[derive(Debug, Default)]
pub(super) struct Balance {
    /// By load, then by place in the group; within the upper range those with nothing to give move to the end.
    members: Vec<u32>,
    /// Members before this one are in the lower range.
    least_end: usize,
    /// Load of the members in the lower range when the current round of it began.
    least_load: i64,
    least_next: usize,
    /// The upper range is `most_start..most_end`.
    most_start: usize,
    most_end: usize,
    /// Load of the members in the upper range when the current round of it began.
    most_load: i64,
    /// One after the member to be answered next.
    most_next: usize,
}

impl Balance {
    /// Takes up the subscribers of another topic, and says how far apart their loads are. `loads` is by place in the
    /// group.
    ///
    /// # Panics
    /// When there are no subscribers.
    pub(super) fn take_up(&mut self, subscribers: &[u32], loads: &[i64]) -> i64 {
        self.members.clear();
        self.members.extend_from_slice(subscribers);
        // Subscribers come in the order of the group, and the sort is stable.
        self.members.sort_by_key(|&member| loads[member as usize]);
        let least = loads[self.members[0] as usize];
        let most = loads[self.members[self.members.len() - 1] as usize];
        self.least_end = 0;
        self.least_load = least - 1;
        self.least_next = 0;
        self.most_start = self.members.len();
        self.most_end = self.members.len();
        self.most_load = most + 1;
        self.most_next = self.members.len();
        most - least
    }

    /// The member to be given a partition.
    pub(super) fn least_loaded(&mut self, loads: &[i64]) -> u32 {
        if self.least_next >= self.least_end {
            self.least_load += 1;
            while self
                .members
                .get(self.least_end)
                .is_some_and(|&member| loads[member as usize] == self.least_load)
            {
                self.least_end += 1;
            }
            self.least_next = 0;
        }
        self.least_next += 1;
        self.members[self.least_next - 1]
    }

    /// The member to give a partition away; `None` when nobody is left that could.
    pub(super) fn most_loaded(&mut self, loads: &[i64]) -> Option<u32> {
        if self.most_next <= self.most_start {
            if self.most_end <= self.most_start && self.most_start > 0 {
                // Nobody in the range had anything to give: on to the next load, wherever it is.
                self.most_load = loads[self.members[self.most_start - 1] as usize];
            } else {
                self.most_load -= 1;
            }
            while self.most_start > 0
                && loads[self.members[self.most_start - 1] as usize] == self.most_load
            {
                self.most_start -= 1;
            }
            self.most_next = self.most_end;
        }
        self.most_next = self.most_next.checked_sub(1)?;
        Some(self.members[self.most_next])
    }

    /// The last answer of [`Self::most_loaded`] has nothing to give.
    pub(super) fn pass_over(&mut self) {
        self.members.swap(self.most_next, self.most_end - 1);
        self.most_end -= 1;
    }

    /// Whether moving a partition from the most to the least loaded would improve nothing.
    pub(super) const fn is_balanced(&self) -> bool {
        self.most_load - self.least_load <= 1
    }
}

/// Key to sort topics by: most partitions for each subscriber first, then fewest subscribers, then by id as Java
/// compares ids.
pub(super) fn topic_order(
    partitions: usize,
    subscribers: usize,
    id: uuid::Uuid,
) -> (Reverse<u64>, usize, (i64, i64)) {
    #[expect(clippy::cast_precision_loss)]
    let share = partitions as f64 / subscribers as f64;
    let (high, low) = id.as_u64_pair();
    // The bits of a positive float are in the order of the floats.
    (
        Reverse(share.to_bits()),
        subscribers,
        (high.cast_signed(), low.cast_signed()),
    )
}
