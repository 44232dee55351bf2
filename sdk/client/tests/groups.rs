//! Consumers of one group against our own engine, in this process; or, with `HIGHWATER_BOOTSTRAP=host:port`, against any Kafka.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use highwater::admin::{GroupState, NewTopic};
use highwater::{
    Assignor, Client, Committed, Consumer, ConsumerBuilder, ConsumerRecord, ErrorCode, ErrorKind,
    OffsetReset, Rebalance, Record, Start, TopicPartition,
};
use highwater_engine::settings::Properties;
use highwater_engine::{Engine, Settings};
use tempfile::TempDir;
use tokio::time::timeout;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// A cluster for one test, with a topic of four partitions and a group.
struct Peer {
    client: Client,
    topic: String,
    group: String,
    _engine: Option<(Engine, TempDir)>,
}

impl Peer {
    async fn start() -> Self {
        let (bootstrap, engine) = match std::env::var("HIGHWATER_BOOTSTRAP") {
            Ok(bootstrap) => (bootstrap, None),
            Err(_) => {
                let dir = TempDir::new().unwrap();
                let mut properties = Properties::embedded(dir.path());
                properties.set("group.initial.rebalance.delay.ms", "0");
                properties.set("group.min.session.timeout.ms", "500");
                properties.set("offsets.topic.num.partitions", "3");
                let engine = Engine::start(Settings::parse(&properties).unwrap()).unwrap();
                (engine.local_addr().to_string(), Some((engine, dir)))
            }
        };
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "group-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let client = Client::builder(bootstrap).connect().await.unwrap();
        let topic = NewTopic::new(&name).partitions(4);
        client.admin().create_topics([topic]).await.unwrap()[&name]
            .as_ref()
            .unwrap();
        Self {
            client,
            group: format!("g-{name}"),
            topic: name,
            _engine: engine,
        }
    }

    /// Puts so many numbered records into the topic, evenly.
    async fn produce(&self, numbers: std::ops::Range<u32>) {
        let producer = self.client.producer().build().await.unwrap();
        let mut acks = Vec::new();
        for number in numbers {
            let partition = i32::try_from(number % 4).unwrap();
            let value = number.to_be_bytes();
            let record = Record::to(&self.topic).partition(partition).value(&value);
            acks.push(producer.enqueue(record).await.unwrap());
        }
        for ack in acks {
            ack.await.unwrap();
        }
    }

    fn member(&self) -> ConsumerBuilder {
        let builder = self
            .client
            .consumer()
            .group(&self.group)
            .subscribe([&self.topic]);
        builder
            .offset_reset(OffsetReset::Earliest)
            .configure(|config| {
                config.group.heartbeat_interval = Duration::from_millis(50);
                config.group.session_timeout = Duration::from_secs(6);
            })
    }

    fn place(&self, partition: i32) -> TopicPartition {
        TopicPartition::new(self.topic.as_str(), partition)
    }

    /// What the group has committed, over all partitions.
    async fn committed(&self) -> i64 {
        let offsets = self
            .client
            .admin()
            .group_offsets(&self.group, None)
            .await
            .unwrap();
        offsets
            .into_values()
            .map(|it| it.unwrap().map_or(0, |it| it.offset))
            .sum()
    }
}

fn number(record: &ConsumerRecord) -> u32 {
    u32::from_be_bytes(record.value().unwrap().try_into().unwrap())
}

async fn next(consumer: &mut Consumer) -> ConsumerRecord {
    timeout(LONG, consumer.next())
        .await
        .expect("a record comes")
        .unwrap()
        .unwrap()
}

/// Asks for records, of which there are none, until the consumer has so many partitions.
async fn has(consumer: &mut Consumer, partitions: usize) {
    have([consumer], partitions).await;
}

/// The same for several: all of them ask until each has its part, because who does not ask does not let go either.
async fn have<const N: usize>(mut consumers: [&mut Consumer; N], partitions: usize) {
    let waits = async {
        while consumers
            .iter()
            .any(|it| it.assignment().len() != partitions)
        {
            for consumer in &mut consumers {
                if let Ok(next) = timeout(Duration::from_millis(5), consumer.next()).await {
                    panic!("{next:?}");
                }
            }
        }
    };
    timeout(LONG, waits).await.expect("the group settles");
}

