//! JoinGroup: who may come in, under which id, and whether that begins a rebalance.

use super::turn::refuse_join;
use super::{ClassicGroup, Member, Parked, Protocol, State, Turn};
use crate::coordinator::{Coordinator, Group, heard};
use crate::world::{Caller, Record, World};
use highwater_wire::ErrorCode;
use highwater_wire::message::JoinGroupRequest;
use std::rc::Rc;

/// The first version in which a newcomer is told its id before it joins (KIP-394).
const KNOWS_ID: i16 = 4;

/// How long a newcomer waits for its first generation before it is asked to come again, in milliseconds: its connection is
/// not read meanwhile, so that nobody sees it go (`classicGroupNewMemberJoinTimeoutMs`).
const NEWCOMER_TIMEOUT_MS: i64 = 5 * 60 * 1000;

/// The most members of one coordinator, those who were only told to come among them.
const MEMBERS_MAX: usize = 100_000;

/// What members of one coordinator may say, be called and be given, in bytes together.
const BYTES_MAX: usize = 64 << 20;

/// JoinGroup, where the group is classic or nothing, or a consumer group without members.
pub(crate) fn join<W: World>(
    coordinator: &mut Coordinator,
    world: &mut W,
    caller: &Caller<'_>,
    request: &JoinGroupRequest<'_>,
) {
    let parked = Parked::of(caller);
    let is_newcomer = request.member_id.is_empty();
    if let Err(code) = coordinator.make_classic(world, request) {
        return refuse_join(world, parked, request.member_id, code);
    }
    let is_full = coordinator.timers.len() >= MEMBERS_MAX;
    let room = coordinator.classic_room();
    let Some(mut turn) = coordinator.turn(world, request.group_id) else {
        return refuse_join(world, parked, request.member_id, ErrorCode::UnknownMemberId);
    };
    let code = ErrorCode::GroupMaxSizeReached;
    if !turn.accepts(request.member_id) {
        turn.remove(request.member_id, code);
        refuse_join(turn.world, parked, "", code);
        turn.maybe_complete_join();
    } else if (is_newcomer && is_full) || turn.grows_by(caller, request) > room {
        refuse_join(turn.world, parked, request.member_id, code);
    } else if !turn.fits(request) {
        let code = ErrorCode::InconsistentGroupProtocol;
        refuse_join(turn.world, parked, request.member_id, code);
    } else if is_newcomer {
        turn.join_newcomer(caller, request);
    } else {
        turn.join_known(caller, request);
    }
}

impl Coordinator {
    /// How many bytes more the members of groups may say, be called and be given.
    pub(super) fn classic_room(&self) -> usize {
        let held = self.groups.values().map(|group| match group {
            Group::Classic(group) => group.bytes(),
            Group::Consumer(group) => group.bytes(),
        });
        BYTES_MAX.saturating_sub(held.sum())
    }

    /// Whether there is room for one more member, and for what it says.
    pub(crate) fn has_room(&self) -> bool {
        self.timers.len() < MEMBERS_MAX && self.classic_room() > 0
    }

    /// Makes sure that there is a classic group for somebody to join; a newcomer makes one.
    fn make_classic<W: World>(
        &mut self,
        world: &mut W,
        request: &JoinGroupRequest<'_>,
    ) -> Result<(), ErrorCode> {
        let former = match self.groups.get(request.group_id) {
            Some(Group::Classic(_)) => return Ok(()),
            Some(Group::Consumer(group)) => Some(group),
            None => None,
        };
        if !request.member_id.is_empty() {
            return Err(ErrorCode::UnknownMemberId);
        }
        if request.protocol_type.is_empty() || request.protocols.is_empty() {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let former = former.map(|group| group.tombstones()).unwrap_or_default();
        let empty = ClassicGroup::new(request.group_id.into(), world.unix_ms());
        let tombstones = former.iter().map(|change| change.record(request.group_id));
        let record = empty.record(|_, member| &member.assignment);
        let records: Vec<Record<'_>> = tombstones.chain([record]).collect();
        self.write(world, &records).map_err(heard)
    }
}

impl<W: World> Turn<'_, W> {
    /// Whether there is room. While members join it is those who wait that count: with a lower limit than before the last
    /// ones to join again are turned away.
    fn accepts(&self, id: &str) -> bool {
        let group = &*self.group;
        match group.state {
            State::Empty => true,
            State::PreparingRebalance => {
                let member = group.members.get(id);
                member.is_some_and(|member| member.parked_join.is_some())
                    || group.joined < self.config.group_size_max
            }
            State::CompletingRebalance | State::Stable => {
                group.members.contains_key(id) || group.members.len() < self.config.group_size_max
            }
        }
    }

