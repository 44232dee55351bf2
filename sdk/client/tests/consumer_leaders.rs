//! A consumer whose partitions move: to replicas nearby, to new leaders, to logs that parted.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use highwater::testing::{ApiKey, FakeBroker, Fault};
use highwater::{
    Client, Consumer, ConsumerBuilder, ConsumerEvent, ErrorCode, ErrorKind, OffsetReset, Record,
    Start, TopicPartition,
};

async fn client(cluster: &FakeBroker) -> Client {
    let builder = Client::builder(cluster.bootstrap()).configure(|config| {
        config.retry_backoff = Duration::from_millis(1);
        config.reconnect_backoff = Duration::from_millis(1);
    });
    builder.connect().await.unwrap()
}

/// Two brokers with a topic of one partition, which the first one leads.
async fn pair() -> (FakeBroker, Client) {
    let cluster = FakeBroker::start(2).await.unwrap();
    cluster.topic("t", 1);
    let client = client(&cluster).await;
    (cluster, client)
}

/// Puts so many records into the log, one batch each.
async fn produce(client: &Client, count: usize) {
    let producer = client.producer().build().await.unwrap();
    for _ in 0..count {
        producer.send(Record::to("t").value("v")).await.unwrap();
    }
}

/// Which brokers were asked for records, in order, without repetitions.
fn fetched_from(cluster: &FakeBroker) -> Vec<i32> {
    let seen = cluster.seen().into_iter();
    let fetches = seen.filter(|(_, api, _)| *api == ApiKey::Fetch);
    let mut brokers: Vec<i32> = fetches.map(|(broker, ..)| broker).collect();
    brokers.dedup();
    brokers
}

fn place() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn reader(client: &Client) -> ConsumerBuilder {
    // One batch at a time, so that nothing is fetched far ahead.
    let consumer = client.consumer().assign("t", 0, Start::Earliest);
    consumer.configure(|config| config.partition_fetch_bytes_max = 1)
}

async fn offsets(consumer: &mut Consumer, count: usize) -> Vec<i64> {
    let mut offsets = Vec::new();
    while offsets.len() < count {
        offsets.push(consumer.next().await.unwrap().unwrap().offset());
    }
    offsets
}

