//! A producer whose requests go wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use highwater::testing::{ApiKey, Fault};
use highwater::{Acks, ErrorCode, ErrorKind, Producer, Record, TryEnqueueError, Written};
use tokio::time::{Instant, timeout};

use crate::peer::{FAULTS, LONG, Peer, SLACK};

/// Sends these numbers to the partitions of a topic in turn, a batch of each at a time, and waits until all are acknowledged.
async fn send(producer: &Producer, topic: &str, numbers: std::ops::Range<u32>) {
    let mut acks = Vec::new();
    for number in numbers {
        let partition = i32::try_from(number % 3).unwrap();
        let value = number.to_be_bytes();
        let record = Record::to(topic).partition(partition).value(&value);
        acks.push(producer.enqueue(record).await.unwrap());
    }
    for ack in acks {
        let acked = timeout(LONG, ack).await.expect("it ends");
        assert!(acked.unwrap().offset.is_some());
    }
}

/// What `send` left behind.
fn in_turn(numbers: std::ops::Range<u32>) -> BTreeMap<i32, Vec<u32>> {
    let mut values: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
    for number in numbers {
        let partition = i32::try_from(number % 3).unwrap();
        values.entry(partition).or_default().push(number);
    }
    values
}

#[tokio::test]
async fn an_idempotent_producer_writes_every_record_once_and_in_order_whatever_happens_to_its_requests()
 {
    let peer = Peer::start().await;
    let topic = peer.topic(3).await;
    let client = peer.client().await;
    let producer = client.producer().batch_bytes(100).build().await.unwrap();
    let refusals = [
        Fault::Refuse(ErrorCode::NotLeaderOrFollower),
        Fault::Refuse(ErrorCode::NotEnoughReplicas),
        Fault::Refuse(ErrorCode::UnknownTopicOrPartition),
        Fault::RefuseAfter(ErrorCode::RequestTimedOut),
        Fault::RefuseAfter(ErrorCode::NotEnoughReplicasAfterAppend),
    ];
    let mut from = 0;
    for fault in FAULTS.into_iter().chain(refusals) {
        // Not the first, and two in a row: of those in flight some pass and some do not.
        let rule = peer.fail(ApiKey::Produce, fault).after(1).times(2);
        send(&producer, &topic, from..from + 90).await;
        from += 90;
        assert_eq!(rule.struck(), 2, "{fault:?}");
    }
    assert_eq!(peer.values(&topic).await, in_turn(0..from));
}

#[tokio::test]
async fn an_idempotent_producer_outlives_connections_and_brokers() {
    let mut peer = Peer::start().await;
    let topic = peer.topic(3).await;
    let client = peer.client().await;
    let producer = client.producer().batch_bytes(100).build().await.unwrap();
    send(&producer, &topic, 0..30).await;
    for round in 0..6u32 {
        let from = 30 + round * 300;
        let under_way = {
            let (producer, topic) = (producer.clone(), topic.clone());
            tokio::spawn(async move { send(&producer, &topic, from..from + 300).await })
        };
        peer.requested(ApiKey::Produce, peer.requests(ApiKey::Produce) + 1)
            .await;
        match round % 3 {
            0 => peer.cut(),
            1 => {
                peer.down().await;
                peer.up().await;
            }
            _ => peer.restart().await,
        }
        under_way.await.unwrap();
    }
    assert_eq!(peer.values(&topic).await, in_turn(0..1830));
}

#[tokio::test]
async fn a_producer_finds_the_broker_that_took_anothers_place() {
    let peer = Peer::start().await;
    let topic = peer.topic(3).await;
    let client = peer.client().await;
    let producer = client.producer().build().await.unwrap();
    send(&producer, &topic, 0..30).await;
    let brokers = client.admin().describe_cluster().await.unwrap().brokers;
    for broker in brokers {
        peer.replace_broker(broker.id, broker.id + 50).await;
    }
    send(&producer, &topic, 30..60).await;
    assert_eq!(peer.values(&topic).await, in_turn(0..60));
}

