//! Consumer groups (KIP-848): the coordinator assigns, and members follow at their own pace. What a group is comes from
//! records; what a request does to it is decided on a [`draft::Draft`] of it, written down, and comes in by [`replay`].
//!
//! ```text
//!  heartbeat ── wants something new? ──> group epoch + 1 ──> new target, of that epoch
//!      │                                                          │
//!      └────────── next step of this member towards its target <──┘        others take theirs when they are heard of
//! ```

mod change;
mod classic_member;
mod commit;
mod describe;
mod draft;
mod group;
mod hash;
mod heartbeat;
mod held;
mod leave;
mod member;
mod migrate;
mod pattern;
mod reconcile;
mod refusal;
#[cfg(test)]
mod tests;

pub(crate) use change::Change;
pub(crate) use classic_member::{heartbeat as classic_heartbeat, join, leave, sync};
pub(crate) use group::ConsumerGroup;

use crate::config::Config;
use crate::coordinator::{Coordinator, Group, heard};
use crate::timers::Timeout;
use crate::world::{Caller, Record, Response, World};
use heartbeat::{Decision, Surroundings};
use highwater_wire::ErrorCode;
use highwater_wire::message::consumer_group_heartbeat::{Assignment, TopicPartitions};
use highwater_wire::message::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use highwater_wire::records::group::{GroupKey, GroupValue};
use leave::Leave;
use member::{AWAY_EPOCH, JOIN_EPOCH, LEAVE_EPOCH};
use migrate::{Replacement, Upgrade, Waits};
use refusal::Refusal;
use std::rc::Rc;

/// Patterns of a group are held against changed topics no more often than this.
const MATCH_INTERVAL_MS_MIN: i64 = 10_000;

/// ConsumerGroupHeartbeat, on any group or none.
pub(crate) fn heartbeat(
    coordinator: &mut Coordinator,
    world: &mut impl World,
    caller: &Caller<'_>,
    request: &ConsumerGroupHeartbeatRequest<'_>,
) {
    let beat = heartbeat::check(&coordinator.config, caller.version, request).and_then(|()| {
        if matches!(request.member_epoch, LEAVE_EPOCH | AWAY_EPOCH) {
            depart(coordinator, world, request)
        } else {
            attend(coordinator, world, caller, request)
        }
    });
    let message;
    let response = match &beat {
        Ok(beat) => beat.answer(coordinator, request.group_id),
        Err(refusal) => {
            message = refusal.to_string();
            ConsumerGroupHeartbeatResponse {
                error_code: refusal.code().id(),
                error_message: Some(&message),
                ..ConsumerGroupHeartbeatResponse::default()
            }
        }
    };
    world.answer(caller.ticket, Response::ConsumerGroupHeartbeat(response));
}

/// A heartbeat that was heard.
struct Beat {
    member: Rc<str>,
    epoch: i32,
    interval_ms: i32,
    /// Whether the answer says what is assigned.
    is_told: bool,
}

impl Beat {
    fn answer<'a>(
        &'a self,
        coordinator: &'a Coordinator,
        group: &str,
    ) -> ConsumerGroupHeartbeatResponse<'a> {
        let told = match coordinator.groups.get(group) {
            Some(Group::Consumer(group)) if self.is_told => group.members.get(&self.member),
            _ => None,
        };
        let assignment = told.map(|member| Assignment {
            topic_partitions: member
                .holds
                .assigned
                .topics()
                .map(|(topic_id, slots)| TopicPartitions {
                    topic_id,
                    partitions: slots.iter().map(|slot| slot.partition).collect(),
                })
                .collect(),
        });
        ConsumerGroupHeartbeatResponse {
            member_id: Some(&self.member),
            member_epoch: self.epoch,
            heartbeat_interval_ms: self.interval_ms,
            assignment,
            ..ConsumerGroupHeartbeatResponse::default()
        }
    }
}

