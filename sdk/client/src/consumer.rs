//! The consumer of given partitions: fetches ahead in the background, lends batches.

mod batch;
mod fetcher;
mod leaders;
mod shared;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use highwater_record::control::ControlType;
use highwater_record::{Batch, Decompressor, Records};
use tokio::task::AbortHandle;

pub use self::batch::{ConsumerRecord, Iter, RecordBatch, RecordRef};
use self::batch::{Scratch, Source};
use self::shared::{Fetched, Shared, Slot, State, Waiting};
use crate::client::Client;
use crate::config::{ConsumerConfig, Isolation, OffsetReset};
use crate::core::consumer::cursor::Cursor;
use crate::error::{Error, ErrorKind, Result, TopicPartition};

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
}

impl ConsumerBuilder {
    pub(crate) fn new(client: Client, config: ConsumerConfig) -> Self {
        Self {
            client,
            config,
            partitions: Vec::new(),
            topics: Vec::new(),
        }
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
        let mut consumer = Consumer::new(self.client, self.config);
        for (topic, start) in self.topics {
            consumer.assign_topic(&topic, start).await?;
        }
        for (place, start) in self.partitions {
            consumer.assign(&place, start).await?;
        }
        Ok(consumer)
    }
}

/// Reads partitions. Dropping it stops the fetching.
#[derive(Debug)]
pub struct Consumer {
    shared: Arc<Shared>,
    decompressor: Decompressor,
    scratch: Arc<Scratch>,
    /// The answer that batches are handed out of.
    reading: Option<Reading>,
    /// The batch that [`next`](Self::next) is in the middle of.
    current: Option<Current>,
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
            task,
        }
    }

    /// Reads this partition too, or from another place when it is read already.
    ///
    /// Cancel-safe: it is assigned when this returns, or not at all.
    ///
    /// # Errors
    ///
    /// An unknown topic or partition, or a time-out.
    pub async fn assign(&mut self, place: &TopicPartition, start: Start) -> Result<()> {
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
    /// An unknown topic, or a time-out.
    pub async fn assign_topic(&mut self, topic: &str, start: Start) -> Result<()> {
        let count = self.shared.client.partition_count(topic).await?;
        let topic: Arc<str> = topic.into();
        for partition in 0..count {
            self.assign_known(&TopicPartition::new(Arc::clone(&topic), partition), start);
        }
        Ok(())
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
    /// partition come in order. `None` when no partition is assigned.
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
            if let Some(ready) = self.try_advance()? {
                return Ok(Some(ready));
            }
            if !self.shared.lock().slots.iter().any(|slot| slot.assigned) {
                return Ok(None);
            }
            // What arrives from here on leaves a permit.
            self.shared.arrived.notified().await;
        }
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
