//! The rules that other clients have, by the names they have there, so that a team that moves keeps its keys where they are.

use std::fmt;
use std::str::FromStr;

use highwater_record::murmur2;

use super::{Choice, Partitioner, Spread, TopicView, hash};
use crate::record::Record;

/// A rule of one of Kafka's clients.
///
/// "Without key" means no key at all unless said otherwise: an empty key is a key.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Java's since 3.3: a key by murmur2; without key [`Spread::Adaptive`].
    #[default]
    Java,
    /// Java's from 2.4 to 3.2, franz-go's `StickyKeyPartitioner`: a key by murmur2; without key [`Spread::Batch`].
    StickyKey,
    /// Java's `UniformStickyPartitioner`: keys are not looked at, [`Spread::Batch`].
    Sticky,
    /// Java's since 3.3 with `partitioner.ignore.keys=true`: keys are not looked at, [`Spread::Adaptive`].
    Adaptive,
    /// Each record to the next partition in turn; keys are not looked at.
    RoundRobin,
    /// Each record to any partition; keys are not looked at.
    Random,
    /// franz-go's `LeastBackupPartitioner`: keys are not looked at, [`Spread::LeastBackup`].
    LeastBackup,
    /// Every record must name its partition.
    Manual,
    /// sarama's default: a key by FNV-1a, `abs(hash % n)`; without key at random.
    SaramaHash,
    /// sarama's `NewReferenceHashPartitioner`: FNV-1a without its highest bit; without key at random.
    SaramaReferenceHash,
    /// sarama's `NewConsistentCRCHashPartitioner`: CRC-32; without key at random.
    SaramaConsistentCrc,
    /// librdkafka's `consistent`: CRC-32; without key as an empty one.
    Consistent,
    /// librdkafka's default: CRC-32; without key, **and with an empty one**, [`Spread::Adaptive`].
    ConsistentRandom,
    /// librdkafka's `murmur2`: murmur2; without key as an empty one.
    Murmur2,
    /// librdkafka's `fnv1a`: FNV-1a; without key as an empty one.
    Fnv1a,
    /// librdkafka's `fnv1a_random`: FNV-1a; without key [`Spread::Adaptive`].
    Fnv1aRandom,
}

/// Every rule with the names it is known by; the first is ours.
const NAMES: &[(Rule, &[&str])] = &[
    (
        Rule::Java,
        &[
            "default",
            "java",
            "murmur2_random",
            "murmur2_sticky",
            "BuiltInPartitioner",
        ],
    ),
    (Rule::StickyKey, &["sticky_key", "DefaultPartitioner"]),
    (Rule::Sticky, &["sticky", "UniformStickyPartitioner"]),
    (Rule::Adaptive, &["adaptive", "uniform_bytes"]),
    (
        Rule::RoundRobin,
        &["round_robin", "roundrobin", "RoundRobinPartitioner"],
    ),
    (Rule::Random, &["random"]),
    (Rule::LeastBackup, &["least_backup"]),
    (Rule::Manual, &["manual"]),
    (Rule::SaramaHash, &["sarama_hash"]),
    (Rule::SaramaReferenceHash, &["sarama_reference_hash"]),
    (Rule::SaramaConsistentCrc, &["sarama_consistent_crc"]),
    (Rule::Consistent, &["consistent"]),
    (Rule::ConsistentRandom, &["consistent_random"]),
    (Rule::Murmur2, &["murmur2"]),
    (Rule::Fnv1a, &["fnv1a"]),
    (Rule::Fnv1aRandom, &["fnv1a_random"]),
];

impl Rule {
    /// Every rule.
    pub fn all() -> impl Iterator<Item = Rule> {
        NAMES.iter().map(|(rule, _)| *rule)
    }

