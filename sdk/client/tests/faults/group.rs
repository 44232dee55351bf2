//! Members of a group whose requests go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use highwater::testing::{ApiKey, Fault};
use highwater::{
    Assignor, Consumer, ErrorCode, GroupProtocol, OffsetReset, Rebalance, TopicPartition,
};
use tokio::time::timeout;

use crate::peer::{LONG, Peer, fill, number};

/// What the members of a group were given, and what they were handed out.
#[derive(Debug, Default)]
struct Ledger {
    /// Who has a partition, as the members were told.
    owners: BTreeMap<TopicPartition, usize>,
    /// Records by number, with how often each was handed out.
    records: BTreeMap<u32, usize>,
    lost: usize,
    /// What the test is at, for its failures.
    at: String,
}

type Shared = Arc<Mutex<Ledger>>;

/// A member that commits what it lets go, before its revoke completes.
async fn member(
    peer: &Peer,
    topic: &str,
    // Of the classic protocol; none is KIP-848.
    assignor: Option<Assignor>,
    index: usize,
    ledger: &Shared,
) -> Consumer {
    let told = Arc::clone(ledger);
    let client = peer.client().await;
    let builder = client
        .consumer()
        .group(format!("g-{topic}"))
        .subscribe([topic])
        .offset_reset(OffsetReset::Earliest)
        .auto_commit(None)
        .fetch(1, Duration::from_millis(50))
        .configure(|config| {
            config.group.protocol = GroupProtocol::Consumer;
            // What only a member of the classic protocol says.
            if let Some(assignor) = assignor {
                config.group.protocol = GroupProtocol::Classic;
                config.group.assignors = vec![assignor];
                config.group.heartbeat_interval = Duration::from_millis(50);
                config.group.session_timeout = Duration::from_secs(6);
            }
            // A rebalance may take so long; an answer to a join that was lost is waited for no longer.
            config.group.poll_interval_max = Duration::from_secs(5);
        })
        .on_rebalance(move |rebalance, group| {
            let told = Arc::clone(&told);
            async move {
                match rebalance {
                    Rebalance::Assigned(places) => {
                        let mut ledger = told.lock().unwrap();
                        for place in places {
                            ledger.owners.insert(place, index);
                        }
                    }
                    Rebalance::Revoked(positions) => {
                        let read = positions.iter();
                        let read = read.filter_map(|(place, at)| Some((place.clone(), (*at)?)));
                        // A commit that fails costs records that are handed out again.
                        let _ = group.commit(read).await;
                        let mut ledger = told.lock().unwrap();
                        let owners = &mut ledger.owners;
                        owners.retain(|place, of| *of != index || !positions.contains_key(place));
                    }
                    Rebalance::Lost(places) => {
                        let mut ledger = told.lock().unwrap();
                        ledger.lost += 1;
                        let owners = &mut ledger.owners;
                        owners.retain(|place, of| *of != index || !places.contains(place));
                    }
                }
            }
        });
    builder.build().await.unwrap()
}

/// Reads, and checks that every record is of a partition that this member has, until `done`.
async fn read(
    consumer: &mut Consumer,
    index: usize,
    ledger: &Shared,
    done: impl Fn(&Ledger) -> bool,
) {
    let reads = async {
        while !done(&ledger.lock().unwrap()) {
            let Ok(next) = timeout(Duration::from_millis(20), consumer.next()).await else {
                continue;
            };
            // A coordinator that cannot be reached for long is told, and the member goes on.
            let Ok(record) = next else { continue };
            let record = record.unwrap();
            let place = TopicPartition::new(record.topic(), record.partition());
            let mut ledger = ledger.lock().unwrap();
            assert_eq!(
                ledger.owners.get(&place),
                Some(&index),
                "{place} is not {index}'s"
            );
            let number = number(record.value().unwrap());
            *ledger.records.entry(number).or_default() += 1;
        }
    };
    let Err(_) = timeout(LONG, reads).await else {
        return;
    };
    let ledger = ledger.lock().unwrap();
    let (read, owners) = (ledger.records.len(), &ledger.owners);
    panic!("{index} waits at {}: {read} read, {owners:?}", ledger.at);
}

fn owns(ledger: &Ledger, index: usize) -> usize {
    ledger.owners.values().filter(|of| **of == index).count()
}

async fn every_request_of_a_group_fails_once(assignor: Option<Assignor>) {
    let peer = Peer::start().await;
    let topic = peer.topic(4).await;
    let direct = peer.direct().await;
    fill(&direct, &topic, 0..200).await;
    let ledger = Shared::default();
    let faults = [
        Fault::Cut,
        Fault::DisconnectAfter,
        Fault::Lose,
        Fault::Drop,
        Fault::Duplicate,
        Fault::WrongCorrelation,
    ];
    let apis = [
        ApiKey::FindCoordinator,
        ApiKey::JoinGroup,
        ApiKey::SyncGroup,
        ApiKey::OffsetFetch,
        ApiKey::Heartbeat,
        ApiKey::ConsumerGroupHeartbeat,
    ];
    let mut first = member(&peer, &topic, assignor, 1, &ledger).await;
    read(&mut first, 1, &ledger, |ledger| owns(ledger, 1) == 4).await;
    let mut from = 200;
    for fault in faults {
        // Another member comes and goes while everything it takes goes wrong once.
        ledger.lock().unwrap().at = format!("{fault:?}, coming");
        let rules = apis.map(|api| peer.fail(api, fault));
        let mut second = member(&peer, &topic, assignor, 2, &ledger).await;
        fill(&direct, &topic, from..from + 40).await;
        from += 40;
        let both = |ledger: &Ledger| {
            ledger.records.len() == usize::try_from(from).unwrap() && owns(ledger, 2) > 0
        };
        tokio::join!(
            read(&mut first, 1, &ledger, both),
            read(&mut second, 2, &ledger, both),
        );
        rules.iter().for_each(highwater::testing::Rule::stop);
        assert!(rules.iter().any(|rule| rule.struck() == 1), "{fault:?}");
        ledger.lock().unwrap().at = format!("{fault:?}, going");
        let alone = |ledger: &Ledger| owns(ledger, 1) == 4;
        let (left, ()) = tokio::join!(
            timeout(LONG, second.shutdown(Duration::from_secs(10))),
            read(&mut first, 1, &ledger, alone),
        );
        left.expect("it ends").unwrap();
    }
    let ledger = ledger.lock().unwrap();
    let numbers: BTreeSet<u32> = ledger.records.keys().copied().collect();
    assert_eq!(numbers, (0..from).collect(), "every record was handed out");
}

