//! The records of the metadata log (KIP-631): every change of the cluster's shape, in the order in which it happened.
//! They are written and read here; what they add up to is the controller's business. The records of groups are in [`group`].
//!
//! ```text
//!  value of a log record    | frame version 1 | type | version | body ..        three unsigned varints, then the struct
//! ```

mod broker;
mod controller;
pub mod group;
mod partition;
mod security;
mod setting;
mod topic;
mod transaction;

pub use broker::*;
pub use controller::*;
pub use partition::*;
pub use security::*;
pub use setting::*;
pub use topic::*;
pub use transaction::*;

use crate::primitive::{Cursor, Encoder, Length, Sink};
use crate::{Decode, DecodeError, EncodeError, Message};

/// The only frame version there is.
const FRAME_VERSION: u32 = 1;

macro_rules! records {
    ($($name:ident = $id:literal, $record:ty;)*) => {
        /// Any record of the metadata log.
        #[allow(missing_docs)] // each is documented as a struct
        #[derive(Debug, Clone, PartialEq)]
        pub enum MetadataRecord<'a> {
            $($name($record),)*
        }

        impl<'a> MetadataRecord<'a> {
            /// The type's number.
            #[must_use]
            pub const fn api_key(&self) -> u32 {
                match self {
                    $(Self::$name(_) => $id,)*
                }
            }

            /// Kafka's name of the type.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }

            /// The highest version of the type. Which one is to be written follows from the cluster's `metadata.version`.
            #[must_use]
            pub const fn latest_version(&self) -> i16 {
                match self {
                    $(Self::$name(_) => *<$record as Message>::VERSIONS.end(),)*
                }
            }

            fn body_len(&self, version: i16) -> Result<usize, EncodeError> {
                match self {
                    $(Self::$name(record) => record.encoded_len(version),)*
                }
            }

            fn encode_body(&self, version: i16, encoder: &mut Encoder) -> Result<(), EncodeError> {
                match self {
                    $(Self::$name(record) => record.encode(version, encoder),)*
                }
            }

            fn decode_body(api_key: u32, version: i16, cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
                match api_key {
                    $($id => <$record>::decode(version, cursor).map(Self::$name),)*
                    _ => Err(DecodeError::UnknownRecord { frame_version: FRAME_VERSION, api_key }),
                }
            }
        }

        $(
            impl<'a> From<$record> for MetadataRecord<'a> {
                fn from(record: $record) -> Self {
                    Self::$name(record)
                }
            }
        )*
    };
}

records! {
    RegisterBroker = 0, RegisterBrokerRecord<'a>;
    UnregisterBroker = 1, UnregisterBrokerRecord;
    Topic = 2, TopicRecord<'a>;
    Partition = 3, PartitionRecord<'a>;
    Config = 4, ConfigRecord<'a>;
    PartitionChange = 5, PartitionChangeRecord<'a>;
    FenceBroker = 7, FenceBrokerRecord;
    UnfenceBroker = 8, UnfenceBrokerRecord;
    RemoveTopic = 9, RemoveTopicRecord;
    DelegationToken = 10, DelegationTokenRecord<'a>;
    UserScramCredential = 11, UserScramCredentialRecord<'a>;
    FeatureLevel = 12, FeatureLevelRecord<'a>;
    ClientQuota = 14, ClientQuotaRecord<'a>;
    ProducerIds = 15, ProducerIdsRecord;
    BrokerRegistrationChange = 17, BrokerRegistrationChangeRecord<'a>;
    AccessControlEntry = 18, AccessControlEntryRecord<'a>;
    RemoveAccessControlEntry = 19, RemoveAccessControlEntryRecord;
    NoOp = 20, NoOpRecord;
    ZkMigrationState = 21, ZkMigrationStateRecord;
    RemoveUserScramCredential = 22, RemoveUserScramCredentialRecord<'a>;
    BeginTransaction = 23, BeginTransactionRecord<'a>;
    EndTransaction = 24, EndTransactionRecord;
    AbortTransaction = 25, AbortTransactionRecord<'a>;
    RemoveDelegationToken = 26, RemoveDelegationTokenRecord<'a>;
    RegisterController = 27, RegisterControllerRecord<'a>;
    ClearElr = 28, ClearElrRecord<'a>;
}

impl<'a> MetadataRecord<'a> {
    /// The record as the value of a log record.
    ///
    /// # Errors
    /// Where the version does not exist or cannot say what the record says.
    pub fn encode(&self, version: i16) -> Result<Vec<u8>, EncodeError> {
        let unsigned = u32::from(version.unsigned_abs());
        let mut prefix = Length::default();
        for number in [FRAME_VERSION, self.api_key(), unsigned] {
            prefix.uvarint(number);
        }
        let mut encoder = Encoder::with_capacity(prefix.bytes + self.body_len(version)?);
        for number in [FRAME_VERSION, self.api_key(), unsigned] {
            encoder.uvarint(number);
        }
        self.encode_body(version, &mut encoder)?;
        Ok(encoder.finish().bytes)
    }

    /// Reads the value of a log record: the record, and the version it was written in.
    ///
    /// # Errors
    /// Where the bytes are no record that Kafka 4.3 has, or more than one.
    pub fn decode(value: &'a [u8]) -> Result<(Self, i16), DecodeError> {
        let mut cursor = Cursor::new(value);
        let frame_version = cursor.uvarint()?;
        let api_key = cursor.uvarint()?;
        if frame_version != FRAME_VERSION {
            return Err(DecodeError::UnknownRecord {
                frame_version,
                api_key,
            });
        }
        let version =
            i16::try_from(cursor.uvarint()?).map_err(|_| DecodeError::UnsupportedVersion {
                message: "MetadataRecord",
                version: i16::MAX,
            })?;
        let record = Self::decode_body(api_key, version, &mut cursor)?;
        match cursor.remaining() {
            0 => Ok((record, version)),
            left => Err(DecodeError::Trailing { left }),
        }
    }
}
