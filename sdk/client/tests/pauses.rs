//! What is asked again is asked with pauses, whatever brokers leave out of their answers.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use highwater::testing::wire::message::{FetchRequest, FetchResponse};
use highwater::testing::wire::message::{ListOffsetsRequest, ListOffsetsResponse};
use highwater::testing::wire::message::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
};
use highwater::testing::{ApiKey, FakeBroker};
use highwater::{Client, Consumer, ErrorCode, Record, Start};
use tokio::time::{sleep, timeout};

/// So long, and what is asked in that time with pauses of 100 ms to 1 s between.
const WHILE: Duration = Duration::from_secs(20);
const PACED: std::ops::Range<usize> = 5..60;

/// Partition 0 of the topic `t`, with a record in it.
async fn cluster() -> (FakeBroker, Client) {
    // The paused clock runs ahead to the next timer, also while an answer is on its way.
    tokio::spawn(async {
        loop {
            sleep(Duration::from_millis(5)).await;
        }
    });
    let broker = FakeBroker::start(2).await.unwrap();
    broker.topic("t", 1);
    let client = Client::builder(broker.bootstrap()).connect().await.unwrap();
    let producer = client.producer().build().await.unwrap();
    producer.send(Record::to("t").value("v")).await.unwrap();
    (broker, client)
}

async fn consumer(client: &Client, start: Start) -> Consumer {
    let consumer = client.consumer().assign("t", 0, start);
    consumer.build().await.unwrap()
}

/// How often an API is asked for while a consumer waits for a record.
async fn asked(broker: &FakeBroker, consumer: &mut Consumer, api: ApiKey) -> usize {
    let before = broker.requests(api);
    let waited = timeout(WHILE, consumer.next()).await;
    assert!(waited.is_err(), "there is nothing to be had");
    broker.requests(api) - before
}

#[tokio::test(start_paused = true)]
async fn an_offset_that_an_answer_leaves_out_is_looked_up_again_with_pauses() {
    let (broker, client) = cluster().await;
    broker.script::<ListOffsetsRequest<'_>>(|asked| asked.answer(&ListOffsetsResponse::default()));
    let mut consumer = consumer(&client, Start::Earliest).await;
    let times = asked(&broker, &mut consumer, ApiKey::ListOffsets).await;
    assert!(PACED.contains(&times), "{times} times");
    // And what was left out is not forgotten.
    broker.script::<ListOffsetsRequest<'_>>(|_| None);
    let record = consumer.next().await.unwrap().unwrap();
    assert_eq!(record.offset(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_epoch_that_an_answer_leaves_out_is_asked_for_again_with_pauses() {
    let (broker, client) = cluster().await;
    let mut consumer = consumer(&client, Start::Earliest).await;
    consumer.next().await.unwrap().unwrap();
    broker.script::<OffsetForLeaderEpochRequest<'_>>(|asked| {
        asked.answer(&OffsetForLeaderEpochResponse::default())
    });
    broker.move_leader("t", 0, 1);
    let times = asked(&broker, &mut consumer, ApiKey::OffsetForLeaderEpoch).await;
    assert!(PACED.contains(&times), "{times} times");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_no_broker_wants_to_know_is_opened_again_with_pauses() {
    let (broker, client) = cluster().await;
    broker.script::<FetchRequest<'_>>(|asked| {
        asked.answer(&FetchResponse {
            error_code: ErrorCode::FetchSessionIdNotFound.id(),
            ..FetchResponse::default()
        })
    });
    let mut consumer = consumer(&client, Start::Offset(0)).await;
    let times = asked(&broker, &mut consumer, ApiKey::Fetch).await;
    assert!(PACED.contains(&times), "{times} times");
    broker.script::<FetchRequest<'_>>(|_| None);
    assert_eq!(consumer.next().await.unwrap().unwrap().offset(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_gone_is_asked_about_with_growing_pauses() {
    let (broker, client) = cluster().await;
    broker.remove("t");
    let producer = client.producer().delivery_timeout(WHILE).build().await;
    let before = broker.requests(ApiKey::Metadata);
    let error = producer.unwrap().send(Record::to("t").value("v")).await;
    assert!(error.unwrap_err().is_retriable());
    let times = broker.requests(ApiKey::Metadata) - before;
    // 100, 200, 400, 800 ms, and a second from then on, a fifth more or less.
    assert!((15..30).contains(&times), "{times} times");
}
