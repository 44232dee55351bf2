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

impl Rule {
    /// Every rule.
    pub const ALL: [Rule; 16] = [
        Rule::Java,
        Rule::StickyKey,
        Rule::Sticky,
        Rule::Adaptive,
        Rule::RoundRobin,
        Rule::Random,
        Rule::LeastBackup,
        Rule::Manual,
        Rule::SaramaHash,
        Rule::SaramaReferenceHash,
        Rule::SaramaConsistentCrc,
        Rule::Consistent,
        Rule::ConsistentRandom,
        Rule::Murmur2,
        Rule::Fnv1a,
        Rule::Fnv1aRandom,
    ];

    /// Our name for it, by which a setting chooses it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Java => "default",
            Self::StickyKey => "sticky_key",
            Self::Sticky => "sticky",
            Self::Adaptive => "adaptive",
            Self::RoundRobin => "round_robin",
            Self::Random => "random",
            Self::LeastBackup => "least_backup",
            Self::Manual => "manual",
            Self::SaramaHash => "sarama_hash",
            Self::SaramaReferenceHash => "sarama_reference_hash",
            Self::SaramaConsistentCrc => "sarama_consistent_crc",
            Self::Consistent => "consistent",
            Self::ConsistentRandom => "consistent_random",
            Self::Murmur2 => "murmur2",
            Self::Fnv1a => "fnv1a",
            Self::Fnv1aRandom => "fnv1a_random",
        }
    }

    /// What else a setting may call it: names of librdkafka and franz-go, and classes of Java without their package.
    fn other_names(self) -> &'static [&'static str] {
        match self {
            Self::Java => &[
                "java",
                "murmur2_random",
                "murmur2_sticky",
                "BuiltInPartitioner",
            ],
            Self::StickyKey => &["DefaultPartitioner"],
            Self::Sticky => &["UniformStickyPartitioner"],
            Self::Adaptive => &["uniform_bytes"],
            Self::RoundRobin => &["roundrobin", "RoundRobinPartitioner"],
            Self::Random
            | Self::LeastBackup
            | Self::Manual
            | Self::SaramaHash
            | Self::SaramaReferenceHash
            | Self::SaramaConsistentCrc
            | Self::Consistent
            | Self::ConsistentRandom
            | Self::Murmur2
            | Self::Fnv1a
            | Self::Fnv1aRandom => &[],
        }
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
        f.write_str(self.name())
    }
}

/// A partitioner's name is not one of those known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown partitioner {name:?}, need one of {}", Rule::ALL.map(Rule::name).join(", "))]
pub struct UnknownPartitioner {
    name: String,
}

impl FromStr for Rule {
    type Err = UnknownPartitioner;

    /// Takes our names, librdkafka's, and Java's class names with or without their package.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let short = name.rsplit('.').next().unwrap_or(name);
        let is_it = |rule: &Rule| rule.name() == short || rule.other_names().contains(&short);
        match Self::ALL.into_iter().find(is_it) {
            Some(rule) => Ok(rule),
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
        for rule in Rule::ALL {
            for name in [rule.name()].iter().chain(rule.other_names()) {
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
