//! Members that come, go, die and change their mind, in any order, while topics grow and the coordinator restarts.

use super::*;
use proptest::prelude::*;

/// A member as a client: it holds what it was told until it was told otherwise, and lets go before it says so.
#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) id: String,
    instance: Option<String>,
    pub(super) wants: Vec<&'static str>,
    pattern: Option<&'static str>,
    epoch: i32,
    pub(super) held: BTreeSet<(String, i32)>,
    /// What it is told to hold, where that is something else.
    told: Option<BTreeSet<(String, i32)>>,
    /// What it said last that it holds.
    said: BTreeSet<(String, i32)>,
}

const TOPICS: [&str; 3] = ["a", "b", "ab"];

impl Client {
    pub(super) fn new(id: String, wants: Vec<&'static str>) -> Self {
        Self {
            id,
            wants,
            ..Self::default()
        }
    }

    pub(super) fn heartbeat(&mut self, house: &mut House) {
        let told = self.told.take();
        let has_news = told.is_some() || self.held != self.said;
        if let Some(told) = told {
            self.held = told;
        }
        let joins = self.epoch == 0;
        let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in &self.held {
            by_topic.entry(topic).or_default().push(*partition);
        }
        // A topic that is gone has no id any more.
        by_topic.retain(|topic, _| house.world.shelf.topics.contains_key(*topic));
        let held: Vec<(&str, &[i32])> = by_topic.iter().map(|(t, p)| (*t, &**p)).collect();
        let held = house.world.shelf.held(&held);
        let heard = house.send(&ConsumerGroupHeartbeatRequest {
            instance_id: self
                .instance
                .as_deref()
                .filter(|_| joins || self.instance.is_some()),
            member_epoch: self.epoch,
            rebalance_timeout_ms: if joins { 60_000 } else { -1 },
            subscribed_topic_names: joins.then(|| self.wants.clone().into()),
            subscribed_topic_regex: self.pattern.filter(|_| joins),
            topic_partitions: (joins || has_news).then(|| held.into()),
            ..of(&self.id)
        });
        let code = ErrorCode::from_id(heard.code);
        if code == ErrorCode::None {
            self.epoch = heard.epoch;
            self.said.clone_from(&self.held);
            self.told = heard.assignment.map(|parts| {
                let parts = parts.into_iter();
                parts
                    .flat_map(|(topic, partitions)| {
                        partitions.into_iter().map(move |p| (topic.clone(), p))
                    })
                    .collect()
            });
            // What it is to let go of it lets go of before it says anything; what is new may be taken at once.
            if let Some(told) = &self.told {
                let new: Vec<_> = told.difference(&self.held).cloned().collect();
                self.held.extend(new);
            }
        } else {
            let begins_anew = [
                ErrorCode::FencedMemberEpoch,
                ErrorCode::UnknownMemberId,
                ErrorCode::GroupIdNotFound,
                ErrorCode::FencedInstanceId,
                ErrorCode::UnreleasedInstanceId,
            ];
            assert!(begins_anew.contains(&code), "{code:?}");
            self.held.clear();
            self.said.clear();
            self.told = None;
            self.epoch = 0;
        }
    }
}

#[derive(Debug, Clone)]
enum Deed {
    Join {
        wants: usize,
        pattern: bool,
        is_static: bool,
    },
    Beat(usize),
    Leave(usize),
    Away(usize),
    Die(usize),
    Want(usize, usize),
    Grow(usize, i32),
    Remove(usize),
    Pass(i64),
    Restart,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => (1..8_usize, any::<bool>(), any::<bool>())
            .prop_map(|(wants, pattern, is_static)| Deed::Join { wants, pattern, is_static }),
        12 => (0..8_usize).prop_map(Deed::Beat),
        1 => (0..8_usize).prop_map(Deed::Leave),
        1 => (0..8_usize).prop_map(Deed::Away),
        1 => (0..8_usize).prop_map(Deed::Die),
        1 => (0..8_usize, 1..8_usize).prop_map(|(client, wants)| Deed::Want(client, wants)),
        1 => (0..3_usize, 1..5_i32).prop_map(|(topic, more)| Deed::Grow(topic, more)),
        1 => (0..3_usize).prop_map(Deed::Remove),
        2 => (0..20_000_i64).prop_map(Deed::Pass),
        1 => Just(Deed::Restart),
    ]
}

fn wanted(bits: usize) -> Vec<&'static str> {
    (0..3)
        .filter(|topic| bits >> topic & 1 == 1)
        .map(|topic| TOPICS[topic])
        .collect()
}

struct Play {
    house: House,
    clients: Vec<Client>,
    drawn: usize,
}

impl Play {
    fn new() -> Self {
        Self {
            house: House::new(&[("a", 3), ("b", 2)]),
            clients: Vec::new(),
            drawn: 0,
        }
    }

    fn client(&self, place: usize) -> Option<usize> {
        (!self.clients.is_empty()).then(|| place % self.clients.len())
    }

    fn id(&mut self) -> String {
        self.drawn += 1;
        format!("m{}", self.drawn)
    }

