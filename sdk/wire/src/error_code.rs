//! The error codes of the protocol, as `Errors.java` numbers them. Which code answers what is the broker's business.

macro_rules! codes {
    ($($name:ident = $id:literal, $retriable:literal, $message:literal;)*) => {
        /// Why a broker refuses, in one number.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(
                #[doc = $message]
                $name = $id,
            )*
        }

        impl ErrorCode {
            /// Every code, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code of this number, if Kafka 4.3 has it.
            #[must_use]
            pub const fn known(id: i16) -> Option<Self> {
                match id {
                    $($id => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Kafka's name for the code in the case of Rust.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// Whether the same request may succeed later, or at another broker.
            #[must_use]
            pub const fn is_retriable(self) -> bool {
                match self {
                    $(Self::$name => $retriable,)*
                }
            }

            /// What the code says, in a few words.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self {
                    $(Self::$name => $message,)*
                }
            }
        }
    };
}

codes! {
    UnknownServerError = -1, false, "the server failed in a way it did not expect";
    None = 0, false, "no error";
    OffsetOutOfRange = 1, false, "offset is outside what the partition holds";
    CorruptMessage = 2, true, "record batch is corrupt";
    UnknownTopicOrPartition = 3, true, "topic or partition is unknown here";
    InvalidFetchSize = 4, false, "fetch size is invalid";
    LeaderNotAvailable = 5, true, "partition has no leader at present";
    NotLeaderOrFollower = 6, true, "broker is not the partition's leader, or not its replica";
    RequestTimedOut = 7, true, "request timed out";
    BrokerNotAvailable = 8, false, "broker is not available";
    ReplicaNotAvailable = 9, true, "replica is not available";
    MessageTooLarge = 10, false, "record batch exceeds the size limit";
    StaleControllerEpoch = 11, false, "controller epoch is stale";
    OffsetMetadataTooLarge = 12, false, "offset metadata exceeds its size limit";
    NetworkException = 13, true, "connection broke before the response came";
    CoordinatorLoadInProgress = 14, true, "coordinator is still loading";
    CoordinatorNotAvailable = 15, true, "coordinator is not available";
    NotCoordinator = 16, true, "broker is not the coordinator";
    InvalidTopicException = 17, false, "topic name is invalid";
    RecordListTooLarge = 18, false, "record batches exceed the segment size";
    NotEnoughReplicas = 19, true, "too few replicas are in sync";
    NotEnoughReplicasAfterAppend = 20, true, "written, but too few replicas are in sync";
    InvalidRequiredAcks = 21, false, "acks must be -1, 0 or 1";
    IllegalGeneration = 22, false, "group generation is not the current one";
    InconsistentGroupProtocol = 23, false, "group protocols are inconsistent with the group's";
    InvalidGroupId = 24, false, "group id is invalid";
    UnknownMemberId = 25, false, "member id is unknown to the group";
    InvalidSessionTimeout = 26, false, "session timeout is outside the broker's limits";
    RebalanceInProgress = 27, false, "group is rebalancing";
    InvalidCommitOffsetSize = 28, false, "offset commit exceeds its size limit";
    TopicAuthorizationFailed = 29, false, "not authorized for the topic";
    GroupAuthorizationFailed = 30, false, "not authorized for the group";
    ClusterAuthorizationFailed = 31, false, "not authorized for the cluster";
    InvalidTimestamp = 32, false, "record timestamp is outside the allowed range";
    UnsupportedSaslMechanism = 33, false, "SASL mechanism is not supported";
    IllegalSaslState = 34, false, "request does not fit the state of SASL authentication";
    UnsupportedVersion = 35, false, "API version is not supported";
    TopicAlreadyExists = 36, false, "topic exists already";
    InvalidPartitions = 37, false, "number of partitions is invalid";
    InvalidReplicationFactor = 38, false, "replication factor is invalid";
    InvalidReplicaAssignment = 39, false, "replica assignment is invalid";
    InvalidConfig = 40, false, "configuration is invalid";
    NotController = 41, true, "broker is not the controller";
    InvalidRequest = 42, false, "request is malformed or contradicts itself";
    UnsupportedForMessageFormat = 43, false, "message format does not support the request";
    PolicyViolation = 44, false, "request violates a policy";
    OutOfOrderSequenceNumber = 45, false, "producer sequence number is out of order";
    DuplicateSequenceNumber = 46, false, "producer sequence number was seen before";
    InvalidProducerEpoch = 47, false, "producer epoch is stale";
    InvalidTxnState = 48, false, "transaction state does not allow this";
    InvalidProducerIdMapping = 49, false, "producer id is not the one mapped to the transactional id";
    InvalidTransactionTimeout = 50, false, "transaction timeout exceeds the broker's limit";
    ConcurrentTransactions = 51, true, "another operation on the transaction is under way";
    TransactionCoordinatorFenced = 52, false, "transaction coordinator is fenced";
    TransactionalIdAuthorizationFailed = 53, false, "not authorized for the transactional id";
    SecurityDisabled = 54, false, "security is disabled";
    OperationNotAttempted = 55, false, "operation was not attempted because another failed";
    KafkaStorageError = 56, true, "storage failed";
    LogDirNotFound = 57, false, "log directory is unknown";
    SaslAuthenticationFailed = 58, false, "SASL authentication failed";
    UnknownProducerId = 59, false, "producer id is unknown to the partition";
    ReassignmentInProgress = 60, false, "partition reassignment is under way";
    DelegationTokenAuthDisabled = 61, false, "delegation tokens are disabled";
    DelegationTokenNotFound = 62, false, "delegation token is unknown";
    DelegationTokenOwnerMismatch = 63, false, "delegation token belongs to another principal";
    DelegationTokenRequestNotAllowed = 64, false, "delegation token requests are not allowed on this connection";
    DelegationTokenAuthorizationFailed = 65, false, "not authorized for the delegation token";
    DelegationTokenExpired = 66, false, "delegation token is expired";
    InvalidPrincipalType = 67, false, "principal type is not supported";
    NonEmptyGroup = 68, false, "group is not empty";
    GroupIdNotFound = 69, false, "group id is unknown";
    FetchSessionIdNotFound = 70, true, "fetch session is unknown";
    InvalidFetchSessionEpoch = 71, true, "fetch session epoch is invalid";
    ListenerNotFound = 72, true, "leader has no such listener";
    TopicDeletionDisabled = 73, false, "topic deletion is disabled";
    FencedLeaderEpoch = 74, true, "leader epoch is older than the broker's";
    UnknownLeaderEpoch = 75, true, "leader epoch is newer than the broker's";
    UnsupportedCompressionType = 76, false, "compression type is not supported by this version";
    StaleBrokerEpoch = 77, false, "broker epoch is stale";
    OffsetNotAvailable = 78, true, "offset is not available until the high watermark catches up";
    MemberIdRequired = 79, false, "member id is required: join again with the one given";
    PreferredLeaderNotAvailable = 80, true, "preferred leader is not available";
    GroupMaxSizeReached = 81, false, "group has reached its size limit";
    FencedInstanceId = 82, false, "group instance id belongs to another member";
    EligibleLeadersNotAvailable = 83, true, "no eligible leader is available";
    ElectionNotNeeded = 84, true, "leader election is not needed";
    NoReassignmentInProgress = 85, false, "no partition reassignment is under way";
    GroupSubscribedToTopic = 86, false, "group is subscribed to the topic";
    InvalidRecord = 87, false, "record is invalid";
    UnstableOffsetCommit = 88, true, "offsets of an open transaction are pending";
    ThrottlingQuotaExceeded = 89, true, "quota is exceeded";
    ProducerFenced = 90, false, "producer is fenced by a newer one";
    ResourceNotFound = 91, false, "resource is unknown";
    DuplicateResource = 92, false, "resource is named twice";
    UnacceptableCredential = 93, false, "credential is not acceptable";
    InconsistentVoterSet = 94, false, "sender or receiver is not a voter";
    InvalidUpdateVersion = 95, false, "feature version is invalid";
    FeatureUpdateFailed = 96, false, "feature update failed";
    PrincipalDeserializationFailure = 97, false, "forwarded principal cannot be read";
    SnapshotNotFound = 98, false, "snapshot is unknown";
    PositionOutOfRange = 99, false, "position is outside the snapshot";
    UnknownTopicId = 100, true, "topic id is unknown here";
    DuplicateBrokerRegistration = 101, false, "broker id is in use";
    BrokerIdNotRegistered = 102, false, "broker id is not registered";
    InconsistentTopicId = 103, true, "topic id differs from the log's";
    InconsistentClusterId = 104, false, "cluster id differs from the broker's";
    TransactionalIdNotFound = 105, false, "transactional id is unknown";
    FetchSessionTopicIdError = 106, true, "fetch session mixes topic names and ids";
    IneligibleReplica = 107, false, "in-sync set contains an ineligible replica";
    NewLeaderElected = 108, false, "partition changed, and its leader with it";
    OffsetMovedToTieredStorage = 109, false, "offset has moved to tiered storage";
    FencedMemberEpoch = 110, false, "member epoch is fenced: give everything up and join again";
    UnreleasedInstanceId = 111, false, "instance id is still held by another member";
    UnsupportedAssignor = 112, false, "assignor is not supported by the group";
    StaleMemberEpoch = 113, false, "member epoch is stale";
    MismatchedEndpointType = 114, false, "endpoint is of another type";
    UnsupportedEndpointType = 115, false, "endpoint type is not supported";
    UnknownControllerId = 116, false, "controller id is unknown";
    UnknownSubscriptionId = 117, false, "telemetry subscription is unknown";
    TelemetryTooLarge = 118, false, "telemetry exceeds the size limit";
    InvalidRegistration = 119, false, "broker registration is invalid";
    TransactionAbortable = 120, false, "transaction must be aborted";
    InvalidRecordState = 121, false, "record is not in a state to be acknowledged";
    ShareSessionNotFound = 122, true, "share session is unknown";
    InvalidShareSessionEpoch = 123, true, "share session epoch is invalid";
    FencedStateEpoch = 124, false, "share group state epoch is fenced";
    InvalidVoterKey = 125, false, "voter key differs from the replica's";
    DuplicateVoter = 126, false, "voter is in the set already";
    VoterNotFound = 127, false, "voter is not in the set";
    InvalidRegularExpression = 128, false, "regular expression is invalid";
    RebootstrapRequired = 129, false, "metadata is stale: bootstrap again";
    StreamsInvalidTopology = 130, false, "streams topology is invalid";
    StreamsInvalidTopologyEpoch = 131, false, "streams topology epoch is invalid";
    StreamsTopologyFenced = 132, false, "streams topology epoch is stale";
    ShareSessionLimitReached = 133, true, "share sessions have reached their limit";
}

