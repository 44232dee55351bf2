//! Which transactional batches of a log count, as a cleaner walks over it: what `.txnindex` says of aborted transactions, and
//! which markers are still needed.
//!
//! It is shown batches in their order and reads no files. (`CleanedTransactionMetadata`, `TransactionIndex.java`)
//!
//! ```text
//!   .txnindex, 34 bytes:  version : i16 | producer id : i64 | first offset : i64 | last offset : i64 | last stable : i64
//! ```

use std::collections::{BTreeMap, BTreeSet};

use highwater_record::control::{ControlRecord, Outcome};
use highwater_record::{Batch, Header, Offset, Records};
use zerocopy::byteorder::big_endian::{I16, I64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A transaction that was aborted, as it lies in a `.txnindex`. It is in the index of the segment that holds its marker.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub(crate) struct Aborted {
    version: I16,
    producer_id: I64,
    first: I64,
    last: I64,
    last_stable: I64,
}

impl Aborted {
    /// Offset of its first record.
    pub(crate) fn first(&self) -> Offset {
        Offset::new(self.first.get())
    }

    /// Offset of its marker.
    pub(crate) fn last(&self) -> Offset {
        Offset::new(self.last.get())
    }

    /// The entries of an index; `None` when it is not one.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Vec<Aborted>> {
        let entries = bytes.chunks_exact(size_of::<Aborted>());
        if !entries.remainder().is_empty() {
            return None;
        }
        entries
            .map(|entry| Aborted::read_from_bytes(entry).ok())
            .map(|entry| entry.filter(|entry| entry.version.get() == 0))
            .collect()
    }

    #[cfg(test)]
    pub(crate) fn new(producer_id: i64, first: i64, last: i64) -> Aborted {
        Aborted {
            version: I16::new(0),
            producer_id: I64::new(producer_id),
            first: I64::new(first),
            last: I64::new(last),
            last_stable: I64::new(last),
        }
    }
}

/// The transactions that are under way at the place a walk has come to.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    /// Aborted ones that were not met yet, the first at the end.
    coming: Vec<Aborted>,
    aborted: BTreeMap<i64, Met>,
    committed: BTreeSet<i64>,
    /// Aborted ones whose marker has been met and is needed: what the new `.txnindex` holds.
    needed: Vec<Aborted>,
}

#[derive(Debug)]
struct Met {
    transaction: Aborted,
    has_batches: bool,
}

impl Transactions {
    /// A walk that meets these aborted transactions.
    pub(crate) fn new(mut aborted: Vec<Aborted>) -> Transactions {
        aborted.sort_unstable_by_key(|transaction| std::cmp::Reverse(transaction.first()));
        Transactions {
            coming: aborted,
            ..Transactions::default()
        }
    }

    /// The next batch is one of records. Returns whether it is of an aborted transaction, so that nobody will miss it.
    pub(crate) fn meet_records(&mut self, header: &Header) -> bool {
        self.advance(header.last_offset());
        if !header.attributes().is_transactional() {
            return false;
        }
        match self.aborted.get_mut(&header.producer_id()) {
            Some(met) => {
                met.has_batches = true;
                true
            }
            None => {
                self.committed.insert(header.producer_id());
                false
            }
        }
    }

    /// The next batch is a control batch. Returns whether it has become needless: no batch of its transaction is left.
    pub(crate) fn meet_control(&mut self, batch: &Batch<'_>) -> bool {
        let header = batch.header();
        self.advance(header.last_offset());
        let Some(Ok(record)) = Records::over(header, batch.body()).next() else {
            // One that was emptied before.
            return header.record_count() == 0;
        };
        match ControlRecord::of(&record) {
            Ok(ControlRecord::EndTxn(marker)) => match marker.outcome {
                Outcome::Commit => !self.committed.remove(&header.producer_id()),
                Outcome::Abort => match self.aborted.remove(&header.producer_id()) {
                    Some(met) if met.has_batches => {
                        self.needed.push(met.transaction);
                        false
                    }
                    Some(_) | None => true,
                },
            },
            Ok(_) | Err(_) => false,
        }
    }

    /// The aborted transactions whose markers were met since the last call and are needed.
    pub(crate) fn take_needed(&mut self) -> Vec<Aborted> {
        std::mem::take(&mut self.needed)
    }

    fn advance(&mut self, upto: Offset) {
        while let Some(transaction) = self.coming.pop_if(|next| next.first() <= upto) {
            let producer_id = transaction.producer_id.get();
            self.aborted.entry(producer_id).or_insert(Met {
                transaction,
                has_batches: false,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use highwater_record::control::EndTxnMarker;
    use highwater_record::{BatchBuilder, Compressor, LeaderEpoch, Producer};

    fn producer(id: i64) -> Producer {
        Producer {
            id,
            epoch: 0,
            base_sequence: 0,
        }
    }

    fn finish(mut builder: BatchBuilder, id: i64, offset: i64) -> Vec<u8> {
        builder.set_transactional(true);
        builder.set_producer(producer(id));
        builder.set_place(Offset::new(offset), LeaderEpoch::ZERO);
        let mut out = Vec::new();
        let none = "none".parse().expect("a codec");
        builder
            .finish(&mut Compressor::new(), &none, &mut out)
            .expect("made");
        out
    }

    fn data(id: i64, offset: i64) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        builder
            .append(1, Some(b"key"), Some(b"value"), &[])
            .expect("small");
        finish(builder, id, offset)
    }

    fn marker(id: i64, offset: i64, outcome: Outcome) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        let marker = ControlRecord::EndTxn(EndTxnMarker {
            outcome,
            coordinator_epoch: 0,
        });
        builder.append_control(1, &marker).expect("small");
        finish(builder, id, offset)
    }

    fn meet(transactions: &mut Transactions, bytes: &[u8]) -> bool {
        let batch = Batch::check(bytes).expect("a batch");
        if batch.header().attributes().is_control() {
            transactions.meet_control(&batch)
        } else {
            transactions.meet_records(batch.header())
        }
    }

    #[test]
    fn batches_of_an_aborted_transaction_are_needless_and_its_marker_is_not_while_they_are_met() {
        let aborted = Aborted::new(7, 0, 2);
        let mut transactions = Transactions::new(vec![aborted]);
        assert!(meet(&mut transactions, &data(7, 0)));
        assert!(!meet(&mut transactions, &data(8, 1)));
        assert!(!meet(&mut transactions, &marker(7, 2, Outcome::Abort)));
        assert_eq!(transactions.take_needed(), [aborted]);
        assert!(!meet(&mut transactions, &marker(8, 3, Outcome::Commit)));
        assert!(!meet(&mut transactions, &data(7, 4)), "the next one counts");
    }

    #[test]
    fn a_marker_without_batches_is_needless() {
        let mut transactions = Transactions::new(vec![Aborted::new(7, 0, 2)]);
        assert!(meet(&mut transactions, &marker(7, 2, Outcome::Abort)));
        assert!(meet(&mut transactions, &marker(8, 3, Outcome::Commit)));
        assert!(transactions.take_needed().is_empty());
    }

    #[test]
    fn an_index_that_is_none_is_not_read() {
        let bytes = [Aborted::new(1, 2, 3), Aborted::new(4, 5, 6)];
        let bytes = bytes.as_bytes();
        assert_eq!(bytes.len(), 68);
        assert_eq!(Aborted::parse(bytes).map(|entries| entries.len()), Some(2));
        assert_eq!(Aborted::parse(&bytes[..67]), None);
        assert_eq!(Aborted::parse(&[1; 34]), None);
        assert_eq!(Aborted::parse(&[]), Some(Vec::new()));
    }
}
