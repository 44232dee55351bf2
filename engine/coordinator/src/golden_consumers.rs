//! Plays of consumer groups that Kafka's own coordinator was the judge of: every answer and every record is the same here, at
//! the same time. `tests/golden/README.md` says how they were written.

use crate::config::Config;
use crate::testing::{Answer, Line, Scene};
use crate::world::{Record, Ticket};
use highwater_wire::Array;
use highwater_wire::message::ConsumerGroupHeartbeatRequest;
use highwater_wire::message::consumer_group_heartbeat::TopicPartitions;
use highwater_wire::records::group::{
    ConsumerGroupMetadataKey, ConsumerGroupMetadataValue, GroupKey, GroupValue,
};
use std::collections::BTreeMap;
use uuid::Uuid;

const PLAYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/consumers.txt");

/// Partitions by the number of the topic's id.
type Held = BTreeMap<u128, Vec<i32>>;

/// A play under way.
struct Play {
    scene: Scene,
    tickets: BTreeMap<Ticket, u32>,
    told: usize,
    answered: Vec<Ticket>,
    stood: String,
    /// What the log says, by key.
    log: BTreeMap<String, String>,
}

fn some(text: &str) -> Option<&str> {
    (text != "-").then_some(text)
}

fn number<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

/// Partitions as the play says them; `-` for not said, `=` for none.
fn held(text: &str) -> Option<Held> {
    let text = some(text)?;
    let topics = text.split(';').filter(|topic| *topic != "=");
    let topics = topics.map(|topic| {
        let (id, partitions) = topic.split_once(':').unwrap();
        (number(id), partitions.split(',').map(number).collect())
    });
    Some(topics.collect())
}

fn said(topics: impl Iterator<Item = (Uuid, Vec<i32>)>) -> String {
    let mut topics: Vec<(Uuid, Vec<i32>)> = topics.collect();
    topics.sort();
    let topics: Vec<String> = topics
        .into_iter()
        .map(|(id, mut partitions)| {
            partitions.sort_unstable();
            let partitions: Vec<String> = partitions.iter().map(i32::to_string).collect();
            format!("{}:{}", id.as_u128(), partitions.join(","))
        })
        .collect();
    if topics.is_empty() {
        "=".to_owned()
    } else {
        topics.join(";")
    }
}

impl Play {
    fn new() -> Play {
        let mut scene = Scene::new(Config {
            consumer_group_size_max: 5,
            offsets_retention_check_interval_ms: i64::MAX / 4,
            ..Config::default()
        });
        scene.stage.topics.topics.clear();
        // As of Kafka 4.2 epochs begin at 2.
        let begun = Record {
            key: GroupKey::ConsumerGroupMetadata(ConsumerGroupMetadataKey { group_id: "g" }),
            value: Some(GroupValue::ConsumerGroupMetadata(
                ConsumerGroupMetadataValue {
                    epoch: 1,
                    metadata_hash: 0,
                },
            )),
        };
        scene.coordinator.write(&mut scene.stage, &[begun]).unwrap();
        Play {
            scene,
            tickets: BTreeMap::new(),
            told: 1,
            answered: Vec::new(),
            stood: "Empty 1 0 uniform".to_owned(),
            log: BTreeMap::new(),
        }
    }

