//! Records that fail: again in place, retry topics, dead letters, and what ends the run.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use highwater::{Backoff, ConsumerRecord, ErrorKind, Start};
use tokio::time::timeout;

use crate::LONG;
use crate::for_each::{Deeds, assert_ordered};
use crate::peer::{Peer, number};
use crate::run::spawn;

#[tokio::test]
async fn a_record_that_fails_is_tried_again_in_place_and_holds_up_its_key() {
    let peer = Peer::start().await;
    peer.produce(0..80).await;
    let (deeds, left) = (Deeds::default(), Arc::new(AtomicU32::new(3)));
    let (group, done) = (peer.group(), deeds.clone());
    let run = spawn(|stop| async move {
        let each = group.for_each(4, move |record: ConsumerRecord| {
            let (done, left) = (done.clone(), Arc::clone(&left));
            async move {
                if number(&record) == 21 {
                    let left = left.fetch_sub(1, Ordering::SeqCst);
                    assert_ne!(left, 2, "a panic is a failure");
                    if left > 1 {
                        return Err("not yet");
                    }
                }
                done.add(&record);
                Ok(())
            }
        });
        let (ms, pauses) = (Duration::from_millis(1), 5);
        let each = each.retry(Backoff::exponential(ms..10 * ms), pauses);
        each.run_until(stop.notified()).await
    });
    deeds.distinct(80).await;
    run.stop().await.unwrap();
    let numbers = deeds.numbers();
    assert_eq!(numbers.len(), 80);
    assert_ordered(&numbers);
    assert_eq!(peer.committed().await, 80);
}

