use highwater_wire::Array;
use highwater_wire::message::ConsumerGroupHeartbeatResponse;
use highwater_wire::message::consumer_group_heartbeat::{Assignment, TopicPartitions};

use super::*;
use crate::core::group::member::Failure;
use crate::core::group::topics::Pattern;

const MS: fn(u64) -> Duration = Duration::from_millis;
/// The middle of the jitter.
const RANDOM: u64 = 200;
const T: Uuid = Uuid::from_u128(1);
const U: Uuid = Uuid::from_u128(2);

fn rules() -> Rules {
    Rules {
        instance: None,
        rack: Some("r1".into()),
        assignor: Some("uniform".into()),
        poll_interval_max: MS(300_000),
        patience: MS(10_000),
        backoff: Backoff {
            first: MS(100),
            max: MS(1000),
        },
    }
}

fn places(topic: &str, partitions: &[i32]) -> Vec<TopicPartition> {
    let name: Arc<str> = topic.into();
    let places = partitions.iter();
    places
        .map(|it| TopicPartition::new(Arc::clone(&name), *it))
        .collect()
}

fn holds(held: &[(Uuid, &[i32])]) -> Holds {
    held.iter()
        .map(|(id, partitions)| (*id, partitions.iter().copied().collect()))
        .collect()
}

fn named(topics: &[&str]) -> Topics {
    Topics::Named(topics.iter().map(|topic| Arc::from(*topic)).collect())
}

/// A member and a coordinator that says what the test wants, in virtual time. Topic ids 1 and 2 are `t` and `u`.
struct Scene {
    member: ConsumerMember,
    now: Duration,
}

impl Scene {
    fn with(rules: Rules, topics: Topics) -> Self {
        Self {
            member: ConsumerMember::new(Duration::ZERO, rules, topics, "me".into()),
            now: Duration::ZERO,
        }
    }

