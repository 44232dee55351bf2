//! Members that come, go, die, commit and lose answers, a process that dies and a log that refuses: whatever they do and in
//! whatever order, nobody waits for ever, what was acknowledged stays, and in the end everybody who lives is in one
//! generation.

use super::{ClassicGroup, State};
use crate::config::Config;
use crate::coordinator::Group;
use crate::testing::{Answer, Join, Scene, TO_ORDERS};
use crate::world::Ticket;
use highwater_wire::ErrorCode;
use highwater_wire::records::group::{GroupKey, GroupValue};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Clients 0 and 1 are static members, the others dynamic ones.
const CLIENTS: usize = 6;
const INSTANCES: [&str; 2] = ["one", "two"];

#[derive(Debug, Clone)]
enum Step {
    /// The client looks at its answer and goes on.
    Poll(usize),
    Pass(u16),
    /// The client begins, or begins anew without a word to the group.
    Start(usize),
    Die(usize),
    Leave(usize),
    Commit(usize, i32),
    /// The client never hears the answer that it waits for, and asks again.
    Lose(usize),
    Restart,
    /// The log refuses, or takes again.
    Refuse(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    prop_oneof![
        12 => client.clone().prop_map(Step::Poll),
        6 => (0u16..4000).prop_map(Step::Pass),
        1 => (4000u16..30_000).prop_map(Step::Pass),
        4 => client.clone().prop_map(Step::Start),
        1 => client.clone().prop_map(Step::Die),
        1 => client.clone().prop_map(Step::Leave),
        3 => (client.clone(), 0..12).prop_map(|(client, partition)| Step::Commit(client, partition)),
        1 => client.prop_map(Step::Lose),
        1 => Just(Step::Restart),
        1 => prop_oneof![1 => Just(true), 3 => Just(false)].prop_map(Step::Refuse),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Nothing,
    Join(Ticket),
    Sync(Ticket),
}

#[derive(Debug, Clone)]
struct Client {
    lives: bool,
    member: String,
    /// The generation it is in, with its assignment.
    generation: Option<i32>,
    /// The generation that it joined last.
    joined: i32,
    wait: Wait,
}

#[derive(Debug)]
struct Play {
    scene: Scene,
    clients: Vec<Client>,
    /// Offsets that were acknowledged.
    acknowledged: BTreeMap<i32, i64>,
    /// Tickets that died with their process.
    lost: BTreeSet<Ticket>,
    offset: i64,
}

fn instance(client: usize) -> Option<&'static str> {
    INSTANCES.get(client).copied()
}

impl Play {
    fn new() -> Play {
        let client = Client {
            lives: false,
            member: String::new(),
            generation: None,
            joined: -1,
            wait: Wait::Nothing,
        };
        Play {
            scene: Scene::new(Config::default()),
            clients: vec![client; CLIENTS],
            acknowledged: BTreeMap::new(),
            lost: BTreeSet::new(),
            offset: 0,
        }
    }

    fn join(&mut self, at: usize) {
        let member = self.clients[at].member.clone();
        let ticket = self.scene.join(&Join {
            member: &member,
            instance: instance(at),
            rebalance_ms: 20_000,
            ..Join::default()
        });
        self.clients[at].generation = None;
        self.clients[at].wait = Wait::Join(ticket);
    }

    fn poll(&mut self, at: usize) {
        if !self.clients[at].lives {
            return;
        }
        match self.clients[at].wait {
            Wait::Join(ticket) => self.heard_join(at, ticket),
            Wait::Sync(ticket) => self.heard_sync(at, ticket),
            Wait::Nothing => match self.clients[at].generation {
                None => self.join(at),
                Some(generation) => {
                    let member = self.clients[at].member.clone();
                    let code = self
                        .scene
                        .heartbeat_of("g", &member, instance(at), generation);
                    self.obey(at, code);
                }
            },
        }
    }

    fn heard_join(&mut self, at: usize, ticket: Ticket) {
        let Some(joined) = self.scene.joined(ticket).cloned() else {
            return;
        };
        self.clients[at].wait = Wait::Nothing;
        if joined.code == ErrorCode::MemberIdRequired {
            self.clients[at].member = joined.member;
            return self.join(at);
        }
        if joined.code != ErrorCode::None {
            return self.obey(at, joined.code);
        }
        assert!(!joined.leader.is_empty());
        assert_eq!(joined.protocol.as_deref(), Some("range"));
        let client = &mut self.clients[at];
        client.member.clone_from(&joined.member);
        client.joined = joined.generation;
        if joined.leader == joined.member {
            assert!(
                joined.members.iter().any(|(id, _, _)| *id == joined.member),
                "the leader hears of itself"
            );
        }
        let given: Vec<(String, Vec<u8>)> = joined
            .members
            .iter()
            .enumerate()
            .map(|(at, (id, _, _))| (id.clone(), vec![u8::try_from(at).unwrap()]))
            .collect();
        let given: Vec<(&str, &[u8])> = given
            .iter()
            .filter(|_| !joined.skip_assignment)
            .map(|(id, bytes)| (id.as_str(), bytes.as_slice()))
            .collect();
        let ticket = self
            .scene
            .sync("g", &joined.member, instance(at), joined.generation, &given);
        self.clients[at].wait = Wait::Sync(ticket);
    }

