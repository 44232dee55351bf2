//! The hash of what a group wants, held against Kafka's.

use super::super::hash;
use super::*;

/// Written by `Utils.computeGroupHash` of Kafka 4.1: `tests/golden/README.md`.
#[test]
fn the_hash_of_topics_is_kafkas() {
    let golden = include_str!("../../../tests/golden/hashes.txt");
    let mut groups = 0;
    for line in golden.lines() {
        let (expected, topics) = line.split_once(' ').unwrap();
        let topics = topics.split(';').filter(|topic| !topic.is_empty());
        let topics: Vec<(String, Uuid, i32)> = topics
            .map(|topic| {
                let [name, high, low, partitions] = topic.split(',').collect::<Vec<_>>()[..] else {
                    panic!("{topic}")
                };
                let bits = |text: &str| text.parse::<i64>().unwrap().cast_unsigned();
                let id = Uuid::from_u64_pair(bits(high), bits(low));
                (name.to_owned(), id, partitions.parse().unwrap())
            })
            .collect();
        let found = hash::of(topics.iter().map(|(name, id, partitions)| Topic {
            id: *id,
            name,
            partitions: *partitions,
        }));
        assert_eq!(found, expected.parse::<i64>().unwrap(), "{line}");
        groups += 1;
    }
    assert!(groups > 20);
}
