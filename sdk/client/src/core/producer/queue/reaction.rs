//! What a broker's refusal of a batch calls for.

use highwater_wire::ErrorCode;

pub(super) enum Reaction {
    Fail,
    Split,
    Rebase,
    Retry { refresh: bool, maybe_written: bool },
}

pub(super) fn is_too_large(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge
    )
}

pub(super) fn reaction(code: ErrorCode, idempotent: bool, count: u32) -> Reaction {
    use ErrorCode as E;
    let sequence_is_wrong = matches!(
        code,
        E::OutOfOrderSequenceNumber | E::UnknownProducerId | E::InvalidProducerEpoch
    );
    let leader_is_wrong = matches!(
        code,
        E::NotLeaderOrFollower
            | E::LeaderNotAvailable
            | E::UnknownTopicOrPartition
            | E::UnknownTopicId
            | E::InconsistentTopicId
            | E::FencedLeaderEpoch
            | E::UnknownLeaderEpoch
            | E::ReplicaNotAvailable
            | E::ListenerNotFound
            | E::KafkaStorageError
    );
    let maybe_written = matches!(
        code,
        E::RequestTimedOut
            | E::NotEnoughReplicasAfterAppend
            | E::NetworkException
            | E::KafkaStorageError
    );
    if is_too_large(code) && count > 1 {
        Reaction::Split
    } else if sequence_is_wrong && idempotent {
        Reaction::Rebase
    } else if leader_is_wrong || maybe_written || code.is_retriable() {
        Reaction::Retry {
            refresh: leader_is_wrong,
            maybe_written,
        }
    } else {
        Reaction::Fail
    }
}
