//! One partition of `__consumer_offsets`: its groups and their offsets, and the doors to them. What a door does is written
//! with its noun; here is which group is meant, and that nothing is asked before everything is loaded.

use crate::classic::ClassicGroup;
use crate::config::Config;
use crate::consumer::{self, ConsumerGroup};
use crate::offsets::Offsets;
use crate::timers::Timers;
use crate::world::{Caller, Record, Response, Topics, World};
use highwater_wire::message::list_groups::ListedGroup;
use highwater_wire::message::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchResponseGroup};
use highwater_wire::message::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, DeleteGroupsResponse,
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest,
    OffsetDeleteResponse, SyncGroupRequest, SyncGroupResponse, consumer_group_describe,
    delete_groups, describe_groups,
};
use highwater_wire::records::group::{GroupKey, GroupValue};
use highwater_wire::{DecodeError, ErrorCode};
use std::collections::BTreeMap;
use std::rc::Rc;

/// All groups of one partition of `__consumer_offsets`.
#[derive(Debug)]
pub struct Coordinator {
    pub(crate) config: Config,
    pub(crate) groups: BTreeMap<Rc<str>, Group>,
    pub(crate) offsets: Offsets,
    pub(crate) timers: Timers,
    loaded: bool,
}

/// What a group id names.
#[derive(Debug)]
pub(crate) enum Group {
    /// Members gather in generations; a group without a protocol type only holds offsets.
    Classic(ClassicGroup),
    /// The coordinator assigns (KIP-848).
    Consumer(ConsumerGroup),
}

/// What a coordinator holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Groups of every kind.
    pub groups: usize,
    /// Members of all groups.
    pub members: usize,
    /// Commits: one for each group and partition.
    pub offsets: usize,
    /// Time-outs that run.
    pub timeouts: usize,
}

/// A record that cannot be read: its bytes are none of the type that they claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The key cannot be read.
    #[error("key of a group record cannot be read: {0}")]
    Key(DecodeError),
    /// The value cannot be read.
    #[error("value of a group record cannot be read: {0}")]
    Value(DecodeError),
}

impl Coordinator {
    /// A coordinator that knows nothing yet: every request is answered with `COORDINATOR_LOAD_IN_PROGRESS` until
    /// [`Coordinator::loaded`].
    #[must_use]
    pub fn new(config: Config) -> Coordinator {
        Coordinator {
            config,
            groups: BTreeMap::new(),
            offsets: Offsets::default(),
            timers: Timers::default(),
            loaded: false,
        }
    }

    /// Takes new settings; what runs is not cut short.
    pub fn reconfigure(&mut self, config: Config) {
        self.config = config;
    }

    /// One record of the log, in the order of the log. A type that is not known is passed over.
    ///
    /// # Errors
    /// Where the bytes are no record; nothing has changed, and the next record may follow.
    pub fn replay(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), ReplayError> {
        let key = match GroupKey::decode(key) {
            Ok(key) => key,
            Err(DecodeError::UnknownGroupRecord { .. }) => return Ok(()),
            Err(error) => return Err(ReplayError::Key(error)),
        };
        let value = value
            .map(|value| GroupValue::decode(&key, value))
            .transpose()
            .map_err(ReplayError::Value)?;
        self.apply(&key, value.as_ref().map(|(value, _)| value));
        Ok(())
    }

    /// All records were read: time-outs of the members begin, requests are taken.
    pub fn loaded(&mut self, _world: &mut impl World) {
        self.loaded = true;
    }

    /// Whether requests are taken.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// The partition goes elsewhere, or the process ends: whoever waits is answered with `NOT_COORDINATOR`.
    pub fn unload(&mut self, _world: &mut impl World) {
        self.loaded = false;
    }

