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

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use highwater_record::{
    Batch as Checked, BatchBuilder, Decompressor, HeaderField, Limits, Producer, Records, TooLarge,
};
use highwater_wire::ErrorCode;
use smallvec::SmallVec;

use crate::config::Linger;
use crate::core::backoff::Backoff;
use crate::core::producer::delivery::{Delivery, Outcome};
use crate::core::producer::sticky::Stay;
use crate::error::{Error, ErrorKind, Written};

/// What all queues of a producer obey.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) batch_bytes: usize,
    pub(crate) linger: Linger,
    pub(crate) delivery_timeout: Duration,
    pub(crate) in_flight_max: usize,
    pub(crate) backoff: Backoff,
}

/// What an adaptive batch waits for on a busy partition, and how long at most: fewer, larger batches
/// where they fill in no time anyway. Kafka's own `batch.size`.
const BUSY_BATCH_BYTES: usize = 16 << 10;
const BUSY_LINGER: Duration = Duration::from_millis(1);

/// Who the broker knows this producer as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// What a queue needs from outside while a record is appended.
pub(crate) trait Supplies {
    /// Takes so many bytes from the producer's memory, unless they are not there.
    fn charge(&mut self, bytes: usize) -> bool;
    /// An empty builder and a completion for the next batch, and the time.
    fn batch(&mut self) -> (BatchBuilder, Arc<Delivery>, Duration);
}

/// The bytes of a record, borrowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a [HeaderField<'a>],
}

impl Fields<'_> {
    /// No fewer bytes than the record takes in a batch, and hardly more.
    pub(crate) fn bytes_bound(&self) -> usize {
        // Length, attributes, time and offset delta, three more lengths.
        const FRAMING: usize = 5 + 1 + 10 + 5 + 5 + 5 + 5;
        let mut bytes =
            FRAMING + self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len);
        for header in self.headers {
            bytes += 10 + header.key.len() + header.value.map_or(0, <[u8]>::len);
        }
        bytes
    }
}

/// A record has its place in a batch.
#[derive(Debug)]
pub(crate) struct Appended {
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) index: u32,
    /// Whether who sends this partition's batches has to look at it.
    pub(crate) wake: bool,
    /// Whether keyless records should go to another partition from now on.
    pub(crate) leave: bool,
}

/// Why a record has no place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// So many bytes of memory are missing.
    Memory(usize),
    /// The record is beyond what a batch can hold at all.
    TooLarge,
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

/// A batch's records: still growing or waiting to be sealed, or sealed for good.
#[derive(Debug)]
pub(crate) enum Body {
    Open(BatchBuilder),
    /// The bytes, and the producer fields they hold.
    Sealed(Bytes, Option<Stamp>),
}

impl Body {
    /// Bytes that are still to be sealed.
    pub(crate) fn open_bytes(&self) -> usize {
        match self {
            Self::Open(builder) => builder.len(),
            Self::Sealed(..) => 0,
        }
    }
}

/// The identity and first sequence of a batch.
pub(crate) type Stamp = (Identity, i32);

/// A batch to be sealed and sent; comes back by [`Queue::answer`].
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) id: u64,
    pub(crate) body: Body,
    /// What the sealed bytes must hold.
    pub(crate) stamp: Option<Stamp>,
}

impl Taken {
    /// The stamp in the batch's own terms.
    pub(crate) fn producer(&self) -> Producer {
        self.stamp
            .map_or(Producer::NONE, |(identity, base_sequence)| Producer {
                id: identity.id,
                epoch: identity.epoch,
                base_sequence,
            })
    }
}

