//! What requests may take of a shard's memory, and who waits for it. The figures are in `docs/LIMITS.md`.
//!
//! Knows sizes; not what they are sizes of.

use std::cell::Cell;
use std::rc::Rc;

use highwater_reactor::local::{Acquire, Semaphore};

use crate::buffers::Buffers;

/// Bodies of requests under way on one shard, in bytes, beyond which a connection has one request at a time.
const BEGUN_BYTES_MAX: usize = 256 << 20;

/// What the larger frames under way may take together: two of Kafka's largest.
const LARGE_FRAMES_BYTES_MAX: usize = 256 << 20;

/// What the bodies of requests that are worked on in turn may have together.
const WIDE_REQUESTS_BYTES_MAX: usize = 16 << 20;

/// See the module.
#[derive(Debug)]
pub(crate) struct Memory {
    buffers: Buffers,
    begun_bytes: Rc<Cell<usize>>,
    large_frames: Semaphore,
    wide_requests: Semaphore,
}

impl Memory {
    /// Nothing is taken yet.
    pub(crate) fn new() -> Memory {
        Memory {
            buffers: Buffers::default(),
            begun_bytes: Rc::default(),
            large_frames: Semaphore::new(LARGE_FRAMES_BYTES_MAX),
            wide_requests: Semaphore::new(WIDE_REQUESTS_BYTES_MAX),
        }
    }

    /// What connections receive into.
    pub(crate) fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// A connection's account of requests under way.
    pub(crate) fn begin(&self) -> Begun {
        Begun {
            all: Rc::clone(&self.begun_bytes),
            bytes: 0,
        }
    }

    /// Whether requests under way take so much that each connection may have but one.
    pub(crate) fn is_short(&self) -> bool {
        self.begun_bytes.get() >= BEGUN_BYTES_MAX
    }

    /// Waits for a share for a large frame of `bytes`.
    pub(crate) fn large_frame(&self, bytes: usize) -> Acquire {
        self.large_frames.acquire(bytes.min(LARGE_FRAMES_BYTES_MAX))
    }

    /// Waits for the turn of a request with many rows in its body of `bytes`.
    pub(crate) fn wide_request(&self, bytes: usize) -> Acquire {
        self.wide_requests
            .acquire(bytes.min(WIDE_REQUESTS_BYTES_MAX))
    }
}

/// What one connection's requests under way take.
#[derive(Debug)]
pub(crate) struct Begun {
    all: Rc<Cell<usize>>,
    bytes: usize,
}

impl Begun {
    /// It is so many bytes now.
    pub(crate) fn set(&mut self, bytes: usize) {
        self.all.set(self.all.get() - self.bytes + bytes);
        self.bytes = bytes;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.set(0);
    }
}