    /// A member of epoch 1 that holds these partitions of `t`.
    fn stable(rules: Rules, gets: &[i32]) -> Self {
        let mut scene = Self::with(rules, named(&["t"]));
        scene.finds();
        scene.beats();
        scene.answers(1, Some(&[(T, gets)]));
        if !gets.is_empty() {
            scene.tells(Event::Assigned(places("t", gets)));
            assert_eq!(scene.beats().holds, Some(holds(&[(T, gets)])));
            scene.answers(1, None);
        }
        scene
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

    #[track_caller]
    fn beats(&mut self) -> Beat {
        let step = self.step();
        let Step::Send(Call::Beat(beat)) = step else {
            panic!("it does not beat: {step:?}")
        };
        beat
    }

    #[track_caller]
    fn tells(&mut self, event: Event) {
        assert_eq!(self.step(), Step::Tell(event));
    }

    #[track_caller]
    fn waits(&mut self) {
        let step = self.step();
        assert!(matches!(step, Step::Wait(_)), "{step:?}");
    }

    fn answers(&mut self, epoch: i32, assigned: Option<&[(Uuid, &[i32])]>) {
        let topic = |(topic_id, partitions): &(Uuid, &[i32])| TopicPartitions {
            topic_id: *topic_id,
            partitions: partitions.iter().copied().collect(),
        };
        let answer = ConsumerGroupHeartbeatResponse {
            member_id: Some("me"),
            member_epoch: epoch,
            heartbeat_interval_ms: 5000,
            assignment: assigned.map(|topics| Assignment {
                topic_partitions: topics.iter().map(topic).collect::<Array<'_, _>>(),
            }),
            ..ConsumerGroupHeartbeatResponse::default()
        };
        self.member.beaten(self.now, RANDOM, &answer);
        self.member.resolve(|id| match *id {
            T => Some("t".into()),
            U => Some("u".into()),
            _ => None,
        });
    }

    fn refuses(&mut self, code: ErrorCode) {
        let answer = ConsumerGroupHeartbeatResponse {
            error_code: code.id(),
            error_message: Some("no"),
            ..ConsumerGroupHeartbeatResponse::default()
        };
        self.member.beaten(self.now, RANDOM, &answer);
    }

    fn settle(&mut self, let_go: &[TopicPartition]) {
        self.member.settled(let_go);
    }
}

fn failure(code: ErrorCode) -> Event {
    Event::Failed(Failure::Refused {
        code,
        detail: Some("no".to_owned()),
    })
}

#[test]
fn a_member_joins_with_all_it_has_to_say_and_then_says_only_what_is_new() {
    let mut scene = Scene::with(rules(), named(&["t", "u"]));
    scene.finds();
    let joins = scene.beats();
    let expected = Beat {
        member_id: "me".into(),
        epoch: 0,
        instance: None,
        rack: Some("r1".into()),
        rebalance_timeout: Some(MS(300_000)),
        topics: Some(named(&["t", "u"])),
        drops_pattern: false,
        assignor: Some("uniform".into()),
        holds: Some(Holds::new()),
    };
    assert_eq!(joins, expected);
    assert_eq!(scene.member.identity(), None);
    scene.answers(3, Some(&[(T, &[0, 1]), (U, &[4])]));
    let gets = [places("t", &[0, 1]), places("u", &[4])].concat();
    scene.tells(Event::Assigned(gets));
    let nothing_new = Beat {
        epoch: 3,
        rack: None,
        rebalance_timeout: None,
        topics: None,
        assignor: None,
        holds: None,
        ..expected
    };
    let says_so = Beat {
        holds: Some(holds(&[(T, &[0, 1]), (U, &[4])])),
        ..nothing_new.clone()
    };
    assert_eq!(scene.beats(), says_so);
    scene.answers(3, None);
    scene.waits();
    scene.pass(5000);
    assert_eq!(scene.beats(), nothing_new);
    scene.answers(3, None);
    scene.member.subscribe(named(&["t"]));
    let other_topics = Beat {
        topics: Some(named(&["t"])),
        ..nothing_new
    };
    assert_eq!(scene.beats(), other_topics);
}

#[test]
fn what_is_to_be_let_go_is_held_until_the_application_has_settled_it_and_then_that_is_said_at_once()
{
    let mut scene = Scene::stable(rules(), &[0, 1, 2]);
    scene.pass(5000);
    scene.beats();
    scene.answers(1, Some(&[(T, &[0])]));
    scene.tells(Event::Revoke(places("t", &[1, 2])));
    scene.waits();
    assert_eq!(scene.member.owned().len(), 3, "it may still commit");
    // It is heard of while the application takes its time, and says nothing of what it holds.
    scene.pass(5000);
    assert_eq!(scene.beats().holds, None);
    scene.answers(1, None);
    scene.waits();
    scene.settle(&places("t", &[1, 2]));
    assert_eq!(scene.beats().holds, Some(holds(&[(T, &[0])])));
    scene.answers(2, Some(&[(T, &[0, 3])]));
    scene.tells(Event::Assigned(places("t", &[3])));
    let beat = scene.beats();
    assert_eq!((beat.epoch, beat.holds), (2, Some(holds(&[(T, &[0, 3])]))));
}

#[test]
fn an_assignment_that_comes_while_another_is_settled_takes_its_place() {
    let mut scene = Scene::stable(rules(), &[0, 1]);
    scene.pass(5000);
    scene.beats();
    scene.answers(1, Some(&[(T, &[0])]));
    scene.tells(Event::Revoke(places("t", &[1])));
    scene.pass(5000);
    scene.beats();
    scene.answers(2, Some(&[(T, &[1, 2])]));
    scene.waits();
    scene.settle(&places("t", &[1]));
    scene.tells(Event::Revoke(places("t", &[0])));
    scene.settle(&places("t", &[0]));
    scene.tells(Event::Assigned(places("t", &[1, 2])));
    assert_eq!(scene.beats().holds, Some(holds(&[(T, &[1, 2])])));
}

#[test]
fn a_topic_that_only_its_id_is_known_of_waits_for_its_name_and_holds_nothing_else_up() {
    let mut scene = Scene::with(rules(), named(&["t", "w"]));
    scene.finds();
    scene.beats();
    let w = Uuid::from_u128(9);
    scene.answers(1, Some(&[(T, &[0]), (w, &[5])]));
    scene.tells(Event::Assigned(places("t", &[0])));
    assert_eq!(scene.beats().holds, Some(holds(&[(T, &[0])])));
    scene.answers(1, None);
    assert_eq!(scene.member.missing(), [w].into());
    scene.waits();
    scene.member.resolve(|_| Some("w".into()));
    assert!(!scene.member.misses_topics());
    scene.tells(Event::Assigned(places("w", &[5])));
    assert_eq!(scene.beats().holds, Some(holds(&[(T, &[0]), (w, &[5])])));
}

#[test]
fn a_topic_that_was_made_again_is_let_go_before_it_is_taken() {
    let mut scene = Scene::stable(rules(), &[0, 1]);
    scene.pass(5000);
    scene.beats();
    let again = Uuid::from_u128(7);
    scene.answers(2, Some(&[(again, &[0])]));
    scene.member.resolve(|_| Some("t".into()));
    scene.tells(Event::Revoke(places("t", &[0, 1])));
    scene.settle(&places("t", &[0, 1]));
    scene.tells(Event::Assigned(places("t", &[0])));
    assert_eq!(scene.beats().holds, Some(holds(&[(again, &[0])])));
}

#[test]
fn a_member_that_is_fenced_or_unknown_has_lost_all_and_joins_again_under_its_id() {
    for code in [ErrorCode::FencedMemberEpoch, ErrorCode::UnknownMemberId] {
        let mut scene = Scene::stable(rules(), &[0, 1]);
        scene.pass(5000);
        scene.beats();
        scene.refuses(code);
        assert!(scene.member.owned().is_empty(), "nothing can be committed");
        assert_eq!(scene.member.identity(), None);
        scene.tells(Event::Lost(places("t", &[0, 1])));
        scene.waits();
        scene.settle(&[]);
        let joins = scene.beats();
        assert_eq!(
            (joins.epoch, &*joins.member_id, joins.holds),
            (0, "me", Some(Holds::new()))
        );
        assert!(joins.topics.is_some());
        // And if that is refused, too, it takes its time.
        scene.refuses(code);
        assert_eq!(scene.step(), Step::Wait(Some(scene.now + MS(100))));
    }
}

#[test]
fn a_member_that_got_no_answer_finds_the_coordinator_again_and_says_everything() {
    let mut scene = Scene::stable(rules(), &[0, 1]);
    scene.pass(5000);
    scene.beats();
    scene.member.failed(scene.now, RANDOM);
    scene.waits();
    assert_eq!(scene.member.owned().len(), 2, "it is still a member");
    scene.pass(100);
    scene.finds();
    let beat = scene.beats();
    assert_eq!((beat.epoch, beat.holds), (1, Some(holds(&[(T, &[0, 1])]))));
    assert!(beat.topics.is_some() && beat.rebalance_timeout.is_some());
    scene.refuses(ErrorCode::NotCoordinator);
    scene.pass(200);
    scene.finds();
    assert!(scene.beats().topics.is_some());
    scene.refuses(ErrorCode::CoordinatorLoadInProgress);
    scene.pass(1000);
    assert!(scene.beats().topics.is_some(), "of the same coordinator");
}

#[test]
fn an_answer_to_what_a_member_said_before_it_lost_all_means_nothing() {
    let mut scene = Scene::stable(rules(), &[0]);
    let identity = scene.member.identity().unwrap().clone();
    scene.pass(5000);
    scene.beats();
    scene
        .member
        .commit_refused(&identity, ErrorCode::UnknownMemberId);
    scene.tells(Event::Lost(places("t", &[0])));
    scene.answers(2, Some(&[(T, &[0, 1])]));
    assert_eq!(scene.member.identity(), None);
    scene.waits();
    scene.settle(&[]);
    assert_eq!(scene.beats().epoch, 0);
}

#[test]
fn a_commit_of_an_older_epoch_is_reason_to_ask_for_the_newer() {
    let mut scene = Scene::stable(rules(), &[0]);
    let identity = scene.member.identity().unwrap().clone();
    scene.waits();
    scene
        .member
        .commit_refused(&identity, ErrorCode::StaleMemberEpoch);
    assert_eq!(scene.beats().epoch, 1);
    scene.answers(2, None);
    assert_eq!(scene.member.identity().unwrap().generation, 2);
    // The one that was refused is not this one any more.
    scene
        .member
        .commit_refused(&identity, ErrorCode::UnknownMemberId);
    scene.waits();
}

#[test]
fn who_does_not_ask_for_records_leaves_and_joins_again_when_it_asks() {
    let mut scene = Scene::stable(rules(), &[0]);
    scene.pass(300_000);
    let farewell = scene.beats();
    assert_eq!((farewell.epoch, farewell.holds), (-1, None));
    assert!(scene.member.take_stalled());
    assert!(!scene.member.take_stalled(), "it is said once");
    scene.refuses(ErrorCode::UnknownMemberId);
    scene.tells(Event::Lost(places("t", &[0])));
    scene.waits();
    scene.member.polled(scene.now);
    scene.settle(&[]);
    assert_eq!(scene.beats().epoch, 0);
}

#[test]
fn a_member_that_is_closed_leaves_and_a_static_one_for_a_while() {
    for (instance, epoch) in [(None, -1), (Some("i"), -2)] {
        let rules = Rules {
            instance: instance.map(Arc::from),
            ..rules()
        };
        let mut scene = Scene::stable(rules, &[0]);
        scene.member.leave();
        let farewell = scene.beats();
        assert_eq!(
            (farewell.epoch, farewell.instance.as_deref()),
            (epoch, instance)
        );
        scene.waits();
        scene.answers(epoch, None);
        assert_eq!(scene.step(), Step::Stop);
    }
    // One that has not heard whether it is a member leaves as well; one that never asked does not.
    let mut scene = Scene::with(rules(), named(&["t"]));
    scene.finds();
    scene.beats();
    scene.member.leave();
    assert_eq!(scene.beats().epoch, -1);
    scene.member.failed(scene.now, RANDOM);
    assert_eq!(scene.step(), Step::Stop);
    let mut scene = Scene::with(rules(), named(&["t"]));
    scene.finds();
    scene.member.leave();
    assert_eq!(scene.step(), Step::Stop);
}

#[test]
fn an_instance_id_that_another_still_has_is_waited_for_as_long_as_a_session() {
    let rules = Rules {
        instance: Some("i".into()),
        ..rules()
    };
    let mut scene = Scene::with(rules.clone(), named(&["t"]));
    scene.finds();
    let mut refused = 0;
    while scene.now < MS(10_000) {
        scene.beats();
        scene.refuses(ErrorCode::UnreleasedInstanceId);
        refused += 1;
        let Step::Wait(Some(until)) = scene.step() else {
            break;
        };
        scene.now = until;
    }
    assert!(refused > 8, "{refused}");
    scene.beats();
    scene.refuses(ErrorCode::UnreleasedInstanceId);
    scene.tells(failure(ErrorCode::UnreleasedInstanceId));
    scene.pass(5000);
    scene.waits();
    // The application asks again.
    scene.settle(&[]);
    scene.beats();
    scene.answers(1, Some(&[(T, &[0])]));
    scene.tells(Event::Assigned(places("t", &[0])));

    // One whose instance id was given to another is out for good.
    scene.beats();
    scene.refuses(ErrorCode::FencedInstanceId);
    scene.tells(Event::Lost(places("t", &[0])));
    scene.tells(failure(ErrorCode::FencedInstanceId));
    scene.settle(&[]);
    scene.settle(&[]);
    scene.pass(60_000);
    assert_eq!(scene.step(), Step::Wait(None));
}

#[test]
fn a_refusal_that_does_not_pass_is_told_and_tried_again_when_the_application_asks() {
    let mut scene = Scene::with(rules(), named(&["t"]));
    scene.finds();
    scene.beats();
    scene.refuses(ErrorCode::UnsupportedAssignor);
    scene.tells(failure(ErrorCode::UnsupportedAssignor));
    scene.pass(60_000);
    assert_eq!(scene.step(), Step::Wait(None));
    scene.settle(&[]);
    assert_eq!(scene.beats().epoch, 0);
}

#[test]
fn a_pattern_is_said_once_and_taken_back_for_names() {
    let pattern = Topics::Matching(Pattern::parse("t.*").unwrap());
    let mut scene = Scene::with(rules(), pattern.clone());
    scene.finds();
    let joins = scene.beats();
    assert_eq!((joins.topics, joins.drops_pattern), (Some(pattern), false));
    scene.answers(1, None);
    scene.pass(5000);
    assert_eq!(scene.beats().topics, None);
    scene.answers(1, None);
    scene.member.subscribe(named(&["t"]));
    let beat = scene.beats();
    assert_eq!(
        (beat.topics, beat.drops_pattern),
        (Some(named(&["t"])), true)
    );
}

#[test]
fn an_answer_that_makes_no_sense_changes_nothing_and_the_coordinator_is_looked_for_again() {
    let mut scene = Scene::stable(rules(), &[0]);
    let many: Vec<i32> = (0..1_000_001).collect();
    for (epoch, assigned) in [(0, None), (-1, None), (2, Some(&[(T, &many[..])][..]))] {
        scene.pass(5000);
        scene.beats();
        scene.answers(epoch, assigned);
        assert_eq!(scene.member.identity().unwrap().generation, 1);
        assert_eq!(scene.member.owned().len(), 1);
        scene.waits();
        scene.pass(5000);
        scene.finds();
        assert_eq!(scene.beats().holds, Some(holds(&[(T, &[0])])));
        scene.answers(1, None);
    }
}
