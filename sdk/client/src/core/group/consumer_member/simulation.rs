//! Whole groups in virtual time, as in [the classic one's simulation](super::super::simulation): members against a coordinator
//! of this file's own making, in an order drawn at random, with answers that get lost, members that die and members that are
//! forgotten.
//!
//! The same two things must hold: no partition is read by two members that the coordinator both knows, and once nothing fails
//! any more, everything is read by somebody.

use highwater_wire::Array;
use highwater_wire::message::ConsumerGroupHeartbeatResponse;
use highwater_wire::message::consumer_group_heartbeat::{Assignment, TopicPartitions};
use proptest::prelude::*;

use super::*;
use crate::core::backoff::Random;

const TOPIC: Uuid = Uuid::from_u128(5);

/// A member as the coordinator knows it.
#[derive(Debug, Default)]
struct Known {
    epoch: i32,
    previous_epoch: i32,
    assigned: BTreeSet<i32>,
    /// What it has to let go before it gets anything else.
    revoking: BTreeSet<i32>,
}

#[derive(Debug, Default)]
struct Coordinator {
    epoch: i32,
    partitions: i32,
    members: BTreeMap<Arc<str>, Known>,
}

struct Answer {
    code: ErrorCode,
    epoch: i32,
    assigned: Option<BTreeSet<i32>>,
}

impl Answer {
    fn refused(code: ErrorCode) -> Self {
        Self {
            code,
            epoch: 0,
            assigned: None,
        }
    }
}

impl Coordinator {
    fn remove(&mut self, id: &str) -> bool {
        let removed = self.members.remove(id).is_some();
        self.epoch += i32::from(removed);
        removed
    }

    /// Every member its turn's partitions, in the order of ids.
    fn target(&self, id: &str) -> BTreeSet<i32> {
        let place = self.members.keys().position(|it| **it == *id).unwrap();
        let (place, count) = (
            i32::try_from(place).unwrap(),
            i32::try_from(self.members.len()).unwrap(),
        );
        (0..self.partitions)
            .filter(|it| it % count == place)
            .collect()
    }

    fn hear(&mut self, beat: &Beat) -> Answer {
        let id = &beat.member_id;
        if beat.epoch < 0 {
            let code = if self.remove(id) {
                ErrorCode::None
            } else {
                ErrorCode::UnknownMemberId
            };
            return Answer {
                code,
                epoch: beat.epoch,
                assigned: None,
            };
        }
        let said: Option<BTreeSet<i32>> = beat
            .holds
            .as_ref()
            .map(|holds| holds.get(&TOPIC).cloned().unwrap_or_default());
        if beat.epoch == 0 {
            assert_eq!(said, Some(BTreeSet::new()), "who joins holds nothing");
            if !self.members.contains_key(id) {
                self.members.insert(Arc::clone(id), Known::default());
                self.epoch += 1;
            }
        }
        let Some(known) = self.members.get_mut(id) else {
            return Answer::refused(ErrorCode::UnknownMemberId);
        };
        let is_behind = beat.epoch == known.previous_epoch
            && said
                .as_ref()
                .is_some_and(|said| said.is_subset(&known.assigned));
        if beat.epoch != 0 && beat.epoch != known.epoch && !is_behind {
            return Answer::refused(ErrorCode::FencedMemberEpoch);
        }
        if let Some(said) = &said
            && said.is_disjoint(&known.revoking)
        {
            known.revoking.clear();
        }
        let before = known.assigned.clone();
        let target = self.target(id);
        let taken: BTreeSet<i32> = self
            .members
            .iter()
            .filter(|(other, _)| *other != id)
            .flat_map(|(_, other)| other.assigned.union(&other.revoking).copied())
            .collect();
        let epoch = self.epoch;
        let known = self.members.get_mut(id).unwrap();
        if known.revoking.is_empty() {
            known.revoking = known.assigned.difference(&target).copied().collect();
            // What it says that it does not hold, it need not let go: it never heard of it.
            if said
                .as_ref()
                .is_some_and(|said| said.is_disjoint(&known.revoking))
            {
                known.revoking.clear();
            }
            if known.revoking.is_empty() {
                known.assigned = target.difference(&taken).copied().collect();
                if known.epoch != epoch {
                    known.previous_epoch = known.epoch;
                    known.epoch = epoch;
                }
            } else {
                known.assigned.retain(|it| target.contains(it));
                // A member that joins is never told epoch 0.
                if known.epoch == 0 {
                    known.epoch = epoch;
                }
            }
        }
        let is_full = beat.rebalance_timeout.is_some();
        let is_told = is_full || known.assigned != before;
        Answer {
            code: ErrorCode::None,
            epoch: known.epoch,
            assigned: is_told.then(|| known.assigned.clone()),
        }
    }
}

/// A member, and the application behind it.
#[derive(Debug)]
struct Actor {
    member: ConsumerMember,
    alive: bool,
    asked: Option<Call>,
    events: VecDeque<Event>,
    reads: BTreeSet<TopicPartition>,
}

struct World {
    now: Duration,
    random: Random,
    coordinator: Coordinator,
    actors: Vec<Actor>,
}

