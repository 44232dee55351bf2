//! What a consumer does for its group between two calls for records: takes partitions, lets them go, commits.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::timeout;

use super::membership::{Place, Released, Settled};
use super::shared::Waiting;
use super::{Commit, Consumer, ConsumerEvent, Start};
use crate::core::group::member::Event;
use crate::error::{Error, ErrorKind, Result, TopicPartition};
use crate::group::{Committed, Offsets};

impl Consumer {
    /// Does what the group wants done.
    pub(super) fn poll_follow(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let Some(membership) = &self.membership {
            membership.group.polled();
        }
        loop {
            let Some(membership) = &mut self.membership else {
                return Poll::Ready(Ok(()));
            };
            match membership.poll_settled(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(settled)) => {
                    self.settle(settled)?;
                    continue;
                }
                Poll::Ready(None) => {}
            }
            match membership.next_event()? {
                None => break,
                Some(Event::Failed(failure)) => {
                    return Poll::Ready(Err(membership.failed(failure)));
                }
                Some(Event::Assigned(places)) => membership.take(places),
                Some(Event::Revoke(places)) => self.release(places, None),
                Some(Event::Lost(places)) => self.lose(places),
            }
        }
        if let Some(membership) = &self.membership
            && membership.group.take_commit_due()
        {
            let offsets = self.dealt_with(&self.assignment());
            if let Some(membership) = &mut self.membership {
                membership.commit_by_itself(offsets);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Under [`Commit::EachBatch`], commits what was handed out before.
    pub(super) fn commit_handed(&mut self) {
        if let Some((slot, committed)) = self.handed.take()
            && let Some(membership) = &self.membership
        {
            let place = self.shared.lock().slots[slot].place.clone();
            let offsets = Offsets::from([(place, committed)]);
            // Nobody waits; what comes to nothing is logged, and committed with the next.
            drop(membership.group.commits.enqueue(offsets));
        }
    }

    /// Stops reading these, and begins to let them go; where streams have to come to their end, within `bound`, or as long as
    /// the group waits.
    fn release(&mut self, places: Vec<TopicPartition>, bound: Option<Duration>) {
        if self.streams.is_some() {
            let group = &self.shared.config.group;
            let patience = bound.unwrap_or(group.release_patience());
            return self.release_streams(places, patience);
        }
        let positions: BTreeMap<TopicPartition, Option<i64>> = places
            .iter()
            .map(|place| (place.clone(), self.position(place)))
            .collect();
        let offsets = match self.strategy() {
            Commit::Manual => Offsets::new(),
            Commit::Watermark { .. } | Commit::OnPoll { .. } | Commit::EachBatch => {
                self.dealt_with(&places)
            }
        };
        let mut tracks = Vec::new();
        if self.strategy().is_watermark() {
            let mut state = self.shared.lock();
            let mut track = |place: &TopicPartition| state.find(place)?.1.track.clone();
            tracks = places
                .iter()
                .filter_map(|place| Some((place.clone(), track(place)?)))
                .collect();
        }
        places.iter().for_each(|place| self.unassign(place));
        if let Some(membership) = &mut self.membership {
            let released = Released {
                positions,
                offsets,
                tracks,
            };
            membership.release(places, std::future::ready(released));
        }
    }

    fn lose(&mut self, mut places: Vec<TopicPartition>) {
        let assigned: BTreeSet<TopicPartition> = self.assignment().into_iter().collect();
        places.retain(|place| assigned.contains(place));
        self.end_streams(&places);
        places.iter().for_each(|place| self.unassign(place));
        let events = &self.shared.events;
        events.tell(|| ConsumerEvent::Lost(places.clone()));
        if let Some(membership) = &mut self.membership {
            membership.lose(places);
        }
    }

    fn settle(&mut self, settled: Settled) -> Result<()> {
        let Some(membership) = &self.membership else {
            return Ok(());
        };
        match settled {
            Settled::LetGo(places) => {
                membership.group.settled(&places);
                self.shared.lock().leaving.clear();
                if !places.is_empty() {
                    self.shared.events.tell(|| ConsumerEvent::Revoked(places));
                }
            }
            Settled::Deferred(event, error) => {
                membership.group.put_back(event);
                return Err(error);
            }
            Settled::Assigned(places) => {
                let named = || places.iter().map(|(place, _)| place.clone()).collect();
                self.shared.events.tell(|| ConsumerEvent::Assigned(named()));
                for (place, from) in places {
                    self.shared.client.shared.use_topic(&place.topic);
                    let said = self.shared.lock().coming.insert(place.clone(), None);
                    let from = match (said.flatten(), from) {
                        (Some(word), from) => word.instead_of(from),
                        (None, from) => from,
                    };
                    match from {
                        Place::Said(committed) => self.assign_at(&place, &committed),
                        Place::Committed(committed) => self.assign_committed(&place, &committed),
                        Place::Start(start) => self.assign_known(&place, start),
                        Place::Nowhere => self.assign_nowhere(&place),
                    }
                    // What another task has said since is of a partition that is read.
                    self.shared.lock().arrived(&place);
                }
            }
        }
        Ok(())
    }

    fn assign_committed(&mut self, place: &TopicPartition, committed: &Committed) {
        self.assign_at(place, committed);
        if let Some((_, slot)) = self.shared.lock().find(place) {
            slot.committed = Some(committed.clone());
        }
    }

    fn assign_at(&mut self, place: &TopicPartition, committed: &Committed) {
        self.assign_known(place, Start::Offset(committed.offset));
        if let Some((_, slot)) = self.shared.lock().find(place) {
            slot.cursor.set_epoch(committed.leader_epoch);
            if let Some(track) = &slot.track {
                track.begin(committed.clone());
            }
        }
    }

    /// The partition is ours, but the application has to say from where.
    fn assign_nowhere(&mut self, place: &TopicPartition) {
        self.assign_known(place, Start::Earliest);
        let mut state = self.shared.lock();
        if let Some((index, slot)) = state.find(place) {
            slot.cursor.stop();
            let why = "nothing is committed and auto.offset.reset is none";
            let error = Error::new(ErrorKind::Offset, why).at(&place.topic, place.partition);
            state.push(index, Waiting::Failed(error));
        }
    }

    /// Lets all partitions go and leaves the group.
    pub(super) async fn leave(mut self, within: Duration) -> Result<()> {
        let leave = async {
            if self.membership.is_none() {
                return Ok(());
            }
            // What is under way first.
            while let Some(settled) = self.settled().await {
                match settled {
                    // What came this moment is let go as everything else: the listener was told of it.
                    Settled::LetGo(_) | Settled::Assigned(_) => self.settle(settled)?,
                    Settled::Deferred(..) => {}
                }
            }
            let places = self.assignment();
            if !places.is_empty() {
                // The rest is for committing and leaving.
                self.release(places, Some(within / 4 * 3));
            }
            self.settled().await;
            let Some(membership) = &self.membership else {
                return Ok(());
            };
            membership.group.close();
            membership.group.closed(within).await
        };
        let late = |_| {
            Err(Error::timeout(format!(
                "consumer was not shut down within {within:?}"
            )))
        };
        timeout(within, leave).await.unwrap_or_else(late)
    }

    /// Waits for what is under way; `None` when nothing is.
    async fn settled(&mut self) -> Option<Settled> {
        let membership = self.membership.as_mut()?;
        poll_fn(|cx| membership.poll_settled(cx)).await
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let places = self.assignment();
        self.end_streams(&places);
    }
}
