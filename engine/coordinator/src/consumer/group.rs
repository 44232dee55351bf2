//! A consumer group as its records make it. It changes through [`ConsumerGroup::replay`] and nowhere else, but for what is
//! not written down: whether its topics are to be looked at again.

use super::change::Change;
use super::member::{Holds, LEAVE_EPOCH, Member, Wants};
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
    owners: HashMap<Uuid, BTreeMap<i32, Rc<str>>>,
    /// The subscriptions by name, and how many members have each.
    lists: BTreeMap<Rc<[Rc<str>]>, usize>,
    /// About how much memory the members take, in bytes.
    bytes: usize,
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
            lists: BTreeMap::new(),
            bytes: 0,
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

    /// About how much memory the members take, in bytes: what they say and are called, and what they hold.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a member is subscribed to the topic, by name or by pattern.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        let by_name = |names: &Rc<[Rc<str>]>| {
            let place = names.binary_search_by(|name| (**name).cmp(topic));
            place.is_ok()
        };
        self.lists.keys().any(by_name)
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
        self.owners.get(&topic)?.get(&partition)
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
                self.set_wants(key.member_id, Wants::read(value));
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
                self.bytes += matched.bytes();
                let pattern = key.regular_expression.into();
                let before = self.patterns.insert(pattern, matched);
                self.bytes -= before.map_or(0, |before| before.bytes());
            }
            (GroupKey::ConsumerGroupRegularExpression(key), None) => {
                let before = self.patterns.remove(key.regular_expression);
                self.bytes -= before.map_or(0, |before| before.bytes());
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

    /// These names, as other members have them if there are any that do.
    pub(super) fn shared(&self, names: &[&str]) -> Rc<[Rc<str>]> {
        let names: Rc<[Rc<str>]> = names.iter().map(|name| Rc::from(*name)).collect();
        match self.lists.get_key_value(&names) {
            Some((known, _)) => known.clone(),
            None => names,
        }
    }

    fn set_wants(&mut self, id: &str, mut wants: Wants) {
        let id = self.member_id(id);
        if !self.members.contains_key(&id) {
            self.bytes += id.len();
        }
        wants.topics = self.take_list(wants.topics);
        self.bytes += wants.bytes();
        let instance = wants.instance.clone();
        let member = self.members.entry(id.clone()).or_default();
        let before = std::mem::replace(&mut member.wants, wants);
        self.bytes -= before.bytes();
        self.drop_list(&before.topics);
        if before.instance != instance {
            self.forget_instance(before.instance.as_ref(), &id);
        }
        if let Some(instance) = instance {
            self.instances.insert(instance, id);
        }
    }

    /// One more member has this list.
    fn take_list(&mut self, list: Rc<[Rc<str>]>) -> Rc<[Rc<str>]> {
        if list.is_empty() {
            return list;
        }
        if let Some((known, _)) = self.lists.get_key_value(&list) {
            let known = known.clone();
            *self.lists.entry(known.clone()).or_default() += 1;
            return known;
        }
        self.bytes += list_bytes(&list);
        self.lists.insert(list.clone(), 1);
        list
    }

    /// One member less has this list.
    fn drop_list(&mut self, list: &Rc<[Rc<str>]>) {
        if let Some(members) = self.lists.get_mut(list) {
            *members -= 1;
            if *members == 0 {
                self.lists.remove(list);
                self.bytes -= list_bytes(list);
            }
        }
    }

    fn set_holds(&mut self, id: &str, holds: Holds) {
        let id = self.member_id(id);
        if !self.members.contains_key(&id) {
            self.bytes += id.len();
        }
        self.release(&id);
        self.bytes += holds.bytes();
        for slot in holds.assigned.iter().chain(holds.revoking.iter()) {
            let owners = self.owners.entry(slot.topic).or_default();
            owners.insert(slot.partition, id.clone());
        }
        self.members.entry(id).or_default().holds = holds;
    }

    fn remove(&mut self, id: &str) {
        self.release(id);
        if let Some((id, member)) = self.members.remove_entry(id) {
            self.bytes -= id.len() + member.wants.bytes();
            self.drop_list(&member.wants.topics);
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
        let holds = &member.holds;
        self.bytes -= holds.bytes();
        for slot in holds.assigned.iter().chain(holds.revoking.iter()) {
            let Some(owners) = self.owners.get_mut(&slot.topic) else {
                continue;
            };
            let owner = owners.get(&slot.partition);
            if owner.is_some_and(|owner| **owner == *id) {
                owners.remove(&slot.partition);
                if owners.is_empty() {
                    self.owners.remove(&slot.topic);
                }
            }
        }
    }
}

/// A list of names, in bytes.
pub(super) fn list_bytes(names: &[Rc<str>]) -> usize {
    // Each with what points to it and counts who does.
    names.iter().map(|name| name.len() + 32).sum()
}
