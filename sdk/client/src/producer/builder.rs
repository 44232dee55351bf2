//! The settings of a producer to be, one method each.

use std::sync::Arc;
use std::time::Duration;

use highwater_record::Compression;

use super::shared::Shared;
use super::{Handle, Producer};
use crate::client::Client;
use crate::config::{Acks, Linger, ProducerConfig};
use crate::error::Result;
use crate::partitioner::Partitioner;

/// Sets up a [`Producer`].
#[derive(Clone, Debug)]
pub struct ProducerBuilder {
    client: Client,
    config: ProducerConfig,
}

impl ProducerBuilder {
    pub(crate) fn new(client: Client, config: ProducerConfig) -> Self {
        Self { client, config }
    }

    /// `acks`: what an acknowledgement means.
    pub fn acks(mut self, acks: Acks) -> Self {
        self.config.acks = acks;
        self
    }

    /// `enable.idempotence`: whether the broker recognises a batch sent again. On when
    /// acknowledgements are by all replicas.
    pub fn idempotence(mut self, on: bool) -> Self {
        self.config.idempotence = Some(on);
        self
    }

    /// `linger.ms`: each batch waits this long for company, unless it is full before.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.config.linger = Linger::Fixed(linger);
        self
    }

    /// `batch.size`: bytes before compression at which a partition's batch is closed.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.config.batch_bytes = bytes;
        self
    }

    /// `max.request.size`: the largest request, and the largest record.
    pub fn request_bytes_max(mut self, bytes: usize) -> Self {
        self.config.request_bytes_max = bytes;
        self
    }

    /// `buffer.memory`: bytes of records that may wait or be in flight.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.config.buffer_bytes = bytes;
        self
    }

    /// `delivery.timeout.ms`: from enqueueing to the answer, retries included.
    pub fn delivery_timeout(mut self, timeout: Duration) -> Self {
        self.config.delivery_timeout = timeout;
        self
    }

    /// `compression.type` with its level. Compressed off the caller's path.
    pub fn compression(mut self, compression: impl Into<Compression>) -> Self {
        self.config.compression = compression.into();
        self
    }

    /// `partitioner.class`: which partition a record goes to that does not say. A [`Rule`](crate::Rule), a
    /// [`RangePartitioner`](crate::partitioner::RangePartitioner), or one's own.
    pub fn partitioner(self, partitioner: impl Partitioner + 'static) -> Self {
        self.shared_partitioner(Arc::new(partitioner))
    }

    /// [`ProducerBuilder::partitioner`], with one that others hold too: to exchange its map, or to read its figures.
    pub fn shared_partitioner(mut self, partitioner: Arc<dyn Partitioner>) -> Self {
        self.config.partitioner = partitioner;
        self
    }

    /// Changes the settings in place, for those without a method of their own.
    pub fn configure(mut self, change: impl FnOnce(&mut ProducerConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Starts the producer. Nothing is sent before the first record. Its tasks run in the tokio
    /// runtime that this is called in.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for settings that contradict each other.
    pub async fn build(self) -> Result<Producer> {
        self.config.check()?;
        let shared = Arc::new(Shared::new(self.client, self.config));
        Ok(Producer {
            handle: Arc::new(Handle { shared }),
        })
    }
}
