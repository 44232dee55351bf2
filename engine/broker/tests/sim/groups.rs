use highwater_partition::Origin;
use highwater_reactor::sim::Crash;
use highwater_record::control::{ControlRecord, EndTxnMarker, Outcome};
use highwater_record::{BatchBuilder, Compression, Compressor, Producer};
use highwater_wire::message::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use highwater_wire::message::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use highwater_wire::message::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use highwater_wire::message::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use highwater_wire::message::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use highwater_wire::message::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use highwater_wire::message::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity};
use highwater_wire::message::list_groups::{ListGroupsRequest, ListGroupsResponse};
use highwater_wire::message::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
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
use highwater_wire::records::group::{GroupKey, GroupValue, OffsetCommitKey, OffsetCommitValue};
use highwater_wire::{Array, ErrorCode};
use uuid::Uuid;

use crate::harness::{Broker, Peer, batch, decoded, seconds};

/// What a member knows of itself.
#[derive(Clone, Debug)]
struct Member {
    id: String,
    generation: i32,
    is_leader: bool,
    /// All members, if it leads.
    members: Vec<String>,
}

impl Peer {
    pub(crate) async fn find_coordinator(&mut self, group: &str) -> (i16, i32) {
        let request = FindCoordinatorRequest {
            coordinator_keys: [group].into(),
            ..FindCoordinatorRequest::default()
        };
        let frame = self.ask(6, &request).await;
        let response = decoded::<FindCoordinatorResponse<'_>>(6, &frame);
        let found = response.coordinators.first().unwrap();
        assert_eq!(found.key, group);
        (found.error_code, found.node_id)
    }

    async fn send_join(&mut self, group: &str, member_id: &str) {
        let protocol = JoinGroupRequestProtocol {
            name: "range",
            metadata: b"\0\0\0\0\0\0\0\0\0\0",
        };
        let request = JoinGroupRequest {
            group_id: group,
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 30_000,
            member_id,
            protocol_type: "consumer",
            protocols: [protocol].into(),
            ..JoinGroupRequest::default()
        };
        self.send(9, &request).await;
    }

    async fn joined(&mut self) -> Result<Member, (i16, String)> {
        let frame = self.frame().await.expect("an answer");
        let response = decoded::<JoinGroupResponse<'_>>(9, &frame);
        if response.error_code != 0 {
            return Err((response.error_code, response.member_id.to_owned()));
        }
        Ok(Member {
            id: response.member_id.to_owned(),
            generation: response.generation_id,
            is_leader: response.leader == response.member_id,
            members: response
                .members
                .iter()
                .map(|member| member.member_id.to_owned())
                .collect(),
        })
    }

    /// Joins as a newcomer: the first answer gives the id to join with.
    async fn join(&mut self, group: &str) -> Member {
        self.send_join(group, "").await;
        let (error, id) = self.joined().await.unwrap_err();
        assert_eq!(error, ErrorCode::MemberIdRequired.id());
        self.send_join(group, &id).await;
        self.joined().await.unwrap()
    }

    async fn sync(&mut self, group: &str, member: &Member) -> Result<Vec<u8>, i16> {
        let assignments = member.members.iter().map(|id| SyncGroupRequestAssignment {
            member_id: id,
            assignment: id.as_bytes(),
        });
        let request = SyncGroupRequest {
            group_id: group,
            generation_id: member.generation,
            member_id: &member.id,
            protocol_type: Some("consumer"),
            protocol_name: Some("range"),
            assignments: assignments.collect(),
            ..SyncGroupRequest::default()
        };
        let frame = self.ask(5, &request).await;
        let response = decoded::<SyncGroupResponse<'_>>(5, &frame);
        match response.error_code {
            0 => Ok(response.assignment.to_vec()),
            error => Err(error),
        }
    }

    async fn heartbeat(&mut self, group: &str, member: &Member) -> i16 {
        let request = HeartbeatRequest {
            group_id: group,
            generation_id: member.generation,
            member_id: &member.id,
            group_instance_id: None,
        };
        let frame = self.ask(4, &request).await;
        decoded::<HeartbeatResponse>(4, &frame).error_code
    }

