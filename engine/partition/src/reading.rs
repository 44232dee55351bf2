//! What readers ask of a partition: plans of fetches, offsets by time or by name, ends of epochs.
//!
//! Looks only, under one borrow, and hands out owned answers. Nothing beyond the high watermark is ever named.

use highwater_log::ReadError;
use highwater_record::{LeaderEpoch, Offset};

use crate::partition::Partition;
use crate::plan::{EpochEnd, Fetch, FetchPlan, FetchRefusal, Isolation};

/// What ListOffsets asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// -1: where the next record to be read will stand.
    Latest,
    /// -2: the first record there is.
    Earliest,
    /// -3: the record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// -4: the first record on this machine (KIP-405); the same as the earliest, nothing is tiered.
    EarliestLocal,
    /// -5: the last record in the tier; there is none.
    LatestTiered,
    /// -6: the first record that waits for the tier; there is none.
    EarliestPendingUpload,
    /// The first record whose timestamp is at least this, in milliseconds since 1970.
    At(i64),
}

/// A record found by ListOffsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its offset; -1 for the ends of a tier that does not exist.
    pub offset: Offset,
    /// Its timestamp, in milliseconds since 1970; -1 where an offset was asked for by name.
    pub timestamp_ms: i64,
    /// The epoch it was written in, where known.
    pub leader_epoch: Option<LeaderEpoch>,
}

impl Partition {
    /// Plans a read of whole batches below what the isolation lets the reader see. An empty plan means: nothing yet.
    ///
    /// # Errors
    /// A [`FetchRefusal`], when the offset or the epoch does not fit the log, or the log cannot be read.
    pub fn plan_fetch(&self, fetch: &Fetch) -> Result<FetchPlan, FetchRefusal> {
        let core = self.inner.core.borrow();
        let upto = core.state.admit_fetch(fetch)?;
        let mut plan = FetchPlan {
            ranges: Default::default(),
            bytes: 0,
            high_watermark: core.state.high_watermark(),
            last_stable: core.state.last_stable(),
            log_start: core.state.log_start(),
            diverging: None,
        };
        if let Some(epoch) = fetch.last_fetched_epoch {
            let Some((known, end)) = core.log().end_offset_for_epoch(epoch) else {
                return Err(core.state.out_of_range(fetch.from));
            };
            if known < epoch || end < fetch.from {
                plan.diverging = Some(EpochEnd { epoch: known, end });
                return Ok(plan);
            }
        }
        if fetch.from >= upto {
            return Ok(plan);
        }
        let read = core
            .log()
            .read(fetch.from, upto, fetch.bytes_max, fetch.at_least_one)
            .map_err(|error| match error {
                ReadError::OutOfRange { .. } => core.state.out_of_range(fetch.from),
                ReadError::Fault(error) => FetchRefusal::Log(error),
            })?;
        plan.ranges = read.ranges;
        plan.bytes = u32::try_from(read.bytes).unwrap_or(u32::MAX);
        Ok(plan)
    }

    /// Finds an offset by name or by time, among what the isolation lets the reader see.
    ///
    /// # Errors
    /// A [`FetchRefusal`], when the epoch does not fit or the log cannot be read.
    pub fn list_offset(
        &self,
        spec: OffsetSpec,
        isolation: Isolation,
        current_leader_epoch: Option<LeaderEpoch>,
    ) -> Result<Option<Found>, FetchRefusal> {
        let core = self.inner.core.borrow();
        core.state.check_open()?;
        core.state.check_epoch(current_leader_epoch)?;
        let upto = core.state.readable_end(isolation);
        let by_name = |offset: Offset, leader_epoch: Option<LeaderEpoch>| {
            Some(Found {
                offset,
                timestamp_ms: -1,
                leader_epoch,
            })
        };
        let by_time = |found: highwater_log::Found| Found {
            offset: found.offset,
            timestamp_ms: found.timestamp_ms,
            leader_epoch: found.leader_epoch,
        };
        Ok(match spec {
            OffsetSpec::Latest => by_name(upto, Some(core.state.leader_epoch())),
            OffsetSpec::Earliest | OffsetSpec::EarliestLocal => by_name(
                core.state.log_start(),
                core.log().epoch_of(core.state.log_start()),
            ),
            OffsetSpec::LatestTiered | OffsetSpec::EarliestPendingUpload => {
                by_name(Offset::new(-1), None)
            }
            OffsetSpec::MaxTimestamp => core.log().max_timestamp(upto)?.map(by_time),
            OffsetSpec::At(timestamp_ms) => core
                .log()
                .offset_for_timestamp(timestamp_ms, upto)?
                .map(by_time),
        })
    }

    /// Where an epoch ends: the largest epoch not above `epoch`, and the offset after its last record. `None` where no such
    /// epoch is known (KIP-320).
    ///
    /// # Errors
    /// A [`FetchRefusal`], when the reader's idea of the current epoch does not fit.
    pub fn end_offset_for_epoch(
        &self,
        epoch: LeaderEpoch,
        current_leader_epoch: Option<LeaderEpoch>,
    ) -> Result<Option<EpochEnd>, FetchRefusal> {
        let core = self.inner.core.borrow();
        core.state.check_open()?;
        core.state.check_epoch(current_leader_epoch)?;
        Ok(core
            .log()
            .end_offset_for_epoch(epoch)
            .map(|(epoch, end)| EpochEnd { epoch, end }))
    }
}
