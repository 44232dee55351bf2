//! A classic group as others are told of it: in lists, in descriptions, to its leader.

use super::{ClassicGroup, State};
use highwater_wire::Array;
use highwater_wire::message::describe_groups::{DescribedGroup, DescribedGroupMember};
use highwater_wire::message::join_group::JoinGroupResponseMember;
use highwater_wire::message::list_groups::ListedGroup;

impl ClassicGroup {
    /// The members, for the leader.
    pub(super) fn introductions(&self) -> Array<'_, JoinGroupResponseMember<'_>> {
        let protocol = self.protocol.as_deref().unwrap_or("");
        let members = self.members.iter();
        members
            .map(|(id, member)| JoinGroupResponseMember {
                member_id: id,
                group_instance_id: member.instance.as_deref(),
                metadata: member.metadata(protocol),
            })
            .collect()
    }

    /// A line of ListGroups.
    pub(crate) fn list(&self) -> ListedGroup<'_> {
        ListedGroup {
            group_id: &self.id,
            protocol_type: self.protocol_type.as_deref().unwrap_or(""),
            group_state: self.state.name(),
            group_type: "classic",
        }
    }

    /// The answer to DescribeGroups. What members say and have is only shown when the group is stable.
    pub(crate) fn describe(&self) -> DescribedGroup<'_> {
        let protocol = match self.state {
            State::Stable => self.protocol.as_deref(),
            State::Empty | State::PreparingRebalance | State::CompletingRebalance => None,
        };
        let members = self
            .members
            .iter()
            .map(|(id, member)| DescribedGroupMember {
                member_id: id,
                group_instance_id: member.instance.as_deref(),
                client_id: &member.client_id,
                client_host: &member.client_host,
                member_metadata: protocol.map_or(&[], |protocol| member.metadata(protocol)),
                member_assignment: protocol.map_or(&[], |_| &*member.assignment),
            });
        DescribedGroup {
            group_id: &self.id,
            group_state: self.state.name(),
            protocol_type: self.protocol_type.as_deref().unwrap_or(""),
            protocol_data: protocol.unwrap_or(""),
            members: members.collect(),
            ..DescribedGroup::default()
        }
    }
}
