//! A function for each record: in order for each key, and to the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use highwater::{Commit, ConsumerRecord, Error, ErrorKind};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::LONG;
use crate::peer::{Peer, number};
use crate::run::spawn;

/// What a function for each record did.
#[derive(Clone, Default)]
pub(crate) struct Deeds(pub(crate) watch::Sender<Vec<(String, u32, Instant)>>);

impl Deeds {
    pub(crate) fn add(&self, record: &ConsumerRecord) {
        let deed = (record.topic().to_owned(), number(record), Instant::now());
        self.0.send_modify(|deeds| deeds.push(deed));
    }

    pub(crate) fn all(&self) -> Vec<(String, u32, Instant)> {
        self.0.borrow().clone()
    }

    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.all()
            .into_iter()
            .map(|(_, number, _)| number)
            .collect()
    }

    pub(crate) async fn distinct(&self, count: usize) {
        let mut deeds = self.0.subscribe();
        let wanted = |deeds: &Vec<(String, u32, Instant)>| {
            let numbers: BTreeSet<u32> = deeds.iter().map(|(_, number, _)| *number).collect();
            numbers.len() >= count
        };
        let waited = timeout(LONG, deeds.wait_for(wanted)).await.is_ok();
        assert!(waited, "{:?}", self.numbers());
    }
}

/// The first time each number was dealt with, those of one key came in order.
pub(crate) fn assert_ordered(numbers: &[u32]) {
    let (mut last, mut seen) = (BTreeMap::new(), BTreeSet::new());
    for number in numbers {
        if seen.insert(*number) {
            let before = last.insert(number % 20, *number);
            assert!(before < Some(*number), "{before:?} before {number}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_one_key_are_dealt_with_in_order_and_all_are_committed() {
    let peer = Peer::start().await;
    peer.produce(0..2000).await;
    let deeds = Deeds::default();
    let (group, done) = (peer.group(), deeds.clone());
    let run = spawn(|stop| async move {
        let each = group.for_each(8, move |record: ConsumerRecord| {
            let done = done.clone();
            async move {
                // Later records of other keys overtake.
                for _ in 0..number(&record) % 7 {
                    tokio::task::yield_now().await;
                }
                done.add(&record);
                Ok::<(), Error>(())
            }
        });
        each.queue_records(4).run_until(stop.notified()).await
    });
    deeds.distinct(2000).await;
    run.stop().await.unwrap();
    let numbers = deeds.numbers();
    assert_eq!(numbers.len(), 2000);
    assert_ordered(&numbers);
    assert_eq!(peer.committed().await, 2000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_die_while_they_work_leave_nothing_out_and_no_key_out_of_order() {
    let peer = Peer::start().await;
    let deeds = Deeds::default();
    let member = || {
        let (group, done) = (peer.group(), deeds.clone());
        let group = group.consumer(|consumer| {
            consumer.commit(Commit::Watermark {
                every: Duration::from_millis(5),
            })
        });
        spawn(|stop| async move {
            let each = group.for_each(4, move |record: ConsumerRecord| {
                let done = done.clone();
                async move {
                    tokio::task::yield_now().await;
                    done.add(&record);
                    Ok::<(), Error>(())
                }
            });
            each.run_until(stop.notified()).await
        })
    };
    let mut members = vec![member(), member()];
    for round in 1..=4u32 {
        peer.produce((round - 1) * 400..round * 400).await;
        // In the middle of its work, more often than not.
        deeds.distinct((round * 400 - 200) as usize).await;
        members.remove(0).kill().await;
        members.push(member());
        deeds.distinct((round * 400) as usize).await;
    }
    // What the last one that died had not committed comes again.
    let all = async { while peer.committed().await < 1600 {} };
    timeout(LONG, all).await.expect("everything is committed");
    for member in members {
        member.stop().await.unwrap();
    }
    assert_ordered(&deeds.numbers());
    assert_eq!(peer.committed().await, 1600);
}

#[tokio::test]
async fn ending_the_run_finishes_what_is_begun_and_commits_it() {
    let peer = Peer::start().await;
    peer.produce(0..40).await;
    let (begun, finish) = (watch::Sender::new(0u32), watch::Sender::new(false));
    let (group, counts, may) = (peer.group(), begun.clone(), finish.clone());
    let run = spawn(|stop| async move {
        let each = group.for_each(4, move |_: ConsumerRecord| {
            let (counts, mut may) = (counts.clone(), may.subscribe());
            async move {
                counts.send_modify(|count| *count += 1);
                let _ = may.wait_for(|may| *may).await;
                Ok::<(), Error>(())
            }
        });
        each.run_until(stop.notified()).await
    });
    let mut seen = begun.subscribe();
    timeout(LONG, seen.wait_for(|count| *count > 0))
        .await
        .unwrap()
        .unwrap();
    run.stop.notify_one();
    finish.send_replace(true);
    run.end().await.unwrap();
    assert_eq!(peer.committed().await, i64::from(*begun.borrow()));
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let peer = Peer::start().await;
    let fine = |_: ConsumerRecord| async { Ok::<(), Error>(()) };
    let refused = peer.group().for_each(0, fine).run().await.unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::Config);
    let manual = peer
        .group()
        .consumer(|consumer| consumer.commit(Commit::Manual));
    let refused = manual.for_each(1, fine).run().await.unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::Config);
    let once = peer.another("once").await;
    let topics = [(once.clone(), LONG), (once.clone(), LONG)];
    let twice = peer.group().for_each(1, fine).retry_topics(topics);
    let refused = timeout(LONG, twice.run()).await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::Config);
    assert!(refused.to_string().contains(&once), "{refused}");
    let round = peer.group().for_each(1, fine).dead_letter(&peer.topic);
    let refused = timeout(LONG, round.run()).await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::Config);
    assert!(refused.to_string().contains(&peer.topic), "{refused}");
}
