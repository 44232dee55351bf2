//! The consumer of given partitions, or of what its group gives it: fetches ahead in the background, lends batches.

mod batch;
mod fetcher;
mod leaders;
mod membership;
mod shared;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use highwater_record::control::ControlType;
use highwater_record::{Batch, Decompressor, Records};
use tokio::task::AbortHandle;
use tokio::time::timeout;

pub use self::batch::{ConsumerRecord, Iter, RecordBatch, RecordRef};
use self::batch::{Scratch, Source};
pub use self::membership::Rebalance;
use self::membership::{Listener, Membership, Place, Settled};
use self::shared::{Fetched, Shared, Slot, State, Waiting};
use crate::client::Client;
use crate::config::{ConsumerConfig, Isolation, OffsetReset};
use crate::core::consumer::cursor::Cursor;
use crate::core::group::assignor::Assignor;
use crate::core::group::member::Event;
use crate::core::group::topics::{Pattern, Topics};
use crate::error::{Error, ErrorKind, Result, TopicPartition};
use crate::group::{self, Committed, Group};

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

/// Sets up a [`Consumer`].
#[derive(Clone, Debug)]
pub struct ConsumerBuilder {
    client: Client,
    config: ConsumerConfig,
    partitions: Vec<(TopicPartition, Start)>,
    topics: Vec<(String, Start)>,
    subscription: BTreeSet<Arc<str>>,
    pattern: Option<String>,
    listener: Option<Listener>,
}

/// Kafka's limit of a topic's name.
const TOPIC_BYTES_MAX: usize = 249;

impl ConsumerBuilder {
    pub(crate) fn new(client: Client, config: ConsumerConfig) -> Self {
        Self {
            client,
            config,
            partitions: Vec::new(),
            topics: Vec::new(),
            subscription: BTreeSet::new(),
            pattern: None,
            listener: None,
        }
    }

    /// `group.id`: the group whose members share the partitions of their topics out, and that remembers how far it has read.
    pub fn group(mut self, id: impl Into<String>) -> Self {
        self.config.group.id = Some(id.into());
        self
    }

