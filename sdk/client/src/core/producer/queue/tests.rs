//! Plain calls in virtual time: a queue, and answers in every unfortunate order.

use super::answer::Settled;
use super::batch::Stamp;
use super::*;
use crate::error::{ErrorKind, Written};
use bytes::Bytes;
use highwater_record::{Batch as Checked, BatchBuilder, Compression, Compressor, Records};
use highwater_wire::ErrorCode;

const IDENTITY: Identity = Identity { id: 9, epoch: 0 };
const BUMPED: Identity = Identity { id: 9, epoch: 1 };

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn rules() -> Rules {
    Rules {
        batch_bytes: 1000,
        linger: Linger::Fixed(ms(5)),
        delivery_timeout: ms(10_000),
        in_flight_max: 5,
        backoff: Backoff {
            first: ms(100),
            max: ms(1000),
        },
    }
}

#[derive(Default)]
struct Memory {
    now: Duration,
    charged: usize,
    limit: Option<usize>,
}

impl Supplies for Memory {
    fn charge(&mut self, step: usize, least: usize) -> Option<usize> {
        assert!(step >= least);
        if self.limit.is_some_and(|limit| self.charged + step > limit) {
            return None;
        }
        self.charged += step;
        Some(step)
    }

    fn batch(&mut self) -> (BatchBuilder, Arc<Delivery>, Duration) {
        (
            BatchBuilder::new(),
            Arc::new(Delivery::new("t".into(), 0)),
            self.now,
        )
    }
}

/// What an acknowledgement would hold.
#[derive(Debug)]
struct Appended {
    delivery: Arc<Delivery>,
    index: u32,
    wake: bool,
}

struct Bench {
    queue: Queue,
    memory: Memory,
    rules: Rules,
    now: Duration,
}

impl Bench {
    fn new() -> Self {
        let queue = Queue::new("t".into(), 0);
        Self {
            queue,
            memory: Memory::default(),
            rules: rules(),
            now: Duration::ZERO,
        }
    }

    /// A record that fills a batch by itself.
    fn full(&mut self) -> Appended {
        self.record(&[7; 990])
    }

    fn record(&mut self, value: &[u8]) -> Appended {
        self.try_record(value).unwrap()
    }

    fn try_record(&mut self, value: &[u8]) -> Result<Appended, NoPlace> {
        self.memory.now = self.now;
        let fields = Fields {
            timestamp_ms: 1,
            key: None,
            value: Some(value),
            headers: &[],
        };
        let slot = self
            .queue
            .append(&self.rules, fields, false, &mut self.memory)?;
        let delivery = self.queue.latest_delivery().unwrap();
        Ok(Appended {
            delivery: Arc::clone(delivery),
            index: slot.index,
            wake: slot.wake,
        })
    }

    fn ready(&mut self) -> Ready {
        self.queue.ready(self.now, &self.rules, false, false)
    }

    /// Takes and seals the next batch.
    fn take(&mut self) -> Option<Sent> {
        self.take_as(Some(IDENTITY))
    }

    fn take_as(&mut self, who: Option<Identity>) -> Option<Sent> {
        if self.ready() != Ready::Now {
            return None;
        }
        let taken = self.queue.take(self.now, who)?;
        let sealed = match taken.body {
            Body::Open(mut builder) => {
                let mut out = Vec::new();
                builder
                    .finish(&mut Compressor::new(), &Compression::NONE, &mut out)
                    .unwrap();
                Bytes::from(out)
            }
            Body::Sealed(bytes, _) => bytes,
        };
        Some(Sent {
            id: taken.id,
            sealed,
            stamp: taken.stamp,
        })
    }

    fn answer(&mut self, sent: &Sent, answer: Answer) -> Verdict {
        let verdict = self.queue.answer(
            self.now,
            &self.rules,
            200,
            sent.id,
            sent.sealed.clone(),
            answer,
        );
        self.memory.charged -= verdict.released;
        verdict
    }

