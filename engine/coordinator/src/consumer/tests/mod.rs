//! Consumer groups from outside: requests in, answers out, in virtual time, over a log that can be read again.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect fails it"
)]

mod churn;
mod heartbeat;
mod metadata;
mod migration;
mod mixed;
mod patterns;

use super::ConsumerGroup;
use crate::config::{Config, GroupConfig};
use crate::coordinator::{Coordinator, Group};
use crate::timers::Timeout;
use crate::world::{Caller, Record, Response, Ticket, Topic, Topics, World};
use highwater_wire::ErrorCode;
use highwater_wire::consumer_protocol::ConsumerProtocolAssignment;
use highwater_wire::message::ConsumerGroupHeartbeatRequest;
use highwater_wire::message::consumer_group_heartbeat::TopicPartitions;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Partitions by the topic's name.
type Parts = BTreeMap<String, Vec<i32>>;

/// The topics there are.
#[derive(Debug, Default, Clone)]
struct Shelf {
    topics: BTreeMap<String, (Uuid, i32)>,
    version: u64,
}

impl Topics for Shelf {
    fn by_name(&self, name: &str) -> Option<Topic<'_>> {
        let (name, (id, partitions)) = self.topics.get_key_value(name)?;
        Some(Topic {
            id: *id,
            name,
            partitions: *partitions,
        })
    }

    fn by_id(&self, id: &Uuid) -> Option<Topic<'_>> {
        let name = self.topics.iter().find(|(_, topic)| topic.0 == *id)?.0;
        self.by_name(name)
    }

    fn each(&self, show: &mut dyn FnMut(Topic<'_>)) {
        for name in self.topics.keys() {
            show(self.by_name(name).unwrap());
        }
    }

    fn version(&self) -> u64 {
        self.version
    }
}

/// What a member heard.
#[derive(Debug, Clone, PartialEq, Default)]
struct Heard {
    code: i16,
    member: String,
    epoch: i32,
    interval_ms: i32,
    assignment: Option<Parts>,
}

/// The world of a coordinator in a test.
#[derive(Default)]
struct Surround {
    now_ms: i64,
    drawn: u64,
    shelf: Shelf,
    own: GroupConfig,
    log: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// How many batches were appended.
    batches: usize,
    /// What an append is answered with instead.
    refuses: Option<ErrorCode>,
    heard: Vec<Heard>,
    /// What members of the classic protocol heard.
    classic: BTreeMap<Ticket, Classic>,
}

/// What a member of the classic protocol heard.
#[derive(Debug, Clone, PartialEq)]
enum Classic {
    Joined {
        code: ErrorCode,
        member: String,
        generation: i32,
        leader: String,
        /// Who is in the generation, as the leader hears it.
        members: Vec<String>,
    },
    Synced(ErrorCode, Parts),
    Code(ErrorCode),
    Left(ErrorCode, Vec<ErrorCode>),
}

impl World for Surround {
    fn now_ms(&self) -> i64 {
        self.now_ms
    }

    fn unix_ms(&self) -> i64 {
        1_700_000_000_000 + self.now_ms
    }

    fn uuid(&mut self) -> Uuid {
        self.drawn += 1;
        Uuid::from_u64_pair(77, self.drawn)
    }

    fn topics(&self) -> &dyn Topics {
        &self.shelf
    }

    fn group_config(&self, _group: &str) -> GroupConfig {
        self.own
    }

