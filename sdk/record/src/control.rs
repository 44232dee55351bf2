//! Control records: the markers that brokers and quorums write between the records of users. Knows
//! their bytes, not what they do.

mod quorum;

pub use quorum::{Endpoint, KRaftVoter, LeaderChange, QuorumVoter, SnapshotHeader, VersionRange};

use crate::defect::{ControlFault, Defect};
use crate::reader::Record;
use quorum::Fields;

/// A control record, read from key and value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlRecord {
    /// A transaction ended.
    EndTxn(EndTxnMarker),
    /// A leader of a quorum began its epoch.
    LeaderChange(LeaderChange),
    /// A snapshot begins.
    SnapshotHeader(SnapshotHeader),
    /// A snapshot ends.
    SnapshotFooter,
    /// The feature level `kraft.version` changed.
    KRaftVersion(i16),
    /// The set of voters changed.
    KRaftVoters(Vec<KRaftVoter>),
    /// A type of a later Kafka.
    Unknown(i16),
}

impl ControlRecord {
    /// Reads a record of a control batch.
    ///
    /// # Errors
    /// [`Defect::Control`] when key or value do not hold what their type and version ask for.
    /// Versions of markers beyond ours are read as far as we know them, as Kafka does; those of
    /// quorum records, which change shape, are refused.
    pub fn of(record: &Record<'_>) -> Result<ControlRecord, Defect> {
        ControlRecord::parse(record.key, record.value)
    }

    /// Reads key and value of a control record.
    ///
    /// # Errors
    /// As [`ControlRecord::of`].
    pub fn parse(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<ControlRecord, Defect> {
        let kind = ControlType::of_key(key)?;
        let value = Fields::of(value.unwrap_or_default());
        let parsed = match kind {
            ControlType::Commit => {
                EndTxnMarker::take(value, Outcome::Commit).map(ControlRecord::EndTxn)
            }
            ControlType::Abort => {
                EndTxnMarker::take(value, Outcome::Abort).map(ControlRecord::EndTxn)
            }
            ControlType::LeaderChange => LeaderChange::take(value).map(ControlRecord::LeaderChange),
            ControlType::SnapshotHeader => {
                SnapshotHeader::take(value).map(ControlRecord::SnapshotHeader)
            }
            ControlType::SnapshotFooter => {
                quorum::take_footer(value).map(|()| ControlRecord::SnapshotFooter)
            }
            ControlType::KRaftVersion => quorum::take_level(value).map(ControlRecord::KRaftVersion),
            ControlType::KRaftVoters => quorum::take_voters(value).map(ControlRecord::KRaftVoters),
            ControlType::Unknown(id) => Ok(ControlRecord::Unknown(id)),
        };
        parsed.map_err(|fault| Defect::Control { fault })
    }

    /// The type that its key names.
    pub fn kind(&self) -> ControlType {
        match self {
            ControlRecord::EndTxn(marker) => match marker.outcome {
                Outcome::Commit => ControlType::Commit,
                Outcome::Abort => ControlType::Abort,
            },
            ControlRecord::LeaderChange(_) => ControlType::LeaderChange,
            ControlRecord::SnapshotHeader(_) => ControlType::SnapshotHeader,
            ControlRecord::SnapshotFooter => ControlType::SnapshotFooter,
            ControlRecord::KRaftVersion(_) => ControlType::KRaftVersion,
            ControlRecord::KRaftVoters(_) => ControlType::KRaftVoters,
            ControlRecord::Unknown(id) => ControlType::Unknown(*id),
        }
    }

    /// The value, as Kafka writes it. That of an unknown type is empty.
    pub fn value(&self) -> Vec<u8> {
        match self {
            ControlRecord::EndTxn(marker) => marker.value(),
            ControlRecord::LeaderChange(change) => change.value(),
            ControlRecord::SnapshotHeader(header) => header.value(),
            ControlRecord::SnapshotFooter => quorum::footer_value(),
            ControlRecord::KRaftVersion(level) => quorum::level_value(*level),
            ControlRecord::KRaftVoters(voters) => quorum::voters_value(voters),
            ControlRecord::Unknown(_) => Vec::new(),
        }
    }
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Its records count.
    Commit,
    /// Its records are passed over.
    Abort,
}

/// The end of a transaction of the producer that the batch's header names (Kafka:
/// `EndTransactionMarker`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EndTxnMarker {
    /// How it ended; the type in the key.
    pub outcome: Outcome,
    /// Epoch of the transaction coordinator that wrote the marker: an older one is refused.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    fn take(mut fields: Fields<'_>, outcome: Outcome) -> Result<EndTxnMarker, ControlFault> {
        let found = fields.i16()?;
        if found < 0 {
            return Err(ControlFault::Version { found });
        }
        Ok(EndTxnMarker {
            outcome,
            coordinator_epoch: fields.i32()?,
        })
    }

    fn value(self) -> Vec<u8> {
        let [a, b, c, d] = self.coordinator_epoch.to_be_bytes();
        vec![0, 0, a, b, c, d]
    }
}

/// What a control record says, from its key (Kafka: `ControlRecordType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ControlType {
    /// A transaction of this producer was aborted.
    Abort,
    /// A transaction of this producer was committed.
    Commit,
    /// A leader of a KRaft quorum began its epoch.
    LeaderChange,
    /// First record of a snapshot.
    SnapshotHeader,
    /// Last record of a snapshot.
    SnapshotFooter,
    /// The version of the quorum's protocol changed (KIP-853).
    KRaftVersion,
    /// The set of voters changed (KIP-853).
    KRaftVoters,
    /// A type of a later Kafka; readers pass over it.
    Unknown(i16),
}

impl ControlType {
    /// The number in the key.
    pub const fn id(self) -> i16 {
        match self {
            ControlType::Abort => 0,
            ControlType::Commit => 1,
            ControlType::LeaderChange => 2,
            ControlType::SnapshotHeader => 3,
            ControlType::SnapshotFooter => 4,
            ControlType::KRaftVersion => 5,
            ControlType::KRaftVoters => 6,
            ControlType::Unknown(id) => id,
        }
    }

    /// The type of this number.
    pub const fn from_id(id: i16) -> ControlType {
        match id {
            0 => ControlType::Abort,
            1 => ControlType::Commit,
            2 => ControlType::LeaderChange,
            3 => ControlType::SnapshotHeader,
            4 => ControlType::SnapshotFooter,
            5 => ControlType::KRaftVersion,
            6 => ControlType::KRaftVoters,
            id => ControlType::Unknown(id),
        }
    }

    /// The key of such a record: version 0 and the type.
    pub const fn key(self) -> [u8; 4] {
        let [high, low] = self.id().to_be_bytes();
        [0, 0, high, low]
    }

    /// Reads a key. Longer keys of later versions are taken by their first four bytes.
    ///
    /// # Errors
    /// [`Defect::Control`] for a null or short key, or a negative version.
    pub fn of_key(key: Option<&[u8]>) -> Result<ControlType, Defect> {
        let key = key.unwrap_or_default();
        let Some((&[v0, v1, t0, t1], _)) = key.split_first_chunk::<4>() else {
            return Err(Defect::Control {
                fault: ControlFault::Key { found: key.len() },
            });
        };
        let found = i16::from_be_bytes([v0, v1]);
        if found < 0 {
            return Err(Defect::Control {
                fault: ControlFault::Version { found },
            });
        }
        Ok(ControlType::from_id(i16::from_be_bytes([t0, t1])))
    }
}
