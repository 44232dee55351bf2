//! What a client is told it may do. Until there is an authorizer everybody may do everything, and the answer says so as
//! Kafka's does: the bits of all operations that a resource knows (`AclEntry.supportedOperations`).

/// What is answered where nobody asked.
const NOT_ASKED: i32 = i32::MIN;

const READ: i32 = 1 << 3;
const WRITE: i32 = 1 << 4;
const CREATE: i32 = 1 << 5;
const DELETE: i32 = 1 << 6;
const ALTER: i32 = 1 << 7;
const DESCRIBE: i32 = 1 << 8;
const CLUSTER_ACTION: i32 = 1 << 9;
const DESCRIBE_CONFIGS: i32 = 1 << 10;
const ALTER_CONFIGS: i32 = 1 << 11;
const IDEMPOTENT_WRITE: i32 = 1 << 12;

/// Operations on the cluster.
pub(crate) fn cluster(asked: bool) -> i32 {
    if asked {
        CREATE
            | ALTER
            | DESCRIBE
            | CLUSTER_ACTION
            | DESCRIBE_CONFIGS
            | ALTER_CONFIGS
            | IDEMPOTENT_WRITE
    } else {
        NOT_ASKED
    }
}

/// Operations on a topic.
pub(crate) fn topic(asked: bool) -> i32 {
    if asked {
        READ | WRITE | CREATE | DELETE | ALTER | DESCRIBE | DESCRIBE_CONFIGS | ALTER_CONFIGS
    } else {
        NOT_ASKED
    }
}

/// Operations on a group.
pub(crate) fn group(asked: bool) -> i32 {
    if asked {
        READ | DELETE | DESCRIBE | DESCRIBE_CONFIGS | ALTER_CONFIGS
    } else {
        NOT_ASKED
    }
}
