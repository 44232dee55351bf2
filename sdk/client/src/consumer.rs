//! The consumer of given partitions, or of what its group gives it: fetches ahead in the background, lends batches.

mod batch;
mod builder;
mod commit;
mod events;
mod fetcher;
mod following;
mod leaders;
mod ledger;
mod membership;
mod offsets;
mod partition_stream;
mod partitions;
mod reading;
mod records;
mod shared;
mod track;

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::futures::OwnedNotified;
use tokio::task::JoinSet;

pub use self::batch::{ConsumerRecord, Iter, RecordBatch, RecordRef};
pub use self::builder::ConsumerBuilder;
pub use self::commit::Commit;
pub use self::events::{ConsumerEvent, ConsumerEvents};
pub(crate) use self::ledger::Ledger;
pub use self::membership::Rebalance;
use self::membership::{Listener, Membership};
pub use self::partition_stream::PartitionStream;
pub use self::partitions::Partitions;
use self::reading::{Decoder, Reading};
pub use self::records::{NextRecord, RecordStream};
use self::shared::Shared;
use crate::client::Client;
use crate::config::ConsumerConfig;
use crate::core::group::topics::{Pattern, Topics};
use crate::error::{Error, Result, TopicPartition};
use crate::group::{self, Committed, Group, Offsets, Waiting};

/// Where reading a partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the first record that is there.
    Earliest,
    /// At the end: only what comes from now on.
    Latest,
    /// At this offset.
    Offset(i64),
    /// At the first record with this or a later timestamp, in milliseconds since 1970; at the end
    /// when there is none.
    Timestamp(i64),
}

/// Reads partitions. Dropping it stops the fetching, and leaves the group in the background, without committing what was not
/// enqueued: [`shutdown`](Self::shutdown) does that.
#[derive(Debug)]
pub struct Consumer {
    shared: Arc<Shared>,
    decoder: Decoder,
    /// The answer that batches are handed out of.
    reading: Option<Reading>,
    /// The batch that [`next`](Self::next) is in the middle of.
    current: Option<Current>,
    membership: Option<Membership>,
    /// Under [`Commit::EachBatch`]: what is dealt with when more is asked for.
    handed: Option<(usize, Committed)>,
    /// The streams that nobody took yet, once partitions are handed out instead of records.
    streams: Option<partitions::Queue>,
    /// The wait for something to arrive that is under way.
    arrived: Option<Pin<Box<OwnedNotified>>>,
    /// Ends with the consumer.
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Current {
    slot: usize,
    batch: RecordBatch,
    /// The next record.
    index: usize,
}

impl Consumer {
    fn new(client: Client, config: ConsumerConfig) -> Self {
        let shared = Arc::new(Shared::new(client, config));
        let mut tasks = JoinSet::new();
        tasks.spawn(leaders::follow(Arc::downgrade(&shared)));
        Self {
            shared,
            decoder: Decoder::new(),
            reading: None,
            current: None,
            membership: None,
            handed: None,
            streams: None,
            arrived: None,
            tasks,
        }
    }

    /// Whether what is marked is committed, and not what was handed out.
    pub(crate) fn commits_marks(&self) -> bool {
        self.strategy().is_watermark()
    }

    pub(crate) fn client(&self) -> &Client {
        &self.shared.client
    }

    fn enter(&mut self, topics: Option<Topics>, listener: Option<Listener>) -> Result<()> {
        let config = &self.shared.config;
        let group = group::Shared::start(
            &self.shared.client,
            config.group.clone(),
            topics,
            config.client_rack.clone(),
            Arc::clone(&self.shared.arrived),
        )?;
        if config.group.commit.is_watermark() {
            let shared = Arc::downgrade(&self.shared);
            let committing = commit::watermarks(shared, Arc::clone(&group), config.group.commit);
            self.tasks.spawn(committing);
        }
        if group.is_member() {
            let shared = Arc::downgrade(&self.shared);
            let limit = config.group.poll_interval_max;
            self.tasks
                .spawn(events::stalls(shared, group.stalls(), limit));
        }
        self.membership = Some(Membership::new(group, listener, config.offset_reset));
        Ok(())
    }

