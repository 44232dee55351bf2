//! Classic groups: members gather in generations, one of them assigns, the coordinator only brings them together. What a
//! member says and gets are bytes; only who wants to know which topics are subscribed to looks inside.
//!
//! ```text
//!            first member            all joined, or time is over           the leader's SyncGroup
//!   Empty ───────────────► Preparing ───────────────────────► Completing ──────────────────────► Stable
//!     ▲                     ▲  │  ▲                               │  a member comes or goes        │
//!     └─────────────────────┼──┘  └───────────────────────────────┘                                │
//!       nobody is left      └──────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! The rules are those of `ClassicGroup.java` and `GroupMetadataManager.java`. Its fifth state, Dead, is that of a group that
//! is not there.

mod describe;
mod heartbeat;
mod join;
mod leave;
mod member;
mod rebalance;
mod record;
mod static_member;
mod sync;
mod turn;

#[cfg(test)]
mod churn;
#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod static_tests;
#[cfg(test)]
mod tests;

pub(crate) use heartbeat::heartbeat;
pub(crate) use join::join;
pub(crate) use leave::leave;
pub(crate) use member::{Member, Parked, Protocol};
pub(crate) use rebalance::expired;
pub(crate) use record::replay;
pub(crate) use sync::sync;
pub(crate) use turn::{Turn, refuse_join, refuse_sync};

use highwater_wire::consumer_protocol::ConsumerProtocolSubscription;
use highwater_wire::{Cursor, Decode, ErrorCode};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The protocol type of consumers (`ConsumerProtocol.PROTOCOL_TYPE`).
pub(crate) const CONSUMER: &str = "consumer";

/// Where a classic group stands (`ClassicGroupState.java`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nobody is there; there may be offsets.
    Empty,
    /// Members are waited for, to join or join again.
    PreparingRebalance,
    /// All members have joined; the leader's assignment is waited for.
    CompletingRebalance,
    /// Every member has its assignment, or may fetch it.
    Stable,
}

impl State {
    /// Kafka's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }
}

/// A classic group, also one that only holds offsets.
#[derive(Debug)]
pub(crate) struct ClassicGroup {
    pub(crate) id: Rc<str>,
    pub(crate) state: State,
    /// The state before: a rebalance out of `Empty` waits for more members.
    pub(crate) previous: State,
    /// When the group came into its state, in milliseconds since 1970; -1 when it is not known.
    pub(crate) since_unix_ms: i64,
    /// What kind of group it is; none for one that only ever held offsets.
    pub(crate) protocol_type: Option<Rc<str>>,
    /// What the members voted for. Invariant: some in `CompletingRebalance` and `Stable`.
    pub(crate) protocol: Option<Rc<str>>,
    pub(crate) generation: i32,
    /// Invariant: a member, and some unless there are none.
    pub(crate) leader: Option<Rc<str>>,
    pub(crate) members: BTreeMap<Rc<str>, Member>,
    /// Members by their instance ids.
    pub(crate) instances: BTreeMap<Rc<str>, Rc<str>>,
    /// Ids that were given out and have not joined yet.
    pub(crate) pending: BTreeSet<Rc<str>>,
    /// Members that have not asked for their assignment in this generation.
    pub(crate) pending_sync: BTreeSet<Rc<str>>,
    /// How many members wait for the generation to begin. Invariant: those with `parked_join`.
    pub(crate) joined: usize,
    /// How many members speak each protocol.
    pub(crate) spoken: BTreeMap<Rc<str>, usize>,
    /// The wait of an initial rebalance, while it lasts.
    pub(crate) initial: Option<InitialDelay>,
    /// What members say, are called and were given, in bytes. Invariant: the sum of [`Member::bytes`] and of ids.
    bytes: usize,
}

/// How long a rebalance out of `Empty` waits for more members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InitialDelay {
    /// The step that is under way, in milliseconds.
    pub(crate) step_ms: i64,
    /// What may be waited after it, in milliseconds.
    pub(crate) left_ms: i64,
    /// Whether somebody came during the step: another one follows then.
    pub(crate) somebody_came: bool,
}

