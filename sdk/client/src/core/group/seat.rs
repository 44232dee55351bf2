//! A member of a group by either protocol, so that nobody else has to know by which.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use highwater_wire::ErrorCode;
use highwater_wire::message::ConsumerGroupHeartbeatResponse;

use crate::core::group::consumer_member::ConsumerMember;
use crate::core::group::member::{Identity, Member, Rules, Step};
use crate::core::group::topics::{Pattern, Topics};
use crate::error::{Error, ErrorKind, TopicPartition};

/// A member, and what it becomes where the consumer protocol is not to be had.
#[derive(Debug)]
pub(crate) struct Seat {
    member: Either,
    /// How a classic member would behave; gone once the coordinator took the other one.
    fallback: Option<Rules>,
    /// Of topics, that a classic member has to match itself.
    pattern: Option<Pattern>,
}

#[derive(Debug)]
enum Either {
    Classic(Box<Member>),
    Consumer(Box<ConsumerMember>),
}

/// Does the same with whichever it is.
macro_rules! either {
    ($seat:expr, $member:ident => $does:expr) => {
        match $seat {
            Either::Classic($member) => $does,
            Either::Consumer($member) => $does,
        }
    };
}

impl Seat {
    /// By the classic protocol.
    pub(crate) fn classic(now: Duration, rules: Rules, topics: &Topics) -> Self {
        let names = topics.names().cloned().collect();
        Self {
            member: Either::Classic(Box::new(Member::new(now, rules, names))),
            fallback: None,
            pattern: topics.pattern().cloned(),
        }
    }

    /// By the consumer protocol; with a `fallback` by the classic one where the coordinator does not offer it.
    pub(crate) fn consumer(member: ConsumerMember, fallback: Option<Rules>) -> Self {
        Self {
            member: Either::Consumer(Box::new(member)),
            fallback,
            pattern: None,
        }
    }

    /// The pattern that topics have to be matched with, because the coordinator does not.
    pub(crate) fn pattern(&self) -> Option<&Pattern> {
        self.pattern.as_ref()
    }

    /// These topics match the pattern.
    pub(crate) fn matched(&mut self, topics: BTreeSet<Arc<str>>) {
        if let Either::Classic(member) = &mut self.member
            && self.pattern.is_some()
        {
            member.subscribe(topics);
        }
    }

