//! Classic groups that become consumer groups and back, and members of both protocols in one group.

use super::*;
use crate::classic::State;
use crate::config::MigrationPolicy;
use highwater_wire::consumer_protocol::{ConsumerProtocolSubscription, TopicPartition};
use highwater_wire::message::join_group::JoinGroupRequestProtocol;
use highwater_wire::message::leave_group::MemberIdentity;
use highwater_wire::message::sync_group::SyncGroupRequestAssignment;
use highwater_wire::message::{
    HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest,
};

fn subscription(topics: &[&str], owned: &[(&str, &[i32])]) -> Vec<u8> {
    let owned = owned.iter().map(|(topic, partitions)| TopicPartition {
        topic,
        partitions: partitions.to_vec().into(),
    });
    let subscription = ConsumerProtocolSubscription {
        topics: topics.to_vec().into(),
        owned_partitions: owned.collect(),
        ..ConsumerProtocolSubscription::default()
    };
    subscription.encode_prefixed(1).unwrap()
}

pub(super) fn assigned(parts: &[(&str, &[i32])], user_data: Option<&[u8]>) -> Vec<u8> {
    let assigned = parts.iter().map(|(topic, partitions)| TopicPartition {
        topic,
        partitions: partitions.to_vec().into(),
    });
    let assignment = ConsumerProtocolAssignment {
        assigned_partitions: assigned.collect(),
        user_data,
    };
    assignment.encode_prefixed(1).unwrap()
}

