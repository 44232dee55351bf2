//! Fetches from one broker, ahead of the application: looks starts up, asks for what is wanted, and
//! puts what comes in line.
//!
//! One task and one connection per broker and consumer, one request at a time: a broker answers a
//! connection's requests in order, and a fetch may wait. What to ask for is the
//! [`Cursor`](crate::core::consumer::cursor::Cursor)'s decision.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use highwater_wire::message::fetch::{FetchPartition, FetchTopic, ForgottenTopic, PartitionData};
use highwater_wire::message::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use highwater_wire::message::{
    FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse,
};
use highwater_wire::{Array, ErrorCode};
use tokio::sync::Notify;
use tokio::time::sleep_until;
use uuid::Uuid;

use super::Start;
use super::shared::{Fetched, Shared, Waiting, whole_batches};
use crate::config::{ConsumerConfig, Isolation};
use crate::connection::{Connection, Reply};
use crate::core::consumer::aborted::Aborted;
use crate::core::consumer::cursor::Next;
use crate::core::consumer::session::{Session, Want};
use crate::core::metadata::Cluster;
use crate::error::{Error, ErrorKind, Result};

/// The last version without topic ids.
const VERSION_BY_NAME_MAX: i16 = 12;
/// How long a broker may wait at first while some partition is left out for being full; doubles with
/// every empty answer.
const HELD_BACK_WAIT: Duration = Duration::from_millis(5);
/// The first version with sessions.
const VERSION_SESSIONS: i16 = 7;

pub(super) struct Fetcher {
    shared: Weak<Shared>,
    broker: i32,
    wake: Arc<Notify>,
    connection: Option<Connection>,
    session: Session,
    failures: u32,
    not_before: Duration,
    /// Empty answers in a row while some partition was left out for being full.
    held_back: u32,
}

/// What there is to do.
enum Work {
    LookUp(Vec<LookUp>),
    Fetch(Asked),
    Nothing(Option<Duration>),
}

#[derive(Clone)]
struct LookUp {
    slot: usize,
    generation: u32,
    topic: Arc<str>,
    partition: i32,
    leader_epoch: i32,
    start: Start,
}

/// A fetch under way.
struct Asked {
    wants: BTreeMap<usize, Want>,
    generations: BTreeMap<usize, u32>,
    /// Of every slot, so that a session's partitions have names even when no longer wanted.
    places: Vec<(Arc<str>, i32)>,
    bytes_max: i32,
    /// Whether some partition was left out for being full.
    held_back: bool,
}

impl Fetcher {
    pub(super) fn new(shared: Weak<Shared>, broker: i32, wake: Arc<Notify>) -> Self {
        Self {
            shared,
            broker,
            wake,
            connection: None,
            session: Session::default(),
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
                    let sleep: Pin<Box<dyn Future<Output = ()> + Send>> = match until {
                        Some(until) => Box::pin(sleep_until(until)),
                        None => Box::pin(std::future::pending()),
                    };
                    tokio::select! {
                        () = self.wake.notified() => {}
                        () = sleep => {}
                    }
                    continue;
                }
                Work::LookUp(starts) => self.look_up(&shared, starts).await,
                Work::Fetch(asked) => self.fetch(&shared, asked).await,
            };
            match outcome {
                Ok(()) => self.failures = 0,
                Err(error) => self.failed(&shared, &error),
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
        self.not_before = client.now() + pause;
        // A broker that speaks no version of ours will not learn one: the application must know.
        if matches!(error.kind(), ErrorKind::Unsupported { .. }) {
            let mut state = shared.lock();
            let mine = |slot: &usize| state.slots[*slot].leader == self.broker;
            let first = (0..state.slots.len()).find(mine);
            if let Some(slot) = first.filter(|slot| state.slots[*slot].waiting.is_empty()) {
                state.push(slot, Waiting::Failed(error.clone()));
                shared.arrived.notify_one();
            }
        }
    }

    fn work(&self, shared: &Shared) -> Work {
        let now = shared.client.shared.now();
        if now < self.not_before {
            return Work::Nothing(Some(self.not_before));
        }
        let config = &shared.config;
        let bytes_low = usize::try_from(config.partition_fetch_bytes_max)
            .unwrap_or(0)
            .div_ceil(2);
        let mut state = shared.lock();
        let (mut look_ups, mut until) = (Vec::new(), None::<Duration>);
        let mut held_back = false;
        let (mut wants, mut generations) = (BTreeMap::new(), BTreeMap::new());
        for (index, slot) in state.slots.iter().enumerate() {
            if !slot.assigned || slot.leader != self.broker {
                continue;
            }
            match slot.cursor.next(now, bytes_low) {
                Next::LookUp(start) => look_ups.push(LookUp {
                    slot: index,
                    generation: slot.cursor.generation(),
                    topic: Arc::clone(&slot.place.topic),
                    partition: slot.place.partition,
                    leader_epoch: slot.leader_epoch,
                    start,
                }),
                Next::Fetch(offset) => {
                    let bytes_max = config.partition_fetch_bytes_max;
                    let want = Want {
                        offset,
                        leader_epoch: slot.leader_epoch,
                        bytes_max,
                    };
                    wants.insert(index, want);
                    generations.insert(index, slot.cursor.generation());
                }
                Next::Wait(at) => until = Some(until.map_or(at, |until| until.min(at))),
                Next::Full => held_back = true,
                Next::Idle => {}
            }
        }
        if !look_ups.is_empty() {
            return Work::LookUp(look_ups);
        }
        let room = config.buffer_bytes.saturating_sub(state.waiting_bytes);
        // Who takes from what waits wakes us.
        state.starved |= room == 0;
        if wants.is_empty() || room == 0 {
            return Work::Nothing(until);
        }
        let bytes_max = config
            .fetch_bytes_max
            .min(i32::try_from(room).unwrap_or(i32::MAX));
        let place =
            |slot: &super::shared::Slot| (Arc::clone(&slot.place.topic), slot.place.partition);
        let places = state.slots.iter().map(place).collect();
        Work::Fetch(Asked {
            wants,
            generations,
            places,
            bytes_max,
            held_back,
        })
    }

