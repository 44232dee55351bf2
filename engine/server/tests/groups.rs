//! Groups in a running engine: its shards are threads, its clock and its disk are real.
#![allow(clippy::unwrap_used)]

mod peer;

use highwater_engine::Engine;
use highwater_wire::message::create_topics::{CreatableTopic, CreateTopicsRequest};
use highwater_wire::message::delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
use highwater_wire::message::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
use highwater_wire::message::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use highwater_wire::message::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use highwater_wire::message::list_groups::{ListGroupsRequest, ListGroupsResponse};
use highwater_wire::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use highwater_wire::message::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
    OffsetDeleteResponse,
};
use highwater_wire::message::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchResponse,
};
use highwater_wire::{ErrorCode, decode_response};
use peer::{Peer, start};

impl Peer {
    /// Makes a topic of four partitions, and the coordinators.
    fn prepare(&mut self) {
        let topic = CreatableTopic {
            name: "orders",
            num_partitions: 4,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest {
            topics: [topic].into(),
            timeout_ms: 10_000,
            ..CreateTopicsRequest::default()
        };
        self.call(7, &request);
        let request = FindCoordinatorRequest {
            key: "any",
            ..FindCoordinatorRequest::default()
        };
        let frame = self.call(2, &request);
        let (_, found) = decode_response::<FindCoordinatorResponse<'_>>(2, &frame).unwrap();
        assert_eq!(found.error_code, 0);
    }

    /// Commits one offset from outside of the group, again while the coordinator is loading.
    fn commit(&mut self, group: &str, partition: i32, offset: i64) {
        let request = OffsetCommitRequest {
            group_id: group,
            topics: [OffsetCommitRequestTopic {
                name: "orders",
                partitions: [OffsetCommitRequestPartition {
                    partition_index: partition,
                    committed_offset: offset,
                    ..OffsetCommitRequestPartition::default()
                }]
                .into(),
                ..OffsetCommitRequestTopic::default()
            }]
            .into(),
            ..OffsetCommitRequest::default()
        };
        loop {
            let frame = self.call(8, &request);
            let (_, response) = decode_response::<OffsetCommitResponse<'_>>(8, &frame).unwrap();
            let topic = response.topics.first().unwrap();
            let error = topic.partitions.first().unwrap().error_code;
            if error == ErrorCode::CoordinatorLoadInProgress.id() {
                continue;
            }
            return assert_eq!(error, 0);
        }
    }

    /// What each group has committed for partition 1; -1 for nothing.
    fn offsets(&mut self, groups: &[String]) -> Vec<i64> {
        let request = OffsetFetchRequest {
            groups: groups
                .iter()
                .map(|group_id| OffsetFetchRequestGroup {
                    group_id,
                    topics: None,
                    ..OffsetFetchRequestGroup::default()
                })
                .collect(),
            ..OffsetFetchRequest::default()
        };
        loop {
            let frame = self.call(8, &request);
            let (_, response) = decode_response::<OffsetFetchResponse<'_>>(8, &frame).unwrap();
            let loading = ErrorCode::CoordinatorLoadInProgress.id();
            if response
                .groups
                .iter()
                .any(|group| group.error_code == loading)
            {
                continue;
            }
            let of = |id: &String| {
                let group = response.groups.iter().find(|group| group.group_id == id);
                let topic = group.unwrap().topics.first();
                topic.map_or(-1, |topic| {
                    let row = topic.partitions.first().unwrap();
                    assert_eq!(row.partition_index, 1);
                    row.committed_offset
                })
            };
            return groups.iter().map(of).collect();
        }
    }
}

fn engine(dir: &std::path::Path) -> (Engine, Peer, Peer) {
    let engine = start(
        dir,
        &[
            ("group.initial.rebalance.delay.ms", "0"),
            ("offsets.topic.num.partitions", "10"),
        ],
    )
    .unwrap();
    // One on each shard.
    let peers = (
        Peer::connect(engine.local_addr()),
        Peer::connect(engine.local_addr()),
    );
    (engine, peers.0, peers.1)
}

#[test]
fn commits_of_groups_on_all_shards_outlive_the_engine() {
    let dir = tempfile::tempdir().unwrap();
    let groups: Vec<String> = (0..30).map(|n| format!("group {n}")).collect();
    let expected: Vec<i64> = (0..30).collect();
    let (engine, mut one, mut two) = engine(dir.path());
    one.prepare();
    for (offset, group) in (0..).zip(&groups) {
        let peer = if offset % 2 == 0 { &mut one } else { &mut two };
        peer.commit(group, 1, offset);
    }
    assert_eq!(one.offsets(&groups), expected);
    assert_eq!(two.offsets(&groups), expected);
    engine.shutdown().unwrap();

    let (engine, mut one, mut two) = self::engine(dir.path());
    assert_eq!(one.offsets(&groups), expected);
    assert_eq!(two.offsets(&groups), expected);
    engine.shutdown().unwrap();
}

#[test]
fn old_versions_ask_for_one_group_and_get_its_error_where_they_look_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, mut peer, _) = engine(dir.path());
    let request = |group_id| OffsetFetchRequest {
        group_id,
        topics: Some(
            [OffsetFetchRequestTopic {
                name: "orders",
                partition_indexes: [1, 3].into(),
            }]
            .into(),
        ),
        ..OffsetFetchRequest::default()
    };
    // There is no coordinator yet.
    let frame = peer.call(1, &request("g"));
    let (_, response) = decode_response::<OffsetFetchResponse<'_>>(1, &frame).unwrap();
    let rows = response.topics.first().unwrap().partitions.to_vec();
    let elsewhere = ErrorCode::NotCoordinator.id();
    assert!(rows.iter().all(|row| row.error_code == elsewhere));
    assert_eq!(rows.len(), 2);
    let frame = peer.call(2, &request("g"));
    let (_, response) = decode_response::<OffsetFetchResponse<'_>>(2, &frame).unwrap();
    assert_eq!(response.error_code, elsewhere);

    peer.prepare();
    peer.commit("g", 1, 5);
    for version in 1..=7 {
        let frame = peer.call(version, &request("g"));
        let (_, response) = decode_response::<OffsetFetchResponse<'_>>(version, &frame).unwrap();
        assert_eq!(response.error_code, 0);
        let rows = response.topics.first().unwrap().partitions.to_vec();
        let rows: Vec<_> = rows
            .iter()
            .map(|row| (row.partition_index, row.committed_offset, row.error_code))
            .collect();
        assert_eq!(rows, [(1, 5, 0), (3, -1, 0)], "version {version}");
    }
    engine.shutdown().unwrap();
}

