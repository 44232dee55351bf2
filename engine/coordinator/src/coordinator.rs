//! One partition of `__consumer_offsets`: its groups and their offsets, and the doors to them. What a door does is written
//! with its noun; here is which group is meant, and that nothing is asked before everything is loaded.

use crate::classic::{self, ClassicGroup, Parked};
use crate::config::Config;
use crate::consumer::{self, ConsumerGroup};
use crate::offsets::{self, Expiry, Offsets};
use crate::timers::{Timeout, Timers};
use crate::world::{Caller, Record, Response, Topics, World};
use highwater_wire::message::leave_group::MemberIdentity;
use highwater_wire::message::list_groups::ListedGroup;
use highwater_wire::message::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchResponseGroup};
use highwater_wire::message::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, HeartbeatRequest,
    HeartbeatResponse, JoinGroupRequest, LeaveGroupRequest, LeaveGroupResponse,
    OffsetCommitRequest, OffsetDeleteRequest, SyncGroupRequest, consumer_group_describe,
    describe_groups,
};
use highwater_wire::records::group::{GroupKey, GroupValue};
use highwater_wire::{DecodeError, ErrorCode};
use std::collections::BTreeMap;
use std::rc::Rc;

/// How long a decision waits that could not be written down, in milliseconds.
const RETRY_MS: i64 = 500;

/// The first version of LeaveGroup that names many members.
const LEAVES_MANY: i16 = 3;

/// The first version of DescribeGroups in which a group that is not there is an error (KIP-1043).
const MISSES_GROUP: i16 = 6;

/// All groups of one partition of `__consumer_offsets`.
#[derive(Debug)]
pub struct Coordinator {
    pub(crate) config: Config,
    pub(crate) groups: BTreeMap<Rc<str>, Group>,
    pub(crate) offsets: Offsets,
    pub(crate) timers: Timers,
    pub(crate) expiry: Expiry,
    loaded: bool,
}

/// What a group id names.
#[derive(Debug)]
pub(crate) enum Group {
    /// Members gather in generations; a group without a protocol type only holds offsets.
    Classic(Box<ClassicGroup>),
    /// The coordinator assigns (KIP-848).
    Consumer(Box<ConsumerGroup>),
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
            expiry: Expiry::default(),
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
    pub fn loaded(&mut self, world: &mut impl World) {
        self.loaded = true;
        for id in self.group_ids() {
            match self.groups.get(&id) {
                Some(Group::Consumer(_)) => consumer::loaded(self, world, &id),
                Some(Group::Classic(_)) => {
                    if let Some(mut turn) = self.turn(world, &id) {
                        turn.loaded();
                    }
                }
                None => {}
            }
        }
        let pause_ms = self.config.offsets_retention_check_interval_ms.max(1);
        let due_ms = world.now_ms().saturating_add(pause_ms);
        self.timers.set(Timeout::OffsetExpiry, due_ms);
    }

    /// Whether requests are taken.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// The partition goes elsewhere, or the process ends: whoever waits is answered with `NOT_COORDINATOR`.
    pub fn unload(&mut self, world: &mut impl World) {
        self.loaded = false;
        for id in self.group_ids() {
            if let Some(mut turn) = self.turn(world, &id) {
                turn.end_all_waits(ErrorCode::NotCoordinator);
            } else {
                consumer::unload(self, world, &id);
            }
        }
        self.timers = Timers::default();
    }

    /// JoinGroup. Answered now, or when the generation begins.
    pub fn join_group(
        &mut self,
        world: &mut impl World,
        caller: &Caller<'_>,
        request: &JoinGroupRequest<'_>,
    ) {
        let limits = self.config.session_timeout_ms_min..=self.config.session_timeout_ms_max;
        let refused = if request.group_id.is_empty() {
            ErrorCode::InvalidGroupId
        } else if !limits.contains(&request.session_timeout_ms) {
            ErrorCode::InvalidSessionTimeout
        } else if !self.loaded {
            ErrorCode::CoordinatorLoadInProgress
        } else if self.has_consumers(request.group_id) {
            return consumer::join(self, world, caller, request);
        } else {
            return classic::join(self, world, caller, request);
        };
        classic::refuse_join(world, Parked::of(caller), request.member_id, refused);
    }

