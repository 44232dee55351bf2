//! The ordering point of a partition: which batch gets which offset, how far readers may see, what is safe.
//!
//! Plain calls: it decides about headers and offsets, and knows neither files nor tasks. [`State::admit`] looks and never
//! touches; [`State::placed`] is called after the log has taken the batch, so that a failed append changes nothing.
//!
//! ```text
//!  log_start          durable_end        log_end
//!      |-------------------|----------------|------>  next batch
//!            flushed: high watermark
//!                                    written: high watermark
//! ```

use highwater_reactor::Instant;
use highwater_record::{Header, LeaderEpoch, Offset, TimestampType};

use crate::admission::{Invalid, Lost, Origin, Refusal};
use crate::config::{Config, Durability};
use crate::plan::{Fetch, FetchRefusal, Isolation};
use crate::producers::{Claim, Judgement, Kept, Producers, Strictness};

/// Whether a partition still takes batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It does.
    Open,
    /// About to be closed: no batch is taken, what was promised is still kept.
    Closing,
    /// A write or a sync failed: reads go on, nothing is acknowledged any more.
    Fenced,
    /// Closed or deleted.
    Closed,
}

/// One partition's truth, but for its bytes.
///
/// Invariants: `log_start <= high_watermark <= log_end`, `durable_end <= log_end`.
#[derive(Debug)]
pub(crate) struct State {
    config: Config,
    pub(crate) producers: Producers,
    standing: Standing,
    leader_epoch: LeaderEpoch,
    log_start: Offset,
    log_end: Offset,
    durable_end: Offset,
    high_watermark: Offset,
    /// `flush.messages`: acknowledgements wait until this much is durable.
    forced_end: Offset,
    /// Records since a sync was last asked for.
    unforced_records: i64,
}

/// What the log must do for a batch that may come in, and what to remember when it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placement {
    /// Its first offset.
    pub(crate) base: Offset,
    /// The offset after its last record.
    pub(crate) end: Offset,
    /// The producer's claim, if it has one.
    pub(crate) claim: Option<Claim>,
    /// Whether it is a control batch.
    pub(crate) control: bool,
    /// Its maximum timestamp as it will stand in the log.
    pub(crate) timestamp_ms: i64,
    /// The time to stamp it with, where the topic says so.
    pub(crate) log_append_time_ms: Option<i64>,
    /// Whether its records have to be opened first: see [`crate::repack`].
    pub(crate) opened: bool,
}

/// What an admissible batch turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Append it there.
    Place(Placement),
    /// It is there already.
    Repeated(Kept),
}

/// Whether a promise has been kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// Everything below the offset is as safe as the topic promises.
    Kept,
    /// Not yet.
    Open,
    /// It never will be known.
    Lost(Lost),
}

