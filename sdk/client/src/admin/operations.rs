//! What a client may do with a resource, where it asked to be told (KIP-430).

use std::fmt;

/// Something an ACL allows or denies (`AclOperation.java`).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AclOperation {
    /// Read records or offsets.
    Read,
    /// Write records.
    Write,
    /// Create it.
    Create,
    /// Delete it.
    Delete,
    /// Change it.
    Alter,
    /// Ask what it is.
    Describe,
    /// What brokers ask of each other.
    ClusterAction,
    /// Read its configs.
    DescribeConfigs,
    /// Change its configs.
    AlterConfigs,
    /// Write idempotently.
    IdempotentWrite,
    /// Create delegation tokens.
    CreateTokens,
    /// Ask for delegation tokens.
    DescribeTokens,
    /// Prepare transactions for two-phase commit (KIP-939).
    TwoPhaseCommit,
}

const BITS: [(AclOperation, u32); 13] = [
    (AclOperation::Read, 3),
    (AclOperation::Write, 4),
    (AclOperation::Create, 5),
    (AclOperation::Delete, 6),
    (AclOperation::Alter, 7),
    (AclOperation::Describe, 8),
    (AclOperation::ClusterAction, 9),
    (AclOperation::DescribeConfigs, 10),
    (AclOperation::AlterConfigs, 11),
    (AclOperation::IdempotentWrite, 12),
    (AclOperation::CreateTokens, 13),
    (AclOperation::DescribeTokens, 14),
    (AclOperation::TwoPhaseCommit, 15),
];

/// A set of operations.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AllowedOperations(i32);

impl AllowedOperations {
    /// `None` where the broker was not asked.
    pub(super) fn read(bits: i32) -> Option<Self> {
        (bits != i32::MIN).then_some(Self(bits))
    }

    /// Whether this operation is allowed.
    pub fn contains(self, operation: AclOperation) -> bool {
        self.iter().any(|it| it == operation)
    }

    /// The operations that are allowed; those this crate does not know are left out.
    pub fn iter(self) -> impl Iterator<Item = AclOperation> {
        let allowed = BITS
            .into_iter()
            .filter(move |(_, bit)| self.0 & (1 << bit) != 0);
        allowed.map(|(operation, _)| operation)
    }
}

impl fmt::Debug for AllowedOperations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_the_operations_of_its_bits_and_skips_unknown_ones() {
        let allowed = AllowedOperations::read(1 << 3 | 1 << 8 | 1 << 29).unwrap();
        let found: Vec<AclOperation> = allowed.iter().collect();
        assert_eq!(found, [AclOperation::Read, AclOperation::Describe]);
        assert!(allowed.contains(AclOperation::Read));
        assert!(!allowed.contains(AclOperation::Write));
        assert_eq!(AllowedOperations::read(i32::MIN), None);
    }
}
