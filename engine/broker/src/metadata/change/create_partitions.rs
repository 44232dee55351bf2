//! Adding partitions to topics (`ReplicationControlManager.createPartitions`). Partitions are never taken away.

use std::collections::BTreeSet;

use highwater_record::LeaderEpoch;
use highwater_wire::ErrorCode;

use super::{Decision, Outcome, Refused, TopicOutcome, check_assignment, room};
use crate::metadata::image::Image;
use crate::metadata::record::Record;

/// A topic that shall have more partitions.
#[derive(Clone, Debug)]
pub struct MorePartitions {
    /// The topic.
    pub name: String,
    /// How many it shall have afterwards.
    pub count: i32,
    /// Where each new one shall lie; `None` leaves it to the controller.
    pub assignments: Option<Vec<Vec<i32>>>,
}

pub(super) fn decide(image: &Image, topics: &[MorePartitions]) -> Decision {
    let mut records = Vec::new();
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<&str> = topics
        .iter()
        .map(|topic| topic.name.as_str())
        .filter(|name| !seen.insert(*name))
        .collect();
    let outcome = topics
        .iter()
        .map(|topic| {
            if twice.contains(topic.name.as_str()) {
                return Err(Refused::new(
                    ErrorCode::InvalidRequest,
                    "Duplicate topic name.",
                ));
            }
            one(image, topic, &mut records)
        })
        .collect();
    Decision {
        records,
        outcome: Outcome::Topics(outcome),
    }
}

fn one(
    image: &Image,
    asked: &MorePartitions,
    records: &mut Vec<Record>,
) -> Result<TopicOutcome, Refused> {
    let topic = image
        .topic(&asked.name)
        .ok_or_else(|| Refused::code(ErrorCode::UnknownTopicOrPartition))?;
    let now = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    if asked.count == now {
        return Err(Refused::new(
            ErrorCode::InvalidPartitions,
            format!("Topic already has {now} partition(s)."),
        ));
    }
    let additional = match usize::try_from(asked.count.saturating_sub(now)) {
        Ok(additional) if asked.count > now => additional,
        Ok(_) | Err(_) => {
            return Err(Refused::new(
                ErrorCode::InvalidPartitions,
                format!(
                    "The topic {} currently has {now} partition(s); {} would not be an increase.",
                    asked.name, asked.count
                ),
            ));
        }
    };
    if let Some(assignments) = &asked.assignments {
        if assignments.len() != additional {
            return Err(Refused::new(
                ErrorCode::InvalidReplicaAssignment,
                format!(
                    "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
                    assignments.len()
                ),
            ));
        }
        for replicas in assignments {
            check_assignment(image, replicas)?;
        }
    }
    room(image, records, additional, additional)?;
    // New partitions begin where their topic began: above what clients saw of an older topic of the name.
    let leader_epoch = topic
        .partitions
        .iter()
        .map(|partition| partition.leader_epoch)
        .min()
        .unwrap_or(LeaderEpoch::ZERO);
    records.extend((now..asked.count).map(|index| Record::Partition {
        topic_id: topic.id,
        index,
        leader: image.node().id,
        leader_epoch,
        partition_epoch: 0,
        directory: image.directory(),
    }));
    Ok(TopicOutcome {
        name: asked.name.clone(),
        id: topic.id,
        partitions: asked.count,
    })
}
