//! Fetches from one broker, ahead of the application: asks for what is wanted, and puts what comes in line.
//!
//! One task and one connection per broker and consumer, one request at a time: a broker answers a
//! connection's requests in order, and a fetch may wait. What to ask for is the
//! [`Cursor`](crate::core::consumer::cursor::Cursor)'s decision; a cursor is looked at when something about it changed, so
//! that idle partitions cost nothing.

mod answers;
mod look_up;
mod validation;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use highwater_wire::Array;
use highwater_wire::message::FetchRequest;
use highwater_wire::message::fetch::{FetchPartition, FetchTopic, ForgottenTopic};
use tokio::sync::Notify;
use tokio::time::sleep_until;
use tracing::Instrument;
use uuid::Uuid;

use self::look_up::LookUp;
use self::validation::Validation;
use super::shared::{Shared, State, Waiting};
use crate::config::ConsumerConfig;
use crate::connection::Connection;
use crate::core::consumer::cursor::Next;
use crate::core::consumer::session::{Plan, Session, Want};
use crate::error::{Error, ErrorKind, Result};

/// The last version without topic ids.
const VERSION_BY_NAME_MAX: i16 = 12;
/// How long a broker may wait at first while some partition is left out for being full; doubles with
/// every empty answer.
const HELD_BACK_WAIT: Duration = Duration::from_millis(5);
/// The first version with sessions.
const VERSION_SESSIONS: i16 = 7;
/// The most that is asked for of a partition while the buffer is full: enough to keep one stream going that the others' do
/// not concern.
const CROWDED_BYTES_MAX: i32 = 64 << 10;

pub(super) struct Fetcher {
    shared: Weak<Shared>,
    broker: i32,
    wake: Arc<Notify>,
    connection: Option<Connection>,
    session: Session,
    /// Whether topics are named by their ids.
    by_id: bool,
    /// When to look at which slot again.
    timers: BTreeSet<(Duration, usize)>,
    /// Slots whose place has to be looked up.
    look_ups: BTreeSet<usize>,
    /// Slots whose place has to be held against the leader's log.
    validations: BTreeSet<usize>,
    /// Slots that are left out for being full.
    full: BTreeSet<usize>,
    /// Slots that are left out because there is no room for anything.
    parked: BTreeSet<usize>,
    /// Since the last answer that was of use: to be connected is none yet.
    failures: u32,
    not_before: Duration,
    /// Empty answers in a row while some partition was left out for being full.
    held_back: u32,
}

/// What there is to do.
enum Work {
    LookUp(Vec<LookUp>),
    Validate(Vec<Validation>),
    Fetch(Asked),
    Nothing(Option<Duration>),
}

/// A fetch to be made.
struct Asked {
    plan: Plan,
    /// The names of the slots in it.
    places: BTreeMap<usize, (Arc<str>, i32)>,
    bytes_max: i32,
}

impl Fetcher {
    pub(super) fn new(shared: Weak<Shared>, broker: i32, wake: Arc<Notify>) -> Self {
        Self {
            shared,
            broker,
            wake,
            connection: None,
            session: Session::default(),
            by_id: true,
            timers: BTreeSet::new(),
            look_ups: BTreeSet::new(),
            validations: BTreeSet::new(),
            full: BTreeSet::new(),
            parked: BTreeSet::new(),
            failures: 0,
            not_before: Duration::ZERO,
            held_back: 0,
        }
    }

