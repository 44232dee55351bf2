//! Memory of batches that are done, for batches to come: what the operating system gave once need
//! not be zeroed and mapped again.

use bytes::Bytes;
use crossbeam::queue::ArrayQueue;
use highwater_record::BatchBuilder;

/// Builders and sealed pages to be used again; bounded, what does not fit is freed.
#[derive(Debug)]
pub(crate) struct Pages {
    builders: ArrayQueue<BatchBuilder>,
    pages: ArrayQueue<Vec<u8>>,
}

impl Pages {
    /// Keeps at most a quarter of `buffer_bytes`, in pages of `batch_bytes`.
    pub(crate) fn new(buffer_bytes: usize, batch_bytes: usize) -> Self {
        let kept = (buffer_bytes / batch_bytes.max(1) / 8).clamp(2, 256);
        Self {
            builders: ArrayQueue::new(kept),
            pages: ArrayQueue::new(kept),
        }
    }

    pub(crate) fn builder(&self) -> BatchBuilder {
        self.builders.pop().unwrap_or_default()
    }

    /// An empty page for a batch to be sealed into.
    pub(crate) fn page(&self) -> Vec<u8> {
        self.pages.pop().unwrap_or_default()
    }

    /// Takes back an empty builder.
    pub(crate) fn keep_builder(&self, builder: BatchBuilder) {
        let _ = self.builders.push(builder);
    }

    /// Takes back a sealed batch, if nobody else holds it any more.
    pub(crate) fn keep_page(&self, page: Bytes) {
        if let Ok(page) = page.try_into_mut() {
            let mut page = Vec::from(page);
            page.clear();
            let _ = self.pages.push(page);
        }
    }
}