    /// Does what a line of the play says.
    fn ask(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["pass", ms] => self.scene.pass(number(ms)),
            ["topic", topic, count] => {
                let name = format!("t{topic}");
                let topics = &mut self.scene.stage.topics;
                match number(count) {
                    0 => topics.remove(&name),
                    count => topics.set(&name, 2 + number::<u128>(topic), count),
                }
                self.scene.coordinator.topics_changed(&mut self.scene.stage);
            }
            [
                "beat",
                ticket,
                member,
                instance,
                epoch,
                rebalance,
                topics,
                assignor,
                owned,
            ] => {
                let caller = self.scene.caller(1);
                self.tickets.insert(caller.ticket, number(ticket));
                let topics: Option<Vec<&str>> =
                    some(topics).map(|topics| topics.split(',').collect());
                let owned = held(owned);
                let owned: Option<Array<'_, TopicPartitions<'_>>> = owned.as_ref().map(|owned| {
                    let topics = owned.iter();
                    topics
                        .map(|(id, partitions)| TopicPartitions {
                            topic_id: Uuid::from_u128(*id),
                            partitions: partitions.as_slice().into(),
                        })
                        .collect()
                });
                let request = ConsumerGroupHeartbeatRequest {
                    group_id: "g",
                    member_id: member,
                    member_epoch: number(epoch),
                    instance_id: some(instance),
                    rack_id: None,
                    rebalance_timeout_ms: number(rebalance),
                    subscribed_topic_names: topics.as_deref().map(Into::into),
                    subscribed_topic_regex: None,
                    server_assignor: some(assignor),
                    topic_partitions: owned,
                };
                let (coordinator, stage) = (&mut self.scene.coordinator, &mut self.scene.stage);
                coordinator.consumer_group_heartbeat(stage, &caller, &request);
            }
            _ => panic!("{line:?} is no line of a play"),
        }
    }

    /// What was written and answered since the last time, as the play says it.
    fn hear(&mut self) -> Vec<String> {
        let log = &self.scene.stage.log;
        // The last record of each key, where it changes something.
        let records = log[self.told..].iter().map(record);
        let by_key = records.map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let key = match words[0] {
                "E" | "A" => words[0].to_owned(),
                kind => format!("{kind}{}", words[1]),
            };
            (key, line)
        });
        let by_key: BTreeMap<String, String> = by_key.collect();
        let mut heard = Vec::new();
        for (key, line) in by_key {
            let words = line.split(' ').count();
            let is_gone = line.ends_with(" -") && (words == 3 || !line.starts_with('M'));
            let before = if is_gone {
                self.log.remove(&key)
            } else {
                self.log.insert(key, line.clone())
            };
            let changes = if is_gone {
                before.is_some()
            } else {
                before.as_ref() != Some(&line)
            };
            if changes {
                heard.push(line);
            }
        }
        self.told = log.len();
        for (ticket, answer) in &self.scene.stage.answers {
            if self.answered.contains(ticket) {
                continue;
            }
            self.answered.push(*ticket);
            let Answer::Beat(beat) = answer else {
                panic!("{answer:?} is in no play");
            };
            let ticket = self.tickets[ticket];
            heard.push(if beat.code.is_error() {
                format!("B {ticket} {}", beat.code.id())
            } else {
                let assignment = beat.assignment.clone();
                format!(
                    "B {ticket} 0 {} {} {} {}",
                    beat.member.as_deref().unwrap_or("-"),
                    beat.epoch,
                    beat.interval_ms,
                    assignment.map_or("-".to_owned(), |topics| said(topics.into_iter()))
                )
            });
        }
        let topics = &self.scene.stage.topics;
        let group = self.scene.coordinator.consumer_group_describe(topics, "g");
        let stands = if group.error_code == 0 {
            format!(
                "{} {} {} {}",
                group.group_state, group.group_epoch, group.assignment_epoch, group.assignor_name
            )
        } else {
            "-".to_owned()
        };
        if stands != self.stood {
            heard.push(format!("G {stands}"));
            self.stood = stands;
        }
        heard
    }
}

/// A record, as the play says it.
fn record((key, value): &Line) -> String {
    let key = GroupKey::decode(key).unwrap();
    let value = value
        .as_deref()
        .map(|value| GroupValue::decode(&key, value).unwrap().0);
    match (&key, value) {
        (GroupKey::ConsumerGroupMetadata(_), None) => "E -".to_owned(),
        (_, Some(GroupValue::ConsumerGroupMetadata(value))) => {
            format!("E {} {}", value.epoch, value.metadata_hash)
        }
        (GroupKey::ConsumerGroupMemberMetadata(key), None) => format!("M {} -", key.member_id),
        (
            GroupKey::ConsumerGroupMemberMetadata(key),
            Some(GroupValue::ConsumerGroupMemberMetadata(value)),
        ) => format!(
            "M {} {} {} {} {}",
            key.member_id,
            value.instance_id.unwrap_or("-"),
            value.subscribed_topic_names.to_vec().join(","),
            value.rebalance_timeout_ms,
            value.server_assignor.unwrap_or("-")
        ),
        (GroupKey::ConsumerGroupTargetAssignmentMetadata(_), None) => "A -".to_owned(),
        (_, Some(GroupValue::ConsumerGroupTargetAssignmentMetadata(value))) => {
            format!("A {}", value.assignment_epoch)
        }
        (GroupKey::ConsumerGroupTargetAssignmentMember(key), None) => {
            format!("T {} -", key.member_id)
        }
        (
            GroupKey::ConsumerGroupTargetAssignmentMember(key),
            Some(GroupValue::ConsumerGroupTargetAssignmentMember(value)),
        ) => {
            let topics = value.topic_partitions.iter();
            let topics = topics.map(|topic| (topic.topic_id, topic.partitions.to_vec()));
            format!("T {} {}", key.member_id, said(topics))
        }
        (GroupKey::ConsumerGroupCurrentMemberAssignment(key), None) => {
            format!("C {} -", key.member_id)
        }
        (
            GroupKey::ConsumerGroupCurrentMemberAssignment(key),
            Some(GroupValue::ConsumerGroupCurrentMemberAssignment(value)),
        ) => {
            let assigned = value.assigned_partitions.iter();
            let pending = value.partitions_pending_revocation.iter();
            format!(
                "C {} {} {} {} {} {}",
                key.member_id,
                value.member_epoch,
                value.previous_member_epoch,
                value.state,
                said(assigned.map(|topic| (topic.topic_id, topic.partitions.to_vec()))),
                said(pending.map(|topic| (topic.topic_id, topic.partitions.to_vec())))
            )
        }
        (key, value) => panic!("{key:?} {value:?} is in no play"),
    }
}

#[test]
fn consumer_groups_go_through_the_same_as_in_kafka() {
    let plays = std::fs::read_to_string(PLAYS).unwrap();
    let mut play = Play::new();
    let mut name = "";
    let mut lines = plays.lines().enumerate().peekable();
    let mut compared = 0;
    while let Some((at, line)) = lines.next() {
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