    async fn leave(&mut self, group: &str, member: &Member) -> i16 {
        let request = LeaveGroupRequest {
            group_id: group,
            members: [MemberIdentity {
                member_id: &member.id,
                ..MemberIdentity::default()
            }]
            .into(),
            ..LeaveGroupRequest::default()
        };
        let frame = self.ask(5, &request).await;
        decoded::<LeaveGroupResponse<'_>>(5, &frame).error_code
    }

    async fn send_commit(
        &mut self,
        group: &str,
        member: Option<&Member>,
        topic: &str,
        offsets: &[(i32, i64)],
    ) {
        let partitions = offsets
            .iter()
            .map(|(partition, offset)| OffsetCommitRequestPartition {
                partition_index: *partition,
                committed_offset: *offset,
                committed_metadata: Some("note"),
                ..OffsetCommitRequestPartition::default()
            });
        let request = OffsetCommitRequest {
            group_id: group,
            generation_id_or_member_epoch: member.map_or(-1, |member| member.generation),
            member_id: member.map_or("", |member| &member.id),
            topics: [OffsetCommitRequestTopic {
                name: topic,
                partitions: partitions.collect(),
                ..OffsetCommitRequestTopic::default()
            }]
            .into(),
            ..OffsetCommitRequest::default()
        };
        self.send(9, &request).await;
    }

    /// The error of each partition; `None` when the broker is gone.
    async fn committed(&mut self) -> Option<Vec<i16>> {
        let frame = self.frame().await?;
        let response = decoded::<OffsetCommitResponse<'_>>(9, &frame);
        let topics = response.topics.iter();
        Some(
            topics
                .flat_map(|topic| topic.partitions.to_vec())
                .map(|partition| partition.error_code)
                .collect(),
        )
    }

    async fn commit(
        &mut self,
        group: &str,
        member: Option<&Member>,
        offsets: &[(i32, i64)],
    ) -> Vec<i16> {
        self.send_commit(group, member, "orders", offsets).await;
        self.committed().await.unwrap()
    }

    /// Everything these groups have committed: partition and offset; or the group's error.
    async fn offsets(&mut self, groups: &[&str]) -> Vec<Result<Vec<(i32, i64)>, i16>> {
        let request = OffsetFetchRequest {
            groups: groups
                .iter()
                .map(|group_id| OffsetFetchRequestGroup {
                    group_id,
                    topics: None,
                    ..OffsetFetchRequestGroup::default()
                })
                .collect(),
            require_stable: true,
            ..OffsetFetchRequest::default()
        };
        let frame = self.ask(9, &request).await;
        let response = decoded::<OffsetFetchResponse<'_>>(9, &frame);
        assert_eq!(response.groups.len(), groups.len());
        let find = |group: &str| response.groups.iter().find(|row| row.group_id == group);
        groups
            .iter()
            .map(|group| {
                let row = find(group).expect("every group is answered");
                if row.error_code != 0 {
                    return Err(row.error_code);
                }
                let topics = row.topics.iter();
                let mut offsets: Vec<(i32, i64)> = topics
                    .flat_map(|topic| topic.partitions.to_vec())
                    .map(|row| (row.partition_index, row.committed_offset))
                    .collect();
                offsets.sort_unstable();
                Ok(offsets)
            })
            .collect()
    }

    async fn groups(&mut self) -> Result<Vec<(String, String)>, i16> {
        let frame = self.ask(5, &ListGroupsRequest::default()).await;
        let response = decoded::<ListGroupsResponse<'_>>(5, &frame);
        if response.error_code != 0 {
            return Err(response.error_code);
        }
        let groups = response.groups.iter();
        let mut groups: Vec<_> = groups
            .map(|group| (group.group_id.to_owned(), group.group_state.to_owned()))
            .collect();
        groups.sort();
        Ok(groups)
    }
}

