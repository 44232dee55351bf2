//! Whole groups in virtual time: members against a coordinator of this file's own making, in an order drawn at random, with
//! requests that get lost, members that die and members that are forgotten.
//!
//! Two things must hold whatever the order: no partition is read by two members that the coordinator both knows, and once
//! nothing fails any more, everything is read by somebody.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use highwater_wire::message::join_group::JoinGroupResponseMember;
use highwater_wire::message::{JoinGroupResponse, SyncGroupResponse};
use highwater_wire::{Array, ErrorCode};
use proptest::prelude::*;

use crate::core::backoff::{Backoff, Random};
use crate::core::group::assignor::{Assignor, Partitions};
use crate::core::group::member::{Call, Event, Member, Rules, Step};
use crate::error::TopicPartition;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preparing,
    Completing,
    Stable,
}

/// A member as the coordinator knows it, and whose answers it waits for.
#[derive(Debug, Default)]
struct Known {
    metadata: Vec<u8>,
    joining: Option<Ticket>,
    syncing: Option<Ticket>,
    assignment: Vec<u8>,
}

/// An actor's request: answers to a request that was given up reach nobody.
type Ticket = (usize, u64);

#[derive(Debug)]
struct Coordinator {
    state: State,
    generation: i32,
    leader: Arc<str>,
    /// Ids that were given out and not joined with yet.
    pending: BTreeSet<Arc<str>>,
    members: BTreeMap<Arc<str>, Known>,
    ids: u64,
    assignor: Assignor,
    answers: VecDeque<(Ticket, Answer)>,
}

#[derive(Debug)]
enum Answer {
    Join {
        code: ErrorCode,
        id: Arc<str>,
        generation: i32,
        leader: Arc<str>,
        members: Vec<(Arc<str>, Vec<u8>)>,
    },
    Sync(ErrorCode, Vec<u8>),
    Code(ErrorCode),
}

impl Coordinator {
    fn refuse_join(&mut self, ticket: Ticket, code: ErrorCode, id: Arc<str>) {
        let answer = Answer::Join {
            code,
            id,
            generation: -1,
            leader: "".into(),
            members: Vec::new(),
        };
        self.answers.push_back((ticket, answer));
    }

    fn join(&mut self, ticket: Ticket, id: Arc<str>, metadata: Vec<u8>) {
        if id.is_empty() {
            self.ids += 1;
            let id: Arc<str> = format!("member-{}", self.ids).into();
            self.pending.insert(Arc::clone(&id));
            return self.refuse_join(ticket, ErrorCode::MemberIdRequired, id);
        }
        let is_new = self.pending.remove(&id);
        if !is_new && !self.members.contains_key(&id) {
            return self.refuse_join(ticket, ErrorCode::UnknownMemberId, id);
        }
        let known = self.members.entry(Arc::clone(&id)).or_default();
        let same = !is_new && known.metadata == metadata;
        known.metadata = metadata;
        known.joining = Some(ticket);
        if self.state == State::Stable && same && id != self.leader {
            return self.admit(&id);
        }
        self.prepare();
        self.complete();
    }

    fn prepare(&mut self) {
        self.state = State::Preparing;
        for known in self.members.values_mut() {
            let answer = Answer::Sync(ErrorCode::RebalanceInProgress, Vec::new());
            self.answers
                .extend(known.syncing.take().map(|ticket| (ticket, answer)));
        }
    }

    /// Begins a generation once everybody is there.
    fn complete(&mut self) {
        if self.state == State::Preparing
            && !self.members.is_empty()
            && self.members.values().all(|known| known.joining.is_some())
        {
            self.generation += 1;
            self.state = State::Completing;
            if !self.members.contains_key(&self.leader) {
                self.leader = self
                    .members
                    .keys()
                    .next()
                    .map_or_else(|| "".into(), Arc::clone);
            }
            let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
            ids.iter().for_each(|id| self.admit(id));
        }
    }

    fn admit(&mut self, id: &Arc<str>) {
        let all = self
            .members
            .iter()
            .map(|(id, known)| (Arc::clone(id), known.metadata.clone()));
        let members = if *id == self.leader {
            all.collect()
        } else {
            Vec::new()
        };
        let Some(known) = self.members.get_mut(id) else {
            return;
        };
        let answer = Answer::Join {
            code: ErrorCode::None,
            id: Arc::clone(id),
            generation: self.generation,
            leader: Arc::clone(&self.leader),
            members,
        };
        self.answers
            .extend(known.joining.take().map(|ticket| (ticket, answer)));
    }

