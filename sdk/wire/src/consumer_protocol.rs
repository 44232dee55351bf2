//! What consumers of a classic group tell each other through the coordinator: subscriptions on the way to the leader, assignments
//! on the way back. What an assignor hides in the user data is its own business.
//!
//! ```text
//!  metadata of JoinGroup      | version i16 | subscription ..
//!  assignment of SyncGroup    | version i16 | assignment ..
//! ```

use crate::message::encode_prefixed;
use crate::{Array, Cursor, Decode, DecodeError, EncodeError, Message, Wire};

/// What a consumer wants and what it has. Every version adds to the end of the one before.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=3)]
pub struct ConsumerProtocolSubscription<'a> {
    /// Topics subscribed to by name; Java sorts them.
    pub topics: Array<'a, &'a str>,
    /// What the assignor has to say to its like at the leader. Some clients write null for nothing, some no bytes.
    pub user_data: Option<&'a [u8]>,
    /// Partitions that the consumer holds (KIP-429). Eager assignors leave it empty.
    #[wire(versions = 1.., ignorable)]
    pub owned_partitions: Array<'a, TopicPartition<'a>>,
    /// Generation in which it got them, -1 when it is not known: of two that claim a partition the later one is right
    /// (KIP-792).
    #[wire(versions = 2.., default = -1, ignorable)]
    pub generation_id: i32,
    /// The rack the consumer stands in; null, and empty too, for none (KIP-881).
    #[wire(versions = 3.., ignorable)]
    pub rack_id: Option<&'a str>,
}

/// What a consumer gets. All versions look the same; the leader writes the lowest that a member of the group speaks.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=3)]
pub struct ConsumerProtocolAssignment<'a> {
    /// The partitions, topic by topic.
    pub assigned_partitions: Array<'a, TopicPartition<'a>>,
    /// What the assignor has to say to its like at the member.
    pub user_data: Option<&'a [u8]>,
}

/// Partitions of one topic.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct TopicPartition<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// Numbers of the partitions.
    pub partitions: Array<'a, i32>,
}

impl<'a> ConsumerProtocolSubscription<'a> {
    /// The subscription in this version, behind the version. What the version cannot say is left out.
    ///
    /// # Errors
    /// Where the version does not exist or a string is longer than Kafka allows.
    pub fn encode_prefixed(&self, version: i16) -> Result<Vec<u8>, EncodeError> {
        encode_prefixed(version, version, self)
    }

    /// Reads a subscription behind its version: the subscription, and the version it claims.
    ///
    /// A version that is not known is read as the latest known one, and bytes after the end are ignored, as Java does.
    /// There are clients that claim a version and end before its fields (sarama says so of some): what is missing then
    /// is read as not said.
    ///
    /// # Errors
    /// Where the bytes are no subscription, or the version is negative.
    pub fn decode_prefixed(bytes: &'a [u8]) -> Result<(Self, i16), DecodeError> {
        let (claimed, known, body) = version::<Self>(bytes)?;
        let whole = Self::decode(known, &mut body.clone());
        let Err(DecodeError::Truncated { .. }) = whole else {
            return Ok((whole?, claimed));
        };
        for shorter in (0..known).rev() {
            let mut cursor = body.clone();
            if let Ok(subscription) = Self::decode(shorter, &mut cursor)
                && cursor.remaining() == 0
            {
                return Ok((subscription, claimed));
            }
        }
        Ok((whole?, claimed))
    }
}

impl<'a> ConsumerProtocolAssignment<'a> {
    /// The assignment in this version, behind the version.
    ///
    /// # Errors
    /// Where the version does not exist or a string is longer than Kafka allows.
    pub fn encode_prefixed(&self, version: i16) -> Result<Vec<u8>, EncodeError> {
        encode_prefixed(version, version, self)
    }

    /// Reads an assignment behind its version: the assignment, and the version it claims. A version that is not known is
    /// read as the latest known one, and bytes after the end are ignored, as Java does.
    ///
    /// # Errors
    /// Where the bytes are no assignment, or the version is negative. No bytes at all are none: a member that the leader
    /// gave nothing gets them from the coordinator.
    pub fn decode_prefixed(bytes: &'a [u8]) -> Result<(Self, i16), DecodeError> {
        let (claimed, known, mut body) = version::<Self>(bytes)?;
        Ok((Self::decode(known, &mut body)?, claimed))
    }
}

