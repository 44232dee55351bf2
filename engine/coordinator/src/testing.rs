//! A world for tests: a log that is a vector, a clock that only tests move, answers as values that borrow nothing.

use crate::config::{Config, GroupConfig};
use crate::coordinator::Coordinator;
use crate::world::{Caller, Record, Response, Ticket, Topic, Topics, World};
use highwater_wire::message::join_group::JoinGroupRequestProtocol;
use highwater_wire::message::leave_group::MemberIdentity;
use highwater_wire::message::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use highwater_wire::message::offset_fetch::OffsetFetchRequestGroup;
use highwater_wire::message::sync_group::SyncGroupRequestAssignment;
use highwater_wire::message::{
    HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest, SyncGroupRequest,
};
use highwater_wire::{Array, ErrorCode, Message};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Where the world's clocks begin.
pub(crate) const EPOCH_UNIX_MS: i64 = 1_700_000_000_000;

/// A record of the log, as bytes.
pub(crate) type Line = (Vec<u8>, Option<Vec<u8>>);

/// What a JoinGroup was answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) code: ErrorCode,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: String,
    pub(crate) member: String,
    pub(crate) skip_assignment: bool,
    /// Id, instance, metadata.
    pub(crate) members: Vec<(String, Option<String>, Vec<u8>)>,
}

/// What a SyncGroup was answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Synced {
    pub(crate) code: ErrorCode,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) assignment: Vec<u8>,
}

/// What a ConsumerGroupHeartbeat was answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Beat {
    pub(crate) code: ErrorCode,
    pub(crate) member: Option<String>,
    pub(crate) epoch: i32,
    pub(crate) interval_ms: i32,
    pub(crate) assignment: Option<Vec<(Uuid, Vec<i32>)>>,
}

/// An answer, with nothing borrowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Joined(Joined),
    Synced(Synced),
    /// Of a heartbeat, or of an answer as a whole.
    Code(ErrorCode),
    /// Of many things: names, then code.
    Codes(ErrorCode, Vec<(String, ErrorCode)>),
    Beat(Beat),
}

/// A log, a clock, topics and answers.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) now_ms: i64,
    pub(crate) log: Vec<Line>,
    /// How many records each append had.
    pub(crate) batches: Vec<usize>,
    pub(crate) answers: BTreeMap<Ticket, Answer>,
    /// Versions of the requests, by ticket.
    pub(crate) versions: BTreeMap<Ticket, i16>,
    /// What every append is refused with.
    pub(crate) refuses: Option<ErrorCode>,
    pub(crate) topics: Shown,
    pub(crate) group_config: GroupConfig,
    /// What is drawn next, where a test must know.
    pub(crate) draws: Option<Uuid>,
    drawn: u128,
}

/// Topics in the order of names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    pub(crate) topics: BTreeMap<String, (Uuid, i32)>,
    pub(crate) version: u64,
}

impl Shown {
    pub(crate) fn set(&mut self, name: &str, id: u128, partitions: i32) {
        self.topics
            .insert(name.to_owned(), (Uuid::from_u128(id), partitions));
        self.version += 1;
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.topics.remove(name);
        self.version += 1;
    }
}

fn topic<'a>((name, (id, partitions)): (&'a String, &'a (Uuid, i32))) -> Topic<'a> {
    Topic {
        id: *id,
        name,
        partitions: *partitions,
    }
}

