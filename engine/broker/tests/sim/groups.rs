//! Members of groups as clients are, request by request, and the broker they talk to.

mod coordinators;
mod crashes;
mod ends;
mod transactions;

use highwater_wire::ErrorCode;
use highwater_wire::message::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use highwater_wire::message::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use highwater_wire::message::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use highwater_wire::message::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity};
use highwater_wire::message::list_groups::{ListGroupsRequest, ListGroupsResponse};
use highwater_wire::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use highwater_wire::message::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse,
};
use highwater_wire::message::sync_group::{
    SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse,
};

use crate::harness::{Broker, Peer, decoded, seconds};

/// What a member knows of itself.
#[derive(Clone, Debug)]
struct Member {
    id: String,
    generation: i32,
    is_leader: bool,
    /// All members, if it leads.
    members: Vec<String>,
}

impl Peer {
    pub(crate) async fn find_coordinator(&mut self, group: &str) -> (i16, i32) {
        let request = FindCoordinatorRequest {
            coordinator_keys: [group].into(),
            ..FindCoordinatorRequest::default()
        };
        let frame = self.ask(6, &request).await;
        let response = decoded::<FindCoordinatorResponse<'_>>(6, &frame);
        let found = response.coordinators.first().unwrap();
        assert_eq!(found.key, group);
        (found.error_code, found.node_id)
    }

    async fn send_join(&mut self, group: &str, member_id: &str) {
        let protocol = JoinGroupRequestProtocol {
            name: "range",
            metadata: b"\0\0\0\0\0\0\0\0\0\0",
        };
        let request = JoinGroupRequest {
            group_id: group,
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 30_000,
            member_id,
            protocol_type: "consumer",
            protocols: [protocol].into(),
            ..JoinGroupRequest::default()
        };
        self.send(9, &request).await;
    }

    async fn joined(&mut self) -> Result<Member, (i16, String)> {
        let frame = self.frame().await.expect("an answer");
        let response = decoded::<JoinGroupResponse<'_>>(9, &frame);
        if response.error_code != 0 {
            return Err((response.error_code, response.member_id.to_owned()));
        }
        Ok(Member {
            id: response.member_id.to_owned(),
            generation: response.generation_id,
            is_leader: response.leader == response.member_id,
            members: response
                .members
                .iter()
                .map(|member| member.member_id.to_owned())
                .collect(),
        })
    }

    /// Joins as a newcomer: the first answer gives the id to join with.
    async fn join(&mut self, group: &str) -> Member {
        self.send_join(group, "").await;
        let (error, id) = self.joined().await.unwrap_err();
        assert_eq!(error, ErrorCode::MemberIdRequired.id());
        self.send_join(group, &id).await;
        self.joined().await.unwrap()
    }

    async fn sync(&mut self, group: &str, member: &Member) -> Result<Vec<u8>, i16> {
        let assignments = member.members.iter().map(|id| SyncGroupRequestAssignment {
            member_id: id,
            assignment: id.as_bytes(),
        });
        let request = SyncGroupRequest {
            group_id: group,
            generation_id: member.generation,
            member_id: &member.id,
            protocol_type: Some("consumer"),
            protocol_name: Some("range"),
            assignments: assignments.collect(),
            ..SyncGroupRequest::default()
        };
        let frame = self.ask(5, &request).await;
        let response = decoded::<SyncGroupResponse<'_>>(5, &frame);
        match response.error_code {
            0 => Ok(response.assignment.to_vec()),
            error => Err(error),
        }
    }

    async fn heartbeat(&mut self, group: &str, member: &Member) -> i16 {
        let request = HeartbeatRequest {
            group_id: group,
            generation_id: member.generation,
            member_id: &member.id,
            group_instance_id: None,
        };
        let frame = self.ask(4, &request).await;
        decoded::<HeartbeatResponse>(4, &frame).error_code
    }

    async fn leave(&mut self, group: &str, member: &Member) -> i16 {
        let request = LeaveGroupRequest {
            group_id: group,
            members: [MemberIdentity {
                member_id: &member.id,
                ..MemberIdentity::default()
            }]
            .into(),
            ..LeaveGroupRequest::default()
        };
        let frame = self.ask(5, &request).await;
        decoded::<LeaveGroupResponse<'_>>(5, &frame).error_code
    }