    fn placed(&mut self, sent: &Sent, base: i64) {
        let answer = Answer::Placed {
            base_offset: Some(base),
            log_append_time_ms: None,
        };
        self.answer(sent, answer)
            .settled
            .into_iter()
            .for_each(Settled::deliver);
    }

    fn refused(&mut self, sent: &Sent, code: ErrorCode) -> Verdict {
        self.answer(sent, Answer::Refused(code, None))
    }

    fn lost(&mut self, sent: &Sent) -> Verdict {
        self.answer(
            sent,
            Answer::Lost {
                error: Error::network("gone"),
                sent: true,
            },
        )
    }

    /// One batch sent and answered, so that more than one may be in flight.
    fn open_gate(&mut self) {
        self.full();
        let sent = self.take().unwrap();
        self.placed(&sent, 0);
    }
}

#[derive(Debug)]
struct Sent {
    id: u64,
    sealed: Bytes,
    stamp: Option<Stamp>,
}

impl Sent {
    fn sequence(&self) -> i32 {
        self.stamp.unwrap().1
    }
}

fn offset(appended: &Appended) -> Option<i64> {
    appended
        .delivery
        .try_get(appended.index)
        .unwrap()
        .unwrap()
        .offset
}

fn error(appended: &Appended) -> Error {
    appended
        .delivery
        .try_get(appended.index)
        .unwrap()
        .unwrap_err()
}

#[test]
fn a_batch_lingers_unless_it_is_full_hurried_or_memory_is_short() {
    let mut bench = Bench::new();
    assert_eq!(bench.ready(), Ready::Later);
    bench.now = ms(3);
    assert!(
        bench.record(b"a").wake,
        "the first record has to be noticed"
    );
    bench.queue.scheduled = true;
    assert!(!bench.record(b"b").wake);
    assert_eq!(bench.ready(), Ready::At(ms(8)));
    assert_eq!(
        bench.queue.ready(bench.now, &bench.rules, false, true),
        Ready::Now
    );
    assert!(bench.full().wake, "a batch was closed");
    assert_eq!(bench.ready(), Ready::Now);
}

#[test]
fn an_adaptive_batch_goes_at_once_while_the_broker_is_idle() {
    let mut bench = Bench::new();
    bench.rules.linger = Linger::Adaptive(ms(5));
    bench.record(b"a");
    assert_eq!(
        bench.queue.ready(ms(0), &bench.rules, true, false),
        Ready::Now
    );
    assert_eq!(
        bench.queue.ready(ms(0), &bench.rules, false, false),
        Ready::At(ms(5))
    );
}

#[test]
fn an_adaptive_batch_waits_for_company_where_that_comes_in_no_time() {
    let mut bench = Bench::new();
    bench.rules.linger = Linger::Adaptive(ms(5));
    bench.rules.batch_bytes = 1 << 20;
    let idle = |bench: &mut Bench| bench.queue.ready(bench.now, &bench.rules, true, false);
    // 10 KB in each tenth of a millisecond.
    for _ in 0..10 {
        bench.now += Duration::from_micros(100);
        bench.record(&[0; 10_000]);
        let taken = bench.queue.take(bench.now, Some(IDENTITY)).unwrap();
        let sent = Sent {
            id: taken.id,
            sealed: Bytes::new(),
            stamp: taken.stamp,
        };
        bench.placed(&sent, 0);
    }
    bench.queue.scheduled = true;
    assert!(!bench.record(&[0; 10_000]).wake);
    assert_eq!(idle(&mut bench), Ready::At(bench.now + BUSY_LINGER));
    assert!(
        bench.record(&[0; 10_000]).wake,
        "that makes it worth a request"
    );
    assert_eq!(idle(&mut bench), Ready::Now);
    let taken = bench.queue.take(bench.now, Some(IDENTITY)).unwrap();
    let sent = Sent {
        id: taken.id,
        sealed: Bytes::new(),
        stamp: taken.stamp,
    };
    bench.placed(&sent, 0);
    // After a while without anything, the next record does not wait.
    bench.now += ms(100);
    bench.record(b"a");
    assert_eq!(idle(&mut bench), Ready::Now);
}

