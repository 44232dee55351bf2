//! Handlers against our own engine, in this process; or, with `HIGHWATER_BOOTSTRAP=host:port`, against any Kafka.
#![allow(clippy::unwrap_used)]

#[path = "support/host.rs"]
mod host;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use highwater::admin::NewTopic;
use highwater::handler::{Claim, Cleanup, GroupBuilder, OnClaimError, Session};
use highwater::{
    Assignor, Backoff, BoxError, Client, Commit, ConsumerRecord, Error, ErrorKind, GroupHandler,
    GroupProtocol, OffsetReset, Record, Start, TopicPartition,
};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use host::{Host, unique};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);
const PARTITIONS: u32 = 4;

/// A cluster for one test, with topics of four partitions and a group.
struct Peer {
    client: Client,
    topic: String,
    group: String,
    _host: Host,
}

impl Peer {
    async fn start() -> Self {
        let host = Host::start(&[
            ("group.min.session.timeout.ms", "500"),
            ("group.consumer.min.heartbeat.interval.ms", "20"),
            ("group.consumer.heartbeat.interval.ms", "50"),
            ("offsets.topic.num.partitions", "3"),
        ]);
        let topic = unique("handler");
        let client = Client::builder(host.bootstrap()).connect().await.unwrap();
        let peer = Self {
            client,
            group: format!("g-{topic}"),
            topic,
            _host: host,
        };
        peer.create(&peer.topic).await;
        peer
    }

    async fn create(&self, topic: &str) {
        let new = NewTopic::new(topic).partitions(PARTITIONS.cast_signed());
        let created = self.client.admin().create_topics([new]).await.unwrap();
        created[topic].as_ref().unwrap();
    }

    /// Another topic, made now.
    async fn another(&self, suffix: &str) -> String {
        let topic = format!("{}-{suffix}", self.topic);
        self.create(&topic).await;
        topic
    }

    /// Puts so many numbered records into the topic: `number % 10` is the key, and `number % 4` the partition.
    async fn produce(&self, numbers: std::ops::Range<u32>) {
        let producer = self.client.producer().build().await.unwrap();
        let mut acks = Vec::new();
        for number in numbers {
            let key = (number % 20).to_string();
            let value = number.to_be_bytes();
            let partition = i32::try_from(number % PARTITIONS).unwrap();
            let record = Record::to(&self.topic).partition(partition);
            acks.push(
                producer
                    .enqueue(record.key(&key).value(&value))
                    .await
                    .unwrap(),
            );
        }
        for ack in acks {
            ack.await.unwrap();
        }
    }

    fn group(&self) -> GroupBuilder {
        let group = self.client.group(&self.group).topics([&self.topic]);
        group.consumer(|consumer| {
            let consumer = consumer.offset_reset(OffsetReset::Earliest);
            let consumer = consumer.assignors([Assignor::CooperativeSticky]);
            consumer.configure(|config| {
                config.group.heartbeat_interval = Duration::from_millis(50);
                config.group.session_timeout = Duration::from_secs(6);
            })
        })
    }

    /// By KIP-848 where `of_the_new_kind`, else classic.
    fn group_of(&self, of_the_new_kind: bool) -> GroupBuilder {
        if !of_the_new_kind {
            return self.group();
        }
        let group = self.client.group(&self.group).topics([&self.topic]);
        group.consumer(|consumer| {
            let consumer = consumer.offset_reset(OffsetReset::Earliest);
            consumer.configure(|config| config.group.protocol = GroupProtocol::Consumer)
        })
    }

    fn place(&self, partition: u32) -> TopicPartition {
        TopicPartition::new(self.topic.as_str(), i32::try_from(partition).unwrap())
    }

    /// What the group has committed of the topic, by partition.
    async fn offsets(&self) -> BTreeMap<i32, (i64, String)> {
        let offsets = self
            .client
            .admin()
            .group_offsets(&self.group, None)
            .await
            .unwrap();
        let mine = offsets
            .into_iter()
            .filter(|(place, _)| *place.topic == *self.topic);
        mine.filter_map(|(place, it)| Some((place.partition, it.unwrap()?)))
            .map(|(partition, it)| (partition, (it.offset, it.metadata)))
            .collect()
    }

    async fn committed(&self) -> i64 {
        self.offsets()
            .await
            .values()
            .map(|(offset, _)| offset)
            .sum()
    }
}

fn number(record: &ConsumerRecord) -> u32 {
    u32::from_be_bytes(record.value().unwrap().try_into().unwrap())
}

/// What happened, over all members of a test, in order.
#[derive(Clone, Debug, PartialEq)]
enum Happened {
    SetUp(u32, Vec<i32>),
    Record(u32, i32, u32),
    Ended(u32, i32),
    CleanedUp(u32, Vec<i32>, Cleanup),
}

#[derive(Clone, Default)]
struct Log(watch::Sender<Vec<Happened>>);

impl Log {
    fn add(&self, happened: Happened) {
        self.0.send_modify(|log| log.push(happened));
    }

    fn all(&self) -> Vec<Happened> {
        self.0.borrow().clone()
    }

    async fn until(&self, wanted: impl FnMut(&Vec<Happened>) -> bool) {
        let mut log = self.0.subscribe();
        let waited = timeout(LONG, log.wait_for(wanted)).await.is_ok();
        assert!(waited, "{:?}", self.all());
    }

    /// Waits until this many different records were seen.
    async fn records(&self, count: usize) {
        self.until(|log| numbers(log).len() >= count).await;
    }

    /// Waits until the members have so many claims each.
    async fn shared(&self, claims: &[(u32, usize)]) {
        self.until(|log| {
            claims
                .iter()
                .all(|(who, count)| held(log, *who).len() == *count)
        })
        .await;
    }
}

