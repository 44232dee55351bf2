//! Static members (KIP-345): an instance that comes back takes its former place, and whoever still holds the place is fenced.

use super::turn::refuse_join;
use super::{Parked, Protocol, State, Turn};
use crate::world::{Caller, Response, World};
use highwater_wire::message::{JoinGroupRequest, JoinGroupResponse};
use highwater_wire::{Array, ErrorCode};
use std::rc::Rc;

/// The first version in which a leader can be told to leave the assignment as it is (KIP-814).
const SKIPS_ASSIGNMENT: i16 = 9;

/// What a static member said before it came back.
struct Former {
    id: Rc<str>,
    protocols: Vec<Protocol>,
    session_timeout_ms: i32,
    rebalance_timeout_ms: i32,
}

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
        self.rename(before, &id, ErrorCode::FencedInstanceId);
        let Some(member) = self.group.members.get_mut(&id) else {
            return;
        };
        let client_id = std::mem::replace(&mut member.client_id, caller.client_id.into());
        let client_host = std::mem::replace(&mut member.client_host, caller.client_host.into());
        let mut former = Former {
            id: before.clone(),
            protocols: Vec::new(),
            session_timeout_ms: member.session_timeout_ms,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
        };
        former.protocols = self.refresh(&id, request);
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
                member.session_timeout_ms = former.session_timeout_ms;
                member.rebalance_timeout_ms = former.rebalance_timeout_ms;
                member.client_id = client_id;
                member.client_host = client_host;
            }
            self.group.set_protocols(&id, former.protocols);
            self.rename(&id, &former.id, ErrorCode::FencedInstanceId);
            self.renew_session(&former.id);
            return refuse_join(self.world, parked, "", code);
        }
        if caller.version >= SKIPS_ASSIGNMENT {
            return self.welcome(parked, &id, true);
        }
        // Before, a leader that came back was not told that it leads: it would have assigned, and nobody listens.
        let response = JoinGroupResponse {
            generation_id: self.group.generation,
            protocol_type: self.group.protocol_type.as_deref(),
            protocol_name: Some(self.group.protocol.as_deref().unwrap_or("")),
            leader: leader_before.as_deref().unwrap_or(""),
            member_id: &id,
            members: Array::empty(),
            ..JoinGroupResponse::default()
        };
        self.world
            .answer(parked.ticket, Response::JoinGroup(response));
    }

    /// Gives a static member another id; whoever waits under the former one is answered with `code`.
    fn rename(&mut self, from: &Rc<str>, to: &Rc<str>, code: ErrorCode) {
        let leads = self.group.is_led_by(from);
        let owes_sync = self.group.pending_sync.contains(from);
        let Some(mut member) = self.group.members.remove(from) else {
            return;
        };
        self.group.joined -= usize::from(member.parked_join.is_some());
        self.end_session(from);
        self.end_waits(&member, from, code);
        member.parked_join = None;
        member.parked_sync = None;
        if let Some(instance) = &member.instance {
            self.group.instances.insert(instance.clone(), to.clone());
        }
        self.group.members.insert(to.clone(), member);
        if leads {
            self.group.leader = Some(to.clone());
        }
        if owes_sync {
            self.group.pending_sync.remove(from);
            self.group.pending_sync.insert(to.clone());
        }
    }
}
