//! The length prefix: bytes in as they arrive, whole frames out. It owns no buffer and does no IO.
//!
//! ```text
//!  buffer   | length i32 | frame .. | length i32 | fra      ->  Some(frame), then Wanted(missing bytes)
//! ```

use bytes::{Buf, Bytes, BytesMut};

const LENGTH_BYTES: usize = 4;

/// Cuts a stream of bytes into frames.
#[derive(Debug, Clone, Copy)]
pub struct Frames {
    bytes_max: usize,
}

/// What the buffer held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// A whole frame, without its length. It was split off the buffer, not copied.
    Frame(Bytes),
    /// No whole frame: at least so many more bytes are needed to go on. Until the length is there it is only known
    /// for the length; the caller decides how much of it to make room for at once.
    Wanted(usize),
}

/// Why the stream cannot go on. There is no way to find the next frame: the connection must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is below zero.
    #[error("frame length {length} is negative")]
    Negative {
        /// The length as read.
        length: i32,
    },
    /// The length is beyond the limit.
    #[error("frame length {length} exceeds limit {limit}")]
    TooLarge {
        /// The length as read, in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

impl Frames {
    /// Frames of at most so many bytes, their length prefix not counted.
    #[must_use]
    pub const fn new(bytes_max: usize) -> Self {
        Self { bytes_max }
    }

    /// Changes the limit, from the next frame on: it is lower before a connection is authenticated.
    pub const fn limit(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// Takes the next whole frame from the front of the buffer.
    ///
    /// # Errors
    /// As soon as four bytes are there that say a length no frame may have. The buffer is unchanged.
    pub fn next(&self, buffer: &mut BytesMut) -> Result<Next, FrameError> {
        let Some(prefix) = buffer.first_chunk::<LENGTH_BYTES>() else {
            return Ok(Next::Wanted(LENGTH_BYTES - buffer.len()));
        };
        let length = i32::from_be_bytes(*prefix);
        let Ok(bytes) = usize::try_from(length) else {
            return Err(FrameError::Negative { length });
        };
        if bytes > self.bytes_max {
            return Err(FrameError::TooLarge {
                length: bytes,
                limit: self.bytes_max,
            });
        }
        match (LENGTH_BYTES + bytes).checked_sub(buffer.len()) {
            None | Some(0) => {
                buffer.advance(LENGTH_BYTES);
                Ok(Next::Frame(buffer.split_to(bytes).freeze()))
            }
            Some(wanted) => Ok(Next::Wanted(wanted)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_however_the_bytes_arrive() {
        let stream = b"\0\0\0\x03abc\0\0\0\0\0\0\0\x01z";
        for step in 1..stream.len() {
            let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
            for piece in stream.chunks(step) {
                buffer.extend_from_slice(piece);
                while let Next::Frame(frame) = Frames::new(3).next(&mut buffer).unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames, [&b"abc"[..], b"", b"z"]);
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn what_is_wanted_is_exactly_what_is_missing() {
        let frames = Frames::new(100);
        assert_eq!(frames.next(&mut BytesMut::new()), Ok(Next::Wanted(4)));
        assert_eq!(
            frames.next(&mut BytesMut::from(&b"\0\0\0"[..])),
            Ok(Next::Wanted(1))
        );
        assert_eq!(
            frames.next(&mut BytesMut::from(&b"\0\0\0\x09ab"[..])),
            Ok(Next::Wanted(7))
        );
    }

    #[test]
    fn a_length_no_frame_may_have_is_refused_before_the_frame_arrives() {
        let frames = Frames::new(100);
        assert_eq!(
            frames.next(&mut BytesMut::from(&b"\x80\0\0\0"[..])),
            Err(FrameError::Negative { length: i32::MIN })
        );
        assert_eq!(
            frames.next(&mut BytesMut::from(&b"\0\0\0\x65"[..])),
            Err(FrameError::TooLarge {
                length: 101,
                limit: 100
            })
        );
        assert_eq!(
            frames.next(&mut BytesMut::from(&b"\0\0\0\x64"[..])),
            Ok(Next::Wanted(100))
        );
    }

    #[test]
    fn a_frame_is_split_off_the_buffer_without_a_copy() {
        let mut buffer = BytesMut::from(&b"\0\0\0\x02hi"[..]);
        let place = buffer.as_ptr().wrapping_add(4);
        let Ok(Next::Frame(frame)) = Frames::new(10).next(&mut buffer) else {
            panic!("no frame")
        };
        assert_eq!(frame.as_ptr(), place);
    }
}
