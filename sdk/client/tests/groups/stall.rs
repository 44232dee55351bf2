//! An application that does not ask for records (`max.poll.interval.ms`), in a group of either protocol.

use std::collections::BTreeSet;
use std::time::Duration;

use highwater::ConsumerEvent;
use tokio::time::timeout;

use crate::peer::{LONG, Peer, next, number};

#[tokio::test]
async fn an_application_that_does_not_ask_is_told_and_comes_back_when_it_does() {
    let peer = Peer::start().await;
    peer.produce(0..8).await;
    let limit = Duration::from_millis(400);
    for member in [peer.member(), peer.consumer_member()] {
        let member = member.auto_commit(None);
        let member = member.configure(|config| config.group.poll_interval_max = limit);
        let mut consumer = member.build().await.unwrap();
        let mut events = consumer.events();
        next(&mut consumer).await;
        assert_eq!(consumer.assignment().len(), 4);
        let told = async {
            loop {
                let event = events.next().await.unwrap();
                if let ConsumerEvent::PollStalled { limit } = event {
                    return limit;
                }
                // That is told when somebody asks.
                assert!(!matches!(event, ConsumerEvent::Lost(_)), "{event:?}");
            }
        };
        let told = timeout(LONG, told).await.expect("while nobody asks");
        assert_eq!(told, limit);
        // Nothing is committed: everything comes again.
        let mut seen = BTreeSet::new();
        while seen.len() < 8 {
            seen.insert(number(&next(&mut consumer).await));
        }
        let lost = async {
            loop {
                if let Some(ConsumerEvent::Lost(places)) = events.next().await {
                    return places.len();
                }
            }
        };
        let lost = timeout(LONG, lost).await.expect("what it had was lost");
        assert_eq!(lost, 4);
        consumer.shutdown(LONG).await.unwrap();
    }
}