/// The version that is claimed, the known one it is read as, and what follows it.
fn version<M: Message>(bytes: &[u8]) -> Result<(i16, i16, Cursor<'_>), DecodeError> {
    let mut cursor = Cursor::new(bytes);
    let claimed = i16::from_be_bytes(cursor.fixed()?);
    if claimed < *M::VERSIONS.start() {
        return Err(DecodeError::UnsupportedVersion {
            message: M::NAME,
            version: claimed,
        });
    }
    Ok((claimed, claimed.min(*M::VERSIONS.end()), cursor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription() -> ConsumerProtocolSubscription<'static> {
        ConsumerProtocolSubscription {
            topics: Array::from(["t"]),
            user_data: Some(b"u"),
            owned_partitions: Array::from(vec![TopicPartition {
                topic: "t",
                partitions: Array::from([4, 2]),
            }]),
            generation_id: 7,
            rack_id: Some("r"),
        }
    }

    fn said(version: i16) -> ConsumerProtocolSubscription<'static> {
        let whole = subscription();
        let nothing = ConsumerProtocolSubscription::default();
        ConsumerProtocolSubscription {
            owned_partitions: if version < 1 {
                nothing.owned_partitions
            } else {
                whole.owned_partitions
            },
            generation_id: if version < 2 { -1 } else { 7 },
            rack_id: if version < 3 { None } else { Some("r") },
            ..whole
        }
    }

    #[test]
    fn an_older_version_says_what_it_can() {
        for version in 0..=3 {
            let bytes = subscription().encode_prefixed(version).unwrap();
            assert_eq!(
                ConsumerProtocolSubscription::decode_prefixed(&bytes),
                Ok((said(version), version))
            );
        }
    }

    #[test]
    fn a_version_to_come_is_read_as_the_latest_known_one() {
        for version in [4, i16::MAX] {
            let claim = version.to_be_bytes();
            let mut bytes = subscription().encode_prefixed(3).unwrap();
            bytes.splice(..2, claim);
            bytes.extend(b"more");
            assert_eq!(
                ConsumerProtocolSubscription::decode_prefixed(&bytes),
                Ok((said(3), version))
            );
            let assignment = ConsumerProtocolAssignment {
                assigned_partitions: subscription().owned_partitions,
                user_data: None,
            };
            let mut bytes = assignment.encode_prefixed(3).unwrap();
            bytes.splice(..2, claim);
            bytes.extend(b"more");
            assert_eq!(
                ConsumerProtocolAssignment::decode_prefixed(&bytes),
                Ok((assignment, version))
            );
        }
    }

    #[test]
    fn fields_that_a_claimed_version_lacks_are_read_as_not_said() {
        for (written, claimed) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (2, 9)] {
            let mut bytes = subscription().encode_prefixed(written).unwrap();
            bytes.splice(..2, i16::to_be_bytes(claimed));
            assert_eq!(
                ConsumerProtocolSubscription::decode_prefixed(&bytes),
                Ok((said(written), claimed))
            );
        }
    }

    #[test]
    fn a_subscription_that_is_cut_within_a_field_is_refused() {
        let ends: Vec<usize> = (0..=3)
            .map(|version| subscription().encode_prefixed(version).unwrap().len())
            .collect();
        let bytes = subscription().encode_prefixed(3).unwrap();
        for cut in 0..bytes.len() {
            let read = ConsumerProtocolSubscription::decode_prefixed(&bytes[..cut]);
            assert_eq!(read.is_ok(), ends.contains(&cut), "cut at {cut}");
        }
    }

    #[test]
    fn a_negative_version_is_refused() {
        let refused = |message| {
            Err(DecodeError::UnsupportedVersion {
                message,
                version: -1,
            })
        };
        let bytes = b"\xff\xff\0\0\0\0\xff\xff\xff\xff";
        assert_eq!(
            ConsumerProtocolSubscription::decode_prefixed(bytes).map(|read| read.1),
            refused("ConsumerProtocolSubscription")
        );
        assert_eq!(
            ConsumerProtocolAssignment::decode_prefixed(bytes).map(|read| read.1),
            refused("ConsumerProtocolAssignment")
        );
    }
}
