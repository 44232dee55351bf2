//! How long members are waited for: to be heard of, to let go, to join again, to ask for what they may hold. And when
//! patterns are held against the topics again.

use super::removal::remove;
use super::{find, pattern, write};
use crate::config::Config;
use crate::coordinator::{Coordinator, Group};
use crate::timers::Timeout;
use crate::world::World;
use highwater_wire::ErrorCode;
use std::rc::Rc;

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
    let Some(group) = find(coordinator, group_id) else {
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

/// Sets the time-outs of all members, as if all had just been heard of.
pub(super) fn watch(coordinator: &mut Coordinator, world: &impl World, group_id: &str) {
    let Some(group) = find(coordinator, group_id) else {
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

/// After how long without a heartbeat a member counts as dead, in milliseconds.
pub(super) fn session_timeout_ms(config: &Config, world: &impl World, group: &str) -> i64 {
    let own = world.group_config(group).session_timeout_ms;
    own.unwrap_or(config.consumer_session_timeout_ms).into()
}

pub(super) fn set(
    coordinator: &mut Coordinator,
    world: &impl World,
    timeout: Timeout,
    after_ms: i64,
) {
    let due_ms = world.now_ms().saturating_add(after_ms);
    coordinator.timers.set(timeout, due_ms);
}

/// Time-outs of a member that is gone.
pub(super) fn drop_time_outs(coordinator: &mut Coordinator, group: &Rc<str>, member: &Rc<str>) {
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