    /// Who it is, if it is in the group.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        either!(&self.member, member => member.identity())
    }

    pub(crate) fn owned(&self) -> &BTreeSet<TopicPartition> {
        either!(&self.member, member => member.owned())
    }

    /// The classic member, if it is one.
    pub(crate) fn as_classic(&mut self) -> Option<&mut Member> {
        match &mut self.member {
            Either::Classic(member) => Some(member),
            Either::Consumer(_) => None,
        }
    }

    /// The member of the consumer protocol, if it is one.
    pub(crate) fn as_consumer(&mut self) -> Option<&mut ConsumerMember> {
        match &mut self.member {
            Either::Classic(_) => None,
            Either::Consumer(member) => Some(member),
        }
    }

    pub(crate) fn subscribe(&mut self, topics: Topics) {
        match (&mut self.member, topics) {
            (Either::Classic(member), Topics::Named(names)) => {
                self.pattern = None;
                member.subscribe(names);
            }
            // What it matches is found out where the cluster is known.
            (Either::Classic(_), Topics::Matching(pattern)) => self.pattern = Some(pattern),
            (Either::Consumer(member), topics) => member.subscribe(topics),
        }
    }

    pub(crate) fn polled(&mut self, now: Duration) {
        either!(&mut self.member, member => member.polled(now));
    }

    /// Whether it was given up because nobody asked for records; says so once.
    pub(crate) fn take_stalled(&mut self) -> bool {
        either!(&mut self.member, member => member.take_stalled())
    }

    /// The application dealt with an event, and has let these go.
    pub(crate) fn settled(&mut self, let_go: &[TopicPartition]) {
        either!(&mut self.member, member => member.settled(let_go));
    }

    /// Leaves the group; events that were not told are dropped.
    pub(crate) fn leave(&mut self) {
        self.fallback = None;
        either!(&mut self.member, member => member.leave());
    }

    /// The coordinator of this identity refused a commit.
    pub(crate) fn commit_refused(&mut self, identity: &Identity, code: ErrorCode) {
        either!(&mut self.member, member => member.commit_refused(identity, code));
    }

    /// Whether it waits for topics that may come.
    pub(crate) fn misses_topics(&self) -> bool {
        either!(&self.member, member => member.misses_topics())
    }

    pub(crate) fn has_coordinator(&self) -> bool {
        either!(&self.member, member => member.has_coordinator())
    }

    pub(crate) fn step(&mut self, now: Duration) -> Step {
        either!(&mut self.member, member => member.step(now))
    }

    /// No answer came.
    pub(crate) fn failed(&mut self, now: Duration, random: u64) {
        either!(&mut self.member, member => member.failed(now, random));
    }

    /// The coordinator cannot be asked, and that does not pass by itself. Only where it does not speak what would have to
    /// be said, a trial goes on by the classic protocol: a wrong password is wrong there, too.
    pub(crate) fn unable(&mut self, now: Duration, random: u64, why: Error) {
        let is_not_offered = matches!(why.kind(), ErrorKind::Unsupported { .. });
        if !(is_not_offered && self.fall_back(&why.to_string())) {
            either!(&mut self.member, member => member.unable(now, random, why));
        }
    }

    /// A FindCoordinator was answered.
    pub(crate) fn found(&mut self, now: Duration, random: u64, code: ErrorCode) {
        either!(&mut self.member, member => member.found(now, random, code));
    }

    /// A heartbeat of the consumer protocol was answered.
    pub(crate) fn beaten(
        &mut self,
        now: Duration,
        random: u64,
        answer: &ConsumerGroupHeartbeatResponse<'_>,
    ) {
        let code = ErrorCode::from_id(answer.error_code);
        // There may be a classic group that cannot be made one of the other kind.
        let is_not_offered = matches!(
            code,
            ErrorCode::UnsupportedVersion | ErrorCode::GroupIdNotFound
        );
        if is_not_offered && self.fall_back(answer.error_message.unwrap_or_default()) {
            return;
        }
        if let Either::Consumer(member) = &mut self.member {
            member.beaten(now, random, answer);
            if member.identity().is_some() {
                self.fallback = None;
            }
        }
    }

    /// Whether the consumer protocol is only tried.
    pub(crate) fn is_trial(&self) -> bool {
        self.fallback.is_some()
    }

    /// Becomes a classic member, if it may.
    fn fall_back(&mut self, why: &str) -> bool {
        let Either::Consumer(tried) = &self.member else {
            return false;
        };
        let Some(rules) = self.fallback.take() else {
            return false;
        };
        tracing::debug!(
            why,
            "the consumer protocol is not offered, joining by the classic one"
        );
        self.pattern = tried.topics().pattern().cloned();
        let names = tried.topics().names().cloned().collect();
        let mut member = Member::new(tried.polled_at(), rules, names);
        if tried.has_coordinator() {
            member.has_found();
        }
        self.member = Either::Classic(Box::new(member));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::backoff::Backoff;
    use crate::core::group::assignor::Assignor;
    use crate::core::group::consumer_member;
    use crate::core::group::member::{Call, Event, Failure};

    /// One that tries the consumer protocol, and has found its coordinator.
    fn trial() -> Seat {
        let backoff = Backoff {
            first: Duration::from_millis(100),
            max: Duration::from_secs(1),
        };
        let classic = Rules {
            instance: None,
            rack: None,
            heartbeat_interval: Duration::from_secs(3),
            poll_interval_max: Duration::from_secs(300),
            assignors: vec![Assignor::Range],
            backoff,
        };
        let rules = consumer_member::Rules {
            instance: None,
            rack: None,
            assignor: None,
            poll_interval_max: Duration::from_secs(300),
            patience: Duration::from_secs(45),
            backoff,
        };
        let topics = Topics::Named(["t".into()].into());
        let member = ConsumerMember::new(Duration::ZERO, rules, topics, "m".into());
        let mut seat = Seat::consumer(member, Some(classic));
        assert_eq!(seat.step(Duration::ZERO), Step::Send(Call::FindCoordinator));
        seat.found(Duration::ZERO, 200, ErrorCode::None);
        assert!(is_beat(&seat.step(Duration::ZERO)));
        seat
    }

    fn is_beat(step: &Step) -> bool {
        matches!(step, Step::Send(Call::Beat(_)))
    }

    fn is_join(step: &Step) -> bool {
        matches!(step, Step::Send(Call::Join { .. }))
    }

    fn answer(seat: &mut Seat, code: ErrorCode, epoch: i32) {
        let answer = ConsumerGroupHeartbeatResponse {
            error_code: code.id(),
            member_epoch: epoch,
            heartbeat_interval_ms: 5000,
            ..ConsumerGroupHeartbeatResponse::default()
        };
        seat.beaten(Duration::ZERO, 200, &answer);
    }

    #[test]
    fn where_the_consumer_protocol_is_not_offered_a_trial_goes_on_by_the_classic_one() {
        for code in [ErrorCode::UnsupportedVersion, ErrorCode::GroupIdNotFound] {
            let mut seat = trial();
            answer(&mut seat, code, 0);
            assert!(is_join(&seat.step(Duration::ZERO)), "at once");
        }
        let mut seat = trial();
        let kind = ErrorKind::Unsupported {
            api: "ConsumerGroupHeartbeat",
            need: (0, 1),
            have: None,
        };
        seat.unable(Duration::ZERO, 200, Error::new(kind, "no such API"));
        assert!(is_join(&seat.step(Duration::ZERO)));
    }

    #[test]
    fn what_hinders_both_protocols_is_told_as_it_is_and_the_trial_goes_on() {
        for error in [Error::auth("wrong password"), Error::config("no such file")] {
            let mut seat = trial();
            seat.unable(Duration::ZERO, 200, error.clone());
            assert!(seat.is_trial());
            let failed = Event::Failed(Failure::Unable(error));
            assert_eq!(seat.step(Duration::ZERO), Step::Tell(failed));
            // The application asks once more, and meanwhile somebody has mended it.
            seat.settled(&[]);
            assert!(is_beat(&seat.step(Duration::from_secs(2))));
        }
    }

    #[test]
    fn what_passes_is_no_reason_and_who_was_taken_stays() {
        let mut seat = trial();
        answer(&mut seat, ErrorCode::CoordinatorLoadInProgress, 0);
        let later = Duration::from_secs(1);
        assert!(is_beat(&seat.step(later)));
        answer(&mut seat, ErrorCode::None, 1);
        assert!(!seat.is_trial());
        assert!(is_beat(&seat.step(Duration::from_secs(9))));
        answer(&mut seat, ErrorCode::UnsupportedVersion, 0);
        let step = seat.step(Duration::from_secs(20));
        assert!(matches!(step, Step::Tell(_)), "{step:?}");
    }

    #[test]
    fn a_trial_that_is_closed_joins_nothing_any_more() {
        let mut seat = trial();
        seat.leave();
        answer(&mut seat, ErrorCode::UnsupportedVersion, 0);
        assert_eq!(seat.step(Duration::ZERO), Step::Stop);
    }
}
