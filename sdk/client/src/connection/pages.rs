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

    pub(super) fn keep(&mut self, frame: &Bytes) {
        if frame.len() <= READ_BYTES_MIN {
            // Long answers are over for now, and need not be remembered for ever.
            self.0.pop_front();
        } else if frame.len() <= READ_STEP_BYTES_MAX {
            if self.0.len() == Self::KEPT_MAX {
                self.0.pop_front();
            }
            self.0.push_back(frame.clone());
        }
    }

    /// Makes room for `bytes` more, or a step towards that.
    pub(super) fn make_room(&mut self, buffer: &mut BytesMut, bytes: usize) {
        let room = bytes.clamp(READ_BYTES_MIN, READ_STEP_BYTES_MAX);
        if bytes <= READ_BYTES_MIN || buffer.capacity() - buffer.len() >= room {
            buffer.reserve(room);
            return;
        }
        for _ in 0..self.0.len() {
            let Some(frame) = self.0.pop_front() else {
                break;
            };
            match frame.try_into_mut() {
                Ok(mut page) => {
                    page.clear();
                    if page.capacity() >= buffer.len() + room {
                        page.extend_from_slice(buffer);
                        *buffer = page;
                        return;
                    }
                }
                Err(frame) => self.0.push_back(frame),
            }
        }
        buffer.reserve(room);
    }
}
