//! A member of a consumer group: what it is and wants, and what it holds on the way to its target. The two are two records,
//! and change apart.

use super::held::Held;
use highwater_wire::Array;
use highwater_wire::records::group::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataValue,
};
use std::rc::Rc;

/// A member joins.
pub(crate) const JOIN_EPOCH: i32 = 0;
/// A member leaves.
pub(crate) const LEAVE_EPOCH: i32 = -1;
/// A static member leaves for a while.
pub(crate) const AWAY_EPOCH: i32 = -2;

/// What a partition in somebody's hands takes: what it is and since when, whose it is, and that it is to be.
const SLOT_BYTES: usize = 64;

/// A member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) wants: Wants,
    pub(crate) holds: Holds,
}

/// What a member is and wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wants {
    /// Instance id of a static member.
    pub(crate) instance: Option<Rc<str>>,
    pub(crate) rack: Option<Rc<str>>,
    pub(crate) client_id: Rc<str>,
    pub(crate) client_host: Rc<str>,
    /// Topics by name; members that want the same share them. Invariant: they ascend, each once.
    pub(crate) topics: Rc<[Rc<str>]>,
    /// Topics by pattern; empty for none.
    pub(crate) pattern: Rc<str>,
    /// How long it may take to let go of partitions, in milliseconds.
    pub(crate) rebalance_timeout_ms: i32,
    /// Assignor that it would like.
    pub(crate) assignor: Option<Rc<str>>,
    /// What a member has that speaks the classic protocol.
    pub(crate) classic: Option<Classic>,
}

/// What a member has that speaks the classic protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Classic {
    pub(crate) session_timeout_ms: i32,
    /// Names and subscriptions, the one it likes best first.
    pub(crate) protocols: Vec<(Rc<str>, Box<[u8]>)>,
}

/// What a member holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holds {
    /// Group epoch of the target that it has reached, [`AWAY_EPOCH`] or [`LEAVE_EPOCH`].
    pub(crate) epoch: i32,
    /// The epoch before: the member may name it, if it never heard of the other.
    pub(crate) previous_epoch: i32,
    pub(crate) progress: Progress,
    pub(crate) assigned: Held,
    /// What it is to let go of, and holds until it says that it did.
    pub(crate) revoking: Held,
}

/// How far a member is on the way to its target (`MemberState.java`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has reached the target of its epoch.
    Stable,
    /// It is to let go of partitions first.
    Unrevoked,
    /// It waits for partitions that others hold.
    Unreleased,
    /// Something that a version to come wrote.
    Unknown,
}

impl Progress {
    const fn from_id(id: i8) -> Self {
        match id {
            0 => Self::Stable,
            1 => Self::Unrevoked,
            2 => Self::Unreleased,
            _ => Self::Unknown,
        }
    }

    const fn id(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::Unrevoked => 1,
            Self::Unreleased => 2,
            Self::Unknown => 127,
        }
    }
}

impl Default for Wants {
    fn default() -> Self {
        Self {
            instance: None,
            rack: None,
            client_id: "".into(),
            client_host: "".into(),
            topics: [].into(),
            pattern: "".into(),
            rebalance_timeout_ms: -1,
            assignor: None,
            classic: None,
        }
    }
}

impl Default for Holds {
    /// A member that is about to join.
    fn default() -> Self {
        Self {
            epoch: JOIN_EPOCH,
            previous_epoch: -1,
            progress: Progress::Stable,
            assigned: Held::default(),
            revoking: Held::default(),
        }
    }
}

impl Member {
    /// Whether it has reached the target of this epoch.
    pub(crate) fn has_reached(&self, target_epoch: i32) -> bool {
        self.holds.progress == Progress::Stable && self.holds.epoch == target_epoch
    }

    /// Whether it speaks the classic protocol.
    pub(crate) const fn is_classic(&self) -> bool {
        self.wants.classic.is_some()
    }
}

