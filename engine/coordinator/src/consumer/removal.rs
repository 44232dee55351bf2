//! Members that go, and a group that becomes classic with the last one of them that is not.

use super::migrate::{self, Replacement};
use super::time_outs::drop_time_outs;
use super::{find, leave, write};
use crate::coordinator::{Coordinator, Group, heard};
use crate::timers::Timeout;
use crate::world::{Record, World};
use highwater_wire::ErrorCode;
use std::rc::Rc;

/// Takes members out of the group.
pub(super) fn remove(
    coordinator: &mut Coordinator,
    world: &mut impl World,
    group_id: &str,
    members: &[Rc<str>],
) -> Result<(), ErrorCode> {
    let Some(group) = find(coordinator, group_id) else {
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
pub(super) fn downgrade(
    coordinator: &mut Coordinator,
    world: &mut impl World,
    group_id: &str,
    gone: &[Rc<str>],
    replacement: Option<&Replacement<'_>>,
    is_stale: bool,
) -> Result<(), ErrorCode> {
    let Some(group) = find(coordinator, group_id) else {
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