    /// Reads this partition too, or from another place when it is read already.
    ///
    /// Cancel-safe: it is assigned when this returns, or not at all.
    ///
    /// # Errors
    ///
    /// An unknown topic or partition, a time-out, or that a group gives it its partitions.
    pub async fn assign(&mut self, place: &TopicPartition, start: Start) -> Result<()> {
        self.check_by_hand()?;
        let count = self.shared.client.partition_count(&place.topic).await?;
        if place.partition < 0 || place.partition >= count {
            let why = format!("topic {:?} has {count} partitions", place.topic);
            return Err(Error::config(why).at(&place.topic, place.partition));
        }
        self.assign_known(place, start);
        Ok(())
    }

    /// Reads every partition that this topic has now.
    ///
    /// Cancel-safe: all are assigned when this returns, or none.
    ///
    /// # Errors
    ///
    /// An unknown topic, a time-out, or that a group gives it its partitions.
    pub async fn assign_topic(&mut self, topic: &str, start: Start) -> Result<()> {
        self.check_by_hand()?;
        let count = self.shared.client.partition_count(topic).await?;
        let topic: Arc<str> = topic.into();
        for partition in 0..count {
            self.assign_known(&TopicPartition::new(Arc::clone(&topic), partition), start);
        }
        Ok(())
    }

    fn check_by_hand(&self) -> Result<()> {
        match &self.membership {
            Some(membership) if membership.group.is_member() => Err(Error::config(
                "the group gives this consumer its partitions",
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn assign_known(&mut self, place: &TopicPartition, start: Start) {
        if self.seek(place, start).is_ok() {
            return;
        }
        let is_tracked = self.membership.is_some() && self.strategy().is_watermark();
        let mut state = self.shared.lock();
        let index = state.assign(place, start);
        state.slots[index].set_tracked(is_tracked);
        drop(state);
        if let Some(streams) = &mut self.streams {
            streams.open(&self.shared, index);
        }
        self.shared.assigned.notify_one();
    }

    /// Stops reading a partition and drops what waits of it.
    pub fn unassign(&mut self, place: &TopicPartition) {
        let mut state = self.shared.lock();
        let Some((index, _)) = state.find(place) else {
            return;
        };
        state.unassign(index);
        drop(state);
        self.forget(index);
    }

    /// Drops what is in hand of a partition.
    fn forget(&mut self, index: usize) {
        self.current.take_if(|current| current.slot == index);
        self.reading.take_if(|reading| reading.slot == index);
        self.handed.take_if(|(slot, _)| *slot == index);
    }

    /// The next batch, as it lies in the log, of whichever partition has one; batches of one
    /// partition come in order. `None` when no partition is assigned by hand; a group may give
    /// one any time, so its members wait.
    ///
    /// In a group, this is when partitions are let go and taken; and under
    /// [`Commit::OnPoll`] and [`Commit::EachBatch`], asking for more says that what was handed out
    /// before is dealt with.
    ///
    /// Cancel-safe: a batch is taken out only when it is returned.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](crate::ErrorKind::Corrupt) with topic, partition and offset for a batch that
    /// does not hold together (it comes again until the application seeks past it), or
    /// [`Offset`](crate::ErrorKind::Offset) under [`OffsetReset::Fail`](crate::OffsetReset::Fail),
    /// or a refusal that is not retriable.
    pub async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut waiting = None;
        poll_fn(|cx| {
            let polled = self.poll_batch(cx);
            self.wait(&mut waiting, polled.is_pending());
            polled
        })
        .await
    }

    /// The next record, owned: one reference count on its batch.
    ///
    /// Cancel-safe. Do not mix with [`next_batch`](Self::next_batch), which starts after the batch
    /// this one is in the middle of.
    ///
    /// # Errors
    ///
    /// As [`next_batch`](Self::next_batch).
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "it is awaited")]
    pub fn next(&mut self) -> NextRecord<'_> {
        NextRecord(self.stream())
    }