/// Names in order, each once.
pub(crate) fn sorted<'n>(names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Whether these are the names.
pub(crate) fn are(names: &[Rc<str>], said: &[&str]) -> bool {
    names.len() == said.len() && names.iter().zip(said).all(|(name, said)| **name == **said)
}

impl Wants {
    /// As the log has it.
    pub(crate) fn read(value: &ConsumerGroupMemberMetadataValue<'_>) -> Self {
        let topics = sorted(value.subscribed_topic_names.iter());
        Self {
            instance: value.instance_id.map(Into::into),
            rack: value.rack_id.map(Into::into),
            client_id: value.client_id.into(),
            client_host: value.client_host.into(),
            topics: topics.into_iter().map(Into::into).collect(),
            pattern: value.subscribed_topic_regex.unwrap_or_default().into(),
            rebalance_timeout_ms: value.rebalance_timeout_ms,
            assignor: value.server_assignor.map(Into::into),
            classic: value
                .classic_member_metadata
                .as_ref()
                .map(|classic| Classic {
                    session_timeout_ms: classic.session_timeout_ms,
                    protocols: classic
                        .supported_protocols
                        .iter()
                        .map(|protocol| (protocol.name.into(), protocol.metadata.into()))
                        .collect(),
                }),
        }
    }

    /// What the member says and is called, but for the names of topics, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let names = [&self.instance, &self.rack, &self.assignor];
        let names: usize = names.into_iter().flatten().map(|name| name.len()).sum();
        let classic = self.classic.iter().flat_map(|classic| &classic.protocols);
        let said: usize = classic
            .map(|(name, metadata)| name.len() + metadata.len())
            .sum();
        names + said + self.client_id.len() + self.client_host.len() + self.pattern.len()
    }

    /// As the log is to have it.
    pub(crate) fn written(&self) -> ConsumerGroupMemberMetadataValue<'_> {
        ConsumerGroupMemberMetadataValue {
            instance_id: self.instance.as_deref(),
            rack_id: self.rack.as_deref(),
            client_id: &self.client_id,
            client_host: &self.client_host,
            subscribed_topic_names: self.topics.iter().map(|topic| &**topic).collect(),
            subscribed_topic_regex: Some(&self.pattern),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            server_assignor: self.assignor.as_deref(),
            classic_member_metadata: self.classic.as_ref().map(|classic| ClassicMemberMetadata {
                session_timeout_ms: classic.session_timeout_ms,
                supported_protocols: classic
                    .protocols
                    .iter()
                    .map(|(name, metadata)| ClassicProtocol { name, metadata })
                    .collect(),
            }),
        }
    }
}

impl Holds {
    /// About how much memory it takes to know who holds these, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        (self.assigned.len() + self.revoking.len()) * SLOT_BYTES
    }

    /// Whether the member has to say soon that it let go.
    pub(crate) fn is_awaited(&self) -> bool {
        self.progress == Progress::Unrevoked
    }

    /// As the log has it.
    pub(crate) fn read(value: &ConsumerGroupCurrentMemberAssignmentValue<'_>) -> Self {
        let held = |topics: &Array<'_, _>| Held::read(topics.iter(), value.member_epoch);
        Self {
            epoch: value.member_epoch,
            previous_epoch: value.previous_member_epoch,
            progress: Progress::from_id(value.state),
            assigned: held(&value.assigned_partitions),
            revoking: held(&value.partitions_pending_revocation),
        }
    }

    /// As the log is to have it.
    pub(crate) fn written(&self) -> ConsumerGroupCurrentMemberAssignmentValue<'_> {
        ConsumerGroupCurrentMemberAssignmentValue {
            member_epoch: self.epoch,
            previous_member_epoch: self.previous_epoch,
            state: self.progress.id(),
            assigned_partitions: self.assigned.written().into(),
            partitions_pending_revocation: self.revoking.written().into(),
        }
    }
}
