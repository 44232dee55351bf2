//! Answers on their way out: what lies in memory by writev, file ranges as they lie by sendfile.
//!
//! Knows frames and sockets; not what is in them.

use std::io;

use smallvec::SmallVec;

use crate::answer::Frame;
use crate::guests::Guest;
use crate::shard::Shard;

/// What is sent of a file before the connection counts as active again.
const SEND_FILE_BYTES: u64 = 1 << 20;

/// Sends `frames` whole: what lies in memory together, file ranges between as they lie.
pub(crate) async fn send(shard: &Shard, guest: &Guest, frames: &[Frame]) -> io::Result<()> {
    let mut parts: SmallVec<[&[u8]; 16]> = SmallVec::new();
    let mut sent = 0;
    for frame in frames {
        let mut rest: &[u8] = &frame.head;
        let mut at = 0;
        for (position, range) in &frame.splices {
            let (before, after) = rest.split_at(position - at);
            rest = after;
            at = *position;
            if !before.is_empty() {
                parts.push(before);
            }
            sent += send_parts(guest, &mut parts).await?;
            let (mut from, mut left) = (range.position, u64::from(range.len));
            while left > 0 {
                let now = left.min(SEND_FILE_BYTES);
                // A cold range would have the whole shard wait for the device.
                shard.reactor().prefetch(&range.file, from, now).await?;
                guest.socket().send_file(&range.file, from, now).await?;
                guest.is_active(shard.reactor().now());
                from += now;
                left -= now;
            }
            sent += u64::from(range.len);
        }
        if !rest.is_empty() {
            parts.push(rest);
        }
    }
    sent += send_parts(guest, &mut parts).await?;
    guest.is_active(shard.reactor().now());
    shard.counters().sent(sent);
    Ok(())
}

async fn send_parts(guest: &Guest, parts: &mut SmallVec<[&[u8]; 16]>) -> io::Result<u64> {
    if parts.is_empty() {
        return Ok(0);
    }
    guest.socket().send_all(parts).await?;
    let bytes = parts.iter().map(|part| part.len() as u64).sum();
    parts.clear();
    Ok(bytes)
}
