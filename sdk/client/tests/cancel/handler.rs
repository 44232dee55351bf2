//! A handler's calls: its session's, its claim's, and the run itself.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use highwater::handler::{Claim, Cleanup, GroupBuilder, Session};
use highwater::testing::TestCluster;
use highwater::{Commit, Error, GroupHandler, GroupProtocol, OffsetReset};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::{LONG, PARTITIONS, RECORDS, committed, drop_after, filled, group, number};

fn builder(cluster: &TestCluster, group: &str) -> GroupBuilder {
    let builder = cluster.client().group(group).topics(["t"]);
    builder.consumer(|consumer| {
        let consumer = consumer.offset_reset(OffsetReset::Earliest);
        consumer.configure(|config| config.group.protocol = GroupProtocol::Consumer)
    })
}

/// Drops each call of its claim and its session at one await more than the one before, and begins anew.
#[derive(Clone, Default)]
struct Impatient {
    seen: Arc<Mutex<BTreeSet<u32>>>,
    by_batch: bool,
    /// Told when everything was seen.
    all: Arc<Notify>,
    cleaned_up: Arc<Mutex<usize>>,
}

impl Impatient {
    fn sees(&self, number: u32) {
        let mut seen = self.seen.lock().unwrap();
        assert!(seen.insert(number), "{number} comes once");
        if seen.len() == RECORDS as usize {
            self.all.notify_one();
        }
    }
}

impl GroupHandler for Impatient {
    type Error = Error;

    async fn setup(&self, session: &Session) -> Result<(), Error> {
        assert!(drop_after(1, session.cancelled()).await.is_none());
        Ok(())
    }

    async fn consume_claim(&self, session: &Session, mut claim: Claim) -> Result<(), Error> {
        let mut polls = 0;
        loop {
            polls = polls % 5 + 1;
            assert!(session.is_cancelled() || drop_after(1, session.cancelled()).await.is_none());
            if self.by_batch {
                let Some(batch) = drop_after(polls, claim.next_batch()).await else {
                    continue;
                };
                let Some(batch) = batch? else { break };
                for record in &batch {
                    self.sees(u32::from_be_bytes(
                        record.value().unwrap().try_into().unwrap(),
                    ));
                }
                batch.done();
            } else {
                let Some(record) = drop_after(polls, claim.next()).await else {
                    continue;
                };
                let Some(record) = record? else { break };
                self.sees(number(&record));
                session.mark(&record);
            }
            if let Some(committed) = drop_after(polls - 1, session.commit()).await {
                committed?;
            }
        }
        session.cancelled().await;
        Ok(())
    }

    async fn cleanup(&self, session: &Session, _: Cleanup) -> Result<(), Error> {
        drop_after(1, session.commit()).await;
        *self.cleaned_up.lock().unwrap() += session.claims().len();
        Ok(())
    }
}

#[tokio::test]
async fn dropped_calls_of_a_claim_and_its_session_lose_nothing() {
    let cluster = filled().await;
    for by_batch in [false, true] {
        let handler = Impatient {
            by_batch,
            ..Impatient::default()
        };
        let group = group();
        let all = Arc::clone(&handler.all);
        let run = builder(&cluster, &group).run_until(handler.clone(), all.notified());
        timeout(LONG, run).await.expect("it ends").unwrap();
        assert_eq!(*handler.cleaned_up.lock().unwrap(), PARTITIONS as usize);
        assert_eq!(committed(&cluster, &group).await, i64::from(RECORDS));
    }
}

/// Drops a run after so many polls, or when `idle` is told: it would not ask again. Returns whether that was so.
async fn dropped_run(
    polls: usize,
    run: impl Future<Output = Result<(), Error>>,
    idle: &Notify,
) -> bool {
    tokio::select! {
        biased;
        ended = drop_after(polls, run) => {
            assert!(ended.is_none(), "{ended:?}");
            false
        }
        () = idle.notified() => true,
    }
}

/// Reads what is left of a group, until everything is committed.
async fn reads_the_rest(cluster: &TestCluster, group: &str) -> BTreeSet<u32> {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let saw = Arc::clone(&seen);
    let every = Duration::from_millis(5);
    let run = builder(cluster, group).consumer(|it| it.commit(Commit::Watermark { every }));
    let each = run.for_each(2, move |record| {
        saw.lock().unwrap().insert(number(&record));
        std::future::ready(Ok::<(), Error>(()))
    });
    let all = async { while committed(cluster, group).await < i64::from(RECORDS) {} };
    let run = timeout(LONG / 4, each.run_until(all)).await;
    run.expect("who was dropped has left").unwrap();
    seen.lock().unwrap().clone()
}

#[tokio::test]
async fn a_dropped_run_leaves_the_group_and_what_is_not_committed_to_the_next() {
    let cluster = filled().await;
    for polls in (0..).step_by(3) {
        let group = group();
        let first = Impatient::default();
        let run = builder(&cluster, &group).run(first.clone());
        let is_idle = dropped_run(polls, run, &first.all).await;
        let second = reads_the_rest(&cluster, &group).await;
        let both = first.seen.lock().unwrap().union(&second).count();
        assert_eq!(both, RECORDS as usize, "{polls} polls");
        if is_idle {
            return;
        }
    }
}

#[tokio::test]
async fn a_dropped_for_each_leaves_what_its_workers_had_to_the_next() {
    let cluster = filled().await;
    for polls in (0..).step_by(3) {
        let (group, busy) = (group(), Arc::new(Notify::new()));
        let works = Arc::clone(&busy);
        let each = builder(&cluster, &group).for_each(2, move |_| {
            works.notify_one();
            std::future::pending::<Result<(), Error>>()
        });
        let is_idle = dropped_run(polls, each.run(), &busy).await;
        let seen = reads_the_rest(&cluster, &group).await;
        assert_eq!(seen.len(), RECORDS as usize);
        if is_idle {
            return;
        }
    }
}
