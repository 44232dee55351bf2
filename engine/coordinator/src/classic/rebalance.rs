//! From one generation to the next: when a rebalance begins, whom it waits for and how long, and what it ends with.

use super::turn::{refuse_join, refuse_sync};
use super::{InitialDelay, State, Turn};
use crate::coordinator::Coordinator;
use crate::timers::Timeout;
use crate::world::World;
use highwater_wire::ErrorCode;
use std::rc::Rc;

impl<W: World> Turn<'_, W> {
    /// A member has come, gone or changed: a rebalance begins, or is complete with that.
    pub(super) fn rebalance_or_complete_join(&mut self, reason: &str) {
        match self.group.state {
            State::Empty | State::CompletingRebalance | State::Stable => {
                self.prepare_rebalance(reason);
            }
            State::PreparingRebalance => self.maybe_complete_join(),
        }
    }

    /// Begins a rebalance. Out of `Empty` it waits a while for more members to come.
    pub(crate) fn prepare_rebalance(&mut self, reason: &str) {
        if self.group.state == State::CompletingRebalance {
            self.give_up_assignment(ErrorCode::RebalanceInProgress);
        }
        self.group.pending_sync.clear();
        self.cancel_sync();
        tracing::info!(group = %self.group.id, generation = self.group.generation, reason, "rebalance begins");
        let is_initial = self.group.state == State::Empty;
        let unix_ms = self.world.unix_ms();
        self.group.enter(State::PreparingRebalance, unix_ms);
        if is_initial {
            let step_ms = i64::from(self.config.initial_rebalance_delay_ms);
            self.wait_initially(InitialDelay {
                step_ms,
                left_ms: (self.group.rebalance_timeout_ms() - step_ms).max(0),
                somebody_came: false,
            });
        } else if self.group.have_all_joined() {
            self.complete_join();
        } else {
            let timeout_ms = self.group.rebalance_timeout_ms();
            self.set_join(timeout_ms);
        }
    }

    /// Ends the join phase when nobody is missing, but for an initial rebalance, which waits for strangers.
    pub(super) fn maybe_complete_join(&mut self) {
        if self.group.state == State::PreparingRebalance
            && self.group.previous != State::Empty
            && self.group.have_all_joined()
        {
            self.complete_join();
        }
    }

    /// Ends the join phase: dynamic members that have not joined are out, the next generation begins.
    pub(super) fn complete_join(&mut self) {
        self.group.initial = None;
        let timeout = self.join_timeout();
        self.timers.cancel(&timeout);
        let missing = self
            .group
            .members
            .iter()
            .filter(|(_, member)| member.parked_join.is_none() && member.instance.is_none());
        let missing: Vec<Rc<str>> = missing.map(|(id, _)| id.clone()).collect();
        for id in &missing {
            tracing::info!(group = %self.group.id, member = %id, "member has not joined in time");
            self.remove(id, ErrorCode::UnknownMemberId);
        }
        if !self.group.elect_joined_leader() && !self.group.members.is_empty() {
            // Static members alone, and none of them is here: their sessions end, or they come.
            tracing::warn!(group = %self.group.id, "nobody has joined again, the rebalance waits");
            let timeout_ms = self.group.rebalance_timeout_ms();
            return self.set_join(timeout_ms);
        }
        let unix_ms = self.world.unix_ms();
        self.group.begin_generation(unix_ms);
        let (id, generation) = (self.group.id.clone(), self.group.generation);
        let count = self.group.members.len();
        tracing::info!(group = %id, generation, members = count, "generation begins");
        if self.group.state == State::Empty {
            if let Err(code) = self.write_down(|member| &member.assignment) {
                // What is written down is a former generation, whose members' sessions end after a restart.
                tracing::warn!(group = %id, %code, "empty generation could not be written");
                self.unwritten = Some(code);
            }
            return;
        }
        let members: Vec<Rc<str>> = self.group.members.keys().cloned().collect();
        for member in members {
            if let Some(parked) = self.take_join(&member) {
                self.welcome(parked, &member, false);
            }
            self.renew_session(&member);
            if let Some(welcomed) = self.group.members.get_mut(&member) {
                welcomed.is_new = false;
            }
            self.group.pending_sync.insert(member);
        }
        let timeout_ms = self.group.rebalance_timeout_ms();
        let due_ms = self.world.now_ms().saturating_add(timeout_ms);
        let timeout = self.sync_timeout();
        self.timers.set(timeout, due_ms);
    }

    /// Takes back what was assigned in this generation; who waits for it hears `code`.
    pub(super) fn give_up_assignment(&mut self, code: ErrorCode) {
        let members: Vec<Rc<str>> = self.group.members.keys().cloned().collect();
        for id in members {
            self.group.assign(&id, &[]);
            let member = self.group.members.get_mut(&id);
            if let Some(parked) = member.and_then(|member| member.parked_sync.take()) {
                refuse_sync(self.world, parked, code);
                self.renew_session(&id);
            }
        }
    }

    /// The join phase has taken its time.
    fn join_expired(&mut self) {
        if self.group.state != State::PreparingRebalance {
            return;
        }
        match self.group.initial {
            Some(initial) if initial.somebody_came && initial.left_ms > 0 => {
                let step_ms =
                    i64::from(self.config.initial_rebalance_delay_ms).min(initial.left_ms);
                self.wait_initially(InitialDelay {
                    step_ms,
                    left_ms: (initial.left_ms - initial.step_ms).max(0),
                    somebody_came: false,
                });
            }
            Some(_) | None => self.complete_join(),
        }
    }

    /// Members have not asked for their assignment in time.
    fn sync_expired(&mut self) {
        if !matches!(self.group.state, State::CompletingRebalance | State::Stable) {
            return;
        }
        let silent = std::mem::take(&mut self.group.pending_sync);
        if silent.is_empty() {
            return;
        }
        for id in &silent {
            tracing::info!(group = %self.group.id, member = %id, "member has not asked for its assignment in time");
            self.remove(id, ErrorCode::UnknownMemberId);
        }
        self.prepare_rebalance("members have not asked for their assignment");
    }

    /// A member was not heard of, or never joined with the id it was given.
    fn session_expired(&mut self, id: &Rc<str>) {
        if self.group.pending.contains(id) {
            tracing::info!(group = %self.group.id, member = %id, "newcomer has not joined in time");
            self.remove(id, ErrorCode::UnknownMemberId);
            if self.group.state == State::PreparingRebalance && self.group.have_all_joined() {
                self.complete_join();
            }
            return;
        }
        match self.group.members.get(id) {
            Some(member) if !member.is_excused() => {}
            Some(_) | None => return,
        }
        tracing::info!(group = %self.group.id, member = %id, "session ends");
        self.remove(id, ErrorCode::UnknownMemberId);
        self.member_gone("session of a member ends");
    }

    /// A member is no longer there.
    pub(super) fn member_gone(&mut self, reason: &str) {
        match self.group.state {
            State::CompletingRebalance | State::Stable => self.prepare_rebalance(reason),
            State::PreparingRebalance if self.group.have_all_joined() => self.complete_join(),
            State::PreparingRebalance | State::Empty => {}
        }
    }

    fn wait_initially(&mut self, delay: InitialDelay) {
        self.group.initial = Some(delay);
        self.set_join(delay.step_ms);
    }

    fn set_join(&mut self, timeout_ms: i64) {
        let due_ms = self.world.now_ms().saturating_add(timeout_ms);
        let timeout = self.join_timeout();
        self.timers.set(timeout, due_ms);
    }

    pub(super) fn cancel_sync(&mut self) {
        let timeout = self.sync_timeout();
        self.timers.cancel(&timeout);
    }

    fn join_timeout(&self) -> Timeout {
        Timeout::ClassicJoin {
            group: self.group.id.clone(),
        }
    }

    fn sync_timeout(&self) -> Timeout {
        Timeout::ClassicSync {
            group: self.group.id.clone(),
        }
    }

    /// The group was read from the log, or was a consumer group until now: sessions of its members begin. A group with more
    /// members than it may have is rebalanced, so that consumers commit before the last of them are turned away.
    pub(crate) fn loaded(&mut self) {
        let members: Vec<Rc<str>> = self.group.members.keys().cloned().collect();
        for member in &members {
            self.renew_session(member);
        }
        if members.len() > self.config.group_size_max {
            self.prepare_rebalance("more members than the group may have");
        }
    }

    /// Nobody waits here any longer: whoever does hears `code`.
    pub(crate) fn end_all_waits(&mut self, code: ErrorCode) {
        let mut waiting = Vec::new();
        for (id, member) in &mut self.group.members {
            waiting.push((
                id.clone(),
                member.parked_join.take(),
                member.parked_sync.take(),
            ));
        }
        self.group.joined = 0;
        for (id, join, sync) in waiting {
            if let Some(parked) = join {
                refuse_join(self.world, parked, &id, code);
            }
            if let Some(parked) = sync {
                refuse_sync(self.world, parked, code);
            }
        }
    }
}

/// A time-out of a classic group is due.
pub(crate) fn expired<W: World>(coordinator: &mut Coordinator, world: &mut W, timeout: &Timeout) {
    let Some(group) = timeout.group().cloned() else {
        return;
    };
    // A group that became a consumer group, or was deleted, has no turn.
    let Some(mut turn) = coordinator.turn(world, &group) else {
        return;
    };
    match timeout {
        Timeout::ClassicSession { member, .. } => turn.session_expired(member),
        Timeout::ClassicJoin { .. } => turn.join_expired(),
        Timeout::ClassicSync { .. } => turn.sync_expired(),
        Timeout::ConsumerSession { .. }
        | Timeout::ConsumerRebalance { .. }
        | Timeout::ConsumerJoin { .. }
        | Timeout::ConsumerSync { .. }
        | Timeout::ConsumerRegex { .. }
        | Timeout::OffsetExpiry => {}
    }
}
