//! Members that live through the deaths of their broker: they join, commit, fall behind and come back as clients do, over
//! the wire; the power goes at any time.

use std::cell::RefCell;
use std::time::Duration;

use highwater_reactor::Reactor;
use highwater_reactor::local::join_all;
use highwater_reactor::sim::Crash;
use highwater_wire::ErrorCode;
use highwater_wire::message::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use highwater_wire::message::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use highwater_wire::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use highwater_wire::message::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse,
};
use highwater_wire::message::sync_group::{
    SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse,
};

use crate::harness::{Broker, Peer, decoded, seconds};

const MEMBERS: usize = 4;

/// What a member remembers, also while its broker is dead.
#[derive(Clone, Debug, Default)]
struct Member {
    id: String,
    generation: i32,
    partition: Option<usize>,
}

/// What was committed of each partition: tried, and acknowledged.
#[derive(Debug, Default)]
struct Ledger {
    tried: [i64; MEMBERS],
    acknowledged: [i64; MEMBERS],
}

struct Group {
    members: [RefCell<Member>; MEMBERS],
    ledger: RefCell<Ledger>,
}

impl Group {
    /// One member's life, until it is dropped.
    async fn live(&self, reactor: &Reactor, which: usize) {
        let mut peer = Peer::connect(reactor.clone()).await;
        loop {
            if let Err(error) = self.generation(&mut peer, which).await {
                match ErrorCode::from_id(error) {
                    ErrorCode::UnknownMemberId => {
                        self.members[which].take();
                    }
                    // The others only ask to join again, or to try later.
                    ErrorCode::IllegalGeneration
                    | ErrorCode::RebalanceInProgress
                    | ErrorCode::CoordinatorLoadInProgress
                    | ErrorCode::CoordinatorNotAvailable
                    | ErrorCode::NotCoordinator => {}
                    other => panic!("a member was told {other:?}"),
                }
                reactor.sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// Joins, is assigned and commits until it hears of an error.
    async fn generation(&self, peer: &mut Peer, which: usize) -> Result<(), i16> {
        let (leads, members) = self.join(peer, which).await?;
        let member = self.members[which].borrow().clone();
        let assignments = (0_u8..)
            .zip(members.iter().filter(|_| leads))
            .map(|(partition, id)| (id, [partition]))
            .collect::<Vec<_>>();
        let request = SyncGroupRequest {
            group_id: "g",
            generation_id: member.generation,
            member_id: &member.id,
            assignments: assignments
                .iter()
                .map(|(member_id, assignment)| SyncGroupRequestAssignment {
                    member_id,
                    assignment,
                })
                .collect(),
            ..SyncGroupRequest::default()
        };
        let frame = peer.ask(5, &request).await;
        let response = decoded::<SyncGroupResponse<'_>>(5, &frame);
        fine(response.error_code)?;
        let partition = response.assignment.first().map(|n| usize::from(*n));
        self.members[which].borrow_mut().partition = partition;
        loop {
            for _ in 0..3 {
                peer.reactor.sleep(Duration::from_millis(300)).await;
                self.commit(peer, which).await?;
            }
            let request = HeartbeatRequest {
                group_id: "g",
                generation_id: member.generation,
                member_id: &member.id,
                group_instance_id: None,
            };
            let frame = peer.ask(4, &request).await;
            fine(decoded::<HeartbeatResponse>(4, &frame).error_code)?;
        }
    }

    async fn join(&self, peer: &mut Peer, which: usize) -> Result<(bool, Vec<String>), i16> {
        loop {
            let id = self.members[which].borrow().id.clone();
            let request = JoinGroupRequest {
                group_id: "g",
                session_timeout_ms: 6000,
                rebalance_timeout_ms: 5000,
                member_id: &id,
                protocol_type: "consumer",
                protocols: [JoinGroupRequestProtocol {
                    name: "range",
                    metadata: b"\0\0\0\0\0\0\0\0\0\0",
                }]
                .into(),
                ..JoinGroupRequest::default()
            };
            let frame = peer.ask(9, &request).await;
            let response = decoded::<JoinGroupResponse<'_>>(9, &frame);
            let mut member = self.members[which].borrow_mut();
            if response.error_code == ErrorCode::MemberIdRequired.id() {
                response.member_id.clone_into(&mut member.id);
                continue;
            }
            fine(response.error_code)?;
            assert_eq!(response.member_id, member.id);
            member.generation = response.generation_id;
            let all = response.members.iter();
            let all = all.map(|member| member.member_id.to_owned()).collect();
            return Ok((response.leader == response.member_id, all));
        }
    }

    /// Commits the next offset of the partition that the member has.
    async fn commit(&self, peer: &mut Peer, which: usize) -> Result<(), i16> {
        let member = self.members[which].borrow().clone();
        let Some(partition) = member.partition else {
            return Ok(());
        };
        let offset = {
            let mut ledger = self.ledger.borrow_mut();
            ledger.tried[partition] += 1;
            ledger.tried[partition]
        };
        let request = OffsetCommitRequest {
            group_id: "g",
            generation_id_or_member_epoch: member.generation,
            member_id: &member.id,
            topics: [OffsetCommitRequestTopic {
                name: "orders",
                partitions: [OffsetCommitRequestPartition {
                    partition_index: i32::try_from(partition).unwrap(),
                    committed_offset: offset,
                    ..OffsetCommitRequestPartition::default()
                }]
                .into(),
                ..OffsetCommitRequestTopic::default()
            }]
            .into(),
            ..OffsetCommitRequest::default()
        };
        let frame = peer.ask(8, &request).await;
        let response = decoded::<OffsetCommitResponse<'_>>(8, &frame);
        let topic = response.topics.first().unwrap();
        fine(topic.partitions.first().unwrap().error_code)?;
        self.ledger.borrow_mut().acknowledged[partition] = offset;
        Ok(())
    }

    /// What is committed is what was acknowledged, or a later commit whose answer the crash has eaten.
    async fn check(&self, peer: &mut Peer, story: &str) {
        let request = OffsetFetchRequest {
            groups: [OffsetFetchRequestGroup {
                group_id: "g",
                topics: None,
                ..OffsetFetchRequestGroup::default()
            }]
            .into(),
            ..OffsetFetchRequest::default()
        };
        let found = loop {
            let frame = peer.ask(8, &request).await;
            let response = decoded::<OffsetFetchResponse<'_>>(8, &frame);
            let group = response.groups.first().unwrap();
            if group.error_code == ErrorCode::CoordinatorLoadInProgress.id() {
                peer.reactor.sleep(Duration::from_millis(10)).await;
                continue;
            }
            assert_eq!(group.error_code, 0);
            let mut found = [0; MEMBERS];
            for topic in group.topics.iter() {
                for row in topic.partitions.iter() {
                    found[usize::try_from(row.partition_index).unwrap()] = row.committed_offset;
                }
            }
            break found;
        };
        let mut ledger = self.ledger.borrow_mut();
        for (partition, found) in found.into_iter().enumerate() {
            let known = ledger.acknowledged[partition]..=ledger.tried[partition];
            assert!(
                known.contains(&found),
                "{story}: partition {partition} has {found}, which is not in {known:?}"
            );
            ledger.acknowledged[partition] = found;
        }
    }
}

fn fine(error: i16) -> Result<(), i16> {
    if error == 0 { Ok(()) } else { Err(error) }
}

#[test]
fn a_living_group_outlives_its_broker_again_and_again() {
    for seed in 0..6_u64 {
        let settings = [
            ("offsets.topic.num.partitions", "3"),
            ("group.initial.rebalance.delay.ms", "500"),
        ];
        let mut broker = Broker::start(800 + seed, 3, &settings);
        broker.topic("orders", 4, &[]);
        let mut peer = broker.peer();
        assert_eq!(broker.world.run(peer.find_coordinator("g")), (0, 1));
        drop(peer);
        let group = Group {
            members: Default::default(),
            ledger: RefCell::default(),
        };
        for life in 0..5_u64 {
            let disk = broker.world.disk();
            disk.set_sync_time(Duration::from_millis(1), Duration::from_millis(40));
            let reactor = broker.world.shard(0);
            // Some lives end while members still join, others long after.
            let time = Duration::from_millis(700 + (seed * 7919 + life * 104_729) % 19_000);
            broker.world.run(async {
                let lives = (0..MEMBERS).map(|which| group.live(&reactor, which));
                reactor.timeout(time, join_all(lives)).await;
            });
            let crash = match (seed + life) % 3 {
                0 => Crash::LoseUnsynced,
                1 => Crash::KeepPrefix,
                _ => Crash::KeepRandom,
            };
            broker.crash(crash);
            broker.begin();
            let mut peer = broker.peer();
            let story = format!("seed {seed}, life {life}");
            broker.world.run(group.check(&mut peer, &story));
        }
        // Left alone, everybody is in the same generation again and has a partition of its own.
        let reactor = broker.world.shard(0);
        broker.world.run(async {
            let lives = (0..MEMBERS).map(|which| group.live(&reactor, which));
            reactor.timeout(seconds(40), join_all(lives)).await;
        });
        let members: Vec<Member> = group.members.iter().map(|m| m.borrow().clone()).collect();
        let generation = members[0].generation;
        assert!(
            members.iter().all(|m| m.generation == generation),
            "{members:?}"
        );
        let mut partitions: Vec<_> = members.iter().map(|m| m.partition.unwrap()).collect();
        partitions.sort_unstable();
        assert_eq!(partitions, [0, 1, 2, 3], "seed {seed}");
        assert!(
            group
                .ledger
                .borrow()
                .acknowledged
                .iter()
                .all(|offset| *offset > 20)
        );
    }
}
