//! Why a member of a consumer group is turned away. Nothing has changed then.

use highwater_wire::ErrorCode;

/// What is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{0}")]
    Invalid(&'static str),
    #[error("assignor {0} is not one of those supported: {1}")]
    Assignor(String, String),
    #[error("pattern is not valid: {0}")]
    Pattern(String),
    #[error("group {0} is no consumer group")]
    NoGroup(String),
    #[error("group {0} cannot become a consumer group while it has members: {1}")]
    Upgrade(String, &'static str),
    #[error("group has its {0} members, the most it may have")]
    Full(usize),
    #[error("members of groups take all the memory that they may")]
    NoRoom,
    #[error("member {0} is not in the group")]
    UnknownMember(String),
    #[error("no member has instance id {0}")]
    UnknownInstance(String),
    #[error("instance id {instance} belongs to member {owner}, which has not left")]
    Unreleased { instance: String, owner: String },
    #[error("instance id {instance} belongs to member {owner}")]
    FencedInstance { instance: String, owner: String },
    #[error(
        "member epoch {received} is not the {known} it is known by: give up all partitions and join again"
    )]
    FencedEpoch { received: i32, known: i32 },
    /// The log's own word.
    #[error("{0}")]
    Unwritten(ErrorCode),
}

impl Refusal {
    /// Kafka's code.
    pub(crate) const fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid(_) => ErrorCode::InvalidRequest,
            Self::Assignor(..) => ErrorCode::UnsupportedAssignor,
            Self::Pattern(_) => ErrorCode::InvalidRegularExpression,
            Self::NoGroup(_) | Self::Upgrade(..) => ErrorCode::GroupIdNotFound,
            Self::Full(_) | Self::NoRoom => ErrorCode::GroupMaxSizeReached,
            Self::UnknownMember(_) | Self::UnknownInstance(_) => ErrorCode::UnknownMemberId,
            Self::Unreleased { .. } => ErrorCode::UnreleasedInstanceId,
            Self::FencedInstance { .. } => ErrorCode::FencedInstanceId,
            Self::FencedEpoch { .. } => ErrorCode::FencedMemberEpoch,
            Self::Unwritten(code) => *code,
        }
    }
}
