use std::collections::BTreeSet;

use highwater_wire::message::join_group::JoinGroupResponseMember;

use proptest::prelude::*;

use super::*;
use crate::core::group::protocol::Subscription;

fn member(id: &str, topics: &[&str]) -> Subscriber {
    Subscriber {
        id: id.into(),
        instance: None,
        topics: topics.iter().map(|topic| Arc::from(*topic)).collect(),
        rack: None,
        owned: Vec::new(),
        generation: -1,
        version: 3,
    }
}

fn counts(counts: &[(&str, i32)]) -> Layout {
    let counts: Partitions = counts
        .iter()
        .map(|(topic, count)| (Arc::from(*topic), *count))
        .collect();
    counts.into()
}

fn shown(assigned: &[Vec<TopicPartition>]) -> Vec<String> {
    let shown = |places: &Vec<TopicPartition>| {
        let places: Vec<String> = places.iter().map(ToString::to_string).collect();
        places.join(" ")
    };
    assigned.iter().map(shown).collect()
}

#[test]
fn ranges_are_contiguous_and_static_members_come_first() {
    let mut members = [
        member("a", &["t", "u"]),
        member("b", &["t"]),
        member("c", &["t", "u"]),
    ];
    let partitions = counts(&[("t", 7), ("u", 3), ("w", 5)]);
    let assigned = Assignor::Range.assign(&members, &partitions);
    assert_eq!(
        shown(&assigned),
        ["t-0 t-1 t-2 u-0 u-1", "t-3 t-4", "t-5 t-6 u-2"]
    );
    members[2].instance = Some("z".into());
    let assigned = Assignor::Range.assign(&members, &partitions);
    assert_eq!(
        shown(&assigned),
        ["t-3 t-4 u-2", "t-5 t-6", "t-0 t-1 t-2 u-0 u-1"]
    );
}

fn stands(mut member: Subscriber, rack: &str) -> Subscriber {
    member.rack = Some(rack.into());
    member
}

#[test]
fn members_get_what_has_a_replica_in_their_rack_and_topics_of_a_size_meet() {
    let members = [
        stands(member("a", &["t", "u"]), "r1"),
        stands(member("b", &["t", "u"]), "r0"),
    ];
    let mut layout = counts(&[("t", 4), ("u", 4)]);
    let racks = |of: [&str; 4]| of.map(|rack| [Arc::from(rack)].into()).to_vec();
    layout
        .racks
        .insert("t".into(), racks(["r0", "r1", "r0", "r1"]));
    let assigned = Assignor::Range.assign(&members, &layout);
    assert_eq!(shown(&assigned), ["t-1 t-3 u-0 u-1", "t-0 t-2 u-2 u-3"]);
    layout
        .racks
        .insert("u".into(), racks(["r0", "r1", "r0", "r1"]));
    let assigned = Assignor::Range.assign(&members, &layout);
    assert_eq!(shown(&assigned), ["t-1 t-3 u-1 u-3", "t-0 t-2 u-0 u-2"]);
    // Where every partition is in every rack, it does not matter.
    let all: BTreeSet<Arc<str>> = ["r0".into(), "r1".into()].into();
    for racks in layout.racks.values_mut() {
        racks.fill(all.clone());
    }
    let assigned = Assignor::Range.assign(&members, &layout);
    assert_eq!(shown(&assigned), ["t-0 t-1 u-0 u-1", "t-2 t-3 u-2 u-3"]);
}

#[test]
fn a_sticky_member_keeps_what_stands_where_it_does_and_evenness_is_worth_more() {
    for assignor in [Assignor::Sticky, Assignor::CooperativeSticky] {
        let members = [
            stands(member("a", &["t"]), "r0"),
            stands(member("b", &["t"]), "r1"),
        ];
        let mut layout = counts(&[("t", 4)]);
        let of = |racks: [&str; 4]| racks.map(|rack| [Arc::from(rack)].into()).to_vec();
        let racks = of(["r1", "r0", "r1", "r0"]);
        layout.racks.insert("t".into(), racks);
        let assigned = assignor.assign(&members, &layout);
        assert_eq!(shown(&assigned), ["t-1 t-3", "t-0 t-2"]);
        // Three of four stand where b does.
        let racks = of(["r1", "r0", "r1", "r1"]);
        layout.racks.insert("t".into(), racks);
        let assigned = assignor.assign(&members, &layout);
        assert_eq!(shown(&assigned), ["t-1 t-3", "t-0 t-2"]);
    }
}

