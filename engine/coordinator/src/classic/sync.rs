//! SyncGroup: the leader brings the assignment, everybody fetches a part of it.

use super::turn::refuse_sync;
use super::{Parked, State, Turn};
use crate::coordinator::Coordinator;
use crate::world::{Caller, World};
use highwater_wire::ErrorCode;
use highwater_wire::message::SyncGroupRequest;
use std::collections::BTreeMap;
use std::rc::Rc;

/// SyncGroup, where the group is classic or nothing.
pub(crate) fn sync<W: World>(
    coordinator: &mut Coordinator,
    world: &mut W,
    caller: &Caller<'_>,
    request: &SyncGroupRequest<'_>,
) {
    let parked = Parked::of(caller);
    // Whoever brings nothing needs no room.
    let room = if request.assignments.is_empty() {
        0
    } else {
        coordinator.classic_room()
    };
    let Some(mut turn) = coordinator.turn(world, request.group_id) else {
        return refuse_sync(world, parked, ErrorCode::UnknownMemberId);
    };
    if let Err(code) = turn.check_sync(request) {
        return refuse_sync(turn.world, parked, code);
    }
    match turn.group.state {
        State::Empty => refuse_sync(turn.world, parked, ErrorCode::UnknownMemberId),
        State::PreparingRebalance => {
            refuse_sync(turn.world, parked, ErrorCode::RebalanceInProgress);
        }
        State::CompletingRebalance => {
            turn.synced(request.member_id);
            turn.park_sync(request.member_id, parked);
            if turn.group.is_led_by(request.member_id) {
                turn.assign(request, room);
            }
        }
        State::Stable => {
            turn.synced(request.member_id);
            turn.hand_out(parked, request.member_id);
        }
    }
}

impl<W: World> Turn<'_, W> {
    fn check_sync(&self, request: &SyncGroupRequest<'_>) -> Result<(), ErrorCode> {
        let group = &*self.group;
        group.check_member(request.member_id, request.group_instance_id)?;
        if request.generation_id != group.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differs = |said: Option<&str>, known: Option<&str>| matches!((said, known), (Some(said), Some(known)) if said != known);
        if differs(request.protocol_type, group.protocol_type.as_deref())
            || differs(request.protocol_name, group.protocol.as_deref())
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        Ok(())
    }

    /// A member has asked for its assignment.
    fn synced(&mut self, id: &str) {
        self.group.pending_sync.remove(id);
        if self.group.pending_sync.is_empty() {
            self.cancel_sync();
        }
    }

    fn park_sync(&mut self, id: &str, parked: Parked) {
        let member = self.group.members.get_mut(id);
        if let Some(before) = member.and_then(|member| member.parked_sync.replace(parked)) {
            refuse_sync(self.world, before, ErrorCode::RebalanceInProgress);
        }
    }

    /// The leader's assignment: written down, then handed out. Who is not named gets nothing.
    fn assign(&mut self, request: &SyncGroupRequest<'_>, room: usize) {
        let assignments: BTreeMap<&str, &[u8]> = request
            .assignments
            .iter()
            .map(|given| (given.member_id, given.assignment))
            .collect();
        let given = |id: &str| assignments.get(id).copied().unwrap_or(&[]);
        let bytes: usize = assignments
            .values()
            .map(|assignment| assignment.len())
            .sum();
        let written = if bytes > room {
            Err(ErrorCode::UnknownServerError)
        } else {
            self.write_generation(|id, _| given(id))
        };
        if let Err(code) = written {
            tracing::warn!(group = %self.group.id, %code, "assignment could not be written");
            self.give_up_assignment(code);
            return self.prepare_rebalance("assignment could not be written");
        }
        let members: Vec<Rc<str>> = self.group.members.keys().cloned().collect();
        for id in members {
            self.group.assign(&id, given(&id));
            let member = self.group.members.get_mut(&id);
            if let Some(parked) = member.and_then(|member| member.parked_sync.take()) {
                self.hand_out(parked, &id);
                self.renew_session(&id);
            }
        }
        let unix_ms = self.world.unix_ms();
        self.group.enter(State::Stable, unix_ms);
    }
}