/// A broker with a topic to consume and a coordinator.
fn broker(seed: u64, shards: u16) -> Broker {
    let broker = Broker::start(seed, shards, &[("offsets.topic.num.partitions", "5")]);
    broker.topic("orders", 4, &[]);
    let mut peer = broker.peer();
    let found = broker.world.run(peer.find_coordinator("any"));
    assert_eq!(found, (0, 1));
    // The coordinators have read their logs.
    broker
        .world
        .run(async { peer.reactor.sleep(seconds(1)).await });
    broker
}

#[test]
fn who_looks_for_a_coordinator_finds_it_and_its_topic_is_made_on_the_way() {
    let broker = Broker::start(60, 3, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        assert_eq!(
            peer.offsets(&["nobody"]).await,
            [Err(ErrorCode::NotCoordinator.id())],
            "there is no coordinator before somebody looks for one"
        );
        assert_eq!(peer.groups().await, Ok(vec![]));
        assert_eq!(peer.find_coordinator("a group").await, (0, 1));
        let topic = MetadataRequestTopic {
            name: Some("__consumer_offsets"),
            ..MetadataRequestTopic::default()
        };
        let request = MetadataRequest {
            topics: Some([topic].into()),
            ..MetadataRequest::default()
        };
        let frame = peer.ask(12, &request).await;
        let response = decoded::<MetadataResponse<'_>>(12, &frame);
        let topic = response.topics.first().unwrap();
        assert_eq!((topic.error_code, topic.is_internal), (0, true));
        assert_eq!(topic.partitions.len(), 50);
    });
}

#[test]
fn coordinators_of_what_does_not_exist_are_refused_for_good() {
    let broker = Broker::start(61, 1, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        for (key_type, error) in [
            (1, ErrorCode::UnsupportedVersion),
            (2, ErrorCode::InvalidRequest),
            (9, ErrorCode::InvalidRequest),
        ] {
            let request = FindCoordinatorRequest {
                key: "t",
                key_type,
                ..FindCoordinatorRequest::default()
            };
            let frame = peer.ask(3, &request).await;
            let response = decoded::<FindCoordinatorResponse<'_>>(3, &frame);
            assert_eq!((response.error_code, response.node_id), (error.id(), -1));
        }
    });
}

#[test]
fn two_members_share_a_group_and_the_death_of_one_is_told_to_the_other() {
    let broker = broker(62, 3);
    let (mut one, mut two) = (broker.peer(), broker.peer());
    broker.world.run(async {
        let first = one.join("g").await;
        assert!(first.is_leader);
        assert_eq!(
            one.sync("g", &first).await,
            Ok(first.id.clone().into_bytes())
        );
        assert_eq!(one.heartbeat("g", &first).await, 0);

        two.send_join("g", "").await;
        let (_, id) = two.joined().await.unwrap_err();
        two.send_join("g", &id).await;
        two.reactor.sleep(seconds(1)).await;
        let rebalance = ErrorCode::RebalanceInProgress.id();
        assert_eq!(one.heartbeat("g", &first).await, rebalance);
        one.send_join("g", &first.id).await;
        let first = one.joined().await.unwrap();
        let second = two.joined().await.unwrap();
        assert_eq!(first.generation, second.generation);
        assert_eq!(first.members.len(), 2);
        assert!(!second.is_leader);
        one.sync("g", &first).await.unwrap();
        assert_eq!(
            two.sync("g", &second).await,
            Ok(second.id.clone().into_bytes())
        );
        let listed = one.groups().await.unwrap();
        assert_eq!(listed, [("g".to_owned(), "Stable".to_owned())]);

        // The second one falls silent.
        for _ in 0..12 {
            one.reactor.sleep(seconds(1)).await;
            if one.heartbeat("g", &first).await == rebalance {
                one.send_join("g", &first.id).await;
                let alone = one.joined().await.unwrap();
                assert_eq!(alone.members, std::slice::from_ref(&first.id));
                return;
            }
        }
        panic!("nobody missed the second member");
    });
}

