//! What the controller is asked to change, and the decision: the records that make the change, and the answer. A decision
//! looks at an image and touches nothing; `Record::replay` is the only way anything changes.

mod configs;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod producer_ids;

use highwater_wire::ErrorCode;
use uuid::Uuid;

use crate::metadata::image::Image;
use crate::metadata::record::Record;

pub use configs::{Alteration, Operation};
pub use create_partitions::MorePartitions;
pub use create_topics::{NewTopic, Shape};
pub use delete_topics::TopicName;
pub use producer_ids::ProducerIds;

/// The most records one change may take (`QuorumController.MAX_RECORDS_PER_USER_OP`): they are one batch, applied whole or
/// not at all.
pub const RECORDS_MAX: usize = 10_000;

/// The most partitions of all topics together: each takes open files and memory whether it is used or not.
pub const PARTITIONS_MAX: usize = 100_000;

/// A change somebody asks for. Items are decided one by one: one that is refused does not keep the others from happening.
#[derive(Clone, Debug)]
pub enum Change {
    /// New topics.
    CreateTopics(Vec<NewTopic>),
    /// Topics to go.
    DeleteTopics(Vec<TopicName>),
    /// More partitions for topics.
    CreatePartitions(Vec<MorePartitions>),
    /// Settings of topics and brokers.
    AlterConfigs(Vec<Alteration>),
    /// A block of producer ids.
    AllocateProducerIds,
}

/// What became of a change, item by item in the order asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Of topics.
    Topics(Vec<Result<TopicOutcome, Refused>>),
    /// Of settings.
    Configs(Vec<Result<(), Refused>>),
    /// Of a block of producer ids.
    ProducerIds(Result<ProducerIds, Refused>),
}

/// A topic that was created, grown or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicOutcome {
    /// Its name.
    pub name: String,
    /// Its id; nil where nothing was really created.
    pub id: Uuid,
    /// How many partitions it has, or had.
    pub partitions: i32,
}

/// Why an item was refused; the metadata is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Kafka's code.
    pub code: ErrorCode,
    /// In words, where the code alone does not say it.
    pub message: Option<String>,
}

/// Records and the answer that goes out once they are durable and applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// One atomic batch; empty where nothing changes.
    pub records: Vec<Record>,
    /// The answer.
    pub outcome: Outcome,
}

impl Change {
    /// Looks at `image` and decides. `random_id` gives a topic id that was never used.
    pub fn decide(&self, image: &Image, random_id: &mut dyn FnMut() -> Uuid) -> Decision {
        match self {
            Change::CreateTopics(topics) => create_topics::decide(image, topics, random_id),
            Change::DeleteTopics(names) => delete_topics::decide(image, names),
            Change::CreatePartitions(topics) => create_partitions::decide(image, topics),
            Change::AlterConfigs(alterations) => configs::decide(image, alterations),
            Change::AllocateProducerIds => producer_ids::decide(image),
        }
    }

    /// The answer when nothing could be done at all.
    pub fn refuse_all(&self, refused: &Refused) -> Outcome {
        let all = |count| vec![Err(refused.clone()); count];
        match self {
            Change::CreateTopics(topics) => Outcome::Topics(all(topics.len())),
            Change::DeleteTopics(topics) => Outcome::Topics(all(topics.len())),
            Change::CreatePartitions(topics) => Outcome::Topics(all(topics.len())),
            Change::AlterConfigs(alterations) => {
                Outcome::Configs(vec![Err(refused.clone()); alterations.len()])
            }
            Change::AllocateProducerIds => Outcome::ProducerIds(Err(refused.clone())),
        }
    }
}

impl Outcome {
    /// The outcome of a change of topics.
    pub fn topics(self) -> Vec<Result<TopicOutcome, Refused>> {
        match self {
            Outcome::Topics(topics) => topics,
            other @ (Outcome::Configs(_) | Outcome::ProducerIds(_)) => {
                panic!("a change of topics was answered with {other:?}")
            }
        }
    }

    /// The outcome of a change of settings.
    pub fn configs(self) -> Vec<Result<(), Refused>> {
        match self {
            Outcome::Configs(configs) => configs,
            other @ (Outcome::Topics(_) | Outcome::ProducerIds(_)) => {
                panic!("a change of settings was answered with {other:?}")
            }
        }
    }

    /// The block of producer ids.
    pub fn producer_ids(self) -> Result<ProducerIds, Refused> {
        match self {
            Outcome::ProducerIds(block) => block,
            other @ (Outcome::Topics(_) | Outcome::Configs(_)) => {
                panic!("a question for producer ids was answered with {other:?}")
            }
        }
    }
}

impl Refused {
    /// With the code's own words.
    pub fn code(code: ErrorCode) -> Refused {
        Refused {
            code,
            message: None,
        }
    }

    /// What a client is told: its own words, or the code's.
    pub fn text(&self) -> &str {
        self.message.as_deref().unwrap_or(self.code.message())
    }

    /// With words of its own.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Refused {
        Refused {
            code,
            message: Some(message.into()),
        }
    }
}

/// Whether `new` more records and `partitions` more partitions may be added to what was decided already.
fn room(image: &Image, records: &[Record], new: usize, partitions: usize) -> Result<(), Refused> {
    if records.len() + new > RECORDS_MAX {
        return Err(Refused::new(
            ErrorCode::PolicyViolation,
            format!(
                "Unable to perform excessively large batch operation: more than {RECORDS_MAX} records"
            ),
        ));
    }
    let decided = records
        .iter()
        .filter(|record| matches!(record, Record::Partition { .. }))
        .count();
    if image.partition_count() + decided + partitions > PARTITIONS_MAX {
        return Err(Refused::new(
            ErrorCode::PolicyViolation,
            format!("The broker holds at most {PARTITIONS_MAX} partitions"),
        ));
    }
    Ok(())
}

/// Whether a hand-made assignment names this broker and no other.
fn check_assignment(image: &Image, replicas: &[i32]) -> Result<(), Refused> {
    let node = image.node().id;
    let wrong = |message| Err(Refused::new(ErrorCode::InvalidReplicaAssignment, message));
    match replicas {
        [] => wrong("The manual partition assignment includes an empty replica list.".to_owned()),
        [one] if *one == node => Ok(()),
        several => match several.iter().find(|id| **id != node) {
            Some(stranger) => wrong(format!(
                "The manual partition assignment includes broker {stranger}, but no such broker is registered."
            )),
            None => wrong(format!(
                "The manual partition assignment includes the broker {node} more than once."
            )),
        },
    }
}

#[cfg(test)]
mod tests;