    /// Runs until the consumer is dropped.
    pub(super) async fn run(mut self) {
        while let Some(shared) = self.shared.upgrade() {
            let work = self.work(&shared);
            let outcome = match work {
                Work::Nothing(until) => {
                    let until = until.map(|until| shared.client.shared.instant(until));
                    drop(shared);
                    let sleep = async {
                        match until {
                            Some(until) => sleep_until(until).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        () = self.wake.notified() => {}
                        () = sleep => {}
                    }
                    continue;
                }
                Work::LookUp(look_ups) => self.look_up(&shared, look_ups).await,
                Work::Validate(validations) => self.validate(&shared, validations).await,
                Work::Fetch(asked) => self.fetch(&shared, asked).await,
            };
            if let Err(error) = outcome {
                self.failed(&shared, &error);
            }
        }
    }

    fn failed(&mut self, shared: &Shared, error: &Error) {
        tracing::debug!(broker = self.broker, %error, "fetch came to nothing");
        self.connection = None;
        self.session.reset();
        let client = &shared.client.shared;
        client.invalidate_metadata();
        self.failures = self.failures.saturating_add(1);
        let pause = client.retry_backoff().pause(self.failures, client.random());
        // A broker that also throttles has said how long.
        self.not_before = self.not_before.max(client.now() + pause);
        let mut state = shared.lock();
        // A replica that fails leaves the leader.
        let lent = |slot: &usize| state.slots[*slot].replica_id() == Some(self.broker);
        let lent: Vec<usize> = self.session.wanted().filter(lent).collect();
        for slot in lent {
            state.back_to_leader(slot);
        }
        // A broker that speaks no version of ours will not learn one, and one that does not believe us needs the operator: the
        // application must know.
        if matches!(
            error.kind(),
            ErrorKind::Unsupported { .. } | ErrorKind::Auth
        ) {
            let mine = |(_, slot): &(usize, &super::shared::Slot)| slot.leader == self.broker;
            let first = state.assigned().find(mine).map(|(slot, _)| slot);
            if let Some(slot) = first.filter(|slot| state.slots[*slot].waiting.is_empty()) {
                state.push(slot, Waiting::Failed(error.clone()));
                shared.arrived.notify_one();
            }
        }
    }

    fn work(&mut self, shared: &Shared) -> Work {
        let now = shared.client.shared.now();
        if now < self.not_before {
            return Work::Nothing(Some(self.not_before));
        }
        let config = &shared.config;
        let mut state = shared.lock();
        let room = config.buffer_bytes.saturating_sub(state.waiting_bytes);
        let mut touched = state.take_touched(self.broker);
        let is_blocked = room == 0 && state.is_blocked();
        if room > 0 || is_blocked {
            touched.append(&mut self.parked);
        }
        while let Some((at, slot)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.remove(&(at, slot));
            touched.insert(slot);
        }
        for slot in touched {
            self.look_at(config, &mut state, slot, now);
        }
        if !self.look_ups.is_empty() {
            return Work::LookUp(self.take_look_ups(&mut state));
        }
        if !self.validations.is_empty() {
            return Work::Validate(self.take_validations(&mut state));
        }
        // Who takes from what waits wakes us.
        state.starved |= room == 0;
        if room == 0 {
            self.park(&state, is_blocked);
        }
        if self.session.is_empty() {
            return Work::Nothing(self.timers.first().map(|(at, _)| *at));
        }
        let room = i32::try_from(room).unwrap_or(i32::MAX);
        let plan = self.session.plan();
        let slots = plan.ask.iter().map(|(slot, _)| slot).chain(&plan.forget);
        let name = |slot: &usize| {
            let place = &state.slots[*slot].place;
            (*slot, (Arc::clone(&place.topic), place.partition))
        };
        Work::Fetch(Asked {
            places: slots.map(name).collect(),
            plan,
            bytes_max: config.fetch_bytes_max.min(room.max(CROWDED_BYTES_MAX)),
        })
    }

    /// Finds out what to do about a slot.
    fn look_at(&mut self, config: &ConsumerConfig, state: &mut State, index: usize, now: Duration) {
        self.full.remove(&index);
        self.look_ups.remove(&index);
        self.validations.remove(&index);
        let slot = &mut state.slots[index];
        if slot.replica.is_some_and(|replica| replica.until <= now) {
            state.back_to_leader(index);
        }
        let slot = &state.slots[index];
        let bytes_max = config.partition_fetch_bytes_max;
        let bytes_low = usize::try_from(bytes_max).unwrap_or(0).div_ceil(2);
        let leads = slot.assigned && slot.leader == self.broker;
        let feeds = slot.assigned && slot.source() == self.broker;
        let next = if leads || feeds {
            slot.cursor.next(now, bytes_low)
        } else {
            Next::Idle
        };
        match next {
            Next::Fetch(offset) if feeds => {
                let want = Want {
                    offset,
                    leader_epoch: slot.leader_epoch,
                    bytes_max,
                    generation: slot.cursor.generation(),
                };
                self.session.want(index, want);
                if let Some(replica) = slot.replica {
                    self.timers.insert((replica.until, index));
                }
                return;
            }
            Next::LookUp(_) if leads => {
                self.look_ups.insert(index);
            }
            Next::Validate(_) if leads => {
                self.validations.insert(index);
            }
            Next::Full if feeds => {
                self.full.insert(index);
            }
            Next::Wait(at) => {
                self.timers.insert((at, index));
            }
            Next::Fetch(_) | Next::LookUp(_) | Next::Validate(_) | Next::Full | Next::Idle => {}
        }
        self.session.unwant(index);
    }

    /// There is no room: only what keeps a stream going that has nothing is asked for, and what keeps the application going where
    /// the room `is_blocked` by what is paused.
    fn park(&mut self, state: &State, is_blocked: bool) {
        let wanted: Vec<usize> = self.session.wanted().collect();
        for index in wanted {
            let slot = &state.slots[index];
            let is_dry = slot.waiting.is_empty() && (slot.lane.is_some() || is_blocked);
            match self.session.wants(index) {
                Some(want) if is_dry => self.session.want(
                    index,
                    Want {
                        bytes_max: want.bytes_max.min(CROWDED_BYTES_MAX),
                        ..want
                    },
                ),
                Some(_) | None => {
                    self.session.unwant(index);
                }
            }
            self.parked.insert(index);
        }
    }

    /// How long the broker may wait for data. A partition left out because enough of it waits here
    /// is soon wanted again, and could not be asked about before the others' answer: so that is not
    /// waited for long, unless nobody takes anything anyway.
    fn wait_max(&self, config: &ConsumerConfig) -> Duration {
        if self.full.is_empty() && self.parked.is_empty() {
            return config.fetch_wait_max;
        }
        let wait = HELD_BACK_WAIT.saturating_mul(1 << self.held_back.min(10));
        wait.min(config.fetch_wait_max)
    }

    async fn connect(&mut self, shared: &Shared) -> Result<Connection> {
        if let Some(connection) = &self.connection
            && connection.is_alive()
        {
            return Ok(connection.clone());
        }
        self.session.reset();
        let client = &shared.client.shared;
        let connection = client.pool.dial(&client.broker(self.broker)?).await?;
        Ok(self.connection.insert(connection).clone())
    }

    async fn fetch(&mut self, shared: &Arc<Shared>, asked: Asked) -> Result<()> {
        let connection = match &self.connection {
            Some(connection) if connection.is_alive() => connection.clone(),
            Some(_) | None => {
                // The plan was made for another connection: the next one asks for all.
                self.connect(shared).await?;
                return Ok(());
            }
        };
        let cluster = shared.client.shared.cluster();
        let id = |topic: &str| cluster.topic(topic).map_or(Uuid::nil(), |topic| topic.id);
        let mut names = asked.places.values().map(|(topic, _)| topic);
        let by_id = if asked.places.is_empty() {
            self.by_id
        } else {
            names.all(|topic| !id(topic).is_nil())
        };
        let max = if by_id { i16::MAX } else { VERSION_BY_NAME_MAX };
        let version = connection.version::<FetchRequest<'_>>(max)?;
        if (version > VERSION_BY_NAME_MAX) != self.by_id {
            // A session speaks of its topics in one way.
            self.by_id = version > VERSION_BY_NAME_MAX;
            if asked.plan.id != 0 {
                self.session.reset();
                return Ok(());
            }
        }
        let Asked {
            plan,
            places,
            bytes_max,
        } = asked;
        let mut topics: BTreeMap<&str, Vec<FetchPartition>> = BTreeMap::new();
        for (slot, want) in &plan.ask {
            let (topic, partition) = &places[slot];
            topics.entry(topic).or_default().push(FetchPartition {
                partition: *partition,
                current_leader_epoch: want.leader_epoch,
                fetch_offset: want.offset,
                partition_max_bytes: want.bytes_max,
                ..FetchPartition::default()
            });
        }
        let mut forgotten: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for slot in &plan.forget {
            let (topic, partition) = &places[slot];
            forgotten.entry(topic).or_default().push(*partition);
        }
        let config = &shared.config;
        let topics = topics.into_iter().map(|(topic, partitions)| FetchTopic {
            topic,
            topic_id: id(topic),
            partitions: Array::from(partitions),
        });
        let forgotten = forgotten
            .into_iter()
            .map(|(topic, partitions)| ForgottenTopic {
                topic,
                topic_id: id(topic),
                partitions: Array::from(partitions),
            });
        let has_sessions = version >= VERSION_SESSIONS;
        let request = FetchRequest {
            max_wait_ms: i32::try_from(self.wait_max(config).as_millis()).unwrap_or(i32::MAX),
            min_bytes: config.fetch_bytes_min,
            max_bytes: bytes_max,
            isolation_level: config.isolation.wire(),
            session_id: plan.id,
            session_epoch: plan.epoch,
            topics: topics.collect(),
            forgotten_topics_data: forgotten.collect(),
            rack_id: config.client_rack.as_deref().unwrap_or_default(),
            ..FetchRequest::default()
        };
        let span = tracing::debug_span!(
            "fetch",
            broker = self.broker,
            partitions = self.session.len(),
            bytes = tracing::field::Empty
        );
        let told = span.clone();
        let asking = async {
            let reply = connection
                .send(&request, version, [], true)?
                .answer()
                .await?;
            told.record("bytes", reply.frame.len());
            self.fetched(shared, &cluster, &reply, has_sessions)
        };
        asking.instrument(span).await
    }
}
