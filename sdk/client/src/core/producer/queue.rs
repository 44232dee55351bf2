//! One partition's batches, from the first record to the last answer, in order.
//!
//! It decides when a batch is ready, which sequence it carries, and what an answer means for it and
//! for those behind it. It knows no broker: whoever leads the partition takes batches and brings
//! answers back.
//!
//! ```text
//!   batches:  [ in flight | in flight | waiting | waiting ]  open
//!               oldest: the only one whose sequence error      being
//!               says something                                 appended to
//! ```
//!
//! After any failure nothing is taken until every answer is there, then one batch alone, and only
//! its success opens the pipeline again (franz-go's rule): so a batch never overtakes one before it.

mod answer;
mod append;
mod batch;
mod expiry;
mod pace;
mod reaction;
mod split;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::answer::{Answer, Verdict};
pub(crate) use self::append::{Fields, NoPlace, Supplies};
use self::batch::{Batch, OpenBatch, sequence_after};
pub(crate) use self::batch::{Body, Identity, Taken};
use self::pace::{BUSY_BATCH_BYTES, BUSY_LINGER, Pace};
use crate::config::Linger;
use crate::core::backoff::Backoff;
use crate::core::producer::delivery::Delivery;
use crate::core::producer::sticky::Stay;
use crate::error::Error;

/// What all queues of a producer obey.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) batch_bytes: usize,
    pub(crate) linger: Linger,
    pub(crate) delivery_timeout: Duration,
    pub(crate) in_flight_max: usize,
    pub(crate) backoff: Backoff,
}

/// When there is something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// Now.
    Now,
    /// Not before this time.
    At(Duration),
    /// Not before something happens: a record, an answer.
    Later,
}

/// How many batches may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// As many as may be in flight.
    Open,
    /// None until all are answered.
    Settling,
    /// One, and no other until it is answered well.
    Probing,
}

/// One partition's batches. See the module.
#[derive(Debug)]
pub(crate) struct Queue {
    topic: Arc<str>,
    partition: i32,
    open: Option<OpenBatch>,
    /// Oldest first. Invariant: those in flight are `in_flight` in number.
    batches: VecDeque<Batch>,
    in_flight: usize,
    gate: Gate,
    /// Failures since the last success, and when the pause they call for ends.
    failures: u32,
    paused_until: Duration,
    /// The last of them, or why nothing could be sent: for those who give up waiting.
    last_error: Option<Error>,
    identity: Option<Identity>,
    next_sequence: i32,
    next_ordinal: u64,
    /// The identity's sequences went wrong: all start anew under another.
    rebase: bool,
    next_id: u64,
    stay: Stay,
    pace: Pace,
    hurry: bool,
    /// Whether some sender has this queue on its list.
    pub(crate) scheduled: bool,
}

impl Queue {
    pub(crate) fn new(topic: Arc<str>, partition: i32) -> Self {
        Self {
            topic,
            partition,
            open: None,
            batches: VecDeque::new(),
            in_flight: 0,
            gate: Gate::Probing,
            failures: 0,
            paused_until: Duration::ZERO,
            last_error: None,
            identity: None,
            next_sequence: 0,
            next_ordinal: 0,
            rebase: false,
            next_id: 0,
            stay: Stay::default(),
            pace: Pace::default(),
            hurry: false,
            scheduled: false,
        }
    }

