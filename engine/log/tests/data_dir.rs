//! The data directory: one owner, one identity, and a marker that vouches only for what it has seen.

mod common;

use std::path::{Path, PathBuf};

use common::*;
use highwater_log::checkpoint::file;
use highwater_log::data_dir::OpenError;
use highwater_log::{DataDir, Error, Log, OffsetCheckpoint};
use highwater_reactor::OpenOptions;
use highwater_reactor::sim::{Crash, Operation, World};
use highwater_record::Offset;

fn dir() -> PathBuf {
    PathBuf::from("/var/lib/highwater")
}

#[test]
fn a_second_owner_is_told_who_the_first_is() {
    on_disk(|reactor, dir| async move {
        let first = DataDir::open(&reactor, &dir, 1, None)
            .await
            .expect("opened");
        let second = DataDir::open(&reactor, &dir, 1, None)
            .await
            .expect_err("it is taken");
        assert!(matches!(second, OpenError::Locked { .. }));
        let expected = format!(
            "is in use by process {}; stop that process",
            std::process::id()
        );
        assert!(second.to_string().contains(&expected), "{second}");
        drop(first);
        DataDir::open(&reactor, &dir, 1, None)
            .await
            .expect("it is free again");
    });
}

#[test]
fn an_identity_is_given_once_and_held_against_every_start() {
    on_disk(|reactor, dir| async move {
        let data = DataDir::open(&reactor, &dir, 4, None)
            .await
            .expect("opened");
        assert!(data.is_new() && !data.was_clean());
        let identity = data.identity().clone();
        assert_eq!((identity.cluster_id.len(), identity.node_id), (22, 4));
        drop(data);
        let data = DataDir::open(&reactor, &dir, 4, Some(&identity.cluster_id))
            .await
            .expect("opened");
        assert!(!data.is_new());
        assert_eq!(data.identity(), &identity);
        drop(data);
        let error = DataDir::open(&reactor, &dir, 5, None)
            .await
            .expect_err("another node");
        assert!(
            error.to_string().contains("says node.id=4, expected 5"),
            "{error}"
        );
        let error = DataDir::open(&reactor, &dir, 4, Some("other"))
            .await
            .expect_err("another cluster");
        assert!(error.to_string().contains("says cluster.id="), "{error}");
        std::fs::write(dir.join("meta.properties"), "version=9\n").expect("written");
        let error = DataDir::open(&reactor, &dir, 4, None)
            .await
            .expect_err("from the future");
        assert!(
            error
                .to_string()
                .contains("has version \"9\", expected 0 or 1"),
            "{error}"
        );
    });
}

