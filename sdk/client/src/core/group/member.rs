//! One member of a classic group: joins, leads where it is told to, keeps its place with heartbeats, and says what the
//! application has to let go and what it gets.
//!
//! ```text
//!            +-- eager: all is let go --+
//!            v                          |
//!  Join -> Assign (leader) -> Sync -> Stable <-- heartbeats
//!    ^                          |
//!    +--- Release <-------------+  cooperative: what went to another is let go, then once more
//! ```
//!
//! Knows no broker and no clock: [`step`](Member::step) says what to do next, and whoever does it brings the answer. One
//! request is under way at a time, because a broker answers a connection's requests in turn.

mod answers;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use highwater_wire::ErrorCode;

use crate::core::backoff::Backoff;
use crate::core::group::assignor::{Assignor, Partitions};
use crate::core::group::consumer_member::Beat;
use crate::core::group::protocol::{NO_GENERATION, Subscriber, Subscription};
use crate::error::{Error, ErrorKind, TopicPartition};

/// How a member behaves.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// `group.instance.id`: a static member keeps its place when it goes away for a while.
    pub(crate) instance: Option<Arc<str>>,
    pub(crate) rack: Option<String>,
    pub(crate) heartbeat_interval: Duration,
    /// How long the application may go without asking for records.
    pub(crate) poll_interval_max: Duration,
    /// In the order of preference. Invariant: not empty.
    pub(crate) assignors: Vec<Assignor>,
    pub(crate) backoff: Backoff,
}

/// Who a member is to the coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Empty until the coordinator gave one out.
    pub(crate) member_id: Arc<str>,
    /// -1 while not in the group.
    pub(crate) generation: i32,
}

impl Identity {
    fn nobody() -> Self {
        Self {
            member_id: "".into(),
            generation: NO_GENERATION,
        }
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask this; a request under way is given up for it.
    Send(Call),
    /// Tell the application.
    Tell(Event),
    /// Nothing before this time, or until something happens.
    Wait(Option<Duration>),
    /// Nothing, ever: the member has left.
    Stop,
}

/// A question to the coordinator, or about the topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    FindCoordinator,
    Join {
        member_id: Arc<str>,
        protocols: Vec<(Assignor, Vec<u8>)>,
        reason: Option<&'static str>,
    },
    /// How many partitions these topics have.
    Count(BTreeSet<Arc<str>>),
    Sync {
        identity: Identity,
        protocol: Assignor,
        assignments: Vec<(Arc<str>, Vec<u8>)>,
    },
    Heartbeat(Identity),
    Leave {
        member_id: Arc<str>,
        reason: &'static str,
    },
    /// All that a member of the consumer protocol says.
    Beat(Beat),
}

/// What the application has to know. All but `Assigned` want to be [settled](Member::settled).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// These are to be let go; until it is settled, their offsets can be committed.
    Revoke(Vec<TopicPartition>),
    /// These are another's already.
    Lost(Vec<TopicPartition>),
    /// These are new.
    Assigned(Vec<TopicPartition>),
    /// The coordinator will not have us.
    Failed(Failure),
}

/// Why a member is not in the group.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The coordinator said so.
    Refused {
        code: ErrorCode,
        detail: Option<String>,
    },
    /// It could not be asked, and asking again would not change that.
    Unable(Error),
}

impl PartialEq for Failure {
    fn eq(&self, other: &Self) -> bool {
        let parts = |failure: &Self| match failure {
            Self::Refused { code, detail } => (ErrorKind::Broker(*code), detail.clone()),
            Self::Unable(error) => (error.kind().clone(), Some(error.to_string())),
        };
        std::mem::discriminant(self) == std::mem::discriminant(other) && parts(self) == parts(other)
    }
}

impl Eq for Failure {}

#[derive(Debug)]
enum Stage {
    /// The application is letting go before the next `Join`.
    Prepare,
    Join,
    Assign(Lead),
    Sync {
        protocol: Assignor,
        assignments: Vec<(Arc<str>, Vec<u8>)>,
    },
    /// The application is letting go what went to another.
    Release,
    Stable,
    /// Another has our instance id: that does not pass.
    Fenced,
}

/// What the leader of a generation knows.
#[derive(Debug)]
struct Lead {
    assignor: Assignor,
    members: Vec<Subscriber>,
    /// A static leader came back and leaves the assignment as it is (KIP-814).
    skip: bool,
}

