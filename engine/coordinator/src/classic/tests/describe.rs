//! What a group looks like from outside: descriptions and lists.

use super::{scene, stable};
use crate::testing::{Join, TO_ORDERS};
use highwater_wire::ErrorCode;

#[test]
fn a_description_shows_members_and_when_stable_what_they_say_and_have() {
    let mut scene = scene();
    let members = stable(&mut scene, 2);
    let topics = &scene.stage.topics;
    let group = scene.coordinator.describe_group(topics, "g", 6);
    assert_eq!(group.protocol_type, "consumer");
    assert_eq!(group.protocol_data, "range");
    let mut ids: Vec<String> = Vec::new();
    for member in &group.members {
        assert_eq!(member.client_id, "client");
        assert_eq!(member.client_host, "/127.0.0.1");
        assert_eq!(member.member_metadata, TO_ORDERS);
        assert_eq!(member.member_assignment, member.member_id.as_bytes());
        ids.push(member.member_id.to_owned());
    }
    let mut expected = members.clone();
    expected.sort();
    assert_eq!(ids, expected);
    drop(group);
    scene.join(&Join {
        member: &members[0],
        ..Join::default()
    });
    let topics = &scene.stage.topics;
    let group = scene.coordinator.describe_group(topics, "g", 6);
    assert_eq!(
        (group.group_state, group.protocol_data),
        ("PreparingRebalance", "")
    );
    assert!(
        group
            .members
            .iter()
            .all(|member| member.member_metadata.is_empty())
    );
}

#[test]
fn a_group_that_is_not_there_is_dead_and_as_of_version_6_an_error() {
    let scene = scene();
    let topics = &scene.stage.topics;
    let group = scene.coordinator.describe_group(topics, "x", 5);
    assert_eq!((group.group_state, group.error_code), ("Dead", 0));
    assert_eq!(group.error_message, None);
    let group = scene.coordinator.describe_group(topics, "x", 6);
    assert_eq!(group.error_code, ErrorCode::GroupIdNotFound.id());
    assert!(group.error_message.is_some());
}

#[test]
fn groups_are_listed_by_state_and_type() {
    let mut scene = scene();
    stable(&mut scene, 1);
    scene.commit("simple", "", -1, ("orders", 0), 1);
    let list = |states: &[&str], types: &[&str]| -> Vec<(String, String, String)> {
        let lines = scene.coordinator.list_groups(states, types).into_iter();
        lines
            .map(|line| {
                assert_eq!(line.group_type, "classic");
                (
                    line.group_id.to_owned(),
                    line.protocol_type.to_owned(),
                    line.group_state.to_owned(),
                )
            })
            .collect()
    };
    let line =
        |id: &str, kind: &str, state: &str| (id.to_owned(), kind.to_owned(), state.to_owned());
    let all = [line("g", "consumer", "Stable"), line("simple", "", "Empty")];
    assert_eq!(list(&[], &[]), all);
    assert_eq!(list(&["stable"], &["Classic"]), all[..1]);
    assert_eq!(list(&[" EMPTY "], &[]), all[1..]);
    assert_eq!(list(&[], &["consumer"]), []);
    assert_eq!(list(&["nonsense"], &[]), []);
}
