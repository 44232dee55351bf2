//! Many records at once, and memory taken before there are any.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use highwater::partitioner::{Choice, Partitioner, TopicView};
use highwater::testing::{ApiKey, Fault};
use highwater::{ErrorCode, ErrorKind, Record, Rule, TryEnqueueError};

use super::{cluster, lingering, narrow, numbers, offsets, producer, producer_with};

#[tokio::test]
async fn each_record_of_a_batch_is_where_its_acknowledgement_says() {
    let cluster = cluster(3).await;
    let producer = lingering(&cluster).await;
    let values = numbers(100);
    let records = (0..).zip(&values).map(|(number, value)| {
        let record = Record::to("t").partition(number / 7 % 3);
        record.value(value)
    });
    let ack = producer.enqueue_batch(records).await;
    assert_eq!((ack.len(), ack.is_empty()), (100, false));
    assert!(ack.get(0).is_none() && ack.outcomes().all(|outcome| outcome.is_none()));
    producer.flush().await;
    let placed = ack.await.unwrap();
    assert_eq!(placed.iter().count(), 100);
    for (index, (value, at)) in values.iter().zip(placed.iter()).enumerate() {
        assert_eq!(placed.get(index).as_ref(), Some(&at));
        assert_eq!(at.partition, i32::try_from(index / 7 % 3).unwrap());
        let log = cluster.values("t", at.partition.try_into().unwrap());
        let offset = usize::try_from(at.offset.unwrap()).unwrap();
        assert_eq!(&log[offset], value);
    }
    assert_eq!(placed.get(100), None);
}

#[tokio::test]
async fn a_batch_without_records_is_acknowledged_at_once() {
    let cluster = cluster(1).await;
    let producer = lingering(&cluster).await;
    assert!(producer.send_batch([]).await.unwrap().is_empty());
    assert_eq!(cluster.requests(ApiKey::Produce), 0);
}