/// What became of a batch that was sent.
#[derive(Debug)]
pub(crate) enum Answer {
    Placed {
        base_offset: Option<i64>,
        log_append_time_ms: Option<i64>,
    },
    Refused(ErrorCode, Option<String>),
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

#[derive(Debug)]
struct OpenBatch {
    builder: BatchBuilder,
    delivery: Arc<Delivery>,
    opened: Duration,
    charged: usize,
}

#[derive(Debug)]
struct Batch {
    id: u64,
    delivery: Arc<Delivery>,
    first: u32,
    count: u32,
    created: Duration,
    charged: usize,
    /// `None` while in flight.
    body: Option<Body>,
    stamp: Option<Stamp>,
    /// Counts the batches that were given a stamp.
    ordinal: u64,
    /// Whether an earlier attempt may have been written. `Yes` does not occur.
    written: Written,
    /// Its records were told of a time-out while it was in flight; only its end is awaited.
    abandoned: bool,
    /// Why it was not written so far.
    last_error: Option<Error>,
}

impl Batch {
    fn is_in_flight(&self) -> bool {
        self.body.is_none()
    }
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
    identity: Option<Identity>,
    next_sequence: i32,
    next_ordinal: u64,
    /// The identity's sequences went wrong: all start anew under another.
    rebase: bool,
    next_id: u64,
    stay: Stay,
    /// When a batch was last taken before it was full, and what was closed since.
    hastened_at: Duration,
    closed_bytes: usize,
    /// Bytes per `BUSY_LINGER` as things went lately.
    pace: u64,
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
            identity: None,
            next_sequence: 0,
            next_ordinal: 0,
            rebase: false,
            next_id: 0,
            stay: Stay::default(),
            hastened_at: Duration::ZERO,
            closed_bytes: 0,
            pace: 0,
            hurry: false,
            scheduled: false,
        }
    }

    /// Encodes a record into the open batch, closing a full one first.
    ///
    /// `sticky` says that the record came here because this is the topic's sticky partition.
    pub(crate) fn append(
        &mut self,
        rules: &Rules,
        record: Fields<'_>,
        sticky: bool,
        supplies: &mut impl Supplies,
    ) -> Result<Appended, NoPlace> {
        let bound = record.bytes_bound();
        let mut closed = false;
        if let Some(open) = &self.open
            && open.builder.len() + bound > rules.batch_bytes
            && open.builder.count() > 0
        {
            self.close();
            closed = true;
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                // A record beyond `batch.size` gets a batch of its own, as large as it needs.
                let charged = charge_step(0, bound, rules.batch_bytes);
                if !supplies.charge(charged) {
                    return Err(NoPlace::Memory(charged));
                }
                let (builder, delivery, opened) = supplies.batch();
                none.insert(OpenBatch {
                    builder,
                    delivery,
                    opened,
                    charged,
                })
            }
        };
        let needed = open.builder.len() + bound;
        if needed > open.charged {
            let more = charge_step(open.charged, needed, rules.batch_bytes) - open.charged;
            if !supplies.charge(more) {
                return Err(NoPlace::Memory(more));
            }
            open.charged += more;
        }
        let index = u32::try_from(open.builder.count()).map_err(|_| NoPlace::TooLarge)?;
        let bytes = open
            .builder
            .append(
                record.timestamp_ms,
                record.key,
                record.value,
                record.headers,
            )
            .map_err(|TooLarge { .. }| NoPlace::TooLarge)?;
        let delivery = Arc::clone(&open.delivery);
        let length = open.builder.len();
        let full = length >= rules.batch_bytes;
        if full {
            self.close();
        }
        let leave = sticky && self.stay.appended(bytes, rules.batch_bytes, full || closed);
        let worthwhile = rules.batch_bytes.min(BUSY_BATCH_BYTES);
        let reached = length >= worthwhile && length - bytes < worthwhile;
        let wake = closed || full || reached || !self.scheduled;
        Ok(Appended {
            delivery,
            index,
            wake,
            leave,
        })
    }

    /// Whether a record of up to `bytes` would go into a batch that has begun.
    pub(crate) fn has_room(&self, bytes: usize, batch_bytes: usize) -> bool {
        let open = self.open.as_ref();
        open.is_some_and(|open| open.builder.len() + bytes <= batch_bytes)
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
        for batch in self
            .batches
            .iter_mut()
            .filter(|batch| !batch.is_in_flight())
        {
            batch.last_error = Some(error.clone());
        }
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
                    if open.builder.len() >= worthwhile || !self.is_busy(open, worthwhile) {
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

    /// When the oldest batch must be given up.
    pub(crate) fn expiry(&self, rules: &Rules) -> Option<Duration> {
        let closed = self
            .batches
            .iter()
            .find(|batch| !batch.abandoned)
            .map(|b| b.created);
        let created = closed.or(self.open.as_ref().map(|open| open.opened))?;
        Some(created.saturating_add(rules.delivery_timeout))
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
            self.hastened(now);
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

    /// Gives up what is older than the delivery time-out.
    pub(crate) fn expire(&mut self, now: Duration, rules: &Rules) -> Verdict {
        let mut verdict = Verdict::default();
        let late = |created: Duration| created.saturating_add(rules.delivery_timeout) <= now;
        if self.open.as_ref().is_some_and(|open| late(open.opened)) {
            self.close();
        }
        let ms = rules.delivery_timeout.as_millis();
        self.give_up(
            |batch| late(batch.created),
            &mut verdict,
            |batch| {
                let why = match &batch.last_error {
                    Some(error) => format!("not delivered within {ms} ms, last failure: {error}"),
                    None => format!("not delivered within {ms} ms"),
                };
                Error::timeout(why)
            },
        );
        verdict
    }

    /// Gives up everything, for `error`.
    pub(crate) fn abandon(&mut self, error: &Error) -> Verdict {
        let mut verdict = Verdict::default();
        self.close();
        self.give_up(|_| true, &mut verdict, |_| error.clone());
        verdict
    }

    fn give_up(
        &mut self,
        which: impl Fn(&Batch) -> bool,
        verdict: &mut Verdict,
        error: impl Fn(&Batch) -> Error,
    ) {
        let mut at = 0;
        while let Some(batch) = self.batches.get_mut(at) {
            if !which(batch) || batch.abandoned {
                at += 1;
            } else if batch.is_in_flight() {
                batch.abandoned = true;
                let error = error(batch).at(&self.topic, self.partition);
                let outcome = Outcome::Failed(error.with_written(Written::Maybe));
                verdict.settled.push(settled(batch, outcome));
                at += 1;
            } else {
                let error = error(batch);
                self.fail(at, error, verdict);
            }
        }
    }

    /// Whether, as things went lately, a batch of so many bytes fills within `BUSY_LINGER`.
    fn is_busy(&self, open: &OpenBatch, bytes: usize) -> bool {
        open.opened.saturating_sub(self.hastened_at) <= BUSY_LINGER
            && self.pace >= u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// A batch was taken before it was full.
    fn hastened(&mut self, now: Duration) {
        let took = now.saturating_sub(self.hastened_at).as_micros().max(1);
        let bytes = u128::try_from(std::mem::take(&mut self.closed_bytes)).unwrap_or(0);
        let pace = u64::try_from(bytes * BUSY_LINGER.as_micros() / took).unwrap_or(u64::MAX);
        self.pace = self.pace / 2 + pace / 2;
        self.hastened_at = now;
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

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        self.hurry = false;
        self.closed_bytes += open.builder.len();
        let id = self.new_id();
        self.batches.push_back(Batch {
            id,
            delivery: open.delivery,
            first: 0,
            count: u32::try_from(open.builder.count()).unwrap_or(0),
            created: open.opened,
            charged: open.charged,
            body: Some(Body::Open(open.builder)),
            stamp: None,
            ordinal: 0,
            written: Written::No,
            abandoned: false,
            last_error: None,
        });
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
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
        let batch = &mut self.batches[at];
        if batch.abandoned || batch.created.saturating_add(rules.delivery_timeout) <= now {
            let ms = rules.delivery_timeout.as_millis();
            let why = format!("not delivered within {ms} ms, last failure: {error}");
            self.fail(at, Error::timeout(why), verdict);
        } else {
            batch.last_error = Some(error);
        }
    }

    /// Takes a batch out for good. Those behind it keep their sequences: should there be a gap now,
    /// the broker says so of the first of them, and all start anew.
    fn fail(&mut self, at: usize, error: Error, verdict: &mut Verdict) {
        let Some(batch) = self.batches.remove(at) else {
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
            verdict
                .settled
                .push(settled(&batch, Outcome::Failed(error)));
        }
    }

    /// Makes two batches of one that the broker found too large. False when that cannot be done.
    fn split(&mut self, at: usize) -> bool {
        let batch = &self.batches[at];
        let Some(Body::Sealed(sealed, _)) = &batch.body else {
            return false;
        };
        let half = batch.count / 2;
        let Some((head, tail)) = halves(sealed, half) else {
            return false;
        };
        let (first, count, stamp) = (batch.first, batch.count, batch.stamp);
        // Both share it: the head is answered before anything behind it is sent.
        let ordinal = batch.ordinal;
        let (created, charged, abandoned) = (batch.created, batch.charged, batch.abandoned);
        let delivery = Arc::clone(&batch.delivery);
        if !abandoned {
            delivery.split();
        }
        self.batches.remove(at);
        let mut insert = |index: usize, first, count, builder, stamp, charged| {
            self.next_id += 1;
            let batch = Batch {
                id: self.next_id,
                delivery: Arc::clone(&delivery),
                first,
                count,
                created,
                charged,
                body: Some(Body::Open(builder)),
                stamp,
                ordinal,
                written: Written::No,
                abandoned,
                last_error: None,
            };
            self.batches.insert(index, batch);
        };
        let tail_stamp = stamp.map(|(identity, base)| (identity, sequence_after(base, half)));
        insert(at, first, half, head, stamp, charged / 2);
        insert(
            at + 1,
            first + half,
            count - half,
            tail,
            tail_stamp,
            charged - charged / 2,
        );
        true
    }
}

fn settled(batch: &Batch, outcome: Outcome) -> Settled {
    Settled {
        delivery: Arc::clone(&batch.delivery),
        first: batch.first,
        count: batch.count,
        outcome,
    }
}

/// Memory is taken in steps of four, so that a partition with little to say holds little.
fn charge_step(charged: usize, needed: usize, batch_bytes: usize) -> usize {
    let mut step = charged.max(1024);
    while step < needed {
        step *= 4;
    }
    step.min(batch_bytes.max(needed))
}

/// Sequences are counted modulo 2^31.
fn sequence_after(sequence: i32, count: u32) -> i32 {
    let sum = (i64::from(sequence) + i64::from(count)) & i64::from(i32::MAX);
    i32::try_from(sum).expect("masked to 31 bits")
}

enum Reaction {
    Fail,
    Split,
    Rebase,
    Retry { refresh: bool, maybe_written: bool },
}

fn is_too_large(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge
    )
}

fn reaction(code: ErrorCode, idempotent: bool, count: u32) -> Reaction {
    use ErrorCode as E;
    let sequence_is_wrong = matches!(
        code,
        E::OutOfOrderSequenceNumber | E::UnknownProducerId | E::InvalidProducerEpoch
    );
    let leader_is_wrong = matches!(
        code,
        E::NotLeaderOrFollower
            | E::LeaderNotAvailable
            | E::UnknownTopicOrPartition
            | E::UnknownTopicId
            | E::InconsistentTopicId
            | E::FencedLeaderEpoch
            | E::UnknownLeaderEpoch
            | E::ReplicaNotAvailable
            | E::ListenerNotFound
            | E::KafkaStorageError
    );
    let maybe_written = matches!(
        code,
        E::RequestTimedOut
            | E::NotEnoughReplicasAfterAppend
            | E::NetworkException
            | E::KafkaStorageError
    );
    if is_too_large(code) && count > 1 {
        Reaction::Split
    } else if sequence_is_wrong && idempotent {
        Reaction::Rebase
    } else if leader_is_wrong || maybe_written || code.is_retriable() {
        Reaction::Retry {
            refresh: leader_is_wrong,
            maybe_written,
        }
    } else {
        Reaction::Fail
    }
}

/// The first `half` records of a sealed batch and the others, each as a batch to be sealed.
fn halves(sealed: &[u8], half: u32) -> Option<(BatchBuilder, BatchBuilder)> {
    let batch = Checked::check(sealed).ok()?;
    let mut scratch = Vec::new();
    // Our own bytes: whatever they decompress to was in memory before.
    let limits = Limits {
        bytes_max: usize::MAX,
        ratio_max: usize::MAX,
    };
    let mut decompressor = Decompressor::new();
    let records = Records::of(&batch, &mut scratch, &mut decompressor, limits).ok()?;
    let (mut head, mut tail) = (BatchBuilder::new(), BatchBuilder::new());
    let mut headers: Vec<HeaderField<'_>> = Vec::new();
    for (index, record) in (0u32..).zip(records) {
        let record = record.ok()?;
        headers.clear();
        headers.extend(record.headers());
        let part = if index < half { &mut head } else { &mut tail };
        part.append(record.timestamp_ms, record.key, record.value, &headers)
            .ok()?;
    }
    Some((head, tail))
}

#[cfg(test)]
mod tests;
