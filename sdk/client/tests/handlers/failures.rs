//! Handlers that fail, panic, hang, or are stopped at the wrong moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use highwater::handler::{Claim, Cleanup, OnClaimError, Session};
use highwater::{Backoff, BoxError, Error, ErrorKind, GroupHandler};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::LONG;
use crate::log::{Happened, Log, Scribe, numbers};
use crate::peer::{Peer, number};
use crate::run::Run;

/// Fails at a number, so many times.
#[derive(Clone)]
struct Failing {
    scribe: Scribe,
    at: u32,
    left: Arc<AtomicU32>,
    panics: bool,
}

impl GroupHandler for Failing {
    type Error = BoxError;

    async fn setup(&self, session: &Session) -> Result<(), BoxError> {
        Ok(self.scribe.setup(session).await?)
    }

    async fn consume_claim(&self, session: &Session, mut claim: Claim) -> Result<(), BoxError> {
        while let Some(record) = claim.next().await? {
            let number = number(&record);
            if number == self.at {
                let less = |left: u32| left.checked_sub(1);
                let left = &self.left;
                if left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
                    .is_ok()
                {
                    assert!(!self.panics, "a bad day");
                    return Err("a bad day".into());
                }
            }
            let happened = Happened::Record(self.scribe.member, claim.partition(), number);
            self.scribe.log.add(happened);
            session.mark(&record);
        }
        Ok(())
    }

    async fn cleanup(&self, session: &Session, why: Cleanup) -> Result<(), BoxError> {
        Ok(self.scribe.cleanup(session, why).await?)
    }
}

fn failing(at: u32, times: u32, panics: bool) -> Failing {
    let (member, log) = (1, Log::default());
    Failing {
        scribe: Scribe { member, log },
        at,
        left: Arc::new(AtomicU32::new(times)),
        panics,
    }
}

#[tokio::test]
async fn a_handler_that_fails_ends_the_run_cleans_up_and_leaves_the_group() {
    for panics in [false, true] {
        let peer = Peer::start().await;
        peer.produce(0..40).await;
        let handler = failing(21, 1, panics);
        let run = Run::of(peer.group(), handler.clone());
        let error = run.end().await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Handler);
        assert_eq!(error.topic_partition(), Some(&peer.place(1)));
        assert!(error.to_string().contains("a bad day"), "{error}");
        assert!(std::error::Error::source(&error).is_some());
        let log = handler.scribe.log.all();
        let last = Happened::CleanedUp(1, vec![0, 1, 2, 3], Cleanup::Shutdown);
        assert_eq!(log[log.len() - 1], last);
        assert!(!numbers(&log).contains(&21));
        // 1, 5, 9, 13, 17 were before.
        assert_eq!(peer.offsets().await[&1].0, 5);
        let described = peer
            .client
            .admin()
            .describe_groups([&peer.group])
            .await
            .unwrap();
        assert!(described[&peer.group].as_ref().unwrap().members.is_empty());
    }
}

#[tokio::test]
async fn a_claim_is_read_again_from_its_first_record_without_a_mark_where_that_is_the_rule() {
    for panics in [false, true] {
        let peer = Peer::start().await;
        peer.produce(0..40).await;
        let handler = failing(21, 3, panics);
        let pause = Backoff::constant(Duration::from_millis(5));
        let group = peer.group().on_claim_error(OnClaimError::Restart(pause));
        let run = Run::of(group, handler.clone());
        handler.scribe.log.records(40).await;
        run.stop().await.unwrap();
        let log = handler.scribe.log.all();
        let records = log.iter().filter(|it| matches!(it, Happened::Record(..)));
        assert_eq!(records.count(), 40, "what was marked does not come again");
        let set_ups = log.iter().filter(|it| matches!(it, Happened::SetUp(..)));
        assert_eq!(set_ups.count(), 1, "the others go on");
        assert_eq!(peer.committed().await, 40);
    }
}