    /// How many batches wait or are in flight.
    pub(crate) fn waiting(&self) -> usize {
        self.batches.len() + usize::from(self.open.is_some())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_none() && self.batches.is_empty()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Another broker leads now: the pause after the old one's failure has no reason any more.
    pub(crate) fn moved(&mut self) {
        self.paused_until = Duration::ZERO;
    }

    /// The leader cannot be reached: remembered for those who give up waiting.
    pub(crate) fn unreachable(&mut self, error: &Error) {
        self.last_error = Some(error.clone());
    }

    /// Asks for everything here to be sent without lingering, and lists what it is.
    pub(crate) fn hurry(&mut self, into: &mut Vec<Arc<Delivery>>) {
        self.hurry = self.open.is_some();
        let closed = self.batches.iter().map(|batch| &batch.delivery);
        into.extend(
            closed
                .chain(self.open.as_ref().map(|open| &open.delivery))
                .cloned(),
        );
    }

    /// When a batch can be taken. `idle` says that nothing is in flight to the broker, `pressed`
    /// that callers wait for memory.
    pub(crate) fn ready(
        &mut self,
        now: Duration,
        rules: &Rules,
        idle: bool,
        pressed: bool,
    ) -> Ready {
        if self.gate == Gate::Settling && self.in_flight == 0 {
            self.gate = Gate::Probing;
        }
        let room = match self.gate {
            Gate::Open => self.in_flight < rules.in_flight_max,
            Gate::Settling => false,
            Gate::Probing => self.in_flight == 0,
        };
        if !room || !self.is_remembered(rules) {
            return Ready::Later;
        }
        let due = if self.batches.iter().any(|batch| !batch.is_in_flight()) {
            Duration::ZERO
        } else if let Some(open) = &self.open {
            match rules.linger {
                _ if self.hurry || pressed => Duration::ZERO,
                Linger::Adaptive(linger) if idle => {
                    let worthwhile = rules.batch_bytes.min(BUSY_BATCH_BYTES);
                    if open.builder.len() >= worthwhile
                        || !self.pace.is_busy(open.opened, worthwhile)
                    {
                        Duration::ZERO
                    } else {
                        open.opened.saturating_add(linger.min(BUSY_LINGER))
                    }
                }
                Linger::Adaptive(linger) | Linger::Fixed(linger) => {
                    open.opened.saturating_add(linger)
                }
            }
        } else {
            return Ready::Later;
        };
        let due = due.max(self.paused_until);
        if due <= now {
            Ready::Now
        } else {
            Ready::At(due)
        }
    }

    /// Bytes that the next batch has before compression, when there is one.
    pub(crate) fn next_bytes(&self) -> usize {
        let next = self.batches.iter().find_map(|batch| batch.body.as_ref());
        match (next, &self.open) {
            (Some(Body::Open(builder)), _) => builder.len(),
            (Some(Body::Sealed(bytes, _)), _) => bytes.len(),
            (None, Some(open)) => open.builder.len(),
            (None, None) => 0,
        }
    }

    /// Takes the next batch for sending, once it is [`ready`](Self::ready). `who` is the producer's
    /// present identity, or `None` without idempotence.
    ///
    /// Returns `None` when a new identity has to come first.
    pub(crate) fn take(&mut self, now: Duration, who: Option<Identity>) -> Option<Taken> {
        if let Some(who) = who {
            if self.rebase {
                if self.in_flight > 0 || self.identity == Some(who) {
                    return None;
                }
                self.rebase = false;
                self.batches.iter_mut().for_each(|batch| batch.stamp = None);
            }
            // Sequences under way keep their identity; the partition changes over when it is clean.
            if self.identity != Some(who) && self.batches.iter().all(|b| b.stamp.is_none()) {
                self.identity = Some(who);
                self.next_sequence = 0;
            }
        }
        if self.batches.iter().all(Batch::is_in_flight) {
            self.close();
            self.pace.hastened(now);
        }
        let identity = who.and(self.identity);
        let next = &mut self.next_sequence;
        let batch = self
            .batches
            .iter_mut()
            .find(|batch| !batch.is_in_flight())?;
        if batch.stamp.is_none()
            && let Some(identity) = identity
        {
            batch.stamp = Some((identity, *next));
            batch.ordinal = self.next_ordinal;
            self.next_ordinal += 1;
            *next = sequence_after(*next, batch.count);
        }
        let body = batch.body.take()?;
        self.in_flight += 1;
        Some(Taken {
            id: batch.id,
            body,
            stamp: batch.stamp,
        })
    }

    /// Whether the broker, after one more new batch, still remembers the oldest that was sent: it
    /// knows the last few of a producer, and an older one sent again would be written twice.
    /// Those answered well in between count, which is why this is more than a number in flight.
    fn is_remembered(&self, rules: &Rules) -> bool {
        let next = self.batches.iter().find(|batch| !batch.is_in_flight());
        if next.is_some_and(|next| next.stamp.is_some()) {
            return true;
        }
        let oldest = self.batches.front().filter(|batch| batch.stamp.is_some());
        let kept = u64::try_from(rules.in_flight_max).unwrap_or(u64::MAX);
        oldest.is_none_or(|oldest| self.next_ordinal - oldest.ordinal < kept)
    }
}

#[cfg(test)]
mod tests;
