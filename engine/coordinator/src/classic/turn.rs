//! One classic group, and what it may touch in one call: its time-outs, the settings, the world.

use super::{ClassicGroup, Member, Parked};
use crate::config::Config;
use crate::coordinator::{Coordinator, Group};
use crate::timers::{Timeout, Timers};
use crate::world::{Response, World};
use highwater_wire::message::{JoinGroupResponse, SyncGroupResponse};
use highwater_wire::{Array, ErrorCode};
use std::rc::Rc;

/// A group's turn.
pub(crate) struct Turn<'a, W> {
    pub(crate) group: &'a mut ClassicGroup,
    pub(super) timers: &'a mut Timers,
    pub(super) config: &'a Config,
    pub(super) world: &'a mut W,
    /// Why a generation without members could not be written down.
    pub(super) unwritten: Option<ErrorCode>,
}

impl Coordinator {
    /// The turn of a classic group, if it is one.
    pub(crate) fn turn<'a, W: World>(
        &'a mut self,
        world: &'a mut W,
        id: &str,
    ) -> Option<Turn<'a, W>> {
        let Some(Group::Classic(group)) = self.groups.get_mut(id) else {
            return None;
        };
        Some(Turn {
            group,
            timers: &mut self.timers,
            config: &self.config,
            world,
            unwritten: None,
        })
    }
}

impl<W: World> Turn<'_, W> {
    /// Hears of a member again when its session ends.
    pub(super) fn renew_session(&mut self, id: &Rc<str>) {
        if let Some(member) = self.group.members.get(id) {
            let timeout_ms = i64::from(member.session_timeout_ms);
            self.set_session(id, timeout_ms);
        }
    }

    /// Hears of a member, or of somebody who was told to come, after `timeout_ms`.
    pub(super) fn set_session(&mut self, id: &Rc<str>, timeout_ms: i64) {
        let due_ms = self.world.now_ms().saturating_add(timeout_ms);
        let timeout = self.session(id.clone());
        self.timers.set(timeout, due_ms);
    }

    /// Does not hear of it any more.
    pub(super) fn end_session(&mut self, id: &str) {
        let timeout = self.session(id.into());
        self.timers.cancel(&timeout);
    }

    fn session(&self, member: Rc<str>) -> Timeout {
        Timeout::ClassicSession {
            group: self.group.id.clone(),
            member,
        }
    }

    /// Removes a member, or somebody who was told to come. What it waits for is answered with `code`, without its id: it is
    /// to come again as somebody new if it is still there.
    pub(super) fn remove(&mut self, id: &str, code: ErrorCode) {
        self.end_session(id);
        if let Some(member) = self.group.remove(id) {
            self.end_waits(&member, "", code);
        }
    }

    /// Answers what a member waits for that is not in the group any more.
    pub(super) fn end_waits(&mut self, member: &Member, id: &str, code: ErrorCode) {
        if let Some(parked) = member.parked_join {
            refuse_join(self.world, parked, id, code);
        }
        if let Some(parked) = member.parked_sync {
            refuse_sync(self.world, parked, code);
        }
    }

    /// Lets a member wait for the generation to begin. Whom the same member sent before waits no longer.
    pub(super) fn park_join(&mut self, id: &str, parked: Parked) {
        let Some(member) = self.group.members.get_mut(id) else {
            return;
        };
        match member.parked_join.replace(parked) {
            None => self.group.joined += 1,
            Some(before) => refuse_join(self.world, before, id, ErrorCode::RebalanceInProgress),
        }
    }

    /// Takes what a member waits with for the generation to begin.
    pub(super) fn take_join(&mut self, id: &str) -> Option<Parked> {
        let parked = self.group.members.get_mut(id)?.parked_join.take()?;
        self.group.joined -= 1;
        Some(parked)
    }

    /// Tells a member which generation it is in; the leader hears of everybody.
    pub(super) fn welcome(&mut self, parked: Parked, id: &str, skip_assignment: bool) {
        let group = &*self.group;
        let leads = group.is_led_by(id);
        let response = JoinGroupResponse {
            generation_id: group.generation,
            protocol_type: group.protocol_type.as_deref(),
            protocol_name: Some(group.protocol.as_deref().unwrap_or("")),
            leader: group.leader.as_deref().unwrap_or(""),
            skip_assignment: leads && skip_assignment,
            member_id: id,
            members: if leads {
                group.introductions()
            } else {
                Array::empty()
            },
            ..JoinGroupResponse::default()
        };
        self.world
            .answer(parked.ticket, Response::JoinGroup(response));
    }

    /// Gives a member its assignment.
    pub(super) fn hand_out(&mut self, parked: Parked, id: &str) {
        let group = &*self.group;
        let response = SyncGroupResponse {
            protocol_type: group.protocol_type.as_deref(),
            protocol_name: group.protocol.as_deref(),
            assignment: group
                .members
                .get(id)
                .map_or(&[], |member| &*member.assignment),
            ..SyncGroupResponse::default()
        };
        self.world
            .answer(parked.ticket, Response::SyncGroup(response));
    }
}

/// Refuses a JoinGroup.
pub(crate) fn refuse_join<W: World>(world: &mut W, parked: Parked, id: &str, code: ErrorCode) {
    let response = JoinGroupResponse {
        error_code: code.id(),
        member_id: id,
        // There was no null before (KIP-559).
        protocol_name: (parked.version < 7).then_some(""),
        ..JoinGroupResponse::default()
    };
    world.answer(parked.ticket, Response::JoinGroup(response));
}

/// Refuses a SyncGroup.
pub(crate) fn refuse_sync<W: World>(world: &mut W, parked: Parked, code: ErrorCode) {
    let response = SyncGroupResponse {
        error_code: code.id(),
        ..SyncGroupResponse::default()
    };
    world.answer(parked.ticket, Response::SyncGroup(response));
}
