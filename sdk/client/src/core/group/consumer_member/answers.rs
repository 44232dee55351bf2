//! What a heartbeat's answer does to a member, and what each refusal means.

use std::time::Duration;

use highwater_wire::ErrorCode;
use highwater_wire::message::ConsumerGroupHeartbeatResponse;
use highwater_wire::message::consumer_group_heartbeat::Assignment;

use super::{ConsumerMember, Flight, HEARTBEAT_INTERVAL_MIN, Holds, PARTITIONS_MAX, Stage};
use crate::core::group::member::{Event, Failure, Leaving};
use crate::error::Error;

impl ConsumerMember {
    /// No answer came: the coordinator has to be found again, and to be told everything.
    pub(crate) fn failed(&mut self, now: Duration, random: u64) {
        if self.landed() {
            self.pause(now, random);
            self.coordinator_lost();
        }
    }

    /// The coordinator cannot be asked, and that does not pass by itself.
    pub(crate) fn unable(&mut self, now: Duration, random: u64, why: Error) {
        if self.landed() {
            self.pause(now, random);
            self.give_up(Failure::Unable(why));
        }
    }

    /// The coordinator is another broker, or none.
    pub(crate) fn coordinator_lost(&mut self) {
        self.has_coordinator = false;
        self.says_all = true;
    }

    /// A FindCoordinator was answered.
    pub(crate) fn found(&mut self, now: Duration, random: u64, code: ErrorCode) {
        if !self.landed() {
            return;
        }
        if code.is_error() {
            self.refused(now, random, code, None);
        } else {
            self.has_coordinator = true;
        }
    }

    /// A heartbeat was answered.
    pub(crate) fn beaten(
        &mut self,
        now: Duration,
        random: u64,
        answer: &ConsumerGroupHeartbeatResponse<'_>,
    ) {
        if !self.landed() {
            return;
        }
        let code = ErrorCode::from_id(answer.error_code);
        if code.is_error() {
            self.says_all = true;
            self.refused(now, random, code, answer.error_message);
            return;
        }
        let target = answer.assignment.as_ref().map(target).transpose();
        let (1.., Ok(target)) = (answer.member_epoch, target) else {
            tracing::warn!(
                epoch = answer.member_epoch,
                "the coordinator's answer makes no sense"
            );
            self.pause(now, random);
            self.coordinator_lost();
            return;
        };
        self.failures = 0;
        self.unreleased_since = None;
        self.identity.generation = answer.member_epoch;
        self.stage = Stage::Member;
        let interval_ms = u64::try_from(answer.heartbeat_interval_ms).unwrap_or(0);
        self.heartbeat_interval = Duration::from_millis(interval_ms).max(HEARTBEAT_INTERVAL_MIN);
        self.heartbeat_at = now + self.heartbeat_interval;
        if let Some(target) = target {
            tracing::debug!(
                epoch = answer.member_epoch,
                topics = target.len(),
                "told what to hold"
            );
            self.target = Some(target);
            self.forget_names();
        }
    }

    /// Nothing is waited for any more; whether what was waited for matters.
    fn landed(&mut self) -> bool {
        let flight = self.flight.take();
        if flight == Some(Flight::Leave) && self.leaving == Leaving::Sent {
            self.leaving = Leaving::Done;
        }
        matches!(flight, Some(Flight::Beat | Flight::Coordinator)) && self.leaving == Leaving::No
    }

    fn refused(&mut self, now: Duration, random: u64, code: ErrorCode, detail: Option<&str>) {
        use ErrorCode as Code;
        let detail = detail.map(str::to_owned);
        if matches!(code, Code::FencedMemberEpoch | Code::UnknownMemberId) {
            // A join that is refused again and again must not become a storm.
            if self.stage == Stage::Join {
                self.pause(now, random);
            }
            self.lose(false);
            return;
        }
        self.pause(now, random);
        if matches!(code, Code::CoordinatorNotAvailable | Code::NotCoordinator) {
            self.coordinator_lost();
        } else if code == Code::UnreleasedInstanceId {
            let since = *self.unreleased_since.get_or_insert(now);
            tracing::warn!(detail, "another member has this group.instance.id");
            if now.saturating_sub(since) >= self.rules.patience {
                self.unreleased_since = None;
                self.give_up(Failure::Refused { code, detail });
            }
        } else if code == Code::FencedInstanceId {
            self.lose(false);
            self.tell_failure(Failure::Refused { code, detail });
            self.stage = Stage::Fenced;
        } else if !code.is_retriable() {
            self.give_up(Failure::Refused { code, detail });
        }
    }

    /// The coordinator will not have us; the application decides whether it is tried again, by asking for records.
    fn give_up(&mut self, why: Failure) {
        self.lose(false);
        self.tell_failure(why);
        self.stage = Stage::Prepare;
    }

    fn tell_failure(&mut self, why: Failure) {
        self.unsettled += 1;
        self.events.push_back(Event::Failed(why));
    }
}

/// More partitions than any member holds.
struct TooMany;

/// What the coordinator lets a member hold.
fn target(assignment: &Assignment<'_>) -> Result<Holds, TooMany> {
    let mut target = Holds::new();
    let mut left = PARTITIONS_MAX;
    for topic in &assignment.topic_partitions {
        left = left
            .checked_sub(topic.partitions.len().max(1))
            .ok_or(TooMany)?;
        let partitions = target.entry(topic.topic_id).or_default();
        partitions.extend(topic.partitions.iter().filter(|index| *index >= 0));
    }
    Ok(target)
}
