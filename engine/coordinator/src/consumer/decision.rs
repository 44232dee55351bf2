//! What a heartbeat of a member comes to that joins or stays (`GroupMetadataManager.consumerGroupHeartbeat`).

use super::change::Change;
use super::group::ConsumerGroup;
use super::member::{AWAY_EPOCH, Holds, JOIN_EPOCH, Member, Wants, are, sorted};
use super::reconcile::says_only;
use super::refusal::Refusal;
use super::wish::{Surroundings, Wish};
use crate::config::Config;
use crate::world::Caller;
use highwater_wire::message::ConsumerGroupHeartbeatRequest;
use std::borrow::Cow;
use std::rc::Rc;

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
    /// Whether the member is new, or spoke the classic protocol until now: none of its time-outs goes on.
    pub(super) is_new: bool,
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
        is_new: is_new || before.is_classic(),
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
    share: impl FnOnce(&[&str]) -> Rc<[Rc<str>]>,
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
    let topics = names.map(|names| share(&names));
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