    async fn send_commit(
        &mut self,
        group: &str,
        member: Option<&Member>,
        topic: &str,
        offsets: &[(i32, i64)],
    ) {
        let partitions = offsets
            .iter()
            .map(|(partition, offset)| OffsetCommitRequestPartition {
                partition_index: *partition,
                committed_offset: *offset,
                committed_metadata: Some("note"),
                ..OffsetCommitRequestPartition::default()
            });
        let request = OffsetCommitRequest {
            group_id: group,
            generation_id_or_member_epoch: member.map_or(-1, |member| member.generation),
            member_id: member.map_or("", |member| &member.id),
            topics: [OffsetCommitRequestTopic {
                name: topic,
                partitions: partitions.collect(),
                ..OffsetCommitRequestTopic::default()
            }]
            .into(),
            ..OffsetCommitRequest::default()
        };
        self.send(9, &request).await;
    }

    /// The error of each partition; `None` when the broker is gone.
    async fn committed(&mut self) -> Option<Vec<i16>> {
        let frame = self.frame().await?;
        let response = decoded::<OffsetCommitResponse<'_>>(9, &frame);
        let topics = response.topics.iter();
        Some(
            topics
                .flat_map(|topic| topic.partitions.to_vec())
                .map(|partition| partition.error_code)
                .collect(),
        )
    }

    async fn commit(
        &mut self,
        group: &str,
        member: Option<&Member>,
        offsets: &[(i32, i64)],
    ) -> Vec<i16> {
        self.send_commit(group, member, "orders", offsets).await;
        self.committed().await.unwrap()
    }

    /// Everything these groups have committed: partition and offset; or the group's error.
    async fn offsets(&mut self, groups: &[&str]) -> Vec<Result<Vec<(i32, i64)>, i16>> {
        let request = OffsetFetchRequest {
            groups: groups
                .iter()
                .map(|group_id| OffsetFetchRequestGroup {
                    group_id,
                    topics: None,
                    ..OffsetFetchRequestGroup::default()
                })
                .collect(),
            require_stable: true,
            ..OffsetFetchRequest::default()
        };
        let frame = self.ask(9, &request).await;
        let response = decoded::<OffsetFetchResponse<'_>>(9, &frame);
        assert_eq!(response.groups.len(), groups.len());
        let find = |group: &str| response.groups.iter().find(|row| row.group_id == group);
        groups
            .iter()
            .map(|group| {
                let row = find(group).expect("every group is answered");
                if row.error_code != 0 {
                    return Err(row.error_code);
                }
                let topics = row.topics.iter();
                let mut offsets: Vec<(i32, i64)> = topics
                    .flat_map(|topic| topic.partitions.to_vec())
                    .map(|row| (row.partition_index, row.committed_offset))
                    .collect();
                offsets.sort_unstable();
                Ok(offsets)
            })
            .collect()
    }

    async fn groups(&mut self) -> Result<Vec<(String, String)>, i16> {
        let frame = self.ask(5, &ListGroupsRequest::default()).await;
        let response = decoded::<ListGroupsResponse<'_>>(5, &frame);
        if response.error_code != 0 {
            return Err(response.error_code);
        }
        let groups = response.groups.iter();
        let mut groups: Vec<_> = groups
            .map(|group| (group.group_id.to_owned(), group.group_state.to_owned()))
            .collect();
        groups.sort();
        Ok(groups)
    }
}

/// A broker with a topic to consume and a coordinator.
fn broker(seed: u64, shards: u16) -> Broker {
    let broker = Broker::start(seed, shards, &[("offsets.topic.num.partitions", "5")]);
    broker.topic("orders", 4, &[]);
    let mut peer = broker.peer();
    let found = broker.world.run(peer.find_coordinator("any"));
    assert_eq!(found, (0, 1));
    // The coordinators have read their logs.
    broker
        .world
        .run(async { peer.reactor.sleep(seconds(1)).await });
    broker
}

/// Asks until no coordinator is loading.
async fn loaded(peer: &mut Peer, groups: &[&str]) -> Vec<Result<Vec<(i32, i64)>, i16>> {
    for _ in 0..60 {
        let found = peer.offsets(groups).await;
        let loading = Err(ErrorCode::CoordinatorLoadInProgress.id());
        if !found.contains(&loading) {
            return found;
        }
        peer.reactor.sleep(seconds(1)).await;
    }
    panic!("a minute is enough to load a few groups");
}
