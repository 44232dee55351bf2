//! ConsumerGroupHeartbeat of a member that joins or stays: what it wants is taken down, the group gets a new epoch and a new
//! target when that changed, and the member takes its next step (`GroupMetadataManager.consumerGroupHeartbeat`).

use super::change::Change;
use super::draft::Draft;
use super::group::ConsumerGroup;
use super::member::{
    AWAY_EPOCH, Holds, JOIN_EPOCH, LEAVE_EPOCH, Member, Progress, Wants, are, sorted,
};
use super::pattern::{self, Matched};
use super::reconcile::{Said, Step, says_only};
use super::refusal::Refusal;
use crate::config::Config;
use crate::world::{Caller, Topics};
use highwater_wire::message::ConsumerGroupHeartbeatRequest;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

/// As of this version members draw their ids themselves.
const OWN_ID: i16 = 1;

/// What a heartbeat comes to.
#[derive(Debug)]
pub(super) struct Decision {
    /// What is to be written down; often nothing.
    pub(super) changes: Vec<Change>,
    pub(super) member: Rc<str>,
    /// The member whose place this one took.
    pub(super) replaced: Option<Rc<str>>,
    /// What the member holds from now on, where that changed.
    pub(super) holds: Option<Holds>,
    /// Whether the answer says what is assigned.
    pub(super) is_told: bool,
    /// Whether the topics were held against the group's hash.
    pub(super) is_fresh: bool,
    /// Whether the member is new, or wants something else.
    pub(super) is_new: bool,
}

/// What surrounds a decision.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) config: &'a Config,
    pub(super) topics: &'a dyn Topics,
    pub(super) unix_ms: i64,
}

/// Whether the request makes sense at all (`GroupCoordinatorService.java`).
pub(super) fn check(
    config: &Config,
    version: i16,
    request: &ConsumerGroupHeartbeatRequest<'_>,
) -> Result<(), Refusal> {
    let is_blank = |text: &str| text.bytes().all(|byte| byte <= b' ');
    let names_itself =
        version >= OWN_ID || request.member_epoch > 0 || request.member_epoch == LEAVE_EPOCH;
    let fault = if names_itself && is_blank(request.member_id) {
        "member id is empty"
    } else if is_blank(request.group_id) {
        "group id is empty"
    } else if request.instance_id.is_some_and(is_blank) {
        "instance id is empty"
    } else if request.rack_id.is_some_and(is_blank) {
        "rack id is empty"
    } else if request.member_epoch < AWAY_EPOCH {
        "member epoch is below -2"
    } else if request.member_epoch == AWAY_EPOCH && request.instance_id.is_none() {
        "a member without an instance id cannot leave for a while"
    } else if request.member_epoch != JOIN_EPOCH {
        ""
    } else if request.rebalance_timeout_ms == -1 {
        "a member that joins says its rebalance time-out"
    } else if request
        .topic_partitions
        .as_ref()
        .is_none_or(|held| !held.is_empty())
    {
        "a member that joins holds no partitions"
    } else if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() {
        "a member that joins says what it subscribes to"
    } else {
        ""
    };
    if !fault.is_empty() {
        return Err(Refusal::Invalid(fault));
    }
    if let Some(name) = request.server_assignor
        && !config
            .consumer_assignors
            .iter()
            .any(|known| known.name() == name)
    {
        let names: Vec<_> = config.consumer_assignors.iter().map(|a| a.name()).collect();
        return Err(Refusal::Assignor(name.to_owned(), names.join(", ")));
    }
    Ok(())
}

/// Decides on a heartbeat in a group. `id` is the member's, or a new one where it has none.
pub(super) fn decide(
    group: &ConsumerGroup,
    around: Surroundings<'_>,
    caller: &Caller<'_>,
    request: &ConsumerGroupHeartbeatRequest<'_>,
    id: &str,
) -> Result<Decision, Refusal> {
    group.make_room(around.config, request.member_id)?;
    let (before, replaced) = member(group, request, id)?;
    let id = group.member_id(id);
    // A member that the group has as it is was borrowed.
    let is_new = matches!(before, Cow::Owned(_));
    let wants = said_anew(&before.wants, caller, request, |names| group.shared(names));
    let after = Wish {
        is_new,
        wants: wants.as_ref().unwrap_or(&before.wants),
        before: &before,
        id: &id,
        replaced: replaced.as_ref(),
    };
    let said = request.topic_partitions.as_ref();
    let follow = after.follow(group, around, said)?;

    let is_full = request.rebalance_timeout_ms != -1
        && (request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some())
        && said.is_some();
    let has_moved = follow
        .holds
        .as_ref()
        .is_some_and(|holds| holds.assigned != before.holds.assigned);
    Ok(Decision {
        is_told: request.member_epoch == JOIN_EPOCH || is_full || has_moved,
        changes: follow.changes,
        holds: follow.holds,
        is_fresh: follow.is_fresh,
        is_new: wants.is_some(),
        replaced,
        member: id,
    })
}

impl ConsumerGroup {
    /// Whether this member, or one more, may be in the group.
    pub(super) fn make_room(&self, config: &Config, id: &str) -> Result<(), Refusal> {
        let most = config.consumer_group_size_max;
        if self.members.len() >= most && !self.members.contains_key(id) {
            return Err(Refusal::Full(most));
        }
        Ok(())
    }

    /// The member of the instance id, if this is its member id.
    pub(super) fn static_member(
        &self,
        instance: &str,
        id: &str,
    ) -> Result<(&Rc<str>, &Member), Refusal> {
        let (owner, member) = self
            .of_instance(instance)
            .and_then(|owner| self.members.get_key_value(owner))
            .ok_or_else(|| Refusal::UnknownInstance(instance.to_owned()))?;
        if **owner != *id {
            return Err(Refusal::FencedInstance {
                instance: instance.to_owned(),
                owner: owner.to_string(),
            });
        }
        Ok((owner, member))
    }

