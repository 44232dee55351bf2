//! Going through a segment's `.log` from batch to batch: by headers alone, or with every byte checked.
//!
//! It knows where batches begin and end and in which order offsets must come, and nothing of indexes.

use std::io;

use highwater_reactor::File;
use highwater_record::crc::Crc32c;
use highwater_record::{Defect, HEADER_BYTES, Header, Offset};

use crate::error::Error;

/// A batch header and where it lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed {
    /// The byte of the `.log` at which the batch begins.
    pub(crate) position: u64,
    /// Its header, which has been checked as far as a header can be.
    pub(crate) header: Header,
}

impl Placed {
    /// The byte after the batch.
    pub(crate) fn end(&self) -> u64 {
        self.position + self.header.batch_bytes() as u64
    }
}

/// Bytes read at a time when only headers are wanted.
const HEADERS_CHUNK_BYTES: usize = 4 * 1024;
/// Bytes read at a time when every byte is wanted.
const CHECKED_CHUNK_BYTES: usize = 256 * 1024;

/// What is wrong with the bytes at a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Break {
    /// The byte at which a batch should begin.
    pub(crate) position: u64,
    /// The smallest offset it may have.
    pub(crate) expected: Offset,
    /// What is wrong.
    pub(crate) fact: String,
}

impl Break {
    /// As an error about a file.
    pub(crate) fn into_error(self, file: &File) -> Error {
        let Break {
            position,
            expected,
            fact,
        } = self;
        Error::Corrupt {
            path: file.path().to_owned(),
            position,
            expected,
            fact,
        }
    }
}

/// Why a walk did not go on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The bytes are not what a log holds.
    Broken(Break),
    /// They could not be read.
    Unreadable(io::Error),
}

impl Stop {
    /// As an error about a file.
    pub(crate) fn into_error(self, file: &File) -> Error {
        match self {
            Stop::Broken(broken) => broken.into_error(file),
            Stop::Unreadable(source) => Error::read(file.path(), source),
        }
    }
}

/// The header at a position, if it is one.
pub(crate) fn header_at(file: &File, position: u64) -> Result<Option<Header>, Error> {
    let mut bytes = [0; HEADER_BYTES];
    match file.read_exact_at(position, &mut bytes) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(Error::read(file.path(), error)),
    }
    Ok(Header::peek(&bytes)
        .copied()
        .filter(|header| header.check().is_ok()))
}

/// A walk over the batches of a file.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    file: &'a File,
    position: u64,
    /// Where the batches end.
    end: u64,
    /// The smallest offset the next batch may have.
    expected: Offset,
    window: Window,
}