#[tokio::test]
async fn a_record_that_cannot_be_delivered_is_given_up_at_its_deadline() {
    let peer = Peer::start().await;
    let topic = peer.topic(1).await;
    let client = peer.client().await;
    let within = Duration::from_secs(1);
    let producer = client
        .producer()
        .configure(|config| config.delivery_timeout = within)
        .build();
    let producer = producer.await.unwrap();
    let send = || producer.send(Record::to(&topic).value("v"));
    timeout(LONG, send()).await.unwrap().unwrap();

    // Silent: the request may have arrived.
    peer.pause();
    let error = timeout(within + SLACK, send()).await.expect("it ends");
    let error = error.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Timeout, "{error}");
    assert_eq!(error.possibly_written(), Written::Maybe, "{error}");
    peer.resume();

    // Gone: a record that never left was never written.
    timeout(LONG, send()).await.unwrap().unwrap();
    peer.down().await;
    let error = timeout(within + SLACK, send()).await.expect("it ends");
    let error = error.unwrap_err();
    assert!(error.is_retriable(), "{error}");
    peer.up().await;

    // Always refused, for a reason that may pass.
    let refused = Fault::Refuse(ErrorCode::NotEnoughReplicas);
    let rule = peer.fail(ApiKey::Produce, refused).always();
    let error = timeout(within + SLACK, send()).await.expect("it ends");
    assert!(error.unwrap_err().is_retriable());
    assert!(rule.struck() > 1, "it was tried more than once");
    rule.stop();
    timeout(LONG, send()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_refusal_for_good_is_told_at_once_and_says_that_nothing_was_written() {
    let peer = Peer::start().await;
    let topic = peer.topic(1).await;
    let producer = peer.client().await.producer().build().await.unwrap();
    for code in [
        ErrorCode::TopicAuthorizationFailed,
        ErrorCode::InvalidRecord,
        ErrorCode::InvalidRequiredAcks,
    ] {
        let _ = peer.fail(ApiKey::Produce, Fault::Refuse(code));
        let send = producer.send(Record::to(&topic).value("v"));
        let error = timeout(LONG, send).await.unwrap().unwrap_err();
        assert_eq!(error.code(), Some(code));
        assert_eq!(error.possibly_written(), Written::No, "{error}");
        assert!(!error.is_retriable());
    }
    let send = producer.send(Record::to(&topic).value("v"));
    assert_eq!(timeout(LONG, send).await.unwrap().unwrap().offset, Some(0));
}

#[tokio::test]
async fn memory_that_is_used_up_holds_callers_back_and_is_given_back() {
    let peer = Peer::start().await;
    let topic = peer.topic(1).await;
    let client = peer.client().await;
    let producer = client
        .producer()
        .configure(|config| {
            config.batch_bytes = 16 << 10;
            config.request_bytes_max = 16 << 10;
            config.buffer_bytes = 64 << 10;
            config.block_max = Duration::from_millis(300);
        })
        .build();
    let producer = producer.await.unwrap();
    let record = |value| Record::to(&topic).value(value);
    let value = vec![1; 8 << 10];
    timeout(LONG, producer.send(record(&value)))
        .await
        .unwrap()
        .unwrap();
    peer.pause();
    let mut acks = Vec::new();
    let full = loop {
        match producer.try_enqueue(record(&value)) {
            Ok(ack) => acks.push(ack),
            Err(full) => break full,
        }
        assert!(acks.len() < 100, "there is a bound");
    };
    let TryEnqueueError::Full(back) = full else {
        panic!("{full:?}")
    };
    drop(back);
    let waited = Instant::now();
    let error = timeout(SLACK, producer.enqueue(record(&value))).await;
    let error = error.expect("it ends").unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Buffer),
        "{error}"
    );
    assert!(waited.elapsed() >= Duration::from_millis(300));
    assert_eq!(error.possibly_written(), Written::No);
    peer.resume();
    let written = acks.len() + 2;
    for ack in acks {
        timeout(LONG, ack).await.unwrap().unwrap();
    }
    let sent = timeout(LONG, producer.send(record(&value))).await;
    assert_eq!(
        sent.unwrap().unwrap().offset,
        Some(i64::try_from(written).unwrap() - 1)
    );
}

#[tokio::test]
async fn a_producer_without_acks_goes_on_over_connections_that_break() {
    let peer = Peer::start().await;
    let topic = peer.topic(1).await;
    let client = peer.client().await;
    let producer = client.producer().acks(Acks::None).build().await.unwrap();
    let send = |number: u32| {
        let (producer, topic) = (producer.clone(), topic.clone());
        let sent = async move {
            let value = number.to_be_bytes();
            producer.send(Record::to(&topic).value(&value)).await
        };
        timeout(LONG, sent)
    };
    assert_eq!(send(0).await.unwrap().unwrap().offset, None);
    let lost = peer.fail(ApiKey::Produce, Fault::Lose);
    send(1).await.unwrap().unwrap();
    lost.hit(1).await;
    let _ = peer.fail(ApiKey::Produce, Fault::DisconnectBefore);
    // The bytes were handed over; nobody can tell what became of them.
    let _ = send(2).await.unwrap();
    let mut number = 3;
    while peer
        .values(&topic)
        .await
        .get(&0)
        .is_none_or(|it| it.len() < 2)
    {
        let _ = send(number).await.unwrap();
        number += 1;
    }
    let values = peer.values(&topic).await.remove(&0).unwrap();
    assert!(!values.contains(&1) && !values.contains(&2), "{values:?}");
    assert!(values.is_sorted_by(|a, b| a < b), "{values:?}");
}
