//! SyncGroup on a consumer group: what a member may hold, in the members' own bytes.

use super::{await_join, classic_member};
use crate::classic::{self, CONSUMER, Parked};
use crate::consumer::member::Progress;
use crate::consumer::time_outs::set;
use crate::consumer::{find, migrate};
use crate::coordinator::Coordinator;
use crate::timers::Timeout;
use crate::world::{Caller, Response, World};
use highwater_wire::ErrorCode;
use highwater_wire::message::{SyncGroupRequest, SyncGroupResponse};

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
    let group = find(coordinator, request.group_id).ok_or(ErrorCode::UnknownMemberId)?;
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
    let assignment = migrate::assignment(classic, &member.holds.assigned, world.topics());
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
