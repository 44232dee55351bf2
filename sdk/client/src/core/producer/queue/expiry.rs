//! Batches that nobody waits for any longer.

use std::time::Duration;

use super::answer::{Verdict, settled};
use super::batch::Batch;
use super::{Queue, Rules};
use crate::core::producer::delivery::Outcome;
use crate::error::{Error, Written};

impl Queue {
    /// When the oldest batch must be given up.
    pub(crate) fn expiry(&self, rules: &Rules) -> Option<Duration> {
        let closed = self
            .batches
            .iter()
            .find(|batch| !batch.abandoned)
            .map(|b| b.created);
        let created = closed.or(self.open.as_ref().map(|open| open.opened))?;
        Some(created.saturating_add(rules.delivery_timeout))
    }

    /// Gives up what is older than the delivery time-out.
    pub(crate) fn expire(&mut self, now: Duration, rules: &Rules) -> Verdict {
        let mut verdict = Verdict::default();
        let late = |created: Duration| created.saturating_add(rules.delivery_timeout) <= now;
        if self.open.as_ref().is_some_and(|open| late(open.opened)) {
            self.close();
        }
        let ms = rules.delivery_timeout.as_millis();
        let why = match &self.last_error {
            Some(error) => format!("not delivered within {ms} ms, last failure: {error}"),
            None => format!("not delivered within {ms} ms"),
        };
        self.give_up(
            |batch| late(batch.created),
            &mut verdict,
            &Error::timeout(why),
        );
        verdict
    }

    /// Gives up everything, for `error`.
    pub(crate) fn abandon(&mut self, error: &Error) -> Verdict {
        let mut verdict = Verdict::default();
        self.close();
        self.give_up(|_| true, &mut verdict, error);
        verdict
    }

    fn give_up(&mut self, which: impl Fn(&Batch) -> bool, verdict: &mut Verdict, error: &Error) {
        let mut at = 0;
        while let Some(batch) = self.batches.get_mut(at) {
            if !which(batch) || batch.abandoned {
                at += 1;
            } else if batch.is_in_flight() {
                batch.abandoned = true;
                let error = error.clone().at(&self.topic, self.partition);
                let records = batch.undelivered(&self.topic, self.partition);
                let outcome = Outcome::Failed(error.with_written(Written::Maybe), records);
                verdict.settled.push(settled(batch, outcome));
                at += 1;
            } else {
                self.fail(at, error.clone(), verdict);
            }
        }
    }
}
