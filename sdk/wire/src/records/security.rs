//! Records about who may do what.

use crate::{Array, Wire};
use uuid::Uuid;

/// Somebody may, or may not.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct AccessControlEntryRecord<'a> {
    /// Its id.
    pub id: Uuid,
    /// On what type of resource: 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token, 7 user.
    pub resource_type: i8,
    /// On which resource, or on those whose names begin so.
    pub resource_name: &'a str,
    /// How the name is matched: 3 literally, 4 as a prefix.
    pub pattern_type: i8,
    /// Who: type and name, as `User:alice`.
    pub principal: &'a str,
    /// From which host, `*` for any.
    pub host: &'a str,
    /// What: 2 all, 3 read, 4 write, 5 create, 6 delete, 7 alter, 8 describe, 9 cluster action, and so on (`AclOperation.java`).
    pub operation: i8,
    /// 2 denies, 3 allows.
    pub permission_type: i8,
}

/// An access rule is gone.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct RemoveAccessControlEntryRecord {
    /// Its id.
    pub id: Uuid,
}

/// A user has a SCRAM credential.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct UserScramCredentialRecord<'a> {
    /// The user.
    pub name: &'a str,
    /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
    pub mechanism: i8,
    /// Random bytes that went into the keys.
    pub salt: &'a [u8],
    /// Checks what the client proves (RFC 5802).
    pub stored_key: &'a [u8],
    /// Proves the server to the client (RFC 5802).
    pub server_key: &'a [u8],
    /// How often the password was hashed.
    pub iterations: i32,
}

/// A user's SCRAM credential is gone.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct RemoveUserScramCredentialRecord<'a> {
    /// The user.
    pub name: &'a str,
    /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
    pub mechanism: i8,
}

/// A delegation token is issued or renewed.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct DelegationTokenRecord<'a> {
    /// Principal that the token stands for.
    pub owner: &'a str,
    /// Principal that asked for it.
    pub requester: &'a str,
    /// Principals that may renew it.
    pub renewers: Array<'a, &'a str>,
    /// When it was issued, in milliseconds since the epoch.
    pub issue_timestamp: i64,
    /// When it ends whatever is renewed, in milliseconds since the epoch.
    pub max_timestamp: i64,
    /// When it ends unless it is renewed, in milliseconds since the epoch.
    pub expiration_timestamp: i64,
    /// The token's id.
    pub token_id: &'a str,
}

/// A delegation token is gone.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct RemoveDelegationTokenRecord<'a> {
    /// The token's id.
    pub token_id: &'a str,
}