#[test]
fn one_batch_proves_the_leader_before_others_are_pipelined() {
    let mut bench = Bench::new();
    for _ in 0..7 {
        bench.full();
    }
    let first = bench.take().unwrap();
    assert!(bench.take().is_none());
    bench.placed(&first, 0);
    let sent: Vec<_> = std::iter::from_fn(|| bench.take()).collect();
    assert_eq!(sent.len(), 5, "as many as may be in flight");
    assert_eq!(
        sent.iter().map(Sent::sequence).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5]
    );
}

#[test]
fn sequences_count_records_and_each_record_finds_its_offset() {
    let mut bench = Bench::new();
    let acks = [bench.record(b"a"), bench.record(b"b"), bench.record(b"c")];
    bench.now = ms(5);
    let sent = bench.take().unwrap();
    bench.placed(&sent, 40);
    assert_eq!(
        acks.iter().map(offset).collect::<Vec<_>>(),
        [Some(40), Some(41), Some(42)]
    );
    bench.full();
    assert_eq!(bench.take().unwrap().sequence(), 3);
}

#[test]
fn a_refused_batch_and_those_behind_it_are_sent_again_in_order_with_their_sequences() {
    let mut bench = Bench::new();
    bench.open_gate();
    let acks = [bench.full(), bench.full(), bench.full()];
    let sent: Vec<_> = std::iter::from_fn(|| bench.take()).collect();
    let verdict = bench.refused(&sent[0], ErrorCode::NotLeaderOrFollower);
    assert!(verdict.refresh && verdict.settled.is_empty());
    bench.full();
    assert!(bench.take().is_none(), "two are still under way");
    // They can only have been refused for the first one's absence.
    bench.refused(&sent[1], ErrorCode::OutOfOrderSequenceNumber);
    let verdict = bench.refused(&sent[2], ErrorCode::OutOfOrderSequenceNumber);
    assert_eq!(verdict.bump, None);
    assert_eq!(bench.ready(), Ready::At(ms(100)));
    bench.now = ms(100);
    let again = bench.take().unwrap();
    assert_eq!((again.id, again.sequence()), (sent[0].id, 1));
    assert!(bench.take().is_none(), "alone until it succeeds");
    bench.placed(&again, 50);
    let again: Vec<_> = std::iter::from_fn(|| bench.take()).collect();
    assert_eq!(
        again.iter().map(Sent::sequence).collect::<Vec<_>>(),
        [2, 3, 4]
    );
    bench.placed(&again[0], 51);
    bench.placed(&again[1], 52);
    assert_eq!(
        acks.iter().map(offset).collect::<Vec<_>>(),
        [Some(50), Some(51), Some(52)]
    );
}

#[test]
fn a_broken_connection_is_one_failure_however_many_batches_it_takes_along() {
    let mut bench = Bench::new();
    bench.open_gate();
    bench.full();
    bench.full();
    let sent: Vec<_> = std::iter::from_fn(|| bench.take()).collect();
    sent.iter().for_each(|sent| drop(bench.lost(sent)));
    assert_eq!(bench.ready(), Ready::At(ms(100)));
}

#[test]
fn a_duplicate_is_a_success_without_an_offset() {
    let mut bench = Bench::new();
    let ack = bench.full();
    let sent = bench.take().unwrap();
    let verdict = bench.refused(&sent, ErrorCode::DuplicateSequenceNumber);
    verdict.settled.into_iter().for_each(Settled::deliver);
    assert_eq!(offset(&ack), None);
}

#[test]
fn a_batch_that_succeeds_behind_a_failed_one_is_not_sent_again() {
    let mut bench = Bench::new();
    bench.open_gate();
    bench.full();
    let second = bench.full();
    let sent: Vec<_> = std::iter::from_fn(|| bench.take()).collect();
    bench.refused(&sent[0], ErrorCode::RequestTimedOut);
    bench.placed(&sent[1], 7);
    assert_eq!(offset(&second), Some(7));
    bench.now = ms(100);
    assert_eq!(bench.take().unwrap().id, sent[0].id);
    assert!(bench.take().is_none());
}

