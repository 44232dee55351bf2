//! A consumer against brokers that misbehave.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;
use highwater::testing::{ApiKey, FakeBroker, Fault};
use highwater::{
    Client, Codec, Compression, Consumer, ConsumerEvent, Corrupt, ErrorCode, ErrorKind,
    OffsetReset, Record, Start, TopicPartition,
};
use tokio::time::timeout;

async fn client(cluster: &FakeBroker) -> Client {
    let builder = Client::builder(cluster.bootstrap()).configure(|config| {
        config.retry_backoff = Duration::from_millis(1);
        config.reconnect_backoff = Duration::from_millis(1);
    });
    builder.connect().await.unwrap()
}

/// `count` numbers in the first partition of `t`, in batches of `batch` records.
async fn fill(client: &Client, count: u32, batch: u32, compression: Compression) {
    let linger = Duration::from_secs(60);
    let producer = client.producer().linger(linger).compression(compression);
    let producer = producer.build().await.unwrap();
    for number in 0..count {
        let (key, value) = (number.to_string(), number.to_be_bytes());
        let record = Record::to("t")
            .partition(0)
            .key(&key)
            .value(&value)
            .header("h", "x");
        let record = record.timestamp_ms(i64::from(number));
        drop(producer.enqueue(record).await.unwrap());
        if (number + 1) % batch == 0 {
            producer.flush().await;
        }
    }
    producer.flush().await;
}

async fn filled(count: u32) -> (FakeBroker, Client) {
    let cluster = FakeBroker::start(1).await.unwrap();
    cluster.topic("t", 1);
    let client = client(&cluster).await;
    fill(&client, count, 10, Compression::NONE).await;
    (cluster, client)
}

fn place() -> TopicPartition {
    TopicPartition::new("t", 0)
}

async fn offsets(consumer: &mut Consumer, count: usize) -> Vec<i64> {
    let mut offsets = Vec::new();
    while offsets.len() < count {
        offsets.push(consumer.next().await.unwrap().unwrap().offset());
    }
    offsets
}

#[tokio::test]
async fn what_was_produced_is_consumed_in_every_codec() {
    for codec in Codec::ALL {
        let cluster = FakeBroker::start(1).await.unwrap();
        cluster.topic("t", 1);
        let client = client(&cluster).await;
        fill(&client, 100, 10, codec.into()).await;
        let consumer = client.consumer().assign("t", 0, Start::Earliest);
        let mut consumer = consumer.build().await.unwrap();
        let mut expected = 0u32;
        while expected < 100 {
            let batch = consumer.next_batch().await.unwrap().unwrap();
            assert_eq!((batch.len(), batch.codec()), (10, codec));
            for record in &batch {
                assert_eq!(record.offset(), i64::from(expected));
                assert_eq!(record.timestamp_ms(), i64::from(expected));
                assert_eq!(record.key(), Some(expected.to_string().as_bytes()));
                assert_eq!(record.value(), Some(&expected.to_be_bytes()[..]));
                let headers: Vec<_> = record.headers().map(|h| (h.key, h.value)).collect();
                assert_eq!(headers, [(&b"h"[..], Some(&b"x"[..]))]);
                expected += 1;
            }
        }
        assert_eq!(consumer.position(&place()), Some(100));
        assert_eq!(consumer.high_watermark(&place()), Some(100));
        assert_eq!(consumer.lag(&place()), Some(0));
    }
}

#[tokio::test]
async fn an_owned_record_outlives_consumer_and_batch() {
    let (_cluster, client) = filled(10).await;
    let consumer = client.consumer().assign("t", 0, Start::Earliest);
    let mut consumer = consumer.build().await.unwrap();
    let record = consumer.next().await.unwrap().unwrap();
    drop((consumer, client));
    assert_eq!(
        (record.offset(), record.value()),
        (0, Some(&0u32.to_be_bytes()[..]))
    );
}

