//! Members that speak the classic protocol in a consumer group: JoinGroup is their step towards the target, SyncGroup hands
//! out what they may hold, and heartbeats tell them when to join again.

use super::group::ConsumerGroup;
use super::heartbeat::{Follow, Surroundings, Wish};
use super::held::Held;
use super::member::{Classic, Member, Progress, Wants, are, sorted};
use super::migrate::{self, Replacement};
use super::refusal::Refusal;
use super::{drop_time_outs, remove, set, write};
use crate::assignor::Assignment;
use crate::classic::{self, CONSUMER, Parked};
use crate::config::Config;
use crate::coordinator::{Coordinator, Group};
use crate::timers::Timeout;
use crate::world::{Caller, Response, Topics, World};
use highwater_wire::ErrorCode;
use highwater_wire::consumer_protocol::ConsumerProtocolSubscription;
use highwater_wire::message::consumer_group_heartbeat::TopicPartitions;
use highwater_wire::message::leave_group::{MemberIdentity, MemberResponse};
use highwater_wire::message::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use std::borrow::Cow;
use std::rc::Rc;

/// The first version of JoinGroup in which a newcomer is told its id before it joins (KIP-394).
const KNOWS_ID: i16 = 4;
/// The first version of LeaveGroup that names many members.
const LEAVES_MANY: i16 = 3;

/// The consumer group of this id.
fn group<'c>(coordinator: &'c Coordinator, id: &str) -> Option<&'c ConsumerGroup> {
    match coordinator.groups.get(id) {
        Some(Group::Consumer(group)) => Some(group),
        _ => None,
    }
}

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
    let group = group(coordinator, group_id).ok_or(ErrorCode::UnknownMemberId)?;
    let heard = |refusal: Refusal| refusal.code();
    group.make_room(&coordinator.config, id).map_err(heard)?;
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
        super::downgrade(
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
        group
            .shared(&names)
            .unwrap_or_else(|| migrate::names(&subscription))
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

/// The classic member that asks.
fn classic_member<'g>(
    group: &'g ConsumerGroup,
    id: &str,
    instance: Option<&str>,
    generation: i32,
) -> Result<(&'g Rc<str>, &'g Member, &'g Classic), ErrorCode> {
    let found = match instance {
        None => group.dynamic_member(id),
        Some(instance) => group.static_member(instance, id),
    };
    let (id, member) = found.map_err(|refusal| refusal.code())?;
    let classic = member.wants.classic.as_ref();
    let classic = classic.ok_or(ErrorCode::UnknownMemberId)?;
    if member.holds.epoch != generation {
        return Err(ErrorCode::IllegalGeneration);
    }
    Ok((id, member, classic))
}

/// SyncGroup on a consumer group with members.
pub(crate) fn sync(
    coordinator: &mut Coordinator,
    world: &mut impl World,
    caller: &Caller<'_>,
    request: &SyncGroupRequest<'_>,
) {
    match collect(coordinator, world, request) {
        Ok(assignment) => {
            let response = SyncGroupResponse {
                protocol_type: request.protocol_type,
                protocol_name: request.protocol_name,
                assignment: &assignment,
                ..SyncGroupResponse::default()
            };
            world.answer(caller.ticket, Response::SyncGroup(response));
        }
        Err(code) => classic::refuse_sync(world, Parked::of(caller), code),
    }
}

