//! Deleting topics by name or id (`ControllerApis.deleteTopics`).

use std::collections::BTreeMap;

use highwater_wire::ErrorCode;
use uuid::Uuid;

use super::{Decision, Outcome, RECORDS_MAX, Refused, TopicOutcome};
use crate::metadata::image::{Image, Topic};
use crate::metadata::record::Record;

/// How a client names a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicName {
    /// By its name.
    Name(String),
    /// By its id.
    Id(Uuid),
    /// In a way that names none, or two: neither name nor id, or both.
    Unclear {
        /// The name, if there was one.
        name: Option<String>,
        /// The id; nil if there was none.
        id: Uuid,
    },
}

pub(super) fn decide(image: &Image, names: &[TopicName]) -> Decision {
    let mut asked: BTreeMap<&TopicName, u32> = BTreeMap::new();
    for name in names {
        *asked.entry(name).or_default() += 1;
    }
    let mut removed: BTreeMap<Uuid, ()> = BTreeMap::new();
    let mut records = Vec::new();
    let outcome = names
        .iter()
        .map(|name| {
            let topic = find(image, name)?;
            let duplicate = match name {
                _ if asked.get(name).is_none_or(|times| *times < 2) => None,
                TopicName::Name(_) => Some("Duplicate topic name."),
                TopicName::Id(_) | TopicName::Unclear { .. } => Some("Duplicate topic id."),
            };
            if let Some(message) = duplicate {
                return Err(Refused::new(ErrorCode::InvalidRequest, message));
            }
            if removed.insert(topic.id, ()).is_some() {
                return Err(Refused::new(
                    ErrorCode::InvalidRequest,
                    "The provided topic name maps to an ID that was already supplied.",
                ));
            }
            if records.len() == RECORDS_MAX {
                return Err(Refused::code(ErrorCode::PolicyViolation));
            }
            records.push(Record::RemoveTopic { id: topic.id });
            Ok(TopicOutcome {
                name: topic.name.to_string(),
                id: topic.id,
                partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
            })
        })
        .collect();
    Decision {
        records,
        outcome: Outcome::Topics(outcome),
    }
}

fn find<'a>(image: &'a Image, name: &TopicName) -> Result<&'a Topic, Refused> {
    match name {
        TopicName::Name(name) => image
            .topic(name)
            .map(AsRef::as_ref)
            .ok_or_else(|| Refused::code(ErrorCode::UnknownTopicOrPartition)),
        TopicName::Id(id) => image
            .topic_by_id(id)
            .map(AsRef::as_ref)
            .ok_or_else(|| Refused::code(ErrorCode::UnknownTopicId)),
        TopicName::Unclear { name: None, .. } => Err(Refused::new(
            ErrorCode::InvalidRequest,
            "Neither topic name nor id were specified.",
        )),
        TopicName::Unclear { name: Some(_), .. } => Err(Refused::new(
            ErrorCode::InvalidRequest,
            "You may not specify both topic name and topic id.",
        )),
    }
}