#[tokio::test]
async fn records_come_from_the_replica_that_the_leader_names() {
    let (cluster, client) = pair().await;
    produce(&client, 5).await;
    cluster.follower("t", 0, 1);
    let nearby = reader(&client).configure(|config| config.client_rack = Some("here".to_owned()));
    let mut consumer = nearby.build().await.unwrap();
    assert_eq!(offsets(&mut consumer, 5).await, [0, 1, 2, 3, 4]);
    assert_eq!(fetched_from(&cluster), [0, 1]);
    // Without a rack the leader gives them itself.
    let mut consumer = reader(&client).build().await.unwrap();
    assert_eq!(offsets(&mut consumer, 5).await, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_replica_that_refuses_or_fails_leaves_the_leader() {
    for fault in [
        Fault::Refuse(ErrorCode::OffsetOutOfRange),
        Fault::Refuse(ErrorCode::NotLeaderOrFollower),
        Fault::DisconnectBefore,
    ] {
        let (cluster, client) = pair().await;
        produce(&client, 5).await;
        cluster.follower("t", 0, 1);
        let nearby = reader(&client)
            .configure(|config| config.client_rack = Some("here".to_owned()))
            // What a replica does not have is not out of range.
            .offset_reset(OffsetReset::Fail);
        let mut consumer = nearby.build().await.unwrap();
        assert_eq!(offsets(&mut consumer, 2).await, [0, 1]);
        let _ = cluster.fail(ApiKey::Fetch, fault);
        assert_eq!(offsets(&mut consumer, 3).await, [2, 3, 4], "{fault:?}");
        let from = fetched_from(&cluster);
        assert!(from.starts_with(&[0, 1, 0]), "{fault:?}: {from:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_leader_is_asked_again_when_metadata_is_old() {
    let cluster = FakeBroker::start(2).await.unwrap();
    cluster.topic("t", 1);
    let age = Duration::from_secs(20);
    let builder = Client::builder(cluster.bootstrap());
    let builder = builder.configure(|config| config.metadata_age_max = age);
    let client = builder.connect().await.unwrap();
    produce(&client, 2).await;
    cluster.follower("t", 0, 1);
    let nearby = reader(&client).configure(|config| config.client_rack = Some("here".to_owned()));
    let mut consumer = nearby.build().await.unwrap();
    assert_eq!(offsets(&mut consumer, 2).await, [0, 1]);
    // The clock runs while nothing comes.
    let next = tokio::time::timeout(2 * age, consumer.next()).await;
    assert!(next.is_err(), "there is nothing");
    assert!(fetched_from(&cluster).starts_with(&[0, 1, 0, 1]));
}

#[tokio::test]
async fn a_new_leader_is_asked_whether_its_log_is_the_one_that_was_read() {
    let (cluster, client) = pair().await;
    produce(&client, 5).await;
    let mut consumer = reader(&client).build().await.unwrap();
    assert_eq!(offsets(&mut consumer, 5).await, [0, 1, 2, 3, 4]);
    cluster.move_leader("t", 0, 1);
    produce(&client, 1).await;
    assert_eq!(offsets(&mut consumer, 1).await, [5]);
    assert_eq!(cluster.requests(ApiKey::OffsetForLeaderEpoch), 1);
}

#[tokio::test]
async fn a_position_past_a_truncated_log_goes_to_where_the_logs_part() {
    let (cluster, client) = pair().await;
    produce(&client, 8).await;
    let mut consumer = reader(&client).build().await.unwrap();
    assert_eq!(offsets(&mut consumer, 8).await.last(), Some(&7));
    cluster.truncate("t", 0, 5, 1);
    produce(&client, 6).await;
    // Where there was another record before, there is one again.
    assert_eq!(offsets(&mut consumer, 6).await, [5, 6, 7, 8, 9, 10]);
}

#[tokio::test]
async fn a_truncation_is_an_error_that_names_the_offset_where_there_is_no_policy() {
    let (cluster, client) = pair().await;
    produce(&client, 8).await;
    let reader = reader(&client).offset_reset(OffsetReset::Fail);
    let mut consumer = reader.build().await.unwrap();
    offsets(&mut consumer, 8).await;
    cluster.truncate("t", 0, 5, 1);
    produce(&client, 6).await;
    let error = consumer.next().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Offset);
    assert_eq!(
        (error.topic_partition(), error.offset()),
        (Some(&place()), Some(5))
    );
    consumer.seek(&place(), Start::Offset(10)).unwrap();
    assert_eq!(offsets(&mut consumer, 1).await, [10]);
}

#[tokio::test]
async fn a_broker_that_does_not_tell_where_epochs_end_is_believed() {
    let (cluster, client) = pair().await;
    cluster.offers(ApiKey::OffsetForLeaderEpoch, 2);
    produce(&client, 3).await;
    let mut consumer = reader(&client).build().await.unwrap();
    offsets(&mut consumer, 3).await;
    cluster.move_leader("t", 0, 1);
    produce(&client, 1).await;
    assert_eq!(offsets(&mut consumer, 1).await, [3]);
    assert_eq!(cluster.requests(ApiKey::OffsetForLeaderEpoch), 0);
}

#[tokio::test]
async fn a_topic_that_was_made_anew_is_read_from_where_the_policy_says() {
    let (cluster, client) = pair().await;
    produce(&client, 8).await;
    let reader = reader(&client).offset_reset(OffsetReset::Earliest);
    let mut consumer = reader.build().await.unwrap();
    let mut events = consumer.events();
    offsets(&mut consumer, 8).await;
    cluster.topic("t", 1);
    let client = self::client(&cluster).await;
    produce(&client, 3).await;
    assert_eq!(offsets(&mut consumer, 3).await, [0, 1, 2]);
    let reset = async {
        while let Some(event) = events.next().await {
            if matches!(event, ConsumerEvent::Reset { .. }) {
                return;
            }
        }
    };
    reset.await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_never_answers_is_asked_again_after_the_time_out() {
    for api in [ApiKey::Fetch, ApiKey::ListOffsets] {
        let (cluster, client) = pair().await;
        produce(&client, 4).await;
        let rule = cluster.fail(api, Fault::Drop);
        let mut consumer = reader(&client).build().await.unwrap();
        let start = tokio::time::Instant::now();
        assert_eq!(offsets(&mut consumer, 4).await, [0, 1, 2, 3], "{api}");
        // `request.timeout.ms`, and some pauses.
        assert!(start.elapsed() < Duration::from_secs(40), "{api}");
        assert_eq!(rule.struck(), 1, "{api}");
    }
}

#[tokio::test]
async fn a_look_up_that_fails_is_made_again() {
    for fault in [
        Fault::DisconnectBefore,
        Fault::Cut,
        Fault::WrongCorrelation,
        Fault::Refuse(ErrorCode::NotLeaderOrFollower),
        Fault::Refuse(ErrorCode::OffsetNotAvailable),
    ] {
        let (cluster, client) = pair().await;
        produce(&client, 2).await;
        let _ = cluster.fail(ApiKey::ListOffsets, fault);
        let mut consumer = reader(&client).build().await.unwrap();
        assert_eq!(offsets(&mut consumer, 2).await, [0, 1], "{fault:?}");
    }
}