    /// SyncGroup. Answered now, or when the leader has brought the assignment.
    pub fn sync_group(
        &mut self,
        world: &mut impl World,
        caller: &Caller<'_>,
        request: &SyncGroupRequest<'_>,
    ) {
        let refused = if request.group_id.is_empty() {
            ErrorCode::InvalidGroupId
        } else if !self.loaded {
            ErrorCode::CoordinatorLoadInProgress
        } else if self.has_consumers(request.group_id) {
            return consumer::sync(self, world, caller, request);
        } else {
            return classic::sync(self, world, caller, request);
        };
        classic::refuse_sync(world, Parked::of(caller), refused);
    }

    /// Heartbeat of a classic member. While records are still read every member counts as alive.
    pub fn heartbeat(
        &mut self,
        world: &mut impl World,
        caller: &Caller<'_>,
        request: &HeartbeatRequest<'_>,
    ) {
        let code = if request.group_id.is_empty() {
            ErrorCode::InvalidGroupId
        } else if !self.loaded {
            ErrorCode::None
        } else if let Some(Group::Consumer(_)) = self.groups.get(request.group_id) {
            return consumer::classic_heartbeat(self, world, caller, request);
        } else {
            classic::heartbeat(self, world, request)
        };
        let response = HeartbeatResponse {
            error_code: code.id(),
            ..HeartbeatResponse::default()
        };
        world.answer(caller.ticket, Response::Heartbeat(response));
    }

    /// LeaveGroup, of one member or of many.
    pub fn leave_group(
        &mut self,
        world: &mut impl World,
        caller: &Caller<'_>,
        request: &LeaveGroupRequest<'_>,
    ) {
        let refused = if request.group_id.is_empty() {
            ErrorCode::InvalidGroupId
        } else if !self.loaded {
            ErrorCode::CoordinatorLoadInProgress
        } else {
            ErrorCode::None
        };
        let mut response = LeaveGroupResponse {
            error_code: refused.id(),
            ..LeaveGroupResponse::default()
        };
        if refused.is_error() {
            return world.answer(caller.ticket, Response::LeaveGroup(response));
        }
        if let Some(Group::Consumer(_)) = self.groups.get(request.group_id) {
            return consumer::leave(self, world, caller, request);
        }
        let is_many = caller.version >= LEAVES_MANY;
        let outcomes = if is_many {
            classic::leave(self, world, request.group_id, request.members.iter())
        } else {
            let alone = MemberIdentity {
                member_id: request.member_id,
                ..MemberIdentity::default()
            };
            classic::leave(self, world, request.group_id, [alone].into_iter())
        };
        match outcomes {
            Err(code) => response.error_code = code.id(),
            Ok(outcomes) if is_many => response.members = outcomes.into(),
            Ok(outcomes) => response.error_code = outcomes.iter().map(|one| one.error_code).sum(),
        }
        world.answer(caller.ticket, Response::LeaveGroup(response));
    }

    /// OffsetCommit.
    pub fn offset_commit(
        &mut self,
        world: &mut impl World,
        caller: &Caller<'_>,
        request: &OffsetCommitRequest<'_>,
    ) {
        offsets::commit(self, world, caller, request);
    }

    /// OffsetDelete.
    pub fn offset_delete(
        &mut self,
        world: &mut impl World,
        caller: &Caller<'_>,
        request: &OffsetDeleteRequest<'_>,
    ) {
        offsets::delete(self, world, caller, request);
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
        offsets::delete_groups(self, world, caller, groups);
    }