#[tokio::test]
async fn reading_starts_where_it_is_told_to() {
    let (_cluster, client) = filled(40).await;
    let starts = [
        (Start::Earliest, 0),
        (Start::Offset(7), 7),
        // The paper broker finds batches, a real one records.
        (Start::Timestamp(25), 20),
    ];
    for (start, expected) in starts {
        let mut consumer = client
            .consumer()
            .assign("t", 0, start)
            .build()
            .await
            .unwrap();
        assert_eq!(offsets(&mut consumer, 1).await, [expected], "{start:?}");
    }
    for start in [Start::Latest, Start::Timestamp(i64::MAX)] {
        let mut consumer = client
            .consumer()
            .assign("t", 0, start)
            .build()
            .await
            .unwrap();
        let next = tokio::spawn(async move { consumer.next().await.unwrap().unwrap().offset() });
        let producer = client.producer().build().await.unwrap();
        let mut sent = Vec::new();
        // Until the consumer has found its start, what is produced lies before it.
        while !next.is_finished() {
            let placed = producer.send(Record::to("t").value("v")).await.unwrap();
            sent.push(placed.offset.unwrap());
        }
        assert!(sent.contains(&next.await.unwrap()));
    }
}

#[tokio::test]
async fn a_consumer_waits_for_what_is_not_there_yet() {
    let (_cluster, client) = filled(10).await;
    let mut consumer = client
        .consumer()
        .assign("t", 0, Start::Offset(10))
        .build()
        .await
        .unwrap();
    let next = tokio::spawn(async move { consumer.next().await.unwrap().unwrap().offset() });
    let producer = client.producer().build().await.unwrap();
    producer.send(Record::to("t").value("late")).await.unwrap();
    assert_eq!(next.await.unwrap(), 10);
}