    fn heard_sync(&mut self, at: usize, ticket: Ticket) {
        let Some(synced) = self.scene.synced(ticket).cloned() else {
            return;
        };
        self.clients[at].wait = Wait::Nothing;
        if synced.code == ErrorCode::None {
            self.clients[at].generation = Some(self.clients[at].joined);
        } else {
            self.obey(at, synced.code);
        }
    }

    /// What clients do when they hear a code.
    fn obey(&mut self, at: usize, code: ErrorCode) {
        if code == ErrorCode::None {
            return;
        }
        if code == ErrorCode::FencedInstanceId {
            self.clients[at].lives = false;
            return;
        }
        if matches!(
            code,
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration
        ) {
            self.clients[at].member.clear();
        }
        self.clients[at].generation = None;
    }

    fn commit(&mut self, at: usize, partition: i32) {
        let Client {
            member, generation, ..
        } = self.clients[at].clone();
        let Some(generation) = generation.filter(|_| self.clients[at].lives) else {
            return;
        };
        self.offset += 1;
        let (place, offset) = (("orders", partition), self.offset);
        let code = self.scene.commit("g", &member, generation, place, offset);
        if code == ErrorCode::None {
            self.acknowledged.insert(partition, offset);
        } else {
            self.obey(at, code);
        }
    }

    fn restart(&mut self) {
        let before = self.settled();
        let versions = self.scene.stage.versions.keys().copied();
        let unanswered: Vec<Ticket> = versions
            .filter(|ticket| self.scene.answer(*ticket).is_none())
            .collect();
        self.lost.extend(unanswered);
        self.scene.restart();
        if let Some(before) = before {
            assert_eq!(self.settled(), Some(before), "what settled is there again");
        }
        for client in &mut self.clients {
            client.wait = Wait::Nothing;
        }
    }

    fn group(&self) -> Option<&ClassicGroup> {
        match self.scene.coordinator.groups.get("g") {
            Some(Group::Classic(group)) => Some(group),
            Some(Group::Consumer(_)) | None => None,
        }
    }

    /// What is durable of the group, where that is what it is.
    fn settled(&self) -> Option<String> {
        let group = self.group()?;
        let is_settled = matches!(group.state, State::Stable);
        is_settled.then(|| {
            let members = group.members.iter().map(|(id, member)| {
                let metadata = member.metadata("range");
                (id, &member.instance, metadata, &member.assignment)
            });
            let members: Vec<_> = members.collect();
            format!("{:?}", (group.generation, &group.leader, members))
        })
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Poll(at) => self.poll(at),
            Step::Pass(ms) => self.scene.pass(i64::from(ms)),
            Step::Start(at) => {
                let client = &mut self.clients[at];
                client.lives = true;
                client.member.clear();
                self.join(at);
            }
            Step::Die(at) => self.clients[at].lives = false,
            Step::Leave(at) => {
                if self.clients[at].lives {
                    let member = self.clients[at].member.clone();
                    self.scene.leave("g", &[(&member, instance(at))]);
                    self.clients[at].lives = false;
                }
            }
            Step::Commit(at, partition) => self.commit(at, partition),
            Step::Lose(at) => self.clients[at].wait = Wait::Nothing,
            Step::Restart => self.restart(),
            Step::Refuse(refuse) => {
                self.scene.stage.refuses = refuse.then_some(ErrorCode::CoordinatorNotAvailable);
            }
        }
    }

