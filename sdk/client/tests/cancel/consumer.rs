//! A consumer of partitions that were assigned by hand.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;
use highwater::{Client, Consumer, ConsumerEvent, Start};
use tokio::time::timeout;

use crate::{
    LONG, PARTITIONS, RECORDS, at_each_await, drop_after, filled, number, place, places,
    reads_the_rest,
};

async fn reader(client: &Client) -> Consumer {
    let consumer = client.consumer().assign_topic("t", Start::Earliest);
    consumer.build().await.unwrap()
}

#[tokio::test]
async fn a_dropped_build_leaves_nothing_behind() {
    let cluster = filled().await;
    at_each_await(async |polls| {
        // One that knows nothing yet.
        let client = Client::builder(cluster.bootstrap())
            .connect()
            .await
            .unwrap();
        let builder = client.consumer().assign_topic("t", Start::Earliest);
        let built = drop_after(polls, builder.clone().build()).await;
        let done = built.is_some();
        let mut consumer = match built {
            Some(built) => built.unwrap(),
            None => builder.build().await.unwrap(),
        };
        reads_the_rest(&mut consumer, &mut BTreeSet::new()).await;
        done
    })
    .await;
}

#[tokio::test]
async fn a_dropped_assignment_is_whole_or_none() {
    let cluster = filled().await;
    at_each_await(async |polls| {
        let client = Client::builder(cluster.bootstrap())
            .connect()
            .await
            .unwrap();
        let mut consumer = client.consumer().build().await.unwrap();
        let one = drop_after(polls, consumer.assign(&place(0), Start::Earliest)).await;
        let has = usize::from(one.is_some());
        assert_eq!(consumer.assignment(), &places()[..has]);
        // Another that nobody asked about yet.
        let client = Client::builder(cluster.bootstrap())
            .connect()
            .await
            .unwrap();
        let mut consumer = client.consumer().build().await.unwrap();
        let all = drop_after(polls, consumer.assign_topic("t", Start::Earliest)).await;
        let has = all.as_ref().map_or(0, |_| PARTITIONS as usize);
        assert_eq!(consumer.assignment(), &places()[..has]);
        consumer.assign_topic("t", Start::Earliest).await.unwrap();
        reads_the_rest(&mut consumer, &mut BTreeSet::new()).await;
        one.is_some() && all.is_some()
    })
    .await;
}

#[tokio::test]
async fn a_dropped_call_for_records_takes_none_with_it() {
    let cluster = filled().await;
    at_each_await(async |polls| {
        let mut consumer = reader(&cluster.client()).await;
        let mut seen = BTreeSet::new();
        let first = drop_after(polls, consumer.next()).await;
        let done = first.is_some();
        let first = first.map(|first| first.unwrap().unwrap());
        seen.extend(first.as_ref().map(number));
        reads_the_rest(&mut consumer, &mut seen).await;
        done
    })
    .await;
}

#[tokio::test]
async fn a_dropped_call_for_a_batch_takes_none_with_it() {
    let cluster = filled().await;
    at_each_await(async |polls| {
        let mut consumer = reader(&cluster.client()).await;
        let mut offsets = vec![0; PARTITIONS as usize];
        let first = drop_after(polls, consumer.next_batch()).await;
        let (done, mut batch) = (first.is_some(), first);
        let mut records = 0;
        loop {
            if let Some(batch) = batch {
                let batch = batch.unwrap().unwrap();
                let offset = &mut offsets[usize::try_from(batch.partition()).unwrap()];
                let first = batch.iter().next().map(|record| record.offset());
                assert_eq!(first, Some(*offset), "in order");
                *offset = batch.next_offset();
                records += batch.len();
            }
            if records == RECORDS as usize {
                return done;
            }
            let next = timeout(LONG, consumer.next_batch()).await;
            batch = Some(next.expect("there is more"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_stream_of_records_may_be_dropped_at_any_time() {
    let cluster = filled().await;
    at_each_await(async |polls| {
        let mut consumer = reader(&cluster.client()).await;
        let mut seen = BTreeSet::new();
        let mut stream = consumer.stream();
        let next = poll_fn(|context| Pin::new(&mut stream).poll_next(context));
        let first = drop_after(polls, next).await;
        drop(stream);
        let done = first.is_some();
        let first = first.map(|first| first.unwrap().unwrap());
        seen.extend(first.as_ref().map(number));
        reads_the_rest(&mut consumer, &mut seen).await;
        done
    })
    .await;
}

#[tokio::test]
async fn a_dropped_question_for_offsets_may_be_asked_again() {
    let cluster = filled().await;
    at_each_await(async |polls| {
        let client = Client::builder(cluster.bootstrap())
            .connect()
            .await
            .unwrap();
        let mut consumer = client.consumer().build().await.unwrap();
        let first = drop_after(polls, consumer.beginning_offsets(places())).await;
        let last = drop_after(polls, consumer.end_offsets(places())).await;
        let times = || places().into_iter().map(|place| (place, 0));
        let timed = drop_after(polls, consumer.offsets_for_times(times())).await;
        let done = first.is_some() && last.is_some() && timed.is_some();
        let first = consumer.beginning_offsets(places()).await.unwrap();
        assert!(first.values().all(|offset| *offset == 0));
        let last = consumer.end_offsets(places()).await.unwrap();
        assert_eq!(last.values().sum::<i64>(), i64::from(RECORDS));
        let timed = consumer.offsets_for_times(times()).await.unwrap();
        let of = |place| timed[&place].as_ref().unwrap().offset;
        assert_eq!([of(place(0)), of(place(1))], [Some(0); 2]);
        consumer.assign_topic("t", Start::Earliest).await.unwrap();
        reads_the_rest(&mut consumer, &mut BTreeSet::new()).await;
        done
    })
    .await;
}

#[tokio::test]
async fn a_dropped_wait_for_an_event_misses_none() {
    let cluster = filled().await;
    let mut consumer = reader(&cluster.client()).await;
    let mut events = consumer.events();
    for polls in 0..4 {
        assert!(drop_after(polls.min(1), events.next()).await.is_none());
    }
    reads_the_rest(&mut consumer, &mut BTreeSet::new()).await;
    for _ in 0..PARTITIONS {
        drop(drop_after(0, events.next()).await);
        let event = timeout(LONG, events.next()).await.expect("it is told");
        assert!(
            matches!(event, Some(ConsumerEvent::Eof { .. })),
            "{event:?}"
        );
    }
    assert_eq!(events.missed(), 0);
}