impl Lead {
    fn topics(&self) -> BTreeSet<Arc<str>> {
        self.members
            .iter()
            .flat_map(|member| &member.topics)
            .map(Arc::clone)
            .collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    No,
    Wanted,
    Sent,
    Done,
}

/// A member's place.
#[derive(Debug)]
pub(crate) struct Member {
    rules: Rules,
    topics: BTreeSet<Arc<str>>,
    identity: Identity,
    stage: Stage,
    has_coordinator: bool,
    /// Whether an answer is being waited for.
    under_way: bool,
    owned: BTreeSet<TopicPartition>,
    /// What it had when it was last assigned something, and in which generation.
    previous: Option<(BTreeSet<TopicPartition>, i32)>,
    events: VecDeque<Event>,
    /// How many events the application has not settled.
    unsettled: u32,
    leaving: Leaving,
    /// Why to join again as soon as that is possible.
    rejoin: Option<&'static str>,
    /// As leader: what the assignment was made from.
    counted: Option<Partitions>,
    polled_at: Duration,
    /// Whether it was given up since it was last asked, because nobody asked for records.
    is_stalled: bool,
    heartbeat_at: Duration,
    failures: u32,
    not_before: Duration,
}

impl Member {
    pub(crate) fn new(now: Duration, rules: Rules, topics: BTreeSet<Arc<str>>) -> Self {
        assert!(!rules.assignors.is_empty(), "a member speaks some protocol");
        Self {
            rules,
            topics,
            identity: Identity::nobody(),
            stage: Stage::Join,
            has_coordinator: false,
            under_way: false,
            owned: BTreeSet::new(),
            previous: None,
            events: VecDeque::new(),
            unsettled: 0,
            leaving: Leaving::No,
            rejoin: None,
            counted: None,
            polled_at: now,
            is_stalled: false,
            heartbeat_at: now,
            failures: 0,
            not_before: Duration::ZERO,
        }
    }

    /// Who it is, if it is in the group.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        Some(&self.identity).filter(|_| self.is_member())
    }

    pub(crate) fn owned(&self) -> &BTreeSet<TopicPartition> {
        &self.owned
    }

