//! What a group comes to when a request of its members goes wrong: everything is handed out, and nothing twice unless a member
//! was told that it lost its partitions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use highwater::testing::{ApiKey, Fault, TestCluster};
use highwater::{Client, Consumer, ErrorCode, GroupProtocol, OffsetReset, Rebalance, Record};
use tokio::time::timeout;

use crate::peer::{LONG, number};

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 4;
const RECORDS: u32 = 40;

/// A broker whose sessions are short.
async fn cluster() -> TestCluster {
    let cluster = TestCluster::builder()
        .topic(TOPIC, PARTITIONS)
        .setting("group.consumer.heartbeat.interval.ms", "30")
        .setting("group.consumer.session.timeout.ms", "1500")
        .start()
        .await
        .unwrap();
    let producer = cluster.client().producer().build().await.unwrap();
    for number in 0..RECORDS {
        let partition = i32::try_from(number).unwrap() % PARTITIONS;
        let value = number.to_be_bytes();
        let record = Record::to(TOPIC).partition(partition).value(&value);
        producer.send(record).await.unwrap();
    }
    cluster
}

/// A member that does not wait long for anything, on connections of its own.
async fn member(
    cluster: &TestCluster,
    group: &str,
    protocol: GroupProtocol,
    lost: &Arc<AtomicBool>,
) -> Consumer {
    let client = Client::builder(cluster.bootstrap())
        .request_timeout(Duration::from_millis(500))
        .configure(|config| {
            config.retry_backoff = Duration::from_millis(5);
            config.retry_backoff_max = Duration::from_millis(50);
            config.reconnect_backoff = Duration::from_millis(5);
            config.reconnect_backoff_max = Duration::from_millis(50);
            // Before the test is over: whoever waits says for what.
            config.api_timeout = Duration::from_secs(20);
        })
        .connect()
        .await
        .unwrap();
    let lost = Arc::clone(lost);
    let builder = client.consumer().group(group).subscribe([TOPIC]);
    let builder = builder
        .auto_commit(None)
        .offset_reset(OffsetReset::Earliest)
        .fetch(1, Duration::from_millis(50))
        .configure(|config| {
            config.group.protocol = protocol;
            if protocol == GroupProtocol::Classic {
                config.group.session_timeout = Duration::from_millis(1500);
                config.group.heartbeat_interval = Duration::from_millis(30);
            }
        })
        .on_rebalance(move |rebalance, group| {
            let lost = Arc::clone(&lost);
            async move {
                match rebalance {
                    Rebalance::Assigned(_) => {}
                    Rebalance::Lost(_) => lost.store(true, Ordering::Relaxed),
                    Rebalance::Revoked(positions) => {
                        let read = positions
                            .into_iter()
                            .filter_map(|(place, at)| Some((place, at?)));
                        // What went to another already, that one reads again.
                        if group.commit(read).await.is_err() {
                            lost.store(true, Ordering::Relaxed);
                        }
                    }
                }
            }
        });
    builder.build().await.unwrap()
}

/// What it hands out next, if that is soon.
async fn ask(consumer: &mut Consumer) -> Option<u32> {
    let record = timeout(Duration::from_millis(5), consumer.next()).await;
    Some(number(&record.ok()?.unwrap().unwrap()))
}

/// Two members share the topic, one leaves, and each fault strikes when this request of theirs comes.
async fn a_group_stands(protocol: GroupProtocol, api: ApiKey, faults: &[Fault]) {
    static GROUPS: AtomicU32 = AtomicU32::new(0);
    let cluster = cluster().await;
    for fault in faults {
        let group = format!("g{}", GROUPS.fetch_add(1, Ordering::Relaxed));
        let rule = cluster.fail(api, *fault).times(2);
        let lost = Arc::new(AtomicBool::new(false));
        let lives = async {
            let mut first = member(&cluster, &group, protocol, &lost).await;
            let (mut numbers, mut handed_out) = (BTreeSet::new(), 0);
            let mut note = |number: Option<u32>| {
                handed_out += u32::from(number.is_some());
                numbers.extend(number);
                numbers.len()
            };
            while note(ask(&mut first).await) < 10 {}
            let mut second = member(&cluster, &group, protocol, &lost).await;
            while second.assignment().is_empty() {
                note(ask(&mut first).await);
                note(ask(&mut second).await);
            }
            // The first one's part is the other's once it has left.
            let (left, _) = tokio::join!(first.shutdown(LONG), async {
                while second.assignment().len() < 4 {
                    note(ask(&mut second).await);
                }
            });
            left.unwrap();
            while note(ask(&mut second).await) < RECORDS as usize {}
            second.commit().await.unwrap();
            second.shutdown(LONG).await.unwrap();
            handed_out
        };
        let handed_out = timeout(LONG, lives).await;
        let handed_out =
            handed_out.unwrap_or_else(|_| panic!("{fault:?} of {api} is not got over"));
        assert!(rule.struck() > 0, "{fault:?} of {api} did not strike");
        let is_once = handed_out == RECORDS || lost.load(Ordering::Relaxed);
        assert!(
            is_once,
            "{handed_out} of {RECORDS} after {fault:?} of {api}"
        );
        cluster.stop_faults();
        let committed = cluster.client().admin().group_offsets(&group, None).await;
        let committed = committed.unwrap().into_values();
        let sum: i64 = committed.map(|it| it.unwrap().unwrap().offset).sum();
        assert_eq!(sum, i64::from(RECORDS), "after {fault:?} of {api}");
    }
}