    /// JoinGroup. Answered now, or when the generation begins.
    pub fn join_group(
        &mut self,
        world: &mut impl World,
        caller: &Caller<'_>,
        _request: &JoinGroupRequest<'_>,
    ) {
        let response = JoinGroupResponse {
            error_code: ErrorCode::CoordinatorLoadInProgress.id(),
            ..JoinGroupResponse::default()
        };
        world.answer(caller.ticket, Response::JoinGroup(response));
    }

    /// SyncGroup. Answered now, or when the leader has brought the assignment.
    pub fn sync_group(
        &mut self,
        world: &mut impl World,
        caller: &Caller<'_>,
        _request: &SyncGroupRequest<'_>,
    ) {
        let response = SyncGroupResponse {
            error_code: ErrorCode::CoordinatorLoadInProgress.id(),
            ..SyncGroupResponse::default()
        };
        world.answer(caller.ticket, Response::SyncGroup(response));
    }

    /// Heartbeat of a classic member.
    pub fn heartbeat(
        &mut self,
        world: &mut impl World,
        caller: &Caller<'_>,
        _request: &HeartbeatRequest<'_>,
    ) {
        let response = HeartbeatResponse {
            error_code: ErrorCode::CoordinatorLoadInProgress.id(),
            ..HeartbeatResponse::default()
        };
        world.answer(caller.ticket, Response::Heartbeat(response));
    }

    /// LeaveGroup, of one member or of many.
    pub fn leave_group(
        &mut self,
        world: &mut impl World,
        caller: &Caller<'_>,
        _request: &LeaveGroupRequest<'_>,
    ) {
        let response = LeaveGroupResponse {
            error_code: ErrorCode::CoordinatorLoadInProgress.id(),
            ..LeaveGroupResponse::default()
        };
        world.answer(caller.ticket, Response::LeaveGroup(response));
    }

    /// OffsetCommit.
    pub fn offset_commit(
        &mut self,
        world: &mut impl World,
        caller: &Caller<'_>,
        _request: &OffsetCommitRequest<'_>,
    ) {
        let response = OffsetCommitResponse::default();
        world.answer(caller.ticket, Response::OffsetCommit(response));
    }

    /// OffsetDelete.
    pub fn offset_delete(
        &mut self,
        world: &mut impl World,
        caller: &Caller<'_>,
        _request: &OffsetDeleteRequest<'_>,
    ) {
        let response = OffsetDeleteResponse {
            error_code: ErrorCode::CoordinatorLoadInProgress.id(),
            ..OffsetDeleteResponse::default()
        };
        world.answer(caller.ticket, Response::OffsetDelete(response));
    }

    /// ConsumerGroupHeartbeat.
    pub fn consumer_group_heartbeat(
        &mut self,
        world: &mut impl World,
        caller: &Caller<'_>,
        request: &ConsumerGroupHeartbeatRequest<'_>,
    ) {
        if !self.loaded {
            let response = ConsumerGroupHeartbeatResponse {
                error_code: ErrorCode::CoordinatorLoadInProgress.id(),
                ..ConsumerGroupHeartbeatResponse::default()
            };
            return world.answer(caller.ticket, Response::ConsumerGroupHeartbeat(response));
        }
        consumer::heartbeat(self, world, caller, request);
    }

    /// DeleteGroups, of those groups that live in this partition.
    pub fn delete_groups(
        &mut self,
        world: &mut impl World,
        caller: &Caller<'_>,
        groups: &mut dyn Iterator<Item = &str>,
    ) {
        let results = groups
            .map(|group_id| delete_groups::DeletableGroupResult {
                group_id,
                error_code: ErrorCode::CoordinatorLoadInProgress.id(),
            })
            .collect();
        let response = DeleteGroupsResponse {
            results,
            ..DeleteGroupsResponse::default()
        };
        world.answer(caller.ticket, Response::DeleteGroups(response));
    }

