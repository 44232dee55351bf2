//! JoinGroup on a consumer group: answered at once, with the member's epoch for a generation. Nobody leads.

use crate::classic::{self, CONSUMER, Parked};
use crate::config::Config;
use crate::consumer::group::ConsumerGroup;
use crate::consumer::member::{Classic, Member, Wants, are, sorted};
use crate::consumer::migrate::{self, Replacement};
use crate::consumer::refusal::Refusal;
use crate::consumer::removal::downgrade;
use crate::consumer::time_outs::{drop_time_outs, set};
use crate::consumer::wish::{Follow, Surroundings, Wish};
use crate::consumer::{find, write};
use crate::coordinator::{Coordinator, Group};
use crate::timers::Timeout;
use crate::world::{Caller, Response, Topics, World};
use highwater_wire::ErrorCode;
use highwater_wire::consumer_protocol::ConsumerProtocolSubscription;
use highwater_wire::message::consumer_group_heartbeat::TopicPartitions;
use highwater_wire::message::{JoinGroupRequest, JoinGroupResponse};
use std::borrow::Cow;
use std::rc::Rc;

/// The first version of JoinGroup in which a newcomer is told its id before it joins (KIP-394).
const KNOWS_ID: i16 = 4;

/// JoinGroup on a consumer group with members.
pub(crate) fn join(
    coordinator: &mut Coordinator,
    world: &mut impl World,
    caller: &Caller<'_>,
    request: &JoinGroupRequest<'_>,
) {
    let drawn;
    let id = if request.member_id.is_empty() {
        let stem = request.group_instance_id.unwrap_or(caller.client_id);
        drawn = format!("{stem}-{}", world.uuid().hyphenated());
        &drawn
    } else {
        request.member_id
    };
    match enter(coordinator, world, caller, request, id) {
        Ok((id, epoch)) => {
            let name = request.protocols.first().map(|protocol| protocol.name);
            let response = JoinGroupResponse {
                generation_id: epoch,
                protocol_type: Some(CONSUMER),
                protocol_name: name,
                member_id: &id,
                ..JoinGroupResponse::default()
            };
            world.answer(caller.ticket, Response::JoinGroup(response));
        }
        Err(code) => {
            let id = if code == ErrorCode::MemberIdRequired {
                id
            } else {
                request.member_id
            };
            classic::refuse_join(world, Parked::of(caller), id, code);
        }
    }
}