#[test]
fn a_sticky_member_lets_go_what_does_not_stand_where_it_does() {
    let mut members = [
        stands(member("a", &["t"]), "r0"),
        stands(member("b", &["t"]), "r1"),
    ];
    let mut layout = counts(&[("t", 4)]);
    let racks = ["r1", "r0", "r1", "r0"].map(|rack| [Arc::from(rack)].into());
    members[0].owned = all(&layout.counts).take(2).collect();
    let assigned = Assignor::Sticky.assign(&members, &layout);
    assert_eq!(shown(&assigned), ["t-0 t-1", "t-2 t-3"]);
    layout.racks.insert("t".into(), racks.to_vec());
    let assigned = Assignor::Sticky.assign(&members, &layout);
    assert_eq!(shown(&assigned), ["t-1 t-3", "t-0 t-2"]);
    // And b gets what a had when a has let it go.
    let assigned = Assignor::CooperativeSticky.assign(&members, &layout);
    assert_eq!(shown(&assigned), ["t-1 t-3", "t-2"]);
}

#[test]
fn round_robin_passes_over_who_did_not_subscribe() {
    let members = [
        member("a", &["t", "u"]),
        member("b", &["t"]),
        member("c", &["u"]),
    ];
    let assigned = Assignor::RoundRobin.assign(&members, &counts(&[("t", 3), ("u", 3)]));
    assert_eq!(shown(&assigned), ["t-0 t-2 u-1", "t-1", "u-0 u-2"]);
}

#[test]
fn a_partition_that_moves_is_given_to_nobody_until_its_owner_let_it_go() {
    let partitions = counts(&[("t", 4)]);
    let mut members = [member("a", &["t"]), member("b", &["t"])];
    members[0].owned = all(&partitions.counts).collect();
    members[0].generation = 3;
    members[1].generation = 3;
    let assigned = Assignor::CooperativeSticky.assign(&members, &partitions);
    assert_eq!(shown(&assigned), ["t-0 t-1", ""]);
    members[0].owned.truncate(2);
    let assigned = Assignor::CooperativeSticky.assign(&members, &partitions);
    assert_eq!(shown(&assigned), ["t-0 t-1", "t-2 t-3"]);
}

#[test]
fn what_two_claim_from_one_generation_is_neither_ones() {
    let partitions = counts(&[("t", 2)]);
    let mut members = [member("a", &["t"]), member("b", &["t"])];
    for member in &mut members {
        member.owned = vec![TopicPartition::new("t", 0)];
        member.generation = 3;
    }
    let assigned = Assignor::CooperativeSticky.assign(&members, &partitions);
    assert!(
        assigned.iter().flatten().all(|place| place.partition == 1),
        "{assigned:?}"
    );
    members[0].generation = 2;
    let assigned = Assignor::CooperativeSticky.assign(&members, &partitions);
    assert_eq!(shown(&assigned), ["t-1", "t-0"]);
}

/// Bits of topics, claims of topic and partition, and their generation.
type Drawn = (u8, Vec<(usize, i32)>, i32);

/// The same, in up to three racks each.
fn group_in_racks() -> impl Strategy<Value = (Vec<Subscriber>, Layout)> {
    let stand = prop::collection::vec(prop::option::of(0..3u8), 8);
    let replicas = prop::collection::vec(0..8u8, 8 * 5);
    (group(), stand, replicas).prop_map(|((mut members, mut layout), stand, replicas)| {
        let rack = |number: u8| Arc::from(format!("r{number}").as_str());
        for (member, stands) in members.iter_mut().zip(stand) {
            member.rack = stands.map(rack);
        }
        for ((topic, count), bits) in layout.counts.iter().zip(replicas.chunks(8)) {
            let of = |bits: u8| (0..3).filter(move |it| bits & (1 << it) != 0).map(rack);
            let racks = bits.iter().map(|bits| of(*bits).collect());
            let count = usize::try_from(*count).unwrap();
            layout
                .racks
                .insert(Arc::clone(topic), racks.take(count).collect());
        }
        (members, layout)
    })
}

