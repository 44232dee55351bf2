//! What is promised of partitions that are let go, and of calls that are given up in the middle.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use highwater::{Consumer, ConsumerBuilder, Rebalance, TopicPartition};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use crate::peer::{LONG, Peer, has, have, next, number};

/// Asks for records, gives the call up and asks again.
async fn ask(consumer: &mut Consumer) -> Option<(TopicPartition, u32)> {
    let record = timeout(Duration::from_millis(1), consumer.next()).await;
    let record = record.ok()?.unwrap().unwrap();
    let place = TopicPartition::new(record.topic(), record.partition());
    Some((place, number(&record)))
}

/// A listener that takes as long as the test wants, and then commits what it lets go.
async fn nothing_is_handed_out_once_letting_go_began(member: impl Fn(&Peer) -> ConsumerBuilder) {
    let peer = Peer::start().await;
    peer.produce(0..400).await;
    let began = Arc::new(Mutex::new(BTreeSet::new()));
    let (told, may_end) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let (seen, told_by, ends) = (Arc::clone(&began), Arc::clone(&told), Arc::clone(&may_end));
    let builder = member(&peer).auto_commit(None);
    let builder = builder.on_rebalance(move |rebalance, group| {
        let (seen, told, may_end) = (Arc::clone(&seen), Arc::clone(&told_by), Arc::clone(&ends));
        async move {
            let Rebalance::Revoked(positions) = rebalance else {
                return;
            };
            seen.lock().unwrap().extend(positions.keys().cloned());
            told.notify_one();
            drop(may_end.acquire().await.unwrap());
            let read = positions
                .into_iter()
                .filter_map(|(place, at)| Some((place, at?)));
            group.commit(read).await.unwrap();
        }
    });
    let mut first = builder.build().await.unwrap();
    let mut numbers = BTreeSet::new();
    for _ in 0..50 {
        numbers.insert(number(&next(&mut first).await));
    }
    let mut second = member(&peer).auto_commit(None).build().await.unwrap();
    // It is told while it asks; and while the listener waits, nothing comes of what it was told.
    let mut waited = 0;
    let mut asked_by_second = Vec::new();
    while waited < 100 {
        if let Some((place, number)) = ask(&mut first).await {
            assert!(!began.lock().unwrap().contains(&place), "{place} {number}");
            numbers.insert(number);
        }
        asked_by_second.extend(ask(&mut second).await);
        waited += u32::from(!began.lock().unwrap().is_empty());
    }
    assert_eq!(asked_by_second, [], "nobody has what is still being let go");
    told.notified().await;
    may_end.add_permits(1 << 20);
    let all = async {
        while numbers.len() < 400 {
            for consumer in [&mut first, &mut second] {
                if let Some((_, number)) = ask(consumer).await {
                    assert!(numbers.insert(number), "{number} was handed out twice");
                }
            }
        }
    };
    timeout(LONG, all).await.expect("everything is handed out");
    // And at the end it is told, too.
    began.lock().unwrap().clear();
    let had: BTreeSet<TopicPartition> = first.assignment().into_iter().collect();
    first.shutdown(LONG).await.unwrap();
    assert_eq!(*began.lock().unwrap(), had);
}

#[tokio::test]
async fn nothing_is_handed_out_once_an_eager_member_lets_go() {
    nothing_is_handed_out_once_letting_go_began(Peer::member).await;
}

#[tokio::test]
async fn nothing_is_handed_out_once_a_member_of_the_consumer_protocol_lets_go() {
    nothing_is_handed_out_once_letting_go_began(Peer::consumer_member).await;
}

#[tokio::test]
async fn a_commit_that_nobody_waits_for_is_made_all_the_same() {
    let peer = Peer::start().await;
    for member in [peer.member(), peer.consumer_member()] {
        let mut consumer = member.auto_commit(None).build().await.unwrap();
        has(&mut consumer, 4).await;
        let group = consumer.group().unwrap();
        let before = peer.committed().await;
        let offset = before + 3;
        // Begun, and given up.
        let commit = group.commit([(peer.place(0), offset)]);
        let _ = timeout(Duration::ZERO, commit).await;
        let made = async {
            while peer.committed().await != offset {
                ask(&mut consumer).await;
            }
        };
        timeout(LONG, made).await.expect("it is made");
        consumer.shutdown(LONG).await.unwrap();
    }
}

#[tokio::test]
async fn a_shutdown_that_is_given_up_leaves_the_group_all_the_same() {
    let peer = Peer::start().await;
    for member in [Peer::member, Peer::consumer_member] {
        let mut first = member(&peer).build().await.unwrap();
        has(&mut first, 4).await;
        let mut second = member(&peer).build().await.unwrap();
        have([&mut first, &mut second], 2).await;
        let _ = timeout(Duration::ZERO, first.shutdown(LONG)).await;
        has(&mut second, 4).await;
        second.shutdown(LONG).await.unwrap();
    }
}
