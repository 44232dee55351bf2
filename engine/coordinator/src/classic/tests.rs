//! The rules of classic groups, one by one, in plain calls with a clock of their own.

mod assignment;
mod bounds;
mod describe;
mod joining;
mod leaving;
mod rebalance;
mod sessions;

use crate::config::Config;
use crate::testing::{Join, Scene};
use crate::world::Ticket;
use highwater_wire::ErrorCode;

fn scene() -> Scene {
    Scene::new(Config {
        initial_rebalance_delay_ms: 3000,
        ..Config::default()
    })
}

/// A stable group of dynamic members; the first one leads. Gives their ids.
fn stable(scene: &mut Scene, count: usize) -> Vec<String> {
    let (members, tickets): (Vec<String>, Vec<Ticket>) =
        (0..count).map(|_| scene.enter(&Join::default())).unzip();
    while scene.joined(tickets[0]).is_none() {
        scene.pass(1000);
    }
    let leader = scene.joined(tickets[0]).unwrap().leader.clone();
    let mut members = members;
    members.sort_by_key(|member| *member != leader);
    settle(
        scene,
        &members,
        scene.joined(tickets[0]).unwrap().generation,
    );
    members
}

/// Everybody fetches an assignment: its own id, in bytes.
fn settle(scene: &mut Scene, members: &[String], generation: i32) {
    let assignments: Vec<(&str, &[u8])> = members
        .iter()
        .map(|member| (member.as_str(), member.as_bytes()))
        .collect();
    for member in members {
        let ticket = scene.sync("g", member, None, generation, &assignments);
        let synced = scene.synced(ticket).unwrap();
        assert_eq!(synced.code, ErrorCode::None);
        assert_eq!(synced.assignment, member.as_bytes());
    }
    assert_eq!(state(scene), "Stable");
}

fn state(scene: &Scene) -> String {
    let group = scene
        .coordinator
        .describe_group(&scene.stage.topics, "g", 6);
    group.group_state.to_owned()
}
