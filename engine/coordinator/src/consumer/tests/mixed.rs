//! Members of both protocols that come, go and die in any order, so that the group changes its protocol again and again.

use super::churn::Client;
use super::migration::assigned;
use super::*;
use proptest::prelude::*;

const TOPIC: &str = "a";
const PARTITIONS: i32 = 6;

/// Where an eager member of the classic protocol stands.
#[derive(Debug, Default)]
enum Stands {
    /// Nobody knows it.
    #[default]
    Outside,
    Joining(Ticket),
    Syncing(Ticket, i32),
    Stable(i32),
}

/// A member of the classic protocol, which gives up everything before it joins again.
#[derive(Debug, Default)]
struct Old {
    id: String,
    held: BTreeSet<i32>,
    stands: Stands,
}

impl Old {
    fn join(&mut self, house: &mut House) {
        self.held.clear();
        if self.id.is_empty() {
            let ticket = house.send_join("", None, &[TOPIC], &[]);
            match house.take(ticket) {
                Classic::Joined {
                    code: ErrorCode::MemberIdRequired,
                    member,
                    ..
                } => self.id = member,
                other => panic!("{other:?}"),
            }
        }
        let ticket = house.send_join(&self.id, None, &[TOPIC], &[]);
        self.stands = Stands::Joining(ticket);
    }

    /// Begins again, as who it is or as somebody new.
    fn again(&mut self, house: &mut House, code: ErrorCode) {
        match code {
            ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration => self.join(house),
            ErrorCode::UnknownMemberId => {
                self.id.clear();
                self.join(house);
            }
            other => panic!("{other:?}"),
        }
    }

    fn poll(&mut self, house: &mut House) {
        match self.stands {
            Stands::Outside => self.join(house),
            Stands::Joining(ticket) => match house.world.classic.remove(&ticket) {
                None => {}
                Some(Classic::Joined {
                    code: ErrorCode::None,
                    generation,
                    leader,
                    members,
                    ..
                }) => {
                    let mut given = Vec::new();
                    if leader == self.id {
                        for (place, member) in members.iter().enumerate() {
                            let part = (0..PARTITIONS).skip(place).step_by(members.len());
                            let part: Vec<i32> = part.collect();
                            given.push((&**member, assigned(&[(TOPIC, &part)], None)));
                        }
                    }
                    let ticket = house.send_sync(&self.id, generation, &given);
                    self.stands = Stands::Syncing(ticket, generation);
                }
                Some(Classic::Joined { code, .. }) => self.again(house, code),
                Some(other) => panic!("{other:?}"),
            },
            Stands::Syncing(ticket, generation) => match house.world.classic.remove(&ticket) {
                None => {}
                Some(Classic::Synced(ErrorCode::None, parts)) => {
                    self.held = parts.into_values().flatten().collect();
                    self.stands = Stands::Stable(generation);
                }
                Some(Classic::Synced(code, _)) => self.again(house, code),
                Some(other) => panic!("{other:?}"),
            },
            Stands::Stable(generation) => match house.old_beat(&self.id, generation) {
                ErrorCode::None => {}
                code => self.again(house, code),
            },
        }
    }
}

#[derive(Debug, Clone)]
enum Deed {
    JoinNew,
    JoinOld,
    PollNew(usize),
    PollOld(usize),
    LeaveNew(usize),
    LeaveOld(usize),
    DieNew(usize),
    DieOld(usize),
    Pass(i64),
    Restart,
}

fn deed() -> impl Strategy<Value = Deed> {
    let place = || 0..5_usize;
    prop_oneof![
        2 => Just(Deed::JoinNew),
        2 => Just(Deed::JoinOld),
        8 => place().prop_map(Deed::PollNew),
        12 => place().prop_map(Deed::PollOld),
        1 => place().prop_map(Deed::LeaveNew),
        1 => place().prop_map(Deed::LeaveOld),
        1 => place().prop_map(Deed::DieNew),
        1 => place().prop_map(Deed::DieOld),
        4 => (0..8_000_i64).prop_map(Deed::Pass),
        1 => Just(Deed::Restart),
    ]
}