    /// What must hold at any time.
    fn check(&self) {
        let committed: BTreeMap<i32, i64> = self
            .scene
            .committed("g")
            .into_iter()
            .map(|(_, partition, offset)| (partition, offset))
            .collect();
        assert_eq!(committed, self.acknowledged);
        let Some(group) = self.group() else {
            return;
        };
        let members = &group.members;
        assert_eq!(group.leader.is_none(), members.is_empty());
        assert!(group.leader.iter().all(|id| members.contains_key(id)));
        assert!(group.pending.iter().all(|id| !members.contains_key(id)));
        assert!(group.pending_sync.iter().all(|id| members.contains_key(id)));
        let joined = members
            .values()
            .filter(|member| member.parked_join.is_some());
        assert_eq!(joined.count(), group.joined);
        let of_static = members
            .iter()
            .filter_map(|(id, member)| Some((member.instance.clone()?, id.clone())));
        assert_eq!(of_static.collect::<BTreeMap<_, _>>(), group.instances);
        let mut spoken = BTreeMap::new();
        for protocol in members.values().flat_map(|member| &member.protocols) {
            *spoken.entry(protocol.name.clone()).or_insert(0) += 1;
        }
        assert_eq!(spoken, group.spoken);
        let of_members = members.iter().map(|(id, member)| id.len() + member.bytes());
        let of_pending = group.pending.iter().map(|id| id.len());
        assert_eq!(of_members.chain(of_pending).sum::<usize>(), group.bytes());
        for member in members.values() {
            assert!(member.parked_join.is_none() || member.parked_sync.is_none());
        }
        match group.state {
            State::Empty => assert!(members.is_empty()),
            State::PreparingRebalance => {
                assert!(members.values().all(|member| member.parked_sync.is_none()));
                let waits = group.initial.is_some() || !group.have_all_joined();
                assert!(waits, "nobody is missing, and yet they wait");
            }
            State::CompletingRebalance | State::Stable => {
                assert!(!members.is_empty() && group.protocol.is_some());
                assert_eq!(group.joined, 0);
            }
        }
        if group.state == State::Stable {
            assert!(members.values().all(|member| member.parked_sync.is_none()));
        }
    }

    /// In the log generations only go on, but for a group that was deleted.
    fn check_log(&self) {
        let mut generation = 0;
        for (key, value) in &self.scene.stage.log {
            let key = GroupKey::decode(key).unwrap();
            if !matches!(key, GroupKey::GroupMetadata(_)) {
                continue;
            }
            let value = value
                .as_deref()
                .map(|value| GroupValue::decode(&key, value).unwrap().0);
            match value {
                Some(GroupValue::GroupMetadata(value)) => {
                    assert!(value.generation >= generation);
                    generation = value.generation;
                }
                _ => generation = 0,
            }
        }
    }

    /// Everybody who lives goes on for a while, and nothing happens to them.
    fn settle(&mut self) {
        self.scene.stage.refuses = None;
        for _ in 0..90 {
            self.scene.pass(1000);
            for at in 0..CLIENTS {
                self.poll(at);
            }
            self.check();
        }
        let alive: Vec<&Client> = self.clients.iter().filter(|client| client.lives).collect();
        let group = self.group();
        if alive.is_empty() {
            assert!(group.is_none_or(|group| group.members.is_empty()));
            return;
        }
        let group = group.unwrap();
        assert_eq!(group.state, State::Stable, "{self:#?}");
        let ids: BTreeSet<&str> = alive.iter().map(|client| client.member.as_str()).collect();
        let members: BTreeSet<&str> = group.members.keys().map(|id| &**id).collect();
        assert_eq!(ids, members);
        for client in alive {
            assert_eq!(client.generation, Some(group.generation));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_members_do_nobody_waits_for_ever_and_what_was_acknowledged_stays(
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let mut play = Play::new();
        for step in &steps {
            play.step(step);
            play.check();
        }
        play.settle();
        play.check_log();
        // Nobody asks any more: whoever still waits is answered.
        play.scene.pass(400_000);
        for ticket in play.scene.stage.versions.keys() {
            let answered = play.scene.answer(*ticket).is_some();
            prop_assert!(answered || play.lost.contains(ticket), "{:?} waits for ever", ticket);
        }
        // All sessions are over; the search for expired commits is the last time-out.
        prop_assert_eq!(play.scene.coordinator.counts().members, 0);
        prop_assert_eq!(play.scene.coordinator.counts().timeouts, 1);
        play.restart();
        play.check();
    }
}

#[test]
fn the_clients_of_the_play_can_settle() {
    let mut play = Play::new();
    for at in 0..CLIENTS {
        play.step(&Step::Start(at));
    }
    play.settle();
    assert_eq!(play.group().unwrap().members.len(), CLIENTS);
    play.commit(3, 4);
    assert_eq!(play.acknowledged.len(), 1);
    let answers = play.scene.stage.answers.values();
    assert!(
        answers
            .into_iter()
            .any(|answer| matches!(answer, Answer::Synced(_)))
    );
    let members = &play.group().unwrap().members;
    assert!(
        members
            .values()
            .all(|member| member.metadata("range") == TO_ORDERS)
    );
}
