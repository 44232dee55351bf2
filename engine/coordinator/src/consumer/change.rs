//! What a decision changes in a consumer group, as values of its own: nothing of the group is borrowed while it is written
//! down. Each change is one record; the group changes when the record comes in by the door.

use super::member::{Holds, Wants};
use super::pattern::Matched;
use crate::assignor::Assignment;
use crate::world::Record;
use highwater_wire::records::group::{
    ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupMemberMetadataKey,
    ConsumerGroupMetadataKey, ConsumerGroupMetadataValue, ConsumerGroupPartitionMetadataKey,
    ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue, GroupKey,
    GroupMetadataKey, GroupValue, TopicPartition,
};
use std::rc::Rc;

/// One record to be. Nothing in place of what is said is a tombstone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// The classic group of the name goes.
    NoClassic,
    /// What Kafka 4.0 wrote of the topics goes.
    NoTopics,
    /// The group epoch and the hash of its topics.
    Epoch(Option<(i32, i64)>),
    /// The target is complete: its epoch, and when it was made, in milliseconds since 1970.
    TargetEpoch(Option<(i32, i64)>),
    /// What a member is and wants.
    Wants(Rc<str>, Option<Box<Wants>>),
    /// What a member is to hold.
    Target(Rc<str>, Option<Assignment>),
    /// What a member holds.
    Holds(Rc<str>, Option<Box<Holds>>),
    /// The topics that match a pattern.
    Pattern(Rc<str>, Option<Matched>),
}

impl Change {
    /// The record, of the group `group_id`.
    pub(crate) fn record<'a>(&'a self, group_id: &'a str) -> Record<'a> {
        use GroupKey as Key;
        use GroupValue as Value;
        let (key, value) = match self {
            Self::NoClassic => (
                Key::GroupMetadata(GroupMetadataKey { group: group_id }),
                None,
            ),
            Self::NoTopics => {
                let key = ConsumerGroupPartitionMetadataKey { group_id };
                (Key::ConsumerGroupPartitionMetadata(key), None)
            }
            Self::Epoch(epoch) => {
                let value = epoch.map(|(epoch, metadata_hash)| {
                    Value::ConsumerGroupMetadata(ConsumerGroupMetadataValue {
                        epoch,
                        metadata_hash,
                    })
                });
                let key = ConsumerGroupMetadataKey { group_id };
                (Key::ConsumerGroupMetadata(key), value)
            }
            Self::TargetEpoch(epoch) => {
                let value = epoch.map(|(assignment_epoch, assignment_timestamp)| {
                    Value::ConsumerGroupTargetAssignmentMetadata(
                        ConsumerGroupTargetAssignmentMetadataValue {
                            assignment_epoch,
                            assignment_timestamp,
                        },
                    )
                });
                let key = ConsumerGroupTargetAssignmentMetadataKey { group_id };
                (Key::ConsumerGroupTargetAssignmentMetadata(key), value)
            }
            Self::Wants(member_id, wants) => {
                let value = wants.as_deref().map(Wants::written);
                let key = ConsumerGroupMemberMetadataKey {
                    group_id,
                    member_id,
                };
                (
                    Key::ConsumerGroupMemberMetadata(key),
                    value.map(Value::ConsumerGroupMemberMetadata),
                )
            }
            Self::Target(member_id, target) => {
                let value = target.as_ref().map(|target| {
                    let topic_partitions = target
                        .topics()
                        .map(|(topic_id, partitions)| TopicPartition {
                            topic_id,
                            partitions: partitions.into(),
                        })
                        .collect();
                    Value::ConsumerGroupTargetAssignmentMember(
                        ConsumerGroupTargetAssignmentMemberValue { topic_partitions },
                    )
                });
                let key = ConsumerGroupTargetAssignmentMemberKey {
                    group_id,
                    member_id,
                };
                (Key::ConsumerGroupTargetAssignmentMember(key), value)
            }
            Self::Holds(member_id, holds) => {
                let value = holds.as_deref().map(Holds::written);
                let key = ConsumerGroupCurrentMemberAssignmentKey {
                    group_id,
                    member_id,
                };
                (
                    Key::ConsumerGroupCurrentMemberAssignment(key),
                    value.map(Value::ConsumerGroupCurrentMemberAssignment),
                )
            }
            Self::Pattern(pattern, matched) => {
                let value = matched.as_ref().map(|matched| {
                    Value::ConsumerGroupRegularExpression(ConsumerGroupRegularExpressionValue {
                        topics: matched.topics.iter().map(|topic| &**topic).collect(),
                        version: matched.version,
                        timestamp: matched.unix_ms,
                    })
                });
                let key = ConsumerGroupRegularExpressionKey {
                    group_id,
                    regular_expression: pattern,
                };
                (Key::ConsumerGroupRegularExpression(key), value)
            }
        };
        Record { key, value }
    }
}
