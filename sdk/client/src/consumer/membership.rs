//! How a consumer follows its group: what it gets and lets go, between two calls for records, and what is committed then.
//!
//! A change takes effect only while the application asks for records, so that whatever it got before is dealt with; and what
//! waits for an answer meanwhile is kept here, so that dropping such a call loses nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tracing::{Instrument, Span};

use super::track::Track;
use crate::config::OffsetReset;
use crate::consumer::Start;
use crate::core::group::member::{Event, Failure};
use crate::error::{Error, ErrorKind, Result, TopicPartition};
use crate::group::{Committed, Group, Offsets, Shared};
use crate::telemetry::measure;
use highwater_wire::ErrorCode;

/// A change of a group consumer's partitions, as its listener is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebalance {
    /// These are to be read from now on, from where the group has committed.
    Assigned(Vec<TopicPartition>),
    /// These are being let go, each with the offset of the next record that would have been handed out. They can be committed
    /// until the listener's future ends; another member may have them after that.
    Revoked(BTreeMap<TopicPartition, Option<i64>>),
    /// These were given to others already: the member was not heard of in time, or the application did not ask for records.
    Lost(Vec<TopicPartition>),
}

type Told = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the application does with a [`Rebalance`].
#[derive(Clone)]
pub(super) struct Listener(Arc<dyn Fn(Rebalance, Group) -> Told + Send + Sync>);

impl Listener {
    pub(super) fn new<F: Future<Output = ()> + Send + 'static>(
        listener: impl Fn(Rebalance, Group) -> F + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move |rebalance, group| {
            Box::pin(listener(rebalance, group))
        }))
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

/// What a change amounts to once everybody was asked.
pub(super) enum Settled {
    LetGo(Vec<TopicPartition>),
    Assigned(Vec<(TopicPartition, Place)>),
    /// The offsets could not be had: the event has to wait.
    Deferred(Event, Error),
}

/// Where reading an assigned partition begins.
pub(super) enum Place {
    Committed(Committed),
    /// The listener said so; the group does not know.
    Said(Committed),
    Start(Start),
    /// There is no commit, and nowhere to begin without.
    Nowhere,
}

/// What there is to say and to commit of partitions that are let go.
pub(super) struct Released {
    pub(super) positions: BTreeMap<TopicPartition, Option<i64>>,
    pub(super) offsets: Offsets,
    /// Where more may be marked until the listener is done.
    pub(super) tracks: Vec<(TopicPartition, Arc<Track>)>,
}

type Settling = Pin<Box<dyn Future<Output = Settled> + Send>>;

/// A consumer's side of its group.
pub(super) struct Membership {
    pub(super) group: Arc<Shared>,
    listener: Option<Listener>,
    reset: OffsetReset,
    settling: Option<Settling>,
    /// What was committed by itself last.
    committed: Offsets,
    /// Why it will never be in the group again.
    fenced: Option<Error>,
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership")
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.group.close();
    }
}

impl Membership {
    pub(super) fn new(group: Arc<Shared>, listener: Option<Listener>, reset: OffsetReset) -> Self {
        Self {
            listener,
            reset,
            settling: None,
            committed: Offsets::new(),
            fenced: None,
            group,
        }
    }

    /// Waits for what is under way; `None` when nothing is.
    pub(super) fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<Option<Settled>> {
        let Some(settling) = &mut self.settling else {
            return Poll::Ready(None);
        };
        let settled = ready!(settling.as_mut().poll(cx));
        self.settling = None;
        Poll::Ready(Some(settled))
    }

    /// Whether something is under way.
    pub(super) fn is_settling(&self) -> bool {
        self.settling.is_some()
    }

    /// The next thing the group has to say.
    ///
    /// # Errors
    ///
    /// Why it has nothing to say any more.
    pub(super) fn next_event(&mut self) -> Result<Option<Event>> {
        match &self.fenced {
            Some(error) => Err(error.clone()),
            None => Ok(self.group.next_event()),
        }
    }