    /// Reads what the group gives this consumer of these topics, from where the group has read to.
    pub fn subscribe<T: AsRef<str>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.subscription
            .extend(topics.into_iter().map(|topic| Arc::from(topic.as_ref())));
        self
    }

    /// Reads what the group gives this consumer of the topics whose whole name matches a regular expression, those that come
    /// later included. It is written as for RE2. In a group of the consumer protocol the coordinator matches it; otherwise this
    /// client does, whenever its metadata is refreshed (`metadata.max.age.ms`), and passes the brokers' own topics over.
    pub fn subscribe_pattern(mut self, pattern: impl Into<String>) -> Self {
        self.pattern = Some(pattern.into());
        self
    }

    /// `group.instance.id`: a static member, which keeps its partitions when it is back within the session time-out.
    pub fn instance_id(mut self, id: impl Into<String>) -> Self {
        self.config.group.instance_id = Some(id.into());
        self
    }

    /// `partition.assignment.strategy`: how partitions are shared out, in the order of preference.
    pub fn assignors(mut self, assignors: impl IntoIterator<Item = Assignor>) -> Self {
        self.config.group.assignors = assignors.into_iter().collect();
        self
    }

    /// `enable.auto.commit` and `auto.commit.interval.ms`: how often positions are committed by themselves; `None` leaves it
    /// to the application.
    pub fn auto_commit(mut self, interval: Option<Duration>) -> Self {
        self.config.group.auto_commit = interval.is_some();
        if let Some(interval) = interval {
            self.config.group.auto_commit_interval = interval;
        }
        self
    }

    /// Is told, while the application asks for records, of partitions that come and go; what goes, goes when the future that
    /// `listener` returns has ended.
    pub fn on_rebalance<F: Future<Output = ()> + Send + 'static>(
        mut self,
        listener: impl Fn(Rebalance, Group) -> F + Send + Sync + 'static,
    ) -> Self {
        self.listener = Some(Listener::new(listener));
        self
    }

    /// Reads this partition too, from `start`.
    pub fn assign(mut self, topic: &str, partition: i32, start: Start) -> Self {
        self.partitions
            .push((TopicPartition::new(topic, partition), start));
        self
    }

    /// Reads every partition that this topic has when the consumer is built, from `start`.
    pub fn assign_topic(mut self, topic: &str, start: Start) -> Self {
        self.topics.push((topic.to_owned(), start));
        self
    }

    /// `auto.offset.reset`: where to go when a position is not in the log.
    pub fn offset_reset(mut self, reset: OffsetReset) -> Self {
        self.config.offset_reset = reset;
        self
    }

    /// `isolation.level`: whether unfinished and aborted transactions are seen.
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.config.isolation = isolation;
        self
    }

    /// `fetch.min.bytes` and `fetch.max.wait.ms`: the broker answers when it has that much, or
    /// after that long.
    pub fn fetch(mut self, bytes_min: i32, wait_max: Duration) -> Self {
        self.config.fetch_bytes_min = bytes_min;
        self.config.fetch_wait_max = wait_max;
        self
    }

    /// `highwater.fetch.buffer.memory`: bytes fetched ahead of the application.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.config.buffer_bytes = bytes;
        self
    }

    /// Changes the settings in place, for those without a method of their own.
    pub fn configure(mut self, change: impl FnOnce(&mut ConsumerConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Looks the topics up and starts fetching, in the tokio runtime that this is called in.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`], an unknown topic or partition, or a time-out.
    pub async fn build(self) -> Result<Consumer> {
        self.config.check()?;
        check_subscription(&self.subscription)?;
        let has_own = !self.topics.is_empty() || !self.partitions.is_empty();
        let topics = match &self.pattern {
            Some(_) if !self.subscription.is_empty() => {
                return Err(Error::config(
                    "a consumer is subscribed to topics by name or by a pattern, not both",
                ));
            }
            Some(pattern) => Some(Topics::Matching(Pattern::parse(pattern)?)),
            None => (!self.subscription.is_empty()).then_some(Topics::Named(self.subscription)),
        };
        if has_own && topics.is_some() {
            return Err(Error::config(
                "a consumer is either assigned its partitions or subscribed to topics",
            ));
        }
        let mut consumer = Consumer::new(self.client, self.config);
        if consumer.shared.config.group.id.is_some() || topics.is_some() {
            consumer.enter(topics, self.listener)?;
        }
        for (topic, start) in self.topics {
            consumer.assign_topic(&topic, start).await?;
        }
        for (place, start) in self.partitions {
            consumer.assign(&place, start).await?;
        }
        Ok(consumer)
    }
}

fn check_subscription(topics: &BTreeSet<Arc<str>>) -> Result<()> {
    match topics
        .iter()
        .find(|topic| topic.is_empty() || topic.len() > TOPIC_BYTES_MAX)
    {
        Some(wrong) => Err(Error::config(format!(
            "topic name has {} bytes, need 1 to {TOPIC_BYTES_MAX}",
            wrong.len()
        ))),
        None => Ok(()),
    }
}

/// Reads partitions. Dropping it stops the fetching, and leaves the group in the background, without committing what was not
/// enqueued: [`shutdown`](Self::shutdown) does that.
#[derive(Debug)]
pub struct Consumer {
    shared: Arc<Shared>,
    decompressor: Decompressor,
    scratch: Arc<Scratch>,
    /// The answer that batches are handed out of.
    reading: Option<Reading>,
    /// The batch that [`next`](Self::next) is in the middle of.
    current: Option<Current>,
    membership: Option<Membership>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Reading {
    slot: usize,
    place: TopicPartition,
    fetched: Fetched,
}

#[derive(Debug)]
struct Current {
    slot: usize,
    batch: RecordBatch,
    /// The next record.
    index: usize,
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // The fetchers end with this task.
        self.task.abort();
    }
}

impl Consumer {
    fn new(client: Client, config: ConsumerConfig) -> Self {
        let shared = Arc::new(Shared::new(client, config));
        let task = tokio::spawn(leaders::follow(Arc::downgrade(&shared))).abort_handle();
        Self {
            shared,
            decompressor: Decompressor::new(),
            scratch: Scratch::new(),
            reading: None,
            current: None,
            membership: None,
            task,
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.shared.client
    }

    fn enter(&mut self, topics: Option<Topics>, listener: Option<Listener>) -> Result<()> {
        let config = &self.shared.config;
        let arrived = Arc::clone(&self.shared.arrived);
        let client = &self.shared.client;
        let group = group::Shared::start(
            client,
            config.group.clone(),
            topics,
            config.client_rack.clone(),
            arrived,
        )?;
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
        let mut state = self.shared.lock();
        // Slots keep their numbers; one that was given up is the same partition's again.
        match state.slots.iter_mut().find(|slot| slot.place == *place) {
            Some(slot) => {
                slot.assigned = true;
                slot.cursor.seek(start);
                slot.cursor.set_paused(false);
                slot.leader = -1;
            }
            None => state.slots.push(Slot {
                place: place.clone(),
                assigned: true,
                cursor: Cursor::new(start),
                leader: -1,
                leader_epoch: -1,
                fetcher: None,
                waiting: VecDeque::new(),
            }),
        }
        drop(state);
        self.shared.assigned.notify_one();
    }

    /// Stops reading a partition and drops what waits of it.
    pub fn unassign(&mut self, place: &TopicPartition) {
        if self.seek(place, Start::Latest).is_ok()
            && let Some((_, slot)) = self.shared.lock().find(place)
        {
            slot.assigned = false;
        }
    }

    /// The next batch, as it lies in the log, of whichever partition has one; batches of one
    /// partition come in order. `None` when no partition is assigned by hand; a group may give
    /// one any time, so its members wait.
    ///
    /// In a group, asking for more says that what was handed out before is dealt with: that is
    /// what is committed by itself, and this is when partitions are let go and taken.
    ///
    /// Cancel-safe: a batch is taken out only when it is returned.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](crate::ErrorKind::Corrupt) with topic, partition and offset for a batch that
    /// does not hold together (it comes again until the application seeks past it), or
    /// [`Offset`](crate::ErrorKind::Offset) under [`OffsetReset::Fail`], or a refusal that is not
    /// retriable.
    pub async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        self.current = None;
        Ok(self.advance().await?.map(|(_, batch)| batch))
    }

    /// The next record, owned: one reference count on its batch.
    ///
    /// Cancel-safe. Do not mix with [`next_batch`](Self::next_batch), which starts after the batch
    /// this one is in the middle of.
    ///
    /// # Errors
    ///
    /// As [`next_batch`](Self::next_batch).
    pub async fn next(&mut self) -> Result<Option<ConsumerRecord>> {
        loop {
            if let Some(Membership { group, .. }) = &self.membership {
                group.polled();
                // It may be about what is in hand.
                if group.calls() {
                    self.follow().await?;
                }
            }
            if let Some(Current { batch, index, .. }) = &mut self.current {
                if let Some(record) = batch.get(*index) {
                    *index += 1;
                    return Ok(Some(record));
                }
                self.current = None;
            }
            match self.advance().await? {
                Some((slot, batch)) => {
                    self.current = Some(Current {
                        slot,
                        batch,
                        index: 0,
                    })
                }
                None => return Ok(None),
            }
        }
    }

    async fn advance(&mut self) -> Result<Option<(usize, RecordBatch)>> {
        loop {
            self.follow().await?;
            if let Some(ready) = self.try_advance()? {
                return Ok(Some(ready));
            }
            // What arrives from here on leaves a permit.
            let arrived = self.shared.arrived.notified();
            match self.membership.as_ref().filter(|it| it.group.is_member()) {
                Some(membership) => {
                    let _waiting = membership.group.waiting();
                    arrived.await;
                }
                None if !self.shared.lock().slots.iter().any(|slot| slot.assigned) => {
                    return Ok(None);
                }
                None => arrived.await,
            }
        }
    }

    /// Does what the group wants done.
    async fn follow(&mut self) -> Result<()> {
        if let Some(membership) = &self.membership {
            membership.group.polled();
        }
        loop {
            let Some(membership) = &mut self.membership else {
                return Ok(());
            };
            if let Some(settled) = membership.settled().await {
                self.settle(settled)?;
                continue;
            }
            match membership.next_event()? {
                None => break,
                Some(Event::Failed(failure)) => return Err(membership.failed(failure)),
                Some(Event::Assigned(places)) => membership.take(places),
                Some(Event::Revoke(places)) => self.release(&places),
                Some(Event::Lost(mut places)) => {
                    let assigned: BTreeSet<TopicPartition> =
                        self.assignment().into_iter().collect();
                    places.retain(|place| assigned.contains(place));
                    places.iter().for_each(|place| self.unassign(place));
                    if let Some(membership) = &mut self.membership {
                        membership.lose(places);
                    }
                }
            }
        }
        if let Some(membership) = &self.membership
            && membership.group.take_commit_due()
        {
            let positions = self.positions();
            if let Some(membership) = &mut self.membership {
                membership.commit_by_itself(positions);
            }
        }
        Ok(())
    }

    /// Stops reading these, and begins to let them go.
    fn release(&mut self, places: &[TopicPartition]) {
        let positions = places
            .iter()
            .map(|place| (place.clone(), self.position(place)))
            .collect();
        places.iter().for_each(|place| self.unassign(place));
        if let Some(membership) = &mut self.membership {
            membership.release(positions);
        }
    }

    fn settle(&mut self, settled: Settled) -> Result<()> {
        let Some(membership) = &self.membership else {
            return Ok(());
        };
        match settled {
            Settled::LetGo(places) => membership.group.settled(&places),
            Settled::Deferred(event, error) => {
                membership.group.put_back(event);
                return Err(error);
            }
            Settled::Assigned(places) => {
                for (place, start) in places {
                    self.shared.client.shared.use_topic(&place.topic);
                    match start {
                        Place::Start(start) => self.assign_known(&place, start),
                        Place::Nowhere => self.assign_nowhere(&place),
                    }
                }
            }
        }
        Ok(())
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

    fn positions(&self) -> BTreeMap<TopicPartition, i64> {
        let places = self.assignment().into_iter();
        places
            .filter_map(|place| self.position(&place).map(|at| (place, at)))
            .collect()
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
        check_subscription(&topics)?;
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

    /// Commits the positions of all partitions, and waits until the coordinator has them. What was handed out counts as dealt
    /// with, record by record with [`next`](Self::next), batch by batch with [`next_batch`](Self::next_batch).
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
        let positions = self.positions().into_iter();
        let offsets = positions.map(|(place, at)| (place, Committed::from(at)));
        Ok(self.membership()?.group.commits.enqueue(offsets.collect()))
    }

    /// Commits positions where that is done by itself, tells the listener, and leaves the group.
    ///
    /// Not cancel-safe in that a dropped future leaves as dropping the consumer does.
    ///
    /// # Errors
    ///
    /// A time-out; the group then learns of it by the session's end.
    pub async fn shutdown(mut self, within: Duration) -> Result<()> {
        let leave = async {
            if self.membership.is_none() {
                return Ok(());
            }
            // What is under way first.
            while let Some(membership) = &mut self.membership
                && let Some(settled) = membership.settled().await
            {
                if matches!(settled, Settled::LetGo(_)) {
                    self.settle(settled)?;
                }
            }
            let places = self.assignment();
            if !places.is_empty() {
                self.release(&places);
            }
            let Some(membership) = &mut self.membership else {
                return Ok(());
            };
            membership.settled().await;
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

    /// The next batch with records to be seen, if one is here.
    fn try_advance(&mut self) -> Result<Option<(usize, RecordBatch)>> {
        loop {
            let reading = match &mut self.reading {
                Some(reading) => reading,
                none => match take_out(&mut self.shared.lock())? {
                    Some(reading) => none.insert(reading),
                    None => return Ok(None),
                },
            };
            let slot = reading.slot;
            let position = self.shared.lock().slots[slot]
                .cursor
                .position()
                .unwrap_or(0);
            let opened = reading.open(
                position,
                &self.shared.config,
                &mut self.decompressor,
                &self.scratch,
            );
            let (next_offset, records) = opened.map_err(|error| {
                error
                    .at(&reading.place.topic, reading.place.partition)
                    .at_offset(position)
            })?;
            if reading.fetched.bytes.is_empty() {
                self.reading = None;
            }
            self.shared.lock().slots[slot].cursor.advance(next_offset);
            if let Some(records) = records.filter(|records| !records.is_empty()) {
                return Ok(Some((slot, records)));
            }
        }
    }

    /// What is assigned, in order.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        let state = self.shared.lock();
        let assigned = state.slots.iter().filter(|slot| slot.assigned);
        let mut places: Vec<TopicPartition> = assigned.map(|slot| slot.place.clone()).collect();
        places.sort();
        places
    }

    /// Moves to another place in a partition; what was fetched ahead of it is dropped.
    ///
    /// # Errors
    ///
    /// When the partition is not assigned.
    pub fn seek(&mut self, partition: &TopicPartition, to: Start) -> Result<()> {
        let mut state = self.shared.lock();
        let Some((index, slot)) = state.find(partition) else {
            let error = Error::config("partition is not assigned");
            return Err(error.at(&partition.topic, partition.partition));
        };
        slot.cursor.seek(to);
        let fetcher = slot.fetcher.clone();
        state.clear(index);
        drop(state);
        self.current.take_if(|current| current.slot == index);
        self.reading.take_if(|reading| reading.slot == index);
        if let Some(fetcher) = fetcher {
            fetcher.notify_one();
        }
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
            let Some((index, slot)) = state.find(place) else {
                continue;
            };
            slot.cursor.set_paused(paused);
            if let Some(fetcher) = &slot.fetcher {
                fetcher.notify_one();
            }
            if let Some(reading) = self.reading.take_if(|reading| reading.slot == index) {
                state.put_back(index, reading.fetched);
            }
        }
        drop(state);
        self.shared.arrived.notify_one();
    }

    /// The offset of the next record to be handed out; `None` while it is being looked up.
    pub fn position(&self, partition: &TopicPartition) -> Option<i64> {
        let mut state = self.shared.lock();
        let (index, slot) = state.find(partition)?;
        let position = slot.cursor.position()?;
        // In the middle of a batch, it is the next record's.
        if let Some(current) = &self.current
            && current.slot == index
            && let Some(record) = current.batch.get(current.index)
        {
            return Some(record.offset());
        }
        Some(position)
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
}

impl Reading {
    /// Checks and decodes the first batch that is left, and takes it out when that went well: the
    /// offset after it, and its records if they are to be seen.
    fn open(
        &mut self,
        position: i64,
        config: &ConsumerConfig,
        decompressor: &mut Decompressor,
        scratch: &Arc<Scratch>,
    ) -> Result<(i64, Option<RecordBatch>)> {
        let fetched = &mut self.fetched;
        let batch = Batch::check(&fetched.bytes)
            .map_err(|defect| Error::new(ErrorKind::Corrupt, defect.to_string()))?;
        let header = batch.header();
        let next_offset = header.next_offset().get();
        let attributes = header.attributes();
        let mut seen = !attributes.is_control();
        if attributes.is_transactional() && config.isolation == Isolation::ReadCommitted {
            seen &= !fetched
                .aborted
                .hides(header.producer_id(), header.last_offset().get());
            if attributes.is_control() && is_abort(&batch) {
                fetched.aborted.ended(header.producer_id());
            }
        }
        let records = if seen {
            let source = Source {
                topic: &self.place.topic,
                partition: self.place.partition,
                high_watermark: fetched.high_watermark,
                position,
                bytes_max: config.batch_bytes_max,
            };
            let bytes = &fetched.bytes;
            Some(RecordBatch::decode(
                &source,
                batch,
                bytes,
                decompressor,
                scratch,
            )?)
        } else {
            None
        };
        let bytes = batch.len();
        fetched.bytes.advance(bytes);
        Ok((next_offset, records))
    }
}

fn is_abort(batch: &Batch<'_>) -> bool {
    // Control batches are never compressed.
    let first = Records::over(batch.header(), batch.body()).next();
    let Some(Ok(record)) = first else {
        return false;
    };
    matches!(ControlType::of_key(record.key), Ok(ControlType::Abort))
}

/// Takes what waits longest out of the line, of the partition whose turn it is.
fn take_out(state: &mut State) -> Result<Option<Reading>> {
    let ready = |slot: &&usize| !state.slots[**slot].cursor.is_paused();
    let Some(index) = state.turn.iter().find(ready).copied() else {
        return Ok(None);
    };
    let slot = &mut state.slots[index];
    let waiting = slot.waiting.pop_front();
    state.turn.retain(|turn| *turn != index);
    if !slot.waiting.is_empty() {
        state.turn.push_back(index);
    }
    let fetched = match waiting {
        Some(Waiting::Fetched(fetched)) => fetched,
        Some(Waiting::Failed(error)) => return Err(error),
        None => return Ok(None),
    };
    state.waiting_bytes -= fetched.bytes.len();
    slot.cursor.taken(fetched.bytes.len());
    // There is room for more: of it, or of any when there was none at all.
    if std::mem::take(&mut state.starved) {
        state
            .slots
            .iter()
            .filter_map(|slot| slot.fetcher.as_ref())
            .for_each(|f| f.notify_one());
    } else if let Some(fetcher) = &slot.fetcher {
        fetcher.notify_one();
    }
    let place = state.slots[index].place.clone();
    Ok(Some(Reading {
        slot: index,
        place,
        fetched,
    }))
}