fn numbers(log: &[Happened]) -> BTreeSet<u32> {
    let number = |it: &Happened| match it {
        Happened::Record(_, _, number) => Some(*number),
        Happened::SetUp(..) | Happened::Ended(..) | Happened::CleanedUp(..) => None,
    };
    log.iter().filter_map(number).collect()
}

fn held(log: &[Happened], member: u32) -> BTreeSet<i32> {
    let mut held = BTreeSet::new();
    for it in log {
        match it {
            Happened::SetUp(who, claims) if *who == member => held.extend(claims),
            Happened::CleanedUp(who, claims, _) if *who == member => {
                claims
                    .iter()
                    .for_each(|claim| assert!(held.remove(claim), "{log:?}"));
            }
            Happened::SetUp(..)
            | Happened::Record(..)
            | Happened::Ended(..)
            | Happened::CleanedUp(..) => {}
        }
    }
    held
}

/// A handler that writes down what happens.
#[derive(Clone)]
struct Scribe {
    member: u32,
    log: Log,
}

fn partitions(session: &Session) -> Vec<i32> {
    session
        .claims()
        .iter()
        .map(|claim| claim.partition)
        .collect()
}

impl GroupHandler for Scribe {
    type Error = Error;

    async fn setup(&self, session: &Session) -> Result<(), Error> {
        assert!(session.generation() > 0 && !session.member_id().is_empty());
        self.log
            .add(Happened::SetUp(self.member, partitions(session)));
        Ok(())
    }

    async fn consume_claim(&self, session: &Session, mut claim: Claim) -> Result<(), Error> {
        assert_eq!(session.claims(), [claim.place().clone()]);
        while let Some(record) = claim.next().await? {
            let happened = Happened::Record(self.member, claim.partition(), number(&record));
            self.log.add(happened);
            session.mark(&record);
        }
        assert!(session.is_cancelled());
        self.log
            .add(Happened::Ended(self.member, claim.partition()));
        Ok(())
    }

    async fn cleanup(&self, session: &Session, why: Cleanup) -> Result<(), Error> {
        let claims = partitions(session);
        self.log.add(Happened::CleanedUp(self.member, claims, why));
        Ok(())
    }
}

/// A run that can be stopped, or killed.
struct Run {
    stop: Arc<Notify>,
    task: JoinHandle<highwater::Result<()>>,
}

impl Run {
    fn of(group: GroupBuilder, handler: impl GroupHandler) -> Self {
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let run = async move { group.run_until(handler, stopped.notified()).await };
        let task = tokio::spawn(run);
        Self { stop, task }
    }

    async fn end(self) -> highwater::Result<()> {
        timeout(LONG, self.task)
            .await
            .expect("the run ends")
            .unwrap()
    }

    async fn stop(self) -> highwater::Result<()> {
        self.stop.notify_one();
        self.end().await
    }

