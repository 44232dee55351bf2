//! What each answer does to a member, and what each refusal means.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use highwater_wire::ErrorCode;
use highwater_wire::message::{JoinGroupResponse, SyncGroupResponse};

use super::{Event, Failure, Identity, Lead, Leaving, Member, Stage};
use crate::core::group::assignor::{Assignor, Layout};
use crate::core::group::protocol::{Subscriber, read_assignment, write_assignment};
use crate::error::{Error, TopicPartition};

impl Member {
    /// No answer came: the coordinator has to be found again.
    pub(crate) fn failed(&mut self, now: Duration, random: u64) {
        self.under_way = false;
        self.pause(now, random);
        self.coordinator_lost();
        if matches!(self.stage, Stage::Sync { .. }) {
            // The generation may be complete without us; only a join tells.
            self.prepare();
        }
    }

    /// The number of partitions could not be found out.
    pub(crate) fn uncounted(&mut self, now: Duration, random: u64) {
        self.under_way = false;
        self.pause(now, random);
    }

    /// The coordinator cannot be asked, and that does not pass by itself.
    pub(crate) fn unable(&mut self, now: Duration, random: u64, why: Error) {
        self.under_way = false;
        self.pause(now, random);
        self.give_up(Failure::Unable(why));
    }

    /// The coordinator is another broker, or none.
    pub(crate) fn coordinator_lost(&mut self) {
        self.has_coordinator = false;
    }

    /// A FindCoordinator was answered.
    pub(crate) fn found(&mut self, now: Duration, random: u64, code: ErrorCode) {
        self.under_way = false;
        if code.is_error() {
            self.refused(now, random, code);
        } else {
            self.has_coordinator = true;
            self.failures = 0;
        }
    }

    /// A JoinGroup was answered.
    pub(crate) fn joined(&mut self, now: Duration, random: u64, answer: &JoinGroupResponse<'_>) {
        self.under_way = false;
        if !matches!(self.stage, Stage::Join) {
            return;
        }
        let code = ErrorCode::from_id(answer.error_code);
        if code == ErrorCode::MemberIdRequired {
            self.identity.member_id = answer.member_id.into();
            return;
        }
        if code.is_error() {
            self.refused(now, random, code);
            return;
        }
        self.failures = 0;
        self.identity = Identity {
            member_id: answer.member_id.into(),
            generation: answer.generation_id,
        };
        self.heartbeat_at = now + self.rules.heartbeat_interval;
        let name = answer.protocol_name.unwrap_or_default();
        let known = self
            .rules
            .assignors
            .iter()
            .find(|assignor| assignor.name() == name);
        let Some(assignor) = known.copied() else {
            let detail = format!("the group voted for {name:?}, which is not among ours");
            self.fail(ErrorCode::InconsistentGroupProtocol, Some(detail));
            return;
        };
        if answer.leader != answer.member_id {
            self.stage = Stage::Sync {
                protocol: assignor,
                assignments: Vec::new(),
            };
            return;
        }
        let members = answer.members.iter().map(|member| {
            Subscriber::read(&member, assignor)
                .map_err(|error| format!("subscription of {:?}: {error}", member.member_id))
        });
        match members.collect::<Result<Vec<_>, _>>() {
            Ok(members) => {
                self.stage = Stage::Assign(Lead {
                    assignor,
                    members,
                    skip: answer.skip_assignment,
                });
            }
            Err(detail) => self.fail(ErrorCode::InconsistentGroupProtocol, Some(detail)),
        }
    }

    /// The leader's topics were counted; those that do not exist are not in it.
    pub(crate) fn counted(&mut self, layout: &Layout) {
        self.under_way = false;
        let Stage::Assign(lead) = &self.stage else {
            return;
        };
        let topics = lead.topics();
        let of = |topic: &Arc<str>| layout.counts.get(topic).copied().unwrap_or(0);
        let protocol = lead.assignor;
        let assignments = if lead.skip {
            Vec::new()
        } else {
            assignments(lead, layout)
        };
        self.counted = Some(
            topics
                .iter()
                .map(|topic| (Arc::clone(topic), of(topic)))
                .collect(),
        );
        self.stage = Stage::Sync {
            protocol,
            assignments,
        };
    }

