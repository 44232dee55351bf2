//! A world that costs next to nothing: what is measured or counted is the coordinator.
#![allow(dead_code, unreachable_pub)] // each test and bench takes what it needs of it

use highwater_coordinator::{
    Caller, Config, Coordinator, GroupConfig, Record, Response, Ticket, Topic, Topics, World,
};
use highwater_wire::message::consumer_group_heartbeat::TopicPartitions;
use highwater_wire::message::join_group::JoinGroupRequestProtocol;
use highwater_wire::message::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use highwater_wire::message::sync_group::SyncGroupRequestAssignment;
use highwater_wire::message::{
    ConsumerGroupHeartbeatRequest, HeartbeatRequest, JoinGroupRequest, OffsetCommitRequest,
    SyncGroupRequest,
};
use highwater_wire::{Array, ErrorCode};
use uuid::Uuid;

/// A record of the log, as bytes.
pub type Line = (Vec<u8>, Option<Vec<u8>>);

/// A topic of many partitions to commit to, and one of 1,000 to be assigned.
#[derive(Debug)]
pub struct TwoTopics;

const TOPIC: Topic<'static> = Topic {
    id: Uuid::from_u128(7),
    name: "orders",
    partitions: 100_000,
};

const ASSIGNED: Topic<'static> = Topic {
    id: Uuid::from_u128(8),
    name: "payments",
    partitions: 1000,
};

impl Topics for TwoTopics {
    fn by_name(&self, name: &str) -> Option<Topic<'_>> {
        [TOPIC, ASSIGNED]
            .into_iter()
            .find(|topic| topic.name == name)
    }

    fn by_id(&self, id: &Uuid) -> Option<Topic<'_>> {
        [TOPIC, ASSIGNED].into_iter().find(|topic| topic.id == *id)
    }

    fn each(&self, show: &mut dyn FnMut(Topic<'_>)) {
        show(TOPIC);
        show(ASSIGNED);
    }

    fn version(&self) -> u64 {
        1
    }
}

/// A log that is kept only where it is wanted, and the last answers.
#[derive(Debug, Default)]
pub struct Stage {
    pub now_ms: i64,
    pub log: Option<Vec<Line>>,
    pub records: usize,
    pub answers: usize,
    pub refusals: usize,
    /// Members that were told an id, or welcomed: member, leader, generation.
    pub members: Option<Vec<(String, String, i32)>>,
    /// What the last ConsumerGroupHeartbeat was answered with: the epoch, and what is assigned where that was said.
    pub beat: (i32, Option<Vec<i32>>),
    /// UUIDs that were drawn.
    pub drawn: u128,
}

impl World for Stage {
    fn now_ms(&self) -> i64 {
        self.now_ms
    }

    fn unix_ms(&self) -> i64 {
        1_700_000_000_000 + self.now_ms
    }

    fn uuid(&mut self) -> Uuid {
        self.drawn += 1;
        Uuid::from_u128(self.drawn)
    }

    fn topics(&self) -> &dyn Topics {
        &TwoTopics
    }

    fn group_config(&self, _group: &str) -> GroupConfig {
        GroupConfig::default()
    }

