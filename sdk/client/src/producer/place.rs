//! Puts records in their partitions' batches, one at a time or by the run, and lets the senders
//! know. Waits for nothing.

use std::sync::Arc;
use std::time::Duration;

use highwater_record::{BatchBuilder, HEADER_BYTES};

use super::ack::Ack;
use super::batch::BatchAck;
use super::choices::{Choices, Chosen};
use super::clock::Clock;
use super::memory::Credit;
use super::shared::Shared;
use super::topic::{NoPartition, Partition, Room, Topic};
use crate::core::producer::delivery::Delivery;
use crate::core::producer::queue::{Fields, NoPlace, Supplies};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Record;

/// How many records are placed at once, of those that come in a run.
pub(super) const RUN_RECORDS_MAX: usize = 32;

/// Why a record was not placed.
#[derive(Debug)]
pub(super) enum Refusal {
    /// So many bytes are missing.
    Memory(usize),
    /// The topic does not have this partition, unless metadata is out of date.
    Partition(i32, Error),
    Error(Error),
}

impl From<NoPartition> for Refusal {
    fn from(no_partition: NoPartition) -> Self {
        match no_partition {
            NoPartition::Unknown(partition, error) if partition >= 0 => {
                Self::Partition(partition, error)
            }
            NoPartition::Unknown(_, error) | NoPartition::Refused(error) => Self::Error(error),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// What became of a partition's queue by what was appended.
#[derive(Clone, Copy, Debug, Default)]
struct Stir {
    wake: bool,
    schedule: bool,
    leave: bool,
}

impl Shared {
    /// Puts a record in its partition's batch. Where there is no memory for it the choice of its
    /// partition is `kept` for the next try.
    pub(super) fn place(
        self: &Arc<Self>,
        topic: &Arc<Topic>,
        record: &Record<'_>,
        credit: &mut Credit<'_>,
        kept: &mut Option<Chosen>,
    ) -> Result<Ack, Refusal> {
        if self.is_closing() {
            return Err(Error::closed("producer").into());
        }
        let topic = self.latest(topic);
        let fields = fields(record, || self.clock.unix_ms());
        let room = self.room(&fields);
        let chosen = Chosen::of(kept, record, topic, &self.config);
        let random = || self.client.shared.random();
        let (partition, sticky) = topic.resolve(&chosen.choice, room, random)?;
        self.check_size(room.bytes, partition)?;
        let mut supplies = Supply {
            shared: self,
            partition,
            credit,
        };
        let mut queue = partition.queue();
        let slot = match queue.append(&self.rules, fields, sticky, &mut supplies) {
            Ok(slot) => slot,
            Err(no_place) => {
                drop(queue);
                *kept = Some(chosen);
                return Err(self.refusal(no_place, room.bytes, partition));
            }
        };
        let delivery = queue.latest_delivery().map(Arc::clone);
        let stir = Stir {
            wake: slot.wake,
            schedule: !std::mem::replace(&mut queue.scheduled, true),
            leave: slot.leave,
        };
        drop(queue);
        self.clock.used(slot.index);
        self.stirred(topic, partition, stir);
        Ok(Ack {
            delivery: delivery.expect("a record that was appended is in a batch"),
            index: slot.index,
        })
    }

    /// Puts records in their partitions' batches, in order, up to the first that is refused; `acks`
    /// says how far it came. No lock is taken twice for records in a row that go to one partition,
    /// and none is held while the partitioner is asked.
    pub(super) fn place_run(
        self: &Arc<Self>,
        topic: &Arc<Topic>,
        records: &[Record<'_>],
        choices: &mut Choices,
        credit: &mut Credit<'_>,
        acks: &mut BatchAck,
    ) -> Result<(), Refusal> {
        if self.is_closing() {
            return Err(Error::closed("producer").into());
        }
        let topic = self.latest(topic);
        let unix_ms = self.clock.unix_ms();
        let choices = choices.of(acks.len(), records, topic, &self.config);
        let mut rest = records.iter().zip(choices).peekable();
        while let Some((record, choice)) = rest.peek() {
            let mut fields = fields(record, || unix_ms);
            let mut room = self.room(&fields);
            let random = || self.client.shared.random();
            let (partition, mut sticky) = topic.resolve(choice, room, random)?;
            self.check_size(room.bytes, partition)?;
            let mut supplies = Supply {
                shared: self,
                partition,
                credit,
            };
            let mut stir = Stir::default();
            let mut queue = partition.queue();
            let refused = loop {
                let slot = match queue.append(&self.rules, fields, sticky, &mut supplies) {
                    Ok(slot) => slot,
                    Err(no_place) => break Some(no_place),
                };
                if let Some(delivery) = queue.latest_delivery() {
                    acks.push(delivery, slot.index);
                }
                self.clock.used(slot.index);
                stir.wake |= slot.wake;
                stir.schedule |= !std::mem::replace(&mut queue.scheduled, true);
                stir.leave |= slot.leave;
                rest.next();
                let Some((record, choice)) = rest.peek() else {
                    break None;
                };
                fields = self::fields(record, || unix_ms);
                room = self.room(&fields);
                match topic.remains(choice, room, partition.index, &queue) {
                    Some(stays) if !slot.leave && self.fits(room.bytes) => sticky = stays,
                    Some(_) | None => break None,
                }
            };
            drop(queue);
            self.stirred(topic, partition, stir);
            if let Some(no_place) = refused {
                return Err(self.refusal(no_place, room.bytes, partition));
            }
        }
        Ok(())
    }

    fn room(&self, fields: &Fields<'_>) -> Room {
        Room {
            bytes: fields.bytes_bound(),
            batch_bytes: self.config.batch_bytes,
        }
    }

    fn fits(&self, bytes: usize) -> bool {
        bytes + HEADER_BYTES <= self.config.request_bytes_max
    }

    fn check_size(&self, bytes: usize, partition: &Partition) -> Result<()> {
        if self.fits(bytes) {
            Ok(())
        } else {
            Err(self.too_large(bytes, partition))
        }
    }

    #[cold]
    fn refusal(&self, no_place: NoPlace, bytes: usize, partition: &Partition) -> Refusal {
        // The batch that the record had no place in may be closed now, and nobody else says so.
        self.wake(partition.leader());
        match no_place {
            NoPlace::Memory(bytes) => Refusal::Memory(bytes),
            NoPlace::TooLarge => self.too_large(bytes, partition).into(),
        }
    }

    #[cold]
    fn too_large(&self, bytes: usize, partition: &Partition) -> Error {
        let (bytes, limit) = (bytes + HEADER_BYTES, self.config.request_bytes_max);
        let why = format!("record of {bytes} bytes exceeds max.request.size {limit}");
        Error::new(ErrorKind::RecordTooLarge, why).at(&partition.topic, partition.index)
    }

    fn stirred(self: &Arc<Self>, topic: &Topic, partition: &Arc<Partition>, stir: Stir) {
        if stir.wake {
            Clock::keep(self);
            if stir.schedule {
                self.post(partition.leader(), Arc::clone(partition));
            } else {
                self.wake(partition.leader());
            }
        }
        if stir.leave {
            topic.leave(partition.index);
        }
    }
}

fn fields<'r>(record: &'r Record<'r>, unix_ms: impl FnOnce() -> i64) -> Fields<'r> {
    Fields {
        timestamp_ms: record.timestamp_ms.unwrap_or_else(unix_ms),
        key: record.key,
        value: record.value,
        headers: &record.headers,
    }
}

struct Supply<'a, 'm> {
    shared: &'a Shared,
    partition: &'a Partition,
    credit: &'a mut Credit<'m>,
}

impl Supplies for Supply<'_, '_> {
    fn charge(&mut self, step: usize, least: usize) -> Option<usize> {
        self.credit.charge(step, least)
    }

    fn batch(&mut self) -> (BatchBuilder, Arc<Delivery>, Duration) {
        let delivery = Delivery::new(Arc::clone(&self.partition.topic), self.partition.index);
        (
            self.shared.pages.builder(),
            Arc::new(delivery),
            self.shared.client.shared.now(),
        )
    }
}
