//! What members tell each other through the coordinator, as owned values. Knows the bytes, not what an assignor makes of
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use highwater_wire::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicPartition as Partitions,
};
use highwater_wire::message::join_group::JoinGroupResponseMember;
use highwater_wire::{Array, DecodeError};

use crate::core::group::assignor::Assignor;
use crate::error::TopicPartition;

/// The version of subscriptions and assignments that is written.
const VERSION: i16 = 3;
/// The generation of a member that does not say in which one it got what it claims.
pub(crate) const NO_GENERATION: i32 = -1;

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscriber {
    pub(crate) id: Arc<str>,
    pub(crate) instance: Option<Arc<str>>,
    pub(crate) topics: BTreeSet<Arc<str>>,
    /// Where it stands.
    pub(crate) rack: Option<Arc<str>>,
    /// What it says it has, or had.
    pub(crate) owned: Vec<TopicPartition>,
    /// The generation in which it got that; -1 when it does not say.
    pub(crate) generation: i32,
    /// The version of its subscription: it may not know a higher one of the assignment.
    pub(crate) version: i16,
}

impl Subscriber {
    /// Reads what a member sent along with `assignor`.
    pub(crate) fn read(
        member: &JoinGroupResponseMember<'_>,
        assignor: Assignor,
    ) -> Result<Self, DecodeError> {
        let (said, version) = ConsumerProtocolSubscription::decode_prefixed(member.metadata)?;
        let user_data = said.user_data.unwrap_or_default();
        let (owned, generation) = match assignor {
            // Eager: what it has it has let go, what it had is in the user data.
            Assignor::Sticky => previous(user_data),
            // Java before version 2 of the subscription wrote its generation there.
            Assignor::CooperativeSticky if said.generation_id < 0 && user_data.len() == 4 => {
                let generation = user_data
                    .first_chunk()
                    .map_or(NO_GENERATION, |g| i32::from_be_bytes(*g));
                (places(&said.owned_partitions), generation)
            }
            Assignor::CooperativeSticky | Assignor::Range | Assignor::RoundRobin => {
                (places(&said.owned_partitions), said.generation_id)
            }
        };
        Ok(Self {
            id: member.member_id.into(),
            instance: member.group_instance_id.map(Arc::from),
            topics: said.topics.iter().map(Arc::from).collect(),
            rack: said.rack_id.filter(|rack| !rack.is_empty()).map(Arc::from),
            owned,
            generation,
            version,
        })
    }
}

/// What a member says of itself when it joins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subscription<'a> {
    pub(crate) topics: &'a BTreeSet<Arc<str>>,
    pub(crate) owned: &'a BTreeSet<TopicPartition>,
    pub(crate) generation: i32,
    pub(crate) rack: Option<&'a str>,
    /// What it had in the generation it was in last, for the sticky assignor.
    pub(crate) previous: Option<(&'a BTreeSet<TopicPartition>, i32)>,
}

impl Subscription<'_> {
    /// The bytes that go along with `assignor`.
    pub(crate) fn write(&self, assignor: Assignor) -> Vec<u8> {
        let user_data = match assignor {
            Assignor::Range | Assignor::RoundRobin => None,
            Assignor::Sticky => self
                .previous
                .map(|(had, generation)| write_previous(had, generation)),
            Assignor::CooperativeSticky => {
                let generation = self
                    .previous
                    .map_or(NO_GENERATION, |(_, generation)| generation);
                Some(generation.to_be_bytes().to_vec())
            }
        };
        let subscription = ConsumerProtocolSubscription {
            topics: self.topics.iter().map(|topic| &**topic).collect(),
            user_data: user_data.as_deref(),
            owned_partitions: by_topic(self.owned),
            generation_id: self.generation,
            rack_id: self.rack,
        };
        subscription
            .encode_prefixed(VERSION)
            .expect("topic names are shorter than 32 KiB, checked when subscribing")
    }
}

/// Writes what a member of `version` gets.
pub(crate) fn write_assignment(places: &[TopicPartition], version: i16) -> Vec<u8> {
    let assignment = ConsumerProtocolAssignment {
        assigned_partitions: by_topic(places),
        user_data: None,
    };
    let version = version.clamp(0, VERSION);
    assignment
        .encode_prefixed(version)
        .expect("topic names came in strings of the protocol")
}

/// Reads what we get.
pub(crate) fn read_assignment(bytes: &[u8]) -> Result<BTreeSet<TopicPartition>, DecodeError> {
    if bytes.is_empty() {
        return Ok(BTreeSet::new());
    }
    let (assignment, _) = ConsumerProtocolAssignment::decode_prefixed(bytes)?;
    Ok(places(&assignment.assigned_partitions)
        .into_iter()
        .collect())
}

fn places(topics: &Array<'_, Partitions<'_>>) -> Vec<TopicPartition> {
    let mut places = Vec::new();
    for topic in topics {
        let name: Arc<str> = topic.topic.into();
        places.extend(
            topic
                .partitions
                .iter()
                .map(|it| TopicPartition::new(Arc::clone(&name), it)),
        );
    }
    places
}