    /// OffsetFetch, of one group. Versions 1 to 7 are the shell's to map to and from it; as of version 10 topics are named by
    /// id. No commit is ever unstable: there are no transactions yet.
    #[must_use]
    pub fn offset_fetch<'a>(
        &'a self,
        topics: &'a dyn Topics,
        version: i16,
        group: &'a OffsetFetchRequestGroup<'a>,
        _require_stable: bool,
    ) -> OffsetFetchResponseGroup<'a> {
        if !self.loaded {
            return OffsetFetchResponseGroup {
                group_id: group.group_id,
                error_code: ErrorCode::CoordinatorLoadInProgress.id(),
                ..OffsetFetchResponseGroup::default()
            };
        }
        offsets::fetch(self, topics, version, group)
    }

    /// ListGroups: the groups in one of the states, of one of the types; no filter lets all through. Names in any case.
    /// The shell asks [`Coordinator::is_loaded`] first.
    #[must_use]
    pub fn list_groups<'a>(
        &'a self,
        states_filter: &[&str],
        types_filter: &[&str],
    ) -> Vec<ListedGroup<'a>> {
        let lets_through = |filter: &[&str], name: &str| {
            filter.is_empty()
                || filter
                    .iter()
                    .any(|asked| asked.trim().eq_ignore_ascii_case(name))
        };
        self.groups
            .values()
            .map(Group::list)
            .filter(|line| lets_through(states_filter, line.group_state))
            .filter(|line| lets_through(types_filter, line.group_type))
            .collect()
    }

    /// DescribeGroups, of one group. Only classic groups are there for it.
    #[must_use]
    pub fn describe_group<'a>(
        &'a self,
        _topics: &'a dyn Topics,
        id: &'a str,
        version: i16,
    ) -> describe_groups::DescribedGroup<'a> {
        let mut missing = describe_groups::DescribedGroup {
            group_id: id,
            ..describe_groups::DescribedGroup::default()
        };
        if !self.loaded {
            missing.error_code = ErrorCode::CoordinatorLoadInProgress.id();
            return missing;
        }
        let why = match self.groups.get(id) {
            Some(Group::Classic(group)) => return group.describe(),
            Some(Group::Consumer(_)) => "group is not a classic group",
            None => "group is not known",
        };
        missing.group_state = "Dead";
        if version >= MISSES_GROUP {
            missing.error_code = ErrorCode::GroupIdNotFound.id();
            missing.error_message = Some(why);
        }
        missing
    }

    /// ConsumerGroupDescribe, of one group. Only consumer groups are there for it.
    #[must_use]
    pub fn consumer_group_describe<'a>(
        &'a self,
        topics: &'a dyn Topics,
        id: &'a str,
    ) -> consumer_group_describe::DescribedGroup<'a> {
        let (error, why) = if !self.loaded {
            (ErrorCode::CoordinatorLoadInProgress, None)
        } else {
            let why = match self.groups.get(id) {
                Some(Group::Consumer(group)) => {
                    return group.describe(topics, &self.config.consumer_assignors);
                }
                Some(Group::Classic(_)) => "group is not a consumer group",
                None => "group is not known",
            };
            (ErrorCode::GroupIdNotFound, Some(why))
        };
        consumer_group_describe::DescribedGroup {
            error_code: error.id(),
            error_message: why,
            group_id: id,
            ..consumer_group_describe::DescribedGroup::default()
        }
    }

    /// When [`Coordinator::tick`] is wanted next, in milliseconds of [`World::now_ms`].
    #[must_use]
    pub fn due_ms(&self) -> Option<i64> {
        self.timers.due_ms()
    }

    /// Everything that is due: sessions, rebalances, offsets, patterns. What cannot be written down comes again.
    pub fn tick(&mut self, world: &mut impl World) {
        let now_ms = world.now_ms();
        while let Some(timeout) = self.timers.pop(now_ms) {
            let outcome = match &timeout {
                Timeout::ClassicSession { .. }
                | Timeout::ClassicJoin { .. }
                | Timeout::ClassicSync { .. } => {
                    classic::expired(self, world, &timeout);
                    Ok(())
                }
                Timeout::ConsumerSession { .. }
                | Timeout::ConsumerRebalance { .. }
                | Timeout::ConsumerJoin { .. }
                | Timeout::ConsumerSync { .. }
                | Timeout::ConsumerRegex { .. } => consumer::expired(self, world, &timeout),
                Timeout::OffsetExpiry => offsets::expire(self, world),
            };
            if let Err(code) = outcome {
                tracing::warn!(?timeout, %code, "what is due could not be written down");
                self.timers.set(timeout, now_ms.saturating_add(RETRY_MS));
            }
        }
    }

    /// The topics have changed: offsets of deleted topics go, subscriptions are looked at again.
    pub fn topics_changed(&mut self, world: &mut impl World) {
        if self.loaded {
            offsets::topics_changed(self, world);
            consumer::topics_changed(self, world);
        }
    }

    /// What it holds.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            groups: self.groups.len(),
            members: self.groups.values().map(Group::members).sum(),
            offsets: self.offsets.len(),
            timeouts: self.timers.len(),
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
        match (key, value) {
            // An old type and the new one say the same of the same thing.
            (
                GroupKey::LegacyOffsetCommit(key) | GroupKey::OffsetCommit(key),
                Some(GroupValue::LegacyOffsetCommit(value) | GroupValue::OffsetCommit(value)),
            ) => {
                let id = self.shared_id(key.group);
                self.offsets.replay(&id, key, Some(value));
                self.keep_commits(id);
            }
            (GroupKey::LegacyOffsetCommit(key) | GroupKey::OffsetCommit(key), _) => {
                self.offsets.replay(&key.group.into(), key, None);
            }
            (GroupKey::GroupMetadata(key), Some(GroupValue::GroupMetadata(value))) => {
                classic::replay(self, key.group, Some(value));
            }
            (GroupKey::GroupMetadata(key), _) => classic::replay(self, key.group, None),
            (
                GroupKey::ConsumerGroupMetadata(_)
                | GroupKey::ConsumerGroupPartitionMetadata(_)
                | GroupKey::ConsumerGroupMemberMetadata(_)
                | GroupKey::ConsumerGroupTargetAssignmentMetadata(_)
                | GroupKey::ConsumerGroupTargetAssignmentMember(_)
                | GroupKey::ConsumerGroupCurrentMemberAssignment(_)
                | GroupKey::ConsumerGroupRegularExpression(_),
                value,
            ) => {
                consumer::replay(self, key, value);
                self.keep_commits(self.shared_id(key.group()));
            }
        }
    }

    /// The group's id, shared with what bears it already.
    pub(crate) fn shared_id(&self, id: &str) -> Rc<str> {
        match self.groups.get_key_value(id) {
            Some((id, _)) => id.clone(),
            None => id.into(),
        }
    }

    /// Removes a classic group. Where it has commits there is still a group: one that only holds them.
    pub(crate) fn forget_classic(&mut self, id: &str) {
        if !matches!(self.groups.get(id), Some(Group::Classic(_))) {
            return;
        }
        let Some((id, Group::Classic(group))) = self.groups.remove_entry(id) else {
            return;
        };
        for member in group.members.keys().chain(&group.pending) {
            self.timers.cancel(&Timeout::ClassicSession {
                group: id.clone(),
                member: member.clone(),
            });
        }
        self.timers
            .cancel(&Timeout::ClassicJoin { group: id.clone() });
        self.timers
            .cancel(&Timeout::ClassicSync { group: id.clone() });
        self.keep_commits(id);
    }

    /// Where there are commits there is a group: one that only holds them, if no other.
    pub(crate) fn keep_commits(&mut self, id: Rc<str>) {
        if !self.groups.contains_key(&id) && self.offsets.has(&id) {
            let empty = Box::new(ClassicGroup::new(id.clone(), -1));
            self.groups.insert(id, Group::Classic(empty));
        }
    }

    /// Whether the group is a consumer group with members.
    fn has_consumers(&self, id: &str) -> bool {
        matches!(self.groups.get(id), Some(Group::Consumer(group)) if group.members() > 0)
    }

    fn group_ids(&self) -> Vec<Rc<str>> {
        self.groups.keys().cloned().collect()
    }
}

impl Group {
    /// How many members there are.
    fn members(&self) -> usize {
        match self {
            Group::Classic(group) => group.members.len(),
            Group::Consumer(group) => group.members(),
        }
    }

    /// A line of ListGroups.
    fn list(&self) -> ListedGroup<'_> {
        match self {
            Group::Classic(group) => group.list(),
            Group::Consumer(group) => ListedGroup {
                group_id: group.id(),
                protocol_type: classic::CONSUMER,
                group_state: group.state_name(),
                group_type: "consumer",
            },
        }
    }
}

/// The code for the client when records have no place in the log
/// (`GroupMetadataManager.appendGroupMetadataErrorToResponseError`).
pub(crate) fn heard(code: ErrorCode) -> ErrorCode {
    if matches!(
        code,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge | ErrorCode::InvalidFetchSize
    ) {
        ErrorCode::UnknownServerError
    } else {
        code
    }
}
