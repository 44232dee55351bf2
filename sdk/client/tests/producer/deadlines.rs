//! No call outlives its deadline, and what it held comes back.

use std::time::Duration;

use highwater::testing::{ApiKey, Fault};
use highwater::{ErrorKind, Record, TryEnqueueError, Written};
use tokio::time::Instant;

use super::{cluster, narrow, producer_with};

#[tokio::test(start_paused = true)]
async fn a_silent_broker_keeps_a_record_no_longer_than_its_delivery_timeout() {
    let cluster = cluster(1).await;
    let timeout = Duration::from_secs(5);
    let producer = producer_with(&cluster, |builder| {
        builder
            .delivery_timeout(timeout)
            .batch_bytes(4096)
            .request_bytes_max(4096)
            .buffer_bytes(8192)
    })
    .await;
    cluster.fail(ApiKey::Produce, Fault::Drop);
    let start = Instant::now();
    let error = producer.send(Record::to("t").value("v")).await.unwrap_err();
    assert_eq!(start.elapsed(), timeout);
    assert_eq!(error.kind(), &ErrorKind::Timeout);
    assert_eq!(error.possibly_written(), Written::Maybe);
    producer.flush().await;
    assert_eq!(start.elapsed(), timeout, "nobody waits for it any more");
    // The broker may still read from the batch's memory: that is back once the request is over.
    drop(producer.reserve(8192).await.unwrap());
    assert_eq!(start.elapsed().as_secs(), 30, "request.timeout.ms");
    let placed = producer.send(Record::to("t").value("w")).await.unwrap();
    assert_eq!(cluster.values("t", 0)[1..], [b"w".to_vec()]);
    assert_eq!(placed.offset, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_closed_for_a_record_without_memory_does_not_linger() {
    let cluster = cluster(1).await;
    let producer = narrow(&cluster, 8192).await;
    let topic = producer.topic("t").await.unwrap();
    let warm = topic.enqueue(Record::new().value("v")).await.unwrap();
    producer.flush().await;
    warm.await.unwrap();
    let held = producer.reserve(4096).await.unwrap();
    let value = vec![7; 1000];
    let record = || Record::new().value(&value);
    let start = Instant::now();
    let first = topic.try_enqueue(record()).unwrap();
    // The sender has looked, and waits for the batch to be full or old.
    tokio::time::advance(Duration::from_secs(1)).await;
    let mut acks = vec![first];
    let full = loop {
        match topic.try_enqueue(record()) {
            Ok(ack) => acks.push(ack),
            Err(full) => break full,
        }
    };
    assert!(matches!(full, TryEnqueueError::Full(_)), "{full:?}");
    for ack in acks {
        ack.await.unwrap();
    }
    assert_eq!(start.elapsed().as_secs(), 1, "linger.ms is 60 s");
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn memory_that_does_not_come_back_is_waited_for_until_the_deadline() {
    let cluster = cluster(1).await;
    let producer = narrow(&cluster, 8192).await;
    cluster.fail(ApiKey::Produce, Fault::Drop);
    let value = vec![1; 3000];
    let record = || Record::to("t").value(&value);
    let taken = [
        producer.enqueue(record()).await.unwrap(),
        producer.enqueue(record()).await.unwrap(),
    ];
    let start = Instant::now();
    let error = producer.enqueue(record()).await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 5, "max.block.ms");
    assert_eq!(error.kind(), &ErrorKind::Timeout);
    assert_eq!(error.possibly_written(), Written::No);
    assert!(error.is_retriable());
    // Once the connection is given up there is room again.
    for (ack, offset) in taken.into_iter().zip(0..) {
        assert_eq!(ack.await.unwrap().offset, Some(offset));
    }
    let ack = producer.enqueue(record()).await.unwrap();
    producer.flush().await;
    assert_eq!(ack.await.unwrap().offset, Some(2));
    assert_eq!(cluster.values("t", 0).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_nobody_tells_of_is_waited_for_until_the_deadline() {
    let cluster = cluster(1).await;
    let producer = narrow(&cluster, 8192).await;
    for _ in 0..100 {
        cluster.fail(ApiKey::Metadata, Fault::Drop);
    }
    let start = Instant::now();
    let error = producer.topic("t").await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 5, "max.block.ms");
    assert_eq!(error.kind(), &ErrorKind::Timeout);
}
