//! A consumer whose fetches go wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use highwater::testing::{ApiKey, Fault};
use highwater::{Consumer, ErrorCode, ErrorKind, OffsetReset, Start, TopicPartition};
use tokio::time::timeout;

use crate::peer::{FAULTS, LONG, Peer, fill, number};

/// Reads so many records; errors that a consumer goes on behind are given to `told`. A corrupt batch is asked for again: the
/// bytes may have been flipped on the way.
async fn read(
    consumer: &mut Consumer,
    count: usize,
    mut told: impl FnMut(highwater::Error),
) -> BTreeMap<i32, Vec<u32>> {
    let mut values: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
    let mut left = count;
    while left > 0 {
        match timeout(LONG, consumer.next()).await.expect("it goes on") {
            Ok(record) => {
                let record = record.unwrap();
                let of = values.entry(record.partition()).or_default();
                of.push(number(record.value().unwrap()));
                left -= 1;
            }
            Err(error) => {
                if *error.kind() == ErrorKind::Corrupt {
                    let place = error.topic_partition().unwrap();
                    let offset = error.offset().unwrap();
                    consumer.seek(place, Start::Offset(offset)).unwrap();
                }
                told(error);
            }
        }
    }
    values
}

#[tokio::test]
async fn a_consumer_reads_every_record_once_and_in_order_whatever_happens_to_its_fetches() {
    let peer = Peer::start().await;
    let topic = peer.topic(3).await;
    fill(&peer.direct().await, &topic, 0..300).await;
    let written = peer.values(&topic).await;
    let refusals = [
        Fault::Refuse(ErrorCode::NotLeaderOrFollower),
        Fault::Refuse(ErrorCode::FetchSessionIdNotFound),
        Fault::Refuse(ErrorCode::InvalidFetchSessionEpoch),
        Fault::Refuse(ErrorCode::UnknownTopicOrPartition),
    ];
    let client = peer.client().await;
    for fault in FAULTS.into_iter().chain(refusals) {
        // An answer that may take as long as a fetch waits is not late before then.
        let consumer = client
            .consumer()
            .assign_topic(&topic, Start::Earliest)
            .fetch(1, Duration::from_millis(100))
            .configure(|config| config.partition_fetch_bytes_max = 300);
        let mut consumer = consumer.build().await.unwrap();
        let rule = peer.fail(ApiKey::Fetch, fault).after(1).times(2);
        let mut corrupt = 0;
        let values = read(&mut consumer, 300, |error| {
            assert_eq!(error.kind(), &ErrorKind::Corrupt, "{fault:?}: {error}");
            assert_eq!(&*error.topic_partition().unwrap().topic, topic);
            assert!(error.offset().is_some());
            corrupt += 1;
        })
        .await;
        assert_eq!(values, written, "{fault:?}");
        assert_eq!(rule.struck(), 2, "{fault:?}");
        assert!(corrupt == 0 || fault == Fault::CorruptBatch, "{fault:?}");
    }
}