    /// The records as a stream, which never ends for a member of a group. It may be dropped between any two records.
    pub fn stream(&mut self) -> RecordStream<'_> {
        RecordStream::new(self)
    }

    /// Hands partitions out instead of records: a stream each, for as long as the partition is this consumer's. What was handed
    /// out before counts as dealt with.
    pub fn partitions(self) -> Partitions {
        Partitions::new(self)
    }

    /// What happens to this consumer from now on, besides records, for whoever wants to know.
    pub fn events(&self) -> ConsumerEvents {
        self.shared.events.watch()
    }

    /// Keeps note of whether the application waits for records.
    fn wait(&self, waiting: &mut Option<Waiting>, waits: bool) {
        // Where the application is asked something, it is its answer that is waited for.
        let of = |it: &&Membership| waits && it.group.is_member() && !it.is_settling();
        match self.membership.as_ref().filter(of) {
            Some(Membership { group, .. }) if waiting.is_none() => *waiting = Some(group.waiting()),
            Some(_) => {}
            None => *waiting = None,
        }
    }

    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<RecordBatch>>> {
        if let Some(Current { batch, .. }) = self.current.take() {
            // What is passed over is dealt with.
            batch.mark_done();
        }
        let ready = ready!(self.poll_advance(cx))?;
        Poll::Ready(Ok(ready.map(|(_, batch)| batch)))
    }

    /// The next record of the batch in hand, if there is one.
    #[inline]
    fn take_record(&mut self) -> Option<ConsumerRecord> {
        let Current { batch, index, .. } = self.current.as_mut()?;
        let record = batch.get(*index)?;
        *index += 1;
        Some(record)
    }

    /// The same, unless there is something to be done before.
    #[inline]
    fn try_record(&mut self) -> Option<ConsumerRecord> {
        if let Some(Membership { group, .. }) = &self.membership {
            group.polled();
            // It may be about what is in hand.
            if group.calls() {
                return None;
            }
        }
        self.take_record()
    }

