//! One member of a group by the consumer protocol (KIP-848): the coordinator shares the partitions out, and all that is said
//! between the two is one heartbeat.
//!
//! ```text
//!   Join --epoch 0--> Member: told what it may hold
//!    ^                  |  let go of what went  (the application settles)
//!    |                  |  take what came
//!    |                  +--> say what it holds, at once
//!    +--- Prepare <-- fenced, unknown, or nobody asked for records
//! ```
//!
//! Tells the application the same [`Event`]s as a [classic member](super::member::Member), and knows as little of brokers and
//! clocks: [`step`](ConsumerMember::step) says what to do next, and whoever does it brings the answer.

mod answers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use highwater_wire::ErrorCode;
use uuid::Uuid;

use crate::core::backoff::Backoff;
use crate::core::group::member::{Call, Event, Identity, Leaving, Step};
use crate::core::group::protocol::NO_GENERATION;
use crate::core::group::topics::Topics;
use crate::error::TopicPartition;

/// The epoch of a member that joins.
const JOIN_EPOCH: i32 = 0;
/// The epoch of a member that leaves for good.
const LEAVE_EPOCH: i32 = -1;
/// The epoch of a static member that leaves for a while.
const AWAY_EPOCH: i32 = -2;
/// How often a member is heard of until the coordinator says how often it wants that: Kafka's default for groups.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);
/// However often the coordinator wants to hear of a member, it is not more often than this.
const HEARTBEAT_INTERVAL_MIN: Duration = Duration::from_millis(10);

/// The most partitions, and topics, that a member takes: what a coordinator says is bounded before it is kept.
const PARTITIONS_MAX: usize = 1_000_000;

/// How a member behaves.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// `group.instance.id`: a static member keeps its place when it goes away for a while.
    pub(crate) instance: Option<Arc<str>>,
    pub(crate) rack: Option<Arc<str>>,
    /// `group.remote.assignor`: how the member would like partitions to be shared out.
    pub(crate) assignor: Option<Arc<str>>,
    /// How long the application may go without asking for records, and how long it may take to let go.
    pub(crate) poll_interval_max: Duration,
    /// How long another member may keep hold of the instance id: one that died does until its session ends.
    pub(crate) patience: Duration,
    pub(crate) backoff: Backoff,
}

/// Partitions by the ids of their topics.
pub(crate) type Holds = BTreeMap<Uuid, BTreeSet<i32>>;

/// What a heartbeat says; what is `None` is as it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Beat {
    pub(crate) member_id: Arc<str>,
    /// 0 joins, -1 leaves, -2 leaves for a while.
    pub(crate) epoch: i32,
    /// Always said.
    pub(crate) instance: Option<Arc<str>>,
    pub(crate) rack: Option<Arc<str>>,
    pub(crate) rebalance_timeout: Option<Duration>,
    pub(crate) topics: Option<Topics>,
    /// Whether a pattern that was said before is taken back.
    pub(crate) drops_pattern: bool,
    pub(crate) assignor: Option<Arc<str>>,
    pub(crate) holds: Option<Holds>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The application has to hear that all is lost before the next `Join`.
    Prepare,
    Join,
    Member,
    /// Another has our instance id: that does not pass.
    Fenced,
}

/// What an answer is being waited for to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flight {
    Coordinator,
    /// A heartbeat as a member, or to become one.
    Beat,
    /// A heartbeat whose answer does not matter any more.
    Bygone,
    Leave,
}

