//! What groups cost a shard: commits, heartbeats, a rebalance of 200 members, and the replay of 10,000 groups at a start.
//!
//! CPU time of the thread, not the wall clock: neighbours do not count. The world costs next to nothing; encoding an answer
//! and appending to a log are measured where they are done.
#![allow(missing_docs, reason = "criterion's macros make the functions")]

#[path = "../tests/support/mod.rs"]
mod support;

use criterion::{Criterion, Throughput};
use highwater_coordinator::{Config, Coordinator};
use std::hint::black_box;
use std::time::Duration;
use support::{Consumer, Stage, commit, coordinator, heartbeat, join, settle, share, stable};

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.cast_unsigned(),
        u32::try_from(time.tv_nsec).expect("below a second"),
    )
}

/// CPU time that `work` takes, so many times.
fn timed(rounds: u64, mut work: impl FnMut()) -> Duration {
    let began = cpu_time();
    for _ in 0..rounds {
        work();
    }
    cpu_time().checked_sub(began).expect("it goes on")
}

fn commits(criterion: &mut Criterion) {
    let mut stage = Stage::default();
    let mut coordinator = coordinator(&mut stage);
    let (members, generation) = stable(&mut coordinator, &mut stage, "g", 10, &[0; 64], &[0; 64]);
    let mut group = criterion.benchmark_group("requests");
    group.throughput(Throughput::Elements(1));
    let mut offset = 0;
    group.bench_function("commit", |bencher| {
        bencher.iter_custom(|rounds| {
            timed(rounds, || {
                offset += 1;
                let who = (members[3].as_str(), generation);
                let partition = i32::try_from(offset % 1000).expect("small");
                commit(&mut coordinator, &mut stage, "g", who, partition, offset);
            })
        });
    });
    group.bench_function("heartbeat", |bencher| {
        bencher.iter_custom(|rounds| {
            timed(rounds, || {
                heartbeat(&mut coordinator, &mut stage, "g", &members[5], generation);
            })
        });
    });
    group.finish();
    assert_eq!(stage.refusals, 0);
}

/// 200 members, each with metadata of 1,000 topics' names, and 5 of 1,000 partitions.
fn rebalance(criterion: &mut Criterion) {
    let metadata: Vec<u8> = (0..1000)
        .flat_map(|topic| format!("topic-{topic:06}").into_bytes())
        .collect();
    let mut stage = Stage::default();
    let mut coordinator = coordinator(&mut stage);
    let (mut members, _) = stable(&mut coordinator, &mut stage, "g", 200, &metadata, &[0; 64]);
    let mut group = criterion.benchmark_group("rebalance");
    group.sample_size(20);
    group.bench_function("200-members", |bencher| {
        bencher.iter_custom(|rounds| {
            timed(rounds, || {
                stage.members = Some(Vec::new());
                for member in &members {
                    join(&mut coordinator, &mut stage, "g", member, &metadata);
                }
                members = settle(&mut coordinator, &mut stage, "g", &[0; 64]).0;
                assert_eq!(members.len(), 200);
            })
        });
    });
    group.finish();
    assert_eq!(stage.refusals, 0);
}

/// A consumer group of 200 members and 1,000 partitions: a member that is alive; and one that goes and comes back, until
/// all have what they are to hold.
fn consumers(criterion: &mut Criterion) {
    let mut stage = Stage::default();
    let mut coordinator = coordinator(&mut stage);
    let mut members: Vec<Consumer> = (0..200)
        .map(|n| Consumer::new(format!("member-{n:030}")))
        .collect();
    share(&mut coordinator, &mut stage, "g", &mut members);
    let mut group = criterion.benchmark_group("consumer-group");
    group.throughput(Throughput::Elements(1));
    group.bench_function("heartbeat", |bencher| {
        bencher.iter_custom(|rounds| {
            timed(rounds, || {
                members[7].beat(&mut coordinator, &mut stage, "g")
            })
        });
    });
    group.sample_size(20);
    group.bench_function("200-members-1000-partitions", |bencher| {
        bencher.iter_custom(|rounds| {
            timed(rounds, || {
                members[100].leave(&mut coordinator, &mut stage, "g");
                black_box(share(&mut coordinator, &mut stage, "g", &mut members));
            })
        });
    });
    group.finish();
    assert_eq!(stage.refusals, 0);
}

/// 10,000 groups with a record of their own and ten commits each.
fn replay(criterion: &mut Criterion) {
    let mut stage = Stage {
        log: Some(Vec::new()),
        ..Stage::default()
    };
    let mut writer = coordinator(&mut stage);
    for group in 0..10_000 {
        let id = format!("group-{group:06}");
        for partition in 0..10 {
            commit(&mut writer, &mut stage, &id, ("", -1), partition, 1);
        }
    }
    let log = stage.log.take().expect("kept");
    let mut group = criterion.benchmark_group("replay");
    group.sample_size(10);
    group.throughput(Throughput::Elements(log.len() as u64));
    group.bench_function("10000-groups-100000-commits", |bencher| {
        bencher.iter_custom(|rounds| {
            timed(rounds, || {
                let mut coordinator = Coordinator::new(Config::default());
                for (key, value) in &log {
                    coordinator.replay(key, value.as_deref()).expect("a record");
                }
                coordinator.loaded(&mut stage);
                black_box(coordinator.counts());
            })
        });
    });
    group.finish();
}

criterion::criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = commits, rebalance, consumers, replay
}
criterion::criterion_main!(benches);