#[tokio::test]
async fn a_run_that_is_stopped_while_it_is_set_up_cleans_up() {
    /// Is not ready before it is told.
    #[derive(Clone)]
    struct Slow(Scribe, Arc<Notify>, Arc<Notify>);
    impl GroupHandler for Slow {
        type Error = Error;
        async fn setup(&self, session: &Session) -> Result<(), Error> {
            self.1.notify_one();
            session.cancelled().await;
            self.0.setup(session).await
        }
        async fn consume_claim(&self, session: &Session, claim: Claim) -> Result<(), Error> {
            self.2.notify_one();
            self.0.consume_claim(session, claim).await
        }
        async fn cleanup(&self, session: &Session, why: Cleanup) -> Result<(), Error> {
            self.0.cleanup(session, why).await
        }
    }
    let peer = Peer::start().await;
    let (member, log) = (1, Log::default());
    let scribe = Scribe {
        member,
        log: log.clone(),
    };
    let slow = Slow(scribe, Arc::default(), Arc::default());
    let run = Run::of(peer.group(), slow.clone());
    timeout(LONG, slow.1.notified()).await.unwrap();
    run.stop().await.unwrap();
    let all = vec![0, 1, 2, 3];
    let expected = [
        Happened::SetUp(1, all.clone()),
        Happened::CleanedUp(1, all, Cleanup::Shutdown),
    ];
    assert_eq!(log.all(), expected);
}

#[tokio::test]
async fn a_claim_that_fails_after_its_end_is_the_next_members_where_claims_are_read_again() {
    /// Fails when its claim is revoked.
    struct Sore(Scribe);
    impl GroupHandler for Sore {
        type Error = BoxError;
        async fn setup(&self, session: &Session) -> Result<(), BoxError> {
            Ok(self.0.setup(session).await?)
        }
        async fn consume_claim(&self, session: &Session, claim: Claim) -> Result<(), BoxError> {
            self.0.consume_claim(session, claim).await?;
            Err("a sad end".into())
        }
        async fn cleanup(&self, session: &Session, why: Cleanup) -> Result<(), BoxError> {
            Ok(self.0.cleanup(session, why).await?)
        }
    }
    let peer = Peer::start().await;
    let log = Log::default();
    let scribe = |member| Scribe {
        member,
        log: log.clone(),
    };
    let again = OnClaimError::Restart(Backoff::constant(Duration::from_millis(5)));
    let one = Run::of(peer.group().on_claim_error(again), Sore(scribe(1)));
    log.shared(&[(1, 4)]).await;
    let two = Run::of(peer.group(), scribe(2));
    log.shared(&[(1, 2), (2, 2)]).await;
    peer.produce(0..40).await;
    log.records(40).await;
    one.stop().await.unwrap();
    two.stop().await.unwrap();
    assert_eq!(peer.committed().await, 40);
}

#[tokio::test]
async fn a_handler_that_does_not_come_to_an_end_is_dropped_and_what_it_marked_is_committed() {
    /// Marks what it gets, and does not look for the end.
    struct Stubborn(Log);
    impl GroupHandler for Stubborn {
        type Error = Error;
        async fn consume_claim(&self, session: &Session, mut claim: Claim) -> Result<(), Error> {
            for _ in 0..3 {
                let record = claim.next().await?.unwrap();
                session.mark(&record);
                self.0.add(Happened::Record(1, 0, number(&record)));
            }
            claim.next().await?;
            std::future::pending().await
        }
    }
    let peer = Peer::start().await;
    peer.produce(0..40).await;
    let log = Log::default();
    let group = peer.group().shutdown_within(Duration::from_secs(2));
    let run = Run::of(group, Stubborn(log.clone()));
    log.records(12).await;
    run.stop().await.unwrap();
    assert_eq!(peer.committed().await, 12);
}

#[tokio::test]
async fn a_handler_without_progress_ends_the_run() {
    struct Stuck;
    impl GroupHandler for Stuck {
        type Error = Error;
        async fn consume_claim(&self, _: &Session, mut claim: Claim) -> Result<(), Error> {
            let _record = claim.next().await?;
            std::future::pending().await
        }
    }
    let peer = Peer::start().await;
    peer.produce(0..1).await;
    let group = peer.group().consumer(|consumer| {
        consumer.configure(|config| config.group.poll_interval_max = Duration::from_millis(700))
    });
    let error = Run::of(group, Stuck).end().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Timeout);
    assert_eq!(error.topic_partition(), Some(&peer.place(0)));
}