    /// The member of this id.
    pub(super) fn dynamic_member(&self, id: &str) -> Result<(&Rc<str>, &Member), Refusal> {
        self.members
            .get_key_value(id)
            .ok_or_else(|| Refusal::UnknownMember(id.to_owned()))
    }
}

/// Who speaks: the member as it was, and whose place it takes.
fn member<'g>(
    group: &'g ConsumerGroup,
    request: &ConsumerGroupHeartbeatRequest<'_>,
    id: &str,
) -> Result<(Cow<'g, Member>, Option<Rc<str>>), Refusal> {
    let joins = request.member_epoch == JOIN_EPOCH;
    let known = match request.instance_id {
        None if joins => group.members.get(id),
        None => Some(group.dynamic_member(id)?.1),
        Some(instance) if joins => return static_joiner(group, instance, id),
        Some(instance) => Some(group.static_member(instance, id)?.1),
    };
    let Some(member) = known else {
        return Ok((Cow::Owned(Member::default()), None));
    };
    check_epoch(&member.holds, request)?;
    Ok((Cow::Borrowed(member), None))
}

/// A static member comes back: in the place of the one that left.
fn static_joiner<'g>(
    group: &'g ConsumerGroup,
    instance: &str,
    id: &str,
) -> Result<(Cow<'g, Member>, Option<Rc<str>>), Refusal> {
    let known = group
        .of_instance(instance)
        .and_then(|owner| group.members.get_key_value(owner));
    let Some((owner, member)) = known else {
        // It may be known without the instance id.
        let member = group.members.get(id).map(Cow::Borrowed);
        return Ok((member.unwrap_or_default(), None));
    };
    if !member.is_classic() && member.holds.epoch != AWAY_EPOCH {
        return Err(Refusal::Unreleased {
            instance: instance.to_owned(),
            owner: owner.to_string(),
        });
    }
    let replaced = (**owner != *id).then(|| owner.clone());
    Ok((Cow::Owned(member.reborn()), replaced))
}

impl Member {
    /// The member as it begins again, with what it held.
    pub(super) fn reborn(&self) -> Self {
        let mut member = self.clone();
        member.holds.epoch = JOIN_EPOCH;
        member.holds.previous_epoch = JOIN_EPOCH;
        member
    }
}

/// A member may be an epoch behind when it never heard of the next: it holds nothing then that it may not hold.
fn check_epoch(holds: &Holds, request: &ConsumerGroupHeartbeatRequest<'_>) -> Result<(), Refusal> {
    let received = request.member_epoch;
    let is_behind = received == holds.previous_epoch
        && received < holds.epoch
        && says_only(request.topic_partitions.as_ref(), &holds.assigned);
    if received == JOIN_EPOCH || received == holds.epoch || is_behind {
        return Ok(());
    }
    Err(Refusal::FencedEpoch {
        received,
        known: holds.epoch,
    })
}

/// What the member wants now; nothing where that is what it wanted before.
fn said_anew(
    before: &Wants,
    caller: &Caller<'_>,
    request: &ConsumerGroupHeartbeatRequest<'_>,
    share: impl FnOnce(&[&str]) -> Option<Rc<[Rc<str>]>>,
) -> Option<Wants> {
    let differs = |before: &Option<Rc<str>>, said: Option<&str>| {
        said.is_some_and(|said| before.as_deref() != Some(said))
    };
    let names = request
        .subscribed_topic_names
        .as_ref()
        .map(|names| sorted(names.iter()))
        .filter(|names| !are(&before.topics, names));
    let timeout_ms = Some(request.rebalance_timeout_ms).filter(|timeout_ms| *timeout_ms != -1);
    let is_same = names.is_none()
        && !differs(&before.instance, request.instance_id)
        && !differs(&before.rack, request.rack_id)
        && !differs(&before.assignor, request.server_assignor)
        && request
            .subscribed_topic_regex
            .is_none_or(|pattern| *before.pattern == *pattern)
        && timeout_ms.is_none_or(|timeout_ms| before.rebalance_timeout_ms == timeout_ms)
        && *before.client_id == *caller.client_id
        && *before.client_host == *caller.client_host
        && before.classic.is_none();
    if is_same {
        return None;
    }
    let anew = |before: &Option<Rc<str>>, said: Option<&str>| {
        said.map(Into::into).or_else(|| before.clone())
    };
    let topics = names
        .map(|names| share(&names).unwrap_or_else(|| names.into_iter().map(Into::into).collect()));
    Some(Wants {
        instance: anew(&before.instance, request.instance_id),
        rack: anew(&before.rack, request.rack_id),
        client_id: caller.client_id.into(),
        client_host: caller.client_host.into(),
        topics: topics.unwrap_or_else(|| before.topics.clone()),
        pattern: request
            .subscribed_topic_regex
            .map_or_else(|| before.pattern.clone(), Into::into),
        rebalance_timeout_ms: timeout_ms.unwrap_or(before.rebalance_timeout_ms),
        assignor: anew(&before.assignor, request.server_assignor),
        classic: None,
    })
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

/// The tombstones of a member.
pub(super) fn gone(id: &Rc<str>) -> [Change; 3] {
    [
        Change::Holds(id.clone(), None),
        Change::Target(id.clone(), None),
        Change::Wants(id.clone(), None),
    ]
}

impl Holds {
    /// Whether the member has to say soon that it let go.
    pub(super) fn is_awaited(&self) -> bool {
        self.progress == Progress::Unrevoked
    }
}