/// What may happen to any request.
const ANY: [Fault; 7] = [
    Fault::Refuse(ErrorCode::CoordinatorLoadInProgress),
    Fault::Refuse(ErrorCode::NotCoordinator),
    Fault::DisconnectBefore,
    Fault::DisconnectAfter,
    Fault::Cut,
    Fault::WrongCorrelation,
    Fault::Duplicate,
];

#[tokio::test]
async fn a_member_of_the_consumer_protocol_gets_over_what_happens_to_its_heartbeats() {
    use ErrorCode::{FencedMemberEpoch, UnknownMemberId};
    let faults = [
        Fault::Refuse(UnknownMemberId),
        Fault::Refuse(FencedMemberEpoch),
        Fault::RefuseAfter(FencedMemberEpoch),
        Fault::Lose,
        Fault::Drop,
    ];
    let faults = [&ANY[..], &faults].concat();
    a_group_stands(
        GroupProtocol::Consumer,
        ApiKey::ConsumerGroupHeartbeat,
        &faults,
    )
    .await;
}

#[tokio::test]
async fn a_member_of_the_consumer_protocol_gets_over_what_happens_to_its_offsets() {
    let stale = [Fault::Refuse(ErrorCode::StaleMemberEpoch), Fault::Drop];
    let faults = [&ANY[..], &stale].concat();
    for api in [ApiKey::OffsetCommit, ApiKey::OffsetFetch] {
        a_group_stands(GroupProtocol::Consumer, api, &faults).await;
    }
}

#[tokio::test]
async fn members_get_over_what_happens_when_they_look_for_their_coordinator() {
    let faults = [
        Fault::Refuse(ErrorCode::CoordinatorNotAvailable),
        Fault::Drop,
    ];
    let faults = [&ANY[2..], &faults].concat();
    for protocol in [GroupProtocol::Classic, GroupProtocol::Consumer] {
        a_group_stands(protocol, ApiKey::FindCoordinator, &faults).await;
    }
}

#[tokio::test]
async fn a_classic_member_gets_over_what_happens_when_it_joins() {
    let faults = [&ANY[..], &[Fault::Refuse(ErrorCode::UnknownMemberId)]].concat();
    a_group_stands(GroupProtocol::Classic, ApiKey::JoinGroup, &faults).await;
}

#[tokio::test]
async fn a_classic_member_gets_over_what_happens_to_its_assignment() {
    let faults = [
        Fault::Refuse(ErrorCode::RebalanceInProgress),
        Fault::Refuse(ErrorCode::UnknownMemberId),
        Fault::Drop,
    ];
    let faults = [&ANY[..], &faults].concat();
    a_group_stands(GroupProtocol::Classic, ApiKey::SyncGroup, &faults).await;
}

#[tokio::test]
async fn a_classic_member_gets_over_what_happens_to_its_heartbeats() {
    let faults = [
        Fault::Refuse(ErrorCode::RebalanceInProgress),
        Fault::Refuse(ErrorCode::IllegalGeneration),
        Fault::Refuse(ErrorCode::UnknownMemberId),
        Fault::Drop,
    ];
    let faults = [&ANY[..], &faults].concat();
    a_group_stands(GroupProtocol::Classic, ApiKey::Heartbeat, &faults).await;
}

#[tokio::test]
async fn a_member_outlives_a_restart_of_its_coordinator() {
    for protocol in [GroupProtocol::Classic, GroupProtocol::Consumer] {
        let mut cluster = cluster().await;
        let lost = Arc::new(AtomicBool::new(false));
        let mut consumer = member(&cluster, "g", protocol, &lost).await;
        let mut numbers = BTreeSet::new();
        while numbers.len() < 10 {
            numbers.extend(ask(&mut consumer).await);
        }
        cluster.restart().await.unwrap();
        let all = async {
            while numbers.len() < RECORDS as usize {
                numbers.extend(ask(&mut consumer).await);
            }
            consumer.commit().await.unwrap();
        };
        timeout(LONG, all).await.expect("it reads on");
        consumer.shutdown(LONG).await.unwrap();
        assert!(!lost.load(Ordering::Relaxed), "its session did not end");
    }
}