/// What happened to the members of a group, in order.
#[derive(Debug)]
enum Happened {
    Record(TopicPartition, u32),
    Changed(Rebalance),
}

type Diary = Arc<Mutex<Vec<(usize, Happened)>>>;

/// A member that commits what it lets go, and keeps a diary.
async fn diarist(peer: &Peer, assignors: &[Assignor], index: usize, diary: &Diary) -> Consumer {
    let listener = Arc::clone(diary);
    let builder = peer
        .member()
        .auto_commit(None)
        .assignors(assignors.iter().copied());
    let builder = builder.on_rebalance(move |rebalance, group| {
        let diary = Arc::clone(&listener);
        async move {
            if let Rebalance::Revoked(positions) = &rebalance {
                let read = positions
                    .iter()
                    .filter_map(|(place, at)| Some((place.clone(), (*at)?)));
                group.commit(read).await.unwrap();
            }
            diary
                .lock()
                .unwrap()
                .push((index, Happened::Changed(rebalance)));
        }
    });
    builder.build().await.unwrap()
}

/// Reads until `done`, and writes it down.
async fn read(
    mut consumer: Consumer,
    index: usize,
    diary: Diary,
    done: impl Fn(&[(usize, Happened)]) -> bool,
) -> Consumer {
    while !done(&diary.lock().unwrap()) {
        if let Ok(record) = timeout(Duration::from_millis(20), consumer.next()).await {
            let record = record.unwrap().unwrap();
            let place = TopicPartition::new(record.topic(), record.partition());
            diary
                .lock()
                .unwrap()
                .push((index, Happened::Record(place, number(&record))));
        }
    }
    consumer
}

fn records(diary: &[(usize, Happened)]) -> usize {
    diary
        .iter()
        .filter(|(_, it)| matches!(it, Happened::Record(..)))
        .count()
}

async fn a_group_that_grows_and_shrinks(assignors: &[Assignor]) {
    let peer = Peer::start().await;
    peer.produce(0..400).await;
    let diary = Diary::default();
    let first = diarist(&peer, assignors, 1, &diary).await;
    let first = read(first, 1, Arc::clone(&diary), |diary| records(diary) == 100).await;
    let second = diarist(&peer, assignors, 2, &diary).await;
    // Only what comes after the second one is there is shared.
    let both_have = |diary: &[(usize, Happened)]| {
        let gets = |it: &Happened| matches!(it, Happened::Changed(Rebalance::Assigned(got)) if !got.is_empty());
        diary.iter().any(|(index, it)| *index == 2 && gets(it)) && records(diary) == 400
    };
    let (first, second) = tokio::join!(
        read(first, 1, Arc::clone(&diary), both_have),
        read(second, 2, Arc::clone(&diary), both_have),
    );
    peer.produce(400..600).await;
    let shared = |diary: &[(usize, Happened)]| records(diary) == 600;
    let (first, second) = tokio::join!(
        read(first, 1, Arc::clone(&diary), shared),
        read(second, 2, Arc::clone(&diary), shared),
    );
    let left = second.shutdown(LONG);
    let all = |diary: &[(usize, Happened)]| {
        let mut has = BTreeSet::new();
        for (_, it) in diary.iter().filter(|(index, _)| *index == 1) {
            match it {
                Happened::Changed(Rebalance::Assigned(places)) => {
                    has.extend(places.iter().cloned())
                }
                Happened::Changed(Rebalance::Revoked(places)) => {
                    has.retain(|it| !places.contains_key(it))
                }
                Happened::Changed(Rebalance::Lost(_)) | Happened::Record(..) => {}
            }
        }
        has.len() == 4
    };
    let (left, first) = tokio::join!(left, read(first, 1, Arc::clone(&diary), all));
    left.unwrap();
    peer.produce(600..700).await;
    let first = read(first, 1, Arc::clone(&diary), |diary| records(diary) == 700).await;
    first.shutdown(LONG).await.unwrap();
    assert_eq!(peer.committed().await, 700);

    let diary = diary.lock().unwrap();
    let mut numbers = BTreeSet::new();
    let mut has: BTreeMap<TopicPartition, usize> = BTreeMap::new();
    let mut last: BTreeMap<TopicPartition, u32> = BTreeMap::new();
    for (index, happened) in diary.iter() {
        match happened {
            Happened::Record(place, number) => {
                assert_eq!(has.get(place), Some(index), "{place} was not {index}'s");
                assert!(numbers.insert(*number), "{number} was handed out twice");
                assert!(
                    last.insert(place.clone(), *number)
                        .is_none_or(|last| last < *number)
                );
            }
            Happened::Changed(Rebalance::Assigned(places)) => {
                for place in places {
                    assert_eq!(
                        has.insert(place.clone(), *index),
                        None,
                        "{place} was another's"
                    );
                }
            }
            Happened::Changed(Rebalance::Revoked(places)) => {
                for place in places.keys() {
                    assert_eq!(has.remove(place), Some(*index));
                }
            }
            Happened::Changed(Rebalance::Lost(places)) => panic!("{index} lost {places:?}"),
        }
    }
    assert_eq!(numbers.len(), 700);
    let shared = diary
        .iter()
        .any(|(index, it)| *index == 2 && matches!(it, Happened::Record(..)));
    assert!(shared, "the second member read something");
}

