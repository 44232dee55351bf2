//! The client against our own engine, in this process; or, with `HIGHWATER_BOOTSTRAP=host:port`,
//! against any Kafka.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, missing_docs, unreachable_pub)]
#[path = "../examples/range_ingest.rs"]
mod range_ingest;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use highwater::admin::{AlterConfig, ConfigResource, ConfigSource, NewTopic, OffsetSpec};
use highwater::partitioner::{RangeMap, RangePartitioner, Rule};
use highwater::{Client, Codec, Compression, ErrorCode, Record, Start, TopicPartition, Written};
use highwater_engine::{Engine, Settings};
use tempfile::TempDir;

/// A cluster for one test.
struct Peer {
    bootstrap: String,
    engine: Option<(Engine, TempDir)>,
}

impl Peer {
    fn start() -> Self {
        if let Ok(bootstrap) = std::env::var("HIGHWATER_BOOTSTRAP") {
            return Self {
                bootstrap,
                engine: None,
            };
        }
        let dir = TempDir::new().unwrap();
        let engine = Engine::start(Settings::embedded(dir.path())).unwrap();
        Self {
            bootstrap: engine.local_addr().to_string(),
            engine: Some((engine, dir)),
        }
    }

    async fn client(&self) -> Client {
        Client::builder(&self.bootstrap).connect().await.unwrap()
    }
}

