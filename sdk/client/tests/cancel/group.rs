//! A member of a group, by either protocol.

use std::collections::BTreeSet;

use highwater::Committed;
use tokio::time::timeout;

use crate::{
    LONG, PROTOCOLS, RECORDS, at_each_await, committed, drop_after, filled, group, member, number,
    place, places, reads_the_rest,
};

#[tokio::test]
async fn a_dropped_call_for_records_takes_neither_records_nor_partitions_with_it() {
    let cluster = filled().await;
    for protocol in PROTOCOLS {
        at_each_await(async |polls| {
            let group = group();
            let mut consumer = member(&cluster, &group, protocol).build().await.unwrap();
            let mut seen = BTreeSet::new();
            let first = drop_after(polls, consumer.next()).await;
            let done = first.is_some();
            if let Some(record) = first.map(|first| first.unwrap().unwrap()) {
                seen.insert(number(&record));
                record.done();
            }
            reads_the_rest(&mut consumer, &mut seen).await;
            consumer.shutdown(LONG).await.unwrap();
            assert_eq!(committed(&cluster, &group).await, i64::from(RECORDS));
            done
        })
        .await;
    }
}

#[tokio::test]
async fn calls_for_records_that_are_dropped_again_and_again_come_to_the_end() {
    let cluster = filled().await;
    for protocol in PROTOCOLS {
        let group = group();
        let mut consumer = member(&cluster, &group, protocol).build().await.unwrap();
        let mut seen = BTreeSet::new();
        let read = async {
            while seen.len() < RECORDS as usize {
                // A poll that finds nothing is the last one of its call.
                match drop_after(1, consumer.next()).await {
                    Some(record) => {
                        let record = record.unwrap().unwrap();
                        assert!(seen.insert(number(&record)));
                        record.done();
                    }
                    None => tokio::task::yield_now().await,
                }
            }
        };
        timeout(LONG, read).await.expect("it goes on in between");
        consumer.shutdown(LONG).await.unwrap();
        assert_eq!(committed(&cluster, &group).await, i64::from(RECORDS));
    }
}

#[tokio::test]
async fn a_dropped_commit_is_made_all_the_same() {
    let cluster = filled().await;
    for protocol in PROTOCOLS {
        at_each_await(async |polls| {
            let id = group();
            let mut consumer = member(&cluster, &id, protocol).build().await.unwrap();
            reads_the_rest(&mut consumer, &mut BTreeSet::new()).await;
            let group = consumer.group().unwrap();
            let done = drop_after(polls, consumer.commit()).await;
            let begun = polls > 0;
            // One after the other: who hears of this one has heard of those before it.
            group.commit([(place(0), 1)]).await.unwrap();
            let half = i64::from(RECORDS) / 2;
            let expected = 1 + if begun { half } else { 0 };
            assert_eq!(committed(&cluster, &id).await, expected);

            let note = Committed {
                metadata: "dropped".to_owned(),
                ..Committed::from(2)
            };
            let own = drop_after(polls, group.commit([(place(1), note.clone())])).await;
            group.commit([(place(0), 3)]).await.unwrap();
            let mut known = group.committed(places()).await.unwrap();
            assert_eq!(known[&place(0)].as_ref().map(|it| it.offset), Some(3));
            let known = known.remove(&place(1)).unwrap();
            assert_eq!(known.is_some_and(|it| it.metadata == "dropped"), begun);
            done.is_some() && own.is_some()
        })
        .await;
    }
}

#[tokio::test]
async fn a_dropped_question_for_what_is_committed_may_be_asked_again() {
    let cluster = filled().await;
    for protocol in PROTOCOLS {
        let mut consumer = member(&cluster, &group(), protocol).build().await.unwrap();
        reads_the_rest(&mut consumer, &mut BTreeSet::new()).await;
        consumer.commit().await.unwrap();
        let group = consumer.group().unwrap();
        at_each_await(async |polls| {
            let by_consumer = drop_after(polls, consumer.committed(places())).await;
            let by_group = drop_after(polls, group.committed(places())).await;
            let known = consumer.committed(places()).await.unwrap();
            assert_eq!(known, group.committed(places()).await.unwrap());
            let offsets = known.into_values().map(|known| known.unwrap().offset);
            assert_eq!(offsets.sum::<i64>(), i64::from(RECORDS));
            by_consumer.is_some() && by_group.is_some()
        })
        .await;
    }
}

#[tokio::test]
async fn a_dropped_shutdown_leaves_as_dropping_the_consumer_does() {
    let cluster = filled().await;
    for protocol in PROTOCOLS {
        at_each_await(async |polls| {
            let group = group();
            let mut consumer = member(&cluster, &group, protocol).build().await.unwrap();
            reads_the_rest(&mut consumer, &mut BTreeSet::new()).await;
            let done = drop_after(polls, consumer.shutdown(LONG)).await;
            if let Some(left) = &done {
                left.as_ref().unwrap();
                assert_eq!(committed(&cluster, &group).await, i64::from(RECORDS));
            }
            // Long before a session would end.
            let mut heir = member(&cluster, &group, protocol).build().await.unwrap();
            let has_all = async {
                while heir.assignment().len() < places().len() {
                    drop_after(2, heir.next()).await;
                }
            };
            timeout(LONG / 4, has_all).await.expect("it has left");
            heir.shutdown(LONG).await.unwrap();
            done.is_some()
        })
        .await;
    }
}