#[test]
fn commits_are_found_again_by_many_groups_at_once_on_every_shard() {
    let mut broker = broker(63, 3);
    let names: Vec<String> = (0..40).map(|n| format!("group-{n}")).collect();
    let groups: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut peer = broker.peer();
    broker.world.run(async {
        for (n, group) in (0..).zip(&groups) {
            assert_eq!(
                peer.commit(group, None, &[(0, n), (3, 2 * n)]).await,
                [0, 0]
            );
        }
    });
    let expected: Vec<_> = (0..40).map(|n| Ok(vec![(0, n), (3, 2 * n)])).collect();
    assert_eq!(broker.world.run(peer.offsets(&groups)), expected);
    let listed = broker.world.run(peer.groups()).unwrap();
    assert_eq!(listed.len(), 40);
    drop(peer);
    broker.stop();
    broker.begin();
    let mut peer = broker.peer();
    assert_eq!(broker.world.run(loaded(&mut peer, &groups)), expected);
}

/// Asks until no coordinator is loading.
async fn loaded(peer: &mut Peer, groups: &[&str]) -> Vec<Result<Vec<(i32, i64)>, i16>> {
    for _ in 0..60 {
        let found = peer.offsets(groups).await;
        let loading = Err(ErrorCode::CoordinatorLoadInProgress.id());
        if !found.contains(&loading) {
            return found;
        }
        peer.reactor.sleep(seconds(1)).await;
    }
    panic!("a minute is enough to load a few groups");
}

#[test]
fn whatever_the_crash_an_acknowledged_commit_is_there_after_the_restart() {
    for seed in 0..12 {
        let mut broker = broker(640 + seed, 3);
        let groups = ["a", "b", "c", "d", "e", "f"];
        let mut acknowledged = [[-1_i64; 2]; 6];
        let mut sent = [[-1_i64; 2]; 6];
        let mut next = 0;
        for life in 0..4 {
            let mut peers: Vec<Peer> = (0..3).map(|_| broker.peer()).collect();
            broker.world.disk().set_sync_time(
                std::time::Duration::from_millis(1),
                std::time::Duration::from_millis(9),
            );
            broker.world.run(async {
                loaded(&mut peers[0], &groups).await;
                // Each connection has a pipeline of commits for two groups; the crash comes somewhere in it.
                let mut due = vec![Vec::new(); peers.len()];
                for _ in 0..8 {
                    for (which, peer) in peers.iter_mut().enumerate() {
                        for group in [2 * which, 2 * which + 1] {
                            let partition = next % 2;
                            let offset = i64::try_from(next).unwrap();
                            next += 1;
                            let row = [(i32::try_from(partition).unwrap(), offset)];
                            peer.send_commit(groups[group], None, "orders", &row).await;
                            sent[group][partition] = offset;
                            due[which].push((group, partition, offset));
                        }
                    }
                }
                let answers = (seed * 3 + life * 5) % 16;
                for (peer, due) in peers.iter_mut().zip(due) {
                    for (group, partition, offset) in
                        due.into_iter().take(usize::try_from(answers).unwrap())
                    {
                        assert_eq!(peer.committed().await.unwrap(), [0]);
                        acknowledged[group][partition] = offset;
                    }
                }
            });
            drop(peers);
            broker.crash(match seed % 3 {
                0 => Crash::LoseUnsynced,
                1 => Crash::KeepPrefix,
                _ => Crash::KeepRandom,
            });
            broker.begin();
            let mut peer = broker.peer();
            let found = broker.world.run(loaded(&mut peer, &groups));
            for (group, rows) in found.into_iter().enumerate() {
                let mut now = [-1; 2];
                for (partition, offset) in rows.unwrap() {
                    now[usize::try_from(partition).unwrap()] = offset;
                }
                for partition in 0..2 {
                    let at_least = acknowledged[group][partition];
                    let at_most = sent[group][partition];
                    let found = now[partition];
                    assert!(
                        (at_least..=at_most).contains(&found),
                        "seed {seed}, life {life}, group {group}: {found} is not in {at_least}..={at_most}"
                    );
                    // What is there now was never acknowledged, perhaps, but it was shown.
                    acknowledged[group][partition] = found;
                }
            }
        }
    }
}