fn by_topic<'a>(places: impl IntoIterator<Item = &'a TopicPartition>) -> Array<'a, Partitions<'a>> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for place in places {
        topics
            .entry(&place.topic)
            .or_default()
            .push(place.partition);
    }
    let topics = topics.into_iter();
    topics
        .map(|(topic, partitions)| Partitions {
            topic,
            partitions: partitions.into(),
        })
        .collect()
}

/// The sticky assignor's user data: topics with partitions, and as of its version 1 the generation.
fn write_previous(had: &BTreeSet<TopicPartition>, generation: i32) -> Vec<u8> {
    // An assignment of version 0 is the same list behind a version and before its own user data.
    let assignment = ConsumerProtocolAssignment {
        assigned_partitions: by_topic(had),
        user_data: None,
    };
    let bytes = assignment
        .encode_prefixed(0)
        .expect("topic names came in strings of the protocol");
    let mut bytes = bytes[2..bytes.len() - 4].to_vec();
    bytes.extend(generation.to_be_bytes());
    bytes
}

/// Reads that user data; what does not parse says nothing.
fn previous(user_data: &[u8]) -> (Vec<TopicPartition>, i32) {
    let read = |list: &[u8]| {
        let framed = [&[0, 0], list, &(-1i32).to_be_bytes()].concat();
        let (assignment, _) = ConsumerProtocolAssignment::decode_prefixed(&framed).ok()?;
        // Whatever is left over would have been read as user data, or ignored: the list must end where the bytes do.
        let had = places(&assignment.assigned_partitions);
        let set: BTreeSet<TopicPartition> = had.iter().cloned().collect();
        let topics: BTreeSet<&str> = had.iter().map(|place| &*place.topic).collect();
        let bytes = 4 + topics.iter().map(|topic| 6 + topic.len()).sum::<usize>() + 4 * set.len();
        (bytes == list.len()).then_some(had)
    };
    if let Some((list, generation)) = user_data.split_last_chunk::<4>()
        && let Some(had) = read(list)
    {
        return (had, i32::from_be_bytes(*generation));
    }
    (read(user_data).unwrap_or_default(), NO_GENERATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(places: &[(&str, i32)]) -> BTreeSet<TopicPartition> {
        places
            .iter()
            .map(|(topic, it)| TopicPartition::new(*topic, *it))
            .collect()
    }

    fn read(assignor: Assignor, bytes: &[u8]) -> Subscriber {
        let member = JoinGroupResponseMember {
            member_id: "m",
            group_instance_id: None,
            metadata: bytes,
        };
        Subscriber::read(&member, assignor).unwrap()
    }

    #[test]
    fn a_sticky_member_is_read_from_its_user_data_and_a_cooperative_one_from_its_claims() {
        let topics: BTreeSet<Arc<str>> = ["a".into(), "b".into()].into();
        let had = set(&[("a", 0), ("a", 2), ("b", 1)]);
        let owned = set(&[("b", 7)]);
        let said = Subscription {
            topics: &topics,
            owned: &owned,
            generation: 5,
            rack: None,
            previous: Some((&had, 4)),
        };
        let sticky = read(Assignor::Sticky, &said.write(Assignor::Sticky));
        assert_eq!(sticky.owned, had.iter().cloned().collect::<Vec<_>>());
        assert_eq!((sticky.generation, sticky.topics), (4, topics.clone()));
        let cooperative = read(
            Assignor::CooperativeSticky,
            &said.write(Assignor::CooperativeSticky),
        );
        assert_eq!(cooperative.owned, owned.into_iter().collect::<Vec<_>>());
        assert_eq!(cooperative.generation, 5);
    }

    #[test]
    fn user_data_without_generation_is_of_the_older_version_and_other_bytes_say_nothing() {
        let had = set(&[("topic", 3), ("topic", 9)]);
        let bytes = write_previous(&had, 6);
        assert_eq!(previous(&bytes), (had.iter().cloned().collect(), 6));
        assert_eq!(
            previous(&bytes[..bytes.len() - 4]),
            (had.into_iter().collect(), NO_GENERATION)
        );
        for wrong in [
            &b""[..],
            b"\0",
            b"\0\0\0\x01\0\x05ab",
            b"\xff\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(previous(wrong), (Vec::new(), NO_GENERATION));
        }
    }

    #[test]
    fn an_assignment_comes_back_as_it_was_written() {
        let places = set(&[("a", 0), ("b", 4), ("b", 5)]);
        let list: Vec<TopicPartition> = places.iter().cloned().collect();
        for version in [0, 3, 17] {
            assert_eq!(
                read_assignment(&write_assignment(&list, version)).unwrap(),
                places
            );
        }
        assert_eq!(read_assignment(b"").unwrap(), BTreeSet::new());
        assert!(read_assignment(b"\0\x01\0").is_err());
    }
}
