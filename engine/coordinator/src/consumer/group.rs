//! A consumer group as its records make it. It changes through [`ConsumerGroup::replay`] and nowhere else, but for what is
//! not written down: whether its topics are to be looked at again.

use super::change::Change;
use super::held::Held;
use super::member::{Holds, LEAVE_EPOCH, Member, Wants, are};
use super::pattern::Matched;
use crate::assignor::Assignment;
use crate::config::ServerAssignor;
use highwater_wire::records::group::{GroupKey, GroupValue};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use uuid::Uuid;

/// A consumer group.
#[derive(Debug)]
pub(crate) struct ConsumerGroup {
    id: Rc<str>,
    /// Counts the changes of members and of what they want.
    pub(super) epoch: i32,
    /// Hash of the topics that the members wanted at this epoch.
    pub(super) metadata_hash: i64,
    /// Group epoch that the target was made for. Invariant: `target_epoch <= epoch`.
    pub(super) target_epoch: i32,
    /// When the target was made, in milliseconds since 1970.
    pub(super) target_unix_ms: i64,
    pub(super) members: BTreeMap<Rc<str>, Member>,
    pub(super) targets: BTreeMap<Rc<str>, Assignment>,
    /// The patterns of members, and what matches.
    pub(super) patterns: BTreeMap<Rc<str>, Matched>,
    /// Whether there is a record of its topics as Kafka 4.0 wrote it.
    pub(super) has_topics_record: bool,
    /// Members by instance id.
    instances: HashMap<Rc<str>, Rc<str>>,
    /// Who holds the partition, or is to let go of it.
    owners: HashMap<(Uuid, i32), Rc<str>>,
    /// Not written down: topics have changed since they were last held against `metadata_hash`.
    pub(super) is_stale: bool,
    /// Not written down: when patterns were last held against the topics, in milliseconds of the world's clock.
    pub(super) matched_ms: Option<i64>,
}

impl ConsumerGroup {
    /// A group that nobody is in.
    pub(crate) fn new(id: Rc<str>) -> Self {
        Self {
            id,
            epoch: 0,
            metadata_hash: 0,
            target_epoch: 0,
            target_unix_ms: 0,
            members: BTreeMap::new(),
            targets: BTreeMap::new(),
            patterns: BTreeMap::new(),
            has_topics_record: false,
            instances: HashMap::new(),
            owners: HashMap::new(),
            is_stale: true,
            matched_ms: None,
        }
    }

    /// The group's id.
    pub(crate) const fn id(&self) -> &Rc<str> {
        &self.id
    }