    fn check(&self, id: &Arc<str>, generation: i32) -> ErrorCode {
        if !self.members.contains_key(id) {
            ErrorCode::UnknownMemberId
        } else if generation != self.generation {
            ErrorCode::IllegalGeneration
        } else if self.state == State::Preparing {
            ErrorCode::RebalanceInProgress
        } else {
            ErrorCode::None
        }
    }

    fn sync(
        &mut self,
        ticket: Ticket,
        id: &Arc<str>,
        generation: i32,
        assignments: Vec<(Arc<str>, Vec<u8>)>,
    ) {
        let code = self.check(id, generation);
        let known = self.members.get_mut(id);
        let (Some(known), ErrorCode::None) = (known, code) else {
            return self
                .answers
                .push_back((ticket, Answer::Sync(code, Vec::new())));
        };
        known.syncing = Some(ticket);
        if self.state == State::Completing && *id == self.leader {
            self.state = State::Stable;
            for known in self.members.values_mut() {
                known.assignment.clear();
            }
            for (id, assignment) in assignments {
                self.members.entry(id).or_default().assignment = assignment;
            }
        }
        if self.state == State::Stable {
            for known in self.members.values_mut() {
                let answer = Answer::Sync(ErrorCode::None, known.assignment.clone());
                self.answers
                    .extend(known.syncing.take().map(|ticket| (ticket, answer)));
            }
        }
    }

    fn remove(&mut self, id: &Arc<str>) {
        self.pending.remove(id);
        if let Some(known) = self.members.remove(id) {
            let code = ErrorCode::UnknownMemberId;
            known
                .joining
                .into_iter()
                .for_each(|ticket| self.refuse_join(ticket, code, Arc::clone(id)));
            let answer = Answer::Sync(code, Vec::new());
            self.answers
                .extend(known.syncing.map(|ticket| (ticket, answer)));
            self.prepare();
            self.complete();
        }
    }
}

/// A member, and the application behind it.
#[derive(Debug)]
struct Actor {
    member: Member,
    alive: bool,
    flight: u64,
    asked: Option<Call>,
    events: VecDeque<Event>,
    reads: BTreeSet<TopicPartition>,
}

struct World {
    now: Duration,
    random: Random,
    coordinator: Coordinator,
    actors: Vec<Actor>,
    partitions: Partitions,
}

impl World {
    fn new(assignor: Assignor, actors: usize, seed: u64) -> Self {
        let rules = Rules {
            instance: None,
            rack: None,
            heartbeat_interval: Duration::from_millis(300),
            poll_interval_max: Duration::from_secs(1_000_000),
            assignors: vec![assignor],
            backoff: Backoff {
                first: Duration::from_millis(10),
                max: Duration::from_millis(100),
            },
        };
        let actor = |_| Actor {
            member: Member::new(Duration::ZERO, rules.clone(), ["t".into()].into()),
            alive: true,
            flight: 0,
            asked: None,
            events: VecDeque::new(),
            reads: BTreeSet::new(),
        };
        let coordinator = Coordinator {
            state: State::Preparing,
            generation: 0,
            leader: "".into(),
            pending: BTreeSet::new(),
            members: BTreeMap::new(),
            ids: 0,
            assignor,
            answers: VecDeque::new(),
        };
        Self {
            now: Duration::ZERO,
            random: Random::new(seed),
            coordinator,
            actors: (0..actors).map(actor).collect(),
            partitions: [("t".into(), 7)].into(),
        }
    }

    fn draw(&mut self, below: usize) -> usize {
        usize::try_from(self.random.next() >> 33).unwrap_or(0) % below
    }

    /// One thing happens to one actor.
    fn happen(&mut self, faults: bool) {
        let index = self.draw(self.actors.len());
        match self.draw(8) {
            0..=2 => self.step(index),
            3 => self.deliver(index, faults),
            4 => self.answer(),
            5 | 6 => self.settle(index),
            _ => {
                self.now += Duration::from_millis(10);
                if faults && self.draw(40) == 0 {
                    self.fail(index);
                }
            }
        }
        self.check();
    }

