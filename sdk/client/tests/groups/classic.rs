//! Groups of the classic protocol, and what an administrator sees of them.

use std::collections::BTreeSet;
use std::time::Duration;

use highwater::admin::{GroupState, NewTopic};
use highwater::{Assignor, Client, Committed, ErrorCode, ErrorKind, OffsetReset, Start};
use tokio::time::timeout;

use crate::peer::{LONG, Peer, a_group_that_grows_and_shrinks, has, have, next, number};

#[tokio::test]
async fn an_eager_group_hands_out_every_record_once_as_it_grows_and_shrinks() {
    a_group_that_grows_and_shrinks(|peer| peer.member().assignors([Assignor::Range])).await;
}

#[tokio::test]
async fn a_sticky_group_hands_out_every_record_once_as_it_grows_and_shrinks() {
    a_group_that_grows_and_shrinks(|peer| peer.member().assignors([Assignor::Sticky])).await;
}

#[tokio::test]
async fn a_cooperative_group_hands_out_every_record_once_as_it_grows_and_shrinks() {
    a_group_that_grows_and_shrinks(|peer| peer.member().assignors([Assignor::CooperativeSticky]))
        .await;
}

#[tokio::test]
async fn positions_are_committed_by_themselves_and_at_the_shutdown() {
    let peer = Peer::start().await;
    peer.produce(0..100).await;
    let every = Some(Duration::from_millis(20));
    let mut consumer = peer.member().auto_commit(every).build().await.unwrap();
    let mut read = BTreeSet::new();
    for _ in 0..40 {
        read.insert(number(&next(&mut consumer).await));
    }
    // The interval passes while records are asked for.
    while peer.committed().await == 0 {
        if let Ok(record) = timeout(Duration::from_millis(5), consumer.next()).await {
            read.insert(number(&record.unwrap().unwrap()));
        }
    }
    consumer.shutdown(LONG).await.unwrap();
    assert_eq!(peer.committed().await, i64::try_from(read.len()).unwrap());
    peer.produce(100..200).await;
    let mut consumer = peer.member().auto_commit(None).build().await.unwrap();
    while read.len() < 200 {
        assert!(
            read.insert(number(&next(&mut consumer).await)),
            "it goes on where the other stopped"
        );
    }
    // Not a word of the rest: it was never committed.
    drop(consumer);
    let mut consumer = peer.member().auto_commit(None).build().await.unwrap();
    next(&mut consumer).await;
}

#[tokio::test]
async fn dropping_calls_for_records_loses_neither_records_nor_partitions() {
    let peer = Peer::start().await;
    peer.produce(0..200).await;
    let mut consumer = peer.member().build().await.unwrap();
    let mut read = BTreeSet::new();
    while read.len() < 200 {
        if let Ok(record) = timeout(Duration::from_millis(1), consumer.next()).await {
            assert!(read.insert(number(&record.unwrap().unwrap())));
        }
    }
    assert_eq!(consumer.assignment().len(), 4);
    consumer.commit().await.unwrap();
    assert_eq!(peer.committed().await, 200);
}

#[tokio::test]
async fn without_a_commit_the_reset_policy_says_where_to_begin() {
    let peer = Peer::start().await;
    peer.produce(0..8).await;
    let builder = peer
        .member()
        .offset_reset(OffsetReset::Fail)
        .auto_commit(None);
    let mut consumer = builder.build().await.unwrap();
    let error = timeout(LONG, consumer.next()).await.unwrap().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Offset);
    let place = error.topic_partition().unwrap().clone();
    consumer.seek(&place, Start::Offset(1)).unwrap();
    loop {
        match timeout(LONG, consumer.next()).await.unwrap() {
            Ok(record) => {
                let record = record.unwrap();
                assert_eq!((record.partition(), record.offset()), (place.partition, 1));
                break;
            }
            Err(error) => assert_eq!(*error.kind(), ErrorKind::Offset),
        }
    }
}

#[tokio::test]
async fn a_static_member_comes_back_to_its_partitions_and_nobody_else_notices() {
    let peer = Peer::start().await;
    let mut stays = peer.member().instance_id("stays").build().await.unwrap();
    has(&mut stays, 4).await;
    let mut goes = peer.member().instance_id("goes").build().await.unwrap();
    have([&mut stays, &mut goes], 2).await;
    let (before, had) = (stays.group().unwrap().metadata(), goes.assignment());
    goes.shutdown(LONG).await.unwrap();
    let mut back = peer.member().instance_id("goes").build().await.unwrap();
    has(&mut back, 2).await;
    assert_eq!(back.assignment(), had);
    assert_eq!(stays.group().unwrap().metadata(), before);
}

#[tokio::test]
async fn a_second_consumer_of_an_instance_id_fences_the_first() {
    let peer = Peer::start().await;
    let mut first = peer.member().instance_id("i").build().await.unwrap();
    has(&mut first, 4).await;
    let mut second = peer.member().instance_id("i").build().await.unwrap();
    has(&mut second, 4).await;
    for _ in 0..2 {
        let error = timeout(LONG, first.next()).await.unwrap().unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Fenced);
        assert!(error.is_fatal());
    }
    assert_eq!(first.assignment(), []);
}

