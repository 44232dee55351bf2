//! What a consumer and its fetchers share: the partitions, and what waits of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use highwater_record::Header;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::Start;
use super::events::{ConsumerEvent, Tell};
use super::ledger::Word;
use super::reading::{Opened, Reading};
use super::track::Track;
use crate::client::Client;
use crate::config::{ConsumerConfig, OffsetReset};
use crate::core::consumer::aborted::Aborted;
use crate::core::consumer::cursor::Cursor;
use crate::core::consumer::progress::Place;
use crate::error::{Error, ErrorKind, Result, TopicPartition};
use crate::group::{Committed, Offsets};

impl From<Place> for Committed {
    fn from(place: Place) -> Self {
        Self {
            offset: place.offset,
            leader_epoch: place.leader_epoch,
            metadata: String::new(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) config: ConsumerConfig,
    state: Mutex<State>,
    /// Told when something waits for the application.
    pub(super) arrived: Arc<Notify>,
    /// Told when the assignment changed.
    pub(super) assigned: Notify,
    pub(super) events: Tell,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Slots stay when a partition is unassigned, so that their numbers keep their meaning.
    pub(super) slots: Vec<Slot>,
    /// The slot of each partition that ever was assigned, by topic.
    index: BTreeMap<Arc<str>, BTreeMap<i32, usize>>,
    /// How many slots are assigned.
    assigned: usize,
    /// Slots with something waiting, the one whose turn it is first. No slot is in it twice.
    pub(super) turn: VecDeque<usize>,
    /// Bytes that wait, over all slots.
    pub(super) waiting_bytes: usize,
    /// Whether some fetcher found no room.
    pub(super) starved: bool,
    /// Who fetches, by broker.
    fetchers: BTreeMap<i32, Desk>,
    /// The tracks of partitions that are being let go, until they are: more may be said of them.
    pub(super) leaving: BTreeMap<TopicPartition, Arc<Track>>,
    /// Partitions that are about to be assigned, and what was said of them.
    pub(super) coming: BTreeMap<TopicPartition, Option<Word>>,
}

/// What a fetcher is told.
#[derive(Debug)]
struct Desk {
    wake: Arc<Notify>,
    /// Slots that it has to look at.
    touched: BTreeSet<usize>,
}

/// A replica that the leader sends us to (KIP-392).
#[derive(Clone, Copy, Debug)]
pub(super) struct Replica {
    pub(super) broker: i32,
    /// When the leader is asked again.
    pub(super) until: Duration,
}

/// One partition of the assignment.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) place: TopicPartition,
    pub(super) assigned: bool,
    pub(super) cursor: Cursor,
    /// The leader's id and epoch; -1 when there is none.
    pub(super) leader: i32,
    pub(super) leader_epoch: i32,
    /// Which topic of that name it was when it was last heard of.
    pub(super) topic_id: Option<Uuid>,
    /// Who is asked instead of the leader.
    pub(super) replica: Option<Replica>,
    pub(super) waiting: VecDeque<Waiting>,
    /// What is dealt with, where somebody wants to know.
    pub(super) track: Option<Arc<Track>>,
    /// The partition's stream, where it has one.
    pub(super) lane: Option<Arc<Lane>>,
    /// What was committed by itself last, or what the group had.
    pub(super) committed: Option<Committed>,
}

/// What the application's side of a partition's stream shares with the consumer.
#[derive(Debug)]
pub(super) struct Lane {
    /// Told when something waits for the stream, or it has to look.
    pub(super) arrived: Arc<Notify>,
    /// Told when, after its end, it may be done with.
    pub(super) changed: Arc<Notify>,
    /// Whether the partition is being let go.
    pub(super) ended: watch::Sender<bool>,
    /// Whether the application dropped the stream.
    pub(super) gone: AtomicBool,
}

impl Lane {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            arrived: Arc::new(Notify::new()),
            changed: Arc::new(Notify::new()),
            ended: watch::Sender::new(false),
            gone: AtomicBool::new(false),
        })
    }
}

/// What waits for the application.
#[derive(Debug)]
pub(super) enum Waiting {
    Fetched(Fetched),
    Failed(Error),
}

/// The batches of one partition in one answer.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) bytes: Bytes,
    pub(super) high_watermark: i64,
    pub(super) aborted: Aborted,
}

