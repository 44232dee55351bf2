//! The records of `__consumer_offsets`: what groups are, who is in them, and how far they have consumed.
//! They are written and read here; what they add up to is the coordinator's business.
//!
//! ```text
//!  key of a log record      | type i16    | key ..
//!  value of a log record    | version i16 | value ..      no value at all: what the key names is gone
//! ```

mod classic;
mod consumer;
mod member;
mod offset;
mod target;

pub use classic::*;
pub use consumer::*;
pub use member::*;
pub use offset::*;
pub use target::*;

use crate::message::encode_prefixed;
use crate::{Cursor, Decode, DecodeError, EncodeError, Message};

/// The only version that keys have; the type is written where another schema would have its version.
const KEY_VERSION: i16 = 0;

macro_rules! records {
    ($($name:ident = $type:literal, $key:ty, $group:ident, $value:ty, $written:literal;)*) => {
        /// What a record is about. The second record of a key replaces the first.
        #[allow(missing_docs)] // each is documented as a struct
        #[derive(Debug, Clone, PartialEq)]
        pub enum GroupKey<'a> {
            $($name($key),)*
        }

        /// What is said about it, each under the name of its key.
        #[allow(missing_docs)] // each is documented as a struct
        #[derive(Debug, Clone, PartialEq)]
        pub enum GroupValue<'a> {
            $($name($value),)*
        }

        impl<'a> GroupKey<'a> {
            /// The type's number.
            #[must_use]
            pub const fn record_type(&self) -> i16 {
                match self {
                    $(Self::$name(_) => $type,)*
                }
            }

            /// Kafka's name of the type.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }

            /// Id of the group that the record belongs to.
            #[must_use]
            pub const fn group(&self) -> &'a str {
                match self {
                    $(Self::$name(key) => key.$group,)*
                }
            }

            /// The key of a log record.
            ///
            /// # Errors
            /// Where a string is longer than Kafka allows.
            pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
                match self {
                    $(Self::$name(key) => encode_prefixed($type, KEY_VERSION, key),)*
                }
            }

            /// Reads the key of a log record. Bytes after its end are ignored, as Kafka ignores them.
            ///
            /// # Errors
            /// [`DecodeError::UnknownGroupRecord`] for a type that is not known here, which Kafka's coordinator passes
            /// over; otherwise where the bytes are no key.
            pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
                let mut cursor = Cursor::new(bytes);
                match i16::from_be_bytes(cursor.fixed()?) {
                    $($type => <$key>::decode(KEY_VERSION, &mut cursor).map(Self::$name),)*
                    record_type => Err(DecodeError::UnknownGroupRecord { record_type }),
                }
            }
        }

        impl<'a> GroupValue<'a> {
            /// The number of the type.
            #[must_use]
            pub const fn record_type(&self) -> i16 {
                match self {
                    $(Self::$name(_) => $type,)*
                }
            }

            /// The highest version of the type.
            #[must_use]
            pub const fn latest_version(&self) -> i16 {
                match self {
                    $(Self::$name(_) => *<$value as Message>::VERSIONS.end(),)*
                }
            }

            /// The version that Kafka 4.3 writes, so that it and its tools can read what is written here.
            #[must_use]
            pub const fn written_version(&self) -> i16 {
                match self {
                    // Only this version has the field (`OffsetCommitValue.json`).
                    Self::OffsetCommit(value) if value.expire_timestamp != -1 => 1,
                    $(Self::$name(_) => $written,)*
                }
            }

            /// The value of a log record.
            ///
            /// # Errors
            /// Where the version does not exist or cannot say what the record says.
            pub fn encode(&self, version: i16) -> Result<Vec<u8>, EncodeError> {
                match self {
                    $(Self::$name(value) => encode_prefixed(version, version, value),)*
                }
            }

            /// Reads the value of a log record with this key: the value, and the version it was written in. Bytes after
            /// its end are ignored, as Kafka ignores them.
            ///
            /// # Errors
            /// Where the bytes are no value of the key's type in a version that Kafka 4.3 has.
            pub fn decode(key: &GroupKey<'_>, bytes: &'a [u8]) -> Result<(Self, i16), DecodeError> {
                let mut cursor = Cursor::new(bytes);
                let version = i16::from_be_bytes(cursor.fixed()?);
                let value = match key {
                    $(GroupKey::$name(_) => <$value>::decode(version, &mut cursor).map(Self::$name),)*
                };
                Ok((value?, version))
            }
        }
    };
}

records! {
    LegacyOffsetCommit = 0, OffsetCommitKey<'a>, group, OffsetCommitValue<'a>, 0;
    OffsetCommit = 1, OffsetCommitKey<'a>, group, OffsetCommitValue<'a>, 4;
    GroupMetadata = 2, GroupMetadataKey<'a>, group, GroupMetadataValue<'a>, 3;
    ConsumerGroupMetadata = 3, ConsumerGroupMetadataKey<'a>, group_id, ConsumerGroupMetadataValue, 0;
    ConsumerGroupPartitionMetadata = 4, ConsumerGroupPartitionMetadataKey<'a>, group_id,
        ConsumerGroupPartitionMetadataValue<'a>, 0;
    ConsumerGroupMemberMetadata = 5, ConsumerGroupMemberMetadataKey<'a>, group_id,
        ConsumerGroupMemberMetadataValue<'a>, 0;
    ConsumerGroupTargetAssignmentMetadata = 6, ConsumerGroupTargetAssignmentMetadataKey<'a>, group_id,
        ConsumerGroupTargetAssignmentMetadataValue, 0;
    ConsumerGroupTargetAssignmentMember = 7, ConsumerGroupTargetAssignmentMemberKey<'a>, group_id,
        ConsumerGroupTargetAssignmentMemberValue<'a>, 0;
    ConsumerGroupCurrentMemberAssignment = 8, ConsumerGroupCurrentMemberAssignmentKey<'a>, group_id,
        ConsumerGroupCurrentMemberAssignmentValue<'a>, 0;
    ConsumerGroupRegularExpression = 16, ConsumerGroupRegularExpressionKey<'a>, group_id,
        ConsumerGroupRegularExpressionValue<'a>, 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_that_says_when_it_ends_is_written_in_the_version_that_can_say_it() {
        let commit = OffsetCommitValue::default();
        let ending = OffsetCommitValue {
            expire_timestamp: 5,
            ..OffsetCommitValue::default()
        };
        for (value, version) in [(commit, 4), (ending, 1)] {
            let key = GroupKey::OffsetCommit(OffsetCommitKey::default());
            let value = GroupValue::OffsetCommit(value);
            assert_eq!(value.written_version(), version);
            let bytes = value.encode(version).unwrap();
            assert_eq!(GroupValue::decode(&key, &bytes), Ok((value, version)));
        }
    }

    #[test]
    fn a_value_in_a_version_to_come_is_refused() {
        let key = GroupKey::GroupMetadata(GroupMetadataKey::default());
        assert_eq!(
            GroupValue::decode(&key, &[0, 5, 0, 0]),
            Err(DecodeError::UnsupportedVersion {
                message: "GroupMetadataValue",
                version: 5
            })
        );
    }

    #[test]
    fn every_key_names_its_group() {
        let bytes = b"\0\x05\0\x01g\0\x01m";
        let key = GroupKey::decode(bytes).unwrap();
        assert_eq!(
            (key.name(), key.group()),
            ("ConsumerGroupMemberMetadata", "g")
        );
    }
}