impl World {
    fn new(actors: usize, seed: u64) -> Self {
        let rules = Rules {
            instance: None,
            rack: None,
            assignor: None,
            poll_interval_max: Duration::from_secs(1_000_000),
            patience: Duration::from_secs(10),
            backoff: Backoff {
                first: Duration::from_millis(10),
                max: Duration::from_millis(100),
            },
        };
        let actor = |index: usize| {
            let topics = Topics::Named(["t".into()].into());
            let id = format!("m{index}").into();
            Actor {
                member: ConsumerMember::new(Duration::ZERO, rules.clone(), topics, id),
                alive: true,
                asked: None,
                events: VecDeque::new(),
                reads: BTreeSet::new(),
            }
        };
        Self {
            now: Duration::ZERO,
            random: Random::new(seed),
            coordinator: Coordinator {
                partitions: 7,
                ..Coordinator::default()
            },
            actors: (0..actors).map(actor).collect(),
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
            4 => {
                let actor = &mut self.actors[index];
                actor.member.resolve(|_| Some("t".into()));
            }
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
            Step::Send(call) => actor.asked = Some(call),
            Step::Tell(event) => actor.events.push_back(event),
            Step::Stop => actor.alive = false,
            Step::Wait(_) => {}
        }
    }

    /// A request reaches the coordinator, or does not; and so does its answer.
    fn deliver(&mut self, index: usize, faults: bool) {
        let lost = faults && self.draw(25) == 0;
        let answer_only = self.draw(2) == 0;
        let now = self.now;
        let actor = &mut self.actors[index];
        let Some(call) = actor.asked.take() else {
            return;
        };
        let beat = match call {
            Call::FindCoordinator => return actor.member.found(now, 200, ErrorCode::None),
            Call::Beat(beat) => beat,
            Call::Join { .. }
            | Call::Count(_)
            | Call::Sync { .. }
            | Call::Heartbeat(_)
            | Call::Leave { .. } => panic!("it says {call:?}"),
        };
        if lost {
            actor.member.failed(now, 200);
            if answer_only {
                self.coordinator.hear(&beat);
            }
            return;
        }
        let Answer {
            code,
            epoch,
            assigned,
        } = self.coordinator.hear(&beat);
        let topics = assigned.map(|partitions| Assignment {
            topic_partitions: Array::from([TopicPartitions {
                topic_id: TOPIC,
                partitions: partitions.iter().copied().collect(),
            }]),
        });
        let answer = ConsumerGroupHeartbeatResponse {
            error_code: code.id(),
            member_epoch: epoch,
            heartbeat_interval_ms: 300,
            assignment: topics,
            ..ConsumerGroupHeartbeatResponse::default()
        };
        actor.member.beaten(now, 200, &answer);
    }

    /// The application deals with what it was told.
    fn settle(&mut self, index: usize) {
        let actor = &mut self.actors[index];
        let (let_go, settled) = match actor.events.pop_front() {
            Some(Event::Assigned(places)) => return actor.reads.extend(places),
            Some(Event::Revoke(places)) => (places.clone(), places),
            Some(Event::Lost(places)) => (places, Vec::new()),
            Some(Event::Failed(failure)) => panic!("{failure:?}"),
            None => return,
        };
        for place in &let_go {
            actor.reads.remove(place);
        }
        actor.member.settled(&settled);
    }

    fn fail(&mut self, index: usize) {
        let id = Arc::clone(&self.actors[index].member.identity.member_id);
        match self.draw(4) {
            // Forgotten, as after a pause longer than the session. The first one stays.
            0 => {
                self.coordinator.remove(&id);
            }
            1 => self.actors[index].member.coordinator_lost(),
            2 if index > 0 => self.actors[index].member.leave(),
            3 if index > 0 => self.actors[index].alive = false,
            _ => {
                self.coordinator.partitions = (self.coordinator.partitions + 1).min(12);
                self.coordinator.epoch += 1;
            }
        }
    }

    /// No partition is read by two that the coordinator knows.
    fn check(&self) {
        let mut readers: BTreeMap<&TopicPartition, usize> = BTreeMap::new();
        for (index, actor) in self.actors.iter().enumerate() {
            let id = actor.member.identity().map(|identity| &identity.member_id);
            if !actor.alive || !id.is_some_and(|id| self.coordinator.members.contains_key(id)) {
                continue;
            }
            let owned = actor.member.owned();
            for place in actor.reads.iter().filter(|place| owned.contains(*place)) {
                let other = readers.insert(place, index);
                assert_eq!(other, None, "{place} is read by {index} too");
            }
        }
    }

    fn bury(&mut self) {
        for actor in self.actors.iter().filter(|actor| !actor.alive) {
            self.coordinator.remove(&actor.member.identity.member_id);
        }
    }

    fn is_at_rest(&self) -> bool {
        let mut read = BTreeSet::new();
        let mut reads = 0;
        for actor in self.actors.iter().filter(|actor| actor.alive) {
            reads += actor.reads.len();
            read.extend(actor.reads.iter().cloned());
        }
        reads == read.len() && i32::try_from(reads) == Ok(self.coordinator.partitions)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn members_never_read_a_partition_twice_and_in_the_end_read_all(actors in 1usize..6, seed: u64) {
        let mut world = World::new(actors, seed);
        for _ in 0..4000 {
            world.happen(true);
        }
        for round in 0.. {
            assert!(round < 400, "it does not come to rest: {:?}\n{:?}", world.coordinator, world.actors);
            world.bury();
            for _ in 0..200 {
                world.happen(false);
            }
            if world.is_at_rest() {
                break;
            }
        }
    }
}
