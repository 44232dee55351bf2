//! What a coordinator keeps in memory, by an allocator that counts: a heartbeat leaves nothing, a commit in the place of
//! another nothing, and a group with its commits no more than docs/LIMITS.md says.
#![allow(unsafe_code)] // an allocator that counts is one

mod support;

use highwater_coordinator::{Config, Coordinator, Counts};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use support::{Consumer, Stage, caller, commit, coordinator, heartbeat, share, stable};

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
}

/// Counts the bytes that are held on this thread.
struct Counting;

// SAFETY: every call goes to the system's allocator as it came; the counter is a plain cell that needs no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count(bytes.cast_signed() - layout.size().cast_signed());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(place, layout, bytes) }
    }
}

fn count(bytes: isize) {
    HELD.with(|held| held.set(held.get() + bytes));
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn held() -> isize {
    HELD.with(Cell::get)
}

/// What each of `count` takes, in bytes.
fn each(before: isize, count: usize) -> usize {
    usize::try_from(held() - before).expect("more is held than before") / count
}

#[test]
fn the_allocator_counts() {
    let before = held();
    let kept = std::hint::black_box(Vec::<u8>::with_capacity(1000));
    assert_eq!(held() - before, 1000);
    drop(kept);
    assert_eq!(held(), before);
}

#[test]
fn heartbeats_and_commits_leave_nothing_that_was_not_there() {
    let mut stage = Stage::default();
    let mut coordinator = coordinator(&mut stage);
    let (members, generation) = stable(&mut coordinator, &mut stage, "g", 20, &[0; 100], &[0; 100]);
    for member in &members {
        commit(
            &mut coordinator,
            &mut stage,
            "g",
            (member, generation),
            3,
            0,
        );
    }
    let (before, refusals) = (held(), stage.refusals);
    for round in 0..200 {
        for member in &members {
            heartbeat(&mut coordinator, &mut stage, "g", member, generation);
            let who = (member.as_str(), generation);
            commit(&mut coordinator, &mut stage, "g", who, 3, round);
        }
        stage.now_ms += 3000;
        coordinator.tick(&mut stage);
    }
    assert_eq!(stage.refusals, refusals);
    let counts = coordinator.counts();
    assert_eq!((counts.members, counts.offsets), (20, 1));
    // The time-outs have moved on in their queue, whose nodes may be more or fewer: that is all.
    let moved = (held() - before).unsigned_abs();
    assert!(moved <= 4096, "{moved} bytes after 4,000 heartbeats");
}

#[test]
fn heartbeats_of_a_consumer_group_leave_nothing_that_was_not_there() {
    let mut stage = Stage::default();
    let mut coordinator = coordinator(&mut stage);
    let mut members: Vec<Consumer> = (0..20).map(|n| Consumer::new(format!("m{n}"))).collect();
    share(&mut coordinator, &mut stage, "g", &mut members);
    let before = held();
    let (records, refusals) = (stage.records, stage.refusals);
    for _ in 0..200 {
        for member in &mut members {
            member.beat(&mut coordinator, &mut stage, "g");
        }
        stage.now_ms += 3000;
        coordinator.tick(&mut stage);
    }
    assert_eq!((stage.records, stage.refusals), (records, refusals));
    let moved = (held() - before).unsigned_abs();
    assert!(moved <= 4096, "{moved} bytes after 4,000 heartbeats");
}

#[test]
fn a_consumer_group_that_comes_and_goes_leaves_nothing() {
    let mut stage = Stage::default();
    let mut coordinator = coordinator(&mut stage);
    let mut before = None;
    for round in 0..30 {
        let id = |n| format!("m{round:02}{n}");
        let mut members: Vec<Consumer> = (0..5).map(|n| Consumer::new(id(n))).collect();
        share(&mut coordinator, &mut stage, "g", &mut members);
        stage.now_ms += 400_000;
        coordinator.tick(&mut stage);
        let mut groups = ["g"].into_iter();
        coordinator.delete_groups(&mut stage, &caller(2), &mut groups);
        assert_eq!(coordinator.counts().groups, 0);
        drop(members);
        let before = *before.get_or_insert(held());
        assert!(held() - before <= 1024, "{} bytes more", held() - before);
    }
}

#[test]
fn what_a_member_of_a_consumer_group_takes_is_what_is_written_in_the_limits() {
    let mut stage = Stage::default();
    let mut coordinator = coordinator(&mut stage);
    let mut members: Vec<Consumer> = (0..100)
        .map(|n| Consumer::new(format!("{n:036}")))
        .collect();
    let before = held();
    share(&mut coordinator, &mut stage, "g", &mut members);
    let each = each(before, 100);
    println!("a member of a consumer group with ten partitions: {each} bytes");
    assert!(each <= 2200, "{each}");
}

#[test]
fn a_group_that_comes_and_goes_leaves_nothing() {
    let mut stage = Stage::default();
    let mut coordinator = coordinator(&mut stage);
    let mut before = None;
    for _ in 0..50 {
        let (members, generation) =
            stable(&mut coordinator, &mut stage, "g", 5, &[0; 64], &[0; 64]);
        let who = (members[0].as_str(), generation);
        commit(&mut coordinator, &mut stage, "g", who, 3, 1);
        // Their sessions end, one of them after the other has begun a rebalance.
        stage.now_ms += 400_000;
        coordinator.tick(&mut stage);
        stage.now_ms += 400_000;
        coordinator.tick(&mut stage);
        let mut groups = ["g"].into_iter();
        coordinator.delete_groups(&mut stage, &caller(2), &mut groups);
        assert_eq!(
            coordinator.counts(),
            Counts {
                timeouts: 1,
                ..Counts::default()
            }
        );
        drop(members);
        let before = *before.get_or_insert(held());
        assert!(
            (held() - before).abs() <= 1024,
            "{} bytes more",
            held() - before
        );
    }
}

#[test]
fn groups_and_commits_take_no_more_than_the_limits_say() {
    let mut stage = Stage::default();
    let mut simple = coordinator(&mut stage);
    let before = held();
    for group in 0..10_000 {
        let group = format!("group-{group:06}");
        commit(&mut simple, &mut stage, &group, ("", -1), 0, 1);
    }
    let bytes = each(before, 10_000);
    println!("a group with one commit: {bytes} bytes");
    assert!(bytes <= 1400);

    let before = held();
    for partition in 0..100_000 {
        commit(&mut simple, &mut stage, "wide", ("", -1), partition, 1);
    }
    let bytes = each(before, 100_000);
    println!("a further commit of the same topic: {bytes} bytes");
    assert!(bytes <= 128);
    assert_eq!(stage.refusals, 0);

    let mut stage = Stage::default();
    let mut members = coordinator(&mut stage);
    stable(&mut members, &mut stage, "g", 1, &[0; 100], &[0; 100]);
    let before = held();
    let (ids, _) = stable(&mut members, &mut stage, "h", 1000, &[0; 100], &[0; 100]);
    drop(ids);
    let bytes = each(before, 1000);
    println!("a member that says 100 bytes and gets 100: {bytes} bytes");
    assert!(bytes <= 1400);
}

#[test]
fn a_restart_holds_what_was_held_before() {
    let mut stage = Stage {
        log: Some(Vec::new()),
        ..Stage::default()
    };
    let mut first = coordinator(&mut stage);
    for group in 0..1000 {
        let group = format!("group-{group:06}");
        for partition in 0..6 {
            commit(&mut first, &mut stage, &group, ("", -1), partition, 1);
        }
    }
    stable(&mut first, &mut stage, "g", 10, &[0; 64], &[0; 64]);
    let mut second = Coordinator::new(Config::default());
    for (key, value) in stage.log.take().unwrap_or_default() {
        second.replay(&key, value.as_deref()).expect("a record");
    }
    second.loaded(&mut stage);
    let (first, second) = (first.counts(), second.counts());
    assert_eq!(
        (first.groups, first.members, first.offsets),
        (1001, 10, 6000)
    );
    assert_eq!(
        (second.groups, second.members, second.offsets),
        (1001, 10, 6000)
    );
}