    fn step(&mut self, index: usize) {
        let actor = &mut self.actors[index];
        if !actor.alive {
            return;
        }
        match actor.member.step(self.now) {
            Step::Send(call) => {
                actor.flight += 1;
                actor.asked = Some(call);
            }
            Step::Tell(event) => actor.events.push_back(event),
            Step::Stop => actor.alive = false,
            Step::Wait(_) => {}
        }
    }

    /// A request reaches the coordinator, or does not.
    fn deliver(&mut self, index: usize, faults: bool) {
        let lost = faults && self.draw(25) == 0;
        let answer_only = self.draw(2) == 0;
        let now = self.now;
        let actor = &mut self.actors[index];
        let ticket = (index, actor.flight);
        let Some(call) = actor.asked.take() else {
            return;
        };
        if lost {
            actor.flight += 1;
            actor.member.failed(now, 200);
            if answer_only && !matches!(call, Call::FindCoordinator | Call::Count(_)) {
                // It arrives all the same.
                self.hear(index, ticket, call);
            }
            return;
        }
        self.hear(index, ticket, call);
    }

    fn hear(&mut self, index: usize, ticket: Ticket, call: Call) {
        let (now, counts) = (self.now, self.partitions.clone());
        let actor = &mut self.actors[index];
        let coordinator = &mut self.coordinator;
        match call {
            Call::FindCoordinator => actor.member.found(now, 200, ErrorCode::None),
            Call::Count(_) => actor.member.counted(&counts.into()),
            Call::Join {
                member_id,
                mut protocols,
                ..
            } => {
                coordinator.join(ticket, member_id, protocols.remove(0).1);
            }
            Call::Sync {
                identity,
                assignments,
                ..
            } => {
                coordinator.sync(
                    ticket,
                    &identity.member_id,
                    identity.generation,
                    assignments,
                );
            }
            Call::Heartbeat(identity) => {
                let code = coordinator.check(&identity.member_id, identity.generation);
                coordinator.answers.push_back((ticket, Answer::Code(code)));
            }
            Call::Beat(beat) => panic!("a classic member says {beat:?}"),
            Call::Leave { member_id, .. } => {
                coordinator.remove(&member_id);
                coordinator
                    .answers
                    .push_back((ticket, Answer::Code(ErrorCode::None)));
            }
        }
    }

    fn answer(&mut self) {
        let Some((ticket, answer)) = self.coordinator.answers.pop_front() else {
            return;
        };
        let (index, flight) = ticket;
        let actor = &mut self.actors[index];
        if actor.flight != flight {
            return;
        }
        let now = self.now;
        match answer {
            Answer::Code(code) => actor.member.beaten(now, 200, code),
            Answer::Sync(code, assignment) => {
                let answer = SyncGroupResponse {
                    error_code: code.id(),
                    assignment: &assignment,
                    ..SyncGroupResponse::default()
                };
                actor.member.synced(now, 200, &answer);
            }
            Answer::Join {
                code,
                id,
                generation,
                leader,
                members,
            } => {
                let member =
                    |(id, metadata): &'_ (Arc<str>, Vec<u8>)| (id.to_string(), metadata.clone());
                let members: Vec<(String, Vec<u8>)> = members.iter().map(member).collect();
                let member = |(member_id, metadata)| JoinGroupResponseMember {
                    member_id,
                    group_instance_id: None,
                    metadata,
                };
                let members: Vec<_> = members
                    .iter()
                    .map(|(id, metadata)| member((id.as_str(), metadata.as_slice())))
                    .collect();
                let answer = JoinGroupResponse {
                    error_code: code.id(),
                    generation_id: generation,
                    protocol_name: Some(self.coordinator.assignor.name()),
                    leader: &leader,
                    member_id: &id,
                    members: Array::from(members),
                    ..JoinGroupResponse::default()
                };
                actor.member.joined(now, 200, &answer);
            }
        }
    }