#[test]
fn groups_are_listed_described_and_deleted_wherever_they_live() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, mut one, mut two) = engine(dir.path());
    one.prepare();
    let groups: Vec<String> = (0..12).map(|n| format!("group {n:02}")).collect();
    for group in &groups {
        one.commit(group, 0, 1);
    }
    let listed = |peer: &mut Peer| {
        let frame = peer.call(5, &ListGroupsRequest::default());
        let (_, response) = decode_response::<ListGroupsResponse<'_>>(5, &frame).unwrap();
        assert_eq!(response.error_code, 0);
        let groups = response.groups.iter();
        let mut names: Vec<String> = groups.map(|group| group.group_id.to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(listed(&mut two), groups);

    let names: Vec<&str> = groups
        .iter()
        .map(String::as_str)
        .chain(["nobody"])
        .collect();
    let request = DescribeGroupsRequest {
        groups: names.clone().into(),
        include_authorized_operations: true,
    };
    let frame = two.call(5, &request);
    let (_, response) = decode_response::<DescribeGroupsResponse<'_>>(5, &frame).unwrap();
    assert_eq!(response.groups.len(), 13);
    for group in response.groups.iter() {
        let is_known = group.group_id != "nobody";
        assert_eq!(group.error_code, 0);
        assert_eq!(group.group_state, if is_known { "Empty" } else { "Dead" });
        assert!(group.authorized_operations > 0);
    }

    let request = OffsetDeleteRequest {
        group_id: "group 00",
        topics: [OffsetDeleteRequestTopic {
            name: "orders",
            partitions: [OffsetDeleteRequestPartition { partition_index: 0 }].into(),
        }]
        .into(),
    };
    let frame = one.call(0, &request);
    let (_, response) = decode_response::<OffsetDeleteResponse<'_>>(0, &frame).unwrap();
    let row = response.topics.first().unwrap().partitions.first().unwrap();
    assert_eq!((response.error_code, row.error_code), (0, 0));

    let request = DeleteGroupsRequest {
        groups_names: names[1..].to_vec().into(),
    };
    let frame = two.call(2, &request);
    let (_, response) = decode_response::<DeleteGroupsResponse<'_>>(2, &frame).unwrap();
    assert_eq!(response.results.len(), 12);
    for result in response.results.iter() {
        let expected = if result.group_id == "nobody" {
            ErrorCode::GroupIdNotFound.id()
        } else {
            0
        };
        assert_eq!(result.error_code, expected, "{}", result.group_id);
    }
    for group in listed(&mut one) {
        assert_eq!(group, "group 00", "no other is left");
    }
    engine.shutdown().unwrap();
}

#[test]
fn an_engine_stops_while_members_wait_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, mut one, mut two) = engine(dir.path());
    one.prepare();
    let join = |peer: &mut Peer, id: &str| {
        let request = JoinGroupRequest {
            group_id: "g",
            session_timeout_ms: 60_000,
            rebalance_timeout_ms: 300_000,
            member_id: id,
            protocol_type: "consumer",
            protocols: [JoinGroupRequestProtocol {
                name: "range",
                metadata: b"",
            }]
            .into(),
            ..JoinGroupRequest::default()
        };
        loop {
            let frame = peer.call(9, &request);
            let (_, response) = decode_response::<JoinGroupResponse<'_>>(9, &frame).unwrap();
            if response.error_code != ErrorCode::CoordinatorLoadInProgress.id() {
                return (response.error_code, response.member_id.to_owned());
            }
        }
    };
    let required = ErrorCode::MemberIdRequired.id();
    let (error, id) = join(&mut one, "");
    assert_eq!(error, required);
    assert_eq!(join(&mut one, &id).0, 0);
    // The second one waits for the first, which does not come.
    let (error, id) = join(&mut two, "");
    assert_eq!(error, required);
    let waiting = std::thread::spawn(move || join(&mut two, &id).0);
    // It waits when the first one hears of it.
    let heartbeat = highwater_wire::message::heartbeat::HeartbeatRequest {
        group_id: "g",
        generation_id: 1,
        member_id: &describe(&mut one),
        group_instance_id: None,
    };
    loop {
        let frame = one.call(4, &heartbeat);
        let (_, response) =
            decode_response::<highwater_wire::message::HeartbeatResponse>(4, &frame).unwrap();
        if response.error_code == ErrorCode::RebalanceInProgress.id() {
            break;
        }
    }
    engine.shutdown().unwrap();
    assert_eq!(waiting.join().unwrap(), ErrorCode::NotCoordinator.id());
}

/// The id of the group's first member.
fn describe(peer: &mut Peer) -> String {
    let request = DescribeGroupsRequest {
        groups: ["g"].into(),
        include_authorized_operations: false,
    };
    let frame = peer.call(5, &request);
    let (_, response) = decode_response::<DescribeGroupsResponse<'_>>(5, &frame).unwrap();
    let members = response.groups.first().unwrap().members;
    members.first().unwrap().member_id.to_owned()
}