/// What a classic member may hold.
fn collect(
    coordinator: &mut Coordinator,
    world: &mut impl World,
    request: &SyncGroupRequest<'_>,
) -> Result<Box<[u8]>, ErrorCode> {
    let group = group(coordinator, request.group_id).ok_or(ErrorCode::UnknownMemberId)?;
    let (member_id, instance) = (request.member_id, request.group_instance_id);
    let (id, member, classic) = classic_member(group, member_id, instance, request.generation_id)?;
    let name = classic.protocols.first().map(|(name, _)| &**name);
    if request.protocol_type.is_some_and(|said| said != CONSUMER)
        || request.protocol_name.is_some_and(|said| Some(said) != name)
    {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    let (group_id, id) = (group.id().clone(), id.clone());
    // Who is to let go has joined already, and joins again when it has.
    if group.epoch > member.holds.epoch && member.holds.progress != Progress::Unrevoked {
        let rebalance_ms = member.wants.rebalance_timeout_ms.into();
        await_join(coordinator, world, group_id, id, rebalance_ms);
        return Err(ErrorCode::RebalanceInProgress);
    }
    let given = given(&member.holds.assigned);
    let assignment = migrate::assignment(classic, &given, world.topics());
    let session_ms = classic.session_timeout_ms.into();
    let (group, member) = (group_id.clone(), id.clone());
    coordinator
        .timers
        .cancel(&Timeout::ConsumerSync { group, member });
    let (group, member) = (group_id, id);
    set(
        coordinator,
        world,
        Timeout::ConsumerSession { group, member },
        session_ms,
    );
    Ok(assignment)
}

fn given(held: &Held) -> Assignment {
    held.iter()
        .map(|slot| (slot.topic, slot.partition))
        .collect()
}

/// A classic member is to join again, and is given its rebalance time-out to do so.
fn await_join(
    coordinator: &mut Coordinator,
    world: &impl World,
    group: Rc<str>,
    member: Rc<str>,
    rebalance_ms: i64,
) {
    let timeout = Timeout::ConsumerJoin { group, member };
    if !coordinator.timers.is_set(&timeout) {
        set(coordinator, world, timeout, rebalance_ms);
    }
}

/// Heartbeat of a classic member of a consumer group.
pub(crate) fn heartbeat(
    coordinator: &mut Coordinator,
    world: &mut impl World,
    caller: &Caller<'_>,
    request: &HeartbeatRequest<'_>,
) {
    let outcome = live(coordinator, world, request);
    let response = HeartbeatResponse {
        error_code: outcome.err().unwrap_or(ErrorCode::None).id(),
        ..HeartbeatResponse::default()
    };
    world.answer(caller.ticket, Response::Heartbeat(response));
}

/// The member lives, and hears whether it is to join again.
fn live(
    coordinator: &mut Coordinator,
    world: &mut impl World,
    request: &HeartbeatRequest<'_>,
) -> Result<(), ErrorCode> {
    let group = group(coordinator, request.group_id).ok_or(ErrorCode::UnknownMemberId)?;
    let (member_id, instance) = (request.member_id, request.group_instance_id);
    let (id, member, classic) = classic_member(group, member_id, instance, request.generation_id)?;
    let is_to_join = member.holds.epoch < group.epoch
        || match member.holds.progress {
            Progress::Unrevoked => true,
            Progress::Unreleased => !group.keeps_waiting(id, member),
            Progress::Stable | Progress::Unknown => false,
        };
    let (group_id, id) = (group.id().clone(), id.clone());
    let session_ms = classic.session_timeout_ms.into();
    let rebalance_ms = member.wants.rebalance_timeout_ms.into();
    let (group, member) = (group_id.clone(), id.clone());
    set(
        coordinator,
        world,
        Timeout::ConsumerSession { group, member },
        session_ms,
    );
    if is_to_join {
        await_join(coordinator, world, group_id, id, rebalance_ms);
        return Err(ErrorCode::RebalanceInProgress);
    }
    Ok(())
}

impl ConsumerGroup {
    /// Whether something that the member is to hold is still in another one's hands.
    fn keeps_waiting(&self, id: &Rc<str>, member: &Member) -> bool {
        self.target(id).partitions().any(|(topic, partition)| {
            !member.holds.assigned.contains(topic, partition)
                && self.owner(topic, partition).is_some()
        })
    }
}

/// LeaveGroup on a consumer group.
pub(crate) fn leave(
    coordinator: &mut Coordinator,
    world: &mut impl World,
    caller: &Caller<'_>,
    request: &LeaveGroupRequest<'_>,
) {
    let alone = MemberIdentity {
        member_id: request.member_id,
        ..MemberIdentity::default()
    };
    let leaving = if caller.version >= LEAVES_MANY {
        request.members.to_vec()
    } else {
        vec![alone]
    };
    let mut gone: Vec<Rc<str>> = Vec::new();
    let mut outcomes: Vec<MemberResponse<'_>> = Vec::new();
    if let Some(group) = group(coordinator, request.group_id) {
        for member in &leaving {
            let found = leaver(group, member);
            outcomes.push(MemberResponse {
                member_id: member.member_id,
                group_instance_id: member.group_instance_id,
                error_code: found
                    .as_ref()
                    .err()
                    .copied()
                    .unwrap_or(ErrorCode::None)
                    .id(),
            });
            gone.extend(found.ok().filter(|id| !gone.contains(id)));
        }
    }
    let outcome = match &*gone {
        [] => Ok(()),
        gone => remove(coordinator, world, request.group_id, gone),
    };
    let mut response = LeaveGroupResponse::default();
    if let Err(code) = outcome {
        response.error_code = code.id();
    } else if caller.version >= LEAVES_MANY {
        response.members = outcomes.into();
    } else {
        let first = outcomes.first();
        let unknown = ErrorCode::UnknownMemberId.id();
        response.error_code = first.map_or(unknown, |outcome| outcome.error_code);
    }
    world.answer(caller.ticket, Response::LeaveGroup(response));
}

/// Who leaves, or is taken out by somebody who administers and names the instance alone.
fn leaver(group: &ConsumerGroup, leaving: &MemberIdentity<'_>) -> Result<Rc<str>, ErrorCode> {
    let id = match leaving.group_instance_id {
        None => group.dynamic_member(leaving.member_id).map(|found| found.0),
        Some(instance) if leaving.member_id.is_empty() => group
            .of_instance(instance)
            .ok_or_else(|| Refusal::UnknownInstance(instance.to_owned())),
        Some(instance) => group
            .static_member(instance, leaving.member_id)
            .map(|found| found.0),
    };
    id.cloned().map_err(|refusal| refusal.code())
}
