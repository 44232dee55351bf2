//! Subscriptions by pattern.

use super::*;

fn by_pattern<'a>(member: &'a str, pattern: &'a str) -> ConsumerGroupHeartbeatRequest<'a> {
    ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: None,
        subscribed_topic_regex: Some(pattern),
        ..joining(member, &[])
    }
}

#[test]
fn a_member_gets_the_topics_that_match_its_pattern() {
    let mut house = House::new(&[("orders.eu", 1), ("orders.us", 1), ("payments", 1)]);
    let heard = house.send(&by_pattern("m1", "orders\\..*"));
    let orders = parts(&[("orders.eu", &[0]), ("orders.us", &[0])]);
    assert_eq!((heard.epoch, heard.assignment), (1, Some(orders)));
    assert!(house.group().is_subscribed_to("orders.us"));
    assert!(!house.group().is_subscribed_to("payments"));
}

#[test]
fn new_topics_that_match_are_noticed_though_not_at_any_pace() {
    let mut house = House::new(&[("orders.eu", 1)]);
    house.send(&by_pattern("m1", "orders\\..*"));
    house.pass(2000);
    house.shelve("orders.us", 1);
    assert_eq!(house.beat("m1", 1).epoch, 1);
    house.pass(8000);
    let heard = house.beat("m1", 1);
    let orders = parts(&[("orders.eu", &[0]), ("orders.us", &[0])]);
    assert_eq!((heard.epoch, heard.assignment), (2, Some(orders)));

    // A topic that does not match is nothing to write about.
    let batches = house.world.batches;
    house.shelve("payments", 1);
    house.pass(10_000);
    assert_eq!(house.beat("m1", 2).epoch, 2);
    assert_eq!(house.world.batches, batches);
}

#[test]
fn what_is_no_pattern_is_refused() {
    let mut house = House::new(&[("a", 1)]);
    for pattern in ["(", "[a", "a**", "(?=a)", "\\1"] {
        let heard = house.send(&by_pattern("m1", pattern));
        assert_eq!(
            heard,
            refused(ErrorCode::InvalidRegularExpression),
            "{pattern}"
        );
    }
    assert_eq!(house.world.batches, 0);
}

#[test]
fn a_pattern_goes_with_the_last_member_that_has_it() {
    let mut house = House::new(&[("a", 1), ("b", 1)]);
    house.send(&by_pattern("m1", "a.*"));
    house.send(&by_pattern("m2", "a.*"));
    house.beat("m1", -1);
    assert_eq!(house.group().patterns.len(), 1);
    let heard = house.send(&ConsumerGroupHeartbeatRequest {
        member_epoch: 2,
        subscribed_topic_regex: Some("b"),
        ..of("m2")
    });
    assert_eq!(heard.code, 0);
    let patterns: Vec<_> = house
        .group()
        .patterns
        .keys()
        .map(|p| p.to_string())
        .collect();
    assert_eq!(patterns, ["b"]);
    house.beat("m2", -1);
    assert!(house.group().patterns.is_empty());
    assert_eq!(house.timeouts(), 0);
}

#[test]
fn an_empty_pattern_takes_it_back() {
    let mut house = House::new(&[("a", 1), ("b", 1)]);
    house.send(&by_pattern("m1", "a"));
    let heard = house.send(&ConsumerGroupHeartbeatRequest {
        member_epoch: 1,
        subscribed_topic_names: Some(vec!["b"].into()),
        subscribed_topic_regex: Some(""),
        ..of("m1")
    });
    assert_eq!(heard.assignment, Some(Parts::new()));
    let heard = house.hold("m1", 1, &[]);
    assert_eq!(
        (heard.epoch, heard.assignment),
        (2, Some(parts(&[("b", &[0])])))
    );
    assert!(house.group().patterns.is_empty());
}

#[test]
fn names_and_a_pattern_add_up() {
    let mut house = House::new(&[("a", 1), ("b", 1), ("c", 1)]);
    let heard = house.send(&ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: Some(vec!["c"].into()),
        ..by_pattern("m1", "a|c")
    });
    assert_eq!(heard.assignment, Some(parts(&[("a", &[0]), ("c", &[0])])));
}

#[test]
fn patterns_are_looked_at_again_after_a_restart() {
    let mut house = House::new(&[("a1", 1)]);
    house.send(&by_pattern("m1", "a.*"));
    house.world.shelve("a2", 1);
    house.restart();
    house.pass(0);
    let heard = house.beat("m1", 1);
    assert_eq!(heard.assignment, Some(parts(&[("a1", &[0]), ("a2", &[0])])));
}
