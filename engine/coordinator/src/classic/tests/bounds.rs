//! How many members a group takes, and how much they may say.

use super::{scene, stable, state};
use crate::config::Config;
use crate::testing::{Join, Scene};
use crate::world::Ticket;
use highwater_wire::ErrorCode;

#[test]
fn a_full_group_takes_nobody_in() {
    let mut scene = Scene::new(Config {
        group_size_max: 2,
        ..Config::default()
    });
    let members = stable(&mut scene, 2);
    let ticket = scene.join(&Join::default());
    let joined = scene.joined(ticket).unwrap();
    assert_eq!(joined.code, ErrorCode::GroupMaxSizeReached);
    // Who is in stays in.
    let ticket = scene.join(&Join {
        member: &members[1],
        ..Join::default()
    });
    assert_eq!(scene.joined(ticket).unwrap().code, ErrorCode::None);
}

#[test]
fn while_members_join_those_that_wait_count_and_the_last_are_turned_away() {
    let mut scene = scene();
    let members = stable(&mut scene, 3);
    scene.config.group_size_max = 2;
    scene.restart();
    // Over its limit after a restart: a rebalance gives everybody the chance to commit.
    assert_eq!(state(&scene), "PreparingRebalance");
    let tickets: Vec<Ticket> = members
        .iter()
        .map(|member| {
            scene.join(&Join {
                member,
                ..Join::default()
            })
        })
        .collect();
    assert_eq!(
        scene.joined(tickets[2]).unwrap().code,
        ErrorCode::GroupMaxSizeReached
    );
    assert_eq!(scene.joined(tickets[0]).unwrap().generation, 2);
    assert_eq!(scene.joined(tickets[1]).unwrap().generation, 2);
}

#[test]
fn what_members_say_is_bounded_over_all_groups() {
    let mut scene = scene();
    let large = vec![0; 7 << 20];
    let protocols: &[(&str, &[u8])] = &[("range", &large)];
    let ids: Vec<String> = (0..9).map(|group| format!("g{group}")).collect();
    let mut codes = Vec::new();
    for _ in 0..2 {
        for group in &ids {
            let ticket = scene.join(&Join {
                group,
                version: 3,
                protocols,
                ..Join::default()
            });
            codes.push(scene.joined(ticket).map(|joined| joined.code));
        }
    }
    let full = Some(ErrorCode::GroupMaxSizeReached);
    assert_eq!(codes[..9], [None; 9]);
    assert_eq!(codes[9..], [full; 9]);
    // Who is in says the same again.
    scene.pass(3000);
    let topics = &scene.stage.topics;
    let group = scene.coordinator.describe_group(topics, "g0", 6);
    let member = group.members.first().unwrap().member_id.to_owned();
    drop(group);
    let ticket = scene.join(&Join {
        group: "g0",
        member: &member,
        protocols,
        ..Join::default()
    });
    assert_eq!(scene.joined(ticket).unwrap().code, ErrorCode::None);
    // An assignment that does not fit in begins a rebalance.
    let given = vec![0; 2 << 20];
    let ticket = scene.sync("g0", &member, None, 1, &[(&member, &given)]);
    assert_eq!(
        scene.synced(ticket).unwrap().code,
        ErrorCode::UnknownServerError
    );
}
