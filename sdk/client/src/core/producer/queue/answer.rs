//! What an answer means for its batch and for those behind it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use highwater_wire::ErrorCode;
use smallvec::SmallVec;

use super::batch::{Batch, Body, Identity};
use super::reaction::{Reaction, is_too_large, reaction};
use super::{Gate, Queue, Rules};
use crate::core::producer::delivery::{Delivery, Outcome};
use crate::error::{Error, ErrorKind, Written};

/// What became of a batch that was sent.
#[derive(Debug)]
pub(crate) enum Answer {
    Placed {
        base_offset: Option<i64>,
        log_append_time_ms: Option<i64>,
    },
    Refused(ErrorCode, Option<String>),
    /// It could not be given its final bytes, and never will be.
    Unsealed(Error),
    /// No answer: the connection broke, or was never there (`sent` is false).
    Lost {
        error: Error,
        sent: bool,
    },
}

/// An outcome for a run of records, to be delivered once the queue's lock is released.
#[derive(Debug)]
pub(crate) struct Settled {
    delivery: Arc<Delivery>,
    first: u32,
    count: u32,
    outcome: Outcome,
}

impl Settled {
    /// How many records it is about, and whether they are in the log.
    pub(crate) fn tally(&self) -> (u32, bool) {
        (self.count, matches!(self.outcome, Outcome::Placed { .. }))
    }

    pub(crate) fn deliver(self) {
        self.delivery.settle(self.first, self.count, self.outcome);
    }
}

/// What follows from an answer or from the passing of time.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) settled: SmallVec<[Settled; 1]>,
    /// Bytes of memory given back.
    pub(crate) released: usize,
    /// Whether the partition's leader must be looked up again.
    pub(crate) refresh: bool,
    /// The identity whose sequences went wrong: the next epoch is needed.
    pub(crate) bump: Option<Identity>,
    /// The sealed bytes, done with.
    pub(crate) page: Option<Bytes>,
}

impl Queue {
    /// Batch `id` was sealed and is being sent.
    pub(crate) fn sealed(&mut self, id: u64, sealed: &Bytes) {
        let mut batches = self.batches.iter_mut();
        if let Some(batch) = batches.find(|batch| batch.id == id && batch.is_in_flight()) {
            batch.sent = Some(sealed.clone());
        }
    }

    /// Learns what became of batch `id`, whose sealed bytes come back.
    pub(crate) fn answer(
        &mut self,
        now: Duration,
        rules: &Rules,
        random: u64,
        id: u64,
        sealed: Bytes,
        answer: Answer,
    ) -> Verdict {
        let mut verdict = Verdict::default();
        let Some(at) = self.batches.iter().position(|batch| batch.id == id) else {
            return verdict;
        };
        self.in_flight -= 1;
        let batch = &mut self.batches[at];
        batch.sent = None;
        batch.body = Some(Body::Sealed(sealed, batch.stamp));
        match answer {
            Answer::Placed {
                base_offset,
                log_append_time_ms,
            } => {
                self.placed(at, base_offset, log_append_time_ms, &mut verdict);
            }
            Answer::Refused(ErrorCode::DuplicateSequenceNumber, _) => {
                self.placed(at, None, None, &mut verdict);
            }
            Answer::Refused(code, detail) => {
                let error = if is_too_large(code) {
                    let why = detail.as_deref().unwrap_or(code.message());
                    Error::new(ErrorKind::RecordTooLarge, why)
                } else {
                    Error::broker(code, detail.as_deref())
                };
                match reaction(code, batch.stamp.is_some(), batch.count) {
                    Reaction::Fail => self.fail(at, error, &mut verdict),
                    Reaction::Split => {
                        if self.split(at) {
                            self.gate = Gate::Settling;
                        } else {
                            self.fail(at, error, &mut verdict);
                        }
                    }
                    Reaction::Rebase => {
                        // Behind an older batch it only says that that one is missing.
                        if at == 0 {
                            self.rebase = true;
                            verdict.bump = self.batches[at].stamp.map(|(identity, _)| identity);
                        }
                        self.retry(now, rules, random, at, error, &mut verdict);
                    }
                    Reaction::Retry {
                        refresh,
                        maybe_written,
                    } => {
                        verdict.refresh = refresh;
                        if maybe_written {
                            batch.written = Written::Maybe;
                        }
                        self.retry(now, rules, random, at, error, &mut verdict);
                    }
                }
            }
            Answer::Unsealed(error) => self.fail(at, error, &mut verdict),
            Answer::Lost { error, sent } => {
                verdict.refresh = true;
                if sent {
                    batch.written = Written::Maybe;
                }
                self.retry(now, rules, random, at, error, &mut verdict);
            }
        }
        verdict
    }

    fn placed(
        &mut self,
        at: usize,
        base_offset: Option<i64>,
        log_append_time_ms: Option<i64>,
        verdict: &mut Verdict,
    ) {
        if self.gate == Gate::Probing {
            self.gate = Gate::Open;
        }
        self.failures = 0;
        self.last_error = None;
        let Some(batch) = self.batches.remove(at) else {
            return;
        };
        verdict.released += batch.charged;
        if !batch.abandoned {
            let outcome = Outcome::Placed {
                base_offset,
                log_append_time_ms,
            };
            verdict.settled.push(settled(&batch, outcome));
        }
        if let Some(Body::Sealed(bytes, _)) = batch.body {
            verdict.page = Some(bytes);
        }
    }

    fn retry(
        &mut self,
        now: Duration,
        rules: &Rules,
        random: u64,
        at: usize,
        error: Error,
        verdict: &mut Verdict,
    ) {
        // All batches in flight to a broken connection fail at once: that is one failure.
        if self.gate != Gate::Settling {
            self.failures = self.failures.saturating_add(1);
            self.paused_until = now + rules.backoff.pause(self.failures, random);
            self.gate = Gate::Settling;
        }
        let batch = &self.batches[at];
        if batch.abandoned || batch.created.saturating_add(rules.delivery_timeout) <= now {
            let ms = rules.delivery_timeout.as_millis();
            let why = format!("not delivered within {ms} ms, last failure: {error}");
            self.fail(at, Error::timeout(why), verdict);
        } else {
            self.last_error = Some(error);
        }
    }

    /// Takes a batch out for good. Those behind it keep their sequences: should there be a gap now,
    /// the broker says so of the first of them, and all start anew.
    pub(super) fn fail(&mut self, at: usize, error: Error, verdict: &mut Verdict) {
        let Some(mut batch) = self.batches.remove(at) else {
            return;
        };
        if let Some((identity, base)) = batch.stamp
            && batch.written == Written::No
            && self.identity == Some(identity)
            && !self
                .batches
                .iter()
                .skip(at)
                .any(|later| later.stamp.is_some())
        {
            self.next_sequence = base;
        }
        verdict.released += batch.charged;
        if !batch.abandoned {
            let error = error
                .at(&self.topic, self.partition)
                .with_written(batch.written);
            let records = batch.undelivered(&self.topic, self.partition);
            let outcome = Outcome::Failed(error, records);
            verdict.settled.push(settled(&batch, outcome));
        }
    }
}

pub(super) fn settled(batch: &Batch, outcome: Outcome) -> Settled {
    Settled {
        delivery: Arc::clone(&batch.delivery),
        first: batch.first,
        count: batch.count,
        outcome,
    }
}