impl<'a> Walk<'a> {
    /// Walks the batches between two positions, of which the first must begin a batch. No batch may begin below `expected`.
    pub(crate) fn new(file: &'a File, position: u64, end: u64, expected: Offset) -> Walk<'a> {
        Walk {
            file,
            position,
            end,
            expected,
            window: Window::new(HEADERS_CHUNK_BYTES),
        }
    }

    /// The same, to be used with [`Walk::peek_checked`].
    pub(crate) fn checked(file: &'a File, position: u64, end: u64, expected: Offset) -> Walk<'a> {
        Walk {
            file,
            position,
            end,
            expected,
            window: Window::new(CHECKED_CHUNK_BYTES),
        }
    }

    /// Where the next batch begins.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The smallest offset the next batch may have.
    pub(crate) fn expected(&self) -> Offset {
        self.expected
    }

    /// The next header; `None` at the end. The walk steps over its batch.
    pub(crate) fn next(&mut self) -> Result<Option<Placed>, Stop> {
        let Some(placed) = self.peek()? else {
            return Ok(None);
        };
        self.step(&placed);
        Ok(Some(placed))
    }

    /// The next header, not stepped over.
    pub(crate) fn peek(&mut self) -> Result<Option<Placed>, Stop> {
        let position = self.position;
        if position >= self.end {
            return Ok(None);
        }
        let left = self.end - position;
        if left < HEADER_BYTES as u64 {
            return Err(self.broken(format!("{left} bytes are left, a batch has at least 61")));
        }
        let bytes = self
            .window
            .at(self.file, position, HEADER_BYTES, self.end)?;
        let Some(header) = Header::peek(bytes).copied() else {
            let found = bytes.len();
            return Err(self.broken(format!("the file ends {found} bytes after it")));
        };
        if let Err(defect) = header.check() {
            return Err(self.broken(defect.to_string()));
        }
        if header.base_offset() < self.expected {
            return Err(self.broken(format!(
                "the batch there has offset {}",
                header.base_offset()
            )));
        }
        if header.batch_bytes() as u64 > left {
            return Err(self.broken(
                Defect::TooShort {
                    found: usize::try_from(left).unwrap_or(usize::MAX),
                    wanted: header.batch_bytes(),
                }
                .to_string(),
            ));
        }
        Ok(Some(Placed { position, header }))
    }

    /// Steps over a batch that was peeked at.
    pub(crate) fn step(&mut self, placed: &Placed) {
        self.position = placed.end();
        self.expected = placed.header.next_offset();
    }

    /// The next batch, every byte of it read; not stepped over. The second value is false when its CRC does not hold.
    ///
    /// Memory is bounded by the window, not by what a length field claims.
    pub(crate) fn peek_checked(&mut self) -> Result<Option<(Placed, bool)>, Stop> {
        const CRC_START: u64 = 21;
        let Some(placed) = self.peek()? else {
            return Ok(None);
        };
        let end = placed.end();
        let mut crc = Crc32c::new();
        let mut position = placed.position + CRC_START;
        while position < end {
            let bytes = self.window.at(self.file, position, 1, end)?;
            if bytes.is_empty() {
                return Err(
                    self.broken(format!("the file ends {} bytes too early", end - position))
                );
            }
            crc.update(bytes);
            position += bytes.len() as u64;
        }
        let holds = crc.value() == placed.header.crc();
        Ok(Some((placed, holds)))
    }

    /// Steps over a batch that is not to be believed: the next may have any offset from its base on.
    pub(crate) fn step_over_damage(&mut self, placed: &Placed) {
        self.position = placed.end();
        self.expected = placed.header.base_offset();
    }

    fn broken(&self, fact: String) -> Stop {
        Stop::Broken(Break {
            position: self.position,
            expected: self.expected,
            fact,
        })
    }
}

/// The part of the file that was read last.
#[derive(Debug)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
    filled: usize,
}

impl Window {
    fn new(chunk: usize) -> Window {
        Window {
            start: 0,
            bytes: vec![0; chunk],
            filled: 0,
        }
    }

    /// Bytes from `position` on: at least `wanted` unless the file is shorter, none beyond `end`.
    fn at(&mut self, file: &File, position: u64, wanted: usize, end: u64) -> Result<&[u8], Stop> {
        let held = position
            .checked_sub(self.start)
            .and_then(|skip| usize::try_from(skip).ok());
        let skip = match held {
            Some(skip) if skip + wanted <= self.filled => skip,
            _ => {
                self.fill(file, position, end).map_err(Stop::Unreadable)?;
                0
            }
        };
        let left = usize::try_from(end - position).unwrap_or(usize::MAX);
        let available = self.filled.saturating_sub(skip).min(left);
        Ok(&self.bytes[skip..skip + available])
    }

    fn fill(&mut self, file: &File, position: u64, end: u64) -> io::Result<()> {
        self.start = position;
        self.filled = 0;
        let left = usize::try_from(end - position).unwrap_or(usize::MAX);
        let into = self.bytes.len().min(left);
        while self.filled < into {
            let at = position + self.filled as u64;
            match file.read_at(at, &mut self.bytes[self.filled..into])? {
                0 => break,
                read => self.filled += read,
            }
        }
        Ok(())
    }
}
