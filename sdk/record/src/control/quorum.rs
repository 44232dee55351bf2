//! Control records of a KRaft quorum: leader changes, the ends of snapshots, voters (KIP-595,
//! KIP-630, KIP-853). They are messages of Kafka's flexible encoding; the few rules of it that they
//! need are here.

use crate::defect::ControlFault;
use crate::varint;

/// A leader began its epoch, which is the batch's leader epoch (Kafka: `LeaderChangeMessage`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaderChange {
    /// 0, or 1 when voters have a directory id.
    pub version: i16,
    /// Node that leads.
    pub leader_id: i32,
    /// All voters of the epoch.
    pub voters: Vec<QuorumVoter>,
    /// Those that voted for the leader.
    pub granting_voters: Vec<QuorumVoter>,
}

/// A voter in a [`LeaderChange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuorumVoter {
    /// Node.
    pub id: i32,
    /// Its directory, a UUID; zeros in version 0.
    pub directory_id: [u8; 16],
}

/// The beginning of a snapshot (Kafka: `SnapshotHeaderRecord`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SnapshotHeader {
    /// When the last record that the snapshot stands for was appended, in milliseconds since 1970.
    pub last_contained_log_timestamp: i64,
}

/// A voter of a dynamic quorum (Kafka: `VotersRecord.Voter`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KRaftVoter {
    /// Node.
    pub id: i32,
    /// Its directory, a UUID.
    pub directory_id: [u8; 16],
    /// Where it can be reached.
    pub endpoints: Vec<Endpoint>,
    /// Levels of `kraft.version` that it knows.
    pub kraft_version: VersionRange,
}

/// A listener of a voter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoint {
    /// Name of the listener.
    pub name: String,
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// Versions from `min` to `max`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VersionRange {
    /// Lowest.
    pub min: i16,
    /// Highest.
    pub max: i16,
}

impl LeaderChange {
    pub(super) fn take(mut fields: Fields<'_>) -> Result<LeaderChange, ControlFault> {
        let version = fields.version(1)?;
        let leader_id = fields.i32()?;
        let voters = fields.array(|fields| QuorumVoter::take(fields, version))?;
        let granting_voters = fields.array(|fields| QuorumVoter::take(fields, version))?;
        fields.skip_tags()?;
        Ok(LeaderChange {
            version,
            leader_id,
            voters,
            granting_voters,
        })
    }

    pub(super) fn value(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, self.version.to_be_bytes());
        put(&mut out, self.leader_id.to_be_bytes());
        for voters in [&self.voters, &self.granting_voters] {
            put_array(&mut out, voters, |out, voter| voter.put(out, self.version));
        }
        put_no_tags(&mut out);
        out
    }
}

impl QuorumVoter {
    fn take(fields: &mut Fields<'_>, version: i16) -> Result<QuorumVoter, ControlFault> {
        let id = fields.i32()?;
        let directory_id = if version >= 1 {
            fields.uuid()?
        } else {
            [0; 16]
        };
        fields.skip_tags()?;
        Ok(QuorumVoter { id, directory_id })
    }

    fn put(&self, out: &mut Vec<u8>, version: i16) {
        put(out, self.id.to_be_bytes());
        if version >= 1 {
            put(out, self.directory_id);
        }
        put_no_tags(out);
    }
}

impl SnapshotHeader {
    pub(super) fn take(mut fields: Fields<'_>) -> Result<SnapshotHeader, ControlFault> {
        fields.version(0)?;
        let last_contained_log_timestamp = fields.i64()?;
        fields.skip_tags()?;
        Ok(SnapshotHeader {
            last_contained_log_timestamp,
        })
    }

    pub(super) fn value(self) -> Vec<u8> {
        let mut out = vec![0, 0];
        put(&mut out, self.last_contained_log_timestamp.to_be_bytes());
        put_no_tags(&mut out);
        out
    }
}

pub(super) fn take_footer(mut fields: Fields<'_>) -> Result<(), ControlFault> {
    fields.version(0)?;
    fields.skip_tags()
}

pub(super) fn footer_value() -> Vec<u8> {
    vec![0, 0, 0]
}

pub(super) fn take_level(mut fields: Fields<'_>) -> Result<i16, ControlFault> {
    fields.version(0)?;
    let level = fields.i16()?;
    fields.skip_tags()?;
    Ok(level)
}

pub(super) fn level_value(level: i16) -> Vec<u8> {
    let mut out = vec![0, 0];
    put(&mut out, level.to_be_bytes());
    put_no_tags(&mut out);
    out
}

