//! The partitioners against those they are named after.

use std::collections::BTreeMap;

use highwater::Record;
use highwater::partitioner::{Choice, Partitioner, Rule, TopicView};

const GOLDEN: &str = include_str!("golden/partitions.tsv");

const COLUMNS: [(&str, Rule); 10] = [
    ("java", Rule::Java),
    ("sarama_hash", Rule::SaramaHash),
    ("sarama_reference_hash", Rule::SaramaReferenceHash),
    ("sarama_consistent_crc", Rule::SaramaConsistentCrc),
    ("consistent", Rule::Consistent),
    ("consistent_random", Rule::ConsistentRandom),
    ("murmur2", Rule::Murmur2),
    ("murmur2_random", Rule::Java),
    ("fnv1a", Rule::Fnv1a),
    ("fnv1a_random", Rule::Fnv1aRandom),
];

fn key(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex"))
        .collect()
}

#[test]
fn every_key_goes_where_the_original_sends_it() {
    let mut lines = GOLDEN.lines();
    let names: Vec<_> = lines
        .next()
        .expect("a heading")
        .split('\t')
        .skip(2)
        .collect();
    assert_eq!(names, COLUMNS.map(|(name, _)| name));
    let mut held = BTreeMap::new();
    for line in lines {
        let cells: Vec<_> = line.split('\t').collect();
        let (key, partitions) = (key(cells[0]), cells[1].parse().expect("a number"));
        let (record, view) = (Record::to("t").key(&key), TopicView::new("t", partitions));
        for ((name, rule), cell) in COLUMNS.iter().zip(&cells[2..]) {
            let choice = rule.choose(&record, &view);
            match cell.parse() {
                Ok(partition) => {
                    assert_eq!(
                        choice,
                        Choice::Fixed(partition),
                        "{name}: {key:?} of {partitions}"
                    );
                    *held.entry(*name).or_insert(0) += 1;
                }
                Err(_) => assert!(matches!(choice, Choice::Any(_)), "{name}: {key:?}"),
            }
        }
    }
    assert!(
        held.len() == COLUMNS.len() && held.values().all(|count| *count >= 555),
        "{held:?}"
    );
}