    /// OffsetFetch, of one group. Versions 1 to 7 are the shell's to map to and from it; as of version 10 topics are named by
    /// id.
    #[must_use]
    pub fn offset_fetch<'a>(
        &'a self,
        _topics: &'a dyn Topics,
        _version: i16,
        group: &'a OffsetFetchRequestGroup<'a>,
        _require_stable: bool,
    ) -> OffsetFetchResponseGroup<'a> {
        OffsetFetchResponseGroup {
            group_id: group.group_id,
            error_code: ErrorCode::CoordinatorLoadInProgress.id(),
            ..OffsetFetchResponseGroup::default()
        }
    }

    /// ListGroups: the groups in one of the states, of one of the types; no filter lets all through. Names in any case.
    /// The shell asks [`Coordinator::is_loaded`] first.
    #[must_use]
    pub fn list_groups<'a>(
        &'a self,
        _states_filter: &[&str],
        _types_filter: &[&str],
    ) -> Vec<ListedGroup<'a>> {
        Vec::new()
    }

    /// DescribeGroups, of one group.
    #[must_use]
    pub fn describe_group<'a>(
        &'a self,
        _topics: &'a dyn Topics,
        id: &'a str,
        _version: i16,
    ) -> describe_groups::DescribedGroup<'a> {
        describe_groups::DescribedGroup {
            error_code: ErrorCode::CoordinatorLoadInProgress.id(),
            group_id: id,
            ..describe_groups::DescribedGroup::default()
        }
    }

    /// ConsumerGroupDescribe, of one group.
    #[must_use]
    pub fn consumer_group_describe<'a>(
        &'a self,
        topics: &'a dyn Topics,
        id: &'a str,
    ) -> consumer_group_describe::DescribedGroup<'a> {
        let error = if !self.loaded {
            ErrorCode::CoordinatorLoadInProgress
        } else if let Some(Group::Consumer(group)) = self.groups.get(id) {
            return group.describe(topics);
        } else {
            ErrorCode::GroupIdNotFound
        };
        consumer_group_describe::DescribedGroup {
            error_code: error.id(),
            group_id: id,
            ..consumer_group_describe::DescribedGroup::default()
        }
    }

    /// When [`Coordinator::tick`] is wanted next, in milliseconds of [`World::now_ms`].
    #[must_use]
    pub fn due_ms(&self) -> Option<i64> {
        self.timers.due_ms()
    }

    /// Everything that is due: sessions, rebalances, offsets, patterns.
    pub fn tick(&mut self, _world: &mut impl World) {}

    /// The topics have changed: offsets of deleted topics go, subscriptions are looked at again.
    pub fn topics_changed(&mut self, world: &mut impl World) {
        consumer::topics_changed(self, world);
    }

    /// What it holds.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            groups: self.groups.len(),
            timeouts: self.timers.len(),
            ..Counts::default()
        }
    }

    /// Writes the records down and lets them in through the one door.
    ///
    /// # Errors
    /// The code for the client when they have no place in the log; nothing has changed then.
    pub(crate) fn write(
        &mut self,
        world: &mut impl World,
        records: &[Record<'_>],
    ) -> Result<(), ErrorCode> {
        world.append(records)?;
        for record in records {
            self.apply(&record.key, record.value.as_ref());
        }
        Ok(())
    }

    /// The only door to what is durable.
    fn apply(&mut self, key: &GroupKey<'_>, value: Option<&GroupValue<'_>>) {
        match key {
            GroupKey::LegacyOffsetCommit(_)
            | GroupKey::OffsetCommit(_)
            | GroupKey::GroupMetadata(_) => {}
            GroupKey::ConsumerGroupMetadata(_)
            | GroupKey::ConsumerGroupPartitionMetadata(_)
            | GroupKey::ConsumerGroupMemberMetadata(_)
            | GroupKey::ConsumerGroupTargetAssignmentMetadata(_)
            | GroupKey::ConsumerGroupTargetAssignmentMember(_)
            | GroupKey::ConsumerGroupCurrentMemberAssignment(_)
            | GroupKey::ConsumerGroupRegularExpression(_) => consumer::replay(self, key, value),
        }
    }
}