#[tokio::test]
async fn a_record_goes_through_the_retry_topics_waits_there_and_becomes_a_dead_letter() {
    let peer = Peer::start().await;
    peer.produce(0..40).await;
    let (soon, later) = (peer.another("soon").await, peer.another("later").await);
    let letters = peer.another("DLT").await;
    let (ms, deeds) = (Duration::from_millis(1), Deeds::default());
    let (group, done) = (peer.group(), deeds.clone());
    let topics = [(soon.clone(), 300 * ms), (later.clone(), 500 * ms)];
    let dead = letters.clone();
    let run = spawn(|stop| async move {
        let each = group.for_each(4, move |record: ConsumerRecord| {
            let done = done.clone();
            async move {
                done.add(&record);
                match number(&record) {
                    21 => Err(io::Error::other("still no")),
                    22 if record.topic().ends_with("-soon") => Ok(()),
                    22 => Err(io::Error::other("not yet")),
                    _ => Ok(()),
                }
            }
        });
        let each = each.retry_topics(topics).dead_letter(dead);
        each.run_until(stop.notified()).await
    });
    let mut consumer = {
        let consumer = peer
            .client
            .consumer()
            .assign_topic(&letters, Start::Earliest);
        consumer.build().await.unwrap()
    };
    let letter = timeout(LONG, consumer.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    deeds.distinct(40).await;
    run.stop().await.unwrap();

    let of = |wanted| {
        let all = deeds.all().into_iter();
        let mut all: Vec<_> = all.filter(|(_, number, _)| *number == wanted).collect();
        all.sort_by_key(|(_, _, at)| *at);
        all
    };
    let twenty_one = of(21);
    let topics: Vec<&str> = twenty_one
        .iter()
        .map(|(topic, ..)| topic.as_str())
        .collect();
    assert_eq!(topics, [&peer.topic, &soon, &later]);
    // The header has whole milliseconds.
    assert!(twenty_one[1].2 - twenty_one[0].2 >= 299 * ms);
    assert!(twenty_one[2].2 - twenty_one[1].2 >= 499 * ms);
    let twenty_two = of(22);
    assert_eq!(twenty_two.len(), 2, "it was dealt with the second time");
    assert_eq!(peer.committed().await, 40, "nothing waits for them");

    assert_eq!((letter.key(), number(&letter)), (Some(&b"1"[..]), 21));
    let header = |name: &str| {
        let mut named = letter.headers().filter(|it| it.key_str() == Some(name));
        let one = named.next().unwrap_or_else(|| panic!("{name} is there"));
        assert_eq!(named.next(), None, "{name} is there once");
        one.value.unwrap().to_vec()
    };
    assert_eq!(header("kafka_dlt-original-topic"), peer.topic.as_bytes());
    assert_eq!(header("kafka_dlt-original-partition"), 1i32.to_be_bytes());
    assert_eq!(header("kafka_dlt-original-offset"), 5i64.to_be_bytes());
    assert_eq!(
        header("kafka_dlt-original-consumer-group"),
        peer.group.as_bytes()
    );
    assert_eq!(header("kafka_dlt-exception-fqcn"), b"std::io::error::Error");
    assert_eq!(header("kafka_dlt-exception-message"), b"still no");
    assert_eq!(header("kafka_original-topic"), peer.topic.as_bytes());
    assert_eq!(header("retry_topic-attempts"), 3u32.to_be_bytes());
    assert_eq!(header("__connect.errors.topic"), later.as_bytes());
    assert_eq!(header("__connect.errors.exception.message"), b"still no");
}

#[tokio::test]
async fn without_dead_letters_a_failure_ends_the_run_and_the_record_comes_again() {
    let peer = Peer::start().await;
    peer.produce(0..40).await;
    let fails = |record: ConsumerRecord| async move {
        match number(&record) {
            21 => Err("never"),
            _ => Ok(()),
        }
    };
    let each = peer.group().for_each(4, fails);
    let error = timeout(LONG, each.run()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Handler);
    assert_eq!(
        (error.topic_partition(), error.offset()),
        (Some(&peer.place(1)), Some(5))
    );
    assert!(peer.offsets().await.get(&1).is_none_or(|it| it.0 <= 5));

    let deeds = Deeds::default();
    let (group, done) = (peer.group(), deeds.clone());
    let run = spawn(|stop| async move {
        let each = group.for_each(4, move |record: ConsumerRecord| {
            done.add(&record);
            fails(record)
        });
        each.skip_failed().run_until(stop.notified()).await
    });
    let mut seen = deeds.0.subscribe();
    let comes = seen.wait_for(|deeds| deeds.iter().any(|it| it.1 == 37));
    timeout(LONG, comes).await.unwrap().unwrap();
    run.stop().await.unwrap();
    assert!(deeds.numbers().contains(&21));
    assert_eq!(peer.offsets().await[&1].0, 10, "it was left out");
}

#[tokio::test]
async fn errors_of_a_kind_that_does_not_pass_are_not_tried_again() {
    let peer = Peer::start().await;
    peer.produce(0..4).await;
    let letters = peer.another("DLT").await;
    let deeds = Deeds::default();
    let (group, done, dead) = (peer.group(), deeds.clone(), letters.clone());
    let run = spawn(|stop| async move {
        let each = group.for_each(1, move |record: ConsumerRecord| {
            done.add(&record);
            async move { Err::<(), _>(io::Error::from(io::ErrorKind::InvalidData)) }
        });
        let each = each.retry(Backoff::constant(LONG), 100).dead_letter(dead);
        let each = each.retry_if(|error| error.kind() != io::ErrorKind::InvalidData);
        each.run_until(stop.notified()).await
    });
    let consumer = peer
        .client
        .consumer()
        .assign_topic(&letters, Start::Earliest);
    let mut consumer = consumer.build().await.unwrap();
    for _ in 0..4 {
        timeout(LONG, consumer.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
    run.stop().await.unwrap();
    assert_eq!(deeds.numbers().len(), 4);
}

#[tokio::test]
async fn a_panic_of_what_sorts_errors_is_a_failure_like_any_other() {
    let peer = Peer::start().await;
    peer.produce(0..8).await;
    let letters = peer.another("DLT").await;
    let (group, dead) = (peer.group(), letters.clone());
    let run = spawn(|stop| async move {
        let fails = |_: ConsumerRecord| async { Err::<(), _>("no") };
        let each = group.for_each(1, fails).dead_letter(dead);
        let each = each.retry_if(|_| panic!("of no sort"));
        each.run_until(stop.notified()).await
    });
    let consumer = peer
        .client
        .consumer()
        .assign_topic(&letters, Start::Earliest);
    let mut consumer = consumer.build().await.unwrap();
    for _ in 0..8 {
        let letter = timeout(LONG, consumer.next()).await;
        let letter = letter.expect("the worker goes on").unwrap().unwrap();
        let mut headers = letter.headers();
        let why = headers.find(|it| it.key_str() == Some("kafka_dlt-exception-message"));
        assert_eq!(why.unwrap().value, Some(&b"panicked: of no sort"[..]));
    }
    run.stop().await.unwrap();
    assert_eq!(peer.committed().await, 8);
}

#[tokio::test]
async fn an_error_that_panics_when_it_is_written_ends_the_run() {
    #[derive(Debug)]
    struct Mute;
    impl std::fmt::Display for Mute {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("no words")
        }
    }
    impl std::error::Error for Mute {}
    let peer = Peer::start().await;
    peer.produce(0..8).await;
    let each = peer.group().for_each(2, |_| async { Err::<(), _>(Mute) });
    let error = timeout(LONG, each.run()).await;
    let error = error.expect("nobody waits for the worker").unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Handler);
    assert!(error.to_string().contains("no words"), "{error}");
    assert_eq!(error.topic_partition().unwrap().topic, peer.topic.into());
}