#[test]
fn a_sequence_error_of_the_oldest_batch_starts_all_anew_under_the_next_epoch() {
    for code in [
        ErrorCode::OutOfOrderSequenceNumber,
        ErrorCode::UnknownProducerId,
    ] {
        let mut bench = Bench::new();
        bench.open_gate();
        bench.full();
        bench.full();
        let sent: Vec<_> = std::iter::from_fn(|| bench.take()).collect();
        assert_eq!(bench.refused(&sent[0], code).bump, Some(IDENTITY));
        assert_eq!(bench.refused(&sent[1], code).bump, None);
        bench.now = ms(100);
        assert!(bench.take().is_none(), "the next epoch is not there yet");
        let again = bench.take_as(Some(BUMPED)).unwrap();
        assert_eq!((again.id, again.stamp), (sent[0].id, Some((BUMPED, 0))));
        bench.placed(&again, 9);
        assert_eq!(
            bench.take_as(Some(BUMPED)).unwrap().stamp,
            Some((BUMPED, 1))
        );
    }
}

#[test]
fn sequences_under_way_keep_their_epoch_when_another_partition_bumps_it() {
    let mut bench = Bench::new();
    bench.open_gate();
    bench.full();
    let first = bench.take().unwrap();
    bench.full();
    let second = bench.take_as(Some(BUMPED)).unwrap();
    assert_eq!(second.stamp, Some((IDENTITY, 2)));
    bench.placed(&first, 1);
    bench.placed(&second, 2);
    bench.full();
    assert_eq!(
        bench.take_as(Some(BUMPED)).unwrap().stamp,
        Some((BUMPED, 0))
    );
}

#[test]
fn a_batch_that_fails_for_good_leaves_no_gap_when_nothing_is_behind_it() {
    let mut bench = Bench::new();
    bench.open_gate();
    let ack = bench.full();
    let sent = bench.take().unwrap();
    let verdict = bench.refused(&sent, ErrorCode::InvalidRecord);
    verdict.settled.into_iter().for_each(Settled::deliver);
    assert_eq!(error(&ack).code(), Some(ErrorCode::InvalidRecord));
    assert_eq!(error(&ack).possibly_written(), Written::No);
    assert_eq!(
        error(&ack).topic_partition(),
        Some(&crate::TopicPartition::new("t", 0))
    );
    bench.full();
    assert_eq!(bench.take().unwrap().sequence(), sent.sequence());
}

#[test]
fn a_batch_too_large_is_split_and_each_record_keeps_its_promise() {
    let mut bench = Bench::new();
    bench.open_gate();
    let acks: Vec<_> = (0u8..5).map(|i| bench.record(&[i; 100])).collect();
    bench.now = ms(5);
    let sent = bench.take().unwrap();
    assert!(
        bench
            .refused(&sent, ErrorCode::MessageTooLarge)
            .settled
            .is_empty()
    );
    let head = bench.take().unwrap();
    assert_eq!(head.sequence(), 1);
    assert_eq!(
        Checked::check(&head.sealed)
            .unwrap()
            .header()
            .record_count(),
        2
    );
    bench.placed(&head, 10);
    let tail = bench.take().unwrap();
    assert_eq!(tail.sequence(), 3);
    assert_eq!(
        Checked::check(&tail.sealed)
            .unwrap()
            .header()
            .record_count(),
        3
    );
    bench.placed(&tail, 90);
    let offsets: Vec<_> = acks.iter().map(offset).collect();
    assert_eq!(offsets, [Some(10), Some(11), Some(90), Some(91), Some(92)]);
    assert!(acks[0].delivery.is_done());
    assert_eq!(bench.memory.charged, 0);
}

#[test]
fn a_single_record_too_large_fails() {
    let mut bench = Bench::new();
    let ack = bench.full();
    let sent = bench.take().unwrap();
    let verdict = bench.refused(&sent, ErrorCode::MessageTooLarge);
    verdict.settled.into_iter().for_each(Settled::deliver);
    assert_eq!(error(&ack).kind(), &ErrorKind::RecordTooLarge);
}