    fn act(&mut self, deed: &Deed) {
        match *deed {
            Deed::Join {
                wants,
                pattern,
                is_static,
            } => {
                let id = self.id();
                self.clients.push(Client {
                    instance: is_static.then(|| format!("i{id}")),
                    wants: wanted(wants),
                    pattern: pattern.then_some("a.*"),
                    id,
                    ..Client::default()
                });
                self.clients.last_mut().unwrap().heartbeat(&mut self.house);
            }
            Deed::Beat(place) => {
                if let Some(place) = self.client(place) {
                    self.clients[place].heartbeat(&mut self.house);
                }
            }
            Deed::Leave(place) => {
                if let Some(place) = self.client(place) {
                    let client = self.clients.remove(place);
                    self.house.send(&ConsumerGroupHeartbeatRequest {
                        instance_id: client.instance.as_deref(),
                        member_epoch: -1,
                        ..of(&client.id)
                    });
                }
            }
            Deed::Away(place) => {
                if let Some(place) = self.client(place)
                    && self.clients[place].instance.is_some()
                {
                    let id = self.id();
                    let client = &mut self.clients[place];
                    let heard = self.house.send(&ConsumerGroupHeartbeatRequest {
                        instance_id: client.instance.as_deref(),
                        member_epoch: -2,
                        ..of(&client.id)
                    });
                    assert!(
                        heard.code == 0 || client.epoch == 0 || heard.epoch == 0,
                        "{heard:?}"
                    );
                    *client = Client {
                        id,
                        instance: client.instance.take(),
                        wants: std::mem::take(&mut client.wants),
                        pattern: client.pattern,
                        ..Client::default()
                    };
                }
            }
            Deed::Die(place) => {
                if let Some(place) = self.client(place) {
                    self.clients.remove(place);
                }
            }
            Deed::Want(place, wants) => {
                if let Some(place) = self.client(place) {
                    // It changes its mind and begins again, with empty hands.
                    let client = &mut self.clients[place];
                    client.wants = wanted(wants);
                    if client.instance.is_none() {
                        client.epoch = 0;
                        client.held.clear();
                        client.said.clear();
                        client.told = None;
                        client.heartbeat(&mut self.house);
                    }
                }
            }
            Deed::Grow(topic, more) => {
                let name = TOPICS[topic];
                let before = self
                    .house
                    .world
                    .shelf
                    .by_name(name)
                    .map_or(0, |t| t.partitions);
                self.house.shelve(name, before + more);
            }
            Deed::Remove(topic) => {
                self.house.world.shelf.topics.remove(TOPICS[topic]);
                for client in &mut self.clients {
                    client.held.retain(|(name, _)| *name != TOPICS[topic]);
                    if let Some(told) = &mut client.told {
                        told.retain(|(name, _)| *name != TOPICS[topic]);
                    }
                }
                self.house.coordinator.topics_changed(&mut self.house.world);
            }
            Deed::Pass(ms) => self.house.pass(ms),
            Deed::Restart => {
                let durable = self.house.durable();
                self.house.restart();
                assert_eq!(self.house.durable(), durable);
            }
        }
        self.check();
    }

    /// No partition is in two members' hands, as the coordinator sees it and as the clients do that still are members.
    fn check(&self) {
        let Some(Group::Consumer(group)) = self.house.coordinator.groups.get(GROUP) else {
            return;
        };
        assert_eq!(group.held_twice(), []);
        assert!(group.target_epoch <= group.epoch);
        assert_eq!(group.bytes(), group.weigh());
        let mut held = BTreeSet::new();
        for client in &self.clients {
            if group.members.contains_key(&*client.id) {
                for place in &client.held {
                    assert!(held.insert(place.clone()), "{place:?} is held twice");
                }
            }
        }
    }

    /// Everybody is heard of again and again: in the end each holds its part, and all is held.
    fn calm_down(&mut self) {
        for _ in 0..8 {
            self.house.pass(11_000);
            for client in &mut self.clients {
                client.heartbeat(&mut self.house);
            }
            self.check();
        }
        // Dead members are out by now, and nobody waits.
        if self.clients.is_empty() {
            return;
        }
        let group = self.house.group();
        assert_eq!(group.state_name(), "Stable");
        assert_eq!(group.members(), self.clients.len());
        let mut all = 0;
        for (name, (id, partitions)) in &self.house.world.shelf.topics {
            if group.is_subscribed_to(name) {
                all += usize::try_from(*partitions).unwrap();
                for partition in 0..*partitions {
                    assert!(group.owner(*id, partition).is_some(), "{name} {partition}");
                }
            }
        }
        let held: usize = self.clients.iter().map(|client| client.held.len()).sum();
        assert_eq!(held, all);
        for (id, member) in &group.members {
            let held: crate::assignor::Assignment = member
                .holds
                .assigned
                .iter()
                .map(|slot| (slot.topic, slot.partition))
                .collect();
            assert_eq!(held, *group.target(id));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_partition_is_held_twice_and_in_the_end_each_member_holds_its_part(
        deeds in prop::collection::vec(deed(), 1..60)
    ) {
        let mut play = Play::new();
        for deed in &deeds {
            play.act(deed);
        }
        play.calm_down();
    }
}
