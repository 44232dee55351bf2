//! LeaveGroup: members go, one or many, by their ids or by their instances.

use super::Turn;
use crate::coordinator::Coordinator;
use crate::world::World;
use highwater_wire::ErrorCode;
use highwater_wire::message::leave_group::{MemberIdentity, MemberResponse};
use std::rc::Rc;

/// What each of the members hears that leave a classic group, or nothing.
///
/// # Errors
/// The code for the answer as a whole when nobody is left and that could not be written down: they are gone, but after a
/// restart they are there again until their sessions end.
pub(crate) fn leave<'r, W: World>(
    coordinator: &mut Coordinator,
    world: &mut W,
    group: &str,
    members: impl Iterator<Item = MemberIdentity<'r>>,
) -> Result<Vec<MemberResponse<'r>>, ErrorCode> {
    let mut turn = coordinator.turn(world, group);
    let mut somebody_left = false;
    let outcomes = members
        .map(|member| {
            let outcome = match &mut turn {
                Some(turn) => turn.leave(&member),
                None => Err(ErrorCode::UnknownMemberId),
            };
            somebody_left |= outcome.is_ok();
            MemberResponse {
                member_id: member.member_id,
                group_instance_id: member.group_instance_id,
                error_code: outcome.err().unwrap_or(ErrorCode::None).id(),
            }
        })
        .collect();
    if let Some(turn) = &mut turn
        && somebody_left
    {
        turn.rebalance_after_leaving();
        if let Some(code) = turn.unwritten {
            return Err(code);
        }
    }
    Ok(outcomes)
}

impl<W: World> Turn<'_, W> {
    fn leave(&mut self, leaving: &MemberIdentity<'_>) -> Result<(), ErrorCode> {
        let id: Rc<str> = if leaving.member_id.is_empty() {
            // Somebody who administers names the instance alone.
            let instance = leaving.group_instance_id;
            let id = instance.and_then(|instance| self.group.instances.get(instance));
            id.cloned().ok_or(ErrorCode::UnknownMemberId)?
        } else {
            if !self.group.pending.contains(leaving.member_id) {
                self.group
                    .check_member(leaving.member_id, leaving.group_instance_id)?;
            }
            leaving.member_id.into()
        };
        tracing::info!(group = %self.group.id, member = %id, reason = leaving.reason, "member leaves");
        self.remove(&id, ErrorCode::UnknownMemberId);
        Ok(())
    }

    fn rebalance_after_leaving(&mut self) {
        if self.group.state != super::State::Empty {
            self.rebalance_or_complete_join("members leave");
        }
    }
}
