//! A coordinator's log read from its beginning: batch by batch, into its replay. It knows batches and transactions, not what
//! records mean.
//!
//! Kafka's producers commit offsets in transactions; a log that Kafka wrote may hold such commits. They count once their
//! transaction's marker says so, and not before.

use std::collections::BTreeMap;
use std::rc::Rc;

use highwater_log::FileRange;
use highwater_partition::{Fetch, FetchRefusal};
use highwater_record::control::ControlType;
use highwater_record::{Batch, Decompressor, HEADER_BYTES, Header, Limits, Records};
use highwater_wire::ErrorCode;

use super::desk::Desk;
use crate::shard::Shard;

/// What is read at once; a larger batch is read whole.
const READ_BYTES: u32 = 1 << 20;

/// What a batch may hold, uncompressed.
const PLAIN_BYTES_MAX: usize = 256 << 20;

/// What commits of open transactions may take in memory; beyond it those of one producer after the other are forgotten.
const OPEN_BYTES_MAX: usize = 64 << 20;

/// Why a log cannot be read to its end.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Refused(#[from] FetchRefusal),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Reads the log of `desk` and opens it.
pub(super) async fn load(shard: Rc<Shard>, desk: Rc<Desk>) {
    let begun = shard.reactor().now();
    let mut loading = Loading::new(&desk);
    let outcome = {
        let _turn = shard.hall().loading().acquire(1).await;
        loading.read(&shard).await
    };
    match outcome {
        Ok(()) => {
            let took = shard.reactor().now() - begun;
            tracing::debug!(
                partition = desk.index(),
                records = loading.records,
                ?took,
                "groups loaded"
            );
            shard.hall().serve(&shard.image(), &desk);
        }
        Err(error) => {
            tracing::error!(partition = desk.index(), %error, "the groups of this partition cannot be loaded");
            desk.close(ErrorCode::NotCoordinator);
        }
    }
}

struct Loading<'a> {
    desk: &'a Desk,
    decompressor: Decompressor,
    plain: Vec<u8>,
    bytes: Vec<u8>,
    open: Open,
    records: u64,
}

impl<'a> Loading<'a> {
    fn new(desk: &'a Desk) -> Loading<'a> {
        Loading {
            desk,
            decompressor: Decompressor::new(),
            plain: Vec::new(),
            bytes: Vec::new(),
            open: Open::default(),
            records: 0,
        }
    }

    async fn read(&mut self, shard: &Shard) -> Result<(), Error> {
        let partition = self.desk.partition();
        let mut from = partition.log_start();
        loop {
            let plan = partition.plan_fetch(&Fetch::new(from, READ_BYTES))?;
            let before = from;
            for range in &plan.ranges {
                from = self.range(shard, range, from).await?;
            }
            if from <= before {
                return Ok(());
            }
            shard.reactor().yield_now().await;
        }
    }

    /// Shows whole batches of a file; the offset after the last of them.
    async fn range(
        &mut self,
        shard: &Shard,
        range: &FileRange,
        from: highwater_record::Offset,
    ) -> Result<highwater_record::Offset, Error> {
        let reactor = shard.reactor();
        reactor
            .prefetch(&range.file, range.position, u64::from(range.len))
            .await?;
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        bytes.resize(range.len as usize, 0);
        range.file.read_exact_at(range.position, &mut bytes)?;
        let (mut rest, mut next) = (bytes.as_slice(), from);
        while let Some(header) = Header::peek(rest) {
            let Some((batch, after)) =
                rest.split_at_checked(header.batch_bytes().max(HEADER_BYTES))
            else {
                break;
            };
            next = header.next_offset();
            if let Err(fact) = self.batch(batch) {
                let (partition, offset) = (self.desk.index(), header.base_offset().get());
                tracing::error!(partition, offset, fact, "group records passed over");
            }
            rest = after;
        }
        self.bytes = bytes;
        Ok(next)
    }

    fn batch(&mut self, bytes: &[u8]) -> Result<(), String> {
        let batch = Batch::check(bytes).map_err(|defect| defect.to_string())?;
        let header = batch.header();
        let attributes = header.attributes();
        let limits = Limits {
            bytes_max: PLAIN_BYTES_MAX,
            ..Limits::default()
        };
        let records = Records::of(&batch, &mut self.plain, &mut self.decompressor, limits)
            .map_err(|error| error.to_string())?;
        for record in records {
            let record = record.map_err(|defect| defect.to_string())?;
            if attributes.is_control() {
                let kind = ControlType::of_key(record.key).map_err(|defect| defect.to_string())?;
                if kind != ControlType::Commit && kind != ControlType::Abort {
                    continue;
                }
                let ended = self.open.end(header.producer_id());
                for (key, value) in ended.iter().filter(|_| kind == ControlType::Commit) {
                    replay(self.desk, &mut self.records, key, value.as_deref());
                }
                continue;
            }
            let Some(key) = record.key else {
                tracing::warn!(
                    partition = self.desk.index(),
                    offset = record.offset.get(),
                    "a group record has no key"
                );
                continue;
            };
            if attributes.is_transactional() {
                self.open.add(header.producer_id(), key, record.value);
            } else {
                replay(self.desk, &mut self.records, key, record.value);
            }
        }
        Ok(())
    }
}

fn replay(desk: &Desk, records: &mut u64, key: &[u8], value: Option<&[u8]>) {
    *records += 1;
    if let Err(error) = desk.replay(key, value) {
        tracing::error!(partition = desk.index(), %error, "a group record was passed over");
    }
}

type Kept = (Box<[u8]>, Option<Box<[u8]>>);

/// Records of transactions that have not ended, by producer.
#[derive(Debug, Default)]
struct Open {
    by_producer: BTreeMap<i64, Vec<Kept>>,
    bytes: usize,
}

impl Open {
    fn add(&mut self, producer_id: i64, key: &[u8], value: Option<&[u8]>) {
        self.bytes += size(key, value);
        let kept = self.by_producer.entry(producer_id).or_default();
        kept.push((key.into(), value.map(Into::into)));
        while self.bytes > OPEN_BYTES_MAX {
            let Some((&first, _)) = self.by_producer.first_key_value() else {
                break;
            };
            tracing::error!(
                producer_id = first,
                "an open transaction of commits is too large to be kept"
            );
            self.end(first);
        }
    }

    /// The records of a transaction that has ended.
    fn end(&mut self, producer_id: i64) -> Vec<Kept> {
        let kept = self.by_producer.remove(&producer_id).unwrap_or_default();
        self.bytes -= kept
            .iter()
            .map(|(key, value)| size(key, value.as_deref()))
            .sum::<usize>();
        kept
    }
}

fn size(key: &[u8], value: Option<&[u8]>) -> usize {
    key.len() + value.map_or(0, <[u8]>::len) + size_of::<Kept>()
}