/// A member's place.
#[derive(Debug)]
pub(crate) struct ConsumerMember {
    rules: Rules,
    topics: Topics,
    /// Drawn once and kept for life. Its generation is the member's epoch; -1 while not in the group.
    identity: Identity,
    stage: Stage,
    has_coordinator: bool,
    flight: Option<Flight>,
    owned: BTreeSet<TopicPartition>,
    /// The topic's id that goes with each name in `owned`: a name that is another topic's now is let go first.
    held: BTreeMap<Arc<str>, Uuid>,
    /// What the coordinator lets it hold; `None` until it says.
    target: Option<Holds>,
    /// Names of the topics in `target`, as far as known.
    names: BTreeMap<Uuid, Arc<str>>,
    /// What is to be said with the next heartbeat: everything, the topics, what it holds.
    says_all: bool,
    says_topics: bool,
    says_holds: bool,
    /// Whether the coordinator may have heard of a pattern.
    said_pattern: bool,
    events: VecDeque<Event>,
    /// How many events the application has not settled.
    unsettled: u32,
    leaving: Leaving,
    polled_at: Duration,
    /// Whether it was given up since it was last asked, because nobody asked for records.
    is_stalled: bool,
    heartbeat_at: Duration,
    heartbeat_interval: Duration,
    failures: u32,
    not_before: Duration,
    /// Since when another member has held on to the instance id.
    unreleased_since: Option<Duration>,
}

impl ConsumerMember {
    /// A member of this id, which no other member of any group may have.
    pub(crate) fn new(now: Duration, rules: Rules, topics: Topics, id: Arc<str>) -> Self {
        Self {
            rules,
            topics,
            identity: Identity {
                member_id: id,
                generation: NO_GENERATION,
            },
            stage: Stage::Join,
            has_coordinator: false,
            flight: None,
            owned: BTreeSet::new(),
            held: BTreeMap::new(),
            target: None,
            names: BTreeMap::new(),
            says_all: true,
            says_topics: false,
            says_holds: false,
            said_pattern: false,
            events: VecDeque::new(),
            unsettled: 0,
            leaving: Leaving::No,
            polled_at: now,
            is_stalled: false,
            heartbeat_at: now,
            heartbeat_interval: HEARTBEAT_INTERVAL,
            failures: 0,
            not_before: Duration::ZERO,
            unreleased_since: None,
        }
    }

