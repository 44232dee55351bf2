//! What members are told when another dies, the broker stops, or the disk fails.

use highwater_wire::ErrorCode;

use super::broker;
use crate::harness::seconds;

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