    fn poll_record(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<ConsumerRecord>>> {
        loop {
            if let Some(Membership { group, .. }) = &self.membership {
                group.polled();
                // It may be about what is in hand.
                if group.calls() {
                    ready!(self.poll_follow(cx))?;
                }
            }
            if let Some(record) = self.take_record() {
                return Poll::Ready(Ok(Some(record)));
            }
            self.current = None;
            match ready!(self.poll_advance(cx))? {
                Some((slot, batch)) => {
                    self.current = Some(Current {
                        slot,
                        batch,
                        index: 0,
                    });
                }
                None => return Poll::Ready(Ok(None)),
            }
        }
    }

    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<(usize, RecordBatch)>>> {
        self.commit_handed();
        loop {
            ready!(self.poll_follow(cx))?;
            if self.reading.is_none() {
                let mut state = self.shared.lock();
                self.reading = state.take_next()?;
                if state.ebbs() {
                    // On a runtime of one thread those who fetch would else not come to it before all is used up.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
            if self.reading.is_some() {
                match self.try_advance()? {
                    Some(ready) => return Poll::Ready(Ok(Some(ready))),
                    // There was nothing to be seen in it.
                    None => continue,
                }
            }
            let is_member = self
                .membership
                .as_ref()
                .is_some_and(|it| it.group.is_member());
            if !is_member && !self.shared.lock().has_assigned() {
                return Poll::Ready(Ok(None));
            }
            ready!(self.poll_arrived(cx));
        }
    }

    fn poll_arrived(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // What arrived before leaves a permit.
        let notify = || Box::pin(Arc::clone(&self.shared.arrived).notified_owned());
        let arrived = self.arrived.get_or_insert_with(notify);
        ready!(arrived.as_mut().poll(cx));
        self.arrived = None;
        Poll::Ready(())
    }

    /// The next batch with records to be seen of what is being read, which ends with the last.
    fn try_advance(&mut self) -> Result<Option<(usize, RecordBatch)>> {
        while let Some(reading) = &mut self.reading {
            let state = self.shared.lock();
            let (slot, generation) = (reading.slot, reading.generation);
            if generation != state.slots[slot].cursor.generation() {
                self.reading = None;
                break;
            }
            let position = state.slots[slot].cursor.position().unwrap_or(0);
            drop(state);
            let mut opened = reading.open(position, &self.shared.config, &mut self.decoder)?;
            let read = self.shared.lock().slots[slot].read(generation, &mut opened);
            if read {
                opened.tell(&self.shared, &reading.place, reading.fetched.high_watermark);
            }
            if reading.is_empty() {
                self.reading = None;
            }
            if let Some(records) = opened.records.filter(|_| read) {
                if self.strategy() == Commit::EachBatch && self.membership.is_some() {
                    let committed = Committed {
                        leader_epoch: opened.leader_epoch,
                        ..Committed::from(opened.next_offset)
                    };
                    self.handed = Some((slot, committed));
                }
                return Ok(Some((slot, records)));
            }
        }
        Ok(None)
    }

    fn strategy(&self) -> Commit {
        self.shared.config.group.commit
    }

    /// What is assigned, in order.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        let state = self.shared.lock();
        let assigned = state.assigned();
        let mut places: Vec<TopicPartition> =
            assigned.map(|(_, slot)| slot.place.clone()).collect();
        places.sort();
        places
    }

    /// Moves to another place in a partition; what was fetched ahead of it is dropped, and marks of what was handed out before
    /// have no effect any more.
    ///
    /// Under [`Commit::Watermark`] everything before the place counts as dealt with: it is what is committed next, also when it
    /// lies past records that were handed out and not marked.
    ///
    /// # Errors
    ///
    /// When the partition is not assigned.
    pub fn seek(&mut self, partition: &TopicPartition, to: Start) -> Result<()> {
        let mut state = self.shared.lock();
        let Some((index, _)) = state.find(partition) else {
            let error = Error::config("partition is not assigned");
            return Err(error.at(&partition.topic, partition.partition));
        };
        state.seek(index, to);
        drop(state);
        self.forget(index);
        Ok(())
    }

    /// Stops handing out and fetching these partitions; what is buffered of them stays.
    pub fn pause(&mut self, partitions: &[TopicPartition]) {
        self.set_paused(partitions, true);
    }

    /// Undoes [`pause`](Self::pause).
    pub fn resume(&mut self, partitions: &[TopicPartition]) {
        self.set_paused(partitions, false);
    }

    fn set_paused(&mut self, partitions: &[TopicPartition], paused: bool) {
        let mut state = self.shared.lock();
        for place in partitions {
            let Some((index, _)) = state.find(place) else {
                continue;
            };
            state.set_paused(index, paused);
            if let Some(reading) = self.reading.take_if(|reading| reading.slot == index) {
                state.put_back(reading);
            }
        }
        drop(state);
        self.shared.arrived.notify_one();
    }

    /// The offset of the next record to be handed out; `None` while it is being looked up.
    pub fn position(&self, partition: &TopicPartition) -> Option<i64> {
        self.place(partition).map(|committed| committed.offset)
    }

    /// The position, as it is committed.
    fn place(&self, partition: &TopicPartition) -> Option<Committed> {
        let mut state = self.shared.lock();
        let (index, slot) = state.find(partition)?;
        let mut place = Committed {
            leader_epoch: slot.cursor.position_epoch(),
            ..Committed::from(slot.position()?)
        };
        // In the middle of a batch, it is the next record's.
        if let Some(current) = &self.current
            && current.slot == index
            && let Some(offset) = current.batch.offset(current.index)
        {
            place.offset = offset;
        }
        Some(place)
    }

    /// The high watermark the last fetch saw.
    pub fn high_watermark(&self, partition: &TopicPartition) -> Option<i64> {
        let mut state = self.shared.lock();
        let (_, slot) = state.find(partition)?;
        slot.cursor.high_watermark
    }

    /// How many offsets lie between the position and the high watermark, as far as known.
    pub fn lag(&self, partition: &TopicPartition) -> Option<i64> {
        Some((self.high_watermark(partition)? - self.position(partition)?).max(0))
    }

    fn membership(&self) -> Result<&Membership> {
        self.membership
            .as_ref()
            .ok_or_else(|| Error::config("group.id is not set"))
    }

    /// The group, to commit to; `None` without `group.id`.
    pub fn group(&self) -> Option<Group> {
        self.membership
            .as_ref()
            .map(|it| Group::new(Arc::clone(&it.group)))
    }

    /// Reads what the group gives this consumer of these topics from now on.
    ///
    /// # Errors
    ///
    /// When it was not built as a member of a group.
    pub fn subscribe<T: AsRef<str>>(&mut self, topics: impl IntoIterator<Item = T>) -> Result<()> {
        let topics: BTreeSet<Arc<str>> = topics
            .into_iter()
            .map(|topic| Arc::from(topic.as_ref()))
            .collect();
        builder::check_subscription(&topics)?;
        let membership = self.membership()?;
        if topics.is_empty() || !membership.group.is_member() {
            return Err(Error::config(
                "only a consumer built with a subscription can change it, and not to nothing",
            ));
        }
        membership.group.subscribe(Topics::Named(topics));
        Ok(())
    }

    /// Reads what the group gives this consumer of the topics that match from now on; see
    /// [`ConsumerBuilder::subscribe_pattern`].
    ///
    /// # Errors
    ///
    /// When it is no regular expression, or the consumer was not built as a member of a group.
    pub fn subscribe_pattern(&mut self, pattern: &str) -> Result<()> {
        let pattern = Pattern::parse(pattern)?;
        let membership = self.membership()?;
        if !membership.group.is_member() {
            return Err(Error::config(
                "only a consumer built with a subscription can change it",
            ));
        }
        membership.group.subscribe(Topics::Matching(pattern));
        Ok(())
    }

    /// Commits how far all partitions have come, and waits until the coordinator has it: under [`Commit::Watermark`] what is
    /// marked, and otherwise what was handed out, record by record with [`next`](Self::next), batch by batch with
    /// [`next_batch`](Self::next_batch).
    ///
    /// Cancel-safe in that they are committed all the same.
    ///
    /// # Errors
    ///
    /// The coordinator's code, a time-out, or that there is no group.
    pub async fn commit(&self) -> Result<()> {
        self.enqueue_commit()?.await
    }

    /// The same without waiting: what it returns may be awaited, or dropped. Commits are made in the order of these calls; of
    /// several that wait, the last one's offsets are.
    ///
    /// # Errors
    ///
    /// When there is no group.
    pub fn enqueue_commit(&self) -> Result<impl Future<Output = Result<()>> + Send + use<>> {
        let offsets = self.dealt_with(&self.assignment());
        Ok(self.membership()?.group.commits.enqueue(offsets))
    }

    /// How far these have come, by the strategy.
    fn dealt_with(&self, places: &[TopicPartition]) -> Offsets {
        let by_marks = self.strategy().is_watermark() || self.streams.is_some();
        let committed = |place: &TopicPartition| {
            if !by_marks {
                return self.place(place);
            }
            let mut state = self.shared.lock();
            let (_, slot) = state.find(place)?;
            slot.track.as_ref()?.dealt_with()
        };
        let places = places.iter();
        places
            .filter_map(|place| Some((place.clone(), committed(place)?)))
            .collect()
    }

    /// Commits what is dealt with unless that is the application's business, tells the listener, and leaves the group.
    ///
    /// Not cancel-safe in that a dropped future leaves as dropping the consumer does.
    ///
    /// # Errors
    ///
    /// A time-out; the group then learns of it by the session's end.
    pub async fn shutdown(self, within: Duration) -> Result<()> {
        self.leave(within).await
    }
}