    /// Wants other topics from now on.
    pub(crate) fn subscribe(&mut self, topics: BTreeSet<Arc<str>>) {
        if self.topics != topics {
            self.topics = topics;
            self.rejoin = Some("subscription changed");
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
            self.owned.remove(place);
        }
        self.unsettled = self.unsettled.saturating_sub(1);
        if self.unsettled == 0 && matches!(self.stage, Stage::Prepare | Stage::Release) {
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

    /// The cluster changed: as leader, compares what the assignment was made from. `count` tells how many partitions a topic
    /// has, `None` where that is not known.
    pub(crate) fn cluster_changed(&mut self, count: impl Fn(&str) -> Option<i32>) {
        let Some(counted) = &self.counted else { return };
        let changed =
            |(topic, before): (&Arc<str>, &i32)| count(topic).is_some_and(|now| now != *before);
        if counted.iter().any(changed) {
            self.rejoin = Some("topics changed");
        }
    }

    /// The coordinator of this identity refused a commit.
    pub(crate) fn commit_refused(&mut self, identity: &Identity, code: ErrorCode) {
        if self.identity() == Some(identity) {
            self.refused_as_member(code);
        }
    }

    /// Whether the leader's assignment lacks topics that do not exist, and may one day.
    pub(crate) fn misses_topics(&self) -> bool {
        self.counted
            .iter()
            .any(|counted| counted.values().any(|count| *count == 0))
    }

    /// The coordinator is known already.
    pub(crate) fn has_found(&mut self) {
        self.has_coordinator = true;
    }

    pub(crate) fn has_coordinator(&self) -> bool {
        self.has_coordinator
    }

    /// What to do next.
    pub(crate) fn step(&mut self, now: Duration) -> Step {
        if self.leaving != Leaving::No {
            return self.step_out();
        }
        if let Some(event) = self.events.pop_front() {
            return Step::Tell(event);
        }
        if self.under_way || matches!(self.stage, Stage::Fenced) {
            return Step::Wait(None);
        }
        if self.is_member() && now >= self.poll_deadline() {
            return self.stalled();
        }
        if now < self.not_before {
            return Step::Wait(Some(self.not_before));
        }
        if !self.is_member() && matches!(self.stage, Stage::Prepare) {
            return Step::Wait(None);
        }
        if !self.is_member() && self.topics.is_empty() {
            // Nothing matches its pattern yet.
            return Step::Wait(None);
        }
        if !self.has_coordinator {
            return self.send(Call::FindCoordinator);
        }
        if matches!(self.stage, Stage::Stable)
            && let Some(reason) = self.rejoin
        {
            tracing::debug!(reason, "joining again");
            self.prepare();
            return self.step(now);
        }
        match &mut self.stage {
            Stage::Prepare | Stage::Release | Stage::Stable | Stage::Fenced => self.keep_alive(now),
            Stage::Join => self.join(),
            Stage::Assign(lead) => {
                let topics = lead.topics();
                self.send(Call::Count(topics))
            }
            Stage::Sync {
                protocol,
                assignments,
            } => {
                let call = Call::Sync {
                    identity: self.identity.clone(),
                    protocol: *protocol,
                    assignments: std::mem::take(assignments),
                };
                self.send(call)
            }
        }
    }

    fn send(&mut self, call: Call) -> Step {
        self.under_way = true;
        Step::Send(call)
    }

    fn keep_alive(&mut self, now: Duration) -> Step {
        if now >= self.heartbeat_at {
            return self.send(Call::Heartbeat(self.identity.clone()));
        }
        Step::Wait(Some(self.heartbeat_at.min(self.poll_deadline())))
    }

    fn join(&mut self) -> Step {
        let said = Subscription {
            topics: &self.topics,
            owned: &self.owned,
            generation: self.identity.generation,
            rack: self.rules.rack.as_deref(),
            previous: self
                .previous
                .as_ref()
                .map(|(had, generation)| (had, *generation)),
        };
        let protocols = self
            .rules
            .assignors
            .iter()
            .map(|assignor| (*assignor, said.write(*assignor)))
            .collect();
        let member_id = Arc::clone(&self.identity.member_id);
        let reason = self.rejoin.take();
        self.send(Call::Join {
            member_id,
            protocols,
            reason,
        })
    }

    fn step_out(&mut self) -> Step {
        let known = self.has_coordinator && !self.identity.member_id.is_empty();
        match self.leaving {
            // A static member keeps its place: it may be back before the session ends.
            Leaving::Wanted if known && self.rules.instance.is_none() => {
                self.leaving = Leaving::Sent;
                let member_id = Arc::clone(&self.identity.member_id);
                self.send(Call::Leave {
                    member_id,
                    reason: "the consumer is being closed",
                })
            }
            Leaving::Sent if self.under_way => Step::Wait(None),
            Leaving::No | Leaving::Wanted | Leaving::Sent | Leaving::Done => {
                self.leaving = Leaving::Done;
                Step::Stop
            }
        }
    }

    fn is_member(&self) -> bool {
        self.identity.generation >= 0
    }

    fn poll_deadline(&self) -> Duration {
        self.polled_at.saturating_add(self.rules.poll_interval_max)
    }

    /// The application went away without closing: others shall have its partitions.
    fn stalled(&mut self) -> Step {
        tracing::warn!(limit = ?self.rules.poll_interval_max, "nobody asked for records within max.poll.interval.ms");
        self.is_stalled = true;
        let member_id = Arc::clone(&self.identity.member_id);
        self.lose(false, true);
        if self.has_coordinator && self.rules.instance.is_none() {
            return self.send(Call::Leave {
                member_id,
                reason: "max.poll.interval.ms passed without a poll",
            });
        }
        Step::Wait(None)
    }

    /// Whether members of this group may keep reading while it rebalances: only if all assignors can do that, because any of
    /// them may be voted for.
    fn is_cooperative(&self) -> bool {
        self.rules
            .assignors
            .iter()
            .all(|assignor| assignor.is_cooperative())
    }

    fn tell(&mut self, event: Event) {
        self.unsettled += u32::from(!matches!(event, Event::Assigned(_)));
        self.events.push_back(event);
    }

    /// Lets go what must be let go before joining again.
    fn prepare(&mut self) {
        self.counted = None;
        let cooperative = self.is_cooperative();
        let goes = |place: &&TopicPartition| !cooperative || !self.topics.contains(&place.topic);
        let goes: Vec<TopicPartition> = self.owned.iter().filter(goes).cloned().collect();
        if !goes.is_empty() {
            self.tell(Event::Revoke(goes));
        }
        self.stage = if self.unsettled == 0 {
            Stage::Join
        } else {
            Stage::Prepare
        };
    }

    /// It is not in the group any more. With `tell_always` the application has to ask before it joins again.
    fn lose(&mut self, keep_id: bool, tell_always: bool) {
        let owned: Vec<TopicPartition> = std::mem::take(&mut self.owned).into_iter().collect();
        if tell_always || !owned.is_empty() {
            self.tell(Event::Lost(owned));
        }
        self.identity.generation = NO_GENERATION;
        if !keep_id {
            self.identity.member_id = "".into();
        }
        self.counted = None;
        self.stage = if self.unsettled == 0 {
            Stage::Join
        } else {
            Stage::Prepare
        };
    }
}

#[cfg(test)]
mod tests;