impl House {
    pub(super) fn caller(&mut self, version: i16) -> Caller<'static> {
        self.world.drawn += 1;
        Caller {
            ticket: Ticket(self.world.drawn),
            version,
            client_id: "old",
            client_host: "/127.0.0.1",
        }
    }

    pub(super) fn take(&mut self, ticket: Ticket) -> Classic {
        self.world.classic.remove(&ticket).expect("answered")
    }

    /// Sends a JoinGroup; the answer may come later.
    pub(super) fn send_join(
        &mut self,
        member: &str,
        instance: Option<&str>,
        topics: &[&str],
        owned: &[(&str, &[i32])],
    ) -> Ticket {
        let caller = self.caller(9);
        let metadata = subscription(topics, owned);
        let protocols = ["range", "cooperative-sticky"].map(|name| JoinGroupRequestProtocol {
            name,
            metadata: &metadata,
        });
        let request = JoinGroupRequest {
            group_id: GROUP,
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 30_000,
            member_id: member,
            group_instance_id: instance,
            protocol_type: "consumer",
            protocols: protocols.into(),
            ..JoinGroupRequest::default()
        };
        self.coordinator
            .join_group(&mut self.world, &caller, &request);
        caller.ticket
    }

    /// Joins a consumer group as a classic member: its generation.
    pub(super) fn old_join(
        &mut self,
        member: &str,
        topics: &[&str],
        owned: &[(&str, &[i32])],
    ) -> i32 {
        let ticket = self.send_join(member, None, topics, owned);
        match self.take(ticket) {
            Classic::Joined {
                code: ErrorCode::None,
                generation,
                ..
            } => generation,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn old_sync(&mut self, member: &str, generation: i32) -> Classic {
        self.old_assign(member, generation, &[])
    }

    pub(super) fn old_assign(
        &mut self,
        member: &str,
        generation: i32,
        given: &[(&str, Vec<u8>)],
    ) -> Classic {
        let ticket = self.send_sync(member, generation, given);
        self.take(ticket)
    }

    /// Sends a SyncGroup; the answer may come later.
    pub(super) fn send_sync(
        &mut self,
        member: &str,
        generation: i32,
        given: &[(&str, Vec<u8>)],
    ) -> Ticket {
        let caller = self.caller(5);
        let assignments = given.iter().map(|(id, given)| SyncGroupRequestAssignment {
            member_id: id,
            assignment: given,
        });
        let request = SyncGroupRequest {
            group_id: GROUP,
            generation_id: generation,
            member_id: member,
            protocol_type: Some("consumer"),
            protocol_name: Some("range"),
            assignments: assignments.collect(),
            ..SyncGroupRequest::default()
        };
        self.coordinator
            .sync_group(&mut self.world, &caller, &request);
        caller.ticket
    }

    pub(super) fn old_beat(&mut self, member: &str, generation: i32) -> ErrorCode {
        let caller = self.caller(4);
        let request = HeartbeatRequest {
            group_id: GROUP,
            generation_id: generation,
            member_id: member,
            ..HeartbeatRequest::default()
        };
        self.coordinator
            .heartbeat(&mut self.world, &caller, &request);
        match self.take(caller.ticket) {
            Classic::Code(code) => code,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn old_leave(&mut self, members: &[(&str, Option<&str>)]) -> Classic {
        let caller = self.caller(5);
        let members = members.iter().map(|(id, instance)| MemberIdentity {
            member_id: id,
            group_instance_id: *instance,
            ..MemberIdentity::default()
        });
        let request = LeaveGroupRequest {
            group_id: GROUP,
            members: members.collect(),
            ..LeaveGroupRequest::default()
        };
        self.coordinator
            .leave_group(&mut self.world, &caller, &request);
        self.take(caller.ticket)
    }

    /// A classic group of one member, which has all four partitions of `a`.
    pub(super) fn classic(&mut self, user_data: Option<&[u8]>) -> String {
        let ticket = self.send_join("", None, &["a"], &[]);
        let Classic::Joined { member, .. } = self.take(ticket) else {
            panic!()
        };
        let ticket = self.send_join(&member, None, &["a"], &[]);
        self.pass(3000);
        let Classic::Joined { generation, .. } = self.take(ticket) else {
            panic!()
        };
        assert_eq!(generation, 1);
        let all = assigned(&[("a", &[0, 1, 2, 3])], user_data);
        let synced = self.old_assign(&member, 1, &[(&member, all)]);
        assert_eq!(
            synced,
            Classic::Synced(ErrorCode::None, parts(&[("a", &[0, 1, 2, 3])]))
        );
        member
    }

    pub(super) fn classic_state(&self) -> State {
        match self.coordinator.groups.get(GROUP) {
            Some(Group::Classic(group)) => group.state,
            other => panic!("{other:?}"),
        }
    }
}

fn house() -> House {
    House::new(&[("a", 4)])
}

#[test]
fn a_classic_group_becomes_a_consumer_group_with_the_first_member_of_the_new_protocol() {
    let mut house = house();
    let old = house.classic(None);

    // The new member waits for what the old one has.
    let heard = house.join("m", &["a"]);
    assert_eq!(
        (heard.code, heard.epoch, heard.assignment),
        (0, 2, Some(Parts::new()))
    );
    assert_eq!(house.group().members(), 2);

    // The old one is told by its heartbeat to join again, lets go, and joins again.
    assert_eq!(house.old_beat(&old, 1), ErrorCode::RebalanceInProgress);
    let generation = house.old_join(&old, &["a"], &[("a", &[0, 1, 2, 3])]);
    assert_eq!(generation, 1);
    let Classic::Synced(ErrorCode::None, kept) = house.old_sync(&old, generation) else {
        panic!()
    };
    assert_eq!(kept["a"].len(), 2);
    assert_eq!(house.beat("m", 2).assignment, None);
    assert_eq!(house.old_beat(&old, 1), ErrorCode::RebalanceInProgress);
    let generation = house.old_join(&old, &["a"], &[("a", &kept["a"])]);
    assert_eq!(generation, 2);
    assert_eq!(
        house.old_sync(&old, 2),
        Classic::Synced(ErrorCode::None, kept.clone())
    );
    let taken = house.beat("m", 2).assignment.unwrap();
    assert_eq!(taken["a"].len(), 2);
    assert!(
        taken["a"]
            .iter()
            .all(|partition| !kept["a"].contains(partition))
    );
    assert_eq!(house.old_beat(&old, 2), ErrorCode::None);
    assert_eq!(house.group().state_name(), "Stable");
    assert!(house.group().held_twice().is_empty());

    let durable = house.durable();
    house.restart();
    assert_eq!(house.durable(), durable);
}

#[test]
fn a_member_that_waits_for_a_generation_is_asked_to_join_again() {
    let mut house = house();
    let old = house.classic(None);
    let ticket = house.send_join("", None, &["a"], &[]);
    let Classic::Joined { member, .. } = house.take(ticket) else {
        panic!()
    };
    let waiting = house.send_join(&member, None, &["a"], &[]);
    assert_eq!(house.classic_state(), State::PreparingRebalance);
    house.join("m", &["a"]);
    let expected = Classic::Joined {
        code: ErrorCode::RebalanceInProgress,
        member: member.clone(),
        generation: -1,
        leader: String::new(),
        members: Vec::new(),
    };
    assert_eq!(house.take(waiting), expected);
    let generation = house.old_join(&member, &["a"], &[]);
    assert_eq!(
        house.old_sync(&member, generation),
        Classic::Synced(ErrorCode::None, Parts::new())
    );
    assert_eq!(house.group().members(), 3);
    assert!(house.group().members.contains_key(&*old));
}

#[test]
fn a_classic_group_that_may_not_change_stays_what_it_is() {
    let policies = [MigrationPolicy::Disabled, MigrationPolicy::Downgrade];
    for consumer_migration_policy in policies {
        let config = Config {
            consumer_migration_policy,
            ..Config::default()
        };
        let mut house = House::with(config, &[("a", 4)]);
        house.classic(None);
        assert_eq!(house.join("m", &["a"]), refused(ErrorCode::GroupIdNotFound));
        assert_eq!(house.classic_state(), State::Stable);
    }
    let mut house = house();
    house.classic(Some(b"what an assignor tells its like"));
    assert_eq!(house.join("m", &["a"]), refused(ErrorCode::GroupIdNotFound));
    let config = Config {
        consumer_group_size_max: 0,
        ..Config::default()
    };
    let mut house = House::with(config, &[("a", 4)]);
    house.classic(None);
    assert_eq!(house.join("m", &["a"]), refused(ErrorCode::GroupIdNotFound));
}

#[test]
fn an_empty_group_is_of_whichever_protocol_comes_next() {
    let mut house = house();
    let old = house.classic(None);
    assert_eq!(
        house.old_leave(&[(&old, None)]),
        Classic::Left(ErrorCode::None, vec![ErrorCode::None])
    );
    assert_eq!(house.join("m", &["a"]).epoch, 1);
    assert_eq!(house.group().members(), 1);
    house.beat("m", -1);
    house.classic(None);
    let durable = house.durable();
    house.restart();
    assert_eq!(
        durable.contains("Consumer("),
        house.durable().contains("Consumer(")
    );
    assert_eq!(house.classic_state(), State::Stable);
}

#[test]
fn a_consumer_group_becomes_classic_when_the_last_member_of_the_new_protocol_goes() {
    let mut house = house();
    let old = house.classic(None);
    house.join("m", &["a"]);
    assert_eq!(house.old_beat(&old, 1), ErrorCode::RebalanceInProgress);
    assert_eq!(house.beat("m", -1).code, 0);
    // The old member joins, assigns and goes on.
    assert_eq!(house.classic_state(), State::PreparingRebalance);
    let Some(Group::Classic(group)) = house.coordinator.groups.get(GROUP) else {
        panic!()
    };
    assert_eq!((group.generation, group.members.len()), (2, 1));
    assert_eq!(house.old_beat(&old, 2), ErrorCode::RebalanceInProgress);
    let ticket = house.send_join(&old, None, &["a"], &[]);
    assert_eq!(
        house.take(ticket),
        Classic::Joined {
            code: ErrorCode::None,
            member: old.clone(),
            generation: 3,
            leader: old.clone(),
            members: vec![old.clone()],
        }
    );
    let all = assigned(&[("a", &[0, 1, 2, 3])], None);
    house.old_assign(&old, 3, &[(&old, all)]);
    house.restart();
    assert_eq!(house.classic_state(), State::Stable);
    assert_eq!(house.old_beat(&old, 3), ErrorCode::None);
    // The time-outs are those of a classic group.
    house.pass(9_999);
    assert_eq!(house.coordinator.counts().members, 1);
    house.pass(1);
    assert_eq!(house.coordinator.counts().members, 0);
}

#[test]
fn a_consumer_group_becomes_classic_when_the_last_member_of_the_new_protocol_dies() {
    let mut house = house();
    let old = house.classic(None);
    house.join("m", &["a"]);
    assert_eq!(house.old_beat(&old, 1), ErrorCode::RebalanceInProgress);
    house.old_join(&old, &["a"], &[("a", &[0, 1])]);
    house.old_sync(&old, 2);
    for _ in 0..8 {
        house.pass(5000);
        assert_eq!(house.old_beat(&old, 2), ErrorCode::None);
    }
    house.pass(5000);
    assert!(matches!(
        house.coordinator.groups.get(GROUP),
        Some(Group::Classic(_))
    ));
}

#[test]
fn a_group_that_may_not_become_classic_stays_what_it_is() {
    let config = Config {
        consumer_migration_policy: MigrationPolicy::Upgrade,
        ..Config::default()
    };
    let mut house = House::with(config, &[("a", 4)]);
    let old = house.classic(None);
    house.join("m", &["a"]);
    house.beat("m", -1);
    assert_eq!(house.group().members(), 1);
    assert_eq!(house.old_beat(&old, 1), ErrorCode::RebalanceInProgress);
    let generation = house.old_join(&old, &["a"], &[]);
    assert_eq!(
        house.old_sync(&old, generation),
        Classic::Synced(ErrorCode::None, parts(&[("a", &[0, 1, 2, 3])]))
    );
}

#[test]
fn a_static_member_may_go_back_to_the_classic_protocol_and_takes_the_group_along() {
    let mut house = house();
    let heard = house.send(&ConsumerGroupHeartbeatRequest {
        instance_id: Some("i"),
        ..joining("m", &["a"])
    });
    assert_eq!(heard.epoch, 1);
    let ticket = house.send_join("", Some("i"), &["a"], &[]);
    let Classic::Joined {
        code: ErrorCode::None,
        member,
        generation: 1,
        ..
    } = house.take(ticket)
    else {
        panic!()
    };
    assert_eq!(house.classic_state(), State::Stable);
    assert_eq!(
        house.old_sync(&member, 1),
        Classic::Synced(ErrorCode::None, parts(&[("a", &[0, 1, 2, 3])]))
    );
    assert_eq!(house.join("m", &["a"]).code, 0, "and up again");
}

#[test]
fn classic_members_hear_kafkas_codes() {
    let mut house = house();
    let old = house.classic(None);
    house.join("m", &["a"]);
    assert_eq!(house.old_beat("nobody", 1), ErrorCode::UnknownMemberId);
    assert_eq!(house.old_beat("m", 2), ErrorCode::UnknownMemberId);
    assert_eq!(house.old_beat(&old, 7), ErrorCode::IllegalGeneration);
    let code = |code| Classic::Synced(code, Parts::new());
    assert_eq!(house.old_sync("m", 2), code(ErrorCode::UnknownMemberId));
    assert_eq!(house.old_sync(&old, 7), code(ErrorCode::IllegalGeneration));
    assert_eq!(
        house.old_sync(&old, 1),
        code(ErrorCode::RebalanceInProgress)
    );

    let ticket = house.send_join("", None, &["a"], &[]);
    let Classic::Joined { code, member, .. } = house.take(ticket) else {
        panic!()
    };
    assert_eq!(
        (code, member.is_empty()),
        (ErrorCode::MemberIdRequired, false)
    );
    let ticket = house.send_join("x", Some("i"), &["a"], &[]);
    assert!(matches!(
        house.take(ticket),
        Classic::Joined {
            code: ErrorCode::UnknownMemberId,
            ..
        }
    ));

    let caller = house.caller(5);
    let metadata = subscription(&["a"], &[]);
    let request = JoinGroupRequest {
        group_id: GROUP,
        session_timeout_ms: 10_000,
        member_id: "y",
        protocol_type: "consumer",
        protocols: [JoinGroupRequestProtocol {
            name: "another",
            metadata: &metadata,
        }]
        .into(),
        ..JoinGroupRequest::default()
    };
    house
        .coordinator
        .join_group(&mut house.world, &caller, &request);
    assert!(matches!(
        house.take(caller.ticket),
        Classic::Joined {
            code: ErrorCode::InconsistentGroupProtocol,
            ..
        }
    ));

    assert_eq!(
        house.old_leave(&[("nobody", None), ("", Some("i"))]),
        Classic::Left(ErrorCode::None, vec![ErrorCode::UnknownMemberId; 2])
    );
    let group = house.group();
    let none = || std::iter::empty();
    assert_eq!(group.validate_commit(&old, 1, 5, none()), Ok(()));
    assert_eq!(
        group.validate_commit(&old, 2, 5, none()),
        Err(ErrorCode::IllegalGeneration)
    );
}

#[test]
fn a_classic_member_that_does_not_join_again_in_time_is_put_out() {
    let mut house = house();
    let old = house.classic(None);
    house.join("m", &["a"]);
    for _ in 0..6 {
        assert_eq!(house.old_beat(&old, 1), ErrorCode::RebalanceInProgress);
        house.pass(5000);
        house.beat("m", 2);
    }
    assert_eq!(house.old_beat(&old, 1), ErrorCode::UnknownMemberId);
    assert_eq!(
        house.join("m", &["a"]).assignment,
        Some(parts(&[("a", &[0, 1, 2, 3])]))
    );
}

#[test]
fn a_classic_member_that_does_not_ask_for_its_assignment_is_put_out() {
    let mut house = house();
    let old = house.classic(None);
    house.join("m", &["a"]);
    let generation = house.old_join(&old, &["a"], &[("a", &[0, 1])]);
    for _ in 0..6 {
        house.old_beat(&old, generation);
        house.pass(5000);
        house.beat("m", 2);
    }
    assert_eq!(house.old_beat(&old, generation), ErrorCode::UnknownMemberId);
}

#[test]
fn what_cannot_be_written_down_changes_no_protocol() {
    let mut house = house();
    let old = house.classic(None);
    let waiting = house.send_join("", Some("i"), &["a"], &[]);
    house.world.refuses = Some(ErrorCode::NotCoordinator);
    assert_eq!(house.join("m", &["a"]), refused(ErrorCode::NotCoordinator));
    assert!(
        !house.world.classic.contains_key(&waiting),
        "it still waits"
    );
    assert_eq!(house.classic_state(), State::PreparingRebalance);
    house.world.refuses = None;
    house.join("m", &["a"]);
    house.world.refuses = Some(ErrorCode::NotCoordinator);
    let members = house.group().members();
    assert_eq!(
        house.old_leave(&[(&old, None)]),
        Classic::Left(ErrorCode::NotCoordinator, vec![])
    );
    assert_eq!(house.group().members(), members);
}