    /// Who it is, if it is in the group; the generation is its epoch.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        Some(&self.identity).filter(|_| self.is_member())
    }

    pub(crate) fn owned(&self) -> &BTreeSet<TopicPartition> {
        &self.owned
    }

    pub(crate) fn topics(&self) -> &Topics {
        &self.topics
    }

    pub(crate) fn polled_at(&self) -> Duration {
        self.polled_at
    }

    /// Wants other topics from now on.
    pub(crate) fn subscribe(&mut self, topics: Topics) {
        if self.topics != topics {
            self.topics = topics;
            self.says_topics = true;
        }
    }

    /// The application asked for records.
    pub(crate) fn polled(&mut self, now: Duration) {
        self.polled_at = now;
    }

    /// Whether it was given up because nobody asked for records; says so once.
    pub(crate) fn take_stalled(&mut self) -> bool {
        std::mem::take(&mut self.is_stalled)
    }

    /// The application dealt with an event, and has let these go.
    pub(crate) fn settled(&mut self, let_go: &[TopicPartition]) {
        for place in let_go {
            self.says_holds |= self.owned.remove(place);
        }
        self.forget_names();
        self.unsettled = self.unsettled.saturating_sub(1);
        if self.unsettled == 0 && self.stage == Stage::Prepare {
            self.stage = Stage::Join;
        }
    }

    /// Leaves the group; events that were not told are dropped.
    pub(crate) fn leave(&mut self) {
        if self.leaving == Leaving::No {
            self.leaving = Leaving::Wanted;
            self.events.clear();
        }
    }

    /// The coordinator refused a commit of this identity, or a question for what is committed.
    pub(crate) fn commit_refused(&mut self, identity: &Identity, code: ErrorCode) {
        if self.identity() != Some(identity) {
            return;
        }
        if code == ErrorCode::StaleMemberEpoch {
            // Only a heartbeat tells the epoch that the coordinator has given it since.
            self.heartbeat_at = Duration::ZERO;
        } else if matches!(
            code,
            ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch
        ) {
            self.lose(false);
        }
    }

    /// Looks up the names of topics that the coordinator named by their ids.
    pub(crate) fn resolve(&mut self, name_of: impl Fn(&Uuid) -> Option<Arc<str>>) {
        for id in self.missing() {
            if let Some(name) = name_of(&id) {
                self.names.insert(id, name);
            }
        }
    }

    /// Ids of topics that it may hold partitions of, and whose names nobody knows yet.
    pub(crate) fn missing(&self) -> BTreeSet<Uuid> {
        let ids = self.target.iter().flat_map(BTreeMap::keys);
        ids.filter(|id| !self.names.contains_key(*id))
            .copied()
            .collect()
    }

    /// Whether it waits for the name of a topic.
    pub(crate) fn misses_topics(&self) -> bool {
        let mut ids = self.target.iter().flat_map(BTreeMap::keys);
        ids.any(|id| !self.names.contains_key(id))
    }

    pub(crate) fn has_coordinator(&self) -> bool {
        self.has_coordinator
    }

    /// What to do next.
    pub(crate) fn step(&mut self, now: Duration) -> Step {
        if self.leaving != Leaving::No {
            return self.step_out();
        }
        loop {
            if let Some(event) = self.events.pop_front() {
                return Step::Tell(event);
            }
            if self.flight.is_some() || self.stage == Stage::Fenced {
                return Step::Wait(None);
            }
            if self.is_member() && now >= self.poll_deadline() {
                return self.stalled();
            }
            if now < self.not_before {
                return Step::Wait(Some(self.not_before));
            }
            if self.stage == Stage::Prepare {
                return Step::Wait(None);
            }
            if !self.has_coordinator {
                self.flight = Some(Flight::Coordinator);
                return Step::Send(Call::FindCoordinator);
            }
            if self.stage == Stage::Join {
                return self.beat();
            }
            if !self.reconcile() {
                break;
            }
        }
        if self.says_all || self.says_topics || self.says_holds || now >= self.heartbeat_at {
            return self.beat();
        }
        Step::Wait(Some(self.heartbeat_at.min(self.poll_deadline())))
    }

    fn is_member(&self) -> bool {
        self.identity.generation > JOIN_EPOCH
    }

    fn poll_deadline(&self) -> Duration {
        self.polled_at.saturating_add(self.rules.poll_interval_max)
    }

    /// Goes a step towards what it may hold: first lets go, then takes. Whether there is something to tell.
    fn reconcile(&mut self) -> bool {
        let (0, Some(target)) = (self.unsettled, &self.target) else {
            return false;
        };
        let may_hold = |place: &TopicPartition| {
            let id = self.held.get(&place.topic);
            id.and_then(|id| target.get(id))
                .is_some_and(|partitions| partitions.contains(&place.partition))
        };
        let goes: Vec<TopicPartition> = self
            .owned
            .iter()
            .filter(|place| !may_hold(place))
            .cloned()
            .collect();
        if !goes.is_empty() {
            self.unsettled += 1;
            self.events.push_back(Event::Revoke(goes));
            return true;
        }
        let mut comes = Vec::new();
        for (id, partitions) in target {
            let Some(name) = self.names.get(id) else {
                continue;
            };
            if *self.held.entry(Arc::clone(name)).or_insert(*id) != *id {
                continue;
            }
            let places = partitions
                .iter()
                .map(|it| TopicPartition::new(Arc::clone(name), *it));
            comes.extend(places.filter(|place| !self.owned.contains(place)));
        }
        if comes.is_empty() {
            return false;
        }
        comes.sort();
        self.owned.extend(comes.iter().cloned());
        self.says_holds = true;
        self.events.push_back(Event::Assigned(comes));
        true
    }

    /// What it does not hold any more needs no name, unless it may be held again.
    fn forget_names(&mut self) {
        let owned = &self.owned;
        self.held.retain(|name, _| {
            let first = TopicPartition::new(Arc::clone(name), i32::MIN);
            owned
                .range(first..)
                .next()
                .is_some_and(|place| place.topic == *name)
        });
        let target = self.target.as_ref();
        self.names
            .retain(|id, _| target.is_some_and(|target| target.contains_key(id)));
    }

    fn holds(&self) -> Holds {
        let mut holds = Holds::new();
        for place in &self.owned {
            if let Some(id) = self.held.get(&place.topic) {
                holds.entry(*id).or_default().insert(place.partition);
            }
        }
        holds
    }

    fn beat(&mut self) -> Step {
        let all = std::mem::take(&mut self.says_all);
        let topics = std::mem::take(&mut self.says_topics) || all;
        let holds = std::mem::take(&mut self.says_holds) || all;
        let has_pattern = matches!(self.topics, Topics::Matching(_));
        let beat = Beat {
            member_id: Arc::clone(&self.identity.member_id),
            epoch: self.identity.generation.max(JOIN_EPOCH),
            instance: self.rules.instance.clone(),
            rack: self.rules.rack.clone().filter(|_| all),
            rebalance_timeout: all.then_some(self.rules.poll_interval_max),
            topics: topics.then(|| self.topics.clone()),
            drops_pattern: topics && self.said_pattern && !has_pattern,
            assignor: self.rules.assignor.clone().filter(|_| all),
            holds: holds.then(|| self.holds()),
        };
        self.said_pattern |= has_pattern;
        self.flight = Some(Flight::Beat);
        Step::Send(Call::Beat(beat))
    }

    /// Says that it leaves: a static member for a while only, because it may be back before its session ends.
    fn say_farewell(&mut self) -> Step {
        let away = self.rules.instance.is_some();
        self.flight = Some(Flight::Leave);
        Step::Send(Call::Beat(Beat {
            member_id: Arc::clone(&self.identity.member_id),
            epoch: if away { AWAY_EPOCH } else { LEAVE_EPOCH },
            instance: self.rules.instance.clone(),
            rack: None,
            rebalance_timeout: None,
            topics: None,
            drops_pattern: false,
            assignor: None,
            holds: None,
        }))
    }

    fn step_out(&mut self) -> Step {
        // Whoever joins may be a member already, of which the answer only tells.
        let joins = self.stage == Stage::Join && self.flight == Some(Flight::Beat);
        let known = self.has_coordinator && (self.is_member() || joins);
        match self.leaving {
            Leaving::Wanted if known => {
                self.leaving = Leaving::Sent;
                self.say_farewell()
            }
            Leaving::Sent if self.flight.is_some() => Step::Wait(None),
            Leaving::No | Leaving::Wanted | Leaving::Sent | Leaving::Done => {
                self.leaving = Leaving::Done;
                Step::Stop
            }
        }
    }

    /// The application went away without closing: others shall have its partitions.
    fn stalled(&mut self) -> Step {
        tracing::warn!(limit = ?self.rules.poll_interval_max, "nobody asked for records within max.poll.interval.ms");
        self.is_stalled = true;
        self.lose(true);
        if self.has_coordinator {
            return self.say_farewell();
        }
        Step::Wait(None)
    }

    /// It is not in the group any more. With `tell_always` the application has to ask before it joins again.
    fn lose(&mut self, tell_always: bool) {
        let owned: Vec<TopicPartition> = std::mem::take(&mut self.owned).into_iter().collect();
        if tell_always || !owned.is_empty() {
            self.unsettled += 1;
            self.events.push_back(Event::Lost(owned));
        }
        if self.flight == Some(Flight::Beat) {
            self.flight = Some(Flight::Bygone);
        }
        self.identity.generation = NO_GENERATION;
        self.target = None;
        self.forget_names();
        self.says_all = true;
        self.stage = if self.unsettled == 0 {
            Stage::Join
        } else {
            Stage::Prepare
        };
    }

    fn pause(&mut self, now: Duration, random: u64) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = now + self.rules.backoff.pause(self.failures, random);
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
