//! Groups and their commits after a crash.

use highwater_reactor::sim::Crash;
use highwater_wire::message::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use highwater_wire::message::sync_group::SyncGroupRequest;
use highwater_wire::{Array, ErrorCode};
use uuid::Uuid;

use super::{broker, loaded};
use crate::harness::{Peer, decoded, seconds};

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
