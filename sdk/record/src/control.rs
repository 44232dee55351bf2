//! Control records: the markers that brokers and quorums write between the records of users. Knows their bytes, not what
//! they do.

use crate::defect::{ControlFault, Defect};

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