#[tokio::test]
async fn an_eager_group_hands_out_every_record_once_as_it_grows_and_shrinks() {
    a_group_that_grows_and_shrinks(&[Assignor::Range]).await;
}

#[tokio::test]
async fn a_sticky_group_hands_out_every_record_once_as_it_grows_and_shrinks() {
    a_group_that_grows_and_shrinks(&[Assignor::Sticky]).await;
}

#[tokio::test]
async fn a_cooperative_group_hands_out_every_record_once_as_it_grows_and_shrinks() {
    a_group_that_grows_and_shrinks(&[Assignor::CooperativeSticky]).await;
}

#[tokio::test]
async fn positions_are_committed_by_themselves_and_at_the_shutdown() {
    let peer = Peer::start().await;
    peer.produce(0..100).await;
    let every = Some(Duration::from_millis(20));
    let mut consumer = peer.member().auto_commit(every).build().await.unwrap();
    let mut read = BTreeSet::new();
    for _ in 0..40 {
        read.insert(number(&next(&mut consumer).await));
    }
    // The interval passes while records are asked for.
    while peer.committed().await == 0 {
        if let Ok(record) = timeout(Duration::from_millis(5), consumer.next()).await {
            read.insert(number(&record.unwrap().unwrap()));
        }
    }
    consumer.shutdown(LONG).await.unwrap();
    assert_eq!(peer.committed().await, i64::try_from(read.len()).unwrap());
    peer.produce(100..200).await;
    let mut consumer = peer.member().auto_commit(None).build().await.unwrap();
    while read.len() < 200 {
        assert!(
            read.insert(number(&next(&mut consumer).await)),
            "it goes on where the other stopped"
        );
    }
    // Not a word of the rest: it was never committed.
    drop(consumer);
    let mut consumer = peer.member().auto_commit(None).build().await.unwrap();
    next(&mut consumer).await;
}

#[tokio::test]
async fn dropping_calls_for_records_loses_neither_records_nor_partitions() {
    let peer = Peer::start().await;
    peer.produce(0..200).await;
    let mut consumer = peer.member().build().await.unwrap();
    let mut read = BTreeSet::new();
    while read.len() < 200 {
        if let Ok(record) = timeout(Duration::from_millis(1), consumer.next()).await {
            assert!(read.insert(number(&record.unwrap().unwrap())));
        }
    }
    assert_eq!(consumer.assignment().len(), 4);
    consumer.commit().await.unwrap();
    assert_eq!(peer.committed().await, 200);
}

