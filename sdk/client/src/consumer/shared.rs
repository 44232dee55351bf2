//! What a consumer and its fetchers share: the partitions, and what waits of them.

mod line;
mod slot;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

pub(super) use self::line::{Fetched, Waiting, whole_batches};
pub(super) use self::slot::{Lane, Replica, Slot};
use super::Start;
use super::events::{ConsumerEvent, Tell};
use super::ledger::Word;
use super::track::Track;
use crate::client::Client;
use crate::config::{ConsumerConfig, OffsetReset};
use crate::core::consumer::cursor::Cursor;
use crate::core::consumer::progress::Place;
use crate::error::{Error, ErrorKind, TopicPartition};
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
    /// Half of what waited after the last answer; 0 once it was told that less is left.
    low_bytes: usize,
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

    /// These were given out as moved and are not committed: they count as moved still.
    pub(super) fn not_committed(&mut self, offsets: &Offsets) {
        for (place, committed) in offsets {
            if let Some((_, slot)) = self.find(place)
                && slot.committed.as_ref() == Some(committed)
            {
                slot.committed = None;
            }
        }
    }
}

#[cfg(test)]
mod tests;
