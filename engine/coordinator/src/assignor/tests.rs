use super::{Assignment, Group, Member, Topic};
use crate::config::ServerAssignor;
use proptest::prelude::*;
use uuid::Uuid;

const BOTH: [ServerAssignor; 2] = [ServerAssignor::Uniform, ServerAssignor::Range];

/// A member as the files of golden assignments and the generators have it.
#[derive(Debug, Clone)]
struct Drawn {
    id: String,
    instance: Option<String>,
    topics: Vec<u32>,
    held: Assignment,
}

fn topic_id(topic: usize) -> Uuid {
    Uuid::from_u64_pair(0, topic as u64 + 2)
}

fn topics(counts: &[i32]) -> Vec<Topic> {
    counts
        .iter()
        .enumerate()
        .map(|(topic, partitions)| Topic {
            id: topic_id(topic),
            partitions: *partitions,
        })
        .collect()
}

fn run(assignor: ServerAssignor, counts: &[i32], members: &[Drawn]) -> Vec<Assignment> {
    let members: Vec<Member<'_>> = members
        .iter()
        .map(|member| Member {
            id: &member.id,
            instance: member.instance.as_deref(),
            topics: &member.topics,
            held: &member.held,
        })
        .collect();
    assignor.assign(&Group {
        topics: &topics(counts),
        members: &members,
    })
}

fn list<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> Vec<T> {
    text.trim_matches(['[', ']'])
        .split(',')
        .filter(|number| !number.is_empty())
        .map(|number| number.parse().unwrap())
        .collect()
}

fn assignment(text: &str) -> Assignment {
    text.trim_matches(['[', ']'])
        .split(';')
        .filter(|topic| !topic.is_empty())
        .flat_map(|topic| {
            let (topic, partitions) = topic.split_once(':').unwrap();
            let topic = topic_id(topic.parse().unwrap());
            list(partitions)
                .into_iter()
                .map(move |partition| (topic, partition))
        })
        .collect()
}

#[test]
fn the_same_group_is_given_the_same_partitions_as_by_kafka() {
    let golden = include_str!("../../tests/golden/assignments.txt");
    let mut groups = 0;
    for group in golden.split("group ").skip(1) {
        let mut lines = group.lines();
        let (name, counts) = lines.next().unwrap().split_once(' ').unwrap();
        let (members, expected): (Vec<Drawn>, Vec<Assignment>) = lines
            .map(|line| {
                let [_, id, instance, topics, held, given] =
                    line.split(' ').collect::<Vec<_>>()[..]
                else {
                    panic!("{line}")
                };
                let member = Drawn {
                    id: id.to_owned(),
                    instance: (instance != "-").then(|| instance.to_owned()),
                    topics: list(topics),
                    held: assignment(held),
                };
                (member, assignment(given))
            })
            .unzip();
        let given = run(
            ServerAssignor::from_name(name).unwrap(),
            &list::<i32>(counts),
            &members,
        );
        assert_eq!(given, expected, "group {group}");
        groups += 1;
    }
    assert_eq!(groups, 360);
}

fn drawn(topics: u32) -> impl Strategy<Value = Vec<Drawn>> {
    let member = (
        prop::option::of(0..9_u8),
        prop::collection::btree_set(0..topics, 0..=topics as usize),
        prop::collection::vec((0..topics as usize + 1, -1..12), 0..30),
    );
    prop::collection::vec(member, 1..9).prop_map(|members| {
        members
            .into_iter()
            .enumerate()
            .map(|(place, (instance, topics, held))| Drawn {
                id: format!("m{place}"),
                instance: instance.map(|instance| format!("i{instance}-{place}")),
                topics: topics.into_iter().collect(),
                held: held
                    .into_iter()
                    .map(|(topic, partition)| (topic_id(topic), partition))
                    .collect(),
            })
            .collect()
    })
}

/// Who is given the partition.
fn owners(given: &[Assignment], topic: usize, partition: i32) -> Vec<usize> {
    (0..given.len())
        .filter(|member| given[*member].contains(topic_id(topic), partition))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever was held before: also partitions that do not exist, or that two members held.
    #[test]
    fn each_partition_goes_to_one_member_that_wants_it(
        counts in prop::collection::vec(0..12, 5),
        members in drawn(5),
    ) {
        for assignor in BOTH {
            let given = run(assignor, &counts, &members);
            let mut all = 0;
            for (topic, partitions) in (0..).zip(&counts) {
                let wanted = members.iter().any(|m| m.topics.contains(&topic));
                all += if wanted { usize::try_from(*partitions).unwrap() } else { 0 };
                for partition in 0..*partitions {
                    let owners = owners(&given, topic as usize, partition);
                    prop_assert_eq!(owners.len(), usize::from(wanted));
                    for owner in owners {
                        prop_assert!(members[owner].topics.contains(&topic));
                    }
                }
            }
            prop_assert_eq!(given.iter().map(Assignment::len).sum::<usize>(), all);
        }
    }

    #[test]
    fn a_uniform_assignment_stays_as_it_is_when_nothing_changes(
        counts in prop::collection::vec(0..12, 5),
        members in drawn(5),
    ) {
        let mut members = members;
        let given = run(ServerAssignor::Uniform, &counts, &members);
        for (member, given) in members.iter_mut().zip(&given) {
            member.held = given.clone();
        }
        // Sixteen rounds may not be enough for a tangle of subscriptions; a second run starts where they ended.
        let again = run(ServerAssignor::Uniform, &counts, &members);
        let homogeneous = members.windows(2).all(|pair| pair[0].topics == pair[1].topics);
        if homogeneous {
            prop_assert_eq!(again, given);
        }
    }

    #[test]
    fn members_that_want_the_same_differ_by_one_partition_at_most(
        counts in prop::collection::vec(0..12, 5),
        members in drawn(5),
    ) {
        let mut members = members;
        let topics = members[0].topics.clone();
        for member in &mut members {
            member.topics.clone_from(&topics);
        }
        let given = run(ServerAssignor::Uniform, &counts, &members);
        let sizes = || given.iter().map(Assignment::len);
        prop_assert!(sizes().max().unwrap() - sizes().min().unwrap() <= 1);
    }
}

#[test]
fn topics_with_as_many_partitions_are_cut_alike_by_range() {
    let members: Vec<Drawn> = (0..3)
        .map(|place| Drawn {
            id: format!("m{place}"),
            instance: None,
            topics: vec![0, 1],
            held: Assignment::EMPTY,
        })
        .collect();
    for given in run(ServerAssignor::Range, &[8, 8], &members) {
        assert_eq!(given.of(topic_id(0)), given.of(topic_id(1)));
    }
}

#[test]
fn a_group_without_members_is_given_nothing() {
    for assignor in BOTH {
        assert_eq!(run(assignor, &[], &[]), []);
    }
}

#[test]
fn an_assignment_is_in_order_however_it_was_collected() {
    let one = topic_id(1);
    let two = topic_id(2);
    let assignment: Assignment = [(two, 1), (one, 4), (one, 2), (two, 1)]
        .into_iter()
        .collect();
    assert_eq!(
        assignment.topics().collect::<Vec<_>>(),
        [(one, &[2, 4][..]), (two, &[1][..])]
    );
    assert_eq!(assignment.len(), 3);
    assert!(assignment.contains(one, 4));
    assert!(!assignment.contains(one, 3));
}
