//! Creating topics (`ReplicationControlManager.createTopics`): names, shapes and settings are checked, and each topic
//! becomes a topic record, its settings and its partitions.

use std::collections::BTreeSet;

use highwater_wire::ErrorCode;
use uuid::Uuid;

use super::{Decision, Outcome, Refused, TopicOutcome, check_assignment, room};
use crate::config::{Overrides, check_topic};
use crate::metadata::image::{Image, METADATA_TOPIC};
use crate::metadata::record::{Record, Resource};
use crate::metadata::topic_name;

/// A topic to create.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// Its name, not checked yet.
    pub name: String,
    /// How many partitions and where.
    pub shape: Shape,
    /// Its settings; Kafka's clients may send null, which is refused.
    pub configs: Vec<(String, Option<String>)>,
}

/// How many partitions a topic has, and where they lie, as a client says it.
#[derive(Clone, Debug)]
pub struct Shape {
    /// -1 for the default.
    pub partitions: i32,
    /// -1 for the default.
    pub replication_factor: i16,
    /// Partition index and brokers; empty leaves it to the controller.
    pub assignments: Vec<(i32, Vec<i32>)>,
}

impl Shape {
    /// The broker's defaults.
    pub const DEFAULT: Shape = Shape {
        partitions: -1,
        replication_factor: -1,
        assignments: Vec::new(),
    };
}

pub(super) fn decide(
    image: &Image,
    topics: &[NewTopic],
    random_id: &mut dyn FnMut() -> Uuid,
) -> Decision {
    let mut records = Vec::new();
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<&str> = topics
        .iter()
        .map(|topic| topic.name.as_str())
        .filter(|name| !seen.insert(*name))
        .collect();
    let mut created: Vec<&str> = Vec::new();
    let outcome = topics
        .iter()
        .map(|topic| {
            if twice.contains(topic.name.as_str()) {
                return Err(Refused::new(
                    ErrorCode::InvalidRequest,
                    "Duplicate topic name.",
                ));
            }
            let outcome = one(image, topic, &created, &mut records, random_id)?;
            created.push(&topic.name);
            Ok(outcome)
        })
        .collect();
    Decision {
        records,
        outcome: Outcome::Topics(outcome),
    }
}

fn one(
    image: &Image,
    topic: &NewTopic,
    created: &[&str],
    records: &mut Vec<Record>,
    random_id: &mut dyn FnMut() -> Uuid,
) -> Result<TopicOutcome, Refused> {
    let name = &topic.name;
    if name == METADATA_TOPIC {
        return Err(Refused::new(
            ErrorCode::InvalidRequest,
            format!("Creation of internal topic {METADATA_TOPIC} is prohibited."),
        ));
    }
    if image.topic(name).is_some() {
        return Err(Refused::new(
            ErrorCode::TopicAlreadyExists,
            format!("Topic '{name}' already exists."),
        ));
    }
    topic_name::check(name)
        .map_err(|error| Refused::new(ErrorCode::InvalidTopicException, error.to_string()))?;
    let other = colliding(image, name).or_else(|| {
        created
            .iter()
            .copied()
            .find(|other| topic_name::collides(name, other))
    });
    if let Some(other) = other {
        return Err(Refused::new(
            ErrorCode::InvalidTopicException,
            format!("Topic '{name}' collides with existing topic: {other}"),
        ));
    }
    let overrides = overrides(topic)?;
    let partitions = partitions(image, &topic.shape)?;
    let count = usize::try_from(partitions).expect("checked to be positive");
    room(image, records, 1 + overrides.len() + count, count)?;
    let id = random_id();
    records.push(Record::Topic {
        name: name.clone(),
        id,
    });
    records.extend(overrides.into_iter().map(|(key, value)| Record::Config {
        resource: Resource::Topic(name.clone()),
        name: key,
        value: Some(value),
    }));
    let leader_epoch = image.first_epoch(name);
    records.extend((0..partitions).map(|index| Record::Partition {
        topic_id: id,
        index,
        leader: image.node().id,
        leader_epoch,
        partition_epoch: 0,
        directory: image.directory(),
    }));
    Ok(TopicOutcome {
        name: name.clone(),
        id,
        partitions,
    })
}

/// A topic that would have the same name in a metric. Every such name is between the one with all dots and the one with all
/// underscores, but so are others; topics are few enough to look at those with the same beginning.
fn colliding<'a>(image: &'a Image, name: &str) -> Option<&'a str> {
    let beginning: &str = name.split(['.', '_']).next().unwrap_or_default();
    if beginning.len() == name.len() {
        return None;
    }
    image
        .topics_from(beginning)
        .map(|topic| &*topic.name)
        .take_while(|other| other.starts_with(beginning))
        .find(|other| topic_name::collides(name, other))
}

fn overrides(topic: &NewTopic) -> Result<Overrides, Refused> {
    let nulls: Vec<&str> = topic
        .configs
        .iter()
        .filter(|(_, value)| value.is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    if !nulls.is_empty() {
        return Err(Refused::new(
            ErrorCode::InvalidConfig,
            format!(
                "Null value not supported for topic configs: {}",
                nulls.join(",")
            ),
        ));
    }
    let overrides: Overrides = topic
        .configs
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
        .collect();
    check_topic(&overrides)
        .map_err(|invalid| Refused::new(ErrorCode::InvalidConfig, invalid.to_string()))?;
    Ok(overrides)
}

fn partitions(image: &Image, shape: &Shape) -> Result<i32, Refused> {
    if !shape.assignments.is_empty() {
        return assigned(image, shape);
    }
    if shape.replication_factor < -1 || shape.replication_factor == 0 {
        return Err(Refused::new(
            ErrorCode::InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ));
    }
    if shape.partitions < -1 || shape.partitions == 0 {
        return Err(Refused::new(
            ErrorCode::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        ));
    }
    let factor = match shape.replication_factor {
        -1 => image.broker().default_replication_factor,
        factor => factor,
    };
    if factor != 1 {
        return Err(Refused::new(
            ErrorCode::InvalidReplicationFactor,
            format!(
                "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} cannot be reached because only 1 broker(s) are registered."
            ),
        ));
    }
    Ok(match shape.partitions {
        -1 => image.broker().num_partitions,
        partitions => partitions,
    })
}

fn assigned(image: &Image, shape: &Shape) -> Result<i32, Refused> {
    if shape.replication_factor != -1 {
        return Err(Refused::new(
            ErrorCode::InvalidRequest,
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        ));
    }
    if shape.partitions != -1 {
        return Err(Refused::new(
            ErrorCode::InvalidRequest,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ));
    }
    let mut indexes = BTreeSet::new();
    for (index, replicas) in &shape.assignments {
        if !indexes.insert(*index) {
            return Err(Refused::new(
                ErrorCode::InvalidReplicaAssignment,
                format!("Found multiple manual partition assignments for partition {index}"),
            ));
        }
        check_assignment(image, replicas)?;
    }
    if !(0..)
        .zip(&indexes)
        .all(|(expected, index)| expected == *index)
    {
        return Err(Refused::new(
            ErrorCode::InvalidReplicaAssignment,
            "partitions should be a consecutive 0-based integer sequence",
        ));
    }
    i32::try_from(indexes.len()).map_err(|_| Refused::code(ErrorCode::InvalidPartitions))
}
