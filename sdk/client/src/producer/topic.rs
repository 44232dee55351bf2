//! A topic as a producer sees it: its partitions' queues and the sticky choice among them.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::config::ProducerConfig;
use crate::core::metadata::Cluster;
use crate::core::producer::queue::Queue;
use crate::core::producer::sticky;
use crate::error::Error;
use crate::partitioner::{Choice, Spread, TopicView};
use crate::record::Record;

/// No broker leads.
pub(super) const NOBODY: i32 = -1;

/// A topic's partitions at one moment. When their number changes there is a newer one.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(super) name: Arc<str>,
    pub(super) partitions: Box<[Arc<Partition>]>,
    /// Those that the topic had before it was made again with fewer: what waits there has its
    /// deadline still, and should there be as many again, its place.
    retired: Box<[Arc<Partition>]>,
    /// The sticky partition, or -1.
    sticky: AtomicI32,
    next: AtomicU64,
    /// The version of the metadata that this was last held against.
    seen: AtomicU64,
    newer: OnceLock<Arc<Topic>>,
}

/// A record goes nowhere.
#[derive(Debug)]
pub(super) enum NoPartition {
    /// Nobody says where.
    Refused(Error),
    /// To a partition that the topic, as far as is known, does not have.
    Unknown(i32, Error),
}

/// What a record takes at most, and what a batch holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) bytes: usize,
    pub(super) batch_bytes: usize,
}

/// One partition: its batches, and who leads it.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(super) topic: Arc<str>,
    pub(super) index: i32,
    leader: AtomicI32,
    queue: Mutex<Queue>,
}

impl Partition {
    fn new(topic: &Arc<str>, index: i32) -> Self {
        Self {
            topic: Arc::clone(topic),
            index,
            leader: AtomicI32::new(NOBODY),
            queue: Mutex::new(Queue::new(Arc::clone(topic), index)),
        }
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn leader(&self) -> i32 {
        self.leader.load(Ordering::Relaxed)
    }

    /// Takes the leader over from metadata. A partition that metadata does not know has none.
    pub(super) fn follow(&self, cluster: &Cluster) {
        let known = cluster.partition(&self.topic, self.index);
        let leader = known
            .and_then(|partition| partition.leader)
            .unwrap_or(NOBODY);
        self.leader.store(leader, Ordering::Relaxed);
    }
}

impl Topic {
    /// The topic as metadata has it.
    pub(super) fn new(name: &Arc<str>, cluster: &Cluster) -> Self {
        Self::with(name, cluster, &[])
    }

    /// With the queues of `kept` where there are such partitions.
    fn with(name: &Arc<str>, cluster: &Cluster, kept: &[Arc<Partition>]) -> Self {
        let count = cluster
            .topic(name)
            .map_or(0, |topic| topic.partitions.len());
        let partitions: Box<[_]> = (0..i32::try_from(count).unwrap_or(i32::MAX))
            .zip(kept.iter().map(Some).chain(std::iter::repeat(None)))
            .map(|(index, kept)| match kept {
                Some(kept) => Arc::clone(kept),
                None => Arc::new(Partition::new(name, index)),
            })
            .collect();
        let retired = kept.iter().skip(partitions.len()).map(Arc::clone).collect();
        let topic = Self {
            name: Arc::clone(name),
            partitions,
            retired,
            sticky: AtomicI32::new(NOBODY),
            next: AtomicU64::new(0),
            seen: AtomicU64::new(cluster.version),
            newer: OnceLock::new(),
        };
        topic.all().for_each(|partition| partition.follow(cluster));
        topic
    }

    /// Every partition that there may be batches for.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.partitions.iter().chain(&self.retired)
    }

    /// The newest form of this topic; `version` is that of the metadata, `cluster` fetches it.
    pub(super) fn latest(
        self: &Arc<Self>,
        version: u64,
        cluster: impl FnOnce() -> Arc<Cluster>,
    ) -> &Arc<Self> {
        let mut latest = self;
        while let Some(newer) = latest.newer.get() {
            latest = newer;
        }
        if latest.seen.load(Ordering::Relaxed) != version {
            return latest.follow(&cluster());
        }
        latest
    }

    #[cold]
    fn follow(self: &Arc<Self>, cluster: &Cluster) -> &Arc<Self> {
        self.seen.store(cluster.version, Ordering::Relaxed);
        // A topic that is gone for the moment keeps its queues: it may be made again.
        let count = cluster
            .topic(&self.name)
            .map_or(0, |topic| topic.partitions.len());
        if count == 0 || count == self.partitions.len() {
            self.partitions
                .iter()
                .for_each(|partition| partition.follow(cluster));
            return self;
        }
        self.newer.get_or_init(|| {
            let kept: Vec<_> = self.all().map(Arc::clone).collect();
            Arc::new(Self::with(&self.name, cluster, &kept))
        })
    }

    /// What a record says of its partition, or the partitioner in its place.
    pub(super) fn choice(&self, config: &ProducerConfig, record: &Record<'_>) -> Choice {
        match record.partition {
            Some(partition) => Choice::Fixed(partition),
            None => {
                let view = TopicView::new(&self.name, self.count());
                config.partitioner.choose(record, &view)
            }
        }
    }