#[test]
fn what_was_never_sent_expires_as_not_written() {
    let mut bench = Bench::new();
    let ack = bench.record(b"a");
    assert_eq!(bench.queue.expiry(&bench.rules), Some(ms(10_000)));
    let verdict = bench.queue.expire(ms(10_000), &bench.rules);
    verdict.settled.into_iter().for_each(Settled::deliver);
    assert_eq!(error(&ack).kind(), &ErrorKind::Timeout);
    assert_eq!(error(&ack).possibly_written(), Written::No);
    assert!(bench.queue.is_empty());
}

#[test]
fn what_expires_says_why_the_last_attempt_failed_whether_it_was_closed_by_then_or_not() {
    let mut bench = Bench::new();
    let closed = bench.full();
    let open = bench.record(b"a");
    bench.queue.unreachable(&Error::network("nobody there"));
    let after = bench.record(b"b");
    let verdict = bench.queue.expire(ms(10_000), &bench.rules);
    verdict.settled.into_iter().for_each(Settled::deliver);
    for ack in [&closed, &open, &after] {
        let why = error(ack).to_string();
        assert!(why.contains("last failure: nobody there"), "{why}");
    }
}

#[test]
fn what_is_in_flight_expires_as_maybe_written_and_keeps_its_memory_until_answered() {
    let mut bench = Bench::new();
    let ack = bench.full();
    let sent = bench.take().unwrap();
    let verdict = bench.queue.expire(ms(10_000), &bench.rules);
    assert_eq!(verdict.released, 0);
    verdict.settled.into_iter().for_each(Settled::deliver);
    assert_eq!(error(&ack).possibly_written(), Written::Maybe);
    bench.now = ms(10_001);
    let verdict = bench.lost(&sent);
    assert!(verdict.settled.is_empty(), "its records were told already");
    assert!(bench.queue.is_empty());
    assert_eq!(bench.memory.charged, 0);
}

#[test]
fn a_lost_batch_that_expires_says_maybe_written_and_why() {
    let mut bench = Bench::new();
    let ack = bench.full();
    let sent = bench.take().unwrap();
    bench.lost(&sent);
    let verdict = bench.queue.expire(ms(10_000), &bench.rules);
    verdict.settled.into_iter().for_each(Settled::deliver);
    assert_eq!(error(&ack).possibly_written(), Written::Maybe);
    let said = error(&ack).to_string();
    assert_eq!(
        said,
        "not delivered within 10000 ms, last failure: gone [t-0]"
    );
}

#[test]
fn a_batch_is_begun_with_memory_for_its_first_record_or_not_at_all() {
    let mut bench = Bench::new();
    // The first step covers the record, not the header of its batch as well.
    bench.rules.batch_bytes = 4096;
    bench.memory.limit = Some(1024);
    assert_eq!(
        bench.try_record(&[7; 980]).unwrap_err(),
        NoPlace::Memory(4096)
    );
    assert!(bench.queue.is_empty(), "no empty batch to be sent");
    assert_eq!(bench.memory.charged, 0);
}

#[test]
fn memory_is_charged_in_growing_steps_and_refused_records_leave_no_trace() {
    let mut bench = Bench::new();
    bench.rules.batch_bytes = 100_000;
    bench.memory.limit = Some(5_000);
    bench.record(&[0; 100]);
    assert_eq!(bench.memory.charged, 1024);
    bench.record(&[0; 1000]);
    assert_eq!(bench.memory.charged, 4096);
    assert_eq!(
        bench.try_record(&[0; 4000]).unwrap_err(),
        NoPlace::Memory(16384 - 4096)
    );
    bench.now = ms(5);
    let sent = bench.take().unwrap();
    assert_eq!(
        Checked::check(&sent.sealed)
            .unwrap()
            .header()
            .record_count(),
        2
    );
}

#[test]
fn without_idempotence_batches_carry_no_sequence() {
    let mut bench = Bench::new();
    bench.full();
    assert_eq!(bench.take_as(None).unwrap().stamp, None);
}