/// A member joins or stays.
fn attend(
    coordinator: &mut Coordinator,
    world: &mut impl World,
    caller: &Caller<'_>,
    request: &ConsumerGroupHeartbeatRequest<'_>,
) -> Result<Beat, Refusal> {
    let drawn;
    let id = if request.member_id.is_empty() {
        drawn = world.uuid().hyphenated().to_string();
        &drawn
    } else {
        request.member_id
    };
    let around = Surroundings {
        config: &coordinator.config,
        topics: world.topics(),
        unix_ms: world.unix_ms(),
    };
    let group_id = request.group_id;
    let joins = request.member_epoch == JOIN_EPOCH;
    let made;
    let (group, mut made_of) = match coordinator.groups.get(group_id) {
        Some(Group::Consumer(group)) => (&**group, None),
        Some(Group::Classic(_)) | None if !joins => {
            return Err(Refusal::NoGroup(group_id.to_owned()));
        }
        Some(Group::Classic(classic)) if !classic.is_vacant() => {
            let upgrade = migrate::upgrade(classic, around.config, around.topics)?;
            let Upgrade {
                group,
                changes,
                waits,
            } = upgrade;
            made = group;
            (&made, Some((changes, waits)))
        }
        known => {
            made = ConsumerGroup::new(group_id.into());
            let is_classic = known.is_some();
            let before = is_classic.then_some(Change::NoClassic);
            (
                &made,
                Some((before.into_iter().collect(), Waits::default())),
            )
        }
    };
    let decision = heartbeat::decide(group, around, caller, request, id)?;
    let epoch = match &decision.holds {
        Some(holds) => holds.epoch,
        None => group
            .members
            .get(&decision.member)
            .map_or(JOIN_EPOCH, |member| member.holds.epoch),
    };
    let mut changes = match &mut made_of {
        Some((changes, _)) => std::mem::take(changes),
        None => Vec::new(),
    };
    changes.extend(decision.changes.iter().cloned());
    write(coordinator, world, group_id, &changes).map_err(Refusal::Unwritten)?;
    if let Some((_, waits)) = made_of {
        waits.end(world);
        watch(coordinator, world, group_id);
    }
    settle(coordinator, world, group_id, &decision);
    let own = world.group_config(group_id);
    let config = &coordinator.config;
    let interval_ms = own
        .heartbeat_interval_ms
        .unwrap_or(config.consumer_heartbeat_interval_ms);
    Ok(Beat {
        epoch,
        interval_ms,
        is_told: decision.is_told,
        member: decision.member,
    })
}

/// A member leaves, for good or for a while.
fn depart(
    coordinator: &mut Coordinator,
    world: &mut impl World,
    request: &ConsumerGroupHeartbeatRequest<'_>,
) -> Result<Beat, Refusal> {
    let group_id = request.group_id;
    let Some(Group::Consumer(group)) = coordinator.groups.get(group_id) else {
        return Err(Refusal::NoGroup(group_id.to_owned()));
    };
    let (id, instance) = (request.member_id, request.instance_id);
    let member = match leave::decide(group, id, instance, request.member_epoch)? {
        Leave::Gone(member) => {
            remove(coordinator, world, group_id, std::slice::from_ref(&member))
                .map_err(Refusal::Unwritten)?;
            member
        }
        Leave::Away(member, holds) => {
            let change = Change::Holds(member.clone(), Some(Box::new(holds)));
            write(coordinator, world, group_id, &[change]).map_err(Refusal::Unwritten)?;
            member
        }
    };
    Ok(Beat {
        member,
        epoch: request.member_epoch,
        interval_ms: 0,
        is_told: false,
    })
}

/// Writes the changes down and lets them in. Nothing to write is nothing to append.
fn write(
    coordinator: &mut Coordinator,
    world: &mut impl World,
    group: &str,
    changes: &[Change],
) -> Result<(), ErrorCode> {
    if changes.is_empty() {
        return Ok(());
    }
    let records: Vec<Record<'_>> = changes.iter().map(|change| change.record(group)).collect();
    coordinator.write(world, &records).map_err(heard)
}