    fn append(&mut self, records: &[Record<'_>]) -> Result<(), ErrorCode> {
        if let Some(code) = self.refuses {
            return Err(code);
        }
        assert!(!records.is_empty());
        self.batches += 1;
        for record in records {
            let key = record.key.encode().unwrap();
            let value = record.value.as_ref();
            let value = value.map(|value| value.encode(value.written_version()).unwrap());
            self.log.push((key, value));
        }
        Ok(())
    }

    fn answer(&mut self, ticket: Ticket, response: Response<'_>) {
        let response = match response {
            Response::ConsumerGroupHeartbeat(response) => response,
            response => {
                let before = self.classic.insert(ticket, classic(&response));
                assert_eq!(before, None, "answered twice");
                return;
            }
        };
        let assignment = response.assignment.map(|assignment| {
            let topics = assignment.topic_partitions.iter();
            let named = topics.map(|topic| {
                let named = self.shelf.by_id(&topic.topic_id);
                let name = named.map_or("?", |topic| topic.name).to_owned();
                (name, topic.partitions.to_vec())
            });
            named.collect()
        });
        self.heard.push(Heard {
            code: response.error_code,
            member: response.member_id.unwrap_or_default().to_owned(),
            epoch: response.member_epoch,
            interval_ms: response.heartbeat_interval_ms,
            assignment,
        });
    }
}

/// A coordinator and its world.
struct House {
    coordinator: Coordinator,
    world: Surround,
}

const GROUP: &str = "readers";

impl House {
    fn new(topics: &[(&str, i32)]) -> Self {
        Self::with(Config::default(), topics)
    }

    fn with(config: Config, topics: &[(&str, i32)]) -> Self {
        let mut world = Surround::default();
        for (name, partitions) in topics {
            world.shelve(name, *partitions);
        }
        let mut coordinator = Coordinator::new(config);
        coordinator.loaded(&mut world);
        Self { coordinator, world }
    }

    /// Reads the log into a new coordinator.
    fn restart(&mut self) {
        let mut coordinator = Coordinator::new(self.coordinator.config.clone());
        for (key, value) in &self.world.log {
            coordinator.replay(key, value.as_deref()).unwrap();
        }
        coordinator.loaded(&mut self.world);
        self.coordinator = coordinator;
    }

    fn group(&self) -> &ConsumerGroup {
        match self.coordinator.groups.get(GROUP) {
            Some(Group::Consumer(group)) => group,
            other => panic!("{other:?}"),
        }
    }

    /// Everything that is written down, as text to be compared.
    fn durable(&self) -> String {
        match self.coordinator.groups.get(GROUP) {
            Some(Group::Consumer(group)) => group.durable(),
            other => format!("{other:?}"),
        }
    }

    fn shelve(&mut self, name: &str, partitions: i32) {
        self.world.shelve(name, partitions);
        self.coordinator.topics_changed(&mut self.world);
    }

    fn pass(&mut self, ms: i64) {
        self.world.now_ms += ms;
        self.coordinator.tick(&mut self.world);
    }

    fn send(&mut self, request: &ConsumerGroupHeartbeatRequest<'_>) -> Heard {
        let caller = Caller {
            ticket: Ticket(0),
            version: 1,
            client_id: "client",
            client_host: "/127.0.0.1",
        };
        self.coordinator
            .consumer_group_heartbeat(&mut self.world, &caller, request);
        self.world
            .heard
            .pop()
            .expect("every heartbeat is answered at once")
    }

    /// How many time-outs run for members and groups.
    fn timeouts(&self) -> usize {
        let timers = &self.coordinator.timers;
        timers.len() - usize::from(timers.is_set(&Timeout::OffsetExpiry))
    }

    /// Joins, wanting these topics.
    fn join(&mut self, member: &str, topics: &[&str]) -> Heard {
        self.send(&joining(member, topics))
    }

    /// Says nothing new.
    fn beat(&mut self, member: &str, epoch: i32) -> Heard {
        self.send(&ConsumerGroupHeartbeatRequest {
            member_epoch: epoch,
            ..of(member)
        })
    }

