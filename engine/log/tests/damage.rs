//! Random damage to the files of a log: it opens all the same, never panics, and gives nothing but what was written.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod common;

use std::path::{Path, PathBuf};

use common::*;
use highwater_log::{Config, Fence, Log};
use highwater_reactor::sim::{Crash, World};
use highwater_reactor::{OpenOptions, Reactor};
use highwater_record::Offset;
use proptest::prelude::*;

const BATCHES: i64 = 40;

fn config() -> Config {
    Config {
        segment_bytes: 1_500,
        index_interval_bytes: 150,
        ..Config::default()
    }
}

/// A closed log of forty batches, and the files it has.
fn closed() -> (World, Reactor, PathBuf, Vec<String>) {
    let world = World::new(9);
    let reactor = world.shard(0);
    let dir = PathBuf::from("/orders-0");
    let mut log =
        Log::create(&reactor, &Fence::new(), dir.clone(), TOPIC_ID, config()).expect("made");
    for mark in 0..BATCHES {
        append(&mut log, &batch(mark as u64, 1_000 + mark, 20)).expect("appended");
    }
    world.run(close(&reactor, log));
    world.run(reactor.sync_dir(Path::new("/"))).expect("synced");
    world.crash(Crash::LoseUnsynced);
    let reactor = world.shard(0);
    let names = reactor.list(&dir).expect("listed");
    let names = names
        .into_iter()
        .map(|entry| entry.name.into_string().expect("text"))
        .collect();
    (world, reactor, dir, names)
}

/// What is done to a file.
#[derive(Debug, Clone)]
enum Damage {
    Flip { at: usize, mask: u8 },
    Cut { at: usize },
    Grow { bytes: Vec<u8> },
    Overwrite { at: usize, bytes: Vec<u8> },
    Zero { at: usize, len: usize },
    Remove,
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = 0usize..2_000;
    let bytes = prop::collection::vec(any::<u8>(), 1..200);
    prop_oneof![
        (at.clone(), 1u8..).prop_map(|(at, mask)| Damage::Flip { at, mask }),
        at.clone().prop_map(|at| Damage::Cut { at }),
        bytes.clone().prop_map(|bytes| Damage::Grow { bytes }),
        (at.clone(), bytes).prop_map(|(at, bytes)| Damage::Overwrite { at, bytes }),
        (at, 1usize..400).prop_map(|(at, len)| Damage::Zero { at, len }),
        Just(Damage::Remove),
    ]
}

fn apply(reactor: &Reactor, path: &Path, damage: &Damage) {
    let mut content = reactor.read_all(path, 1 << 20).expect("read");
    let len = content.len().max(1);
    match damage {
        Damage::Flip { at, mask } => {
            if let Some(byte) = content.get_mut(at % len) {
                *byte ^= mask;
            }
        }
        Damage::Cut { at } => content.truncate(at % len),
        Damage::Grow { bytes } => content.extend(bytes),
        Damage::Overwrite { at, bytes } => {
            let at = at % len;
            content.resize(content.len().max(at + bytes.len()), 0);
            content[at..at + bytes.len()].copy_from_slice(bytes);
        }
        Damage::Zero { at, len: zeros } => {
            let at = at % len;
            let end = (at + zeros).min(content.len());
            content[at.min(end)..end].fill(0);
        }
        Damage::Remove => {
            reactor.remove_file(path).expect("removed");
            return;
        }
    }
    let file = reactor.open(path, OpenOptions::TRUNCATE).expect("opened");
    file.append_at(0, &[&content]).expect("written");
}

fn marks(log: &Log) -> Vec<(i64, u64)> {
    let found = records(log, log.start_offset(), log.end_offset(), 700);
    found
        .into_iter()
        .map(|(offset, value)| {
            (
                offset,
                u64::from_be_bytes(value[..8].try_into().expect("eight")),
            )
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nothing is known to be durable: every byte is checked, and what is kept is a beginning of what was written.
    #[test]
    fn after_a_recovery_the_log_is_a_beginning_of_what_was_written(
        damages in prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..4),
    ) {
        let (_world, reactor, dir, names) = closed();
        for (file, damage) in &damages {
            let path = dir.join(file.get(&names));
            if reactor.exists(&path).expect("looked") {
                apply(&reactor, &path, damage);
            }
        }
        let opening = highwater_log::Opening { topic_id: Some(TOPIC_ID), ..unclean(Offset::ZERO) };
        // A damaged file may name another topic: that is refused, and right.
        let opened = Log::open(&reactor, &Fence::new(), dir.clone(), config(), opening);
        let Ok((mut log, _)) = opened else {
            prop_assert!(damages.iter().any(|(file, _)| file.get(&names) == "partition.metadata"), "{opened:?}");
            return Ok(());
        };
        let found = marks(&log);
        let start = log.start_offset().get();
        let expected: Vec<_> = (start..log.end_offset().get()).map(|at| (at, at as u64)).collect();
        prop_assert_eq!(&found, &expected);
        // Only a first segment that is gone altogether takes the beginning with it.
        let first_gone = damages.iter().any(|(file, damage)| {
            file.get(&names) == "00000000000000000000.log" && matches!(damage, Damage::Remove)
        });
        prop_assert!(start == 0 || first_gone);
        let epoch = log.leader_epochs().latest().map_or(0, highwater_record::LeaderEpoch::get);
        append_in(&mut log, &batch(99, 5_000, 20), epoch).expect("it goes on");
        prop_assert_eq!(marks(&log).last().map(|(_, mark)| *mark), Some(99));
    }

    /// The log is sound and its indexes are anything: every look-up finds what is there.
    #[test]
    fn whatever_an_index_says_look_ups_find_what_is_there(
        damages in prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..4),
        is_clean: bool,
    ) {
        let (_world, reactor, dir, mut names) = closed();
        names.retain(|name| name.ends_with("index"));
        for (file, damage) in &damages {
            let path = dir.join(file.get(&names));
            if reactor.exists(&path).expect("looked") {
                apply(&reactor, &path, damage);
            }
        }
        let end = Offset::new(BATCHES);
        let opening = if is_clean { clean(end) } else { unclean(end) };
        let (log, _) = Log::open(&reactor, &Fence::new(), dir, config(), opening).expect("opened");
        prop_assert_eq!(log.end_offset(), end);
        for at in 0..BATCHES {
            let found = log.read(Offset::new(at), end, 1, true).expect("read");
            prop_assert_eq!(found.next, Offset::new(at + 1));
            let found = log.offset_for_timestamp(1_000 + at, end).expect("read");
            prop_assert_eq!(found.map(|found| found.offset), Some(Offset::new(at)));
        }
        let newest = log.max_timestamp(end).expect("read").expect("found");
        prop_assert_eq!(newest.offset, Offset::new(BATCHES - 1));
    }
}
