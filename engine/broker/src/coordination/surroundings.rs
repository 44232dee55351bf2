//! A coordinator's world: the reactor's clock, the image's topics, the partition's log, and the places of answers.
//!
//! Made for one call and gone after it. It decides nothing; what it is told it does at once.

use std::collections::BTreeMap;

use highwater_coordinator::{GroupConfig, Record, Response, Ticket, Topics, World};
use highwater_log::uuid_text;
use highwater_partition::{Origin, Partition};
use highwater_reactor::Reactor;
use highwater_record::{Batch, BatchBuilder, Compression, Compressor};
use highwater_wire::{EncodeError, ErrorCode};
use uuid::Uuid;

use super::desk::Parked;
use super::inquiry::{Inquiry, Reply};
use super::topics::ImageTopics;
use crate::answer;

/// Memory that is kept from one batch to the next, in bytes.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// What a shard's coordinators make their batches with.
#[derive(Debug, Default)]
pub(super) struct Press {
    builder: BatchBuilder,
    compressor: Compressor,
    bytes: Vec<u8>,
}

impl Press {
    /// The records as one batch.
    fn batch(
        &mut self,
        now_ms: i64,
        compression: &Compression,
        records: &[Record<'_>],
    ) -> Result<Batch<'_>, Unwritable> {
        if self.bytes.capacity() > KEPT_BYTES_MAX {
            *self = Press::default();
        }
        self.builder.reset();
        self.bytes.clear();
        for record in records {
            let key = record.key.encode()?;
            let value = match &record.value {
                Some(value) => Some(value.encode(value.written_version())?),
                None => None,
            };
            self.builder
                .append(now_ms, Some(&key), value.as_deref(), &[])?;
        }
        self.builder
            .finish(&mut self.compressor, compression, &mut self.bytes)?;
        Ok(Batch::check(&self.bytes)?)
    }
}

/// Why records do not become a batch.
#[derive(Debug, thiserror::Error)]
enum Unwritable {
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    TooLarge(#[from] highwater_record::TooLarge),
    #[error(transparent)]
    Compression(#[from] highwater_record::compression::Error),
    #[error(transparent)]
    Defect(#[from] highwater_record::Defect),
}

/// See the module.
pub(super) struct Surroundings<'a> {
    pub(super) reactor: &'a Reactor,
    pub(super) partition: &'a Partition,
    pub(super) topics: ImageTopics,
    pub(super) press: &'a mut Press,
    pub(super) compression: Compression,
    /// The request under way, if it is one.
    pub(super) asked: Option<(Ticket, &'a Inquiry)>,
    /// Those that wait.
    pub(super) parked: &'a BTreeMap<Ticket, Parked>,
    /// What was answered in this call, in order.
    pub(super) made: &'a mut Vec<(Ticket, Reply)>,
}

impl Surroundings<'_> {
    /// Answers a request.
    pub(super) fn reply<R: highwater_wire::Response>(&mut self, ticket: Ticket, response: &R) {
        let inquiry = match self.asked {
            Some((asked, inquiry)) if asked == ticket => Some(inquiry),
            Some(_) | None => self.parked.get(&ticket).map(|parked| &parked.inquiry),
        };
        match inquiry {
            Some(inquiry) => self.made.push((ticket, inquiry.encode(response))),
            None => tracing::error!(?ticket, "a request was answered twice"),
        }
    }
}

impl World for Surroundings<'_> {
    fn now_ms(&self) -> i64 {
        now_ms(self.reactor)
    }

    fn unix_ms(&self) -> i64 {
        self.reactor.unix_ms()
    }

    fn uuid(&mut self) -> Uuid {
        uuid_text::random(|bytes| self.reactor.fill_random(bytes))
    }

    fn topics(&self) -> &dyn Topics {
        &self.topics
    }

    fn group_config(&self, group: &str) -> GroupConfig {
        self.topics.0.group_config(group)
    }

    fn append(&mut self, records: &[Record<'_>]) -> Result<(), ErrorCode> {
        if records.is_empty() {
            return Ok(());
        }
        let now_ms = self.reactor.unix_ms();
        let batch = match self.press.batch(now_ms, &self.compression, records) {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(%error, dir = %self.partition.dir().display(), "group records not written");
                return Err(ErrorCode::UnknownServerError);
            }
        };
        match self.partition.produce(batch, Origin::Coordinator) {
            Ok(_) => Ok(()),
            Err(refusal) => {
                // What is wrong with the disk, the partition has said already.
                tracing::debug!(%refusal, dir = %self.partition.dir().display(), "group records not written");
                Err(answer::coordinator_refusal(&refusal))
            }
        }
    }

    fn answer(&mut self, ticket: Ticket, response: Response<'_>) {
        match response {
            Response::JoinGroup(response) => self.reply(ticket, &response),
            Response::SyncGroup(response) => self.reply(ticket, &response),
            Response::Heartbeat(response) => self.reply(ticket, &response),
            Response::LeaveGroup(response) => self.reply(ticket, &response),
            Response::OffsetCommit(response) => self.reply(ticket, &response),
            Response::OffsetDelete(response) => self.reply(ticket, &response),
            Response::DeleteGroups(response) => self.reply(ticket, &response),
            Response::ConsumerGroupHeartbeat(response) => self.reply(ticket, &response),
        }
    }
}

/// The coordinators' clock: milliseconds since the start of the shard's world.
pub(super) fn now_ms(reactor: &Reactor) -> i64 {
    i64::try_from(reactor.now().since_start().as_millis()).unwrap_or(i64::MAX)
}