#[tokio::test]
async fn without_a_commit_the_reset_policy_says_where_to_begin() {
    let peer = Peer::start().await;
    peer.produce(0..8).await;
    let builder = peer
        .member()
        .offset_reset(OffsetReset::Fail)
        .auto_commit(None);
    let mut consumer = builder.build().await.unwrap();
    let error = timeout(LONG, consumer.next()).await.unwrap().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Offset);
    let place = error.topic_partition().unwrap().clone();
    consumer.seek(&place, Start::Offset(1)).unwrap();
    loop {
        match timeout(LONG, consumer.next()).await.unwrap() {
            Ok(record) => {
                let record = record.unwrap();
                assert_eq!((record.partition(), record.offset()), (place.partition, 1));
                break;
            }
            Err(error) => assert_eq!(*error.kind(), ErrorKind::Offset),
        }
    }
}

#[tokio::test]
async fn a_static_member_comes_back_to_its_partitions_and_nobody_else_notices() {
    let peer = Peer::start().await;
    let mut stays = peer.member().instance_id("stays").build().await.unwrap();
    has(&mut stays, 4).await;
    let mut goes = peer.member().instance_id("goes").build().await.unwrap();
    have([&mut stays, &mut goes], 2).await;
    let (before, had) = (stays.group().unwrap().metadata(), goes.assignment());
    goes.shutdown(LONG).await.unwrap();
    let mut back = peer.member().instance_id("goes").build().await.unwrap();
    has(&mut back, 2).await;
    assert_eq!(back.assignment(), had);
    assert_eq!(stays.group().unwrap().metadata(), before);
}

#[tokio::test]
async fn a_second_consumer_of_an_instance_id_fences_the_first() {
    let peer = Peer::start().await;
    let mut first = peer.member().instance_id("i").build().await.unwrap();
    has(&mut first, 4).await;
    let mut second = peer.member().instance_id("i").build().await.unwrap();
    has(&mut second, 4).await;
    for _ in 0..2 {
        let error = timeout(LONG, first.next()).await.unwrap().unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Fenced);
        assert!(error.is_fatal());
    }
    assert_eq!(first.assignment(), []);
}

#[tokio::test]
async fn a_topic_that_grows_or_is_made_later_is_shared_out_too() {
    let peer = Peer::start().await;
    let later = format!("{}-later", peer.topic);
    // Asking must not create it.
    let client = Client::builder(
        std::env::var("HIGHWATER_BOOTSTRAP")
            .unwrap_or_else(|_| peer._engine.as_ref().unwrap().0.local_addr().to_string()),
    );
    let client = client
        .configure(|config| config.auto_create_topics = false)
        .connect()
        .await
        .unwrap();
    let builder = client
        .consumer()
        .group(&peer.group)
        .subscribe([&peer.topic, &later]);
    let mut consumer = builder.build().await.unwrap();
    has(&mut consumer, 4).await;
    let created = peer
        .client
        .admin()
        .create_topics([NewTopic::new(&later).partitions(2)])
        .await
        .unwrap();
    created[&later].as_ref().unwrap();
    has(&mut consumer, 6).await;
    consumer.subscribe([&later]).unwrap();
    has(&mut consumer, 2).await;
    let error = consumer
        .assign_topic(&later, Start::Earliest)
        .await
        .unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Config);
}

#[tokio::test]
async fn commits_of_what_is_not_ours_are_refused() {
    let peer = Peer::start().await;
    let mut consumer = peer
        .member()
        .assignors([Assignor::CooperativeSticky])
        .build()
        .await
        .unwrap();
    has(&mut consumer, 4).await;
    let group = consumer.group().unwrap();
    group.commit([(peer.place(0), 7)]).await.unwrap();
    let committed = group
        .committed([peer.place(0), peer.place(1)])
        .await
        .unwrap();
    assert_eq!(
        committed[&peer.place(0)].as_ref().map(|it| it.offset),
        Some(7)
    );
    assert_eq!(committed[&peer.place(1)], None);
    let mut other = peer
        .member()
        .assignors([Assignor::CooperativeSticky])
        .build()
        .await
        .unwrap();
    have([&mut consumer, &mut other], 2).await;
    let theirs = other.assignment().remove(0);
    let error = group.commit([(theirs.clone(), 8)]).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::IllegalGeneration));
    assert_eq!(error.topic_partition(), Some(&theirs));
    let mine = consumer.assignment().remove(0);
    group.commit([(mine, 8)]).await.unwrap();
}

