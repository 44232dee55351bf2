//! Partitions handed out instead of records: one stream for each that comes, which ends when it goes.
//!
//! ```text
//!  assigned ----> next() ----> stream ----> next(), next(), ... None ----> dropped, or all marked
//!  revoked  ------------------------------------------------^                     |
//!  let go   <------------------------- commit <-----------------------------------+
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::time::{Instant, timeout_at};

use super::membership::Released;
use super::partition_stream::Opened;
use super::shared::{Lane, Shared};
use super::track::Track;
use super::{Commit, Consumer, ConsumerEvents, Ledger, PartitionStream, Start};
use crate::error::{Result, TopicPartition};
use crate::group::{self, Group, Offsets, Waiting};

/// A consumer's partitions, one [`PartitionStream`] for each; see [`Consumer::partitions`].
///
/// [`next`](Self::next) has to be awaited all the time, also when nothing is expected: that is what keeps the consumer in its
/// group, and lets partitions go. The streams are read by tasks of their own, at their own pace: each has its own buffer.
///
/// Before a partition is let go, its stream ends, and what it handed out is waited for, until it is marked as done or the
/// stream was dropped, but no longer than the rebalance time-out (`max.poll.interval.ms`). Then what is marked is committed.
/// Under [`Commit::OnPoll`] and [`Commit::EachBatch`] a stream marks what it handed out when it is asked for more; under
/// [`Commit::Manual`] nothing is committed, but marks and dropping the stream end the wait all the same.
///
/// Dropping it ends the streams and leaves the group in the background.
#[derive(Debug)]
pub struct Partitions {
    consumer: Consumer,
    waiting: Option<Waiting>,
}

/// Streams that nobody took yet.
#[derive(Debug)]
pub(super) struct Queue {
    streams: VecDeque<PartitionStream>,
    /// Where streams commit by themselves.
    group: Option<Arc<group::Shared>>,
}

impl Queue {
    /// Makes the stream of a partition that was just assigned.
    pub(super) fn open(&mut self, shared: &Arc<Shared>, index: usize) {
        let lane = Lane::new();
        let mut state = shared.lock();
        state.turn.retain(|turn| *turn != index);
        let slot = &mut state.slots[index];
        slot.lane = Some(Arc::clone(&lane));
        slot.set_tracked(true);
        if let Some(track) = &slot.track {
            let opened = Opened {
                slot: index,
                place: slot.place.clone(),
                initial_offset: slot.cursor.position(),
                lane,
                track: Arc::clone(track),
            };
            let group = self.group.as_ref().map(Arc::clone);
            let stream = PartitionStream::new(Arc::clone(shared), group, opened);
            self.streams.push_back(stream);
        }
    }

    fn next(&mut self) -> Option<PartitionStream> {
        // One that went before anybody took it is dropped here.
        while let Some(stream) = self.streams.pop_front() {
            if !stream.is_ended() {
                return Some(stream);
            }
        }
        None
    }
}

impl Partitions {
    pub(super) fn new(mut consumer: Consumer) -> Self {
        // What is in hand goes back, so that the streams begin with it.
        if let Some(current) = &consumer.current
            && let Some(offset) = current.batch.offset(current.index)
        {
            let (slot, mut state) = (current.slot, consumer.shared.lock());
            state.seek(slot, Start::Offset(offset));
            drop(state);
            consumer.forget(slot);
        }
        consumer.current = None;
        let mut state = consumer.shared.lock();
        if let Some(reading) = consumer.reading.take() {
            state.put_back(reading);
        }
        let slots: Vec<usize> = state.assigned().map(|(index, _)| index).collect();
        drop(state);
        let group = consumer.membership.as_ref().map(|it| Arc::clone(&it.group));
        let mut queue = Queue {
            streams: VecDeque::new(),
            group,
        };
        for index in slots {
            queue.open(&consumer.shared, index);
        }
        consumer.streams = Some(queue);
        Self {
            consumer,
            waiting: None,
        }
    }

    /// The next partition that is this consumer's; `None` when all that were assigned by hand were handed out. A member of a
    /// group waits for more.
    ///
    /// Cancel-safe, but see above.
    ///
    /// # Errors
    ///
    /// Why the consumer cannot be in its group: fatal ones come again and again, after others it goes on.
    pub async fn next(&mut self) -> Result<Option<PartitionStream>> {
        let (consumer, mut waiting) = (&mut self.consumer, None);
        poll_fn(|cx| {
            let polled = consumer.poll_stream(cx);
            consumer.wait(&mut waiting, polled.is_pending());
            polled
        })
        .await
    }

    /// The group, to commit to; `None` without `group.id`.
    pub fn group(&self) -> Option<Group> {
        self.consumer.group()
    }

    /// Where marks are committed from any task.
    ///
    /// # Errors
    ///
    /// When there is no group.
    pub(crate) fn ledger(&self) -> Result<Ledger> {
        Ok(Ledger {
            shared: Arc::clone(&self.consumer.shared),
            group: Arc::clone(&self.consumer.membership()?.group),
        })
    }