impl ClassicGroup {
    /// A group without members.
    pub(crate) fn new(id: Rc<str>, since_unix_ms: i64) -> ClassicGroup {
        ClassicGroup {
            id,
            state: State::Empty,
            previous: State::Empty,
            since_unix_ms,
            protocol_type: None,
            protocol: None,
            generation: 0,
            leader: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            pending: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            joined: 0,
            spoken: BTreeMap::new(),
            initial: None,
            bytes: 0,
        }
    }

    /// What members say, are called and were given, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives out an id that somebody is to join with.
    pub(crate) fn expect(&mut self, id: Rc<str>) {
        self.bytes += id.len();
        self.pending.insert(id);
    }

    /// Whether it can be deleted: nobody is there, and nobody was told to come.
    pub(crate) fn is_vacant(&self) -> bool {
        self.state == State::Empty && self.pending.is_empty()
    }

    /// Whether its members are consumers.
    pub(crate) fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// Whether the member leads.
    pub(crate) fn is_led_by(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }

    /// Whether every member has joined, and everybody who was told to come.
    pub(crate) fn have_all_joined(&self) -> bool {
        self.joined == self.members.len() && self.pending.is_empty()
    }

    /// The longest rebalance time-out of its members, in milliseconds.
    pub(crate) fn rebalance_timeout_ms(&self) -> i64 {
        let longest = self
            .members
            .values()
            .map(|member| member.rebalance_timeout_ms);
        i64::from(longest.max().unwrap_or(0).max(0))
    }