impl Shared {
    pub(super) fn new(client: Client, config: ConsumerConfig) -> Self {
        Self {
            client,
            config,
            state: Mutex::default(),
            arrived: Arc::new(Notify::new()),
            assigned: Notify::new(),
            events: Tell::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Begins another track, where it has one; the marks of the one before reach nobody.
    fn turn_over(&mut self, start: Option<Place>) {
        if let Some(before) = self.track.take() {
            before.moved();
            let changed = match &self.lane {
                Some(lane) => Arc::clone(&lane.changed),
                None => Arc::new(Notify::new()),
            };
            self.track = Some(Track::new(start, changed));
        }
        if let Some(lane) = &self.lane {
            lane.arrived.notify_one();
        }
    }

    /// Goes to another place.
    fn seek(&mut self, to: Start) {
        self.cursor.seek(to);
        let start = match to {
            Start::Offset(offset) => Some(Place {
                offset,
                leader_epoch: -1,
            }),
            Start::Earliest | Start::Latest | Start::Timestamp(_) => None,
        };
        self.turn_over(start);
    }

    /// Has its marks go somewhere from here on, or nowhere.
    pub(super) fn set_tracked(&mut self, tracked: bool) {
        self.track = tracked.then(|| {
            let start = self.cursor.position().map(|offset| Place {
                offset,
                leader_epoch: self.cursor.position_epoch(),
            });
            let changed = match &self.lane {
                Some(lane) => Arc::clone(&lane.changed),
                None => Arc::new(Notify::new()),
            };
            Track::new(start, changed)
        });
    }

    /// Who is asked for records.
    pub(super) fn source(&self) -> i32 {
        self.replica_id().unwrap_or(self.leader)
    }

    pub(super) fn replica_id(&self) -> Option<i32> {
        self.replica.map(|replica| replica.broker)
    }

    /// Takes note that a batch is handed out, or passed over; its records' marks count from here on. Returns false when the
    /// partition was sought elsewhere since the batch was taken.
    pub(super) fn read(&mut self, generation: u32, opened: &mut Opened) -> bool {
        if generation != self.cursor.generation() {
            return false;
        }
        self.cursor.advance(opened.next_offset, opened.leader_epoch);
        let first = opened
            .records
            .as_ref()
            .and_then(|records| records.offset(0));
        if let (Some(track), Some(first)) = (&self.track, first)
            && track.next_offset().is_some_and(|next| next > first)
        {
            // The reset policy led back: what was handed out is of a log that is no more.
            self.turn_over(None);
        }
        if let Some(track) = &self.track {
            match &mut opened.records {
                Some(records) => records.follow(track),
                None => track.pass(opened.next_offset),
            }
        }
        true
    }

    /// The offset of the next record to be handed out, of a partition with a stream.
    pub(super) fn position(&self) -> Option<i64> {
        let handed = match (&self.lane, &self.track) {
            (Some(_), Some(track)) => track.handed(),
            (_, _) => None,
        };
        handed.or(self.cursor.position())
    }
}

impl State {
    /// The slot of an assigned partition.
    pub(super) fn find(&mut self, place: &TopicPartition) -> Option<(usize, &mut Slot)> {
        let index = *self.index.get(&place.topic)?.get(&place.partition)?;
        let slot = &mut self.slots[index];
        slot.assigned.then_some((index, slot))
    }

    pub(super) fn has_assigned(&self) -> bool {
        self.assigned > 0
    }

    /// The slot of a partition that is assigned, or was.
    pub(super) fn slot_of(&self, topic: &str, partition: i32) -> Option<usize> {
        self.index.get(topic)?.get(&partition).copied()
    }

    /// Whether somebody fetches from this broker.
    pub(super) fn has_fetcher(&self, broker: i32) -> bool {
        self.fetchers.contains_key(&broker)
    }

    /// Somebody fetches from this broker from now on.
    pub(super) fn add_fetcher(&mut self, broker: i32) -> Arc<Notify> {
        let wake = Arc::new(Notify::new());
        let desk = Desk {
            wake: Arc::clone(&wake),
            touched: BTreeSet::new(),
        };
        self.fetchers.insert(broker, desk);
        wake
    }

    /// Has whoever fetches a partition, or leads it, look at it again.
    pub(super) fn touch(&mut self, index: usize) {
        let (leader, source) = (self.slots[index].leader, self.slots[index].source());
        self.touch_at(leader, index);
        if source != leader {
            self.touch_at(source, index);
        }
    }

    fn touch_at(&mut self, broker: i32, index: usize) {
        if let Some(desk) = self.fetchers.get_mut(&broker) {
            desk.touched.insert(index);
            desk.wake.notify_one();
        }
    }

    /// What a fetcher has to look at.
    pub(super) fn take_touched(&mut self, broker: i32) -> BTreeSet<usize> {
        let desk = self.fetchers.get_mut(&broker);
        desk.map_or_else(BTreeSet::new, |desk| std::mem::take(&mut desk.touched))
    }

    /// The partition has this leader from now on, or none (-1).
    pub(super) fn set_leader(&mut self, index: usize, leader: i32, leader_epoch: i32) {
        // Whoever fetched it has to stop.
        self.touch(index);
        let slot = &mut self.slots[index];
        slot.leader = leader;
        slot.leader_epoch = leader_epoch;
        slot.replica = None;
        slot.cursor.leader_changed();
        self.touch(index);
    }

    /// The topic was deleted and made again: the position is one of a log that is no more.
    pub(super) fn remade(&mut self, index: usize, shared: &Shared) {
        let place = self.slots[index].place.clone();
        match shared.config.offset_reset {
            OffsetReset::Earliest => self.seek(index, Start::Earliest),
            OffsetReset::Latest => self.seek(index, Start::Latest),
            OffsetReset::Fail => {
                self.seek(index, Start::Latest);
                self.slots[index].cursor.stop();
                let why = "topic was deleted and made again, and auto.offset.reset is none";
                let error = Error::new(ErrorKind::Offset, why);
                let error = error.at(&place.topic, place.partition);
                self.push(index, Waiting::Failed(error));
                shared.arrived.notify_one();
            }
        }
        shared.events.tell(|| ConsumerEvent::Reset { place });
    }

    /// Records are to be had from a replica for a while.
    pub(super) fn lend(&mut self, index: usize, replica: Replica) {
        self.slots[index].replica = Some(replica);
        self.touch(index);
    }

    /// Records are to be had from the leader again.
    pub(super) fn back_to_leader(&mut self, index: usize) {
        self.touch(index);
        self.slots[index].replica = None;
    }

    /// What is assigned, with its slots.
    pub(super) fn assigned(&self) -> impl Iterator<Item = (usize, &Slot)> {
        let slots = self.slots.iter().enumerate();
        slots.filter(|(_, slot)| slot.assigned)
    }

    /// Assigns a partition that is not assigned.
    pub(super) fn assign(&mut self, place: &TopicPartition, start: Start) -> usize {
        let partitions = self.index.entry(Arc::clone(&place.topic)).or_default();
        let next = self.slots.len();
        let index = *partitions.entry(place.partition).or_insert(next);
        // Slots keep their numbers; one that was given up is the same partition's again.
        match self.slots.get_mut(index) {
            Some(slot) => {
                slot.cursor.seek(start);
                slot.cursor.set_paused(false);
                slot.leader = -1;
                slot.leader_epoch = -1;
                slot.replica = None;
                slot.topic_id = None;
                slot.committed = None;
            }
            None => self.slots.push(Slot {
                place: place.clone(),
                assigned: false,
                cursor: Cursor::new(start),
                leader: -1,
                leader_epoch: -1,
                topic_id: None,
                replica: None,
                waiting: VecDeque::new(),
                track: None,
                lane: None,
                committed: None,
            }),
        }
        let slot = &mut self.slots[index];
        if !slot.assigned {
            slot.assigned = true;
            self.assigned += 1;
        }
        index
    }

    /// Stops reading a partition and drops what waits of it. Returns its track, if it had one.
    pub(super) fn unassign(&mut self, index: usize) -> Option<Arc<Track>> {
        self.clear(index);
        let slot = &mut self.slots[index];
        if slot.assigned {
            slot.assigned = false;
            self.assigned -= 1;
        }
        let track = slot.track.take();
        slot.lane = None;
        slot.cursor.seek(Start::Latest);
        self.touch(index);
        track
    }

    /// Goes to another place in a partition, and drops what waits of it.
    pub(super) fn seek(&mut self, index: usize, to: Start) {
        self.clear(index);
        self.slots[index].seek(to);
        self.touch(index);
    }

    /// Stops or resumes handing out and fetching a partition.
    pub(super) fn set_paused(&mut self, index: usize, paused: bool) {
        let slot = &mut self.slots[index];
        slot.cursor.set_paused(paused);
        if let Some(lane) = &slot.lane {
            lane.arrived.notify_one();
        }
        self.touch(index);
        self.freed();
    }

    /// The watermarks of all partitions that are tracked; of those only that moved since this was last asked.
    pub(super) fn moved_watermarks(&mut self) -> Offsets {
        let mut offsets = Offsets::new();
        for slot in self.slots.iter_mut().filter(|slot| slot.assigned) {
            let Some(now) = slot.track.as_ref().and_then(|track| track.dealt_with()) else {
                continue;
            };
            let is_known =
                |known: &Committed| known.offset == now.offset && known.metadata == now.metadata;
            if !slot.committed.as_ref().is_some_and(is_known) {
                slot.committed = Some(now.clone());
                offsets.insert(slot.place.clone(), now);
            }
        }
        offsets
    }

    /// Takes the first that waits of a slot.
    pub(super) fn take(&mut self, index: usize) -> Result<Option<Reading>> {
        let slot = &mut self.slots[index];
        let fetched = match slot.waiting.pop_front() {
            Some(Waiting::Fetched(fetched)) => fetched,
            Some(Waiting::Failed(error)) => return Err(error),
            None => return Ok(None),
        };
        let bytes = fetched.bytes.len();
        slot.cursor.taken(bytes);
        let place = slot.place.clone();
        let generation = slot.cursor.generation();
        self.waiting_bytes -= bytes;
        // There is room for more: of it, or of any when there was none at all.
        self.touch(index);
        self.freed();
        Ok(Some(Reading {
            slot: index,
            place,
            generation,
            fetched,
        }))
    }

    /// Takes what waits longest out of the line, of the partition whose turn it is.
    pub(super) fn take_next(&mut self) -> Result<Option<Reading>> {
        let ready = |slot: &&usize| !self.slots[**slot].cursor.is_paused();
        let Some(index) = self.turn.iter().find(ready).copied() else {
            return Ok(None);
        };
        self.turn.retain(|turn| *turn != index);
        if self.slots[index].waiting.len() > 1 {
            self.turn.push_back(index);
        }
        self.take(index)
    }

    /// Puts something in line for the application.
    pub(super) fn push(&mut self, slot: usize, waiting: Waiting) {
        if let Waiting::Fetched(fetched) = &waiting {
            self.waiting_bytes += fetched.bytes.len();
        }
        let queue = &mut self.slots[slot];
        queue.waiting.push_back(waiting);
        match &queue.lane {
            Some(lane) => lane.arrived.notify_one(),
            None if !self.turn.contains(&slot) => self.turn.push_back(slot),
            None => {}
        }
    }

    /// Puts what is left of an answer back to where it was taken from.
    pub(super) fn put_back(&mut self, reading: Reading) {
        let Reading {
            slot,
            generation,
            fetched,
            ..
        } = reading;
        if generation != self.slots[slot].cursor.generation() {
            return;
        }
        let bytes = fetched.bytes.len();
        self.waiting_bytes += bytes;
        self.slots[slot].cursor.returned(bytes);
        let queue = &mut self.slots[slot];
        queue.waiting.push_front(Waiting::Fetched(fetched));
        self.turn.retain(|turn| *turn != slot);
        if queue.lane.is_none() {
            self.turn.push_front(slot);
        }
    }

    /// Drops what waits of a slot.
    pub(super) fn clear(&mut self, slot: usize) {
        for waiting in self.slots[slot].waiting.drain(..) {
            if let Waiting::Fetched(fetched) = waiting {
                self.waiting_bytes -= fetched.bytes.len();
            }
        }
        self.turn.retain(|turn| *turn != slot);
        self.freed();
    }

    /// There is room, or nobody can make any: fetchers that found none look again.
    fn freed(&mut self) {
        if std::mem::take(&mut self.starved) {
            let fetchers = self.fetchers.values();
            fetchers.for_each(|fetcher| fetcher.wake.notify_one());
        }
    }

    /// Whether all that waits is of partitions that are paused: then taking makes no room.
    pub(super) fn is_blocked(&self) -> bool {
        let is_paused = |slot: &usize| self.slots[*slot].cursor.is_paused();
        !self.turn.is_empty() && self.turn.iter().all(is_paused)
    }
}

/// The batches that lie whole in `bytes`: how many bytes they have, the offset after them, and the last one's leader epoch.
pub(super) fn whole_batches(bytes: &[u8]) -> (usize, Option<(i64, i32)>) {
    let mut end = 0;
    let mut next = None;
    while let Some(header) = bytes.get(end..).and_then(Header::peek) {
        let batch = header.batch_bytes();
        if batch > bytes.len() - end {
            break;
        }
        // A length that cannot be is for whoever checks the batch to tell.
        end += batch
            .max(highwater_record::HEADER_BYTES)
            .min(bytes.len() - end);
        next = Some((header.next_offset().get(), header.leader_epoch().get()));
    }
    (end, next)
}

#[cfg(test)]
mod tests;
