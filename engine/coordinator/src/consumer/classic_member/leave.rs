//! LeaveGroup on a consumer group: members of either protocol go, by their ids or by their instances.

use crate::consumer::find;
use crate::consumer::group::ConsumerGroup;
use crate::consumer::refusal::Refusal;
use crate::consumer::removal::remove;
use crate::coordinator::Coordinator;
use crate::world::{Caller, Response, World};
use highwater_wire::ErrorCode;
use highwater_wire::message::leave_group::{MemberIdentity, MemberResponse};
use highwater_wire::message::{LeaveGroupRequest, LeaveGroupResponse};
use std::rc::Rc;

/// The first version of LeaveGroup that names many members.
const LEAVES_MANY: i16 = 3;

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
    if let Some(group) = find(coordinator, request.group_id) {
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
