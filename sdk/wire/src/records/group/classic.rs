//! Classic groups: one record for each, written when a generation is complete.

use crate::{Array, Wire};

/// A classic group.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0)]
pub struct GroupMetadataKey<'a> {
    /// The group's id.
    pub group: &'a str,
}

/// A generation of a classic group whose members all have their assignment. Kafka 4.3 writes version 3.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=4, flexible = 4..)]
pub struct GroupMetadataValue<'a> {
    /// What kind of group it is: `consumer`, `connect`, ..; empty for a group that only holds offsets.
    pub protocol_type: &'a str,
    /// The generation.
    pub generation: i32,
    /// The protocol that the group voted for, null for a group without members.
    pub protocol: Option<&'a str>,
    /// Member id of the leader, null for a group without members.
    pub leader: Option<&'a str>,
    /// When the group came into its state, in milliseconds since the epoch; -1 when it is not known. The age of an
    /// empty group counts from here.
    #[wire(versions = 2.., default = -1, ignorable)]
    pub current_state_timestamp: i64,
    /// The members.
    pub members: Array<'a, MemberMetadata<'a>>,
}

/// A member of a generation.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct MemberMetadata<'a> {
    /// Id of the member.
    pub member_id: &'a str,
    /// Instance id of a static member (KIP-345), null for a dynamic one.
    #[wire(versions = 3.., ignorable)]
    pub group_instance_id: Option<&'a str>,
    /// The client's own name for itself.
    pub client_id: &'a str,
    /// Address the member connected from.
    pub client_host: &'a str,
    /// How long the group waits for the member in a rebalance, in milliseconds; -1 means the session time-out.
    #[wire(versions = 1.., default = -1, ignorable)]
    pub rebalance_timeout: i32,
    /// After how long without a heartbeat the member counts as dead, in milliseconds.
    pub session_timeout: i32,
    /// What the member said with the protocol that was voted for.
    pub subscription: &'a [u8],
    /// What the leader gave the member.
    pub assignment: &'a [u8],
}