    /// Says what it holds.
    fn hold(&mut self, member: &str, epoch: i32, parts: &[(&str, &[i32])]) -> Heard {
        let held = self.world.shelf.held(parts);
        self.send(&ConsumerGroupHeartbeatRequest {
            member_epoch: epoch,
            topic_partitions: Some(held.into()),
            ..of(member)
        })
    }
}

fn classic(response: &Response<'_>) -> Classic {
    match response {
        Response::JoinGroup(joined) => Classic::Joined {
            code: ErrorCode::from_id(joined.error_code),
            member: joined.member_id.to_owned(),
            generation: joined.generation_id,
            leader: joined.leader.to_owned(),
            members: joined
                .members
                .iter()
                .map(|member| member.member_id.to_owned())
                .collect(),
        },
        Response::SyncGroup(synced) => {
            let given = match synced.assignment {
                [] => Parts::new(),
                bytes => {
                    let (given, _) = ConsumerProtocolAssignment::decode_prefixed(bytes).unwrap();
                    let topics = given.assigned_partitions.iter();
                    topics
                        .map(|topic| (topic.topic.to_owned(), topic.partitions.to_vec()))
                        .collect()
                }
            };
            Classic::Synced(ErrorCode::from_id(synced.error_code), given)
        }
        Response::Heartbeat(beat) => Classic::Code(ErrorCode::from_id(beat.error_code)),
        Response::LeaveGroup(left) => Classic::Left(
            ErrorCode::from_id(left.error_code),
            left.members
                .iter()
                .map(|member| ErrorCode::from_id(member.error_code))
                .collect(),
        ),
        other => panic!("{other:?}"),
    }
}

impl Surround {
    fn shelve(&mut self, name: &str, partitions: i32) {
        self.drawn += 1;
        let id = Uuid::from_u64_pair(5, self.drawn);
        let topic = self.shelf.topics.entry(name.to_owned()).or_insert((id, 0));
        topic.1 = partitions;
        self.shelf.version += 1;
    }
}

impl Shelf {
    fn held(&self, parts: &[(&str, &[i32])]) -> Vec<TopicPartitions<'static>> {
        parts
            .iter()
            .map(|(name, partitions)| TopicPartitions {
                topic_id: self.by_name(name).unwrap().id,
                partitions: partitions.to_vec().into(),
            })
            .collect()
    }
}

/// A request of this member in the group.
fn of(member: &str) -> ConsumerGroupHeartbeatRequest<'_> {
    ConsumerGroupHeartbeatRequest {
        group_id: GROUP,
        member_id: member,
        ..ConsumerGroupHeartbeatRequest::default()
    }
}

/// A member that joins, wanting these topics.
fn joining<'a>(member: &'a str, topics: &[&'a str]) -> ConsumerGroupHeartbeatRequest<'a> {
    ConsumerGroupHeartbeatRequest {
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(topics.to_vec().into()),
        topic_partitions: Some(Vec::new().into()),
        ..of(member)
    }
}

fn parts(parts: &[(&str, &[i32])]) -> Parts {
    parts
        .iter()
        .map(|(name, partitions)| ((*name).to_owned(), partitions.to_vec()))
        .collect()
}

fn refused(code: ErrorCode) -> Heard {
    Heard {
        code: code.id(),
        ..Heard::default()
    }
}

impl ConsumerGroup {
    fn durable(&self) -> String {
        format!(
            "{:?}",
            (
                (
                    self.epoch,
                    self.metadata_hash,
                    self.target_epoch,
                    self.target_unix_ms
                ),
                &self.members,
                &self.targets,
                &self.patterns,
                self.has_topics_record,
            )
        )
    }

    /// What [`ConsumerGroup::bytes`] is to be.
    fn weigh(&self) -> usize {
        let members = self.members.iter();
        let members =
            members.map(|(id, member)| id.len() + member.wants.bytes() + member.holds.bytes());
        let lists: BTreeSet<_> = self
            .members
            .values()
            .map(|m| m.wants.topics.clone())
            .collect();
        let lists = lists.iter().map(|list| super::group::list_bytes(list));
        let patterns = self.patterns.values().map(|matched| matched.bytes());
        members.chain(lists).chain(patterns).sum()
    }

    /// Partitions that two members hold at once.
    fn held_twice(&self) -> Vec<(Uuid, i32)> {
        let mut seen = BTreeSet::new();
        let held = self.members.values().flat_map(|member| {
            let holds = &member.holds;
            holds.assigned.iter().chain(holds.revoking.iter())
        });
        held.map(|slot| (slot.topic, slot.partition))
            .filter(|place| !seen.insert(*place))
            .collect()
    }
}
