//! A producer against brokers that misbehave.
#![allow(clippy::unwrap_used)]

#[path = "producer/batch.rs"]
mod batch;
#[path = "producer/cancel.rs"]
mod cancel;
#[path = "producer/deadlines.rs"]
mod deadlines;
#[path = "support/drop_after.rs"]
mod drop_after;
#[path = "producer/errors.rs"]
mod errors;
#[path = "producer/moves.rs"]
mod moves;

use std::time::Duration;

use highwater::testing::{ApiKey, FakeBroker, Fault};
use highwater::{
    Acks, Client, ErrorCode, ErrorKind, Producer, ProducerBuilder, Record, TryEnqueueError, Written,
};

/// One broker and the topic `t`.
async fn cluster(partitions: usize) -> FakeBroker {
    let cluster = FakeBroker::start(1).await.unwrap();
    cluster.topic("t", partitions);
    cluster
}

async fn client(cluster: &FakeBroker) -> Client {
    let builder = Client::builder(cluster.bootstrap()).configure(|config| {
        config.retry_backoff = Duration::from_millis(1);
        config.reconnect_backoff = Duration::from_millis(1);
    });
    builder.connect().await.unwrap()
}

/// Set up as told.
async fn producer_with(
    cluster: &FakeBroker,
    settings: impl FnOnce(ProducerBuilder) -> ProducerBuilder,
) -> Producer {
    let builder = client(cluster).await.producer();
    settings(builder).build().await.unwrap()
}

/// Batches of one record, so that many are in flight.
async fn producer(cluster: &FakeBroker) -> Producer {
    producer_with(cluster, |builder| builder.batch_bytes(1)).await
}

/// What is not flushed stays.
async fn lingering(cluster: &FakeBroker) -> Producer {
    producer_with(cluster, |builder| builder.linger(Duration::from_secs(60))).await
}

/// So little memory, and batches of half of it.
async fn narrow(cluster: &FakeBroker, buffer_bytes: usize) -> Producer {
    producer_with(cluster, |builder| {
        builder
            .batch_bytes(buffer_bytes / 2)
            .request_bytes_max(buffer_bytes / 2)
            .buffer_bytes(buffer_bytes)
            .linger(Duration::from_secs(60))
            .configure(|config| config.block_max = Duration::from_secs(5))
    })
    .await
}

async fn send_numbers(producer: &Producer, topic: &str, count: u32) -> Vec<Option<i64>> {
    let mut acks = Vec::new();
    for number in 0..count {
        let value = number.to_be_bytes();
        acks.push(
            producer
                .enqueue(Record::to(topic).partition(0).value(&value))
                .await
                .unwrap(),
        );
    }
    let mut offsets = Vec::new();
    for ack in acks {
        offsets.push(ack.await.unwrap().offset);
    }
    offsets
}

fn numbers(count: u32) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| number.to_be_bytes().to_vec())
        .collect()
}

fn offsets(count: u32) -> Vec<Option<i64>> {
    (0..i64::from(count)).map(Some).collect()
}

/// Whatever happens once, records arrive once and in order, each where its acknowledgement says.
async fn survives(faults: &[Fault]) {
    for skip in [0, 3] {
        let cluster = cluster(1).await;
        let producer = producer(&cluster).await;
        let refusal = Fault::Refuse(ErrorCode::NotEnoughReplicas);
        cluster.fail(ApiKey::Produce, refusal).times(skip);
        let fail = |fault: &Fault| cluster.fail(ApiKey::Produce, *fault);
        let rules: Vec<_> = faults.iter().map(fail).collect();
        assert_eq!(
            send_numbers(&producer, "t", 40).await,
            offsets(40),
            "{faults:?}"
        );
        assert_eq!(cluster.values("t", 0), numbers(40), "{faults:?}");
        assert!(rules.iter().all(|rule| rule.struck() == 1), "{faults:?}");
    }
}

#[tokio::test]
async fn a_refusal_that_passes_is_retried_in_order() {
    survives(&[Fault::Refuse(ErrorCode::NotLeaderOrFollower)]).await;
    survives(&[Fault::Refuse(ErrorCode::RequestTimedOut); 3]).await;
}

#[tokio::test]
async fn a_lost_connection_costs_neither_order_nor_duplicates() {
    survives(&[Fault::DisconnectBefore]).await;
    survives(&[Fault::DisconnectAfter]).await;
    survives(&[
        Fault::DisconnectAfter,
        Fault::DisconnectBefore,
        Fault::DisconnectAfter,
    ])
    .await;
}