    /// Adds a member. The first one says what kind of group it is, and leads it.
    pub(crate) fn add(&mut self, id: Rc<str>, member: Member, protocol_type: &str) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.into());
        }
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(id.clone());
        }
        for protocol in &member.protocols {
            *self.spoken.entry(protocol.name.clone()).or_default() += 1;
        }
        if self.pending.remove(&id) {
            self.bytes -= id.len();
        }
        self.joined += usize::from(member.parked_join.is_some());
        self.bytes += id.len() + member.bytes();
        self.members.insert(id, member);
    }

    /// Removes a member, or somebody who was told to come. Who led is followed by another member.
    pub(crate) fn remove(&mut self, id: &str) -> Option<Member> {
        if self.pending.remove(id) {
            self.bytes -= id.len();
        }
        self.pending_sync.remove(id);
        let member = self.members.remove(id)?;
        self.bytes -= id.len() + member.bytes();
        self.joined -= usize::from(member.parked_join.is_some());
        self.forget_spoken(&member.protocols);
        if let Some(instance) = &member.instance
            && self.instances.get(instance).is_some_and(|at| **at == *id)
        {
            self.instances.remove(instance);
        }
        if self.is_led_by(id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// Gives a member other protocols.
    pub(crate) fn set_protocols(&mut self, id: &str, protocols: Vec<Protocol>) -> Vec<Protocol> {
        let Some(member) = self.members.get_mut(id) else {
            return protocols;
        };
        self.bytes -= member.bytes();
        let before = std::mem::replace(&mut member.protocols, protocols);
        self.bytes += member.bytes();
        for protocol in &member.protocols {
            *self.spoken.entry(protocol.name.clone()).or_default() += 1;
        }
        self.forget_spoken(&before);
        before
    }

    /// Gives a member what the leader gave it.
    pub(crate) fn assign(&mut self, id: &str, assignment: &[u8]) {
        if let Some(member) = self.members.get_mut(id) {
            self.bytes -= member.assignment.len();
            self.bytes += assignment.len();
            member.assignment = assignment.into();
        }
    }

    /// Gives a static member another id; gives back what it waited for under the former one.
    pub(crate) fn rename(&mut self, from: &Rc<str>, to: &Rc<str>) -> [Option<Parked>; 2] {
        let leads = self.is_led_by(from);
        let Some(mut member) = self.members.remove(from) else {
            return [None; 2];
        };
        let waits = [member.parked_join.take(), member.parked_sync.take()];
        self.joined -= usize::from(waits[0].is_some());
        self.bytes = self.bytes - from.len() + to.len();
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), to.clone());
        }
        self.members.insert(to.clone(), member);
        if leads {
            self.leader = Some(to.clone());
        }
        if self.pending_sync.remove(from) {
            self.pending_sync.insert(to.clone());
        }
        waits
    }

    fn forget_spoken(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            if let Some(count) = self.spoken.get_mut(&protocol.name) {
                *count -= 1;
                if *count == 0 {
                    self.spoken.remove(&protocol.name);
                }
            }
        }
    }

    /// Whether this is the member that it says it is.
    ///
    /// # Errors
    /// `UNKNOWN_MEMBER_ID`, and `FENCED_INSTANCE_ID` when the instance is another member by now.
    pub(crate) fn check_member(&self, id: &str, instance: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance) = instance {
            match self.instances.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(member) if **member != *id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(id) {
            Ok(())
        } else {
            Err(ErrorCode::UnknownMemberId)
        }
    }

    /// Whether somebody with this protocol type and these protocols fits in.
    pub(crate) fn fits<'a>(
        &self,
        protocol_type: &str,
        mut protocols: impl Iterator<Item = &'a str>,
    ) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && protocols.next().is_some();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols
                .any(|name| self.spoken.get(name).copied().unwrap_or(0) == self.members.len())
    }

    /// What the members vote for: each for the first of its protocols that all speak. Of as many votes, the first name.
    pub(crate) fn elect_protocol(&self) -> Option<Rc<str>> {
        let mut votes: BTreeMap<&Rc<str>, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote = member
                .protocols
                .iter()
                .find(|protocol| self.spoken.get(&protocol.name) == Some(&self.members.len()));
            if let Some(protocol) = vote {
                *votes.entry(&protocol.name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes
            .into_iter()
            .find(|(_, count)| *count == most)
            .map(|(name, _)| name.clone())
    }

    /// Makes sure that a leader is among those that have joined. False when nobody has.
    pub(crate) fn elect_joined_leader(&mut self) -> bool {
        let has_joined = |id: &Rc<str>| {
            let member = self.members.get(id);
            member.is_some_and(|member| member.parked_join.is_some())
        };
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        let joined = self.members.keys().find(|id| has_joined(id)).cloned();
        let elected = joined.is_some();
        if elected {
            tracing::info!(group = %self.id, from = ?self.leader, to = ?joined, "leader has not joined, another leads");
            self.leader = joined;
        }
        elected
    }

    /// Goes into another state.
    pub(crate) fn enter(&mut self, state: State, unix_ms: i64) {
        self.previous = self.state;
        self.state = state;
        self.since_unix_ms = unix_ms;
    }

    /// Begins the next generation, of those who are there.
    pub(crate) fn begin_generation(&mut self, unix_ms: i64) {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.pending_sync.clear();
        if self.members.is_empty() {
            self.protocol = None;
            self.enter(State::Empty, unix_ms);
        } else {
            self.protocol = self.elect_protocol().or_else(|| self.protocol.take());
            self.enter(State::CompletingRebalance, unix_ms);
        }
    }

    /// The topics that members are subscribed to, where that can be known: among consumers whose subscriptions can be read.
    pub(crate) fn subscribed_topics(&self) -> Option<BTreeSet<&str>> {
        if !self.is_of_consumers() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol.as_deref()?;
        let mut topics = BTreeSet::new();
        let mut last: &[u8] = &[];
        for member in self.members.values() {
            let metadata = member.metadata(protocol);
            if metadata == last {
                continue;
            }
            last = metadata;
            topics.extend(&subscription_v0(metadata)?.topics);
        }
        Some(topics)
    }
}

/// A subscription, read as its first version: all later ones begin like it, and no assignor's user data matter here.
fn subscription_v0(bytes: &[u8]) -> Option<ConsumerProtocolSubscription<'_>> {
    let mut cursor = Cursor::new(bytes);
    let version = i16::from_be_bytes(cursor.fixed().ok()?);
    if version < 0 {
        return None;
    }
    ConsumerProtocolSubscription::decode(0, &mut cursor).ok()
}