    /// The application deals with what it was told.
    fn settle(&mut self, index: usize) {
        let actor = &mut self.actors[index];
        match actor.events.pop_front() {
            Some(Event::Assigned(places)) => actor.reads.extend(places),
            Some(Event::Revoke(places)) => {
                places.iter().for_each(|place| {
                    actor.reads.remove(place);
                });
                actor.member.settled(&places);
            }
            Some(Event::Lost(places)) => {
                places.iter().for_each(|place| {
                    actor.reads.remove(place);
                });
                actor.member.settled(&[]);
            }
            Some(Event::Failed(failure)) => panic!("{failure:?}"),
            None => {}
        }
    }

    fn fail(&mut self, index: usize) {
        let id = self.actors[index]
            .member
            .identity()
            .map(|it| Arc::clone(&it.member_id));
        match self.draw(4) {
            // The first one stays. Forgotten, as after a pause longer than the session.
            0 => id.iter().for_each(|id| self.coordinator.remove(id)),
            1 => self.actors[index].member.coordinator_lost(),
            2 if index > 0 => self.actors[index].member.leave(),
            3 if index > 0 => self.actors[index].alive = false,
            _ => self
                .partitions
                .values_mut()
                .for_each(|count| *count = (*count + 1).min(12)),
        }
    }

    /// No partition is read by two that the coordinator knows, in the generations they believe in.
    fn check(&self) {
        let mut readers: BTreeMap<&TopicPartition, usize> = BTreeMap::new();
        for (index, actor) in self.actors.iter().enumerate() {
            let id = actor.member.identity().map(|identity| &identity.member_id);
            if !actor.alive || !id.is_some_and(|id| self.coordinator.members.contains_key(id)) {
                continue;
            }
            // What was told, and is still waiting to be heard, is in the other's hands already.
            for place in actor
                .reads
                .iter()
                .filter(|place| actor.member.owned().contains(*place))
            {
                let other = readers.insert(place, index);
                assert_eq!(other, None, "{place} is read by {index} too");
            }
        }
    }

    /// Nothing fails any more, the dead are buried: everything must be read, each by one.
    fn comes_to_rest(&mut self) {
        let living: BTreeSet<Arc<str>> = self
            .actors
            .iter()
            .filter(|actor| actor.alive)
            .filter_map(|a| Some(Arc::clone(&a.member.identity()?.member_id)))
            .collect();
        let asked = |actor: &Actor| matches!(&actor.asked, Some(Call::Join { .. }));
        let joins = self.actors.iter().any(asked);
        let known: Vec<Arc<str>> = self.coordinator.members.keys().cloned().collect();
        for id in known {
            let waits = self.coordinator.members[&id].joining.is_some();
            let of_living = self.coordinator.members[&id]
                .joining
                .is_some_and(|(index, flight)| {
                    self.actors[index].alive && self.actors[index].flight == flight
                });
            let stays = living.contains(&id) || joins || (waits && of_living);
            if !stays {
                self.coordinator.remove(&id);
            }
        }
    }

    fn is_at_rest(&self) -> bool {
        let mut read = BTreeSet::new();
        let mut living = 0;
        for actor in self.actors.iter().filter(|actor| actor.alive) {
            living += actor.reads.len();
            read.extend(actor.reads.iter().cloned());
        }
        let all: i32 = self.partitions.values().sum();
        living == read.len()
            && i32::try_from(living) == Ok(all)
            && self.coordinator.state == State::Stable
    }
}

fn live(assignor: Assignor, actors: usize, seed: u64) {
    let mut world = World::new(assignor, actors, seed);
    for _ in 0..4000 {
        world.happen(true);
    }
    for round in 0.. {
        assert!(
            round < 400,
            "it does not come to rest: {:?}\n{:?}",
            world.coordinator,
            world.actors
        );
        for _ in 0..200 {
            world.happen(false);
        }
        world.comes_to_rest();
        let counts = world.partitions.clone();
        for actor in &mut world.actors {
            actor
                .member
                .cluster_changed(|topic| counts.get(topic).copied());
        }
        if world.is_at_rest() {
            break;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn eager_members_never_read_a_partition_twice_and_in_the_end_read_all(actors in 1usize..6, seed: u64) {
        live(Assignor::Range, actors, seed);
    }

    #[test]
    fn cooperative_members_never_read_a_partition_twice_and_in_the_end_read_all(actors in 1usize..6, seed: u64) {
        live(Assignor::CooperativeSticky, actors, seed);
    }
}
