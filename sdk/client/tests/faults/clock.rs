//! A clock that jumps: a laptop that slept, a virtual machine that was moved.

use std::time::Duration;

use highwater::{OffsetReset, Record, Start};
use tokio::time::{advance, pause, resume, timeout};

use crate::peer::{LONG, Peer, fill, number};

/// Everything that was to happen within a day is late at once.
async fn sleep_for_a_day() {
    pause();
    advance(Duration::from_secs(86_400)).await;
    resume();
}

#[tokio::test]
async fn a_day_that_passes_at_once_costs_neither_records_nor_order() {
    let peer = Peer::start().await;
    let topic = peer.topic(1).await;
    let client = peer.client().await;
    let producer = client.producer().build().await.unwrap();
    let consumer = client
        .consumer()
        .assign(&topic, 0, Start::Earliest)
        .fetch(1, Duration::from_millis(100));
    let mut consumer = consumer.build().await.unwrap();
    let send = |number: u32| {
        let (producer, topic) = (producer.clone(), topic.clone());
        let sent = async move {
            let value = number.to_be_bytes();
            producer.send(Record::to(&topic).value(&value)).await
        };
        timeout(LONG, sent)
    };
    for round in 0..4u32 {
        let placed = send(round).await.expect("it ends").unwrap();
        assert_eq!(placed.offset, Some(i64::from(round)));
        let record = timeout(LONG, consumer.next()).await.expect("it goes on");
        let record = record.unwrap().unwrap();
        assert_eq!(number(record.value().unwrap()), round);
        sleep_for_a_day().await;
    }
    assert_eq!(peer.values(&topic).await[&0], [0, 1, 2, 3]);
}

#[tokio::test]
async fn a_member_that_slept_for_a_day_is_back_in_its_group() {
    let peer = Peer::start().await;
    let topic = peer.topic(2).await;
    let direct = peer.direct().await;
    let client = peer.client().await;
    let consumer = client
        .consumer()
        .group(format!("g-{topic}"))
        .subscribe([&topic])
        .offset_reset(OffsetReset::Earliest)
        .auto_commit(None)
        .fetch(1, Duration::from_millis(100))
        .configure(|config| {
            config.group.heartbeat_interval = Duration::from_millis(50);
            config.group.session_timeout = Duration::from_secs(6);
        });
    let mut consumer = consumer.build().await.unwrap();
    let mut from = 0;
    for _ in 0..3 {
        fill(&direct, &topic, from..from + 10).await;
        from += 10;
        let mut new = 0;
        while new < 10 {
            // It may be told that it was away for too long; then it is back.
            if let Ok(record) = timeout(LONG, consumer.next()).await.expect("it goes on") {
                let number = number(record.unwrap().value().unwrap());
                new += u32::from(number >= from - 10);
            }
        }
        timeout(LONG, consumer.commit())
            .await
            .expect("it ends")
            .unwrap();
        sleep_for_a_day().await;
    }
}
