//! Leaders and topics that change while records are on their way.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use highwater::testing::wire::Array;
use highwater::testing::wire::message::produce::{
    LeaderIdAndEpoch, PartitionProduceResponse, TopicProduceResponse,
};
use highwater::testing::wire::message::{ProduceRequest, ProduceResponse};
use highwater::testing::{ApiKey, FakeBroker, Fault};
use highwater::{Client, ErrorCode, ErrorKind, Record, TryEnqueueError};

use super::{cluster, numbers, offsets, producer, producer_with, send_numbers};

/// The leader of partition 0 of the topic `t`, and its epoch: who does not lead it names it when it refuses (KIP-951).
#[derive(Clone)]
struct Leader(Arc<Mutex<(i32, i32)>>);

impl Leader {
    /// Broker 0 leads.
    fn hinted(cluster: &FakeBroker) -> Self {
        let leader = Self(Arc::new(Mutex::new((0, 1))));
        let hint = leader.clone();
        cluster.script::<ProduceRequest<'_>>(move |asked| {
            let (leader_id, leader_epoch) = *hint.0.lock().unwrap();
            if asked.broker == leader_id {
                return None;
            }
            let request: ProduceRequest<'_> = asked.request().unwrap();
            let responses = request.topic_data.iter().map(|topic| TopicProduceResponse {
                name: topic.name,
                topic_id: topic.topic_id,
                partition_responses: Array::from([PartitionProduceResponse {
                    error_code: ErrorCode::NotLeaderOrFollower.id(),
                    base_offset: -1,
                    current_leader: LeaderIdAndEpoch {
                        leader_id,
                        leader_epoch,
                    },
                    ..PartitionProduceResponse::default()
                }]),
            });
            asked.answer(&ProduceResponse {
                responses: responses.collect(),
                ..ProduceResponse::default()
            })
        });
        leader
    }

    fn moves(&self, cluster: &FakeBroker, to: i32) {
        let mut leader = self.0.lock().unwrap();
        *leader = (to, leader.1 + 1);
        cluster.move_leader("t", 0, to);
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_a_refusal_names_is_followed_without_metadata() {
    let cluster = FakeBroker::start(2).await.unwrap();
    cluster.topic("t", 1);
    let leader = Leader::hinted(&cluster);
    let producer = producer(&cluster).await;
    assert_eq!(send_numbers(&producer, "t", 1).await, offsets(1));
    cluster.fail(ApiKey::Metadata, Fault::Drop).always();
    let values = numbers(31);
    let mut acks = Vec::new();
    for (number, value) in values.iter().enumerate().skip(1) {
        let record = Record::to("t").partition(0).value(value);
        acks.push(producer.enqueue(record).await.unwrap());
        if number % 10 == 5 {
            // Five are in flight, or soon will be.
            tokio::task::yield_now().await;
            let to = i32::try_from((number / 10 + 1) % 2).unwrap();
            leader.moves(&cluster, to);
        }
    }
    for (ack, offset) in acks.into_iter().zip(&offsets(31)[1..]) {
        assert_eq!(ack.await.unwrap().offset, *offset);
    }
    assert_eq!(cluster.values("t", 0), values);
}

#[tokio::test]
async fn a_leader_that_moves_while_the_epoch_is_bumped_costs_neither_order_nor_duplicates() {
    for code in [
        ErrorCode::OutOfOrderSequenceNumber,
        ErrorCode::UnknownProducerId,
        ErrorCode::NotLeaderOrFollower,
    ] {
        for hints in [false, true] {
            let cluster = FakeBroker::start(2).await.unwrap();
            cluster.topic("t", 1);
            let leader = hints.then(|| Leader::hinted(&cluster));
            let producer = producer(&cluster).await;
            assert_eq!(send_numbers(&producer, "t", 1).await, offsets(1));
            cluster.fail(ApiKey::Produce, Fault::DisconnectAfter);
            cluster.fail(ApiKey::Produce, Fault::Refuse(code));
            cluster.fail(ApiKey::Produce, Fault::WrongCorrelation);
            match leader {
                Some(leader) => leader.moves(&cluster, 1),
                None => cluster.move_leader("t", 0, 1),
            }
            let acked = send_numbers(&producer, "t", 20).await;
            assert_eq!(acked, &offsets(21)[1..], "{code}, hints {hints}");
            let values = cluster.values("t", 0);
            assert_eq!(values[1..], numbers(20), "{code}, hints {hints}");
        }
    }
}

#[tokio::test]
async fn a_topic_that_is_made_again_is_written_from_its_start() {
    // By id, and by name: there the new topic knows nothing of the producer's sequences.
    for version in [13, 12] {
        let cluster = cluster(1).await;
        let offered = |version| {
            cluster.offers(ApiKey::Produce, version);
        };
        offered(version);
        let producer = producer(&cluster).await;
        assert_eq!(send_numbers(&producer, "t", 7).await, offsets(7));
        cluster.topic("t", 1);
        assert_eq!(send_numbers(&producer, "t", 30).await, offsets(30));
        assert_eq!(cluster.values("t", 0), numbers(30), "version {version}");
    }
}

#[tokio::test]
async fn records_wait_for_a_topic_that_is_gone_for_a_while() {
    let cluster = cluster(1).await;
    let producer = producer(&cluster).await;
    assert_eq!(send_numbers(&producer, "t", 3).await, offsets(3));
    cluster.remove("t");
    let values = numbers(10);
    let records = values.iter().map(|value| Record::to("t").value(value));
    let ack = producer.enqueue_batch(records).await;
    let asked = cluster.requests(ApiKey::Metadata);
    while cluster.requests(ApiKey::Metadata) < asked + 2 {
        tokio::task::yield_now().await;
    }
    assert!(ack.outcomes().all(|outcome| outcome.is_none()));
    cluster.topic("t", 1);
    let placed = ack.await.unwrap();
    let acked: Vec<_> = placed.iter().map(|placed| placed.offset).collect();
    assert_eq!(acked, offsets(10));
    assert_eq!(cluster.values("t", 0), values);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_partition_that_is_gone_is_not_forgotten() {
    let cluster = cluster(3).await;
    let (linger, timeout) = (Duration::from_secs(1), Duration::from_secs(2));
    let producer = producer_with(&cluster, |builder| {
        builder.linger(linger).delivery_timeout(timeout)
    })
    .await;
    let topic = producer.topic("t").await.unwrap();
    let record = |partition| Record::new().partition(partition).value("v");
    let lost = topic.enqueue(record(2)).await.unwrap();
    cluster.topic("t", 1);
    cluster.fail(
        ApiKey::Produce,
        Fault::Refuse(ErrorCode::NotLeaderOrFollower),
    );
    let placed = topic.enqueue(record(0)).await.unwrap();
    producer.flush().await;
    assert_eq!(placed.await.unwrap().offset, Some(0));
    // Whether it was the delivery time-out or the broker's answer: there is one.
    let error = lost.try_get().expect("flush waits for it").unwrap_err();
    assert_eq!(error.topic_partition().unwrap().partition, 2);
    // The same partition, once there is one again, takes up where it was.
    cluster.topic("t", 3);
    let again = topic.enqueue(record(2)).await.unwrap();
    producer.flush().await;
    assert_eq!(again.await.unwrap().offset, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_moves_to_a_broker_whose_sender_has_ended_is_sent_there_all_the_same() {
    let cluster = FakeBroker::start(2).await.unwrap();
    cluster.topic("t", 2);
    let producer = producer(&cluster).await;
    for partition in 0..2 {
        let record = Record::to("t").partition(partition).value("v");
        producer.send(record).await.unwrap();
    }
    cluster.move_leader("t", 0, 1);
    let record = Record::to("t").partition(0).value("w");
    let ack = producer.enqueue(record).await.unwrap();
    // Broker 1's sender has nothing to do at this moment, and ends.
    let report = producer.shutdown(Duration::from_secs(60)).await;
    assert_eq!((report.acked, report.abandoned), (3, 0));
    assert_eq!(ack.await.unwrap().offset, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_not_among_the_brokers_is_waited_for_with_pauses() {
    let cluster = cluster(1).await;
    cluster.move_leader("t", 0, 9);
    let client = Client::builder(cluster.bootstrap())
        .connect()
        .await
        .unwrap();
    let timeout = Duration::from_secs(20);
    let producer = client.producer().delivery_timeout(timeout).build().await;
    let producer = producer.unwrap();
    let record = || Record::to("t").value("v");
    let error = producer.send(record()).await.unwrap_err();
    assert!(
        error.to_string().contains("broker 9 is not among"),
        "{error}"
    );
    let asked = cluster.requests(ApiKey::Metadata);
    assert!((10..50).contains(&asked), "{asked} times in 20 s");
    let ack = producer.enqueue(record()).await.unwrap();
    while cluster.requests(ApiKey::Metadata) < asked + 3 {
        tokio::time::advance(Duration::from_millis(50)).await;
    }
    cluster.move_leader("t", 0, 0);
    assert_eq!(ack.await.unwrap().offset, Some(0));
}

#[tokio::test(start_paused = true)]
async fn records_for_a_topic_that_stays_away_fail_at_their_deadline_and_say_why() {
    let cluster = cluster(1).await;
    // With the pauses that are the default: it is a long wait.
    let client = Client::builder(cluster.bootstrap()).connect();
    let producer = client.await.unwrap().producer().build().await.unwrap();
    assert_eq!(send_numbers(&producer, "t", 1).await, offsets(1));
    cluster.remove("t");
    let start = tokio::time::Instant::now();
    let error = producer.send(Record::to("t").value("v")).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Timeout);
    assert_eq!(start.elapsed().as_secs(), 120);
    assert!(error.to_string().contains("last failure"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_was_just_added_is_waited_for() {
    let cluster = cluster(1).await;
    let producer = producer(&cluster).await;
    let topic = producer.topic("t").await.unwrap();
    let record = |partition| Record::new().partition(partition).value("v");
    let refused = topic.try_enqueue(record(3)).unwrap_err();
    assert!(matches!(refused, TryEnqueueError::Refused(..)));
    cluster.grow("t", 4);
    let placed = topic.send(record(3)).await.unwrap();
    assert_eq!((placed.partition, placed.offset), (3, Some(0)));
    cluster.grow("t", 6);
    let ack = topic
        .enqueue_batch([record(5), record(9), record(4), record(9), record(8)])
        .await;
    let _ = ack.clone().await;
    let partitions: Vec<_> = ack
        .outcomes()
        .map(|outcome| outcome.unwrap().ok().map(|placed| placed.partition))
        .collect();
    assert_eq!(partitions, [Some(5), None, Some(4), None, None]);
    let start = tokio::time::Instant::now();
    let error = topic.send(record(6)).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Config);
    assert_eq!(start.elapsed().as_secs(), 3, "and not for ever");
    let error = topic.send(record(-1)).await.unwrap_err();
    assert_eq!(error.topic_partition().unwrap().partition, -1);
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[tokio::test]
async fn partitions_that_are_added_take_their_share_of_a_batch() {
    let cluster = cluster(1).await;
    let producer = producer(&cluster).await;
    let topic = producer.topic("t").await.unwrap();
    cluster.grow("t", 3);
    cluster.fail(
        ApiKey::Produce,
        Fault::Refuse(ErrorCode::NotLeaderOrFollower),
    );
    // Metadata is asked for again after the refusal.
    while topic.partition_count() == 1 {
        topic.send(Record::new().value("v")).await.unwrap();
    }
    let before = cluster.values("t", 0).len();
    let records = (0..9).map(|number| Record::new().partition(number % 3).value("v"));
    let placed = topic.send_batch(records).await.unwrap();
    assert_eq!(placed.len(), 9);
    let lengths: Vec<_> = (0..3)
        .map(|index| cluster.values("t", index).len())
        .collect();
    assert_eq!(lengths, [before + 3, 3, 3]);
}