#[test]
fn members_find_their_way_back_after_a_crash_and_go_on_in_their_generation() {
    let mut broker = broker(65, 3);
    let (mut one, mut two) = (broker.peer(), broker.peer());
    let (first, second) = broker.world.run(async {
        let alone = one.join("g").await;
        one.sync("g", &alone).await.unwrap();
        two.send_join("g", "").await;
        let (_, id) = two.joined().await.unwrap_err();
        two.send_join("g", &id).await;
        one.send_join("g", &alone.id).await;
        let first = one.joined().await.unwrap();
        let second = two.joined().await.unwrap();
        one.sync("g", &first).await.unwrap();
        two.sync("g", &second).await.unwrap();
        assert_eq!(one.commit("g", Some(&first), &[(0, 7)]).await, [0]);
        (first, second)
    });
    broker.crash(Crash::LoseUnsynced);
    broker.begin();
    let (mut one, mut two) = (broker.peer(), broker.peer());
    broker.world.run(async {
        assert_eq!(loaded(&mut one, &["g"]).await, [Ok(vec![(0, 7)])]);
        assert_eq!(one.heartbeat("g", &first).await, 0);
        assert_eq!(two.heartbeat("g", &second).await, 0);
        assert_eq!(two.commit("g", Some(&second), &[(1, 9)]).await, [0]);
        // One of them has died for good; the other goes on alone.
        for _ in 0..12 {
            one.reactor.sleep(seconds(1)).await;
            if one.heartbeat("g", &first).await == ErrorCode::RebalanceInProgress.id() {
                one.send_join("g", &first.id).await;
                let alone = one.joined().await.unwrap();
                assert_eq!(alone.generation, first.generation + 1);
                assert!(one.sync("g", &alone).await.is_ok());
                assert_eq!(one.leave("g", &alone).await, 0);
                return;
            }
        }
        panic!("nobody missed the second member");
    });
}

#[test]
fn a_crash_in_the_middle_of_a_rebalance_leaves_a_group_that_goes_on() {
    for seed in 0..6 {
        let mut broker = broker(660 + seed, 2);
        let (mut one, mut two) = (broker.peer(), broker.peer());
        let alone = broker.world.run(async {
            let alone = one.join("g").await;
            one.sync("g", &alone).await.unwrap();
            two.send_join("g", "").await;
            let (_, id) = two.joined().await.unwrap_err();
            two.send_join("g", &id).await;
            one.send_join("g", &alone.id).await;
            if seed % 2 == 0 {
                let first = one.joined().await.unwrap();
                two.joined().await.unwrap();
                // The leader's assignment is on its way.
                let request = SyncGroupRequest {
                    group_id: "g",
                    generation_id: first.generation,
                    member_id: &first.id,
                    ..SyncGroupRequest::default()
                };
                one.send(5, &request).await;
            }
            alone
        });
        broker.crash(if seed < 3 {
            Crash::LoseUnsynced
        } else {
            Crash::KeepRandom
        });
        broker.begin();
        let mut one = broker.peer();
        broker.world.run(async {
            loaded(&mut one, &["g"]).await;
            // Whatever the log says, the member is heard: it is let in again or told to begin anew.
            let mut id = alone.id.clone();
            for _ in 0..3 {
                one.send_join("g", &id).await;
                match one.joined().await {
                    Ok(joined) => {
                        assert!(joined.generation >= alone.generation);
                        return assert!(one.sync("g", &joined).await.is_ok() || !joined.is_leader);
                    }
                    Err((error, given)) => {
                        let known = [ErrorCode::UnknownMemberId, ErrorCode::MemberIdRequired];
                        assert!(known.iter().any(|code| code.id() == error), "{error}");
                        id = given;
                    }
                }
            }
            panic!("the member did not find its way back");
        });
    }
}

