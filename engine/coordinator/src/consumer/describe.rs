//! The answer to ConsumerGroupDescribe: the group as it stands.

use super::group::ConsumerGroup;
use super::member::Member;
use crate::config::ServerAssignor;
use crate::world::Topics;
use highwater_wire::message::consumer_group_describe::{
    Assignment, DescribedGroup, Member as DescribedMember, TopicPartitions,
};
use uuid::Uuid;

/// The member speaks the classic protocol.
const CLASSIC: i8 = 0;
/// The member speaks the consumer protocol.
const CONSUMER: i8 = 1;

impl ConsumerGroup {
    /// The group as it stands. Topics that are gone are left out.
    pub(crate) fn describe<'a>(
        &'a self,
        topics: &'a dyn Topics,
        assignors: &[ServerAssignor],
    ) -> DescribedGroup<'a> {
        let wants = self.members.values().map(|member| &member.wants);
        DescribedGroup {
            group_id: self.id(),
            group_state: self.state_name(),
            group_epoch: self.epoch,
            assignment_epoch: self.target_epoch,
            assignor_name: Self::preferred(wants, assignors).name(),
            members: self
                .members
                .iter()
                .map(|(id, member)| self.describe_member(topics, id, member))
                .collect(),
            ..DescribedGroup::default()
        }
    }

    fn describe_member<'a>(
        &'a self,
        topics: &'a dyn Topics,
        id: &'a str,
        member: &'a Member,
    ) -> DescribedMember<'a> {
        let wants = &member.wants;
        let named = |topic: Uuid, partitions: Vec<i32>| {
            let topic = topics.by_id(&topic)?;
            Some(TopicPartitions {
                topic_id: topic.id,
                topic_name: topic.name,
                partitions: partitions.into(),
            })
        };
        // What it is to let go of it still holds.
        let held = member.holds.assigned.with(&member.holds.revoking);
        let held = held
            .topics()
            .filter_map(|(topic, slots)| {
                named(topic, slots.iter().map(|slot| slot.partition).collect())
            })
            .collect();
        let target = self
            .target(id)
            .topics()
            .filter_map(|(topic, partitions)| named(topic, partitions.to_vec()))
            .collect();
        DescribedMember {
            member_id: id,
            instance_id: wants.instance.as_deref(),
            rack_id: wants.rack.as_deref(),
            member_epoch: member.holds.epoch,
            client_id: &wants.client_id,
            client_host: &wants.client_host,
            subscribed_topic_names: wants.topics.iter().map(|name| &**name).collect(),
            subscribed_topic_regex: Some(&wants.pattern),
            assignment: Assignment {
                topic_partitions: held,
            },
            target_assignment: Assignment {
                topic_partitions: target,
            },
            member_type: if member.is_classic() {
                CLASSIC
            } else {
                CONSUMER
            },
        }
    }
}
