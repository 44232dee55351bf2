//! What a coordinator can be asked: the APIs that are decided where their groups live. It knows nothing of their bodies.

/// An API whose requests name one group, first thing in their body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OneGroup {
    /// Classic: become a member, or be one of the next generation.
    JoinGroup,
    /// Classic: what the leader has given to whom.
    SyncGroup,
    /// Classic: still here.
    Heartbeat,
    /// Classic: gone.
    LeaveGroup,
    /// How far the group has read.
    OffsetCommit,
    /// That no longer.
    OffsetDelete,
    /// KIP-848: everything that a member has to say.
    ConsumerGroupHeartbeat,
}

/// An API whose requests name many groups, of which each coordinator answers for its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ManyGroups {
    /// Classic groups as they are.
    DescribeGroups,
    /// Groups without members, away with their offsets.
    DeleteGroups,
    /// KIP-848 groups as they are.
    ConsumerGroupDescribe,
}

/// What a coordinator is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Something of one group.
    One(OneGroup),
    /// Something of those of many groups that it has.
    Many(ManyGroups),
    /// OffsetFetch: of one group up to version 7, of many from there on (KIP-709).
    OffsetFetch,
}

impl Question {
    /// Whether it may be answered only when other clients have done their part.
    pub(crate) fn waits_for_others(self) -> bool {
        matches!(self, Self::One(OneGroup::JoinGroup | OneGroup::SyncGroup))
    }
}