#[test]
fn a_member_that_waits_is_told_when_the_broker_stops_and_nothing_hangs() {
    let mut broker = broker(67, 3);
    let (mut one, mut two) = (broker.peer(), broker.peer());
    broker.world.run(async {
        let alone = one.join("g").await;
        one.sync("g", &alone).await.unwrap();
        two.send_join("g", "").await;
        let (_, id) = two.joined().await.unwrap_err();
        two.send_join("g", &id).await;
        two.reactor.sleep(seconds(1)).await;
    });
    let clock = broker.world.shard(0);
    let begun = clock.now();
    broker.stop();
    assert!(clock.now() - begun < seconds(4), "nobody is cut off");
}

#[test]
fn the_failure_of_the_disk_is_told_and_not_swallowed() {
    let broker = broker(68, 2);
    let mut peer = broker.peer();
    broker.world.run(async {
        assert_eq!(peer.commit("g", None, &[(0, 1)]).await, [0]);
        broker
            .world
            .disk()
            .fail(highwater_reactor::sim::Operation::Sync, 1, 5);
        let refused = ErrorCode::NotCoordinator.id();
        for offset in 2..5 {
            assert_eq!(
                peer.commit("g", None, &[(0, offset), (1, offset)]).await,
                [refused; 2]
            );
        }
    });
}

#[test]
fn a_commit_that_is_not_safe_in_time_is_not_called_safe() {
    let broker = broker(69, 2);
    let mut peer = broker.peer();
    broker.world.run(async {
        assert_eq!(peer.commit("g", None, &[(0, 1)]).await, [0]);
        let disk = broker.world.disk();
        disk.set_sync_time(seconds(60), seconds(60));
        let begun = peer.reactor.now();
        let late = ErrorCode::CoordinatorNotAvailable.id();
        assert_eq!(peer.commit("g", None, &[(0, 2)]).await, [late]);
        let took = peer.reactor.now() - begun;
        assert!(
            (seconds(5)..seconds(6)).contains(&took),
            "offsets.commit.timeout.ms"
        );
        disk.set_sync_time(seconds(0), seconds(0));
        peer.reactor.sleep(seconds(60)).await;
        assert_eq!(peer.commit("g", None, &[(1, 3)]).await, [0]);
        assert_eq!(
            peer.offsets(&["g"]).await,
            [Ok(vec![(0, 2), (1, 3)])],
            "late is not lost"
        );
    });
}

#[test]
fn with_the_offsets_topic_its_groups_go_and_new_ones_find_a_new_place() {
    let broker = broker(70, 3);
    let mut peer = broker.peer();
    let mut waits = broker.peer();
    broker.world.run(async {
        assert_eq!(peer.commit("g", None, &[(0, 1)]).await, [0]);
        let alone = peer.join("h").await;
        peer.sync("h", &alone).await.unwrap();
        waits.send_join("h", "").await;
        let (_, id) = waits.joined().await.unwrap_err();
        waits.send_join("h", &id).await;
        waits.reactor.sleep(seconds(1)).await;
        let request = DeleteTopicsRequest {
            topics: [DeleteTopicState {
                name: Some("__consumer_offsets"),
                ..DeleteTopicState::default()
            }]
            .into(),
            timeout_ms: 1000,
            ..DeleteTopicsRequest::default()
        };
        peer.ask(6, &request).await;
        let elsewhere = ErrorCode::NotCoordinator.id();
        assert_eq!(waits.joined().await.unwrap_err().0, elsewhere);
        assert_eq!(peer.heartbeat("h", &alone).await, elsewhere);
        assert_eq!(peer.find_coordinator("g").await, (0, 1));
        assert_eq!(loaded(&mut peer, &["g"]).await, [Ok(vec![])]);
        let unknown = ErrorCode::UnknownMemberId.id();
        assert_eq!(peer.heartbeat("h", &alone).await, unknown);
    });
}