#[tokio::test]
async fn a_batch_goes_over_many_batches_of_the_wire_and_keeps_its_order_through_failures() {
    let cluster = cluster(1).await;
    // One record each.
    let producer = producer(&cluster).await;
    for fault in [Fault::DisconnectAfter, Fault::DisconnectBefore, Fault::Cut] {
        cluster.fail(ApiKey::Produce, fault);
    }
    let values = numbers(90);
    let records = values.iter().map(|value| Record::to("t").value(value));
    let placed = producer.send_batch(records).await.unwrap();
    let acked: Vec<_> = placed.iter().map(|placed| placed.offset).collect();
    assert_eq!(acked, offsets(90));
    assert_eq!(cluster.values("t", 0), values);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_share_a_producer_and_each_keeps_its_order() {
    const TASKS: u8 = 6;
    let cluster = cluster(2).await;
    // Small batches and little memory, so that tasks meet in the line and in each other's batches.
    let producer = producer_with(&cluster, |builder| {
        let builder = builder.batch_bytes(700).request_bytes_max(2048);
        builder.buffer_bytes(8192)
    })
    .await;
    // The broker that forgot comes first: what it may have written before, nobody could tell apart.
    for fault in [
        Fault::Refuse(ErrorCode::OutOfOrderSequenceNumber),
        Fault::DisconnectAfter,
        Fault::Refuse(ErrorCode::NotEnoughReplicas),
        Fault::WrongCorrelation,
        Fault::DisconnectBefore,
    ] {
        cluster.fail(ApiKey::Produce, fault);
    }
    let tasks = (0..TASKS).map(|task| {
        let producer = producer.clone();
        tokio::spawn(async move {
            for round in 0..10u8 {
                let values: Vec<_> = (0..40u8).map(|number| [task, round, number]).collect();
                let records = values.iter().map(|value| {
                    let partition = i32::from(value[2] / 5 % 2);
                    Record::to("t").partition(partition).value(value)
                });
                if round % 2 == 0 {
                    producer.send_batch(records).await.unwrap();
                } else {
                    for record in records {
                        drop(producer.enqueue(record).await.unwrap());
                    }
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    producer.flush().await;
    for partition in 0..2 {
        let values = cluster.values("t", partition);
        assert_eq!(values.len(), usize::from(TASKS) * 10 * 20);
        for task in 0..TASKS {
            let own = values.iter().filter(|value| value[0] == task);
            assert!(own.is_sorted(), "partition {partition}, task {task}");
        }
        let distinct: BTreeSet<_> = values.iter().collect();
        assert_eq!(distinct.len(), values.len(), "nothing twice");
    }
}

#[tokio::test(start_paused = true)]
async fn records_of_many_topics_go_where_they_belong() {
    let cluster = cluster(2).await;
    cluster.topic("other", 1);
    let producer = producer_with(&cluster, |builder| builder).await;
    let records = ["t", "t", "other", "nowhere", "t"].map(|topic| Record::to(topic).value("v"));
    let ack = producer.enqueue_batch(records).await;
    producer.flush().await;
    let outcomes: Vec<_> = ack.outcomes().map(Option::unwrap).collect();
    let topics: Vec<_> = outcomes
        .iter()
        .map(|outcome| outcome.as_ref().map(|placed| &*placed.topic).ok())
        .collect();
    assert_eq!(
        topics,
        [Some("t"), Some("t"), Some("other"), None, Some("t")]
    );
    let error = ack.await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UnknownTopicOrPartition));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_refused_takes_no_other_along() {
    let cluster = cluster(1).await;
    let producer = producer_with(&cluster, |builder| builder.request_bytes_max(10_000)).await;
    let topic = producer.topic("t").await.unwrap();
    let big = vec![0; 10_000];
    let record = Record::new().value("v");
    let records = [
        record.clone(),
        Record::new().value(&big),
        record.clone().partition(7),
        record.clone(),
    ];
    let ack = topic.enqueue_batch(records).await;
    let error = ack.clone().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::RecordTooLarge);
    let of = |index| ack.get(index).unwrap();
    assert_eq!(of(0).unwrap().offset, Some(0));
    assert_eq!(of(1).unwrap_err().kind(), &ErrorKind::RecordTooLarge);
    let error = of(2).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Config);
    assert_eq!(error.topic_partition().unwrap().partition, 7);
    assert_eq!(of(3).unwrap().offset, Some(1));
}

#[tokio::test]
async fn a_batch_puts_its_records_where_one_by_one_would() {
    let cluster = cluster(5).await;
    for rule in Rule::ALL {
        let producer = producer_with(&cluster, |builder| builder.partitioner(rule)).await;
        let keys = numbers(200);
        let record = |key| Record::to("t").key(key).value("v");
        let placed = producer.send_batch(keys.iter().map(record)).await;
        if rule == Rule::Manual {
            assert_eq!(placed.unwrap_err().kind(), &ErrorKind::Config);
            continue;
        }
        let placed = placed.unwrap();
        let partitions: BTreeSet<_> = placed.iter().map(|placed| placed.partition).collect();
        let by_key = placed
            .iter()
            .zip(&keys)
            .take(20)
            .map(async |(placed, key)| {
                let alone = producer.send(record(key)).await.unwrap();
                alone.partition == placed.partition
            });
        let mut same = 0;
        for is_same in by_key {
            same += u32::from(is_same.await);
        }
        if [Rule::Sticky, Rule::Adaptive, Rule::LeastBackup].contains(&rule) {
            assert!(partitions.len() <= 2, "{rule} spreads {partitions:?}");
        } else {
            assert_eq!(partitions.len(), 5, "{rule}");
            let by_key = ![Rule::RoundRobin, Rule::Random].contains(&rule);
            assert!(same == 20 || !by_key, "{rule}");
        }
    }
}

/// Counts how often it is asked; all goes to partition 0.
#[derive(Debug, Default)]
struct Counting(AtomicUsize);

impl Partitioner for Counting {
    fn choose(&self, _: &Record<'_>, _: &TopicView<'_>) -> Choice {
        self.0.fetch_add(1, Ordering::Relaxed);
        Choice::Fixed(0)
    }
}

#[tokio::test]
async fn a_record_that_waits_for_memory_is_asked_about_once() {
    let cluster = cluster(1).await;
    let counting = Arc::new(Counting::default());
    let partitioner = Arc::clone(&counting);
    let producer = producer_with(&cluster, |builder| {
        let builder = builder.batch_bytes(2048).request_bytes_max(2048);
        builder.buffer_bytes(4096).shared_partitioner(partitioner)
    })
    .await;
    let values: Vec<_> = (0..50u8).map(|byte| vec![byte; 900]).collect();
    let record = |value| Record::to("t").value(value);
    producer
        .send_batch(values.iter().map(record))
        .await
        .unwrap();
    assert_eq!(counting.0.load(Ordering::Relaxed), 50, "at once");
    for value in &values {
        drop(producer.enqueue(record(value)).await.unwrap());
    }
    assert_eq!(counting.0.load(Ordering::Relaxed), 100, "one by one");
    producer.flush().await;
    assert_eq!(cluster.values("t", 0), [&values[..], &values[..]].concat());
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_nobody_tells_of_is_waited_for_once_and_all_of_them_no_longer_than_the_call() {
    let cluster = cluster(1).await;
    // 5 s for what a call waits for.
    let producer = narrow(&cluster, 8192).await;
    // It has its id, which is not asked for over the connections that hang.
    let first = producer.enqueue(Record::to("t").value("v")).await.unwrap();
    producer.flush().await;
    first.await.unwrap();
    for _ in 0..100 {
        cluster.fail(ApiKey::Metadata, Fault::Drop);
    }
    let start = tokio::time::Instant::now();
    let topics = ["gone", "t", "lost"];
    let records = (0..300).map(|number| Record::to(topics[number / 50 % 3]).value("v"));
    let ack = producer.enqueue_batch(records).await;
    assert_eq!(start.elapsed().as_secs(), 5, "max.block.ms");
    producer.flush().await;
    let placed = ack.outcomes().map(|outcome| outcome.unwrap());
    let placed: Vec<_> = placed.map(|outcome| outcome.is_ok()).collect();
    let expected: Vec<_> = (0..300).map(|number| number / 50 % 3 == 1).collect();
    assert_eq!(placed, expected);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_gets_no_memory_says_how_far_it_came() {
    let cluster = cluster(1).await;
    let producer = narrow(&cluster, 8192).await;
    cluster.fail(ApiKey::Produce, Fault::Drop);
    let value = vec![7; 1000];
    let start = tokio::time::Instant::now();
    let records = (0..100).map(|_| Record::to("t").value(&value));
    let ack = producer.enqueue_batch(records).await;
    assert_eq!(start.elapsed().as_secs(), 5, "max.block.ms");
    assert_eq!(ack.len(), 100);
    let open = ack.outcomes().filter(Option::is_none).count();
    assert!((3..=8).contains(&open), "{open} of 1 kB in 8 KiB");
    assert!((0..open).all(|index| ack.get(index).is_none()));
    let refused = ack.get(99).unwrap().unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::Timeout);
    assert!(refused.to_string().contains("max.block.ms"), "{refused}");
    assert!(refused.is_retriable());
    // The connection that hangs is given up after the request time-out; what was taken is there then.
    producer.flush().await;
    assert_eq!(cluster.values("t", 0).len(), open);
}

#[tokio::test]
async fn memory_that_a_permit_holds_is_nobody_elses() {
    let cluster = cluster(2).await;
    let producer = narrow(&cluster, 8192).await;
    let topic = producer.topic("t").await.unwrap();
    let value = vec![7; 900];
    let record = || Record::new().value(&value);
    let count = 8192 / record().buffer_bytes();
    let mut permit = topic.reserve(8192).await.unwrap();
    let refused = topic.try_enqueue(record()).unwrap_err();
    assert!(matches!(refused, TryEnqueueError::Full(_)));
    let mut acks = Vec::new();
    for number in 0..count {
        let partition = i32::try_from(number % 2).unwrap();
        acks.push(permit.send(record().partition(partition)));
    }
    assert!(acks.iter().all(|ack| ack.try_get().is_none()), "no refusal");
    // Beyond what it holds there is nothing, and it says so.
    let error = loop {
        let ack = permit.send(record());
        match ack.try_get() {
            None => acks.push(ack),
            Some(outcome) => break outcome.unwrap_err(),
        }
    };
    assert_eq!(error.kind(), &ErrorKind::Buffer);
    drop(permit);
    producer.flush().await;
    for ack in acks {
        ack.await.unwrap();
    }
    drop(topic.reserve(8192).await.unwrap());
}

#[tokio::test]
async fn a_permit_refuses_by_the_acknowledgement_what_cannot_be_taken() {
    let cluster = cluster(1).await;
    let producer = narrow(&cluster, 8192).await;
    let error = producer.reserve(8193).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Config);
    let mut permit = producer.reserve(4000).await.unwrap();
    let error = permit.send(Record::to("t")).await.unwrap_err();
    assert!(error.to_string().contains("not resolved"), "{error}");
    let topic = producer.topic("t").await.unwrap();
    let error = permit.send(Record::to("t").partition(3)).await.unwrap_err();
    assert_eq!(error.topic_partition().unwrap().partition, 3);
    let placed = permit.send(Record::to("t").value("v"));
    drop(permit);
    let report = producer.shutdown(Duration::from_secs(60)).await;
    assert_eq!((report.acked, report.failed), (1, 0));
    assert_eq!(placed.await.unwrap().offset, Some(0));
    let error = topic.reserve(1).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_reservation_waits_its_time_and_no_longer() {
    let cluster = cluster(1).await;
    let producer = narrow(&cluster, 8192).await;
    let held = producer.reserve(8000).await.unwrap();
    let start = tokio::time::Instant::now();
    let error = producer.reserve(1000).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Timeout);
    assert_eq!(start.elapsed().as_secs(), 5);
    drop(held);
    drop(producer.reserve(8192).await.unwrap());
}
