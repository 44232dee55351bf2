//! What a claim and the workers that have its records share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{Notify, watch};

use crate::consumer::ConsumerRecord;
use crate::error::Error;
use crate::handler::claim::Claim;
use crate::handler::pulse::Pulse;

#[derive(Debug)]
pub(super) struct Ticket {
    /// Records that workers have.
    out: AtomicUsize,
    /// Told when there is one less.
    changed: Notify,
    pulse: Arc<Pulse>,
    /// Whether the claim has ended: nothing waits to be tried again.
    ended: watch::Receiver<bool>,
    /// Whether the claim's task is gone: nothing of it may go on.
    gone: watch::Sender<bool>,
    /// Whether a record is left to the next member, and so is what comes after it.
    is_spoilt: AtomicBool,
    failed: watch::Sender<Option<Error>>,
}

impl Ticket {
    pub(super) fn new(claim: &Claim) -> Arc<Self> {
        Arc::new(Self {
            out: AtomicUsize::new(0),
            changed: Notify::new(),
            pulse: Arc::clone(claim.pulse()),
            ended: claim.ended(),
            gone: watch::Sender::new(false),
            is_spoilt: AtomicBool::new(false),
            failed: watch::Sender::default(),
        })
    }

    /// A record for a worker.
    pub(super) fn job(self: &Arc<Self>, record: ConsumerRecord) -> Job {
        self.out.fetch_add(1, Ordering::SeqCst);
        Job {
            record,
            ticket: Arc::clone(self),
            is_begun: false,
        }
    }

    /// Waits until no worker has a record.
    pub(super) async fn drained(&self) {
        while self.out.load(Ordering::SeqCst) > 0 {
            self.changed.notified().await;
        }
    }

    /// Waits until a record cannot be dealt with.
    pub(super) async fn failed(&self) -> Error {
        let mut failed = self.failed.subscribe();
        loop {
            if let Some(error) = &*failed.borrow_and_update() {
                return error.clone();
            }
            // The sender is here: there is no error.
            let _ = failed.changed().await;
        }
    }

    /// Waits until the claim has ended.
    pub(super) async fn ended(&self) {
        // An error means that everybody is gone: that is an end, too.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// The claim's task is gone.
    pub(super) fn give_up(&self) {
        self.gone.send_replace(true);
    }

    /// Waits until nothing of the claim may go on.
    pub(super) async fn given_up(&self) {
        let _ = self.gone.subscribe().wait_for(|gone| *gone).await;
    }

    /// A record cannot be dealt with: nothing after it may be.
    pub(super) fn fail(&self, error: Error) {
        self.is_spoilt.store(true, Ordering::SeqCst);
        self.failed.send_if_modified(|failed| {
            let is_first = failed.is_none();
            failed.get_or_insert(error);
            is_first
        });
    }

    pub(super) fn touch(&self) {
        self.pulse.touch();
    }
}

/// A record that a worker has.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) record: ConsumerRecord,
    pub(super) ticket: Arc<Ticket>,
    is_begun: bool,
}

impl Job {
    /// Begins with it, if that is still wanted. From here on it has to make progress; before, it waited for others that had to.
    pub(super) fn begin(&mut self) -> bool {
        let ticket = &self.ticket;
        let is_wanted = !ticket.is_spoilt.load(Ordering::SeqCst) && !*ticket.gone.borrow();
        if is_wanted && !self.is_begun {
            self.is_begun = true;
            ticket.pulse.lent();
        }
        is_wanted
    }

    /// It is dealt with.
    pub(super) fn done(self) {
        self.record.clone().done();
    }

    /// It is left to the next member, and so is what comes after it.
    pub(super) fn leave(self) {
        self.ticket.is_spoilt.store(true, Ordering::SeqCst);
    }

    /// It cannot be dealt with.
    pub(super) fn fail(self, error: Error) {
        self.ticket.fail(error);
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.is_begun {
            self.ticket.pulse.returned();
        }
        self.ticket.out.fetch_sub(1, Ordering::SeqCst);
        self.ticket.changed.notify_one();
    }
}