#[test]
fn a_clean_stop_is_vouched_for_once() {
    let world = World::new(3);
    let reactor = world.shard(0);
    let data = world
        .run(DataDir::open(&reactor, &dir(), 0, None))
        .expect("opened");
    world.run(data.write_clean_shutdown(7)).expect("written");
    let text = reactor
        .read_all(&dir().join(".kafka_cleanshutdown"), 100)
        .expect("read");
    assert_eq!(text, br#"{"version":0,"brokerEpoch":7}"#);
    world.crash(Crash::LoseUnsynced);
    let reactor = world.shard(0);
    let data = world
        .run(DataDir::open(&reactor, &dir(), 0, None))
        .expect("opened");
    assert!(data.was_clean());
    // The power goes before anything else happens: the marker must not come back.
    world.crash(Crash::LoseUnsynced);
    let reactor = world.shard(0);
    let data = world
        .run(DataDir::open(&reactor, &dir(), 0, None))
        .expect("opened");
    assert!(!data.was_clean() && !data.is_new());
}

#[test]
fn a_start_interrupted_anywhere_can_be_begun_again() {
    for operation in [
        Operation::Create,
        Operation::Write,
        Operation::Sync,
        Operation::Rename,
        Operation::SyncDir,
    ] {
        for nth in 1..6 {
            for crash in [
                Crash::KeepAll,
                Crash::LoseUnsynced,
                Crash::KeepPrefix,
                Crash::KeepRandom,
            ] {
                let world = World::new(nth);
                let reactor = world.shard(0);
                world.disk().die_at(operation, nth);
                let first = world.run(DataDir::open(&reactor, &dir(), 0, None));
                let identity = first.ok().map(|data| data.identity().clone());
                world.disk().heal();
                world.crash(crash);
                let reactor = world.shard(0);
                let data = world.run(DataDir::open(&reactor, &dir(), 0, None));
                let data =
                    data.unwrap_or_else(|error| panic!("{operation:?} {nth} {crash:?}: {error}"));
                if let Some(identity) = identity {
                    assert_eq!(data.identity(), &identity, "what was given out stays");
                }
            }
        }
    }
}

#[test]
fn a_checkpoint_is_the_old_one_or_the_new_one_whenever_the_power_goes() {
    let old = {
        let mut checkpoint = OffsetCheckpoint::default();
        checkpoint.set("orders", 0, Offset::new(10));
        checkpoint
    };
    let mut new = old.clone();
    new.set("orders", 0, Offset::new(20));
    new.set("payments", 3, Offset::new(7));
    for operation in [
        Operation::Create,
        Operation::Write,
        Operation::Sync,
        Operation::Rename,
        Operation::SyncDir,
    ] {
        for crash in [
            Crash::KeepAll,
            Crash::LoseUnsynced,
            Crash::KeepPrefix,
            Crash::KeepRandom,
        ] {
            let world = World::new(5);
            let reactor = world.shard(0);
            let data = world
                .run(DataDir::open(&reactor, &dir(), 0, None))
                .expect("opened");
            world
                .run(data.write_checkpoint(file::RECOVERY_POINT, &old))
                .expect("written");
            world.disk().die_at(operation, 1);
            let written = world.run(data.write_checkpoint(file::RECOVERY_POINT, &new));
            assert_eq!(written.is_err(), data.fence().is_raised());
            world.disk().heal();
            world.crash(crash);
            let reactor = world.shard(0);
            let data = world
                .run(DataDir::open(&reactor, &dir(), 0, None))
                .expect("opened");
            let found = data.read_checkpoint(file::RECOVERY_POINT).expect("read");
            assert!(
                found == old || found == new,
                "{operation:?} {crash:?}: {found:?}"
            );
        }
    }
}

#[test]
fn a_damaged_checkpoint_is_not_used() {
    let world = World::new(1);
    let reactor = world.shard(0);
    let data = world
        .run(DataDir::open(&reactor, &dir(), 0, None))
        .expect("opened");
    let path = dir().join(file::LOG_START);
    let damaged = reactor.open(&path, OpenOptions::TRUNCATE).expect("opened");
    damaged
        .append_at(0, &[b"0\n2\norders 0 5\n"])
        .expect("written");
    assert_eq!(
        data.read_checkpoint(file::LOG_START).expect("read"),
        OffsetCheckpoint::default()
    );
}

#[test]
fn a_fenced_directory_gets_no_marker() {
    let world = World::new(1);
    let reactor = world.shard(0);
    let data = world
        .run(DataDir::open(&reactor, &dir(), 0, None))
        .expect("opened");
    data.fence().raise("a test");
    let written = world.run(data.write_clean_shutdown(0));
    assert!(matches!(written, Err(Error::Fenced { .. })));
    assert!(
        !reactor
            .exists(&dir().join(".kafka_cleanshutdown"))
            .expect("looked")
    );
}

#[test]
fn partitions_are_listed_and_deleted_ones_are_gone_at_the_next_start() {
    let world = World::new(1);
    let reactor = world.shard(0);
    let data = world
        .run(DataDir::open(&reactor, &dir(), 0, None))
        .expect("opened");
    for (topic, partition) in [("orders", 10), ("orders", 2), ("a-b.c", 0), ("gone", 0)] {
        let path = data.partition_path(topic, partition);
        let log = Log::create(&reactor, &data.fence(), path, TOPIC_ID, small()).expect("made");
        if topic == "gone" {
            let path = log.delete().expect("renamed");
            assert_eq!(path.parent(), Some(dir().as_path()));
        }
    }
    reactor.create_dir(&dir().join("lost+found")).expect("made");
    let listed = |data: &DataDir| -> Vec<(String, i32)> {
        let partitions = data.partitions().expect("listed");
        assert!(
            partitions
                .iter()
                .all(|partition| partition.topic_id == Some(TOPIC_ID))
        );
        partitions
            .into_iter()
            .map(|partition| (partition.topic, partition.partition))
            .collect()
    };
    let expected = [
        ("a-b.c".to_owned(), 0),
        ("orders".to_owned(), 2),
        ("orders".to_owned(), 10),
    ];
    assert_eq!(listed(&data), expected);
    world.crash(Crash::KeepAll);
    let reactor = world.shard(0);
    let data = world
        .run(DataDir::open(&reactor, &dir(), 0, None))
        .expect("opened");
    assert_eq!(listed(&data), expected);
    world.run(data.remove_leftovers());
    let left = reactor.list(&dir()).expect("listed");
    assert!(
        !left
            .iter()
            .any(|entry| entry.name.to_string_lossy().ends_with("-delete"))
    );
    assert!(
        reactor
            .exists(Path::new("/var/lib/highwater/lost+found"))
            .expect("looked")
    );
}
