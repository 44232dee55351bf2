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
mod decision;
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
mod removal;
#[cfg(test)]
mod tests;
mod time_outs;
mod wish;

pub(crate) use change::Change;
pub(crate) use classic_member::{heartbeat as classic_heartbeat, join, leave, sync};
pub(crate) use group::ConsumerGroup;
pub(crate) use heartbeat::heartbeat;
pub(crate) use time_outs::expired;

use crate::coordinator::{Coordinator, Group, heard};
use crate::timers::Timeout;
use crate::world::{Record, World};
use highwater_wire::ErrorCode;
use highwater_wire::records::group::{GroupKey, GroupValue};
use std::rc::Rc;

/// Patterns of a group are held against changed topics no more often than this.
const MATCH_INTERVAL_MS_MIN: i64 = 10_000;

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
    time_outs::watch(coordinator, world, group_id);
}

/// The partition goes elsewhere. Nobody waits for an answer in a consumer group.
pub(crate) fn unload(_coordinator: &mut Coordinator, _world: &mut impl World, _group: &Rc<str>) {}

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

/// The consumer group of this id.
fn find<'c>(coordinator: &'c Coordinator, id: &str) -> Option<&'c ConsumerGroup> {
    match coordinator.groups.get(id) {
        Some(Group::Consumer(group)) => Some(group),
        _ => None,
    }
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
