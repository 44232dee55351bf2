//! Offsets that are said by number, beside the records that are marked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use highwater::handler::{Claim, Cleanup, GroupBuilder, OnClaimError, Session};
use highwater::{Backoff, BoxError, Commit, ConsumerRecord, Error, GroupHandler, TopicPartition};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::LONG;
use crate::log::{Happened, Log, Scribe, numbers};
use crate::peer::{Peer, number};
use crate::run::Run;

#[tokio::test]
async fn offsets_marked_by_number_are_committed_with_their_notes_and_can_be_reset() {
    /// Marks by number, and commits at once.
    struct Numbers(Arc<Notify>);
    impl GroupHandler for Numbers {
        type Error = Error;
        async fn consume_claim(&self, session: &Session, mut claim: Claim) -> Result<(), Error> {
            let place = claim.place().clone();
            while let Some(record) = claim.next().await? {
                if record.offset() == 4 {
                    session.mark_offset(&place, 5, "five");
                    session.mark_offset(&place, 3, "less is nothing");
                    session.commit().await?;
                    if place.partition == 2 {
                        session.reset_offset(&place, 1, "back");
                    }
                    self.0.notify_one();
                }
            }
            Ok(())
        }
    }
    let peer = Peer::start().await;
    let seen = Arc::new(Notify::new());
    let run = Run::of(peer.group(), Numbers(Arc::clone(&seen)));
    peer.produce(0..40).await;
    let waits = async {
        while peer.offsets().await.values().filter(|it| it.0 == 5).count() < 4 {
            let _ = timeout(Duration::from_millis(10), seen.notified()).await;
        }
    };
    timeout(LONG, waits)
        .await
        .expect("commit() commits at once");
    run.stop().await.unwrap();
    let five = || (5, "five".to_owned());
    let expected = [
        (0, five()),
        (1, five()),
        (2, (1, "back".to_owned())),
        (3, five()),
    ];
    assert_eq!(peer.offsets().await, BTreeMap::from(expected));
}

/// Does with its session what it is told to, at each step.
struct Says<S, C, U> {
    in_setup: S,
    with_record: C,
    in_cleanup: U,
    log: Log,
}

impl<S, C, U> GroupHandler for Says<S, C, U>
where
    S: Fn(&Session) + Send + Sync + 'static,
    C: Fn(&Session, &ConsumerRecord) -> Result<(), BoxError> + Send + Sync + 'static,
    U: Fn(&Session) + Send + Sync + 'static,
{
    type Error = BoxError;

    async fn setup(&self, session: &Session) -> Result<(), BoxError> {
        (self.in_setup)(session);
        Ok(())
    }

    async fn consume_claim(&self, session: &Session, mut claim: Claim) -> Result<(), BoxError> {
        while let Some(record) = claim.next().await? {
            (self.with_record)(session, &record)?;
            let happened = Happened::Record(1, claim.partition(), number(&record));
            self.log.add(happened);
        }
        Ok(())
    }

    async fn cleanup(&self, session: &Session, _: Cleanup) -> Result<(), BoxError> {
        (self.in_cleanup)(session);
        Ok(())
    }
}

/// Often enough that each number is committed by itself.
fn often(group: GroupBuilder) -> GroupBuilder {
    let every = Duration::from_millis(2);
    group.consumer(|consumer| consumer.commit(Commit::Watermark { every }))
}

#[tokio::test]
async fn numbers_and_marks_are_committed_in_one_order_and_the_group_never_goes_back() {
    let peer = Peer::start().await;
    peer.produce(0..400).await;
    let log = Log::default();
    // The number is set off by two records against the mark that follows.
    let says = Says {
        in_setup: |_: &Session| (),
        with_record: |session: &Session, record: &ConsumerRecord| {
            let place = TopicPartition::new(record.topic(), record.partition());
            if record.offset() % 10 == 7 {
                session.mark_offset(&place, record.offset() - 2, "behind");
            }
            session.mark(record);
            Ok(())
        },
        in_cleanup: |_: &Session| (),
        log: log.clone(),
    };
    let run = Run::of(often(peer.group()), says);
    let mut highest = BTreeMap::new();
    let looks = async {
        while peer.committed().await < 400 {
            for (partition, (offset, _)) in peer.offsets().await {
                let before = highest.insert(partition, offset);
                assert!(before <= Some(offset), "{before:?} before {offset}");
            }
        }
    };
    timeout(LONG, looks).await.expect("marks lead on");
    run.stop().await.unwrap();
    let last: BTreeSet<_> = peer.offsets().await.into_values().collect();
    assert_eq!(last, BTreeSet::from([(100, String::new())]));
}

