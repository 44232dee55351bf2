//! A group as it is about to be: with a member that is new or wants something else, without those that go. What follows from
//! it is computed here, before anything is written: the hash of the topics and the target.

use super::change::Change;
use super::group::ConsumerGroup;
use super::hash;
use super::member::Wants;
use super::pattern::Matched;
use crate::assignor::{self, Assignment};
use crate::config::ServerAssignor;
use crate::world::{Topic, Topics};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use uuid::Uuid;

/// A group as it is about to be.
pub(super) struct Draft<'a> {
    pub(super) group: &'a ConsumerGroup,
    pub(super) topics: &'a dyn Topics,
    /// The member that is new, or wants something else.
    pub(super) member: Option<(&'a Rc<str>, &'a Wants)>,
    /// The member whose place that one takes.
    pub(super) replaced: Option<&'a str>,
    /// Members that go.
    pub(super) gone: &'a [Rc<str>],
    /// Patterns that were just held against the topics.
    pub(super) matched: BTreeMap<Rc<str>, Matched>,
}

/// What two members have in common that want the same.
type Taste<'w> = (*const Rc<str>, usize, &'w str);

fn taste(wants: &Wants) -> Taste<'_> {
    (wants.topics.as_ptr(), wants.topics.len(), &wants.pattern)
}

impl<'a> Draft<'a> {
    /// The members in order of their ids.
    fn members(&self) -> Vec<(&'a Rc<str>, &'a Wants)> {
        let stays = |id: &Rc<str>| {
            self.member.is_none_or(|(changed, _)| *changed != *id)
                && self.replaced != Some(&**id)
                && !self.gone.contains(id)
        };
        let group = self.group;
        let mut members: Vec<_> = group
            .members
            .iter()
            .filter(|(id, _)| stays(id))
            .map(|(id, member)| (id, &member.wants))
            .collect();
        if let Some((id, wants)) = self.member {
            let place = members.partition_point(|(known, _)| *known < id);
            members.insert(place, (id, wants));
        }
        members
    }

    /// What matches the pattern, as far as it is known.
    fn matching(&self, pattern: &str) -> Option<&Matched> {
        let matched = self.matched.get(pattern);
        matched.or_else(|| self.group.patterns.get(pattern))
    }

    /// Names of the topics that a member wants.
    fn names<'s>(&'s self, wants: &'s Wants) -> impl Iterator<Item = &'s Rc<str>> {
        let matched = Some(&*wants.pattern).filter(|pattern| !pattern.is_empty());
        let matched = matched.and_then(|pattern| self.matching(pattern));
        let matched = matched
            .into_iter()
            .flat_map(|matched| matched.topics.iter());
        wants.topics.iter().chain(matched)
    }

    /// Whether somebody with these wants wants the topic, and there is one.
    pub(super) fn wants(&self, wants: &Wants, topic: Uuid) -> bool {
        let Some(topic) = self.topics.by_id(&topic) else {
            return false;
        };
        let by_name = wants
            .topics
            .binary_search_by(|name| (**name).cmp(topic.name));
        by_name.is_ok()
            || (!wants.pattern.is_empty()
                && self
                    .matching(&wants.pattern)
                    .is_some_and(|matched| matched.contains(topic.name)))
    }

    /// The topics that anybody wants and that there are, in order of their names.
    fn wanted(&self, members: &[(&Rc<str>, &Wants)]) -> Vec<Topic<'a>> {
        let mut tastes = BTreeSet::new();
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for (_, wants) in members {
            if tastes.insert(taste(wants)) {
                names.extend(self.names(wants).map(|name| &**name));
            }
        }
        let topics = self.topics;
        names
            .into_iter()
            .filter_map(|name| topics.by_name(name))
            .collect()
    }

    /// The hash of the topics that anybody wants.
    pub(super) fn metadata_hash(&self) -> i64 {
        hash::of(self.wanted(&self.members()).into_iter())
    }

    /// A new target: what changes in it, and the part of the member that is new or changed.
    pub(super) fn target(
        &self,
        assignors: &[ServerAssignor],
        epoch: i32,
        unix_ms: i64,
    ) -> (Vec<Change>, Assignment) {
        let members = self.members();
        let mut wanted = self.wanted(&members);
        wanted.sort_unstable_by_key(|topic| topic.id);
        let places: HashMap<&str, u32> = wanted.iter().map(|topic| topic.name).zip(0..).collect();
        let topics: Vec<assignor::Topic> = wanted
            .iter()
            .map(|topic| assignor::Topic {
                id: topic.id,
                partitions: topic.partitions,
            })
            .collect();
        let mut tastes: BTreeMap<Taste<'_>, Vec<u32>> = BTreeMap::new();
        for (_, wants) in &members {
            tastes.entry(taste(wants)).or_insert_with(|| {
                let names = self.names(wants);
                let mut places: Vec<u32> = names
                    .filter_map(|name| places.get(&**name).copied())
                    .collect();
                places.sort_unstable();
                places.dedup();
                places
            });
        }
        let specs: Vec<assignor::Member<'_>> = members
            .iter()
            .map(|(id, wants)| assignor::Member {
                id,
                instance: wants.instance.as_deref(),
                topics: &tastes[&taste(wants)],
                held: self.held(id),
            })
            .collect();
        let assignor = ConsumerGroup::preferred(members.iter().map(|(_, wants)| *wants), assignors);
        let given = assignor.assign(&assignor::Group {
            topics: &topics,
            members: &specs,
        });

        let mut changes = Vec::new();
        let mut own = Assignment::EMPTY;
        for ((id, _), given) in members.iter().zip(given) {
            if self.member.is_some_and(|(member, _)| member == *id) {
                own.clone_from(&given);
            }
            if self.group.targets.get(*id) != Some(&given) {
                changes.push(Change::Target((*id).clone(), Some(given)));
            }
        }
        changes.push(Change::TargetEpoch(Some((epoch, unix_ms))));
        tracing::debug!(group = %self.group.id(), epoch, assignor = assignor.name(), "new target");
        (changes, own)
    }

    /// What a member was to hold: whoever takes a place takes what was to be held there.
    pub(super) fn held(&self, id: &str) -> &'a Assignment {
        match (self.member, self.replaced) {
            (Some((member, _)), Some(replaced)) if **member == *id => self.group.target(replaced),
            _ => self.group.target(id),
        }
    }
}
