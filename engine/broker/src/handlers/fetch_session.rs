//! Fetch sessions (KIP-227): the partitions a consumer fetches, remembered, so that a request need only name what changed.
//!
//! Knows the bookkeeping alone: no partition is read here and no shard is asked. A session lives on the shard that its id
//! names ([`home`]); a request that arrives elsewhere is routed there by the handler.
//!
//! ```text
//! request: id 0, epoch -1   no session               id 0, epoch 0   full, and a session is made if there is room
//!          id n, epoch -1   n is closed, no session  id n, epoch 0   n is closed, a new one is made
//!          id n, epoch e    what changed since e - 1; only partitions with news are answered
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use highwater_reactor::{Instant, ShardId};
use uuid::Uuid;

/// Sessions idle for longer may be evicted by anybody (Kafka: `FetchSessionCache`, 120 s).
const EVICTABLE_AFTER_MS: u64 = 120_000;

/// A session's id when there is none.
pub(crate) const NO_SESSION: i32 = 0;

/// The epoch of a full request that asks for a session.
pub(crate) const INITIAL_EPOCH: i32 = 0;

/// The epoch of a full request that wants no session.
pub(crate) const FINAL_EPOCH: i32 = -1;

/// The shard a session lives on; ids from elsewhere name some shard too, and are simply not found there.
pub(crate) fn home(id: i32, shards: u16) -> ShardId {
    let remainder = id.rem_euclid(i32::from(shards.max(1)));
    ShardId::new(u16::try_from(remainder).unwrap_or(0))
}

/// The epoch that follows `epoch`: from 1 upwards, round the end back to 1; -1 stays.
pub(crate) fn next_epoch(epoch: i32) -> i32 {
    match epoch {
        FINAL_EPOCH => FINAL_EPOCH,
        i32::MAX => 1,
        other => other + 1,
    }
}

/// How a request names a topic: by name up to version 12, by id from 13.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TopicKey {
    /// By name.
    Name(Arc<str>),
    /// By id.
    Id(Uuid),
}

/// One partition as the request names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The topic.
    pub(crate) topic: TopicKey,
    /// The partition's index.
    pub(crate) partition: i32,
}

/// What a fetch asks of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    /// Which partition.
    pub(crate) key: Key,
    /// The first offset wanted.
    pub(crate) offset: i64,
    /// The most bytes wanted of this partition.
    pub(crate) bytes_max: i32,
    /// The leader epoch the consumer knows, -1 if none.
    pub(crate) current_leader_epoch: i32,
    /// The epoch of the last record the consumer has, -1 if none.
    pub(crate) last_fetched_epoch: i32,
}

/// What was found for a partition, as far as a session must know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Whether records are in the answer.
    pub(crate) has_records: bool,
    /// Whether the answer carries an error.
    pub(crate) failed: bool,
    /// Whether the answer carries a diverging epoch.
    pub(crate) diverging: bool,
    /// The high watermark answered, -1 on an error.
    pub(crate) high_watermark: i64,
    /// The log start offset answered, -1 on an error.
    pub(crate) log_start: i64,
}

/// Why a request's session cannot be used; the whole answer is the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The id names no session: evicted, closed, or of another life of the broker.
    #[error("no such fetch session")]
    NotFound,
    /// The request's epoch is not the next one.
    #[error("fetch session epoch does not follow")]
    Epoch,
    /// The session was made with names and is used with ids, or the reverse.
    #[error("fetch session mixes topic names and topic ids")]
    NamesAndIds,
}

/// What a full or incremental request amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// The request's own partitions, no session.
    Sessionless,
    /// All partitions of the session, in the session's order; answer through [`Sessions::select`] with this epoch.
    Incremental {
        /// The partitions.
        wants: Vec<Want>,
        /// The session's epoch after this request.
        epoch: i32,
    },
}

#[derive(Debug)]
struct Cached {
    want: Want,
    high_watermark: i64,
    log_start: i64,
}

/// One consumer's remembered partitions, in the order they are served.
#[derive(Debug)]
struct Session {
    epoch: i32,
    by_id: bool,
    made: Instant,
    used: Instant,
    place_of: BTreeMap<Key, u64>,
    in_order: BTreeMap<u64, Cached>,
    next_place: u64,
}

impl Session {
    fn put(&mut self, want: Want) {
        if let Some(cached) = self
            .place_of
            .get(&want.key)
            .and_then(|p| self.in_order.get_mut(p))
        {
            cached.want = want;
            return;
        }
        self.append(Cached {
            want,
            high_watermark: -1,
            log_start: -1,
        });
    }

    fn append(&mut self, cached: Cached) {
        let place = self.next_place;
        self.next_place += 1;
        self.place_of.insert(cached.want.key.clone(), place);
        self.in_order.insert(place, cached);
    }

    fn forget(&mut self, key: &Key) {
        if let Some(place) = self.place_of.remove(key) {
            self.in_order.remove(&place);
        }
    }

    fn len(&self) -> usize {
        self.in_order.len()
    }
}

/// The sessions of one shard.
///
/// Invariant: at most `slots` sessions, and at most `partitions_max` partitions over all of them.
#[derive(Debug)]
pub(crate) struct Sessions {
    shard: ShardId,
    shards: u16,
    slots: usize,
    partitions_max: usize,
    partitions: usize,
    sessions: BTreeMap<i32, Session>,
}

