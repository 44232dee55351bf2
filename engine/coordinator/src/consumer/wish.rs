//! A member that is about to be in a group as it says, and what follows from that: a new epoch, a new target, the member's
//! next step. Which protocol it speaks makes no difference here.

use super::change::Change;
use super::draft::Draft;
use super::group::ConsumerGroup;
use super::leave::gone;
use super::member::{Holds, Member, Wants};
use super::pattern::{self, Matched};
use super::reconcile::{Said, Step};
use super::refusal::Refusal;
use crate::config::Config;
use crate::world::Topics;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What surrounds a decision.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) config: &'a Config,
    pub(super) topics: &'a dyn Topics,
    pub(super) unix_ms: i64,
}

/// A member that is about to be in the group as it says.
pub(super) struct Wish<'a> {
    /// Whether there was no member of this id, or it begins anew.
    pub(super) is_new: bool,
    pub(super) id: &'a Rc<str>,
    pub(super) before: &'a Member,
    pub(super) wants: &'a Wants,
    pub(super) replaced: Option<&'a Rc<str>>,
}

/// What follows from it.
pub(super) struct Follow {
    pub(super) changes: Vec<Change>,
    pub(super) holds: Option<Holds>,
    pub(super) is_fresh: bool,
    /// The group's epoch from now on.
    pub(super) epoch: i32,
}

impl Wish<'_> {
    /// What follows for the group and for the member.
    pub(super) fn follow(
        &self,
        group: &ConsumerGroup,
        around: Surroundings<'_>,
        said: Said<'_, '_>,
    ) -> Result<Follow, Refusal> {
        let mut changes = Vec::new();
        if let Some(replaced) = self.replaced {
            changes.extend(gone(replaced));
        }
        let has_new_wants = self.is_new || *self.wants != self.before.wants;
        if has_new_wants {
            let wants = Box::new(self.wants.clone());
            changes.push(Change::Wants(self.id.clone(), Some(wants)));
        }

        let mut draft = Draft {
            group,
            topics: around.topics,
            member: Some((self.id, self.wants)),
            replaced: self.replaced.map(|replaced| &**replaced),
            gone: &[],
            matched: BTreeMap::new(),
        };
        let matched = self.match_pattern(group, around, &mut changes)?;
        let has_other_pattern =
            !matched.is_empty() || self.wants.pattern != self.before.wants.pattern;
        draft.matched = matched;
        let has_changed_its_mind =
            has_other_pattern || self.wants.topics != self.before.wants.topics;

        let mut epoch = group.epoch;
        let mut bumps = epoch == 0 || has_changed_its_mind;
        let is_fresh = bumps || group.is_stale;
        if is_fresh {
            let hash = draft.metadata_hash();
            bumps |= hash != group.metadata_hash;
            if bumps {
                epoch = epoch.saturating_add(1);
                changes.push(Change::Epoch(Some((epoch, hash))));
            }
            if group.has_topics_record {
                changes.push(Change::NoTopics);
            }
        }

        let made;
        let (target_epoch, target) = if epoch > group.target_epoch {
            let assignors = &around.config.consumer_assignors;
            let (targets, own) = draft.target(assignors, epoch, around.unix_ms);
            changes.extend(targets);
            made = own;
            (epoch, &made)
        } else {
            let target = draft.held(self.id);
            if self.is_new {
                changes.push(Change::Target(self.id.clone(), Some(target.clone())));
            }
            (group.target_epoch, target)
        };

        let holds = if !has_changed_its_mind && self.before.has_reached(target_epoch) {
            None
        } else {
            let is_own = |owner: &Rc<str>| owner == self.id || self.replaced == Some(owner);
            let step = Step {
                target_epoch,
                target,
                said,
                has_changed_its_mind,
                wants: &|topic| draft.wants(self.wants, topic),
                is_taken: &|topic, partition| {
                    group
                        .owner(topic, partition)
                        .is_some_and(|owner| !is_own(owner))
                },
            };
            step.take(&self.before.holds)?
        };
        let holds = match holds {
            None if self.is_new => Some(self.before.holds.clone()),
            holds => holds,
        };
        if let Some(holds) = &holds {
            let holds = Box::new(holds.clone());
            changes.push(Change::Holds(self.id.clone(), Some(holds)));
        }
        Ok(Follow {
            changes,
            holds,
            is_fresh,
            epoch,
        })
    }

    /// Takes up a pattern that is new, and drops one that nobody else has.
    fn match_pattern(
        &self,
        group: &ConsumerGroup,
        around: Surroundings<'_>,
        changes: &mut Vec<Change>,
    ) -> Result<BTreeMap<Rc<str>, Matched>, Refusal> {
        let (before, now) = (&self.before.wants.pattern, &self.wants.pattern);
        if before != now && group.patterns.contains_key(before) && group.subscribers(before) <= 1 {
            changes.push(Change::Pattern(before.clone(), None));
        }
        if now.is_empty() || group.patterns.contains_key(now) {
            return Ok(BTreeMap::new());
        }
        pattern::compile(now).map_err(Refusal::Pattern)?;
        let matched = Matched::resolve(now, around.topics, around.unix_ms);
        changes.push(Change::Pattern(now.clone(), Some(matched.clone())));
        Ok([(now.clone(), matched)].into())
    }
}