    /// A SyncGroup was answered.
    pub(crate) fn synced(&mut self, now: Duration, random: u64, answer: &SyncGroupResponse<'_>) {
        self.under_way = false;
        let Stage::Sync { protocol, .. } = self.stage else {
            return;
        };
        let code = ErrorCode::from_id(answer.error_code);
        if code.is_error() {
            self.refused(now, random, code);
            // Whatever it was: this generation goes on without us.
            if matches!(self.stage, Stage::Sync { .. }) {
                self.prepare();
            }
            return;
        }
        match read_assignment(answer.assignment) {
            Ok(assigned) => self.assigned(now, protocol, assigned),
            Err(error) => {
                let detail = format!("assignment does not parse: {error}");
                self.fail(ErrorCode::InconsistentGroupProtocol, Some(detail));
            }
        }
    }

    fn assigned(&mut self, now: Duration, protocol: Assignor, assigned: BTreeSet<TopicPartition>) {
        tracing::debug!(generation = self.identity.generation, %protocol, partitions = assigned.len(), "assigned");
        self.failures = 0;
        self.heartbeat_at = now + self.rules.heartbeat_interval;
        let goes: Vec<TopicPartition> = self.owned.difference(&assigned).cloned().collect();
        let comes: Vec<TopicPartition> = assigned.difference(&self.owned).cloned().collect();
        self.stage = Stage::Stable;
        if !goes.is_empty() {
            self.tell(Event::Revoke(goes));
            self.stage = Stage::Release;
        }
        self.owned.extend(comes.iter().cloned());
        self.tell(Event::Assigned(comes));
        self.previous = Some((assigned, self.identity.generation));
    }

    /// A Heartbeat was answered.
    pub(crate) fn beaten(&mut self, now: Duration, random: u64, code: ErrorCode) {
        self.under_way = false;
        self.heartbeat_at = now + self.rules.heartbeat_interval;
        if code.is_error() {
            self.refused(now, random, code);
        } else {
            self.failures = 0;
        }
    }

    /// A LeaveGroup was answered, or will not be.
    pub(crate) fn left(&mut self) {
        self.under_way = false;
        if self.leaving == Leaving::Sent {
            self.leaving = Leaving::Done;
        }
    }

    fn refused(&mut self, now: Duration, random: u64, code: ErrorCode) {
        use ErrorCode as Code;
        if matches!(code, Code::CoordinatorNotAvailable | Code::NotCoordinator) {
            self.coordinator_lost();
            self.pause(now, random);
        } else if matches!(
            code,
            Code::RebalanceInProgress
                | Code::IllegalGeneration
                | Code::UnknownMemberId
                | Code::FencedInstanceId
        ) {
            // A join that is refused again and again must not become a storm.
            if matches!(self.stage, Stage::Join) {
                self.pause(now, random);
            }
            self.refused_as_member(code);
        } else {
            self.pause(now, random);
            if !code.is_retriable() {
                self.fail(code, None);
            }
        }
    }

    /// What refusals mean whose reason is the member's place in the group.
    pub(super) fn refused_as_member(&mut self, code: ErrorCode) {
        if code == ErrorCode::RebalanceInProgress {
            if matches!(self.stage, Stage::Sync { .. }) {
                self.prepare();
            } else if matches!(self.stage, Stage::Stable) {
                // In other stages it is about to join again anyway.
                self.rejoin = Some("group is rebalancing");
            }
        } else if code == ErrorCode::IllegalGeneration {
            self.lose(true, false);
        } else if code == ErrorCode::UnknownMemberId {
            self.lose(false, false);
        } else if code == ErrorCode::FencedInstanceId {
            self.lose(false, false);
            let failure = Failure::Refused { code, detail: None };
            self.tell(Event::Failed(failure));
            self.stage = Stage::Fenced;
        }
    }

    /// The coordinator will not have us; the application decides whether it is tried again, by asking for records.
    fn give_up(&mut self, why: Failure) {
        self.lose(false, false);
        self.tell(Event::Failed(why));
        self.stage = Stage::Prepare;
    }

    fn fail(&mut self, code: ErrorCode, detail: Option<String>) {
        self.give_up(Failure::Refused { code, detail });
    }

    fn pause(&mut self, now: Duration, random: u64) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = now + self.rules.backoff.pause(self.failures, random);
    }
}

fn assignments(lead: &Lead, layout: &Layout) -> Vec<(Arc<str>, Vec<u8>)> {
    let assigned = lead.assignor.assign(&lead.members, layout);
    let members = lead.members.iter().zip(&assigned);
    members
        .map(|(member, places)| {
            (
                Arc::clone(&member.id),
                write_assignment(places, member.version),
            )
        })
        .collect()
}
