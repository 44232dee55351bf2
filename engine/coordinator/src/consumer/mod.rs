//! Consumer groups (KIP-848): the coordinator assigns, and members follow at their own pace.

use crate::coordinator::Coordinator;
use crate::timers::Timeout;
use crate::world::{Caller, Record, Response, Topics, World};
use highwater_wire::ErrorCode;
use highwater_wire::message::consumer_group_describe::DescribedGroup;
use highwater_wire::message::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, HeartbeatRequest,
    JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest,
};
use highwater_wire::records::group::{GroupKey, GroupValue};
use std::rc::Rc;

/// A consumer group.
#[derive(Debug)]
pub(crate) struct ConsumerGroup {
    id: Rc<str>,
}

impl ConsumerGroup {
    /// The group's id.
    pub(crate) fn id(&self) -> &Rc<str> {
        &self.id
    }

    /// State by Kafka's name: `Empty`, `Assigning`, `Reconciling`, `Stable`.
    pub(crate) fn state_name(&self) -> &'static str {
        "Empty"
    }

    /// How many members there are.
    pub(crate) fn members(&self) -> usize {
        0
    }

    /// Whether a member is subscribed to the topic.
    pub(crate) fn is_subscribed_to(&self, _topic: &str) -> bool {
        false
    }

    /// The tombstones of everything that is written down of the group, but for its offsets.
    pub(crate) fn tombstones(&self) -> Vec<Change> {
        Vec::new()
    }

    /// The answer to ConsumerGroupDescribe.
    pub(crate) fn describe<'a>(&'a self, _topics: &'a dyn Topics) -> DescribedGroup<'a> {
        DescribedGroup {
            error_code: ErrorCode::CoordinatorLoadInProgress.id(),
            ..DescribedGroup::default()
        }
    }

    /// Whether this member may commit: `UNKNOWN_MEMBER_ID`, `STALE_MEMBER_EPOCH`, `ILLEGAL_GENERATION` for a classic member.
    pub(crate) fn validate_commit(
        &self,
        _member: &str,
        _instance: Option<&str>,
        _epoch: i32,
        _version: i16,
    ) -> Result<(), ErrorCode> {
        Ok(())
    }

    /// Whether this member may ask for offsets. Not called for one that names neither itself nor an epoch.
    pub(crate) fn validate_fetch(
        &self,
        _member: Option<&str>,
        _epoch: i32,
    ) -> Result<(), ErrorCode> {
        Ok(())
    }
}

/// One record to be.
#[derive(Debug)]
pub(crate) enum Change {}

impl Change {
    /// The record, of the group `group_id`.
    pub(crate) fn record<'a>(&'a self, _group_id: &'a str) -> Record<'a> {
        match *self {}
    }
}

/// ConsumerGroupHeartbeat, on any group or none.
pub(crate) fn heartbeat(
    _coordinator: &mut Coordinator,
    world: &mut impl World,
    caller: &Caller<'_>,
    _request: &ConsumerGroupHeartbeatRequest<'_>,
) {
    let response = ConsumerGroupHeartbeatResponse {
        error_code: ErrorCode::CoordinatorLoadInProgress.id(),
        ..ConsumerGroupHeartbeatResponse::default()
    };
    world.answer(caller.ticket, Response::ConsumerGroupHeartbeat(response));
}

/// JoinGroup on a consumer group (migration).
pub(crate) fn join(
    _coordinator: &mut Coordinator,
    _world: &mut impl World,
    _caller: &Caller<'_>,
    _request: &JoinGroupRequest<'_>,
) {
}

/// SyncGroup on a consumer group (migration).
pub(crate) fn sync(
    _coordinator: &mut Coordinator,
    _world: &mut impl World,
    _caller: &Caller<'_>,
    _request: &SyncGroupRequest<'_>,
) {
}

/// Heartbeat of a classic member of a consumer group (migration).
pub(crate) fn classic_heartbeat(
    _coordinator: &mut Coordinator,
    _world: &mut impl World,
    _caller: &Caller<'_>,
    _request: &HeartbeatRequest<'_>,
) {
}

/// LeaveGroup on a consumer group (migration).
pub(crate) fn leave(
    _coordinator: &mut Coordinator,
    _world: &mut impl World,
    _caller: &Caller<'_>,
    _request: &LeaveGroupRequest<'_>,
) {
}

/// The only door to what is durable of consumer groups: one record of types 3 to 8 and 16. A group that the record needs is
/// made; a group that lost its `ConsumerGroupMetadata` is removed from `coordinator.groups`.
pub(crate) fn replay(
    _coordinator: &mut Coordinator,
    _key: &GroupKey<'_>,
    _value: Option<&GroupValue<'_>>,
) {
}

/// All records were read: arms the time-outs of the members of this group.
pub(crate) fn loaded(_coordinator: &mut Coordinator, _world: &mut impl World, _group: &Rc<str>) {}

/// The partition goes elsewhere: classic members of this group that wait are answered with `NOT_COORDINATOR`.
pub(crate) fn unload(_coordinator: &mut Coordinator, _world: &mut impl World, _group: &Rc<str>) {}

/// A time-out of a consumer group is due.
///
/// # Errors
/// When what it decided could not be written: it comes again.
pub(crate) fn expired(
    _coordinator: &mut Coordinator,
    _world: &mut impl World,
    _timeout: &Timeout,
) -> Result<(), ErrorCode> {
    Ok(())
}

/// The topics have changed: subscriptions of consumer groups are looked at again.
pub(crate) fn topics_changed(_coordinator: &mut Coordinator, _world: &mut impl World) {}