#[tokio::test]
async fn a_topic_that_grows_or_is_made_later_is_shared_out_too() {
    let peer = Peer::start().await;
    let later = format!("{}-later", peer.topic);
    // Asking must not create it.
    let client = Client::builder(peer.bootstrap());
    let client = client
        .configure(|config| config.auto_create_topics = false)
        .connect()
        .await
        .unwrap();
    let builder = client
        .consumer()
        .group(&peer.group)
        .subscribe([&peer.topic, &later]);
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
    let error = consumer
        .assign_topic(&later, Start::Earliest)
        .await
        .unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Config);
}

#[tokio::test]
async fn commits_of_what_is_not_ours_are_refused() {
    let peer = Peer::start().await;
    let mut consumer = peer
        .member()
        .assignors([Assignor::CooperativeSticky])
        .build()
        .await
        .unwrap();
    has(&mut consumer, 4).await;
    let group = consumer.group().unwrap();
    group.commit([(peer.place(0), 7)]).await.unwrap();
    let committed = group
        .committed([peer.place(0), peer.place(1)])
        .await
        .unwrap();
    assert_eq!(
        committed[&peer.place(0)].as_ref().map(|it| it.offset),
        Some(7)
    );
    assert_eq!(committed[&peer.place(1)], None);
    let mut other = peer
        .member()
        .assignors([Assignor::CooperativeSticky])
        .build()
        .await
        .unwrap();
    have([&mut consumer, &mut other], 2).await;
    let theirs = other.assignment().remove(0);
    let error = group.commit([(theirs.clone(), 8)]).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::IllegalGeneration));
    assert_eq!(error.topic_partition(), Some(&theirs));
    let mine = consumer.assignment().remove(0);
    group.commit([(mine, 8)]).await.unwrap();
}

#[tokio::test]
async fn a_consumer_of_given_partitions_commits_from_outside_of_the_group() {
    let peer = Peer::start().await;
    peer.produce(0..8).await;
    let builder = peer.client.consumer().group(&peer.group);
    let mut consumer = builder
        .auto_commit(None)
        .assign(&peer.topic, 1, Start::Earliest)
        .build()
        .await
        .unwrap();
    next(&mut consumer).await;
    consumer.commit().await.unwrap();
    assert_eq!(peer.committed().await, 1);
    consumer.shutdown(LONG).await.unwrap();
    assert_eq!(peer.committed().await, 1, "nothing is committed by itself");
}

#[tokio::test]
async fn an_administrator_sees_groups_and_sets_their_offsets_while_they_are_empty() {
    let peer = Peer::start().await;
    let admin = peer.client.admin();
    let mut consumer = peer.member().build().await.unwrap();
    has(&mut consumer, 4).await;
    let listed = admin.list_groups().await.unwrap();
    let listed = listed.iter().find(|it| it.id == peer.group).unwrap();
    assert_eq!(
        (listed.state, listed.protocol_type.as_str()),
        (GroupState::Stable, "consumer")
    );
    let described = admin.describe_groups([&peer.group]).await.unwrap();
    let described = described[&peer.group].as_ref().unwrap();
    assert_eq!(
        (described.state, described.assignor.as_str()),
        (GroupState::Stable, "range")
    );
    let member = &described.members[0];
    assert_eq!(
        member.member_id,
        consumer.group().unwrap().metadata().member_id
    );
    assert_eq!(
        member.assignment,
        consumer.assignment().into_iter().collect()
    );
    let offsets = [(
        peer.place(0),
        Committed {
            metadata: "by hand".to_owned(),
            ..3.into()
        },
    )];
    let refused = admin
        .alter_group_offsets(&peer.group, offsets.clone())
        .await
        .unwrap();
    let code = refused[&peer.place(0)].as_ref().unwrap_err().code();
    assert_eq!(code, Some(ErrorCode::UnknownMemberId));
    let refused = admin.delete_groups([&peer.group]).await.unwrap();
    let code = refused[&peer.group].as_ref().unwrap_err().code();
    assert_eq!(code, Some(ErrorCode::NonEmptyGroup));
    consumer.shutdown(LONG).await.unwrap();
    let altered = admin
        .alter_group_offsets(&peer.group, offsets.clone())
        .await
        .unwrap();
    altered[&peer.place(0)].as_ref().unwrap();
    let found = admin.group_offsets(&peer.group, None).await.unwrap();
    assert_eq!(
        found[&peer.place(0)].as_ref().unwrap().as_ref(),
        Some(&offsets[0].1)
    );
    let deleted = admin
        .delete_group_offsets(&peer.group, &[peer.place(0)].into())
        .await
        .unwrap();
    deleted[&peer.place(0)].as_ref().unwrap();
    let asked = [peer.place(0)].into();
    let found = admin
        .group_offsets(&peer.group, Some(&asked))
        .await
        .unwrap();
    assert_eq!(found[&peer.place(0)].as_ref().unwrap(), &None);
    // Without members and offsets there may be no group left.
    let gone = admin.delete_groups([&peer.group]).await.unwrap();
    let code = gone[&peer.group]
        .as_ref()
        .map_or_else(highwater::Error::code, |()| None);
    assert!(
        matches!(code, None | Some(ErrorCode::GroupIdNotFound)),
        "{gone:?}"
    );
    let described = admin.describe_groups([&peer.group]).await.unwrap();
    let code = described[&peer.group].as_ref().unwrap_err().code();
    assert_eq!(code, Some(ErrorCode::GroupIdNotFound));
}
