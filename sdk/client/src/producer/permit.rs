//! Memory first, records later: back-pressure at a point that the caller chooses.

use std::sync::Arc;

use super::Producer;
use super::ack::Ack;
use super::line::Line;
use super::memory::Credit;
use super::place::Refusal;
use super::topic::Topic;
use crate::error::{Error, ErrorKind, Result};
use crate::record::Record;

/// Bytes of `buffer.memory` that are set aside for records to come; see [`Producer::reserve`].
///
/// What is left goes back when it is dropped.
#[derive(Debug)]
#[must_use = "dropped at once, a permit gives back what it was waited for"]
pub struct Permit<'p> {
    producer: &'p Producer,
    topic: Option<&'p Arc<Topic>>,
    credit: Credit<'p>,
}

impl Permit<'_> {
    /// Puts a record in its partition's batch, at once. As long as [`bytes`](Self::bytes) covers its
    /// [`buffer_bytes`](Record::buffer_bytes) there is memory for it; beyond that there may be.
    ///
    /// A record that cannot be taken (too large, a partition that the topic does not have, a producer
    /// that was shut down, a topic that this producer was not asked for before, no memory beyond the
    /// permit: [`Buffer`](ErrorKind::Buffer)) fails by its [`Ack`], which is settled then.
    pub fn send(&mut self, record: Record<'_>) -> Ack {
        let shared = &self.producer.handle.shared;
        let known = match self.topic {
            Some(topic) => Some(Arc::clone(topic)),
            None => shared.known_topic(record.topic),
        };
        let Some(topic) = known else {
            let why = format!("topic {:?} is not resolved yet", record.topic);
            return Ack::refused(record.topic.into(), -1, Error::config(why));
        };
        let error = match shared.place(&topic, &record, &mut self.credit, &mut None) {
            Ok(ack) => return ack,
            Err(Refusal::Error(error)) => error,
            Err(Refusal::Partition(_, error)) => {
                shared.client.shared.invalidate_metadata();
                error
            }
            Err(Refusal::Memory(bytes)) => {
                let left = self.credit.bytes();
                let why = format!("record needs {bytes} bytes, its permit has {left}");
                Error::new(ErrorKind::Buffer, why)
            }
        };
        let partition = error.topic_partition().map_or(-1, |place| place.partition);
        Ack::refused(Arc::clone(&topic.name), partition, error)
    }

    /// Bytes that are still set aside.
    pub fn bytes(&self) -> usize {
        self.credit.bytes()
    }
}

impl Producer {
    pub(super) async fn permit<'p>(
        &'p self,
        topic: Option<&'p Arc<Topic>>,
        bytes: usize,
    ) -> Result<Permit<'p>> {
        let shared = &self.handle.shared;
        let (total, most) = (shared.config.buffer_bytes, shared.memory.take_max());
        if bytes > total {
            let why = format!("{bytes} bytes exceed buffer.memory, which is {total}");
            return Err(Error::config(why));
        }
        if bytes > most {
            let why = format!("{bytes} bytes exceed what is reserved at once, which is {most}");
            return Err(Error::config(why));
        }
        if shared.is_closing() {
            return Err(Error::closed("producer"));
        }
        let mut line = Line::with(shared, Credit::promise(&shared.memory));
        line.wait(bytes).await?;
        Ok(Permit {
            producer: self,
            topic,
            credit: line.into_credit(),
        })
    }
}