impl Topics for Shown {
    fn by_name(&self, name: &str) -> Option<Topic<'_>> {
        self.topics.get_key_value(name).map(topic)
    }

    fn by_id(&self, id: &Uuid) -> Option<Topic<'_>> {
        self.topics
            .iter()
            .find(|(_, (known, _))| known == id)
            .map(topic)
    }

    fn each(&self, show: &mut dyn FnMut(Topic<'_>)) {
        self.topics.iter().map(topic).for_each(show);
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl Stage {
    pub(crate) fn new() -> Stage {
        let mut topics = Shown::default();
        topics.set("__consumer_offsets", 1, 50);
        topics.set("orders", 2, 12);
        topics.set("payments", 3, 6);
        Stage {
            now_ms: 0,
            log: Vec::new(),
            batches: Vec::new(),
            answers: BTreeMap::new(),
            versions: BTreeMap::new(),
            refuses: None,
            topics,
            group_config: GroupConfig::default(),
            draws: None,
            drawn: 0,
        }
    }
}

impl World for Stage {
    fn now_ms(&self) -> i64 {
        self.now_ms
    }

    fn unix_ms(&self) -> i64 {
        EPOCH_UNIX_MS + self.now_ms
    }

    fn uuid(&mut self) -> Uuid {
        self.drawn += 1;
        self.draws.take().unwrap_or(Uuid::from_u128(self.drawn))
    }

    fn topics(&self) -> &dyn Topics {
        &self.topics
    }

    fn group_config(&self, _group: &str) -> GroupConfig {
        self.group_config
    }

    fn append(&mut self, records: &[Record<'_>]) -> Result<(), ErrorCode> {
        assert!(!records.is_empty(), "a batch has records");
        if let Some(code) = self.refuses {
            return Err(code);
        }
        for record in records {
            let value = record.value.as_ref();
            self.log.push((
                record.key.encode().unwrap(),
                value.map(|value| value.encode(value.written_version()).unwrap()),
            ));
        }
        self.batches.push(records.len());
        Ok(())
    }

    fn answer(&mut self, ticket: Ticket, response: Response<'_>) {
        let version = self.versions[&ticket];
        let code = ErrorCode::from_id;
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let answer = match &response {
            Response::JoinGroup(response) => {
                response.encoded_len(version).unwrap();
                let members = response.members.iter().map(|member| {
                    (
                        member.member_id.to_owned(),
                        owned(member.group_instance_id),
                        member.metadata.to_vec(),
                    )
                });
                Answer::Joined(Joined {
                    code: code(response.error_code),
                    generation: response.generation_id,
                    protocol_type: owned(response.protocol_type),
                    protocol: owned(response.protocol_name),
                    leader: response.leader.to_owned(),
                    member: response.member_id.to_owned(),
                    skip_assignment: response.skip_assignment,
                    members: members.collect(),
                })
            }
            Response::SyncGroup(response) => {
                response.encoded_len(version).unwrap();
                Answer::Synced(Synced {
                    code: code(response.error_code),
                    protocol_type: owned(response.protocol_type),
                    protocol: owned(response.protocol_name),
                    assignment: response.assignment.to_vec(),
                })
            }
            Response::Heartbeat(response) => {
                response.encoded_len(version).unwrap();
                Answer::Code(code(response.error_code))
            }
            Response::LeaveGroup(response) => {
                response.encoded_len(version).unwrap();
                let members = response.members.iter().map(|member| {
                    let name = match member.group_instance_id {
                        Some(instance) => format!("{}@{instance}", member.member_id),
                        None => member.member_id.to_owned(),
                    };
                    (name, code(member.error_code))
                });
                Answer::Codes(code(response.error_code), members.collect())
            }
            Response::OffsetCommit(response) => {
                response.encoded_len(version).unwrap();
                let mut codes = Vec::new();
                for topic in &response.topics {
                    let name = if topic.topic_id.is_nil() {
                        topic.name.to_owned()
                    } else {
                        topic.topic_id.as_u128().to_string()
                    };
                    for partition in &topic.partitions {
                        let name = format!("{name}-{}", partition.partition_index);
                        codes.push((name, code(partition.error_code)));
                    }
                }
                Answer::Codes(ErrorCode::None, codes)
            }
            Response::OffsetDelete(response) => {
                response.encoded_len(version).unwrap();
                let mut codes = Vec::new();
                for topic in &response.topics {
                    for partition in &topic.partitions {
                        let name = format!("{}-{}", topic.name, partition.partition_index);
                        codes.push((name, code(partition.error_code)));
                    }
                }
                Answer::Codes(code(response.error_code), codes)
            }
            Response::DeleteGroups(response) => {
                response.encoded_len(version).unwrap();
                let results = response.results.iter();
                let codes = results.map(|one| (one.group_id.to_owned(), code(one.error_code)));
                Answer::Codes(ErrorCode::None, codes.collect())
            }
            Response::ConsumerGroupHeartbeat(response) => {
                response.encoded_len(version).unwrap();
                let assignment = response.assignment.as_ref().map(|assignment| {
                    let topics = assignment.topic_partitions.iter();
                    topics
                        .map(|topic| (topic.topic_id, topic.partitions.to_vec()))
                        .collect()
                });
                Answer::Beat(Beat {
                    code: code(response.error_code),
                    member: owned(response.member_id),
                    epoch: response.member_epoch,
                    interval_ms: response.heartbeat_interval_ms,
                    assignment,
                })
            }
        };
        let before = self.answers.insert(ticket, answer);
        assert_eq!(before, None, "a request is answered once");
    }
}

/// A coordinator and its world.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) coordinator: Coordinator,
    pub(crate) stage: Stage,
    pub(crate) config: Config,
    tickets: u64,
}

/// Somebody who joins, as most do.
#[derive(Debug, Clone)]
pub(crate) struct Join<'a> {
    pub(crate) group: &'a str,
    pub(crate) member: &'a str,
    pub(crate) instance: Option<&'a str>,
    pub(crate) version: i16,
    pub(crate) session_ms: i32,
    pub(crate) rebalance_ms: i32,
    pub(crate) protocol_type: &'a str,
    pub(crate) protocols: &'a [(&'a str, &'a [u8])],
}

/// Metadata of a consumer subscribed to `orders`.
pub(crate) const TO_ORDERS: &[u8] = b"\0\0\0\0\0\x01\0\x06orders\xff\xff\xff\xff";

impl Default for Join<'_> {
    fn default() -> Self {
        Join {
            group: "g",
            member: "",
            instance: None,
            version: 9,
            session_ms: 10_000,
            rebalance_ms: 60_000,
            protocol_type: "consumer",
            protocols: &[("range", TO_ORDERS)],
        }
    }
}

