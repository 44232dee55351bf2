//! What a consumer and its fetchers share: the partitions, and what waits of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use highwater_record::Header;
use tokio::sync::Notify;

use crate::client::Client;
use crate::config::ConsumerConfig;
use crate::core::consumer::aborted::Aborted;
use crate::core::consumer::cursor::Cursor;
use crate::error::{Error, TopicPartition};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) config: ConsumerConfig,
    state: Mutex<State>,
    /// Told when something waits for the application.
    pub(super) arrived: Arc<Notify>,
    /// Told when the assignment changed.
    pub(super) assigned: Notify,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Slots stay when a partition is unassigned, so that their numbers keep their meaning.
    pub(super) slots: Vec<Slot>,
    /// Slots with something waiting, the one whose turn it is first. No slot is in it twice.
    pub(super) turn: VecDeque<usize>,
    /// Bytes that wait, over all slots.
    pub(super) waiting_bytes: usize,
    /// Whether some fetcher found no room.
    pub(super) starved: bool,
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
    /// Who fetches for that leader.
    pub(super) fetcher: Option<Arc<Notify>>,
    pub(super) waiting: VecDeque<Waiting>,
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
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The slot of an assigned partition.
    pub(super) fn find(&mut self, place: &TopicPartition) -> Option<(usize, &mut Slot)> {
        let is_it = |(_, slot): &(usize, &mut Slot)| slot.assigned && slot.place == *place;
        self.slots.iter_mut().enumerate().find(is_it)
    }

    /// Puts something in line for the application.
    pub(super) fn push(&mut self, slot: usize, waiting: Waiting) {
        if let Waiting::Fetched(fetched) = &waiting {
            self.waiting_bytes += fetched.bytes.len();
        }
        self.slots[slot].waiting.push_back(waiting);
        if !self.turn.contains(&slot) {
            self.turn.push_back(slot);
        }
    }

    /// Puts an answer that was taken out back to where it was.
    pub(super) fn put_back(&mut self, slot: usize, fetched: Fetched) {
        let bytes = fetched.bytes.len();
        self.waiting_bytes += bytes;
        self.slots[slot].cursor.returned(bytes);
        self.slots[slot]
            .waiting
            .push_front(Waiting::Fetched(fetched));
        self.turn.retain(|turn| *turn != slot);
        self.turn.push_front(slot);
    }

    /// Drops what waits of a slot.
    pub(super) fn clear(&mut self, slot: usize) {
        for waiting in self.slots[slot].waiting.drain(..) {
            if let Waiting::Fetched(fetched) = waiting {
                self.waiting_bytes -= fetched.bytes.len();
            }
        }
        self.turn.retain(|turn| *turn != slot);
    }
}

/// The batches that lie whole in `bytes`: how many bytes they have, and the offset after them.
pub(super) fn whole_batches(bytes: &[u8]) -> (usize, Option<i64>) {
    let mut end = 0;
    let mut next_offset = None;
    while let Some(header) = bytes.get(end..).and_then(Header::peek) {
        let batch = header.batch_bytes();
        if batch > bytes.len() - end {
            break;
        }
        // A length that cannot be is for whoever checks the batch to tell.
        end += batch
            .max(highwater_record::HEADER_BYTES)
            .min(bytes.len() - end);
        next_offset = Some(header.next_offset().get());
    }
    (end, next_offset)
}
