//! Heartbeat of a classic member of a consumer group: it lives, and hears when it is to join again.

use super::{await_join, classic_member};
use crate::consumer::find;
use crate::consumer::group::ConsumerGroup;
use crate::consumer::member::{Member, Progress};
use crate::consumer::time_outs::set;
use crate::coordinator::Coordinator;
use crate::timers::Timeout;
use crate::world::{Caller, Response, World};
use highwater_wire::ErrorCode;
use highwater_wire::message::{HeartbeatRequest, HeartbeatResponse};
use std::rc::Rc;

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
    let group = find(coordinator, request.group_id).ok_or(ErrorCode::UnknownMemberId)?;
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
