//! Heartbeat: a member lives, and hears whether a rebalance is under way.

use super::{State, Turn};
use crate::coordinator::Coordinator;
use crate::world::World;
use highwater_wire::ErrorCode;
use highwater_wire::message::HeartbeatRequest;

/// What a heartbeat of a member of a classic group, or of nothing, is answered with.
pub(crate) fn heartbeat<W: World>(
    coordinator: &mut Coordinator,
    world: &mut W,
    request: &HeartbeatRequest<'_>,
) -> ErrorCode {
    match coordinator.turn(world, request.group_id) {
        Some(mut turn) => turn.heartbeat(request).err().unwrap_or(ErrorCode::None),
        None => ErrorCode::UnknownMemberId,
    }
}

impl<W: World> Turn<'_, W> {
    fn heartbeat(&mut self, request: &HeartbeatRequest<'_>) -> Result<(), ErrorCode> {
        let id = request.member_id;
        self.group.check_member(id, request.group_instance_id)?;
        if request.generation_id != self.group.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        match self.group.state {
            State::Empty => Err(ErrorCode::UnknownMemberId),
            State::PreparingRebalance => {
                self.keep_alive(id);
                Err(ErrorCode::RebalanceInProgress)
            }
            // Members may begin to heartbeat before they have their assignment.
            State::CompletingRebalance | State::Stable => {
                self.keep_alive(id);
                Ok(())
            }
        }
    }

    /// The member is alive.
    pub(crate) fn keep_alive(&mut self, id: &str) {
        if let Some((id, _)) = self.group.members.get_key_value(id) {
            let id = id.clone();
            self.renew_session(&id);
        }
    }
}
