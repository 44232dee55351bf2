//! Plays that Kafka's own coordinator was the judge of: every answer and every record is the same here, at the same time.
//! `tests/golden/README.md` says how they were written.

use crate::config::Config;
use crate::coordinator::Group;
use crate::offsets::expire;
use crate::testing::{Answer, Line, Scene};
use crate::world::Ticket;
use highwater_wire::message::join_group::JoinGroupRequestProtocol;
use highwater_wire::message::leave_group::MemberIdentity;
use highwater_wire::message::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use highwater_wire::message::sync_group::SyncGroupRequestAssignment;
use highwater_wire::message::{
    HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest, SyncGroupRequest,
};
use highwater_wire::records::group::{GroupKey, GroupValue};
use highwater_wire::{Array, ErrorCode};
use std::collections::BTreeMap;
use uuid::Uuid;

const PLAYS: &str = include_str!("../../tests/golden/groups.txt");

/// A play under way.
struct Play {
    scene: Scene,
    /// Our tickets by those of the play.
    tickets: BTreeMap<Ticket, u32>,
    told: usize,
    answered: Vec<Ticket>,
    stood: String,
}

fn none(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

fn some(text: &str) -> Option<&str> {
    (text != "-").then_some(text)
}

fn hex(bytes: &[u8]) -> String {
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    none(&text).to_owned()
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn number<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

impl Play {
    fn new() -> Play {
        Play {
            scene: Scene::new(Config {
                // The play says when.
                offsets_retention_check_interval_ms: i64::MAX / 4,
                offsets_retention_ms: 60_000,
                ..Config::default()
            }),
            tickets: BTreeMap::new(),
            told: 0,
            answered: Vec::new(),
            stood: "-".to_owned(),
        }
    }

    /// Does what a line of the play says.
    fn ask(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["pass", ms] => return self.scene.pass(number(ms)),
            ["refuse", refuses] => {
                let code = ErrorCode::NotCoordinator;
                self.scene.stage.refuses = (refuses == "1").then_some(code);
                return;
            }
            ["clean"] => {
                let (coordinator, stage) = (&mut self.scene.coordinator, &mut self.scene.stage);
                // Where the log refuses nothing is deleted, and nobody waits to hear of it.
                let _ = expire(coordinator, stage);
                return;
            }
            _ => {}
        }
        let version = match words[0] {
            "join" | "commit" => number(words[2]),
            "heartbeat" => 4,
            _ => 5,
        };
        let caller = self.scene.caller(version);
        self.tickets.insert(caller.ticket, number(words[1]));
        let (coordinator, stage) = (&mut self.scene.coordinator, &mut self.scene.stage);
        match words[..] {
            [
                "join",
                _,
                _,
                member,
                instance,
                session,
                rebalance,
                kind,
                protocols,
                drawn,
            ] => {
                stage.draws = some(drawn).map(number::<Uuid>);
                let protocols: Vec<(&str, Vec<u8>)> = protocols
                    .split(',')
                    .map(|protocol| protocol.split_once('=').unwrap())
                    .map(|(name, metadata)| (name, unhex(metadata)))
                    .collect();
                let request = JoinGroupRequest {
                    group_id: "g",
                    session_timeout_ms: number(session),
                    rebalance_timeout_ms: number(rebalance),
                    member_id: some(member).unwrap_or(""),
                    group_instance_id: some(instance),
                    protocol_type: kind,
                    protocols: protocols
                        .iter()
                        .map(|(name, metadata)| JoinGroupRequestProtocol { name, metadata })
                        .collect(),
                    reason: None,
                };
                coordinator.join_group(stage, &caller, &request);
            }
            ["sync", _, member, instance, generation, protocol, given] => {
                let given: Vec<(&str, Vec<u8>)> = some(given)
                    .into_iter()
                    .flat_map(|given| given.split(','))
                    .map(|given| given.split_once('/').unwrap())
                    .map(|(member, assignment)| (member, unhex(assignment)))
                    .collect();
                let request = SyncGroupRequest {
                    group_id: "g",
                    generation_id: number(generation),
                    member_id: member,
                    group_instance_id: some(instance),
                    protocol_type: some(protocol).map(|_| "consumer"),
                    protocol_name: some(protocol),
                    assignments: given
                        .iter()
                        .map(|(member_id, assignment)| SyncGroupRequestAssignment {
                            member_id,
                            assignment,
                        })
                        .collect(),
                };
                coordinator.sync_group(stage, &caller, &request);
            }
            ["heartbeat", _, member, instance, generation] => {
                let request = HeartbeatRequest {
                    group_id: "g",
                    generation_id: number(generation),
                    member_id: member,
                    group_instance_id: some(instance),
                };
                coordinator.heartbeat(stage, &caller, &request);
            }
            ["leave", _, member, instance] => {
                let request = LeaveGroupRequest {
                    group_id: "g",
                    member_id: "",
                    members: Array::from([MemberIdentity {
                        member_id: some(member).unwrap_or(""),
                        group_instance_id: some(instance),
                        reason: None,
                    }]),
                };
                coordinator.leave_group(stage, &caller, &request);
            }
            [
                "commit",
                _,
                _,
                member,
                instance,
                generation,
                partition,
                offset,
            ] => {
                let partition = OffsetCommitRequestPartition {
                    partition_index: number(partition),
                    committed_offset: number(offset),
                    ..OffsetCommitRequestPartition::default()
                };
                let request = OffsetCommitRequest {
                    group_id: "g",
                    generation_id_or_member_epoch: number(generation),
                    member_id: some(member).unwrap_or(""),
                    group_instance_id: some(instance),
                    topics: Array::from([OffsetCommitRequestTopic {
                        name: "orders",
                        topic_id: Uuid::nil(),
                        partitions: Array::from([partition]),
                    }]),
                    ..OffsetCommitRequest::default()
                };
                coordinator.offset_commit(stage, &caller, &request);
            }
            _ => panic!("{line:?} is no line of a play"),
        }
    }

    /// What was written and answered since the last time, as the play says it.
    fn hear(&mut self) -> Vec<String> {
        let log = &self.scene.stage.log;
        let mut said: Vec<String> = log[self.told..].iter().map(record).collect();
        self.told = log.len();
        for (ticket, answer) in &self.scene.stage.answers {
            if !self.answered.contains(ticket) {
                self.answered.push(*ticket);
                said.push(answered(self.tickets[ticket], answer));
            }
        }
        let stands = match self.scene.coordinator.groups.get("g") {
            Some(Group::Classic(group)) => format!("{} {}", group.state.name(), group.generation),
            Some(Group::Consumer(_)) | None => "-".to_owned(),
        };
        if stands != self.stood {
            said.push(format!("Z {stands}"));
            self.stood = stands;
        }
        said
    }
}

/// A record, as the play says it.
fn record((key, value): &Line) -> String {
    let key = GroupKey::decode(key).unwrap();
    let value = value
        .as_deref()
        .map(|value| GroupValue::decode(&key, value).unwrap().0);
    match (key, value) {
        (GroupKey::GroupMetadata(_), None) => "X".to_owned(),
        (_, Some(GroupValue::GroupMetadata(value))) => {
            let mut members: Vec<String> = Vec::new();
            for member in &value.members {
                members.push(format!(
                    "{}/{}/{}/{}/{}/{}",
                    member.member_id,
                    member.group_instance_id.unwrap_or("-"),
                    member.session_timeout,
                    member.rebalance_timeout,
                    hex(member.subscription),
                    hex(member.assignment)
                ));
            }
            format!(
                "G {} {} {} {} {} {}",
                value.generation,
                none(value.protocol_type),
                value.protocol.unwrap_or("-"),
                value.leader.unwrap_or("-"),
                value.current_state_timestamp,
                none(&members.join(";"))
            )
        }
        (GroupKey::OffsetCommit(key), None) => format!("T {:02}", key.partition),
        (GroupKey::OffsetCommit(key), Some(GroupValue::OffsetCommit(value))) => format!(
            "O {} {} {}",
            key.partition, value.offset, value.commit_timestamp
        ),
        (key, value) => panic!("{key:?} {value:?} is in no play"),
    }
}

/// An answer, as the play says it.
fn answered(ticket: u32, answer: &Answer) -> String {
    let text = |text: &Option<String>| none(text.as_deref().unwrap_or("")).to_owned();
    match answer {
        Answer::Joined(joined) => {
            let members = joined.members.iter().map(|(id, instance, metadata)| {
                format!("{id}/{}/{}", text(instance), hex(metadata))
            });
            let members: Vec<String> = members.collect();
            format!(
                "J {ticket} {} {} {} {} {} {} {} {}",
                joined.code.id(),
                joined.generation,
                text(&joined.protocol_type),
                text(&joined.protocol),
                none(&joined.leader),
                none(&joined.member),
                i32::from(joined.skip_assignment),
                none(&members.join(";"))
            )
        }
        Answer::Synced(synced) => format!(
            "S {ticket} {} {} {} {}",
            synced.code.id(),
            text(&synced.protocol_type),
            text(&synced.protocol),
            hex(&synced.assignment)
        ),
        Answer::Code(code) => format!("H {ticket} {}", code.id()),
        Answer::Codes(code, codes) => match codes.first() {
            Some((name, code)) if name.starts_with("orders-") => {
                format!("C {ticket} {}", code.id())
            }
            Some((_, member)) => format!("L {ticket} {} {}", code.id(), member.id()),
            None => format!("L {ticket} {} -", code.id()),
        },
        Answer::Beat(beat) => panic!("{beat:?} is in no play"),
    }
}

#[test]
fn groups_go_through_the_same_as_in_kafka() {
    let mut play = Play::new();
    let mut name = "";
    let mut lines = PLAYS.lines().enumerate().peekable();
    let mut compared = 0;
    while let Some((at, line)) = lines.next() {
        if line.starts_with('#') {
            continue;
        }
        if line.starts_with("play ") {
            name = line;
            play = Play::new();
            continue;
        }
        play.ask(line);
        let mut expected = Vec::new();
        while let Some((_, said)) = lines.next_if(|(_, said)| said.starts_with(char::is_uppercase))
        {
            expected.push(said.to_owned());
        }
        assert_eq!(play.hear(), expected, "{name}, line {}: {line}", at + 1);
        compared += expected.len();
    }
    assert!(compared > 1000, "{compared} lines are few");
}