#[tokio::test]
async fn what_is_said_in_setup_is_where_reading_begins() {
    let peer = Peer::start().await;
    peer.produce(0..80).await;
    let log = Log::default();
    let says = Says {
        in_setup: |session: &Session| {
            for claim in session.claims() {
                session.reset_offset(claim, 15, "from the store");
            }
        },
        with_record: |session: &Session, record: &ConsumerRecord| {
            assert!(record.offset() >= 15);
            session.mark(record);
            Ok(())
        },
        in_cleanup: |_: &Session| (),
        log: log.clone(),
    };
    let run = Run::of(peer.group(), says);
    log.records(20).await;
    run.stop().await.unwrap();
    assert_eq!(numbers(&log.all()), (60..80).collect());
    assert_eq!(peer.committed().await, 80);
}

#[tokio::test]
async fn numbers_said_in_cleanup_count_and_those_said_later_do_not() {
    let peer = Peer::start().await;
    peer.produce(0..80).await;
    let log = Log::default();
    let late = Arc::new(Mutex::new(None));
    let keeps = Arc::clone(&late);
    let says = Says {
        in_setup: |_: &Session| (),
        with_record: |_: &Session, _: &ConsumerRecord| Ok(()),
        in_cleanup: move |session: &Session| {
            for claim in session.claims() {
                session.mark_offset(claim, 7, "seven");
            }
            *keeps.lock().unwrap() = Some(session.clone());
        },
        log: log.clone(),
    };
    let one = Run::of(often(peer.group()), says);
    log.records(80).await;
    let two = Run::of(
        often(peer.group()),
        Scribe {
            member: 2,
            log: log.clone(),
        },
    );
    // The second marks what it gets, from 7 on.
    log.until(|log| {
        log.iter()
            .filter(|it| matches!(it, Happened::Record(2, ..)))
            .count()
            == 26
    })
    .await;
    let session: Session = late.lock().unwrap().take().unwrap();
    for claim in session.claims() {
        session.mark_offset(claim, 1000, "too late");
        session.reset_offset(claim, 1, "too late");
    }
    two.stop().await.unwrap();
    // What the first one has again is not what that session was about.
    for claim in session.claims() {
        session.reset_offset(claim, 2, "far too late");
    }
    session.commit().await.unwrap();
    one.stop().await.unwrap();
    let offsets = peer.offsets().await;
    let (mut ends, mut sevens) = (0, 0);
    for (offset, note) in offsets.into_values() {
        match (offset, note.as_str()) {
            (20, "") => ends += 1,
            (7, "seven") => sevens += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((ends, sevens), (2, 2));
}

#[tokio::test]
async fn a_claim_is_read_again_from_the_number_that_was_said() {
    let peer = Peer::start().await;
    peer.produce(0..40).await;
    let (log, left) = (Log::default(), AtomicU32::new(1));
    let says = Says {
        in_setup: |_: &Session| (),
        with_record: move |session: &Session, record: &ConsumerRecord| {
            let place = TopicPartition::new(record.topic(), record.partition());
            if record.offset() == 5 && place.partition == 1 && left.swap(0, Ordering::SeqCst) > 0 {
                return Err("a bad day".into());
            }
            session.mark_offset(&place, record.offset() + 1, "by number");
            Ok(())
        },
        in_cleanup: |_: &Session| (),
        log: log.clone(),
    };
    let again = OnClaimError::Restart(Backoff::constant(Duration::from_millis(5)));
    let run = Run::of(peer.group().on_claim_error(again), says);
    log.records(40).await;
    run.stop().await.unwrap();
    assert_eq!(log.all().len(), 40, "nothing comes again");
    let last: BTreeSet<_> = peer.offsets().await.into_values().collect();
    assert_eq!(last, BTreeSet::from([(10, "by number".to_owned())]));
}