/// Takes members out of the group.
fn remove(
    coordinator: &mut Coordinator,
    world: &mut impl World,
    group_id: &str,
    members: &[Rc<str>],
) -> Result<(), ErrorCode> {
    let Some(Group::Consumer(group)) = coordinator.groups.get(group_id) else {
        return Ok(());
    };
    if migrate::is_due(group, &coordinator.config, members) {
        return downgrade(coordinator, world, group_id, members, None, true);
    }
    let id = group.id().clone();
    let changes = leave::without(group, world.topics(), members);
    write(coordinator, world, group_id, &changes)?;
    for member in members {
        drop_time_outs(coordinator, &id, member);
    }
    if let Some(Group::Consumer(group)) = coordinator.groups.get_mut(group_id) {
        group.is_stale = false;
        if group.patterns.is_empty() {
            group.matched_ms = None;
            coordinator
                .timers
                .cancel(&Timeout::ConsumerRegex { group: id });
        }
    }
    Ok(())
}

/// Makes a classic group of a consumer group. Where its last target is not of its last
/// epoch (`is_stale`), or not all members have reached it, they join again.
fn downgrade(
    coordinator: &mut Coordinator,
    world: &mut impl World,
    group_id: &str,
    gone: &[Rc<str>],
    replacement: Option<&Replacement<'_>>,
    is_stale: bool,
) -> Result<(), ErrorCode> {
    let Some(Group::Consumer(group)) = coordinator.groups.get(group_id) else {
        return Ok(());
    };
    let is_stale = is_stale || !group.has_settled(replacement.map(|new| new.before));
    let (id, unix_ms) = (group.id().clone(), world.unix_ms());
    let classic = migrate::downgrade(group, gone, replacement, world.topics(), unix_ms);
    let members: Vec<Rc<str>> = group.members.keys().cloned().collect();
    let tombstones = group.tombstones();
    let mut records: Vec<Record<'_>> = tombstones
        .iter()
        .map(|change| change.record(group_id))
        .collect();
    records.push(classic.record(|_, member| &member.assignment));
    coordinator.write(world, &records).map_err(heard)?;
    for member in &members {
        drop_time_outs(coordinator, &id, member);
    }
    let timeout = Timeout::ConsumerRegex { group: id.clone() };
    coordinator.timers.cancel(&timeout);
    tracing::info!(group = %id, "consumer group becomes a classic group");
    // What members speak besides what they voted for is not written down.
    let classic = Group::Classic(Box::new(classic));
    coordinator.groups.insert(id, classic);
    if let Some(mut turn) = coordinator.turn(world, group_id) {
        turn.loaded();
        if is_stale {
            turn.prepare_rebalance("consumer group became classic");
        }
    }
    Ok(())
}

/// What is not written down of a heartbeat: time-outs, and what was looked at.
fn settle(
    coordinator: &mut Coordinator,
    world: &mut impl World,
    group_id: &str,
    decision: &Decision,
) {
    let Some(Group::Consumer(group)) = coordinator.groups.get_mut(group_id) else {
        return;
    };
    let id = group.id().clone();
    if decision.is_fresh {
        group.is_stale = false;
    }
    let rebalance_timeout_ms = group
        .members
        .get(&decision.member)
        .map_or(0, |member| member.wants.rebalance_timeout_ms);
    if group.patterns.is_empty() {
        if group.matched_ms.take().is_some() {
            let timeout = Timeout::ConsumerRegex { group: id.clone() };
            coordinator.timers.cancel(&timeout);
        }
    } else if group.matched_ms.is_none() {
        group.matched_ms = Some(world.now_ms());
        let interval_ms = coordinator.config.consumer_regex_refresh_interval_ms;
        set(
            coordinator,
            world,
            Timeout::ConsumerRegex { group: id.clone() },
            interval_ms,
        );
    }
    if let Some(replaced) = &decision.replaced {
        drop_time_outs(coordinator, &id, replaced);
    }
    if decision.is_new {
        // It may have been a classic member, with time-outs of its own.
        drop_time_outs(coordinator, &id, &decision.member);
    }
    let (group, member) = (id.clone(), decision.member.clone());
    let session_ms = session_timeout_ms(&coordinator.config, world, group_id);
    set(
        coordinator,
        world,
        Timeout::ConsumerSession { group, member },
        session_ms,
    );
    if let Some(holds) = &decision.holds {
        let (group, member) = (id, decision.member.clone());
        let timeout = Timeout::ConsumerRebalance { group, member };
        if holds.is_awaited() {
            set(coordinator, world, timeout, rebalance_timeout_ms.into());
        } else {
            coordinator.timers.cancel(&timeout);
        }
    }
}

