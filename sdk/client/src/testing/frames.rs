//! Whole frames off a socket, so that no wait for the next one loses a byte when it is given up.

use std::io;

use bytes::{Bytes, BytesMut};
use highwater_wire::frame::{Frames, Next};
use tokio::io::{AsyncRead, AsyncReadExt};

/// A longer frame ends the connection.
const FRAME_BYTES_MAX: usize = 256 << 20;
/// Room made for at once: memory follows the bytes, not their promise.
const READ_BYTES: usize = 64 << 10;

/// The frames of one direction of a connection.
#[derive(Debug)]
pub(super) struct FrameReader<S> {
    stream: S,
    buffer: BytesMut,
}

impl<S: AsyncRead + Unpin> FrameReader<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
        }
    }

    /// The next frame without its length; `None` at the end of the stream.
    ///
    /// Cancel-safe: what was read stays here.
    ///
    /// # Errors
    ///
    /// Those of the socket, and `InvalidData` for a length no frame may have.
    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let next = Frames::new(FRAME_BYTES_MAX).next(&mut self.buffer);
            match next.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
                Next::Frame(frame) => return Ok(Some(frame)),
                Next::Wanted(_) => {
                    self.buffer.reserve(READ_BYTES);
                    if self.stream.read_buf(&mut self.buffer).await? == 0 {
                        return Ok(None);
                    }
                }
            }
        }
    }
}

/// The frame again with its length before it.
pub(super) fn framed(frame: &[u8]) -> Vec<u8> {
    let length = i32::try_from(frame.len()).unwrap_or(i32::MAX);
    let mut bytes = Vec::with_capacity(4 + frame.len());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(frame);
    bytes
}