/// A name no other test, and no other run against the same cluster, uses.
fn topic_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!(
        "client-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

async fn topic(client: &Client, partitions: i32) -> String {
    let name = topic_name();
    let wanted = NewTopic::new(&name).partitions(partitions);
    let created = client.admin().create_topics([wanted]).await.unwrap();
    assert_eq!(created[&name].as_ref().unwrap().partitions, partitions);
    name
}

#[tokio::test]
async fn what_is_produced_in_any_codec_is_consumed_as_it_was() {
    let peer = Peer::start();
    let client = peer.client().await;
    for codec in Codec::ALL {
        let topic = topic(&client, 4).await;
        let producer = client.producer().compression(codec).build().await.unwrap();
        let mut acks = Vec::new();
        for number in 0..2000u32 {
            let key = number.to_be_bytes();
            let value = vec![b'v'; usize::try_from(number % 500).unwrap()];
            let record = Record::to(&topic).key(&key).value(&value).header("n", &key);
            acks.push(
                producer
                    .enqueue(record.timestamp_ms(i64::from(number)))
                    .await
                    .unwrap(),
            );
        }
        let mut placed = BTreeMap::new();
        for (number, ack) in (0u32..).zip(acks) {
            let metadata = ack.await.unwrap();
            placed.insert((metadata.partition, metadata.offset.unwrap()), number);
        }
        let consumer = client.consumer().assign_topic(&topic, Start::Earliest);
        let mut consumer = consumer.build().await.unwrap();
        while !placed.is_empty() {
            let batch = consumer.next_batch().await.unwrap().unwrap();
            assert_eq!(batch.codec(), codec);
            for record in &batch {
                let number = placed
                    .remove(&(batch.partition(), record.offset()))
                    .unwrap();
                assert_eq!(record.key(), Some(&number.to_be_bytes()[..]));
                assert_eq!(
                    record.value().unwrap().len(),
                    usize::try_from(number % 500).unwrap()
                );
                assert_eq!(record.timestamp_ms(), i64::from(number));
                let header = record.headers().next().unwrap();
                assert_eq!((header.key, header.value), (&b"n"[..], record.key()));
            }
        }
    }
}

#[tokio::test]
async fn many_records_at_once_are_where_their_acknowledgement_says() {
    let peer = Peer::start();
    let client = peer.client().await;
    let topic = topic(&client, 4).await;
    let producer = client.producer().build().await.unwrap();
    let keys: Vec<_> = (0..3000u32).map(u32::to_be_bytes).collect();
    let records = keys
        .iter()
        .map(|key| Record::to(&topic).key(key).value(key));
    let placed = producer.send_batch(records).await.unwrap();
    let places = placed.iter().map(|at| (at.partition, at.offset.unwrap()));
    let mut places: BTreeMap<_, _> = places.zip(&keys).collect();
    assert_eq!(places.len(), 3000);
    let consumer = client.consumer().assign_topic(&topic, Start::Earliest);
    let mut consumer = consumer.build().await.unwrap();
    while !places.is_empty() {
        let record = consumer.next().await.unwrap().unwrap();
        let key = places.remove(&(record.partition(), record.offset()));
        assert_eq!(record.key(), key.map(|key| &key[..]));
    }
    // What was just added is not known to the producer yet.
    let grown = client.admin().create_partitions([(&topic, 5)]).await;
    grown.unwrap()[&topic].as_ref().unwrap();
    let record = Record::to(&topic).partition(4).value("v");
    assert_eq!(producer.send(record).await.unwrap().offset, Some(0));
}

#[tokio::test]
async fn a_consumer_at_the_end_sees_what_comes() {
    let peer = Peer::start();
    let client = peer.client().await;
    let topic = topic(&client, 1).await;
    let producer = client.producer().build().await.unwrap();
    let mut consumer = client
        .consumer()
        .assign(&topic, 0, Start::Earliest)
        .fetch(1, Duration::from_secs(10))
        .build()
        .await
        .unwrap();
    for number in 0..20u32 {
        let placed = producer
            .send(Record::to(&topic).value(&number.to_be_bytes()))
            .await
            .unwrap();
        let record = consumer.next().await.unwrap().unwrap();
        assert_eq!(Some(record.offset()), placed.offset);
        assert_eq!(record.value(), Some(&number.to_be_bytes()[..]));
    }
}

#[tokio::test]
async fn a_topic_is_created_described_grown_and_deleted() {
    let peer = Peer::start();
    let client = peer.client().await;
    let admin = client.admin();
    let name = topic_name();
    let wanted = || {
        NewTopic::new(&name)
            .partitions(2)
            .config("retention.ms", "12345")
    };
    assert!(
        admin
            .create_topics([wanted()])
            .validate_only(true)
            .await
            .unwrap()[&name]
            .is_ok()
    );
    let missing = admin.describe_topics([&name]).await.unwrap();
    let missing = missing[&name].as_ref().unwrap_err();
    assert_eq!(missing.code(), Some(ErrorCode::UnknownTopicOrPartition));
    let created = admin.create_topics([wanted()]).await.unwrap();
    let id = created[&name].as_ref().unwrap().id;
    let again = admin.create_topics([wanted()]).await.unwrap();
    let again = again[&name].as_ref().unwrap_err();
    assert_eq!(again.code(), Some(ErrorCode::TopicAlreadyExists));
    let listed = admin.list_topics().await.unwrap();
    assert!(
        listed
            .iter()
            .any(|topic| topic.name == name && topic.partitions == 2)
    );
    let grown = admin.create_partitions([(&name, 5)]).await.unwrap();
    grown[&name].as_ref().unwrap();
    let described = admin.describe_topics([&name]).await.unwrap();
    let described = described[&name].as_ref().unwrap();
    assert_eq!((described.id, described.partitions.len()), (id, 5));
    let leader = described.partitions[4].leader.unwrap();
    let cluster = admin.describe_cluster().await.unwrap();
    assert!(cluster.brokers.iter().any(|broker| broker.id == leader));
    admin.delete_topics([&name]).await.unwrap()[&name]
        .as_ref()
        .unwrap();
    let gone = admin.delete_topics([&name]).await.unwrap();
    let gone = gone[&name].as_ref().unwrap_err();
    assert_eq!(gone.code(), Some(ErrorCode::UnknownTopicOrPartition));
}

#[tokio::test]
async fn configs_are_described_and_changed_one_by_one() {
    let peer = Peer::start();
    let client = peer.client().await;
    let admin = client.admin();
    let name = topic(&client, 1).await;
    let resource = ConfigResource::Topic(name.clone());
    let set = AlterConfig::Set("retention.ms".to_owned(), "777".to_owned());
    let changed = admin
        .incremental_alter_configs([(resource.clone(), vec![set])])
        .await
        .unwrap();
    changed[&resource].as_ref().unwrap();
    let wrong = AlterConfig::Set("retention.ms".to_owned(), "soon".to_owned());
    let refused = admin
        .incremental_alter_configs([(resource.clone(), vec![wrong])])
        .await
        .unwrap();
    let refused = refused[&resource].as_ref().unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::InvalidConfig));
    // Kafka's brokers hear of it a little after the answer.
    let mut seen = None;
    for _ in 0..1000 {
        let described = admin.describe_configs([resource.clone()]).await.unwrap();
        let entries = described[&resource].as_ref().unwrap();
        let entry = entries
            .iter()
            .find(|entry| entry.name == "retention.ms")
            .unwrap();
        seen = Some((entry.value.clone(), entry.source));
        if entry.source == ConfigSource::Topic {
            break;
        }
    }
    assert_eq!(seen, Some((Some("777".to_owned()), ConfigSource::Topic)));
    let broker = admin.describe_cluster().await.unwrap().brokers[0].id;
    let broker = ConfigResource::Broker(broker);
    let described = admin.describe_configs([broker.clone()]).await.unwrap();
    assert!(!described[&broker].as_ref().unwrap().is_empty());
}