    /// What is assigned, in order.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.consumer.assignment()
    }

    /// As [`Consumer::seek`].
    ///
    /// # Errors
    ///
    /// When the partition is not assigned.
    pub fn seek(&mut self, partition: &TopicPartition, to: Start) -> Result<()> {
        self.consumer.seek(partition, to)
    }

    /// As [`Consumer::pause`].
    pub fn pause(&mut self, partitions: &[TopicPartition]) {
        self.consumer.pause(partitions);
    }

    /// As [`Consumer::resume`].
    pub fn resume(&mut self, partitions: &[TopicPartition]) {
        self.consumer.resume(partitions);
    }

    /// As [`Consumer::position`].
    pub fn position(&self, partition: &TopicPartition) -> Option<i64> {
        self.consumer.position(partition)
    }

    /// As [`Consumer::high_watermark`].
    pub fn high_watermark(&self, partition: &TopicPartition) -> Option<i64> {
        self.consumer.high_watermark(partition)
    }

    /// As [`Consumer::lag`].
    pub fn lag(&self, partition: &TopicPartition) -> Option<i64> {
        self.consumer.lag(partition)
    }

    /// As [`Consumer::subscribe`].
    ///
    /// # Errors
    ///
    /// When it was not built as a member of a group.
    pub fn subscribe<T: AsRef<str>>(&mut self, topics: impl IntoIterator<Item = T>) -> Result<()> {
        self.consumer.subscribe(topics)
    }

    /// As [`Consumer::events`].
    pub fn events(&self) -> ConsumerEvents {
        self.consumer.events()
    }

    /// Commits what is marked, of all partitions, and waits until the coordinator has it.
    ///
    /// Cancel-safe in that it is committed all the same.
    ///
    /// # Errors
    ///
    /// The coordinator's code, a time-out, or that there is no group.
    pub async fn commit(&self) -> Result<()> {
        self.consumer.commit().await
    }

    /// Ends the streams, waits for what they handed out, commits what is marked, and leaves the group.
    ///
    /// Not cancel-safe in that a dropped future leaves as dropping this does.
    ///
    /// # Errors
    ///
    /// A time-out: nothing of what was handed out and not marked is committed then.
    pub async fn shutdown(self, within: Duration) -> Result<()> {
        drop(self.waiting);
        self.consumer.leave(within).await
    }
}

impl Stream for Partitions {
    type Item = Result<PartitionStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { consumer, waiting } = self.get_mut();
        let polled = consumer.poll_stream(cx);
        consumer.wait(waiting, polled.is_pending());
        polled.map(Result::transpose)
    }
}

/// A partition whose stream has ended.
struct Ending {
    place: TopicPartition,
    position: Option<i64>,
    track: Arc<Track>,
    lane: Arc<Lane>,
}

impl Ending {
    /// Waits until the application has dealt with what it got.
    async fn drained(&self) {
        while !self.lane.gone.load(Ordering::SeqCst) && !self.track.is_drained() {
            self.lane.changed.notified().await;
        }
    }
}

impl Consumer {
    fn poll_stream(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<PartitionStream>>> {
        loop {
            ready!(self.poll_follow(cx))?;
            let next = self.streams.as_mut().and_then(Queue::next);
            let is_member = self
                .membership
                .as_ref()
                .is_some_and(|it| it.group.is_member());
            if next.is_some() || !is_member {
                return Poll::Ready(Ok(next));
            }
            ready!(self.poll_arrived(cx));
        }
    }

    /// Ends the streams of these, and stops reading them; where more may be said of them until they are let go, their tracks stay.
    fn end(&mut self, places: &[TopicPartition], more: bool) -> Vec<Ending> {
        let mut state = self.shared.lock();
        let mut endings = Vec::new();
        for place in places {
            let Some((index, slot)) = state.find(place) else {
                continue;
            };
            let position = slot.position();
            if let (Some(track), Some(lane)) = (&slot.track, &slot.lane) {
                track.end();
                lane.ended.send_replace(true);
                lane.arrived.notify_one();
                endings.push(Ending {
                    place: place.clone(),
                    position,
                    track: Arc::clone(track),
                    lane: Arc::clone(lane),
                });
            }
            let track = state.unassign(index);
            if let Some(track) = track.filter(|_| more) {
                state.leaving.insert(place.clone(), track);
            }
        }
        endings
    }

    /// Ends the streams of these at once, if there are streams.
    pub(super) fn end_streams(&mut self, places: &[TopicPartition]) {
        if self.streams.is_some() {
            self.end(places, false);
        }
    }

    /// Ends the streams of these, and begins to let them go, which waits for what was handed out, but no longer than `bound`.
    pub(super) fn release_streams(&mut self, places: Vec<TopicPartition>, bound: Duration) {
        let endings = self.end(&places, true);
        if let Some(queue) = &mut self.streams {
            queue.streams.retain(|stream| !stream.is_ended());
        }
        let commits = self.strategy() != Commit::Manual;
        let released = async move {
            let deadline = Instant::now() + bound;
            let mut late = 0;
            for ending in &endings {
                late += usize::from(timeout_at(deadline, ending.drained()).await.is_err());
            }
            if late > 0 {
                tracing::warn!(
                    partitions = late,
                    "let go with records that were handed out and not marked as done"
                );
            }
            let (mut positions, mut offsets) = (BTreeMap::new(), Offsets::new());
            let mut tracks = Vec::new();
            for Ending {
                place,
                position,
                track,
                ..
            } in endings
            {
                if let Some(committed) = track.dealt_with().filter(|_| commits) {
                    offsets.insert(place.clone(), committed);
                }
                positions.insert(place.clone(), track.handed().or(position));
                if commits {
                    tracks.push((place, track));
                }
            }
            Released {
                positions,
                offsets,
                tracks,
            }
        };
        if let Some(membership) = &mut self.membership {
            membership.release(places, released);
        }
    }
}