#[tokio::test]
async fn a_corrupt_batch_is_reported_with_its_place_and_passed_over_by_choice() {
    let peer = Peer::start().await;
    let topic = peer.topic(1).await;
    fill(&peer.direct().await, &topic, 0..100).await;
    let client = peer.client().await;
    let rule = peer.fail(ApiKey::Fetch, Fault::CorruptBatch).always();
    let consumer = client.consumer().assign(&topic, 0, Start::Earliest);
    let mut consumer = consumer.build().await.unwrap();
    let place = TopicPartition::new(topic.as_str(), 0);
    for _ in 0..2 {
        let error = timeout(LONG, consumer.next()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Corrupt, "{error}");
        let at = (error.topic_partition(), error.offset());
        assert_eq!(at, (Some(&place), Some(0)), "{error}");
    }
    consumer.seek(&place, Start::Offset(60)).unwrap();
    rule.stop();
    // What was fetched ahead of the choice may be corrupt as well.
    let mut values = read(&mut consumer, 40, |error| {
        assert_eq!(error.kind(), &ErrorKind::Corrupt, "{error}");
    })
    .await;
    assert_eq!(values.remove(&0).unwrap(), (60..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_consumer_outlives_connections_and_brokers() {
    let mut peer = Peer::start().await;
    let topic = peer.topic(3).await;
    let direct = peer.direct().await;
    fill(&direct, &topic, 0..90).await;
    let client = peer.client().await;
    let consumer = client
        .consumer()
        .assign_topic(&topic, Start::Earliest)
        .fetch(1, Duration::from_millis(100));
    let mut consumer = consumer.build().await.unwrap();
    let none = |error: highwater::Error| panic!("{error}");
    let mut values = read(&mut consumer, 90, none).await;
    for round in 0..6u32 {
        match round % 3 {
            0 => peer.cut(),
            1 => {
                peer.down().await;
                peer.up().await;
            }
            _ => peer.restart().await,
        }
        let from = 90 + round * 30;
        fill(&peer.direct().await, &topic, from..from + 30).await;
        for (partition, more) in read(&mut consumer, 30, none).await {
            values.entry(partition).or_default().extend(more);
        }
    }
    assert_eq!(values, peer.values(&topic).await);
}

#[tokio::test]
async fn a_consumer_finds_the_broker_that_took_anothers_place() {
    let peer = Peer::start().await;
    let topic = peer.topic(3).await;
    let direct = peer.direct().await;
    fill(&direct, &topic, 0..30).await;
    let client = peer.client().await;
    let consumer = client
        .consumer()
        .assign_topic(&topic, Start::Earliest)
        .fetch(1, Duration::from_millis(100));
    let mut consumer = consumer.build().await.unwrap();
    let none = |error: highwater::Error| panic!("{error}");
    read(&mut consumer, 30, none).await;
    for broker in client.admin().describe_cluster().await.unwrap().brokers {
        peer.replace_broker(broker.id, broker.id + 50).await;
    }
    fill(&direct, &topic, 30..60).await;
    let mut values: Vec<_> = read(&mut consumer, 30, none)
        .await
        .into_values()
        .flatten()
        .collect();
    values.sort_unstable();
    assert_eq!(values, (30..60).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_consumer_without_memory_for_more_asks_for_no_more_and_misses_nothing() {
    let peer = Peer::start().await;
    let topic = peer.topic(2).await;
    fill(&peer.direct().await, &topic, 0..400).await;
    let client = peer.client().await;
    let consumer = client
        .consumer()
        .assign_topic(&topic, Start::Earliest)
        .buffer_bytes(1)
        .configure(|config| config.partition_fetch_bytes_max = 100);
    let mut consumer = consumer.build().await.unwrap();
    let rule = peer.fail(ApiKey::Fetch, Fault::DisconnectAfter).after(3);
    let none = |error: highwater::Error| panic!("{error}");
    let values = read(&mut consumer, 400, none).await;
    assert_eq!(values, peer.values(&topic).await);
    assert_eq!(rule.struck(), 1);
}

#[tokio::test]
async fn a_reset_that_fails_is_told_and_tried_again() {
    let peer = Peer::start().await;
    let topic = peer.topic(1).await;
    fill(&peer.direct().await, &topic, 0..10).await;
    let client = peer.client().await;
    for fault in [
        Fault::DisconnectAfter,
        Fault::Drop,
        Fault::Refuse(ErrorCode::NotLeaderOrFollower),
    ] {
        let rule = peer.fail(ApiKey::ListOffsets, fault).times(2);
        let consumer = client
            .consumer()
            .assign(&topic, 0, Start::Offset(1_000_000))
            .offset_reset(OffsetReset::Earliest);
        let mut consumer = consumer.build().await.unwrap();
        let values = read(&mut consumer, 10, |error| {
            assert!(error.is_retriable(), "{fault:?}: {error}");
        })
        .await;
        assert_eq!(values[&0].len(), 10, "{fault:?}");
        assert_eq!(rule.struck(), 2, "{fault:?}");
    }
}
