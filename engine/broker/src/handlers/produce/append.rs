//! Batches for partitions of one shard: each gets its place, and then its promise is waited for.
//!
//! Knows partitions; not what the request or its answer look like.

use std::borrow::Cow;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use highwater_partition::{Origin, Partition, Refusal};
use highwater_reactor::{Instant, Reactor};
use highwater_record::{Offset, OwnedBatch};
use highwater_wire::ErrorCode;
use smallvec::SmallVec;
use uuid::Uuid;

use crate::answer;
use crate::errand::Errand;
use crate::shard::Shard;

/// What became of one partition of the request.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(super) error: ErrorCode,
    pub(super) message: Option<Cow<'static, str>>,
    pub(super) base_offset: i64,
    pub(super) log_append_time_ms: i64,
    pub(super) log_start_offset: i64,
    /// The record the error is about, where one record is to blame.
    pub(super) record: Option<i32>,
}

impl Outcome {
    pub(super) fn failed(
        error: ErrorCode,
        message: impl Into<Option<Cow<'static, str>>>,
    ) -> Outcome {
        Outcome {
            error,
            message: message.into(),
            base_offset: -1,
            log_append_time_ms: -1,
            log_start_offset: -1,
            record: None,
        }
    }
}

/// A batch on its way to its partition.
pub(crate) struct Entry {
    pub(super) topic_id: Uuid,
    pub(super) partition: i32,
    pub(super) batch: OwnedBatch,
    /// Topic and partition rows of the answer.
    pub(super) row: (usize, usize),
}

/// Batches for partitions of one shard.
pub(crate) struct Append {
    pub(super) entries: SmallVec<[Entry; 1]>,
    /// Until when to wait for the promise; `None` where placing is enough.
    pub(super) promise_until: Option<Instant>,
}

/// What became of batches: for each, its row of the answer.
pub(super) type Outcomes = SmallVec<[((usize, usize), Outcome); 1]>;

/// Batches that have their place, and what of them is still to be promised.
pub(super) struct Placed {
    outcomes: Outcomes,
    /// Which outcome, of which partition, up to where.
    promised: SmallVec<[(usize, Partition, Offset); 1]>,
}

impl Errand for Append {
    type Answer = Outcomes;

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = Self::Answer> + use<> {
        let until = self.promise_until;
        let placed = self.place(shard);
        let reactor = shard.reactor().clone();
        async move { placed.keep(&reactor, until).await }
    }
}

impl Append {
    /// The ordering point of every batch, one after the other.
    pub(super) fn place(self, shard: &Shard) -> Placed {
        let mut outcomes = SmallVec::with_capacity(self.entries.len());
        let mut promised = SmallVec::new();
        for entry in self.entries {
            let outcome = match shard.partition_or_error(&entry.topic_id, entry.partition) {
                Ok(partition) => match partition.produce(entry.batch.as_batch(), Origin::Client) {
                    Ok(admission) => {
                        if self.promise_until.is_some() && !partition.is_committed(admission.end())
                        {
                            promised.push((outcomes.len(), partition, admission.end()));
                        }
                        Outcome {
                            error: ErrorCode::None,
                            message: None,
                            base_offset: admission.base().get(),
                            log_append_time_ms: admission.log_append_time_ms().unwrap_or(-1),
                            log_start_offset: admission.log_start().get(),
                            record: None,
                        }
                    }
                    Err(refusal) => refused(&refusal),
                },
                Err(error) => Outcome::failed(error, None),
            };
            outcomes.push((entry.row, outcome));
        }
        Placed { outcomes, promised }
    }
}

impl Placed {
    /// The outcomes, if nothing is left to wait for.
    pub(super) fn finished(self) -> Result<Outcomes, Placed> {
        if self.promised.is_empty() {
            Ok(self.outcomes)
        } else {
            Err(self)
        }
    }

    /// Waits for what is promised, not longer than until then.
    pub(super) async fn keep(mut self, reactor: &Reactor, until: Option<Instant>) -> Outcomes {
        for (at, partition, end) in self.promised {
            let left = until.map_or(Duration::ZERO, |until| until - reactor.now());
            let error = match reactor.timeout(left, partition.committed(end)).await {
                Some(Ok(())) => continue,
                Some(Err(lost)) => answer::lost(&lost),
                None => ErrorCode::RequestTimedOut,
            };
            if let Some((_, outcome)) = self.outcomes.get_mut(at) {
                *outcome = Outcome::failed(error, None);
            }
        }
        self.outcomes
    }
}

fn refused(refusal: &Refusal) -> Outcome {
    let record = refusal
        .record()
        .and_then(|record| i32::try_from(record).ok());
    let message = Cow::Owned(refusal.to_string());
    Outcome {
        record,
        ..Outcome::failed(answer::refusal(refusal), message)
    }
}