    /// How long the broker may wait for data. A partition left out because enough of it waits here
    /// is soon wanted again, and could not be asked about before the others' answer: so that is not
    /// waited for long, unless nobody takes anything anyway.
    fn wait_max(&self, config: &ConsumerConfig, held_back: bool) -> Duration {
        if !held_back {
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

    async fn look_up(&mut self, shared: &Shared, look_ups: Vec<LookUp>) -> Result<()> {
        let connection = self.connect(shared).await?;
        let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for look_up in &look_ups {
            let timestamp = match look_up.start {
                Start::Latest => -1,
                Start::Earliest => -2,
                Start::Timestamp(timestamp_ms) => timestamp_ms.max(0),
                Start::Offset(offset) => {
                    // Nothing to look up; a cursor does not ask for it.
                    let mut state = shared.lock();
                    let slot = &mut state.slots[look_up.slot];
                    slot.cursor.found(look_up.generation, offset);
                    continue;
                }
            };
            topics
                .entry(&look_up.topic)
                .or_default()
                .push(ListOffsetsPartition {
                    partition_index: look_up.partition,
                    current_leader_epoch: look_up.leader_epoch,
                    timestamp,
                });
        }
        let topics = topics
            .into_iter()
            .map(|(name, partitions)| ListOffsetsTopic {
                name,
                partitions: Array::from(partitions),
            });
        let request = ListOffsetsRequest {
            replica_id: -1,
            isolation_level: shared.config.isolation.wire(),
            topics: topics.collect(),
            timeout_ms: i32::try_from(shared.client.shared.config().request_timeout.as_millis())
                .unwrap_or(i32::MAX),
        };
        let reply = connection.call(&request).await?;
        let answer: ListOffsetsResponse<'_> = reply.decode()?;
        let mut ends = Vec::new();
        let mut refusals = Vec::new();
        {
            let mut state = shared.lock();
            for topic in &answer.topics {
                for found in &topic.partitions {
                    let is_it = |look_up: &&LookUp| {
                        look_up.partition == found.partition_index && *look_up.topic == *topic.name
                    };
                    let Some(look_up) = look_ups.iter().find(is_it) else {
                        continue;
                    };
                    let code = ErrorCode::from_id(found.error_code);
                    if code.is_error() {
                        refusals.push((look_up.slot, look_up.generation, code));
                    } else if found.offset < 0 {
                        // No record is that late: the end is where the first such one will be.
                        ends.push(LookUp {
                            start: Start::Latest,
                            ..look_up.clone()
                        });
                    } else {
                        state.slots[look_up.slot]
                            .cursor
                            .found(look_up.generation, found.offset);
                    }
                }
            }
        }
        for (slot, generation, code) in refusals {
            self.refused(shared, slot, generation, code);
        }
        if !ends.is_empty() {
            return Box::pin(self.look_up(shared, ends)).await;
        }
        Ok(())
    }

    async fn fetch(&mut self, shared: &Arc<Shared>, asked: Asked) -> Result<()> {
        let connection = self.connect(shared).await?;
        let cluster = shared.client.shared.cluster();
        let id = |topic: &str| cluster.topic(topic).map_or(Uuid::nil(), |topic| topic.id);
        let by_id = asked
            .wants
            .keys()
            .all(|slot| !id(&asked.places[*slot].0).is_nil());
        let max = if by_id { i16::MAX } else { VERSION_BY_NAME_MAX };
        let version = connection.version::<FetchRequest<'_>>(max)?;
        if version < VERSION_SESSIONS {
            self.session.reset();
        }
        let plan = self.session.plan(asked.wants.clone());
        let mut topics: BTreeMap<&str, Vec<FetchPartition>> = BTreeMap::new();
        for (slot, want) in &plan.ask {
            let (topic, partition) = &asked.places[*slot];
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
            let (topic, partition) = &asked.places[*slot];
            forgotten.entry(topic).or_default().push(*partition);
        }
        let config = &shared.config;
        let wait_max = self.wait_max(config, asked.held_back);
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
        let request = FetchRequest {
            max_wait_ms: i32::try_from(wait_max.as_millis()).unwrap_or(i32::MAX),
            min_bytes: config.fetch_bytes_min,
            max_bytes: asked.bytes_max,
            isolation_level: config.isolation.wire(),
            session_id: plan.id,
            session_epoch: plan.epoch,
            topics: topics.collect(),
            forgotten_topics_data: forgotten.collect(),
            rack_id: config.client_rack.as_deref().unwrap_or_default(),
            ..FetchRequest::default()
        };
        let reply = connection
            .send(&request, version, [], true)?
            .answer()
            .await?;
        self.fetched(shared, &asked, &cluster, &reply)
    }

    fn fetched(
        &mut self,
        shared: &Shared,
        asked: &Asked,
        cluster: &Cluster,
        reply: &Reply,
    ) -> Result<()> {
        let answer: FetchResponse<'_> = reply.decode()?;
        let code = ErrorCode::from_id(answer.error_code);
        if matches!(
            code,
            ErrorCode::FetchSessionIdNotFound
                | ErrorCode::InvalidFetchSessionEpoch
                | ErrorCode::FetchSessionTopicIdError
        ) {
            self.session.reset();
            return Ok(());
        }
        if code.is_error() {
            return Err(Error::broker(code, None));
        }
        self.session.answered(answer.session_id);
        let mut arrived = false;
        for topic in &answer.responses {
            let name = if reply.version > VERSION_BY_NAME_MAX {
                cluster.name_of(&topic.topic_id).map_or("", |name| &**name)
            } else {
                topic.topic
            };
            for data in &topic.partitions {
                let is_it = |slot: &&usize| {
                    let (topic, partition) = &asked.places[**slot];
                    *partition == data.partition_index && **topic == *name
                };
                let Some(slot) = asked.wants.keys().find(is_it).copied() else {
                    continue;
                };
                let generation = asked.generations[&slot];
                let code = ErrorCode::from_id(data.error_code);
                if code.is_error() {
                    arrived |= self.refused(shared, slot, generation, code);
                } else {
                    let from = (generation, asked.wants[&slot].offset);
                    arrived |= take(shared, slot, from, &data, &reply.frame);
                }
            }
        }
        self.held_back = match (asked.held_back, arrived) {
            (true, false) => self.held_back.saturating_add(1),
            (false, _) | (_, true) => 0,
        };
        if arrived {
            shared.arrived.notify_one();
        }
        Ok(())
    }

    /// The broker refused one partition. Returns whether the application has to be told.
    fn refused(&mut self, shared: &Shared, slot: usize, generation: u32, code: ErrorCode) -> bool {
        let client = &shared.client.shared;
        let (now, random, backoff) = (client.now(), client.random(), client.retry_backoff());
        let mut state = shared.lock();
        let cursor = &mut state.slots[slot].cursor;
        if generation != cursor.generation() {
            return false;
        }
        cursor.failed(now, &backoff, random);
        let tell = if code == ErrorCode::OffsetOutOfRange {
            cursor.out_of_range(generation, shared.config.offset_reset)
        } else {
            !code.is_retriable() || code == ErrorCode::CorruptMessage
        };
        if !tell {
            drop(state);
            client.invalidate_metadata();
            return false;
        }
        let place = state.slots[slot].place.clone();
        let error = if code == ErrorCode::OffsetOutOfRange {
            Error::new(
                ErrorKind::Offset,
                "position is not in the log and auto.offset.reset is none",
            )
        } else {
            Error::broker(code, None)
        };
        let mut error = error.at(&place.topic, place.partition);
        if let Some(position) = state.slots[slot].cursor.position() {
            error = error.at_offset(position);
        }
        if state.slots[slot].waiting.is_empty() {
            state.push(slot, Waiting::Failed(error));
            shared.arrived.notify_one();
        }
        true
    }
}

/// Puts the batches of one partition in line. Returns whether there are any.
fn take(
    shared: &Shared,
    slot: usize,
    (generation, asked): (u32, i64),
    data: &PartitionData<'_>,
    frame: &Bytes,
) -> bool {
    let records = data
        .records
        .as_ref()
        .and_then(|records| records.borrowed())
        .unwrap_or_default();
    let (bytes, next_offset) = whole_batches(records);
    let mut state = shared.lock();
    let cursor = &mut state.slots[slot].cursor;
    if generation == cursor.generation() {
        cursor.high_watermark = Some(data.high_watermark);
    }
    let Some(next_offset) = next_offset else {
        return false;
    };
    if !cursor.fetched(generation, asked, bytes, next_offset) {
        return false;
    }
    let aborted = match shared.config.isolation {
        Isolation::ReadUncommitted => Aborted::default(),
        Isolation::ReadCommitted => {
            let listed = data
                .aborted_transactions
                .iter()
                .flat_map(|listed| listed.iter());
            Aborted::new(listed.map(|aborted| (aborted.producer_id, aborted.first_offset)))
        }
    };
    let bytes = frame.slice_ref(&records[..bytes]);
    let fetched = Fetched {
        bytes,
        high_watermark: data.high_watermark,
        aborted,
    };
    state.push(slot, Waiting::Fetched(fetched));
    true
}