impl Scene {
    /// A coordinator that has read an empty log.
    pub(crate) fn new(config: Config) -> Scene {
        let mut scene = Scene {
            coordinator: Coordinator::new(config.clone()),
            stage: Stage::new(),
            config,
            tickets: 0,
        };
        scene.coordinator.loaded(&mut scene.stage);
        scene
    }

    /// The process ends and begins again: what is in the log is what is known.
    pub(crate) fn restart(&mut self) {
        self.coordinator = Coordinator::new(self.config.clone());
        for (key, value) in &self.stage.log {
            self.coordinator.replay(key, value.as_deref()).unwrap();
        }
        self.coordinator.loaded(&mut self.stage);
    }

    /// Time passes; what is due is done when it is.
    pub(crate) fn pass(&mut self, ms: i64) {
        let end_ms = self.stage.now_ms + ms;
        while let Some(due_ms) = self.coordinator.due_ms().filter(|due_ms| *due_ms <= end_ms) {
            self.stage.now_ms = due_ms.max(self.stage.now_ms);
            self.coordinator.tick(&mut self.stage);
        }
        self.stage.now_ms = end_ms;
    }

    pub(crate) fn caller(&mut self, version: i16) -> Caller<'static> {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.stage.versions.insert(ticket, version);
        Caller {
            ticket,
            version,
            client_id: "client",
            client_host: "/127.0.0.1",
        }
    }

    pub(crate) fn answer(&self, ticket: Ticket) -> Option<&Answer> {
        self.stage.answers.get(&ticket)
    }

    /// The answer to a JoinGroup; none while it is parked.
    pub(crate) fn joined(&self, ticket: Ticket) -> Option<&Joined> {
        let answer = self.answer(ticket)?;
        let Answer::Joined(joined) = answer else {
            panic!("{answer:?} is no answer to JoinGroup");
        };
        Some(joined)
    }

    /// The answer to a SyncGroup; none while it is parked.
    pub(crate) fn synced(&self, ticket: Ticket) -> Option<&Synced> {
        let answer = self.answer(ticket)?;
        let Answer::Synced(synced) = answer else {
            panic!("{answer:?} is no answer to SyncGroup");
        };
        Some(synced)
    }

    pub(crate) fn join(&mut self, join: &Join<'_>) -> Ticket {
        let caller = self.caller(join.version);
        let protocols = join.protocols.iter();
        let request = JoinGroupRequest {
            group_id: join.group,
            session_timeout_ms: join.session_ms,
            rebalance_timeout_ms: join.rebalance_ms,
            member_id: join.member,
            group_instance_id: join.instance,
            protocol_type: join.protocol_type,
            protocols: protocols
                .map(|(name, metadata)| JoinGroupRequestProtocol { name, metadata })
                .collect(),
            reason: None,
        };
        self.coordinator
            .join_group(&mut self.stage, &caller, &request);
        caller.ticket
    }

    /// Joins as a newcomer does: asks for an id, then joins with it.
    pub(crate) fn enter(&mut self, join: &Join<'_>) -> (String, Ticket) {
        let ticket = self.join(join);
        let told = self.joined(ticket).expect("an id is told at once").clone();
        assert_eq!(told.code, ErrorCode::MemberIdRequired);
        let ticket = self.join(&Join {
            member: &told.member,
            ..join.clone()
        });
        (told.member, ticket)
    }

    pub(crate) fn sync(
        &mut self,
        group: &str,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        assignments: &[(&str, &[u8])],
    ) -> Ticket {
        let caller = self.caller(5);
        let request = SyncGroupRequest {
            group_id: group,
            generation_id: generation,
            member_id: member,
            group_instance_id: instance,
            protocol_type: Some("consumer"),
            protocol_name: None,
            assignments: assignments
                .iter()
                .map(|(member_id, assignment)| SyncGroupRequestAssignment {
                    member_id,
                    assignment,
                })
                .collect(),
        };
        self.coordinator
            .sync_group(&mut self.stage, &caller, &request);
        caller.ticket
    }

    pub(crate) fn heartbeat(&mut self, group: &str, member: &str, generation: i32) -> ErrorCode {
        self.heartbeat_of(group, member, None, generation)
    }

    pub(crate) fn heartbeat_of(
        &mut self,
        group: &str,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> ErrorCode {
        let caller = self.caller(4);
        let request = HeartbeatRequest {
            group_id: group,
            generation_id: generation,
            member_id: member,
            group_instance_id: instance,
        };
        self.coordinator
            .heartbeat(&mut self.stage, &caller, &request);
        match self.answer(caller.ticket) {
            Some(Answer::Code(code)) => *code,
            other => panic!("{other:?} is no answer to Heartbeat"),
        }
    }

    /// Leaves: member ids and instances.
    pub(crate) fn leave(
        &mut self,
        group: &str,
        members: &[(&str, Option<&str>)],
    ) -> Vec<ErrorCode> {
        let caller = self.caller(5);
        let members = members
            .iter()
            .map(|(member_id, group_instance_id)| MemberIdentity {
                member_id,
                group_instance_id: *group_instance_id,
                reason: None,
            });
        let request = LeaveGroupRequest {
            group_id: group,
            member_id: "",
            members: members.collect(),
        };
        self.coordinator
            .leave_group(&mut self.stage, &caller, &request);
        match self.answer(caller.ticket) {
            Some(Answer::Codes(ErrorCode::None, codes)) => {
                codes.iter().map(|(_, code)| *code).collect()
            }
            Some(Answer::Codes(code, codes)) if codes.is_empty() => vec![*code],
            other => panic!("{other:?} is no answer to LeaveGroup"),
        }
    }

    /// Commits one offset in a version that names topics by name.
    pub(crate) fn commit(
        &mut self,
        group: &str,
        member: &str,
        generation: i32,
        (topic, partition): (&str, i32),
        offset: i64,
    ) -> ErrorCode {
        let caller = self.caller(9);
        let partition = OffsetCommitRequestPartition {
            partition_index: partition,
            committed_offset: offset,
            committed_leader_epoch: -1,
            committed_metadata: Some(""),
        };
        let request = OffsetCommitRequest {
            group_id: group,
            generation_id_or_member_epoch: generation,
            member_id: member,
            group_instance_id: None,
            retention_time_ms: -1,
            topics: Array::from([OffsetCommitRequestTopic {
                name: topic,
                topic_id: Uuid::nil(),
                partitions: Array::from([partition]),
            }]),
        };
        self.coordinator
            .offset_commit(&mut self.stage, &caller, &request);
        match self.answer(caller.ticket) {
            Some(Answer::Codes(ErrorCode::None, codes)) => codes[0].1,
            other => panic!("{other:?} is no answer to OffsetCommit"),
        }
    }

    /// All commits of a group: topic, partition, offset.
    pub(crate) fn committed(&self, group: &str) -> Vec<(String, i32, i64)> {
        let request = OffsetFetchRequestGroup {
            group_id: group,
            member_id: None,
            member_epoch: -1,
            topics: None,
        };
        let response = self
            .coordinator
            .offset_fetch(&self.stage.topics, 9, &request, false);
        response.encoded_group(9);
        let mut all = Vec::new();
        for topic in &response.topics {
            for partition in &topic.partitions {
                all.push((
                    topic.name.to_owned(),
                    partition.partition_index,
                    partition.committed_offset,
                ));
            }
        }
        all
    }
}

/// A struct that is a part of an answer can be said in a version.
trait Said {
    fn encoded_group(&self, version: i16);
}

impl Said for highwater_wire::message::offset_fetch::OffsetFetchResponseGroup<'_> {
    fn encoded_group(&self, version: i16) {
        let response = highwater_wire::message::OffsetFetchResponse {
            groups: Array::from([self.clone()]),
            ..highwater_wire::message::OffsetFetchResponse::default()
        };
        response.encoded_len(version).unwrap();
    }
}