/// Members `m0..` with some of five topics each, and what they claim to have.
fn group() -> impl Strategy<Value = (Vec<Subscriber>, Layout)> {
    let claims = prop::collection::vec((0..5usize, 0..9i32), 0..12);
    let members = prop::collection::vec((1u8..32, claims, -1..3i32), 1..8);
    let sizes = prop::collection::vec(0..8i32, 5);
    (members, sizes, any::<bool>()).prop_map(|(members, sizes, equal)| {
        let name = |topic: usize| Arc::from(format!("t{topic}").as_str());
        let partitions: Partitions = sizes
            .iter()
            .enumerate()
            .map(|(topic, count)| (name(topic), *count))
            .collect();
        let partitions = partitions.into();
        let first = members[0].0;
        let subscriber = |(index, (topics, claims, generation)): (usize, Drawn)| {
            let topics = if equal { first } else { topics };
            let claims: BTreeSet<TopicPartition> = claims
                .iter()
                .map(|(topic, it)| TopicPartition::new(name(*topic), *it))
                .collect();
            Subscriber {
                topics: (0..5)
                    .filter(|bit| topics & (1 << bit) != 0)
                    .map(name)
                    .collect(),
                owned: claims.into_iter().collect(),
                generation,
                ..member(&format!("m{index}"), &[])
            }
        };
        (
            members.into_iter().enumerate().map(subscriber).collect(),
            partitions,
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_partition_that_somebody_wants_is_given_to_one_who_wants_it((members, partitions) in group_in_racks()) {
        for assignor in [Assignor::Range, Assignor::RoundRobin, Assignor::Sticky] {
            let assigned = assignor.assign(&members, &partitions);
            prop_assert_eq!(assigned.len(), members.len());
            let mut given = BTreeSet::new();
            for (member, places) in members.iter().zip(&assigned) {
                for place in places {
                    prop_assert!(member.topics.contains(&place.topic));
                    prop_assert!(given.insert(place.clone()), "{} twice by {}", place, assignor);
                }
            }
            let wanted: BTreeSet<TopicPartition> = all(&partitions.counts)
                .filter(|place| members.iter().any(|member| member.topics.contains(&place.topic)))
                .collect();
            prop_assert_eq!(given, wanted);
        }
    }

    #[test]
    fn a_sticky_assignment_is_even_and_the_next_one_the_same((mut members, partitions) in group()) {
        let assigned = Assignor::Sticky.assign(&members, &partitions);
        for (less, has) in members.iter().zip(&assigned) {
            for more in &assigned {
                let could_go = more.iter().any(|place| less.topics.contains(&place.topic));
                prop_assert!(!could_go || more.len() <= has.len() + 1, "{:?}", assigned);
            }
        }
        for (member, has) in members.iter_mut().zip(&assigned) {
            member.owned.clone_from(has);
            member.generation = 9;
        }
        let again = Assignor::Sticky.assign(&members, &partitions);
        for (before, after) in assigned.iter().zip(again) {
            let before: BTreeSet<_> = before.iter().cloned().collect();
            prop_assert_eq!(before, after.into_iter().collect::<BTreeSet<_>>());
        }
    }

    #[test]
    fn cooperative_rounds_end_with_the_sticky_assignment_and_nothing_is_ever_at_two((members, layout) in group()) {
        comes_to_rest(members, &layout, 6)?;
    }

    #[test]
    fn in_racks_members_of_the_same_topics_come_to_rest_too((mut members, layout) in group_in_racks()) {
        let first = members[0].topics.clone();
        members.iter_mut().for_each(|it| it.topics.clone_from(&first));
        comes_to_rest(members, &layout, 20)?;
    }
}

/// Shares out until nobody has to let anything go, which is before this round.
fn comes_to_rest(
    mut members: Vec<Subscriber>,
    layout: &Layout,
    before: i32,
) -> Result<(), TestCaseError> {
    // What is claimed twice is a matter of the other tests.
    let mut claimed = BTreeSet::new();
    for member in &mut members {
        member.owned.retain(|place| claimed.insert(place.clone()));
        member.generation = 1;
    }
    for round in 2.. {
        prop_assert!(round < before, "it does not settle");
        let assigned = Assignor::CooperativeSticky.assign(&members, layout);
        for (member, gets) in members.iter().zip(&assigned) {
            let has =
                |other: &Subscriber, place| other.id != member.id && other.owned.contains(place);
            let taken = gets
                .iter()
                .find(|place| members.iter().any(|other| has(other, place)));
            prop_assert_eq!(taken, None);
        }
        let mut settled = true;
        for (member, gets) in members.iter_mut().zip(assigned) {
            settled &= member.owned.iter().all(|place| gets.contains(place));
            member.owned = gets;
            member.generation = round;
        }
        if settled {
            break;
        }
    }
    let given: usize = members.iter().map(|member| member.owned.len()).sum();
    let wanted = |place: &TopicPartition| {
        members
            .iter()
            .any(|member| member.topics.contains(&place.topic))
    };
    prop_assert_eq!(given, all(&layout.counts).filter(wanted).count());
    Ok(())
}

/// What Kafka's own assignors gave to groups of members; tests/golden/README.md says how it was made.
const GOLDEN: &str = include_str!("../../../../tests/golden/assignments.txt");

/// A group with what its members said, and what Kafka gave them.
struct Golden {
    assignor: Assignor,
    layout: Layout,
    members: Vec<Subscriber>,
    /// Their subscriptions, as Kafka wrote them.
    said: Vec<Vec<u8>>,
    given: Vec<Vec<TopicPartition>>,
}

fn golden() -> Vec<Golden> {
    let mut groups: Vec<Golden> = Vec::new();
    for line in GOLDEN.lines() {
        let mut words = line.split(' ');
        if words.next() == Some("group") {
            let assignor = words.next().unwrap().parse().unwrap();
            let mut layout = Layout::default();
            for word in words {
                let (topic, count) = word.split_once('=').unwrap();
                let (count, racks) = count.split_once(':').unwrap_or((count, ""));
                let topic: Arc<str> = topic.into();
                layout
                    .counts
                    .insert(Arc::clone(&topic), count.parse().unwrap());
                if !racks.is_empty() {
                    let of_one = |racks: &str| {
                        racks
                            .split('+')
                            .filter(|rack| *rack != "-")
                            .map(Arc::from)
                            .collect()
                    };
                    layout
                        .racks
                        .insert(topic, racks.split(',').map(of_one).collect());
                }
            }
            groups.push(Golden {
                assignor,
                layout,
                members: Vec::new(),
                said: Vec::new(),
                given: Vec::new(),
            });
            continue;
        }
        let group = groups.last_mut().unwrap();
        let (id, instance, hex) = (
            words.next().unwrap(),
            words.next().unwrap(),
            words.next().unwrap(),
        );
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let metadata: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let member = JoinGroupResponseMember {
            member_id: id,
            group_instance_id: Some(instance).filter(|instance| *instance != "-"),
            metadata: &metadata,
        };
        group
            .members
            .push(Subscriber::read(&member, group.assignor).unwrap());
        group.said.push(metadata);
        let place = |word: &str| {
            let (topic, partition) = word.rsplit_once('-').unwrap();
            TopicPartition::new(topic, partition.parse().unwrap())
        };
        group.given.push(words.map(place).collect());
    }
    groups
}

#[test]
fn every_group_is_given_what_kafka_gives_it() {
    let sorted = |places: &[Vec<TopicPartition>]| -> Vec<BTreeSet<TopicPartition>> {
        places
            .iter()
            .map(|places| places.iter().cloned().collect())
            .collect()
    };
    let groups = golden();
    assert_eq!(groups.len(), 750);
    for (index, group) in groups.iter().enumerate() {
        let ours = group.assignor.assign(&group.members, &group.layout);
        assert_eq!(
            sorted(&ours),
            sorted(&group.given),
            "group {index}: {:?}",
            group.members
        );
    }
}

#[test]
fn a_member_that_has_nothing_yet_says_so_byte_for_byte_as_kafkas_does() {
    let nothing = BTreeSet::new();
    let mut compared = 0;
    for group in golden() {
        for (member, theirs) in group.members.iter().zip(&group.said) {
            if member.generation < 0 {
                let topics = &member.topics;
                let ours = Subscription {
                    topics,
                    owned: &nothing,
                    generation: -1,
                    rack: member.rack.as_deref(),
                    previous: None,
                };
                assert_eq!(ours.write(group.assignor), *theirs);
                compared += 1;
            }
        }
    }
    assert!(compared > 200, "{compared} compared");
}