/// After how long without a heartbeat a member counts as dead, in milliseconds.
fn session_timeout_ms(config: &Config, world: &impl World, group: &str) -> i64 {
    let own = world.group_config(group).session_timeout_ms;
    own.unwrap_or(config.consumer_session_timeout_ms).into()
}

fn set(coordinator: &mut Coordinator, world: &impl World, timeout: Timeout, after_ms: i64) {
    let due_ms = world.now_ms().saturating_add(after_ms);
    coordinator.timers.set(timeout, due_ms);
}

/// Time-outs of a member that is gone.
fn drop_time_outs(coordinator: &mut Coordinator, group: &Rc<str>, member: &Rc<str>) {
    let names = || (group.clone(), member.clone());
    let timers = &mut coordinator.timers;
    let (group, member) = names();
    timers.cancel(&Timeout::ConsumerSession { group, member });
    let (group, member) = names();
    timers.cancel(&Timeout::ConsumerRebalance { group, member });
    let (group, member) = names();
    timers.cancel(&Timeout::ConsumerJoin { group, member });
    let (group, member) = names();
    timers.cancel(&Timeout::ConsumerSync { group, member });
}

/// The only door to what is durable of consumer groups: one record of types 3 to 8 and 16. A group that the record needs is
/// made; a group that lost its `ConsumerGroupMetadata` is removed from `coordinator.groups`.
pub(crate) fn replay(
    coordinator: &mut Coordinator,
    key: &GroupKey<'_>,
    value: Option<&GroupValue<'_>>,
) {
    let id = key.group();
    if !matches!(coordinator.groups.get(id), Some(Group::Consumer(_))) {
        if value.is_none() {
            return;
        }
        let id = coordinator.shared_id(id);
        coordinator.forget_classic(&id);
        let group = Box::new(ConsumerGroup::new(id.clone()));
        coordinator.groups.insert(id, Group::Consumer(group));
    }
    let Some(Group::Consumer(group)) = coordinator.groups.get_mut(id) else {
        return;
    };
    if group.replay(key, value) {
        let id = group.id().clone();
        coordinator.groups.remove(&id);
        coordinator.keep_commits(id);
    }
}

/// All records were read: arms the time-outs of the members of this group.
pub(crate) fn loaded(coordinator: &mut Coordinator, world: &mut impl World, group_id: &Rc<str>) {
    watch(coordinator, world, group_id);
}

/// Sets the time-outs of all members, as if all had just been heard of.
fn watch(coordinator: &mut Coordinator, world: &impl World, group_id: &str) {
    let Some(Group::Consumer(group)) = coordinator.groups.get(group_id) else {
        return;
    };
    let session_ms = session_timeout_ms(&coordinator.config, world, group_id);
    let mut timeouts = Vec::new();
    for (id, member) in &group.members {
        let names = || (group.id().clone(), id.clone());
        let classic = member.wants.classic.as_ref();
        let session_ms = classic.map_or(session_ms, |classic| classic.session_timeout_ms.into());
        let (group, member_id) = names();
        let timeout = Timeout::ConsumerSession {
            group,
            member: member_id,
        };
        timeouts.push((timeout, session_ms));
        // Whoever speaks the classic protocol is to join again in time, and is told so when it is heard of.
        if classic.is_none() && member.holds.is_awaited() {
            let (group, member_id) = names();
            let timeout = Timeout::ConsumerRebalance {
                group,
                member: member_id,
            };
            timeouts.push((timeout, member.wants.rebalance_timeout_ms.into()));
        }
    }
    if !group.patterns.is_empty() {
        let group = group.id().clone();
        timeouts.push((Timeout::ConsumerRegex { group }, 0));
    }
    for (timeout, after_ms) in timeouts {
        set(coordinator, world, timeout, after_ms);
    }
}