    /// As if the process died, but for its goodbye.
    async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

#[tokio::test]
async fn a_handler_is_set_up_reads_to_the_end_cleans_up_and_everything_is_committed() {
    let peer = Peer::start().await;
    peer.produce(0..100).await;
    let (member, log) = (1, Log::default());
    let run = Run::of(
        peer.group(),
        Scribe {
            member,
            log: log.clone(),
        },
    );
    log.records(100).await;
    run.stop().await.unwrap();
    let all = log.all();
    assert_eq!(all[0], Happened::SetUp(1, vec![0, 1, 2, 3]));
    let last = Happened::CleanedUp(1, vec![0, 1, 2, 3], Cleanup::Shutdown);
    assert_eq!(all[all.len() - 1], last);
    let ended = all
        .iter()
        .filter(|it| matches!(it, Happened::Ended(..)))
        .count();
    assert_eq!((ended, all.len()), (4, 1 + 100 + 4 + 1));
    assert_eq!(peer.committed().await, 100);
    let again = Run::of(
        peer.group(),
        Scribe {
            member,
            log: Log::default(),
        },
    );
    peer.produce(100..101).await;
    log.0.send_replace(Vec::new());
    again.stop().await.unwrap();
    assert!(log.all().is_empty());
}

#[tokio::test]
async fn only_claims_that_change_are_disturbed_and_none_has_two_members_at_once() {
    for of_the_new_kind in [false, true] {
        hand_over(of_the_new_kind).await;
    }
}

async fn hand_over(of_the_new_kind: bool) {
    let peer = Peer::start().await;
    let log = Log::default();
    let scribe = |member| Scribe {
        member,
        log: log.clone(),
    };
    let one = Run::of(peer.group_of(of_the_new_kind), scribe(1));
    log.shared(&[(1, 4)]).await;
    let two = Run::of(peer.group_of(of_the_new_kind), scribe(2));
    log.shared(&[(1, 2), (2, 2)]).await;
    peer.produce(0..40).await;
    log.records(40).await;
    two.stop().await.unwrap();
    log.shared(&[(1, 4), (2, 0)]).await;
    peer.produce(40..80).await;
    log.records(80).await;
    one.stop().await.unwrap();
    let (mut owners, mut seen) = (BTreeMap::new(), BTreeSet::new());
    let mut revoked = 0;
    for it in log.all() {
        match it {
            Happened::SetUp(who, claims) => {
                for claim in claims {
                    assert_eq!(owners.insert(claim, who), None, "of {claim}");
                }
            }
            Happened::Record(who, claim, number) => {
                assert_eq!(owners.get(&claim), Some(&who));
                assert!(seen.insert(number), "{number} comes once: nobody died");
            }
            Happened::Ended(who, claim) => assert_eq!(owners.get(&claim), Some(&who)),
            Happened::CleanedUp(who, claims, why) => {
                revoked += claims.len() * usize::from(why == Cleanup::Revoked);
                for claim in claims {
                    assert_eq!(owners.remove(&claim), Some(who), "of {claim}");
                }
            }
        }
    }
    assert_eq!(revoked, 2, "two of four had to move");
    assert_eq!(peer.committed().await, 80);
}

#[tokio::test]
async fn what_is_marked_in_cleanup_is_committed_before_another_member_has_it() {
    /// Marks nothing before its clean-up.
    #[derive(Clone, Default)]
    struct Late(Arc<Mutex<Vec<ConsumerRecord>>>, Arc<Notify>);
    impl GroupHandler for Late {
        type Error = Error;
        async fn consume_claim(&self, _: &Session, mut claim: Claim) -> Result<(), Error> {
            while let Some(record) = claim.next().await? {
                self.0.lock().unwrap().push(record);
                self.1.notify_one();
            }
            Ok(())
        }
        async fn cleanup(&self, session: &Session, _: Cleanup) -> Result<(), Error> {
            let held = std::mem::take(&mut *self.0.lock().unwrap());
            held.iter().for_each(|record| session.mark(record));
            Ok(())
        }
    }
    let peer = Peer::start().await;
    peer.produce(0..40).await;
    let late = Late::default();
    let run = Run::of(peer.group(), late.clone());
    let all = async {
        while late.0.lock().unwrap().len() < 40 {
            late.1.notified().await;
        }
    };
    timeout(LONG, all).await.unwrap();
    run.stop().await.unwrap();
    assert_eq!(peer.committed().await, 40);
}

#[tokio::test]
async fn offsets_marked_by_number_are_committed_with_their_notes_and_can_be_reset() {
    /// Marks by number, and commits at once.
    struct Numbers(Arc<Notify>);
    impl GroupHandler for Numbers {
        type Error = Error;
        async fn consume_claim(&self, session: &Session, mut claim: Claim) -> Result<(), Error> {
            let place = claim.place().clone();
            while let Some(record) = claim.next().await? {
                if record.offset() == 4 {
                    session.mark_offset(&place, 5, "five");
                    session.mark_offset(&place, 3, "less is nothing");
                    session.commit().await?;
                    if place.partition == 2 {
                        session.reset_offset(&place, 1, "back");
                    }
                    self.0.notify_one();
                }
            }
            Ok(())
        }
    }
    let peer = Peer::start().await;
    let seen = Arc::new(Notify::new());
    let run = Run::of(peer.group(), Numbers(Arc::clone(&seen)));
    peer.produce(0..40).await;
    let waits = async {
        while peer.offsets().await.values().filter(|it| it.0 == 5).count() < 4 {
            let _ = timeout(Duration::from_millis(10), seen.notified()).await;
        }
    };
    timeout(LONG, waits)
        .await
        .expect("commit() commits at once");
    run.stop().await.unwrap();
    let five = || (5, "five".to_owned());
    let expected = [
        (0, five()),
        (1, five()),
        (2, (1, "back".to_owned())),
        (3, five()),
    ];
    assert_eq!(peer.offsets().await, BTreeMap::from(expected));
}

/// Does with its session what it is told to, at each step.
struct Says<S, C, U> {
    in_setup: S,
    with_record: C,
    in_cleanup: U,
    log: Log,
}

impl<S, C, U> GroupHandler for Says<S, C, U>
where
    S: Fn(&Session) + Send + Sync + 'static,
    C: Fn(&Session, &ConsumerRecord) -> Result<(), BoxError> + Send + Sync + 'static,
    U: Fn(&Session) + Send + Sync + 'static,
{
    type Error = BoxError;

    async fn setup(&self, session: &Session) -> Result<(), BoxError> {
        (self.in_setup)(session);
        Ok(())
    }

    async fn consume_claim(&self, session: &Session, mut claim: Claim) -> Result<(), BoxError> {
        while let Some(record) = claim.next().await? {
            (self.with_record)(session, &record)?;
            let happened = Happened::Record(1, claim.partition(), number(&record));
            self.log.add(happened);
        }
        Ok(())
    }

    async fn cleanup(&self, session: &Session, _: Cleanup) -> Result<(), BoxError> {
        (self.in_cleanup)(session);
        Ok(())
    }
}

/// Often enough that each number is committed by itself.
fn often(group: GroupBuilder) -> GroupBuilder {
    let every = Duration::from_millis(2);
    group.consumer(|consumer| consumer.commit(Commit::Watermark { every }))
}

#[tokio::test]
async fn numbers_and_marks_are_committed_in_one_order_and_the_group_never_goes_back() {
    let peer = Peer::start().await;
    peer.produce(0..400).await;
    let log = Log::default();
    // The number is set off by two records against the mark that follows.
    let says = Says {
        in_setup: |_: &Session| (),
        with_record: |session: &Session, record: &ConsumerRecord| {
            let place = TopicPartition::new(record.topic(), record.partition());
            if record.offset() % 10 == 7 {
                session.mark_offset(&place, record.offset() - 2, "behind");
            }
            session.mark(record);
            Ok(())
        },
        in_cleanup: |_: &Session| (),
        log: log.clone(),
    };
    let run = Run::of(often(peer.group()), says);
    let mut highest = BTreeMap::new();
    let looks = async {
        while peer.committed().await < 400 {
            for (partition, (offset, _)) in peer.offsets().await {
                let before = highest.insert(partition, offset);
                assert!(before <= Some(offset), "{before:?} before {offset}");
            }
        }
    };
    timeout(LONG, looks).await.expect("marks lead on");
    run.stop().await.unwrap();
    let last: BTreeSet<_> = peer.offsets().await.into_values().collect();
    assert_eq!(last, BTreeSet::from([(100, String::new())]));
}

#[tokio::test]
async fn what_is_said_in_setup_is_where_reading_begins() {
    let peer = Peer::start().await;
    peer.produce(0..80).await;
    let log = Log::default();
    let says = Says {
        in_setup: |session: &Session| {
            for claim in session.claims() {
                session.reset_offset(claim, 15, "from the store");
            }
        },
        with_record: |session: &Session, record: &ConsumerRecord| {
            assert!(record.offset() >= 15);
            session.mark(record);
            Ok(())
        },
        in_cleanup: |_: &Session| (),
        log: log.clone(),
    };
    let run = Run::of(peer.group(), says);
    log.records(20).await;
    run.stop().await.unwrap();
    assert_eq!(numbers(&log.all()), (60..80).collect());
    assert_eq!(peer.committed().await, 80);
}

#[tokio::test]
async fn numbers_said_in_cleanup_count_and_those_said_later_do_not() {
    let peer = Peer::start().await;
    peer.produce(0..80).await;
    let log = Log::default();
    let late = Arc::new(Mutex::new(None));
    let keeps = Arc::clone(&late);
    let says = Says {
        in_setup: |_: &Session| (),
        with_record: |_: &Session, _: &ConsumerRecord| Ok(()),
        in_cleanup: move |session: &Session| {
            for claim in session.claims() {
                session.mark_offset(claim, 7, "seven");
            }
            *keeps.lock().unwrap() = Some(session.clone());
        },
        log: log.clone(),
    };
    let one = Run::of(often(peer.group()), says);
    log.records(80).await;
    let two = Run::of(
        often(peer.group()),
        Scribe {
            member: 2,
            log: log.clone(),
        },
    );
    // The second marks what it gets, from 7 on.
    log.until(|log| {
        log.iter()
            .filter(|it| matches!(it, Happened::Record(2, ..)))
            .count()
            == 26
    })
    .await;
    let session: Session = late.lock().unwrap().take().unwrap();
    for claim in session.claims() {
        session.mark_offset(claim, 1000, "too late");
        session.reset_offset(claim, 1, "too late");
    }
    two.stop().await.unwrap();
    // What the first one has again is not what that session was about.
    for claim in session.claims() {
        session.reset_offset(claim, 2, "far too late");
    }
    session.commit().await.unwrap();
    one.stop().await.unwrap();
    let offsets = peer.offsets().await;
    let (mut ends, mut sevens) = (0, 0);
    for (offset, note) in offsets.into_values() {
        match (offset, note.as_str()) {
            (20, "") => ends += 1,
            (7, "seven") => sevens += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((ends, sevens), (2, 2));
}

#[tokio::test]
async fn a_claim_is_read_again_from_the_number_that_was_said() {
    let peer = Peer::start().await;
    peer.produce(0..40).await;
    let (log, left) = (Log::default(), AtomicU32::new(1));
    let says = Says {
        in_setup: |_: &Session| (),
        with_record: move |session: &Session, record: &ConsumerRecord| {
            let place = TopicPartition::new(record.topic(), record.partition());
            if record.offset() == 5 && place.partition == 1 && left.swap(0, Ordering::SeqCst) > 0 {
                return Err("a bad day".into());
            }
            session.mark_offset(&place, record.offset() + 1, "by number");
            Ok(())
        },
        in_cleanup: |_: &Session| (),
        log: log.clone(),
    };
    let again = OnClaimError::Restart(Backoff::constant(Duration::from_millis(5)));
    let run = Run::of(peer.group().on_claim_error(again), says);
    log.records(40).await;
    run.stop().await.unwrap();
    assert_eq!(log.all().len(), 40, "nothing comes again");
    let last: BTreeSet<_> = peer.offsets().await.into_values().collect();
    assert_eq!(last, BTreeSet::from([(10, "by number".to_owned())]));
}

/// Fails at a number, so many times.
#[derive(Clone)]
struct Failing {
    scribe: Scribe,
    at: u32,
    left: Arc<AtomicU32>,
    panics: bool,
}

impl GroupHandler for Failing {
    type Error = BoxError;

    async fn setup(&self, session: &Session) -> Result<(), BoxError> {
        Ok(self.scribe.setup(session).await?)
    }

    async fn consume_claim(&self, session: &Session, mut claim: Claim) -> Result<(), BoxError> {
        while let Some(record) = claim.next().await? {
            let number = number(&record);
            if number == self.at {
                let less = |left: u32| left.checked_sub(1);
                let left = &self.left;
                if left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
                    .is_ok()
                {
                    assert!(!self.panics, "a bad day");
                    return Err("a bad day".into());
                }
            }
            let happened = Happened::Record(self.scribe.member, claim.partition(), number);
            self.scribe.log.add(happened);
            session.mark(&record);
        }
        Ok(())
    }

    async fn cleanup(&self, session: &Session, why: Cleanup) -> Result<(), BoxError> {
        Ok(self.scribe.cleanup(session, why).await?)
    }
}

fn failing(at: u32, times: u32, panics: bool) -> Failing {
    let (member, log) = (1, Log::default());
    Failing {
        scribe: Scribe { member, log },
        at,
        left: Arc::new(AtomicU32::new(times)),
        panics,
    }
}

#[tokio::test]
async fn a_handler_that_fails_ends_the_run_cleans_up_and_leaves_the_group() {
    for panics in [false, true] {
        let peer = Peer::start().await;
        peer.produce(0..40).await;
        let handler = failing(21, 1, panics);
        let run = Run::of(peer.group(), handler.clone());
        let error = run.end().await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Handler);
        assert_eq!(error.topic_partition(), Some(&peer.place(1)));
        assert!(error.to_string().contains("a bad day"), "{error}");
        assert!(std::error::Error::source(&error).is_some());
        let log = handler.scribe.log.all();
        let last = Happened::CleanedUp(1, vec![0, 1, 2, 3], Cleanup::Shutdown);
        assert_eq!(log[log.len() - 1], last);
        assert!(!numbers(&log).contains(&21));
        // 1, 5, 9, 13, 17 were before.
        assert_eq!(peer.offsets().await[&1].0, 5);
        let described = peer
            .client
            .admin()
            .describe_groups([&peer.group])
            .await
            .unwrap();
        assert!(described[&peer.group].as_ref().unwrap().members.is_empty());
    }
}

#[tokio::test]
async fn a_claim_is_read_again_from_its_first_record_without_a_mark_where_that_is_the_rule() {
    for panics in [false, true] {
        let peer = Peer::start().await;
        peer.produce(0..40).await;
        let handler = failing(21, 3, panics);
        let pause = Backoff::constant(Duration::from_millis(5));
        let group = peer.group().on_claim_error(OnClaimError::Restart(pause));
        let run = Run::of(group, handler.clone());
        handler.scribe.log.records(40).await;
        run.stop().await.unwrap();
        let log = handler.scribe.log.all();
        let records = log.iter().filter(|it| matches!(it, Happened::Record(..)));
        assert_eq!(records.count(), 40, "what was marked does not come again");
        let set_ups = log.iter().filter(|it| matches!(it, Happened::SetUp(..)));
        assert_eq!(set_ups.count(), 1, "the others go on");
        assert_eq!(peer.committed().await, 40);
    }
}

#[tokio::test]
async fn a_run_that_is_stopped_while_it_is_set_up_cleans_up() {
    /// Is not ready before it is told.
    #[derive(Clone)]
    struct Slow(Scribe, Arc<Notify>, Arc<Notify>);
    impl GroupHandler for Slow {
        type Error = Error;
        async fn setup(&self, session: &Session) -> Result<(), Error> {
            self.1.notify_one();
            session.cancelled().await;
            self.0.setup(session).await
        }
        async fn consume_claim(&self, session: &Session, claim: Claim) -> Result<(), Error> {
            self.2.notify_one();
            self.0.consume_claim(session, claim).await
        }
        async fn cleanup(&self, session: &Session, why: Cleanup) -> Result<(), Error> {
            self.0.cleanup(session, why).await
        }
    }
    let peer = Peer::start().await;
    let (member, log) = (1, Log::default());
    let scribe = Scribe {
        member,
        log: log.clone(),
    };
    let slow = Slow(scribe, Arc::default(), Arc::default());
    let run = Run::of(peer.group(), slow.clone());
    timeout(LONG, slow.1.notified()).await.unwrap();
    run.stop().await.unwrap();
    let all = vec![0, 1, 2, 3];
    let expected = [
        Happened::SetUp(1, all.clone()),
        Happened::CleanedUp(1, all, Cleanup::Shutdown),
    ];
    assert_eq!(log.all(), expected);
}

#[tokio::test]
async fn a_claim_that_fails_after_its_end_is_the_next_members_where_claims_are_read_again() {
    /// Fails when its claim is revoked.
    struct Sore(Scribe);
    impl GroupHandler for Sore {
        type Error = BoxError;
        async fn setup(&self, session: &Session) -> Result<(), BoxError> {
            Ok(self.0.setup(session).await?)
        }
        async fn consume_claim(&self, session: &Session, claim: Claim) -> Result<(), BoxError> {
            self.0.consume_claim(session, claim).await?;
            Err("a sad end".into())
        }
        async fn cleanup(&self, session: &Session, why: Cleanup) -> Result<(), BoxError> {
            Ok(self.0.cleanup(session, why).await?)
        }
    }
    let peer = Peer::start().await;
    let log = Log::default();
    let scribe = |member| Scribe {
        member,
        log: log.clone(),
    };
    let again = OnClaimError::Restart(Backoff::constant(Duration::from_millis(5)));
    let one = Run::of(peer.group().on_claim_error(again), Sore(scribe(1)));
    log.shared(&[(1, 4)]).await;
    let two = Run::of(peer.group(), scribe(2));
    log.shared(&[(1, 2), (2, 2)]).await;
    peer.produce(0..40).await;
    log.records(40).await;
    one.stop().await.unwrap();
    two.stop().await.unwrap();
    assert_eq!(peer.committed().await, 40);
}

#[tokio::test]
async fn a_handler_that_returns_early_ends_the_run_without_an_error() {
    struct Once;
    impl GroupHandler for Once {
        type Error = Error;
        async fn consume_claim(&self, session: &Session, mut claim: Claim) -> Result<(), Error> {
            if let Some(record) = claim.next().await? {
                session.mark(&record);
            }
            Ok(())
        }
    }
    let peer = Peer::start().await;
    peer.produce(0..1).await;
    Run::of(peer.group(), Once).end().await.unwrap();
    assert_eq!(peer.offsets().await[&0].0, 1);
}

#[tokio::test]
async fn an_error_of_setup_ends_the_run_before_anything_is_read() {
    struct Unready(Log);
    impl GroupHandler for Unready {
        type Error = io::Error;
        async fn setup(&self, _: &Session) -> Result<(), io::Error> {
            Err(io::Error::other("no database"))
        }
        async fn consume_claim(&self, _: &Session, mut claim: Claim) -> Result<(), io::Error> {
            while let Ok(Some(record)) = claim.next().await {
                self.0.add(Happened::Record(1, 0, number(&record)));
            }
            Ok(())
        }
    }
    let peer = Peer::start().await;
    peer.produce(0..40).await;
    let log = Log::default();
    let error = Run::of(peer.group(), Unready(log.clone()))
        .end()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no database"), "{error}");
    assert!(log.all().is_empty());
}

#[tokio::test]
async fn a_handler_that_does_not_come_to_an_end_is_dropped_and_what_it_marked_is_committed() {
    /// Marks what it gets, and does not look for the end.
    struct Stubborn(Log);
    impl GroupHandler for Stubborn {
        type Error = Error;
        async fn consume_claim(&self, session: &Session, mut claim: Claim) -> Result<(), Error> {
            for _ in 0..3 {
                let record = claim.next().await?.unwrap();
                session.mark(&record);
                self.0.add(Happened::Record(1, 0, number(&record)));
            }
            claim.next().await?;
            std::future::pending().await
        }
    }
    let peer = Peer::start().await;
    peer.produce(0..40).await;
    let log = Log::default();
    let group = peer.group().shutdown_within(Duration::from_secs(2));
    let run = Run::of(group, Stubborn(log.clone()));
    log.records(12).await;
    run.stop().await.unwrap();
    assert_eq!(peer.committed().await, 12);
}

#[tokio::test]
async fn a_handler_without_progress_ends_the_run() {
    struct Stuck;
    impl GroupHandler for Stuck {
        type Error = Error;
        async fn consume_claim(&self, _: &Session, mut claim: Claim) -> Result<(), Error> {
            let _record = claim.next().await?;
            std::future::pending().await
        }
    }
    let peer = Peer::start().await;
    peer.produce(0..1).await;
    let group = peer.group().consumer(|consumer| {
        consumer.configure(|config| config.group.poll_interval_max = Duration::from_millis(700))
    });
    let error = Run::of(group, Stuck).end().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Timeout);
    assert_eq!(error.topic_partition(), Some(&peer.place(0)));
}

// ---- for_each ----

/// What a function for each record did.
#[derive(Clone, Default)]
struct Deeds(watch::Sender<Vec<(String, u32, Instant)>>);

impl Deeds {
    fn add(&self, record: &ConsumerRecord) {
        let deed = (record.topic().to_owned(), number(record), Instant::now());
        self.0.send_modify(|deeds| deeds.push(deed));
    }

