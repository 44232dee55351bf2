//! Reads the batches of one `.log` file from front to back, whatever it holds. Knows nothing of indexes or of other segments.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use highwater_record::{Batch, Defect, HEADER_BYTES, Header};

/// A batch longer than this is taken for a broken length field: Kafka's own limit on a request.
const BATCH_BYTES_MAX: usize = 100 << 20;

/// A `.log` file being read.
#[derive(Debug)]
pub(crate) struct Segment {
    file: BufReader<File>,
    length: u64,
    position: u64,
    batch: Vec<u8>,
}

/// Why reading cannot go on behind a place in the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The bytes there are no whole, valid batch.
    #[error("{0}")]
    Defect(#[from] Defect),
    /// Only zeros follow: room that was allocated ahead.
    #[error("{0} zero bytes follow, allocated ahead and never written")]
    Zeros(u64),
    /// The device would not give the bytes.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Segment {
    /// Opens a file. Errors when it cannot be read.
    pub(crate) fn open(path: &Path) -> io::Result<Segment> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Segment {
            file: BufReader::with_capacity(1 << 20, file),
            length,
            position: 0,
            batch: Vec::new(),
        })
    }

    /// Where the next batch begins.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The size of the file.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The next batch, checked; `None` at the end of the file. Behind a fault nothing more can be read.
    pub(crate) fn next(&mut self) -> Result<Option<Batch<'_>>, Fault> {
        let left = usize::try_from(self.length - self.position).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(None);
        }
        self.batch.resize(left.min(HEADER_BYTES), 0);
        self.file.read_exact(&mut self.batch)?;
        let Some(header) = Header::peek(&self.batch) else {
            return Err(self.tail(Defect::TooShort {
                found: left,
                wanted: HEADER_BYTES,
            }));
        };
        let bytes = header.batch_bytes();
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            return Err(self.tail(Defect::Length { found: 0 }));
        }
        if bytes > left.min(BATCH_BYTES_MAX) || bytes < HEADER_BYTES {
            header.check()?;
            return Err(Defect::TooShort {
                found: left,
                wanted: bytes,
            }
            .into());
        }
        self.batch.resize(bytes, 0);
        if let Some(body) = self.batch.get_mut(HEADER_BYTES..) {
            self.file.read_exact(body)?;
        }
        let batch = Batch::check(&self.batch)?;
        self.position += bytes as u64;
        Ok(Some(batch))
    }

    /// A tail of zeros is no damage; anything else is `otherwise`.
    fn tail(&mut self, otherwise: Defect) -> Fault {
        let mut all_zero = self.batch.iter().all(|byte| *byte == 0);
        let mut block = [0; 4096];
        while all_zero {
            match self.file.read(&mut block) {
                Ok(0) => return Fault::Zeros(self.length - self.position),
                Ok(bytes) => all_zero = block.iter().take(bytes).all(|byte| *byte == 0),
                Err(error) => return error.into(),
            }
        }
        otherwise.into()
    }
}
