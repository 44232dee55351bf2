//! The life of a claim: set up, read, ended, cleaned up, committed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use highwater::handler::{Claim, Cleanup, Session};
use highwater::{ConsumerRecord, Error, GroupHandler};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::LONG;
use crate::log::{Happened, Log, Scribe};
use crate::peer::{Peer, number};
use crate::run::Run;

#[tokio::test]
async fn a_handler_is_set_up_reads_to_the_end_cleans_up_and_everything_is_committed() {
    let peer = Peer::start().await;
    peer.produce(0..100).await;
    let (member, log) = (1, Log::default());
    let run = Run::of(
        peer.group(),
        Scribe {
            member,
            log: log.clone(),
        },
    );
    log.records(100).await;
    run.stop().await.unwrap();
    let all = log.all();
    assert_eq!(all[0], Happened::SetUp(1, vec![0, 1, 2, 3]));
    let last = Happened::CleanedUp(1, vec![0, 1, 2, 3], Cleanup::Shutdown);
    assert_eq!(all[all.len() - 1], last);
    let ended = all
        .iter()
        .filter(|it| matches!(it, Happened::Ended(..)))
        .count();
    assert_eq!((ended, all.len()), (4, 1 + 100 + 4 + 1));
    assert_eq!(peer.committed().await, 100);
    let again = Run::of(
        peer.group(),
        Scribe {
            member,
            log: Log::default(),
        },
    );
    peer.produce(100..101).await;
    log.0.send_replace(Vec::new());
    again.stop().await.unwrap();
    assert!(log.all().is_empty());
}

#[tokio::test]
async fn only_claims_that_change_are_disturbed_and_none_has_two_members_at_once() {
    for of_the_new_kind in [false, true] {
        hand_over(of_the_new_kind).await;
    }
}

async fn hand_over(of_the_new_kind: bool) {
    let peer = Peer::start().await;
    let log = Log::default();
    let scribe = |member| Scribe {
        member,
        log: log.clone(),
    };
    let one = Run::of(peer.group_of(of_the_new_kind), scribe(1));
    log.shared(&[(1, 4)]).await;
    let two = Run::of(peer.group_of(of_the_new_kind), scribe(2));
    log.shared(&[(1, 2), (2, 2)]).await;
    peer.produce(0..40).await;
    log.records(40).await;
    two.stop().await.unwrap();
    log.shared(&[(1, 4), (2, 0)]).await;
    peer.produce(40..80).await;
    log.records(80).await;
    one.stop().await.unwrap();
    let (mut owners, mut seen) = (BTreeMap::new(), BTreeSet::new());
    let mut revoked = 0;
    for it in log.all() {
        match it {
            Happened::SetUp(who, claims) => {
                for claim in claims {
                    assert_eq!(owners.insert(claim, who), None, "of {claim}");
                }
            }
            Happened::Record(who, claim, number) => {
                assert_eq!(owners.get(&claim), Some(&who));
                assert!(seen.insert(number), "{number} comes once: nobody died");
            }
            Happened::Ended(who, claim) => assert_eq!(owners.get(&claim), Some(&who)),
            Happened::CleanedUp(who, claims, why) => {
                revoked += claims.len() * usize::from(why == Cleanup::Revoked);
                for claim in claims {
                    assert_eq!(owners.remove(&claim), Some(who), "of {claim}");
                }
            }
        }
    }
    assert_eq!(revoked, 2, "two of four had to move");
    assert_eq!(peer.committed().await, 80);
}

#[tokio::test]
async fn what_is_marked_in_cleanup_is_committed_before_another_member_has_it() {
    /// Marks nothing before its clean-up.
    #[derive(Clone, Default)]
    struct Late(Arc<Mutex<Vec<ConsumerRecord>>>, Arc<Notify>);
    impl GroupHandler for Late {
        type Error = Error;
        async fn consume_claim(&self, _: &Session, mut claim: Claim) -> Result<(), Error> {
            while let Some(record) = claim.next().await? {
                self.0.lock().unwrap().push(record);
                self.1.notify_one();
            }
            Ok(())
        }
        async fn cleanup(&self, session: &Session, _: Cleanup) -> Result<(), Error> {
            let held = std::mem::take(&mut *self.0.lock().unwrap());
            held.iter().for_each(|record| session.mark(record));
            Ok(())
        }
    }
    let peer = Peer::start().await;
    peer.produce(0..40).await;
    let late = Late::default();
    let run = Run::of(peer.group(), late.clone());
    let all = async {
        while late.0.lock().unwrap().len() < 40 {
            late.1.notified().await;
        }
    };
    timeout(LONG, all).await.unwrap();
    run.stop().await.unwrap();
    assert_eq!(peer.committed().await, 40);
}

#[tokio::test]
async fn an_error_of_setup_ends_the_run_before_anything_is_read() {
    struct Unready(Log);
    impl GroupHandler for Unready {
        type Error = io::Error;
        async fn setup(&self, _: &Session) -> Result<(), io::Error> {
            Err(io::Error::other("no database"))
        }
        async fn consume_claim(&self, _: &Session, mut claim: Claim) -> Result<(), io::Error> {
            while let Ok(Some(record)) = claim.next().await {
                self.0.add(Happened::Record(1, 0, number(&record)));
            }
            Ok(())
        }
    }
    let peer = Peer::start().await;
    peer.produce(0..40).await;
    let log = Log::default();
    let error = Run::of(peer.group(), Unready(log.clone()))
        .end()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no database"), "{error}");
    assert!(log.all().is_empty());
}

#[tokio::test]
async fn a_handler_that_returns_early_ends_the_run_without_an_error() {
    struct Once;
    impl GroupHandler for Once {
        type Error = Error;
        async fn consume_claim(&self, session: &Session, mut claim: Claim) -> Result<(), Error> {
            if let Some(record) = claim.next().await? {
                session.mark(&record);
            }
            Ok(())
        }
    }
    let peer = Peer::start().await;
    peer.produce(0..1).await;
    Run::of(peer.group(), Once).end().await.unwrap();
    assert_eq!(peer.offsets().await[&0].0, 1);
}
