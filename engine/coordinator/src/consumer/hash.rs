//! One number over the topics that a group wants, with their ids and sizes: when it changes there is something to assign
//! (KIP-1101). Kafka computes the same (`Utils.java`), so that a group that moves between the two is not assigned anew.
//!
//! ```text
//!  topic   0u8, id u64 u64, name, partitions i32, then for each partition its number i32 (and its racks, of which there
//!          are none here); a name is its UTF-16 units and how many they are, i32
//!  group   hashes of its topics by name, u64 each; 0 for no topics              XXH3, all little-endian
//! ```

use crate::world::Topic;
use twox_hash::XxHash3_64;

/// The number of these topics, in the order of their names. `scratch` is overwritten.
pub(super) fn of<'t>(topics: impl Iterator<Item = Topic<'t>>) -> i64 {
    let mut scratch = Vec::new();
    let mut hashes = Vec::new();
    for topic in topics {
        scratch.clear();
        scratch.push(0);
        let (high, low) = topic.id.as_u64_pair();
        scratch.extend(high.to_le_bytes());
        scratch.extend(low.to_le_bytes());
        let mut units = 0_i32;
        for unit in topic.name.encode_utf16() {
            scratch.extend(unit.to_le_bytes());
            units += 1;
        }
        scratch.extend(units.to_le_bytes());
        scratch.extend(topic.partitions.to_le_bytes());
        for partition in 0..topic.partitions {
            scratch.extend(partition.to_le_bytes());
        }
        hashes.extend(XxHash3_64::oneshot(&scratch).to_le_bytes());
    }
    if hashes.is_empty() {
        return 0;
    }
    XxHash3_64::oneshot(&hashes).cast_signed()
}
