//! What was fetched and waits for the application: put in line by fetchers, taken in turn, within a buffer that all partitions
//! share.

use bytes::Bytes;
use highwater_record::Header;

use super::State;
use crate::consumer::reading::Reading;
use crate::core::consumer::aborted::Aborted;
use crate::error::{Error, Result};

/// What waits for the application.
#[derive(Debug)]
pub(crate) enum Waiting {
    Fetched(Fetched),
    Failed(Error),
}

/// The batches of one partition in one answer.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) bytes: Bytes,
    pub(crate) high_watermark: i64,
    pub(crate) aborted: Aborted,
}

impl State {
    /// Takes the first that waits of a slot.
    pub(crate) fn take(&mut self, index: usize) -> Result<Option<Reading>> {
        let slot = &mut self.slots[index];
        let fetched = match slot.waiting.pop_front() {
            Some(Waiting::Fetched(fetched)) => fetched,
            Some(Waiting::Failed(error)) => {
                // All that waits may be of paused partitions now.
                self.freed();
                return Err(error);
            }
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
    pub(crate) fn take_next(&mut self) -> Result<Option<Reading>> {
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

    /// Whether less than half is left of what waited after the last answer, so that it is time to ask for more; says so once an
    /// answer.
    pub(crate) fn ebbs(&mut self) -> bool {
        let ebbs = self.waiting_bytes < self.low_bytes;
        if ebbs {
            self.low_bytes = 0;
        }
        ebbs
    }

    /// Puts something in line for the application.
    pub(crate) fn push(&mut self, slot: usize, waiting: Waiting) {
        if let Waiting::Fetched(fetched) = &waiting {
            self.waiting_bytes += fetched.bytes.len();
            self.low_bytes = self.waiting_bytes / 2;
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
    pub(crate) fn put_back(&mut self, reading: Reading) {
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
    pub(crate) fn clear(&mut self, slot: usize) {
        for waiting in self.slots[slot].waiting.drain(..) {
            if let Waiting::Fetched(fetched) = waiting {
                self.waiting_bytes -= fetched.bytes.len();
            }
        }
        self.turn.retain(|turn| *turn != slot);
        self.freed();
    }

    /// There is room, or nobody can make any: fetchers that found none look again.
    pub(super) fn freed(&mut self) {
        if std::mem::take(&mut self.starved) {
            let fetchers = self.fetchers.values();
            fetchers.for_each(|fetcher| fetcher.wake.notify_one());
        }
    }

    /// Whether all that waits is of partitions that are paused: then taking makes no room.
    pub(crate) fn is_blocked(&self) -> bool {
        let is_paused = |slot: &usize| self.slots[*slot].cursor.is_paused();
        !self.turn.is_empty() && self.turn.iter().all(is_paused)
    }
}

/// The batches that lie whole in `bytes`: how many bytes they have, the offset after them, and the last one's leader epoch.
pub(crate) fn whole_batches(bytes: &[u8]) -> (usize, Option<(i64, i32)>) {
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
