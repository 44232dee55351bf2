//! Members that want topics by a pattern.

use std::time::Duration;

use highwater::admin::NewTopic;
use highwater::{Client, ConsumerBuilder, ErrorKind, GroupProtocol};
use tokio::time::timeout;

use crate::peer::{LONG, Peer, has, have};

/// A client that looks for new topics all the time.
async fn eager(peer: &Peer) -> Client {
    Client::builder(peer.bootstrap())
        .configure(|config| config.metadata_age_max = Duration::from_millis(50))
        .connect()
        .await
        .unwrap()
}

fn member(client: &Client, peer: &Peer, protocol: GroupProtocol) -> ConsumerBuilder {
    client
        .consumer()
        .group(&peer.group)
        .subscribe_pattern(format!("{}(-.*)?", peer.topic))
        .configure(|config| config.group.protocol = protocol)
}

async fn make(peer: &Peer, topic: &str) {
    let topics = [NewTopic::new(topic).partitions(2)];
    let created = peer.client.admin().create_topics(topics).await.unwrap();
    created[topic].as_ref().unwrap();
}

async fn what_matches_is_read(protocol: GroupProtocol) {
    let peer = Peer::start().await;
    make(&peer, &format!("x{}", peer.topic)).await;
    let later = format!("{}-later", peer.topic);
    let is_late = protocol == GroupProtocol::Classic;
    if !is_late {
        // The coordinator has its own idea of how often to look for new ones, 10 s at least.
        make(&peer, &later).await;
    }
    let client = eager(&peer).await;
    let mut first = member(&client, &peer, protocol).build().await.unwrap();
    if is_late {
        has(&mut first, 4).await;
        make(&peer, &later).await;
    }
    has(&mut first, 6).await;
    let mut second = member(&client, &peer, protocol).build().await.unwrap();
    have([&mut first, &mut second], 3).await;
    second.shutdown(LONG).await.unwrap();
    has(&mut first, 6).await;
    // And by name again, or by another pattern.
    first.subscribe([&peer.topic]).unwrap();
    has(&mut first, 4).await;
    first
        .subscribe_pattern(&format!("{}-l.*", peer.topic))
        .unwrap();
    has(&mut first, 2).await;
}

#[tokio::test]
async fn a_classic_member_matches_topics_itself_and_those_that_come_later() {
    what_matches_is_read(GroupProtocol::Classic).await;
}

#[tokio::test]
async fn for_a_member_of_the_consumer_protocol_the_coordinator_does() {
    what_matches_is_read(GroupProtocol::Consumer).await;
}

#[tokio::test]
async fn another_pattern_is_matched_with_what_is_known_and_waits_for_no_metadata() {
    let peer = Peer::start().await;
    let other = format!("{}-other", peer.topic);
    make(&peer, &other).await;
    // This client asks for metadata every five minutes.
    let builder = member(&peer.client, &peer, GroupProtocol::Classic);
    let mut consumer = builder.build().await.unwrap();
    has(&mut consumer, 6).await;
    consumer.subscribe_pattern(&other).unwrap();
    has(&mut consumer, 2).await;
    consumer.subscribe_pattern(&peer.topic).unwrap();
    has(&mut consumer, 4).await;
}

#[tokio::test]
async fn a_member_whose_pattern_matches_nothing_yet_waits() {
    let peer = Peer::start().await;
    let client = eager(&peer).await;
    let later = format!("{}-later", peer.topic);
    let builder = client.consumer().group(&later).subscribe_pattern(&later);
    let builder = builder.configure(|config| config.group.protocol = GroupProtocol::Classic);
    let mut consumer = builder.build().await.unwrap();
    let early = timeout(Duration::from_millis(100), consumer.next()).await;
    assert!(early.is_err(), "{early:?}");
    make(&peer, &later).await;
    has(&mut consumer, 2).await;
    consumer.shutdown(LONG).await.unwrap();
}

#[tokio::test]
async fn what_is_no_pattern_or_not_the_only_subscription_is_refused() {
    let peer = Peer::start().await;
    for builder in [
        peer.client.consumer().group("g").subscribe_pattern("a("),
        peer.client.consumer().group("g").subscribe_pattern(""),
        peer.any_member().subscribe_pattern("a.*"),
        peer.client.consumer().subscribe_pattern("a.*"),
    ] {
        let error = builder.build().await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Config);
    }
}