    /// The names a setting may give it, ours first: those of librdkafka and the class names of Java among them.
    #[must_use]
    pub fn names(self) -> &'static [&'static str] {
        NAMES
            .iter()
            .find(|(rule, _)| *rule == self)
            .map_or(&[], |(_, names)| *names)
    }

    /// How a key decides; `None` where keys are not looked at.
    fn by_key(self) -> Option<fn(&[u8], i32) -> i32> {
        match self {
            Self::Java | Self::StickyKey | Self::Murmur2 => Some(murmur2::partition_for_key),
            Self::SaramaHash | Self::Fnv1a | Self::Fnv1aRandom => Some(hash::fnv1a),
            Self::SaramaReferenceHash => Some(hash::fnv1a_reference),
            Self::SaramaConsistentCrc | Self::Consistent | Self::ConsistentRandom => {
                Some(hash::consistent)
            }
            Self::Sticky
            | Self::Adaptive
            | Self::RoundRobin
            | Self::Random
            | Self::LeastBackup
            | Self::Manual => None,
        }
    }

    fn without_key(self, partitions: i32) -> Choice {
        let spread = match self {
            Self::Java | Self::Adaptive | Self::ConsistentRandom | Self::Fnv1aRandom => {
                Spread::Adaptive
            }
            Self::StickyKey | Self::Sticky => Spread::Batch,
            Self::LeastBackup => Spread::LeastBackup,
            Self::RoundRobin => Spread::InTurn,
            Self::Random
            | Self::SaramaHash
            | Self::SaramaReferenceHash
            | Self::SaramaConsistentCrc => Spread::Random,
            Self::Consistent | Self::Murmur2 | Self::Fnv1a => {
                let empty = self.by_key().map_or(0, |by_key| by_key(&[], partitions));
                return Choice::Fixed(empty);
            }
            Self::Manual => {
                return Choice::Refused("record names no partition, partitioner is manual".into());
            }
        };
        Choice::Any(spread)
    }
}

impl Partitioner for Rule {
    fn choose(&self, record: &Record<'_>, topic: &TopicView<'_>) -> Choice {
        let partitions = topic.partitions().max(1);
        match (record.key_bytes(), self.by_key()) {
            (Some([]), _) if *self == Self::ConsistentRandom => self.without_key(partitions),
            (Some(key), Some(by_key)) => Choice::Fixed(by_key(key, partitions)),
            (Some(_) | None, _) => self.without_key(partitions),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.names()[0])
    }
}

/// A partitioner's name is not one of those known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown partitioner {name:?}, need one of {}", Rule::all().map(|rule| rule.names()[0]).collect::<Vec<_>>().join(", "))]
pub struct UnknownPartitioner {
    name: String,
}

impl FromStr for Rule {
    type Err = UnknownPartitioner;

    /// Takes our names, librdkafka's, and Java's class names with or without their package.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let short = name.rsplit('.').next().unwrap_or(name);
        let found = NAMES.iter().find(|(_, names)| names.contains(&short));
        match found {
            Some((rule, _)) => Ok(*rule),
            // Java's own default is no class at all.
            None if name.is_empty() => Ok(Self::Java),
            None => Err(UnknownPartitioner { name: name.into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_found_by_each_of_its_names_and_no_name_is_given_twice() {
        for rule in Rule::all() {
            for name in rule.names() {
                assert_eq!(name.parse(), Ok(rule));
            }
        }
        let class = "org.apache.kafka.clients.producer.RoundRobinPartitioner";
        assert_eq!(class.parse(), Ok(Rule::RoundRobin));
        assert_eq!("".parse(), Ok(Rule::Java));
    }

    #[test]
    fn a_name_that_is_not_known_is_refused_with_those_that_are() {
        let error = "stiky".parse::<Rule>().unwrap_err().to_string();
        assert!(
            error.contains("\"stiky\"") && error.contains("sarama_hash"),
            "{error}"
        );
    }

    #[test]
    fn what_has_no_key_goes_where_its_client_would_put_it() {
        let view = TopicView::new("t", 7);
        let (none, empty) = (Record::to("t"), Record::to("t").key(""));
        for (rule, without, with_empty) in [
            (Rule::Java, Choice::Any(Spread::Adaptive), Choice::Fixed(2)),
            (
                Rule::ConsistentRandom,
                Choice::Any(Spread::Adaptive),
                Choice::Any(Spread::Adaptive),
            ),
            (Rule::Consistent, Choice::Fixed(0), Choice::Fixed(0)),
            (Rule::Murmur2, Choice::Fixed(2), Choice::Fixed(2)),
            (
                Rule::SaramaHash,
                Choice::Any(Spread::Random),
                Choice::Fixed(2),
            ),
            (
                Rule::RoundRobin,
                Choice::Any(Spread::InTurn),
                Choice::Any(Spread::InTurn),
            ),
            (
                Rule::LeastBackup,
                Choice::Any(Spread::LeastBackup),
                Choice::Any(Spread::LeastBackup),
            ),
            (
                Rule::Sticky,
                Choice::Any(Spread::Batch),
                Choice::Any(Spread::Batch),
            ),
        ] {
            assert_eq!(rule.choose(&none, &view), without, "{rule} without key");
            assert_eq!(
                rule.choose(&empty, &view),
                with_empty,
                "{rule} with an empty key"
            );
        }
        assert!(matches!(
            Rule::Manual.choose(&none, &view),
            Choice::Refused(_)
        ));
    }
}
