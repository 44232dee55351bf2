//! Memory that answers are read into. Knows lengths only.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Room made for at once while a long answer comes in: memory follows the bytes, not their promise.
const READ_STEP_BYTES_MAX: usize = 16 << 20;
const READ_BYTES_MIN: usize = 64 << 10;

/// Memory of long answers, to be read into again once nobody looks at them any more: what the
/// operating system gave need not be mapped and zeroed for each of them.
#[derive(Default)]
pub(super) struct Retired(VecDeque<Bytes>);

impl Retired {
    /// One being read into, one waiting, one being looked at.
    const KEPT_MAX: usize = 3;

    /// Takes note of an answer that was split off the buffer.
    pub(super) fn keep(&mut self, frame: &Bytes, buffer: &mut BytesMut) {
        if frame.len() <= READ_BYTES_MIN {
            // Long answers are over for now, and need not be remembered for ever.
            self.0.pop_front();
        } else if frame.len() <= READ_STEP_BYTES_MAX {
            if self.0.len() == Self::KEPT_MAX {
                self.0.pop_front();
            }
            self.0.push_back(frame.clone());
            if buffer.is_empty() {
                // Else the next answer would begin in this one's memory, and hold on to it.
                *buffer = BytesMut::new();
            }
        }
    }

    /// Makes room for `bytes` more, or a step towards that.
    pub(super) fn make_room(&mut self, buffer: &mut BytesMut, bytes: usize) {
        let begun = buffer.len();
        if bytes <= READ_BYTES_MIN && begun <= READ_BYTES_MIN {
            buffer.reserve(READ_BYTES_MIN);
            return;
        }
        // The rest of a long answer gets no more than it needs: that would move all of it.
        let step = bytes.min(READ_STEP_BYTES_MAX);
        if buffer.capacity() - begun >= step {
            return;
        }
        if begun <= READ_BYTES_MIN {
            for _ in 0..self.0.len() {
                let Some(frame) = self.0.pop_front() else {
                    break;
                };
                match frame.try_into_mut() {
                    Ok(mut page) => {
                        page.clear();
                        if page.try_reclaim(begun + step) {
                            page.extend_from_slice(buffer);
                            *buffer = page;
                            return;
                        }
                    }
                    Err(frame) => self.0.push_back(frame),
                }
            }
        }
        // Rounded up, so that the next answer, which may be a little longer, fits too. What is not written to takes no memory.
        buffer.reserve((begun + step).next_power_of_two() - begun);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Buf;

    use super::*;

    const PREFIX_BYTES: usize = 4;

    /// Reads a long answer, behind its length.
    fn read(retired: &mut Retired, buffer: &mut BytesMut, bytes: usize) -> Bytes {
        retired.make_room(buffer, PREFIX_BYTES);
        buffer.resize(READ_BYTES_MIN, 0);
        retired.make_room(buffer, PREFIX_BYTES + bytes - READ_BYTES_MIN);
        buffer.resize(PREFIX_BYTES + bytes, 0);
        buffer.advance(PREFIX_BYTES);
        let frame = buffer.split_to(bytes).freeze();
        retired.keep(&frame, buffer);
        frame
    }

    #[test]
    fn a_long_answer_is_not_moved_while_it_comes_in() {
        let (mut retired, mut buffer) = (Retired::default(), BytesMut::new());
        buffer.resize(READ_BYTES_MIN, 0);
        let bytes = 3 << 20;
        retired.make_room(&mut buffer, bytes - READ_BYTES_MIN);
        let begun = buffer.as_ptr();
        while let Some(left @ 1..) = bytes.checked_sub(buffer.len()) {
            retired.make_room(&mut buffer, left);
            buffer.resize(buffer.len() + left.min(100_000), 0);
            assert_eq!(begun, buffer.as_ptr());
        }
    }

    #[test]
    fn memory_is_read_into_again_once_nobody_looks_at_it() {
        let (mut retired, mut buffer) = (Retired::default(), BytesMut::new());
        let whole = (1 << 20) - PREFIX_BYTES;
        let first = read(&mut retired, &mut buffer, whole - 1000);
        let begun = first.as_ptr();
        let second = read(&mut retired, &mut buffer, whole - 1000);
        assert_ne!(begun, second.as_ptr(), "the first is still looked at");
        drop(first);
        // A little longer, and again and again: nothing of the room is lost.
        for _ in 0..100 {
            let third = read(&mut retired, &mut buffer, whole);
            assert_eq!(begun, third.as_ptr());
        }
    }

    #[test]
    fn what_waits_behind_a_long_answer_is_kept() {
        let (mut retired, mut buffer) = (Retired::default(), BytesMut::new());
        buffer.resize(100_000, 1);
        buffer.extend_from_slice(b"next");
        let frame = buffer.split_to(100_000).freeze();
        retired.keep(&frame, &mut buffer);
        assert_eq!(&buffer[..], b"next");
    }
}