impl ErrorCode {
    /// The code's number.
    #[must_use]
    #[allow(clippy::as_conversions)] // the discriminants are the numbers
    pub const fn id(self) -> i16 {
        self as i16
    }

    /// The code of this number; a number that Kafka 4.3 does not have is an unknown server error, as in Kafka's clients.
    #[must_use]
    pub const fn from_id(id: i16) -> Self {
        match Self::known(id) {
            Some(code) => code,
            None => Self::UnknownServerError,
        }
    }

    /// Whether it is an error at all.
    #[must_use]
    pub const fn is_error(self) -> bool {
        !matches!(self, Self::None)
    }
}

impl From<ErrorCode> for i16 {
    fn from(code: ErrorCode) -> Self {
        code.id()
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}", self.name(), self.id(), self.message())
    }
}

impl std::error::Error for ErrorCode {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_kafka_4_3_without_a_gap() {
        let ids: Vec<i16> = ErrorCode::ALL.iter().map(|code| code.id()).collect();
        assert_eq!(ids, (-1..=133).collect::<Vec<i16>>());
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_id(code.id()), *code);
        }
    }

    #[test]
    fn a_code_of_the_future_is_an_unknown_server_error() {
        assert_eq!(ErrorCode::from_id(134), ErrorCode::UnknownServerError);
        assert_eq!(ErrorCode::from_id(-2), ErrorCode::UnknownServerError);
    }
}