#[test]
fn sequences_wrap_to_zero() {
    assert_eq!(sequence_after(i32::MAX, 1), 0);
    assert_eq!(sequence_after(i32::MAX - 1, 3), 1);
}

mod model {
    use super::*;
    use proptest::prelude::*;

    /// A leader that keeps Kafka's rules: sequences contiguous, the last five batches remembered.
    #[derive(Default)]
    struct Leader {
        log: Vec<u64>,
        epoch: i16,
        next: i32,
        recent: VecDeque<(i32, i64)>,
    }

    impl Leader {
        fn append(&mut self, sent: &Sent, record: u64) -> Answer {
            let (identity, sequence) = sent.stamp.unwrap();
            if identity.epoch > self.epoch {
                if sequence != 0 {
                    return Answer::Refused(ErrorCode::OutOfOrderSequenceNumber, None);
                }
                self.epoch = identity.epoch;
                self.next = 0;
                self.recent.clear();
            }
            let known = self.recent.iter().find(|(known, _)| *known == sequence);
            if let Some((_, base)) = known {
                return Answer::Placed {
                    base_offset: Some(*base),
                    log_append_time_ms: None,
                };
            }
            if sequence != self.next {
                return Answer::Refused(ErrorCode::OutOfOrderSequenceNumber, None);
            }
            let base = i64::try_from(self.log.len()).unwrap();
            self.log.push(record);
            self.next += 1;
            self.recent.push_back((sequence, base));
            if self.recent.len() > 5 {
                self.recent.pop_front();
            }
            Answer::Placed {
                base_offset: Some(base),
                log_append_time_ms: None,
            }
        }
    }

    fn content(sent: &Sent) -> u64 {
        let batch = Checked::check(&sent.sealed).unwrap();
        let record = Records::over(batch.header(), batch.body())
            .next()
            .unwrap()
            .unwrap();
        u64::from_be_bytes(record.value.unwrap()[..8].try_into().unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Whatever happens to requests and answers, an idempotent producer's records are in the
        /// log once each and in order, and every acknowledged one is where it was said to be.
        #[test]
        fn acknowledged_records_are_in_the_log_once_and_in_order(
            events in proptest::collection::vec(0u8..8, 1..200)
        ) {
            let mut bench = Bench::new();
            let mut leader = Leader::default();
            let mut identity = IDENTITY;
            let mut wire: VecDeque<Sent> = VecDeque::new();
            let mut acks = Vec::new();
            // After the events, everything is answered well.
            for event in events.into_iter().chain(std::iter::repeat_n(7, 400)) {
                bench.now += ms(30);
                if acks.len() < 60 {
                    let mut value = vec![0; 990];
                    let number = u64::try_from(acks.len()).unwrap();
                    value[..8].copy_from_slice(&number.to_be_bytes());
                    acks.push(bench.record(&value));
                }
                while let Some(sent) = bench.take_as(Some(identity)) {
                    wire.push_back(sent);
                }
                let Some(sent) = wire.pop_front() else { continue };
                let verdict = match event {
                    // Never arrived; refused; arrived but the answer was lost.
                    0 => bench.lost(&sent),
                    1 => bench.refused(&sent, ErrorCode::NotLeaderOrFollower),
                    2 => {
                        leader.append(&sent, content(&sent));
                        bench.lost(&sent)
                    }
                    _ => {
                        let answer = leader.append(&sent, content(&sent));
                        bench.answer(&sent, answer)
                    }
                };
                if let Some(old) = verdict.bump {
                    assert_eq!(old, identity);
                    identity.epoch += 1;
                }
                verdict.settled.into_iter().for_each(Settled::deliver);
            }
            let expected: Vec<u64> = (0..u64::try_from(acks.len()).unwrap()).collect();
            prop_assert_eq!(&leader.log, &expected);
            for (number, ack) in (0i64..).zip(&acks) {
                prop_assert_eq!(offset(ack), Some(number));
            }
            prop_assert_eq!(bench.memory.charged, 0);
        }
    }
}
