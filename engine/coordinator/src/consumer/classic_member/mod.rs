//! Members that speak the classic protocol in a consumer group: JoinGroup is their step towards the target, SyncGroup hands
//! out what they may hold, and heartbeats tell them when to join again.

mod heartbeat;
mod join;
mod leave;
mod sync;

pub(crate) use heartbeat::heartbeat;
pub(crate) use join::join;
pub(crate) use leave::leave;
pub(crate) use sync::sync;

use super::group::ConsumerGroup;
use super::member::{Classic, Member};
use super::time_outs::set;
use crate::coordinator::Coordinator;
use crate::timers::Timeout;
use crate::world::World;
use highwater_wire::ErrorCode;
use std::rc::Rc;

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
