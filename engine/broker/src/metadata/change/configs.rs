//! Changing settings of topics and brokers (`ConfigurationControlManager`, `ConfigAdminManager`): the settings that would
//! result are checked as a whole before anything is written.

use std::collections::{BTreeMap, BTreeSet};

use highwater_wire::ErrorCode;

use super::{Decision, Outcome, RECORDS_MAX, Refused};
use crate::config::{Entry, Layers, Overrides, brokers, check_broker, check_topic, groups, topics};
use crate::metadata::image::Image;
use crate::metadata::record::{Record, Resource};
use crate::metadata::topic_name;

/// What shall become of the settings of one resource.
#[derive(Clone, Debug)]
pub struct Alteration {
    /// The type as the protocol numbers it.
    pub resource_type: i8,
    /// The name as the protocol has it: a topic, a group, a broker's id, or nothing for all brokers.
    pub resource_name: String,
    /// Setting, what to do with it, and the value.
    pub operations: Vec<(String, Operation, Option<String>)>,
    /// Whether settings that are not named are reset (the older AlterConfigs).
    pub replaces_all: bool,
}

/// What to do with a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Give it this value.
    Set,
    /// Reset it.
    Delete,
    /// Add these words to its list.
    Append,
    /// Take these words from its list.
    Subtract,
    /// A number the protocol does not have.
    Unknown(i8),
}

impl Operation {
    /// From its number in the protocol (`AlterConfigOp.OpType`).
    pub fn from_wire(id: i8) -> Operation {
        match id {
            0 => Operation::Set,
            1 => Operation::Delete,
            2 => Operation::Append,
            3 => Operation::Subtract,
            other => Operation::Unknown(other),
        }
    }
}

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const GROUP: i8 = 32;

/// The most groups with settings of their own.
const GROUPS_MAX: usize = 10_000;

/// The longest name of a group with settings of its own.
const GROUP_BYTES_MAX: usize = 1024;

pub(super) fn decide(image: &Image, alterations: &[Alteration]) -> Decision {
    let mut times: BTreeMap<(i8, &str), u32> = BTreeMap::new();
    for a in alterations {
        *times
            .entry((a.resource_type, &a.resource_name))
            .or_default() += 1;
    }
    let mut records = Vec::new();
    let outcome = alterations
        .iter()
        .map(|a| {
            if times
                .get(&(a.resource_type, a.resource_name.as_str()))
                .is_some_and(|n| *n > 1)
            {
                return Err(invalid("Each resource must appear at most once."));
            }
            let new = one(image, a)?;
            if is_new_group(image, a)
                && image.group_configs().len() + alterations.len() > GROUPS_MAX
            {
                return Err(Refused::new(
                    ErrorCode::PolicyViolation,
                    format!("At most {GROUPS_MAX} groups can have settings of their own"),
                ));
            }
            if records.len() + new.len() > RECORDS_MAX {
                return Err(Refused::code(ErrorCode::PolicyViolation));
            }
            records.extend(new);
            Ok(())
        })
        .collect();
    Decision {
        records,
        outcome: Outcome::Configs(outcome),
    }
}

fn is_new_group(image: &Image, alteration: &Alteration) -> bool {
    alteration.resource_type == GROUP
        && !image
            .group_configs()
            .contains_key(alteration.resource_name.as_str())
}

