//! A consumer's group: the shell around its [`Seat`], and the offsets that are kept with the group's coordinator.
//!
//! One task talks for the member, on a connection of its own because a join may wait for minutes; another one commits. What the
//! application has to know waits here until it asks for records.

mod commits;
mod coordinator;
mod driver;
mod heartbeat;
mod offsets;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use highwater_wire::ErrorCode;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use uuid::Builder;

use self::commits::Commits;
pub(crate) use self::commits::Offsets;
pub(crate) use self::coordinator::{Coordinator, Retry};
pub(crate) use self::offsets::{commit_offsets, fetch_offsets};
use crate::client::Client;
use crate::config::{GroupConfig, GroupProtocol};
use crate::core::group::consumer_member::{self, ConsumerMember};
use crate::core::group::member::{Event, Identity, Rules};
use crate::core::group::seat::Seat;
use crate::core::group::topics::Topics;
use crate::error::{Error, Result, TopicPartition};

/// How far a group has consumed a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The offset of the next record to consume.
    pub offset: i64,
    /// The leader epoch of the last record that was consumed; -1 when it is not known.
    pub leader_epoch: i32,
    /// A note, at most `offset.metadata.max.bytes` long.
    pub metadata: String,
}

impl From<i64> for Committed {
    fn from(offset: i64) -> Self {
        Self {
            offset,
            leader_epoch: -1,
            metadata: String::new(),
        }
    }
}

/// What a group says of a consumer in it: for exactly-once producers and for logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadata {
    /// The group's id.
    pub group_id: String,
    /// The id that the coordinator gave to this member; empty outside of the group.
    pub member_id: String,
    /// The generation it is in, or its epoch in a group of the consumer protocol; -1 outside of the group.
    pub generation: i32,
    /// `group.instance.id`, of a static member.
    pub instance_id: Option<String>,
}

/// A consumer's group, as the consumer's listener gets to see it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Group(Arc<Shared>);

impl Group {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Who this consumer is in its group.
    pub fn metadata(&self) -> GroupMetadata {
        let identity = self.0.identity();
        GroupMetadata {
            group_id: self.0.id.to_string(),
            generation: identity.as_ref().map_or(-1, |identity| identity.generation),
            member_id: identity.map_or_else(String::new, |identity| identity.member_id.to_string()),
            instance_id: self.0.config.instance_id.clone(),
        }
    }

    /// Commits these offsets and waits until the coordinator has them.
    ///
    /// Cancel-safe in that they are committed all the same.
    ///
    /// # Errors
    ///
    /// The coordinator's code, [`IllegalGeneration`](crate::ErrorCode::IllegalGeneration) where the partition is not this
    /// member's any more, or a time-out.
    pub async fn commit<O: Into<Committed>>(
        &self,
        offsets: impl IntoIterator<Item = (TopicPartition, O)>,
    ) -> Result<()> {
        let offsets = offsets
            .into_iter()
            .map(|(place, offset)| (place, offset.into()));
        self.0.commits.enqueue(offsets.collect()).await
    }

    /// What the group has committed for these partitions; `None` where it has not committed anything.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// The coordinator's code, or a time-out.
    pub async fn committed(
        &self,
        places: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, Option<Committed>>> {
        self.0.committed(&places.into_iter().collect()).await
    }
}

/// What a consumer and the tasks of its group share.
#[derive(Debug)]
pub(crate) struct Shared {
    client: Client,
    pub(crate) config: GroupConfig,
    id: Arc<str>,
    coordinator: Coordinator,
    /// None when the consumer's partitions are assigned by hand.
    member: Option<Mutex<Seat>>,
    /// Told when the member has something to do.
    wake: Notify,
    events: Mutex<VecDeque<Event>>,
    /// Whether there is an event, or positions are to be committed.
    calls: AtomicBool,
    commit_due: AtomicBool,
    /// Told when something waits for the application.
    arrived: Arc<Notify>,
    /// Counts how often the application asked for records; only the application counts.
    polls: AtomicU64,
    /// Whether the application is waiting for records at this moment.
    waiting: AtomicBool,
    pub(crate) commits: Commits,
    /// How often the member was given up because the application did not ask for records.
    stalls: watch::Sender<u64>,
    ended: watch::Sender<bool>,
}

impl Shared {
    /// Starts the tasks, in the runtime that this is called in.
    pub(crate) fn start(
        client: &Client,
        config: GroupConfig,
        topics: Option<Topics>,
        rack: Option<String>,
        arrived: Arc<Notify>,
    ) -> Result<Arc<Self>> {
        let id: Arc<str> = match config.id.as_deref() {
            Some(id) if !id.is_empty() => id.into(),
            Some(_) | None => return Err(Error::config("group.id is not set")),
        };
        let member = topics.map(|topics| Mutex::new(seat(client, &config, topics, rack)));
        let is_member = member.is_some();
        let shared = Arc::new(Self {
            coordinator: Coordinator::new(client.clone(), Arc::clone(&id)),
            client: client.clone(),
            config,
            id,
            member,
            wake: Notify::new(),
            events: Mutex::default(),
            calls: AtomicBool::new(false),
            commit_due: AtomicBool::new(false),
            arrived,
            polls: AtomicU64::new(0),
            waiting: AtomicBool::new(false),
            commits: Commits::new(),
            stalls: watch::Sender::default(),
            ended: watch::Sender::new(!is_member),
        });
        tokio::spawn(commits::run(Arc::clone(&shared)));
        if is_member {
            tokio::spawn(driver::run(Arc::clone(&shared)));
        }
        Ok(shared)
    }