    fn append(&mut self, records: &[Record<'_>]) -> Result<(), ErrorCode> {
        self.records += records.len();
        if let Some(log) = &mut self.log {
            for record in records {
                let value = record.value.as_ref();
                log.push((
                    record.key.encode().expect("short"),
                    value.map(|value| value.encode(value.written_version()).expect("short")),
                ));
            }
        }
        Ok(())
    }

    fn answer(&mut self, _ticket: Ticket, response: Response<'_>) {
        self.answers += 1;
        let code = match &response {
            Response::JoinGroup(response) => {
                if let Some(members) = &mut self.members {
                    let (member, leader) = (response.member_id, response.leader);
                    members.push((member.to_owned(), leader.to_owned(), response.generation_id));
                }
                response.error_code
            }
            Response::SyncGroup(response) => response.error_code,
            Response::Heartbeat(response) => response.error_code,
            Response::LeaveGroup(response) => response.error_code,
            Response::OffsetCommit(response) => response
                .topics
                .iter()
                .flat_map(|topic| topic.partitions.first())
                .map(|partition| partition.error_code)
                .sum(),
            Response::OffsetDelete(response) => response.error_code,
            Response::DeleteGroups(response) => response
                .results
                .iter()
                .map(|result| result.error_code)
                .sum(),
            Response::ConsumerGroupHeartbeat(response) => {
                let assigned = response.assignment.as_ref().map(|assignment| {
                    let topics = assignment.topic_partitions.iter();
                    topics.flat_map(|topic| topic.partitions.to_vec()).collect()
                });
                self.beat = (response.member_epoch, assigned);
                response.error_code
            }
        };
        self.refusals += usize::from(code != 0);
    }
}

/// A coordinator that has read an empty log.
pub fn coordinator(stage: &mut Stage) -> Coordinator {
    let mut coordinator = Coordinator::new(Config::default());
    coordinator.loaded(stage);
    coordinator
}

/// Somebody who asks.
pub fn caller(version: i16) -> Caller<'static> {
    Caller {
        ticket: Ticket(1),
        version,
        client_id: "consumer",
        client_host: "/127.0.0.1",
    }
}

/// Commits one offset of the topic.
pub fn commit(
    coordinator: &mut Coordinator,
    stage: &mut Stage,
    group: &str,
    (member, generation): (&str, i32),
    partition: i32,
    offset: i64,
) {
    let request = OffsetCommitRequest {
        group_id: group,
        generation_id_or_member_epoch: generation,
        member_id: member,
        topics: Array::from([OffsetCommitRequestTopic {
            name: TOPIC.name,
            topic_id: Uuid::nil(),
            partitions: Array::from([OffsetCommitRequestPartition {
                partition_index: partition,
                committed_offset: offset,
                committed_leader_epoch: 0,
                committed_metadata: Some(""),
            }]),
        }]),
        ..OffsetCommitRequest::default()
    };
    coordinator.offset_commit(stage, &caller(9), &request);
}

/// A heartbeat.
pub fn heartbeat(
    coordinator: &mut Coordinator,
    stage: &mut Stage,
    group: &str,
    member: &str,
    generation: i32,
) {
    let request = HeartbeatRequest {
        group_id: group,
        generation_id: generation,
        member_id: member,
        group_instance_id: None,
    };
    coordinator.heartbeat(stage, &caller(4), &request);
}

/// A member of a consumer group.
#[derive(Debug, Clone)]
pub struct Consumer {
    pub id: String,
    pub epoch: i32,
    pub held: Vec<i32>,
    /// Whether it has to say what it holds.
    pub has_news: bool,
}

impl Consumer {
    pub fn new(id: String) -> Consumer {
        Consumer {
            id,
            epoch: 0,
            held: Vec::new(),
            has_news: false,
        }
    }

    /// Joins, or says that it is alive, and what it holds where that is news.
    pub fn beat(&mut self, coordinator: &mut Coordinator, stage: &mut Stage, group: &str) {
        let joins = self.epoch == 0;
        let held = self.has_news.then(|| {
            Array::from([TopicPartitions {
                topic_id: ASSIGNED.id,
                partitions: self.held.clone().into(),
            }])
        });
        let request = ConsumerGroupHeartbeatRequest {
            group_id: group,
            member_id: &self.id,
            member_epoch: self.epoch,
            rebalance_timeout_ms: if joins { 60_000 } else { -1 },
            subscribed_topic_names: joins.then(|| Array::from([ASSIGNED.name])),
            topic_partitions: if joins { Some(Array::empty()) } else { held },
            ..ConsumerGroupHeartbeatRequest::default()
        };
        coordinator.consumer_group_heartbeat(stage, &caller(1), &request);
        self.epoch = stage.beat.0;
        self.has_news = false;
        if let Some(assigned) = stage.beat.1.take() {
            self.held = assigned;
            self.has_news = true;
        }
    }

