//! A cluster with a topic and a group, members that keep a diary, and what must hold of a group's diary.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use highwater::admin::NewTopic;
use highwater::{
    Client, Consumer, ConsumerBuilder, ConsumerRecord, GroupProtocol, OffsetReset, Rebalance,
    Record, TopicPartition,
};
use tokio::time::timeout;

use crate::host::{Host, unique};

/// Far longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A cluster for one test, with a topic of four partitions and a group.
pub(crate) struct Peer {
    pub(crate) client: Client,
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) host: Host,
}

impl Peer {
    pub(crate) async fn start() -> Self {
        let host = Host::start(&[
            ("group.min.session.timeout.ms", "500"),
            ("group.consumer.min.heartbeat.interval.ms", "20"),
            ("group.consumer.heartbeat.interval.ms", "50"),
            ("group.consumer.min.session.timeout.ms", "500"),
            ("group.consumer.session.timeout.ms", "6000"),
            ("offsets.topic.num.partitions", "3"),
        ]);
        let name = unique("group");
        // Asking about a topic that was deleted must not make it again.
        let client = Client::builder(host.bootstrap())
            .configure(|config| config.auto_create_topics = false)
            .connect()
            .await
            .unwrap();
        let topic = NewTopic::new(&name).partitions(4);
        client.admin().create_topics([topic]).await.unwrap()[&name]
            .as_ref()
            .unwrap();
        Self {
            client,
            group: format!("g-{name}"),
            topic: name,
            host,
        }
    }

    /// Where to reach it.
    pub(crate) fn bootstrap(&self) -> String {
        self.host.bootstrap().to_owned()
    }

    /// Puts so many numbered records into the topic, evenly.
    pub(crate) async fn produce(&self, numbers: std::ops::Range<u32>) {
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

    /// A member by the classic protocol.
    pub(crate) fn member(&self) -> ConsumerBuilder {
        self.any_member().configure(|config| {
            config.group.protocol = GroupProtocol::Classic;
            config.group.heartbeat_interval = Duration::from_millis(50);
            config.group.session_timeout = Duration::from_secs(6);
        })
    }

    /// A member by the consumer protocol (KIP-848).
    pub(crate) fn consumer_member(&self) -> ConsumerBuilder {
        self.any_member()
            .configure(|config| config.group.protocol = GroupProtocol::Consumer)
    }

    /// A member by whichever protocol there is.
    pub(crate) fn any_member(&self) -> ConsumerBuilder {
        let builder = self
            .client
            .consumer()
            .group(&self.group)
            .subscribe([&self.topic]);
        builder
            .offset_reset(OffsetReset::Earliest)
            .auto_commit(Some(Duration::from_secs(5)))
    }

    pub(crate) fn place(&self, partition: i32) -> TopicPartition {
        TopicPartition::new(self.topic.as_str(), partition)
    }

    /// What the group has committed, over all partitions.
    pub(crate) async fn committed(&self) -> i64 {
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

pub(crate) fn number(record: &ConsumerRecord) -> u32 {
    u32::from_be_bytes(record.value().unwrap().try_into().unwrap())
}

pub(crate) async fn next(consumer: &mut Consumer) -> ConsumerRecord {
    timeout(LONG, consumer.next())
        .await
        .expect("a record comes")
        .unwrap()
        .unwrap()
}

/// Asks for records, of which there are none, until the consumer has so many partitions.
pub(crate) async fn has(consumer: &mut Consumer, partitions: usize) {
    have([consumer], partitions).await;
}

/// The same for several: all of them ask until each has its part, because who does not ask does not let go either.
pub(crate) async fn have<const N: usize>(mut consumers: [&mut Consumer; N], partitions: usize) {
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
pub(crate) enum Happened {
    Record(TopicPartition, u32),
    Changed(Rebalance),
}

pub(crate) type Diary = Arc<Mutex<Vec<(usize, Happened)>>>;

/// A member that commits what it lets go, and keeps a diary.
pub(crate) async fn diarist(builder: ConsumerBuilder, index: usize, diary: &Diary) -> Consumer {
    let listener = Arc::clone(diary);
    let builder = builder.auto_commit(None);
    let builder = builder.on_rebalance(move |rebalance, group| {
        let diary = Arc::clone(&listener);
        async move {
            if let Rebalance::Revoked(positions) = &rebalance {
                let read = positions
                    .iter()
                    .filter_map(|(place, at)| Some((place.clone(), (*at)?)));
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
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
pub(crate) async fn read(
    mut consumer: Consumer,
    index: usize,
    diary: Diary,
    done: impl Fn(&[(usize, Happened)]) -> bool,
) -> Consumer {
    while !done(&diary.lock().unwrap()) {
        // Given up again and again: that must lose nothing, not even in the middle of letting go.
        if let Ok(record) = timeout(Duration::from_millis(2), consumer.next()).await {
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

pub(crate) fn records(diary: &[(usize, Happened)]) -> usize {
    diary
        .iter()
        .filter(|(_, it)| matches!(it, Happened::Record(..)))
        .count()
}

pub(crate) async fn a_group_that_grows_and_shrinks(member: impl Fn(&Peer) -> ConsumerBuilder) {
    let peer = Peer::start().await;
    peer.produce(0..400).await;
    let diary = Diary::default();
    let first = diarist(member(&peer), 1, &diary).await;
    let first = read(first, 1, Arc::clone(&diary), |diary| records(diary) == 100).await;
    let second = diarist(member(&peer), 2, &diary).await;
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