    /// Lets partitions go, once `released` is ready.
    pub(super) fn release(
        &mut self,
        places: Vec<TopicPartition>,
        released: impl Future<Output = Released> + Send + 'static,
    ) {
        let span = self.changes("revoked", &places);
        let (group, listener) = (Arc::clone(&self.group), self.listener.clone());
        for place in &places {
            self.committed.remove(place);
        }
        let settling = async move {
            let Released {
                positions,
                offsets,
                tracks,
            } = released.await;
            let commit = async |offsets| {
                if let Err(error) = group.commits.enqueue(offsets).await {
                    tracing::warn!(%error, "offsets were not committed before letting go");
                }
            };
            if !offsets.is_empty() {
                commit(offsets.clone()).await;
            }
            tell(listener.as_ref(), &group, Rebalance::Revoked(positions)).await;
            // The listener may have waited until more was marked; and what was enqueued and not waited for is waited for here.
            let more = tracks.into_iter().filter_map(|(place, track)| {
                let committed = track.dealt_with()?;
                (offsets.get(&place) != Some(&committed)).then_some((place, committed))
            });
            commit(more.collect()).await;
            Settled::LetGo(places)
        };
        self.settling = Some(Box::pin(settling.instrument(span)));
    }

    /// Takes note of partitions that are another's already.
    pub(super) fn lose(&mut self, places: Vec<TopicPartition>) {
        let span = self.changes("lost", &places);
        let (group, listener) = (Arc::clone(&self.group), self.listener.clone());
        self.committed.clear();
        let settling = async move {
            if !places.is_empty() {
                tell(listener.as_ref(), &group, Rebalance::Lost(places)).await;
            }
            Settled::LetGo(Vec::new())
        };
        self.settling = Some(Box::pin(settling.instrument(span)));
    }

    /// Looks up where reading these begins.
    pub(super) fn take(&mut self, places: Vec<TopicPartition>) {
        let span = self.changes("assigned", &places);
        let (group, listener, reset) = (Arc::clone(&self.group), self.listener.clone(), self.reset);
        let settling = async move {
            let mut committed = match group.committed(&places.iter().cloned().collect()).await {
                Ok(committed) => committed,
                Err(error) => return Settled::Deferred(Event::Assigned(places), error),
            };
            tell(
                listener.as_ref(),
                &group,
                Rebalance::Assigned(places.clone()),
            )
            .await;
            let start = |place: TopicPartition| {
                let start = match (committed.remove(&place).flatten(), reset) {
                    (Some(committed), _) => Place::Committed(committed),
                    (None, OffsetReset::Earliest) => Place::Start(Start::Earliest),
                    (None, OffsetReset::Latest) => Place::Start(Start::Latest),
                    (None, OffsetReset::Fail) => Place::Nowhere,
                };
                (place, start)
            };
            Settled::Assigned(places.into_iter().map(start).collect())
        };
        self.settling = Some(Box::pin(settling.instrument(span)));
    }

    /// Counts a change, and what it takes until it is settled is a span of its own.
    fn changes(&self, change: &'static str, places: &[TopicPartition]) -> Span {
        measure::rebalanced();
        let partitions = places.len();
        tracing::debug!(change, partitions, "partitions change hands");
        tracing::debug_span!("rebalance", group = self.group.id(), change, partitions)
    }

    /// The group will not have us.
    pub(super) fn failed(&mut self, failure: Failure) -> Error {
        self.group.settled(&[]);
        let (code, detail) = match failure {
            Failure::Refused { code, detail } => (code, detail),
            Failure::Unable(error) => return error,
        };
        if code == ErrorCode::FencedInstanceId {
            let error = Error::new(
                ErrorKind::Fenced,
                "another consumer has this group.instance.id",
            );
            self.fenced = Some(error.clone());
            return error;
        }
        Error::broker(code, detail.as_deref())
    }

    /// Commits in the background, if there is anything new in it.
    pub(super) fn commit_by_itself(&mut self, offsets: Offsets) {
        if offsets != self.committed {
            self.committed.clone_from(&offsets);
            // Nobody waits; what comes to nothing is logged, and committed with the next.
            drop(self.group.commits.enqueue(offsets));
        }
    }
}

async fn tell(listener: Option<&Listener>, group: &Arc<Shared>, rebalance: Rebalance) {
    if let Some(Listener(listener)) = listener {
        listener(rebalance, Group::new(Arc::clone(group))).await;
    }
}
