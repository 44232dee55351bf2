//! What the partitioner said of records that are not placed yet, so that none is asked about again for want of memory.
//!
//! A choice is among so many partitions: with another number of them it is made anew.

use smallvec::SmallVec;

use super::place::RUN_RECORDS_MAX;
use super::topic::Topic;
use crate::config::ProducerConfig;
use crate::partitioner::Choice;
use crate::record::Record;

/// The choice for one record.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) choice: Choice,
    partitions: i32,
}

impl Chosen {
    /// What was kept, if it still holds, or what the record or the partitioner says now.
    pub(super) fn of(
        kept: &mut Option<Self>,
        record: &Record<'_>,
        topic: &Topic,
        config: &ProducerConfig,
    ) -> Self {
        let partitions = topic.count();
        match kept.take() {
            Some(kept) if kept.partitions == partitions => kept,
            Some(_) | None => Self {
                choice: topic.choice(config, record),
                partitions,
            },
        }
    }
}

/// The choices for records in a row of a call.
#[derive(Debug, Default)]
pub(super) struct Choices {
    made: SmallVec<[Choice; RUN_RECORDS_MAX]>,
    /// Which record of the call the first of them is for.
    first: usize,
    partitions: i32,
}

impl Choices {
    /// Those for `records`, the first of which is record `first` of the call. All are of `topic`, as
    /// are those of a call before that did not place all of them.
    pub(super) fn of(
        &mut self,
        first: usize,
        records: &[Record<'_>],
        topic: &Topic,
        config: &ProducerConfig,
    ) -> &[Choice] {
        let partitions = topic.count();
        let placed = first.saturating_sub(self.first).min(self.made.len());
        if self.partitions == partitions {
            self.made.drain(..placed);
        } else {
            self.made.clear();
        }
        (self.first, self.partitions) = (first, partitions);
        let new = records.iter().skip(self.made.len());
        self.made
            .extend(new.map(|record| topic.choice(config, record)));
        &self.made
    }
}
