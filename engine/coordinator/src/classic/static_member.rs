//! Static members (KIP-345): an instance that comes back takes its former place, and whoever still holds the place is fenced.

use super::turn::{refuse_join, refuse_sync};
use super::{Parked, State, Turn};
use crate::world::{Caller, Response, World};
use highwater_wire::ErrorCode;
use highwater_wire::message::{JoinGroupRequest, JoinGroupResponse};
use std::rc::Rc;

/// The first version in which a leader can be told to leave the assignment as it is (KIP-814).
const SKIPS_ASSIGNMENT: i16 = 9;

impl<W: World> Turn<'_, W> {
    /// An instance comes back under a new member id. Where that changes nothing for the group there is no rebalance.
    pub(super) fn replace_static(
        &mut self,
        caller: &Caller<'_>,
        request: &JoinGroupRequest<'_>,
        before: &Rc<str>,
        id: Rc<str>,
    ) {
        tracing::info!(group = %self.group.id, from = %before, to = %id, "static member comes back");
        let parked = Parked::of(caller);
        let leader_before = self.group.leader.clone();
        self.rename(before, &id);
        let Some(member) = self.group.members.get(&id) else {
            return;
        };
        let (session_timeout_ms, rebalance_timeout_ms) =
            (member.session_timeout_ms, member.rebalance_timeout_ms);
        let protocols = self.refresh(&id, request);
        self.renew_session(&id);

        if self.group.state != State::Stable {
            self.park_join(&id, parked);
            return match self.group.state {
                // The leader assigns to the former id: it must hear of the new one.
                State::CompletingRebalance => self.prepare_rebalance("static member comes back"),
                State::Empty | State::PreparingRebalance | State::Stable => {
                    self.maybe_complete_join();
                }
            };
        }
        if self.group.elect_protocol() != self.group.protocol {
            self.park_join(&id, parked);
            return self.rebalance_or_complete_join("static member changes the protocol");
        }
        let written = self.write_down(|member| &member.assignment);
        if let Err(code) = written {
            tracing::warn!(group = %self.group.id, %code, "static member stays who it was");
            if let Some(member) = self.group.members.get_mut(&id) {
                member.session_timeout_ms = session_timeout_ms;
                member.rebalance_timeout_ms = rebalance_timeout_ms;
            }
            self.group.set_protocols(&id, protocols);
            self.rename(&id, before);
            self.renew_session(before);
            return self.inform(parked, "", leader_before.as_deref(), code);
        }
        if caller.version >= SKIPS_ASSIGNMENT {
            return self.welcome(parked, &id, true);
        }
        // Before, a leader that came back was not told that it leads: it would have assigned, and nobody listens.
        self.inform(parked, &id, leader_before.as_deref(), ErrorCode::None);
    }

    /// Tells a static member which generation the group is in, and who led it before it came back.
    fn inform(&mut self, parked: Parked, id: &str, leader: Option<&str>, code: ErrorCode) {
        let response = JoinGroupResponse {
            error_code: code.id(),
            generation_id: self.group.generation,
            protocol_type: self.group.protocol_type.as_deref(),
            protocol_name: Some(self.group.protocol.as_deref().unwrap_or("")),
            leader: leader.unwrap_or(""),
            member_id: id,
            ..JoinGroupResponse::default()
        };
        self.world
            .answer(parked.ticket, Response::JoinGroup(response));
    }

    /// Gives a static member another id; whoever waits under the former one is fenced.
    fn rename(&mut self, from: &Rc<str>, to: &Rc<str>) {
        self.end_session(from);
        let [join, sync] = self.group.rename(from, to);
        let code = ErrorCode::FencedInstanceId;
        if let Some(parked) = join {
            refuse_join(self.world, parked, from, code);
        }
        if let Some(parked) = sync {
            refuse_sync(self.world, parked, code);
        }
    }
}
