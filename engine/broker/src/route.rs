//! Partition -> owning shard: what a request is split by. It knows where partitions lie, not what is done with them.

use std::rc::Rc;

use highwater_reactor::ShardId;
use uuid::Uuid;

use crate::metadata::image::{self, Topic};
use crate::shard::Shard;

/// Whether `topic` has a partition of this index.
pub(crate) fn has_partition(topic: &Topic, index: i32) -> bool {
    usize::try_from(index).is_ok_and(|index| index < topic.partitions.len())
}

/// The shard that owns a partition.
pub(crate) fn owner(shard: &Rc<Shard>, topic_id: &Uuid, partition: i32) -> ShardId {
    image::owner(topic_id, partition, shard.reactor().shards())
}

/// What one request asks of each shard, in the order in which the shards are first named.
///
/// Few requests touch more than a handful of shards, so it is a list and not a map.
#[derive(Debug)]
pub(crate) struct PerShard<T> {
    lists: Vec<(ShardId, Vec<T>)>,
}

impl<T> PerShard<T> {
    /// Nothing for anybody.
    pub(crate) fn new() -> PerShard<T> {
        PerShard { lists: Vec::new() }
    }

    /// Adds `item` to what `to` is asked.
    pub(crate) fn push(&mut self, to: ShardId, item: T) {
        match self.lists.iter_mut().find(|(shard, _)| *shard == to) {
            Some((_, items)) => items.push(item),
            None => self.lists.push((to, vec![item])),
        }
    }
}

impl<T> IntoIterator for PerShard<T> {
    type Item = (ShardId, Vec<T>);
    type IntoIter = std::vec::IntoIter<(ShardId, Vec<T>)>;

    fn into_iter(self) -> Self::IntoIter {
        self.lists.into_iter()
    }
}