#[tokio::test]
async fn an_eager_group_loses_no_record_and_no_revoke_whatever_happens_to_its_requests() {
    every_request_of_a_group_fails_once(Some(Assignor::Range)).await;
}

#[tokio::test]
async fn a_cooperative_group_loses_no_record_and_no_revoke_whatever_happens_to_its_requests() {
    every_request_of_a_group_fails_once(Some(Assignor::CooperativeSticky)).await;
}

#[tokio::test]
async fn a_consumer_group_loses_no_record_and_no_revoke_whatever_happens_to_its_requests() {
    every_request_of_a_group_fails_once(None).await;
}

#[tokio::test]
async fn a_member_comes_back_from_every_refusal_of_its_group() {
    let peer = Peer::start().await;
    let topic = peer.topic(2).await;
    let direct = peer.direct().await;
    let ledger = Shared::default();
    let mut only = member(&peer, &topic, Some(Assignor::Range), 1, &ledger).await;
    read(&mut only, 1, &ledger, |ledger| owns(ledger, 1) == 2).await;
    let mut from = 0;
    for (api, code) in [
        (ApiKey::Heartbeat, ErrorCode::RebalanceInProgress),
        (ApiKey::Heartbeat, ErrorCode::UnknownMemberId),
        (ApiKey::Heartbeat, ErrorCode::IllegalGeneration),
        (ApiKey::Heartbeat, ErrorCode::NotCoordinator),
        (ApiKey::Heartbeat, ErrorCode::CoordinatorNotAvailable),
        (ApiKey::JoinGroup, ErrorCode::CoordinatorLoadInProgress),
        (ApiKey::JoinGroup, ErrorCode::UnknownMemberId),
        (ApiKey::SyncGroup, ErrorCode::RebalanceInProgress),
        (ApiKey::SyncGroup, ErrorCode::NotCoordinator),
        (ApiKey::OffsetFetch, ErrorCode::CoordinatorLoadInProgress),
        (ApiKey::FindCoordinator, ErrorCode::CoordinatorNotAvailable),
    ] {
        ledger.lock().unwrap().at = format!("{api} {code:?}");
        let rule = peer.fail(api, Fault::Refuse(code));
        // What is not asked every now and then is asked when the group changes.
        if api != ApiKey::Heartbeat {
            let rejoin = Fault::Refuse(ErrorCode::UnknownMemberId);
            let _ = peer.fail(ApiKey::Heartbeat, rejoin);
        }
        if api == ApiKey::FindCoordinator {
            let _ = peer.fail(ApiKey::Heartbeat, Fault::Refuse(ErrorCode::NotCoordinator));
        }
        read(&mut only, 1, &ledger, |_| rule.struck() == 1).await;
        fill(&direct, &topic, from..from + 10).await;
        from += 10;
        let all = |ledger: &Ledger| ledger.records.len() == usize::try_from(from).unwrap();
        read(&mut only, 1, &ledger, all).await;
    }
}

#[tokio::test]
async fn a_commit_ends_by_its_deadline_and_says_why() {
    let peer = Peer::start().await;
    let topic = peer.topic(2).await;
    fill(&peer.direct().await, &topic, 0..20).await;
    let ledger = Shared::default();
    let mut only = member(&peer, &topic, Some(Assignor::Range), 1, &ledger).await;
    read(&mut only, 1, &ledger, |ledger| ledger.records.len() == 20).await;
    for fault in [
        Fault::Cut,
        Fault::DisconnectBefore,
        Fault::Drop,
        Fault::Refuse(ErrorCode::CoordinatorLoadInProgress),
        Fault::Refuse(ErrorCode::NotCoordinator),
    ] {
        let rule = peer.fail(ApiKey::OffsetCommit, fault);
        let committed = timeout(LONG, only.commit()).await.expect("it ends");
        committed.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(rule.struck(), 1, "{fault:?}");
    }
    let refused = Fault::Refuse(ErrorCode::GroupAuthorizationFailed);
    let _ = peer.fail(ApiKey::OffsetCommit, refused);
    let error = timeout(LONG, only.commit()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::GroupAuthorizationFailed));
    peer.down().await;
    let left = only.shutdown(Duration::from_secs(1));
    // A broker that is gone does not keep anybody here.
    let _ = timeout(LONG, left).await.expect("it ends");
}