    /// The partition for that choice, and whether the record counts for the stay at the sticky one.
    ///
    /// # Errors
    ///
    /// [`NoPartition`]: a choice that is none, or a partition that the topic does not have.
    pub(super) fn resolve(
        &self,
        choice: &Choice,
        room: Room,
        random: impl FnOnce() -> u64,
    ) -> Result<(&Arc<Partition>, bool), NoPartition> {
        let (index, stays) = match choice {
            Choice::Fixed(partition) => (*partition, false),
            Choice::Any(Spread::Adaptive) => (self.sticky(random), true),
            Choice::Any(Spread::Batch) => (self.pinned(room, random, sticky::pick_other), false),
            Choice::Any(Spread::LeastBackup) => {
                let shortest = |queues: &[_], _, random| sticky::pick_shortest(queues, random);
                (self.pinned(room, random, shortest), false)
            }
            Choice::Any(Spread::Random) => (self.any(random()), false),
            Choice::Any(Spread::InTurn) => (self.next(self.count()), false),
            Choice::Refused(why) => return Err(NoPartition::Refused(Error::config(why))),
        };
        match self.at(index) {
            Some(partition) => Ok((partition, stays)),
            None => {
                let (name, count) = (&self.name, self.count());
                let why = format!("topic {name:?} has {count} partitions, not {index}");
                let error = Error::config(why).at(name, index);
                Err(NoPartition::Unknown(index, error))
            }
        }
    }

    /// Whether a record of that choice goes to `partition` too, whose queue is at hand; and if so
    /// whether it counts for the stay.
    pub(super) fn remains(
        &self,
        choice: &Choice,
        room: Room,
        partition: i32,
        queue: &Queue,
    ) -> Option<bool> {
        let is_sticky = || self.sticky.load(Ordering::Relaxed) == partition;
        match choice {
            Choice::Fixed(index) => (*index == partition).then_some(false),
            Choice::Any(Spread::Adaptive) => is_sticky().then_some(true),
            Choice::Any(Spread::Batch | Spread::LeastBackup) => {
                let is_pinned = is_sticky() && queue.has_room(room.bytes, room.batch_bytes);
                is_pinned.then_some(false)
            }
            Choice::Any(Spread::Random | Spread::InTurn) | Choice::Refused(_) => None,
        }
    }

    pub(super) fn count(&self) -> i32 {
        i32::try_from(self.partitions.len()).unwrap_or(i32::MAX)
    }

    fn at(&self, index: i32) -> Option<&Arc<Partition>> {
        let index = usize::try_from(index).ok()?;
        self.partitions.get(index)
    }

    fn sticky(&self, random: impl FnOnce() -> u64) -> i32 {
        match self.sticky.load(Ordering::Relaxed) {
            NOBODY => self.pick(random(), sticky::pick),
            sticky => sticky,
        }
    }

    /// The sticky one while its batch has room for so many bytes of so many, then what `rule` picks, which is told which one
    /// was left.
    fn pinned(
        &self,
        room: Room,
        random: impl FnOnce() -> u64,
        rule: impl FnOnce(&[(i32, u32)], i32, u64) -> Option<i32>,
    ) -> i32 {
        let before = self.sticky.load(Ordering::Relaxed);
        let pinned = self.at(before);
        if pinned.is_some_and(|partition| partition.queue().has_room(room.bytes, room.batch_bytes))
        {
            return before;
        }
        self.pick(random(), |queues, random| rule(queues, before, random))
    }

    /// The stay at `partition` is over.
    pub(super) fn leave(&self, partition: i32) {
        let _ =
            self.sticky
                .compare_exchange(partition, NOBODY, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Makes another partition the sticky one: `rule` picks among those with a leader, of which it is told how many batches
    /// wait.
    #[cold]
    fn pick(&self, random: u64, rule: impl FnOnce(&[(i32, u32)], u64) -> Option<i32>) -> i32 {
        let mut queues = Vec::with_capacity(self.partitions.len());
        for partition in &self.partitions {
            if partition.leader() != NOBODY {
                let waiting = u32::try_from(partition.queue().waiting()).unwrap_or(u32::MAX);
                queues.push((partition.index, waiting));
            }
        }
        let picked = rule(&queues, random).unwrap_or_else(|| self.any(random));
        self.sticky.store(picked, Ordering::Relaxed);
        picked
    }

    /// Any partition with a leader; without any leader one is as good as another.
    fn any(&self, random: u64) -> i32 {
        let led = || {
            self.partitions
                .iter()
                .filter(|partition| partition.leader() != NOBODY)
        };
        let below = |count: usize| {
            let count = u64::try_from(count).unwrap_or(1).max(1);
            usize::try_from(random % count).unwrap_or(0)
        };
        match led().count() {
            0 => i32::try_from(below(self.partitions.len())).unwrap_or(0),
            count => led()
                .nth(below(count))
                .map_or(0, |partition| partition.index),
        }
    }

    fn next(&self, count: i32) -> i32 {
        let count = u64::try_from(count.max(1)).unwrap_or(1);
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        // The next one with a leader, else simply the next one.
        (0..count)
            .map(|step| i32::try_from(start.wrapping_add(step) % count).unwrap_or(0))
            .find(|index| {
                self.at(*index)
                    .is_some_and(|partition| partition.leader() != NOBODY)
            })
            .unwrap_or_else(|| i32::try_from(start % count).unwrap_or(0))
    }
}