#[tokio::test]
async fn offsets_are_listed_and_records_deleted() {
    let peer = Peer::start();
    let client = peer.client().await;
    let admin = client.admin();
    let name = topic(&client, 2).await;
    let producer = client.producer().build().await.unwrap();
    for number in 0..10i64 {
        let record = Record::to(&name)
            .partition(0)
            .value("v")
            .timestamp_ms(1000 + number);
        producer.send(record).await.unwrap();
    }
    let place = TopicPartition::new(name.as_str(), 0);
    let specs = [
        (OffsetSpec::Earliest, Some(0)),
        (OffsetSpec::Latest, Some(10)),
        (OffsetSpec::Timestamp(1004), Some(4)),
        (OffsetSpec::Timestamp(5000), None),
        (OffsetSpec::MaxTimestamp, Some(9)),
    ];
    for (spec, expected) in specs {
        let listed = admin.list_offsets([(place.clone(), spec)]).await.unwrap();
        assert_eq!(
            listed[&place].as_ref().unwrap().offset,
            expected,
            "{spec:?}"
        );
    }
    let nowhere = TopicPartition::new(name.as_str(), 9);
    let listed = admin
        .list_offsets([(nowhere.clone(), OffsetSpec::Latest)])
        .await
        .unwrap();
    let error = listed[&nowhere].as_ref().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UnknownTopicOrPartition));
    let deleted = admin
        .delete_records([(place.clone(), Some(6))])
        .await
        .unwrap();
    assert_eq!(deleted[&place].as_ref().unwrap(), &6);
    let listed = admin
        .list_offsets([(place.clone(), OffsetSpec::Earliest)])
        .await
        .unwrap();
    assert_eq!(listed[&place].as_ref().unwrap().offset, Some(6));
    let mut consumer = client
        .consumer()
        .assign(&name, 0, Start::Offset(2))
        .offset_reset(highwater::OffsetReset::Earliest)
        .build()
        .await
        .unwrap();
    assert_eq!(consumer.next().await.unwrap().unwrap().offset(), 6);
}