impl Sessions {
    /// An empty cache for `shard` of `shards`, with room for `slots` sessions of together `partitions_max` partitions.
    pub(crate) fn new(
        shard: ShardId,
        shards: u16,
        slots: usize,
        partitions_max: usize,
    ) -> Sessions {
        Sessions {
            shard,
            shards,
            slots,
            partitions_max,
            partitions: 0,
            sessions: BTreeMap::new(),
        }
    }

    /// How many sessions there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Closes a session, if it is there.
    pub(crate) fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.len();
        }
    }

    /// Applies an incremental request to its session and says what to read.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        id: i32,
        epoch: i32,
        by_id: bool,
        changed: Vec<Want>,
        forgotten: &[Key],
    ) -> Result<Begun, Refusal> {
        let session = self.sessions.get_mut(&id).ok_or(Refusal::NotFound)?;
        if session.epoch != epoch {
            return Err(Refusal::Epoch);
        }
        if session.by_id != by_id {
            return Err(Refusal::NamesAndIds);
        }
        let before = session.len();
        for want in changed {
            session.put(want);
        }
        for key in forgotten {
            session.forget(key);
        }
        self.partitions = self.partitions - before + session.len();
        if session.len() == 0 {
            self.remove(id);
            return Ok(Begun::Sessionless);
        }
        if self.partitions > self.partitions_max {
            // The consumer answers this with a full request, which is then served without a session.
            self.remove(id);
            return Err(Refusal::NotFound);
        }
        session.used = now;
        session.epoch = next_epoch(session.epoch);
        Ok(Begun::Incremental {
            wants: session
                .in_order
                .values()
                .map(|cached| cached.want.clone())
                .collect(),
            epoch: session.epoch,
        })
    }

    /// Which of the outcomes are news to the consumer, and remembers them as told.
    ///
    /// Partitions that returned records move to the end of the order, so that each has its turn.
    pub(crate) fn select(
        &mut self,
        id: i32,
        epoch: i32,
        outcomes: &[(Key, Outcome)],
    ) -> Result<Vec<bool>, Refusal> {
        let session = self.sessions.get_mut(&id).ok_or(Refusal::NotFound)?;
        if session.epoch != epoch {
            return Err(Refusal::Epoch);
        }
        let mut news = Vec::with_capacity(outcomes.len());
        for (key, outcome) in outcomes {
            let Some(place) = session.place_of.get(key).copied() else {
                news.push(true);
                continue;
            };
            let Some(cached) = session.in_order.get_mut(&place) else {
                news.push(true);
                continue;
            };
            news.push(
                outcome.has_records
                    || outcome.failed
                    || outcome.diverging
                    || cached.high_watermark != outcome.high_watermark
                    || cached.log_start != outcome.log_start,
            );
            cached.high_watermark = if outcome.failed {
                -1
            } else {
                outcome.high_watermark
            };
            cached.log_start = outcome.log_start;
            if outcome.has_records
                && let Some(cached) = session.in_order.remove(&place)
            {
                session.append(cached);
            }
        }
        Ok(news)
    }

    /// Makes a session of what a full request asked and was answered; [`NO_SESSION`] when there is no room.
    ///
    /// `random` is asked for ids until one is free.
    pub(crate) fn create(
        &mut self,
        now: Instant,
        by_id: bool,
        partitions: Vec<(Want, Outcome)>,
        mut random: impl FnMut() -> u64,
    ) -> i32 {
        if partitions.is_empty()
            || self.partitions + partitions.len() > self.partitions_max
            || !self.make_room(now, partitions.len())
        {
            return NO_SESSION;
        }
        let id = loop {
            let id = self.id_of(random());
            if id != NO_SESSION && !self.sessions.contains_key(&id) {
                break id;
            }
        };
        let mut session = Session {
            epoch: next_epoch(INITIAL_EPOCH),
            by_id,
            made: now,
            used: now,
            place_of: BTreeMap::new(),
            in_order: BTreeMap::new(),
            next_place: 0,
        };
        for (want, outcome) in partitions {
            session.forget(&want.key);
            session.append(Cached {
                want,
                high_watermark: if outcome.failed {
                    -1
                } else {
                    outcome.high_watermark
                },
                log_start: outcome.log_start,
            });
        }
        self.partitions += session.len();
        self.sessions.insert(id, session);
        id
    }

    /// A positive id whose home is this shard.
    fn id_of(&self, random: u64) -> i32 {
        let shards = u64::from(self.shards.max(1));
        let turns = u64::from(u32::MAX >> 1) / shards;
        let id = (random % turns) * shards + u64::from(self.shard.get());
        i32::try_from(id).unwrap_or(NO_SESSION)
    }

    /// Frees a slot if there must be one: the longest idle, else the smallest that is old and no larger than the new one.
    fn make_room(&mut self, now: Instant, size: usize) -> bool {
        if self.sessions.len() < self.slots {
            return true;
        }
        let evictable = std::time::Duration::from_millis(EVICTABLE_AFTER_MS);
        let idle = self.sessions.iter().min_by_key(|(_, session)| session.used);
        let victim = match idle {
            Some((&id, session)) if now.duration_since(session.used) > evictable => Some(id),
            _ => self
                .sessions
                .iter()
                .filter(|(_, s)| now.duration_since(s.made) > evictable)
                .min_by_key(|(_, s)| s.len())
                .filter(|(_, s)| s.len() <= size)
                .map(|(&id, _)| id),
        };
        match victim {
            Some(id) => {
                self.remove(id);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests;
