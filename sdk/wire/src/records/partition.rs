//! Records about partitions and who holds them.

use crate::{Array, Wire};
use uuid::Uuid;

/// A partition exists.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=2, flexible = 0..)]
pub struct PartitionRecord<'a> {
    /// The partition's number.
    #[wire(default = -1)]
    pub partition_id: i32,
    /// The topic's id.
    pub topic_id: Uuid,
    /// Broker ids of all replicas, the preferred leader first.
    pub replicas: Array<'a, i32>,
    /// Broker ids of the replicas in sync.
    pub isr: Array<'a, i32>,
    /// Broker ids that a reassignment is taking away.
    pub removing_replicas: Array<'a, i32>,
    /// Broker ids that a reassignment is adding.
    pub adding_replicas: Array<'a, i32>,
    /// Broker id of the leader, -1 for none.
    #[wire(default = -1)]
    pub leader: i32,
    /// 0 recovered, 1 still recovering from an unclean election.
    #[wire(tag = 0)]
    pub leader_recovery_state: i8,
    /// Counts the leaders.
    #[wire(default = -1)]
    pub leader_epoch: i32,
    /// Counts every change of the partition.
    #[wire(default = -1)]
    pub partition_epoch: i32,
    /// Directory ids, one for each replica.
    #[wire(versions = 1..)]
    pub directories: Array<'a, Uuid>,
    /// Broker ids out of sync that hold everything committed (KIP-966), null for none.
    #[wire(tag = 1, versions = 2..)]
    pub eligible_leader_replicas: Option<Array<'a, i32>>,
    /// Broker ids of the last such replicas, null for none.
    #[wire(tag = 2, versions = 2..)]
    pub last_known_elr: Option<Array<'a, i32>>,
}

/// A partition changes; what is not said stays.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=2, flexible = 0..)]
pub struct PartitionChangeRecord<'a> {
    /// The partition's number.
    #[wire(default = -1)]
    pub partition_id: i32,
    /// The topic's id.
    pub topic_id: Uuid,
    /// Broker ids in sync from now on; null leaves them.
    #[wire(tag = 0)]
    pub isr: Option<Array<'a, i32>>,
    /// Broker id of the leader from now on; -1 for none, -2 leaves it.
    #[wire(tag = 1, default = -2)]
    pub leader: i32,
    /// Broker ids of all replicas from now on; null leaves them.
    #[wire(tag = 2)]
    pub replicas: Option<Array<'a, i32>>,
    /// Broker ids that a reassignment is taking away; null leaves them.
    #[wire(tag = 3)]
    pub removing_replicas: Option<Array<'a, i32>>,
    /// Broker ids that a reassignment is adding; null leaves them.
    #[wire(tag = 4)]
    pub adding_replicas: Option<Array<'a, i32>>,
    /// 0 recovered, 1 still recovering from an unclean election, -1 leaves it.
    #[wire(tag = 5, default = -1)]
    pub leader_recovery_state: i8,
    /// Directory ids, one for each replica; null leaves them.
    #[wire(tag = 8, versions = 1..)]
    pub directories: Option<Array<'a, Uuid>>,
    /// Broker ids out of sync that hold everything committed (KIP-966); null leaves them.
    #[wire(tag = 6, versions = 2..)]
    pub eligible_leader_replicas: Option<Array<'a, i32>>,
    /// Broker ids of the last such replicas; null leaves them.
    #[wire(tag = 7, versions = 2..)]
    pub last_known_elr: Option<Array<'a, i32>>,
}