#[tokio::test]
async fn a_batch_beyond_max_message_bytes_is_split_and_a_record_beyond_it_refused() {
    let peer = Peer::start();
    let client = peer.client().await;
    let name = topic_name();
    let wanted = NewTopic::new(&name)
        .partitions(1)
        .config("max.message.bytes", "2000");
    client.admin().create_topics([wanted]).await.unwrap()[&name]
        .as_ref()
        .unwrap();
    let producer = client
        .producer()
        .linger(Duration::from_secs(60))
        .build()
        .await
        .unwrap();
    let mut acks = Vec::new();
    for number in 0..50u32 {
        let mut value = vec![0; 200];
        value[..4].copy_from_slice(&number.to_be_bytes());
        acks.push(
            producer
                .enqueue(Record::to(&name).value(&value))
                .await
                .unwrap(),
        );
    }
    producer.flush().await;
    for (number, ack) in (0i64..).zip(acks) {
        assert_eq!(ack.await.unwrap().offset, Some(number));
    }
    let big = producer
        .enqueue(Record::to(&name).value(&[0; 3000]))
        .await
        .unwrap();
    producer.flush().await;
    let error = big.await.unwrap_err();
    assert_eq!(error.kind(), &highwater::ErrorKind::RecordTooLarge);
    assert_eq!(error.possibly_written(), Written::No);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_broker_costs_neither_records_nor_order() {
    let mut peer = Peer::start();
    // Somebody else's cluster is not ours to restart.
    let Some((engine, dir)) = peer.engine.take() else {
        return;
    };
    let address = engine.local_addr();
    let client = peer.client().await;
    let name = topic(&client, 3).await;
    let producer = client
        .producer()
        .compression(Compression::of(Codec::Lz4))
        .build();
    let producer = producer.await.unwrap();
    let sender = {
        let (producer, name) = (producer.clone(), name.clone());
        tokio::spawn(async move {
            let mut acks = Vec::new();
            for number in 0..6000u32 {
                let partition = i32::try_from(number % 3).unwrap();
                let value = number.to_be_bytes();
                let record = Record::to(&name).partition(partition).value(&value);
                acks.push(producer.enqueue(record).await.unwrap());
                if number % 100 == 99 {
                    acks.last().unwrap().clone().await.unwrap();
                }
            }
            for ack in acks {
                ack.await.unwrap();
            }
        })
    };
    // Some are there, most are not.
    let mut consumer = client
        .consumer()
        .assign(&name, 0, Start::Earliest)
        .build()
        .await
        .unwrap();
    consumer.next().await.unwrap().unwrap();
    engine.shutdown().unwrap();
    let engine = restart(&dir, address);
    sender.await.unwrap();
    let consumer = client.consumer().assign_topic(&name, Start::Earliest);
    let mut consumer = consumer.build().await.unwrap();
    let mut next = [0u32, 1, 2];
    for _ in 0..6000 {
        let record = consumer.next().await.unwrap().unwrap();
        let place = usize::try_from(record.partition()).unwrap();
        assert_eq!(record.value(), Some(&next[place].to_be_bytes()[..]));
        next[place] += 3;
    }
    assert_eq!(next, [6000, 6001, 6002]);
    drop(engine);
}

fn restart(dir: &TempDir, address: std::net::SocketAddr) -> Engine {
    let mut settings = Settings::embedded(dir.path());
    settings.listeners[0].address.port = address.port();
    Engine::start(settings).unwrap()
}

/// Where records go that are sent one after the other, each in a batch of its own.
async fn places(client: &Client, rule: Rule, topic: &str, records: usize) -> Vec<i32> {
    let producer = client.producer().partitioner(rule).build().await.unwrap();
    let mut places = Vec::new();
    for _ in 0..records {
        let sent = producer.send(Record::to(topic).value("v")).await.unwrap();
        places.push(sent.partition);
    }
    places
}

#[tokio::test]
async fn records_without_key_are_spread_as_the_rule_says() {
    let peer = Peer::start();
    let client = peer.client().await;
    let topic = topic(&client, 4).await;
    let sticky = places(&client, Rule::Sticky, &topic, 20).await;
    assert!(
        sticky.windows(2).all(|pair| pair[0] != pair[1]),
        "a batch that had left was followed by one of the same partition: {sticky:?}"
    );
    let in_turn = places(&client, Rule::RoundRobin, &topic, 8).await;
    assert_eq!(in_turn, [0, 1, 2, 3, 0, 1, 2, 3]);
    for rule in [Rule::Random, Rule::LeastBackup, Rule::SaramaHash] {
        let mut places = places(&client, rule, &topic, 60).await;
        places.sort_unstable();
        places.dedup();
        assert_eq!(places, [0, 1, 2, 3], "{rule}");
    }
    let adaptive = places(&client, Rule::Java, &topic, 20).await;
    assert!(
        adaptive.iter().all(|place| *place == adaptive[0]),
        "less than a batch's worth moved on: {adaptive:?}"
    );
    let manual = client
        .producer()
        .partitioner(Rule::Manual)
        .build()
        .await
        .unwrap();
    let refused = manual
        .send(Record::to(&topic).value("v"))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("names no partition"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_batch_stays_together_with_the_batchwise_rules() {
    let peer = Peer::start();
    let client = peer.client().await;
    let topic = topic(&client, 4).await;
    for rule in [Rule::Sticky, Rule::LeastBackup] {
        let linger = Duration::from_secs(3600);
        let producer = client
            .producer()
            .partitioner(rule)
            .linger(linger)
            .build()
            .await
            .unwrap();
        let mut acks = Vec::new();
        for _ in 0..50 {
            acks.push(
                producer
                    .enqueue(Record::to(&topic).value("v"))
                    .await
                    .unwrap(),
            );
        }
        producer.flush().await;
        let mut places = Vec::new();
        for ack in acks {
            places.push(ack.await.unwrap().partition);
        }
        assert!(
            places.iter().all(|place| *place == places[0]),
            "{rule}: {places:?}"
        );
    }
}

#[tokio::test]
async fn keys_go_to_the_partition_that_owns_their_range() {
    let peer = Peer::start();
    let client = peer.client().await;
    let topic = topic(&client, 3).await;
    let ranges = std::sync::Arc::new(RangePartitioner::new(
        RangeMap::new([*b"g", *b"p"]).unwrap(),
    ));
    let producer = client
        .producer()
        .shared_partitioner(ranges.clone())
        .build()
        .await
        .unwrap();
    for (key, partition) in [("apple", 0), ("g", 1), ("orange", 1), ("pear", 2)] {
        let sent = producer
            .send(Record::to(&topic).key(key).value("v"))
            .await
            .unwrap();
        assert_eq!(sent.partition, partition, "{key}");
    }
    let refused = producer
        .send(Record::to(&topic).value("v"))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("record has no key"),
        "{refused}"
    );
    assert_eq!(ranges.interval_bytes(), [6, 9, 5]);
}

#[tokio::test]
async fn the_range_ingest_gives_half_of_a_full_range_to_a_new_partition() {
    let peer = Peer::start();
    // Its topic has one name, which others may have taken on a cluster that is not ours.
    if peer.engine.is_none() {
        return;
    }
    let client = peer.client().await;
    let wanted = NewTopic::new("readings").partitions(4);
    let created = client.admin().create_topics([wanted]).await.unwrap();
    created["readings"].as_ref().unwrap();
    let ingested = range_ingest::run(&peer.bootstrap, 20_000).await.unwrap();
    assert_eq!(ingested.readings.values().sum::<u32>(), 20_000);
    assert!(ingested.skew.unwrap() > 1.5);
    assert_eq!(ingested.map_version, 2);
    // The new partition holds that half of the street, and nothing else does from then on.
    let consumer = client.consumer().assign_topic("readings", Start::Earliest);
    let mut consumer = consumer.build().await.unwrap();
    let mut moved = 0;
    for _ in 0..20_000 {
        let record = consumer.next().await.unwrap().unwrap();
        let key = record.key().unwrap();
        let is_there = record.partition() == 4;
        moved += u32::from(is_there);
        assert!(!is_there || (key >= &b"meter-0100-0500"[..] && key < &b"meter-0101"[..]));
    }
    assert_eq!(moved, ingested.readings[&4]);
    assert!(moved > 1000, "{moved}");
}
