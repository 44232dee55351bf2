//! Gives batches their final bytes: header, checksum, compression. Knows no broker.

use std::sync::Arc;

use bytes::Bytes;
use highwater_record::batch::assign_producer;
use highwater_record::{Compression, Compressor, Producer};

use super::shared::Shared;
use super::topic::Partition;
use crate::core::producer::queue::{Body, Taken};
use crate::error::{Error, Result};
use crate::telemetry::measure;

/// The state that a codec keeps between batches.
#[derive(Debug, Default)]
pub(super) struct Sealer {
    compressor: Compressor,
}

/// A batch as it goes over the wire, or why it cannot.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) partition: Arc<Partition>,
    pub(super) batch: u64,
    pub(super) bytes: Bytes,
    pub(super) error: Option<Error>,
}

impl Sealer {
    pub(super) fn seal_all(
        &mut self,
        taken: Vec<(Arc<Partition>, Taken)>,
        shared: &Shared,
    ) -> Vec<Sealed> {
        let seal = |(partition, taken): (Arc<Partition>, Taken)| {
            let batch = taken.id;
            let (bytes, error) = match self.seal(taken, shared) {
                Ok(bytes) => {
                    measure::batch_sent(bytes.len());
                    (bytes, None)
                }
                Err((bytes, error)) => (bytes, Some(error)),
            };
            Sealed {
                partition,
                batch,
                bytes,
                error,
            }
        };
        taken.into_iter().map(seal).collect()
    }

    fn seal(&mut self, taken: Taken, shared: &Shared) -> Result<Bytes, (Bytes, Error)> {
        let producer = taken.producer();
        match taken.body {
            Body::Sealed(sealed, stamp) if stamp == taken.stamp => Ok(sealed),
            Body::Sealed(sealed, _) => restamp(sealed, producer),
            Body::Open(mut builder) => {
                let mut page = shared.pages.page();
                builder.set_producer(producer);
                let compression = shared.config.compression;
                if let Err(error) = builder.finish(&mut self.compressor, &compression, &mut page) {
                    tracing::warn!(%error, "batch is sent uncompressed");
                    page.clear();
                    let plain = Compression::NONE;
                    if let Err(error) = builder.finish(&mut self.compressor, &plain, &mut page) {
                        return Err((Bytes::new(), Error::config(error.to_string())));
                    }
                }
                shared.pages.keep_builder(builder);
                Ok(Bytes::from(page))
            }
        }
    }
}

/// Sequences changed since the batch was sealed: its header is rewritten, its records are not.
fn restamp(sealed: Bytes, producer: Producer) -> Result<Bytes, (Bytes, Error)> {
    let mut bytes = match sealed.try_into_mut() {
        Ok(bytes) => Vec::from(bytes),
        Err(shared) => shared.to_vec(),
    };
    match assign_producer(&mut bytes, producer) {
        Ok(()) => Ok(Bytes::from(bytes)),
        Err(defect) => Err((Bytes::from(bytes), Error::protocol(defect.to_string()))),
    }
}
