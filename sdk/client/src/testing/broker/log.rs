//! One partition of paper: batches in memory under the rules of idempotence (KIP-98, `ProducerAppendInfo.java`).

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use highwater_record::{Batch, Header, LeaderEpoch, Offset, batches};
use highwater_wire::ErrorCode;

/// Batches of one producer that are known again.
const REMEMBERED: usize = 5;

#[derive(Default)]
pub(super) struct Log {
    pub(super) leader: i32,
    pub(super) leader_epoch: i32,
    pub(super) batches: Vec<Bytes>,
    pub(super) end: i64,
    pub(super) start: i64,
    /// Another broker that has the log, where the leader sends consumers that say where they stand.
    pub(super) follower: Option<i32>,
    /// What is known of producers, by their ids.
    producers: BTreeMap<i64, Known>,
}

/// What is known of a producer.
struct Known {
    epoch: i16,
    next_sequence: i32,
    /// First sequences and offsets of its last batches.
    last: VecDeque<(i32, i64)>,
}

impl Log {
    /// An empty partition.
    pub(super) fn led_by(leader: i32) -> Self {
        Self {
            leader,
            leader_epoch: 1,
            ..Self::default()
        }
    }

    /// Counts the records of a batch, and nothing else.
    pub(super) fn count(&mut self, records: &[u8]) -> Result<i64, ErrorCode> {
        let header = Header::peek(records).ok_or(ErrorCode::CorruptMessage)?;
        let base = self.end;
        self.end += i64::from(header.record_count());
        Ok(base)
    }

    /// Appends a batch, or finds that it is there already: its first offset.
    pub(super) fn append(&mut self, records: &[u8], bytes_max: usize) -> Result<i64, ErrorCode> {
        if records.len() > bytes_max {
            return Err(ErrorCode::MessageTooLarge);
        }
        let batch = Batch::check(records).map_err(|_| ErrorCode::CorruptMessage)?;
        let header = batch.header();
        let base = self.end;
        let producer = header.producer_id();
        if producer >= 0 {
            let (epoch, sequence) = (header.producer_epoch(), header.base_sequence());
            let first = || Known {
                epoch,
                next_sequence: 0,
                last: VecDeque::new(),
            };
            let known = self.producers.entry(producer).or_insert_with(first);
            if epoch > known.epoch {
                *known = first();
            }
            if let Some((_, base)) = known.last.iter().find(|(known, _)| *known == sequence) {
                return Ok(*base);
            }
            if sequence != known.next_sequence || epoch < known.epoch {
                return Err(ErrorCode::OutOfOrderSequenceNumber);
            }
            known.next_sequence = known.next_sequence.wrapping_add(header.record_count());
            known.last.push_back((sequence, base));
            if known.last.len() > REMEMBERED {
                known.last.pop_front();
            }
        }
        let stamped = batch.stamp(Offset::new(base), LeaderEpoch::new(self.leader_epoch));
        self.batches.push(Bytes::from(stamped.parts().concat()));
        self.end = base + i64::from(header.record_count());
        Ok(base)
    }

    /// Ends here from now on, but for what lies in a batch that begins before; nothing is known of producers any more.
    pub(super) fn truncate(&mut self, to: i64) {
        let next = |bytes: &Bytes| Header::peek(bytes).map(|header| header.next_offset().get());
        self.batches
            .retain(|bytes| next(bytes).is_some_and(|next| next <= to));
        self.end = to.min(self.end);
        self.producers.clear();
    }

    /// The largest epoch up to this one, and where it ends (KIP-320).
    pub(super) fn epoch_end(&self, epoch: i32) -> Option<(i32, i64)> {
        let headers = self.batches.iter().filter_map(|bytes| Header::peek(bytes));
        let is_up_to = |header: &&Header| header.leader_epoch().get() <= epoch;
        let last = headers.clone().filter(|header| is_up_to(header)).last()?;
        let after = headers.clone().find(|header| !is_up_to(header));
        let end = after.map_or(self.end, |header| header.base_offset().get());
        Some((last.leader_epoch().get(), end))
    }

    /// Whole batches from the one with offset `from` on, at least one and then up to so many bytes.
    pub(super) fn read(&self, from: i64, bytes_max: usize) -> Bytes {
        let mut records = BytesMut::new();
        for bytes in &self.batches {
            let Some(header) = Header::peek(bytes) else {
                continue;
            };
            let fits = records.is_empty() || records.len() + bytes.len() <= bytes_max;
            if header.next_offset().get() > from && fits {
                records.extend_from_slice(bytes);
            }
        }
        records.freeze()
    }

    /// Where the first batch begins that has a record of this time or later.
    pub(super) fn by_time(&self, timestamp_ms: i64) -> Option<i64> {
        let all = self.batches.iter().flat_map(|bytes| batches(bytes));
        let mut headers = all.filter_map(|batch| batch.ok().map(|batch| *batch.header()));
        let found = headers.find(|header| header.max_timestamp() >= timestamp_ms)?;
        Some(found.base_offset().get())
    }
}

/// The same batches under offsets from `base` on.
pub(super) fn rebased(batches: &Bytes, base: i64) -> Bytes {
    let mut records = BytesMut::from(&batches[..]);
    let (mut at, mut base) = (0, base);
    while let Some(header) = records.get(at..).and_then(Header::peek) {
        let (bytes, count) = (header.batch_bytes(), header.record_count());
        let Some(offset) = records.get_mut(at..at + 8) else {
            break;
        };
        offset.copy_from_slice(&base.to_be_bytes());
        base += i64::from(count);
        at += bytes;
    }
    records.freeze()
}