    fn member(&self) -> Option<MutexGuard<'_, Seat>> {
        let member = self.member.as_ref()?;
        Some(member.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn identity(&self) -> Option<Identity> {
        self.member()?.identity().cloned()
    }

    pub(crate) fn is_member(&self) -> bool {
        self.member.is_some()
    }

    /// The application asks for records.
    #[inline]
    pub(crate) fn polled(&self) {
        // Only one task polls: no read-modify-write is needed.
        self.polls.store(
            self.polls.load(Ordering::Relaxed).wrapping_add(1),
            Ordering::Relaxed,
        );
    }

    /// The application waits for records until what this returns is dropped.
    pub(crate) fn waiting(self: &Arc<Self>) -> Waiting {
        self.waiting.store(true, Ordering::Relaxed);
        Waiting(Arc::clone(self))
    }

    /// Counts how often the member was given up because the application did not ask for records.
    pub(crate) fn stalls(&self) -> watch::Receiver<u64> {
        self.stalls.subscribe()
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Whether the application has to do something, as far as known without a lock.
    #[inline]
    pub(crate) fn calls(&self) -> bool {
        self.calls.load(Ordering::Acquire)
    }

    /// Positions are to be committed.
    fn commit_now(&self) {
        self.commit_due.store(true, Ordering::Release);
        self.calls.store(true, Ordering::Release);
        self.arrived.notify_one();
    }

    /// Whether positions are to be committed; says so once.
    pub(crate) fn take_commit_due(&self) -> bool {
        self.commit_due.swap(false, Ordering::AcqRel)
    }

    fn events(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: Event) {
        let mut events = self.events();
        match (events.back_mut(), event) {
            // Rebalances that only add are not waited for: so there may be many.
            (Some(Event::Assigned(before)), Event::Assigned(more)) => before.extend(more),
            (_, event) => events.push_back(event),
        }
        self.calls.store(true, Ordering::Release);
        drop(events);
        self.arrived.notify_one();
    }

    pub(crate) fn next_event(&self) -> Option<Event> {
        let mut events = self.events();
        let event = events.pop_front();
        self.calls.store(!events.is_empty(), Ordering::Release);
        event
    }

    /// Puts an event back that could not be dealt with yet.
    pub(crate) fn put_back(&self, event: Event) {
        self.events().push_front(event);
        self.calls.store(true, Ordering::Release);
    }

    pub(crate) fn subscribe(&self, topics: Topics) {
        if let Some(mut member) = self.member() {
            member.subscribe(topics);
        }
        // What a pattern matches may be known already.
        self.cluster_changed();
        self.wake.notify_one();
    }

    /// The application dealt with an event and let these go.
    pub(crate) fn settled(&self, let_go: &[TopicPartition]) {
        if let Some(mut member) = self.member() {
            member.settled(let_go);
        }
        self.wake.notify_one();
    }

    /// The coordinator refused something of this identity.
    fn refused(&self, identity: &Identity, code: ErrorCode) {
        if let Some(mut member) = self.member() {
            member.commit_refused(identity, code);
        }
        self.wake.notify_one();
    }

    pub(crate) async fn committed(
        &self,
        places: &BTreeSet<TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, Option<Committed>>> {
        let mut found = BTreeMap::new();
        if !places.is_empty() {
            // By the classic protocol the coordinator does not want to know, or would compare a generation that is just ending.
            let whose = || {
                let mut seat = self.member()?;
                seat.as_consumer()?.identity().cloned()
            };
            let fetched =
                offsets::fetch_as_member(&self.coordinator, places, whose, |identity, code| {
                    self.refused(identity, code);
                })
                .await?;
            for (place, committed) in fetched {
                found.insert(place, committed?);
            }
        }
        Ok(found)
    }

    /// Commits what is enqueued and leaves, in the background.
    pub(crate) fn close(&self) {
        self.commits.close();
    }

    /// Waits until the group is left.
    pub(crate) async fn closed(&self, within: Duration) -> Result<()> {
        let mut ended = self.ended.subscribe();
        let left = timeout(within, ended.wait_for(|ended| *ended))
            .await
            .is_ok();
        let why = || {
            Error::timeout(format!(
                "group {:?} was not left within {within:?}",
                self.id
            ))
        };
        left.then_some(()).ok_or_else(why)
    }
}

/// A member by the protocol that the configuration asks for.
fn seat(client: &Client, config: &GroupConfig, topics: Topics, rack: Option<String>) -> Seat {
    let now = client.shared.now();
    let instance: Option<Arc<str>> = config.instance_id.as_deref().map(Arc::from);
    let backoff = client.shared.retry_backoff();
    let classic = Rules {
        instance: instance.clone(),
        rack: rack.clone(),
        heartbeat_interval: config.heartbeat_interval,
        poll_interval_max: config.poll_interval_max,
        assignors: config.assignors.clone(),
        backoff,
    };
    let fallback = match config.protocol {
        GroupProtocol::Consumer => None,
        GroupProtocol::Auto if config.classic_only().is_none() => Some(classic),
        GroupProtocol::Auto | GroupProtocol::Classic => {
            return Seat::classic(now, classic, &topics);
        }
    };
    let rules = consumer_member::Rules {
        instance,
        rack: rack.map(Arc::from),
        assignor: config.remote_assignor.as_deref().map(Arc::from),
        poll_interval_max: config.poll_interval_max,
        patience: config.session_timeout,
        backoff,
    };
    let random = [client.shared.random(), client.shared.random()];
    let bytes = [random[0].to_be_bytes(), random[1].to_be_bytes()].concat();
    let bytes = *bytes.first_chunk().expect("two words are sixteen bytes");
    let id = Builder::from_random_bytes(bytes).into_uuid().to_string();
    Seat::consumer(ConsumerMember::new(now, rules, topics, id.into()), fallback)
}

/// The application waits for records as long as this lives.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<Shared>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.store(false, Ordering::Relaxed);
    }
}