/// Lets a classic member in: its id, and its epoch from now on.
fn enter(
    coordinator: &mut Coordinator,
    world: &mut impl World,
    caller: &Caller<'_>,
    request: &JoinGroupRequest<'_>,
    id: &str,
) -> Result<(Rc<str>, i32), ErrorCode> {
    let group_id = request.group_id;
    let group = find(coordinator, group_id).ok_or(ErrorCode::UnknownMemberId)?;
    let heard = |refusal: Refusal| refusal.code();
    group.make_room(&coordinator.config, id).map_err(heard)?;
    if !group.members.contains_key(id) && !coordinator.has_room() {
        return Err(ErrorCode::GroupMaxSizeReached);
    }
    if !group.speaks(request) {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    let is_newcomer = request.member_id.is_empty();
    if is_newcomer && request.group_instance_id.is_none() && caller.version >= KNOWS_ID {
        return Err(ErrorCode::MemberIdRequired);
    }
    let (before, replaced) = member(group, request, id).map_err(heard)?;
    let id = group.member_id(id);
    let wants = wants(group, &before.wants, caller, request)?;
    let around = Surroundings {
        config: &coordinator.config,
        topics: world.topics(),
        unix_ms: world.unix_ms(),
    };
    let said = said(request, around.topics);
    let wish = Wish {
        is_new: matches!(before, Cow::Owned(_)),
        id: &id,
        before: &before,
        wants: &wants,
        replaced: replaced.as_ref(),
    };
    let Follow {
        changes,
        holds,
        is_fresh,
        epoch: follow_epoch,
    } = wish
        .follow(group, around, Some(&said.into()))
        .map_err(heard)?;
    let epoch = holds.map_or(before.holds.epoch, |holds| holds.epoch);

    // The last member of the consumer protocol leaves its place to a classic one.
    let last = request
        .group_instance_id
        .and_then(|instance| group.of_instance(instance))
        .filter(|last| group.is_last_consumer(last, &coordinator.config));
    if let Some(before) = last.cloned() {
        let replacement = Replacement {
            before: &before,
            member: &id,
            wants: &wants,
        };
        let generation = group.epoch;
        let is_stale = follow_epoch > group.target_epoch;
        downgrade(
            coordinator,
            world,
            group_id,
            &[],
            Some(&replacement),
            is_stale,
        )?;
        return Ok((id, generation));
    }

    write(coordinator, world, group_id, &changes)?;
    let Some(Group::Consumer(group)) = coordinator.groups.get_mut(group_id) else {
        return Ok((id, epoch));
    };
    if is_fresh {
        group.is_stale = false;
    }
    let group = group.id().clone();
    if let Some(replaced) = &replaced {
        drop_time_outs(coordinator, &group, replaced);
    }
    drop_time_outs(coordinator, &group, &id);
    let session_ms = i64::from(request.session_timeout_ms);
    let sync_ms = i64::from(wants.rebalance_timeout_ms);
    let member = id.clone();
    set(
        coordinator,
        world,
        Timeout::ConsumerSession {
            group: group.clone(),
            member,
        },
        session_ms,
    );
    let member = id.clone();
    set(
        coordinator,
        world,
        Timeout::ConsumerSync { group, member },
        sync_ms,
    );
    Ok((id, epoch))
}

impl ConsumerGroup {
    /// Whether all but this member are classic, and the group may be.
    fn is_last_consumer(&self, last: &Rc<str>, config: &Config) -> bool {
        let is_alone = self
            .members
            .iter()
            .all(|(id, member)| member.is_classic() != (id == last));
        is_alone
            && config.consumer_migration_policy.downgrades()
            && self.members.len() <= config.group_size_max
    }

    /// Whether somebody with these protocols fits in: there is one that all classic members speak.
    fn speaks(&self, request: &JoinGroupRequest<'_>) -> bool {
        let classic = || {
            let members = self.members.values();
            members.filter_map(|member| member.wants.classic.as_ref())
        };
        let is_common = |name: &str| {
            classic().all(|member| member.protocols.iter().any(|(known, _)| **known == *name))
        };
        request.protocol_type == CONSUMER
            && request
                .protocols
                .iter()
                .any(|protocol| is_common(protocol.name))
    }
}

/// Who joins: the member as it was, and whose place it takes.
fn member<'g>(
    group: &'g ConsumerGroup,
    request: &JoinGroupRequest<'_>,
    id: &str,
) -> Result<(Cow<'g, Member>, Option<Rc<str>>), Refusal> {
    let known = group.members.get(id).map(Cow::Borrowed);
    let Some(instance) = request.group_instance_id else {
        return Ok((known.unwrap_or_default(), None));
    };
    if !request.member_id.is_empty() {
        let (_, member) = group.static_member(instance, id)?;
        return Ok((Cow::Borrowed(member), None));
    }
    let owner = group
        .of_instance(instance)
        .and_then(|owner| group.members.get_key_value(owner));
    Ok(match owner {
        Some((owner, member)) => (Cow::Owned(member.reborn()), Some(owner.clone())),
        None => (known.unwrap_or_default(), None),
    })
}

/// What a classic member wants.
fn wants(
    group: &ConsumerGroup,
    before: &Wants,
    caller: &Caller<'_>,
    request: &JoinGroupRequest<'_>,
) -> Result<Wants, ErrorCode> {
    // All protocols of a consumer say the same of its topics.
    let first = request.protocols.first();
    let subscription = first
        .as_ref()
        .and_then(|first| ConsumerProtocolSubscription::decode_prefixed(first.metadata).ok());
    let (subscription, _) = subscription.ok_or(ErrorCode::InconsistentGroupProtocol)?;
    let names = sorted(subscription.topics.iter());
    let topics = if are(&before.topics, &names) {
        before.topics.clone()
    } else {
        group.shared(&names)
    };
    let rebalance_timeout_ms = if request.rebalance_timeout_ms < 0 {
        request.session_timeout_ms
    } else {
        request.rebalance_timeout_ms
    };
    Ok(Wants {
        instance: request
            .group_instance_id
            .map_or_else(|| before.instance.clone(), |instance| Some(instance.into())),
        rack: migrate::rack(&subscription).or_else(|| before.rack.clone()),
        client_id: caller.client_id.into(),
        client_host: caller.client_host.into(),
        topics,
        pattern: "".into(),
        rebalance_timeout_ms,
        assignor: before.assignor.clone(),
        classic: Some(Classic {
            session_timeout_ms: request.session_timeout_ms,
            protocols: request
                .protocols
                .iter()
                .map(|protocol| (protocol.name.into(), protocol.metadata.into()))
                .collect(),
        }),
    })
}

/// What a classic member says that it holds, of the topics that there are.
fn said(request: &JoinGroupRequest<'_>, topics: &dyn Topics) -> Vec<TopicPartitions<'static>> {
    let first = request.protocols.first();
    let subscription = first
        .as_ref()
        .and_then(|first| ConsumerProtocolSubscription::decode_prefixed(first.metadata).ok());
    let Some((subscription, _)) = subscription else {
        return Vec::new();
    };
    let owned = subscription.owned_partitions.iter();
    owned
        .filter_map(|topic| {
            Some(TopicPartitions {
                topic_id: topics.by_name(topic.topic)?.id,
                partitions: topic.partitions.to_vec().into(),
            })
        })
        .collect()
}
