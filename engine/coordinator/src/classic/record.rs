//! A classic group as it is written down: one record for each generation that everybody has an assignment of, and for each
//! that nobody is in.

use super::{CONSUMER, ClassicGroup, Member, Protocol, State, Turn};
use crate::coordinator::{Coordinator, Group};
use crate::world::{Record, World};
use highwater_wire::ErrorCode;
use highwater_wire::records::group::{
    GroupKey, GroupMetadataKey, GroupMetadataValue, GroupValue, MemberMetadata,
};
use std::rc::Rc;

impl ClassicGroup {
    /// The group as it stands, with these assignments.
    pub(crate) fn record<'a>(
        &'a self,
        assignment: impl Fn(&'a str, &'a Member) -> &'a [u8],
    ) -> Record<'a> {
        let protocol = self.protocol.as_deref();
        let members = self.members.iter().map(|(id, member)| MemberMetadata {
            member_id: id,
            group_instance_id: member.instance.as_deref(),
            client_id: &member.client_id,
            client_host: &member.client_host,
            rebalance_timeout: member.rebalance_timeout_ms,
            session_timeout: member.session_timeout_ms,
            subscription: member.metadata(protocol.unwrap_or("")),
            assignment: assignment(id, member),
        });
        let value = GroupMetadataValue {
            protocol_type: self.protocol_type.as_deref().unwrap_or(""),
            generation: self.generation,
            protocol,
            leader: self.leader.as_deref(),
            current_state_timestamp: self.since_unix_ms,
            members: members.collect(),
        };
        Record {
            key: GroupKey::GroupMetadata(GroupMetadataKey { group: &self.id }),
            value: Some(GroupValue::GroupMetadata(value)),
        }
    }
}

impl<W: World> Turn<'_, W> {
    /// Writes the group down as it stands. What is written is what is there already: nothing is to be let in afterwards.
    ///
    /// # Errors
    /// The code for the client when it has no place in the log.
    pub(super) fn write_down(
        &mut self,
        assignment: impl Fn(&Member) -> &[u8],
    ) -> Result<(), ErrorCode> {
        self.write_generation(|_, member| assignment(member))
    }

    /// Writes the group down with assignments that come from elsewhere.
    ///
    /// # Errors
    /// The code for the client when it has no place in the log.
    pub(super) fn write_generation<'s>(
        &'s mut self,
        assignment: impl Fn(&'s str, &'s Member) -> &'s [u8],
    ) -> Result<(), ErrorCode> {
        let record = self.group.record(assignment);
        self.world
            .append(&[record])
            .map_err(crate::coordinator::heard)
    }
}

/// The only door to what is durable of classic groups. What is not durable begins anew with it.
pub(crate) fn replay(
    coordinator: &mut Coordinator,
    id: &str,
    value: Option<&GroupMetadataValue<'_>>,
) {
    let Some(value) = value else {
        // The tombstone of a group that became a consumer group comes before its first record as one.
        if let Some(Group::Classic(_)) = coordinator.groups.get(id) {
            coordinator.forget_classic(id);
        }
        return;
    };
    let id: Rc<str> = coordinator.shared_id(id);
    let mut group = ClassicGroup::new(id.clone(), value.current_state_timestamp);
    group.generation = value.generation.max(0);
    group.protocol = value.protocol.map(Into::into);
    if !value.members.is_empty() && group.protocol.is_none() {
        group.protocol = Some("".into());
    }
    let protocol = group.protocol.clone();
    for member in &value.members {
        if let Some(former) = member
            .group_instance_id
            .and_then(|instance| group.instances.get(instance).cloned())
        {
            group.remove(&former);
        }
        group.remove(member.member_id);
        group.add(
            member.member_id.into(),
            Member {
                instance: member.group_instance_id.map(Into::into),
                client_id: member.client_id.into(),
                client_host: member.client_host.into(),
                rebalance_timeout_ms: if member.rebalance_timeout < 0 {
                    member.session_timeout
                } else {
                    member.rebalance_timeout
                },
                session_timeout_ms: member.session_timeout,
                protocols: protocol
                    .iter()
                    .map(|name| Protocol {
                        name: name.clone(),
                        metadata: member.subscription.into(),
                    })
                    .collect(),
                assignment: member.assignment.into(),
                parked_join: None,
                parked_sync: None,
                is_new: false,
            },
            value.protocol_type,
        );
    }
    group.protocol_type =
        (!value.protocol_type.is_empty()).then(|| shared_type(value.protocol_type));
    if let Some(leader) = value.leader
        && let Some((leader, _)) = group.members.get_key_value(leader)
    {
        group.leader = Some(leader.clone());
    }
    if !group.members.is_empty() {
        group.state = State::Stable;
    }
    coordinator.forget_classic(&id);
    coordinator
        .groups
        .insert(id, Group::Classic(Box::new(group)));
}

/// The name of a protocol type; nearly all of them are the same.
fn shared_type(protocol_type: &str) -> Rc<str> {
    thread_local! {
        static OF_CONSUMERS: Rc<str> = CONSUMER.into();
    }
    if protocol_type == CONSUMER {
        OF_CONSUMERS.with(Rc::clone)
    } else {
        protocol_type.into()
    }
}