#[tokio::test]
async fn a_consumer_of_given_partitions_commits_from_outside_of_the_group() {
    let peer = Peer::start().await;
    peer.produce(0..8).await;
    let builder = peer.client.consumer().group(&peer.group);
    let mut consumer = builder
        .assign(&peer.topic, 1, Start::Earliest)
        .build()
        .await
        .unwrap();
    next(&mut consumer).await;
    consumer.commit().await.unwrap();
    assert_eq!(peer.committed().await, 1);
    consumer.shutdown(LONG).await.unwrap();
    assert_eq!(peer.committed().await, 1, "nothing is committed by itself");
}

#[tokio::test]
async fn an_administrator_sees_groups_and_sets_their_offsets_while_they_are_empty() {
    let peer = Peer::start().await;
    let admin = peer.client.admin();
    let mut consumer = peer.member().build().await.unwrap();
    has(&mut consumer, 4).await;
    let listed = admin.list_groups().await.unwrap();
    let listed = listed.iter().find(|it| it.id == peer.group).unwrap();
    assert_eq!(
        (listed.state, listed.protocol_type.as_str()),
        (GroupState::Stable, "consumer")
    );
    let described = admin.describe_groups([&peer.group]).await.unwrap();
    let described = described[&peer.group].as_ref().unwrap();
    assert_eq!(
        (described.state, described.assignor.as_str()),
        (GroupState::Stable, "range")
    );
    let member = &described.members[0];
    assert_eq!(
        member.member_id,
        consumer.group().unwrap().metadata().member_id
    );
    assert_eq!(
        member.assignment,
        consumer.assignment().into_iter().collect()
    );
    let offsets = [(
        peer.place(0),
        Committed {
            metadata: "by hand".to_owned(),
            ..3.into()
        },
    )];
    let refused = admin
        .alter_group_offsets(&peer.group, offsets.clone())
        .await
        .unwrap();
    let code = refused[&peer.place(0)].as_ref().unwrap_err().code();
    assert_eq!(code, Some(ErrorCode::UnknownMemberId));
    let refused = admin.delete_groups([&peer.group]).await.unwrap();
    let code = refused[&peer.group].as_ref().unwrap_err().code();
    assert_eq!(code, Some(ErrorCode::NonEmptyGroup));
    consumer.shutdown(LONG).await.unwrap();
    let altered = admin
        .alter_group_offsets(&peer.group, offsets.clone())
        .await
        .unwrap();
    altered[&peer.place(0)].as_ref().unwrap();
    let found = admin.group_offsets(&peer.group, None).await.unwrap();
    assert_eq!(
        found[&peer.place(0)].as_ref().unwrap().as_ref(),
        Some(&offsets[0].1)
    );
    let deleted = admin
        .delete_group_offsets(&peer.group, &[peer.place(0)].into())
        .await
        .unwrap();
    deleted[&peer.place(0)].as_ref().unwrap();
    let asked = [peer.place(0)].into();
    let found = admin
        .group_offsets(&peer.group, Some(&asked))
        .await
        .unwrap();
    assert_eq!(found[&peer.place(0)].as_ref().unwrap(), &None);
    // Without members and offsets there may be no group left.
    let gone = admin.delete_groups([&peer.group]).await.unwrap();
    let code = gone[&peer.group]
        .as_ref()
        .map_or_else(highwater::Error::code, |()| None);
    assert!(
        matches!(code, None | Some(ErrorCode::GroupIdNotFound)),
        "{gone:?}"
    );
    let described = admin.describe_groups([&peer.group]).await.unwrap();
    let code = described[&peer.group].as_ref().unwrap_err().code();
    assert_eq!(code, Some(ErrorCode::GroupIdNotFound));
}