    /// How many bytes more the group holds with this request.
    fn grows_by(&self, caller: &Caller<'_>, request: &JoinGroupRequest<'_>) -> usize {
        let protocols = request.protocols.iter();
        let said: usize = protocols
            .map(|protocol| protocol.name.len() + protocol.metadata.len())
            .sum();
        let member = self.group.members.get(request.member_id);
        let before = member.map_or(0, Member::bytes);
        // Twice for the id, which begins with the client's.
        let called = 2 * caller.client_id.len() + caller.client_host.len() + 64;
        (said + called).saturating_sub(before)
    }

    fn fits(&self, request: &JoinGroupRequest<'_>) -> bool {
        let names = request.protocols.iter().map(|protocol| protocol.name);
        self.group.fits(request.protocol_type, names)
    }

    /// Somebody without an id.
    fn join_newcomer(&mut self, caller: &Caller<'_>, request: &JoinGroupRequest<'_>) {
        let stem = request.group_instance_id.unwrap_or(caller.client_id);
        let id: Rc<str> = format!("{stem}-{}", self.world.uuid().hyphenated()).into();
        let known = request
            .group_instance_id
            .and_then(|instance| self.group.instances.get(instance).cloned());
        if let Some(before) = known {
            self.replace_static(caller, request, &before, id);
        } else if request.group_instance_id.is_none() && caller.version >= KNOWS_ID {
            tracing::info!(group = %self.group.id, member = %id, "newcomer is told its id");
            self.group.expect(id.clone());
            self.set_session(&id, i64::from(request.session_timeout_ms));
            let code = ErrorCode::MemberIdRequired;
            refuse_join(self.world, Parked::of(caller), &id, code);
        } else {
            self.admit(caller, request, id);
        }
    }

    /// Somebody with an id.
    fn join_known(&mut self, caller: &Caller<'_>, request: &JoinGroupRequest<'_>) {
        let id = request.member_id;
        let parked = Parked::of(caller);
        if let Some(pending) = self.group.pending.get(id).cloned() {
            if request.group_instance_id.is_some() {
                // Ids that are waited for were given to dynamic members only.
                return refuse_join(self.world, parked, id, ErrorCode::UnknownMemberId);
            }
            return self.admit(caller, request, pending);
        }
        if let Err(code) = self.group.check_member(id, request.group_instance_id) {
            return refuse_join(self.world, parked, id, code);
        }
        let matches = self.group.members[id].matches(&request.protocols);
        match self.group.state {
            // With the same metadata: the answer to the last JoinGroup may have been lost, it is given again.
            State::CompletingRebalance if matches => self.welcome(parked, id, false),
            // Followers that say nothing new may go on to SyncGroup. A leader that joins wants to assign again: topics may
            // have changed that no member's metadata speak of.
            State::Stable if matches && !self.group.is_led_by(id) => {
                self.welcome(parked, id, false);
            }
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => {
                self.update(request, parked);
                self.rebalance_or_complete_join("member joins again");
            }
            State::Empty => refuse_join(self.world, parked, id, ErrorCode::UnknownMemberId),
        }
    }

    /// A member says what it wants by now, and waits.
    pub(super) fn update(&mut self, request: &JoinGroupRequest<'_>, parked: Parked) {
        self.refresh(request.member_id, request);
        self.park_join(request.member_id, parked);
    }

    /// What a member wants by now.
    pub(super) fn refresh(&mut self, id: &str, request: &JoinGroupRequest<'_>) -> Vec<Protocol> {
        if let Some(member) = self.group.members.get_mut(id) {
            member.session_timeout_ms = request.session_timeout_ms;
            member.rebalance_timeout_ms = rebalance_timeout_ms(request);
        }
        self.group
            .set_protocols(id, Protocol::all(&request.protocols))
    }

    /// Somebody becomes a member.
    fn admit(&mut self, caller: &Caller<'_>, request: &JoinGroupRequest<'_>, id: Rc<str>) {
        let member = Member {
            instance: request.group_instance_id.map(Into::into),
            client_id: caller.client_id.into(),
            client_host: caller.client_host.into(),
            rebalance_timeout_ms: rebalance_timeout_ms(request),
            session_timeout_ms: request.session_timeout_ms,
            protocols: Protocol::all(&request.protocols),
            assignment: Box::default(),
            parked_join: Some(Parked::of(caller)),
            parked_sync: None,
            is_new: true,
        };
        tracing::info!(group = %self.group.id, member = %id, reason = request.reason, "member joins");
        if let Some(initial) = &mut self.group.initial {
            initial.somebody_came = true;
        }
        self.group.add(id.clone(), member, request.protocol_type);
        self.set_session(&id, NEWCOMER_TIMEOUT_MS);
        self.rebalance_or_complete_join("member joins");
    }
}

/// How long the group waits for a member: -1 and version 0 leave it at the session time-out.
fn rebalance_timeout_ms(request: &JoinGroupRequest<'_>) -> i32 {
    if request.rebalance_timeout_ms < 0 {
        request.session_timeout_ms
    } else {
        request.rebalance_timeout_ms
    }
}