#[test]
fn clients_do_not_write_to_the_offsets_topic() {
    let broker = broker(71, 2);
    let mut peer = broker.peer();
    broker.world.run(async {
        let refused = peer.produce("__consumer_offsets", 0, &batch(&["x"])).await;
        assert_eq!(refused.error, ErrorCode::InvalidTopicException.id());
    });
}

#[test]
fn a_member_of_a_consumer_group_goes_on_in_its_epoch_after_a_crash() {
    let mut broker = broker(72, 3);
    let mut peer = broker.peer();
    let topics = ["orders"];
    let request = |epoch, owned: Option<(Uuid, &[i32])>| ConsumerGroupHeartbeatRequest {
        group_id: "k",
        member_id: "AAAAAAAAAAAAAAAAAAAAAg",
        member_epoch: epoch,
        rebalance_timeout_ms: if epoch == 0 { 30_000 } else { -1 },
        subscribed_topic_names: (epoch == 0).then(|| Array::from(topics)),
        topic_partitions: match owned {
            Some((topic_id, partitions)) => Some(Array::from([TopicPartitions {
                topic_id,
                partitions: Array::from(partitions.to_vec()),
            }])),
            None => (epoch == 0).then(Array::empty),
        },
        ..ConsumerGroupHeartbeatRequest::default()
    };
    let (epoch, topic_id, partitions) = broker.world.run(async {
        let frame = peer.ask(1, &request(0, None)).await;
        let response = decoded::<ConsumerGroupHeartbeatResponse<'_>>(1, &frame);
        assert_eq!(response.error_code, 0, "{:?}", response.error_message);
        let assigned = response
            .assignment
            .unwrap()
            .topic_partitions
            .first()
            .unwrap();
        let mut partitions = assigned.partitions.to_vec();
        partitions.sort_unstable();
        (response.member_epoch, assigned.topic_id, partitions)
    });
    assert_eq!(partitions, [0, 1, 2, 3]);
    broker.crash(Crash::LoseUnsynced);
    broker.begin();
    let mut peer = broker.peer();
    broker.world.run(async {
        loaded(&mut peer, &["k"]).await;
        let owned = Some((topic_id, partitions.as_slice()));
        let frame = peer.ask(1, &request(epoch, owned)).await;
        let response = decoded::<ConsumerGroupHeartbeatResponse<'_>>(1, &frame);
        assert_eq!((response.error_code, response.member_epoch), (0, epoch));
        let listed = peer.groups().await.unwrap();
        assert_eq!(listed, [("k".to_owned(), "Stable".to_owned())]);
        let frame = peer.ask(1, &request(epoch + 7, None)).await;
        let response = decoded::<ConsumerGroupHeartbeatResponse<'_>>(1, &frame);
        assert_eq!(response.error_code, ErrorCode::FencedMemberEpoch.id());
    });
}

/// A batch of one commit of group `t`, in a transaction of `producer`.
fn commit_in_transaction(producer: i64, partition: i32, offset: i64) -> Vec<u8> {
    let key = GroupKey::OffsetCommit(OffsetCommitKey {
        group: "t",
        topic: "orders",
        partition,
    });
    let value = GroupValue::OffsetCommit(OffsetCommitValue {
        offset,
        commit_timestamp: 1_767_225_600_000,
        ..OffsetCommitValue::default()
    });
    let value = value.encode(value.written_version()).unwrap();
    let mut builder = transaction(producer);
    builder
        .append(
            1_767_225_600_000,
            Some(&key.encode().unwrap()),
            Some(&value),
            &[],
        )
        .unwrap();
    finished(builder)
}

/// The end of a transaction of `producer`.
fn marker(producer: i64, outcome: Outcome) -> Vec<u8> {
    let mut builder = transaction(producer);
    let marker = EndTxnMarker {
        outcome,
        coordinator_epoch: 0,
    };
    builder
        .append_control(1_767_225_600_000, &ControlRecord::EndTxn(marker))
        .unwrap();
    finished(builder)
}