#[tokio::test]
async fn a_fetch_that_fails_is_made_again_and_nothing_is_skipped() {
    let faults = [
        Fault::DisconnectBefore,
        Fault::Cut,
        Fault::WrongCorrelation,
        Fault::Flood,
        Fault::Refuse(ErrorCode::NotLeaderOrFollower),
        Fault::Refuse(ErrorCode::UnknownServerError),
        Fault::Refuse(ErrorCode::FencedLeaderEpoch),
    ];
    for fault in faults {
        let (cluster, client) = filled(50).await;
        let rule = cluster.fail(ApiKey::Fetch, fault);
        let consumer = client.consumer().assign("t", 0, Start::Earliest);
        let consumer = consumer.configure(|config| config.partition_fetch_bytes_max = 200);
        let mut consumer = consumer.build().await.unwrap();
        if fault == Fault::Refuse(ErrorCode::UnknownServerError) {
            let error = consumer.next().await.unwrap_err();
            assert_eq!(error.code(), Some(ErrorCode::UnknownServerError));
            assert_eq!(error.topic_partition(), Some(&place()));
        }
        let all: Vec<i64> = (0..50).collect();
        assert_eq!(offsets(&mut consumer, 50).await, all, "{fault:?}");
        assert_eq!(rule.struck(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn reading_follows_the_leader() {
    let cluster = FakeBroker::start(2).await.unwrap();
    cluster.topic("t", 1);
    let client = client(&cluster).await;
    fill(&client, 20, 1, Compression::NONE).await;
    let consumer = client.consumer().assign("t", 0, Start::Earliest);
    let mut consumer = consumer.build().await.unwrap();
    assert_eq!(
        offsets(&mut consumer, 20).await,
        (0..20).collect::<Vec<_>>()
    );
    cluster.move_leader("t", 0, 1);
    let producer = client.producer().build().await.unwrap();
    producer.send(Record::to("t").value("v")).await.unwrap();
    assert_eq!(offsets(&mut consumer, 1).await, [20]);
}

#[tokio::test]
async fn a_position_outside_of_the_log_follows_the_policy() {
    let (_cluster, client) = filled(20).await;
    let far = Start::Offset(1000);
    let consumer = client
        .consumer()
        .assign("t", 0, far)
        .offset_reset(OffsetReset::Earliest);
    let mut consumer = consumer.build().await.unwrap();
    assert_eq!(offsets(&mut consumer, 1).await, [0]);
    let consumer = client
        .consumer()
        .assign("t", 0, far)
        .offset_reset(OffsetReset::Fail);
    let mut consumer = consumer.build().await.unwrap();
    let error = consumer.next().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Offset);
    assert_eq!(
        (error.topic_partition(), error.offset()),
        (Some(&place()), Some(1000))
    );
    consumer.seek(&place(), Start::Offset(5)).unwrap();
    assert_eq!(offsets(&mut consumer, 1).await, [5]);
}

/// Flips a bit of a batch.
fn corrupt(cluster: &FakeBroker, at: usize) {
    cluster.edit_batches("t", 0, |batches| {
        let mut bytes = batches[at].to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        batches[at] = Bytes::from(bytes);
    });
}

#[tokio::test]
async fn a_corrupt_batch_is_named_and_can_be_passed_over() {
    let (cluster, client) = filled(30).await;
    corrupt(&cluster, 1);
    let consumer = client.consumer().assign("t", 0, Start::Earliest);
    let mut consumer = consumer.build().await.unwrap();
    assert_eq!(
        offsets(&mut consumer, 10).await,
        (0..10).collect::<Vec<_>>()
    );
    for _ in 0..2 {
        let error = consumer.next_batch().await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Corrupt);
        assert_eq!(
            (error.topic_partition(), error.offset()),
            (Some(&place()), Some(10))
        );
        assert!(error.to_string().ends_with("[t-0 at offset 10]"), "{error}");
    }
    consumer.seek(&place(), Start::Offset(20)).unwrap();
    assert_eq!(
        offsets(&mut consumer, 10).await,
        (20..30).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_corrupt_batch_is_passed_over_where_that_is_chosen_and_told() {
    for at in [1, 2] {
        let (cluster, client) = filled(30).await;
        corrupt(&cluster, at);
        let consumer = client.consumer().assign("t", 0, Start::Earliest);
        let consumer = consumer.configure(|config| config.corrupt = Corrupt::Skip);
        let mut consumer = consumer.build().await.unwrap();
        let mut events = consumer.events();
        let from = i64::try_from(at).unwrap() * 10;
        let producer = client.producer().build().await.unwrap();
        producer.send(Record::to("t").value("v")).await.unwrap();
        let expected: Vec<i64> = (0..from).chain(from + 10..31).collect();
        assert_eq!(offsets(&mut consumer, 21).await, expected);
        let skipped = loop {
            if let Some(ConsumerEvent::Skipped {
                next_offset, error, ..
            }) = events.next().await
            {
                break (error.offset(), next_offset);
            }
        };
        assert_eq!(skipped, (Some(from), from + 10));
    }
}

#[tokio::test]
async fn the_end_is_told_each_time_it_is_reached() {
    let (_cluster, client) = filled(20).await;
    let consumer = client.consumer().assign("t", 0, Start::Earliest);
    let mut consumer = consumer.build().await.unwrap();
    let mut events = consumer.events();
    offsets(&mut consumer, 20).await;
    let producer = client.producer().build().await.unwrap();
    producer.send(Record::to("t").value("v")).await.unwrap();
    offsets(&mut consumer, 1).await;
    for end in [20, 21] {
        match events.next().await {
            Some(ConsumerEvent::Eof { offset, .. }) => assert_eq!(offset, end),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(events.missed(), 0);
}

#[tokio::test]
async fn partitions_that_nobody_reads_do_not_hold_up_the_others() {
    let cluster = FakeBroker::start(1).await.unwrap();
    cluster.topic("t", 3);
    let client = client(&cluster).await;
    let producer = client.producer().batch_bytes(1).build().await.unwrap();
    for partition in [0, 1, 2, 0, 1, 2, 0, 0, 0, 0] {
        let record = Record::to("t").partition(partition).value("v");
        producer.send(record).await.unwrap();
    }
    // The first answer is more than may be kept.
    let consumer = client.consumer().assign_topic("t", Start::Earliest);
    let consumer = consumer
        .buffer_bytes(1)
        .configure(|config| config.partition_fetch_bytes_max = 1);
    let mut partitions = consumer.build().await.unwrap().partitions();
    let mut streams = Vec::new();
    while let Some(stream) = partitions.next().await.unwrap() {
        streams.push(stream);
    }
    let busy = streams
        .iter_mut()
        .find(|stream| stream.place().partition == 0);
    let busy = busy.unwrap();
    for offset in 0..6 {
        assert_eq!(busy.next().await.unwrap().unwrap().offset(), offset);
    }
}

#[tokio::test]
async fn a_seek_drops_what_was_fetched_ahead() {
    let (_cluster, client) = filled(40).await;
    let consumer = client.consumer().assign("t", 0, Start::Earliest);
    let mut consumer = consumer.build().await.unwrap();
    assert_eq!(offsets(&mut consumer, 3).await, [0, 1, 2]);
    assert_eq!(consumer.position(&place()), Some(3));
    consumer.seek(&place(), Start::Offset(33)).unwrap();
    assert_eq!(offsets(&mut consumer, 2).await, [33, 34]);
    consumer.seek(&place(), Start::Earliest).unwrap();
    assert_eq!(offsets(&mut consumer, 1).await, [0]);
    let elsewhere = TopicPartition::new("u", 0);
    assert_eq!(
        consumer.seek(&elsewhere, Start::Latest).unwrap_err().kind(),
        &ErrorKind::Config
    );
}

#[tokio::test]
async fn a_paused_partition_keeps_what_is_buffered_and_yields_to_others() {
    let cluster = FakeBroker::start(1).await.unwrap();
    cluster.topic("t", 2);
    let client = client(&cluster).await;
    let producer = client.producer().batch_bytes(1).build().await.unwrap();
    for partition in [0, 1] {
        for _ in 0..5 {
            let record = Record::to("t").partition(partition).value("v");
            producer.send(record).await.unwrap();
        }
    }
    let consumer = client.consumer().assign_topic("t", Start::Earliest);
    let mut consumer = consumer.build().await.unwrap();
    let first = consumer.next_batch().await.unwrap().unwrap();
    let paused = TopicPartition::new("t", first.partition());
    let other = TopicPartition::new("t", 1 - first.partition());
    consumer.pause(std::slice::from_ref(&paused));
    for _ in 0..5 {
        let batch = consumer.next_batch().await.unwrap().unwrap();
        assert_eq!(batch.partition(), other.partition);
    }
    consumer.resume(std::slice::from_ref(&paused));
    for offset in 1..5 {
        let batch = consumer.next_batch().await.unwrap().unwrap();
        assert_eq!(
            (batch.partition(), batch.next_offset()),
            (paused.partition, offset + 1)
        );
    }
}

#[tokio::test]
async fn a_paused_partition_that_fills_the_buffer_does_not_hold_up_the_others() {
    let cluster = FakeBroker::start(1).await.unwrap();
    cluster.topic("t", 2);
    let client = client(&cluster).await;
    fill(&client, 100, 10, Compression::NONE).await;
    let consumer = client.consumer().assign_topic("t", Start::Earliest);
    let mut consumer = consumer.buffer_bytes(1).build().await.unwrap();
    let first = consumer.next_batch().await.unwrap().unwrap();
    assert_eq!((first.partition(), first.next_offset()), (0, 10));
    // Nine batches go back, and there is room for one byte.
    consumer.pause(&[place()]);
    let producer = client.producer().build().await.unwrap();
    for offset in 0..5 {
        let record = Record::to("t").partition(1).value("v");
        producer.send(record).await.unwrap();
        let next = timeout(Duration::from_secs(60), consumer.next_batch()).await;
        let batch = next.expect("nobody waits for what is paused").unwrap();
        let batch = batch.unwrap();
        assert_eq!((batch.partition(), batch.next_offset()), (1, offset + 1));
    }
    consumer.resume(&[place()]);
    let rest: Vec<i64> = (10..100).collect();
    assert_eq!(offsets(&mut consumer, 90).await, rest);
}

#[tokio::test]
async fn without_an_assignment_there_is_nothing_to_wait_for() {
    let (_cluster, client) = filled(5).await;
    let consumer = client.consumer().assign("t", 0, Start::Earliest);
    let mut consumer = consumer.build().await.unwrap();
    assert_eq!(consumer.assignment(), [place()]);
    consumer.unassign(&place());
    assert!(consumer.next_batch().await.unwrap().is_none());
    consumer.assign(&place(), Start::Offset(3)).await.unwrap();
    assert_eq!(offsets(&mut consumer, 2).await, [3, 4]);
    let error = consumer
        .assign(&TopicPartition::new("t", 9), Start::Latest)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Config);
}

#[tokio::test]
async fn what_waits_stays_below_the_buffer_but_for_one_answer() {
    let (cluster, client) = filled(100).await;
    let consumer = client
        .consumer()
        .assign("t", 0, Start::Earliest)
        .buffer_bytes(1);
    // One batch at a time.
    let consumer = consumer.configure(|config| config.partition_fetch_bytes_max = 1);
    let mut consumer = consumer.build().await.unwrap();
    for batch in 0..10 {
        // Nothing is asked for while one batch waits, however long.
        consumer.next_batch().await.unwrap().unwrap();
        assert!(cluster.requests(ApiKey::Fetch) <= 3 + 2 * batch);
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_throttles_is_left_alone_for_so_long_and_that_is_told() {
    let (cluster, client) = filled(20).await;
    cluster.throttle(Duration::from_secs(3));
    let consumer = client.consumer().assign("t", 0, Start::Earliest);
    // One batch at a time.
    let consumer = consumer.configure(|config| config.partition_fetch_bytes_max = 1);
    let mut consumer = consumer.build().await.unwrap();
    let mut events = consumer.events();
    assert_eq!(offsets(&mut consumer, 10).await.len(), 10);
    let start = tokio::time::Instant::now();
    assert_eq!(offsets(&mut consumer, 10).await.len(), 10);
    let pause = Duration::from_secs(3);
    assert!(start.elapsed() >= pause, "{:?}", start.elapsed());
    let told = events.next().await.unwrap();
    let expected = ConsumerEvent::Throttled { broker: 0, pause };
    assert_eq!(format!("{told:?}"), format!("{expected:?}"));
    // A broker that is out of its mind is believed for the length of a request.
    cluster.throttle(Duration::MAX);
    fill(&client, 20, 10, Compression::NONE).await;
    let start = tokio::time::Instant::now();
    assert_eq!(offsets(&mut consumer, 20).await.len(), 20);
    let limit = Duration::from_secs(30);
    assert!(start.elapsed() >= limit && start.elapsed() < 3 * limit);
}

#[tokio::test(start_paused = true)]
async fn a_busy_partition_does_not_wait_for_idle_ones() {
    let cluster = FakeBroker::start(1).await.unwrap();
    cluster.topic("t", 4);
    let client = client(&cluster).await;
    fill(&client, 2000, 10, Compression::NONE).await;
    let mut consumer = client
        .consumer()
        .assign_topic("t", Start::Earliest)
        .fetch(1, Duration::from_secs(100))
        .configure(|config| config.partition_fetch_bytes_max = 2000)
        .build()
        .await
        .unwrap();
    let start = tokio::time::Instant::now();
    assert_eq!(
        offsets(&mut consumer, 2000).await,
        (0..2000).collect::<Vec<_>>()
    );
    assert!(
        start.elapsed() < Duration::from_secs(100),
        "{:?}",
        start.elapsed()
    );
}
