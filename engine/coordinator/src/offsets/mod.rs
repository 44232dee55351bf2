//! How far groups have consumed: commits by group, topic and partition. What a group is, and who may commit, is not known
//! here but in the doors of this folder.

mod commit;
mod delete;
mod expiry;
mod fetch;

#[cfg(test)]
mod tests;

pub(crate) use commit::commit;
pub(crate) use delete::{delete, delete_groups};
pub(crate) use expiry::{Expiry, expire, topics_changed};
pub(crate) use fetch::fetch;

use highwater_wire::records::group::{GroupKey, OffsetCommitKey, OffsetCommitValue};
use std::collections::BTreeMap;
use std::rc::Rc;
use uuid::Uuid;

/// How far a group has consumed a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) partition: i32,
    /// Leader epoch of the last record that was consumed, -1 when it is not known.
    pub(crate) leader_epoch: i32,
    /// Offset of the next record to consume.
    pub(crate) offset: i64,
    /// When it was committed, in milliseconds since 1970.
    pub(crate) committed_unix_ms: i64,
    /// When it is to be forgotten, in milliseconds since 1970; -1 leaves it to the group.
    pub(crate) expires_unix_ms: i64,
    /// The topic's id, nil when it was not known.
    pub(crate) topic_id: Uuid,
    /// The client's note; none for an empty one.
    pub(crate) note: Option<Box<str>>,
}

impl Commit {
    /// The client's note.
    pub(crate) fn note(&self) -> &str {
        self.note.as_deref().unwrap_or("")
    }

    /// Whether it is of a former topic of that name.
    pub(crate) fn is_of_another(&self, topic_id: Uuid) -> bool {
        !self.topic_id.is_nil() && !topic_id.is_nil() && self.topic_id != topic_id
    }
}

/// Commits of one topic, in the order of partitions.
type Commits = Vec<Commit>;

/// What is known of a topic that there are commits for.
#[derive(Debug, Default)]
struct Committed {
    /// How many groups have some.
    groups: usize,
    /// Id of the topic at the last commit, nil when it was not known.
    id: Uuid,
}

/// Commits of all groups of a coordinator.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    /// Invariant: no group and no topic without commits.
    groups: BTreeMap<Rc<str>, BTreeMap<Rc<str>, Commits>>,
    /// Every topic that some group has commits for: the names are kept once.
    topics: BTreeMap<Rc<str>, Committed>,
    count: usize,
}

impl Offsets {
    /// How many commits there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Whether the group has commits.
    pub(crate) fn has(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    /// The commits of a group: its topics in order, each with its commits.
    pub(crate) fn of(&self, group: &str) -> impl Iterator<Item = (&Rc<str>, &[Commit])> {
        let topics = self.groups.get(group).into_iter().flatten();
        topics.map(|(topic, commits)| (topic, commits.as_slice()))
    }

    /// The commits of a group in a topic.
    pub(crate) fn in_topic(&self, group: &str, topic: &str) -> &[Commit] {
        let commits = self.groups.get(group).and_then(|topics| topics.get(topic));
        commits.map_or(&[], Vec::as_slice)
    }

    /// A commit.
    pub(crate) fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&Commit> {
        let commits = self.in_topic(group, topic);
        let at = commits
            .binary_search_by_key(&partition, |commit| commit.partition)
            .ok()?;
        commits.get(at)
    }

    /// Puts a commit in the place of the one before.
    fn put(&mut self, group: &Rc<str>, topic: &str, commit: Commit) {
        if !self.groups.contains_key(group) {
            self.groups.insert(group.clone(), BTreeMap::new());
        }
        let Some(topics) = self.groups.get_mut(group) else {
            return;
        };
        if !topics.contains_key(topic) {
            let name = match self.topics.get_key_value(topic) {
                Some((name, _)) => name.clone(),
                None => topic.into(),
            };
            self.topics.entry(name.clone()).or_default().groups += 1;
            topics.insert(name, Vec::new());
        }
        if let Some(known) = self.topics.get_mut(topic) {
            known.id = commit.topic_id;
        }
        let Some(commits) = topics.get_mut(topic) else {
            return;
        };
        match commits.binary_search_by_key(&commit.partition, |known| known.partition) {
            Ok(at) => commits[at] = commit,
            Err(at) => {
                if commits.is_empty() {
                    // Most groups have as few partitions of a topic as it has.
                    commits.reserve_exact(1);
                }
                commits.insert(at, commit);
                self.count += 1;
            }
        }
    }

    /// Forgets a commit.
    fn remove(&mut self, group: &str, topic: &str, partition: i32) {
        let Some(topics) = self.groups.get_mut(group) else {
            return;
        };
        let Some(commits) = topics.get_mut(topic) else {
            return;
        };
        if let Ok(at) = commits.binary_search_by_key(&partition, |commit| commit.partition) {
            commits.remove(at);
            self.count -= 1;
        }
        if commits.is_empty() {
            topics.remove(topic);
            if let Some(known) = self.topics.get_mut(topic) {
                known.groups -= 1;
                if known.groups == 0 {
                    self.topics.remove(topic);
                }
            }
        }
        if topics.is_empty() {
            self.groups.remove(group);
        }
    }

    /// The only door: a commit, or its tombstone.
    pub(crate) fn replay(
        &mut self,
        group: &Rc<str>,
        key: &OffsetCommitKey<'_>,
        value: Option<&OffsetCommitValue<'_>>,
    ) {
        match value {
            None => self.remove(group, key.topic, key.partition),
            Some(value) => self.put(
                group,
                key.topic,
                Commit {
                    partition: key.partition,
                    leader_epoch: value.leader_epoch,
                    offset: value.offset,
                    committed_unix_ms: value.commit_timestamp,
                    expires_unix_ms: value.expire_timestamp,
                    topic_id: value.topic_id,
                    note: (!value.metadata.is_empty()).then(|| value.metadata.into()),
                },
            ),
        }
    }
}

/// The key of a commit.
fn key<'a>(group: &'a str, topic: &'a str, partition: i32) -> GroupKey<'a> {
    GroupKey::OffsetCommit(OffsetCommitKey {
        group,
        topic,
        partition,
    })
}