fn transaction(producer: i64) -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    builder.set_transactional(true);
    builder.set_producer(Producer {
        id: producer,
        epoch: 0,
        base_sequence: -1,
    });
    builder
}

fn finished(mut builder: BatchBuilder) -> Vec<u8> {
    let mut bytes = Vec::new();
    let compression = Compression::of(highwater_record::Codec::Gzip);
    builder
        .finish(&mut Compressor::new(), &compression, &mut bytes)
        .unwrap();
    bytes
}

#[test]
fn commits_that_kafka_wrote_in_transactions_count_when_their_transaction_was_committed() {
    let mut broker = broker(74, 3);
    let index = highwater_coordinator::partition_for("t", 5);
    let partition = broker.partition("__consumer_offsets", index);
    broker.world.run(async {
        for batch in [
            commit_in_transaction(7, 0, 70),
            commit_in_transaction(8, 1, 80),
            commit_in_transaction(7, 1, 71),
            commit_in_transaction(9, 2, 90),
            marker(8, Outcome::Abort),
            marker(7, Outcome::Commit),
            commit_in_transaction(7, 3, 73),
        ] {
            let batch = highwater_record::Batch::check(&batch).unwrap();
            let placed = partition.produce(batch, Origin::Coordinator).unwrap();
            partition.committed(placed.end()).await.unwrap();
        }
    });
    drop(partition);
    broker.stop();
    broker.begin();
    let mut peer = broker.peer();
    let found = broker.world.run(loaded(&mut peer, &["t"]));
    assert_eq!(found, [Ok(vec![(0, 70), (1, 71)])]);
}

#[test]
fn what_is_no_group_record_is_passed_over() {
    let mut broker = broker(75, 2);
    let index = highwater_coordinator::partition_for("t", 5);
    let partition = broker.partition("__consumer_offsets", index);
    let mut peer = broker.peer();
    broker.world.run(async {
        assert_eq!(peer.commit("t", None, &[(0, 1)]).await, [0]);
        let mut builder = BatchBuilder::new();
        for key in [&b"\0\x01\0\xff"[..], b"\0\x63", b"", b"\0\x02\0\x01t"] {
            builder
                .append(1_767_225_600_000, Some(key), Some(b"\0\x63"), &[])
                .unwrap();
        }
        let batch = finished(builder);
        let batch = highwater_record::Batch::check(&batch).unwrap();
        partition.produce(batch, Origin::Coordinator).unwrap();
        assert_eq!(peer.commit("t", None, &[(1, 2)]).await, [0]);
    });
    drop(partition);
    broker.stop();
    broker.begin();
    let mut peer = broker.peer();
    let found = broker.world.run(loaded(&mut peer, &["t"]));
    assert_eq!(found, [Ok(vec![(0, 1), (1, 2)])]);
}

#[test]
fn when_the_offsets_topic_grows_every_group_is_still_answered_for() {
    let broker = broker(76, 3);
    let mut peer = broker.peer();
    let names: Vec<String> = (0..40).map(|n| format!("group-{n}")).collect();
    let groups: Vec<&str> = names.iter().map(String::as_str).collect();
    broker.world.run(async {
        for group in &groups {
            assert_eq!(peer.commit(group, None, &[(0, 1)]).await, [0]);
        }
        let request = CreatePartitionsRequest {
            topics: [CreatePartitionsTopic {
                name: "__consumer_offsets",
                count: 7,
                ..CreatePartitionsTopic::default()
            }]
            .into(),
            timeout_ms: 1000,
            ..CreatePartitionsRequest::default()
        };
        peer.ask(3, &request).await;
        // As in Kafka, a group whose place has changed begins anew; none is left without an answer.
        let found = loaded(&mut peer, &groups).await;
        assert!(found.iter().all(Result::is_ok), "{found:?}");
        for group in &groups {
            assert_eq!(peer.commit(group, None, &[(0, 2)]).await, [0]);
        }
        let expected = vec![Ok(vec![(0, 2)]); groups.len()];
        assert_eq!(peer.offsets(&groups).await, expected);
    });
}