#[tokio::test]
async fn an_answer_cut_in_the_middle_of_its_frame_is_no_answer() {
    survives(&[Fault::Cut]).await;
}

#[tokio::test]
async fn a_wrong_correlation_id_breaks_the_connection_and_nothing_else() {
    survives(&[Fault::WrongCorrelation]).await;
}

#[tokio::test]
async fn a_frame_beyond_the_limit_breaks_the_connection_and_nothing_else() {
    survives(&[Fault::Flood]).await;
}

#[tokio::test]
async fn a_sequence_error_bumps_the_epoch_and_goes_on() {
    survives(&[Fault::Refuse(ErrorCode::OutOfOrderSequenceNumber)]).await;
    survives(&[Fault::Refuse(ErrorCode::UnknownProducerId)]).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_breaks_the_connection_after_the_request_timeout() {
    let cluster = cluster(1).await;
    let producer = producer(&cluster).await;
    cluster.fail(ApiKey::Produce, Fault::Drop);
    let start = tokio::time::Instant::now();
    assert_eq!(send_numbers(&producer, "t", 10).await, offsets(10));
    assert!(start.elapsed() >= Duration::from_secs(30));
    assert_eq!(cluster.values("t", 0), numbers(10));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_delivered_fails_at_its_deadline() {
    let cluster = cluster(1).await;
    let timeout = Duration::from_secs(5);
    let producer = producer_with(&cluster, |builder| builder.delivery_timeout(timeout)).await;
    for _ in 0..1000 {
        cluster.fail(ApiKey::Produce, Fault::Refuse(ErrorCode::NotEnoughReplicas));
    }
    let error = producer.send(Record::to("t").value("v")).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Timeout);
    assert_eq!(error.possibly_written(), Written::No);
    assert!(error.to_string().contains("last failure"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_record_whose_answers_are_lost_may_have_been_written() {
    let cluster = cluster(1).await;
    let timeout = Duration::from_secs(5);
    let producer = producer_with(&cluster, |builder| builder.delivery_timeout(timeout)).await;
    for _ in 0..1000 {
        cluster.fail(ApiKey::Produce, Fault::DisconnectAfter);
    }
    let error = producer.send(Record::to("t").value("v")).await.unwrap_err();
    assert_eq!(error.possibly_written(), Written::Maybe);
    assert_eq!(cluster.values("t", 0).len(), 1);
}

#[tokio::test]
async fn batches_follow_their_partition_to_its_new_leader() {
    let cluster = FakeBroker::start(2).await.unwrap();
    cluster.topic("t", 1);
    let producer = producer(&cluster).await;
    let mut all = Vec::new();
    for round in 0..4 {
        let mut acks = Vec::new();
        for number in 0..10u32 {
            let value = (round * 10 + number).to_be_bytes();
            let record = Record::to("t").partition(0).value(&value);
            acks.push(producer.enqueue(record).await.unwrap());
            if number == 5 {
                cluster.move_leader("t", 0, i32::try_from((round + 1) % 2).unwrap());
            }
        }
        for ack in acks {
            all.push(ack.await.unwrap().offset);
        }
    }
    assert_eq!(all, offsets(40));
    assert_eq!(cluster.values("t", 0), numbers(40));
}

#[tokio::test]
async fn a_batch_too_large_for_the_broker_is_split() {
    let cluster = cluster(1).await;
    cluster.message_bytes_max(500);
    let producer = lingering(&cluster).await;
    let mut acks = Vec::new();
    for number in 0..40u32 {
        let value = number.to_be_bytes();
        acks.push(
            producer
                .enqueue(Record::to("t").value(&value))
                .await
                .unwrap(),
        );
    }
    producer.flush().await;
    let acked: Vec<_> = acks
        .iter()
        .map(|ack| ack.try_get().unwrap().unwrap().offset)
        .collect();
    assert_eq!(acked, offsets(40));
    assert_eq!(cluster.values("t", 0), numbers(40));
    let ack = producer
        .enqueue(Record::to("t").value(&[0; 600]))
        .await
        .unwrap();
    producer.flush().await;
    assert_eq!(ack.await.unwrap_err().kind(), &ErrorKind::RecordTooLarge);
}

#[tokio::test]
async fn a_record_beyond_max_request_size_is_refused_before_it_is_copied() {
    let cluster = cluster(1).await;
    let producer = producer_with(&cluster, |builder| builder.request_bytes_max(10_000)).await;
    let big = vec![0; 10_000];
    let error = producer
        .enqueue(Record::to("t").value(&big))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::RecordTooLarge);
    assert_eq!(error.possibly_written(), Written::No);
}

#[tokio::test]
async fn without_acknowledgements_a_record_is_done_when_it_is_written() {
    let cluster = cluster(1).await;
    let producer = producer_with(&cluster, |builder| builder.acks(Acks::None)).await;
    for number in 0..20u32 {
        let placed = producer
            .send(Record::to("t").value(&number.to_be_bytes()))
            .await
            .unwrap();
        assert_eq!(placed.offset, None);
    }
    assert_eq!(cluster.requests(ApiKey::InitProducerId), 0);
}

#[tokio::test]
async fn a_full_buffer_gives_records_back_and_makes_enqueue_wait() {
    let cluster = cluster(1).await;
    let producer = narrow(&cluster, 8192).await;
    let topic = producer.topic("t").await.unwrap();
    let value = vec![7; 1000];
    let mut acks = Vec::new();
    let refused = loop {
        match topic.try_enqueue(Record::new().value(&value)) {
            Ok(ack) => acks.push(ack),
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, TryEnqueueError::Full(_)));
    // Whoever waits presses the batches out, lingering or not.
    acks.push(topic.enqueue(refused.into_record()).await.unwrap());
    producer.flush().await;
    assert_eq!(cluster.values("t", 0).len(), acks.len());
    for ack in acks {
        ack.await.unwrap();
    }
}

#[tokio::test]
async fn flush_sends_what_lingers() {
    let cluster = cluster(3).await;
    let producer = lingering(&cluster).await;
    let mut acks = Vec::new();
    for partition in 0..3 {
        let record = Record::to("t").partition(partition).value("v");
        acks.push(producer.enqueue(record).await.unwrap());
    }
    assert!(acks.iter().all(|ack| ack.try_get().is_none()));
    producer.flush().await;
    assert!(acks.iter().all(|ack| ack.try_get().unwrap().is_ok()));
}

#[tokio::test]
async fn shutdown_delivers_what_was_enqueued_and_refuses_the_rest() {
    let cluster = cluster(1).await;
    let producer = lingering(&cluster).await;
    let ack = producer.enqueue(Record::to("t").value("v")).await.unwrap();
    let report = producer.shutdown(Duration::from_secs(60)).await;
    assert_eq!((report.acked, report.failed, report.abandoned), (1, 0, 0));
    assert!(ack.await.is_ok());
    let error = producer
        .enqueue(Record::to("t").value("v"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Closed);
}

#[tokio::test(start_paused = true)]
async fn shutdown_gives_up_at_its_deadline() {
    let cluster = cluster(1).await;
    let producer = producer(&cluster).await;
    cluster.fail(ApiKey::Produce, Fault::Drop);
    let ack = producer.enqueue(Record::to("t").value("v")).await.unwrap();
    let report = producer.shutdown(Duration::from_secs(3)).await;
    assert_eq!((report.acked, report.failed, report.abandoned), (0, 0, 1));
    assert_eq!(ack.await.unwrap_err().kind(), &ErrorKind::Closed);
}

#[tokio::test]
async fn what_was_enqueued_is_sent_though_the_producer_is_dropped() {
    let cluster = cluster(1).await;
    let producer = lingering(&cluster).await;
    let ack = producer.enqueue(Record::to("t").value("v")).await.unwrap();
    drop(producer);
    assert_eq!(ack.await.unwrap().offset, Some(0));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_topic_is_an_error_and_not_a_wait_for_ever() {
    let cluster = FakeBroker::start(1).await.unwrap();
    let client = client(&cluster).await;
    let error = client.partition_count("nowhere").await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UnknownTopicOrPartition));
}

#[tokio::test]
async fn new_partitions_are_used_once_metadata_tells_of_them() {
    let cluster = cluster(1).await;
    let producer = producer_with(&cluster, |builder| builder).await;
    let topic = producer.topic("t").await.unwrap();
    assert_eq!(topic.partition_count(), 1);
    cluster.grow("t", 4);
    // Any refusal about the leader has metadata looked up again.
    while topic.partition_count() == 1 {
        cluster.fail(
            ApiKey::Produce,
            Fault::Refuse(ErrorCode::NotLeaderOrFollower),
        );
        topic.send(Record::new().value("v")).await.unwrap();
    }
    assert_eq!(topic.partition_count(), 4);
    let placed = topic
        .send(Record::new().partition(3).value("v"))
        .await
        .unwrap();
    assert_eq!((placed.partition, placed.offset), (3, Some(0)));
}

#[tokio::test]
async fn an_older_broker_is_spoken_to_in_its_own_versions() {
    let cluster = cluster(1).await;
    for (api, highest) in [
        (ApiKey::ApiVersions, 0),
        (ApiKey::Produce, 3),
        (ApiKey::Metadata, 4),
    ] {
        cluster.offers(api, highest);
    }
    let producer = producer(&cluster).await;
    assert_eq!(send_numbers(&producer, "t", 5).await, offsets(5));
    let seen = cluster.seen();
    assert!(seen.contains(&(0, ApiKey::Produce, 3)));
    assert!(seen.contains(&(0, ApiKey::ApiVersions, 0)));
}

#[tokio::test]
async fn a_broker_without_a_common_version_is_a_clear_error() {
    let cluster = cluster(1).await;
    cluster.offers(ApiKey::Produce, 2);
    let timeout = Duration::from_millis(300);
    let producer = producer_with(&cluster, |builder| builder.delivery_timeout(timeout)).await;
    let error = producer.send(Record::to("t").value("v")).await.unwrap_err();
    assert!(
        error.to_string().contains("broker speaks Produce 0 to 2"),
        "{error}"
    );
}

#[tokio::test]
async fn keyless_records_stick_and_keyed_ones_follow_their_key() {
    let cluster = cluster(8).await;
    let producer = producer_with(&cluster, |builder| builder).await;
    let first = producer
        .send(Record::to("t").value("v"))
        .await
        .unwrap()
        .partition;
    for _ in 0..10 {
        let placed = producer.send(Record::to("t").value("v")).await.unwrap();
        assert_eq!(placed.partition, first);
    }
    // murmur2 of "foobar" is -790332482, as Java's test vectors say.
    let keyed = producer
        .send(Record::to("t").key("foobar").value("v"))
        .await
        .unwrap();
    assert_eq!(keyed.partition, (-790_332_482i32 & i32::MAX) % 8);
}

#[tokio::test]
async fn an_ack_can_be_polled_dropped_and_awaited_elsewhere() {
    let cluster = cluster(1).await;
    let producer = lingering(&cluster).await;
    let mut ack = producer.enqueue(Record::to("t").value("v")).await.unwrap();
    tokio::select! {
        biased;
        _ = &mut ack => panic!("nothing was sent yet"),
        () = tokio::task::yield_now() => {}
    }
    let elsewhere = tokio::spawn(ack.clone());
    drop(ack);
    producer.flush().await;
    assert_eq!(elsewhere.await.unwrap().unwrap().offset, Some(0));
}

#[tokio::test]
async fn a_properties_file_sets_client_producer_and_consumer() {
    let cluster = cluster(1).await;
    let bootstrap = cluster.bootstrap();
    let properties = [
        ("bootstrap.servers", bootstrap.as_str()),
        ("client.id", "from-a-file"),
        ("acks", "all"),
        ("linger.ms", "0"),
        ("compression.type", "zstd"),
        ("compression.zstd.level", "7"),
        (
            "key.serializer",
            "org.apache.kafka.common.serialization.StringSerializer",
        ),
        ("auto.offset.reset", "earliest"),
    ];
    let client = Client::from_properties(properties)
        .unwrap()
        .connect()
        .await
        .unwrap();
    let producer = client.producer().build().await.unwrap();
    producer.send(Record::to("t").value("v")).await.unwrap();
    let mut consumer = client
        .consumer()
        .assign("t", 0, highwater::Start::Offset(99))
        .build()
        .await
        .unwrap();
    let batch = consumer.next_batch().await.unwrap().unwrap();
    assert_eq!(
        (batch.codec(), batch.next_offset()),
        (highwater::Codec::Zstd, 1)
    );
    let error = Client::from_properties([("bootstrap.server", "x")]).unwrap_err();
    assert!(error.to_string().contains("bootstrap.servers"), "{error}");
}
