//! ConsumerGroupHeartbeat: who is meant, what is decided, written down and answered.

use super::change::Change;
use super::decision::{self, Decision};
use super::group::ConsumerGroup;
use super::leave::{self, Leave};
use super::member::{AWAY_EPOCH, JOIN_EPOCH, LEAVE_EPOCH};
use super::migrate::{self, Upgrade, Waits};
use super::refusal::Refusal;
use super::removal::remove;
use super::time_outs::{drop_time_outs, session_timeout_ms, set, watch};
use super::wish::Surroundings;
use super::{find, write};
use crate::config::Config;
use crate::coordinator::{Coordinator, Group};
use crate::timers::Timeout;
use crate::world::{Caller, Response, World};
use highwater_wire::message::consumer_group_heartbeat::{Assignment, TopicPartitions};
use highwater_wire::message::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use std::rc::Rc;

/// As of this version members draw their ids themselves.
const OWN_ID: i16 = 1;

/// ConsumerGroupHeartbeat, on any group or none.
pub(crate) fn heartbeat(
    coordinator: &mut Coordinator,
    world: &mut impl World,
    caller: &Caller<'_>,
    request: &ConsumerGroupHeartbeatRequest<'_>,
) {
    let beat = check(&coordinator.config, caller.version, request).and_then(|()| {
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

/// Whether the request makes sense at all (`GroupCoordinatorService.java`).
fn check(
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
    let decision = decision::decide(group, around, caller, request, id)?;
    if decision.is_new && !coordinator.has_room() {
        return Err(Refusal::NoRoom);
    }
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
    let Some(group) = find(coordinator, group_id) else {
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
