//! Topics that are deleted and made again, or grow, under clients that do not know of it.

use std::collections::BTreeSet;
use std::time::Duration;

use highwater::testing::{ApiKey, Fault};
use highwater::{ErrorCode, OffsetReset, Record, Start};
use tokio::time::timeout;

use crate::peer::{LONG, Peer, create, fill, number};

async fn make_again(peer: &Peer, topic: &str, partitions: i32) {
    let direct = peer.direct().await;
    let deleted = direct.admin().delete_topics([topic]).await.unwrap();
    deleted[topic].as_ref().unwrap();
    // Kafka's brokers hear of it one after the other.
    loop {
        let described = direct.admin().describe_topics([topic]).await.unwrap();
        match &described[topic] {
            Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => break,
            _ => {}
        }
    }
    create(&peer.direct().await, topic, partitions).await;
}

#[tokio::test]
async fn a_producer_goes_on_in_a_topic_that_was_deleted_and_made_again() {
    let peer = Peer::start().await;
    let topic = peer.topic(1).await;
    let client = peer.client().await;
    let producer = client.producer().build().await.unwrap();
    let send = |number: u32| {
        let (producer, topic) = (producer.clone(), topic.clone());
        let sent = async move {
            let value = number.to_be_bytes();
            producer.send(Record::to(&topic).value(&value)).await
        };
        timeout(LONG, sent)
    };
    for number in 0..3 {
        send(number).await.unwrap().unwrap();
    }
    make_again(&peer, &topic, 1).await;
    for number in 3..6 {
        let placed = send(number).await.expect("it ends").unwrap();
        assert_eq!(placed.offset, Some(i64::from(number) - 3));
    }
    assert_eq!(peer.values(&topic).await[&0], [3, 4, 5]);
}

#[tokio::test]
async fn a_consumer_goes_on_in_a_topic_that_was_deleted_and_made_again() {
    let peer = Peer::start().await;
    let topic = peer.topic(1).await;
    fill(&peer.direct().await, &topic, 0..50).await;
    let client = peer.client().await;
    let consumer = client
        .consumer()
        .assign(&topic, 0, Start::Earliest)
        .offset_reset(OffsetReset::Earliest)
        .fetch(1, Duration::from_millis(100));
    let mut consumer = consumer.build().await.unwrap();
    for _ in 0..50 {
        timeout(LONG, consumer.next()).await.unwrap().unwrap();
    }
    make_again(&peer, &topic, 1).await;
    fill(&peer.direct().await, &topic, 100..110).await;
    let mut read = Vec::new();
    while read.len() < 10 {
        // Meanwhile it may be told that the topic is gone.
        if let Ok(record) = timeout(LONG, consumer.next()).await.expect("it goes on") {
            read.push(number(record.unwrap().value().unwrap()));
        }
    }
    assert_eq!(read, (100..110).collect::<Vec<_>>());
}

#[tokio::test]
async fn added_partitions_are_found_by_those_who_write_and_those_who_read() {
    let peer = Peer::start().await;
    let topic = peer.topic(1).await;
    let client = peer.builder().configure(|config| {
        config.metadata_age_max = Duration::from_millis(50);
    });
    let client = client.connect().await.unwrap();
    let producer = client
        .producer()
        .partitioner(highwater::Rule::RoundRobin)
        .build();
    let producer = producer.await.unwrap();
    let group = format!("g-{topic}");
    let consumer = client.consumer().group(&group).subscribe([&topic]);
    let consumer = consumer
        .offset_reset(OffsetReset::Earliest)
        .configure(|config| config.group.heartbeat_interval = Duration::from_millis(50));
    let mut consumer = consumer.build().await.unwrap();
    producer.send(Record::to(&topic).value("v")).await.unwrap();
    timeout(LONG, consumer.next()).await.unwrap().unwrap();
    let grown = peer
        .direct()
        .await
        .admin()
        .create_partitions([(&topic, 4)])
        .await;
    grown.unwrap()[&topic].as_ref().unwrap();
    let mut written = BTreeSet::new();
    let mut read = BTreeSet::new();
    let all = async {
        while written.len() < 4 || read.len() < 4 {
            let placed = producer.send(Record::to(&topic).value("v")).await.unwrap();
            written.insert(placed.partition);
            let next = timeout(Duration::from_millis(50), consumer.next()).await;
            if let Ok(record) = next {
                read.insert(record.unwrap().unwrap().partition());
            }
        }
    };
    timeout(LONG, all).await.expect("all partitions are found");
}

#[tokio::test]
async fn stale_metadata_is_asked_for_again_until_it_is_right() {
    let peer = Peer::start().await;
    let topic = peer.topic(1).await;
    let client = peer.client().await;
    let unknown = Fault::Refuse(ErrorCode::UnknownTopicOrPartition);
    let stale = peer.fail(ApiKey::Metadata, unknown).times(2);
    let leaderless = Fault::Refuse(ErrorCode::LeaderNotAvailable);
    let electing = peer.fail(ApiKey::Metadata, leaderless).times(2);
    let cut = peer.fail(ApiKey::Metadata, Fault::Cut);
    let silent = peer.fail(ApiKey::Metadata, Fault::Drop);
    let producer = client.producer().build().await.unwrap();
    let placed = timeout(LONG, producer.send(Record::to(&topic).value("v"))).await;
    assert_eq!(placed.expect("it ends").unwrap().offset, Some(0));
    let struck = [&stale, &electing, &cut, &silent].map(|rule| rule.struck());
    assert_eq!(struck, [2, 2, 1, 1]);
}