struct Play {
    house: House,
    new: Vec<Client>,
    old: Vec<Old>,
    drawn: usize,
}

fn at<T>(list: &[T], place: usize) -> Option<usize> {
    (!list.is_empty()).then(|| place % list.len())
}

impl Play {
    fn act(&mut self, deed: &Deed) {
        let house = &mut self.house;
        match *deed {
            Deed::JoinNew => {
                self.drawn += 1;
                self.new
                    .push(Client::new(format!("new{}", self.drawn), vec![TOPIC]));
            }
            Deed::JoinOld => self.old.push(Old::default()),
            Deed::PollNew(place) => {
                if let Some(place) = at(&self.new, place) {
                    self.new[place].heartbeat(house);
                }
            }
            Deed::PollOld(place) => {
                if let Some(place) = at(&self.old, place) {
                    self.old[place].poll(house);
                }
            }
            Deed::LeaveNew(place) => {
                if let Some(place) = at(&self.new, place) {
                    let client = self.new.remove(place);
                    house.beat(&client.id, -1);
                }
            }
            Deed::LeaveOld(place) => {
                if let Some(place) = at(&self.old, place) {
                    let client = self.old.remove(place);
                    house.old_leave(&[(&client.id, None)]);
                }
            }
            Deed::DieNew(place) => {
                if let Some(place) = at(&self.new, place) {
                    self.new.remove(place);
                }
            }
            Deed::DieOld(place) => {
                if let Some(place) = at(&self.old, place) {
                    self.old.remove(place);
                }
            }
            Deed::Pass(ms) => house.pass(ms),
            Deed::Restart => {
                house.restart();
                // Whoever waited for an answer lost its connection, and begins again.
                for client in &mut self.old {
                    if matches!(client.stands, Stands::Joining(_) | Stands::Syncing(..)) {
                        client.held.clear();
                        client.stands = Stands::Outside;
                    }
                }
            }
        }
        self.check();
    }

    /// No partition is in the hands of two that are members.
    fn check(&self) {
        let is_member = |id: &str| match self.house.coordinator.groups.get(GROUP) {
            Some(Group::Consumer(group)) => group.members.contains_key(id),
            Some(Group::Classic(group)) => group.members.contains_key(id),
            None => false,
        };
        if let Some(Group::Consumer(group)) = self.house.coordinator.groups.get(GROUP) {
            assert_eq!(group.held_twice(), []);
            assert_eq!(group.bytes(), group.weigh());
        }
        let new = self.new.iter().filter(|client| is_member(&client.id));
        let new = new.flat_map(|client| client.held.iter().map(|(_, partition)| *partition));
        let old = self.old.iter().filter(|client| is_member(&client.id));
        let old = old.flat_map(|client| client.held.iter().copied());
        let mut held = BTreeSet::new();
        for partition in new.chain(old) {
            assert!(held.insert(partition), "{partition} is held twice");
        }
    }

    /// Everybody is heard of again and again: in the end all partitions are held.
    fn calm_down(&mut self) {
        for _ in 0..120 {
            self.house.pass(1000);
            for client in &mut self.new {
                client.heartbeat(&mut self.house);
            }
            for client in &mut self.old {
                client.poll(&mut self.house);
            }
            self.check();
        }
        if self.new.is_empty() && self.old.is_empty() {
            return;
        }
        let new = self.new.iter().map(|client| client.held.len());
        let old = self.old.iter().map(|client| client.held.len());
        assert_eq!(new.chain(old).sum::<usize>(), 6);
        let is_classic = match self.house.coordinator.groups.get(GROUP) {
            Some(Group::Consumer(_)) => false,
            Some(Group::Classic(_)) => true,
            None => panic!("there are members"),
        };
        if !self.new.is_empty() {
            assert!(!is_classic);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn members_of_both_protocols_share_and_no_partition_is_held_twice(
        deeds in prop::collection::vec(deed(), 1..80)
    ) {
        let mut play = Play {
            house: House::new(&[(TOPIC, PARTITIONS)]),
            new: Vec::new(),
            old: Vec::new(),
            drawn: 0,
        };
        for deed in &deeds {
            play.act(deed);
        }
        play.calm_down();
    }
}
