//! Groups of the consumer protocol (KIP-848): the coordinator shares the partitions out.

use std::collections::BTreeSet;
use std::time::Duration;

use highwater::admin::NewTopic;
use highwater::testing::TestCluster;
use highwater::{Assignor, ErrorCode, ErrorKind, GroupProtocol};
use tokio::time::timeout;

use crate::peer::{LONG, Peer, a_group_that_grows_and_shrinks, has, have, next, number};

#[tokio::test]
async fn a_group_hands_out_every_record_once_as_it_grows_and_shrinks() {
    a_group_that_grows_and_shrinks(Peer::consumer_member).await;
}

#[tokio::test]
async fn positions_are_committed_by_themselves_and_at_the_shutdown() {
    let peer = Peer::start().await;
    peer.produce(0..100).await;
    let mut consumer = peer.consumer_member().build().await.unwrap();
    let mut read = BTreeSet::new();
    for _ in 0..40 {
        read.insert(number(&next(&mut consumer).await));
    }
    consumer.shutdown(LONG).await.unwrap();
    assert_eq!(peer.committed().await, 40);
    let mut consumer = peer.consumer_member().build().await.unwrap();
    while read.len() < 100 {
        assert!(
            read.insert(number(&next(&mut consumer).await)),
            "it goes on where the other stopped"
        );
    }
}

#[tokio::test]
async fn a_static_member_comes_back_to_its_partitions_and_nobody_else_notices() {
    let peer = Peer::start().await;
    let member = |instance: &str| peer.consumer_member().instance_id(instance).build();
    let mut stays = member("stays").await.unwrap();
    has(&mut stays, 4).await;
    let mut goes = member("goes").await.unwrap();
    have([&mut stays, &mut goes], 2).await;
    let (before, had) = (stays.group().unwrap().metadata(), goes.assignment());
    goes.shutdown(LONG).await.unwrap();
    let mut back = member("goes").await.unwrap();
    has(&mut back, 2).await;
    assert_eq!(back.assignment(), had);
    assert_eq!(stays.group().unwrap().metadata(), before);
}

#[tokio::test]
async fn a_second_consumer_of_an_instance_id_waits_for_the_first_to_leave() {
    let peer = Peer::start().await;
    let member = || peer.consumer_member().instance_id("i").build();
    let mut first = member().await.unwrap();
    has(&mut first, 4).await;
    let mut second = member().await.unwrap();
    let early = timeout(Duration::from_millis(200), second.next()).await;
    assert!(
        early.is_err(),
        "it neither gets anything nor fails: {early:?}"
    );
    first.shutdown(LONG).await.unwrap();
    has(&mut second, 4).await;
}

#[tokio::test]
async fn a_topic_that_grows_or_is_made_later_is_shared_out_too() {
    let peer = Peer::start().await;
    let later = format!("{}-later", peer.topic);
    let builder = peer.consumer_member().subscribe([&later]);
    let mut consumer = builder.build().await.unwrap();
    has(&mut consumer, 4).await;
    let created = peer
        .client
        .admin()
        .create_topics([NewTopic::new(&later).partitions(2)])
        .await
        .unwrap();
    created[&later].as_ref().unwrap();
    has(&mut consumer, 6).await;
    consumer.subscribe([&later]).unwrap();
    has(&mut consumer, 2).await;
}

#[tokio::test]
async fn commits_of_what_is_not_ours_are_refused_and_those_of_an_older_epoch_made_in_the_newer() {
    let peer = Peer::start().await;
    let mut consumer = peer.consumer_member().build().await.unwrap();
    has(&mut consumer, 4).await;
    let group = consumer.group().unwrap();
    let epoch = group.metadata().generation;
    group.commit([(peer.place(0), 7)]).await.unwrap();
    let mut other = peer.consumer_member().build().await.unwrap();
    have([&mut consumer, &mut other], 2).await;
    assert!(group.metadata().generation > epoch);
    let theirs = other.assignment().remove(0);
    let error = group.commit([(theirs.clone(), 8)]).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::IllegalGeneration));
    assert_eq!(error.topic_partition(), Some(&theirs));
    let mine = consumer.assignment().remove(0);
    group.commit([(mine, 8)]).await.unwrap();
}