/// The partition goes elsewhere. Nobody waits for an answer in a consumer group.
pub(crate) fn unload(_coordinator: &mut Coordinator, _world: &mut impl World, _group: &Rc<str>) {}

/// A time-out of a consumer group is due.
///
/// # Errors
/// When what it decided could not be written: it comes again.
pub(crate) fn expired(
    coordinator: &mut Coordinator,
    world: &mut impl World,
    timeout: &Timeout,
) -> Result<(), ErrorCode> {
    let (group_id, member, why) = match timeout {
        Timeout::ConsumerSession { group, member } => (group, member, "nothing was heard of it"),
        Timeout::ConsumerRebalance { group, member } => (group, member, "it did not let go"),
        Timeout::ConsumerJoin { group, member } => (group, member, "it did not join again"),
        Timeout::ConsumerSync { group, member } => (group, member, "it did not ask what to hold"),
        Timeout::ConsumerRegex { group } => return match_again(coordinator, world, group),
        Timeout::ClassicSession { .. }
        | Timeout::ClassicJoin { .. }
        | Timeout::ClassicSync { .. }
        | Timeout::OffsetExpiry => return Ok(()),
    };
    let known = match coordinator.groups.get(group_id) {
        Some(Group::Consumer(group)) => group.members.get(member),
        _ => None,
    };
    let Some(known) = known else {
        return Ok(());
    };
    if matches!(timeout, Timeout::ConsumerRebalance { .. }) && !known.holds.is_awaited() {
        return Ok(());
    }
    tracing::info!(group = %group_id, %member, why, "member is put out of its group");
    remove(coordinator, world, group_id, std::slice::from_ref(member))
}

/// Holds the patterns of a group against the topics as they stand.
fn match_again(
    coordinator: &mut Coordinator,
    world: &mut impl World,
    group_id: &Rc<str>,
) -> Result<(), ErrorCode> {
    let Some(Group::Consumer(group)) = coordinator.groups.get(group_id) else {
        return Ok(());
    };
    if group.patterns.is_empty() {
        return Ok(());
    }
    let changes = pattern::again(group, world.topics(), world.unix_ms());
    write(coordinator, world, group_id, &changes)?;
    if let Some(Group::Consumer(group)) = coordinator.groups.get_mut(group_id) {
        group.matched_ms = Some(world.now_ms());
    }
    let interval_ms = coordinator.config.consumer_regex_refresh_interval_ms;
    let group = group_id.clone();
    set(
        coordinator,
        world,
        Timeout::ConsumerRegex { group },
        interval_ms,
    );
    Ok(())
}

/// The topics have changed: subscriptions of consumer groups are looked at again, by name when a member is heard of, by
/// pattern when the last look is some seconds ago.
pub(crate) fn topics_changed(coordinator: &mut Coordinator, world: &mut impl World) {
    let now_ms = world.now_ms();
    for (id, group) in &mut coordinator.groups {
        let Group::Consumer(group) = group else {
            continue;
        };
        group.is_stale = true;
        if !group.patterns.is_empty() {
            let next_ms = group.matched_ms.map_or(now_ms, |last_ms| {
                last_ms.saturating_add(MATCH_INTERVAL_MS_MIN)
            });
            let timeout = Timeout::ConsumerRegex { group: id.clone() };
            coordinator.timers.set(timeout, next_ms.max(now_ms));
        }
    }
}