pub(super) fn take_voters(mut fields: Fields<'_>) -> Result<Vec<KRaftVoter>, ControlFault> {
    fields.version(0)?;
    let voters = fields.array(KRaftVoter::take)?;
    fields.skip_tags()?;
    Ok(voters)
}

pub(super) fn voters_value(voters: &[KRaftVoter]) -> Vec<u8> {
    let mut out = vec![0, 0];
    put_array(&mut out, voters, |out, voter| voter.put(out));
    put_no_tags(&mut out);
    out
}

impl KRaftVoter {
    fn take(fields: &mut Fields<'_>) -> Result<KRaftVoter, ControlFault> {
        let id = fields.i32()?;
        let directory_id = fields.uuid()?;
        let endpoints = fields.array(Endpoint::take)?;
        let kraft_version = VersionRange {
            min: fields.i16()?,
            max: fields.i16()?,
        };
        fields.skip_tags()?;
        fields.skip_tags()?;
        Ok(KRaftVoter {
            id,
            directory_id,
            endpoints,
            kraft_version,
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        put(out, self.id.to_be_bytes());
        put(out, self.directory_id);
        put_array(out, &self.endpoints, |out, endpoint| endpoint.put(out));
        put(out, self.kraft_version.min.to_be_bytes());
        put(out, self.kraft_version.max.to_be_bytes());
        put_no_tags(out);
        put_no_tags(out);
    }
}

impl Endpoint {
    fn take(fields: &mut Fields<'_>) -> Result<Endpoint, ControlFault> {
        let name = fields.string()?;
        let host = fields.string()?;
        let port = fields.i16()?.cast_unsigned();
        fields.skip_tags()?;
        Ok(Endpoint { name, host, port })
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_string(out, &self.name);
        put_string(out, &self.host);
        put(out, self.port.to_be_bytes());
        put_no_tags(out);
    }
}

/// What is left of a value.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn of(value: &'a [u8]) -> Fields<'a> {
        Fields(value)
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], ControlFault> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(ControlFault::Value)?;
        self.0 = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], ControlFault> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(ControlFault::Value)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn i16(&mut self) -> Result<i16, ControlFault> {
        self.fixed().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, ControlFault> {
        self.fixed().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, ControlFault> {
        self.fixed().map(i64::from_be_bytes)
    }

    fn uuid(&mut self) -> Result<[u8; 16], ControlFault> {
        self.fixed()
    }

    fn version(&mut self, newest: i16) -> Result<i16, ControlFault> {
        let found = self.i16()?;
        if (0..=newest).contains(&found) {
            Ok(found)
        } else {
            Err(ControlFault::Version { found })
        }
    }

    fn unsigned(&mut self) -> Result<usize, ControlFault> {
        varint::take_unsigned(&mut self.0)
            .map(|value| value as usize)
            .ok_or(ControlFault::Value)
    }

    /// Length plus one; 0 stands for null, which no field here may be.
    fn length(&mut self) -> Result<usize, ControlFault> {
        self.unsigned()?.checked_sub(1).ok_or(ControlFault::Value)
    }

    fn string(&mut self) -> Result<String, ControlFault> {
        let bytes = self.length()?;
        let text = std::str::from_utf8(self.take(bytes)?).map_err(|_| ControlFault::Value)?;
        Ok(text.to_owned())
    }

    /// Memory grows with the elements that are really there, not with their count.
    fn array<T>(
        &mut self,
        mut element: impl FnMut(&mut Fields<'a>) -> Result<T, ControlFault>,
    ) -> Result<Vec<T>, ControlFault> {
        let mut elements = Vec::new();
        for _ in 0..self.length()? {
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    fn skip_tags(&mut self) -> Result<(), ControlFault> {
        for _ in 0..self.unsigned()? {
            self.unsigned()?;
            let bytes = self.unsigned()?;
            self.take(bytes)?;
        }
        Ok(())
    }
}

fn put<const N: usize>(out: &mut Vec<u8>, bytes: [u8; N]) {
    out.extend_from_slice(&bytes);
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    varint::put_unsigned(out, u32::try_from(length + 1).unwrap_or(u32::MAX));
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    put_length(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn put_array<T>(out: &mut Vec<u8>, elements: &[T], mut element: impl FnMut(&mut Vec<u8>, &T)) {
    put_length(out, elements.len());
    for item in elements {
        element(out, item);
    }
}

fn put_no_tags(out: &mut Vec<u8>) {
    out.push(0);
}