    /// Leaves.
    pub fn leave(&mut self, coordinator: &mut Coordinator, stage: &mut Stage, group: &str) {
        let request = ConsumerGroupHeartbeatRequest {
            group_id: group,
            member_id: &self.id,
            member_epoch: -1,
            ..ConsumerGroupHeartbeatRequest::default()
        };
        coordinator.consumer_group_heartbeat(stage, &caller(1), &request);
        *self = Consumer::new(std::mem::take(&mut self.id));
    }
}

/// Lets members of a consumer group beat until they hold all 1,000 partitions and nobody has news. How often they did.
pub fn share(
    coordinator: &mut Coordinator,
    stage: &mut Stage,
    group: &str,
    members: &mut [Consumer],
) -> usize {
    for round in 1.. {
        for member in &mut *members {
            member.beat(coordinator, stage, group);
        }
        let held: usize = members.iter().map(|member| member.held.len()).sum();
        if held == 1000 && members.iter().all(|member| !member.has_news) {
            return round;
        }
        assert!(round < 20, "{held} partitions are held");
    }
    unreachable!("the rounds are counted")
}

/// Joins, with metadata of so many bytes.
pub fn join(
    coordinator: &mut Coordinator,
    stage: &mut Stage,
    group: &str,
    member: &str,
    metadata: &[u8],
) {
    let protocols = [JoinGroupRequestProtocol {
        name: "range",
        metadata,
    }];
    let request = JoinGroupRequest {
        group_id: group,
        session_timeout_ms: 45_000,
        rebalance_timeout_ms: 300_000,
        member_id: member,
        protocol_type: "consumer",
        protocols: protocols.as_slice().into(),
        ..JoinGroupRequest::default()
    };
    coordinator.join_group(stage, &caller(3), &request);
}

/// Asks for the assignment; the leader brings one of so many bytes for each.
pub fn sync(
    coordinator: &mut Coordinator,
    stage: &mut Stage,
    group: &str,
    (member, generation): (&str, i32),
    assignments: &[SyncGroupRequestAssignment<'_>],
) {
    let request = SyncGroupRequest {
        group_id: group,
        generation_id: generation,
        member_id: member,
        assignments: assignments.into(),
        ..SyncGroupRequest::default()
    };
    coordinator.sync_group(stage, &caller(5), &request);
}

/// A stable group of so many members. Gives their ids, the leader first, and the generation.
pub fn stable(
    coordinator: &mut Coordinator,
    stage: &mut Stage,
    group: &str,
    count: usize,
    metadata: &[u8],
    assignment: &[u8],
) -> (Vec<String>, i32) {
    stage.members = Some(Vec::new());
    for _ in 0..count {
        join(coordinator, stage, group, "", metadata);
    }
    while stage
        .members
        .as_ref()
        .is_some_and(|members| members.len() < count)
    {
        stage.now_ms += 3000;
        coordinator.tick(stage);
    }
    settle(coordinator, stage, group, assignment)
}

/// Everybody who was welcomed fetches an assignment.
pub fn settle(
    coordinator: &mut Coordinator,
    stage: &mut Stage,
    group: &str,
    assignment: &[u8],
) -> (Vec<String>, i32) {
    let welcomed = stage.members.take().unwrap_or_default();
    let (_, leader, generation) = welcomed.first().cloned().expect("somebody");
    let mut members: Vec<String> = welcomed.into_iter().map(|(member, _, _)| member).collect();
    members.sort_by_key(|member| *member != leader);
    let given = members.iter().map(|member_id| SyncGroupRequestAssignment {
        member_id,
        assignment,
    });
    let given: Vec<_> = given.collect();
    for (at, member) in members.iter().enumerate() {
        let given = if at == 0 { given.as_slice() } else { &[] };
        sync(coordinator, stage, group, (member, generation), given);
    }
    (members, generation)
}
