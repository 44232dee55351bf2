use std::collections::BTreeMap;

use highwater_wire::Array;
use highwater_wire::message::join_group::JoinGroupResponseMember;
use highwater_wire::message::{JoinGroupResponse, SyncGroupResponse};

use super::*;
use crate::core::group::protocol::{read_assignment, write_assignment};

const MS: fn(u64) -> Duration = Duration::from_millis;
/// The middle of the jitter.
const RANDOM: u64 = 200;

fn rules(assignors: &[Assignor]) -> Rules {
    Rules {
        instance: None,
        rack: None,
        heartbeat_interval: MS(3000),
        poll_interval_max: MS(300_000),
        assignors: assignors.to_vec(),
        backoff: Backoff {
            first: MS(100),
            max: MS(1000),
        },
    }
}

fn place(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

fn places(partitions: &[i32]) -> Vec<TopicPartition> {
    partitions.iter().map(|it| place(*it)).collect()
}

/// A member and a coordinator that says what the test wants, in virtual time.
struct Scene {
    member: Member,
    now: Duration,
}

impl Scene {
    fn new(assignors: &[Assignor]) -> Self {
        Self::with(rules(assignors))
    }

    fn with(rules: Rules) -> Self {
        Self {
            member: Member::new(Duration::ZERO, rules, ["t".into()].into()),
            now: Duration::ZERO,
        }
    }

    fn step(&mut self) -> Step {
        self.member.step(self.now)
    }

    fn pass(&mut self, ms: u64) {
        self.now += MS(ms);
    }

    #[track_caller]
    fn finds(&mut self) {
        assert_eq!(self.step(), Step::Send(Call::FindCoordinator));
        self.member.found(self.now, RANDOM, ErrorCode::None);
    }

    /// The id and the subscription it joins with.
    #[track_caller]
    fn joins(&mut self) -> (Arc<str>, Vec<u8>) {
        let Step::Send(Call::Join {
            member_id,
            mut protocols,
            ..
        }) = self.step()
        else {
            panic!("it does not join")
        };
        (member_id, protocols.remove(0).1)
    }

    fn refuse_join(&mut self, code: ErrorCode, member_id: &str) {
        let answer = JoinGroupResponse {
            error_code: code.id(),
            member_id,
            ..JoinGroupResponse::default()
        };
        self.member.joined(self.now, RANDOM, &answer);
    }

    /// As one that does not lead.
    fn join_answered(&mut self, generation: i32, protocol: Assignor) {
        let answer = JoinGroupResponse {
            generation_id: generation,
            protocol_name: Some(protocol.name()),
            leader: "other",
            member_id: "me",
            ..JoinGroupResponse::default()
        };
        self.member.joined(self.now, RANDOM, &answer);
    }

    #[track_caller]
    fn syncs(&mut self, gets: &[i32]) {
        let Step::Send(Call::Sync { assignments, .. }) = self.step() else {
            panic!("it does not sync")
        };
        assert!(assignments.is_empty());
        let assignment = write_assignment(&places(gets), 3);
        let answer = SyncGroupResponse {
            assignment: &assignment,
            ..SyncGroupResponse::default()
        };
        self.member.synced(self.now, RANDOM, &answer);
    }

    #[track_caller]
    fn tells(&mut self, event: Event) {
        assert_eq!(self.step(), Step::Tell(event));
    }

    #[track_caller]
    fn beats(&mut self, code: ErrorCode) {
        self.pass(3000);
        assert!(matches!(self.step(), Step::Send(Call::Heartbeat(_))));
        self.member.beaten(self.now, RANDOM, code);
    }

    /// In the group, with these partitions.
    fn stable(assignor: Assignor, gets: &[i32]) -> Self {
        let mut scene = Self::new(&[assignor]);
        scene.becomes_stable(assignor, gets);
        scene
    }

    fn becomes_stable(&mut self, assignor: Assignor, gets: &[i32]) {
        self.finds();
        self.joins();
        self.join_answered(1, assignor);
        self.syncs(gets);
        self.tells(Event::Assigned(places(gets)));
    }
}

#[test]
fn a_member_joins_with_the_id_it_is_given_and_then_keeps_its_place_with_heartbeats() {
    let mut scene = Scene::new(&[Assignor::Range]);
    scene.finds();
    assert_eq!(&*scene.joins().0, "");
    scene.refuse_join(ErrorCode::MemberIdRequired, "me");
    assert_eq!(&*scene.joins().0, "me");
    assert_eq!(scene.step(), Step::Wait(None), "one request at a time");
    scene.join_answered(7, Assignor::Range);
    scene.syncs(&[0, 2]);
    scene.tells(Event::Assigned(places(&[0, 2])));
    assert_eq!(scene.step(), Step::Wait(Some(MS(3000))));
    for _ in 0..3 {
        scene.beats(ErrorCode::None);
    }
    let identity = Identity {
        member_id: "me".into(),
        generation: 7,
    };
    assert_eq!(scene.member.identity(), Some(&identity));
}

#[test]
fn the_leader_counts_the_topics_of_all_and_gives_every_member_its_part() {
    let mut scene = Scene::new(&[Assignor::Range]);
    scene.finds();
    let (_, mine) = scene.joins();
    let (topics, owned) = (["t".into(), "u".into()].into(), BTreeSet::new());
    let other = Subscription {
        topics: &topics,
        owned: &owned,
        generation: -1,
        rack: None,
        previous: None,
    };
    let other = other.write(Assignor::Range);
    let answer = JoinGroupResponse {
        generation_id: 1,
        protocol_name: Some("range"),
        leader: "me",
        member_id: "me",
        members: Array::from(vec![
            JoinGroupResponseMember {
                member_id: "me",
                group_instance_id: None,
                metadata: &mine,
            },
            JoinGroupResponseMember {
                member_id: "other",
                group_instance_id: None,
                metadata: &other,
            },
        ]),
        ..JoinGroupResponse::default()
    };
    scene.member.joined(scene.now, RANDOM, &answer);
    assert_eq!(scene.step(), Step::Send(Call::Count(topics)));
    // The other topic does not exist.
    let counts: Partitions = [("t".into(), 3)].into();
    scene.member.counted(&counts.into());
    assert!(scene.member.misses_topics());
    let Step::Send(Call::Sync { assignments, .. }) = scene.step() else {
        panic!()
    };
    let read: BTreeMap<&str, Vec<TopicPartition>> = assignments
        .iter()
        .map(|(id, bytes)| (&**id, read_assignment(bytes).unwrap().into_iter().collect()))
        .collect();
    assert_eq!(
        read,
        [("me", places(&[0, 1])), ("other", places(&[2]))].into()
    );
    let answer = SyncGroupResponse {
        assignment: &assignments[0].1,
        ..SyncGroupResponse::default()
    };
    scene.member.synced(scene.now, RANDOM, &answer);
    scene.tells(Event::Assigned(places(&[0, 1])));
    scene
        .member
        .cluster_changed(|topic| Some(if topic == "t" { 3 } else { 0 }));
    assert_eq!(scene.step(), Step::Wait(Some(MS(3000))), "nothing changed");
    scene
        .member
        .cluster_changed(|topic| Some(if topic == "t" { 3 } else { 4 }));
    scene.tells(Event::Revoke(places(&[0, 1])));
}

#[test]
fn an_eager_member_lets_everything_go_before_it_joins_again() {
    let mut scene = Scene::stable(Assignor::Range, &[0, 1]);
    scene.beats(ErrorCode::RebalanceInProgress);
    scene.tells(Event::Revoke(places(&[0, 1])));
    assert_eq!(scene.member.owned().len(), 2, "it can still commit");
    scene.beats(ErrorCode::RebalanceInProgress);
    assert_eq!(
        scene.step(),
        Step::Wait(Some(scene.now + MS(3000))),
        "the application is asked once"
    );
    scene.member.settled(&places(&[0, 1]));
    assert!(scene.member.owned().is_empty());
    assert_eq!(&*scene.joins().0, "me");
    scene.join_answered(2, Assignor::Range);
    scene.syncs(&[1]);
    scene.tells(Event::Assigned(places(&[1])));
}

#[test]
fn a_cooperative_member_lets_go_only_what_went_to_another_and_joins_once_more() {
    let assignor = Assignor::CooperativeSticky;
    let mut scene = Scene::stable(assignor, &[0, 1, 2]);
    scene.beats(ErrorCode::RebalanceInProgress);
    scene.joins();
    assert_eq!(scene.member.owned().len(), 3, "it keeps reading");
    scene.join_answered(2, assignor);
    scene.syncs(&[0, 1]);
    scene.tells(Event::Revoke(places(&[2])));
    scene.tells(Event::Assigned(places(&[])));
    scene.beats(ErrorCode::None);
    assert!(scene.member.owned().contains(&place(2)));
    scene.member.settled(&places(&[2]));
    let (_, subscription) = scene.joins();
    let metadata = JoinGroupResponseMember {
        member_id: "me",
        group_instance_id: None,
        metadata: &subscription,
    };
    let said = Subscriber::read(&metadata, assignor).unwrap();
    assert_eq!((said.owned, said.generation), (places(&[0, 1]), 2));
}

#[test]
fn members_with_an_eager_assignor_among_theirs_are_eager() {
    let mut scene = Scene::new(&[Assignor::CooperativeSticky, Assignor::Range]);
    scene.becomes_stable(Assignor::CooperativeSticky, &[0]);
    scene.beats(ErrorCode::RebalanceInProgress);
    scene.tells(Event::Revoke(places(&[0])));
}

#[test]
fn a_member_that_the_coordinator_forgot_loses_all_and_joins_as_a_new_one() {
    let mut scene = Scene::stable(Assignor::CooperativeSticky, &[0, 1]);
    scene.beats(ErrorCode::UnknownMemberId);
    assert_eq!(scene.member.identity(), None);
    scene.tells(Event::Lost(places(&[0, 1])));
    assert_eq!(scene.step(), Step::Wait(None));
    scene.member.settled(&[]);
    assert_eq!(&*scene.joins().0, "");
}

#[test]
fn a_member_of_a_past_generation_keeps_its_id() {
    let mut scene = Scene::stable(Assignor::Range, &[0]);
    scene.beats(ErrorCode::IllegalGeneration);
    scene.tells(Event::Lost(places(&[0])));
    scene.member.settled(&[]);
    assert_eq!(&*scene.joins().0, "me");
}

#[test]
fn a_refused_commit_counts_only_for_the_identity_it_was_made_with() {
    let mut scene = Scene::stable(Assignor::Range, &[0]);
    let past = Identity {
        member_id: "me".into(),
        generation: 0,
    };
    scene
        .member
        .commit_refused(&past, ErrorCode::IllegalGeneration);
    assert_eq!(scene.step(), Step::Wait(Some(MS(3000))));
    let now = scene.member.identity().unwrap().clone();
    scene
        .member
        .commit_refused(&now, ErrorCode::IllegalGeneration);
    scene.tells(Event::Lost(places(&[0])));
}

#[test]
fn a_fenced_instance_stays_out() {
    let mut scene = Scene::with(Rules {
        instance: Some("i".into()),
        ..rules(&[Assignor::Range])
    });
    scene.becomes_stable(Assignor::Range, &[0]);
    scene.beats(ErrorCode::FencedInstanceId);
    scene.tells(Event::Lost(places(&[0])));
    scene.tells(Event::Failed(Failure::Refused {
        code: ErrorCode::FencedInstanceId,
        detail: None,
    }));
    scene.member.settled(&[]);
    scene.member.settled(&[]);
    scene.pass(1_000_000);
    assert_eq!(scene.step(), Step::Wait(None));
}

#[test]
fn another_coordinator_is_looked_for_and_the_place_is_kept() {
    let mut scene = Scene::stable(Assignor::Range, &[0]);
    scene.beats(ErrorCode::NotCoordinator);
    assert_eq!(scene.step(), Step::Wait(Some(scene.now + MS(100))));
    scene.pass(100);
    scene.finds();
    scene.beats(ErrorCode::None);
    assert_eq!(scene.member.identity().map(|it| it.generation), Some(1));
    // The connection broke.
    scene.pass(3000);
    assert!(matches!(scene.step(), Step::Send(Call::Heartbeat(_))));
    scene.member.failed(scene.now, RANDOM);
    scene.pass(100);
    scene.finds();
    scene.beats(ErrorCode::None);
}

#[test]
fn a_coordinator_that_is_loading_is_asked_again_at_growing_intervals() {
    let mut scene = Scene::new(&[Assignor::Range]);
    scene.finds();
    for pause in [100, 200, 400, 800, 1000, 1000] {
        scene.joins();
        scene.refuse_join(ErrorCode::CoordinatorLoadInProgress, "");
        assert_eq!(scene.step(), Step::Wait(Some(scene.now + MS(pause))));
        scene.pass(pause);
    }
}

#[test]
fn a_sync_that_comes_late_is_followed_by_a_join() {
    let mut scene = Scene::new(&[Assignor::Range]);
    scene.finds();
    scene.joins();
    scene.join_answered(1, Assignor::Range);
    assert!(matches!(scene.step(), Step::Send(Call::Sync { .. })));
    let code = ErrorCode::RebalanceInProgress.id();
    let answer = SyncGroupResponse {
        error_code: code,
        ..SyncGroupResponse::default()
    };
    scene.member.synced(scene.now, RANDOM, &answer);
    assert_eq!(&*scene.joins().0, "me");
}

#[test]
fn an_application_that_does_not_ask_loses_its_place_and_has_it_back_when_it_does() {
    let mut scene = Scene::stable(Assignor::Range, &[0]);
    for _ in 0..99 {
        scene.beats(ErrorCode::None);
    }
    scene.pass(3000);
    let leaves = Call::Leave {
        member_id: "me".into(),
        reason: "max.poll.interval.ms passed without a poll",
    };
    assert!(!scene.member.take_stalled());
    assert_eq!(scene.step(), Step::Send(leaves));
    assert!(scene.member.take_stalled());
    assert!(!scene.member.take_stalled(), "it is said once");
    scene.tells(Event::Lost(places(&[0])));
    scene.member.left();
    scene.pass(1_000_000);
    assert_eq!(scene.step(), Step::Wait(None));
    scene.member.polled(scene.now);
    scene.member.settled(&[]);
    assert_eq!(&*scene.joins().0, "");
}

#[test]
fn a_static_member_that_is_closed_does_not_leave() {
    let mut scene = Scene::with(Rules {
        instance: Some("i".into()),
        ..rules(&[Assignor::Range])
    });
    scene.becomes_stable(Assignor::Range, &[0]);
    scene.member.leave();
    assert_eq!(scene.step(), Step::Stop);
}

#[test]
fn leaving_does_not_wait_for_a_join() {
    let mut scene = Scene::stable(Assignor::CooperativeSticky, &[0]);
    scene.beats(ErrorCode::RebalanceInProgress);
    scene.joins();
    scene.member.leave();
    let leaves = Call::Leave {
        member_id: "me".into(),
        reason: "the consumer is being closed",
    };
    assert_eq!(scene.step(), Step::Send(leaves));
    assert_eq!(scene.step(), Step::Wait(None));
    scene.member.left();
    assert_eq!(scene.step(), Step::Stop);
}

#[test]
fn a_group_that_will_not_have_us_is_tried_again_only_when_the_application_asks() {
    let mut scene = Scene::new(&[Assignor::Range]);
    scene.finds();
    scene.joins();
    scene.refuse_join(ErrorCode::GroupMaxSizeReached, "");
    scene.tells(Event::Failed(Failure::Refused {
        code: ErrorCode::GroupMaxSizeReached,
        detail: None,
    }));
    scene.pass(100);
    assert_eq!(scene.step(), Step::Wait(None));
    scene.member.settled(&[]);
    scene.joins();
}

#[test]
fn a_changed_subscription_lets_go_of_what_is_not_wanted_any_more() {
    let mut scene = Scene::stable(Assignor::CooperativeSticky, &[0]);
    scene.member.subscribe(["u".into()].into());
    scene.tells(Event::Revoke(places(&[0])));
    scene.member.settled(&places(&[0]));
    let Step::Send(Call::Join { reason, .. }) = scene.step() else {
        panic!()
    };
    assert_eq!(reason, Some("subscription changed"));
}