    /// State by Kafka's name: `Empty`, `Assigning`, `Reconciling`, `Stable`.
    pub(crate) fn state_name(&self) -> &'static str {
        if self.members.is_empty() {
            "Empty"
        } else if self.epoch > self.target_epoch {
            "Assigning"
        } else if self
            .members
            .values()
            .all(|member| member.has_reached(self.target_epoch))
        {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    /// Whether all members but this one have reached the last target.
    pub(super) fn has_settled(&self, except: Option<&Rc<str>>) -> bool {
        self.epoch == self.target_epoch
            && self
                .members
                .iter()
                .all(|(id, member)| Some(id) == except || member.has_reached(self.target_epoch))
    }

    /// How many members there are.
    pub(crate) fn members(&self) -> usize {
        self.members.len()
    }

    /// Whether a member is subscribed to the topic, by name or by pattern.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        let by_name = |member: &Member| {
            let topics = &member.wants.topics;
            topics.binary_search_by(|name| (**name).cmp(topic)).is_ok()
        };
        self.members.values().any(by_name)
            || self
                .patterns
                .values()
                .any(|matched| matched.contains(topic))
    }

    /// The tombstones of everything that is written down of the group, but for its offsets.
    pub(crate) fn tombstones(&self) -> Vec<Change> {
        let members = || self.members.keys().cloned();
        let mut changes: Vec<Change> = members().map(|id| Change::Holds(id, None)).collect();
        changes.extend(
            self.targets
                .keys()
                .cloned()
                .map(|id| Change::Target(id, None)),
        );
        changes.push(Change::TargetEpoch(None));
        changes.extend(members().map(|id| Change::Wants(id, None)));
        changes.extend(
            self.patterns
                .keys()
                .map(|pattern| Change::Pattern(pattern.clone(), None)),
        );
        if self.has_topics_record {
            changes.push(Change::NoTopics);
        }
        changes.push(Change::Epoch(None));
        changes
    }

    /// The member of the instance id.
    pub(super) fn of_instance(&self, instance: &str) -> Option<&Rc<str>> {
        self.instances.get(instance)
    }

    /// Who holds the partition, or is to let go of it.
    pub(super) fn owner(&self, topic: Uuid, partition: i32) -> Option<&Rc<str>> {
        self.owners.get(&(topic, partition))
    }

    /// What the member is to hold.
    pub(super) fn target(&self, member: &str) -> &Assignment {
        const NOTHING: &Assignment = &Assignment::EMPTY;
        self.targets.get(member).unwrap_or(NOTHING)
    }

    /// How many members are subscribed by this pattern.
    pub(super) fn subscribers(&self, pattern: &str) -> usize {
        let subscribers = self.members.values();
        subscribers
            .filter(|member| *member.wants.pattern == *pattern)
            .count()
    }

    /// The assignor that most members would like, of those that there are.
    pub(super) fn preferred<'w>(
        wants: impl Iterator<Item = &'w Wants>,
        assignors: &[ServerAssignor],
    ) -> ServerAssignor {
        let mut votes = vec![0_usize; assignors.len()];
        for name in wants.filter_map(|wants| wants.assignor.as_deref()) {
            if let Some(place) = assignors.iter().position(|known| known.name() == name) {
                votes[place] += 1;
            }
        }
        let most = votes.iter().max().copied().unwrap_or_default();
        let place = votes.iter().position(|votes| *votes == most);
        place
            .and_then(|place| assignors.get(place))
            .copied()
            .unwrap_or(ServerAssignor::Uniform)
    }

    /// Lets changes in as they will be when they have been written down.
    pub(super) fn take(&mut self, changes: &[Change]) {
        let id = self.id.clone();
        for change in changes {
            let record = change.record(&id);
            self.replay(&record.key, record.value.as_ref());
        }
    }

    /// One record. Says whether the group is gone with it.
    pub(super) fn replay(&mut self, key: &GroupKey<'_>, value: Option<&GroupValue<'_>>) -> bool {
        use GroupValue as Value;
        match (key, value) {
            (GroupKey::ConsumerGroupMetadata(_), None) => return true,
            (_, Some(Value::ConsumerGroupMetadata(value))) => {
                self.epoch = value.epoch;
                self.metadata_hash = value.metadata_hash;
            }
            (GroupKey::ConsumerGroupPartitionMetadata(_), value) => {
                self.has_topics_record = value.is_some();
            }
            (_, Some(Value::ConsumerGroupTargetAssignmentMetadata(value))) => {
                self.target_epoch = value.assignment_epoch;
                self.target_unix_ms = value.assignment_timestamp;
            }
            (GroupKey::ConsumerGroupTargetAssignmentMetadata(_), None) => {
                self.target_epoch = LEAVE_EPOCH;
                self.target_unix_ms = 0;
            }
            (
                GroupKey::ConsumerGroupMemberMetadata(key),
                Some(Value::ConsumerGroupMemberMetadata(value)),
            ) => {
                let wants = Wants::read(value, |names| self.shared(names));
                self.set_wants(key.member_id, wants);
            }
            (GroupKey::ConsumerGroupMemberMetadata(key), None) => self.remove(key.member_id),
            (
                GroupKey::ConsumerGroupTargetAssignmentMember(key),
                Some(Value::ConsumerGroupTargetAssignmentMember(value)),
            ) => {
                let target = value.topic_partitions.iter().flat_map(|topic| {
                    let partitions = topic.partitions.to_vec();
                    partitions
                        .into_iter()
                        .map(move |partition| (topic.topic_id, partition))
                });
                let target = target.collect();
                self.targets.insert(self.member_id(key.member_id), target);
            }
            (GroupKey::ConsumerGroupTargetAssignmentMember(key), None) => {
                self.targets.remove(key.member_id);
            }
            (
                GroupKey::ConsumerGroupCurrentMemberAssignment(key),
                Some(Value::ConsumerGroupCurrentMemberAssignment(value)),
            ) => self.set_holds(key.member_id, Holds::read(value)),
            (GroupKey::ConsumerGroupCurrentMemberAssignment(key), None)
                if self.members.contains_key(key.member_id) =>
            {
                let gone = Holds {
                    epoch: LEAVE_EPOCH,
                    previous_epoch: LEAVE_EPOCH,
                    ..Holds::default()
                };
                self.set_holds(key.member_id, gone);
            }
            (
                GroupKey::ConsumerGroupRegularExpression(key),
                Some(Value::ConsumerGroupRegularExpression(value)),
            ) => {
                let matched = Matched::new(value.topics.iter(), value.version, value.timestamp);
                self.patterns.insert(key.regular_expression.into(), matched);
            }
            (GroupKey::ConsumerGroupRegularExpression(key), None) => {
                self.patterns.remove(key.regular_expression);
            }
            // A value is read by its key, so that it is of its type; records of other groups do not come here.
            _ => {}
        }
        false
    }

    /// The id as the group has it already, if it does.
    pub(super) fn member_id(&self, id: &str) -> Rc<str> {
        match self.members.get_key_value(id) {
            Some((id, _)) => id.clone(),
            None => id.into(),
        }
    }

    /// These names, if a member has them.
    pub(super) fn shared(&self, names: &[&str]) -> Option<Rc<[Rc<str>]>> {
        let mut members = self.members.values();
        let member = members.find(|member| are(&member.wants.topics, names))?;
        Some(member.wants.topics.clone())
    }

    fn set_wants(&mut self, id: &str, wants: Wants) {
        let id = self.member_id(id);
        let member = self.members.entry(id.clone()).or_default();
        let before = member.wants.instance.take();
        let instance = wants.instance.clone();
        member.wants = wants;
        if before != instance {
            self.forget_instance(before.as_ref(), &id);
        }
        if let Some(instance) = instance {
            self.instances.insert(instance, id);
        }
    }

    fn set_holds(&mut self, id: &str, holds: Holds) {
        let id = self.member_id(id);
        self.release(&id);
        for slot in holds.assigned.iter().chain(holds.revoking.iter()) {
            self.owners.insert((slot.topic, slot.partition), id.clone());
        }
        self.members.entry(id).or_default().holds = holds;
    }

    fn remove(&mut self, id: &str) {
        self.release(id);
        if let Some((id, member)) = self.members.remove_entry(id) {
            self.forget_instance(member.wants.instance.as_ref(), &id);
        }
    }

    /// An instance id that went to another member stays there.
    fn forget_instance(&mut self, instance: Option<&Rc<str>>, member: &Rc<str>) {
        if let Some(instance) = instance
            && self.instances.get(instance) == Some(member)
        {
            self.instances.remove(instance);
        }
    }

    /// What went to another member stays there.
    fn release(&mut self, id: &str) {
        let Some(member) = self.members.get(id) else {
            return;
        };
        let release = |owners: &mut HashMap<(Uuid, i32), Rc<str>>, held: &Held| {
            for slot in held.iter() {
                let place = (slot.topic, slot.partition);
                if owners.get(&place).is_some_and(|owner| **owner == *id) {
                    owners.remove(&place);
                }
            }
        };
        release(&mut self.owners, &member.holds.assigned);
        release(&mut self.owners, &member.holds.revoking);
    }
}
