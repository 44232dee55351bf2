//! What a new target assignment costs: 1,000 members and 10,000 partitions, in few topics and in many, from nothing, after
//! a member left, and when nothing changed.
#![allow(missing_docs, reason = "criterion's macros make the functions")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use highwater_coordinator::ServerAssignor;
use highwater_coordinator::assignor::{Assignment, Group, Member, Topic};
use uuid::Uuid;

const MEMBERS: usize = 1000;
const PARTITIONS: usize = 10_000;

/// Members, topics and what was held.
struct Drawn {
    ids: Vec<String>,
    topics: Vec<Topic>,
    wanted: Vec<Vec<u32>>,
    held: Vec<Assignment>,
}

impl Drawn {
    /// `buckets` of members with subscriptions of their own that overlap with the next one's; 1 for all the same.
    fn new(topics: usize, buckets: usize) -> Self {
        let wanted = (0..MEMBERS)
            .map(|member| {
                let bucket = member % buckets;
                (0..topics)
                    .filter(|topic| {
                        let place = topic * buckets / topics;
                        buckets == 1 || place == bucket || place == (bucket + 1) % buckets
                    })
                    .map(|topic| u32::try_from(topic).expect("few"))
                    .collect()
            })
            .collect();
        let partitions = i32::try_from(PARTITIONS / topics).expect("few");
        Self {
            ids: (0..MEMBERS)
                .map(|member| Uuid::from_u64_pair(mix(member), mix(member + 1)).to_string())
                .collect(),
            topics: (0..topics)
                .map(|topic| Topic {
                    id: Uuid::from_u64_pair(topic as u64, 1),
                    partitions,
                })
                .collect(),
            wanted,
            held: vec![Assignment::EMPTY; MEMBERS],
        }
    }

    fn assign(&self, assignor: ServerAssignor) -> Vec<Assignment> {
        let members: Vec<Member<'_>> = (0..self.ids.len())
            .map(|member| Member {
                id: &self.ids[member],
                instance: None,
                topics: &self.wanted[member],
                held: &self.held[member],
            })
            .collect();
        assignor.assign(black_box(&Group {
            topics: &self.topics,
            members: &members,
        }))
    }

    fn leave(&mut self) {
        let member = self.ids.len() / 2;
        self.ids.remove(member);
        self.wanted.remove(member);
        self.held.remove(member);
    }
}

/// Numbers without order, the same each time.
fn mix(number: usize) -> u64 {
    (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn assign(c: &mut Criterion) {
    for (name, assignor, buckets) in [
        ("uniform-homogeneous", ServerAssignor::Uniform, 1),
        ("uniform-heterogeneous", ServerAssignor::Uniform, 5),
        ("range", ServerAssignor::Range, 1),
    ] {
        let mut group = c.benchmark_group(name);
        group.sample_size(20);
        for topics in [10, 100, 1000] {
            let mut drawn = Drawn::new(topics, buckets);
            group.bench_function(format!("{topics}-topics/from-nothing"), |b| {
                b.iter_batched(|| (), |()| drawn.assign(assignor), BatchSize::PerIteration);
            });
            drawn.held = drawn.assign(assignor);
            group.bench_function(format!("{topics}-topics/unchanged"), |b| {
                b.iter_batched(|| (), |()| drawn.assign(assignor), BatchSize::PerIteration);
            });
            drawn.leave();
            group.bench_function(format!("{topics}-topics/one-left"), |b| {
                b.iter_batched(|| (), |()| drawn.assign(assignor), BatchSize::PerIteration);
            });
        }
        group.finish();
    }
}

criterion_group!(benches, assign);
criterion_main!(benches);