fn one(image: &Image, alteration: &Alteration) -> Result<Vec<Record>, Refused> {
    let resource = resource(image, alteration)?;
    check_form(alteration)?;
    let none = Overrides::new();
    let (current, layers) = match &resource {
        Resource::Topic(name) => {
            let topic = image
                .topic(name)
                .ok_or_else(|| Refused::code(ErrorCode::UnknownTopicOrPartition))?;
            (&*topic.overrides, image.layers())
        }
        Resource::Cluster => (&**image.cluster_config(), image.layers()),
        Resource::Broker(_) => (&**image.node_config(), image.layers()),
        Resource::Group(group) => {
            let own = image.group_configs().get(group.as_str());
            (own.unwrap_or(&none), image.layers())
        }
    };
    let mut wanted = if alteration.replaces_all {
        none.clone()
    } else {
        current.clone()
    };
    for (name, operation, value) in &alteration.operations {
        let entry = match &resource {
            Resource::Topic(_) => topics::find(name),
            Resource::Cluster | Resource::Broker(_) => brokers::find(name),
            Resource::Group(_) => groups::find(name),
        };
        match operate(entry, &layers, current, name, *operation, value.as_deref())? {
            Some(value) => wanted.insert(name.clone(), value),
            None => wanted.remove(name),
        };
    }
    let touched = wanted
        .iter()
        .filter(|(name, value)| current.get(*name) != Some(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let checked = match &resource {
        // A topic's settings are checked together; a broker's may hold what an older version took.
        Resource::Topic(_) => check_topic(&wanted),
        Resource::Cluster | Resource::Broker(_) => check_broker(&touched),
        Resource::Group(_) => groups::check(&wanted, &layers),
    };
    checked.map_err(|problem| Refused::new(ErrorCode::InvalidConfig, problem.to_string()))?;
    let names: BTreeSet<&String> = wanted.keys().chain(current.keys()).collect();
    Ok(names
        .into_iter()
        .filter(|name| wanted.get(*name) != current.get(*name))
        .map(|name| Record::Config {
            resource: resource.clone(),
            name: name.clone(),
            value: wanted.get(name).cloned(),
        })
        .collect())
}

fn resource(image: &Image, alteration: &Alteration) -> Result<Resource, Refused> {
    let name = &alteration.resource_name;
    match alteration.resource_type {
        TOPIC if name.is_empty() => Err(invalid("Default topic resources are not allowed.")),
        TOPIC => {
            topic_name::check(name)
                .map_err(|e| Refused::new(ErrorCode::InvalidTopicException, e.to_string()))?;
            Ok(Resource::Topic(name.clone()))
        }
        BROKER if name.is_empty() => Ok(Resource::Cluster),
        BROKER => match name.parse::<i32>() {
            Ok(id) if id == image.node().id => Ok(Resource::Broker(id)),
            Ok(_) => Err(invalid(format!(
                "Unexpected broker id, expected {}, but received {name}",
                image.node().id
            ))),
            Err(_) => Err(invalid(format!(
                "Node id must be an integer, but it is: {name}"
            ))),
        },
        GROUP if name.is_empty() => Err(invalid("Default group resources are not allowed.")),
        GROUP if name.len() > GROUP_BYTES_MAX => Err(invalid(format!(
            "Group name of {} bytes is longer than {GROUP_BYTES_MAX}",
            name.len()
        ))),
        GROUP => Ok(Resource::Group(name.clone())),
        BROKER_LOGGER => Err(invalid("Log levels are not set over the protocol")),
        other => Err(invalid(format!("Unknown resource type {other}"))),
    }
}

fn check_form(alteration: &Alteration) -> Result<(), Refused> {
    let mut seen = BTreeSet::new();
    let mut nulls = Vec::new();
    for (name, operation, value) in &alteration.operations {
        if let Operation::Unknown(id) = operation {
            return Err(invalid(format!("Unknown operations type {id}")));
        }
        if !seen.insert(name) {
            return Err(invalid("Error due to duplicate config keys"));
        }
        if *operation != Operation::Delete && value.is_none() {
            nulls.push(name.as_str());
        }
    }
    if nulls.is_empty() {
        Ok(())
    } else {
        Err(invalid(format!(
            "Null value not supported for : {}",
            nulls.join(", ")
        )))
    }
}

/// The value a setting shall have; `None` resets it.
fn operate(
    entry: Option<&'static Entry>,
    layers: &Layers<'_>,
    current: &Overrides,
    name: &str,
    operation: Operation,
    value: Option<&str>,
) -> Result<Option<String>, Refused> {
    let value = value.unwrap_or_default();
    match operation {
        Operation::Set => Ok(Some(value.to_owned())),
        Operation::Delete | Operation::Unknown(_) => Ok(None),
        Operation::Append | Operation::Subtract => {
            let Some(entry) = entry.filter(|entry| entry.kind.is_list()) else {
                let verb = if operation == Operation::Append {
                    "APPEND"
                } else {
                    "SUBTRACT"
                };
                return Err(Refused::new(
                    ErrorCode::InvalidConfig,
                    format!("Can't {verb} to key {name} because its type is not LIST."),
                ));
            };
            let base = match current.get(name) {
                Some(own) => own.clone(),
                None => layers
                    .get(entry)
                    .map(|found| found.value)
                    .unwrap_or_default(),
            };
            let mut words: Vec<&str> = split(&base).collect();
            for word in split(value) {
                let there = words.iter().position(|have| *have == word);
                match (operation, there) {
                    (Operation::Append, None) => words.push(word),
                    (Operation::Subtract, Some(index)) => {
                        words.remove(index);
                    }
                    _ => {}
                }
            }
            Ok(Some(words.join(",")))
        }
    }
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

fn invalid(message: impl Into<String>) -> Refused {
    Refused::new(ErrorCode::InvalidRequest, message)
}