#[tokio::test]
async fn who_does_not_say_is_in_a_group_of_the_consumer_protocol_unless_it_sets_what_only_the_classic_has()
 {
    let peer = Peer::start().await;
    let mut consumer = peer.any_member().build().await.unwrap();
    has(&mut consumer, 4).await;
    let kinds = peer.client.admin().list_groups().await.unwrap();
    let kind = |group: &str| {
        let group = kinds.iter().find(|it| it.id == group).unwrap();
        format!("{:?}", group.kind)
    };
    assert_eq!(kind(&peer.group), "Consumer");
    let refused = peer
        .consumer_member()
        .assignors([Assignor::RoundRobin])
        .build()
        .await
        .unwrap_err();
    assert_eq!(*refused.kind(), ErrorKind::Config);
    let wrong = peer.consumer_member().configure(|config| {
        config.group.remote_assignor = Some("no such".to_owned());
    });
    let mut wrong = wrong.group("another").build().await.unwrap();
    let error = timeout(LONG, wrong.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UnsupportedAssignor));
}

#[tokio::test]
async fn classic_members_and_members_of_the_consumer_protocol_share_one_group() {
    let peer = Peer::start().await;
    let mut classic = peer.member().build().await.unwrap();
    has(&mut classic, 4).await;
    // The group becomes one of the other kind under the classic member's feet.
    let mut consumer = peer.any_member().build().await.unwrap();
    have([&mut classic, &mut consumer], 2).await;
    consumer.shutdown(LONG).await.unwrap();
    has(&mut classic, 4).await;
    let mut late = peer
        .any_member()
        .configure(|config| config.group.protocol = GroupProtocol::Consumer)
        .build()
        .await
        .unwrap();
    have([&mut late, &mut classic], 2).await;
}

#[tokio::test]
async fn where_a_classic_group_has_to_stay_one_whoever_does_not_say_joins_by_the_classic_protocol()
{
    let cluster = TestCluster::builder()
        .topic("t", 2)
        .setting("group.consumer.migration.policy", "disabled")
        .start()
        .await
        .unwrap();
    let member = |protocol| {
        let builder = cluster.client().consumer().group("g").subscribe(["t"]);
        builder.configure(move |config| config.group.protocol = protocol)
    };
    let mut old = member(GroupProtocol::Classic).build().await.unwrap();
    has(&mut old, 2).await;
    let mut new = member(GroupProtocol::Consumer).build().await.unwrap();
    let error = timeout(LONG, new.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::GroupIdNotFound));
    drop(new);
    let mut either = member(GroupProtocol::Auto).build().await.unwrap();
    // A classic member learns of the newcomer with its next heartbeat.
    have([&mut old, &mut either], 1).await;
    let pattern = cluster
        .client()
        .consumer()
        .group("g")
        .subscribe_pattern("t");
    let mut third = pattern.build().await.unwrap();
    either.shutdown(LONG).await.unwrap();
    have([&mut old, &mut third], 1).await;
}

#[tokio::test]
async fn a_topic_that_is_made_again_is_read_from_its_beginning() {
    let peer = Peer::start().await;
    peer.produce(0..40).await;
    let mut consumer = peer.consumer_member().build().await.unwrap();
    for _ in 0..40 {
        next(&mut consumer).await;
    }
    consumer.commit().await.unwrap();
    let admin = peer.client.admin();
    let deleted = admin.delete_topics([&peer.topic]).await.unwrap();
    deleted[&peer.topic].as_ref().unwrap();
    has(&mut consumer, 0).await;
    let topic = NewTopic::new(&peer.topic).partitions(2);
    let made = timeout(LONG, async {
        loop {
            let made = admin.create_topics([topic.clone()]).await.unwrap();
            match &made[&peer.topic] {
                Ok(_) => break,
                // It takes its time to go.
                Err(error) => assert_eq!(error.code(), Some(ErrorCode::TopicAlreadyExists)),
            }
        }
    });
    made.await.unwrap();
    has(&mut consumer, 2).await;
    let producer = peer.client.producer().build().await.unwrap();
    let value = 7u32.to_be_bytes();
    let record = highwater::Record::to(&peer.topic)
        .partition(1)
        .value(&value);
    producer.send(record).await.unwrap();
    let record = next(&mut consumer).await;
    assert_eq!(
        (record.partition(), record.offset(), number(&record)),
        (1, 0, 7)
    );
}
