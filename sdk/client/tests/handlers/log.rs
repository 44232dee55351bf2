//! What happened over all members of a test, and a handler that writes it down.

use std::collections::BTreeSet;

use highwater::handler::{Claim, Cleanup, Session};
use highwater::{Error, GroupHandler};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::LONG;
use crate::peer::number;

/// What happened, over all members of a test, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Happened {
    SetUp(u32, Vec<i32>),
    Record(u32, i32, u32),
    Ended(u32, i32),
    CleanedUp(u32, Vec<i32>, Cleanup),
}

#[derive(Clone, Default)]
pub(crate) struct Log(pub(crate) watch::Sender<Vec<Happened>>);

impl Log {
    pub(crate) fn add(&self, happened: Happened) {
        self.0.send_modify(|log| log.push(happened));
    }

    pub(crate) fn all(&self) -> Vec<Happened> {
        self.0.borrow().clone()
    }

    pub(crate) async fn until(&self, wanted: impl FnMut(&Vec<Happened>) -> bool) {
        let mut log = self.0.subscribe();
        let waited = timeout(LONG, log.wait_for(wanted)).await.is_ok();
        assert!(waited, "{:?}", self.all());
    }

    /// Waits until this many different records were seen.
    pub(crate) async fn records(&self, count: usize) {
        self.until(|log| numbers(log).len() >= count).await;
    }

    /// Waits until the members have so many claims each.
    pub(crate) async fn shared(&self, claims: &[(u32, usize)]) {
        self.until(|log| {
            claims
                .iter()
                .all(|(who, count)| held(log, *who).len() == *count)
        })
        .await;
    }
}

pub(crate) fn numbers(log: &[Happened]) -> BTreeSet<u32> {
    let number = |it: &Happened| match it {
        Happened::Record(_, _, number) => Some(*number),
        Happened::SetUp(..) | Happened::Ended(..) | Happened::CleanedUp(..) => None,
    };
    log.iter().filter_map(number).collect()
}

pub(crate) fn held(log: &[Happened], member: u32) -> BTreeSet<i32> {
    let mut held = BTreeSet::new();
    for it in log {
        match it {
            Happened::SetUp(who, claims) if *who == member => held.extend(claims),
            Happened::CleanedUp(who, claims, _) if *who == member => {
                claims
                    .iter()
                    .for_each(|claim| assert!(held.remove(claim), "{log:?}"));
            }
            Happened::SetUp(..)
            | Happened::Record(..)
            | Happened::Ended(..)
            | Happened::CleanedUp(..) => {}
        }
    }
    held
}

/// A handler that writes down what happens.
#[derive(Clone)]
pub(crate) struct Scribe {
    pub(crate) member: u32,
    pub(crate) log: Log,
}

pub(crate) fn partitions(session: &Session) -> Vec<i32> {
    session
        .claims()
        .iter()
        .map(|claim| claim.partition)
        .collect()
}

impl GroupHandler for Scribe {
    type Error = Error;

    async fn setup(&self, session: &Session) -> Result<(), Error> {
        assert!(session.generation() > 0 && !session.member_id().is_empty());
        self.log
            .add(Happened::SetUp(self.member, partitions(session)));
        Ok(())
    }

    async fn consume_claim(&self, session: &Session, mut claim: Claim) -> Result<(), Error> {
        assert_eq!(session.claims(), [claim.place().clone()]);
        while let Some(record) = claim.next().await? {
            let happened = Happened::Record(self.member, claim.partition(), number(&record));
            self.log.add(happened);
            session.mark(&record);
        }
        assert!(session.is_cancelled());
        self.log
            .add(Happened::Ended(self.member, claim.partition()));
        Ok(())
    }

    async fn cleanup(&self, session: &Session, why: Cleanup) -> Result<(), Error> {
        let claims = partitions(session);
        self.log.add(Happened::CleanedUp(self.member, claims, why));
        Ok(())
    }
}
