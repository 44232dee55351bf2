//! Record bytes that are read beside the head of an answer, where that is cheaper than to splice them.

use bytes::BytesMut;
use highwater_log::FileRange;
use highwater_reactor::Reactor;

use crate::answer::Frame;

/// Answers with fewer record bytes are read beside their head and leave in one write; larger ranges go by sendfile.
const COPIED_BYTES_MAX: usize = 64 << 10;

/// A range up to this size costs less copied than in a call of its own...
const SHORT_RANGE_BYTES: usize = 16 << 10;

/// ...as long as one answer copies no more of them than this.
const SHORT_RANGES_BYTES_MAX: usize = 256 << 10;

/// The frame with records read in between where that is cheaper than to splice them: all where they are few, and else
/// the short ranges among the long.
pub(super) async fn copied(reactor: &Reactor, frame: Frame) -> std::io::Result<Frame> {
    let bytes: usize = frame
        .splices
        .iter()
        .map(|(_, range)| range.len as usize)
        .sum();
    let is_small = bytes <= COPIED_BYTES_MAX;
    let mut left = if is_small {
        bytes
    } else {
        SHORT_RANGES_BYTES_MAX
    };
    let mut is_copied = |range: &FileRange| {
        let len = range.len as usize;
        let yes = (is_small || len <= SHORT_RANGE_BYTES) && len <= left;
        left -= if yes { len } else { 0 };
        yes
    };
    let copies: Vec<bool> = frame
        .splices
        .iter()
        .map(|(_, range)| is_copied(range))
        .collect();
    if !copies.contains(&true) {
        return Ok(frame);
    }
    let more = frame
        .splices
        .iter()
        .zip(&copies)
        .filter(|(_, copied)| **copied);
    let more: usize = more.map(|((_, range), _)| range.len as usize).sum();
    let mut head = BytesMut::with_capacity(frame.head.len() + more);
    let mut splices = Vec::new();
    let mut at = 0;
    for ((position, range), copied) in frame.splices.into_iter().zip(copies) {
        head.extend_from_slice(&frame.head[at..position]);
        at = position;
        if !copied {
            splices.push((head.len(), range));
            continue;
        }
        let FileRange {
            file,
            position,
            len,
        } = range;
        reactor.prefetch(&file, position, u64::from(len)).await?;
        if file.read_at_append(position, len as usize, &mut head)? < len as usize {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    head.extend_from_slice(&frame.head[at..]);
    Ok(Frame {
        head: head.freeze(),
        splices,
    })
}