    fn all(&self) -> Vec<(String, u32, Instant)> {
        self.0.borrow().clone()
    }

    fn numbers(&self) -> Vec<u32> {
        self.all()
            .into_iter()
            .map(|(_, number, _)| number)
            .collect()
    }

    async fn distinct(&self, count: usize) {
        let mut deeds = self.0.subscribe();
        let wanted = |deeds: &Vec<(String, u32, Instant)>| {
            let numbers: BTreeSet<u32> = deeds.iter().map(|(_, number, _)| *number).collect();
            numbers.len() >= count
        };
        let waited = timeout(LONG, deeds.wait_for(wanted)).await.is_ok();
        assert!(waited, "{:?}", self.numbers());
    }
}

/// Runs what `run` makes of a shutdown.
fn spawn<R>(run: impl FnOnce(Arc<Notify>) -> R) -> Run
where
    R: Future<Output = highwater::Result<()>> + Send + 'static,
{
    let stop = Arc::new(Notify::new());
    let task = tokio::spawn(run(Arc::clone(&stop)));
    Run { stop, task }
}

/// The first time each number was dealt with, those of one key came in order.
fn assert_ordered(numbers: &[u32]) {
    let (mut last, mut seen) = (BTreeMap::new(), BTreeSet::new());
    for number in numbers {
        if seen.insert(*number) {
            let before = last.insert(number % 20, *number);
            assert!(before < Some(*number), "{before:?} before {number}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_one_key_are_dealt_with_in_order_and_all_are_committed() {
    let peer = Peer::start().await;
    peer.produce(0..2000).await;
    let deeds = Deeds::default();
    let (group, done) = (peer.group(), deeds.clone());
    let run = spawn(|stop| async move {
        let each = group.for_each(8, move |record: ConsumerRecord| {
            let done = done.clone();
            async move {
                // Later records of other keys overtake.
                for _ in 0..number(&record) % 7 {
                    tokio::task::yield_now().await;
                }
                done.add(&record);
                Ok::<(), Error>(())
            }
        });
        each.queue_records(4).run_until(stop.notified()).await
    });
    deeds.distinct(2000).await;
    run.stop().await.unwrap();
    let numbers = deeds.numbers();
    assert_eq!(numbers.len(), 2000);
    assert_ordered(&numbers);
    assert_eq!(peer.committed().await, 2000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_die_while_they_work_leave_nothing_out_and_no_key_out_of_order() {
    let peer = Peer::start().await;
    let deeds = Deeds::default();
    let member = || {
        let (group, done) = (peer.group(), deeds.clone());
        let group = group.consumer(|consumer| {
            consumer.commit(Commit::Watermark {
                every: Duration::from_millis(5),
            })
        });
        spawn(|stop| async move {
            let each = group.for_each(4, move |record: ConsumerRecord| {
                let done = done.clone();
                async move {
                    tokio::task::yield_now().await;
                    done.add(&record);
                    Ok::<(), Error>(())
                }
            });
            each.run_until(stop.notified()).await
        })
    };
    let mut members = vec![member(), member()];
    for round in 1..=4u32 {
        peer.produce((round - 1) * 400..round * 400).await;
        // In the middle of its work, more often than not.
        deeds.distinct((round * 400 - 200) as usize).await;
        members.remove(0).kill().await;
        members.push(member());
        deeds.distinct((round * 400) as usize).await;
    }
    // What the last one that died had not committed comes again.
    let all = async { while peer.committed().await < 1600 {} };
    timeout(LONG, all).await.expect("everything is committed");
    for member in members {
        member.stop().await.unwrap();
    }
    assert_ordered(&deeds.numbers());
    assert_eq!(peer.committed().await, 1600);
}

#[tokio::test]
async fn ending_the_run_finishes_what_is_begun_and_commits_it() {
    let peer = Peer::start().await;
    peer.produce(0..40).await;
    let (begun, finish) = (watch::Sender::new(0u32), watch::Sender::new(false));
    let (group, counts, may) = (peer.group(), begun.clone(), finish.clone());
    let run = spawn(|stop| async move {
        let each = group.for_each(4, move |_: ConsumerRecord| {
            let (counts, mut may) = (counts.clone(), may.subscribe());
            async move {
                counts.send_modify(|count| *count += 1);
                let _ = may.wait_for(|may| *may).await;
                Ok::<(), Error>(())
            }
        });
        each.run_until(stop.notified()).await
    });
    let mut seen = begun.subscribe();
    timeout(LONG, seen.wait_for(|count| *count > 0))
        .await
        .unwrap()
        .unwrap();
    run.stop.notify_one();
    finish.send_replace(true);
    run.end().await.unwrap();
    assert_eq!(peer.committed().await, i64::from(*begun.borrow()));
}

#[tokio::test]
async fn a_record_that_fails_is_tried_again_in_place_and_holds_up_its_key() {
    let peer = Peer::start().await;
    peer.produce(0..80).await;
    let (deeds, left) = (Deeds::default(), Arc::new(AtomicU32::new(3)));
    let (group, done) = (peer.group(), deeds.clone());
    let run = spawn(|stop| async move {
        let each = group.for_each(4, move |record: ConsumerRecord| {
            let (done, left) = (done.clone(), Arc::clone(&left));
            async move {
                if number(&record) == 21 {
                    let left = left.fetch_sub(1, Ordering::SeqCst);
                    assert_ne!(left, 2, "a panic is a failure");
                    if left > 1 {
                        return Err("not yet");
                    }
                }
                done.add(&record);
                Ok(())
            }
        });
        let (ms, pauses) = (Duration::from_millis(1), 5);
        let each = each.retry(Backoff::exponential(ms..10 * ms), pauses);
        each.run_until(stop.notified()).await
    });
    deeds.distinct(80).await;
    run.stop().await.unwrap();
    let numbers = deeds.numbers();
    assert_eq!(numbers.len(), 80);
    assert_ordered(&numbers);
    assert_eq!(peer.committed().await, 80);
}

#[tokio::test]
async fn a_record_goes_through_the_retry_topics_waits_there_and_becomes_a_dead_letter() {
    let peer = Peer::start().await;
    peer.produce(0..40).await;
    let (soon, later) = (peer.another("soon").await, peer.another("later").await);
    let letters = peer.another("DLT").await;
    let (ms, deeds) = (Duration::from_millis(1), Deeds::default());
    let (group, done) = (peer.group(), deeds.clone());
    let topics = [(soon.clone(), 300 * ms), (later.clone(), 500 * ms)];
    let dead = letters.clone();
    let run = spawn(|stop| async move {
        let each = group.for_each(4, move |record: ConsumerRecord| {
            let done = done.clone();
            async move {
                done.add(&record);
                match number(&record) {
                    21 => Err(io::Error::other("still no")),
                    22 if record.topic().ends_with("-soon") => Ok(()),
                    22 => Err(io::Error::other("not yet")),
                    _ => Ok(()),
                }
            }
        });
        let each = each.retry_topics(topics).dead_letter(dead);
        each.run_until(stop.notified()).await
    });
    let mut consumer = {
        let consumer = peer
            .client
            .consumer()
            .assign_topic(&letters, Start::Earliest);
        consumer.build().await.unwrap()
    };
    let letter = timeout(LONG, consumer.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    deeds.distinct(40).await;
    run.stop().await.unwrap();

    let of = |wanted| {
        let all = deeds.all().into_iter();
        let mut all: Vec<_> = all.filter(|(_, number, _)| *number == wanted).collect();
        all.sort_by_key(|(_, _, at)| *at);
        all
    };
    let twenty_one = of(21);
    let topics: Vec<&str> = twenty_one
        .iter()
        .map(|(topic, ..)| topic.as_str())
        .collect();
    assert_eq!(topics, [&peer.topic, &soon, &later]);
    // The header has whole milliseconds.
    assert!(twenty_one[1].2 - twenty_one[0].2 >= 299 * ms);
    assert!(twenty_one[2].2 - twenty_one[1].2 >= 499 * ms);
    let twenty_two = of(22);
    assert_eq!(twenty_two.len(), 2, "it was dealt with the second time");
    assert_eq!(peer.committed().await, 40, "nothing waits for them");

    assert_eq!((letter.key(), number(&letter)), (Some(&b"1"[..]), 21));
    let header = |name: &str| {
        let mut named = letter.headers().filter(|it| it.key_str() == Some(name));
        let one = named.next().unwrap_or_else(|| panic!("{name} is there"));
        assert_eq!(named.next(), None, "{name} is there once");
        one.value.unwrap().to_vec()
    };
    assert_eq!(header("kafka_dlt-original-topic"), peer.topic.as_bytes());
    assert_eq!(header("kafka_dlt-original-partition"), 1i32.to_be_bytes());
    assert_eq!(header("kafka_dlt-original-offset"), 5i64.to_be_bytes());
    assert_eq!(
        header("kafka_dlt-original-consumer-group"),
        peer.group.as_bytes()
    );
    assert_eq!(header("kafka_dlt-exception-fqcn"), b"std::io::error::Error");
    assert_eq!(header("kafka_dlt-exception-message"), b"still no");
    assert_eq!(header("kafka_original-topic"), peer.topic.as_bytes());
    assert_eq!(header("retry_topic-attempts"), 3u32.to_be_bytes());
    assert_eq!(header("__connect.errors.topic"), later.as_bytes());
    assert_eq!(header("__connect.errors.exception.message"), b"still no");
}

#[tokio::test]
async fn without_dead_letters_a_failure_ends_the_run_and_the_record_comes_again() {
    let peer = Peer::start().await;
    peer.produce(0..40).await;
    let fails = |record: ConsumerRecord| async move {
        match number(&record) {
            21 => Err("never"),
            _ => Ok(()),
        }
    };
    let each = peer.group().for_each(4, fails);
    let error = timeout(LONG, each.run()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Handler);
    assert_eq!(
        (error.topic_partition(), error.offset()),
        (Some(&peer.place(1)), Some(5))
    );
    assert!(peer.offsets().await.get(&1).is_none_or(|it| it.0 <= 5));

    let deeds = Deeds::default();
    let (group, done) = (peer.group(), deeds.clone());
    let run = spawn(|stop| async move {
        let each = group.for_each(4, move |record: ConsumerRecord| {
            done.add(&record);
            fails(record)
        });
        each.skip_failed().run_until(stop.notified()).await
    });
    let mut seen = deeds.0.subscribe();
    let comes = seen.wait_for(|deeds| deeds.iter().any(|it| it.1 == 37));
    timeout(LONG, comes).await.unwrap().unwrap();
    run.stop().await.unwrap();
    assert!(deeds.numbers().contains(&21));
    assert_eq!(peer.offsets().await[&1].0, 10, "it was left out");
}

#[tokio::test]
async fn errors_of_a_kind_that_does_not_pass_are_not_tried_again() {
    let peer = Peer::start().await;
    peer.produce(0..4).await;
    let letters = peer.another("DLT").await;
    let deeds = Deeds::default();
    let (group, done, dead) = (peer.group(), deeds.clone(), letters.clone());
    let run = spawn(|stop| async move {
        let each = group.for_each(1, move |record: ConsumerRecord| {
            done.add(&record);
            async move { Err::<(), _>(io::Error::from(io::ErrorKind::InvalidData)) }
        });
        let each = each.retry(Backoff::constant(LONG), 100).dead_letter(dead);
        let each = each.retry_if(|error| error.kind() != io::ErrorKind::InvalidData);
        each.run_until(stop.notified()).await
    });
    let consumer = peer
        .client
        .consumer()
        .assign_topic(&letters, Start::Earliest);
    let mut consumer = consumer.build().await.unwrap();
    for _ in 0..4 {
        timeout(LONG, consumer.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
    run.stop().await.unwrap();
    assert_eq!(deeds.numbers().len(), 4);
}

#[tokio::test]
async fn a_panic_of_what_sorts_errors_is_a_failure_like_any_other() {
    let peer = Peer::start().await;
    peer.produce(0..8).await;
    let letters = peer.another("DLT").await;
    let (group, dead) = (peer.group(), letters.clone());
    let run = spawn(|stop| async move {
        let fails = |_: ConsumerRecord| async { Err::<(), _>("no") };
        let each = group.for_each(1, fails).dead_letter(dead);
        let each = each.retry_if(|_| panic!("of no sort"));
        each.run_until(stop.notified()).await
    });
    let consumer = peer
        .client
        .consumer()
        .assign_topic(&letters, Start::Earliest);
    let mut consumer = consumer.build().await.unwrap();
    for _ in 0..8 {
        let letter = timeout(LONG, consumer.next()).await;
        let letter = letter.expect("the worker goes on").unwrap().unwrap();
        let mut headers = letter.headers();
        let why = headers.find(|it| it.key_str() == Some("kafka_dlt-exception-message"));
        assert_eq!(why.unwrap().value, Some(&b"panicked: of no sort"[..]));
    }
    run.stop().await.unwrap();
    assert_eq!(peer.committed().await, 8);
}

#[tokio::test]
async fn an_error_that_panics_when_it_is_written_ends_the_run() {
    #[derive(Debug)]
    struct Mute;
    impl std::fmt::Display for Mute {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("no words")
        }
    }
    impl std::error::Error for Mute {}
    let peer = Peer::start().await;
    peer.produce(0..8).await;
    let each = peer.group().for_each(2, |_| async { Err::<(), _>(Mute) });
    let error = timeout(LONG, each.run()).await;
    let error = error.expect("nobody waits for the worker").unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Handler);
    assert!(error.to_string().contains("no words"), "{error}");
    assert_eq!(error.topic_partition().unwrap().topic, peer.topic.into());
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let peer = Peer::start().await;
    let fine = |_: ConsumerRecord| async { Ok::<(), Error>(()) };
    let refused = peer.group().for_each(0, fine).run().await.unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::Config);
    let manual = peer
        .group()
        .consumer(|consumer| consumer.commit(Commit::Manual));
    let refused = manual.for_each(1, fine).run().await.unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::Config);
    let once = peer.another("once").await;
    let topics = [(once.clone(), LONG), (once.clone(), LONG)];
    let twice = peer.group().for_each(1, fine).retry_topics(topics);
    let refused = timeout(LONG, twice.run()).await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::Config);
    assert!(refused.to_string().contains(&once), "{refused}");
    let round = peer.group().for_each(1, fine).dead_letter(&peer.topic);
    let refused = timeout(LONG, round.run()).await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::Config);
    assert!(refused.to_string().contains(&peer.topic), "{refused}");
}
