//! A handler's side of its group.

use std::sync::Arc;

use tokio::sync::watch;

use super::pulse::Pulse;
use super::roster::{Roster, Term};
use crate::consumer::ConsumerRecord;
use crate::error::{Result, TopicPartition};
use crate::group::{Committed, Group, GroupMetadata};

/// A handler's side of its group, for one of its calls: which claims it is about, and how to say what is dealt with.
#[derive(Clone, Debug)]
pub struct Session {
    roster: Arc<Roster>,
    group: Group,
    claims: Arc<[TopicPartition]>,
    /// Of each of them, which time that it is this member's the call is about.
    terms: Arc<[Option<Term>]>,
    ended: watch::Receiver<bool>,
    /// Of the claim, in [`consume_claim`](super::GroupHandler::consume_claim).
    pulse: Option<Arc<Pulse>>,
}

impl Session {
    pub(super) fn new(
        roster: &Arc<Roster>,
        group: Group,
        claims: Vec<TopicPartition>,
        ended: watch::Receiver<bool>,
        pulse: Option<Arc<Pulse>>,
    ) -> Self {
        let terms = claims.iter().map(|claim| roster.term(claim)).collect();
        Self {
            roster: Arc::clone(roster),
            group,
            terms,
            claims: claims.into(),
            ended,
            pulse,
        }
    }

    /// The generation (classic) or the member epoch (KIP-848) that this member is in now; -1 outside of the group.
    pub fn generation(&self) -> i32 {
        self.metadata().generation
    }

    /// The id that the coordinator gave to this member; empty outside of the group.
    pub fn member_id(&self) -> String {
        self.metadata().member_id
    }

    /// Who this member is in its group.
    pub fn metadata(&self) -> GroupMetadata {
        self.group.metadata()
    }

    /// What this call is about, in order: the claims that came, in [`setup`](super::GroupHandler::setup); that went, in
    /// [`cleanup`](super::GroupHandler::cleanup); the one to be read, in
    /// [`consume_claim`](super::GroupHandler::consume_claim).
    pub fn claims(&self) -> &[TopicPartition] {
        &self.claims
    }

    /// All that this member has, in order.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.roster.held()
    }

    /// Says that a record is dealt with, as [`ConsumerRecord::done`], which it need not give away. What lies before the first
    /// record without a mark is committed every so often, and once a claim has ended.
    pub fn mark(&self, record: &ConsumerRecord) {
        self.touch();
        record.clone().done();
    }

    /// Says that a partition is dealt with up to the record before `offset`, with a note for who asks for the group's offsets.
    /// Without effect when it was marked further already, and once the claim has been cleaned up.
    ///
    /// That is what is committed until records marked one by one lead past it. In [`setup`](super::GroupHandler::setup) it says
    /// also where reading begins.
    pub fn mark_offset(&self, place: &TopicPartition, offset: i64, metadata: impl Into<String>) {
        self.note(place, offset, metadata.into(), false);
    }

    /// The same, and also back: the group begins at `offset` when the partition goes to somebody else, unless more is marked
    /// before. Nothing is read again until then, but where the claim is
    /// [read again for an error](super::OnClaimError::Restart).
    pub fn reset_offset(&self, place: &TopicPartition, offset: i64, metadata: impl Into<String>) {
        self.note(place, offset, metadata.into(), true);
    }

    fn note(&self, place: &TopicPartition, offset: i64, metadata: String, in_any_case: bool) {
        self.touch();
        let claim = self.claims.iter().position(|claim| claim == place);
        let known = claim.and_then(|at| self.terms.get(at).copied().flatten());
        let term = self.roster.term(place);
        if term.is_none() || (claim.is_some() && term != known) {
            tracing::debug!(%place, offset, "an offset is marked too late, and passed over");
            return;
        }
        let committed = Committed {
            metadata,
            ..Committed::from(offset)
        };
        self.roster.say(place, committed, in_any_case);
    }

    /// Commits what is marked, of all partitions, also of those that are being let go, and waits until the coordinator has it.
    ///
    /// Cancel-safe in that it is committed all the same.
    ///
    /// # Errors
    ///
    /// The coordinator's code, or a time-out.
    pub async fn commit(&self) -> Result<()> {
        self.touch();
        self.roster.commit().await
    }

    /// Waits until the claim has ended; in `setup` and `cleanup`, until the run is stopped.
    pub async fn cancelled(&self) {
        // An error means that everybody is gone: that is an end, too.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// Whether it has.
    pub fn is_cancelled(&self) -> bool {
        *self.ended.borrow()
    }

    fn touch(&self) {
        if let Some(pulse) = &self.pulse {
            pulse.touch();
        }
    }
}
