//! How a partition comes to be: made new, or opened with what its log and its snapshots say of the producers.
//!
//! The snapshot saves reading the log from its start, and is only believed where it holds: a broken or impossible one is
//! removed, and an older one, or the log alone, takes its place.

use std::collections::BTreeMap;
use std::path::PathBuf;

use highwater_log::{Log, Opening, ReadError};
use highwater_record::{Header, LeaderEpoch, Offset};
use thiserror::Error;
use uuid::Uuid;

use crate::config::Config;
use crate::host::Host;
use crate::partition::Partition;
use crate::producers::{Claim, Kept, Producers};
use crate::snapshot;
use crate::state::State;

/// What opening took.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// What the log scanned, cut and rebuilt.
    pub log: highwater_log::Recovered,
    /// The snapshot the producers were read from, if one held.
    pub snapshot: Option<Offset>,
    /// Snapshots that were removed because they did not hold or lay beyond the log.
    pub snapshots_removed: u32,
    /// Batches read after the snapshot, to learn of their producers.
    pub batches_scanned: u64,
    /// Producers known.
    pub producers: usize,
}

/// Why a partition cannot be made, opened, closed or deleted.
#[derive(Debug, Error)]
pub enum Error {
    /// The log's own.
    #[error(transparent)]
    Log(#[from] highwater_log::Error),
    /// The directory was fenced before.
    #[error("the log directory is fenced after an i/o failure")]
    Fenced,
}

impl Partition {
    /// Makes a new partition in `dir`, which must not exist, and returns when the directory is on stable media.
    ///
    /// # Errors
    /// [`enum@Error`]; what was made so far is left for the caller to remove.
    pub async fn create(
        host: &Host,
        dir: PathBuf,
        topic_id: Uuid,
        leader_epoch: LeaderEpoch,
        config: Config,
    ) -> Result<Partition, Error> {
        let mut log = Log::create(
            host.reactor(),
            host.fence(),
            dir,
            topic_id,
            config.log.clone(),
        )?;
        log.assign_epoch(leader_epoch)?;
        sync_all(host, &mut log).await?;
        let producers = Producers::new(config.producers_max, host.census().clone());
        let state = State::new(config, producers, leader_epoch, Offset::ZERO, Offset::ZERO);
        Ok(Partition::new(host.clone(), state, log))
    }

    /// Opens what is in `dir`. Whatever a crash left behind is on stable media, or cut, before anybody may read it.
    ///
    /// # Errors
    /// [`enum@Error`]; nothing of the log's content is changed but what recovery had cut.
    pub async fn open(
        host: &Host,
        dir: PathBuf,
        leader_epoch: LeaderEpoch,
        config: Config,
        opening: Opening,
    ) -> Result<(Partition, Recovered), Error> {
        let (mut log, recovered) = Log::open(
            host.reactor(),
            host.fence(),
            dir,
            config.log.clone(),
            opening,
        )?;
        let mut recovered = Recovered {
            log: recovered,
            snapshot: None,
            snapshots_removed: 0,
            batches_scanned: 0,
            producers: 0,
        };
        let producers = learn_producers(host, &mut log, &config, &mut recovered)?;
        recovered.producers = producers.len();
        log.assign_epoch(leader_epoch)?;
        sync_all(host, &mut log).await?;
        let (start, end) = (log.start_offset(), log.end_offset());
        let state = State::new(config, producers, leader_epoch, start, end);
        Ok((Partition::new(host.clone(), state, log), recovered))
    }
}

/// Producers from the newest snapshot that holds, and from the batches after it.
fn learn_producers(
    host: &Host,
    log: &mut Log,
    config: &Config,
    recovered: &mut Recovered,
) -> Result<Producers, Error> {
    let now = host.reactor().now();
    let mut producers = Producers::new(config.producers_max, host.census().clone());
    let mut from = log.start_offset();
    let mut offsets = log.snapshots()?;
    while let Some(offset) = offsets.pop() {
        // A snapshot behind the log's start lacks what came between; one beyond its end tells of batches that are gone.
        let defect = if offset > log.end_offset() || offset < log.start_offset() {
            "outside of the log".to_owned()
        } else {
            match snapshot::decode(&log.read_snapshot(offset)?.unwrap_or_default()) {
                Ok(remembered) => {
                    producers.restore(remembered, now);
                    recovered.snapshot = Some(offset);
                    from = offset;
                    break;
                }
                Err(defect) => defect.to_string(),
            }
        };
        tracing::warn!(%offset, defect, dir = %log.dir().display(), "producer snapshot removed");
        log.remove_snapshot(offset)?;
        recovered.snapshots_removed += 1;
    }
    let mut tail = Tail::default();
    let scanned_from = Offset::new((from.get() - TAIL_RECORDS).max(log.start_offset().get()));
    log.scan(scanned_from, |header: &Header| {
        recovered.batches_scanned += 1;
        let Some(claim) = Claim::of(header) else {
            return;
        };
        if header.last_offset() < from {
            tail.saw(&claim, header);
        } else if header.attributes().is_control() {
            tail.recall_to(&mut producers);
            producers.marked(&claim, header.max_timestamp(), now);
        } else {
            tail.recall_to(&mut producers);
            producers.placed(&claim, Kept::of(header), now);
        }
    })
    .map_err(|error| match error {
        ReadError::Fault(error) => Error::Log(error),
        ReadError::OutOfRange { .. } => {
            unreachable!("a snapshot is used only where it lies inside the log")
        }
    })?;
    tail.recall_to(&mut producers);
    Ok(producers)
}

/// How many records before the snapshot are looked at again, for what it does not hold: it keeps one batch of a producer,
/// and a client that was cut off by the stop may repeat any of its last five.
const TAIL_RECORDS: i64 = 2048;

/// The batches just before a snapshot, by producer, of the newest epoch each.
#[derive(Default)]
struct Tail(BTreeMap<i64, (i16, Vec<Kept>)>);

impl Tail {
    fn saw(&mut self, claim: &Claim, header: &Header) {
        if header.attributes().is_control() {
            return;
        }
        let (epoch, batches) = self.0.entry(claim.producer_id).or_default();
        if *epoch != claim.epoch {
            *epoch = claim.epoch;
            batches.clear();
        }
        batches.push(Kept::of(header));
    }

    /// Gives the producers what was seen, once.
    fn recall_to(&mut self, producers: &mut Producers) {
        for (producer_id, (epoch, batches)) in std::mem::take(&mut self.0) {
            producers.recall(producer_id, epoch, &batches);
        }
    }
}

async fn sync_all(host: &Host, log: &mut Log) -> Result<(), Error> {
    // A ticket covers so many segments at most.
    loop {
        let ticket = log.sync_ticket()?;
        let outcome = ticket.sync(host.reactor()).await;
        log.synced(&ticket, outcome)?;
        if log.durable_offset() == log.end_offset() {
            return Ok(());
        }
    }
}
