//! A shard's receive buffers, used again and again: memory that was read into stays mapped, and the kernel has no page to
//! clear for the next read. Knows nothing of frames; a buffer is free once nothing that was cut from it is in use.

use std::cell::RefCell;
use std::collections::VecDeque;

use bytes::BytesMut;

/// Buffers kept for the next read, per shard.
const SPARE_MAX: usize = 8;

/// A larger buffer is given back to the system, in bytes: it served a frame of unusual size.
const SPARE_BYTES_MAX: usize = 2 << 20;

/// The spare buffers of one shard. Holds at most 16 MiB ([`SPARE_MAX`] times [`SPARE_BYTES_MAX`]), and nothing when idle.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    spare: RefCell<Spare>,
}

#[derive(Debug, Default)]
struct Spare {
    /// Oldest first: it is the likeliest to be free.
    buffers: VecDeque<BytesMut>,
    is_used: bool,
}

impl Buffers {
    /// An empty buffer with room for `bytes`.
    pub(crate) fn take(&self, bytes: usize) -> BytesMut {
        let mut spare = self.spare.borrow_mut();
        spare.is_used = true;
        for _ in 0..spare.buffers.len() {
            let Some(mut buffer) = spare.buffers.pop_front() else {
                break;
            };
            if buffer.try_reclaim(bytes) {
                return buffer;
            }
            spare.buffers.push_back(buffer);
        }
        BytesMut::with_capacity(bytes)
    }

    /// Takes back a buffer of which everything was cut off; `held` is the most it had room for, in bytes.
    pub(crate) fn give(&self, buffer: BytesMut, held: usize) {
        assert!(buffer.is_empty(), "what was received would be lost");
        let mut spare = self.spare.borrow_mut();
        if held > SPARE_BYTES_MAX || held == 0 {
            return;
        }
        if spare.buffers.len() == SPARE_MAX {
            spare.buffers.pop_front();
        }
        spare.buffers.push_back(buffer);
    }

    /// Gives everything back to the system when no buffer was taken since the last call.
    pub(crate) fn trim(&self) {
        let mut spare = self.spare.borrow_mut();
        if !std::mem::take(&mut spare.is_used) {
            spare.buffers = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    fn filled(buffers: &Buffers) -> (BytesMut, bytes::Bytes, usize) {
        let mut buffer = buffers.take(1000);
        let held = buffer.capacity();
        buffer.put_bytes(7, 900);
        let frame = buffer.split_to(900).freeze();
        (buffer, frame, held)
    }

    #[test]
    fn a_buffer_is_used_again_once_its_frames_are_gone() {
        let buffers = Buffers::default();
        let (buffer, frame, held) = filled(&buffers);
        let place = frame.as_ptr();
        buffers.give(buffer, held);
        drop(frame);
        let mut again = buffers.take(1000);
        again.put_u8(1);
        assert_eq!(again.as_ptr(), place);
    }

    #[test]
    fn a_buffer_whose_frame_is_in_use_is_left_alone() {
        let buffers = Buffers::default();
        let (buffer, frame, held) = filled(&buffers);
        buffers.give(buffer, held);
        let mut other = buffers.take(1000);
        other.put_bytes(1, 1000);
        assert!(frame.iter().all(|byte| *byte == 7));
    }

    #[test]
    fn what_is_kept_is_bounded_and_goes_when_nobody_uses_it() {
        let buffers = Buffers::default();
        for _ in 0..3 * SPARE_MAX {
            buffers.give(BytesMut::with_capacity(10), 10);
        }
        buffers.give(BytesMut::with_capacity(10), SPARE_BYTES_MAX + 1);
        assert_eq!(buffers.spare.borrow().buffers.len(), SPARE_MAX);
        drop(buffers.take(10));
        buffers.trim();
        assert_eq!(buffers.spare.borrow().buffers.len(), SPARE_MAX - 1);
        buffers.trim();
        assert_eq!(buffers.spare.borrow().buffers.len(), 0);
    }
}