impl State {
    /// The state of a log that lies between these offsets, all of it durable.
    pub(crate) fn new(
        config: Config,
        producers: Producers,
        leader_epoch: LeaderEpoch,
        log_start: Offset,
        log_end: Offset,
    ) -> State {
        assert!(log_start <= log_end, "a log starts before it ends");
        State {
            config,
            producers,
            standing: Standing::Open,
            leader_epoch,
            log_start,
            log_end,
            durable_end: log_end,
            high_watermark: log_end,
            forced_end: log_end,
            unforced_records: 0,
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn standing(&self) -> Standing {
        self.standing
    }

    pub(crate) fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    pub(crate) fn log_start(&self) -> Offset {
        self.log_start
    }

    pub(crate) fn log_end(&self) -> Offset {
        self.log_end
    }

    pub(crate) fn durable_end(&self) -> Offset {
        self.durable_end
    }

    pub(crate) fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// The offset below which no transaction is open. There are none yet.
    pub(crate) fn last_stable(&self) -> Offset {
        self.high_watermark
    }

    /// How far a reader may see.
    pub(crate) fn readable_end(&self, isolation: Isolation) -> Offset {
        match isolation {
            Isolation::ReadUncommitted => self.high_watermark,
            Isolation::ReadCommitted => self.last_stable(),
        }
    }

    /// Decides about a batch whose bytes, checksum and length hold already. Looks, never touches.
    pub(crate) fn admit(
        &self,
        now_ms: i64,
        header: &Header,
        origin: Origin,
    ) -> Result<Verdict, Refusal> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        self.check_size(header.batch_bytes())?;
        let control = header.attributes().is_control();
        if origin == Origin::Client {
            check_client(header)?;
        }
        if !header.is_contiguous() {
            return Err(Refusal::Invalid(Invalid::Count {
                records: header.record_count(),
                last_offset_delta: header.last_offset_delta(),
            }));
        }
        let end = i64::from(header.record_count());
        let end = self
            .log_end
            .checked_add(end)
            .ok_or(Invalid::OffsetsExhausted)?;

        let claim = Claim::of(header);
        if let Some(claim) = &claim {
            let strictness = match origin {
                Origin::Client => Strictness::Sequence,
                Origin::Coordinator => Strictness::Epoch,
            };
            // Before the timestamps: a repetition was admitted once, and is not refused for having taken long.
            if let Judgement::Repeated(kept) = self.producers.judge(claim, strictness)? {
                return Ok(Verdict::Repeated(kept));
            }
        }

        let log_append_time_ms =
            (self.config.timestamp_type == TimestampType::LogAppend).then_some(now_ms);
        if log_append_time_ms.is_none() {
            // A limit to the past is held against every record: see `Config::needs_records`.
            let last = u32::try_from(header.last_offset_delta()).unwrap_or(0);
            self.check_timestamp(now_ms, last, header.max_timestamp())?;
        }
        let recompress = match (&self.config.compression, header.attributes().codec()) {
            (Some(wanted), Ok(codec)) => wanted.codec() != codec,
            (None, _) | (_, Err(_)) => false,
        };
        Ok(Verdict::Place(Placement {
            base: self.log_end,
            end,
            claim,
            control,
            timestamp_ms: log_append_time_ms.unwrap_or(header.max_timestamp()),
            log_append_time_ms,
            opened: !control && (recompress || self.config.needs_records()),
        }))
    }

    /// Why no batch at all is taken, if that is so.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self.standing {
            Standing::Open => None,
            Standing::Fenced => Some(Refusal::Fenced),
            Standing::Closing | Standing::Closed => Some(Refusal::Closed),
        }
    }

    /// Whether what is in the log may still be synced.
    pub(crate) fn is_writable(&self) -> bool {
        matches!(self.standing, Standing::Open | Standing::Closing)
    }

    /// Whether the log's clock decides, not the producer's.
    pub(crate) fn stamps_time(&self) -> bool {
        self.config.timestamp_type == TimestampType::LogAppend
    }

    /// Whether a batch of that size may stand in the log.
    pub(crate) fn check_size(&self, bytes: usize) -> Result<(), Refusal> {
        if bytes as u64 > u64::from(self.config.max_message_bytes) {
            return Err(self.too_large(bytes));
        }
        let bytes = bytes as u64;
        let segment_bytes = self.config.log.segment_bytes;
        if bytes > u64::from(segment_bytes) {
            return Err(Refusal::ExceedsSegment {
                bytes,
                segment_bytes,
            });
        }
        Ok(())
    }

    /// The refusal of a batch of that size.
    pub(crate) fn too_large(&self, bytes: usize) -> Refusal {
        Refusal::TooLarge {
            bytes: bytes as u64,
            bytes_max: self.config.max_message_bytes,
        }
    }

    /// Whether a record may bear this timestamp. -1 is a record without one.
    pub(crate) fn check_timestamp(
        &self,
        now_ms: i64,
        record: u32,
        timestamp_ms: i64,
    ) -> Result<(), Refusal> {
        let earliest_ms = now_ms.saturating_sub(self.config.timestamp_before_max_ms);
        let latest_ms = now_ms.saturating_add(self.config.timestamp_after_max_ms);
        if timestamp_ms == -1 || (earliest_ms..=latest_ms).contains(&timestamp_ms) {
            return Ok(());
        }
        Err(Refusal::InvalidTimestamp {
            record,
            timestamp_ms,
            earliest_ms,
            latest_ms,
        })
    }

    /// The log has taken the batch.
    pub(crate) fn placed(&mut self, placement: &Placement, now: Instant) {
        assert_eq!(placement.base, self.log_end, "batches lie back to back");
        let records = placement.end.get() - placement.base.get();
        if let Some(claim) = &placement.claim {
            if placement.control {
                self.producers.marked(claim, placement.timestamp_ms, now);
            } else {
                let kept = Kept {
                    last_sequence: claim.last_sequence,
                    last_offset: Offset::new(placement.end.get() - 1),
                    offset_delta: i32::try_from(records - 1)
                        .expect("a batch counts its records in 31 bits"),
                    timestamp_ms: placement.timestamp_ms,
                };
                self.producers.placed(claim, kept, now);
            }
        }
        self.log_end = placement.end;
        self.unforced_records = self.unforced_records.saturating_add(records);
        if self.unforced_records >= self.config.flush_messages {
            self.forced_end = self.log_end;
            self.unforced_records = 0;
        }
        self.raise_high_watermark();
    }

    /// Everything below `end` is on stable media.
    pub(crate) fn synced(&mut self, end: Offset) {
        assert!(end <= self.log_end, "what is durable was written");
        if self.standing == Standing::Fenced {
            return;
        }
        self.durable_end = self.durable_end.max(end);
        if self.durable_end == self.log_end {
            self.unforced_records = 0;
        }
        self.raise_high_watermark();
    }

    /// Whether somebody waits for a sync, or the level itself asks for one.
    pub(crate) fn wants_sync(&self) -> bool {
        if !self.is_writable() {
            return false;
        }
        match self.config.durability {
            Durability::Flushed => self.durable_end < self.log_end,
            Durability::Written => self.durable_end < self.forced_end,
        }
    }

    /// A sync is wanted for all that is there now, whatever the level.
    pub(crate) fn force(&mut self) {
        self.forced_end = self.log_end;
        self.unforced_records = 0;
    }

    /// How far acknowledgements may go: behind the high watermark only while a forced sync is under way.
    pub(crate) fn acknowledged_end(&self) -> Offset {
        if self.forced_end > self.durable_end {
            self.durable_end.min(self.high_watermark)
        } else {
            self.high_watermark
        }
    }

    /// Whether everything below `end` is as safe as the topic promises.
    pub(crate) fn promise(&self, end: Offset) -> Promise {
        if end <= self.acknowledged_end() {
            return Promise::Kept;
        }
        match self.standing {
            Standing::Open | Standing::Closing => Promise::Open,
            Standing::Fenced => Promise::Lost(Lost::Fenced),
            Standing::Closed => Promise::Lost(Lost::Closed),
        }
    }

    /// A write or sync has failed: nothing is acknowledged any more, readers keep what they could see.
    pub(crate) fn fence(&mut self) {
        if self.is_writable() {
            self.standing = Standing::Fenced;
        }
    }

    /// No batch is taken any more; a sync of everything is wanted. `false` if it is fenced or closed already.
    pub(crate) fn start_closing(&mut self) -> bool {
        if !self.is_writable() {
            return false;
        }
        self.standing = Standing::Closing;
        self.force();
        true
    }

    /// The partition is closed.
    pub(crate) fn close(&mut self) {
        self.standing = Standing::Closed;
    }

    /// The log starts later now, by retention or by DeleteRecords.
    pub(crate) fn advance_start(&mut self, log_start: Offset) {
        self.log_start = self.log_start.max(log_start);
        assert!(
            self.log_start <= self.log_end,
            "a log starts before it ends"
        );
    }

    /// Takes other settings. A level that promises more takes effect with what is placed from now on: the high watermark
    /// never goes back.
    pub(crate) fn reconfigure(&mut self, config: Config) {
        self.config = config;
        self.raise_high_watermark();
    }

    /// Moves to a newer epoch. An older one changes nothing.
    pub(crate) fn raise_epoch(&mut self, epoch: LeaderEpoch) {
        self.leader_epoch = self.leader_epoch.max(epoch);
    }

    /// Holds a fetch's epoch and offset against the log. `Ok` is how far the read may go.
    pub(crate) fn admit_fetch(&self, fetch: &Fetch) -> Result<Offset, FetchRefusal> {
        self.check_open()?;
        self.check_epoch(fetch.current_leader_epoch)?;
        if fetch.from < self.log_start || fetch.from > self.log_end {
            return Err(self.out_of_range(fetch.from));
        }
        Ok(self.readable_end(fetch.isolation))
    }

    /// Whether it can be read at all.
    pub(crate) fn check_open(&self) -> Result<(), FetchRefusal> {
        match self.standing {
            Standing::Open | Standing::Closing | Standing::Fenced => Ok(()),
            Standing::Closed => Err(FetchRefusal::Closed),
        }
    }

    /// The refusal of a read from there.
    pub(crate) fn out_of_range(&self, from: Offset) -> FetchRefusal {
        FetchRefusal::OutOfRange {
            from,
            log_start: self.log_start,
            log_end: self.log_end,
        }
    }

    /// Holds the epoch a reader believes in against ours (KIP-320).
    pub(crate) fn check_epoch(&self, believed: Option<LeaderEpoch>) -> Result<(), FetchRefusal> {
        let current = self.leader_epoch.get();
        match believed.map(LeaderEpoch::get) {
            Some(found) if found < current => {
                Err(FetchRefusal::FencedLeaderEpoch { found, current })
            }
            Some(found) if found > current => {
                Err(FetchRefusal::UnknownLeaderEpoch { found, current })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn raise_high_watermark(&mut self) {
        let level = match self.config.durability {
            Durability::Flushed => self.durable_end,
            Durability::Written => self.log_end,
        };
        self.high_watermark = self.high_watermark.max(level);
    }
}

/// What a client may not send, whatever the topic.
fn check_client(header: &Header) -> Result<(), Refusal> {
    if header.base_offset() != Offset::ZERO {
        return Err(Invalid::BaseOffset {
            found: header.base_offset().get(),
        }
        .into());
    }
    if header.attributes().is_control() {
        return Err(Invalid::Control.into());
    }
    if header.attributes().is_transactional() {
        return Err(Refusal::Transactional);
    }
    if header.has_producer_id() && (header.base_sequence() < 0 || header.producer_epoch() < 0) {
        return Err(Refusal::Invalid(Invalid::Producer {
            producer_id: header.producer_id(),
            epoch: header.producer_epoch(),
            sequence: header.base_sequence(),
        }));
    }
    if header.attributes().timestamp_type() == TimestampType::LogAppend {
        return Err(Refusal::TimestampType);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
